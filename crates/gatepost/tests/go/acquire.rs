//! What is there is taken; what is released is there, or wakes.

use crate::common::task::Task;
use crate::common::thread::start;
use crate::gate::{New, Word};
use std::sync::Barrier;

#[test]
fn g1_what_is_there_is_taken_at_the_first_poll() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(2);
        Task::new(gate.acquire()).ready();
        gate.has(1, 0);
        Task::new(gate.acquire().lifo()).ready();
        gate.has(0, 0);
        assert!(Task::new(gate.acquire()).is_pending());
    }
    each_gate!(check);
}

#[test]
fn g1_nothing_is_asked_for_before_the_first_poll() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        let mut late = Task::new(gate.acquire());
        drop(Task::new(gate.acquire()));
        gate.has(1, 0);
        assert!(gate.try_acquire());
        gate.has(0, 0);
        assert!(late.is_pending());
        gate.has(0, 1);
    }
    each_gate!(check);
}

#[test]
fn g2_try_acquire_takes_what_is_there_and_never_more() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(2);
        assert!(gate.try_acquire() && gate.try_acquire());
        assert!(!gate.try_acquire() && !gate.try_acquire());
        gate.has(0, 0);
        gate.release();
        assert!(gate.try_acquire());
    }
    each_gate!(check);
}

/// "No" was true when it looked: of threads that all try, as many have a permit as there were, and nothing is left.
#[test]
fn g2_of_threads_that_try_at_once_as_many_succeed_as_there_are_permits() {
    fn check<W: Word>(new: New<W>) {
        const THREADS: usize = 4;
        const PERMITS: u32 = 2_000;
        let gate = new(PERMITS);
        let begin: &'static Barrier = Box::leak(Box::new(Barrier::new(THREADS)));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                start(move || {
                    begin.wait();
                    let mut taken = 0;
                    while gate.try_acquire() {
                        taken += 1;
                    }
                    assert_eq!(gate.count(), 0, "it was refused, and nobody adds");
                    taken
                })
            })
            .collect();
        let taken: u32 = threads.into_iter().map(|thread| thread.join()).sum();
        assert_eq!(taken, PERMITS);
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn g5_g8_a_release_with_nobody_waiting_is_banked() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        gate.release();
        gate.release();
        gate.has(2, 0);
        Task::new(gate.acquire()).ready();
        Task::new(gate.acquire()).ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn g8_one_release_wakes_one_even_if_more_are_there() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks: Vec<_> = (0..4).map(|_| Task::queued(gate.acquire())).collect();
        for woken in 1..=3 {
            gate.release();
            let wakes: Vec<_> = tasks.iter().map(Task::wakes).collect();
            assert_eq!(wakes, (0..4).map(|i| usize::from(i < woken)).collect::<Vec<_>>());
            gate.has(woken, 4 - woken as usize);
        }
        tasks[..3].iter_mut().for_each(Task::ready);
        assert!(tasks[3].is_pending());
        gate.has(0, 1);
    }
    each_gate!(check);
}

/// libc++ left the second one asleep: the count had been above 0 before its release.
#[test]
fn b1_p17_two_releases_wake_two() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks = [Task::queued(gate.acquire()), Task::queued(gate.acquire())];
        gate.release();
        gate.release();
        assert_eq!(tasks.each_ref().map(Task::wakes), [1, 1]);
        tasks.iter_mut().for_each(Task::ready);
    }
    each_gate!(check);
}

#[test]
#[cfg(feature = "std")]
fn b1_two_releases_wake_two_threads() {
    fn check<W: Word>(new: New<W>) {
        for _ in 0..50 {
            let gate = new(0);
            let threads = [(); 2].map(|()| start(move || gate.acquire().wait()));
            gate.until_waiting(2);
            gate.release();
            gate.release();
            threads.into_iter().for_each(|thread| thread.join());
            gate.has(0, 0);
        }
    }
    each_gate!(check);
}

#[test]
fn b2_p25_a_release_of_n_wakes_n_and_the_rest_is_there() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks: Vec<_> = (0..5).map(|_| Task::queued(gate.acquire())).collect();
        gate.release_n(3);
        assert_eq!(tasks.iter().map(Task::wakes).collect::<Vec<_>>(), [1, 1, 1, 0, 0]);
        gate.has(3, 2);
        gate.release_n(4);
        assert!(tasks.iter().all(|task| task.wakes() == 1));
        tasks.iter_mut().for_each(Task::ready);
        gate.has(2, 0);
    }
    each_gate!(check);
}

/// Plan 9's `semrelease` adds a count and returns the new value.
#[test]
fn p25_a_release_of_n_returns_the_count_that_it_made() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        assert_eq!(gate.release_n(3), 3);
        assert_eq!(gate.release_n(0), 3);
        assert_eq!(gate.release_n(1 << 20), 3 + (1 << 20));
        assert_eq!(gate.count(), 3 + (1 << 20));

        let gate = new(0);
        let mut task = Task::queued(gate.acquire());
        assert_eq!(gate.release_n(2), 2, "before the one who was woken has taken any");
        task.ready();
        assert_eq!(gate.count(), 1);
    }
    each_gate!(check);
}

#[test]
fn p25_a_release_of_none_changes_nothing() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut woken = Task::queued(gate.acquire());
        let mut waits = Task::queued(gate.acquire());
        assert_eq!(gate.release_n(0), 0);
        gate.has(0, 2);
        gate.release();
        assert_eq!(gate.release_n(0), 1, "there is one, and somebody waits; but nothing was added");
        assert_eq!((woken.wakes(), waits.wakes()), (1, 0));
        woken.ready();
        assert!(waits.is_pending());
    }
    each_gate!(check);
}

#[test]
fn p25_without_waiting_there_is_a_permit_or_not() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        let waits = {
            assert!(gate.try_acquire());
            Task::queued(gate.acquire())
        };
        assert!(!gate.try_acquire());
        gate.has(0, 1);
        drop(waits);
    }
    each_gate!(check);
}

/// A release at each moment of the way to sleep: before the first look, between the look and the queue, after it.
#[test]
#[cfg(feature = "std")]
fn g3_g4_b17_no_release_falls_between_the_look_and_the_queue() {
    fn check<W: Word>(new: New<W>) {
        const ROUNDS: usize = 10_000;
        let (ping, pong) = (new(0), new(0));
        let partner = start(move || {
            for _ in 0..ROUNDS {
                ping.acquire().wait();
                pong.release();
            }
        });
        for round in 0..ROUNDS {
            // Not always at the same distance from the partner's look.
            for _ in 0..round % 64 {
                std::hint::spin_loop();
            }
            ping.release();
            pong.acquire().wait();
        }
        partner.join();
        ping.has(0, 0);
        pong.has(0, 0);
    }
    each_gate!(check);
}

#[test]
#[cfg(feature = "std")]
fn g8_a_wake_up_that_comes_first_is_not_lost() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        start(move || gate.release()).join();
        start(move || gate.word.blocking_acquire()).join();
        gate.has(0, 0);
    }
    each_gate!(check);
}
