//! Permits in hand. Dropping one gives its permits back.
//!
//! One implementation, [`Held`], under borrowed and owned.

use super::Semaphore;
use super::handle::Handle;
use super::policy::{Policy, Strict};
use core::fmt;

/// Permits and the semaphore they go back to.
pub(crate) struct Held<H: Handle> {
    handle: H,
    permits: usize,
}

impl<H: Handle> Held<H> {
    #[inline(always)]
    pub(crate) fn new(handle: H, permits: usize) -> Self {
        Self { handle, permits }
    }

    fn forget(mut self) {
        self.permits = 0;
    }

    #[track_caller]
    fn merge(&mut self, mut other: Self) {
        assert!(
            core::ptr::eq(self.handle.semaphore(), other.handle.semaphore()),
            "merging permits from different semaphore instances"
        );
        self.permits = self.permits.checked_add(other.permits).expect("number of permits overflowed");
        other.permits = 0;
    }

    fn split(&mut self, n: usize) -> Option<Self>
    where
        H: Clone,
    {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { handle: self.handle.clone(), permits: n })
    }
}

impl<H: Handle> Drop for Held<H> {
    #[inline(always)]
    fn drop(&mut self) {
        self.handle.semaphore().put_back(self.permits);
    }
}

/// Writes the face of [`Held`] for one kind of handle.
macro_rules! face {
    (
        $(#[$attr:meta])*
        $name:ident [$($parameters:tt)*] [$($generics:tt)*] [$($arguments:tt)*],
        $handle:ty, $semaphore:ty, $try_many:literal
    ) => {
        $(#[$attr])*
        #[must_use = "dropping a permit gives it back at once"]
        #[clippy::has_significant_drop]
        pub struct $name<$($parameters)*>(pub(crate) Held<$handle>);

        impl<$($generics)*> $name<$($arguments)*> {
            /// Keeps the permits from ever going back: the semaphore has that many fewer from now on, unless
            /// [`Semaphore::add_permits`] makes up for them.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::Semaphore;
            /// # use std::sync::Arc;
            /// let semaphore = Arc::new(Semaphore::new(3));
            #[doc = concat!("let permit = ", $try_many, "?;")]
            /// permit.forget();
            /// assert_eq!(semaphore.available_permits(), 0);
            /// # Ok::<(), gatepost::TryAcquireError>(())
            /// ```
            pub fn forget(self) {
                self.0.forget();
            }

            /// Adds the permits of `other` to these.
            ///
            /// # Panics
            /// If they are of another semaphore. Nothing is lost then: both go back.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::Semaphore;
            /// # use std::sync::Arc;
            /// let semaphore = Arc::new(Semaphore::new(6));
            #[doc = concat!("let mut permit = ", $try_many, "?;")]
            #[doc = concat!("permit.merge(", $try_many, "?);")]
            /// assert_eq!(permit.num_permits(), 6);
            /// # Ok::<(), gatepost::TryAcquireError>(())
            /// ```
            #[track_caller]
            pub fn merge(&mut self, other: Self) {
                self.0.merge(other.0);
            }

            /// Takes `n` of these permits out into a permit of their own; `None`, and nothing changed, if there are fewer.
            /// `n` may be 0.
            ///
            /// # Examples
            /// ```
            /// # use gatepost::Semaphore;
            /// # use std::sync::Arc;
            /// let semaphore = Arc::new(Semaphore::new(3));
            #[doc = concat!("let mut permit = ", $try_many, "?;")]
            /// let two = permit.split(2).unwrap();
            /// assert_eq!((permit.num_permits(), two.num_permits()), (1, 2));
            /// assert!(permit.split(2).is_none());
            /// # Ok::<(), gatepost::TryAcquireError>(())
            /// ```
            #[must_use = "dropping a permit gives it back at once"]
            pub fn split(&mut self, n: usize) -> Option<Self> {
                self.0.split(n).map(Self)
            }

            /// How many permits these are.
            pub fn num_permits(&self) -> usize {
                self.0.permits
            }

            /// The semaphore that they are of.
            pub fn semaphore(&self) -> &$semaphore {
                &self.0.handle
            }
        }

        impl<$($generics)*> fmt::Debug for $name<$($arguments)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("permits", &self.0.permits)
                    .field("semaphore", self.0.handle.semaphore())
                    .finish()
            }
        }
    };
}

face! {
    /// Permits that borrow their semaphore. Dropping them gives them back: one RMW if nobody waits.
    ///
    /// # Panics
    /// Dropping panics if giving back would exceed [`Semaphore::MAX_PERMITS`], which takes
    /// [`add_permits`](Semaphore::add_permits) meanwhile.
    SemaphorePermit ['a, P: Policy = Strict] ['a, P: Policy] ['a, P],
    &'a Semaphore<P>, Semaphore<P>, "semaphore.try_acquire_many(3)"
}

#[cfg(feature = "alloc")]
face! {
    /// Permits that keep their semaphore alive, and may so be sent anywhere and kept for any time. Dropping them gives
    /// them back.
    ///
    /// All that is said of [`SemaphorePermit`] holds.
    OwnedSemaphorePermit [P: Policy = Strict] [P: Policy] [P],
    alloc::sync::Arc<Semaphore<P>>, alloc::sync::Arc<Semaphore<P>>, "semaphore.clone().try_acquire_many_owned(3)"
}
