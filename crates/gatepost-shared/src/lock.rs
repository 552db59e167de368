//! The lock of the file: a spin, a futex, and a way on when its owner has died.
//!
//! # States
//!
//! | owner | contended | meaning
//! |:-----:|:---------:|-----------------------------------------------------------
//! |   0   |     0     | free
//! |  i+1  |     0     | session `i` is in the critical section
//! |  i+1  |     1     | so it is, and others may sleep: it wakes one when it leaves
//! |   0   |     1     | never stored
//!
//! The upper half is the *epoch*: it grows by one when a dead owner is followed, and when a session locks for the first time;
//! never otherwise. Beside `contended` there is `watched`, of which the same can be said as of `contended` and which may be set
//! while there is no owner: see *Watchers*.
//!
//! # Invariants
//!
//! L1. The word names its owner from the CAS that takes the lock to the CAS that leaves it: at no instruction is there an owner
//!     that the word does not name.
//! L2. A word that names `i` in epoch `e` gets another owner or epoch by a thread of session `i`, or by one that has seen byte `i`
//!     unlocked while the word was that, or by the process that has just got byte `i`.
//! L3. So a living owner is never followed. Let T follow `i` by its CAS from `(i, e)`. T saw `(i, e)`, then byte `i` free. Whoever
//!     was `i` until then is dead. Whoever has got byte `i` since, and may be the one that the word names when T's CAS comes, has
//!     locked for the first time after that, so in an epoch later than any that T can have seen: the CAS fails. (It is not enough
//!     that *followers* begin an epoch: the old `i` may have left before it died, and then nobody is followed.)
//! L4. Whoever follows finds the critical section half done and makes the file whole before it does anything else.
//! L5. A sleeper is woken, or looks again after [`RECHECK`]. So a wake-up that is lost with its sender costs that long.
//! L6. No wake-up is lost but with a process that dies: one that was to send it, or one that had just got it. Whoever gives up
//!     (`take_within`) has seen to it that the owner wakes somebody else.
//!
//! # Watchers
//!
//! Whoever is about to sleep until something changes sets `watched` and looks then; whoever leaves takes the bit away and wakes
//! them (`protocol::watch`, `Table::leave`). Both are read-modify-writes of one word, so one comes first. The watcher's: the one who leaves sees
//! the bit. The other one's: the watcher's Acquire sees its Release, and the look sees the change. A flag in a word of its own
//! would need a full fence in every section (each side would store, then load what the other one stores). A wake-up is lost only if its
//! sender dies between leaving and waking, and then the watcher looks after the second that `events` has.
//!
//! # No way out, and one
//!
//! An owner that is stopped makes all others wait, and so does a word that was damaged and names a session that lives: nobody can
//! tell from outside that this session is not in the section, and to follow one that is would be worse than to wait. It ends
//! when that session does; or by `repair`, which takes the lock away when nothing has moved for some time (`stuck`). It is
//! no matter for an operation to decide.
//!
//! # Cost
//!
//! Free: one CAS to take it and one to leave it. Held: a spin of some hundred cycles, then a system call.
//!
//! `model::lock` explores all of this, with deaths between any two steps, and shows that it finds each of the bugs that L3 excludes.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::futex;
use crate::layout::LockWord;
use crate::protocol;
use crate::step;
use crate::table::Table;

/// How often a sleeper looks whether the owner lives.
const RECHECK: Duration = Duration::from_millis(2);
/// How often a contender looks before it sleeps. The section is short: about a hundred nanoseconds.
const SPINS: u32 = 60;

/// How the lock was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// From nobody: the file is whole.
    Clean {
        /// The epoch in which it is held.
        epoch: u32,
    },
    /// From a dead owner: the file may be half changed.
    Over {
        /// Who it was.
        dead: u32,
        /// The epoch in which it is held.
        epoch: u32,
    },
}

impl Taken {
    pub(crate) fn epoch(self) -> u32 {
        let (Self::Clean { epoch } | Self::Over { epoch, .. }) = self;
        epoch
    }
}

impl Table {
    fn lock_word(&self) -> LockWord {
        LockWord(self.map().header().lock.load(Relaxed))
    }

