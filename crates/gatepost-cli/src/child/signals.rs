//! Signals to us, as something that `poll` can wait for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::each::alarm;
use crate::each::signals::ignored;
use crate::system::unblock;

/// Those that end a program that does not heed them.
pub(crate) const ENDING: [i32; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
/// Those that do not.
const OTHERS: [i32; 4] = [SIGCHLD, SIGCONT, SIGTSTP, SIGWINCH];

/// The signals that have come and were not taken up yet. Readable in `poll` when there may be one.
#[derive(Debug)]
pub(crate) struct Signals(SignalDelivery<UnixStream, SignalOnly>);

impl Signals {
    /// Takes the signals over from their default. Those that were ignored stay ignored, as `nohup` wants it.
    ///
    /// A mask is inherited, too; under one that blocks them, the end of the command would never be heard of.
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let of_ours = ignored();
        let heeded = ENDING.into_iter().chain(OTHERS).filter(|signal| *signal == SIGCHLD || !of_ours.contains(signal));
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, heeded.clone())?;
        unblock(heeded);
        Ok(Self(delivery))
    }

    /// Those that have come since the last time, each kind once.
    pub(crate) fn pending(&mut self) -> Vec<i32> {
        self.0.pending().collect()
    }

    /// Waits until `time` is over or a signal comes that ends us; that signal.
    pub(crate) fn wait_for_ending(&mut self, time: Duration) -> Option<i32> {
        // A signal of another kind only shortens a pause.
        let _ = alarm::wait(&mut [PollFd::new(self, PollFlags::IN)], Some(time));
        self.pending().into_iter().find(|signal| ENDING.contains(signal))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}

/// Ends us as `signal` does by default, so that whoever waits for us sees what it was.
pub(crate) fn die_of(signal: i32) {
    // The first process of a PID namespace has no defaults; it goes on and exits.
    if std::process::id() != 1 {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}
