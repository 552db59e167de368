//! The kernel's semaphore with real threads: Zircon's own eight tests, order, interrupts, signals, load.
#![cfg(feature = "std")]

#[macro_use]
#[allow(dead_code, unused_macros)] // each of the test programs uses its own part
mod common;

use common::thread::{Running, start, until, within_limit};
use gatepost::kernel::{BlockError, Deadline, Mutex, Native, OwnedWaitQueue, Semaphore, Thread, WaitFailure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

type Name = &'static Thread<Native>;

/// A thread that does `f`, and its name.
fn named<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> (Running<T>, Name) {
    let (send, receive) = channel();
    let running = start(move || {
        send.send(Native::current_thread()).expect("somebody listens");
        f()
    });
    (running, receive.recv().expect("it says its name first"))
}

/// A thread that waits for `semaphore` and is blocked.
fn waiter(semaphore: &Arc<Semaphore<Native>>, deadline: Deadline) -> (Running<Result<(), WaitFailure>>, Name) {
    let (running, name) = named({
        let semaphore = semaphore.clone();
        move || semaphore.wait(deadline)
    });
    until("it is blocked", || name.is_blocked());
    (running, name)
}

fn shared(count: i64) -> Arc<Semaphore<Native>> {
    #[allow(clippy::useless_conversion)] // a count is an `isize` on some machines
    Arc::new(Semaphore::new(count.try_into().expect("a small number")))
}

fn state(semaphore: &Semaphore<Native>) -> (i64, u32) {
    #[allow(clippy::useless_conversion)]
    (semaphore.count().try_into().expect("as many bits"), semaphore.num_waiters())
}

mod z32 {
    use super::*;

    #[test]
    fn z32_smoke_test() {
        let semaphore = shared(5);
        let worker = start({
            let semaphore = semaphore.clone();
            move || (0..5).try_for_each(|_| semaphore.wait(Deadline::INFINITE))
        });
        assert_eq!(worker.join(), Ok(()));
        assert_eq!(state(&semaphore), (0, 0));
        semaphore.post();
        assert_eq!(state(&semaphore), (1, 0));
    }

    #[test]
    fn z32_timeout_test() {
        let semaphore = shared(0);
        assert_eq!(semaphore.wait(Deadline::PASSED), Err(WaitFailure::TimedOut));
        assert!(semaphore.count() <= 0);
        assert_eq!(semaphore.num_waiters(), 0);
        let (begin, timeout) = (Instant::now(), Duration::from_millis(20));
        let outcome = within_limit(move || semaphore.wait(Deadline::after(timeout)));
        assert_eq!(outcome, Err(WaitFailure::TimedOut));
        assert!(begin.elapsed() >= timeout, "Z21: not before the deadline");
    }

    #[test]
    fn z32_post_test() {
        let semaphore = shared(0);
        let (running, _) = waiter(&semaphore, Deadline::INFINITE);
        assert_eq!(state(&semaphore), (-1, 1));
        semaphore.post();
        assert_eq!(running.join(), Ok(()));
        assert_eq!(state(&semaphore), (0, 0));
    }

    #[test]
    fn z32_post_queue_test() {
        static QUEUE: OwnedWaitQueue<Native> = OwnedWaitQueue::new();
        let semaphore = shared(0);
        let (running, name) = named({
            let semaphore = semaphore.clone();
            move || {
                let outcome = semaphore.wait(Deadline::INFINITE);
                let owner = QUEUE.owner().expect("it owns it before it runs");
                assert!(std::ptr::eq(owner, Native::current_thread()));
                QUEUE.assign_owner(None).expect("nobody is no circle");
                outcome
            }
        });
        until("it is blocked", || name.is_blocked());
        semaphore.post_to_own(&QUEUE);
        assert_eq!(running.join(), Ok(()));
        assert_eq!(state(&semaphore), (0, 0));
    }

    #[test]
    fn z32_kill_test() {
        let semaphore = shared(0);
        let (running, name) = waiter(&semaphore, Deadline::INFINITE);
        name.kill();
        assert_eq!(running.join(), Err(WaitFailure::Killed));
        assert_eq!(state(&semaphore), (-1, 0));
    }

    #[test]
    fn z32_suspend_test() {
        let semaphore = shared(0);
        let (running, name) = waiter(&semaphore, Deadline::INFINITE);
        name.suspend();
        assert_eq!(running.join(), Err(WaitFailure::Suspended));
        assert_eq!(state(&semaphore), (-1, 0));
    }

    fn does_not_end(signal: impl FnOnce(Name)) {
        let semaphore = shared(0);
        let (running, name) = named({
            let semaphore = semaphore.clone();
            move || semaphore.wait_uninterruptible()
        });
        until("it is blocked", || name.is_blocked());
        signal(name);
        assert_eq!(state(&semaphore), (-1, 1), "it waits still");
        assert!(!running.has_ended());
        semaphore.post();
        running.join();
        assert_eq!(state(&semaphore), (0, 0));
    }

    #[test]
    fn z32_kill_uninterruptible_test() {
        does_not_end(|name| name.kill());
    }

    #[test]
    fn z32_suspend_uninterruptible_test() {
        does_not_end(|name| name.suspend());
    }
}

/// Threads that wait for one semaphore, each set up by `prepare` with its number, and the order in which they are woken.
fn woken(n: usize, prepare: impl Fn(usize, Name)) -> Vec<usize> {
    let semaphore = shared(0);
    let (send, order) = channel();
    let threads: Vec<_> = (0..n)
        .map(|number| {
            let (semaphore, send, (go, begin)) = (semaphore.clone(), send.clone(), channel());
            let (running, name) = named(move || {
                begin.recv().expect("it is told to begin");
                semaphore.wait(Deadline::INFINITE).expect("nothing ends it");
                send.send(number).expect("somebody listens");
            });
            prepare(number, name);
            go.send(()).expect("it listens");
            until("it is blocked", || name.is_blocked());
            running
        })
        .collect();
    let order = (0..n)
        .map(|_| {
            semaphore.post();
            order.recv_timeout(Duration::from_secs(60)).expect("a post wakes one")
        })
        .collect();
    threads.into_iter().for_each(Running::join);
    order
}

#[test]
fn who_weighs_the_same_is_woken_as_it_came() {
    assert_eq!(woken(6, |_, _| ()), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn p14_the_heaviest_is_woken_first_and_of_those_the_first() {
    let weights = [1, 50, 7, 50, 9];
    assert_eq!(woken(5, |number, name| name.set_base_weight(weights[number])), [1, 3, 4, 2, 0]);
}

#[test]
fn z23_finish_times_come_first() {
    let order = woken(4, |number, name| match number {
        0 => name.set_base_weight(1000),
        number => name.set_finish_time(Some(100 - number as u64)),
    });
    assert_eq!(order, [3, 2, 1, 0]);
}

#[test]
fn z24_a_finish_time_that_changes_moves_who_is_blocked() {
    let semaphore = shared(0);
    let (first, _) = waiter(&semaphore, Deadline::INFINITE);
    let (second, name) = waiter(&semaphore, Deadline::INFINITE);
    name.set_finish_time(Some(5));
    semaphore.post();
    assert_eq!(second.join(), Ok(()));
    semaphore.post();
    assert_eq!(first.join(), Ok(()));
}

#[test]
fn a_suspended_thread_waits_again_when_it_is_resumed() {
    let semaphore = shared(0);
    let (running, name) = waiter(&semaphore, Deadline::INFINITE);
    name.suspend();
    assert_eq!(running.join(), Err(WaitFailure::Suspended));

    let this = Native::current_thread();
    this.suspend();
    assert_eq!(semaphore.wait(Deadline::after(Duration::from_secs(60))), Err(WaitFailure::Suspended));
    this.resume();
    assert_eq!(semaphore.wait(Deadline::after(Duration::from_millis(1))), Err(WaitFailure::TimedOut));
}

#[test]
fn a_deadline_beyond_all_time_does_not_come() {
    let semaphore = shared(0);
    for deadline in [Deadline::after(Duration::MAX), Deadline::at(u64::MAX - 1)] {
        let (running, _) = waiter(&semaphore, deadline);
        semaphore.post();
        assert_eq!(running.join(), Ok(()));
    }
    assert!(Deadline::after(Duration::MAX).is_infinite());
}

#[test]
fn the_name_of_a_thread_that_has_ended_reaches_nobody() {
    let semaphore = shared(0);
    let (ended, name) = named(|| ());
    ended.join();
    // Its block is not among those that these use.
    for _ in 0..10 {
        let semaphore = semaphore.clone();
        let running = start({
            let semaphore = semaphore.clone();
            move || semaphore.wait(Deadline::INFINITE)
        });
        until("it is blocked", || semaphore.num_waiters() == 1);
        name.kill();
        name.suspend();
        name.platform().interrupt();
        semaphore.post();
        assert_eq!(running.join(), Ok(()));
    }
    let queue = OwnedWaitQueue::<Native>::new();
    queue.assign_owner(Some(name)).expect("no circle");
    assert!(queue.owner().is_none(), "Z27: who has ended owns nothing");
}

#[test]
fn a_thread_waits_while_its_thread_locals_are_destroyed() {
    struct AtTheEnd(Arc<Semaphore<Native>>, Arc<Mutex<u32, Native>>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.wait(Deadline::INFINITE).expect("nothing ends it");
            *self.1.lock().expect("nothing ends it") += 1;
        }
    }
    thread_local! {
        static BEFORE: std::cell::RefCell<Option<AtTheEnd>> = const { std::cell::RefCell::new(None) };
        static AFTER: std::cell::RefCell<Option<AtTheEnd>> = const { std::cell::RefCell::new(None) };
    }
    let (semaphore, count) = (shared(0), Arc::new(Mutex::new(0)));
    let at_the_end = || AtTheEnd(semaphore.clone(), count.clone());
    let running = start({
        let (before, after) = (at_the_end(), at_the_end());
        move || {
            // One of them is destroyed before the block is given back, one after: whichever order a system has.
            BEFORE.set(Some(before));
            assert_eq!(before_any_wait(), Err(WaitFailure::TimedOut));
            AFTER.set(Some(after));
        }
    });
    fn before_any_wait() -> Result<(), WaitFailure> {
        shared(0).wait(Deadline::PASSED)
    }
    for _ in 0..2 {
        until("it waits", || semaphore.num_waiters() == 1);
        semaphore.post();
    }
    running.join();
    assert_eq!(*count.lock().expect("free"), 2);
}

/// To block under an owner names it and lends it the weight in one step; a circle is refused, and the owner is who it was.
#[test]
fn z28_who_blocks_under_an_owner_lends_it_its_weight() {
    let queue = Arc::new(OwnedWaitQueue::<Native>::new());
    let owner = Native::current_thread();
    let alone = owner.effective_weight();
    let (waiting, name) = named({
        let queue = queue.clone();
        move || queue.block_under(owner, Deadline::INFINITE)
    });
    until("it is blocked", || name.is_blocked());
    assert!(queue.owner().is_some_and(|now| std::ptr::eq(now, owner)));
    assert_eq!(owner.effective_weight(), alone + u64::from(name.base_weight()));
    assert!(matches!(queue.block(Deadline::INFINITE), Err(BlockError::WouldDeadlock(_))), "for itself");
    assert!(queue.wake_one());
    assert_eq!(waiting.join(), Ok(()));
    assert_eq!(owner.effective_weight(), alone);
    queue.assign_owner(None).expect("nobody is no part of a circle");
    assert_eq!(queue.block_under(owner, Deadline::PASSED), Err(BlockError::Failed(WaitFailure::TimedOut)));
    assert!(queue.owner().is_none(), "who did not wait has named nobody");
}

mod interrupts {
    use super::*;

    #[test]
    fn p10_an_interrupt_ends_the_wait_in_which_the_thread_is_and_no_other() {
        let semaphore = shared(0);
        let (running, name) = named({
            let semaphore = semaphore.clone();
            move || (semaphore.wait(Deadline::INFINITE), semaphore.wait(Deadline::INFINITE))
        });
        until("it is blocked", || name.is_blocked());
        name.platform().interrupt();
        until("the first wait has ended, the second begun", || state(&semaphore) == (-2, 1));
        semaphore.post();
        assert_eq!(running.join(), (Err(WaitFailure::Interrupted), Ok(())));
        assert_eq!(state(&semaphore), (0, 0));
    }

    #[test]
    fn p10_an_interrupt_that_comes_before_ends_the_next_wait_that_blocks() {
        let semaphore = shared(1);
        Native::current_thread().platform().interrupt();
        assert_eq!(semaphore.wait(Deadline::INFINITE), Ok(()), "what is there is had");
        assert_eq!(semaphore.wait(Deadline::INFINITE), Err(WaitFailure::Interrupted));
        assert_eq!(semaphore.wait(Deadline::after(Duration::from_millis(1))), Err(WaitFailure::TimedOut));
    }

    #[test]
    fn an_interrupt_is_kept_through_a_wait_that_cannot_be_interrupted() {
        let semaphore = shared(0);
        let (running, name) = named({
            let semaphore = semaphore.clone();
            move || {
                semaphore.wait_uninterruptible();
                semaphore.wait(Deadline::INFINITE)
            }
        });
        until("it is blocked", || name.is_blocked());
        name.platform().interrupt();
        assert_eq!(state(&semaphore), (-1, 1));
        semaphore.post();
        assert_eq!(running.join(), Err(WaitFailure::Interrupted));
    }

    #[test]
    fn of_a_mutex_too() {
        let mutex = Arc::new(Mutex::<(), Native>::new(()));
        let held = mutex.lock().expect("free");
        let (running, name) = named({
            let mutex = mutex.clone();
            move || mutex.lock().map(drop)
        });
        until("it is blocked", || name.is_blocked());
        name.platform().interrupt();
        assert_eq!(running.join(), Err(BlockError::Failed(WaitFailure::Interrupted)));
        drop(held);
        assert!(mutex.try_lock().is_some());
    }

    #[cfg(target_os = "linux")]
    mod signals {
        use super::*;

        #[test]
        fn p10_a_signal_ends_a_wait() {
            Native::interrupt_on_signal(libc::SIGUSR1).expect("nobody else handles it");
            Native::interrupt_on_signal(libc::SIGUSR1).expect("it is ours");
            let semaphore = shared(0);
            let (send, id) = channel();
            let (running, name) = named({
                let semaphore = semaphore.clone();
                move || {
                    // SAFETY: asks for a number.
                    send.send(unsafe { libc::pthread_self() }).expect("somebody listens");
                    semaphore.wait(Deadline::INFINITE)
                }
            });
            let id = id.recv().expect("it says who it is");
            until("it is blocked", || name.is_blocked());
            // SAFETY: the thread has not ended: it waits.
            assert_eq!(unsafe { libc::pthread_kill(id, libc::SIGUSR1) }, 0);
            assert_eq!(running.join(), Err(WaitFailure::Interrupted));
            assert_eq!(state(&semaphore), (-1, 0));
        }

        #[test]
        fn a_signal_that_has_a_handler_is_left_to_it() {
            extern "C" fn mine(_: libc::c_int) {}
            // SAFETY: the handler does nothing.
            assert_ne!(unsafe { libc::signal(libc::SIGUSR2, mine as *const () as usize) }, libc::SIG_ERR);
            let refused = Native::interrupt_on_signal(libc::SIGUSR2).map_err(|error| error.kind());
            assert_eq!(refused, Err(std::io::ErrorKind::AlreadyExists));
            // SAFETY: as above.
            assert_eq!(unsafe { libc::signal(libc::SIGUSR2, libc::SIG_DFL) }, mine as *const () as usize);
            assert!(Native::interrupt_on_signal(libc::SIGKILL).is_err());
        }

        /// A thread whose every wait for `semaphore` a signal has to end, and which says so; then it waits for a post. And who it is,
        /// to the system. (It has not ended before the post, so it may be sent signals until then.)
        fn interrupted(
            semaphore: &Arc<Semaphore<Native>>,
            waits: usize,
            ended: impl Fn() + Send + 'static,
        ) -> (Running<()>, libc::pthread_t) {
            Native::interrupt_on_signal(libc::SIGWINCH).expect("nobody else handles it");
            let (send, id) = channel();
            let semaphore = semaphore.clone();
            let running = start(move || {
                Native::current_thread();
                // SAFETY: asks for a number.
                send.send(unsafe { libc::pthread_self() }).expect("somebody listens");
                for _ in 0..waits {
                    assert_eq!(semaphore.wait(Deadline::INFINITE), Err(WaitFailure::Interrupted));
                    ended();
                }
                semaphore.wait_uninterruptible();
            });
            (running, id.recv().expect("it says who it is"))
        }

        fn signal(id: libc::pthread_t) {
            // SAFETY: the thread of `interrupted` has not ended: it waits for the post that its test makes at the end.
            assert_eq!(unsafe { libc::pthread_kill(id, libc::SIGWINCH) }, 0);
        }

        /// One signal for each wait, whatever the thread does when it comes: on its way into the wait, asleep, on its way out. If one were
        /// missed, the wait would not end.
        #[test]
        fn no_signal_is_missed_whenever_it_comes() {
            let semaphore = shared(0);
            let (report, ended) = channel();
            let (running, id) = interrupted(&semaphore, 5_000, move || report.send(()).expect("somebody listens"));
            for wait in 0..5_000 {
                signal(id);
                ended
                    .recv_timeout(Duration::from_secs(60))
                    .unwrap_or_else(|_| panic!("the signal of wait {wait} was missed"));
            }
            semaphore.post();
            running.join();
        }

        /// Signals in a storm: the handler runs in whatever the thread does, the kernel's lock held or not.
        #[test]
        fn a_storm_of_signals_does_not_deadlock() {
            const WAITS: usize = 2_000;
            let semaphore = shared(0);
            let (running, id) = interrupted(&semaphore, WAITS, || ());
            let begun = Instant::now();
            while semaphore.count() > -(WAITS as gatepost::kernel::Count + 1) {
                assert!(begun.elapsed() < Duration::from_secs(60), "{} waits have begun", -semaphore.count());
                signal(id);
            }
            semaphore.post();
            running.join();
        }
    }
}

/// Load: threads that wait with deadlines and without, and others that post, kill the wait, suspend and interrupt.
mod load {
    use super::*;

    /// A small generator: the load has to be random, not unpredictable. (xorshift64*)
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
        }
    }

    const WORKERS: usize = 8;
    const STEPS: usize = 300;

    #[derive(Default)]
    struct Totals {
        posts: AtomicI64,
        passed: AtomicI64,
        failed: [AtomicI64; 4],
    }

    fn work(semaphore: &Semaphore<Native>, totals: &Totals, seed: u64) {
        let mut random = Random(seed);
        for _ in 0..STEPS {
            let outcome = match random.below(6) {
                0 => {
                    semaphore.post();
                    totals.posts.fetch_add(1, SeqCst);
                    continue;
                }
                1 => semaphore.wait(Deadline::INFINITE),
                2 => semaphore.wait(Deadline::PASSED),
                3 => {
                    semaphore.wait_uninterruptible();
                    Ok(())
                }
                _ => semaphore.wait(Deadline::after(Duration::from_nanos(random.below(60_000) as u64))),
            };
            match outcome {
                Ok(()) => totals.passed.fetch_add(1, SeqCst),
                Err(failure) => totals.failed[failure as usize].fetch_add(1, SeqCst),
            };
            if outcome == Err(WaitFailure::Suspended) {
                Native::current_thread().resume();
            }
            if outcome == Err(WaitFailure::Killed) {
                return; // it is to wait for nothing any more
            }
        }
    }

    fn round(seed: u64) {
        let initial = (seed % 4) as i64 - 1;
        let (semaphore, totals, done) = (shared(initial), Arc::new(Totals::default()), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..WORKERS)
            .map(|number| {
                let (semaphore, totals, done) = (semaphore.clone(), totals.clone(), done.clone());
                named(move || {
                    work(&semaphore, &totals, seed.wrapping_mul(31).wrapping_add(number as u64) | 1);
                    done.fetch_add(1, SeqCst);
                })
            })
            .collect();
        let mut random = Random(seed.wrapping_mul(17) | 1);
        let begun = Instant::now();
        while done.load(SeqCst) < WORKERS {
            assert!(begun.elapsed() < Duration::from_secs(60), "somebody is left asleep: {:?}", state(&semaphore));
            let name = threads[random.below(WORKERS)].1;
            match random.below(400) {
                0 => name.kill(),
                1..=20 => name.suspend(),
                21..=40 => name.platform().interrupt(),
                41..=60 => {
                    name.interrupt();
                }
                61..=80 => name.set_base_weight(random.below(100) as u32),
                81..=100 => name.set_finish_time((random.below(2) == 0).then(|| random.below(100) as u64)),
                101..=140 => std::thread::yield_now(),
                _ => {
                    semaphore.post();
                    totals.posts.fetch_add(1, SeqCst);
                }
            }
        }
        threads.into_iter().for_each(|(running, _)| running.join());
        let (count, waiters) = state(&semaphore);
        assert_eq!(waiters, 0);
        let conserved = initial.max(0) + totals.posts.load(SeqCst) - totals.passed.load(SeqCst);
        assert_eq!(count.max(0), conserved, "Z14: permits are conserved");
    }

    #[test]
    fn z14_permits_are_conserved_and_nobody_is_left_asleep() {
        (0..30).for_each(round);
    }

    /// Threads that add under the lock, some giving up.
    fn exclusion(seed: u64) {
        let (mutex, inside) = (Arc::new(Mutex::<u64, Native>::new(0)), Arc::new(AtomicBool::new(false)));
        let threads: Vec<_> = (0..WORKERS as u64)
            .map(|number| {
                let (mutex, inside) = (mutex.clone(), inside.clone());
                start(move || {
                    let mut random = Random(seed.wrapping_mul(13).wrapping_add(number) | 1);
                    let mut added = 0;
                    for _ in 0..STEPS {
                        let deadline = match random.below(3) {
                            0 => Deadline::after(Duration::from_nanos(random.below(40_000) as u64)),
                            _ => Deadline::INFINITE,
                        };
                        match mutex.lock_until(deadline) {
                            Ok(mut guard) => {
                                assert!(!inside.swap(true, SeqCst), "one at a time");
                                *guard += 1;
                                added += 1;
                                if random.below(8) == 0 {
                                    std::thread::yield_now();
                                }
                                inside.store(false, SeqCst);
                            }
                            Err(error) => assert_eq!(error, BlockError::Failed(WaitFailure::TimedOut)),
                        }
                    }
                    added
                })
            })
            .collect();
        let added: u64 = threads.into_iter().map(Running::join).sum();
        assert_eq!(*mutex.lock().expect("free"), added);
    }

    #[test]
    fn holders_of_a_mutex_exclude_one_another() {
        (0..5).for_each(exclusion);
    }

    #[test]
    #[ignore = "an hour; GATEPOST_SOAK_SECS says how long"]
    fn an_hour() {
        let seconds = std::env::var("GATEPOST_SOAK_SECS").map_or(3600, |s| s.parse().expect("a number of seconds"));
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut seed = 1_000;
        while Instant::now() < end {
            round(seed);
            exclusion(seed);
            seed += 1;
        }
        println!("{} rounds", seed - 1_000);
    }
}
