//! The barging policy, one call after the other: what the front puts up with, and random scripts against a sequential model
//! that says exactly what each call does. (Concurrency is for `loom_barging` and `shuttle`.)

use crate::semaphore::barging::patience::{LOST_WAKES, PATIENCE};
use crate::semaphore::barging::word::SAMPLE;
use crate::semaphore::{Acquire, Barging, Semaphore, TryAcquireError};
use crate::sys::atomic::counts;
use crate::sys::clock;
use crate::{WaitError, WaitOptions};
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use std::vec::Vec;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A task that is polled by hand, and how often it was woken.
struct Task<'a> {
    acquire: Pin<Box<Acquire<'a, Barging>>>,
    wakes: Arc<Wakes>,
}

impl<'a> Task<'a> {
    fn new(semaphore: &'a Semaphore<Barging>, n: usize) -> Self {
        Self { acquire: Box::pin(semaphore.acquire_n(n)), wakes: Arc::default() }
    }

    /// Keeps the permits.
    fn poll(&mut self) -> Poll<Result<(), ()>> {
        let waker = Waker::from(self.wakes.clone());
        let answer = self.acquire.as_mut().poll(&mut Context::from_waker(&waker));
        answer.map(|result| result.map(|permit| permit.forget()).map_err(drop))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(SeqCst)
    }
}

fn queued(semaphore: &Semaphore<Barging>, n: usize) -> Task<'_> {
    let mut task = Task::new(semaphore, n);
    assert_eq!(task.poll(), Poll::Pending);
    task
}

#[test]
fn a_front_that_lost_four_wakes_is_protected() {
    let semaphore = Semaphore::barging(1);
    let mut held = semaphore.try_acquire().unwrap();
    let mut front = queued(&semaphore, 1);
    let second = queued(&semaphore, 1);
    for lost in 1..=LOST_WAKES as usize {
        drop(held);
        assert_eq!(front.wakes(), lost);
        held = semaphore.try_acquire().expect("whoever runs passes a front that was only woken");
        assert_eq!(front.poll(), Poll::Pending);
    }
    drop(held);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert_eq!((front.poll(), front.wakes()), (Poll::Ready(Ok(())), LOST_WAKES as usize + 1));
    // The next front has a patience of its own.
    assert_eq!(second.wakes(), 0);
    semaphore.add_permits(1);
    assert_eq!(second.wakes(), 1);
    assert!(semaphore.try_acquire().is_ok());
}

#[test]
fn a_front_that_was_passed_for_its_time_is_protected() {
    let semaphore = Semaphore::barging(2);
    let mut front = queued(&semaphore, 3);
    let pass = || semaphore.try_acquire().is_ok();
    assert!(pass(), "the first of 16 looks at the clock: the time begins");
    clock::advance(PATIENCE - 1);
    assert!((0..10 * SAMPLE).all(|_| pass()), "the time is not over");
    clock::advance(1);
    let passed = (0..10 * SAMPLE).take_while(|_| pass()).count();
    assert_eq!(passed, SAMPLE - 1, "the first of the next 16 looks at the clock, and is refused");
    assert_eq!((semaphore.available_permits(), front.wakes()), (0, 0));
    semaphore.add_permits(1);
    assert_eq!((front.poll(), front.wakes()), (Poll::Ready(Ok(())), 1), "what it needs was kept for it");
}

