//! A small lock, for queues whose lock is not a bit of a word: a bucket of the address table, a notify list.
//!
//! ```text
//!   FREE ──lock──▶ HELD ──lock, by another──▶ HELD_SLEEPERS       each ──unlock──▶ FREE, and one is woken
//! ```
//! **L1.** Whoever sleeps for the lock has set, or found, HELD_SLEEPERS, and sleeps only while it is there. Whoever was
//! asleep takes the lock as HELD_SLEEPERS, since others may be asleep still. So an unlock that finds HELD left nobody
//! asleep. (Drepper's second futex mutex.)
//!
//! It is held for a bounded number of nodes and never while the user's code runs (W3, W4), but its holder may be preempted:
//! so who waits looks a few times and then sleeps. Without `std` there is nothing to sleep on: the platform decides what
//! waiting is, and forbids preemption while the lock is held.
//!
//! Locking and unlocking are one RMW each while nobody contends. Under loom it is loom's own mutex in the models of
//! whatever uses it: fewer steps to explore; the protocol itself has a model of its own below.

use crate::sys::const_fn;

pub(crate) use imp::{Held, Lock};

#[cfg_attr(all(test, loom), allow(dead_code))]
mod protocol {
    use super::const_fn;
    use crate::sys::atomic::{Acquire, AtomicU32, Relaxed, Release};
    use crate::sys::{self, mutant};

    const FREE: u32 = 0;
    const HELD: u32 = 1;
    #[cfg(feature = "std")]
    const HELD_SLEEPERS: u32 = 2;

    /// Looks at the lock before sleeping for it. Under a checker fewer do.
    const LOOKS: u32 = if cfg!(all(test, any(loom, shuttle))) { 1 } else { 50 };

    /// See the head of the file.
    pub(crate) struct Lock {
        state: AtomicU32,
        /// What the platform said when the lock was taken.
        #[cfg(not(feature = "std"))]
        token: AtomicU32,
    }

    /// The lock is held until this is dropped.
    #[must_use = "dropping it gives the lock back"]
    pub(crate) struct Held<'a>(&'a Lock);

    impl Lock {
        const_fn! {
            pub(crate) const fn new() -> Self {
                Self {
                    state: AtomicU32::new(FREE),
                    #[cfg(not(feature = "std"))]
                    token: AtomicU32::new(0),
                }
            }
        }

        #[inline]
        fn try_exchange(&self) -> bool {
            // ORDERING: Acquire pairs with the Release of the unlock: what the last holder did is seen.
            self.state.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok()
        }
    }

    #[cfg(feature = "std")]
    impl Lock {
        #[inline]
        pub(crate) fn lock(&self) -> Held<'_> {
            if !self.try_exchange() {
                self.lock_slow();
            }
            Held(self)
        }

        /// For the model check.
        #[cfg(all(test, loom))]
        pub(crate) fn try_lock(&self) -> Option<Held<'_>> {
            self.try_exchange().then(|| Held(self))
        }

        #[cold]
        #[inline(never)]
        fn lock_slow(&self) {
            for _ in 0..LOOKS {
                sys::pause();
                if self.state.load(Relaxed) == FREE && self.try_exchange() {
                    return;
                }
            }
            // ORDERING: Acquire as in `try_exchange`. L1.
            while self.state.swap(HELD_SLEEPERS, Acquire) != FREE {
                sys::futex::wait(&self.state, HELD_SLEEPERS, None);
            }
        }
    }

    #[cfg(feature = "std")]
    impl Drop for Held<'_> {
        #[inline]
        fn drop(&mut self) {
            // ORDERING: Release pairs with the Acquire of the next lock.
            let before = self.0.state.swap(FREE, Release);
            if before == HELD_SLEEPERS && !mutant::is(mutant::Mutant::LockSleeperLeft) {
                sys::futex::wake_one(&self.0.state);
            }
        }
    }

    #[cfg(not(feature = "std"))]
    impl Lock {
        pub(crate) fn lock(&self) -> Held<'_> {
            let mut looks: u32 = 0;
            loop {
                if let Some(held) = self.try_lock() {
                    return held;
                }
                if looks < LOOKS {
                    sys::pause();
                } else {
                    (sys::platform::current().relax)(looks - LOOKS);
                }
                looks = looks.saturating_add(1);
            }
        }

        fn try_lock(&self) -> Option<Held<'_>> {
            let platform = sys::platform::current();
            let token = (platform.enter)();
            if self.try_exchange() {
                self.token.store(token, Relaxed);
                return Some(Held(self));
            }
            (platform.exit)(token);
            None
        }
    }

    #[cfg(not(feature = "std"))]
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            let token = self.0.token.load(Relaxed);
            debug_assert!(!mutant::is(mutant::Mutant::LockSleeperLeft), "nobody sleeps here");
            // ORDERING: Release pairs with the Acquire of the next lock.
            self.0.state.store(FREE, Release);
            (sys::platform::current().exit)(token);
        }
    }
}

#[cfg(not(all(test, loom)))]
use protocol as imp;

#[cfg(all(test, loom))]
mod imp {
    /// See the head of the file.
    pub(crate) struct Lock(loom::sync::Mutex<()>);

    /// The lock is held until this is dropped.
    #[must_use = "dropping it gives the lock back"]
    pub(crate) struct Held<'a>(#[allow(dead_code)] loom::sync::MutexGuard<'a, ()>);

    impl Lock {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Mutex::new(()))
        }

        pub(crate) fn lock(&self) -> Held<'_> {
            Held(self.0.lock().expect("nobody panics with the lock"))
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::protocol::Lock;
    use crate::sys::cell::UnsafeCell;
    use crate::sys::explore::model;
    use crate::sys::mutant::{Mutant, caught};
    use loom::sync::Arc;
    use std::vec::Vec;

    struct Counter {
        lock: Lock,
        count: UnsafeCell<u32>,
    }

    // SAFETY: the count is touched under the lock only; loom checks that.
    unsafe impl Sync for Counter {}
    // SAFETY: as above.
    unsafe impl Send for Counter {}

    fn add(counter: &Counter) {
        let _held = counter.lock.lock();
        // SAFETY: the lock is held.
        counter.count.with_mut(|count| unsafe { *count += 1 });
    }

    #[test]
    fn l1_nobody_is_left_asleep_and_holders_exclude_one_another() {
        model(|| {
            let counter = Arc::new(Counter { lock: Lock::new(), count: UnsafeCell::new(0) });
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let counter = counter.clone();
                    loom::thread::spawn(move || add(&counter))
                })
                .collect();
            add(&counter);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let _held = counter.lock.try_lock().expect("nobody has it");
            // SAFETY: the lock is held.
            assert_eq!(counter.count.with(|count| unsafe { *count }), 3);
        });
    }

    #[test]
    fn a_sleeper_that_is_left_is_found() {
        caught(
            Mutant::LockSleeperLeft,
            "wait::lock::loom_tests::l1_nobody_is_left_asleep_and_holders_exclude_one_another",
            "deadlock",
        );
    }
}
