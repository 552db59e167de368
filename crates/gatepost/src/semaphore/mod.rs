//! The batch semaphore.
//!
//! | room | what it holds |
//! |---|---|
//! | this one | [`Semaphore`]: what users call |
//! | [`acquire`](self::Acquire) | acquisitions as futures, for tasks and threads |
//! | [`permit`](self::SemaphorePermit) | permits in hand |
//! | [`policy`](self::Policy) | who goes first |
//! | `locked` | a queue, and the word whose bit is its lock: what gates are made of |
//! | `strict` | the strict policy: its word, its protocol, the proof |
//! | `barging` | the barging policy: the same |
//! | [`poll`](self::PollSemaphore) | for hand-written futures and `tower` services |
//! | `trace` | what the feature `tracing` adds |

mod acquire;
mod barging;
mod error;
mod handle;
mod locked;
mod permit;
mod policy;
#[cfg(feature = "alloc")]
mod poll;
mod strict;
#[cfg(test)]
mod tests;
mod trace;

#[cfg(feature = "std")]
pub use crate::wait::options::{WaitError, WaitOptions};
pub use acquire::Acquire;
#[cfg(feature = "alloc")]
pub use acquire::AcquireOwned;
pub use error::{AcquireError, TryAcquireError};
#[cfg(feature = "alloc")]
pub use permit::OwnedSemaphorePermit;
pub use permit::SemaphorePermit;
pub use policy::{Barging, Policy, Strict};
#[cfg(feature = "alloc")]
pub use poll::PollSemaphore;

use crate::sys::const_fn;
use crate::wait::batch::Panics;
#[cfg(feature = "std")]
use crate::wait::coop;
use acquire::Acquiring;
#[cfg(feature = "alloc")]
use alloc::sync::Arc;
use core::fmt;
#[cfg(feature = "std")]
use core::task::Poll;
use permit::Held;
use policy::Gate;
use trace::Resource;

/// A counting semaphore that gives out many permits at once, fairly, to tasks and threads in one queue.
///
/// A drop-in for `tokio::sync::Semaphore`: the same names, signatures, errors and panics, so that changing one `use` line
/// is enough. Beyond it: threads wait in the same queue as tasks, with deadlines and interrupts; a release takes no lock;
/// counts may be `usize`; acquisitions are named futures.
///
/// # Fairness
/// With the policy [`Strict`], the default, permits are given out in the order in which they were asked for. A large
/// request at the front is not passed by smaller ones behind it, even if their permits are free; and while anybody waits,
/// nobody else gets any: `try_acquire` fails, and [`available_permits`](Self::available_permits) shows 0. A place in the
/// queue is taken by the first poll of a future, or when a thread begins to wait.
///
/// # Memory ordering
/// Acquiring permits, releasing, adding, forgetting and draining them, and closing are each an `AcqRel` operation on one
/// atomic: they are totally ordered, and each synchronizes with all before it. (Adding or forgetting none does nothing.) A
/// failed attempt,
/// [`available_permits`](Self::available_permits) and [`is_closed`](Self::is_closed) are `Acquire` loads.
///
/// # Cost
/// 32 bytes (64-bit, without `tracing`). While nobody waits, acquiring is one read-modify-write and releasing is one, with
/// no lock, system call, allocation or fence. A release that finds waiters serves them, at most 32 in one hold of the
/// queue's lock, for which it never waits; a granted waiter completes with one load.
///
/// # Wakers
/// No lock is held while a waker is woken, cloned or dropped: it may call back. One that panics keeps no other waiter from
/// being woken; the panic goes on to whoever released or closed.
///
/// # Signal handlers and interrupts
/// On Linux (64-bit x86, Arm and RISC-V), without the feature `tracing`, [`add_permits`](Self::add_permits) and dropping a
/// [`SemaphorePermit`] may be called from a signal handler if every waiter is a thread and the sum stays below
/// [`MAX_PERMITS`](Semaphore::MAX_PERMITS): they wait for nothing. Elsewhere a wake-up may take a mutex. The `try_acquire`
/// forms may have to wait for the thread that serves the queue, which a handler may have interrupted: call them there
/// only if nobody ever waits on this semaphore.
///
/// # Examples
/// ```
/// use gatepost::Semaphore;
///
/// static CONNECTIONS: Semaphore = Semaphore::const_new(8);
///
/// // A thread:
/// let permit = CONNECTIONS.blocking_acquire()?;
/// drop(permit);
///
/// // A task:
/// async fn fetch() -> Result<(), gatepost::AcquireError> {
///     let _permit = CONNECTIONS.acquire().await?;
///     // at most eight of these run at a time
///     Ok(())
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(fetch())?;
/// # Ok::<(), gatepost::AcquireError>(())
/// ```
///
/// A request for many permits at once never deadlocks with another, as two requests one after the other might:
/// ```
/// use gatepost::Semaphore;
///
/// let megabytes = Semaphore::new(512);
/// let big = megabytes.acquire_many(300).wait()?;
/// assert!(megabytes.try_acquire_many(300).is_err());
/// drop(big);
/// assert!(megabytes.try_acquire_many(300).is_ok());
/// # Ok::<(), gatepost::AcquireError>(())
/// ```
pub struct Semaphore<P: Policy = Strict> {
    gate: P::Gate,
    resource: Resource,
}

