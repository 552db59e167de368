//! The places at which a process may be killed, one between any two stores that matter.
//!
//! In the crate's own tests a process can ask to die at the k-th of them, or to be stopped at one, and a thread can ask to be
//! called: see `tests/kill_points`. Otherwise nothing is left of them.

/// One of the places.
#[inline(always)]
pub(crate) fn at(_name: &'static str) {
    #[cfg(test)]
    {
        count::step(_name);
        unwind::step();
    }
}

/// Whether this thread plays a process that has died, and so must not do anything more.
#[inline(always)]
pub(crate) fn is_dead() -> bool {
    #[cfg(test)]
    return unwind::is_dead();
    #[cfg(not(test))]
    false
}

/// Whether a test wants this bug, to see whether it is found.
#[inline(always)]
pub(crate) fn has_bug(_bug: &'static str) -> bool {
    #[cfg(test)]
    return unwind::has_bug(_bug);
    #[cfg(not(test))]
    false
}

#[cfg(test)]
pub(crate) mod count {
    use std::cell::RefCell;
    use std::sync::RwLock;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::atomic::{AtomicBool, AtomicI64};

    use rustix::process::{Signal, getpid, kill_process};

    /// Steps to go until this process kills itself; negative: never.
    static LEFT: AtomicI64 = AtomicI64::new(-1);
    /// Where it signals itself, and with what.
    static SIGNAL: RwLock<Option<(&'static str, Signal)>> = RwLock::new(None);
    /// Whether anything else than `LEFT` is to be looked at.
    static IS_ASKED: AtomicBool = AtomicBool::new(false);

    type Call = Box<dyn FnMut(&'static str)>;

    thread_local! {
        static CALL: RefCell<Option<Call>> = const { RefCell::new(None) };
    }

    /// From now on the process dies at step `steps`, counted from 0; with -1 it does not.
    pub(crate) fn die_at(steps: i64) {
        LEFT.store(steps, Relaxed);
    }

    /// From now on the process gets `signal`, once, when it is at the step of this name.
    pub(crate) fn signal_at(name: &'static str, signal: Signal) {
        *SIGNAL.write().expect("no step panics") = Some((name, signal));
        IS_ASKED.store(true, Relaxed);
    }

    /// From now on `call` is told of each step of this thread.
    pub(crate) fn call(call: impl FnMut(&'static str) + 'static) {
        CALL.set(Some(Box::new(call)));
        IS_ASKED.store(true, Relaxed);
    }

    pub(super) fn step(name: &'static str) {
        if LEFT.load(Relaxed) >= 0 && LEFT.fetch_sub(1, Relaxed) == 0 {
            die(name);
        }
        if IS_ASKED.load(Relaxed) {
            asked(name);
        }
    }

    #[cold]
    fn asked(name: &'static str) {
        let signal = SIGNAL.read().expect("no step panics").and_then(|(at, signal)| (at == name).then_some(signal));
        if let Some(signal) = signal {
            *SIGNAL.write().expect("no step panics") = None;
            if signal == Signal::KILL {
                die(name);
            }
            let _ = kill_process(getpid(), signal);
        }
        // It is put back only when it has returned: a step of its own does not call it again.
        if let Some(mut call) = CALL.take() {
            call(name);
            CALL.set(Some(call));
        }
    }

    fn die(name: &'static str) -> ! {
        // Whoever waits for our end reads where it was.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("died at {name}\n").as_bytes());
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// Deaths that only one thread plays: the model of the tables ends an operation at a step by unwinding, with every clean-up left out.
#[cfg(test)]
pub(crate) mod unwind {
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::OnceLock;

    struct Death;

    thread_local! {
        /// In a run: steps to go until the death, and steps gone.
        static RUN: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
        static IS_DEAD: Cell<bool> = const { Cell::new(false) };
        static BUG: Cell<&'static str> = const { Cell::new("") };
        static WOKEN: RefCell<Vec<*const u32>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn step() {
        if let Some((left, gone)) = RUN.get() {
            RUN.set(Some((left.saturating_sub(1), gone + 1)));
            if left == 0 {
                IS_DEAD.set(true);
                resume_unwind(Box::new(Death));
            }
        }
    }

    pub(super) fn is_dead() -> bool {
        IS_DEAD.get()
    }

    /// The environment variable that seeds a bug for a whole process.
    pub(crate) const VARIABLE: &str = "GATEPOST_SHARED_BUG";

    pub(super) fn has_bug(bug: &str) -> bool {
        static SEEDED: OnceLock<Option<String>> = OnceLock::new();
        BUG.get() == bug || SEEDED.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref() == Some(bug)
    }

    /// Seeds a bug, for this thread.
    pub(crate) fn seed(bug: &'static str) {
        BUG.set(bug);
    }

    /// Whether this thread is in a run: nobody sleeps in one.
    pub(crate) fn is_running() -> bool {
        RUN.get().is_some()
    }

    pub(crate) fn woken(word: *const u32) {
        if is_running() {
            WOKEN.with_borrow_mut(|woken| woken.push(word));
        }
    }

    /// What came of a run.
    pub(crate) struct Run<R> {
        /// Nothing: it died.
        pub(crate) result: Option<R>,
        pub(crate) steps: usize,
        pub(crate) woken: Vec<*const u32>,
    }

    /// Does `op` and dies at step `die`, counted from 0, if it comes so far.
    pub(crate) fn run<R>(die: usize, op: impl FnOnce() -> R) -> Run<R> {
        RUN.set(Some((die, 0)));
        let result = catch_unwind(AssertUnwindSafe(op));
        let steps = RUN.take().map_or(0, |(_, gone)| gone);
        IS_DEAD.set(false);
        let woken = WOKEN.take();
        match result {
            Ok(result) => Run { result: Some(result), steps, woken },
            Err(payload) if payload.is::<Death>() => Run { result: None, steps, woken },
            Err(payload) => resume_unwind(payload),
        }
    }
}
