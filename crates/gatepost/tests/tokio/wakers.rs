//! Wakers are the user's code, and may panic: none keeps another from being woken, and no panic leaves a lock or a
//! half-made queue behind.

use crate::common::leaked;
use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::thread::within_limit;
use crate::common::wakers::{Event, hooked, on_wake};
use gatepost::{Acquire, Semaphore};
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const CROWD: usize = 100;

/// Many who wait for one permit each. The wakers of some panic, with their place as the payload.
struct Crowd {
    queue: Vec<Task<Acquire<'static>>>,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Crowd {
    fn new(semaphore: &'static Semaphore, panicking: &'static [usize]) -> Self {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let queue = (0..CROWD)
            .map(|place| {
                let woken = woken.clone();
                let waker = on_wake(move || {
                    woken.lock().unwrap().push(place);
                    if panicking.contains(&place) {
                        panic_any(place);
                    }
                });
                Task::queued_with(semaphore.acquire(), &waker)
            })
            .collect();
        Self { queue, woken }
    }

    /// All have been woken, once each; in order, if the panic could be caught. Without `std` it unwinds past the rest of
    /// its batch, which comes when the later batches are done.
    #[track_caller]
    fn all_woken(&self) {
        let mut woken = self.woken.lock().unwrap().clone();
        if cfg!(not(feature = "std")) {
            woken.sort_unstable();
        }
        assert_eq!(woken, (0..CROWD).collect::<Vec<_>>());
    }
}

/// Each way to wake a crowd: what has to be there before, and what wakes. All leave as many permits as the crowd needs.
fn triggers() -> [(&'static str, Prepare); 4] {
    [
        ("add_permits", |semaphore| Box::new(move || semaphore.add_permits(CROWD))),
        ("a permit is dropped", |semaphore| {
            semaphore.add_permits(CROWD);
            let permit = semaphore.try_acquire_many(CROWD as u32).expect("free");
            Box::new(move || drop(permit))
        }),
        ("the front is cancelled", |semaphore| {
            semaphore.add_permits(CROWD);
            let front = Task::queued(semaphore.acquire_n(CROWD + 1));
            Box::new(move || drop(front))
        }),
        ("a grant is cancelled", |semaphore| {
            let front = Task::queued(semaphore.acquire_n(CROWD));
            semaphore.add_permits(CROWD);
            Box::new(move || drop(front))
        }),
    ]
}

type Trigger = Box<dyn FnOnce()>;
type Prepare = fn(&'static Semaphore) -> Trigger;

#[test]
fn t30_t31_a_panicking_waker_keeps_nobody_from_being_woken() {
    for (what, prepare) in triggers() {
        let semaphore = leaked(0);
        let trigger = prepare(semaphore);
        let mut crowd = Crowd::new(semaphore, &[4]);
        assert_eq!(caught(trigger).payload::<usize>(), 4, "{what}: the panic goes on to whoever released");
        crowd.all_woken();
        for task in &mut crowd.queue {
            task.permit().forget();
        }
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0), "{what}");
    }
}

#[test]
fn t31_a_panicking_waker_keeps_nobody_from_hearing_of_the_close() {
    let semaphore = leaked(0);
    let mut crowd = Crowd::new(semaphore, &[4]);
    assert_eq!(caught(|| semaphore.close()).payload::<usize>(), 4);
    crowd.all_woken();
    for task in &mut crowd.queue {
        let _ = task.error();
    }
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.num_waiters(), 0);
}

/// Without `std` nothing can catch a panic, and a second one while the first unwinds aborts, as everywhere.
#[test]
#[cfg(feature = "std")]
fn t31_of_several_panicking_wakers_the_first_is_resumed() {
    const PANICKING: &[usize] = &[4, 5, 31, 32, 50, 99];
    for (what, prepare) in triggers() {
        let semaphore = leaked(0);
        let trigger = prepare(semaphore);
        let mut crowd = Crowd::new(semaphore, PANICKING);
        assert_eq!(caught(trigger).payload::<usize>(), 4, "{what}");
        crowd.all_woken();
        for task in &mut crowd.queue {
            task.permit().forget();
        }
        assert_eq!(semaphore.available_permits(), 0, "{what}");
    }
    let semaphore = leaked(0);
    let crowd = Crowd::new(semaphore, PANICKING);
    assert_eq!(caught(|| semaphore.close()).payload::<usize>(), 4);
    crowd.all_woken();
}

