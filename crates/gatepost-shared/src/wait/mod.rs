//! Waiting for permits: a thread sleeps on its own word in the file, a task is woken by its session's helper; both are in one queue.
//!
//! # Protocol
//!
//! | step | who waits | who answers
//! |:----:|-----------|-------------
//! | 1 | under the lock: a row, waiting, at the tail | under the lock: the row's word says granted or refused
//! | 2 | takes back what the dead hold; after [`PATIENCE`] has the others watched | bumps the row's futex, or the session's doorbell
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
mod helpers;
mod watcher;

pub(crate) use doorbell::Doorbell;
pub use helpers::stop_helpers;
use watcher::watch;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::layout::State;
use crate::permit::Permit;
use crate::protocol;
use crate::session::Session;
use crate::status::PermitId;
use crate::table::{Answer, Table, Turn, Why};
use crate::{clock, futex};

/// How often a sleeper looks for itself: a bound on what a death at the wrong moment costs.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);
/// How long one waits before it has the others watched: most waits are over before that, and spare the watcher's thread.
const PATIENCE: Duration = Duration::from_millis(20);

/// A wait for permits: a future, or a thread's wait by one of the methods named `wait`.
///
/// *Fairness.* All that wait for the semaphore, in all processes, are served in the order in which they came, each with all its
/// permits at once; see [`Policy`](crate::Policy) for the other order.
///
/// *Cancel safety.* To drop it, at any moment, leaves the queue; permits that had been granted but not seen are given back.
///
/// *Memory ordering.* What a holder did before it gave permits back happens before what the next holder of those permits does.
///
/// *Cost.* Free permits: no system call, and nothing from the allocator but for a label. Otherwise two critical sections, a system
/// call to sleep and one to be woken, and one for each session that holds permits.
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
    permits: u32,
    label: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It has not begun.
    New(Arc<Session>),
    /// It is in the queue.
    Queued(Box<Queued>),
    /// It is over.
    Done,
}

#[derive(Debug)]
struct Queued {
    session: Arc<Session>,
    turn: Turn,
    since: Instant,
}

impl Acquire {
    #[inline]
    pub(crate) fn new(session: Arc<Session>, permits: u32) -> Self {
        Self { permits, label: String::new(), stage: Stage::New(session) }
    }

    /// What listings call the wait, and the permit; it is cut at 112 bytes.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire().label("cargo test").wait()?;
    /// assert_eq!(build.status()?.holders[0].label, "cargo test");
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
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
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// let permit = build.acquire_many(2).wait()?;
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(self) -> Result<Permit, Error> {
        self.wait_until(|_| None)
    }

    /// Blocks the thread until the permits are there, for `time` at most.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and [`Error::TimedOut`]. With no time at all it is a try that takes back what the dead hold.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use std::time::Duration;
    /// use gatepost_shared::Error;
    ///
    /// let permit = build.acquire_many(8).wait()?;
    /// let error = build.acquire().wait_timeout(Duration::from_millis(1));
    /// assert!(matches!(error, Err(Error::TimedOut { asked: 1, .. })));
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_timeout(self, time: Duration) -> Result<Permit, Error> {
        // A time that no clock can count is no bound.
        self.wait_until(|since| since.checked_add(time))
    }

