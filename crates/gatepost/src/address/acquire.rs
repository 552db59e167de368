//! Acquisitions at an address, as named futures, which a task polls or a thread waits for.
//!
//! ```text
//!   New ──first poll or wait──▶ Waiting ──has its permit──▶ Done
//!    │                            │  ▲
//!    │                            └──┘ woken, and somebody was faster: waits again (G9)
//!    └─ dropped: nothing to do    └─ dropped: X of the protocol: nothing is lost
//! ```

use super::serve::{Address, Give};
use super::waiter::{Order, Waiter};
use super::word::Word;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::Panics;
use crate::wait::coop;
use crate::wait::node::{self, Node, Phase, State};
use crate::wait::reason::WaitReason;
use crate::wait::timing::{self, Charge};
use core::fmt;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};

#[cfg(feature = "std")]
use {
    crate::wait::interrupt::Interrupter,
    crate::wait::options::{WaitError, WaitOptions},
    crate::wait::thread,
    std::time::{Duration, Instant},
};

/// What a poll or a wait of an acquisition says that is done.
const DONE: &str = "an acquisition was polled, or waited for, after it was done";

/// An acquisition of one permit of a [`Sema`](super::Sema) or a [`RawSema`](super::RawSema).
///
/// A future for tasks. A thread waits for one that was never polled with [`wait`](Self::wait) and its siblings, for one
/// that was with [`wait_pinned`](Self::wait_pinned). Nothing is asked for before the first poll.
///
/// # Cancel safety
/// Dropping it leaves the queue. No permit and no wake-up is lost: what it had been given goes to whoever is next. One that is
/// *forgotten* ([`core::mem::forget`]) while it waits keeps its place at the address for as long as its table lives, and a
/// wake-up that comes to it there is lost: also one for a word that comes to the same address later.
///
/// # Fairness
/// First come, first woken ([`lifo`](Self::lifo): last come, first woken); whoever is woken competes with whoever runs, and
/// if it loses it waits again behind the others. There is no bound on how often: a release by
/// [`release_handoff`](super::Sema::release_handoff) hands the permit over instead.
///
/// # Memory ordering
/// Whoever has a permit sees what came before every release that it may be from.
///
/// # Panics
/// When polled or waited for again after it is done.
///
/// # Cost
/// One RMW if there is a permit. Otherwise the bucket's lock, for O(1) steps; no allocation. 136 bytes on 64-bit machines
/// (200 with the feature `profile`).
///
/// # Examples
/// ```
/// use gatepost::address::Sema;
///
/// static READY: Sema = Sema::new(0);
///
/// async fn consumer() {
///     READY.acquire().await;
/// }
/// # fn block_on<F: std::future::Future>(f: F) { futures::executor::block_on(f); }
/// std::thread::scope(|scope| {
///     scope.spawn(|| block_on(consumer())); // a task
///     scope.spawn(|| READY.acquire().wait()); // a thread, in the same queue
///     READY.release_n(2);
/// });
/// ```
#[must_use = "futures do nothing unless polled or waited for"]
pub struct Acquire<'a, W: Word = super::Sema> {
    waiter: Waiter,
    address: Address<'a, W>,
}

impl<'a, W: Word> Acquire<'a, W> {
    #[inline(always)]
    pub(super) fn new(address: Address<'a, W>) -> Self {
        Self { waiter: Waiter::new(), address }
    }

    /// Joins before all who wait, and is woken before them: for those who have waited already, and were woken for nothing.
    #[inline]
    pub fn lifo(mut self) -> Self {
        self.waiter.order = Order::Lifo;
        self
    }

    /// Says what this is a wait for: for whoever [looks](super::SemaTable::waiting) at a program that hangs, and for the profiles of the feature
    /// `profile`, in which a wait for a lock also counts against whoever held it. Without it, it is a wait for a
    /// [wake-up](WaitReason::Wakeup).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitReason, address::Sema};
    ///
    /// let sema = Sema::new(1);
    /// sema.acquire().reason(WaitReason::Mutex).wait();
    /// ```
    #[inline]
    pub fn reason(self, reason: WaitReason) -> Self {
        self.waiter.node.set_reason(reason);
        self
    }

    #[inline(always)]
    fn node(&self) -> &Node {
        &self.waiter.node
    }

    fn waiter(&self) -> NonNull<Waiter> {
        NonNull::from(&self.waiter)
    }

    /// The permit is this acquisition's, until [`finish`](Self::finish) hands it out or dropping it gives it back.
    fn keep(&self) -> State {
        self.node().set_state(node::GRANTED);
        self.node().set_phase(Phase::Waiting);
        node::GRANTED
    }

    /// The permit is the caller's from here on.
    #[inline(always)]
    fn finish(&self) {
        timing::ended(self.node());
        self.node().set_phase(Phase::Done);
    }

