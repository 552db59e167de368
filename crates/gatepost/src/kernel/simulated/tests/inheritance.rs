//! Bounds on how long an urgent thread waits, with inheritance and without.

use super::*;
use crate::kernel::Deadline;
use crate::kernel::simulated::{Ending, MutexId, On};

/// Low holds the lock for `section`; high asks for it 1 ms after that; medium has `work` that has nothing to do with it.
fn inversion(section: u64, work: u64) -> (Simulation, ThreadId) {
    let mut machine = Simulation::new();
    let bus = machine.mutex("bus");
    let low = machine.thread("low", 1);
    let medium = machine.thread("medium", 5);
    let high = machine.thread("high", 10);
    machine.script(low).lock(bus).run(section).unlock(bus).run(MS);
    machine.script(medium).sleep(2 * MS).run(work);
    machine.script(high).sleep(MS).lock(bus).run(MS).unlock(bus);
    (machine, high)
}

#[test]
fn with_inheritance_high_waits_for_the_critical_section_and_not_for_medium() {
    for work in [0, 1, 10, 1000].map(|work| work * MS) {
        let (machine, high) = inversion(4 * MS, work);
        let trace = machine.run();
        assert_eq!(trace.delays(high).lock, 3 * MS, "what was left of the critical section, whatever medium does");
        assert_eq!(trace.ending(), Ending::Finished);
    }
}

#[test]
fn without_inheritance_high_waits_for_all_that_medium_does() {
    for work in [0, 1, 10, 1000].map(|work| work * MS) {
        let (mut machine, high) = inversion(4 * MS, work);
        assert_eq!(machine.inheritance(false).run().delays(high).lock, 3 * MS + work);
    }
}

/// Three locks: each of the lower threads holds one and asks for the next one's; the highest asks for the first.
fn chain() -> (Simulation, [ThreadId; 4]) {
    let mut machine = Simulation::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| machine.mutex(name));
    let threads =
        [("one", 1), ("two", 4), ("three", 9), ("high", 40)].map(|(name, weight)| machine.thread(name, weight));
    let medium = machine.thread("medium", 20);
    machine.script(threads[0]).lock(a).run(5 * MS).unlock(a);
    machine.script(threads[1]).sleep(MS).lock(b).lock(a).run(MS).unlock(a).unlock(b);
    machine.script(threads[2]).sleep(2 * MS).lock(c).lock(b).run(MS).unlock(b).unlock(c);
    machine.script(threads[3]).sleep(3 * MS).lock(c).run(MS).unlock(c);
    machine.script(medium).sleep(4 * MS).run(100 * MS);
    (machine, threads)
}

#[test]
fn z28_along_a_chain_of_three_locks_the_wait_is_bounded_by_what_is_done_in_them() {
    let (mut machine, [one, two, three, high]) = chain();
    let trace = machine.run();
    assert_eq!(trace.delays(high).lock, 4 * MS, "2 that are left of one's, 1 of two's, 1 of three's");
    let heaviest = |thread| {
        let effective = |event: &Event| match event.what {
            What::Weighs { effective, .. } => Some(effective),
            _ => None,
        };
        trace.of(thread).filter_map(effective).max()
    };
    assert_eq!([one, two, three].map(heaviest), [Some(54), Some(53), Some(49)]);
    assert_eq!(machine.inheritance(false).run().delays(high).lock, 104 * MS);
}

