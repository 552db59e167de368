//! A condition variable, on [`NotifyList`].
//!
//! ```text
//!   Start ──ticket, then unlock──▶ Listening ──notified──▶ Relocking ──locked──▶ Done
//!     │ the guard is in here         │ no guard              │ no guard, and the notification is kept
//! ```
//! **C1.** The ticket is taken before the mutex is unlocked. Whoever changes the condition locks the mutex afterwards, so
//! its notification comes after the ticket, and reaches it (see *Memory ordering* in `address::notify`).
//! **C2.** The notification counts as seen only when the guard is handed out. Dropped before, in whatever state, the wait
//! passes it on, or leaves a void ticket behind: that is what dropping a [`Notified`] does.
//! **C3.** A guard comes back however a thread's wait ends.

use super::{AsyncGuard, Guard};
use crate::address::{Notified, NotifyList};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use core::fmt;
use core::ops::DerefMut;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

#[cfg(feature = "std")]
use {
    crate::wait::coop,
    crate::wait::interrupt::Interrupter,
    crate::wait::options::{WaitError, WaitOptions},
    std::time::{Duration, Instant},
};

/// What a poll or a wait says that has handed out its guard.
const DONE: &str = "a wait on a condition variable was polled, or waited for, after it was done";

/// A condition variable for tasks and threads, in one line, that works with any mutex.
///
/// A wait gives up the guard of a mutex until it is notified, and then locks again. [`wait`](Self::wait) is a future that
/// resolves to the guard; a thread calls `.wait()` on it instead of `.await`, or one of its siblings with a deadline or an
/// interrupt. The guard is anything that is a [`Guard`]: `std`'s with a [`StdGuard`](super::StdGuard), Tokio's with the
/// feature `tokio`, your own.
///
/// # Fairness
/// [`notify_one`](Self::notify_one) wakes who has waited longest, task or thread. Who gets the mutex then is the mutex's
/// affair.
///
/// # Spurious wake-ups
/// None while nobody leaves a wait without having been notified. As the condition may have changed again before the mutex
/// is locked, look at it again in any case, or use [`wait_while`](Self::wait_while).
///
/// # Memory ordering
/// A notification reaches everybody whose wait has begun before the mutex was last locked by the notifier: notify with the
/// mutex locked, or after, as you like. What happened before a notification is visible to who is woken by it.
///
/// # Cost
/// 80 bytes (64-bit). Waiting allocates nothing (but for a task with Tokio's mutex, once for each wait). A notification
/// while nobody waits is two loads.
///
/// # Examples
/// ```
/// use gatepost::sync::{Condvar, StdGuard};
/// use std::sync::Mutex;
///
/// static JOBS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// static CAME: Condvar = Condvar::new();
///
/// let worker = std::thread::spawn(|| {
///     let mut jobs = StdGuard::lock(&JOBS).unwrap();
///     while jobs.is_empty() {
///         jobs = CAME.wait(jobs).wait();
///     }
///     jobs.pop()
/// });
/// JOBS.lock().unwrap().push(7);
/// CAME.notify_one();
/// assert_eq!(worker.join().unwrap(), Some(7));
/// ```
///
/// It cannot be moved, or copied, while somebody waits on it:
/// ```compile_fail,E0505
/// use gatepost::sync::{Condvar, StdGuard};
/// use std::sync::Mutex;
///
/// let (mutex, condvar) = (Mutex::new(()), Condvar::new());
/// let waiting = condvar.wait(StdGuard::lock(&mutex).unwrap());
/// let moved = condvar;
/// waiting.wait();
/// ```
#[derive(Default)]
pub struct Condvar {
    list: NotifyList,
}

impl Condvar {
    const_fn! {
        /// A condition variable on which nobody waits.
        ///
        /// # Examples
        /// ```
        /// use gatepost::sync::Condvar;
        ///
        /// static CHANGED: Condvar = Condvar::new();
        /// ```
        pub const fn new() -> Self {
            Self { list: NotifyList::new() }
        }
    }

