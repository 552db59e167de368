//! Every interleaving of a few threads, under weak memory.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p gatepost --lib loom`, with at most two preemptions in an execution
//! (`t45_batch` and `t45_concurrent_cancel` with one, and then still cut off after 20 seconds); with
//! `GATEPOST_LOOM_FULL=1` without bounds (the soak). The first eight are Tokio's (T45). A batch holds two wakers here, so that its boundary is within reach, and who
//! meets LOCKED looks once before it sleeps. Each check is shown to fail on a seeded bug.

use crate::semaphore::{AcquireError, Semaphore};
use crate::sys::explore::{bounded, join, model};
use crate::sys::mutant::{Mutant, caught};
use crate::{Interrupter, WaitError, WaitOptions};
use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use loom::thread;
use std::boxed::Box;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::vec::Vec;

type Task = Pin<Box<dyn Future<Output = Result<(), AcquireError>>>>;

/// An acquisition as a task that is polled by hand and keeps its permits.
fn task(semaphore: &Arc<Semaphore>, n: usize) -> Task {
    let semaphore = semaphore.clone();
    Box::pin(async move {
        semaphore.acquire_n(n).await?.forget();
        Ok(())
    })
}

fn poll(task: &mut Task) -> Poll<Result<(), AcquireError>> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

async fn acquire(semaphore: &Semaphore, n: usize) -> Result<(), AcquireError> {
    semaphore.acquire_n(n).await?.forget();
    Ok(())
}

#[test]
fn t45_basic_usage() {
    model(|| {
        let shared = Arc::new((Semaphore::new(2), AtomicUsize::new(0)));
        async fn actor(shared: Arc<(Semaphore, AtomicUsize)>) {
            acquire(&shared.0, 1).await.unwrap();
            assert!(shared.1.fetch_add(1, SeqCst) < 2);
            assert!(shared.1.fetch_sub(1, SeqCst) <= 2);
            shared.0.add_permits(1);
        }
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || block_on(actor(shared)))
            })
            .collect();
        block_on(actor(shared));
        join(threads);
    });
}

#[test]
fn t45_release() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let other = semaphore.clone();
        let thread = thread::spawn(move || {
            block_on(acquire(&other, 1)).unwrap();
            other.add_permits(1);
        });
        block_on(acquire(&semaphore, 1)).unwrap();
        semaphore.add_permits(1);
        thread.join().unwrap();
    });
}

#[test]
fn t45_basic_closing() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    for _ in 0..2 {
                        if block_on(acquire(&semaphore, 1)).is_ok() {
                            semaphore.add_permits(1);
                        }
                    }
                })
            })
            .collect();
        semaphore.close();
        join(threads);
    });
}

#[test]
fn t45_concurrent_close() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(1));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || {
                    if block_on(acquire(&semaphore, 1)).is_ok() {
                        semaphore.add_permits(1);
                        semaphore.close();
                    }
                })
            })
            .collect();
        join(threads);
    });
}

#[test]
fn t45_concurrent_cancel() {
    async fn poll_and_cancel(semaphore: Arc<Semaphore>) {
        let mut first = Some(task(&semaphore, 1));
        let mut second = Some(task(&semaphore, 1));
        poll_fn(|cx| {
            for acquire in [first.take(), second.take()] {
                let _ = acquire.expect("polled once").as_mut().poll(cx);
            }
            Poll::Ready(())
        })
        .await;
    }
    bounded(1, || {
        let semaphore = Arc::new(Semaphore::new(0));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let semaphore = semaphore.clone();
                thread::spawn(move || block_on(poll_and_cancel(semaphore)))
            })
            .collect();
        let mut threads = threads.into_iter();
        threads.next().unwrap().join().unwrap();
        semaphore.add_permits(10);
        threads.for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn t45_batch() {
    bounded(1, || {
        let shared = Arc::new((Semaphore::new(10), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    for n in [4, 10, 8] {
                        block_on(acquire(&shared.0, n)).unwrap();
                        shared.1.fetch_add(n, SeqCst);
                        assert!(shared.1.load(SeqCst) <= 10);
                        thread::yield_now();
                        shared.1.fetch_sub(n, SeqCst);
                        shared.0.add_permits(n);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(shared.0.available_permits(), 10);
    });
}

#[test]
fn t45_release_during_acquire() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(10));
        semaphore.try_acquire_n(8).unwrap().forget();
        let other = semaphore.clone();
        let thread = thread::spawn(move || block_on(acquire(&other, 4)).unwrap());
        semaphore.add_permits(8);
        thread.join().unwrap();
        semaphore.add_permits(4);
        assert_eq!(semaphore.available_permits(), 10);
    });
}

