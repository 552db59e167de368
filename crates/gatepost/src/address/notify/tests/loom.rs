//! Every interleaving of a few threads, under weak memory. A batch holds two wakers here.

use super::super::NotifyList;
use crate::sys::explore::{bounded, join, model};
use crate::sys::mutant::{Mutant, caught};
use crate::{WaitError, WaitOptions};
use loom::cell::UnsafeCell;
use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::boxed::Box;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use std::vec::Vec;

/// Somebody with a ticket: the first poll takes it, the second joins the line.
type Task = Pin<Box<dyn Future<Output = u32> + Send>>;

fn task(list: &Arc<NotifyList>) -> Task {
    let list = list.clone();
    Box::pin(async move {
        let ticket = list.add();
        let number = ticket.number();
        let mut first = true;
        poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
        ticket.await;
        number
    })
}

fn poll(task: &mut Task) -> Poll<u32> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A ticket that nobody waits for yet.
fn racer(list: &Arc<NotifyList>) -> Task {
    let mut task = task(list);
    assert!(poll(&mut task).is_pending());
    task
}

fn in_line(list: &Arc<NotifyList>) -> Task {
    let mut task = racer(list);
    assert!(poll(&mut task).is_pending());
    task
}

fn list() -> Arc<NotifyList> {
    Arc::new(NotifyList::starting_at(u32::MAX - 1))
}

fn spawn(list: &Arc<NotifyList>, f: impl FnOnce(&NotifyList) + 'static) -> thread::JoinHandle<()> {
    let list = list.clone();
    thread::spawn(move || f(&list))
}

/// The notification comes before, while, or after the ticket's waiter, a thread, joins the line.
#[test]
fn g45_a_thread_that_comes_late_is_not_missed() {
    model(|| {
        let list = list();
        let ticket = list.add();
        let notifier = spawn(&list, NotifyList::notify_one);
        ticket.notified().wait();
        notifier.join().unwrap();
        assert_eq!(list.num_waiters(), 0);
    });
}

#[test]
fn g45_a_ticket_that_is_not_checked_on_arrival_waits_for_ever() {
    caught(
        Mutant::ArrivalUnchecked,
        "address::notify::tests::loom::g45_a_thread_that_comes_late_is_not_missed",
        "deadlock",
    );
}

/// The same for tasks and `notify_all`: one in line, one that arrives, and one that only looks.
#[test]
fn g47_all_are_notified_wherever_they_are() {
    model(|| {
        let list = list();
        let (mut queued, racer, ticket) = (in_line(&list), racer(&list), list.add());
        let arrives = thread::spawn(move || {
            block_on(racer);
        });
        let notifier = spawn(&list, NotifyList::notify_all);
        list.notify_all();
        assert!(ticket.is_notified());
        arrives.join().unwrap();
        notifier.join().unwrap();
        assert!(poll(&mut queued).is_ready());
        drop(ticket);
        assert_eq!(list.num_waiters(), 0);
    });
}

/// More than one batch, and one of the line leaves while it is being told.
#[test]
fn g47_a_waiter_leaves_while_the_line_is_told() {
    model(|| {
        let list = list();
        let mut tasks: Vec<_> = (0..4).map(|_| in_line(&list)).collect();
        let leaver = tasks.pop();
        let notifier = spawn(&list, NotifyList::notify_all);
        drop(leaver);
        notifier.join().unwrap();
        assert!(tasks.iter_mut().all(|task| poll(task).is_ready()));
        let mut later = in_line(&list);
        assert!(poll(&mut later).is_pending(), "nobody passes on what everybody got");
    });
}

/// Two adders and their arrivals race: the line is in the order of the tickets all the same.
#[test]
fn g44_g49_adders_race_and_the_line_is_in_order() {
    model(|| {
        let list = list();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let adders: Vec<_> = (0..2)
            .map(|_| {
                let (list, arrived) = (list.clone(), arrived.clone());
                thread::spawn(move || {
                    let task = in_line(&list);
                    arrived.lock().unwrap().push(task);
                })
            })
            .collect();
        join(adders);
        let mut tasks = std::mem::take(&mut *arrived.lock().unwrap());
        for number in [u32::MAX - 1, u32::MAX] {
            list.notify_one();
            let ready: Vec<_> = tasks.iter_mut().map(poll).collect();
            let at = ready.iter().position(|&ready| ready == Poll::Ready(number)).expect("in order");
            drop(tasks.swap_remove(at));
            assert!(tasks.iter_mut().all(|task| poll(task).is_pending()));
        }
    });
}

/// Two notifications for three tickets, one in line and two racers, one of which arrives meanwhile.
#[test]
fn g48_each_notification_consumes_one_ticket() {
    model(|| {
        let list = list();
        let (mut first, second, third) = (racer(&list), in_line(&list), list.add());
        let mut second = second;
        let notifier = spawn(&list, NotifyList::notify_one);
        list.notify_one();
        let arrived = poll(&mut first).is_ready();
        notifier.join().unwrap();
        assert!(arrived || poll(&mut first).is_ready());
        assert!(poll(&mut second).is_ready() && !third.is_notified());
    });
}

