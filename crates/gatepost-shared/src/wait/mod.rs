//! Waiting for permits: a thread sleeps on its own word in the file, a task is woken by its session's helper; both are in one queue.
//!
//! # Protocol
//!
//! | step | who waits | who answers
//! |:----:|-----------|-------------
//! | 1 | under the lock: a row, waiting, at the tail | under the lock: the row's word says granted or refused
//! | 2 | takes back what the dead hold | bumps the row's futex, or the session's doorbell
//! | 3 | reads the futex (or has its waker listed), then the word: an answer ends the wait | leaves the lock
//! | 4 | sleeps while the futex (the doorbell) is what it was | wakes whoever sleeps there
//! | 5 | under the lock: claims the grant, frees the row |
//!
//! No wake-up is lost: if the answer comes before 3, the word says so; if after, the futex has changed or the sleeper is woken. If
//! the one who answers dies between its 3 and 4, the sleeper looks again after [`RECHECK`].
//!
//! Between 1 and 4 nobody else is asked anything: an acquisition that waits costs two critical sections, two system calls to
//! sleep and to be woken, and one for each session that holds permits.

mod doorbell;
mod watcher;

pub(crate) use doorbell::Doorbell;
pub(crate) use watcher::{Watching, watch};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire as AcquireOrdering, Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::layout::State;
use crate::permit::Permit;
use crate::session::Session;
use crate::status::PermitId;
use crate::table::{Answer, Turn, Why};
use crate::{clock, futex};

/// How often a sleeper looks for itself: a bound on what a death at the wrong moment costs.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);

/// A wait for permits: a future, or a thread's wait by one of the methods named `wait`.
///
/// *Fairness.* All that wait for the semaphore, in all processes, are served in the order in which they came, each with all its
/// permits at once; see [`Policy`](crate::Policy) for the other order.
///
/// *Cancel safety.* To drop it, at any moment, leaves the queue; permits that had been granted but not seen are given back.
///
/// *Memory ordering.* What a holder did before it gave permits back happens before what the next holder of those permits does.
///
/// *Cost.* Free permits: no system call. Otherwise see [`wait`](self).
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.limit(8))?;
/// use std::time::Duration;
///
/// let permit = build.acquire_many(2).label("linking").wait_timeout(Duration::from_secs(5))?;
/// assert_eq!((permit.permits(), permit.slots()), (2, vec![0, 1]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nobody waits until it is polled or one of its `wait`s is called"]
pub struct Acquire {
    session: Arc<Session>,
    permits: u32,
    label: String,
    since: Option<Instant>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It has not begun.
    New,
    /// It is in the queue.
    Queued { turn: Turn, _watching: Watching },
    /// It is over.
    Done,
}

impl Acquire {
    pub(crate) fn new(session: Arc<Session>, permits: u32) -> Self {
        Self { session, permits, label: String::new(), since: None, stage: Stage::New }
    }

    /// What listings call the wait, and the permit; it is cut at 112 bytes.
    pub fn label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// Blocks the thread until the permits are there.
    ///
    /// # Errors
    ///
    /// [`Error::ExceedsLimit`], at once or when the limit is lowered; [`Error::QueueFull`], [`Error::GrantsFull`],
    /// [`Error::Revoked`], [`Error::Poisoned`], [`Error::Forked`], [`Error::SessionLost`].
    pub fn wait(self) -> Result<Permit, Error> {
        self.wait_until(None)
    }

    /// Blocks the thread until the permits are there, for `time` at most.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`Error::TimedOut`]. With no time at all it is a try that takes back what the dead hold.
    pub fn wait_timeout(self, time: Duration) -> Result<Permit, Error> {
        // A time that no clock can count is no bound.
        self.wait_until(Instant::now().checked_add(time))
    }

