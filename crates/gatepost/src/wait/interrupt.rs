//! Ending another thread's wait.
//!
//! ```text
//!   FREE ──register──▶ *parker ──deregister──▶ FREE          a wait begins and ends
//!     │                   │
//!     └───interrupt───────┴──interrupt (and unpark)──▶ PENDING ──consume, by the wait that it ends──▶ FREE
//! ```
//!
//! **N1.** An interrupt is never lost: it is `PENDING` until a wait consumes it, whichever comes first.
//! **N2.** A wait that ends for another reason (a grant, above all) leaves `PENDING` as it is.
//! **N3.** A parker is never freed, so an interrupter may unpark one whose wait is over: a stray token, which is harmless.

use super::parker::Parker;
use crate::sys::atomic::{AcqRel, Acquire, AtomicPtr, Relaxed};
use crate::sys::const_fn;
use crate::sys::mutant::{self, Mutant};
use core::fmt;
use core::ptr;

/// A handle with which one thread ends another thread's wait.
///
/// Give a reference to the waiting call ([`Acquire::wait_interruptible`](crate::semaphore::Acquire::wait_interruptible))
/// and keep another where the decision falls. An interrupt is *sticky*: sent while nobody waits, it ends the next wait
/// that would have to block. It is *consumed* by the wait that it ends. *Free permits win*: a wait that can be satisfied
/// at once, or that was granted its permits before it noticed the interrupt, succeeds and leaves the interrupt pending.
///
/// # Panics
/// One interrupter serves one wait at a time: a second wait that would block with it panics. (Not while an interrupt is
/// pending: then it may take the interrupt of the first.)
///
/// # Memory ordering
/// What happened before [`interrupt`](Self::interrupt) is visible to the wait that it ends.
///
/// # Examples
/// ```
/// use gatepost::{Interrupter, Semaphore, WaitError};
///
/// let semaphore = Semaphore::new(0);
/// let interrupter = Interrupter::new();
/// std::thread::scope(|scope| {
///     let waiting = scope.spawn(|| semaphore.acquire().wait_interruptible(&interrupter).map(drop));
///     interrupter.interrupt();
///     assert_eq!(waiting.join().unwrap(), Err(WaitError::Interrupted));
/// });
/// ```
pub struct Interrupter {
    /// `FREE` (null), `PENDING`, or the parker of the thread that waits.
    state: AtomicPtr<Parker>,
}

/// The address of something that is not a parker.
fn pending() -> *mut Parker {
    ptr::without_provenance_mut(1)
}

impl Interrupter {
    const_fn! {
        /// An interrupter with no interrupt pending.
        pub const fn new() -> Self {
            Self { state: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Ends the wait that uses this interrupter, or, if there is none, the next one that has to block. Interrupts do not
    /// add up: two of them before a wait end one wait.
    ///
    /// Cost: one RMW, and a wake-up if a thread is parked.
    pub fn interrupt(&self) {
        if mutant::is(Mutant::InterruptNotSticky) && self.state.load(Relaxed).is_null() {
            return;
        }
        // ORDERING: Release pairs with the Acquire of `is_pending` and `consume`: the interrupted wait sees what led to
        // it. Acquire pairs with `is_pending`'s Release: the parker behind the pointer is initialised.
        let previous = self.state.swap(pending(), AcqRel);
        if !previous.is_null() && previous != pending() {
            // SAFETY: neither FREE nor PENDING, so a `Registration` stored it: a parker, never freed (N3).
            unsafe { &*previous }.unpark();
        }
    }

    /// Whether an interrupt is pending.
    #[inline]
    pub fn is_pending(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `interrupt`.
        self.state.load(Acquire) == pending()
    }

    /// Takes a pending interrupt back. Returns whether there was one.
    pub fn clear(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `interrupt`; nothing is published.
        self.state.compare_exchange(pending(), ptr::null_mut(), Acquire, Relaxed).is_ok()
    }

    /// Begins a wait of the thread that has `parker`.
    pub(crate) fn register(&self, parker: &'static Parker) -> Registration<'_> {
        Registration { interrupter: self, parker: ptr::from_ref(parker).cast_mut() }
    }
}

impl Default for Interrupter {
    fn default() -> Self {
        Self::new()
    }
}

// One atomic: there is no state in between for a panic to show.
impl core::panic::UnwindSafe for Interrupter {}
impl core::panic::RefUnwindSafe for Interrupter {}

impl fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load(Relaxed);
        f.debug_struct("Interrupter")
            .field("pending", &(state == pending()))
            .field("waiting", &(!state.is_null() && state != pending()))
            .finish()
    }
}

/// A wait that uses an interrupter. Dropping it makes the interrupter free for the next (N2).
pub(crate) struct Registration<'a> {
    interrupter: &'a Interrupter,
    parker: *mut Parker,
}

impl Registration<'_> {
    /// Whether an interrupt is pending; if not, the next one unparks this wait's parker.
    ///
    /// # Panics
    /// If another wait uses the interrupter.
    pub(crate) fn is_pending(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `interrupt`. Release pairs with its Acquire: the parker behind the
        // pointer is initialised.
        match self.interrupter.state.compare_exchange(ptr::null_mut(), self.parker, AcqRel, Acquire) {
            Ok(_) => false,
            Err(now) if now == pending() => true,
            Err(now) => {
                assert!(
                    now == self.parker,
                    "an interrupter serves one wait at a time: make one for each waiting thread"
                );
                false
            }
        }
    }

    /// The wait ends by this interrupt.
    pub(crate) fn consume(&self) {
        // A second interrupt may have come: it is the same one (they do not add up). `clear` by another thread may have
        // been faster: then the wait ended by an interrupt that was pending when it looked, and nothing is left to take.
        self.interrupter.clear();
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // Fails if an interrupt is pending (N2), or was consumed.
        let _ = self.interrupter.state.compare_exchange(self.parker, ptr::null_mut(), Relaxed, Relaxed);
    }
}