    const_fn! {
        /// One whose first ticket is `ticket`: for tests of the wrap-around.
        #[doc(hidden)]
        pub const fn starting_at(ticket: u32) -> Self {
            Self { list: NotifyList::starting_at(ticket) }
        }
    }

    /// Wakes who has waited longest, if anybody waits.
    ///
    /// # Examples
    /// See [`Condvar`].
    #[inline]
    pub fn notify_one(&self) {
        self.list.notify_one();
    }

    /// Wakes everybody who waits.
    ///
    /// # Examples
    /// ```
    /// use gatepost::sync::{Condvar, StdGuard};
    /// use std::sync::Mutex;
    ///
    /// let (open, condvar) = (Mutex::new(false), Condvar::new());
    /// std::thread::scope(|scope| {
    ///     for _ in 0..3 {
    ///         scope.spawn(|| drop(condvar.wait_while(StdGuard::lock(&open).unwrap(), |open| !*open).wait()));
    ///     }
    ///     *open.lock().unwrap() = true;
    ///     condvar.notify_all();
    /// });
    /// ```
    #[inline]
    pub fn notify_all(&self) {
        self.list.notify_all();
    }

    /// Gives up `guard`, waits for a notification, and locks again: a future for tasks; a thread calls
    /// [`wait`](Wait::wait) or one of its siblings on it.
    ///
    /// Nothing happens, and the mutex stays locked, until it is polled or waited for.
    ///
    /// # Examples
    #[cfg_attr(feature = "tokio", doc = "```")]
    #[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
    /// use gatepost::sync::Condvar;
    /// use tokio::sync::Mutex; // with the feature `tokio`
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (ready, condvar) = (Mutex::new(false), Condvar::new());
    /// let waits = async {
    ///     let mut guard = ready.lock().await;
    ///     while !*guard {
    ///         guard = condvar.wait(guard).await;
    ///     }
    /// };
    /// let notifies = async {
    ///     *ready.lock().await = true;
    ///     condvar.notify_one();
    /// };
    /// tokio::join!(waits, notifies);
    /// # });
    /// ```
    #[inline]
    pub fn wait<G: Guard>(&self, guard: G) -> Wait<'_, G> {
        Wait { condvar: self, guard: Some(guard), mutex: None, notified: None, relock: None }
    }

    /// Waits for as long as `condition` holds, looking at it with the mutex locked: before it waits at all, and after each
    /// notification. A future for tasks; a thread calls [`wait`](WaitWhile::wait) or a sibling on it.
    ///
    /// # Examples
    /// ```
    /// use gatepost::sync::{Condvar, StdGuard};
    /// use std::sync::Mutex;
    ///
    /// let (jobs, condvar) = (Mutex::new(vec![1]), Condvar::new());
    /// let mut guard = condvar.wait_while(StdGuard::lock(&jobs).unwrap(), |jobs| jobs.is_empty()).wait();
    /// assert_eq!(guard.pop(), Some(1));
    /// ```
    #[inline]
    pub fn wait_while<G, F>(&self, guard: G, condition: F) -> WaitWhile<'_, G, F>
    where
        G: Guard + DerefMut,
        F: FnMut(&mut G::Target) -> bool,
    {
        WaitWhile { wait: self.wait(guard), condition }
    }

    /// How many wait: for diagnostics. See [`NotifyList::num_waiters`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatepost::sync::Condvar::new().num_waiters(), 0);
    /// ```
    pub fn num_waiters(&self) -> usize {
        self.list.num_waiters()
    }
}

/// Never waits.
impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("waiters", &self.num_waiters()).finish()
    }
}