    /// Blocks the thread until the permits are there, or until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_deadline(self, deadline: Instant) -> Result<Permit, Error> {
        self.wait_until(Some(deadline))
    }

    /// The place in the order of arrival, as in [`Status::waiters`](crate::Status::waiters): while it is in the queue.
    #[must_use]
    pub fn ticket(&self) -> Option<u64> {
        match self.stage {
            Stage::Queued { turn, .. } => Some(turn.serial),
            Stage::New | Stage::Done => None,
        }
    }

    fn wait_until(mut self, deadline: Option<Instant>) -> Result<Permit, Error> {
        if let Some(permit) = self.begin(false)? {
            return Ok(permit);
        }
        let table = Arc::clone(&self.session.table);
        loop {
            let Stage::Queued { turn, .. } = self.stage else { return Err(self.unanswered()) };
            let Some(row) = table.map().waiter(turn.index) else { return Err(self.unanswered()) };
            // It may have been begun as a future's.
            row.task.store(0, Relaxed);
            // ORDERING: Acquire pairs with the Release of `bump`: protocol, step 3.
            let seen = row.futex.load(AcquireOrdering);
            if table.state_of(turn) != State::Active {
                if let Some(permit) = self.finish()? {
                    return Ok(permit);
                }
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return self.give_up(Why::TimedOut)?.ok_or_else(|| self.timed_out());
            }
            futex::wait(futex::of(&row.futex), seen, left.map_or(RECHECK, |left| left.min(RECHECK)));
        }
    }

    /// Takes the permits if they are free, or a place in the queue.
    fn begin(&mut self, task: bool) -> Result<Option<Permit>, Error> {
        match self.stage {
            Stage::New => {}
            Stage::Queued { .. } => return Ok(None),
            Stage::Done => panic!("an acquisition that is over was polled again"),
        }
        if self.permits == 0 {
            return Err(Error::Zero);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        debug_assert!(since <= Instant::now());
        let table = &self.session.table;
        let now = clock::boot_ns();
        let (permits, label) = (self.permits, self.label.as_str());
        let answer = table.section(|section| section.acquire(permits, label, task, now))?;
        if let Answer::Waiting(turn) = answer {
            self.stage = Stage::Queued { turn, _watching: watch(table)? };
            table.reap()?;
            return Ok(None);
        }
        self.take(answer)
    }

    /// Takes the answer, if there is one.
    fn finish(&mut self) -> Result<Option<Permit>, Error> {
        let Stage::Queued { turn, .. } = self.stage else { return Err(self.unanswered()) };
        let now = clock::boot_ns();
        let answer = self.session.table.section(|section| Ok(section.answer(turn, now)))?;
        self.take(answer)
    }

    /// Leaves the queue, unless the answer has come.
    fn give_up(&mut self, why: Why) -> Result<Option<Permit>, Error> {
        let Stage::Queued { turn, .. } = self.stage else { return Ok(None) };
        let now = clock::boot_ns();
        let answer = self.session.table.section(|section| section.give_up(turn, why, now))?;
        if matches!(answer, Answer::Waiting(_)) {
            self.stage = Stage::Done;
            return Ok(None);
        }
        self.take(answer)
    }

    fn take(&mut self, answer: Answer) -> Result<Option<Permit>, Error> {
        let ticket = self.ticket();
        match answer {
            Answer::Waiting(_) => return Ok(None),
            Answer::Granted(grant) => {
                self.stage = Stage::Done;
                return Ok(Some(Permit::new(Arc::clone(&self.session), grant)));
            }
            Answer::Revoked | Answer::Refused { .. } | Answer::Lost => self.stage = Stage::Done,
        }
        let table = &self.session.table;
        Err(match answer {
            Answer::Refused { asked, limit } => Error::ExceedsLimit { name: table.name().to_owned(), asked, limit },
            Answer::Revoked => Error::Revoked { id: PermitId(ticket.unwrap_or(0)) },
            _ => Error::SessionLost { path: table.path().to_owned() },
        })
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            name: self.session.table.name().to_owned(),
            asked: self.permits,
            waited: self.since.map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    fn unanswered(&self) -> Error {
        Error::SessionLost { path: self.session.table.path().to_owned() }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.begin(true) {
            Err(error) => {
                self.stage = Stage::Done;
                return Poll::Ready(Err(error));
            }
            Ok(Some(permit)) => return Poll::Ready(Ok(permit)),
            Ok(None) => {}
        }
        let Stage::Queued { turn, .. } = self.stage else { return Poll::Ready(Err(self.unanswered())) };
        let session = Arc::clone(&self.session);
        // Protocol, step 3: first the waker, then the word.
        if let Err(error) = session.doorbell.list(&session.table, turn, context.waker()) {
            return Poll::Ready(Err(error));
        }
        if session.table.state_of(turn) == State::Active {
            return Poll::Pending;
        }
        session.doorbell.forget(turn);
        match self.finish() {
            Ok(Some(permit)) => Poll::Ready(Ok(permit)),
            Ok(None) => Poll::Pending,
            Err(error) => {
                self.stage = Stage::Done;
                Poll::Ready(Err(error))
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Stage::Queued { turn, .. } = self.stage else { return };
        if self.session.table.check_process().is_err() {
            return; // The queue is the parent's.
        }
        self.session.doorbell.forget(turn);
        // A permit that came is dropped, and so given back; after an error there is no place to leave.
        drop(self.give_up(Why::Dropped));
    }
}