impl Semaphore {
    /// The largest number of permits of a semaphore: `usize::MAX >> 3`.
    pub const MAX_PERMITS: usize = Strict::MAX_PERMITS;

    /// A semaphore with `permits` permits.
    ///
    /// # Panics
    /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// let semaphore = gatepost::Semaphore::new(3);
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    #[inline]
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        assert_countable::<Strict>(permits);
        Self { gate: strict::Gate::new(permits), resource: Resource::new(permits) }
    }

    const_fn! {
        /// A semaphore with `permits` permits, in a constant.
        ///
        /// # Panics
        /// If `permits` exceeds [`MAX_PERMITS`](Self::MAX_PERMITS); in a constant that does not compile.
        ///
        /// # Examples
        /// ```
        /// static SEMAPHORE: gatepost::Semaphore = gatepost::Semaphore::const_new(3);
        /// assert_eq!(SEMAPHORE.available_permits(), 3);
        /// ```
        pub const fn const_new(permits: usize) -> Self {
            assert!(permits <= Strict::MAX_PERMITS, "a semaphore may not have more than MAX_PERMITS permits");
            Self { gate: strict::Gate::new(permits), resource: Resource::none() }
        }
    }

    /// A semaphore without permits that is closed already.
    pub fn new_closed() -> Self {
        Self { gate: strict::Gate::new_closed(), resource: Resource::none() }
    }

    const_fn! {
        /// A semaphore without permits that is closed already, in a constant.
        pub const fn const_new_closed() -> Self {
            Self { gate: strict::Gate::new_closed(), resource: Resource::none() }
        }
    }
}

impl Semaphore<Barging> {
    /// A semaphore with `permits` permits and the policy [`Barging`].
    ///
    /// # Panics
    /// If `permits` exceeds [`Barging::MAX_PERMITS`](Policy::MAX_PERMITS).
    ///
    /// # Examples
    /// ```
    /// let semaphore = gatepost::Semaphore::barging(3);
    /// assert_eq!(semaphore.available_permits(), 3);
    /// ```
    #[inline]
    #[track_caller]
    pub fn barging(permits: usize) -> Self {
        assert_countable::<Barging>(permits);
        Self { gate: barging::Gate::new(permits), resource: Resource::new(permits) }
    }

    const_fn! {
        /// A semaphore with `permits` permits and the policy [`Barging`], in a constant.
        ///
        /// # Panics
        /// If `permits` exceeds [`Barging::MAX_PERMITS`](Policy::MAX_PERMITS); in a constant that does not compile.
        pub const fn const_barging(permits: usize) -> Self {
            assert!(permits <= Barging::MAX_PERMITS, "a semaphore may not have more than MAX_PERMITS permits");
            Self { gate: barging::Gate::new(permits), resource: Resource::none() }
        }
    }

    /// A semaphore with the policy [`Barging`], without permits, that is closed already.
    pub fn barging_closed() -> Self {
        Self { gate: barging::Gate::new_closed(), resource: Resource::none() }
    }
}

/// # Panics
/// If a semaphore with this policy cannot count `n` permits.
#[inline(always)]
#[track_caller]
fn assert_countable<P: Policy>(n: usize) {
    assert!(n <= P::MAX_PERMITS, "a semaphore may not have more than MAX_PERMITS permits ({})", P::MAX_PERMITS);
}

/// State.
impl<P: Policy> Semaphore<P> {
    /// The permits that are free for a newcomer. Under [`Strict`] 0 while anybody waits: what is there is kept for the front
    /// of the queue; under [`Barging`] only while the front is protected. Of a closed semaphore, those that have come back and not been forgotten.
    pub fn available_permits(&self) -> usize {
        self.gate.available()
    }

