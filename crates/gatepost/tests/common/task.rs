//! Futures polled by hand.

use super::wakers::Wakes;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A future and a waker that counts how often it was woken. Dropping it drops the future.
pub(crate) struct Task<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl<F: Future> Task<F> {
    /// A future that was not polled yet.
    pub(crate) fn new(future: F) -> Self {
        let wakes = Arc::new(Wakes::default());
        Self { future: Box::pin(future), waker: wakes.clone().into(), wakes }
    }

    /// A future that was polled, and has to wait.
    #[track_caller]
    pub(crate) fn queued(future: F) -> Self {
        let mut task = Self::new(future);
        assert!(task.is_pending(), "it did not have to wait");
        task
    }

    /// As [`queued`](Self::queued), with another waker than the one that counts.
    #[track_caller]
    pub(crate) fn queued_with(future: F, waker: &Waker) -> Self {
        let mut task = Self::new(future);
        assert!(task.poll_with(waker).is_pending(), "it did not have to wait");
        task
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Polls, and drops what comes of it.
    pub(crate) fn is_pending(&mut self) -> bool {
        self.poll().is_pending()
    }

    /// Polls once more; it must be done.
    #[track_caller]
    pub(crate) fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("still pending"),
        }
    }

    /// How often the task was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.count()
    }

    /// The future itself, pinned.
    pub(crate) fn pinned(&mut self) -> Pin<&mut F> {
        self.future.as_mut()
    }

    /// Forgets the future where it is: its memory stays, and no destructor runs.
    pub(crate) fn forget(self) {
        std::mem::forget(self.future);
    }
}

impl<T, E: Debug, F: Future<Output = Result<T, E>>> Task<F> {
    /// Polls once more; the permits must be there.
    #[track_caller]
    pub(crate) fn permit(&mut self) -> T {
        self.ready().expect("permits")
    }

    /// Polls once more; it must have failed.
    #[track_caller]
    pub(crate) fn error(&mut self) -> E {
        match self.poll() {
            Poll::Ready(Ok(_)) => panic!("it has its permits"),
            Poll::Ready(Err(error)) => error,
            Poll::Pending => panic!("still pending"),
        }
    }
}
