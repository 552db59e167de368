//! Who runs: the most urgent, equals in turn, as many as there are processors.

use super::*;
use crate::kernel::simulated::{Ending, Interleaving, MICROSECOND, On};

#[test]
fn the_most_urgent_runs_and_displaces_whoever_is_less() {
    let mut machine = Simulation::new();
    let low = machine.thread("low", 1);
    let high = machine.thread("high", 2);
    machine.script(low).run(3 * MS).mark("low");
    machine.script(high).sleep(MS).run(2 * MS).mark("high");
    let trace = machine.run();
    assert_eq!(marks(&trace), [(3 * MS, "high"), (5 * MS, "low")]);
    assert_eq!(runs(&trace, low), [(0, 0), (3 * MS, 0)]);
    assert_eq!((trace.ending(), trace.end()), (Ending::Finished, 5 * MS));
    assert_eq!(trace.delays(low).ready, 2 * MS, "it was displaced for so long");
    assert_eq!(trace.delays(high).ready, 0, "it never had to wait for the processor");
}

#[test]
fn equals_take_turns_for_a_quantum_each() {
    let mut machine = Simulation::new();
    machine.quantum(2 * MS);
    let threads = ["a", "b", "c"].map(|name| machine.thread(name, 5));
    for thread in threads {
        machine.script(thread).run(5 * MS).mark("done");
    }
    let trace = machine.run();
    let at = |thread| runs(&trace, thread).into_iter().map(|(at, _)| at / MS).collect::<Vec<_>>();
    assert_eq!([at(threads[0]), at(threads[1]), at(threads[2])], [[0, 6, 12], [2, 8, 13], [4, 10, 14]]);
    assert_eq!(trace.end(), 15 * MS);
}

#[test]
fn who_is_displaced_keeps_its_turn_and_the_rest_of_its_quantum() {
    let mut machine = Simulation::new();
    machine.quantum(4 * MS);
    let a = machine.thread("a", 1);
    let b = machine.thread("b", 1);
    let high = machine.thread("high", 2);
    machine.script(a).run(7 * MS);
    machine.script(b).run(3 * MS);
    machine.script(high).sleep(MS).run(MS);
    let trace = machine.run();
    assert_eq!(runs(&trace, a), [(0, 0), (2 * MS, 0), (8 * MS, 0)], "1 ms, then the other 3, then after b");
    assert_eq!(runs(&trace, b), [(5 * MS, 0)]);
}

#[test]
fn as_many_run_as_there_are_processors() {
    let mut machine = Simulation::new();
    machine.processors(2);
    let threads = [3, 2, 1].map(|weight| machine.thread("thread", weight));
    for thread in threads {
        machine.script(thread).run(2 * MS).mark("done");
    }
    let trace = machine.run();
    assert_eq!(threads.map(|thread| runs(&trace, thread)), [vec![(0, 0)], vec![(0, 1)], vec![(2 * MS, 0)]]);
    assert_eq!(trace.end(), 4 * MS);
}

/// H1, from the trace of whatever machine: at no time is somebody ready who is more urgent than somebody who runs.
fn nobody_more_urgent_is_ready(trace: &Trace, threads: usize) {
    use crate::kernel::simulated::lanes::Doing;
    let lanes: Vec<_> = (0..threads).map(|index| trace.segments(ThreadId(index))).collect();
    let (mut running, mut ready) = (Vec::new(), Vec::new());
    for segment in lanes.iter().flatten() {
        match segment.doing {
            Doing::Runs { .. } => running.push(segment),
            Doing::Ready => ready.push(segment),
            _ => {}
        }
    }
    for waits in &ready {
        for runs in running.iter().filter(|runs| runs.from < waits.to && waits.from < runs.to) {
            assert!(runs.effective >= waits.effective, "{runs:?} runs while {waits:?} is ready");
        }
    }
}

