//! Waits as futures: many tasks, one helper thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures::executor::{LocalPool, block_on};
use futures::future::join_all;
use futures::task::LocalSpawnExt;

use super::common::{Flag, Folder, LONG, Other};

#[test]
fn many_tasks_on_one_thread_never_exceed_the_limit_and_all_are_served() {
    let folder = Folder::new();
    let s = folder.open(4);
    let mut pool = LocalPool::new();
    let used = Arc::new(AtomicU32::new(0));
    let mut tasks = Vec::new();
    for k in 0..200u32 {
        let (s, used) = (s.clone(), Arc::clone(&used));
        let task = async move {
            let n = 1 + k % 4;
            let permit = s.acquire_many(n).await.expect("its turn");
            assert!(used.fetch_add(n, SeqCst) + n <= 4);
            // Others get their turn to try.
            futures::future::ready(()).await;
            let mut polled = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            used.fetch_sub(n, SeqCst);
            drop(permit);
        };
        tasks.push(pool.spawner().spawn_local_with_handle(task).expect("the pool runs"));
    }
    pool.run_until(join_all(tasks));
    let status = s.status().expect("a look");
    assert_eq!((status.statistics.acquired, status.used, status.waiters.len()), (200, 0, 0));
}

#[test]
fn a_task_is_woken_by_another_process() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    std::thread::scope(|scope| {
        let task = scope.spawn(|| block_on(s.acquire().label("a task")));
        let status = folder.until_waiters(1);
        assert_eq!(status.waiters[0].label, "a task");
        assert!(other.tell("release").contains("Yes"));
        assert!(task.join().expect("no panic").expect("free").is_held());
    });
}

#[test]
fn a_task_is_woken_by_the_death_of_the_holder() {
    let folder = Folder::new();
    let s = folder.open(1);
    let mut other = Other::of(&folder);
    assert!(other.tell("acquire 1").starts_with("got"));
    std::thread::scope(|scope| {
        let task = scope.spawn(|| block_on(s.acquire()));
        folder.until_waiters(1);
        other.kill();
        assert!(task.join().expect("no panic").expect("free").is_held());
    });
    assert_eq!(s.status().expect("a look").statistics.reclaimed, 1);
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let flags = [(); 3].map(|()| Flag::new());
    let mut wait = pin!(s.acquire());
    for flag in &flags {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_pending());
    }
    drop(held);
    assert!(flags[2].wait(1));
    assert_eq!((flags[0].count(), flags[1].count()), (0, 0));
    assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    let folder = Folder::new();
    let s = folder.open(2);
    let held = s.acquire_many(2).wait().expect("free");
    let bad = Waker::from(Arc::new(Panics));
    let flag = Flag::new();
    let (mut first, mut second) = (pin!(s.acquire()), pin!(s.acquire()));
    assert!(first.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&flag.waker())).is_pending());
    drop(held);
    assert!(flag.wait(1), "the other one");
    // And the helper is there for the next ones.
    let mut third = pin!(s.acquire_many(2));
    let later = Flag::new();
    assert!(third.as_mut().poll(&mut Context::from_waker(&later.waker())).is_pending());
    for wait in [&mut first, &mut second] {
        let Poll::Ready(Ok(permit)) = wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("granted before")
        };
        drop(permit);
    }
    assert!(later.wait(1));
}

/// A waker that, when it is woken or dropped, uses the semaphore.
struct Reenters(gatepost_shared::Semaphore, Arc<Flag>);

impl Wake for Reenters {
    fn wake(self: Arc<Self>) {
        drop(self.0.try_acquire());
        self.1.waker().wake();
    }
}

impl Drop for Reenters {
    fn drop(&mut self) {
        let mut wait = pin!(self.0.acquire());
        let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

#[test]
fn a_waker_may_use_the_semaphore_when_it_is_woken_and_when_it_is_dropped() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let flag = Flag::new();
    let mut wait = Box::pin(s.acquire());
    for _ in 0..2 {
        let waker = Waker::from(Arc::new(Reenters(s.clone(), Arc::clone(&flag))));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(held);
    assert!(flag.wait(1));
    assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    drop(wait);
}

#[test]
fn a_wait_begun_as_a_task_may_be_ended_by_a_thread() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut wait = Box::new(s.acquire());
    assert!(std::pin::Pin::new(&mut *wait).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| wait.wait_timeout(LONG));
        drop(held);
        assert!(thread.join().expect("no panic").expect("given back").is_held());
    });
}

#[test]
fn acquire_and_permit_may_go_to_other_threads() {
    fn goes<T: Send + 'static>() {}
    fn is_shared<T: Send + Sync + 'static>() {}
    goes::<gatepost_shared::Acquire>();
    goes::<gatepost_shared::Lost>();
    is_shared::<gatepost_shared::Permit>();
    is_shared::<gatepost_shared::Semaphore>();
    is_shared::<gatepost_shared::Observer>();
    goes::<gatepost_shared::Events>();
}