#[test]
fn a_blind_unlock_loses_a_deposit() {
    caught(Mutant::BlindUnlock, "semaphore::tests::loom::t45_release_during_acquire", "deadlock");
}

#[test]
fn t45_concurrent_permit_updates() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(5));
        let spawn = |f: fn(&Semaphore)| {
            let semaphore = semaphore.clone();
            thread::spawn(move || f(&semaphore))
        };
        let threads = [
            spawn(|s| s.add_permits(3)),
            spawn(|s| s.try_acquire().unwrap().forget()),
            spawn(|s| assert_eq!(s.forget_permits(2), 2)),
        ];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(semaphore.available_permits(), 5);
    });
}

/// A waiter whose deadline comes at the instant of its grant has its permit or has given it back (trap of the issue).
#[test]
fn a_deadline_at_the_instant_of_the_grant_loses_nothing() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiter = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                // Joins the queue, and finds its deadline in the past when it comes to wait.
                let mut acquire = Box::pin(semaphore.acquire());
                let _ = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).map_ok(|permit| permit.forget());
                if acquire.0.is_done() {
                    return 1;
                }
                let expired = WaitOptions::new().deadline(std::time::Instant::now());
                match acquire.as_mut().wait_pinned(expired) {
                    Ok(permit) => {
                        permit.forget();
                        1
                    }
                    Err(error) => {
                        assert_eq!(error, WaitError::TimedOut);
                        0
                    }
                }
            })
        };
        semaphore.add_permits(1);
        let got = waiter.join().unwrap();
        assert_eq!(got + semaphore.available_permits(), 1);
        assert_eq!(semaphore.num_waiters(), 0);
    });
}

/// An interrupt at the instant of the grant: the permit, and the interrupt stays; or the interrupt, and the permit stays.
#[test]
fn an_interrupt_at_the_instant_of_the_grant_loses_nothing() {
    model(|| {
        let shared = Arc::new((Semaphore::new(0), Interrupter::new()));
        let releaser = shared.clone();
        let interrupting = shared.clone();
        let releaser = thread::spawn(move || releaser.0.add_permits(1));
        let interrupting = thread::spawn(move || interrupting.1.interrupt());
        let result = shared.0.acquire().wait_interruptible(&shared.1).map(|permit| permit.forget());
        releaser.join().unwrap();
        interrupting.join().unwrap();
        match result {
            Ok(()) => assert!(shared.1.is_pending() && shared.0.available_permits() == 0),
            Err(error) => {
                assert_eq!(error, WaitError::Interrupted);
                assert!(!shared.1.is_pending() && shared.0.available_permits() == 1);
            }
        }
        assert_eq!(shared.0.num_waiters(), 0);
    });
}

/// An interrupt sent before, while or after the thread goes to wait ends its wait.
#[test]
fn an_interrupt_always_ends_the_wait() {
    model(|| {
        let shared = Arc::new((Semaphore::new(0), Interrupter::new()));
        let interrupting = shared.clone();
        let interrupting = thread::spawn(move || interrupting.1.interrupt());
        let result = shared.0.acquire().wait_interruptible(&shared.1).map(drop);
        assert_eq!(result, Err(WaitError::Interrupted));
        interrupting.join().unwrap();
        assert!(!shared.1.is_pending());
    });
}

