//! A bell that threads can wait for together with their file descriptors.
//!
//! A thread that sits in `poll` hears neither a condition variable nor a semaphore; it hears a descriptor. So an alarm
//! is a pipe with at most one byte in it: once rung it stays readable for ever, for every thread that polls it, and
//! whoever comes late hears it too.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A bell that rings once and for ever.
#[derive(Debug)]
pub(crate) struct Alarm {
    rung: AtomicBool,
    reader: PipeReader,
    writer: PipeWriter,
}

impl Alarm {
    /// A silent alarm.
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { rung: AtomicBool::new(false), reader, writer })
    }

    /// Rings; again is the same as once.
    pub(crate) fn ring(&self) {
        // ORDERING: AcqRel; the Release half pairs with the Acquire in `is_rung`: who hears it sees why it was rung.
        if !self.rung.swap(true, Ordering::AcqRel) {
            // One byte into an empty pipe with both ends open: there is no way for this to fail.
            let _ = (&self.writer).write(&[1]);
        }
    }

    /// Whether it has rung.
    pub(crate) fn is_rung(&self) -> bool {
        // ORDERING: Acquire pairs with the Release half of the swap in `ring`.
        self.rung.load(Ordering::Acquire)
    }

    /// Waits until it rings, for at most `pause`; whether it has rung.
    pub(crate) fn wait(&self, pause: Duration) -> bool {
        // An early return by a signal only shortens a pause.
        let _ = wait(&mut [PollFd::new(self, PollFlags::IN)], Some(pause));
        self.is_rung()
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// Waits until a descriptor of `set` is ready, a signal comes, or `timeout` has passed.
pub(crate) fn wait(set: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    // A timeout too long for the system's clock type is none.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(set, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_rings_for_everybody_and_for_ever() {
        let alarm = Alarm::new().expect("a pipe");
        assert!(!alarm.wait(Duration::ZERO));
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| alarm.wait(Duration::from_secs(60)))).collect();
            alarm.ring();
            alarm.ring();
            assert!(waiters.into_iter().all(|waiter| waiter.join().expect("no panic")));
        });
        assert!(alarm.wait(Duration::from_secs(60)), "late, and it still rings");
    }
}
