//! Wakers are the user's code: they may call back, and they may panic. G14: nothing of it happens under a lock.

use crate::common::panics::caught;
use crate::common::task::Task;
use crate::common::thread::within_limit;
use crate::common::wakers::{Event, hooked, on_wake};
use crate::gate::{Gate, New, Word};
use gatepost::address::Acquire;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

const CROWD: usize = 100;

/// Many who wait. The wakers of some panic, with their place as the payload.
struct Crowd<W: Word> {
    queue: Vec<Task<Acquire<'static, W>>>,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl<W: Word> Crowd<W> {
    fn new(gate: Gate<W>, panicking: &'static [usize]) -> Self {
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
                Task::queued_with(gate.acquire(), &waker)
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

#[test]
fn b2_p25_a_panicking_waker_keeps_nobody_from_being_woken() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut crowd = Crowd::new(gate, &[4]);
        assert_eq!(
            caught(|| gate.release_n(CROWD as u32)).payload::<usize>(),
            4,
            "the panic goes on to whoever released"
        );
        crowd.all_woken();
        gate.has(CROWD as u32, 0);
        crowd.queue.iter_mut().for_each(Task::ready);
        gate.has(0, 0);
    }
    each_gate!(check);
}

/// Without `std` nothing can catch a panic, and a second one while the first unwinds aborts, as everywhere.
#[test]
#[cfg(feature = "std")]
fn b2_of_several_panicking_wakers_the_first_is_resumed() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let mut crowd = Crowd::new(gate, &[4, 5, 31, 32, 50, 99]);
        assert_eq!(caught(|| gate.release_n(CROWD as u32)).payload::<usize>(), 4);
        crowd.all_woken();
        crowd.queue.iter_mut().for_each(Task::ready);
        gate.has(0, 0);
    }
    each_gate!(check);
}

#[test]
fn a_panicking_waker_takes_nothing_from_a_hand_off_or_a_cancellation() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let panics = on_wake(|| panic_any("woken"));
        let mut handed = Task::queued_with(gate.acquire(), &panics);
        assert_eq!(caught(|| gate.handoff()).message(), "woken");
        gate.has(0, 0);
        handed.ready();

        for handing in [false, true] {
            let gone = Task::queued(gate.acquire());
            let mut next = Task::queued_with(gate.acquire(), &panics);
            if handing {
                gate.handoff()
            } else {
                gate.release()
            }
            assert_eq!(caught(|| drop(gone)).message(), "woken");
            gate.has(1, 0);
            next.ready();
        }
    }
    each_gate!(check);
}

/// A cancellation in the course of a panic wakes a waker that panics: that is no second panic, which would abort.
#[test]
#[cfg(feature = "std")]
fn a_panicking_waker_that_a_panic_wakes_does_not_abort() {
    fn check<W: Word>(new: New<W>) {
        let gate = new(0);
        let gone = Task::queued(gate.acquire());
        let mut next = Task::queued_with(gate.acquire(), &on_wake(|| panic_any("woken")));
        gate.release();
        let panic = caught(|| {
            let _gone = gone;
            panic!("the holder's own");
        });
        assert_eq!(panic.message(), "the holder's own");
        next.ready();
    }
    each_gate!(check);
}

/// A waker that panics in one of the three ways, while it is told to.
fn panics_on(unwanted: Event, armed: &'static AtomicBool) -> std::task::Waker {
    hooked(move |event| {
        if event == unwanted && armed.load(SeqCst) {
            panic_any(event);
        }
    })
}

#[test]
fn a_waker_that_panics_when_cloned_leaves_the_future_where_it_was() {
    static ARMED: AtomicBool = AtomicBool::new(true);
    fn check<W: Word>(new: New<W>) {
        // A lock that the panic left behind would hang it.
        within_limit(move || {
            let gate = new(0);
            let waker = panics_on(Event::Clone, &ARMED);
            let mut task = Task::new(gate.acquire());
            assert_eq!(caught(|| task.poll_with(&waker).is_pending()).payload::<Event>(), Event::Clone);
            gate.has(0, 0);
            assert!(task.is_pending());
            assert_eq!(caught(|| task.poll_with(&waker).is_pending()).payload::<Event>(), Event::Clone);
            gate.has(0, 1);
            gate.release();
            assert_eq!(task.wakes(), 1, "the waker from before is still there");
            task.ready();
        });
    }
    each_gate!(check);
}

#[test]
fn a_waker_that_panics_when_dropped_leaves_the_queue_whole() {
    static ARMED: AtomicBool = AtomicBool::new(false);
    fn check<W: Word>(new: New<W>) {
        within_limit(move || {
            let gate = new(0);
            let waker = panics_on(Event::Drop, &ARMED);
            let mut replaced = Task::queued_with(gate.acquire(), &waker);
            let dropped = Task::queued_with(gate.acquire(), &waker);
            let mut last = Task::queued(gate.acquire());

            ARMED.store(true, SeqCst);
            assert_eq!(caught(|| replaced.is_pending()).payload::<Event>(), Event::Drop);
            assert_eq!(caught(|| drop(dropped)).payload::<Event>(), Event::Drop);
            ARMED.store(false, SeqCst);

            gate.has(0, 2);
            gate.release_n(2);
            assert_eq!((replaced.wakes(), last.wakes()), (1, 1));
            replaced.ready();
            last.ready();
            gate.has(0, 0);
        });
    }
    each_gate!(check);
}