    /// Blocks the thread until the permits are there, or until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use std::time::{Duration, Instant};
    ///
    /// let deadline = Instant::now() + Duration::from_secs(5);
    /// let both = [build.acquire().wait_deadline(deadline)?, build.acquire().wait_deadline(deadline)?];
    /// # drop(both);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_deadline(self, deadline: Instant) -> Result<Permit, Error> {
        self.wait_until(|_| Some(deadline))
    }

    /// The place in the order of arrival, as in [`Status::waiters`](crate::Status::waiters): while it is in the queue.
    ///
    /// ```
    /// # fn main() -> Result<(), gatepost_shared::Error> {
    /// # let folder = tempfile::tempdir().expect("a folder");
    /// # let options = gatepost_shared::Options::new().directory(folder.path());
    /// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
    /// use std::future::Future;
    /// use std::task::{Context, Waker};
    ///
    /// let permit = build.acquire_many(8).wait()?;
    /// let mut wait = std::pin::pin!(build.acquire());
    /// assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// assert_eq!(wait.ticket(), Some(build.status()?.waiters[0].ticket));
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ticket(&self) -> Option<u64> {
        match &self.stage {
            Stage::Queued(queued) => Some(queued.turn.serial),
            Stage::New(_) | Stage::Done => None,
        }
    }

    /// `deadline`: from the moment at which it began to wait. Without a wait no clock is asked.
    #[inline(always)]
    fn wait_until(mut self, deadline: impl FnOnce(Instant) -> Option<Instant>) -> Result<Permit, Error> {
        match self.begin(false)? {
            Some(permit) => Ok(permit),
            None => self.sleep_until(deadline),
        }
    }

    #[cold]
    #[inline(never)]
    fn sleep_until(mut self, deadline: impl FnOnce(Instant) -> Option<Instant>) -> Result<Permit, Error> {
        let Stage::Queued(queued) = &mut self.stage else { unreachable!("it has begun and has no answer") };
        let deadline = deadline(queued.since);
        let mut watching = None;
        loop {
            let Stage::Queued(queued) = &mut self.stage else { unreachable!("an answer ends the loop") };
            let table = &queued.session.table;
            if watching.is_none() && queued.since.elapsed() >= PATIENCE {
                watching = Some(watch(table)?);
            }
            let Some(row) = table.map().waiter(queued.turn.index) else { return Err(table.lost()) };
            // It may have been begun as a future's.
            row.task.store(0, Relaxed);
            // Protocol, step 3.
            let seen = protocol::heard(&row.futex);
            if table.state_of(queued.turn) != State::Active {
                if let Some(permit) = self.finish()? {
                    return Ok(permit);
                }
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let timed_out = Error::TimedOut {
                    name: table.name().to_owned(),
                    asked: self.permits,
                    waited: queued.since.elapsed(),
                    hint: table.hint(),
                };
                // In a damaged file nobody would have been served.
                let error = table.check_sound().err().unwrap_or(timed_out);
                return self.give_up(Why::TimedOut)?.ok_or(error);
            }
            let most = if watching.is_none() { PATIENCE } else { RECHECK };
            futex::wait(futex::of(&row.futex), seen, left.map_or(most, |left| left.min(most)));
        }
    }

    /// Takes the permits if they are free, or a place in the queue.
    #[inline(always)]
    fn begin(&mut self, task: bool) -> Result<Option<Permit>, Error> {
        let Stage::New(session) = &self.stage else { return self.begun() };
        if self.permits == 0 {
            return Err(Error::Zero);
        }
        let now = clock::boot_ns_by_ticks();
        let (permits, label) = (self.permits, self.label.as_str());
        let acquire = || session.table.section(|section| section.acquire(permits, label, task, now));
        let answer = match acquire() {
            // The dead may fill a table.
            Err(Error::GrantsFull { .. } | Error::QueueFull { .. }) => {
                session.table.reap()?;
                acquire()?
            }
            answer => answer?,
        };
        let Stage::New(session) = std::mem::replace(&mut self.stage, Stage::Done) else { return self.begun() };
        match answer {
            Answer::Granted(grant) => Ok(Some(Permit::new(session, grant))),
            Answer::Waiting(turn) => self.queue(session, turn),
            answer => Err(explain(&session.table, None, answer)),
        }
    }

    #[cold]
    fn begun(&self) -> Result<Option<Permit>, Error> {
        assert!(!matches!(self.stage, Stage::Done), "an acquisition that is over was polled again");
        Ok(None)
    }

    #[cold]
    fn queue(&mut self, session: Arc<Session>, turn: Turn) -> Result<Option<Permit>, Error> {
        let table = Arc::clone(&session.table);
        // From here on the place is given up if anything goes wrong.
        self.stage = Stage::Queued(Box::new(Queued { session, turn, since: Instant::now() }));
        match table.reap() {
            Ok(_) => Ok(None),
            Err(error) => {
                self.leave_queue();
                Err(error)
            }
        }
    }

    /// Takes the answer, if there is one.
    fn finish(&mut self) -> Result<Option<Permit>, Error> {
        self.ask(|table, turn| {
            let now = clock::boot_ns();
            table.give_back(|section| section.answer(turn, now))
        })
    }

    /// Leaves the queue, unless the answer has come.
    fn give_up(&mut self, why: Why) -> Result<Option<Permit>, Error> {
        let answer = self.ask(|table, turn| {
            let now = clock::boot_ns();
            table.give_back(|section| section.give_up(turn, why, now))
        });
        if matches!(answer, Ok(None)) {
            self.stage = Stage::Done;
        }
        answer
    }

    /// Asks what has become of the place. An answer ends the acquisition; without one it is still in the queue.
    fn ask(&mut self, question: impl FnOnce(&Table, Turn) -> Result<Answer, Error>) -> Result<Option<Permit>, Error> {
        let Stage::Queued(queued) = &self.stage else { return Ok(None) };
        let turn = queued.turn;
        let answer = question(&queued.session.table, turn);
        if let Ok(Answer::Waiting(_)) = answer {
            return Ok(None);
        }
        let Stage::Queued(queued) = std::mem::replace(&mut self.stage, Stage::Done) else { return Ok(None) };
        let Queued { session, .. } = *queued;
        session.doorbell.forget(turn);
        match answer {
            Ok(Answer::Granted(grant)) => Ok(Some(Permit::new(session, grant))),
            Ok(answer) => Err(explain(&session.table, Some(turn), answer)),
            Err(error) => Err(error),
        }
    }

    /// Is not in the queue any more.
    fn leave_queue(&mut self) {
        // A permit that came is dropped, and so given back; an error has given up the place.
        drop(self.give_up(Why::Dropped));
    }
}

