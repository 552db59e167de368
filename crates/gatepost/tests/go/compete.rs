//! Whoever is woken competes with whoever runs, and waits again if it loses.

use crate::common::task::Task;
use crate::common::wakers::Wakes;
use crate::gate::{New, Word};
use std::sync::Arc;

#[test]
fn g9_who_was_woken_may_find_that_somebody_was_faster_and_waits_again() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut task = Task::queued(gate.acquire());
        for round in 1..=3 {
            gate.release();
            assert_eq!(task.wakes(), round);
            gate.has(1, 0);
            assert!(gate.try_acquire(), "whoever runs may pass");
            assert!(task.is_pending());
            gate.has(0, 1);
        }
        gate.release();
        task.ready();
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn g9_who_lost_waits_behind_the_others() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut first = Task::queued(gate.acquire());
        let mut second = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        assert!(first.is_pending());
        gate.release();
        assert_eq!((first.wakes(), second.wakes()), (1, 1));
        second.ready();
        gate.release();
        assert_eq!(first.wakes(), 2);
        first.ready();
    }
    each_gate!(check);
}

#[test]
fn g9_who_lost_and_waits_before_the_others_does_so_again() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut lifo = Task::queued(gate.acquire().lifo());
        let mut fifo = Task::queued(gate.acquire());
        for round in 1..=3 {
            gate.release();
            assert_eq!((lifo.wakes(), fifo.wakes()), (round, 0));
            assert!(gate.try_acquire());
            assert!(lifo.is_pending());
        }
        gate.release_n(2);
        lifo.ready();
        fifo.ready();
    }
    each_gate!(check);
}

#[test]
fn g9_whoever_waits_again_is_woken_by_its_latest_waker() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut task = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        let second = Arc::new(Wakes::default());
        assert!(task.poll_with(&second.clone().into()).is_pending());
        gate.release();
        assert_eq!((task.wakes(), second.count()), (1, 1));
        task.ready();
    }
    each_gate!(check);
}

#[test]
fn a_needless_poll_changes_nothing_and_another_waker_keeps_the_place() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut front = Task::queued(gate.acquire());
        let mut back = Task::queued(gate.acquire());
        let second = Arc::new(Wakes::default());
        for _ in 0..3 {
            assert!(front.is_pending());
            assert!(front.poll_with(&second.clone().into()).is_pending());
        }
        assert_eq!(Arc::strong_count(&second), 2, "a needless poll has kept a clone");
        gate.has(0, 2);
        gate.release();
        assert_eq!((front.wakes(), second.count(), back.wakes()), (0, 1, 0));
        front.ready();
        assert!(back.is_pending());
    }
    each_gate!(check);
}

#[test]
fn g10_who_passed_wakes_who_was_passed_when_it_releases() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut passed = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        assert!(passed.is_pending());
        gate.release(); // by who passed
        assert_eq!(passed.wakes(), 2);
        passed.ready();
    }
    each_gate!(check);
}

/// Woken, not yet looked: what comes in between may be taken and put back, and it finds it.
#[test]
fn g10_who_was_passed_before_it_looked_finds_what_was_put_back() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut woken = Task::queued(gate.acquire());
        let mut behind = Task::queued(gate.acquire());
        gate.release();
        assert!(gate.try_acquire());
        gate.release();
        assert_eq!((woken.wakes(), behind.wakes()), (1, 1), "somebody waits, and something is there");
        behind.ready();
        assert!(woken.is_pending());
        gate.has(0, 1);
        gate.release();
        woken.ready();
    }
    each_gate!(check);
}

/// Both have been woken for two, and one has gone: the other has its permit, and who lost waits.
#[test]
fn g9_of_two_who_were_woken_for_what_one_can_have_one_waits_again() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks = [Task::queued(gate.acquire()), Task::queued(gate.acquire())];
        gate.release_n(2);
        assert!(gate.try_acquire());
        tasks[1].ready();
        assert!(tasks[0].is_pending());
        gate.has(0, 1);
    }
    each_gate!(check);
}
