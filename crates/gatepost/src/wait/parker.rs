//! A thread as a waker.
//!
//! A thread that blocks waits through an ordinary [`Waker`] whose data is its parker. The queue stores one kind of thing.
//!
//! ```text
//!   EMPTY ──park──▶ PARKED ──unpark (and a futex wake)──▶ NOTIFIED ──park returns──▶ EMPTY
//!     └────────────unpark──────────────────────────────────▲
//! ```
//!
//! **K1.** A parker is never freed: it comes from a pool and goes back when its thread ends. So a waker is a plain
//! pointer: clone and drop do nothing, a wake-up that comes too late hits a parker and not freed memory.
//! **K2.** A stray token is harmless: whoever parks does so in a loop, "while my node has no outcome, park".
//! **K3.** A futex wake is issued only for a parker that is PARKED.
//!
//! One parker for each thread is enough, even if a wait runs the user's code and that waits too: the inner wait may eat a
//! token of the outer one, but tokens come after outcomes, and the outer loop looks at its outcome before it parks.
//!
//! `unpark` is one RMW and at most one system call. Where the system has a futex it takes no lock and may be called from a
//! signal handler.

use crate::sys::atomic::{Acquire, AtomicU32, Relaxed, Release};
use crate::sys::const_fn;
use crate::sys::futex;
use core::cell::Cell;
use core::ptr;
use core::task::{RawWaker, RawWakerVTable, Waker};
use std::boxed::Box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::vec::Vec;

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// See the module head.
pub(crate) struct Parker {
    state: AtomicU32,
    /// How long its thread's next wait spins. Of the thread that uses the parker alone.
    pub(crate) spin: Cell<Spin>,
}

/// What a thread has learnt about spinning. See [`super::thread`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    /// How long to spin before parking; zero means that it has not paid.
    pub(crate) budget: Duration,
    /// Waits since spinning was last tried.
    pub(crate) idle_waits: u32,
}

// SAFETY: `state` is atomic; `spin` is touched by the one thread that has the parker from the pool.
unsafe impl Sync for Parker {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Parker {}

impl Parker {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                state: AtomicU32::new(EMPTY),
                spin: Cell::new(Spin { budget: super::thread::LONGEST_SPIN, idle_waits: 0 }),
            }
        }
    }

    /// Sleeps until a token is there, the deadline has come, or for no reason. Takes the token if there is one.
    pub(crate) fn park(&self, deadline: Option<Instant>) {
        if self.state.compare_exchange(EMPTY, PARKED, Relaxed, Relaxed).is_ok() {
            match deadline {
                None => futex::wait(&self.state, PARKED, None),
                // Rounded up by the kernel; a deadline in the past returns at once.
                Some(at) => futex::wait(&self.state, PARKED, Some(at.saturating_duration_since(Instant::now()))),
            }
        }
        // ORDERING: Acquire pairs with the Release of `unpark`: what came before the wake-up is seen.
        self.state.swap(EMPTY, Acquire);
    }

    /// Leaves a token and wakes the thread if it is parked.
    pub(crate) fn unpark(&self) {
        // ORDERING: Release pairs with the Acquires of `park`.
        if self.state.swap(NOTIFIED, Release) == PARKED {
            futex::wake_one(&self.state);
        }
    }

    /// A waker that unparks this parker.
    pub(crate) fn waker(&'static self) -> Waker {
        // SAFETY: the vtable's functions do what `RawWakerVTable` asks; the data outlives every copy (K1), and may be
        // used from any thread (`Parker: Sync`).
        unsafe { Waker::from_raw(raw(ptr::from_ref(self).cast())) }
    }
}

/// Whether a waker unparks a thread of this engine.
pub(crate) fn is_threads(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &VTABLE)
}

