//! Acquisitions as named futures, which a task polls or a thread waits for.
//!
//! ```text
//!   New ──first poll or wait──▶ Waiting ──outcome handed out──▶ Done
//!    │                             │
//!    └─ dropped: nothing to do     └─ dropped: leaves the queue; a grant that nobody saw is given back (T19)
//! ```
//!
//! One implementation, [`Acquiring`], under tasks and threads, borrowed and owned, one and many. The public types are its
//! faces.

use super::error::AcquireError;
#[cfg(feature = "alloc")]
use super::permit::OwnedSemaphorePermit;
use super::permit::{Held, SemaphorePermit};
use super::policy::{Gate, Policy, Strict, sealed};
use super::trace::{self, Operation};
use super::{Semaphore, assert_countable, handle::Handle};
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::Panics;
use crate::wait::coop;
use crate::wait::node::{self, Node, Phase};
use crate::wait::timing;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

#[cfg(feature = "std")]
use {
    super::error::TryAcquireError,
    crate::wait::interrupt::Interrupter,
    crate::wait::node::State,
    crate::wait::options::{WaitError, WaitOptions},
    crate::wait::thread,
    core::task::Waker,
    std::time::{Duration, Instant},
};

/// What a poll or a wait of an acquisition says that has handed out its outcome.
const DONE: &str = "an acquisition was polled, or waited for, after it was done";

/// An acquisition in progress.
pub(crate) struct Acquiring<H: Handle> {
    node: Node,
    /// `None` once the permits have been handed out.
    handle: Option<H>,
    operation: Operation,
}

impl<H: Handle> Acquiring<H> {
    #[inline(always)]
    #[track_caller]
    pub(crate) fn new(handle: H, n: usize, source: &'static str) -> Self {
        assert_countable::<H::Policy>(n);
        let operation = handle.semaphore().resource.begin(source, n);
        Self { node: Node::new(n), handle: Some(handle), operation }
    }

    /// The permits are the future's, and stay so until they are handed out: events come in between.
    #[inline(always)]
    fn keep_until_traced(&self) {
        if trace::ENABLED {
            self.node.set_state(node::GRANTED);
            self.node.set_phase(Phase::Waiting);
        }
    }

    /// Its node, for tests that set traps.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Whether the outcome has been handed out.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(crate) fn is_done(&self) -> bool {
        self.node.phase() == Phase::Done
    }

    /// Hands out an outcome.
    #[inline(always)]
    fn finish<E>(self: Pin<&mut Self>, outcome: Result<(), E>) -> Result<Held<H>, E> {
        // SAFETY: neither `operation` nor `handle` is pinned: nothing points at them. The node stays where it is.
        let this = unsafe { self.get_unchecked_mut() };
        this.operation.end(); // the subscriber's code: the permits are still the future's
        this.node.set_phase(Phase::Done);
        let n = this.node.need();
        let handle = this.handle.take();
        outcome.map(|()| Held::new(handle.expect("an acquisition that is not done has its semaphore"), n))
    }

    #[inline(always)]
    #[track_caller]
    fn handle(&self) -> &H {
        self.handle.as_ref().expect(DONE)
    }

    #[inline(always)]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Held<H>, AcquireError>> {
        let semaphore = self.handle().semaphore();
        let outcome = self.operation.poll(&semaphore.resource, self.node.need(), || match self.node.phase() {
            Phase::New => self.poll_first(semaphore, cx),
            Phase::Waiting => self.poll_again(semaphore, cx),
            Phase::Done => panic!("{DONE}"),
        });
        outcome.map(|outcome| self.finish(outcome))
    }

    /// The first poll: takes what is free, or joins the queue. See [`coop`] for what a spent budget changes.
    #[inline(always)]
    fn poll_first(&self, semaphore: &Semaphore<H::Policy>, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        let budget = coop::take(cx);
        let mut outcome = Poll::Pending;
        if budget.is_ready() {
            outcome = semaphore.gate.try_take(self.node.need());
        }
        if outcome.is_pending() {
            // SAFETY: `New`, so the node is idle. It is pinned with `self`, and dropping `self` withdraws it.
            outcome = unsafe { semaphore.gate.enqueue(&self.node, cx.waker(), budget.is_ready()) };
        }
        if let Poll::Ready(result) = &outcome {
            if result.is_ok() {
                self.keep_until_traced();
            }
            if let Poll::Ready(unit) = budget {
                unit.spend();
            }
        }
        outcome
    }

    /// A later poll: asks for the outcome.
    fn poll_again(&self, semaphore: &Semaphore<H::Policy>, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        // SAFETY: the owner, by `Pin<&mut Self>`; not `New` and not `Done`, so the node has joined.
        let outcome = unsafe { semaphore.gate.poll(&self.node, cx.waker()) };
        if outcome.is_ready() {
            coop::spend_if_any(cx);
        }
        outcome
    }
}

