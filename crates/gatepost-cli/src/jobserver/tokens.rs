//! Where tokens come from: what the pump needs of a semaphore, and a semaphore of the machine that gives it.
//!
//! `Shared` is one session, named [`SESSION`], so builds are counted by their sessions. Each token is a grant of its own,
//! kept for the process of the build: if we are killed, it is held until that process has ended.
//!
//! Nothing tells us when somebody begins to wait, or stops. So where the pump must know, a thread waits for the next
//! change of the semaphore and rings, once for each time that it was asked to, and no more than every [`PAUSE`]: on a
//! busy semaphore that is a bounded number of looks, on a quiet one it is none.

use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use gatepost_shared::{Acquire, Error, Observer, Options, Permit, Semaphore};

use super::share::Share;

/// What the session of a build is called.
pub(crate) const SESSION: &str = "jobserver";
/// The least time between two rings of the watch.
const PAUSE: Duration = Duration::from_millis(20);
/// For how long the watch waits in one piece, so that it ends soon after it was told to.
const PIECE: Duration = Duration::from_millis(500);

/// Where tokens come from.
pub(crate) trait Tokens {
    /// A token; dropping it gives it back.
    type Token;

    /// Asks for one, or goes on with asking: the waker is woken when it is worth another call.
    fn poll_acquire(&mut self, waker: &Waker) -> Poll<Result<Self::Token, Error>>;

    /// Asks no more.
    fn cancel(&mut self);

    /// How the semaphore is shared.
    fn share(&mut self) -> Result<Share, Error>;

    /// Has the waker woken once when anything has changed since the last [`share`](Self::share).
    fn watch(&mut self, waker: &Waker);
}

/// Tokens from a semaphore of the machine.
#[derive(Debug)]
pub(crate) struct Shared {
    semaphore: Semaphore,
    observer: Arc<Observer>,
    label: String,
    /// The process of the build, for which they are kept.
    build: u32,
    asked: Option<Pin<Box<Acquire>>>,
    watch: Option<Watch>,
}

impl Shared {
    /// Tokens of `semaphore`, which `options` open.
    pub(crate) fn new(semaphore: Semaphore, options: &Options, label: String) -> Result<Self, Error> {
        // A name is looked for where the semaphore was found: by its path.
        let path = semaphore.path().to_string_lossy().into_owned();
        let observer = Arc::new(Observer::open(&path, options)?);
        Ok(Self { semaphore, observer, label, build: std::process::id(), asked: None, watch: None })
    }

    /// The same, kept for the process `build`.
    pub(crate) fn of_build(self, build: u32) -> Self {
        Self { build, ..self }
    }
}

impl Tokens for Shared {
    type Token = Permit;

    fn poll_acquire(&mut self, waker: &Waker) -> Poll<Result<Permit, Error>> {
        let Self { semaphore, label, asked, build, .. } = self;
        let acquire = asked.get_or_insert_with(|| Box::pin(semaphore.acquire().label(label)));
        let answer = acquire.as_mut().poll(&mut Context::from_waker(waker));
        if answer.is_ready() {
            *asked = None;
        }
        // From here on it outlives us; before, it was nobody's.
        answer.map(|answer| answer.and_then(|permit| permit.keep(*build).map(|()| permit)))
    }

    fn cancel(&mut self) {
        self.asked = None;
    }

    fn share(&mut self) -> Result<Share, Error> {
        let status = self.observer.status()?;
        let own = self.semaphore.session();
        let others = || status.waiters.iter().filter(|it| (it.session.index, it.session.generation) != own);
        let builds = status.sessions.iter().filter(|session| session.alive && session.name == SESSION).count();
        Ok(Share {
            limit: status.limit,
            builds: u32::try_from(builds).unwrap_or(u32::MAX),
            build_waits: others().any(|waiter| waiter.session.name == SESSION),
            others_wait: others().next().is_some(),
        })
    }

    fn watch(&mut self, waker: &Waker) {
        if self.watch.is_none() {
            self.watch = Watch::start(Arc::clone(&self.observer), waker.clone()).ok();
        }
        if let Some(watch) = &self.watch {
            watch.0.set(Order::Watch);
        }
    }
}

/// The thread that waits for changes. It ends soon after this is dropped; nobody waits for that.
#[derive(Debug)]
struct Watch(Arc<Desk>);

/// What the thread is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Rest,
    Watch,
    End,
}

/// Where it is told.
#[derive(Debug)]
struct Desk {
    order: Mutex<Order>,
    changed: Condvar,
}

impl Desk {
    fn set(&self, order: Order) {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner) = order;
        self.changed.notify_one();
    }

    fn get(&self) -> Order {
        *self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do; false: it is to end.
    fn wait(&self) -> bool {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = |order: &mut Order| *order == Order::Rest;
        *self.changed.wait_while(order, resting).unwrap_or_else(PoisonError::into_inner) != Order::End
    }

    /// Waits for `time` to pass, or for the end; false: the end.
    fn pause(&self, time: Duration) -> bool {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let going_on = |order: &mut Order| *order != Order::End;
        let (order, _) = self.changed.wait_timeout_while(order, time, going_on).unwrap_or_else(PoisonError::into_inner);
        *order != Order::End
    }
}

impl Watch {
    fn start(observer: Arc<Observer>, waker: Waker) -> std::io::Result<Self> {
        let desk = Arc::new(Desk { order: Mutex::new(Order::Rest), changed: Condvar::new() });
        let told = Arc::clone(&desk);
        thread::Builder::new().name("watch".to_owned()).spawn(move || {
            while told.wait() {
                while told.get() == Order::Watch {
                    if observer.wait_change(PIECE) {
                        // Before it rings, so that an order which comes of it is not lost.
                        told.set_unless_ended(Order::Rest);
                        waker.wake_by_ref();
                    }
                }
                if !told.pause(PAUSE) {
                    break;
                }
            }
        })?;
        Ok(Self(desk))
    }
}

impl Desk {
    fn set_unless_ended(&self, next: Order) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if *order != Order::End {
            *order = next;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.set(Order::End);
    }
}