#[test]
fn an_interrupt_that_is_not_sticky_is_lost() {
    caught(Mutant::InterruptNotSticky, "semaphore::tests::loom::an_interrupt_always_ends_the_wait", "deadlock");
}

/// B5: the front needs more than there is and goes away while a release comes; who is behind it must be served.
#[test]
fn b5_cancelling_the_front_serves_the_next() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut front = task(&semaphore, 2);
        assert!(poll(&mut front).is_pending());
        let releaser = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        let behind = {
            let semaphore = semaphore.clone();
            thread::spawn(move || block_on(acquire(&semaphore, 1)).unwrap())
        };
        drop(front);
        releaser.join().unwrap();
        behind.join().unwrap();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

#[test]
fn b5_cancelling_without_serving_strands_the_next() {
    caught(Mutant::CancelWithoutServing, "semaphore::tests::loom::b5_cancelling_the_front_serves_the_next", "deadlock");
}

/// T19: granted, and dropped before anybody looked.
#[test]
fn t19_a_grant_that_nobody_saw_is_given_back() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut acquire = task(&semaphore, 1);
        assert!(poll(&mut acquire).is_pending());
        let releaser = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        drop(acquire);
        releaser.join().unwrap();
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn t19_a_grant_that_is_not_given_back_is_lost() {
    caught(Mutant::GrantLost, "semaphore::tests::loom::t19_a_grant_that_nobody_saw_is_given_back", "left: 0");
}

/// B10: two neighbours in the queue go away at once.
#[test]
fn b10_neighbours_cancel_at_once() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut tasks: Vec<_> = (0..3).map(|_| task(&semaphore, 1)).collect();
        tasks.iter_mut().for_each(|task| assert!(poll(task).is_pending()));
        let mut last = tasks.pop().unwrap();
        let threads: Vec<_> = tasks.into_iter().map(SendTask).map(|task| thread::spawn(move || drop(task))).collect();
        semaphore.add_permits(1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(poll(&mut last).is_ready());
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

/// The trait object hides that the future is `Send`.
struct SendTask(#[allow(dead_code)] Task);
// SAFETY: it is the async block of `task`, whose parts (`loom::sync::Arc`, `Acquire`) are `Send`.
unsafe impl Send for SendTask {}

/// A thread and a task in one queue, and a release for each.
#[test]
fn a_thread_and_a_task_share_the_queue() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let blocking = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().wait().unwrap().forget())
        };
        let awaiting = {
            let semaphore = semaphore.clone();
            thread::spawn(move || block_on(acquire(&semaphore, 1)).unwrap())
        };
        semaphore.add_permits(1);
        semaphore.add_permits(1);
        blocking.join().unwrap();
        awaiting.join().unwrap();
        assert_eq!(semaphore.available_permits(), 0);
    });
}

/// Close against a waiting thread, a release and an attempt: everybody ends, nothing is lost.
#[test]
fn t36_close_against_everything() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let blocking = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().wait().map(|permit| permit.forget()).is_ok())
        };
        let releasing = {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                semaphore.add_permits(1);
                semaphore.try_acquire().map(|permit| permit.forget()).is_ok()
            })
        };
        semaphore.close();
        let got = usize::from(blocking.join().unwrap()) + usize::from(releasing.join().unwrap());
        assert_eq!(got + semaphore.available_permits(), 1);
        assert!(semaphore.is_closed() && semaphore.num_waiters() == 0);
    });
}

/// No poll that starts after `close` returned is pending, though another thread may still be telling the rest.
#[test]
fn t33_after_close_nothing_is_pending() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut tasks: Vec<_> = (0..3).map(|_| task(&semaphore, 1)).collect(); // one more than a batch
        tasks.iter_mut().for_each(|task| assert!(poll(task).is_pending()));
        let helper = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(1))
        };
        semaphore.close();
        let served = tasks.iter_mut().map(poll).filter(|answer| match answer {
            Poll::Ready(result) => result.is_ok(),
            Poll::Pending => panic!("pending after close"),
        });
        assert!(served.count() <= 1);
        helper.join().unwrap();
    });
}