#[test]
fn at_no_time_does_somebody_wait_for_a_processor_who_is_more_urgent_than_who_has_it() {
    for seed in 0..50 {
        let machine = super::scripts::random_machine(seed, Interleaving::Scheduled);
        nobody_more_urgent_is_ready(&machine.run(), machine.threads.len());
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for interleaving in [Interleaving::Scheduled, Interleaving::Random] {
        for seed in 0..20 {
            let machine = super::scripts::random_machine(seed, interleaving);
            assert_eq!(machine.run(), machine.run());
        }
    }
}

#[test]
fn another_seed_decides_ties_otherwise() {
    let mut machine = Simulation::new();
    for name in ["a", "b", "c"] {
        let thread = machine.thread(name, 1);
        machine.script(thread).run(MS).mark(name);
    }
    assert_eq!(labels(&machine.run()), ["a", "b", "c"], "without chance: in order");
    let mut orders: Vec<Vec<std::string::String>> =
        (1..=50).map(|seed| labels(&machine.seed(seed).run()).into_iter().map(Into::into).collect()).collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 6, "each of the six orders has its seed");
}

#[test]
fn timers_are_served_together_where_their_slack_allows_it() {
    use crate::kernel::Deadline;
    let mut machine = Simulation::new();
    let never = machine.semaphore("never", 0);
    for (name, when, slack) in [("wide", 1, 9), ("narrow", 4, 1), ("late", 6, 0)] {
        let thread = machine.thread(name, 1);
        machine.script(thread).wait_within(never, Deadline::at(when * MS).with_slack(slack * MS)).mark(name);
    }
    let trace = machine.run();
    // At 5 ms the narrow one can wait no longer, and the wide one's deadline has come; the late one's has not.
    assert_eq!(marks(&trace), [(5 * MS, "wide"), (5 * MS, "narrow"), (6 * MS, "late")]);
    assert_eq!(trace.ending(), Ending::Finished);
}

#[test]
fn the_limit_ends_what_goes_on_for_ever() {
    let mut machine = Simulation::new();
    machine.limit(10 * MS);
    let thread = machine.thread("clock", 1);
    machine.script(thread).run(100 * MICROSECOND).sleep(900 * MICROSECOND).mark("tick").forever();
    let trace = machine.run();
    assert_eq!((trace.ending(), trace.end()), (Ending::Limit, 10 * MS));
    assert_eq!(trace.marks().count(), 10);
}

#[test]
fn what_takes_no_time_and_goes_on_for_ever_is_ended() {
    let mut machine = Simulation::new();
    let gate = machine.semaphore("gate", 1);
    let thread = machine.thread("spins", 1);
    machine.script(thread).wait(gate).post(gate).forever();
    assert_eq!(machine.run().ending(), Ending::Spinning);
}

#[test]
fn who_waits_for_what_does_not_come_is_stuck_and_the_trace_says_so() {
    let mut machine = Simulation::new();
    let lock = machine.mutex("lock");
    let never = machine.semaphore("never", 0);
    let holder = machine.thread("holder", 1);
    let waiter = machine.thread("waiter", 1);
    machine.script(holder).lock(lock).run(MS).wait(never).unlock(lock);
    machine.script(waiter).run(MS).lock(lock).unlock(lock);
    let trace = machine.run();
    assert_eq!(trace.ending(), Ending::Stuck);
    assert!(trace.of(waiter).any(|event| event.what == What::Blocks(On::Mutex(lock))));
}

#[test]
fn who_is_suspended_does_not_run_until_it_is_resumed() {
    let mut machine = Simulation::new();
    let worker = machine.thread("worker", 1);
    let boss = machine.thread("boss", 2);
    machine.script(worker).run(4 * MS).mark("worked");
    machine.script(boss).sleep(MS).suspend(worker).sleep(10 * MS).resume(worker);
    let trace = machine.run();
    assert_eq!(marks(&trace), [(14 * MS, "worked")]);
    assert_eq!(runs(&trace, worker), [(0, 0), (11 * MS, 0)]);
}

#[test]
fn who_is_killed_ends_but_not_while_it_holds_a_mutex() {
    let mut machine = Simulation::new();
    let lock = machine.mutex("lock");
    let worker = machine.thread("worker", 1);
    let boss = machine.thread("boss", 2);
    machine.script(worker).lock(lock).run(4 * MS).mark("worked").unlock(lock).run(10 * MS).mark("lives");
    machine.script(boss).sleep(MS).kill(worker);
    let trace = machine.run();
    assert_eq!(marks(&trace), [(4 * MS, "worked")]);
    assert_eq!((trace.ending(), trace.end()), (Ending::Finished, 4 * MS));
}
