//! `--sem`: permits of a semaphore of the machine, besides the run's own.
//!
//! A job takes its weight of both: first of the run's own permits, then of the machine's, so that of one run only the job at the
//! front waits in the machine's queue. The permit names the job's process before that runs (`child::gate`), and so outlives us
//! while the job runs: to kill `gatepost each` frees nothing under its jobs.

use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::process::{Child, Command};
use std::task::{Context, Poll};

use gatepost_shared::{Lost, Permit, Semaphore};
use rustix::event::{PollFd, PollFlags};

use super::alarm::{self, Alarm};
use crate::child::gate::{self, Extras, Refusal};
use crate::error::Error;
use crate::machine::bell::Bell;
use crate::machine::limit::Limit;
use crate::machine::open::Place;
use crate::run::nested;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The semaphore.
    pub(crate) name: String,
    /// The limit to create it with, or to insist on.
    pub(crate) limit: Option<Limit>,
    /// Where it is.
    pub(crate) place: Place,
}

/// The semaphore of the machine, and how its queue is heard of.
#[derive(Debug)]
pub(crate) struct Machine {
    name: String,
    semaphore: Semaphore,
    bell: Bell,
}

/// What a job holds of it.
#[derive(Debug)]
pub(crate) struct Held {
    permit: Permit,
    /// What the job finds in its environment.
    variables: [(&'static str, std::ffi::OsString); 2],
}

impl Machine {
    /// Opens what `wish` names.
    pub(crate) fn open(wish: &Wish) -> Result<Self, Error> {
        let mut options = wish.place.options().session_name("each");
        if let Some(limit) = wish.limit {
            options = options.limit(limit.count());
        }
        let semaphore = Semaphore::open(&wish.name, &options)?;
        if nested::held_around(&nested::ancestors(), &semaphore)?.is_some() {
            return Err(Error::Nested { name: wish.name.clone() });
        }
        let bell = Bell::new().map_err(|source| Error::SetUp { source })?;
        Ok(Self { name: wish.name.clone(), semaphore, bell })
    }

    /// Waits for `weight` permits for a job that listings call `label`; `None` once `no_more` rings.
    pub(crate) fn take(&self, weight: usize, label: &str, no_more: &Alarm) -> Result<Option<Held>, Error> {
        let permits = u32::try_from(weight).unwrap_or(u32::MAX);
        let mut future = self.semaphore.acquire_many(permits).label(label);
        loop {
            self.bell.hush();
            if let Poll::Ready(taken) = Pin::new(&mut future).poll(&mut Context::from_waker(self.bell.waker())) {
                let permit = taken?;
                let held = nested::for_descendants(&nested::ancestors(), [(self.semaphore.path(), permit.id())]);
                let name = format!("{}:{}", self.name, permit.id());
                let variables = [(nested::VARIABLE, held), ("GATEPOST_PERMIT", name.into())];
                return Ok(Some(Held { permit, variables }));
            }
            if no_more.is_rung() {
                // Dropping the future leaves the queue.
                return Ok(None);
            }
            let mut set = [PollFd::new(&self.bell, PollFlags::IN), PollFd::new(no_more, PollFlags::IN)];
            alarm::wait(&mut set, None).map_err(|source| Error::SetUp { source })?;
        }
    }
}

impl Held {
    /// Starts `command`, which keeps the permit.
    pub(crate) fn spawn(&self, mut command: Command) -> Result<Child, Refusal<gatepost_shared::Error>> {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        gate::spawn(command, &Extras::default(), |pid| self.permit.keep(pid.as_raw_nonzero().get().unsigned_abs()))
    }

    /// How the loss of the permit is heard of.
    pub(crate) fn loss(&self) -> std::io::Result<Loss> {
        Ok(Loss { bell: Bell::new()?, lost: Box::pin(self.permit.lost()), is_known: false })
    }
}

/// Hears of the loss of a job's permit.
#[derive(Debug)]
pub(crate) struct Loss {
    bell: Bell,
    lost: Pin<Box<Lost>>,
    is_known: bool,
}

impl Loss {
    /// Whether it is lost, once: the first time that it is seen.
    pub(crate) fn is_new(&mut self) -> bool {
        if self.is_known {
            return false;
        }
        self.bell.hush();
        self.is_known = self.lost.as_mut().poll(&mut Context::from_waker(self.bell.waker())).is_ready();
        self.is_known
    }
}

impl AsFd for Loss {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
