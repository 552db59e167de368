//! Go's tests of its condition variable (`sync/cond_test.go`), as scenarios. Each also where the tickets wrap around. Its
//! test of copying is the doc test of [`Condvar`] that does not compile.

use crate::common::thread::{start, within_limit};
use gatepost::sync::{Condvar, StdGuard};
use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::yield_now;

/// Where counters start: plain, and at the wrap-around.
const STARTS: [u32; 3] = [0, u32::MAX - 3, u32::MAX / 2 - 1];

/// A condition variable, and the state behind its mutex.
struct Scene<T> {
    state: Mutex<T>,
    condvar: Condvar,
}

fn scene<T>(ticket: u32, state: T) -> Arc<Scene<T>> {
    Arc::new(Scene { state: Mutex::new(state), condvar: Condvar::starting_at(ticket) })
}

impl<T> Scene<T> {
    fn lock(&self) -> StdGuard<'_, T> {
        StdGuard::lock(&self.state).unwrap()
    }
}

#[test]
fn g48_test_cond_signal() {
    const N: usize = 2;
    for ticket in STARTS {
        let scene = scene(ticket, ());
        let (running, runs) = channel();
        let (awake, wakes) = channel();
        let threads: Vec<_> = (0..N)
            .map(|_| {
                let (scene, running, awake) = (scene.clone(), running.clone(), awake.clone());
                start(move || {
                    let guard = scene.lock();
                    running.send(()).unwrap();
                    let guard = scene.condvar.wait(guard).wait();
                    awake.send(()).unwrap();
                    drop(guard);
                })
            })
            .collect();
        (0..N).for_each(|_| runs.recv().unwrap()); // wait for everyone to run
        for _ in 0..N {
            assert_eq!(wakes.try_recv(), Err(TryRecvError::Empty), "not asleep");
            let guard = scene.lock();
            scene.condvar.notify_one();
            drop(guard);
            wakes.recv().unwrap(); // will deadlock if no wakeup is passed
            assert_eq!(wakes.try_recv(), Err(TryRecvError::Empty), "too many awake");
        }
        scene.condvar.notify_one();
        threads.into_iter().for_each(|thread| thread.join());
    }
}

#[test]
fn g49_test_cond_signal_generations() {
    const N: usize = 100;
    for ticket in STARTS {
        let scene = scene(ticket, ());
        let (running, runs) = channel();
        let (awake, wakes) = channel();
        let mut threads = Vec::new();
        for i in 0..N {
            let (scene, running, awake) = (scene.clone(), running.clone(), awake.clone());
            let signals = scene.clone();
            threads.push(start(move || {
                let guard = scene.lock();
                running.send(()).unwrap();
                let guard = scene.condvar.wait(guard).wait();
                awake.send(i).unwrap();
                drop(guard);
            }));
            if i > 0 {
                assert_eq!(wakes.recv(), Ok(i - 1), "the wrong one was woken");
            }
            runs.recv().unwrap();
            let guard = signals.lock();
            signals.condvar.notify_one();
            drop(guard);
        }
        assert_eq!(wakes.recv(), Ok(N - 1));
        threads.into_iter().for_each(|thread| thread.join());
    }
}

#[test]
fn g47_test_cond_broadcast() {
    const N: usize = 100;
    for ticket in STARTS {
        let scene = scene(ticket, false);
        let (running, runs) = channel();
        let (awake, wakes) = channel();
        let threads: Vec<_> = (0..N)
            .map(|g| {
                let (scene, running, awake) = (scene.clone(), running.clone(), awake.clone());
                start(move || {
                    let mut exit = scene.lock();
                    while !*exit {
                        running.send(g).unwrap();
                        exit = scene.condvar.wait(exit).wait();
                        awake.send(g).unwrap();
                    }
                })
            })
            .collect();
        for round in 0..N {
            (0..N).for_each(|_| assert!(runs.recv().is_ok()));
            let mut exit = scene.lock();
            *exit = round == N - 1;
            assert_eq!(wakes.try_recv(), Err(TryRecvError::Empty), "not asleep");
            scene.condvar.notify_all();
            drop(exit);
            let mut seen = [false; N];
            for _ in 0..N {
                let g = wakes.recv().unwrap();
                assert!(!std::mem::replace(&mut seen[g], true), "{g} woke up twice");
            }
        }
        assert_eq!(runs.try_recv(), Err(TryRecvError::Empty), "somebody did not exit");
        scene.condvar.notify_all();
        threads.into_iter().for_each(|thread| thread.join());
    }
}

#[test]
fn g48_test_race() {
    for ticket in STARTS {
        let scene = scene(ticket, 0);
        let first = scene.clone();
        let second = scene.clone();
        let third = scene;
        let threads = [
            start(move || {
                let mut x = first.lock();
                *x = 1;
                x = first.condvar.wait(x).wait();
                assert_eq!(*x, 2);
                *x = 3;
                first.condvar.notify_one();
            }),
            start(move || {
                loop {
                    let mut x = second.lock();
                    if *x == 1 {
                        *x = 2;
                        return second.condvar.notify_one();
                    }
                    drop(x);
                    yield_now();
                }
            }),
            start(move || {
                loop {
                    let mut x = third.lock();
                    if *x == 2 {
                        x = third.condvar.wait(x).wait();
                        return assert_eq!(*x, 3);
                    }
                    if *x == 3 {
                        return;
                    }
                    drop(x);
                    yield_now();
                }
            }),
        ];
        threads.into_iter().for_each(|thread| thread.join());
    }
}

/// A broadcast is for those who wait when it is made: a waiter that comes after must not take it away from them.
#[test]
fn g49_test_cond_signal_stealing() {
    within_limit(|| {
        for i in 0..1000 {
            let scene = scene(STARTS[i % 3], false);
            let (running, runs) = channel();
            let (awake, wakes) = channel();
            let waiter = {
                let scene = scene.clone();
                start(move || {
                    let guard = scene.lock();
                    running.send(()).unwrap();
                    drop(scene.condvar.wait(guard).wait());
                    awake.send(()).unwrap();
                })
            };
            runs.recv().unwrap();
            drop(scene.lock()); // the waiter has its ticket
            let broadcasts = scene.clone();
            let broadcaster = start(move || broadcasts.condvar.notify_all());
            let other = {
                let scene = scene.clone();
                start(move || drop(scene.condvar.wait_while(scene.lock(), |done| !*done).wait()))
            };
            wakes.recv().unwrap(); // or the limit
            *scene.lock() = true;
            scene.condvar.notify_all();
            waiter.join();
            broadcaster.join();
            other.join();
            assert_eq!(scene.condvar.num_waiters(), 0);
        }
    });
}
