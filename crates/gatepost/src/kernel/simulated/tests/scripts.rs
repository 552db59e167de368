//! Random scripts, in whatever order chance would have their steps taken.
//!
//! After each step the machine checks what a kernel promises (`explore::check`): conservation (Z14), nobody left asleep
//! who could pass, weights as their definition would have them. And each script ends with a thread that goes on to post, wake and
//! resume: then all must come to their ends, which one whose wake-up was lost would not.

use super::*;
use crate::kernel::simulated::random::Random;
use crate::kernel::simulated::{Ending, Interleaving, MutexId, QueueId, SemaphoreId};
use crate::kernel::{Deadline, WakeOrder};
use crate::sys::mutant::{Mutant, caught};

/// How many scripts are tried.
fn scripts() -> u64 {
    std::env::var("GATEPOST_SCRIPTS").map_or(4_000, |n| n.parse().expect("a number of scripts"))
}

/// A machine that follows from `seed`.
pub(super) fn random_machine(seed: u64, interleaving: Interleaving) -> Simulation {
    let mut chance = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d), false);
    let mut machine = Simulation::new();
    machine.seed(seed).interleaving(interleaving).processors(1 + chance.below(3)).quantum(50);
    let semaphores: Vec<_> = (0..1 + chance.below(3))
        .map(|_| {
            let order = [WakeOrder::Fifo, WakeOrder::ByFinishTime][chance.below(2)];
            machine.semaphore_in("semaphore", chance.below(6) as crate::kernel::Count - 3, order)
        })
        .collect();
    let queues: Vec<_> = (0..1 + chance.below(2)).map(|_| machine.queue("queue")).collect();
    let mutexes: Vec<_> = (0..1 + chance.below(3)).map(|_| machine.mutex("mutex")).collect();
    let threads: Vec<_> =
        (0..2 + chance.below(5)).map(|_| machine.thread("thread", 1 + chance.below(9) as u32)).collect();
    let mut steps = 0;
    for &thread in &threads {
        for _ in 0..2 + chance.below(10) {
            random_step(&mut machine, &mut chance, thread, (&semaphores, &queues, &mutexes, &threads));
            steps += 1;
        }
    }
    let rescuer = machine.thread("rescuer", 1);
    machine.script(rescuer).repeat(steps + 2, |script| {
        script.sleep(1_000);
        semaphores.iter().for_each(|&semaphore| {
            script.post(semaphore);
        });
        queues.iter().for_each(|&queue| {
            script.wake(queue);
        });
        threads.iter().for_each(|&thread| {
            script.resume(thread);
        });
    });
    machine
}

type Things<'a> = (&'a [SemaphoreId], &'a [QueueId], &'a [MutexId], &'a [ThreadId]);

fn random_step(machine: &mut Simulation, chance: &mut Random, thread: ThreadId, of: Things<'_>) {
    let (semaphores, queues, mutexes, threads) = of;
    let semaphore = semaphores[chance.below(semaphores.len())];
    let queue = queues[chance.below(queues.len())];
    let mutex = mutexes[chance.below(mutexes.len())];
    let other = threads[chance.below(threads.len())];
    let soon = match chance.below(4) {
        0 => Deadline::PASSED,
        1 => Deadline::INFINITE,
        _ => Deadline::at(chance.below(40) as u64).with_slack(chance.below(20) as u64),
    };
    let number = chance.below(12) as u64;
    let script = machine.script(thread);
    match chance.below(34) {
        0..=4 => script.wait_within(semaphore, soon),
        5 => script.wait_uninterruptible(semaphore),
        6..=9 => script.post(semaphore),
        10..=11 => script.post_to_own(semaphore, queue),
        12..=16 => script.lock_within(mutex, soon),
        17..=20 => script.unlock(mutex),
        21 => script.block_within(queue, soon),
        22 => script.wake(queue),
        23 => script.wake_to_own(queue),
        24 => script.own(queue),
        25 => script.disown(queue),
        26 => script.kill(other),
        27 => script.suspend(other),
        28 => script.resume(other),
        29 => script.set_weight(other, 1 + number as u32),
        30 => script.set_finish_time(other, number),
        31 => script.sleep(number),
        _ => script.run(number),
    };
}

#[test]
fn z14_whatever_happens_in_whatever_order_nothing_is_lost_and_nobody_is_left_asleep() {
    for seed in 0..scripts() {
        let trace = random_machine(seed, Interleaving::Random).run();
        assert_eq!(trace.ending(), Ending::Finished, "seed {seed}: somebody is left asleep");
    }
}

#[test]
fn z14_under_the_scheduler_too_all_come_to_their_ends() {
    for seed in 0..scripts() / 8 {
        for inheritance in [true, false] {
            let mut machine = random_machine(seed, Interleaving::Scheduled);
            let trace = machine.inheritance(inheritance).run();
            assert_eq!(trace.ending(), Ending::Finished, "seed {seed}: somebody is left asleep");
        }
    }
}

/// A few, for the check below.
#[test]
fn z14_random_scripts_few() {
    for seed in 0..200 {
        let _ = random_machine(seed, Interleaving::Random).run();
    }
}

#[test]
fn z14_random_scripts_find_the_naive_version() {
    let here = "kernel::simulated::tests::scripts::z14_random_scripts_few";
    caught(Mutant::UndoFailedWait, here, "Z14: what went into semaphore");
}
