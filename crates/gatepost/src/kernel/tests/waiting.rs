//! Deadlines, kill and suspend; Zircon's eight semaphore tests.

use super::*;
use crate::kernel::{Deadline, Recorded, Recording, Unblock, WaitFailure, WakeOrder};
use std::boxed::Box;

const KILLED: Result<(), WaitFailure> = Err(WaitFailure::Killed);
const SUSPENDED: Result<(), WaitFailure> = Err(WaitFailure::Suspended);
const TIMED_OUT: Result<(), WaitFailure> = Err(WaitFailure::TimedOut);

#[test]
fn z16_p10_a_permit_that_is_there_beats_everything() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 3);
    let [thread] = threads(kernel, [1]);
    kernel.platform().set_now(100);
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::at(5)), Some(Ok(())), "the deadline has passed");
    thread.suspend();
    assert_eq!(wait(semaphore, thread), Some(Ok(())));
    thread.kill();
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::PASSED), Some(Ok(())));
    assert_eq!(state(semaphore), (0, 0));
}

#[test]
fn z17_a_deadline_that_has_come_ends_the_wait_before_it_blocks_and_the_count_has_gone_down() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    kernel.platform().set_now(100);
    for deadline in [Deadline::PASSED, Deadline::at(100), Deadline::at(100).with_slack(50)] {
        assert_eq!(Recording::wait_for(semaphore, thread, deadline), Some(TIMED_OUT));
    }
    assert_eq!(state(semaphore), (0, -3));
    assert_eq!(kernel.platform().take(), [], "it was in no queue");
}

#[test]
fn z18_deadline_then_kill_then_suspend() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    thread.suspend();
    assert_eq!(wait(semaphore, thread), Some(SUSPENDED));
    thread.kill();
    assert_eq!(wait(semaphore, thread), Some(KILLED), "kill over suspend");
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::PASSED), Some(TIMED_OUT), "the deadline over both");
    thread.resume();
    assert_eq!(wait(semaphore, thread), Some(KILLED), "there is no way back from it");
    assert_eq!(state(semaphore), (0, -4));
}

#[test]
fn z18_who_was_resumed_waits_again() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    thread.suspend();
    thread.resume();
    assert_eq!(wait(semaphore, thread), None);
    semaphore.post();
    assert_eq!(Recording::outcome(thread), Some(Ok(())));
}

#[test]
fn z19_kill_and_suspend_end_a_wait() {
    let kernel = Recording::kernel();
    for (is_kill, outcome) in [(true, KILLED), (false, SUSPENDED)] {
        let semaphore = semaphore(kernel, 0);
        let [thread] = threads(kernel, [1]);
        assert_eq!(wait(semaphore, thread), None);
        kernel.platform().take();
        if is_kill {
            thread.kill()
        } else {
            thread.suspend()
        }
        assert_eq!((Recording::outcome(thread), state(semaphore)), (Some(outcome), (0, -1)));
        let id = thread.platform().id();
        assert_eq!(kernel.platform().take(), [Recorded::Unblocked(id, Unblock::Normal)]);
        semaphore.post();
        assert_eq!(state(semaphore), (0, 1));
    }
}

#[test]
fn z20_an_uninterruptible_wait_is_not_ended_by_kill_or_suspend() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    assert_eq!(Recording::wait_uninterruptible_for(semaphore, thread), None);
    thread.suspend();
    thread.kill();
    assert_eq!((Recording::outcome(thread), state(semaphore)), (None, (1, -1)));
    semaphore.post();
    assert_eq!((Recording::outcome(thread), state(semaphore)), (Some(Ok(())), (0, 0)));
    assert_eq!(Recording::wait_uninterruptible_for(semaphore, thread), None, "nor is it kept from beginning");
    assert_eq!(wait(self::semaphore(kernel, 0), Recording::thread(kernel, 1)), None);
    semaphore.post();
    assert_eq!(wait(semaphore, thread), Some(KILLED), "what can be interrupted is");
}

