//! crossbeam-channel: a bounded channel of tokens, as many as there are permits. To take one is to receive it.

use super::{Peer, version};
use crate::counted;
use crossbeam_channel::{Receiver, Sender, bounded};
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Threads, Timed, Try};
use gatepost_bench_kit::result::Kind;
use std::time::Duration;

pub(super) fn peer() -> Peer {
    let entry = Entry::new("crossbeam channel", Kind::Barging, version("crossbeam-channel"))
        .tries::<Channel>()
        .threads::<Channel>()
        .threads_and_deposits::<Channel>()
        .timed::<Channel>()
        .note("crossbeam channel: a bounded channel of tokens, no semaphore; its capacity is its limit")
        .note_in("U3try", "crossbeam channel: one permit at a time only");
    Peer::new(entry, counted::of_threads_one_at_a_time::<Channel>())
}

/// Tokens that are free are in the channel.
struct Channel {
    free: Receiver<()>,
    back: Sender<()>,
}

/// A token that somebody has.
struct Permit(&'static Channel);

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.put_back();
    }
}

impl Channel {
    #[inline(always)]
    fn put_back(&self) {
        assert!(self.back.try_send(()).is_ok(), "more tokens than the channel holds");
    }
}

impl peer::Peer for Channel {
    type Permit = Permit;

    fn new(permits: usize) -> Self {
        // One without permits gets some later.
        let (back, free) = bounded(permits.max(1));
        let channel = Self { free, back };
        (0..permits).for_each(|_| channel.put_back());
        channel
    }
}

impl Try for Channel {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        self.free.try_recv().ok().map(|()| Permit(self))
    }
}

impl Threads for Channel {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        self.free.recv().expect("both ends are in one place");
        Permit(self)
    }
}

impl Timed for Channel {
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Self::Permit> {
        self.free.recv_timeout(timeout).ok().map(|()| Permit(self))
    }
}

impl Deposit for Channel {
    const MANY: bool = false;

    #[inline(always)]
    fn add(&'static self, n: usize) {
        (0..n).for_each(|_| self.put_back());
    }

    fn forget(permit: Self::Permit) {
        std::mem::forget(permit);
    }
}
