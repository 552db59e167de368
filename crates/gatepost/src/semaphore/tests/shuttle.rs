//! Random schedules of more threads than loom can take, and histories of them.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p gatepost --lib shuttle`; `GATEPOST_SHUTTLE_ITERATIONS` says how many
//! (default 20,000 for each scheduler). Shuttle is sequentially consistent: no claim on memory ordering rests on it. A
//! batch holds two wakers here, and who meets LOCKED looks once before it sleeps.

use super::history::{Answer, Call, Event, Id, Try, is_linearizable};
use crate::semaphore::{Acquire, AcquireError, Policy, Semaphore};
use crate::sys::explore::explore;
use crate::sys::mutant::{Mutant, caught};
use crate::{TryAcquireError, WaitError, WaitOptions};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Arc;
use shuttle::thread;
use std::boxed::Box;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use std::vec::Vec;

/// What the threads of one execution did. `std`'s mutex: recording is no part of what is scheduled.
#[derive(Default)]
struct Recorder(Mutex<(usize, Vec<Event>)>);

impl Recorder {
    fn now(&self) -> usize {
        let mut inner = self.0.lock().unwrap();
        inner.0 += 1;
        inner.0
    }

    /// Runs `f` and records the call that it says it was.
    fn record<R>(&self, f: impl FnOnce() -> (Call, R)) -> R {
        let begin = self.now();
        let (call, result) = f();
        let end = self.now();
        self.0.lock().unwrap().1.push(Event { call, begin, end, after: None });
        result
    }

