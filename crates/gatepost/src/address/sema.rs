//! The two semaphores of four bytes.

use super::acquire::{Acquire, waiters};
use super::serve::Address;
use super::table::SemaTable;
use super::word::sealed::Word as _;
use super::word::{HEADROOM, ONE, WAITS};
use crate::sys::atomic::Acquire as AcquireOrdering;
use crate::sys::atomic::explored::AtomicU32;
use crate::sys::const_fn;
use core::fmt;

/// A semaphore of four bytes.
///
/// A count, and one bit that says whether anybody waits. Who waits is in a [table](SemaTable) that all of them share, keyed
/// by the address of the word, so that there may be millions, in structures of any kind; and while nobody waits the table is
/// not looked at.
///
/// What it is for is what Go's runtime has its semaphore for: a way to sleep and be woken, for the contended case of other
/// primitives. "Every sleep is paired with a single wake-up, even if, due to races, the wake-up happens before the sleep."
/// As a limit on how much runs at one time, [`Semaphore`](crate::Semaphore) is the better choice: it is fair, hands out many
/// permits at once, and gives them back by itself.
///
/// # Fairness
/// Those who wait are woken in their order, but whoever runs may take a permit before they have got up.
/// [`release_handoff`](Self::release_handoff) gives the permit to the first one itself.
///
/// # Memory ordering
/// A release is a `Release`, an acquisition an `Acquire`; whoever acquires sees what came before each release that its permit may
/// be from.
///
/// # Cost
/// Four bytes. One RMW to acquire what is there, one to release while nobody waits.
///
/// # Examples
/// ```
/// use gatepost::address::Sema;
///
/// static DONE: Sema = Sema::new(0);
///
/// let worker = std::thread::spawn(|| DONE.release());
/// DONE.acquire().wait();
/// # worker.join().unwrap();
/// assert_eq!(size_of::<Sema>(), 4);
/// ```
///
/// It cannot be moved or dropped while somebody waits:
/// ```compile_fail,E0505
/// let sema = gatepost::address::Sema::new(0);
/// let waiting = sema.acquire();
/// drop(sema);
/// waiting.wait();
/// ```
#[repr(transparent)]
pub struct Sema(pub(super) AtomicU32);

/// Go's semaphore: any `AtomicU32` as a semaphore, bit for bit.
///
/// All 32 bits are the count, so that a word that is a semaphore today may be a counter or a flag tomorrow, and other code may
/// look at it. Who waits is in a [table](SemaTable), as for [`Sema`]; but since no bit says whether anybody does, each release
/// looks at the table, at a line that other addresses may keep dirty.
///
/// [`semacquire`](super::semacquire) and its siblings do the same to a pointer.
///
/// # Fairness, memory ordering
/// Those of [`Sema`].
///
/// # Cost
/// One RMW to acquire what is there; one to release while nobody waits, and loads of two lines of the table.
///
/// # Examples
/// ```
/// use gatepost::address::RawSema;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// struct Lock {
///     state: AtomicU32,
///     sleepers: AtomicU32,
/// }
///
/// let lock = Lock { state: AtomicU32::new(0), sleepers: AtomicU32::new(0) };
/// RawSema::from_atomic(&lock.sleepers).release(); // the wake-up comes first
/// RawSema::from_atomic(&lock.sleepers).acquire().wait();
/// assert_eq!(lock.sleepers.load(Ordering::Relaxed), 0);
/// # let _ = lock.state;
/// ```
#[repr(transparent)]
pub struct RawSema(pub(super) AtomicU32);

impl Sema {
    /// The most that it counts: `2^31 - 2^26 - 1`. (What is above is for threads that race for the edge: none of them can
    /// make the count wrap around.)
    pub const MAX_COUNT: u32 = u32::MAX / ONE - HEADROOM;

    const_fn! {
        /// A semaphore with `count` permits.
        ///
        /// # Panics
        /// If `count` exceeds [`MAX_COUNT`](Self::MAX_COUNT).
        #[track_caller]
        pub const fn new(count: u32) -> Self {
            assert!(count <= Self::MAX_COUNT, "a `Sema` counts to MAX_COUNT, which is 2^31 - 2^26 - 1, and not beyond");
            Self(AtomicU32::new(count * ONE))
        }
    }

    /// Whether anybody waits: a snapshot, by one load.
    pub fn has_waiters(&self) -> bool {
        // ORDERING: Acquire, as every look that a conclusion may rest on.
        self.0.load(AcquireOrdering) & WAITS != 0
    }
}

impl RawSema {
    /// The most that releases bring the count to: `2^32 - 2^26 - 1`. (What is above is for threads that race for the edge:
    /// none of them can make the count wrap around.)
    pub const MAX_COUNT: u32 = u32::MAX - HEADROOM;

    const_fn! {
        /// A semaphore with `count` permits.
        pub const fn new(count: u32) -> Self {
            Self(AtomicU32::new(count))
        }
    }