    /// How many wait in the queue, tasks and threads. A snapshot: exact when nothing else happens.
    ///
    /// # Examples
    /// ```
    /// # use gatepost::Semaphore;
    /// # use std::{future::Future, pin::pin, task::{Context, Waker}};
    /// let semaphore = Semaphore::new(0);
    /// let mut acquire = pin!(semaphore.acquire());
    /// assert_eq!(semaphore.num_waiters(), 0); // a future waits from its first poll on
    /// assert!(acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    /// assert_eq!(semaphore.num_waiters(), 1);
    /// ```
    pub fn num_waiters(&self) -> usize {
        self.gate.waiters()
    }

    /// Adds `n` permits. Under [`Strict`] those who wait get them first, in order, and the rest is free; under [`Barging`]
    /// the first waiter is woken.
    ///
    /// Adding to a closed semaphore keeps it closed. Wait-free unless it serves waiters, or `n` or the permits are
    /// astronomical (2^26 and 2^54, or on 32 bits 2^10 and 2^22, and more under [`Strict`]). It never waits for another thread, unless the sum exceeds
    /// [`MAX_PERMITS`](Semaphore::MAX_PERMITS) and somebody waits, whom it must serve first.
    ///
    /// # Panics
    /// If there would be more than [`MAX_PERMITS`](Policy::MAX_PERMITS) free permits. Nothing has changed then.
    #[inline]
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.put_back(n);
    }

    /// Gives permits to the gate, and reports it. Whoever panics meanwhile, a waker or the subscriber, keeps neither from
    /// being done; too many permits panic before anything is.
    #[inline(always)]
    #[track_caller]
    fn put_back(&self, n: usize) {
        if trace::ENABLED {
            let mut panics = Panics::new();
            self.gate.release_with(n, &mut panics);
            panics.catch(|| self.resource.added(n));
            panics.resume();
        } else {
            self.gate.release(n);
        }
    }

    /// Removes up to `n` free permits for good and returns how many. What is kept for waiters is not touched, nor what is
    /// in use. A closed semaphore stays closed.
    pub fn forget_permits(&self, n: usize) -> usize {
        let forgotten = self.gate.forget(n);
        self.resource.removed(forgotten);
        forgotten
    }

    /// Removes all free permits for good and returns how many there were. See
    /// [`forget_permits`](Self::forget_permits).
    ///
    /// # Examples
    /// ```
    /// let semaphore = gatepost::Semaphore::new(5);
    /// let in_use = semaphore.try_acquire_many(2)?;
    /// assert_eq!(semaphore.drain_permits(), 3);
    /// drop(in_use);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// # Ok::<(), gatepost::TryAcquireError>(())
    /// ```
    pub fn drain_permits(&self) -> usize {
        self.forget_permits(P::MAX_PERMITS)
    }

    /// Closes the semaphore: no more permits are given out, and everybody who waits for one gets an error. Whoever could
    /// have been served before gets its permits still. Permits in use stay valid, and may be given back. Idempotent.
    ///
    /// When this returns, whatever is polled is ready, and every thread that waits has been told, or is being told by a
    /// thread that serves the queue just now.
    ///
    /// # Examples
    /// ```
    /// # use gatepost::{Semaphore, TryAcquireError};
    /// let semaphore = Semaphore::new(1);
    /// semaphore.close();
    /// assert!(semaphore.acquire().wait().is_err());
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    /// ```
    pub fn close(&self) {
        self.gate.close();
    }

    /// Whether the semaphore has been closed.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }
}