#[cfg(feature = "std")]
impl<H: Handle> Acquiring<H> {
    /// Waits as a thread. Every blocking form ends here.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn wait(self: Pin<&mut Self>, options: WaitOptions<'_>) -> Result<Held<H>, WaitError> {
        coop::assert_may_block();
        let semaphore = self.handle().semaphore();
        assert!(self.node.phase() != Phase::Done, "{DONE}");
        let mut outcome = Err(WaitError::Closed);
        let _ = self.operation.poll(&semaphore.resource, self.node.need(), || {
            outcome = self.wait_for_outcome(semaphore, options);
            Poll::Ready(outcome)
        });
        self.finish(outcome)
    }

    #[inline(always)]
    fn wait_for_outcome(&self, semaphore: &Semaphore<H::Policy>, options: WaitOptions<'_>) -> Result<(), WaitError> {
        if self.node.phase() == Phase::New {
            if let Poll::Ready(outcome) = semaphore.gate.try_take(self.node.need()) {
                if outcome.is_ok() {
                    self.keep_until_traced();
                }
                return outcome.map_err(WaitError::from);
            }
        }
        self.wait_slow(semaphore, options)
    }

    #[cold]
    #[inline(never)]
    fn wait_slow(&self, semaphore: &Semaphore<H::Policy>, options: WaitOptions<'_>) -> Result<(), WaitError> {
        // SAFETY: the owner, by `Pin<&mut Self>` in the caller. The node is pinned with `self`, and dropping `self`
        // withdraws it.
        unsafe { thread::wait(&Thread { acquiring: self, gate: &semaphore.gate }, options) }
    }
}

/// An acquisition that a thread waits for.
#[cfg(feature = "std")]
struct Thread<'a, H: Handle> {
    acquiring: &'a Acquiring<H>,
    gate: &'a <H::Policy as sealed::Policy>::Gate,
}

#[cfg(feature = "std")]
fn as_state(outcome: Result<(), AcquireError>) -> State {
    if outcome.is_ok() { node::GRANTED } else { node::CLOSED }
}

#[cfg(feature = "std")]
impl<H: Handle> thread::Waiting for Thread<'_, H> {
    fn node(&self) -> &Node {
        &self.acquiring.node
    }

    fn try_now(&self) -> State {
        match self.gate.try_acquire(self.node().need()) {
            Ok(()) => {
                self.acquiring.keep_until_traced();
                node::GRANTED
            }
            Err(TryAcquireError::Closed) => node::CLOSED,
            Err(TryAcquireError::NoPermits) => node::IDLE,
        }
    }

    unsafe fn join(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        let outcome = unsafe { self.gate.enqueue(self.node(), waker, true) };
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.acquiring.keep_until_traced();
        }
        outcome.map(as_state)
    }

    unsafe fn ask(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.gate.poll(self.node(), waker) }.map(as_state)
    }

    unsafe fn ask_again(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.gate.poll_thread(self.node(), waker) }.map(as_state)
    }

    unsafe fn withdraw(&self, outcome: State, panics: &mut Panics) -> State {
        // SAFETY: passed on.
        unsafe { self.gate.withdraw(self.node(), outcome, panics) }
    }

    fn ahead(&self) -> usize {
        self.gate.waiters().saturating_sub(1)
    }
}

impl<H: Handle> Drop for Acquiring<H> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.node.phase() == Phase::Waiting {
            self.abandon();
        }
    }
}

impl<H: Handle> Acquiring<H> {
    #[inline(never)]
    fn abandon(&self) {
        let semaphore = self.handle().semaphore();
        let mut panics = Panics::new();
        let give_back = GiveBack { gate: &semaphore.gate, node: &self.node };
        // SAFETY: the owner; `Waiting`, so the node has joined (or holds a grant). Nobody looks at it again.
        if unsafe { semaphore.gate.cancel(&self.node, &mut panics) } {
            core::mem::forget(give_back);
            timing::ended(&self.node);
            return panics.resume();
        }
        Self::abandon_slow(give_back, panics);
    }

    #[cold]
    #[inline(never)]
    fn abandon_slow(give_back: GiveBack<'_, <H::Policy as sealed::Policy>::Gate>, mut panics: Panics) {
        // SAFETY: as in `abandon`.
        unsafe { give_back.gate.withdraw(give_back.node, node::CANCELLED, &mut panics) };
        let node = give_back.node;
        panics.catch(|| drop(give_back));
        timing::ended(node);
        panics.resume();
    }
}