/// A permit that is found between the look and the queue, or handed, while the waker that is not needed any more panics: it goes
/// back if nobody is left to have it.
#[test]
fn a_waker_that_panics_when_it_is_not_needed_costs_no_permit() {
    static ARMED: AtomicBool = AtomicBool::new(false);
    fn check<W: Word>(new: New<W>) {
        within_limit(move || {
            let gate = new(0);
            // Its clone comes between the look and the queue, and releases.
            let waker = hooked(move |event| match event {
                Event::Clone if ARMED.load(SeqCst) => gate.release(),
                Event::Drop if ARMED.load(SeqCst) => panic_any(event),
                _ => (),
            });
            for polls_again in [true, false] {
                let mut task = Task::new(gate.acquire());
                ARMED.store(true, SeqCst);
                assert_eq!(caught(|| task.poll_with(&waker).is_pending()).payload::<Event>(), Event::Drop);
                ARMED.store(false, SeqCst);
                gate.has(0, 0);
                if polls_again {
                    task.ready();
                } else {
                    drop(task);
                    gate.has(1, 0);
                }
            }
        });
    }
    each_gate!(check);
}

/// Wherever a waker is woken, cloned or dropped, it may do to the same address, and to all of its table, what it likes.
#[test]
fn g14_a_waker_may_call_back_wherever_it_is_woken_cloned_or_dropped() {
    fn check<W: Word>(new: New<W>) {
        within_limit(move || {
            let gate = new(0);
            let row = gate.row(40);
            let calls = Arc::new(AtomicUsize::new(0));
            let waker = {
                let (row, calls) = (row.clone(), calls.clone());
                hooked(move |_| {
                    calls.fetch_add(1, SeqCst);
                    for other in row.iter().chain([&gate]) {
                        assert!(other.waiters() <= 4);
                        drop(Task::queued(other.acquire()));
                        drop(Task::queued(other.acquire().lifo()));
                    }
                    for other in &row {
                        other.release();
                        assert!(other.try_acquire());
                        let mut task = Task::queued(other.acquire());
                        other.handoff();
                        task.ready();
                    }
                })
            };
            let mut first = Task::queued_with(gate.acquire(), &waker);
            let mut second = Task::queued_with(gate.acquire(), &waker);
            let cancelled = Task::queued_with(gate.acquire(), &waker);
            let mut third = Task::queued_with(gate.acquire(), &waker);
            assert!(first.is_pending()); // another waker: the first one is dropped
            assert!(first.poll_with(&waker).is_pending());
            drop(cancelled);
            let before = calls.load(SeqCst);
            gate.handoff();
            first.ready();
            assert_eq!(calls.load(SeqCst), before + 1);
            drop((first, waker));
            gate.handoff();
            second.ready();
            gate.handoff();
            third.ready();
            gate.has(0, 0);
        });
    }
    each_gate!(check);
}

/// A waker that releases: the chain ends, and nobody is left.
#[test]
fn g14_a_waker_may_release_what_the_next_one_waits_for() {
    fn check<W: Word>(new: New<W>) {
        within_limit(move || {
            let gate = new(0);
            let mut queue: Vec<_> =
                (0..200).map(|_| Task::queued_with(gate.acquire(), &on_wake(move || gate.release()))).collect();
            gate.release();
            gate.has(201, 0);
            queue.iter_mut().for_each(Task::ready);
            gate.has(1, 0);
        });
    }
    each_gate!(check);
}

/// A waker that drops another who waits at the same address, or was woken in the same batch.
#[test]
fn g14_a_waker_may_drop_others_of_its_queue() {
    fn check<W: Word>(new: New<W>) {
        within_limit(move || {
            let gate = new(0);
            let others: Arc<Mutex<Vec<Task<Acquire<'static, W>>>>> = Arc::default();
            let waker = {
                let others = others.clone();
                on_wake(move || {
                    let others = std::mem::take(&mut *others.lock().unwrap());
                    drop(others);
                })
            };
            let mut first = Task::queued_with(gate.acquire(), &waker);
            let mut crowd: Vec<_> = (0..50).map(|_| Task::queued(gate.acquire())).collect();
            let mut last = Task::queued(gate.acquire());
            others.lock().unwrap().append(&mut crowd);
            // Eleven are woken; ten of them are dropped by the first, and pass their wake-ups on.
            gate.release_n(11);
            assert_eq!(last.wakes(), 1);
            gate.has(11, 0);
            first.ready();
            last.ready();
            gate.has(9, 0);
        });
    }
    each_gate!(check);
}