    /// The semaphore that `word` is.
    #[cfg(not(all(test, any(loom, shuttle))))]
    #[inline(always)]
    pub const fn from_atomic(word: &core::sync::atomic::AtomicU32) -> &Self {
        // SAFETY: transparent over the same atomic (in the library's unit tests, over a wrapper that is).
        unsafe { &*core::ptr::from_ref(word).cast::<Self>() }
    }

    /// The word that it is. What is written to it by other means is a change of the count, which wakes nobody.
    #[cfg(not(all(test, any(loom, shuttle))))]
    #[inline(always)]
    pub const fn as_atomic(&self) -> &core::sync::atomic::AtomicU32 {
        // SAFETY: as in `from_atomic`.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

macro_rules! face {
    ($name:ident) => {
        impl $name {
            /// Takes a permit if there is one. Never waits, and passes those who do.
            #[inline(always)]
            #[must_use = "whether there was a permit"]
            pub fn try_acquire(&self) -> bool {
                Address::take_from(self)
            }

            /// Asks for a permit. A future for tasks; a thread waits for it by [`wait`](Acquire::wait) and its siblings.
            ///
            /// # Cancel safety
            /// See [`Acquire`].
            #[inline(always)]
            pub fn acquire(&self) -> Acquire<'_, Self> {
                self.acquire_in(SemaTable::global())
            }

            /// The same, waiting in `table`.
            #[inline(always)]
            pub fn acquire_in<'a>(&'a self, table: &'a SemaTable) -> Acquire<'a, Self> {
                Acquire::new(Address::of(self, table))
            }

            /// Blocks this thread until it has a permit: `acquire().wait()`.
            ///
            /// # Panics
            /// As [`Acquire::wait`].
            #[cfg(feature = "std")]
            #[inline(always)]
            #[track_caller]
            pub fn blocking_acquire(&self) {
                crate::wait::coop::assert_may_block();
                if !self.try_acquire() {
                    self.acquire().wait();
                }
            }

            /// Adds a permit, and wakes the first who waits, if anybody does.
            ///
            /// # Panics
            /// If there would be more than `MAX_COUNT`; nothing has changed then. The panic of a waker goes on when everything is
            /// done.
            #[inline(always)]
            #[track_caller]
            pub fn release(&self) {
                self.release_in(SemaTable::global());
            }

            /// The same for those who wait in `table`.
            ///
            /// # Panics
            /// As [`release`](Self::release).
            #[inline(always)]
            #[track_caller]
            pub fn release_in(&self, table: &SemaTable) {
                self.release_n_in(1, table);
            }

            /// Adds `n` permits, and wakes up to `n` of those who wait. Returns the count that this made: what was there and
            /// `n`, before those who were woken have taken any.
            ///
            /// # Panics
            /// As [`release`](Self::release).
            #[inline(always)]
            #[track_caller]
            pub fn release_n(&self, n: u32) -> u32 {
                self.release_n_in(n, SemaTable::global())
            }

            /// The same for those who wait in `table`.
            ///
            /// # Panics
            /// As [`release`](Self::release).
            #[inline(always)]
            #[track_caller]
            pub fn release_n_in(&self, n: u32, table: &SemaTable) -> u32 {
                Address::of(self, table).release(n)
            }

            /// Gives a permit to the first who waits: nobody who runs can take it before. If nobody waits, the permit is
            /// added. A thread that hands over to a sleeping thread then yields its processor to it, as far as the system
            /// does that; a task is woken last of all, and whoever released goes on.
            ///
            /// # Panics
            /// As [`release`](Self::release).
            ///
            /// # Cost
            /// The bucket's lock if somebody waits; nothing more than [`release`](Self::release) if nobody does.
            #[track_caller]
            pub fn release_handoff(&self) {
                self.release_handoff_in(SemaTable::global());
            }

            /// The same for those who wait in `table`.
            ///
            /// # Panics
            /// As [`release`](Self::release).
            #[track_caller]
            pub fn release_handoff_in(&self, table: &SemaTable) {
                if Address::of(self, table).hand_off() {
                    super::give_way();
                }
            }

            /// Permits that are there: a snapshot.
            pub fn count(&self) -> u32 {
                // ORDERING: Acquire pairs with the Release of every release.
                Self::count_of(self.0.load(AcquireOrdering))
            }

            /// How many wait: a snapshot, for diagnostics. Takes the lock of a bucket.
            pub fn num_waiters(&self) -> usize {
                self.num_waiters_in(SemaTable::global())
            }

            /// The same of those who wait in `table`.
            pub fn num_waiters_in(&self, table: &SemaTable) -> usize {
                waiters(Address::of(self, table))
            }
        }

        impl Default for $name {
            /// No permit.
            fn default() -> Self {
                Self::new(0)
            }
        }
    };
}

face!(Sema);
face!(RawSema);

impl fmt::Debug for Sema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sema").field("count", &self.count()).field("has_waiters", &self.has_waiters()).finish()
    }
}

impl fmt::Debug for RawSema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSema").field("count", &self.count()).finish()
    }
}