/// What the module head says of each path.
#[test]
fn each_path_costs_what_the_protocol_says() {
    let rmws = |operation: &mut dyn FnMut()| {
        let before = counts();
        operation();
        (counts() - before).rmws
    };
    let semaphore = Semaphore::barging(2);
    let pair = |semaphore: &Semaphore<Barging>| drop(semaphore.try_acquire().unwrap());
    assert_eq!(rmws(&mut || pair(&semaphore)), 2, "nobody waits");
    let mut front = Task::new(&semaphore, 3);
    assert_eq!(rmws(&mut || assert!(front.poll().is_pending())), 2, "joining the queue");
    assert_eq!(rmws(&mut || semaphore.add_permits(1)), 2, "a release that wakes the front");
    assert_eq!(rmws(&mut || pair(&semaphore)), 2, "the front is on its way");
    assert_eq!(rmws(&mut || assert!(front.poll().is_ready())), 3, "the woken front takes its permits");
    let mut front = queued(&semaphore, 1);
    assert_eq!(rmws(&mut || drop(queued(&semaphore, 1))), 4, "joining, and withdrawing");
    for _ in 0..LOST_WAKES {
        semaphore.add_permits(1);
        semaphore.try_acquire().unwrap().forget();
        assert_eq!(rmws(&mut || assert!(front.poll().is_pending())), 2, "the woken front loses");
    }
    assert_eq!(rmws(&mut || semaphore.add_permits(1)), 3, "a release to a protected front");
    assert_eq!(rmws(&mut || assert!(front.poll().is_ready())), 0, "a grant");
}

#[test]
fn one_waiter_is_woken_at_a_time() {
    let semaphore = Semaphore::barging(0);
    let mut tasks: Vec<_> = (0..3).map(|_| queued(&semaphore, 1)).collect();
    let woken = |tasks: &[Task<'_>]| tasks.iter().map(Task::wakes).collect::<Vec<_>>();
    semaphore.add_permits(1);
    semaphore.add_permits(2);
    assert_eq!(woken(&tasks), [1, 0, 0], "one designated waiter");
    assert_eq!(tasks[0].poll(), Poll::Ready(Ok(())));
    assert_eq!(woken(&tasks), [1, 1, 0], "which hands the turn on");
    drop(tasks.remove(1));
    assert_eq!(woken(&tasks), [1, 1], "even by going away");
}

#[test]
fn waiters_do_not_pass_one_another() {
    let semaphore = Semaphore::barging(0);
    let mut big = queued(&semaphore, 4);
    let mut small = queued(&semaphore, 1);
    semaphore.add_permits(3);
    assert_eq!((big.wakes(), small.wakes()), (0, 0), "the front is short of one");
    assert_eq!((small.poll(), big.poll()), (Poll::Pending, Poll::Pending));
    assert!(semaphore.try_acquire().is_ok(), "but whoever runs may take it");
    semaphore.add_permits(1);
    assert_eq!((big.poll(), small.poll()), (Poll::Ready(Ok(())), Poll::Pending));
}

#[test]
fn permits_that_are_free_win_over_a_deadline() {
    let semaphore = Semaphore::barging(0);
    let mut front = queued(&semaphore, 1);
    let mut second = queued(&semaphore, 1);
    semaphore.add_permits(1);
    // Nobody is protected, so a wait whose time is up takes what is there, as any newcomer would.
    let expired = WaitOptions::new().deadline(Instant::now());
    second.acquire.as_mut().wait_pinned(expired).expect("free permits win").forget();
    assert_eq!(front.poll(), Poll::Pending);
    assert_eq!(front.acquire.as_mut().wait_pinned(expired).unwrap_err(), WaitError::TimedOut);
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
}

/// They pass the front, too, so it has patience with them as with everybody.
#[test]
fn waits_whose_time_is_up_do_not_pass_the_front_for_ever() {
    let semaphore = Semaphore::barging(0);
    let mut front = queued(&semaphore, 2);
    let expired = WaitOptions::new().deadline(Instant::now());
    let pass = || {
        let mut waiter = queued(&semaphore, 1);
        semaphore.add_permits(1);
        clock::advance(PATIENCE / 4);
        let passed = waiter.acquire.as_mut().wait_pinned(expired).map(|permit| permit.forget()).is_ok();
        if !passed {
            assert_eq!(semaphore.forget_permits(1), 0, "it is kept for the front");
        }
        passed
    };
    assert_eq!((0..40).take_while(|_| pass()).count(), 5, "looked at after each quarter of its time");
    semaphore.add_permits(1);
    assert_eq!(front.poll(), Poll::Ready(Ok(())));
}

/// A waker that panics when it is woken.
struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("woken");
    }
}