#[test]
fn z21_never_before_the_deadline_and_never_without_one() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [soon, never, largest] = threads(kernel, [1; 3]);
    let deadline = Deadline::at(1_000).with_slack(50);
    assert_eq!((deadline.when(), deadline.latest()), (1_000, 1_050));
    assert_eq!(Deadline::at(u64::MAX - 1).with_slack(50).latest(), u64::MAX);
    assert_eq!(Recording::wait_for(semaphore, soon, deadline), None);
    assert_eq!(Recording::wait_for(semaphore, never, Deadline::INFINITE), None);
    assert_eq!(Recording::wait_for(semaphore, largest, Deadline::at(u64::MAX).with_slack(1)), None);
    let expire = || [soon, never, largest].iter().for_each(|thread| thread.expire());
    kernel.platform().set_now(999);
    expire();
    assert_eq!(Recording::outcome(soon), None, "a timer that is too early does nothing");
    kernel.platform().set_now(1_050);
    expire();
    assert_eq!(Recording::outcome(soon), Some(TIMED_OUT));
    kernel.platform().set_now(u64::MAX);
    expire();
    assert_eq!((Recording::outcome(never), Recording::outcome(largest)), (None, None));
}

#[test]
fn z22_who_takes_it_out_of_the_queue_decides_and_the_others_do_nothing() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let acts: [fn(Gate, Played); 4] =
        [|gate, _| gate.post(), |_, thread| thread.expire(), |_, thread| thread.kill(), |_, thread| thread.suspend()];
    let outcomes = [Ok(()), TIMED_OUT, KILLED, SUSPENDED];
    for (first, outcome) in acts.iter().zip(outcomes) {
        for then in acts {
            let [thread] = threads(kernel, [1]);
            kernel.platform().set_now(0);
            assert_eq!(Recording::wait_for(semaphore, thread, Deadline::at(1)), None);
            kernel.platform().set_now(1);
            kernel.platform().take();
            first(semaphore, thread);
            then(semaphore, thread);
            assert_eq!(Recording::outcome(thread), Some(outcome), "what the first has stored");
            assert_eq!(kernel.platform().take().len(), 1, "woken once");
            while semaphore.try_wait() {}
        }
    }
}

#[test]
fn z22_the_timer_of_a_wait_that_is_over_does_not_end_the_next() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::at(10)), None);
    semaphore.post();
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::at(20)), None);
    kernel.platform().set_now(10);
    thread.expire();
    assert_eq!(Recording::outcome(thread), None, "its own deadline has not come");
    kernel.platform().set_now(20);
    thread.expire();
    assert_eq!(Recording::outcome(thread), Some(TIMED_OUT));
}

#[test]
fn z30_a_thread_waits_in_one_queue_at_a_time() {
    let kernel = Recording::kernel();
    let (first, second) = (semaphore(kernel, 0), semaphore(kernel, 0));
    let [thread] = threads(kernel, [1]);
    assert_eq!(wait(first, thread), None);
    // SAFETY: that it waits already is refused.
    let message = panic_of(|| unsafe { second.begin_wait(thread, Deadline::INFINITE, true) });
    assert_eq!(message, "a thread waits in two queues at a time");
    assert_eq!((state(first), state(second)), ((1, -1), (0, 0)));
}

#[test]
fn z30_threads_and_queues_of_two_kernels_do_not_meet() {
    let (here, there) = (Recording::kernel(), Recording::kernel());
    let [stranger] = threads(there, [1]);
    let (semaphore, queue) = (semaphore(here, 0), queue(here));
    let other = self::queue(there);
    for message in [
        panic_of(|| wait(semaphore, stranger)),
        panic_of(|| block(queue, stranger)),
        panic_of(|| queue.assign_owner(Some(stranger))),
    ] {
        assert_eq!(message, "a thread meets a queue of another kernel");
    }
    assert_eq!(panic_of(|| semaphore.post_to_own(other)), "a semaphore meets a queue of another kernel");
    assert_eq!((state(semaphore), queue.owner().is_none(), queue.num_waiters()), ((0, 0), true, 0));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "Z30: somebody waits at its end")]
fn z30_the_queue_is_empty_at_its_end() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    assert_eq!(wait(semaphore, Recording::thread(kernel, 1)), None);
    // SAFETY: it was leaked above, and nobody looks at the thread that waits any more.
    drop(unsafe { Box::from_raw(core::ptr::from_ref(semaphore).cast_mut()) });
}

