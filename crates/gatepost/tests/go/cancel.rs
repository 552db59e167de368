//! Acquisitions that are dropped: un-polled, queued, woken, handed a permit, done. Neither a permit nor a wake-up is lost.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::wakers::{Event, hooked};
use crate::gate::{New, Word};

#[test]
fn dropping_what_was_not_polled_or_is_done_does_nothing() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        drop(Task::new(gate.acquire()));
        gate.has(1, 0);
        let mut done = Task::new(gate.acquire());
        done.ready();
        drop(done);
        gate.has(0, 0);
        for handed in [false, true] {
            let mut done = Task::queued(gate.acquire());
            if handed {
                gate.handoff()
            } else {
                gate.release()
            }
            done.ready();
            let mut next = Task::queued(gate.acquire());
            drop(done);
            assert!(next.is_pending() && next.wakes() == 0);
        }
    }
    each_gate!(check);
}

#[test]
fn b6_who_leaves_the_queue_wakes_nobody() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut queue: Vec<_> = (0..3).map(|_| Task::queued(gate.acquire())).collect();
        drop(queue.remove(0));
        drop(queue.remove(1));
        gate.has(0, 1);
        assert_eq!(queue[0].wakes(), 0);
        gate.release();
        queue[0].ready();
        gate.release();
        gate.has(1, 0);
    }
    each_gate!(check);
}

/// Those that are left keep their order, whoever leaves, and an address that nobody is left at is as before.
#[test]
fn b10_all_orders_of_leaving_leave_the_others_in_theirs() {
    fn check<W: Word>(new: New<W>) {
        const N: usize = 4;
        let gate = new(0);
        // A number to the base 4 for each order in which some leave.
        for code in 0..N.pow(N as u32) {
            let order: Vec<_> = (0..N as u32).map(|digit| code / N.pow(digit) % N).collect();
            let mut queue: Vec<_> = (0..N)
                .map(|i| Some(if i == 2 { gate.acquire().lifo() } else { gate.acquire() }))
                .map(|acquire| acquire.map(Task::queued))
                .collect();
            for &i in &order[..3] {
                queue[i] = None;
            }
            let left: Vec<_> = [2, 0, 1, 3].into_iter().filter(|&i| queue[i].is_some()).collect();
            gate.has(0, left.len());
            for i in left {
                gate.release();
                queue[i].as_mut().expect("left").ready();
            }
            gate.has(0, 0);
        }
    }
    each_gate!(check);
}

#[test]
fn b5_who_was_woken_and_leaves_wakes_the_next() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut queue: Vec<_> = (0..4).map(|_| Task::queued(gate.acquire())).collect();
        gate.release();
        for next in 1..4 {
            drop(queue.remove(0));
            assert_eq!(queue[0].wakes(), 1, "{next}");
            gate.has(1, 3 - next);
        }
        drop(queue.remove(0));
        gate.has(1, 0);
        Task::new(gate.acquire()).ready();
    }
    each_gate!(check);
}

/// What it was woken for is gone: whoever is next would be woken for nothing.
#[test]
fn b6_who_was_woken_too_late_and_leaves_wakes_nobody() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let woken = Task::queued(gate.acquire());
        let mut next = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        drop(woken);
        assert!(next.is_pending() && next.wakes() == 0);
        gate.release();
        next.ready();
    }
    each_gate!(check);
}

/// Two woken for two; one leaves: the other still has its own, and the third is woken for what the first left.
#[test]
fn b5_of_several_who_were_woken_each_that_leaves_wakes_one() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut queue: Vec<_> = (0..4).map(|_| Task::queued(gate.acquire())).collect();
        gate.release_n(2);
        drop(queue.remove(1));
        assert_eq!(queue.iter().map(Task::wakes).collect::<Vec<_>>(), [1, 1, 0]);
        queue[1].ready();
        queue[0].ready();
        assert!(queue[2].is_pending());
        gate.has(0, 1);
    }
    each_gate!(check);
}

