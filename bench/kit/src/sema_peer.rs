//! Gatepost's semaphores of four bytes: `Sema` and `RawSema`. Here and not with the other peers for the same reason as
//! [`gatepost_peer`](crate::gatepost_peer): they run in two builds.

use crate::Entry;
use crate::cases::addresses;
use crate::peer::{self, Deposit, Tasks, Threads, Timed, Try};
use crate::result::Kind;
use gatepost::address::{Acquire, RawSema, Sema, Word};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// One of the two words, whose methods have the same names.
pub trait FourBytes: Word + Send + Sync + Sized + 'static {
    /// The peer's name, and the beginning of those of its other builds and forms.
    const NAME: &'static str;

    /// Such a word.
    fn made(permits: usize) -> Self;
    /// `try_acquire`.
    fn take(&self) -> bool;
    /// `acquire`.
    fn ask(&self) -> Acquire<'_, Self>;
    /// `blocking_acquire`.
    fn block(&self);
    /// `release`.
    fn give(&self);
    /// `release_n`.
    fn give_many(&self, n: usize);
    /// `release_handoff`.
    fn hand_off(&self);
}

macro_rules! four_bytes {
    ($($word:ident $name:literal)*) => {$(
        impl FourBytes for $word {
            const NAME: &'static str = $name;

            fn made(permits: usize) -> Self {
                Self::new(permits as u32)
            }

            #[inline(always)]
            fn take(&self) -> bool {
                self.try_acquire()
            }

            #[inline(always)]
            fn ask(&self) -> Acquire<'_, Self> {
                self.acquire()
            }

            #[inline(always)]
            fn block(&self) {
                self.blocking_acquire();
            }

            #[inline(always)]
            fn give(&self) {
                self.release();
            }

            #[inline(always)]
            fn give_many(&self, n: usize) {
                self.release_n(n as u32);
            }

            #[inline(always)]
            fn hand_off(&self) {
                self.release_handoff();
            }
        }
    )*};
}

four_bytes! { Sema "gatepost Sema" RawSema "gatepost RawSema" }

/// What it takes part in as it comes.
pub fn entry<W: FourBytes>(version: &str) -> Entry {
    Entry::new(W::NAME, Kind::Ours, version)
        .tries::<Four<W>>()
        .tasks::<Four<W>>()
        .tasks_and_deposits::<Four<W>>()
        .threads::<Four<W>>()
        .threads_and_deposits::<Four<W>>()
        .only(&["U1", "U2", "U4", "C2", "C6", "C7 running", "C7 parked", "C7 tasks"])
        .addresses::<Four<W>>()
        .profiled::<Four<W>>()
}

/// Its other forms: released by `release_handoff`; and waited for by tasks and by threads where others are polled by hand.
pub fn forms<W: FourBytes>(version: &str) -> [Entry; 3] {
    let form = |name: &str| Entry::new(format!("{} {name}", W::NAME), Kind::Ours, version);
    let tasks =
        ["A1", "A2", "A3"].into_iter().fold(form("tasks"), |entry, case| entry.with(case, addresses::tasks::<Four<W>>));
    [
        form("handoff")
            .tasks_and_deposits::<Four<W, true>>()
            .threads_and_deposits::<Four<W, true>>()
            .only(&["C7 running", "C7 parked", "C7 tasks"])
            .note(format!("{} handoff: released by release_handoff", W::NAME)),
        tasks.note(format!("{} tasks: tokio's, on two workers", W::NAME)),
        form("threads").addresses_by_threads::<Four<W>>(),
    ]
}

/// What a build without features makes different.
pub fn plain<W: FourBytes>(version: &str) -> Entry {
    let all = Entry::new(format!("{}, no features", W::NAME), Kind::Barging, version);
    all.tasks::<Four<W>>().threads::<Four<W>>().only(&["U2", "U4"])
}

/// The library's, under the kit's traits. With `HANDOFF` a deposit is a hand-off.
#[derive(Debug)]
#[repr(transparent)]
pub struct Four<W, const HANDOFF: bool = false>(W);

/// A permit, given back by a release.
#[derive(Debug)]
pub struct Permit<W: FourBytes>(&'static W);

impl<W: FourBytes> Drop for Permit<W> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.give();
    }
}

impl<W: FourBytes, const HANDOFF: bool> peer::Peer for Four<W, HANDOFF> {
    type Permit = Permit<W>;

    fn new(permits: usize) -> Self {
        Self(W::made(permits))
    }
}

impl<W: FourBytes, const HANDOFF: bool> Try for Four<W, HANDOFF> {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Permit<W>> {
        self.0.take().then(|| Permit(&self.0))
    }
}

/// An acquisition, and the word whose permit it brings.
#[derive(Debug)]
struct One<W: FourBytes> {
    acquire: Acquire<'static, W>,
    word: &'static W,
}

impl<W: FourBytes> Future for One<W> {
    type Output = Permit<W>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit<W>> {
        let word = self.word;
        // SAFETY: the acquisition is pinned with what it is in, and never moved out of it.
        let acquire = unsafe { self.map_unchecked_mut(|one| &mut one.acquire) };
        acquire.poll(cx).map(|()| Permit(word))
    }
}

impl<W: FourBytes, const HANDOFF: bool> Tasks for Four<W, HANDOFF> {
    type Granted = Permit<W>;

    #[inline(always)]
    fn one(&'static self) -> impl Future<Output = Permit<W>> + Send + 'static {
        One { acquire: self.0.ask(), word: &self.0 }
    }

    #[inline(always)]
    fn permit(granted: Permit<W>) -> Permit<W> {
        granted
    }
}

impl<W: FourBytes, const HANDOFF: bool> Threads for Four<W, HANDOFF> {
    #[inline(always)]
    fn wait(&'static self) -> Permit<W> {
        self.0.block();
        Permit(&self.0)
    }
}

impl<W: FourBytes, const HANDOFF: bool> Timed for Four<W, HANDOFF> {
    #[inline(always)]
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Permit<W>> {
        self.0.ask().wait_timeout(timeout).ok().map(|()| Permit(&self.0))
    }
}

impl<W: FourBytes, const HANDOFF: bool> Deposit for Four<W, HANDOFF> {
    const MANY: bool = !HANDOFF;

    #[inline(always)]
    fn add(&'static self, n: usize) {
        match n {
            _ if HANDOFF => {
                assert_eq!(n, 1, "one permit is handed over at a time");
                self.0.hand_off();
            }
            1 => self.0.give(),
            _ => self.0.give_many(n),
        }
    }

    fn forget(permit: Permit<W>) {
        std::mem::forget(permit);
    }
}