    /// A of the protocol. See [`thread::Waiting::join`]; with `may_take` false, permits that are there meanwhile are left alone,
    /// and it does not join.
    unsafe fn join_queue(&self, waker: &Waker, may_take: bool) -> Poll<State> {
        let waker = waker.clone(); // W3: before the lock
        // SAFETY: idle, hence the owner's; it has no waker.
        unsafe { self.node().put_waker(waker) };
        self.node().set_phase(Phase::Waiting);
        self.node().begin_wait();
        // SAFETY: the node is idle and has a waker; it is pinned with `self`, and dropping `self` takes it out.
        let joined = unsafe { self.address.join(self.waiter(), may_take) };
        if joined == Some(true) {
            return Poll::Pending;
        }
        // SAFETY: not linked: the slot is the owner's, with the waker from above.
        let waker = unsafe { self.node().take_waker() };
        let answer = match joined {
            Some(_) => Poll::Ready(self.keep()),
            None => {
                self.node().set_phase(Phase::New);
                Poll::Pending
            }
        };
        drop(waker); // the user's code
        answer
    }

    /// A later poll.
    unsafe fn ask(&self, waker: &Waker) -> Poll<State> {
        match self.node().state() {
            // SAFETY: the owner; queued, so a waker was put.
            node::QUEUED if unsafe { self.node().will_wake(waker) } => Poll::Pending,
            // SAFETY: the owner.
            node::QUEUED => unsafe { self.replace_waker(waker) },
            node::GRANTED => Poll::Ready(node::GRANTED),
            // SAFETY: the owner; it was taken out, or has never been in.
            _ => unsafe { self.compete(waker) },
        }
    }

    /// Woken: takes what is there, or waits again.
    unsafe fn compete(&self, waker: &Waker) -> Poll<State> {
        if self.address.try_take() {
            return Poll::Ready(self.keep());
        }
        self.node().set_state(node::IDLE);
        // SAFETY: the owner; idle now.
        unsafe { self.join_queue(waker, true) }
    }

    #[cold]
    unsafe fn replace_waker(&self, waker: &Waker) -> Poll<State> {
        let new = waker.clone(); // W3
        let locked = self.address.table.lock(self.address.key());
        if self.node().state() == node::QUEUED {
            // SAFETY: the lock is held and the node is linked, so its waker is there.
            let old = unsafe {
                let old = self.node().take_waker();
                self.node().put_waker(new);
                old
            };
            drop(locked);
            drop(old); // the user's code
            return Poll::Pending;
        }
        drop(locked);
        drop(new);
        // SAFETY: the owner, and no longer queued.
        unsafe { self.ask(waker) }
    }

    /// Leaves the queue if it is in there; returns the state then.
    fn leave(&self, outcome: State, panics: &mut Panics) -> State {
        if self.node().state() != node::QUEUED {
            return self.node().state();
        }
        let locked = self.address.table.lock(self.address.key());
        let state = self.node().state();
        if state != node::QUEUED {
            return state;
        }
        let front = locked.front(self.address.key()).expect("this one waits there (A-I2)");
        Charge::stamp(self.node());
        // SAFETY: the lock is held, and this one is linked: its waker is there, and it is alive.
        let waker = unsafe {
            self.address.unlink(&locked, front, self.waiter());
            self.node().take_waker()
        };
        self.node().set_state(outcome);
        drop(locked);
        panics.catch(|| drop(waker));
        outcome
    }

    /// X for a wait that gives up: what is there wins.
    #[cfg(feature = "std")]
    fn give_up(&self, outcome: State, panics: &mut Panics) -> State {
        match self.leave(outcome, panics) {
            node::GRANTED => node::GRANTED,
            // Nothing is there: if it was woken, somebody was faster, and nobody needs to be woken in its place.
            _ if mutant::is(Mutant::WakeNotPassedOn) || !self.address.try_take() => outcome,
            _ => self.keep(),
        }
    }

    #[cold]
    #[inline(never)]
    fn abandon(&self) {
        let mut panics = Panics::new();
        let state = self.leave(node::CANCELLED, &mut panics);
        panics.catch(|| match state {
            node::GRANTED if !mutant::is(Mutant::GrantLost) => drop(self.address.release(1)),
            // The word is there: this is an operation of its own on it.
            node::NOTIFIED if self.address.count() > 0 && !mutant::is(Mutant::WakeNotPassedOn) => {
                self.address.serve(1, Give::Wake);
            }
            _ => {}
        });
        timing::ended(self.node());
        panics.resume();
    }
}

impl<W: Word> Drop for Acquire<'_, W> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.node().phase() == Phase::Waiting {
            self.abandon();
        }
    }
}

