//! The semaphore on the machine: failed waits, the order of waking, deadlines, interrupts.

use super::*;
use crate::kernel::simulated::{Ending, On, SemaphoreId};
use crate::kernel::{Count, Deadline, WaitFailure, WakeOrder};
use crate::sys::mutant::{Mutant, caught};

/// What a semaphore was after each thing that happened to it: the thread, and the seed's columns Q and C.
fn table(trace: &Trace, of: SemaphoreId) -> Vec<(usize, u32, Count)> {
    let row = |event: &Event| match event.what {
        What::Counts { semaphore, count, waiters } if semaphore == of => Some((event.thread.0 + 1, waiters, count)),
        _ => None,
    };
    trace.events().iter().filter_map(row).collect()
}

/// The seed's sequence. Thread 1 is the least urgent: when its time is out it is taken out of the queue, and does not run before the
/// others have posted and waited.
fn worked_example() -> (Simulation, SemaphoreId) {
    let mut machine = Simulation::new();
    let gate = machine.semaphore("gate", 0);
    let [first, second, third] = [1, 3, 2].map(|weight| machine.thread("thread", weight));
    machine.script(first).wait_within(gate, Deadline::at(2 * MS)).mark_if_failed("1R");
    machine.script(second).sleep(MS).run(2 * MS).mark("2P").post(gate).sleep(10 * MS).mark("2P again").post(gate);
    machine.script(third).sleep(MS).mark("3W").wait(gate).mark("3 passes").run(MS).wait(gate).mark("3 passes again");
    (machine, gate)
}

#[test]
fn z15_the_worked_example_of_a_failed_wait() {
    let (machine, gate) = worked_example();
    let trace = machine.run();
    assert_eq!(
        trace.ending(),
        Ending::Finished,
        "a wake-up is lost: somebody waits, and the post did not wake it: (thread, Q, C): {:?}",
        table(&trace, gate)
    );
    assert_eq!(
        table(&trace, gate),
        [
            (1, 1, -1), // 1W, and it blocks
            (1, 0, -1), // 1T: out of the queue, and it does not run yet
            (2, 0, 1),  // 2P finds nobody, and repairs the count
            (3, 0, 0),  // 3W passes
            (3, 1, -1), // 3W again: it blocks
            (1, 1, -1), // 1R: it has failed, and leaves the count alone
            (2, 0, 0),  // 2P again wakes 3
        ]
    );
    assert_eq!(labels(&trace), ["2P", "3W", "3 passes", "1R", "2P again", "3 passes again"]);
}

#[test]
fn z15_the_naive_version_loses_a_wake_up() {
    let here = "kernel::simulated::tests::semaphore::z15_the_worked_example_of_a_failed_wait";
    caught(Mutant::UndoFailedWait, here, "a wake-up is lost");
}

/// Four that wait, and then four posts. The labels in the order in which they were woken.
fn woken(order: WakeOrder, prepare: impl FnOnce(&mut Simulation, &[ThreadId; 4])) -> Vec<std::string::String> {
    let mut machine = Simulation::new();
    let gate = machine.semaphore_in("gate", 0, order);
    let poster = machine.thread("poster", 1);
    let names = ["long deadline", "default", "earlier start", "short deadline"];
    let threads = names.map(|name| machine.thread(name, 1));
    for (thread, name) in threads.into_iter().zip(names) {
        machine.script(thread).wait(gate).mark(name);
    }
    machine.script(poster).sleep(MS);
    prepare(&mut machine, &threads);
    machine.script(poster).repeat(4, |script| {
        script.post(gate).sleep(MS);
    });
    labels(&machine.run()).into_iter().map(Into::into).collect()
}

#[test]
fn z23_the_earliest_finish_time_is_woken_first() {
    let order = woken(WakeOrder::ByFinishTime, |machine, &[long, default, earlier, short]| {
        for (thread, finish) in [(long, 40), (default, 30), (earlier, 20), (short, 10)] {
            machine.finish_time(thread, finish);
        }
    });
    assert_eq!(order, ["short deadline", "earlier start", "default", "long deadline"]);
}

#[test]
fn z23_among_equals_who_came_first_is_woken_first() {
    let came = ["long deadline", "default", "earlier start", "short deadline"];
    assert_eq!(woken(WakeOrder::ByFinishTime, |_, _| ()), came);
    let fifo = woken(WakeOrder::Fifo, |machine, &[long, ..]| {
        machine.finish_time(long, 99);
    });
    assert_eq!(fifo, came, "and with `Fifo` finish times do not matter");
}

#[test]
fn z24_who_waits_and_becomes_urgent_is_woken_earlier() {
    let order = woken(WakeOrder::ByFinishTime, |machine, &[_, default, _, short]| {
        machine.script(ThreadId(0)).set_weight(short, 9).set_weight(default, 5);
    });
    assert_eq!(order, ["short deadline", "default", "long deadline", "earlier start"]);
    let order = woken(WakeOrder::ByFinishTime, |machine, &[_, _, earlier, _]| {
        machine.script(ThreadId(0)).set_finish_time(earlier, 7);
    });
    assert_eq!(order[0], "earlier start");
}

