//! The wait for a ticket, as a named future, which a task polls or a thread waits for.
//!
//! ```text
//!   New ──joins the line──▶ Waiting ──outcome handed out──▶ Done
//!    │ └──notified already, handed out──────────────────────▲
//!    └─ dropped, or Waiting and dropped: L
//! ```

use super::NotifyList;
use super::line::Entry;
use crate::wait::batch::Panics;
use crate::wait::node::{self, Phase};
use crate::wait::{coop, timing};
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

#[cfg(feature = "std")]
use {
    crate::wait::interrupt::Interrupter,
    crate::wait::node::{Node, State},
    crate::wait::options::{WaitError, WaitOptions},
    crate::wait::thread,
    core::task::Waker,
    std::time::{Duration, Instant},
};

/// What a poll or a wait says that has handed out its outcome.
const DONE: &str = "a notification was polled, or waited for, after it was done";

/// The wait for a [`Ticket`](super::Ticket): see [`Ticket::notified`](super::Ticket::notified).
///
/// A future for tasks. A thread waits for one that was never polled with [`wait`](Self::wait) and its siblings, for one that
/// was with [`wait_pinned`](Self::wait_pinned).
///
/// # Cancel safety
/// Dropping it gives the ticket up. If it has been notified, by [`notify_one`](NotifyList::notify_one), and this was not
/// yet seen, the notification goes on to the next ticket.
///
/// # Memory ordering, fairness
/// Those of [`NotifyList`].
///
/// # Panics
/// When polled or waited for again after it is done.
///
/// # Cost
/// 64 bytes (64-bit). One load if it was notified already. Otherwise two RMWs to join the line, none to complete, no
/// allocation.
#[must_use = "futures do nothing unless polled or waited for"]
pub struct Notified<'a> {
    list: &'a NotifyList,
    entry: Entry,
}

impl<'a> Notified<'a> {
    #[inline]
    pub(super) fn new(list: &'a NotifyList, ticket: u32) -> Self {
        Self { list, entry: Entry::new(ticket) }
    }

    /// Polls, and keeps what came of it: until [`finish`](Self::finish), a notification is passed on by dropping this.
    #[inline]
    pub(crate) fn poll_kept(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.entry.node().phase() {
            Phase::New => self.poll_first(cx),
            Phase::Waiting => {
                // SAFETY: the owner, by `Pin<&mut Self>`; not `New`, so it has joined.
                let outcome = unsafe { self.list.ask(&self.entry, cx.waker()) };
                if outcome.is_ready() {
                    coop::spend_if_any(cx);
                }
                outcome.map(|_| ())
            }
            Phase::Done => panic!("{DONE}"),
        }
    }

    /// With the budget spent, it joins the line all the same: its place is its ticket's. If it was notified already, it is
    /// told to come back, and stays notified.
    fn poll_first(&self, cx: &mut Context<'_>) -> Poll<()> {
        let budget = coop::take(cx);
        let notified = self.list.is_notified(self.entry.ticket());
        // SAFETY: `New`, so the entry is idle. It is pinned with `self`, and dropping `self` takes it out of the line.
        if !notified && unsafe { self.list.join(&self.entry, cx.waker()) }.is_pending() {
            return Poll::Pending;
        }
        budget.map(|unit| unit.spend())
    }

    /// The outcome has been handed out.
    #[inline]
    pub(crate) fn finish(self: Pin<&mut Self>) {
        timing::ended(self.entry.node());
        self.entry.node().set_phase(Phase::Done);
    }
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let outcome = self.as_mut().poll_kept(cx);
        if outcome.is_ready() {
            self.finish();
        }
        outcome
    }
}

