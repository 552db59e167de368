//! A waker that can be heard in `poll`.
//!
//! The futures of the machine's semaphores are polled by hand, from a loop that also waits for signals, processes and
//! timers, and so sits in `poll(2)`. What wakes a future there is a write to an eventfd:
//!
//! ```text
//!   helper thread: wake ──> eventfd + 1        our loop: poll ──> readable ──> hush ──> poll the futures
//! ```
//! B1. `hush` comes before the futures are polled: a wake that comes while they are polled leaves the bell ringing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};

use rustix::event::{EventfdFlags, eventfd};

/// A bell that is rung by wakers.
#[derive(Debug)]
pub(crate) struct Bell {
    ringer: Arc<Ringer>,
    waker: Waker,
}

#[derive(Debug)]
struct Ringer(OwnedFd);

impl Bell {
    /// A silent bell.
    pub(crate) fn new() -> io::Result<Self> {
        let ringer = Arc::new(Ringer(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        Ok(Self { waker: Arc::clone(&ringer).into(), ringer })
    }

    /// What rings it.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Silences it; to be followed by polling whatever it was given to.
    pub(crate) fn hush(&self) {
        // A counter of 0 is what we want, and the only failure.
        let _ = rustix::io::read(&self.ringer.0, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ringer.0.as_fd()
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails only at a counter of 2^64 - 2, and then it is ringing.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn rings(bell: &Bell, patience: Duration) -> bool {
        let timeout = Timespec::try_from(patience).expect("a short time");
        poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&timeout)).expect("poll works") > 0
    }

    #[test]
    fn a_bell_rings_until_it_is_hushed_and_can_ring_again() {
        let bell = Bell::new().expect("an eventfd");
        assert!(!rings(&bell, Duration::ZERO));
        for _ in 0..2 {
            let waker = bell.waker().clone();
            std::thread::spawn(move || {
                waker.wake_by_ref();
                waker.wake();
            });
            assert!(rings(&bell, Duration::from_secs(60)));
            bell.hush();
        }
    }

    #[test]
    fn to_hush_a_silent_bell_is_nothing() {
        let bell = Bell::new().expect("an eventfd");
        bell.hush();
        assert!(!rings(&bell, Duration::ZERO));
    }
}
