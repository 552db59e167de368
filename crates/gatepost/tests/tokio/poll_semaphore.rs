//! `PollSemaphore`: what users of `tokio-util` and `tower` have.

use crate::common::task::Task;
use crate::common::wakers::Wakes;
use gatepost::{OwnedSemaphorePermit, PollSemaphore, Semaphore};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A `PollSemaphore` and a waker that counts.
struct Service {
    semaphore: PollSemaphore,
    wakes: Arc<Wakes>,
}

impl Service {
    fn new(permits: usize) -> (Arc<Semaphore>, Self) {
        let semaphore = Arc::new(Semaphore::new(permits));
        (semaphore.clone(), Self { semaphore: PollSemaphore::new(semaphore), wakes: Arc::default() })
    }

    fn poll(&mut self, permits: u32) -> Poll<Option<OwnedSemaphorePermit>> {
        let waker = Waker::from(self.wakes.clone());
        let mut cx = Context::from_waker(&waker);
        match permits {
            1 => self.semaphore.poll_acquire(&mut cx),
            _ => self.semaphore.poll_acquire_many(&mut cx, permits),
        }
    }

    #[track_caller]
    fn permit(&mut self, permits: u32) -> OwnedSemaphorePermit {
        match self.poll(permits) {
            Poll::Ready(Some(permit)) => permit,
            Poll::Ready(None) => panic!("closed"),
            Poll::Pending => panic!("still pending"),
        }
    }
}

#[test]
fn it_waits_for_a_permit_and_ends_when_closed() {
    let (semaphore, mut service) = Service::new(1);
    let permit = semaphore.try_acquire().expect("free");
    assert!(service.poll(1).is_pending());
    assert!(service.poll(1).is_pending());
    assert_eq!(semaphore.num_waiters(), 1);
    drop(permit);
    assert_eq!(service.wakes.count(), 1);
    drop(service.permit(1));
    semaphore.close();
    for _ in 0..3 {
        assert!(matches!(service.poll(1), Poll::Ready(None)), "it stays ended");
        assert!(matches!(service.poll(2), Poll::Ready(None)));
    }
}

#[test]
fn it_takes_many_permits() {
    let (semaphore, mut service) = Service::new(4);
    let one = service.permit(1);
    let two = service.permit(2);
    assert_eq!((one.num_permits(), two.num_permits(), semaphore.available_permits()), (1, 2, 1));
    drop(two);
    assert!(service.poll(4).is_pending());
    drop(one);
    assert_eq!(service.permit(4).num_permits(), 4);
}

#[test]
fn another_number_gives_the_place_up() {
    let (semaphore, mut service) = Service::new(4);
    assert!(service.poll(5).is_pending());
    assert_eq!(semaphore.available_permits(), 0);
    let permit = service.permit(4);
    assert_eq!(semaphore.num_waiters(), 0);
    assert!(service.poll(5).is_pending());
    assert!(service.poll(4).is_pending());
    assert_eq!(semaphore.num_waiters(), 1);
    drop(permit);
    assert!(service.poll(5).is_pending(), "what was granted for the 4 went back");
    drop(service.permit(4));
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 4));
}

#[test]
fn the_place_in_the_queue_is_kept_between_polls() {
    let (semaphore, mut service) = Service::new(0);
    assert!(service.poll(2).is_pending());
    let mut behind = Task::queued(semaphore.acquire());
    semaphore.add_permits(1);
    assert!(service.poll(2).is_pending());
    assert!(behind.is_pending());
    semaphore.add_permits(1);
    service.permit(2).forget();
    assert!(behind.is_pending());
    semaphore.add_permits(1);
    behind.permit().forget();
}

#[test]
fn only_the_task_that_polled_last_is_woken() {
    let (semaphore, mut service) = Service::new(0);
    let earlier = service.wakes.clone();
    assert!(service.poll(1).is_pending());
    service.wakes = Arc::default();
    assert!(service.poll(1).is_pending());
    semaphore.add_permits(1);
    assert_eq!((earlier.count(), service.wakes.count()), (0, 1));
    service.permit(1).forget();
}

#[test]
fn dropping_it_gives_the_place_and_the_grant_up() {
    let (semaphore, mut service) = Service::new(0);
    assert!(service.poll(2).is_pending());
    let mut behind = Task::queued(semaphore.acquire());
    semaphore.add_permits(1);
    drop(service);
    drop(behind.permit());
    assert_eq!(semaphore.available_permits(), 1);

    let mut service = Service { semaphore: PollSemaphore::new(semaphore.clone()), wakes: Arc::default() };
    assert!(service.poll(2).is_pending());
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 0);
    let inner = service.semaphore.into_inner();
    assert!(Arc::ptr_eq(&inner, &semaphore));
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 2));
}

#[test]
fn a_clone_has_the_semaphore_and_not_the_place() {
    let (semaphore, mut service) = Service::new(0);
    assert!(service.poll(1).is_pending());
    let mut clone = Service { semaphore: service.semaphore.clone(), wakes: Arc::default() };
    assert_eq!(semaphore.num_waiters(), 1);
    assert!(clone.poll(1).is_pending());
    assert_eq!(semaphore.num_waiters(), 2);
    semaphore.add_permits(1);
    assert!(clone.poll(1).is_pending());
    drop(service.permit(1));
    drop(clone.permit(1));
}

#[test]
fn it_is_a_handle_of_its_semaphore() {
    let (semaphore, service) = Service::new(1);
    let handle = &service.semaphore;
    assert!(Arc::ptr_eq(&handle.clone_inner(), &semaphore));
    let of: &Semaphore = handle.as_ref();
    assert!(std::ptr::eq(of, &*semaphore));
    handle.add_permits(2);
    assert_eq!((handle.available_permits(), semaphore.available_permits()), (3, 3));
    let text = format!("{handle:?}");
    assert!(text.contains("permits: 3") && text.contains("closed: false"), "{text}");
    handle.close();
    assert!(semaphore.is_closed());
}

#[test]
fn it_may_acquire_again_and_again() {
    let (semaphore, mut service) = Service::new(0);
    for _ in 0..100 {
        assert!(service.poll(2).is_pending());
        semaphore.add_permits(2);
        service.permit(2).forget();
    }
    assert_eq!((semaphore.num_waiters(), semaphore.available_permits()), (0, 0));
    assert_eq!(service.wakes.count(), 100);
}

#[test]
#[cfg(feature = "stream")]
fn it_is_a_stream_of_permits() {
    use futures::{FutureExt, StreamExt};

    let (semaphore, service) = Service::new(2);
    let mut stream = service.semaphore;
    let permits = [(); 2].map(|()| stream.next().now_or_never().flatten().expect("free"));
    assert!(stream.next().now_or_never().is_none());
    drop(permits);
    assert!(stream.next().now_or_never().flatten().is_some());
    semaphore.close();
    assert!(stream.next().now_or_never().expect("ready").is_none());
}