#[test]
fn z25_the_woken_thread_owns_the_queue_before_it_runs_and_its_waker_keeps_the_processor() {
    let mut machine = Simulation::new();
    let gate = machine.semaphore("gate", 0);
    let queue = machine.queue("queue");
    let poster = machine.thread("poster", 1);
    let woken = machine.thread("woken", 5);
    let other = machine.thread("other", 3);
    machine.script(woken).wait(gate).mark("woken runs").run(MS).wake(queue);
    machine.script(other).block(queue).mark("other runs");
    machine.script(poster).sleep(MS).post_to_own(gate, queue).run(2 * MS).mark("poster goes on").sleep(10 * MS);
    let trace = machine.run();
    assert_eq!(marks(&trace), [(3 * MS, "poster goes on"), (3 * MS, "woken runs"), (4 * MS, "other runs")]);
    let owns = |event: &Event| event.what == What::Weighs { effective: 8, base: 5 };
    let ready = |event: &Event| event.what == What::Ready(Ok(()));
    let of: Vec<_> = trace.of(woken).collect();
    let position = |of: &[&Event], what: &dyn Fn(&Event) -> bool| of.iter().position(|event| what(event)).unwrap();
    assert!(position(&of, &owns) < position(&of, &ready), "it weighs what waits for it before it is ready");
    // The same with a plain post: the woken thread displaces its waker.
    let mut plain = machine.clone();
    plain.threads[poster.0].script = Default::default();
    plain.script(poster).sleep(MS).post(gate).run(2 * MS).mark("poster goes on");
    assert_eq!(marks(&plain.run())[0], (MS, "woken runs"));
}

#[test]
fn z25_without_a_waiter_nobody_becomes_the_owner() {
    let mut machine = Simulation::new();
    let gate = machine.semaphore("gate", 0);
    let queue = machine.queue("queue");
    let poster = machine.thread("poster", 1);
    let waiter = machine.thread("waiter", 2);
    machine.script(poster).post_to_own(gate, queue).run(MS).wake(queue);
    machine.script(waiter).block(queue);
    let trace = machine.run();
    assert_eq!(table(&trace, gate), [(1, 0, 1)]);
    assert_eq!(trace.ending(), Ending::Finished);
    assert!(!trace.events().iter().any(|event| matches!(event.what, What::Weighs { .. })), "nobody inherits");
}

#[test]
fn z21_a_wait_times_out_at_its_deadline_and_not_before() {
    let mut machine = Simulation::new();
    let never = machine.semaphore("never", 0);
    let waiter = machine.thread("waiter", 1);
    machine.script(waiter).run(MS).wait_within(never, Deadline::at(5 * MS)).mark_if_failed("late");
    let trace = machine.run();
    assert_eq!(marks(&trace), [(6 * MS, "late")], "counted from when it began to wait");
    assert_eq!(table(&trace, never), [(1, 1, -1), (1, 0, -1), (1, 0, -1)]);
}

#[test]
fn z19_kill_and_suspend_end_a_wait_and_who_was_suspended_waits_again() {
    let mut machine = Simulation::new();
    let gate = machine.semaphore("gate", 0);
    let killed = machine.thread("killed", 1);
    let suspended = machine.thread("suspended", 2);
    let boss = machine.thread("boss", 3);
    machine.script(killed).wait(gate).mark("lives");
    machine.script(suspended).wait(gate).mark("passes");
    machine.script(boss).sleep(MS).kill(killed).suspend(suspended).sleep(MS).resume(suspended).sleep(MS).post(gate);
    let trace = machine.run();
    assert_eq!(marks(&trace), [(3 * MS, "passes")]);
    let returned = |thread| {
        let returns = |event: &Event| match event.what {
            What::Returns(On::Semaphore(_), outcome) => Some(outcome),
            _ => None,
        };
        trace.of(thread).filter_map(returns).collect::<Vec<_>>()
    };
    assert_eq!(returned(killed), [Err(WaitFailure::Killed)]);
    assert_eq!(returned(suspended), [Err(WaitFailure::Suspended), Ok(())]);
    assert_eq!(trace.ending(), Ending::Finished);
}

#[test]
fn z20_what_cannot_be_interrupted_is_not() {
    let mut machine = Simulation::new();
    let gate = machine.semaphore("gate", 0);
    let waiter = machine.thread("waiter", 1);
    let boss = machine.thread("boss", 2);
    machine.script(waiter).wait_uninterruptible(gate).mark("lives");
    machine.script(boss).sleep(MS).kill(waiter).suspend(waiter).sleep(MS).post(gate);
    let trace = machine.run();
    assert!(trace.of(waiter).any(|event| event.at == 2 * MS && event.what == What::Ready(Ok(()))));
    assert_eq!(labels(&trace), [""; 0], "it ends when it has passed");
    assert_eq!(trace.ending(), Ending::Finished);
}
