//! Wakers are the user's code, and may call back: no lock is held while one is woken, cloned or dropped.

use crate::common::leaked;
use crate::common::task::Task;
use crate::common::thread::within_limit;
use crate::common::wakers::{Event, hooked, on_wake};
use gatepost::{Acquire, Semaphore};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

/// What a waker may do from within, and what to know afterwards.
struct Scene {
    semaphore: &'static Semaphore,
    /// Waits behind the one whose waker calls back.
    other: Mutex<Option<Task<Acquire<'static>>>>,
    added: AtomicUsize,
    forgotten: AtomicUsize,
    armed: AtomicBool,
    calls: AtomicUsize,
}

type Act = fn(&Scene);

const ACTS: &[(&str, Act)] = &[
    ("add_permits", |scene| {
        scene.semaphore.add_permits(3);
        scene.added.fetch_add(3, Ordering::Relaxed);
    }),
    ("try_acquire", |scene| drop(scene.semaphore.try_acquire())),
    ("an acquisition is polled and dropped", |scene| {
        let mut task = Task::new(scene.semaphore.acquire_many(2));
        let _ = task.is_pending();
    }),
    ("another future is polled with a new waker", |scene| {
        if let Some(task) = &mut *scene.other.lock().unwrap() {
            let _ = task.poll_with(&on_wake(|| ()));
        }
    }),
    ("another queued future is dropped", |scene| {
        let task = scene.other.lock().unwrap().take();
        drop(task);
    }),
    ("close", |scene| scene.semaphore.close()),
    ("the state is looked at", |scene| {
        scene.semaphore.available_permits();
        scene.semaphore.num_waiters();
        scene.semaphore.is_closed();
    }),
    ("Debug", |scene| {
        let text = format!("{:?}", scene.semaphore);
        assert!(text.starts_with("Semaphore { permits: ") && !text.contains("locked"), "{text}");
    }),
    ("forget_permits", |scene| {
        scene.forgotten.fetch_add(scene.semaphore.forget_permits(1), Ordering::Relaxed);
    }),
    #[cfg(feature = "std")]
    ("a wait that times out", |scene| {
        let _ = scene.semaphore.acquire().wait_timeout(std::time::Duration::from_nanos(1));
    }),
];

/// One way to have a waker woken, cloned or dropped. The task has that waker and is the front of the queue; it needs 1.
type Provoke = fn(Task<Acquire<'static>>, &'static Scene, &Waker);

const PROVOKED: &[(Event, &str, Provoke)] = &[
    (Event::Wake, "by a release", |task, scene, _| {
        scene.added.fetch_add(1, Ordering::Relaxed);
        scene.semaphore.add_permits(1);
        drop(task);
    }),
    (Event::Wake, "by close", |task, scene, _| {
        scene.semaphore.close();
        drop(task);
    }),
    (Event::Wake, "by a grant that is given back", |task, scene, waker| {
        scene.added.fetch_add(1, Ordering::Relaxed);
        let next = Task::queued_with(scene.semaphore.acquire(), waker);
        let other = scene.other.lock().unwrap().take();
        drop(other); // so that `next` is next
        scene.armed.store(false, Ordering::Relaxed);
        scene.semaphore.add_permits(1);
        scene.armed.store(true, Ordering::Relaxed);
        drop(task);
        drop(next);
    }),
    (Event::Clone, "at the first poll", |task, scene, waker| {
        let mut last = Task::new(scene.semaphore.acquire());
        let _ = last.poll_with(waker);
        drop((task, last));
    }),
    (Event::Clone, "when it replaces another", |mut task, _, waker| {
        assert!(task.is_pending());
        let _ = task.poll_with(waker);
        drop(task);
    }),
    (Event::Drop, "when it is replaced", |mut task, _, _| {
        let _ = task.is_pending();
        drop(task);
    }),
    (Event::Drop, "when its future is dropped", |task, _, _| drop(task)),
];

#[test]
fn t16_t37_a_waker_may_call_back_wherever_it_is_woken_cloned_or_dropped() {
    for &(event, how, provoke) in PROVOKED {
        for &(what, act) in ACTS {
            // In a thread of its own: a lock that is held would be taken twice.
            within_limit(move || call_back(event, provoke, act, &format!("{event:?} {how}: {what}")));
        }
    }
}