#[test]
fn b5_who_was_handed_a_permit_and_leaves_gives_it_to_the_next() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let handed = Task::queued(gate.acquire());
        let mut next = Task::queued(gate.acquire());
        gate.handoff();
        gate.has(0, 1);
        drop(handed);
        assert_eq!(next.wakes(), 1);
        gate.has(1, 0);
        next.ready();

        let handed = Task::queued(gate.acquire());
        gate.handoff();
        drop(handed);
        gate.has(1, 0);
    }
    each_gate!(check);
}

/// The woken one has lost, waits again, and leaves: it is one that waits, and no more.
#[test]
fn b6_who_lost_and_waits_again_leaves_as_one_who_waits() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut lost = Task::queued(gate.acquire());
        let mut next = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        assert!(lost.is_pending());
        drop(lost);
        gate.has(0, 1);
        assert!(next.is_pending() && next.wakes() == 0);
        gate.release();
        next.ready();
    }
    each_gate!(check);
}

/// Returned on a cancellation, a permit wakes whoever is next, of whatever kind.
#[test]
#[cfg(feature = "std")]
fn b15_what_a_task_leaves_wakes_a_thread_and_the_other_way_round() {
    use crate::common::thread::start;
    use gatepost::{WaitError, WaitOptions};
    use std::time::Duration;

    fn check<W: Word>(new: New<W>) {
        for handed in [false, true] {
            let gate = new(0);
            let task = Task::queued(gate.acquire());
            let thread = start(move || gate.acquire().wait());
            gate.until_waiting(2);
            if handed {
                gate.handoff()
            } else {
                gate.release()
            }
            drop(task);
            thread.join();
            gate.has(0, 0);
        }
        // A thread that gives up takes what is there; only if it is gone does it leave without.
        let gate = new(0);
        let mut woken = Task::queued(gate.acquire());
        let mut next = Task::queued(gate.acquire());
        gate.release();
        let at_once = WaitOptions::new().timeout(Duration::ZERO);
        assert_eq!(woken.pinned().wait_pinned(at_once), Ok(()));
        let mut queued = Task::queued(gate.acquire());
        assert_eq!(queued.pinned().wait_pinned(at_once), Err(WaitError::TimedOut));
        gate.has(0, 1);
        gate.release();
        next.ready();
    }
    each_gate!(check);
}

/// A panic between the first look and the queue (in a user's `clone`), and between the queue and sleep.
#[test]
fn b10_a_panic_on_the_way_into_the_queue_leaves_it_whole() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut before = Task::queued(gate.acquire());
        let waker = hooked(|event| assert!(event != Event::Clone, "this waker cannot be cloned"));
        let mut fails = Task::new(gate.acquire());
        let _ = caught(|| fails.poll_with(&waker).is_pending());
        gate.has(0, 1);
        let mut after = Task::queued(gate.acquire());
        // The same for one that was woken, lost, and cannot come back.
        gate.release();
        assert!(gate.try_acquire());
        let _ = caught(|| before.poll_with(&waker).is_pending());
        gate.has(0, 1);
        gate.release();
        assert_eq!(after.wakes(), 1);
        after.ready();
        // Both may be polled again, or dropped.
        assert!(fails.is_pending());
        drop(before);
        gate.release();
        fails.ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// The word and the table outlive what borrows them, but a future that is forgotten borrows them no longer. Until then it is
/// one that waits, and never comes.
#[test]
fn a_forgotten_future_is_one_who_never_comes() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        Task::queued(gate.acquire()).forget();
        let mut next = Task::queued(gate.acquire());
        gate.has(0, 2);
        gate.release(); // wakes the forgotten one: its wake-up is lost, its permit is not
        assert_eq!(next.wakes(), 0);
        gate.has(1, 1);
        assert!(gate.try_acquire());
        gate.release();
        next.ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}
