//! Feature `tokio`: the cooperative budget (T22), and the refusal to block a runtime's thread (T42).
//!
//! The budget is met as tasks meet it: a *turn* is one poll of a task by a runtime, and begins with a full budget.
#![cfg(feature = "tokio")]

use gatepost::{AcquireError, Interrupter, PollSemaphore, Semaphore, WaitOptions};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Once, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{LocalSet, block_in_place, coop, spawn, spawn_blocking, spawn_local, unconstrained, yield_now};

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

/// Runs `turn` within one turn of a task, with a full budget.
fn in_a_turn<R>(turn: impl FnOnce() -> R) -> R {
    let mut turn = Some(turn);
    current_thread().block_on(poll_fn(|_| Poll::Ready(turn.take().expect("one turn")())))
}

/// Uses up what is left of the turn's budget, and says how much that was.
fn spend_the_rest() -> usize {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut units = 0;
    while let Poll::Ready(unit) = coop::poll_proceed(cx) {
        unit.made_progress();
        units += 1;
        assert!(units < 1_000_000, "there is no budget here");
    }
    units
}

/// What a turn begins with.
fn full_budget() -> usize {
    let full = in_a_turn(spend_the_rest);
    assert!(full > 1);
    full
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// An acquisition by one of the forms, with its permit in a box.
type Acquisition = Pin<Box<dyn Future<Output = Result<Box<dyn Any>, AcquireError>>>>;

/// Asks for one permit, of a semaphore in two disguises.
type Form = fn(&'static Semaphore, &Arc<Semaphore>) -> Acquisition;

/// Every form in which a task asks for one permit.
fn forms() -> Vec<(&'static str, Form)> {
    fn boxed<F, P>(acquire: F) -> Acquisition
    where
        F: Future<Output = Result<P, AcquireError>> + 'static,
        P: 'static,
    {
        Box::pin(async { acquire.await.map(|permit| Box::new(permit) as Box<dyn Any>) })
    }
    vec![
        ("acquire", |s, _| boxed(s.acquire())),
        ("acquire_many", |s, _| boxed(s.acquire_many(1))),
        ("acquire_n", |s, _| boxed(s.acquire_n(1))),
        ("acquire_owned", |_, s| boxed(s.clone().acquire_owned())),
        ("acquire_many_owned", |_, s| boxed(s.clone().acquire_many_owned(1))),
        ("acquire_n_owned", |_, s| boxed(s.clone().acquire_n_owned(1))),
    ]
}

/// Runs `check` with each form, on a new semaphore with so many permits.
fn with_each_form(permits: usize, check: impl Fn(&Semaphore, &dyn Fn() -> Acquisition)) {
    for (name, form) in forms() {
        println!("{name}"); // shown if the check fails
        // The borrowed forms need one that outlives the boxed future: a few bytes are leaked for each form.
        let shared = Arc::new(Semaphore::new(permits));
        let leaked: &'static Arc<Semaphore> = Box::leak(Box::new(shared));
        check(leaked, &|| form(leaked, leaked));
    }
}

#[test]
fn t22_each_acquisition_takes_a_unit_of_the_budget() {
    let full = full_budget();
    with_each_form(1, |semaphore, acquire| {
        in_a_turn(|| {
            let mut acquired = 0;
            while poll(acquire().as_mut()).is_ready() {
                acquired += 1;
                assert!(acquired <= full, "acquisitions do not take from the budget");
            }
            assert_eq!(acquired, full);
            assert!(!coop::has_budget_remaining());
        });
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
    });
}

#[test]
fn t22_poll_semaphore_takes_a_unit_of_the_budget_when_it_waits_or_has_waited() {
    // What it takes for nothing, the first time, it takes as `try_acquire` does: without a task.
    let semaphore = Arc::new(Semaphore::new(1));
    let mut polled = PollSemaphore::new(semaphore.clone());
    let full = full_budget();
    in_a_turn(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        let held = semaphore.try_acquire().expect("free");
        assert!(polled.poll_acquire(cx).is_pending());
        drop(held);
        assert!(polled.poll_acquire(cx).is_ready());
        assert!(polled.poll_acquire(cx).is_ready());
        assert_eq!(spend_the_rest(), full - 2);
        assert!(polled.poll_acquire(cx).is_pending(), "it goes on without a budget");
        assert_eq!(semaphore.available_permits(), 1);
    });
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn t22_a_spent_budget_and_free_permits_take_nothing_and_come_back() {
    with_each_form(1, |semaphore, acquire| {
        let woken = Arc::new(Woken::default());
        let mut future = acquire();
        let mut turns = 0;
        current_thread().block_on(poll_fn(|cx| {
            turns += 1;
            if turns == 1 {
                spend_the_rest();
                let waker = woken.clone().into();
                assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                assert_eq!(semaphore.available_permits(), 1, "it yields with the permit in hand");
                assert_eq!(semaphore.num_waiters(), 0, "it waits for what is there");
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // A runtime wakes those who yielded between two turns.
            assert_eq!(woken.0.load(SeqCst), 1, "it yields and nobody wakes it");
            assert!(future.as_mut().poll(cx).is_ready());
            Poll::Ready(())
        }));
        assert_eq!(turns, 2);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn t22_a_spent_budget_only_costs_a_turn() {
    with_each_form(1, |semaphore, acquire| {
        let turns = Cell::new(0);
        current_thread().block_on(async {
            let mut task = pin!(async {
                spend_the_rest();
                acquire().await.expect("open");
            });
            poll_fn(|cx| {
                turns.set(turns.get() + 1);
                task.as_mut().poll(cx)
            })
            .await;
        });
        assert_eq!(turns.get(), 2);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn t22_a_spent_budget_and_a_wait_join_the_queue_at_once() {
    with_each_form(0, |semaphore, acquire| {
        let (mut first, mut later) = (acquire(), acquire());
        in_a_turn(|| {
            spend_the_rest();
            assert!(poll(first.as_mut()).is_pending());
            assert_eq!(semaphore.num_waiters(), 1, "it loses its place");
        });
        in_a_turn(|| assert!(poll(later.as_mut()).is_pending()));
        semaphore.add_permits(1);
        in_a_turn(|| {
            assert!(poll(later.as_mut()).is_pending(), "a later one passes");
            assert!(poll(first.as_mut()).is_ready());
        });
    });
}

#[test]
fn t22_a_spent_budget_does_not_pass_a_queue_either() {
    // The front needs two; the one permit there is free for nobody.
    let semaphore = Semaphore::new(1);
    let (mut front, mut behind) = (pin!(semaphore.acquire_many(2)), pin!(semaphore.acquire()));
    in_a_turn(|| {
        assert!(poll(front.as_mut()).is_pending());
        spend_the_rest();
        assert!(poll(behind.as_mut()).is_pending());
        assert_eq!(semaphore.num_waiters(), 2);
    });
}

#[test]
fn t22_a_grant_is_taken_even_with_the_budget_spent() {
    with_each_form(0, |semaphore, acquire| {
        let mut future = acquire();
        in_a_turn(|| {
            assert!(poll(future.as_mut()).is_pending());
            spend_the_rest();
            semaphore.add_permits(1);
            let Poll::Ready(Ok(permit)) = poll(future.as_mut()) else {
                panic!("it yields with a permit in hand");
            };
            drop(permit);
            assert_eq!(semaphore.available_permits(), 1);
        });
    });
}

#[test]
fn t22_closing_is_told_even_with_the_budget_spent() {
    with_each_form(0, |semaphore, acquire| {
        let (mut waiting, mut new) = (acquire(), acquire());
        in_a_turn(|| {
            assert!(poll(waiting.as_mut()).is_pending());
            spend_the_rest();
            semaphore.close();
            assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Err(_))));
            assert!(matches!(poll(new.as_mut()), Poll::Ready(Err(_))));
        });
    });
}

#[test]
fn t22_only_what_is_ready_takes_from_the_budget() {
    let full = full_budget();
    with_each_form(0, |semaphore, acquire| {
        let mut futures: Vec<_> = (0..3).map(|_| acquire()).collect();
        let left = in_a_turn(|| {
            for _ in 0..2 * full {
                for future in &mut futures {
                    assert!(poll(future.as_mut()).is_pending());
                }
            }
            spend_the_rest()
        });
        assert_eq!(left, full, "waiting takes from the budget");
        semaphore.add_permits(2);
        let left = in_a_turn(|| {
            let ready = futures.iter_mut().filter_map(|future| match poll(future.as_mut()) {
                Poll::Ready(permit) => Some(permit),
                Poll::Pending => None,
            });
            assert_eq!(ready.collect::<Vec<_>>().len(), 2);
            spend_the_rest()
        });
        assert_eq!(left, full - 2, "each of two that are granted takes a unit");
    });
}

#[test]
fn t22_without_a_budget_nothing_yields() {
    let semaphore = Semaphore::new(1);
    let rounds = 10 * full_budget();
    // No runtime at all, and a task of a runtime that has no budget.
    for _ in 0..rounds {
        assert!(poll(pin!(semaphore.acquire())).is_ready());
    }
    current_thread().block_on(unconstrained(poll_fn(|cx| {
        for _ in 0..rounds {
            assert!(pin!(semaphore.acquire()).poll(cx).is_ready());
        }
        Poll::Ready(())
    })));
}

#[test]
fn t22_a_task_that_loops_over_acquire_does_not_starve_others() {
    const TURNS: usize = 10;
    let full = full_budget();
    with_each_form(1, |_, acquire| {
        let (rounds, others_turns) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        // Boxed futures of the table are not `Send`, hence local tasks; each has a budget of its own.
        let looping = {
            let (rounds, others_turns) = (rounds.clone(), others_turns.clone());
            // As many as it could ever have: a future cannot be had from a borrowed closure in a task.
            let mut futures: VecDeque<_> = (0..=full * (TURNS + 1)).map(|_| acquire()).collect();
            async move {
                while others_turns.get() < TURNS {
                    let next = futures.pop_front().expect("the other task has its turns meanwhile");
                    next.await.expect("open");
                    rounds.set(rounds.get() + 1);
                }
            }
        };
        let other = async move {
            while others_turns.get() < TURNS {
                others_turns.set(others_turns.get() + 1);
                yield_now().await;
            }
        };
        let tasks = LocalSet::new();
        let both = [tasks.spawn_local(looping), tasks.spawn_local(other)];
        tasks.block_on(&current_thread(), async {
            for task in both {
                task.await.expect("it has not panicked");
            }
        });
        assert!(rounds.get() > full, "it never came to the end of its budget");
    });
}

/// What came of the acquisitions of many tasks.
#[derive(Default)]
struct Tally {
    /// Had to come back, but not to wait.
    yielded: AtomicUsize,
    /// Had to wait for somebody else's permit.
    queued: AtomicUsize,
}

/// Runs 64 tasks, each of which acquires and drops again and again, with nothing to await in between.
fn acquire_and_drop_in_many_tasks(runtime: &Runtime, permits: usize) -> Tally {
    const TASKS: usize = 64;
    const ROUNDS: usize = 1000;
    let shared = Arc::new((Semaphore::new(permits), Tally::default()));
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let shared = shared.clone();
            runtime.spawn(async move {
                let (semaphore, tally) = &*shared;
                for _ in 0..ROUNDS {
                    let mut acquire = pin!(semaphore.acquire());
                    let permit = poll_fn(|cx| {
                        let permit = acquire.as_mut().poll(cx);
                        if permit.is_pending() {
                            let queued = semaphore.num_waiters() > 0;
                            if queued { &tally.queued } else { &tally.yielded }.fetch_add(1, SeqCst);
                        }
                        permit
                    });
                    drop(permit.await.expect("open"));
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("it has not panicked");
        }
    });
    let shared = Arc::into_inner(shared).expect("the tasks are over");
    assert_eq!((shared.0.available_permits(), shared.0.num_waiters()), (permits, 0));
    assert!(shared.1.yielded.load(SeqCst) >= TASKS, "no task came to the end of its budget");
    shared.1
}

/// One task runs at a time, and none stops with a permit: a single permit is always there.
#[test]
fn t22_no_task_of_one_thread_yields_while_it_holds_a_permit() {
    for permits in [1, 4] {
        let tally = acquire_and_drop_in_many_tasks(&current_thread(), permits);
        assert_eq!(tally.queued.load(SeqCst), 0, "with {permits} permits");
    }
}

/// At most two tasks run at a time, and none stops with a permit: two permits are enough for all 64, whatever the timing.
/// (A runtime whose tasks yield with permits in hand queues nearly every time, with four as well.)
#[test]
fn t22_no_task_of_two_threads_yields_while_it_holds_a_permit() {
    for permits in [2, 4] {
        let tally = acquire_and_drop_in_many_tasks(&multi_thread(), permits);
        assert_eq!(tally.queued.load(SeqCst), 0, "with {permits} permits");
    }
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Returned,
    /// With this message, at a place in this file between the line before the call and a few lines after.
    Panicked(String),
    PanickedElsewhere(String, String),
}

thread_local! {
    /// Where the last panic of this thread happened, while somebody wants to know.
    static PANICKED_AT: RefCell<Option<(String, u32)>> = const { RefCell::new(None) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`, which begins at `line`.
fn observe(line: u32, call: impl FnOnce()) -> Did {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !WATCHED.get() {
                return usual(info);
            }
            let place = info.location().map(|at| (at.file().to_owned(), at.line()));
            PANICKED_AT.set(place);
        }));
    });
    WATCHED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    WATCHED.set(false);
    let Err(payload) = result else { return Did::Returned };
    let message = match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    };
    match PANICKED_AT.take() {
        Some((file, at)) if file == file!() && (line..line + 4).contains(&at) => Did::Panicked(message),
        place => Did::PanickedElsewhere(message, format!("{place:?}, the call is at line {line}")),
    }
}

macro_rules! observe {
    ($call:expr) => {
        observe(line!(), || drop($call))
    };
}

/// What Tokio's own blocking lock did, and what each of our blocking forms did.
#[derive(Debug)]
struct Report {
    tokio: Did,
    ours: Vec<(&'static str, Did)>,
}

/// Calls everything that blocks, where this runs.
fn report() -> Report {
    let lock = tokio::sync::Mutex::new(());
    let tokio = observe!(lock.blocking_lock());
    let semaphore = Arc::new(Semaphore::new(9));
    let s = &semaphore;
    let interrupter = Interrupter::new();
    let long = Duration::from_secs(600);
    let free = vec![
        ("blocking_acquire", observe!(s.blocking_acquire())),
        ("blocking_acquire_many", observe!(s.blocking_acquire_many(2))),
        ("blocking_acquire_n", observe!(s.blocking_acquire_n(2))),
        ("blocking_acquire_owned", observe!(s.clone().blocking_acquire_owned())),
        ("blocking_acquire_many_owned", observe!(s.clone().blocking_acquire_many_owned(2))),
        ("blocking_acquire_n_owned", observe!(s.clone().blocking_acquire_n_owned(2))),
        ("wait", observe!(s.acquire().wait())),
        ("wait_timeout", observe!(s.acquire().wait_timeout(long))),
        ("wait_timeout of nothing", observe!(s.acquire().wait_timeout(Duration::ZERO))),
        ("wait_deadline", observe!(s.acquire().wait_deadline(Instant::now() + long))),
        ("wait_interruptible", observe!(s.acquire().wait_interruptible(&interrupter))),
        ("wait_with", observe!(s.acquire().wait_with(WaitOptions::new()))),
        ("wait_pinned", observe!(pin!(s.acquire()).wait_pinned(WaitOptions::new()))),
        ("owned wait", observe!(s.clone().acquire_owned().wait())),
        ("owned wait_timeout", observe!(s.clone().acquire_owned().wait_timeout(long))),
        ("owned wait_pinned", observe!(pin!(s.clone().acquire_owned()).wait_pinned(WaitOptions::new()))),
    ];
    assert_eq!((s.available_permits(), s.num_waiters()), (9, 0), "a refused wait leaves something behind");
    Report { tokio, ours: free }
}

/// What must be said where Tokio panics.
const REFUSED: &str = "Cannot block the current thread from within a runtime. This happens because a function attempted \
                       to block the current thread while the thread is being used to drive asynchronous tasks.";

/// Runs a function in some context.
type Within = fn(fn() -> Report) -> Report;

/// Contexts in which a thread is driving a runtime.
static REFUSING: &[(&str, Within)] = &[
    ("block_on, current thread", |f| current_thread().block_on(async { f() })),
    ("block_on, multi thread", |f| multi_thread().block_on(async { f() })),
    ("a task, current thread", |f| {
        current_thread().block_on(async { spawn(async move { f() }).await.expect("it has not panicked") })
    }),
    ("a task, multi thread", |f| {
        multi_thread().block_on(async { spawn(async move { f() }).await.expect("it has not panicked") })
    }),
    ("a task without a budget", |f| current_thread().block_on(unconstrained(async { f() }))),
    ("LocalSet::block_on", |f| LocalSet::new().block_on(&current_thread(), async { f() })),
    ("a local task", |f| {
        LocalSet::new().block_on(&current_thread(), async move {
            spawn_local(async move { f() }).await.expect("it has not panicked")
        })
    }),
    ("Handle::block_on on another thread", |f| {
        let runtime = multi_thread();
        let handle = runtime.handle().clone();
        std::thread::spawn(move || handle.block_on(async { f() })).join().expect("it has not panicked")
    }),
    ("Handle::block_on in spawn_blocking", |f| {
        multi_thread().block_on(async {
            let handle = Handle::current();
            let blocking = spawn_blocking(move || handle.block_on(async { f() }));
            blocking.await.expect("it has not panicked")
        })
    }),
    ("Handle::block_on in block_in_place", |f| {
        multi_thread().block_on(async { block_in_place(|| Handle::current().block_on(async { f() })) })
    }),
    ("after block_in_place", |f| {
        multi_thread().block_on(async {
            block_in_place(|| ());
            f()
        })
    }),
    ("another executor inside a runtime", |f| {
        current_thread().block_on(async { futures::executor::block_on(async { f() }) })
    }),
    ("the drop of a task", |f| {
        // Dropped by its runtime, on the thread that drives it.
        let (reported, report) = mpsc::channel();
        current_thread().block_on(async {
            let task = spawn(async move {
                let _guard = OnDrop(Some(move || reported.send(f()).expect("somebody listens")));
                std::future::pending::<()>().await;
            });
            yield_now().await;
            task.abort();
            assert!(task.await.expect_err("aborted").is_cancelled());
        });
        report.recv().expect("a report")
    }),
];

/// Contexts in which it is not, even if it belongs to a runtime.
static ALLOWING: &[(&str, Within)] = &[
    ("a plain thread", |f| f()),
    ("a thread that a task started", |f| {
        current_thread().block_on(async { std::thread::spawn(f).join().expect("it has not panicked") })
    }),
    ("spawn_blocking, current thread", |f| {
        current_thread().block_on(async { spawn_blocking(f).await.expect("it has not panicked") })
    }),
    ("spawn_blocking, multi thread", |f| {
        multi_thread().block_on(async { spawn_blocking(f).await.expect("it has not panicked") })
    }),
    ("block_in_place in block_on", |f| multi_thread().block_on(async { block_in_place(f) })),
    ("block_in_place in a task", |f| {
        multi_thread().block_on(async { spawn(async move { block_in_place(f) }).await.expect("it has not panicked") })
    }),
    ("block_in_place in block_in_place", |f| multi_thread().block_on(async { block_in_place(|| block_in_place(f)) })),
    ("Handle::enter", |f| {
        let runtime = current_thread();
        let _guard = runtime.enter();
        f()
    }),
    ("LocalSet::enter", |f| {
        let _guard = LocalSet::new().enter();
        f()
    }),
    ("another executor with Handle::enter", |f| {
        let runtime = current_thread();
        let _guard = runtime.enter();
        futures::executor::block_on(async { f() })
    }),
    ("after block_on", |f| {
        current_thread().block_on(async {});
        f()
    }),
    ("a worker that starts", |f| {
        let (reported, report) = mpsc::channel();
        let once = AtomicBool::new(false);
        let _runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || {
                if !once.swap(true, SeqCst) {
                    reported.send(f()).expect("somebody listens");
                }
            })
            .build()
            .expect("a runtime");
        report.recv().expect("a report")
    }),
];

/// Calls a function when it is dropped.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

#[test]
fn t42_blocking_panics_where_tokio_does_with_its_words_at_the_caller() {
    for (context, within) in REFUSING {
        let Report { tokio, ours } = within(report);
        assert_eq!(tokio, Did::Panicked(REFUSED.into()), "Tokio has changed: in {context}");
        for (form, did) in ours {
            assert_eq!(did, tokio, "{form} in {context}");
        }
    }
}

#[test]
fn t42_blocking_is_allowed_where_tokio_allows_it() {
    for (context, within) in ALLOWING {
        let Report { tokio, ours } = within(report);
        assert_eq!(tokio, Did::Returned, "Tokio has changed: in {context}");
        for (form, did) in ours {
            assert_eq!(did, tokio, "{form} in {context}");
        }
    }
}

/// A thread that goes down is outside every runtime, though Tokio's own lock may find its thread-locals gone and panic.
/// Ours does as Tokio's, or better.
#[test]
fn t42_blocking_in_the_destructor_of_a_thread_local() {
    type Farewell = OnDrop<Box<dyn FnOnce()>>;
    thread_local! {
        static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
    }
    for used_before in [false, true] {
        let (reported, said) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            // What is used first is destroyed last.
            if used_before {
                report();
            }
            let farewell = move || reported.send(report()).expect("somebody listens");
            FAREWELL.set(Some(OnDrop(Some(Box::new(farewell)))));
            if !used_before {
                report();
            }
        });
        thread.join().expect("it has not panicked");
        let Report { tokio, ours } = said.recv().expect("a report");
        for (form, did) in ours {
            assert!(did == tokio || did == Did::Returned, "{form}: {did:?}, Tokio: {tokio:?}");
        }
    }
}

#[test]
fn t42_a_refused_wait_takes_no_permit_and_no_place() {
    let semaphore = Semaphore::new(0);
    in_a_turn(|| {
        let refused = Did::Panicked(REFUSED.into());
        // In this order: if waiting is not refused, the first says so, and the second would wait for ever.
        assert_eq!(observe!(semaphore.acquire().wait_timeout(Duration::ZERO)), refused);
        assert_eq!(observe!(semaphore.blocking_acquire()), refused);
        assert_eq!(semaphore.num_waiters(), 0);
    });
    semaphore.add_permits(1);
    drop(semaphore.blocking_acquire().expect("open"));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn t42_a_refused_wait_for_a_queued_future_leaves_it_its_place() {
    let semaphore = Semaphore::new(0);
    let (mut first, mut second) = (pin!(semaphore.acquire()), pin!(semaphore.acquire()));
    in_a_turn(|| {
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        let did = observe!(first.as_mut().wait_pinned(WaitOptions::new().timeout(Duration::ZERO)));
        assert_eq!(did, Did::Panicked(REFUSED.into()));
        assert_eq!(semaphore.num_waiters(), 2);
    });
    semaphore.add_permits(1);
    assert!(poll(second.as_mut()).is_pending());
    drop(first.wait_pinned(WaitOptions::new()).expect("open"));
    assert!(poll(second.as_mut()).is_ready());
}

#[test]
fn t42_a_refused_wait_drops_what_it_was_given() {
    let semaphore = Arc::new(Semaphore::new(1));
    in_a_turn(|| {
        let did = observe!(semaphore.clone().blocking_acquire_owned());
        assert_eq!(did, Did::Panicked(REFUSED.into()));
    });
    assert_eq!(Arc::strong_count(&semaphore), 1);
}

/// Threads and tasks in one queue: threads block outside the runtime, tasks wait inside, and each is served in its turn.
#[test]
fn threads_and_tasks_of_a_runtime_share_a_queue() {
    let semaphore = Arc::new(Semaphore::new(0));
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let runtime = multi_thread();
    let joined = |n: usize| {
        while semaphore.num_waiters() < n {
            std::thread::yield_now()
        }
    };
    let threads: Vec<_> = (0..10)
        .map(|n| {
            let (semaphore, order) = (semaphore.clone(), order.clone());
            let thread = if n % 2 == 0 {
                let task = async move {
                    let permit = semaphore.acquire_owned().await.expect("open");
                    order.lock().expect("nobody panics").push(n);
                    drop(permit);
                };
                let task = runtime.spawn(task);
                std::thread::spawn(move || futures::executor::block_on(task).expect("it has not panicked"))
            } else {
                std::thread::spawn(move || {
                    let permit = semaphore.blocking_acquire_owned().expect("open");
                    order.lock().expect("nobody panics").push(n);
                    drop(permit);
                })
            };
            joined(n + 1);
            thread
        })
        .collect();
    semaphore.add_permits(1);
    for thread in threads {
        thread.join().expect("it has not panicked");
    }
    assert_eq!(*order.lock().expect("nobody panics"), (0..10).collect::<Vec<_>>());
    assert_eq!(semaphore.available_permits(), 1);
}