fn raw(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(raw, unpark, unpark, |_| ());

/// # Safety
/// `data` comes from [`Parker::waker`].
unsafe fn unpark(data: *const ()) {
    // SAFETY: by the caller's promise it is a parker, and parkers are never freed.
    unsafe { &*data.cast::<Parker>() }.unpark();
}

/// Parkers that no thread uses. A mutex: touched when a thread blocks for the first time, and when it ends.
static POOL: Mutex<Vec<&'static Parker>> = Mutex::new(Vec::new());

/// A parker in use; returned to the pool on drop.
struct Borrowed(&'static Parker);

impl Borrowed {
    fn new() -> Self {
        let pooled = if cfg!(all(test, any(loom, shuttle))) {
            None // a checker's objects live for one execution
        } else {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).pop()
        };
        Self(pooled.unwrap_or_else(|| Box::leak(Box::new(Parker::new()))))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if !cfg!(all(test, any(loom, shuttle))) {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
        }
    }
}

/// Calls `f` with the current thread's parker.
pub(crate) fn with_current<R>(f: impl FnOnce(&'static Parker) -> R) -> R {
    std::thread_local! {
        static CURRENT: Borrowed = Borrowed::new();
    }
    if cfg!(all(test, any(loom, shuttle))) {
        return f(Borrowed::new().0);
    }
    // A thread that waits while its thread-locals are being destroyed borrows one for this wait.
    match CURRENT.try_with(|borrowed| borrowed.0) {
        Ok(parker) => f(parker),
        Err(_) => {
            let borrowed = Borrowed::new();
            f(borrowed.0)
        }
    }
}

/// The token's state is of no interest to others; tests look at whether a wake-up came.
impl core::fmt::Debug for Parker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = match self.state.load(Relaxed) {
            EMPTY => "empty",
            PARKED => "parked",
            _ => "notified",
        };
        f.debug_tuple("Parker").field(&state).finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn a_token_that_came_first_ends_the_next_park_and_no_other() {
        with_current(|parker| {
            parker.park(Some(Instant::now())); // eats a stray token, if there is one
            parker.unpark();
            parker.unpark();
            parker.park(None);
            let start = Instant::now();
            parker.park(Some(start + Duration::from_millis(1)));
            assert!(start.elapsed() >= Duration::from_millis(1), "one token, not two");
        });
    }

    #[test]
    fn k1_parkers_of_ended_threads_are_used_again() {
        let address = || std::thread::spawn(|| with_current(|parker| ptr::from_ref(parker).addr())).join().unwrap();
        let first = address();
        // Other tests use the pool, too; but it cannot grow with the number of threads that came and went.
        let again = (0..1000).any(|_| address() == first);
        assert!(again, "a thousand threads, and none got the parker of the first");
    }

    /// What std gives: a mutex and a condition variable.
    struct Portable {
        token: Mutex<bool>,
        came: Condvar,
    }

    impl Portable {
        fn park(&self) {
            let mut token = self.token.lock().unwrap();
            while !*token {
                token = self.came.wait(token).unwrap();
            }
            *token = false;
        }

        fn unpark(&self) {
            *self.token.lock().unwrap() = true;
            self.came.notify_one();
        }
    }

    /// Nanoseconds for the turn to go to another thread that sleeps, and back. (A park may return for no reason, so each
    /// looks whose turn it is.)
    fn round_trip(park: impl Fn(usize) + Sync, unpark: impl Fn(usize) + Sync) -> f64 {
        const TRIPS: u32 = 2_000;
        let turn = AtomicUsize::new(0);
        let pass_and_wait = |me: usize, passes: bool| {
            if passes {
                turn.store(1 - me, SeqCst);
                unpark(1 - me);
            }
            while turn.load(SeqCst) != me {
                park(me);
            }
        };
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pass_and_wait(1, false);
                (1..TRIPS).for_each(|_| pass_and_wait(1, true));
                turn.store(0, SeqCst);
                unpark(0);
            });
            (0..TRIPS).for_each(|_| pass_and_wait(0, true));
        });
        start.elapsed().as_secs_f64() * 1e9 / f64::from(TRIPS)
    }

    /// What `docs/performance.md` says of the futex. Not a check: it prints medians of interleaved rounds.
    #[test]
    #[ignore = "a measurement"]
    fn measure_the_futex_against_what_std_gives() {
        let ours: [Parker; 2] = core::array::from_fn(|_| Parker::new());
        let portable: [Portable; 2] =
            core::array::from_fn(|_| Portable { token: Mutex::new(false), came: Condvar::new() });
        let mut rounds: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        let mut wakes: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..15 {
            rounds[0].push(round_trip(|i| ours[i].park(None), |i| ours[i].unpark()));
            rounds[1].push(round_trip(|i| portable[i].park(), |i| portable[i].unpark()));
            for (i, wakes) in wakes.iter_mut().enumerate() {
                let start = Instant::now();
                for _ in 0..10_000 {
                    if i == 0 {
                        ours[0].unpark();
                    } else {
                        portable[0].unpark();
                    }
                }
                wakes.push(start.elapsed().as_secs_f64() * 1e5);
            }
        }
        let median = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        for (i, name) in ["futex", "mutex and condition variable"].iter().enumerate() {
            std::println!(
                "{name}: round trip {:.0} ns, a token for a thread that does not sleep {:.1} ns",
                median(&mut rounds[i]),
                median(&mut wakes[i])
            );
        }
    }
}