/// The payloads that are not resumed are the user's code as well.
#[test]
#[cfg(feature = "std")]
fn t31_a_payload_that_panics_when_dropped_ends_nothing_early() {
    use crate::common::panics::Explosive;

    let semaphore = leaked(0);
    let mut queue: Vec<_> = (0..40)
        .map(|place| {
            let waker = on_wake(move || if place == 0 { panic_any("first") } else { panic_any(Explosive) });
            Task::queued_with(semaphore.acquire(), &waker)
        })
        .collect();
    assert_eq!(caught(|| semaphore.add_permits(40)).message(), "first");
    for task in &mut queue {
        task.permit().forget();
    }
}

/// A permit that a panic drops may wake a waker that panics: that is no second panic, which would abort the process.
#[test]
#[cfg(feature = "std")]
fn t31_a_panicking_waker_that_a_panic_wakes_does_not_abort() {
    let semaphore = leaked(CROWD);
    let mut crowd = None;
    let panic = caught(|| {
        let _permit = semaphore.try_acquire_many(CROWD as u32).expect("free");
        crowd = Some(Crowd::new(semaphore, &[4, 50]));
        panic!("the holder's own");
    });
    assert_eq!(panic.message(), "the holder's own");
    let mut crowd = crowd.expect("made");
    crowd.all_woken();
    for task in &mut crowd.queue {
        task.permit().forget();
    }
}

/// A waker that panics in one of the three ways, while it is told to.
fn panics_on(unwanted: Event, armed: &'static AtomicBool) -> std::task::Waker {
    hooked(move |event| {
        if event == unwanted && armed.load(Ordering::Relaxed) {
            panic_any(event);
        }
    })
}

#[test]
fn a_waker_that_panics_when_cloned_leaves_the_future_where_it_was() {
    static ARMED: AtomicBool = AtomicBool::new(true);
    // A lock that the panic left behind would hang it.
    within_limit(|| {
        let semaphore = Semaphore::new(0);
        let waker = panics_on(Event::Clone, &ARMED);
        let mut task = Task::new(semaphore.acquire());
        assert_eq!(caught(|| task.poll_with(&waker).is_pending()).payload::<Event>(), Event::Clone);
        assert_eq!(semaphore.num_waiters(), 0, "it had not joined");
        assert!(task.is_pending());
        assert_eq!(caught(|| task.poll_with(&waker).is_pending()).payload::<Event>(), Event::Clone);
        assert_eq!(semaphore.num_waiters(), 1, "it had joined");
        semaphore.add_permits(1);
        assert_eq!(task.wakes(), 1, "the waker from before is still there");
        task.permit().forget();
    });
}

#[test]
fn a_waker_that_panics_when_dropped_leaves_the_queue_whole() {
    static ARMED: AtomicBool = AtomicBool::new(false);
    // A lock that the panic left behind would hang it.
    within_limit(|| {
        let semaphore = Semaphore::new(1);
        let waker = panics_on(Event::Drop, &ARMED);
        let mut replaced = Task::queued_with(semaphore.acquire_many(2), &waker);
        let dropped = Task::queued_with(semaphore.acquire_many(2), &waker);
        let mut last = Task::queued(semaphore.acquire());

        ARMED.store(true, Ordering::Relaxed);
        assert_eq!(caught(|| replaced.is_pending()).payload::<Event>(), Event::Drop);
        assert_eq!(caught(|| drop(dropped)).payload::<Event>(), Event::Drop);
        ARMED.store(false, Ordering::Relaxed);

        assert_eq!(semaphore.num_waiters(), 2);
        semaphore.add_permits(2);
        assert_eq!((replaced.wakes(), last.wakes()), (1, 1));
        replaced.permit().forget();
        last.permit().forget();
        assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
    });
}

/// A second panic, out of a destructor, would abort the process. (Without `std` it cannot be caught.)
#[cfg(feature = "std")]
#[test]
fn a_waker_that_panics_when_dropped_during_a_panic_does_not_abort() {
    static ARMED: AtomicBool = AtomicBool::new(false);
    within_limit(|| {
        let semaphore = Semaphore::new(0);
        let waker = panics_on(Event::Drop, &ARMED);
        let dropped = Task::queued_with(semaphore.acquire(), &waker);
        let own = caught(|| {
            let _dropped = dropped;
            ARMED.store(true, Ordering::Relaxed);
            panic!("own");
        });
        ARMED.store(false, Ordering::Relaxed);
        assert_eq!(own.payload::<&str>(), "own");
        assert_eq!(semaphore.num_waiters(), 0);
    });
}