#[cfg(feature = "std")]
impl Notified<'_> {
    /// Waits as a thread, and keeps a notification as [`poll_kept`](Self::poll_kept) does. Every blocking form ends here.
    #[track_caller]
    pub(crate) fn wait_kept(self: Pin<&mut Self>, options: WaitOptions<'_>) -> Result<(), WaitError> {
        coop::assert_may_block();
        assert!(self.entry.node().phase() != Phase::Done, "{DONE}");
        if self.entry.node().phase() == Phase::New && self.list.is_notified(self.entry.ticket()) {
            return Ok(());
        }
        let this = self.into_ref();
        // SAFETY: the owner, by `Pin<&mut Self>`. The entry is pinned with `self`, and dropping `self` takes it out of the
        // line.
        let outcome = unsafe { thread::wait(&*this, options) };
        if outcome.is_err() && this.entry.node().phase() == Phase::New {
            // It ended before it joined.
            this.entry.node().set_phase(Phase::Done);
            this.list.give_up(this.entry.ticket());
        }
        outcome
    }

    /// Blocks this thread until the ticket is notified. Threads and tasks wait in one line.
    ///
    /// # Panics
    /// With the feature `tokio`, inside a runtime where blocking would keep it from running, as Tokio's own blocking
    /// methods do. Without the feature that cannot be detected.
    ///
    /// # Examples
    /// See [`NotifyList`].
    #[inline]
    #[track_caller]
    pub fn wait(self) {
        // Without options, nothing else ends it.
        let _ = self.wait_with(WaitOptions::new());
    }

    /// Blocks this thread until the ticket is notified, at most for `timeout`. [`Duration::MAX`] means for ever.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`], never before the time is up: the ticket has then been given up. A notification wins: if it
    /// is there, the wait succeeds, however late it is.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitError, address::NotifyList};
    /// use std::time::Duration;
    ///
    /// let list = NotifyList::new();
    /// let result = list.add().notified().wait_timeout(Duration::from_millis(1));
    /// assert_eq!(result, Err(WaitError::TimedOut));
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_with(WaitOptions::new().timeout(timeout))
    }

    /// Blocks this thread until the ticket is notified, at most until `deadline` (on the monotonic clock).
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout). An expired deadline with a notified ticket succeeds.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    /// use std::time::Instant;
    ///
    /// let list = NotifyList::new();
    /// let ticket = list.add();
    /// list.notify_one();
    /// assert!(ticket.notified().wait_deadline(Instant::now()).is_ok());
    /// ```
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> Result<(), WaitError> {
        self.wait_with(WaitOptions::new().deadline(deadline))
    }

    /// Blocks this thread until the ticket is notified, or `interrupter` is used.
    ///
    /// # Errors
    /// [`WaitError::Interrupted`], which consumes the interrupt. A notification wins.
    ///
    /// # Panics
    /// As [`wait`](Self::wait), and if another wait that blocks uses the same interrupter.
    ///
    /// # Examples
    /// ```
    /// use gatepost::{Interrupter, WaitError, address::NotifyList};
    ///
    /// let list = NotifyList::new();
    /// let interrupter = Interrupter::new();
    /// interrupter.interrupt(); // sticky: the next wait that has to block ends
    /// assert_eq!(list.add().notified().wait_interruptible(&interrupter), Err(WaitError::Interrupted));
    /// ```
    #[track_caller]
    pub fn wait_interruptible(self, interrupter: &Interrupter) -> Result<(), WaitError> {
        self.wait_with(WaitOptions::new().interrupter(interrupter))
    }

    /// Blocks this thread until the ticket is notified, or one of `options` ends the wait: a deadline and an interrupter, if
    /// need be both (at the same instant the deadline wins).
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout) and [`wait_interruptible`](Self::wait_interruptible).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitError, WaitOptions, address::NotifyList};
    /// use std::time::Duration;
    ///
    /// let list = NotifyList::new();
    /// let options = WaitOptions::new().timeout(Duration::ZERO);
    /// assert_eq!(list.add().notified().wait_with(options), Err(WaitError::TimedOut));
    /// ```
    #[track_caller]
    pub fn wait_with(self, options: WaitOptions<'_>) -> Result<(), WaitError> {
        core::pin::pin!(self).wait_pinned(options)
    }

    /// As [`wait_with`](Self::wait_with), for a future that is pinned, and perhaps polled already: it keeps its place in the
    /// line. However the wait ends, the future is done: after a time-out its ticket has been given up.
    ///
    /// # Errors, panics
    /// As [`wait_with`](Self::wait_with), and a panic if the future is done.
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitOptions, address::NotifyList};
    /// use std::{future::Future, pin::pin, task::{Context, Waker}};
    ///
    /// let list = NotifyList::new();
    /// let mut notified = pin!(list.add().notified());
    /// assert!(notified.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// list.notify_one();
    /// notified.wait_pinned(WaitOptions::new())?;
    /// # Ok::<(), gatepost::WaitError>(())
    /// ```
    #[track_caller]
    pub fn wait_pinned(mut self: Pin<&mut Self>, options: WaitOptions<'_>) -> Result<(), WaitError> {
        let outcome = self.as_mut().wait_kept(options);
        self.finish();
        outcome
    }
}

#[cfg(feature = "std")]
impl thread::Waiting for Notified<'_> {
    fn node(&self) -> &Node {
        self.entry.node()
    }

    fn try_now(&self) -> State {
        if self.list.is_notified(self.entry.ticket()) { node::GRANTED } else { node::IDLE }
    }

    unsafe fn join(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.list.join(&self.entry, waker) }
    }

    unsafe fn ask(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.list.ask(&self.entry, waker) }
    }

    unsafe fn withdraw(&self, outcome: State, panics: &mut Panics) -> State {
        // SAFETY: passed on.
        unsafe { self.list.leave(&self.entry, outcome, panics) }
    }

    fn ahead(&self) -> usize {
        self.list.num_waiters().saturating_sub(1)
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        match self.entry.node().phase() {
            Phase::New => self.list.give_up(self.entry.ticket()),
            Phase::Waiting => {
                let mut panics = Panics::new();
                // SAFETY: the owner; `Waiting`, so it has joined. Nobody looks at it again.
                unsafe { self.list.leave(&self.entry, node::CANCELLED, &mut panics) };
                timing::ended(self.entry.node());
                panics.resume();
            }
            Phase::Done => {}
        }
    }
}

impl fmt::Debug for Notified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notified").field("ticket", &self.entry.ticket()).finish_non_exhaustive()
    }
}
