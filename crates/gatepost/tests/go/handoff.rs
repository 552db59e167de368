//! `release_handoff`: the permit goes to the first who waits, and to nobody else.

use crate::common::task::Task;
use crate::gate::{New, Word};

#[test]
fn g27_a_hand_off_gives_the_permit_to_the_first_who_waits() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut first = Task::queued(gate.acquire());
        let mut second = Task::queued(gate.acquire());
        let mut lifo = Task::queued(gate.acquire().lifo());
        for (i, task) in [&mut lifo, &mut first, &mut second].into_iter().enumerate() {
            gate.handoff();
            assert_eq!(task.wakes(), 1);
            gate.has(0, 2 - i);
            assert!(!gate.try_acquire(), "nobody can pass");
            assert!(Task::new(gate.acquire()).is_pending());
            task.ready();
        }
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// Go adds, and then takes for the waiter, so that somebody may be faster. Here, with somebody waiting, the count never shows.
#[test]
fn g28_met_another_way_in_a_hand_off_nobody_is_faster() {
    use crate::common::thread::start;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    fn check<W: Word>(new: New<W>) {
        const ROUNDS: usize = 3_000;
        let gate = new(0);
        let (begin, over): (&'static Barrier, &'static AtomicBool) =
            (Box::leak(Box::new(Barrier::new(2))), Box::leak(Box::default()));
        let barger = start(move || {
            begin.wait();
            while !over.load(SeqCst) {
                assert!(!gate.try_acquire() && gate.count() == 0, "the permit showed");
            }
        });
        begin.wait();
        for _ in 0..ROUNDS {
            let mut task = Task::queued(gate.acquire());
            gate.handoff();
            task.ready();
        }
        over.store(true, SeqCst);
        barger.join();
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// What is there already is not what is handed over: it stays for whoever was woken for it.
#[test]
fn g27_a_hand_off_leaves_alone_what_is_there() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut woken = Task::queued(gate.acquire());
        let mut handed = Task::queued(gate.acquire());
        gate.release();
        gate.handoff();
        gate.has(1, 0);
        assert_eq!((woken.wakes(), handed.wakes()), (1, 1));
        handed.ready();
        gate.has(1, 0);
        woken.ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn g31_a_hand_off_with_nobody_waiting_is_a_release() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        gate.handoff();
        gate.handoff();
        gate.has(2, 0);
        Task::new(gate.acquire()).ready();
        assert!(gate.try_acquire());
        // One who was there and has gone is nobody.
        drop(Task::queued(gate.acquire()));
        gate.handoff();
        gate.has(1, 0);
        // Nor is one who waits for something else.
        let row = gate.row(500);
        let _others: Vec<_> = row[1..].iter().map(|other| Task::queued(other.acquire())).collect();
        row[0].handoff();
        row[0].has(1, 0);
    }
    each_gate!(check);
}

#[test]
#[cfg(feature = "std")]
fn g27_a_hand_off_to_a_thread_and_back() {
    use crate::common::thread::start;

    fn check<W: Word>(new: New<W>) {
        const ROUNDS: usize = 2_000;
        let (ping, pong) = (new(0), new(0));
        let partner = start(move || {
            for _ in 0..ROUNDS {
                ping.acquire().wait();
                pong.handoff();
            }
        });
        for _ in 0..ROUNDS {
            ping.handoff();
            pong.acquire().wait();
        }
        partner.join();
        ping.has(0, 0);
        pong.has(0, 0);
    }
    each_gate!(check);
}

