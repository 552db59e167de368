//! Many threads and tasks at once: as many permits at the end as at the beginning, and nobody asleep.

use crate::common::task::Task;
use crate::common::thread::{start, until};
use crate::gate::{Gate, New, Word};
use gatepost::WaitOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Go's `TestSemaphore`: ten goroutines, a thousand times each.
#[test]
fn g10_g53_ten_threads_acquire_and_release_a_thousand_times() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(1);
        let inside: &'static AtomicUsize = Box::leak(Box::default());
        let threads = [(); 10].map(|()| {
            start(move || {
                for _ in 0..1000 {
                    gate.acquire().wait();
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "one permit, two inside");
                    inside.fetch_sub(1, SeqCst);
                    gate.release();
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join());
        gate.has(1, 0);
    }
    each_gate!(check);
}

/// The same, and each way to acquire, to release, and to give up.
fn storm<W: Word>(gate: Gate<W>, permits: u32, rounds: u32) {
    let inside: &'static AtomicU32 = Box::leak(Box::default());
    let threads: Vec<_> = (0..6_u32)
        .map(|thread| {
            start(move || {
                for round in 0..rounds {
                    let has = match (thread + round) % 6 {
                        0 => {
                            gate.acquire().wait();
                            true
                        }
                        1 => {
                            gate.acquire().lifo().wait();
                            true
                        }
                        2 => gate.try_acquire(),
                        3 => gate.acquire().wait_timeout(Duration::from_micros(round.into())).is_ok(),
                        4 => {
                            // A task that is polled, and dropped wherever it is by then.
                            let mut task = Task::new(gate.acquire());
                            task.poll().is_ready() || task.poll().is_ready()
                        }
                        _ => {
                            let mut task = Task::new(gate.acquire());
                            let mut polled = task.poll().is_ready();
                            if !polled {
                                let limit = WaitOptions::new().timeout(Duration::from_micros(20));
                                polled = task.pinned().wait_pinned(limit).is_ok();
                            }
                            polled
                        }
                    };
                    if has {
                        let others = inside.fetch_add(1, SeqCst);
                        assert!(others < permits, "{others} others of {permits}");
                        inside.fetch_sub(1, SeqCst);
                        match round % 3 {
                            0 => gate.release(),
                            1 => gate.handoff(),
                            _ => drop(gate.release_n(1)),
                        }
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join());
    gate.has(permits, 0);
}

#[test]
fn g10_b5_b10_a_storm_of_all_there_is_loses_and_doubles_nothing() {
    fn check<W: Word>(new: New<W>) {
        for permits in [1, 3] {
            storm(new(permits), permits, 1_000);
        }
    }
    each_gate!(check);
}

/// Neighbours in one list that give up at the same time, over and over, and one who stays.
#[test]
fn b10_neighbours_that_give_up_at_once_leave_the_queue_whole() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut stays = Task::queued(gate.acquire());
        let over = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let over = over.clone();
                start(move || {
                    let mut rounds = 0;
                    while !over.load(SeqCst) || rounds < 300 {
                        let acquire = if i % 2 == 0 { gate.acquire() } else { gate.acquire().lifo() };
                        let _ = acquire.wait_timeout(Duration::from_micros(1)).unwrap_err();
                        let pair = [Task::queued(gate.acquire()), Task::queued(gate.acquire().lifo())];
                        drop(pair);
                        rounds += 1;
                    }
                })
            })
            .collect();
        for _ in 0..300 {
            drop(Task::queued(gate.acquire().lifo()));
        }
        over.store(true, SeqCst);
        threads.into_iter().for_each(|thread| thread.join());
        assert_eq!(stays.wakes(), 0);
        gate.has(0, 1);
        gate.release();
        stays.ready();
    }
    each_gate!(check);
}

/// Many addresses, many of them in the same bucket, while the table grows: each is a semaphore of its own.
#[test]
fn g12_g26_thousands_of_addresses_at_once_while_the_table_grows() {
    fn check<W: Word>(new: New<W>) {
        const THREADS: usize = 3;
        const EACH: usize = 3_000;
        let row: &'static [Gate<W>] = new(0).row(THREADS * EACH).leak();
        let joined: &'static AtomicUsize = Box::leak(Box::default());
        let threads: Vec<_> = row
            .chunks(EACH)
            .enumerate()
            .map(|(i, mine)| {
                start(move || {
                    let mut tasks: Vec<_> = mine.iter().map(|gate| Task::queued(gate.acquire())).collect();
                    joined.fetch_add(1, SeqCst);
                    until("all have joined", || joined.load(SeqCst) == THREADS);
                    // Wakes the others' tasks, and waits for its own to have been woken by somebody.
                    for gate in &row[(i + 1) % THREADS * EACH..][..EACH] {
                        gate.release();
                    }
                    until("all of them are woken", || tasks.iter().all(|task| task.wakes() == 1));
                    tasks.iter_mut().for_each(Task::ready);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join());
        row.iter().for_each(|gate| gate.has(0, 0));
    }
    each_gate!(check);
}

/// While the table grows under them, threads at their own addresses go to and fro: no wake-up is lost.
#[test]
fn g26_threads_that_pass_a_permit_to_and_fro_do_not_notice_the_growth() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let over = Arc::new(AtomicBool::new(false));
        let pairs: Vec<_> = (0..2)
            .map(|_| {
                let row = gate.row(2);
                let (ping, pong, over) = (row[0], row[1], over.clone());
                let partner = start(move || {
                    let mut rounds = 0_u64;
                    loop {
                        ping.acquire().wait();
                        pong.release();
                        rounds += 1;
                        if over.load(SeqCst) {
                            return rounds;
                        }
                    }
                });
                start(move || {
                    while !partner.has_ended() {
                        ping.release();
                        if pong.acquire().wait_timeout(Duration::from_millis(100)).is_err() {
                            until("it answers, unless it has ended", || pong.try_acquire() || partner.has_ended());
                        }
                    }
                    partner.join()
                })
            })
            .collect();
        let row = gate.row(20_000);
        let mut tasks: Vec<_> = row.iter().map(|gate| Task::queued(gate.acquire())).collect();
        over.store(true, SeqCst);
        pairs.into_iter().for_each(|pair| assert!(pair.join() > 0));
        row.iter().for_each(|gate| gate.release());
        tasks.iter_mut().for_each(Task::ready);
    }
    each_gate!(check);
}

/// Go's `BenchmarkSemTable`, as ratios: `cargo test --release -p gatepost --test go g23 -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn g23_g24_g25_how_the_times_grow() {
    fn nanoseconds(n: usize, addresses: usize) -> f64 {
        let row = Gate::<gatepost::address::Sema>::private(0).row(addresses);
        let begin = std::time::Instant::now();
        let mut tasks: Vec<_> = (0..n).map(|i| Task::queued(row[i % addresses].acquire())).collect();
        for i in 0..n {
            row[i % addresses].release();
        }
        tasks.iter_mut().for_each(Task::ready);
        begin.elapsed().as_nanos() as f64 / n as f64
    }
    for exponent in 10..18 {
        let n = 1 << exponent;
        println!(
            "{n} waiters, ns each: {:.0} at one address, {:.0} at two, {:.0} at as many",
            nanoseconds(n, 1),
            nanoseconds(n, 2),
            nanoseconds(n, n)
        );
    }
}