    /// One step from `old` to `new`.
    fn exchange_lock(&self, old: LockWord, new: LockWord) -> Result<(), LockWord> {
        protocol::exchange(&self.map().header().lock, old, new)
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn take(&self) -> Taken {
        let old = self.lock_word();
        if old.owner().is_none() && self.exchange_lock(old, old.owned_by(self.me())).is_ok() {
            return Taken::Clean { epoch: old.epoch() };
        }
        self.wait_for_lock(false)
    }

    /// Waits for the lock, for the first time since the session got its byte: begins an epoch, and follows the dead predecessor
    /// that the word may name. L3.
    pub(crate) fn take_first(&self) -> Taken {
        self.wait_for_lock(true)
    }

    /// Waits for the lock, for `time` at most. For whoever has more to do than that: see `stuck`.
    pub(crate) fn take_within(&self, time: Duration) -> Option<Taken> {
        self.take_until(false, Instant::now() + time)
    }

    /// Waits for the lock until `deadline`; `first`: as [`take_first`](Self::take_first) does.
    pub(crate) fn take_until(&self, first: bool, deadline: Instant) -> Option<Taken> {
        self.take_slow(first, Some(deadline))
    }

    #[cold]
    fn wait_for_lock(&self, first: bool) -> Taken {
        loop {
            // Without a deadline it ends only with the lock.
            if let Some(taken) = self.take_slow(first, None) {
                return taken;
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn take_slow(&self, first: bool, deadline: Option<Instant>) -> Option<Taken> {
        for _ in 0..if first { 0 } else { SPINS } {
            let old = self.lock_word();
            if old.owner().is_none() && self.exchange_lock(old, old.owned_by(self.me())).is_ok() {
                return Some(Taken::Clean { epoch: old.epoch() });
            }
            std::hint::spin_loop();
        }
        loop {
            let old = self.lock_word();
            // Whoever has slept cannot know whether others do, so it takes the lock as contended.
            let begins = first && !step::has_bug("no first epoch");
            let ours = if begins { old.next_epoch() } else { old }.owned_by(self.me()).contended();
            let Some(owner) = old.owner() else {
                if self.exchange_lock(old, ours).is_ok() {
                    return Some(Taken::Clean { epoch: ours.epoch() });
                }
                continue;
            };
            if first && owner == self.me() {
                if self.exchange_lock(old, ours).is_ok() {
                    return Some(Taken::Over { dead: owner, epoch: ours.epoch() });
                }
                continue;
            }
            if !old.is_contended() && self.exchange_lock(old, old.contended()).is_err() {
                continue;
            }
            // Not before: a wake-up that it may have had is passed on by whoever leaves a contended lock.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            let seen = old.contended();
            futex::wait(futex::lower_half_of(&self.map().header().lock), seen.futex(), RECHECK);
            if self.lock_word() != seen {
                continue;
            }
            step::at("lock: the owner stays");
            if !self.is_session_alive(owner) {
                step::at("lock: the owner is dead");
                // L2, L3.
                let ours = seen.next_epoch().owned_by(self.me()).contended();
                if self.exchange_lock(seen, ours).is_ok() {
                    step::at("lock: followed the dead owner");
                    return Some(Taken::Over { dead: owner, epoch: ours.epoch() });
                }
            }
        }
    }

    /// Gives the lock back that was taken in `epoch`; false: somebody has followed us, who saw our byte unlocked. It may be one
    /// with our number, hence the epoch.
    #[inline]
    pub(crate) fn leave(&self, epoch: u32) -> bool {
        let header = self.map().header();
        let Some(old) = protocol::leave(&header.lock, self.me(), epoch) else { return false };
        step::at("lock: left");
        if old.is_contended() {
            futex::wake(futex::lower_half_of(&header.lock), 1);
        }
        if old.is_watched() {
            protocol::ring(&header.changes);
            futex::wake(futex::of(&header.changes), i32::MAX);
        }
        true
    }

    /// The session in the critical section.
    pub(crate) fn lock_owner(&self) -> Option<u32> {
        self.lock_word().owner()
    }
}