fn call_back(wanted: Event, provoke: Provoke, act: Act, case: &str) {
    let scene: &'static Scene = Box::leak(Box::new(Scene {
        semaphore: leaked(0),
        other: Mutex::new(None),
        added: AtomicUsize::new(0),
        forgotten: AtomicUsize::new(0),
        armed: AtomicBool::new(false),
        calls: AtomicUsize::new(0),
    }));
    let waker = hooked(move |event| {
        if event == wanted && scene.armed.load(Ordering::Relaxed) {
            scene.calls.fetch_add(1, Ordering::Relaxed);
            act(scene);
        }
    });
    let task = Task::queued_with(scene.semaphore.acquire(), &waker);
    *scene.other.lock().unwrap() = Some(Task::queued(scene.semaphore.acquire_many(3)));

    scene.armed.store(true, Ordering::Relaxed);
    provoke(task, scene, &waker);
    scene.armed.store(false, Ordering::Relaxed);

    assert!(scene.calls.load(Ordering::Relaxed) > 0, "{case}: the waker was not called");
    let other = scene.other.lock().unwrap().take();
    drop(other);
    let there = scene.semaphore.available_permits() + scene.forgotten.load(Ordering::Relaxed);
    assert_eq!(there, scene.added.load(Ordering::Relaxed), "{case}: permits");
    assert_eq!(scene.semaphore.num_waiters(), 0, "{case}");
}

/// The outcome is published before the waker runs.
#[test]
fn t37_a_waker_may_poll_its_own_future_at_once() {
    within_limit(|| {
        let semaphore = leaked(0);
        for close in [false, true] {
            let slot: &'static Mutex<Option<Task<Acquire<'static>>>> = Box::leak(Box::default());
            let ready: &'static AtomicBool = Box::leak(Box::default());
            let waker = on_wake(move || {
                let task = slot.lock().unwrap().take();
                let outcome = task.expect("woken once").poll();
                ready.store(outcome.is_ready(), Ordering::Relaxed);
            });
            *slot.lock().unwrap() = Some(Task::queued_with(semaphore.acquire(), &waker));
            if close {
                semaphore.close()
            } else {
                semaphore.add_permits(1)
            }
            assert!(ready.load(Ordering::Relaxed));
            semaphore.forget_permits(1);
        }
    });
}

/// As a task does that keeps its permit until its own waker is gone.
#[test]
#[cfg(feature = "alloc")]
fn t37_a_waker_may_own_a_permit() {
    within_limit(|| {
        for close in [false, true] {
            let semaphore = std::sync::Arc::new(Semaphore::new(2));
            let permit = semaphore.clone().try_acquire_owned().expect("free");
            let waker = hooked(move |_| {
                let _kept = &permit;
            });
            let mut task = Task::queued_with(semaphore.acquire_many(3), &waker);
            drop(waker);
            if close {
                semaphore.close()
            } else {
                semaphore.add_permits(2)
            }
            // Woken by value, the waker is gone, and its permit is back.
            assert_eq!(semaphore.available_permits(), if close { 2 } else { 1 });
            assert!(task.poll().is_ready());
        }
    });
}

/// Each one's release serves the next, from within the release before it.
#[test]
fn t37_wakers_may_release_in_a_chain() {
    const CHAIN: usize = 200;
    within_limit(|| {
        let semaphore = leaked(0);
        let woken: &'static AtomicUsize = Box::leak(Box::default());
        let mut queue: Vec<_> = (0..CHAIN)
            .map(|_| {
                let waker = on_wake(move || {
                    woken.fetch_add(1, Ordering::Relaxed);
                    semaphore.add_permits(1);
                });
                Task::queued_with(semaphore.acquire(), &waker)
            })
            .collect();
        semaphore.add_permits(1);
        assert_eq!(woken.load(Ordering::Relaxed), CHAIN);
        for task in &mut queue {
            task.permit().forget();
        }
        assert_eq!(semaphore.available_permits(), 1);
    });
}