/// A wait on a [`Condvar`]: see [`Condvar::wait`].
///
/// A future for tasks, where the guard is an [`AsyncGuard`]. A thread waits for one that was never polled with
/// [`wait`](Self::wait) and its siblings, for one that was with [`wait_pinned`](Self::wait_pinned).
///
/// # Cancel safety
/// Dropping it ends the wait; the mutex is then not locked (by this wait). If it had been notified already, the
/// notification goes on to the next who waits.
///
/// # Panics
/// When polled or waited for again after it is done.
#[must_use = "futures do nothing unless polled or waited for: the mutex is still locked"]
pub struct Wait<'c, G: Guard> {
    condvar: &'c Condvar,
    /// In `Start`.
    guard: Option<G>,
    /// From `Listening` on. (Kept in `Relocking`, for a thread that goes on with a wait that a task began.)
    mutex: Option<G::Mutex>,
    /// From `Listening` on. Pinned.
    notified: Option<Notified<'c>>,
    /// In `Relocking`, by a task. Pinned.
    relock: Option<G::Relock>,
}

/// The parts of a pinned [`Wait`].
struct Parts<'a, 'c, G: Guard> {
    condvar: &'c Condvar,
    guard: &'a mut Option<G>,
    mutex: &'a mut Option<G::Mutex>,
    notified: Pin<&'a mut Option<Notified<'c>>>,
    relock: Pin<&'a mut Option<G::Relock>>,
}

impl<'c, G: Guard> Wait<'c, G> {
    fn parts(self: Pin<&mut Self>) -> Parts<'_, 'c, G> {
        // SAFETY: `notified` and `relock` are pinned with `self`, and nothing moves out of them; the others are not pinned,
        // and nothing asks for a pinned reference to them. There is no `Drop`.
        unsafe {
            let this = self.get_unchecked_mut();
            Parts {
                condvar: this.condvar,
                guard: &mut this.guard,
                mutex: &mut this.mutex,
                notified: Pin::new_unchecked(&mut this.notified),
                relock: Pin::new_unchecked(&mut this.relock),
            }
        }
    }

    /// From `Start` to `Listening` (C1), if it is in `Start`.
    #[inline]
    fn begin(self: Pin<&mut Self>) {
        let mut parts = self.parts();
        let Some(guard) = parts.guard.take() else { return };
        if mutant::is(Mutant::TicketAfterUnlock) {
            *parts.mutex = Some(guard.unlock());
            parts.notified.set(Some(parts.condvar.list.add().notified()));
            return;
        }
        parts.notified.set(Some(parts.condvar.list.add().notified()));
        *parts.mutex = Some(guard.unlock()); // the mutex's code: if it panics, the ticket is given up with `self`
    }

    /// To `Done` (C2).
    #[inline]
    fn end(self: Pin<&mut Self>) {
        let mut parts = self.parts();
        if let Some(notified) = parts.notified.as_mut().as_pin_mut() {
            notified.finish();
        }
        *parts.mutex = None;
        parts.relock.set(None);
    }
}

impl<G: AsyncGuard> Future for Wait<'_, G> {
    type Output = G;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        self.as_mut().begin();
        let Parts { mutex, notified, mut relock, .. } = self.as_mut().parts();
        if relock.is_none() {
            let mutex = mutex.as_ref().expect(DONE);
            ready!(notified.as_pin_mut().expect(DONE).poll_kept(cx));
            relock.set(Some(G::lock_async(mutex.clone())));
        }
        let guard = ready!(relock.as_pin_mut().expect("it was just made").poll(cx));
        self.end();
        Poll::Ready(guard)
    }
}

