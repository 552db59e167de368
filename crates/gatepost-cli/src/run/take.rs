//! Permits of several semaphores, all or none; and before them, if that is wanted, a token of the jobserver around us.
//!
//! They are taken one after the other, in the order of the names, and each is held while the next is waited for: as
//! everybody takes them in that order, nobody can wait for somebody who waits for them. Whatever goes wrong, all that was
//! taken is dropped, and so is the future that waits: that gives back and leaves the queue at once.
//!
//! The token comes first: who has it may wait for permits, but who has permits never waits for it here. So a run that waits
//! for a token keeps nobody from their permits.
//!
//! Everything that may happen meanwhile is in one `poll(2)`: the bell that the futures ring, the jobserver's pipe, signals,
//! the next line, the deadline.

use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gatepost_shared::{Acquire, Lost, Permit, Semaphore};
use rustix::event::{PollFd, PollFlags};
use signal_hook::consts::{SIGTSTP, SIGWINCH};

use super::line::{self, Line};
use crate::child::signals::{ENDING, Signals};
use crate::child::terminal::stop_ourselves;
use crate::each::alarm;
use crate::error::Error;
use crate::jobserver::client::{self, Client, Token};
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
    /// So long, the token and all semaphores together.
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
    /// The semaphore, or the jobserver, says no.
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

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Error(error.into())
    }
}

/// What the futures ring.
pub(crate) fn bell() -> Result<Bell, Error> {
    Bell::new().map_err(|source| Error::SetUp { source })
}

/// Takes a token of a jobserver.
pub(crate) fn token<'a>(
    client: &'a Client,
    patience: Patience,
    quiet: bool,
    bell: &Bell,
    signals: &mut Signals,
) -> Result<Token<'a>, Failure> {
    match patience {
        Patience::None => Ok(client.try_take()?.ok_or(client::Error::Busy)?),
        _ => wait_for(OfAToken { client, since: Instant::now() }, patience, quiet, &mut [], bell, signals),
    }
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
            _ => {
                let future = semaphore.acquire_many(permits).label(label);
                let wait = OfPermits { semaphore: &semaphore, permits, future };
                wait_for(wait, patience, quiet, &mut held, bell, signals)?
            }
        };
        held.push(Held::new(name, semaphore, permit));
    }
    Ok(held)
}

/// Takes permits if they are free.
fn one_now(semaphore: &Semaphore, permits: u32, label: &str) -> Result<Permit, Failure> {
    // A wait of no time at all is a try, and has a label.
    match semaphore.acquire_many(permits).label(label).wait_timeout(Duration::ZERO) {
        Err(gatepost_shared::Error::TimedOut { name, hint, .. }) => {
            let (used, limit, waiting) =
                semaphore.status().map_or((0, 0, 0), |seen| (seen.used, seen.limit, seen.waiters.len()));
            let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
            Err(gatepost_shared::Error::Busy { name, used, limit, waiting, hint }.into())
        }
        taken => Ok(taken?),
    }
}

/// Something that is waited for.
trait Awaited {
    /// What comes of it.
    type Taken;

    /// Takes it, if it is there. If not, the bell rings, or [`Self::descriptor`] is readable, when it may be.
    fn look(&mut self, bell: &Bell) -> Result<Option<Self::Taken>, Failure>;

    /// What `poll` is to wait for besides the bell.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Why it is not there, for the line; `None` if that cannot be seen now.
    fn why(&self) -> Option<String>;

    /// The last look, when time ran out.
    fn give_up(self) -> Result<Self::Taken, Failure>;
}

/// Permits of one semaphore.
struct OfPermits<'a> {
    semaphore: &'a Semaphore,
    permits: u32,
    future: Acquire,
}

impl Awaited for OfPermits<'_> {
    type Taken = Permit;

    fn look(&mut self, bell: &Bell) -> Result<Option<Permit>, Failure> {
        match Pin::new(&mut self.future).poll(&mut Context::from_waker(bell.waker())) {
            Poll::Ready(taken) => Ok(Some(taken?)),
            Poll::Pending => Ok(None),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn why(&self) -> Option<String> {
        // What cannot be seen now is seen later, or is the acquisition's to tell.
        let status = self.semaphore.status().ok()?;
        Some(line::of_permits(&status, self.future.ticket(), self.permits))
    }

    fn give_up(self) -> Result<Permit, Failure> {
        // The last look of a thread: it says, and counts, that time ran out, or finds what came in this instant.
        Ok(self.future.wait_timeout(Duration::ZERO)?)
    }
}

/// A token of a jobserver.
struct OfAToken<'a> {
    client: &'a Client,
    since: Instant,
}

impl<'a> Awaited for OfAToken<'a> {
    type Taken = Token<'a>;

    fn look(&mut self, _: &Bell) -> Result<Option<Token<'a>>, Failure> {
        Ok(self.client.try_take()?)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.client.as_fd())
    }

    fn why(&self) -> Option<String> {
        Some(line::OF_A_TOKEN.to_owned())
    }

    fn give_up(self) -> Result<Token<'a>, Failure> {
        Ok(self.client.try_take()?.ok_or_else(|| client::Error::TimedOut { waited: self.since.elapsed() })?)
    }
}

/// Waits for it while `held` is held.
fn wait_for<A: Awaited>(
    mut awaited: A,
    patience: Patience,
    quiet: bool,
    held: &mut [Held],
    bell: &Bell,
    signals: &mut Signals,
) -> Result<A::Taken, Failure> {
    let since = Instant::now();
    let mut line = Line::new(quiet);
    loop {
        bell.hush();
        if let Some(taken) = awaited.look(bell)? {
            return Ok(taken);
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
            return awaited.give_up();
        }
        if line.is_due(since.elapsed())
            && let Some(why) = awaited.why()
        {
            line.show(&why);
        }
        let next = [left, line.pause(since.elapsed())].into_iter().flatten().min();
        let mut set = vec![PollFd::new(bell, PollFlags::IN), PollFd::new(&*signals, PollFlags::IN)];
        set.extend(awaited.descriptor().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        alarm::wait(&mut set, next).map_err(|source| Error::SetUp { source })?;
    }
}