#[test]
fn z30_a_thread_that_has_ended_waits_for_nothing() {
    let kernel = Recording::kernel();
    let semaphore = semaphore(kernel, 0);
    let [thread] = threads(kernel, [1]);
    thread.exit();
    assert_eq!(panic_of(|| wait(semaphore, thread)), "a thread that has ended waits");
    thread.reuse(2);
    assert_eq!((thread.base_weight(), wait(semaphore, thread)), (2, None));
    assert_eq!(panic_of(|| thread.exit()), "a thread ends while it is blocked");
    assert_eq!(panic_of(|| thread.reuse(1)), "the block of a thread that has not ended is used for another");
}

// Zircon's own, under their names: `zircon/kernel/tests/semaphore_tests.cc`, of which the descriptions speak.

#[test]
fn z32_smoke_test() {
    let kernel = Recording::kernel();
    let [thread] = threads(kernel, [1]);
    let semaphore = semaphore(kernel, 0);
    for _ in 0..2 {
        semaphore.post();
    }
    assert_eq!(semaphore.count(), 2);
    for left in [1, 0] {
        assert_eq!(wait(semaphore, thread), Some(Ok(())));
        assert_eq!(state(semaphore), (0, left));
    }
}

#[test]
fn z32_timeout_test() {
    let kernel = Recording::kernel();
    let [thread] = threads(kernel, [1]);
    let semaphore = semaphore(kernel, 0);
    assert_eq!(Recording::wait_for(semaphore, thread, Deadline::at(30)), None);
    kernel.platform().set_now(30);
    thread.expire();
    assert_eq!(Recording::outcome(thread), Some(TIMED_OUT));
    assert!(semaphore.count() <= 0);
    assert_eq!(state(semaphore), (0, -1));
    semaphore.post();
    assert_eq!(state(semaphore), (0, 1));
    assert_eq!(wait(semaphore, thread), Some(Ok(())));
}

/// A thread waits, `act` is done to it, and it is told this; and what is left.
fn signal_test(
    interruptible: bool,
    act: fn(Gate, Played),
    told: Option<Result<(), WaitFailure>>,
    left: (u32, crate::kernel::Count),
) {
    let kernel = Recording::kernel();
    let [thread] = threads(kernel, [1]);
    let semaphore: Gate = Box::leak(Box::new(crate::kernel::Semaphore::new_in(kernel, 0, WakeOrder::ByFinishTime)));
    let waits =
        if interruptible { wait(semaphore, thread) } else { Recording::wait_uninterruptible_for(semaphore, thread) };
    assert_eq!(waits, None);
    act(semaphore, thread);
    assert_eq!((Recording::outcome(thread), state(semaphore)), (told, left));
    if told.is_none() {
        semaphore.post();
        assert_eq!((Recording::outcome(thread), state(semaphore)), (Some(Ok(())), (0, 0)));
    }
}

#[test]
fn z32_post_signal() {
    signal_test(true, |gate, _| gate.post(), Some(Ok(())), (0, 0));
}

#[test]
fn z32_post_queue_signal() {
    let act: fn(Gate, Played) = |gate, thread| {
        let queue = queue(thread.kernel);
        gate.post_to_own(queue);
        assert!(queue.owner().is_some_and(|owner| core::ptr::eq(owner, thread)));
        queue.assign_owner(None).unwrap();
    };
    signal_test(true, act, Some(Ok(())), (0, 0));
}

#[test]
fn z32_kill_signal() {
    signal_test(true, |_, thread| thread.kill(), Some(KILLED), (0, -1));
}

#[test]
fn z32_suspend_signal() {
    signal_test(true, |_, thread| thread.suspend(), Some(SUSPENDED), (0, -1));
}

#[test]
fn z32_uninterruptible_kill() {
    signal_test(false, |_, thread| thread.kill(), None, (1, -1));
}

#[test]
fn z32_uninterruptible_suspend() {
    signal_test(false, |_, thread| thread.suspend(), None, (1, -1));
}