#[test]
fn a_front_whose_waker_panics_does_not_keep_the_turn() {
    let semaphore = Semaphore::barging(0);
    let waker = Waker::from(Arc::new(Panicking));
    let mut front = Box::pin(semaphore.acquire());
    assert!(front.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut behind = queued(&semaphore, 1);
    let panic = std::panic::catch_unwind(|| semaphore.add_permits(2)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"woken"));
    assert_eq!((behind.poll(), behind.wakes()), (Poll::Ready(Ok(())), 1));
    drop(front);
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0), "the front had been granted its own");
}

#[test]
fn a_panicking_waker_during_a_panic_does_not_abort() {
    let semaphore = Semaphore::barging(1);
    let held = semaphore.try_acquire().unwrap();
    let waker = Waker::from(Arc::new(Panicking));
    let mut front = Box::pin(semaphore.acquire());
    assert!(front.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let own = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        let _held = held;
        panic!("own");
    }));
    assert_eq!(own.unwrap_err().downcast_ref(), Some(&"own"));
    assert!(front.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn closing_grants_what_fits_and_fails_the_rest() {
    let semaphore = Semaphore::barging(0);
    let mut tasks: Vec<_> = [1, 2, 3].map(|n| queued(&semaphore, n)).into();
    semaphore.add_permits(4);
    semaphore.close();
    let answers: Vec<_> = tasks.iter_mut().map(Task::poll).collect();
    assert_eq!(answers, [Poll::Ready(Ok(())), Poll::Ready(Ok(())), Poll::Ready(Err(()))]);
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (1, 0));
}

#[test]
#[should_panic(expected = "would overflow MAX_PERMITS")]
fn an_overflow_is_refused() {
    let semaphore = Semaphore::barging(<Barging as crate::Policy>::MAX_PERMITS);
    semaphore.add_permits(1);
}

/// What is to be done next, with numbers that are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Start { n: usize },
    Poll { at: usize },
    Drop { at: usize },
    TryAcquire { n: usize },
    Release { n: usize },
    Forget { n: usize },
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..5).prop_map(|n| Step::Start { n }),
        10 => (0_usize..64).prop_map(|at| Step::Poll { at }),
        3 => (0_usize..64).prop_map(|at| Step::Drop { at }),
        5 => (0_usize..4).prop_map(|n| Step::TryAcquire { n }),
        8 => (0_usize..5).prop_map(|n| Step::Release { n }),
        1 => (0_usize..3).prop_map(|n| Step::Forget { n }),
        1 => Just(Step::Close),
    ]
}

/// What the semaphore is, in plain terms.
#[derive(Debug, Default)]
struct Model {
    permits: usize,
    closed: bool,
    /// Who waits, and for how much.
    queue: Vec<(usize, usize)>,
    woken: bool,
    starved: bool,
    lost: u32,
    /// What those who have left the queue are to be told.
    decided: BTreeMap<usize, Result<(), ()>>,
}

impl Model {
    fn admits(&self, n: usize) -> bool {
        !self.closed && (n == 0 || !self.starved && n <= self.permits)
    }

    fn remove(&mut self, at: usize) {
        self.queue.remove(at);
        if at == 0 {
            (self.woken, self.starved, self.lost) = (false, false, 0);
        }
    }

    fn grant_front(&mut self) {
        let (id, need) = self.queue[0];
        self.permits -= need;
        self.decided.insert(id, Ok(()));
        self.remove(0);
    }

    fn serve(&mut self) {
        while let Some(&(_, need)) = self.queue.first() {
            if need > self.permits {
                return;
            }
            if !self.starved {
                self.woken = true;
                return;
            }
            self.grant_front();
        }
    }