    /// Runs a first poll, or a thread's whole wait.
    fn record_first(&self, id: Id, n: usize, f: impl FnOnce() -> Answer) -> Answer {
        let begin = self.now();
        let answer = f();
        let end = self.now();
        let events = &mut self.0.lock().unwrap().1;
        if answer == Answer::Pending {
            events.push(Event { call: Call::Poll { id, n, answer }, begin, end, after: None });
        } else {
            let join = events.len();
            events.push(Event { call: Call::Join { id, n }, begin, end, after: None });
            events.push(Event { call: Call::Done { id, answer }, begin, end, after: Some(join) });
        }
        answer
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

struct World {
    semaphore: Semaphore,
    recorder: Recorder,
}

/// One thread's doings: a few random calls, of tasks that it polls and drops, of waits, of everything else.
fn act(world: &World, thread: usize, closes: bool) {
    let World { semaphore, recorder } = world;
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut tasks: Vec<(Id, usize, Pin<Box<Acquire<'_>>>)> = Vec::new();
    for step in 0..4 {
        let id = thread * 10 + step;
        let n = thread_rng().gen_range(0..4);
        match thread_rng().gen_range(0..if closes { 8 } else { 7 }) {
            0 | 1 => {
                let mut task = Box::pin(semaphore.acquire_n(n));
                if recorder.record_first(id, n, || poll(task.as_mut(), &mut cx)) == Answer::Pending {
                    tasks.push((id, n, task));
                }
            }
            2 => {
                if let Some((id, n, mut task)) = tasks.pop() {
                    let pending = recorder.record(|| {
                        let answer = poll(task.as_mut(), &mut cx);
                        (Call::Poll { id, n, answer }, answer == Answer::Pending)
                    });
                    if pending {
                        tasks.push((id, n, task));
                    }
                }
            }
            3 => {
                if let Some((id, _, task)) = tasks.pop() {
                    recorder.record(|| (Call::Drop { id }, drop(task)));
                }
            }
            4 => recorder.record(|| {
                let answer = match semaphore.try_acquire_n(n) {
                    Ok(permit) => {
                        permit.forget();
                        Try::Taken
                    }
                    Err(TryAcquireError::NoPermits) => Try::NoPermits,
                    Err(TryAcquireError::Closed) => Try::Closed,
                };
                (Call::TryAcquire { n, answer }, ())
            }),
            5 => recorder.record(|| (Call::Release { n }, semaphore.add_permits(n))),
            6 => match thread_rng().gen_range(0..3) {
                0 => recorder.record(|| (Call::Available { answer: semaphore.available_permits() }, ())),
                1 => recorder.record(|| (Call::Forget { n, answer: semaphore.forget_permits(n) }, ())),
                _ => drop(recorder.record_first(id, n, || {
                    // The deadline comes when this thread is scheduled next: at any moment, that is.
                    let mut acquire = Box::pin(semaphore.acquire_n(n));
                    let first = poll(acquire.as_mut(), &mut cx);
                    if first != Answer::Pending {
                        return first;
                    }
                    match acquire.as_mut().wait_pinned(WaitOptions::new().deadline(Instant::now())) {
                        Ok(permit) => {
                            permit.forget();
                            Answer::Granted
                        }
                        Err(WaitError::Closed) => Answer::Closed,
                        Err(_) => Answer::Left,
                    }
                })),
            },
            _ => recorder.record(|| (Call::Close, semaphore.close())),
        }
    }
    for (id, _, task) in tasks {
        recorder.record(|| (Call::Drop { id }, drop(task)));
    }
}

/// Polls; what is granted is not given back when the task is dropped.
fn poll(task: Pin<&mut Acquire<'_>>, cx: &mut Context<'_>) -> Answer {
    match task.poll(cx) {
        Poll::Pending => Answer::Pending,
        Poll::Ready(Err(_)) => Answer::Closed,
        Poll::Ready(Ok(permit)) => {
            permit.forget();
            Answer::Granted
        }
    }
}

fn history(closes: bool) {
    let permits = thread_rng().gen_range(0..4);
    let world = Arc::new(World { semaphore: Semaphore::new(permits), recorder: Recorder::default() });
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let world = world.clone();
            thread::spawn(move || act(&world, thread, closes))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let World { semaphore, recorder } = &*world;
    assert_eq!(semaphore.num_waiters(), 0);
    recorder.record(|| (Call::Available { answer: semaphore.available_permits() }, ()));
    let history = &recorder.0.lock().unwrap().1;
    assert!(is_linearizable(permits, history), "not linearizable from {permits} permits: {history:#?}");
}

#[test]
fn histories_are_linearizable() {
    explore(|| history(false));
}

#[test]
fn histories_with_close_are_linearizable() {
    explore(|| history(true));
}

/// One waiter, one release, one close, and nothing else: often enough the deposit is there, and not yet served, when the
/// closer has the lock.
fn close_meets_a_deposit() {
    let world = Arc::new(World { semaphore: Semaphore::new(0), recorder: Recorder::default() });
    let spawn = |f: fn(&World)| {
        let world = world.clone();
        thread::spawn(move || f(&world))
    };
    let threads = [
        spawn(|World { semaphore, recorder }| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut task = Box::pin(semaphore.acquire());
            let mut answer = recorder.record_first(0, 1, || poll(task.as_mut(), &mut cx));
            for _ in 0..3 {
                if answer == Answer::Pending {
                    answer = recorder.record(|| {
                        let answer = poll(task.as_mut(), &mut cx);
                        (Call::Poll { id: 0, n: 1, answer }, answer)
                    });
                }
            }
            recorder.record(|| (Call::Drop { id: 0 }, drop(task)));
        }),
        spawn(|World { semaphore, recorder }| {
            recorder.record(|| (Call::Release { n: 1 }, semaphore.add_permits(1)));
        }),
        spawn(|World { semaphore, recorder }| recorder.record(|| (Call::Close, semaphore.close()))),
    ];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let World { semaphore, recorder } = &*world;
    recorder.record(|| (Call::Available { answer: semaphore.available_permits() }, ()));
    let history = &recorder.0.lock().unwrap().1;
    assert!(is_linearizable(0, history), "not linearizable: {history:#?}");
}

#[test]
fn a_close_that_meets_a_deposit_is_linearizable() {
    explore(close_meets_a_deposit);
}

const HISTORIES: &str = "semaphore::tests::shuttle::histories_are_linearizable";
const CLOSE_MEETS_DEPOSIT: &str = "semaphore::tests::shuttle::a_close_that_meets_a_deposit_is_linearizable";

#[test]
fn histories_reject_an_answer_in_motion() {
    caught(Mutant::AnswerInMotion, HISTORIES, "not linearizable");
}

#[test]
fn histories_reject_a_close_that_fails_a_served_front() {
    caught(Mutant::CloseFailsServedHead, CLOSE_MEETS_DEPOSIT, "not linearizable");
}

#[test]
fn histories_reject_overtaking() {
    caught(Mutant::Overtake, HISTORIES, "panicked");
}

#[test]
fn histories_reject_a_lost_grant() {
    caught(Mutant::GrantLost, HISTORIES, "not linearizable");
}

/// A grant, and whoever waits for it as a task of the executor here: a thread that parks between polls.
fn block_on<P: Policy>(semaphore: &Semaphore<P>, n: usize) -> Result<(), AcquireError> {
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut acquire = Box::pin(semaphore.acquire_n(n));
    loop {
        match acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result.map(|permit| permit.forget()),
            Poll::Pending => thread::park(),
        }
    }
}

/// Twelve waiters of mixed weights, threads and tasks, some of whom give up; permits come in drops. Everybody who stays
/// is served.
fn crowd<P: Policy>(semaphore: Semaphore<P>) {
    let semaphore = Arc::new(semaphore);
    let mut needed = 0;
    let waiters: Vec<_> = (0..12)
        .map(|i| {
            let semaphore = semaphore.clone();
            let n = thread_rng().gen_range(1..4);
            let kind = i % 3;
            needed += n;
            thread::spawn(move || match kind {
                0 => block_on(&semaphore, n).map(|()| n).unwrap(),
                1 => semaphore.acquire_n(n).wait().map(|permit| permit.forget()).map(|()| n).unwrap(),
                _ => {
                    let mut acquire = Box::pin(semaphore.acquire_n(n));
                    match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                        Poll::Ready(result) => {
                            result.unwrap().forget();
                            n
                        }
                        Poll::Pending => 0, // gives up
                    }
                }
            })
        })
        .collect();
    let releasers: Vec<_> = (0..2)
        .map(|i| {
            let semaphore = semaphore.clone();
            let n = if i == 0 { needed / 2 } else { needed - needed / 2 };
            thread::spawn(move || (0..n).for_each(|_| semaphore.add_permits(1)))
        })
        .collect();
    releasers.into_iter().for_each(|thread| thread.join().unwrap());
    let taken: usize = waiters.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(taken + semaphore.available_permits(), needed);
    assert_eq!(semaphore.num_waiters(), 0);
}

