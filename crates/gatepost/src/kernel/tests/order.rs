//! Who is woken next.

use super::*;
use crate::kernel::{Recorded, Recording, Semaphore, WakeOrder};
use crate::wait::tree::steps;
use std::boxed::Box;
use std::vec::Vec;

/// Posts until nobody waits. Who was woken, in order.
fn wake_all(semaphore: Gate) -> Vec<u64> {
    let platform = semaphore.kernel().platform();
    platform.take();
    while semaphore.num_waiters() > 0 {
        semaphore.post();
    }
    let woken = platform.take().into_iter().filter_map(|what| match what {
        Recorded::Unblocked(id, _) => Some(id),
        _ => None,
    });
    woken.collect()
}

fn wait_by(semaphore: Gate, finish: u64) -> Played {
    let thread = Recording::thread(semaphore.kernel(), 1);
    thread.platform().set_finish_time(finish);
    assert_eq!(wait(semaphore, thread), None);
    thread
}

/// Zircon's: of four that wait in any order, the short deadline, then who started earlier, the default, the long deadline.
#[test]
fn z23_the_earliest_finish_time_is_woken_first() {
    let finish_times = [10, 20, 30, 40]; // short deadline, earlier start, default, long deadline
    for first in 0..4 {
        for step in [1, 3] {
            let semaphore = semaphore(Recording::kernel(), 0);
            let order: Vec<usize> = (0..4).map(|i| (first + i * step) % 4).collect();
            let ids: Vec<u64> = order.iter().map(|&i| wait_by(semaphore, finish_times[i]).platform().id()).collect();
            let mut expected: Vec<(usize, u64)> = order.into_iter().zip(ids).collect();
            expected.sort_unstable();
            assert_eq!(wake_all(semaphore), expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn z23_among_equals_who_came_first_is_woken_first() {
    let semaphore = semaphore(Recording::kernel(), 0);
    let ids: Vec<u64> = (0..20).map(|_| wait_by(semaphore, 7).platform().id()).collect();
    assert_eq!(wake_all(semaphore), ids);
}

#[test]
fn z23_in_a_queue_that_is_first_come_first_served_finish_times_do_not_count() {
    let kernel = Recording::kernel();
    let semaphore: Gate = Box::leak(Box::new(Semaphore::new_in(kernel, 0, WakeOrder::Fifo)));
    let all: Vec<Played> = [30, 10, 20].map(|finish| wait_by(semaphore, finish)).into();
    all[2].platform().set_finish_time(0);
    all[2].reorder();
    all[1].set_base_weight(9);
    assert_eq!(wake_all(semaphore), [0, 1, 2]);
}

/// What POSIX says of a real-time scheduler: the finish time is made of the priority.
#[test]
fn p14_the_highest_priority_first_and_first_come_first_served_within_one() {
    let semaphore = semaphore(Recording::kernel(), 0);
    for priority in [5, 9, 5, 1, 9] {
        wait_by(semaphore, 99 - priority);
    }
    assert_eq!(wake_all(semaphore), [1, 4, 0, 2, 3]);
}

#[test]
fn z24_a_thread_is_sorted_anew_where_it_waits() {
    let semaphore = semaphore(Recording::kernel(), 0);
    let all: Vec<Played> = [10, 20, 30, 40].map(|finish| wait_by(semaphore, finish)).into();
    all[3].platform().set_finish_time(5);
    all[3].reorder(); // to the front
    all[0].platform().set_finish_time(30);
    all[0].set_base_weight(2); // a weight that changes asks for the finish time as well
    assert!(all.iter().all(|thread| thread.is_blocked()));
    assert_eq!(semaphore.num_waiters(), 4);
    assert_eq!(wake_all(semaphore), [3, 1, 0, 2], "among equals, when it came and not when it was moved");
}

/// Nodes looked at: of many thousands, a few dozen; to know the front, none.
#[test]
fn z23_joining_and_leaving_take_a_logarithm_of_steps_and_looking_takes_none() {
    let longest = |waiting: u32| {
        let semaphore = semaphore(Recording::kernel(), 0);
        let mut random = 1_u32;
        let mut worst = 0;
        let mut all = Vec::new();
        for _ in 0..waiting {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let before = steps::moves();
            all.push(wait_by(semaphore, u64::from(random >> 16)));
            worst = worst.max(steps::moves() - before);
        }
        let before = steps::moves();
        assert_eq!(semaphore.num_waiters(), waiting);
        // SAFETY: nobody else is here.
        assert!(unsafe { semaphore.queue().as_ref() }.front().is_some());
        assert_eq!(steps::moves(), before, "O(1)");
        for thread in all {
            let before = steps::moves();
            thread.suspend();
            worst = worst.max(steps::moves() - before);
        }
        worst
    };
    let (few, many) = (longest(100), longest(20_000));
    assert!(few <= 40 && many <= 100, "{few} steps among 100, {many} among 20000");
}