/// Writes the public acquiring methods, which differ in how they hold the semaphore and in how many permits they ask for.
macro_rules! acquiring {
    (
        $(#[$cfg:meta])* $doc:literal ($this:ident: $self:ty), $handle:expr;
        $future_name:ident = $future:ty, $permit:ident = $permit_type:ty;
        $(
            $count:literal ($($n:ident: $n_type:ty)?) = $as_usize:expr;
            $acquire:ident $acquire_name:literal, $try_acquire:ident, $blocking:ident;
        )*
    ) => {
        $(#[$cfg])*
        impl<P: Policy> Semaphore<P> {
            $(
                #[doc = concat!("Asks for ", $count, ", with a future ", $doc, ".")]
                ///
                /// The place in the queue is taken by the first poll. A thread waits for the future with
                /// [`wait`](Acquire::wait) and its siblings, without an executor.
                ///
                /// # Errors
                /// The future fails if the semaphore is closed, or gets closed meanwhile. A request for more permits than
                /// there will ever be waits until then, and (but for what [`Barging`] allows) lets nobody pass.
                ///
                /// # Cancel safety
                /// Dropping the future loses its place in the queue and no permit.
                ///
                /// # Panics
                /// If the number of permits exceeds [`MAX_PERMITS`](Policy::MAX_PERMITS).
                #[inline]
                #[track_caller]
                pub fn $acquire($this: $self $(, $n: $n_type)?) -> $future {
                    $future_name(Acquiring::new($handle, $as_usize, $acquire_name))
                }

                #[doc = concat!("Takes ", $count, " if free, with a permit ", $doc, ". Never waits for permits.")]
                ///
                /// # Errors
                /// [`TryAcquireError::Closed`] comes first; [`TryAcquireError::NoPermits`] if there are too few, or
                /// anybody waits (this passes nobody; under [`Barging`] it may, unless the first waiter is protected). Nothing has changed then. Zero permits are always there while the
                /// semaphore is open.
                ///
                /// # Panics
                /// If the number of permits exceeds [`MAX_PERMITS`](Policy::MAX_PERMITS).
                #[inline]
                #[track_caller]
                pub fn $try_acquire($this: $self $(, $n: $n_type)?) -> Result<$permit_type, TryAcquireError> {
                    let n = $as_usize;
                    assert_countable::<P>(n);
                    $this.gate.try_acquire(n)?;
                    let permit = $permit(Held::new($handle, n));
                    permit.semaphore().resource.removed(n);
                    Ok(permit)
                }

                #[doc = concat!("Blocks this thread until it has ", $count, ", held by a permit ", $doc, ".")]
                ///
                #[doc = concat!("The same as [`", stringify!($acquire), "`](Self::", stringify!($acquire), ")`(…).wait()`.")]
                ///
                /// # Errors
                /// If the semaphore is closed, or gets closed meanwhile.
                ///
                /// # Panics
                /// If the number of permits exceeds [`MAX_PERMITS`](Policy::MAX_PERMITS). With the feature `tokio`,
                /// inside a runtime where Tokio's own blocking methods would.
                #[cfg(feature = "std")]
                #[inline]
                #[track_caller]
                pub fn $blocking($this: $self $(, $n: $n_type)?) -> Result<$permit_type, AcquireError> {
                    let n = $as_usize;
                    assert_countable::<P>(n);
                    coop::assert_may_block();
                    // Without a future, if nothing is to be waited for and nothing reported.
                    if !trace::ENABLED {
                        if let Poll::Ready(taken) = $this.gate.try_take(n) {
                            return taken.map(|()| $permit(Held::new($handle, n)));
                        }
                    }
                    $this.$acquire($($n)?).wait()
                }
            )*
        }
    };
}

acquiring! {
    "that borrows the semaphore" (self: &Self), self;
    Acquire = Acquire<'_, P>, SemaphorePermit = SemaphorePermit<'_, P>;
    "one permit" () = 1;
    acquire "Semaphore::acquire", try_acquire, blocking_acquire;
    "`n` permits at once" (n: u32) = n as usize;
    acquire_many "Semaphore::acquire_many", try_acquire_many, blocking_acquire_many;
    "`n` permits at once" (n: usize) = n;
    acquire_n "Semaphore::acquire_n", try_acquire_n, blocking_acquire_n;
}

acquiring! {
    #[cfg(feature = "alloc")]
    "that keeps the semaphore alive" (self: Arc<Self>), self;
    AcquireOwned = AcquireOwned<P>, OwnedSemaphorePermit = OwnedSemaphorePermit<P>;
    "one permit" () = 1;
    acquire_owned "Semaphore::acquire_owned", try_acquire_owned, blocking_acquire_owned;
    "`n` permits at once" (n: u32) = n as usize;
    acquire_many_owned "Semaphore::acquire_many_owned", try_acquire_many_owned, blocking_acquire_many_owned;
    "`n` permits at once" (n: usize) = n;
    acquire_n_owned "Semaphore::acquire_n_owned", try_acquire_n_owned, blocking_acquire_n_owned;
}

impl<P: Policy> fmt::Debug for Semaphore<P> {
    /// Shows permits, waiters and whether it is closed. Never waits: a number that the queue's lock guards and that is
    /// just being changed is shown as `<locked>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gate.fmt(f)
    }
}

// Permits are counted correctly whatever unwinds: every change is one RMW, and the queue is left by a destructor.
impl<P: Policy> core::panic::UnwindSafe for Semaphore<P> {}
impl<P: Policy> core::panic::RefUnwindSafe for Semaphore<P> {}
