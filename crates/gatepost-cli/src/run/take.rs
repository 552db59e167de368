//! Permits of several semaphores, all or none.
//!
//! They are taken one after the other, in the order of the names, and each is held while the next is waited for: as
//! everybody takes them in that order, nobody can wait for somebody who waits for them. Whatever goes wrong, all that was
//! taken is dropped, and so is the future that waits: that gives back and leaves the queue at once.
//!
//! Everything that may happen meanwhile is in one `poll(2)`: the bell that the futures ring, signals, the next line, the
//! deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gatepost_shared::{Lost, Permit, Semaphore};
use rustix::event::{PollFd, PollFlags};
use signal_hook::consts::{SIGTSTP, SIGWINCH};

use super::line::Line;
use crate::child::signals::{ENDING, Signals};
use crate::child::terminal::stop_ourselves;
use crate::each::alarm;
use crate::error::Error;
use crate::machine::bell::Bell;
use crate::machine::name::PermitName;

/// What is held of one semaphore.
pub(crate) struct Held {
    /// Its name, as it was given.
    pub(crate) name: String,
    /// The permit; ahead of the semaphore, which it belongs to.
    pub(crate) permit: Permit,
    /// The semaphore.
    pub(crate) semaphore: Semaphore,
    lost: Pin<Box<Lost>>,
}

impl Held {
    /// A permit of `semaphore`.
    pub(crate) fn new(name: &str, semaphore: Semaphore, permit: Permit) -> Self {
        let lost = Box::pin(permit.lost());
        Self { name: name.to_owned(), permit, semaphore, lost }
    }

    /// Its name on the command line.
    pub(crate) fn permit_name(&self) -> PermitName {
        PermitName { name: self.name.clone(), id: self.permit.id() }
    }

    /// Whether it was taken away; if not, the bell is rung when that happens.
    pub(crate) fn is_lost(&mut self, bell: &Bell) -> bool {
        self.lost.as_mut().poll(&mut Context::from_waker(bell.waker())).is_ready()
    }
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// For ever.
    Endless,
    /// So long, all semaphores together.
    Until {
        /// From then on.
        begun: Instant,
        /// For so long.
        time: Duration,
    },
}

impl Patience {
    /// What is left of it.
    fn left(self) -> Option<Duration> {
        match self {
            Self::None => Some(Duration::ZERO),
            Self::Endless => None,
            Self::Until { begun, time } => Some(time.saturating_sub(begun.elapsed())),
        }
    }
}

/// Why nothing was taken.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The semaphore says no.
    Error(Error),
    /// A signal came that ends us.
    Signal(i32),
    /// While one was waited for, another one was taken away.
    Lost {
        /// Which one.
        permit: String,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<gatepost_shared::Error> for Failure {
    fn from(error: gatepost_shared::Error) -> Self {
        Self::Error(error.into())
    }
}

/// What the futures ring.
pub(crate) fn bell() -> Result<Bell, Error> {
    Bell::new().map_err(|source| Error::SetUp { source })
}

/// Takes so many permits of each, or none.
pub(crate) fn all(
    wanted: Vec<(&str, Semaphore, u32)>,
    label: &str,
    patience: Patience,
    quiet: bool,
    bell: &Bell,
    signals: &mut Signals,
) -> Result<Vec<Held>, Failure> {
    let mut held = Vec::with_capacity(wanted.len());
    for (name, semaphore, permits) in wanted {
        let permit = match patience {
            // There is no way to be refused for the sake of others in a queue that one does not enter.
            Patience::None => one_now(&semaphore, permits, label)?,
            _ => one(&semaphore, permits, label, patience, quiet, &mut held, bell, signals)?,
        };
        held.push(Held::new(name, semaphore, permit));
    }
    Ok(held)
}

/// Takes permits if they are free.
fn one_now(semaphore: &Semaphore, permits: u32, label: &str) -> Result<Permit, Failure> {
    // A wait of no time at all is a try, and has a label.
    match semaphore.acquire_many(permits).label(label).wait_timeout(Duration::ZERO) {
        Err(gatepost_shared::Error::TimedOut { name, .. }) => {
            let (used, limit, waiting) =
                semaphore.status().map_or((0, 0, 0), |seen| (seen.used, seen.limit, seen.waiters.len()));
            let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
            Err(gatepost_shared::Error::Busy { name, used, limit, waiting }.into())
        }
        taken => Ok(taken?),
    }
}

#[expect(clippy::too_many_arguments, reason = "one wait, and all that may end it")]
fn one(
    semaphore: &Semaphore,
    permits: u32,
    label: &str,
    patience: Patience,
    quiet: bool,
    held: &mut [Held],
    bell: &Bell,
    signals: &mut Signals,
) -> Result<Permit, Failure> {
    let since = Instant::now();
    let mut line = Line::new(quiet);
    let mut future = semaphore.acquire_many(permits).label(label);
    loop {
        bell.hush();
        if let Poll::Ready(taken) = Pin::new(&mut future).poll(&mut Context::from_waker(bell.waker())) {
            return Ok(taken?);
        }
        if let Some(lost) = held.iter_mut().find_map(|held| held.is_lost(bell).then(|| held.permit_name())) {
            return Err(Failure::Lost { permit: lost.to_string() });
        }
        for signal in signals.pending() {
            match signal {
                SIGTSTP => {
                    line.clear();
                    stop_ourselves();
                }
                SIGWINCH => line.clear(),
                _ if ENDING.contains(&signal) => return Err(Failure::Signal(signal)),
                _ => {}
            }
        }
        let left = patience.left();
        if left == Some(Duration::ZERO) {
            // The last look of a thread: it says, and counts, that time ran out, or finds what came in this instant.
            return Ok(future.wait_timeout(Duration::ZERO)?);
        }
        if line.is_due(since.elapsed()) {
            // What cannot be seen now is seen later, or is the acquisition's to tell.
            if let Ok(status) = semaphore.status() {
                line.show(&status, future.ticket(), permits);
            }
        }
        let next = [left, line.pause(since.elapsed())].into_iter().flatten().min();
        let mut set = [PollFd::new(bell, PollFlags::IN), PollFd::new(&*signals, PollFlags::IN)];
        alarm::wait(&mut set, next).map_err(|source| Error::SetUp { source })?;
    }
}