#[cfg(feature = "std")]
impl<G: Guard> Wait<'_, G> {
    /// Blocks this thread until it is notified and has the guard again.
    ///
    /// # Panics
    /// With the feature `tokio`, inside a runtime where blocking would keep it from running, as Tokio's own blocking
    /// methods do. And where locking panics: see the [`Guard`].
    ///
    /// # Examples
    /// See [`Condvar`].
    #[track_caller]
    pub fn wait(self) -> G {
        // Without options, nothing else ends it.
        self.wait_with(WaitOptions::new()).0
    }

    /// Blocks this thread until it is notified, at most for `timeout`, and has the guard again. [`Duration::MAX`] means for
    /// ever. To lock again may take longer than that.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`], never before the time is up. The guard comes back in any case. A notification wins: if it is
    /// there, the wait succeeds, however late it is.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitError, sync::{Condvar, StdGuard}};
    /// use std::{sync::Mutex, time::Duration};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let (guard, result) = condvar.wait(guard).wait_timeout(Duration::from_millis(1));
    /// assert_eq!((*guard, result), (1, Err(WaitError::TimedOut)));
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> (G, Result<(), WaitError>) {
        self.wait_with(WaitOptions::new().timeout(timeout))
    }

    /// Blocks this thread until it is notified, at most until `deadline` (on the monotonic clock), and has the guard again.
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use gatepost::sync::{Condvar, StdGuard};
    /// use std::{sync::Mutex, time::Instant};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let (guard, result) = condvar.wait(guard).wait_deadline(Instant::now());
    /// assert!(*guard == 1 && result.is_err());
    /// ```
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> (G, Result<(), WaitError>) {
        self.wait_with(WaitOptions::new().deadline(deadline))
    }

    /// Blocks this thread until it is notified, or `interrupter` is used, and has the guard again.
    ///
    /// # Errors
    /// [`WaitError::Interrupted`], which consumes the interrupt. The guard comes back in any case. A notification wins.
    ///
    /// # Panics
    /// As [`wait`](Self::wait), and if another wait that blocks uses the same interrupter.
    ///
    /// # Examples
    /// ```
    /// use gatepost::{Interrupter, WaitError, sync::{Condvar, StdGuard}};
    /// use std::sync::Mutex;
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let interrupter = Interrupter::new();
    /// interrupter.interrupt(); // sticky: the next wait that has to block ends
    /// let (guard, result) = condvar.wait(guard).wait_interruptible(&interrupter);
    /// assert_eq!((*guard, result), (1, Err(WaitError::Interrupted)));
    /// ```
    #[track_caller]
    pub fn wait_interruptible(self, interrupter: &Interrupter) -> (G, Result<(), WaitError>) {
        self.wait_with(WaitOptions::new().interrupter(interrupter))
    }

    /// Blocks this thread until it is notified, or one of `options` ends the wait, and has the guard again.
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout) and [`wait_interruptible`](Self::wait_interruptible).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitOptions, sync::{Condvar, StdGuard}};
    /// use std::{sync::Mutex, time::Duration};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let options = WaitOptions::new().timeout(Duration::from_millis(1));
    /// let (guard, result) = condvar.wait(guard).wait_with(options);
    /// assert!(*guard == 1 && result.is_err());
    /// ```
    #[track_caller]
    pub fn wait_with(self, options: WaitOptions<'_>) -> (G, Result<(), WaitError>) {
        core::pin::pin!(self).wait_pinned(options)
    }

    /// As [`wait_with`](Self::wait_with), for a future that is pinned, and perhaps polled already: it keeps its place in
    /// the line. However the wait ends, the future is done.
    ///
    /// # Errors, panics
    /// As [`wait_with`](Self::wait_with), and a panic if the future is done.
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitOptions, sync::{Condvar, StdGuard}};
    /// use std::{pin::pin, sync::Mutex, time::Duration};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let mut wait = pin!(condvar.wait(guard));
    /// let (guard, result) = wait.as_mut().wait_pinned(WaitOptions::new().timeout(Duration::ZERO));
    /// assert!(*guard == 1 && result.is_err());
    /// ```
    #[track_caller]
    pub fn wait_pinned(mut self: Pin<&mut Self>, options: WaitOptions<'_>) -> (G, Result<(), WaitError>) {
        coop::assert_may_block(); // with the mutex still locked
        self.as_mut().begin();
        let Parts { mutex, notified, mut relock, .. } = self.as_mut().parts();
        let mutex = mutex.clone().expect(DONE);
        let result = if relock.is_some() {
            relock.set(None); // a task was notified, and locks: this thread does instead
            Ok(())
        } else {
            notified.as_pin_mut().expect(DONE).wait_kept(options)
        };
        let guard = G::lock(mutex); // C3
        self.end();
        (guard, result)
    }
}

