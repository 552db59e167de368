//! Waits that end at a time, and threads that wait for a polled future.

use crate::common::task::Task;
use crate::common::thread::{start, until, within_limit};
use crate::common::wakers::{Event, hooked};
use crate::gate::{New, Word};
use gatepost::{WaitError, WaitOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Times that are over before the wait begins, or as good as.
const AT_ONCE: [Duration; 2] = [Duration::ZERO, Duration::from_nanos(1)];

fn past() -> Instant {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
}

#[test]
fn p2_p25_a_permit_that_is_there_wins_over_a_deadline_that_has_passed() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(AT_ONCE.len() as u32 + 1);
        for timeout in AT_ONCE {
            assert_eq!(gate.acquire().wait_timeout(timeout), Ok(()));
        }
        assert_eq!(gate.acquire().wait_deadline(past()), Ok(()));
        gate.has(0, 0);
        // The same for one that has waited: woken, or handed its permit.
        let mut woken = Task::queued(gate.acquire());
        gate.release();
        assert_eq!(woken.pinned().wait_pinned(WaitOptions::new().deadline(past())), Ok(()));
        let mut handed = Task::queued(gate.acquire());
        gate.handoff();
        assert_eq!(handed.pinned().wait_pinned(WaitOptions::new().deadline(past())), Ok(()));
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn b4_p25_no_time_at_all_is_not_for_ever() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        for timeout in AT_ONCE {
            let result = within_limit(move || gate.acquire().wait_timeout(timeout));
            assert_eq!(result, Err(WaitError::TimedOut));
        }
        let result = within_limit(move || gate.acquire().lifo().wait_deadline(past()));
        assert_eq!(result, Err(WaitError::TimedOut));
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn a_wait_is_over_no_earlier_than_its_deadline() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        for timeout in [1, 50, 300, 1_000, 20_000].map(Duration::from_micros) {
            let took = within_limit(move || {
                let start = Instant::now();
                assert_eq!(gate.acquire().wait_timeout(timeout), Err(WaitError::TimedOut));
                start.elapsed()
            });
            assert!(took >= timeout, "{took:?} of {timeout:?}");
        }
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn a_duration_beyond_the_clock_is_no_deadline() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let waiting = [
            start(move || gate.acquire().wait_timeout(Duration::MAX)),
            start(move || gate.acquire().wait_with(WaitOptions::new().deadline(past()).timeout(Duration::MAX))),
            start(move || gate.acquire().wait_with(WaitOptions::new())),
        ];
        gate.until_waiting(3);
        gate.release_n(3);
        waiting.into_iter().for_each(|thread| assert_eq!(thread.join(), Ok(())));
    }
    each_gate!(check);
}

/// Who is woken, loses and waits again has one deadline for all of it.
#[test]
fn g9_who_loses_again_and_again_gives_up_in_time() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let waiting = start(move || gate.acquire().wait_timeout(Duration::from_millis(20)));
        let mut lost = 0;
        while !waiting.has_ended() {
            gate.release();
            // The thread may have been faster: then it is over.
            if gate.try_acquire() {
                lost += 1;
            } else {
                until("it has the permit", || waiting.has_ended());
            }
        }
        match waiting.join() {
            Ok(()) => gate.has(0, 0),
            Err(error) => {
                assert_eq!(error, WaitError::TimedOut);
                assert!(lost > 0);
                gate.has(0, 0);
            }
        }
    }
    each_gate!(check);
}

/// A release that is aimed at the deadline: the wait has its permit, or has left it.
#[test]
fn a_time_out_at_the_instant_of_the_release_loses_and_doubles_nothing() {
    fn check<W: Word>(new: New<W>) {
        const ROUNDS: u64 = 1_500;
        let gate = new(0);
        let begin = Instant::now();
        // In nanoseconds from the beginning; 0 once the release is done.
        let aimed_at: &'static AtomicU64 = Box::leak(Box::default());
        let releasing = start(move || {
            for round in 0..ROUNDS {
                until("there is a deadline", || aimed_at.load(Ordering::Acquire) != 0);
                let at = Duration::from_nanos(aimed_at.load(Ordering::Acquire) + round * 37 % 3_000);
                while begin.elapsed() < at {
                    std::hint::spin_loop();
                }
                if round % 2 == 0 {
                    gate.release()
                } else {
                    gate.handoff()
                }
                aimed_at.store(0, Ordering::Release);
            }
        });
        for round in 0..ROUNDS {
            let deadline = Instant::now() + Duration::from_micros(20);
            aimed_at.store((deadline - begin).as_nanos() as u64, Ordering::Release);
            let result = gate.acquire().wait_deadline(deadline);
            until("the release is done", || aimed_at.load(Ordering::Acquire) == 0);
            assert_eq!(gate.try_acquire(), result.is_err(), "in round {round}: {result:?}");
        }
        releasing.join();
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn a_polled_future_keeps_its_place_when_a_thread_waits_for_it() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let taken_over = Arc::new(AtomicBool::new(false));
        let waker = {
            let taken_over = taken_over.clone();
            hooked(move |event| match event {
                Event::Clone => (),
                Event::Wake => panic!("a thread waits, not the task"),
                Event::Drop => taken_over.store(true, Ordering::Relaxed),
            })
        };
        let mut front = Task::queued_with(gate.acquire(), &waker);
        let mut back = Task::queued(gate.acquire());
        let waiting = start(move || front.pinned().wait_pinned(WaitOptions::new()));
        until("the thread waits in the task's place", || taken_over.load(Ordering::Relaxed));
        gate.has(0, 2);
        gate.release();
        assert_eq!(waiting.join(), Ok(()));
        assert!(back.is_pending() && back.wakes() == 0);
        gate.release();
        back.ready();
    }
    each_gate!(check);
}

#[test]
fn a_future_that_was_not_polled_may_be_waited_for_pinned() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        assert_eq!(Task::new(gate.acquire()).pinned().wait_pinned(WaitOptions::new()), Ok(()));
        let waiting = start(move || Task::new(gate.acquire()).pinned().wait_pinned(WaitOptions::new()));
        gate.until_waiting(1);
        gate.release();
        assert_eq!(waiting.join(), Ok(()));
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// It was woken and somebody was faster, while nobody polled it: the thread waits in its stead.
#[test]
fn g9_a_thread_may_wait_for_a_future_that_was_woken_too_late() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut task = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        let waiting = start(move || task.pinned().wait_pinned(WaitOptions::new()));
        gate.until_waiting(1);
        gate.release();
        assert_eq!(waiting.join(), Ok(()));
        gate.has(0, 0);
    }
    each_gate!(check);
}