#[test]
fn a_crowd_is_served() {
    explore(|| crowd(Semaphore::new(0)));
}

const CROWD: &str = "semaphore::tests::shuttle::a_crowd_is_served";

#[test]
fn a_crowd_is_stranded_by_a_blind_unlock() {
    caught(Mutant::BlindUnlock, CROWD, "panicked");
}

#[test]
fn a_crowd_is_stranded_by_cancelling_without_serving() {
    caught(Mutant::CancelWithoutServing, CROWD, "deadlock");
}

/// A crowd, and one release for all: more than a batch.
fn storm<P: Policy>(semaphore: Semaphore<P>) {
    let semaphore = Arc::new(semaphore);
    let waiters: Vec<_> = (0..7)
        .map(|i| {
            let semaphore = semaphore.clone();
            thread::spawn(move || {
                if i % 2 == 0 {
                    block_on(&semaphore, 1).unwrap();
                } else {
                    semaphore.acquire().wait().unwrap().forget();
                }
            })
        })
        .collect();
    semaphore.add_permits(7);
    waiters.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn a_storm_is_served_in_batches() {
    explore(|| storm(Semaphore::new(0)));
}

#[test]
fn a_storm_is_stranded_by_an_unpaid_debt() {
    caught(Mutant::DebtUnpaid, "semaphore::tests::shuttle::a_storm_is_served_in_batches", "deadlock");
}

#[test]
fn barging_a_crowd_is_served() {
    explore(|| crowd(Semaphore::barging(0)));
}

const BARGING_CROWD: &str = "semaphore::tests::shuttle::barging_a_crowd_is_served";

#[test]
fn barging_a_crowd_is_stranded_by_a_lost_turn() {
    caught(Mutant::TurnLost, BARGING_CROWD, "deadlock");
}

#[test]
fn barging_a_crowd_is_stranded_by_an_unlock_that_does_not_look() {
    caught(Mutant::UnlockUnseen, BARGING_CROWD, "deadlock");
}

#[test]
fn barging_a_storm_is_served_one_by_one() {
    explore(|| storm(Semaphore::barging(0)));
}

/// Threads that take and give back without end, tasks and threads that wait, and one that gives up: each acquisition that
/// passes the front has a ticket. There is no clock here: the patience is one lost wake-up, or two overtakings.
fn overtaking() {
    const BARGERS: usize = 2;
    const PATIENCE: usize = 2;
    let semaphore = Arc::new(Semaphore::barging(1));
    let held = semaphore.try_acquire().unwrap();
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut front = Box::pin(semaphore.acquire());
    assert!(front.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held);
    let tickets = Arc::new(Mutex::new(0));
    let bargers: Vec<_> = (0..BARGERS)
        .map(|_| {
            let (semaphore, tickets) = (semaphore.clone(), tickets.clone());
            thread::spawn(move || {
                for _ in 0..8 {
                    if let Ok(permit) = semaphore.try_acquire() {
                        if semaphore.num_waiters() > 0 {
                            *tickets.lock().unwrap() += 1;
                        }
                        drop(permit);
                    }
                }
            })
        })
        .collect();
    while front.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
    bargers.into_iter().for_each(|barger| barger.join().unwrap());
    let tickets = *tickets.lock().unwrap();
    // Each barger may have looked just before the front's patience was out, and may have lost a count to another.
    assert!(tickets <= PATIENCE + 2 * BARGERS, "{tickets} passed the front");
}

#[test]
fn barging_is_bounded() {
    explore(overtaking);
}

#[test]
fn barging_without_a_bound_is_seen() {
    caught(Mutant::EndlessPatience, "semaphore::tests::shuttle::barging_is_bounded", "passed the front");
}