impl<G: Guard> fmt::Debug for Wait<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (&self.guard, &self.mutex, &self.relock) {
            (Some(_), ..) => "start",
            (None, Some(_), None) => "listening",
            (None, _, Some(_)) => "relocking",
            (None, None, None) => "done",
        };
        f.debug_struct("Wait").field("state", &state).finish_non_exhaustive()
    }
}

/// A wait on a [`Condvar`] for as long as a condition holds: see [`Condvar::wait_while`].
///
/// All that is said of [`Wait`] holds. Each time the condition holds still, it waits again, behind all who wait already.
#[must_use = "futures do nothing unless polled or waited for: the mutex is still locked"]
pub struct WaitWhile<'c, G: Guard, F> {
    /// Pinned.
    wait: Wait<'c, G>,
    condition: F,
}

impl<'c, G: Guard + DerefMut, F: FnMut(&mut G::Target) -> bool> WaitWhile<'c, G, F> {
    fn parts(self: Pin<&mut Self>) -> (Pin<&mut Wait<'c, G>>, &mut F) {
        // SAFETY: `wait` is pinned with `self` and nothing moves out of it; `condition` is not pinned. There is no `Drop`.
        unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.wait), &mut this.condition)
        }
    }

    /// The guard, if it is here and the condition does not hold (any more).
    fn look(self: Pin<&mut Self>) -> Option<G> {
        let (wait, condition) = self.parts();
        let guard = wait.parts().guard;
        if condition(&mut **guard.as_mut()?) { None } else { guard.take() }
    }

    /// Goes on with a guard that has come back.
    fn again(self: Pin<&mut Self>, guard: G) {
        let (mut wait, _) = self.parts();
        let next = wait.condvar.wait(guard);
        wait.set(next);
    }
}

impl<G: AsyncGuard + DerefMut, F: FnMut(&mut G::Target) -> bool> Future for WaitWhile<'_, G, F> {
    type Output = G;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<G> {
        loop {
            if let Some(guard) = self.as_mut().look() {
                return Poll::Ready(guard);
            }
            let guard = ready!(self.as_mut().parts().0.poll(cx));
            self.as_mut().again(guard);
        }
    }
}

