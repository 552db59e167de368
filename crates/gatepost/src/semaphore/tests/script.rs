//! Random scripts against the sequential semaphore: tasks and threads in one queue, step by step.
//!
//! One driver takes the steps, so each has one right answer: after each, permits, length of the queue, who has been woken,
//! in which order, and with what, are those of [`Spec`]. The queue starts with a hundred waiters and more. Threads are
//! real: the driver goes on when the queue has grown by the thread that went to wait, or when the thread has reported.

use super::history::{Answer, Id, Spec};
use crate::semaphore::locked::LockWord as _;
use crate::semaphore::policy::Gate;
use crate::semaphore::{Acquire, Semaphore, TryAcquireError};
use crate::{Interrupter, WaitError, WaitOptions};
use proptest::prelude::*;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use std::vec::Vec;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A task, or a thread if one is free, asks for permits.
    Acquire {
        n: usize,
        by_thread: bool,
    },
    TryAcquire {
        n: usize,
    },
    Release {
        n: usize,
    },
    Forget {
        n: usize,
    },
    Drain,
    /// One of those who wait, chosen by this number, gives up: a task is dropped or its deadline comes, a thread is
    /// interrupted.
    GiveUp {
        which: usize,
        by_deadline: bool,
    },
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..5, prop::bool::weighted(0.25)).prop_map(|(n, by_thread)| Step::Acquire { n, by_thread }),
        2 => (0_usize..5).prop_map(|n| Step::TryAcquire { n }),
        5 => (0_usize..60).prop_map(|n| Step::Release { n }),
        1 => (0_usize..9).prop_map(|n| Step::Forget { n }),
        1 => Just(Step::Drain),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, by_deadline)| Step::GiveUp { which, by_deadline }),
    ]
}

/// A script: who waits at first, what happens then, and perhaps a close near the end.
fn script() -> impl Strategy<Value = (Vec<usize>, Vec<Step>)> {
    let crowd = prop::collection::vec(1_usize..4, 100..130);
    let steps = prop::collection::vec(step(), 1..40);
    (crowd, steps, prop::option::weighted(0.3, any::<prop::sample::Index>())).prop_map(|(crowd, mut steps, close)| {
        if let Some(at) = close {
            steps.insert(at.index(steps.len() + 1), Step::Close);
        }
        (crowd, steps)
    })
}

/// A thread that waits when told to.
struct Worker {
    jobs: Sender<Job>,
}

struct Job {
    semaphore: Arc<Semaphore>,
    id: Id,
    n: usize,
    interrupter: Arc<Interrupter>,
    report: Sender<(Id, Answer)>,
}

impl Worker {
    fn new() -> Self {
        let (jobs, work) = channel::<Job>();
        std::thread::spawn(move || {
            for Job { semaphore, id, n, interrupter, report } in work {
                let answer = match semaphore.acquire_n(n).wait_interruptible(&interrupter) {
                    Ok(permit) => {
                        permit.forget();
                        Answer::Granted
                    }
                    Err(WaitError::Closed) => Answer::Closed,
                    Err(_) => Answer::Left,
                };
                // The driver may have gone, after a failure of its own.
                let _ = report.send((id, answer));
            }
        });
        Self { jobs }
    }
}

/// A waker that writes down whom it wakes.
struct Log {
    id: Id,
    woken: Arc<Mutex<Vec<Id>>>,
}

impl Wake for Log {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.id);
    }
}

enum Waiter<'a> {
    Task(Pin<Box<Acquire<'a>>>, Waker),
    Thread(Arc<Interrupter>, Worker),
}

/// The semaphore, its model, and who waits.
struct Driver<'a> {
    semaphore: &'a Arc<Semaphore>,
    spec: Spec,
    waiters: BTreeMap<Id, Waiter<'a>>,
    idle: &'a mut Vec<Worker>,
    woken: Arc<Mutex<Vec<Id>>>,
    report: Sender<(Id, Answer)>,
    reports: Receiver<(Id, Answer)>,
    early: BTreeMap<Id, Answer>,
    next: Id,
}

impl<'a> Driver<'a> {
    fn acquire(&mut self, n: usize, by_thread: bool) {
        let id = self.next;
        self.next += 1;
        self.spec.join(id, n);
        let worker = if by_thread { self.idle.pop() } else { None };
        match worker {
            Some(worker) => {
                let interrupter = Arc::new(Interrupter::new());
                let (semaphore, report) = (self.semaphore.clone(), self.report.clone());
                worker.jobs.send(Job { semaphore, id, n, interrupter: interrupter.clone(), report }).unwrap();
                self.waiters.insert(id, Waiter::Thread(interrupter, worker));
                if self.spec.is_queued(id) {
                    // It has joined when the queue has grown and it has given the lock back.
                    let gate = &self.semaphore.gate;
                    while gate.waiters() != self.spec.queue.len() || gate.look_for_test().is_locked() {
                        std::thread::yield_now();
                    }
                }
            }
            None => {
                let waker = Waker::from(Arc::new(Log { id, woken: self.woken.clone() }));
                let mut acquire = Box::pin(self.semaphore.acquire_n(n));
                let answer = poll(&mut acquire, &waker);
                if self.spec.is_queued(id) {
                    assert_eq!(answer, Answer::Pending);
                    self.waiters.insert(id, Waiter::Task(acquire, waker));
                } else if self.spec.take_grant(id).is_some() {
                    assert_eq!(answer, Answer::Granted);
                } else {
                    self.spec.drop_acquisition(id);
                    assert_eq!(answer, Answer::Closed);
                }
            }
        }
    }