/// Why an answer brings no permit.
fn explain(table: &Table, turn: Option<Turn>, answer: Answer) -> Error {
    match answer {
        Answer::Refused { asked, limit } => Error::ExceedsLimit { name: table.name().to_owned(), asked, limit },
        Answer::Revoked => Error::Revoked { id: PermitId(turn.map_or(0, |turn| turn.serial)) },
        Answer::Granted(_) | Answer::Waiting(_) | Answer::Lost => unanswered(table),
    }
}

/// The place in the queue is not there: we were taken for dead, or the file was damaged.
fn unanswered(table: &Table) -> Error {
    if table.is_session_alive(table.me()) {
        table.poisoned("the place of this wait in the queue was another one's".to_owned())
    } else {
        table.lost()
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.begin(true) {
            Err(error) => {
                self.leave_queue();
                self.stage = Stage::Done;
                return Poll::Ready(Err(error));
            }
            Ok(Some(permit)) => return Poll::Ready(Ok(permit)),
            Ok(None) => {}
        }
        let Stage::Queued(queued) = &self.stage else { unreachable!("it has begun and has no answer") };
        let Queued { session, turn, .. } = &**queued;
        // Protocol, step 3: first the waker, then the word.
        let listed = session.doorbell.list(&session.table, *turn, context.waker());
        if listed.is_ok() && session.table.state_of(*turn) == State::Active {
            return Poll::Pending;
        }
        let answer = match listed {
            Ok(()) => self.finish(),
            Err(error) => {
                self.leave_queue();
                Err(error)
            }
        };
        match answer {
            Ok(Some(permit)) => Poll::Ready(Ok(permit)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Acquire {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Queued(queued) = &self.stage {
            // In a forked child the queue is the parent's.
            if queued.session.table.check_process().is_ok() {
                self.leave_queue();
            }
        }
    }
}