/// The front leaves while a notification comes: it goes to who is behind, by O or by L.
#[test]
fn a_waiter_that_leaves_loses_no_notification() {
    model(|| {
        let list = list();
        let front = in_line(&list);
        let behind = in_line(&list);
        let waits = thread::spawn(move || {
            block_on(behind);
        });
        let notifier = spawn(&list, NotifyList::notify_one);
        drop(front);
        waits.join().unwrap();
        notifier.join().unwrap();
        assert_eq!(list.num_waiters(), 0);
    });
}

#[test]
fn a_notification_that_is_not_passed_on_is_lost() {
    caught(
        Mutant::NotificationLost,
        "address::notify::tests::loom::a_waiter_that_leaves_loses_no_notification",
        "deadlock",
    );
}

#[test]
fn a_void_that_is_forgotten_swallows_a_notification() {
    caught(
        Mutant::VoidForgotten,
        "address::notify::tests::loom::a_waiter_that_leaves_loses_no_notification",
        "deadlock",
    );
}

/// The same with tickets that are dropped, between one that arrives and one in line.
#[test]
fn a_ticket_that_is_dropped_loses_no_notification() {
    bounded(2, || {
        let list = list();
        let arriving = racer(&list);
        let ticket = racer(&list);
        let mut behind = in_line(&list);
        let arrives = thread::spawn(move || {
            block_on(arriving);
        });
        let notifier = spawn(&list, |list| {
            list.notify_one();
            list.notify_one();
        });
        drop(ticket);
        arrives.join().unwrap();
        notifier.join().unwrap();
        assert!(poll(&mut behind).is_ready());
        assert_eq!(list.num_waiters(), 0);
    });
}

/// A thread's deadline comes at the same time as its notification: it has been notified, or who is behind has.
#[test]
fn a_time_out_loses_no_notification() {
    model(|| {
        let list = list();
        let ticket = list.add();
        let mut behind = in_line(&list);
        let notifier = spawn(&list, NotifyList::notify_one);
        let mut notified = Box::pin(ticket.notified());
        let ready = notified.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let result =
            if ready { Ok(()) } else { notified.as_mut().wait_pinned(WaitOptions::new().deadline(Instant::now())) };
        notifier.join().unwrap();
        match result {
            Ok(()) => assert!(poll(&mut behind).is_pending()),
            Err(error) => {
                assert_eq!(error, WaitError::TimedOut);
                assert!(poll(&mut behind).is_ready(), "lost");
            }
        }
    });
}

/// S moves `notify` without a notification; a notifier whose knowledge of `wait` is from before must not take it for "nobody
/// waits". It knows of the front's ticket, and of nothing that came after.
#[test]
fn a_fast_path_that_knows_little_sees_who_waits() {
    model(|| {
        let list = list();
        let mut front = in_line(&list);
        let notifier = spawn(&list, NotifyList::notify_one);
        let gone = in_line(&list);
        drop(gone); // S: `notify` is now what `wait` was before this one came
        notifier.join().unwrap();
        assert!(poll(&mut front).is_ready(), "lost");
    });
}

#[test]
fn a_fast_path_in_the_other_order_loses_a_notification() {
    caught(
        Mutant::NotifySeenLast,
        "address::notify::tests::loom::a_fast_path_that_knows_little_sees_who_waits",
        "lost",
    );
}

/// No mutex, but fences: the event count of the documentation.
#[test]
fn with_fences_it_is_an_event_count() {
    model(|| {
        let shared = Arc::new((NotifyList::new(), AtomicBool::new(false)));
        let notifier = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.1.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                shared.0.notify_all();
            })
        };
        let (list, ready) = &*shared;
        let ticket = list.add();
        fence(Ordering::SeqCst);
        if !ready.load(Ordering::Relaxed) {
            ticket.notified().wait();
        }
        notifier.join().unwrap();
    });
}

/// What was written before a notification is seen by who is notified, in line or not.
#[test]
fn a_notification_publishes() {
    model(|| {
        let shared = Arc::new((NotifyList::new(), UnsafeCell::new(0)));
        let ticket = shared.0.add();
        let notifier = {
            let shared = shared.clone();
            thread::spawn(move || {
                // SAFETY: nobody reads before the notification.
                shared.1.with_mut(|value| unsafe { *value = 1 });
                shared.0.notify_one();
            })
        };
        ticket.notified().wait();
        // SAFETY: the notifier wrote before it notified.
        assert_eq!(shared.1.with(|value| unsafe { *value }), 1);
        notifier.join().unwrap();
    });
}

/// A task is polled with another waker while the notification comes.
#[test]
fn the_waker_that_was_given_last_is_woken() {
    model(|| {
        let list = list();
        let mut task = in_line(&list); // with a waker that does nothing
        let notifier = spawn(&list, NotifyList::notify_one);
        block_on(poll_fn(|cx| task.as_mut().poll(cx)));
        notifier.join().unwrap();
    });
}