#[test]
fn z28_what_was_lent_is_withdrawn_when_the_wait_times_out() {
    let mut machine = Simulation::new();
    let bus = machine.mutex("bus");
    let low = machine.thread("low", 1);
    let medium = machine.thread("medium", 5);
    let high = machine.thread("high", 10);
    machine.script(low).lock(bus).run(20 * MS).unlock(bus);
    machine.script(medium).sleep(2 * MS).run(3 * MS).mark("medium is done");
    machine.script(high).sleep(MS).lock_within(bus, Deadline::at(4 * MS)).run(50 * MS).unlock(bus).mark("high gave up");
    let trace = machine.run();
    assert_eq!(marks(&trace), [(5 * MS, "high gave up"), (8 * MS, "medium is done")]);
    let weights: Vec<_> = trace.of(low).filter(|event| matches!(event.what, What::Weighs { .. })).collect();
    assert_eq!(weights.iter().map(|event| event.at / MS).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(weights[1].what, What::Weighs { effective: 1, base: 1 });
}

#[test]
fn z28_what_was_lent_is_withdrawn_when_the_waiter_is_killed() {
    let mut machine = Simulation::new();
    let bus = machine.mutex("bus");
    let low = machine.thread("low", 1);
    let high = machine.thread("high", 10);
    let boss = machine.thread("boss", 20);
    machine.script(low).lock(bus).run(5 * MS).unlock(bus);
    machine.script(high).sleep(MS).lock(bus).unlock(bus);
    machine.script(boss).sleep(2 * MS).kill(high);
    let trace = machine.run();
    let last = trace.of(low).filter(|event| matches!(event.what, What::Weighs { .. })).last().unwrap();
    assert_eq!((last.at, &last.what), (2 * MS, &What::Weighs { effective: 1, base: 1 }));
    assert_eq!(trace.ending(), Ending::Finished);
}

#[test]
fn z28_a_base_weight_that_changes_is_lent_at_once() {
    let mut machine = Simulation::new();
    let bus = machine.mutex("bus");
    let low = machine.thread("low", 1);
    let waiter = machine.thread("waiter", 2);
    let medium = machine.thread("medium", 5);
    let boss = machine.thread("boss", 20);
    machine.script(low).lock(bus).run(10 * MS).unlock(bus);
    machine.script(waiter).sleep(MS).lock(bus).unlock(bus);
    machine.script(medium).sleep(2 * MS).run(50 * MS);
    machine.script(boss).sleep(4 * MS).set_weight(waiter, 9);
    let trace = machine.run();
    assert!(runs(&trace, low).contains(&(4 * MS, 0)), "from then on it is more urgent than medium");
    assert_eq!(trace.delays(waiter).lock, 11 * MS);
}

#[test]
fn z27_a_circle_is_refused_and_the_lock_goes_on_to_work() {
    let mut machine = Simulation::new();
    let [a, b] = ["a", "b"].map(|name| machine.mutex(name));
    let one = machine.thread("one", 1);
    let two = machine.thread("two", 2);
    let nested = |script: &mut crate::kernel::simulated::Script, first: MutexId, then: MutexId| {
        script.lock(first).run(3 * MS).lock(then).mark("both").unlock(then).unlock(first).mark("done");
    };
    nested(machine.script(one), a, b);
    nested(machine.script(two).sleep(MS), b, a);
    let trace = machine.run();
    assert!(trace.of(one).any(|event| event.what == What::Refused(On::Mutex(b))));
    assert_eq!(labels(&trace), ["both", "done", "done"], "who is refused does without, and the other gets both");
    assert_eq!(trace.ending(), Ending::Finished);
}

#[test]
fn z28_two_queues_of_one_owner_lend_it_the_sum() {
    let mut machine = Simulation::new();
    machine.processors(4);
    let [a, b] = ["a", "b"].map(|name| machine.mutex(name));
    let low = machine.thread("low", 1);
    machine.script(low).lock(a).lock(b).run(10 * MS).unlock(b).run(MS).unlock(a);
    for (name, weight, mutex) in [("x", 3, a), ("y", 4, b), ("z", 5, b)] {
        let thread = machine.thread(name, weight);
        machine.script(thread).sleep(MS).lock(mutex).unlock(mutex);
    }
    let trace = machine.run();
    let weighs = |event: &Event| match event.what {
        What::Weighs { effective, .. } => Some(effective),
        _ => None,
    };
    let weights: Vec<_> = trace.of(low).filter_map(weighs).collect();
    assert_eq!(weights.iter().max(), Some(&13));
    assert_eq!(weights.last(), Some(&1));
}
