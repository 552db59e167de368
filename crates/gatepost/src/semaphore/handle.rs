//! Borrowed or owned: how a permit or a future holds its semaphore. Everything above is written once, over this.

use super::{Policy, Semaphore};

/// A reference to a semaphore that keeps it alive.
pub(crate) trait Handle {
    type Policy: Policy;
    fn semaphore(&self) -> &Semaphore<Self::Policy>;
}

impl<P: Policy> Handle for &Semaphore<P> {
    type Policy = P;
    #[inline(always)]
    fn semaphore(&self) -> &Semaphore<P> {
        self
    }
}

#[cfg(feature = "alloc")]
impl<P: Policy> Handle for alloc::sync::Arc<Semaphore<P>> {
    type Policy = P;
    #[inline(always)]
    fn semaphore(&self) -> &Semaphore<P> {
        self
    }
}
