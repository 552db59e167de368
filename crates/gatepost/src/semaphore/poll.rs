//! A semaphore for hand-written futures: `poll_acquire`, as `tokio_util::sync::PollSemaphore` has it.

use super::{AcquireOwned, OwnedSemaphorePermit, Policy, Semaphore, Strict, TryAcquireError};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

/// A semaphore and at most one acquisition in progress, to be polled from a `poll_*` function: for `tower` services and
/// other hand-written futures.
///
/// # Cancel safety
/// An acquisition in progress keeps its place in the queue between polls. Dropping the `PollSemaphore`, or polling for
/// another number of permits, gives the place up and loses no permit. A clone has the semaphore, not the acquisition.
///
/// # Cost
/// An acquisition that has to wait allocates once; the allocation is used again by the next.
///
/// # Examples
/// ```
/// use gatepost::{PollSemaphore, Semaphore};
/// use std::{future::poll_fn, sync::Arc};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut semaphore = PollSemaphore::new(Arc::new(Semaphore::new(1)));
/// let permit = poll_fn(|cx| semaphore.poll_acquire(cx)).await;
/// assert!(permit.is_some());
/// semaphore.close();
/// assert!(poll_fn(|cx| semaphore.poll_acquire(cx)).await.is_none());
/// # });
/// ```
pub struct PollSemaphore<P: Policy = Strict> {
    semaphore: Arc<Semaphore<P>>,
    /// The box of the acquisition in progress, kept for the next.
    acquiring: Option<Pin<Box<Option<AcquireOwned<P>>>>>,
    /// How many permits it asks for; `None` if there is none in progress.
    asked: Option<u32>,
}

impl<P: Policy> PollSemaphore<P> {
    /// Wraps a semaphore.
    pub fn new(semaphore: Arc<Semaphore<P>>) -> Self {
        Self { semaphore, acquiring: None, asked: None }
    }

    /// Closes the semaphore.
    pub fn close(&self) {
        self.semaphore.close();
    }

    /// Another handle of the semaphore.
    pub fn clone_inner(&self) -> Arc<Semaphore<P>> {
        self.semaphore.clone()
    }

    /// The semaphore itself. An acquisition in progress is given up.
    pub fn into_inner(self) -> Arc<Semaphore<P>> {
        self.semaphore
    }

    /// Polls for one permit.
    ///
    /// `Ready(None)`: the semaphore is closed. `Pending`: the task is woken when the permit is there or the semaphore gets
    /// closed; only the task that polled last is.
    pub fn poll_acquire(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit<P>>> {
        self.poll_acquire_many(cx, 1)
    }

    /// Polls for many permits at once. See [`poll_acquire`](Self::poll_acquire).
    ///
    /// # Panics
    /// If `permits` exceeds [`Semaphore::MAX_PERMITS`].
    pub fn poll_acquire_many(&mut self, cx: &mut Context<'_>, permits: u32) -> Poll<Option<OwnedSemaphorePermit<P>>> {
        if self.asked != Some(permits) {
            self.give_up();
            if self.acquiring.is_none() {
                // The first time: no allocation if the permits are free.
                match self.clone_inner().try_acquire_many_owned(permits) {
                    Ok(permit) => return Poll::Ready(Some(permit)),
                    Err(TryAcquireError::Closed) => return Poll::Ready(None),
                    Err(TryAcquireError::NoPermits) => {}
                }
            }
            let next = self.clone_inner().acquire_many_owned(permits);
            match &mut self.acquiring {
                Some(boxed) => boxed.set(Some(next)),
                None => self.acquiring = Some(Box::pin(Some(next))),
            }
            self.asked = Some(permits);
        }
        let acquiring = self.acquiring.as_mut().and_then(|boxed| boxed.as_mut().as_pin_mut());
        let result = ready!(acquiring.expect("an acquisition was just begun, or is in progress").poll(cx));
        self.give_up(); // it is done
        Poll::Ready(result.ok())
    }

    /// Drops the acquisition in progress, if there is one, and keeps its box.
    fn give_up(&mut self) {
        self.asked = None;
        if let Some(boxed) = &mut self.acquiring {
            boxed.set(None);
        }
    }

    /// See [`Semaphore::available_permits`].
    pub fn available_permits(&self) -> usize {
        self.semaphore.available_permits()
    }

    /// See [`Semaphore::add_permits`].
    #[track_caller]
    pub fn add_permits(&self, n: usize) {
        self.semaphore.add_permits(n);
    }
}

#[cfg(feature = "stream")]
impl<P: Policy> futures_core::Stream for PollSemaphore<P> {
    type Item = OwnedSemaphorePermit<P>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::into_inner(self).poll_acquire(cx)
    }
}

impl<P: Policy> Clone for PollSemaphore<P> {
    fn clone(&self) -> Self {
        Self::new(self.clone_inner())
    }
}

impl<P: Policy> AsRef<Semaphore<P>> for PollSemaphore<P> {
    fn as_ref(&self) -> &Semaphore<P> {
        &self.semaphore
    }
}

impl<P: Policy> fmt::Debug for PollSemaphore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollSemaphore").field("semaphore", &self.semaphore).field("asked", &self.asked).finish()
    }
}
