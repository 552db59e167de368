//! Who is served when: threads, tasks and processes in one queue.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use gatepost_shared::{Acquire, Permit, Policy, Semaphore};

use super::common::{Folder, LONG, Other};

fn begin(s: &Semaphore, n: u32) -> Pin<Box<Acquire>> {
    let mut acquire = Box::pin(s.acquire_many(n));
    assert!(acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    acquire
}

fn poll(acquire: &mut Pin<Box<Acquire>>) -> Option<Permit> {
    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(permit) => Some(permit.expect("a sound semaphore")),
        Poll::Pending => None,
    }
}

#[test]
fn threads_tasks_and_processes_are_served_in_the_order_in_which_they_came() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut others = [(); 3].map(|()| Other::of(&folder));
    let (send, order) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut tasks = Vec::new();
        for (round, other) in others.iter_mut().enumerate() {
            other.say("acquire 1");
            folder.until_waiters(round * 3 + 1);
            let (send, s) = (send.clone(), &s);
            scope.spawn(move || {
                let permit = s.acquire().wait_timeout(LONG).expect("its turn");
                send.send(round).expect("the test waits");
                drop(permit);
            });
            folder.until_waiters(round * 3 + 2);
            tasks.push(begin(s, 1));
            folder.until_waiters(round * 3 + 3);
        }
        drop(held);
        for (round, other) in others.iter_mut().enumerate() {
            assert!(other.hear().starts_with("got"), "the process of round {round}");
            assert!(order.try_recv().is_err() && poll(&mut tasks[round]).is_none(), "nobody else");
            assert!(other.tell("release").contains("Yes"));
            assert_eq!(order.recv_timeout(LONG), Ok(round), "then the thread");
            let status = folder.until(|status| status.waiters.len() == (2 - round) * 3 && status.used == 1);
            assert_eq!(status.holders[0].session.process.pid, std::process::id(), "then the task");
            drop(poll(&mut tasks[round]).expect("it was granted"));
        }
    });
    let status = s.status().expect("a look");
    assert_eq!((status.statistics.acquired, status.statistics.waited, status.used), (10, 9, 0));
}

#[test]
fn fifo_does_not_pass_a_large_one_at_the_head() {
    let folder = Folder::new();
    let s = folder.open(4);
    let one = s.acquire().wait().expect("free");
    let mut large = begin(&s, 4);
    let mut small = begin(&s, 1);
    assert!(poll(&mut small).is_none(), "three are free, and it waits");
    drop(one);
    let large = poll(&mut large).expect("its turn");
    assert!(poll(&mut small).is_none());
    drop(large);
    assert!(poll(&mut small).is_some());
}

#[test]
fn overtaking_passes_the_head_sixteen_times_and_no_more() {
    let folder = Folder::new();
    let s = Semaphore::open("s", &folder.options().limit(4).policy(Policy::Overtaking)).expect("a semaphore");
    assert_eq!(s.status().expect("a look").policy, Policy::Overtaking);
    let one = s.acquire().wait().expect("free");
    let mut large = begin(&s, 4);
    for k in 0..16 {
        let passed = s.acquire().wait_timeout(LONG).unwrap_or_else(|error| panic!("{k}: {error}"));
        assert!(poll(&mut large).is_none());
        drop(passed);
    }
    let mut late = begin(&s, 1);
    assert!(poll(&mut late).is_none(), "three are free, and the head has been passed often enough");
    drop(one);
    let large = poll(&mut large).expect("at last");
    assert!(poll(&mut late).is_none());
    drop(large);
    assert!(poll(&mut late).is_some());
}

#[test]
fn overtaking_keeps_the_order_of_those_that_fit() {
    let folder = Folder::new();
    let s = Semaphore::open("s", &folder.options().limit(4).policy(Policy::Overtaking)).expect("a semaphore");
    let held = s.acquire_many(4).wait().expect("free");
    let mut waits = [3, 2, 1].map(|n| begin(&s, n));
    drop(held);
    let first = poll(&mut waits[0]).expect("the head fits");
    assert!(poll(&mut waits[1]).is_none(), "two do not");
    let third = poll(&mut waits[2]).expect("one does");
    drop((first, third));
    assert!(poll(&mut waits[1]).is_some());
}

#[test]
fn nobody_is_starved_among_many_threads() {
    let folder = Folder::new();
    let s = folder.open(3);
    std::thread::scope(|scope| {
        for k in 0..8 {
            let s = &s;
            scope.spawn(move || {
                for round in 0..100 {
                    let n = 1 + (k + round) % 3;
                    let permit = s.acquire_many(n).wait_timeout(LONG).expect("its turn");
                    assert_eq!(permit.slots().len(), n as usize);
                }
            });
        }
    });
    let status = s.status().expect("a look");
    assert_eq!((status.statistics.acquired, status.statistics.released, status.used), (800, 800, 0));
}