    fn poll(&mut self, id: usize) -> Poll<Result<(), ()>> {
        if let Some(decided) = self.decided.remove(&id) {
            return Poll::Ready(decided);
        }
        let is_front = self.queue[0].0 == id;
        if is_front && self.woken {
            if self.queue[0].1 <= self.permits {
                self.grant_front();
                self.decided.remove(&id);
                self.serve();
                return Poll::Ready(Ok(()));
            }
            self.woken = false;
            self.lost += 1;
            self.starved = self.starved || self.lost >= LOST_WAKES;
        }
        Poll::Pending
    }
}

fn run(permits: usize, script: Vec<Step>) -> Result<(), TestCaseError> {
    let semaphore = Semaphore::barging(permits);
    let mut model = Model { permits, ..Model::default() };
    let mut tasks: BTreeMap<usize, Task<'_>> = BTreeMap::new();
    // The clock stands still.
    for (id, step) in script.into_iter().enumerate() {
        let chosen = |at: usize| tasks.keys().nth(at % tasks.len().max(1)).copied();
        match step {
            Step::Start { n } => {
                let expected = if model.closed {
                    Poll::Ready(Err(()))
                } else if model.admits(n) {
                    model.permits -= n;
                    Poll::Ready(Ok(()))
                } else {
                    model.queue.push((id, n));
                    Poll::Pending
                };
                let mut task = Task::new(&semaphore, n);
                prop_assert_eq!(task.poll(), expected);
                if expected.is_pending() {
                    tasks.insert(id, task);
                }
            }
            Step::Poll { at } => {
                if let Some(id) = chosen(at) {
                    let expected = model.poll(id);
                    prop_assert_eq!(tasks.get_mut(&id).unwrap().poll(), expected);
                    if expected.is_ready() {
                        tasks.remove(&id);
                    }
                }
            }
            Step::Drop { at } => {
                if let Some(id) = chosen(at) {
                    let need = tasks[&id].acquire.0.node().need();
                    tasks.remove(&id);
                    match model.decided.remove(&id) {
                        Some(Ok(())) => model.permits += need,
                        Some(Err(())) => {}
                        None => {
                            let at = model.queue.iter().position(|&(queued, _)| queued == id).unwrap();
                            model.remove(at);
                        }
                    }
                    model.serve();
                }
            }
            Step::TryAcquire { n } => {
                let expected = if model.closed {
                    Err(TryAcquireError::Closed)
                } else if model.admits(n) {
                    model.permits -= n;
                    Ok(())
                } else {
                    Err(TryAcquireError::NoPermits)
                };
                prop_assert_eq!(semaphore.try_acquire_n(n).map(|permit| permit.forget()), expected);
            }
            Step::Release { n } => {
                semaphore.add_permits(n);
                model.permits += n;
                model.serve();
            }
            Step::Forget { n } => {
                let expected = if model.starved { 0 } else { n.min(model.permits) };
                model.permits -= expected;
                prop_assert_eq!(semaphore.forget_permits(n), expected);
            }
            Step::Close => {
                semaphore.close();
                while model.queue.first().is_some_and(|&(_, need)| need <= model.permits && !model.closed) {
                    model.grant_front();
                }
                model.closed = true;
                let failed = core::mem::take(&mut model.queue);
                model.decided.extend(failed.into_iter().map(|(id, _)| (id, Err(()))));
                (model.woken, model.starved) = (false, false);
            }
        }
        prop_assert_eq!(semaphore.num_waiters(), model.queue.len());
        prop_assert_eq!(semaphore.available_permits(), if model.starved { 0 } else { model.permits });
        // Whoever was decided, and whoever is the woken front, has been told.
        for (id, task) in &tasks {
            let told = model.decided.contains_key(id) || model.woken && model.queue[0].0 == *id;
            prop_assert!(!told || task.wakes() > 0, "{} was not woken", id);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn scripts_agree_with_the_sequential_model(
        permits in 0_usize..5,
        script in proptest::collection::vec(step(), 1..200),
    ) {
        run(permits, script)?;
    }
}
