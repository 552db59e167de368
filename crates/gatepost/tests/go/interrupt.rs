//! Waits that another thread ends: Plan 9's note that interrupts a `semacquire`.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::thread::{start, until, within_limit};
use crate::gate::{New, Word};
use gatepost::{Interrupter, WaitError, WaitOptions};
use std::time::Instant;

fn interrupter() -> &'static Interrupter {
    Box::leak(Box::default())
}

#[test]
fn p25_an_interrupt_ends_the_wait_and_is_consumed() {
    fn check<W: Word>(new: New<W>) {
        let (gate, interrupter) = (new(0), interrupter());
        // Before the wait.
        interrupter.interrupt();
        let result = within_limit(move || gate.acquire().wait_interruptible(interrupter));
        assert_eq!((result, interrupter.is_pending()), (Err(WaitError::Interrupted), false));
        // During it.
        let waiting = start(move || gate.acquire().wait_interruptible(interrupter));
        gate.until_waiting(1);
        let mut behind = Task::queued(gate.acquire());
        interrupter.interrupt();
        assert_eq!((waiting.join(), interrupter.is_pending()), (Err(WaitError::Interrupted), false));
        assert!(behind.is_pending() && behind.wakes() == 0);
        gate.release();
        behind.ready();
    }
    each_gate!(check);
}

#[test]
fn a_permit_that_is_there_wins_over_an_interrupt_and_leaves_it_pending() {
    fn check<W: Word>(new: New<W>) {
        let (gate, interrupter) = (new(1), interrupter());
        interrupter.interrupt();
        assert_eq!(gate.acquire().wait_interruptible(interrupter), Ok(()));
        for handed in [false, true] {
            let mut task = Task::queued(gate.acquire());
            if handed {
                gate.handoff()
            } else {
                gate.release()
            }
            assert_eq!(task.pinned().wait_pinned(WaitOptions::new().interrupter(interrupter)), Ok(()));
        }
        assert!(interrupter.is_pending());
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn a_deadline_and_an_interrupt_at_once_are_a_time_out() {
    fn check<W: Word>(new: New<W>) {
        let (gate, interrupter) = (new(0), interrupter());
        interrupter.interrupt();
        let options = WaitOptions::new().interrupter(interrupter).deadline(Instant::now());
        let result = within_limit(move || gate.acquire().wait_with(options));
        assert_eq!((result, interrupter.is_pending()), (Err(WaitError::TimedOut), true));
    }
    each_gate!(check);
}

/// A panic between the queue and sleep: the future had joined, and leaves.
#[test]
fn b10_a_second_wait_with_the_same_interrupter_panics_and_harms_nothing() {
    fn check<W: Word>(new: New<W>) {
        let (gate, interrupter) = (new(0), interrupter());
        let first = start(move || gate.acquire().wait_interruptible(interrupter));
        gate.until_waiting(1);
        until("the first wait uses the interrupter", || format!("{interrupter:?}").contains("waiting: true"));
        let mut queued = Task::queued(gate.acquire());
        let mut behind = Task::queued(gate.acquire());
        within_limit(move || {
            let options = WaitOptions::new().interrupter(interrupter);
            let panic = caught(|| queued.pinned().wait_pinned(options));
            assert!(panic.message().contains("an interrupter serves one wait at a time"), "{}", panic.message());
        });
        gate.has(0, 2);
        gate.release();
        assert_eq!(first.join(), Ok(()));
        gate.release();
        behind.ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// Interrupts and releases at the same instants: each wait has its permit or has left it.
#[test]
fn an_interrupt_at_the_instant_of_the_release_loses_and_doubles_nothing() {
    fn check<W: Word>(new: New<W>) {
        const ROUNDS: usize = 1_000;
        let (gate, interrupter) = (new(0), interrupter());
        let waiting =
            start(move || (0..ROUNDS).filter(|_| gate.acquire().wait_interruptible(interrupter).is_ok()).count());
        let mut released = 0;
        while !waiting.has_ended() {
            if released % 2 == 0 {
                gate.release()
            } else {
                gate.handoff()
            }
            released += 1;
            interrupter.interrupt();
            std::thread::yield_now();
        }
        let granted = waiting.join();
        gate.has((released - granted) as u32, 0);
    }
    each_gate!(check);
}