#[cfg(feature = "std")]
impl<G: Guard + DerefMut, F: FnMut(&mut G::Target) -> bool> WaitWhile<'_, G, F> {
    /// Blocks this thread until the condition does not hold.
    ///
    /// # Panics
    /// As [`Wait::wait`].
    ///
    /// # Examples
    /// See [`Condvar::wait_while`].
    #[track_caller]
    pub fn wait(self) -> G {
        // Without options, nothing else ends it.
        self.wait_with(WaitOptions::new()).0
    }

    /// Blocks this thread until the condition does not hold, at most for `timeout`.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] if the condition still holds then. The guard comes back in any case.
    ///
    /// # Panics
    /// As [`Wait::wait`].
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitError, sync::{Condvar, StdGuard}};
    /// use std::{sync::Mutex, time::Duration};
    ///
    /// let (jobs, condvar) = (Mutex::new(Vec::<u32>::new()), Condvar::new());
    /// let guard = StdGuard::lock(&jobs).unwrap();
    /// let (guard, result) =
    ///     condvar.wait_while(guard, |jobs| jobs.is_empty()).wait_timeout(Duration::from_millis(1));
    /// assert_eq!(result, Err(WaitError::TimedOut));
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> (G, Result<(), WaitError>) {
        self.wait_with(WaitOptions::new().timeout(timeout))
    }

    /// Blocks this thread until the condition does not hold, at most until `deadline` (on the monotonic clock).
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Examples
    /// ```
    /// use gatepost::sync::{Condvar, StdGuard};
    /// use std::{sync::Mutex, time::Instant};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let wait = condvar.wait_while(guard, |n| *n > 0);
    /// assert!(wait.wait_deadline(Instant::now()).1.is_err());
    /// ```
    #[track_caller]
    pub fn wait_deadline(self, deadline: Instant) -> (G, Result<(), WaitError>) {
        self.wait_with(WaitOptions::new().deadline(deadline))
    }

    /// Blocks this thread until the condition does not hold, or `interrupter` is used.
    ///
    /// # Errors, panics
    /// [`WaitError::Interrupted`], and the condition still holds. As [`Wait::wait_interruptible`].
    ///
    /// # Examples
    /// ```
    /// use gatepost::{Interrupter, WaitError, sync::{Condvar, StdGuard}};
    /// use std::sync::Mutex;
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let interrupter = Interrupter::new();
    /// interrupter.interrupt();
    /// let wait = condvar.wait_while(guard, |n| *n > 0);
    /// assert_eq!(wait.wait_interruptible(&interrupter).1, Err(WaitError::Interrupted));
    /// ```
    #[track_caller]
    pub fn wait_interruptible(self, interrupter: &Interrupter) -> (G, Result<(), WaitError>) {
        self.wait_with(WaitOptions::new().interrupter(interrupter))
    }

    /// Blocks this thread until the condition does not hold, or one of `options` ends the wait while it still does.
    ///
    /// # Errors, panics
    /// As [`wait_timeout`](Self::wait_timeout) and [`wait_interruptible`](Self::wait_interruptible).
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitOptions, sync::{Condvar, StdGuard}};
    /// use std::sync::Mutex;
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let wait = condvar.wait_while(guard, |n| *n == 0);
    /// assert!(wait.wait_with(WaitOptions::new()).1.is_ok(), "the condition does not hold");
    /// ```
    #[track_caller]
    pub fn wait_with(self, options: WaitOptions<'_>) -> (G, Result<(), WaitError>) {
        core::pin::pin!(self).wait_pinned(options)
    }

    /// As [`wait_with`](Self::wait_with), for a future that is pinned, and perhaps polled already.
    ///
    /// # Errors, panics
    /// As [`wait_with`](Self::wait_with), and a panic if the future is done.
    ///
    /// # Examples
    /// ```
    /// use gatepost::{WaitOptions, sync::{Condvar, StdGuard}};
    /// use std::{pin::pin, sync::Mutex};
    ///
    /// let (mutex, condvar) = (Mutex::new(1), Condvar::new());
    /// let guard = StdGuard::lock(&mutex).unwrap();
    /// let wait = pin!(condvar.wait_while(guard, |n| *n == 0));
    /// assert!(wait.wait_pinned(WaitOptions::new()).1.is_ok());
    /// ```
    #[track_caller]
    pub fn wait_pinned(mut self: Pin<&mut Self>, options: WaitOptions<'_>) -> (G, Result<(), WaitError>) {
        coop::assert_may_block(); // before the condition is looked at: always, or never
        let mut result = Ok(());
        loop {
            if let Some(guard) = self.as_mut().look() {
                return (guard, Ok(()));
            }
            if result.is_err() {
                let guard = self.as_mut().parts().0.parts().guard.take();
                return (guard.expect("the condition was looked at just now"), result);
            }
            let (wait, _) = self.as_mut().parts();
            let (guard, ended) = wait.wait_pinned(options);
            result = ended;
            self.as_mut().again(guard);
        }
    }
}

impl<G: Guard, F> fmt::Debug for WaitWhile<'_, G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitWhile").field("wait", &self.wait).finish_non_exhaustive()
    }
}