#[test]
fn t33_a_poll_that_does_not_look_may_be_pending() {
    caught(
        Mutant::PollMissesClose,
        "semaphore::tests::loom::t33_after_close_nothing_is_pending",
        "pending after close",
    );
}

/// More waiters than a batch holds, two releases at once: all are served.
#[test]
fn t28_batches_serve_everybody() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let mut tasks: Vec<_> = (0..5).map(|_| task(&semaphore, 1)).collect();
        tasks.iter_mut().for_each(|task| assert!(poll(task).is_pending()));
        let helper = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.add_permits(2))
        };
        semaphore.add_permits(3);
        helper.join().unwrap();
        tasks.iter_mut().for_each(|task| assert_eq!(poll(task), Poll::Ready(Ok(())), "stranded"));
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    });
}

#[test]
fn t28_an_unpaid_debt_strands_the_next_batch() {
    caught(Mutant::DebtUnpaid, "semaphore::tests::loom::t28_batches_serve_everybody", "stranded");
}

/// What was written before a release is seen by the waiter that it serves (P1).
#[test]
fn t43_a_grant_publishes() {
    model(|| {
        let shared = Arc::new((Semaphore::new(0), UnsafeCell::new(0)));
        let mut acquire = {
            let shared = shared.clone();
            Box::pin(async move {
                shared.0.acquire().await.unwrap().forget();
                // SAFETY: the releaser wrote before it released.
                shared.1.with(|value| unsafe { *value })
            })
        };
        let mut cx = Context::from_waker(Waker::noop());
        assert!(acquire.as_mut().poll(&mut cx).is_pending());
        let releaser = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: nobody reads before the release.
                shared.1.with_mut(|value| unsafe { *value = 1 });
                shared.0.add_permits(1);
            })
        };
        if let Poll::Ready(seen) = acquire.as_mut().poll(&mut cx) {
            assert_eq!(seen, 1);
        }
        releaser.join().unwrap();
    });
}

#[test]
fn t43_a_relaxed_grant_does_not() {
    caught(Mutant::RelaxedPublish, "semaphore::tests::loom::t43_a_grant_publishes", "Causality violation");
}

/// T44: a release comes after an earlier `try_acquire`, too. (`flag` is relaxed: it tells the order, and orders nothing.)
#[test]
fn t44_a_release_synchronizes_with_an_earlier_acquisition() {
    model(|| {
        let shared = Arc::new((Semaphore::new(1), UnsafeCell::new(0), AtomicUsize::new(0)));
        let taker = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: nobody reads before the acquisition below.
                shared.1.with_mut(|value| unsafe { *value = 1 });
                shared.0.try_acquire().unwrap().forget();
                shared.2.store(1, Relaxed);
            })
        };
        if shared.2.load(Relaxed) == 1 {
            shared.0.add_permits(1);
            // SAFETY: the write came before an acquisition that came before this release.
            assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
        }
        taker.join().unwrap();
    });
}

#[test]
fn t44_a_release_only_deposit_does_not() {
    caught(
        Mutant::ReleaseOnlyDeposit,
        "semaphore::tests::loom::t44_a_release_synchronizes_with_an_earlier_acquisition",
        "Causality violation",
    );
}

/// Two threads that want LOCKED, twice each: who has to sleep for it is woken.
#[test]
fn nobody_sleeps_for_a_free_lock() {
    model(|| {
        let semaphore = Arc::new(Semaphore::new(0));
        let other = {
            let semaphore = semaphore.clone();
            thread::spawn(move || drop_pending(task(&semaphore, 1)))
        };
        drop_pending(task(&semaphore, 2));
        other.join().unwrap();
        assert_eq!(semaphore.num_waiters(), 0);
    });
    fn drop_pending(mut acquire: Task) {
        assert!(poll(&mut acquire).is_pending());
    }
}

#[test]
fn who_sleeps_on_an_old_look_sleeps_for_ever() {
    caught(Mutant::SleepUnannounced, "semaphore::tests::loom::nobody_sleeps_for_a_free_lock", "deadlock");
}