impl<W: Word> Future for Acquire<'_, W> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.into_ref().get_ref();
        let outcome = match this.node().phase() {
            Phase::New => {
                let budget = coop::take(cx);
                let outcome = if budget.is_ready() && this.address.try_take() {
                    Poll::Ready(node::GRANTED)
                } else {
                    // SAFETY: `New`, so the node is idle and the owner's; pinned with `self`.
                    unsafe { this.join_queue(cx.waker(), budget.is_ready()) }
                };
                if let (Poll::Ready(unit), true) = (budget, outcome.is_ready()) {
                    unit.spend();
                }
                outcome
            }
            Phase::Waiting => {
                // SAFETY: the owner, by `Pin<&mut Self>`.
                let outcome = unsafe { this.ask(cx.waker()) };
                if outcome.is_ready() {
                    coop::spend_if_any(cx);
                }
                outcome
            }
            Phase::Done => panic!("{DONE}"),
        };
        outcome.map(|_| this.finish())
    }
}

#[cfg(feature = "std")]
impl<W: Word> thread::Waiting for Acquire<'_, W> {
    fn node(&self) -> &Node {
        self.node()
    }

    fn try_now(&self) -> State {
        if self.address.try_take() { self.keep() } else { node::IDLE }
    }

    unsafe fn join(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.join_queue(waker, true) }
    }

    unsafe fn ask(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.ask(waker) }
    }

    unsafe fn withdraw(&self, outcome: State, panics: &mut Panics) -> State {
        self.give_up(outcome, panics)
    }

    fn ahead(&self) -> usize {
        self.waiter.ahead.get() as usize
    }
}

#[cfg(feature = "std")]
impl<W: Word> Acquire<'_, W> {
    #[inline(always)]
    #[track_caller]
    fn wait_for(self: Pin<&mut Self>, options: WaitOptions<'_>) -> Result<(), WaitError> {
        coop::assert_may_block();
        let this = self.into_ref().get_ref();
        assert!(this.node().phase() != Phase::Done, "{DONE}");
        let ended = if this.node().phase() == Phase::Waiting || !this.address.try_take() {
            // SAFETY: the owner, by `Pin<&mut Self>`; pinned with `self`, and dropping `self` takes it out.
            unsafe { thread::wait(this, options) }
        } else {
            Ok(())
        };
        this.finish(); // also if it gave up before it had joined
        ended
    }

    /// Blocks this thread until it has the permit. Threads and tasks wait in one queue.
    ///
    /// # Panics
    /// With the feature `tokio`, inside a runtime where blocking would keep it from running.
    ///
    /// # Examples
    /// ```
    /// let sema = gatepost::address::Sema::new(1);
    /// sema.acquire().wait();
    /// assert!(!sema.try_acquire());
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait(self) {
        let ended = core::pin::pin!(self).wait_for(WaitOptions::new());
        debug_assert!(ended.is_ok(), "nothing ends this wait but a permit");
    }

    /// Blocks this thread until it has the permit, at most for `timeout`. [`Duration::MAX`] means for ever; zero takes what
    /// is there and otherwise gives up at once.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`], never before the time is up. The wait has then left the queue and holds nothing. A permit
    /// that is there wins, however late it is.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitError, address::Sema};
    /// use std::time::Duration;
    ///
    /// let sema = Sema::new(0);
    /// assert_eq!(sema.acquire().wait_timeout(Duration::from_millis(1)), Err(WaitError::TimedOut));
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_with(WaitOptions::new().timeout(timeout))
    }

    /// Blocks this thread until it has the permit, at most until `deadline` (on the monotonic clock).
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout).
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> Result<(), WaitError> {
        self.wait_with(WaitOptions::new().deadline(deadline))
    }

    /// Blocks this thread until it has the permit, or `interrupter` is used.
    ///
    /// # Errors
    /// [`WaitError::Interrupted`], which consumes the interrupt. A permit that is there wins.
    ///
    /// # Panics
    /// As [`wait`](Self::wait), and if another wait that blocks uses the same interrupter.
    #[track_caller]
    pub fn wait_interruptible(self, interrupter: &Interrupter) -> Result<(), WaitError> {
        self.wait_with(WaitOptions::new().interrupter(interrupter))
    }

    /// Blocks this thread until it has the permit, or one of `options` ends the wait.
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout) and [`wait_interruptible`](Self::wait_interruptible).
    #[track_caller]
    pub fn wait_with(self, options: WaitOptions<'_>) -> Result<(), WaitError> {
        core::pin::pin!(self).wait_for(options)
    }

    /// As [`wait_with`](Self::wait_with), for a future that is pinned, and perhaps polled already: it keeps its place in the
    /// queue. However the wait ends, the future is done.
    ///
    /// # Errors, panics
    /// As [`wait_with`](Self::wait_with), and a panic if the future is done.
    #[track_caller]
    pub fn wait_pinned(self: Pin<&mut Self>, options: WaitOptions<'_>) -> Result<(), WaitError> {
        self.wait_for(options)
    }
}

impl<W: Word> fmt::Debug for Acquire<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("phase", &self.node().phase()).finish_non_exhaustive()
    }
}

/// How many wait at an address.
pub(super) fn waiters<W: Word>(address: Address<'_, W>) -> usize {
    address.table.lock(address.key()).len(address.key()) as usize
}
