//! Who is woken first, and who is not at all.

use crate::common::task::Task;
use crate::gate::{Gate, New, Word};
use gatepost::address::Acquire;

/// Releases once for each of `tasks`; says in which order they were woken.
fn served<W: Word>(gate: Gate<W>, tasks: &mut [Task<Acquire<'static, W>>]) -> Vec<usize> {
    let mut order = Vec::new();
    for _ in 0..tasks.len() {
        gate.release();
        let woken: Vec<_> = (0..tasks.len()).filter(|i| !order.contains(i) && tasks[*i].wakes() > 0).collect();
        assert_eq!(woken.len(), 1, "one release wakes one");
        tasks[woken[0]].ready();
        order.extend(woken);
    }
    gate.has(0, 0);
    order
}

#[test]
fn g16_first_come_first_woken() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks: Vec<_> = (0..50).map(|_| Task::queued(gate.acquire())).collect();
        assert_eq!(served(gate, &mut tasks), (0..50).collect::<Vec<_>>());
    }
    each_gate!(check);
}

#[test]
fn g17_last_come_first_woken() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks: Vec<_> = (0..50).map(|_| Task::queued(gate.acquire().lifo())).collect();
        assert_eq!(served(gate, &mut tasks), (0..50).rev().collect::<Vec<_>>());
    }
    each_gate!(check);
}

#[test]
fn g17_before_all_and_behind_all_in_one_queue() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut tasks: Vec<_> =
            (0..6).map(|i| Task::queued(if i % 2 == 0 { gate.acquire() } else { gate.acquire().lifo() })).collect();
        assert_eq!(served(gate, &mut tasks), [5, 3, 1, 0, 2, 4]);
    }
    each_gate!(check);
}

#[test]
fn g16_a_release_of_n_wakes_in_the_same_order() {
    fn check<W: Word>(new: New<W>) {
        use crate::common::wakers::on_wake;
        use std::sync::{Arc, Mutex};
        let gate = new(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let _tasks: Vec<_> = (0..100)
            .map(|i| {
                let woken = woken.clone();
                Task::queued_with(gate.acquire(), &on_wake(move || woken.lock().unwrap().push(i)))
            })
            .collect();
        gate.release_n(70);
        gate.release_n(100);
        assert_eq!(*woken.lock().unwrap(), (0..100).collect::<Vec<_>>());
    }
    each_gate!(check);
}

#[test]
#[cfg(feature = "std")]
fn g16_tasks_and_threads_wait_in_one_queue() {
    use crate::common::thread::{start, until};
    use std::sync::Mutex;

    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let woken: &'static Mutex<Vec<usize>> = Box::leak(Box::default());
        let mut tasks = Vec::new();
        let mut threads = Vec::new();
        for i in 0..6 {
            if i % 2 == 0 {
                threads.push(start(move || {
                    if i == 4 {
                        gate.acquire().lifo().wait();
                    } else {
                        gate.acquire().wait();
                    }
                    woken.lock().unwrap().push(i);
                }));
            } else {
                tasks.push((i, Task::queued(gate.acquire())));
            }
            gate.until_waiting(i + 1);
        }
        for n in 1..=6 {
            gate.release();
            until("somebody has been woken", || {
                for (i, task) in &mut tasks {
                    if task.wakes() == 1 && !woken.lock().unwrap().contains(i) {
                        task.ready();
                        woken.lock().unwrap().push(*i);
                    }
                }
                woken.lock().unwrap().len() == n
            });
        }
        assert_eq!(*woken.lock().unwrap(), [4, 0, 1, 2, 3, 5]);
        threads.into_iter().for_each(|thread| thread.join());
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// Two words within eight bytes: in Go's table they share a root always.
#[test]
fn g12_g13_neighbours_do_not_wake_one_another() {
    fn check<W: Word>(new: New<W>) {
        let row = new(0).row(2);
        let mut here = Task::queued(row[0].acquire());
        row[1].release();
        assert_eq!(here.wakes(), 0);
        row[1].has(1, 0);
        row[0].has(0, 1);
        let mut there = Task::new(row[1].acquire());
        there.ready();
        row[0].release();
        here.ready();
        row[0].has(0, 0);
        row[1].has(0, 0);
    }
    each_gate!(check);
}

/// Five hundred addresses in 64 buckets, so that many share one: a release concerns its own address.
#[test]
fn g6_g12_an_address_in_the_same_bucket_is_left_alone() {
    fn check<W: Word>(new: New<W>) {
        const N: usize = 500;
        let row = new(0).row(N);
        // Every other one has somebody who waits.
        let mut tasks: Vec<_> = row.iter().step_by(2).map(|gate| Task::queued(gate.acquire())).collect();
        for gate in row.iter().skip(1).step_by(2) {
            gate.release();
            gate.has(1, 0);
        }
        assert!(tasks.iter().all(|task| task.wakes() == 0));
        // From both ends, so that trees are left and right, and all of them go.
        for i in (0..N / 2).map(|i| if i % 2 == 0 { i / 2 } else { N / 2 - 1 - i / 2 }) {
            row[2 * i].release();
            assert_eq!(tasks[i].wakes(), 1);
            tasks[i].ready();
        }
        assert!(tasks.iter().all(|task| task.wakes() == 1));
        row.iter().step_by(2).for_each(|gate| gate.has(0, 0));
    }
    each_gate!(check);
}