/// A lock that is only ever handed over goes round: with all who want it queued, each has it in its turn.
#[test]
#[cfg(feature = "std")]
fn g27_what_is_only_handed_over_goes_round() {
    use crate::common::thread::start;
    use std::sync::Mutex;

    fn check<W: Word>(new: New<W>) {
        const THREADS: usize = 4;
        const TURNS: usize = 25;
        let gate = new(0);
        let turns: &'static Mutex<Vec<usize>> = Box::leak(Box::default());
        let threads: Vec<_> = (0..THREADS)
            .map(|i| {
                let thread = start(move || {
                    for _ in 0..TURNS {
                        gate.acquire().wait();
                        turns.lock().unwrap().push(i);
                        // Those who have not all gone yet have come back to the queue.
                        let left = THREADS * TURNS - turns.lock().unwrap().len();
                        gate.until_waiting(left.min(THREADS - 1));
                        gate.handoff();
                    }
                });
                gate.until_waiting(i + 1);
                thread
            })
            .collect();
        gate.handoff();
        threads.into_iter().for_each(|thread| thread.join());
        let expected: Vec<_> = (0..TURNS).flat_map(|_| 0..THREADS).collect();
        assert_eq!(*turns.lock().unwrap(), expected);
        gate.has(1, 0);
    }
    each_gate!(check);
}

/// Go's `TestSemaHandoff`, with threads: how often the waiter's CAS comes before the releaser's. What must hold is that each
/// round ends with one of them; the share is the system's affair, and printed.
/// `cargo test --release -p gatepost --test go g32 -- --ignored --nocapture`
#[cfg(all(feature = "std", target_os = "linux"))]
mod measured {
    use crate::common::thread::{start, until};
    use gatepost::address::Sema;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
    use std::sync::{Arc, Barrier};

    const ROUNDS: usize = 10_000;

    #[derive(Clone, Copy, PartialEq)]
    enum Processors {
        All,
        /// All, and each has something else to do: Go's test keeps them so, lest the releaser goes on elsewhere.
        Busy,
        One,
    }

    /// Keeps this thread, and those that it starts, on the processor that it is on.
    fn stay_here() {
        // SAFETY: an empty set is all zeros; the calls read and write the set that they are given.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
            assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &set), 0);
        }
    }

    /// In how many of the rounds the waiter was first.
    fn waiter_first(processors: Processors, release: fn(&Sema)) -> usize {
        start(move || {
            if processors == Processors::One {
                stay_here();
            }
            let over = Arc::new(AtomicBool::new(false));
            let busy = if processors == Processors::Busy {
                std::thread::available_parallelism().map_or(1, usize::from)
            } else {
                0
            };
            let busy: Vec<_> = (0..busy)
                .map(|_| {
                    let over = over.clone();
                    start(move || {
                        while !over.load(SeqCst) {
                            std::thread::yield_now();
                        }
                    })
                })
                .collect();
            let shared = Arc::new((Sema::new(0), AtomicU32::new(0), Barrier::new(2)));
            let waiter = {
                let shared = shared.clone();
                start(move || {
                    let (sema, first, round) = &*shared;
                    for _ in 0..ROUNDS {
                        sema.acquire().wait();
                        let _ = first.compare_exchange(0, 1, SeqCst, SeqCst);
                        round.wait();
                        round.wait();
                    }
                })
            };
            let (sema, first, round) = &*shared;
            let mut count = 0;
            for _ in 0..ROUNDS {
                until("it waits", || sema.num_waiters() == 1);
                release(sema);
                let _ = first.compare_exchange(0, 2, SeqCst, SeqCst);
                round.wait();
                let winner = first.swap(0, SeqCst);
                assert!(winner == 1 || winner == 2);
                count += usize::from(winner == 1);
                round.wait();
            }
            waiter.join();
            over.store(true, SeqCst);
            busy.into_iter().for_each(|thread| thread.join());
            assert_eq!((sema.count(), sema.num_waiters()), (0, 0));
            count
        })
        .join()
    }

    #[test]
    #[ignore = "a measurement"]
    fn g32_how_often_the_waiter_is_first() {
        for (name, processors) in [("all", Processors::All), ("all, busy", Processors::Busy), ("one", Processors::One)]
        {
            let handoff = waiter_first(processors, Sema::release_handoff);
            let plain = waiter_first(processors, Sema::release);
            let share = |n: usize| 100.0 * n as f64 / ROUNDS as f64;
            println!(
                "processors: {name}. Waiter first: {:.1} % handed over, {:.1} % released",
                share(handoff),
                share(plain)
            );
        }
    }
}