/// Granted, and nobody looked: whoever is next shall have the permits (T19). A destructor, since without `std` the panic
/// of a waker may unwind out of the withdrawal.
struct GiveBack<'a, G: Gate> {
    gate: &'a G,
    node: &'a Node,
}

impl<G: Gate> Drop for GiveBack<'_, G> {
    fn drop(&mut self) {
        if self.node.state() == node::GRANTED && !mutant::is(Mutant::GrantLost) {
            self.gate.release(self.node.need());
        }
    }
}

/// Writes the face of [`Acquiring`] for one kind of handle.
macro_rules! face {
    (
        $(#[$attr:meta])*
        $name:ident [$($parameters:tt)*] [$($generics:tt)*] [$($arguments:tt)*],
        $handle:ty => $permit:ident [$($permit_arguments:tt)*], $begin:literal
    ) => {
        $(#[$attr])*
        #[must_use = "futures do nothing unless polled or waited for"]
        pub struct $name<$($parameters)*>(pub(crate) Acquiring<$handle>);

        impl<$($generics)*> Future for $name<$($arguments)*> {
            type Output = Result<$permit<$($permit_arguments)*>, AcquireError>;

            #[inline]
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.inner().poll(cx).map_ok($permit)
            }
        }

        impl<$($generics)*> $name<$($arguments)*> {
            #[inline(always)]
            fn inner(self: Pin<&mut Self>) -> Pin<&mut Acquiring<$handle>> {
                // SAFETY: a pinned face pins its only field, and nothing moves out of it.
                unsafe { self.map_unchecked_mut(|face| &mut face.0) }
            }
        }

        #[cfg(feature = "std")]
        impl<$($generics)*> $name<$($arguments)*> {
            /// Blocks this thread until the permits are there. Threads and tasks wait in one queue.
            ///
            /// # Errors
            /// If the semaphore is closed, or gets closed meanwhile.
            ///
            /// # Panics
            /// With the feature `tokio`, inside a runtime where blocking would keep it from running, as Tokio's own
            /// blocking methods do. Without the feature that cannot be detected.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::Semaphore;
            /// # use std::sync::Arc;
            /// let semaphore = Arc::new(Semaphore::new(2));
            #[doc = concat!("let permit = ", $begin, ".wait()?;")]
            /// assert_eq!(semaphore.available_permits(), 1);
            /// # Ok::<(), gatepost::AcquireError>(())
            /// ```
            #[inline]
            #[track_caller]
            pub fn wait(self) -> Result<$permit<$($permit_arguments)*>, AcquireError> {
                core::pin::pin!(self.0).wait(WaitOptions::new()).map($permit).map_err(|_| AcquireError::closed())
            }

            /// Blocks this thread until the permits are there, at most for `timeout`. [`Duration::MAX`] means for ever;
            /// zero takes what is free and otherwise gives up at once.
            ///
            /// # Errors
            /// [`WaitError::TimedOut`] never before the time is up; [`WaitError::Closed`]. The wait has then left the queue
            /// and holds nothing. Free permits win: if they are there the wait succeeds, however late it is.
            ///
            /// # Panics
            /// As [`wait`](Self::wait).
            ///
            /// # Examples
            /// ```
            /// # use gatepost::{Semaphore, WaitError};
            /// # use std::{sync::Arc, time::Duration};
            /// let semaphore = Arc::new(Semaphore::new(0));
            #[doc = concat!("let result = ", $begin, ".wait_timeout(Duration::from_millis(1));")]
            /// assert_eq!(result.unwrap_err(), WaitError::TimedOut);
            /// ```
            #[track_caller]
            pub fn wait_timeout(self, timeout: Duration) -> Result<$permit<$($permit_arguments)*>, WaitError> {
                self.wait_with(WaitOptions::new().timeout(timeout))
            }

            /// Blocks this thread until the permits are there, at most until `deadline` (on the monotonic clock).
            ///
            /// # Errors, panics
            /// As [`wait_timeout`](Self::wait_timeout). An expired deadline with free permits succeeds.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::Semaphore;
            /// # use std::{sync::Arc, time::Instant};
            /// let semaphore = Arc::new(Semaphore::new(1));
            #[doc = concat!("let permit = ", $begin, ".wait_deadline(Instant::now())?;")]
            /// # Ok::<(), gatepost::WaitError>(())
            /// ```
            #[track_caller]
            pub fn wait_deadline(self, deadline: Instant) -> Result<$permit<$($permit_arguments)*>, WaitError> {
                self.wait_with(WaitOptions::new().deadline(deadline))
            }

            /// Blocks this thread until the permits are there, or `interrupter` is used.
            ///
            /// # Errors
            /// [`WaitError::Interrupted`], which consumes the interrupt; [`WaitError::Closed`]. Free permits win.
            ///
            /// # Panics
            /// As [`wait`](Self::wait), and if another wait that blocks uses the same interrupter.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::{Interrupter, Semaphore, WaitError};
            /// # use std::sync::Arc;
            /// let semaphore = Arc::new(Semaphore::new(0));
            /// let interrupter = Interrupter::new();
            /// interrupter.interrupt(); // sticky: the next wait that has to block ends
            #[doc = concat!("let result = ", $begin, ".wait_interruptible(&interrupter);")]
            /// assert_eq!(result.unwrap_err(), WaitError::Interrupted);
            /// ```
            #[track_caller]
            pub fn wait_interruptible(
                self,
                interrupter: &Interrupter,
            ) -> Result<$permit<$($permit_arguments)*>, WaitError> {
                self.wait_with(WaitOptions::new().interrupter(interrupter))
            }

            /// Blocks this thread until the permits are there, or one of `options` ends the wait: a deadline and an
            /// interrupter, if need be both (at the same instant the deadline wins).
            ///
            /// # Errors, panics
            /// As [`wait_timeout`](Self::wait_timeout) and [`wait_interruptible`](Self::wait_interruptible).
            ///
            /// # Examples
            /// See [`WaitOptions`].
            #[track_caller]
            pub fn wait_with(mut self, options: WaitOptions<'_>) -> Result<$permit<$($permit_arguments)*>, WaitError> {
                // SAFETY: it is not moved again, and dropped where it is. (`pin!` would copy it.)
                unsafe { Pin::new_unchecked(&mut self.0) }.wait(options).map($permit)
            }

            /// As [`wait_with`](Self::wait_with), for a future that is pinned, and perhaps polled already: it keeps its
            /// place in the queue. However the wait ends, the future is done: after a time-out it has left the queue.
            ///
            /// # Errors, panics
            /// As [`wait_with`](Self::wait_with), and a panic if the future is done.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::{Semaphore, WaitOptions};
            /// # use std::{future::Future, pin::pin, sync::Arc, task::{Context, Waker}};
            /// let semaphore = Arc::new(Semaphore::new(0));
            #[doc = concat!("let mut acquire = pin!(", $begin, ");")]
            /// assert!(acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            /// semaphore.add_permits(1);
            /// let permit = acquire.wait_pinned(WaitOptions::new())?;
            /// # Ok::<(), gatepost::WaitError>(())
            /// ```
            #[track_caller]
            pub fn wait_pinned(
                self: Pin<&mut Self>,
                options: WaitOptions<'_>,
            ) -> Result<$permit<$($permit_arguments)*>, WaitError> {
                self.inner().wait(options).map($permit)
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($arguments)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("permits", &self.0.node.need()).finish_non_exhaustive()
            }
        }
    };
}

face! {
    /// An acquisition that borrows its semaphore: see [`Semaphore::acquire`].
    ///
    /// A future for tasks. A thread waits for one that was never polled with [`wait`](Self::wait) and its siblings, for
    /// one that was with [`wait_pinned`](Self::wait_pinned).
    ///
    /// # Cancel safety
    /// Dropping it leaves the queue and loses the place in it. No permit is lost: what had been granted already goes to
    /// whoever is next.
    ///
    /// # Memory ordering, fairness
    /// Those of [`Semaphore`].
    ///
    /// # Panics
    /// When polled or waited for again after it is done.
    ///
    /// # Cost
    /// 56 bytes (64-bit, without `tracing`). One RMW if the permits are free. Otherwise two to join the queue, none to
    /// complete, no allocation.
    Acquire ['a, P: Policy = Strict] ['a, P: Policy] ['a, P],
    &'a Semaphore<P> => SemaphorePermit ['a, P], "semaphore.acquire()"
}

#[cfg(feature = "alloc")]
face! {
    /// An acquisition that keeps its semaphore alive: see [`Semaphore::acquire_owned`].
    ///
    /// All that is said of [`Acquire`] holds.
    AcquireOwned [P: Policy = Strict] [P: Policy] [P],
    alloc::sync::Arc<Semaphore<P>> => OwnedSemaphorePermit [P], "semaphore.clone().acquire_owned()"
}
