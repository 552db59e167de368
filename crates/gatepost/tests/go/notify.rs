//! The notify list from outside: tickets, waiting, leaving; wakers that call back, and wakers that panic.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::thread::{start, until, within_limit};
use crate::common::wakers::{Event, hooked, on_wake};
use gatepost::address::{Notified, NotifyList};
use gatepost::{Interrupter, WaitError, WaitOptions};
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

fn leaked() -> &'static NotifyList {
    Box::leak(Box::new(NotifyList::starting_at(u32::MAX - 3)))
}

fn queued(list: &NotifyList) -> Task<Notified<'_>> {
    Task::queued(list.add().notified())
}

#[test]
fn g45_g48_a_notification_before_the_wait_ends_it() {
    let list = leaked();
    let (first, second) = (list.add(), list.add());
    list.notify_one();
    assert!(first.is_notified() && !second.is_notified());
    let mut second = Task::queued(second.notified());
    first.notified().wait();
    assert!(second.is_pending());
    list.notify_one();
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_ready());
}

#[test]
fn g49_threads_and_tasks_are_notified_in_the_order_of_their_tickets() {
    let list = leaked();
    let order: Arc<Mutex<Vec<usize>>> = Arc::default();
    // Tickets are taken in this order, and waited for in another.
    let mut tickets: Vec<_> = (0..6).map(|i| (i, list.add())).collect();
    tickets.reverse();
    let mut tasks = Vec::new();
    let mut threads = Vec::new();
    for (i, ticket) in tickets {
        let order = order.clone();
        if i % 2 == 0 {
            let waker = on_wake(move || order.lock().unwrap().push(i));
            tasks.push(Task::queued_with(ticket.notified(), &waker));
        } else {
            threads.push(start(move || {
                ticket.notified().wait();
                order.lock().unwrap().push(i);
            }));
        }
    }
    for n in 1..=6 {
        list.notify_one();
        until("it has been woken", || order.lock().unwrap().len() == n);
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
    threads.into_iter().for_each(|thread| thread.join());
    assert!(tasks.iter_mut().all(|task| task.poll().is_ready()));
}

#[test]
fn g47_notify_all_is_for_those_before_it() {
    let list = leaked();
    let mut before: Vec<_> = (0..100).map(|_| queued(list)).collect();
    let racer = list.add();
    list.notify_all();
    let mut after = queued(list);
    assert!(before.iter_mut().all(|task| task.wakes() == 1 && task.poll().is_ready()));
    racer.notified().wait();
    assert!(after.is_pending());
    assert_eq!(list.num_waiters(), 1);
}

#[test]
fn a_ticket_is_awaited() {
    let list = leaked();
    let mut task = Task::queued(async {
        list.add().await;
        7
    });
    list.notify_one();
    assert_eq!(task.poll(), std::task::Poll::Ready(7));
}

#[test]
fn whoever_leaves_the_next_notification_reaches_who_stays() {
    let list = leaked();
    let interrupter = Interrupter::new();
    let mut front = queued(list);
    let timed_out = list.add().notified().wait_timeout(Duration::from_millis(1));
    interrupter.interrupt();
    let interrupted = list.add().notified().wait_interruptible(&interrupter);
    assert_eq!((timed_out, interrupted), (Err(WaitError::TimedOut), Err(WaitError::Interrupted)));
    assert_eq!(list.add().notified().wait_deadline(Instant::now()), Err(WaitError::TimedOut));
    drop(list.add());
    drop(list.add().notified());
    drop(queued(list));
    let mut back = queued(list);
    assert_eq!(list.num_waiters(), 2);
    list.notify_one();
    assert!(front.poll().is_ready() && back.is_pending());
    list.notify_one();
    assert!(back.poll().is_ready());
}

#[test]
fn an_interrupt_ends_a_thread_that_sleeps() {
    let list = leaked();
    let interrupter: &Interrupter = Box::leak(Box::default());
    let ticket = list.add();
    let sleeps = start(move || ticket.notified().wait_interruptible(interrupter));
    interrupter.interrupt();
    assert_eq!(sleeps.join(), Err(WaitError::Interrupted));
    assert_eq!(list.num_waiters(), 0);
}

#[test]
fn after_its_notification_a_future_is_done() {
    let list = leaked();
    let mut task = queued(list);
    list.notify_one();
    assert!(task.poll().is_ready());
    assert!(caught(|| task.poll()).message().contains("after it was done"));
    let _ = caught(|| task.pinned().wait_pinned(WaitOptions::new()));
    drop(task);
    assert_eq!(list.num_waiters(), 0);
}

/// Threads that give up after microseconds, against one notification for each that does not: nobody waits for ever.
#[test]
fn a_storm_of_time_outs_strands_nobody() {
    static OVER: AtomicBool = AtomicBool::new(false);
    let list = leaked();
    let storm: Vec<_> = (0..3)
        .map(|_| {
            start(|| {
                while !OVER.load(SeqCst) {
                    let _ = list.add().notified().wait_timeout(Duration::from_micros(20));
                }
            })
        })
        .collect();
    for _ in 0..2000 {
        // Whoever times out instead of being woken passes on; so the notification gets here in the end.
        let ticket = list.add();
        let notifier = |n: usize| (0..n).for_each(|_| list.notify_one());
        notifier(4); // one for each ticket that may be before this one, and one for this
        ticket.notified().wait();
    }
    OVER.store(true, SeqCst);
    storm.into_iter().for_each(|thread| thread.join());
    list.notify_all();
    assert_eq!(list.num_waiters(), 0);
}

/// What a waker may do from within.
struct Scene {
    list: &'static NotifyList,
    /// In line behind the one whose waker calls back.
    other: Mutex<Option<Task<Notified<'static>>>>,
    armed: AtomicBool,
    calls: AtomicUsize,
}

type Act = fn(&Scene);

const ACTS: &[(&str, Act)] = &[
    ("notify_one", |scene| scene.list.notify_one()),
    ("notify_all", |scene| scene.list.notify_all()),
    ("a ticket is taken and dropped", |scene| drop(scene.list.add())),
    ("a ticket is polled and dropped", |scene| assert!(Task::new(scene.list.add().notified()).is_pending())),
    ("another future is polled with a new waker", |scene| {
        if let Some(task) = &mut *scene.other.lock().unwrap() {
            if task.poll_with(&on_wake(|| ())).is_ready() {
                *task = queued(scene.list);
            }
        }
    }),
    ("another queued future is dropped", |scene| {
        let task = scene.other.lock().unwrap().take();
        drop(task);
    }),
    ("a wait that times out", |scene| {
        let _ = scene.list.add().notified().wait_timeout(Duration::from_nanos(1));
    }),
    ("Debug", |scene| assert!(format!("{:?}", scene.list).starts_with("NotifyList { waiters: "))),
];

/// One way to have a waker woken, cloned or dropped. The task is in line with that waker, first.
type Provoke = fn(Task<Notified<'static>>, &'static Scene, &Waker);

const PROVOKED: &[(Event, &str, Provoke)] = &[
    (Event::Wake, "by notify_one", |_task, scene, _| scene.list.notify_one()),
    (Event::Wake, "by notify_all", |_task, scene, _| scene.list.notify_all()),
    (Event::Wake, "by a notification that is passed on", |task, scene, waker| {
        let other = scene.other.lock().unwrap().take();
        drop(other);
        let next = Task::queued_with(scene.list.add().notified(), waker);
        scene.armed.store(false, SeqCst);
        scene.list.notify_one();
        scene.armed.store(true, SeqCst);
        drop(task);
        drop(next);
    }),
    (Event::Wake, "by a ticket that passes on", |task, scene, waker| {
        scene.armed.store(false, SeqCst);
        drop(task);
        let other = scene.other.lock().unwrap().take();
        drop(other);
        let ticket = scene.list.add();
        let next = Task::queued_with(scene.list.add().notified(), waker);
        scene.list.notify_one();
        scene.armed.store(true, SeqCst);
        drop(ticket);
        drop(next);
    }),
    (Event::Clone, "at the first poll", |_task, scene, waker| {
        let mut late = Task::new(scene.list.add().notified());
        let _ = late.poll_with(waker);
    }),
    (Event::Clone, "when it takes another's place", |_task, scene, waker| {
        let mut late = queued(scene.list);
        let _ = late.poll_with(waker);
    }),
    (Event::Drop, "by another that takes its place", |mut task, _, _| {
        assert!(task.poll_with(&on_wake(|| ())).is_pending())
    }),
    (Event::Drop, "with its future", |task, _, _| drop(task)),
    (Event::Drop, "after a time-out", |mut task, _, _| {
        let _ = task.pinned().wait_pinned(WaitOptions::new().timeout(Duration::ZERO));
    }),
];

#[test]
fn wakers_may_call_back() {
    for &(event, how, provoke) in PROVOKED {
        for &(what, act) in ACTS {
            let calls = within_limit(move || {
                let scene: &Scene = Box::leak(Box::new(Scene {
                    list: leaked(),
                    other: Mutex::new(None),
                    armed: AtomicBool::new(false),
                    calls: AtomicUsize::new(0),
                }));
                let waker = hooked(move |happened| {
                    if happened == event && scene.armed.swap(false, SeqCst) {
                        scene.calls.fetch_add(1, SeqCst);
                        act(scene);
                    }
                });
                let task = Task::queued_with(scene.list.add().notified(), &waker);
                *scene.other.lock().unwrap() = Some(queued(scene.list));
                scene.armed.store(true, SeqCst);
                provoke(task, scene, &waker);
                scene.armed.store(false, SeqCst);
                // Whatever happened, the list works, and everybody can leave it.
                let mut after = Task::new(scene.list.add().notified());
                assert!(after.is_pending());
                scene.list.notify_all();
                assert!(after.poll().is_ready());
                let other = scene.other.lock().unwrap().take();
                drop(other);
                scene.list.notify_one();
                assert_eq!(scene.list.num_waiters(), 0);
                scene.calls.load(SeqCst)
            });
            assert_eq!(calls, 1, "{event:?} {how}, {what}");
        }
    }
}

#[test]
fn g47_a_waker_that_panics_keeps_nobody_else_from_being_notified() {
    let list = leaked();
    let mut tasks: Vec<_> = (0_usize..100)
        .map(|i| match i {
            4 | 70 => Task::queued_with(list.add().notified(), &on_wake(move || panic_any(i))),
            _ => queued(list),
        })
        .collect();
    let racer = list.add();
    assert_eq!(caught(|| list.notify_all()).payload::<usize>(), 4, "the first panic goes on");
    assert!(racer.is_notified());
    for (i, task) in tasks.iter_mut().enumerate() {
        assert_eq!(task.wakes(), usize::from(i != 4 && i != 70));
        assert!(task.poll().is_ready());
    }
    assert_eq!(list.num_waiters(), 0);
}

#[test]
fn a_waker_that_panics_leaves_the_list_as_it_should_be() {
    let list = leaked();
    let explodes = on_wake(|| panic_any("woken"));
    let mut task = Task::queued_with(list.add().notified(), &explodes);
    assert_eq!(caught(|| list.notify_one()).message(), "woken");
    assert!(task.poll().is_ready(), "notified all the same");

    // When a notification is passed on.
    let first = queued(list);
    let mut second = Task::queued_with(list.add().notified(), &explodes);
    list.notify_one();
    assert_eq!(caught(|| drop(first)).message(), "woken");
    assert!(second.poll().is_ready());

    // When it is dropped on the way out.
    let drops = hooked(|event| {
        if event == Event::Drop {
            panic_any("dropped");
        }
    });
    let leaver = Task::queued_with(list.add().notified(), &drops);
    let mut stays = queued(list);
    assert_eq!(caught(|| drop(leaver)).message(), "dropped");
    assert_eq!(list.num_waiters(), 1);
    list.notify_one();
    assert!(stays.poll().is_ready());
    std::mem::forget(drops);

    // When it is cloned on the way in.
    let clones = hooked(|event| {
        if event == Event::Clone {
            panic_any("cloned");
        }
    });
    let mut comes = Task::new(list.add().notified());
    assert_eq!(caught(|| comes.poll_with(&clones)).message(), "cloned");
    assert!(comes.is_pending());
    list.notify_one();
    assert!(comes.poll().is_ready());
    assert_eq!(list.num_waiters(), 0);
}

#[test]
fn a_forgotten_future_keeps_its_place_and_takes_one_notification() {
    let list = leaked();
    queued(list).forget();
    let mut next = queued(list);
    list.notify_one();
    assert!(next.is_pending());
    list.notify_one();
    assert!(next.poll().is_ready());
}
