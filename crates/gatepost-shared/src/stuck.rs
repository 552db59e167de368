//! A lock that does not become free, though its owner lives.
//!
//! The section is short, so this is one of two things: the owner has been stopped in it, or the word is damaged and names a
//! session that knows nothing of it. From outside the two look alike, and everybody waits, since a living owner is never
//! followed (`lock`, L3).
//!
//! - *Whoever has more to do than to wait for this lock* gives up after some time: `Table::take_within`. The watcher does, who is
//!   there for all semaphores of its process.
//! - *`repair`* takes the lock away from an owner that lives, and only it does: [`break_lock`]. It waits for [`PATIENCE`] first, in
//!   which neither the word nor `seq` may change; and it refuses while it can see that the owner is stopped, and says what to do
//!   about that. What it cannot see (another PID namespace, a frozen control group), it does not know: if such an owner goes on
//!   afterwards, it finds in `leave` that it has been followed, and what it stored until then may be found damaged, and is
//!   repaired again.
//!
//! It does not take the lock for itself, since it may be no session yet: openers may be waiting for this very lock while they hold
//! the setup lock, which it waits for. It names a session that no file has room for, so whoever comes next sees that this owner is dead, follows it
//! and makes the file whole.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::layout::LockWord;
use crate::liveness::{Descriptions, SetupLock};
use crate::lock::Taken;
use crate::map::Map;
use crate::table::Table;
use crate::{Process, futex, liveness};

/// How long a living owner may do nothing before `repair` takes the lock from it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits for somebody who is opening the file.
const SETUP_PATIENCE: Duration = Duration::from_secs(20);
/// How often one looks meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// A session that no file has room for.
const NOBODY: u32 = 0xFFFE;

impl Table {
    /// Waits for the lock, and takes it away from an owner that lives and does nothing; what was done is added to `done`. For
    /// `repair`; `first`: since the session got its byte, so it begins an epoch and follows the predecessor that the word may name.
    pub(crate) fn take_by_force(&self, first: bool, done: &mut Vec<String>) -> Result<Taken, Error> {
        loop {
            if let Some(taken) = self.take_until(first, Instant::now() + LOOK) {
                return Ok(taken);
            }
            done.extend(break_lock(self.map(), self.descriptions().probe.as_fd(), self.path())?);
        }
    }
}

/// Waits for the setup lock of a file to be repaired: whoever has it may be waiting for a lock that has to be taken away first.
pub(crate) fn lock_setup(
    map: &Map,
    descriptions: &Descriptions,
    path: &Path,
) -> Result<(SetupLock, Vec<String>), Error> {
    let mut done = Vec::new();
    let begin = Instant::now();
    loop {
        let lock = liveness::try_lock_setup(descriptions.hold.as_fd());
        let lock = lock.map_err(|source| Error::Io { what: "lock", path: path.to_owned(), source })?;
        if let Some(lock) = lock {
            return Ok((lock, done));
        }
        if begin.elapsed() > SETUP_PATIENCE {
            return Err(Error::Refused {
                path: path.to_owned(),
                what: format!("somebody has been opening it for {SETUP_PATIENCE:?}"),
                remedy: "find out which process is stopped (lslocks, ps), let it go on (kill -CONT), or end it (kill -KILL)",
            });
        }
        done.extend(break_lock(map, descriptions.probe.as_fd(), path)?);
        let word = &map.header().lock;
        futex::wait(futex::lower_half_of(word), LockWord(word.load(Relaxed)).futex(), LOOK);
    }
}

/// Owner and epoch, without what those set who wait.
fn owner_of(word: LockWord) -> u64 {
    word.0 & !0xFFFF_0000
}

/// Takes the lock away from an owner that lives and does nothing; what was done, in words. For `repair`.
fn break_lock(map: &Map, probe: BorrowedFd<'_>, path: &Path) -> Result<Option<String>, Error> {
    let header = map.header();
    let look = || (LockWord(header.lock.load(Relaxed)), header.seq.load(Relaxed));
    let (first, seq) = look();
    let Some(owner) = first.owner() else { return Ok(None) };
    let begin = Instant::now();
    loop {
        let (word, now) = look();
        let is_alive = liveness::is_locked(probe, owner, 1).unwrap_or(true);
        if owner_of(word) != owner_of(first) || now != seq || !is_alive {
            // Somebody gets on, or will follow.
            return Ok(None);
        }
        if begin.elapsed() < PATIENCE {
            futex::wait(futex::lower_half_of(&header.lock), word.futex(), LOOK);
            continue;
        }
        let process = map.session(owner).map(|row| Process {
            pid: row.pid.load(Relaxed),
            start: row.start.load(Relaxed),
            namespace: row.namespace.load(Relaxed),
        });
        let pid = process.map_or(0, |process| process.pid);
        if process.is_some_and(liveness::is_stopped) {
            return Err(Error::Refused {
                path: path.to_owned(),
                what: format!("process {pid} was stopped while it changed the file"),
                remedy: "let it go on (kill -CONT), or end it (kill -KILL)",
            });
        }
        let theirs = word.next_epoch().owned_by(NOBODY).contended();
        if header.lock.compare_exchange(word.0, theirs.0, Relaxed, Relaxed).is_ok() {
            futex::wake(futex::lower_half_of(&header.lock), 1);
            return Ok(Some(format!(
                "session {owner} (process {pid}) had the lock, lives, and did nothing for {PATIENCE:?}; it was taken away"
            )));
        }
    }
}