    fn give_up(&mut self, which: usize, by_deadline: bool) {
        let Some(&id) = self.waiters.keys().nth(which % self.waiters.len().max(1)) else {
            return;
        };
        match self.waiters.remove(&id).unwrap() {
            Waiter::Task(mut acquire, _) if by_deadline => {
                let expired = WaitOptions::new().deadline(Instant::now());
                assert_eq!(acquire.as_mut().wait_pinned(expired).map(drop), Err(WaitError::TimedOut));
                drop(acquire);
            }
            Waiter::Task(acquire, _) => drop(acquire),
            Waiter::Thread(interrupter, worker) => {
                interrupter.interrupt();
                assert_eq!(self.reported_by(id), Answer::Left);
                assert!(!interrupter.is_pending(), "consumed by the wait that it ended");
                self.idle.push(worker);
            }
        }
        self.spec.drop_acquisition(id);
    }

    /// What thread `id` reports. Others may be faster: who leaves may let the next one in before it reports.
    fn reported_by(&mut self, id: Id) -> Answer {
        while !self.early.contains_key(&id) {
            let report = self.reports.recv_timeout(Duration::from_secs(60));
            let (id, answer) = report.expect("a thread that was granted or told reports");
            self.early.insert(id, answer);
        }
        self.early.remove(&id).expect("it was just there")
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Acquire { n, by_thread } => self.acquire(n, by_thread),
            Step::TryAcquire { n } => {
                let answer = self.semaphore.try_acquire_n(n).map(|permit| permit.forget());
                let expected = if self.spec.closed {
                    Err(TryAcquireError::Closed)
                } else if n <= self.spec.available() {
                    self.spec.permits -= n;
                    Ok(())
                } else {
                    Err(TryAcquireError::NoPermits)
                };
                assert_eq!(answer, expected);
            }
            Step::Release { n } => {
                self.semaphore.add_permits(n);
                self.spec.release(n);
            }
            Step::Forget { n } => assert_eq!(self.semaphore.forget_permits(n), self.spec.forget(n)),
            Step::Drain => assert_eq!(self.semaphore.drain_permits(), self.spec.forget(usize::MAX)),
            Step::GiveUp { which, by_deadline } => self.give_up(which, by_deadline),
            Step::Close => {
                self.semaphore.close();
                self.spec.close();
            }
        }
        self.compare();
    }

    /// Whoever has an outcome in the model has it, nobody else has, and everything else agrees.
    fn compare(&mut self) {
        let outcomes: Vec<(Id, Answer)> = (self.spec.granted.drain(..).map(|(id, _)| (id, Answer::Granted)))
            .chain(self.spec.failed.drain(..).map(|id| (id, Answer::Closed)))
            .collect();
        let mut woken = Vec::new();
        for &(id, answer) in &outcomes {
            match self.waiters.remove(&id).expect("an outcome is for somebody who waits") {
                Waiter::Task(mut acquire, waker) => {
                    woken.push(id);
                    assert_eq!(poll(&mut acquire, &waker), answer);
                }
                Waiter::Thread(_, worker) => {
                    assert_eq!(self.reported_by(id), answer);
                    self.idle.push(worker);
                }
            }
        }
        assert!(self.early.is_empty(), "threads that nobody let in: {:?}", self.early);
        assert_eq!(*self.woken.lock().unwrap(), woken, "woken, in this order, once each, and nobody else");
        self.woken.lock().unwrap().clear();
        assert_eq!(self.semaphore.num_waiters(), self.spec.queue.len());
        assert_eq!(self.semaphore.available_permits(), self.spec.available());
        assert_eq!(self.semaphore.is_closed(), self.spec.closed);
    }
}

fn poll(acquire: &mut Pin<Box<Acquire<'_>>>, waker: &Waker) -> Answer {
    match acquire.as_mut().poll(&mut Context::from_waker(waker)) {
        Poll::Pending => Answer::Pending,
        Poll::Ready(Err(_)) => Answer::Closed,
        Poll::Ready(Ok(permit)) => {
            permit.forget();
            Answer::Granted
        }
    }
}

fn run(crowd: &[usize], steps: &[Step], idle: &mut Vec<Worker>) {
    let semaphore = Arc::new(Semaphore::new(0));
    let (report, reports) = channel();
    let mut driver = Driver {
        semaphore: &semaphore,
        spec: Spec::new(0),
        waiters: BTreeMap::new(),
        idle,
        woken: Arc::default(),
        report,
        reports,
        early: BTreeMap::new(),
        next: 0,
    };
    for (i, &n) in crowd.iter().enumerate() {
        driver.take(Step::Acquire { n, by_thread: i % 40 == 7 });
    }
    for &step in steps {
        driver.take(step);
    }
    driver.take(Step::Close); // nobody is left behind
    assert!(driver.waiters.is_empty());
}

/// How many scripts; the soak runs more.
fn scripts() -> u32 {
    std::env::var("GATEPOST_SCRIPTS").map_or(10_000, |n| n.parse().expect("a number of scripts"))
}

#[test]
fn scripts_agree_with_the_sequential_semaphore() {
    // In this thread, so that the workers serve all scripts; a worker that failed an assertion ends with its script.
    let workers = Mutex::new((0..6).map(|_| Worker::new()).collect::<Vec<_>>());
    proptest!(ProptestConfig { cases: scripts(), ..ProptestConfig::default() }, |((crowd, steps) in script())| {
        let mut idle = workers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        idle.resize_with(6, Worker::new);
        run(&crowd, &steps, &mut idle);
    });
}
