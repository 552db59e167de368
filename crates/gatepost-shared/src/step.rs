//! The places at which a process may be killed, one between any two stores that matter.
//!
//! In the crate's own tests a process can ask to die at the k-th of them: see `tests/kill_points`. Otherwise nothing is left of them.

/// One of the places.
#[inline(always)]
pub(crate) fn at(_name: &'static str) {
    #[cfg(test)]
    count::step(_name);
}

#[cfg(test)]
pub(crate) mod count {
    use std::sync::atomic::AtomicI64;
    use std::sync::atomic::Ordering::Relaxed;

    /// Steps to go until this process kills itself; negative: never.
    static LEFT: AtomicI64 = AtomicI64::new(-1);

    /// From now on the process dies at step `steps`, counted from 0; with -1 it does not.
    pub(crate) fn die_at(steps: i64) {
        LEFT.store(steps, Relaxed);
    }

    pub(super) fn step(name: &'static str) {
        if LEFT.load(Relaxed) < 0 {
            return;
        }
        if LEFT.fetch_sub(1, Relaxed) == 0 {
            // The parent reads where it was.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{name}\n").as_bytes());
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
