//! The critical section: everything that changes the file, and how each change survives its author.
//!
//! # Truth and caches
//!
//! | truth | says | committed by
//! |-------|------|-------------
//! | `grants[g].word` | who holds how many permits | one 64-bit store
//! | `waiters[w].word` | who waits for how many, or has been answered | one 64-bit store
//! | `slots[s].word` | which grant has number `s`, and how often it was given out | before its grant's word
//! | `config` | limit, policy, pause | one 64-bit store
//!
//! There is no counter to drift: `used` is Σ permits over held grants. It is *kept* in the header, as are the free lists and the
//! links of the queue, and all of it is made again from the truth (`rebuild`) by whoever finds a section whose owner died in it.
//!
//! # Invariants
//!
//! T1. Outside the section the caches agree with the truth.
//! T2. A grant's word goes from free to held last in its making and from held to free first in its end. So at every instruction
//!     it is there, whole, or not there.
//! T3. Slot `s` names grant `g` and `g` is held ⇔ `s` is `g`'s, outside the section; inside it, one that names a grant which
//!     is not held is nobody's, and only its epoch has grown.
//! T4. A grant made for a waiter is marked `unclaimed` and has the waiter's serial, before its word is stored. So whoever
//!     finds it finds the waiter, whose word may not say so yet.
//! T5. The waiters that are waiting, in the order of their serials, are the queue.
//! T6. A serial is given out once, by a counter that is stored before the serial is used.
//! T7. Nothing under the lock is unbounded: each loop is bounded by the size of a table, each acquisition writes at most
//!     [`MAX_SLOTS`](crate::layout::MAX_SLOTS) slots, and there is no system call but a wake-up when more are woken than are noted.
//!
//! # Where its author may die
//!
//! | last thing done | state | who mends it
//! |-----------------|-------|-------------
//! | took the lock | the word names a dead session | the next to lock: 2 ms
//! | slots written | they name a grant that is not held (T3) | rebuild
//! | grant stored | held by a dead session | rebuild counts it, reaping frees it
//! | grant for a waiter stored | unclaimed, and the waiter is waiting (T4) | rebuild finishes it
//! | waiter answered, not woken | it sleeps | rebuild wakes every answered waiter; and it looks itself each second
//! | grant freed | permits free, the head asleep | rebuild ends with the pump
//! | waiter freed | its grant, if any, was freed or claimed before it | rebuild
//! | left the lock, not woken anybody | answered waiters asleep | they look themselves each second
//!
//! Every row is a test: `tests/kill_points` dies at each step of each operation.
//!
//! `model::table` does so too, with three processes that share a small file, and goes on from each of the states.
//!
//! # Hostile files
//!
//! An index is checked before it is followed and a word before it is believed. A cache that cannot be is made again once; a
//! truth that cannot be *poisons* the file: nobody is admitted until `repair`.

mod admin;
mod events;
mod grants;
mod queue;
mod reap;
mod rebuild;
mod slots;

pub(crate) use events::{Note, read as read_event};
pub(crate) use grants::Grant;
use queue::Label;
pub(crate) use queue::{Answer, Turn, Why};
#[cfg(test)]
pub(crate) use reap::{DEAD, Remains};
pub(crate) use reap::{afterlife, kept_by};

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::error::Error;
use crate::futex;
use crate::layout::{Config, Header};
use crate::liveness::{self, Descriptions};
use crate::lock::Taken;
use crate::map::Map;
use crate::protocol;
use crate::{Process, step};

/// One session's view of the file.
#[derive(Debug)]
pub(crate) struct Table {
    map: Map,
    descriptions: Descriptions,
    me: u32,
    generation: u32,
    own: Process,
    /// Others took this session for dead: its number may be another's now.
    is_lost: AtomicBool,
    name: String,
    path: PathBuf,
}

/// What stands in the file and cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The configuration.
    Config,
    /// The word of this grant.
    Grant(u32),
    /// The word of this waiter.
    Waiter(u32),
    /// The slots that name this grant are not as many as its permits.
    Slots(u32),
    /// The permits of all grants are more than can be counted.
    Sum,
    /// A list or a counter, although it was made anew.
    Cache,
}

impl Damage {
    const KINDS: u32 = 24;

    /// As it is stored: not 0.
    fn code(self) -> u32 {
        let (kind, index) = match self {
            Self::Config => (1, 0),
            Self::Grant(index) => (2, index),
            Self::Waiter(index) => (3, index),
            Self::Slots(index) => (4, index),
            Self::Sum => (5, 0),
            Self::Cache => (6, 0),
        };
        kind << Self::KINDS | index & 0xFF_FFFF
    }

    /// In words, from a code that anybody may have written.
    pub(crate) fn describe(code: u32) -> Option<String> {
        let index = code & 0xFF_FFFF;
        match code >> Self::KINDS {
            0 if code == 0 => None,
            1 => Some("its limit is above its capacity".to_owned()),
            2 => Some(format!("grant {index} has an impossible owner or number of permits")),
            3 => Some(format!("waiter {index} has an impossible owner or number of permits")),
            4 => Some(format!("grant {index} does not have as many slots as permits")),
            5 => Some("its grants have more permits than can be counted".to_owned()),
            6 => Some("its lists do not agree with its tables".to_owned()),
            _ => Some(format!("it is marked as damaged ({code:#x})")),
        }
    }
}

/// Why an operation did nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file is not what it should be.
    Damage(Damage),
    /// More permits than the limit.
    ExceedsLimit { asked: u32, limit: u32 },
    /// No row for another grant.
    GrantsFull,
    /// No row for another waiter.
    QueueFull,
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// Those to be woken when the section has been left.
#[derive(Debug)]
struct Wakes {
    words: [*const u32; Wakes::ROOM],
    len: usize,
}

impl Wakes {
    const ROOM: usize = 8;

    fn new() -> Self {
        Self { words: [std::ptr::null(); Self::ROOM], len: 0 }
    }

    fn push(&mut self, word: *const u32) {
        if let Some(slot) = self.words.get_mut(self.len) {
            *slot = word;
            self.len += 1;
        } else {
            futex::wake(word, i32::MAX);
        }
    }

    #[inline]
    fn fire(&mut self) {
        if self.len > 0 {
            self.fire_slow();
        }
    }

    #[cold]
    fn fire_slow(&mut self) {
        for word in &self.words[..std::mem::take(&mut self.len)] {
            futex::wake(*word, i32::MAX);
            step::at("section: woke one");
        }
    }
}

/// The critical section, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    table: &'a Table,
    /// The lock's.
    epoch: u32,
    seq: u32,
    wakes: Wakes,
    /// A cache was found wrong after the point of no return.
    dirty: bool,
    /// It has been left.
    left: bool,
    /// Others took us for dead while we were in it.
    lost: bool,
}

impl Table {
    /// The view of session `me`, whose byte is locked by `descriptions.hold`.
    pub(crate) fn new(map: Map, descriptions: Descriptions, me: u32, name: String, path: PathBuf) -> Self {
        Self { map, descriptions, me, generation: 0, own: liveness::own(), is_lost: AtomicBool::new(false), name, path }
    }

    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    pub(crate) fn header(&self) -> &Header {
        self.map.header()
    }

    pub(crate) fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    pub(crate) fn me(&self) -> u32 {
        self.me
    }

    /// Number and generation of this session.
    pub(crate) fn session(&self) -> (u32, u32) {
        (self.me, self.generation)
    }

    /// Before the session is signed.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        self.generation = generation;
    }

    /// This process.
    pub(crate) fn own(&self) -> Process {
        self.own
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn config(&self) -> Config {
        Config(self.header().config.load(Relaxed))
    }

    /// Whether the kernel holds the lock of session `index`. If it does not answer, the session lives: nothing is taken from it.
    pub(crate) fn is_session_alive(&self, index: u32) -> bool {
        liveness::is_locked(self.descriptions.probe.as_fd(), index, 1).unwrap_or(true)
    }

    /// An error if this is not the process that opened the file, or if others took it for dead.
    #[inline]
    pub(crate) fn check_process(&self) -> Result<(), Error> {
        if self.descriptions.hold.mark().is_of_this_process() && !self.is_lost.load(Relaxed) {
            Ok(())
        } else {
            Err(self.not_ours())
        }
    }

    #[cold]
    fn not_ours(&self) -> Error {
        if self.is_lost.load(Relaxed) {
            Error::SessionLost { path: self.path.clone() }
        } else {
            Error::Forked { name: self.name.clone() }
        }
    }

    // What is `inline(always)` on the way of an acquisition of free permits is so because to move results from face to face took a
    // sixth of its time.

    /// Does `op` in the critical section. It may be done twice, the first time without effect: when a list turns out to be wrong.
    #[inline(always)]
    pub(crate) fn section<R>(&self, op: impl FnMut(&mut Section<'_>) -> Result<R, Fault>) -> Result<R, Error> {
        self.check_process()?;
        let taken = self.take();
        let result = self.section_after(taken, op);
        self.reap_after(taken);
        result
    }

    /// Does `op`, which only gives back what this session has, in the critical section. In a damaged file, too: nobody is
    /// served there until it is repaired, but what was given back must be free then, and nobody would give it back again.
    #[inline(always)]
    pub(crate) fn give_back<R>(&self, op: impl FnOnce(&mut Section<'_>) -> R) -> Result<R, Error> {
        self.check_process()?;
        let taken = self.take();
        let mut section = Section::enter(self, taken);
        if let Taken::Over { dead, .. } = taken {
            if let Err(damage) = section.follow(dead) {
                section.poison(damage);
            }
        }
        let result = op(&mut section);
        section.clean();
        let left = section.leave();
        self.reap_after(taken);
        if left { Ok(result) } else { Err(self.lost_for_good()) }
    }

    /// Whoever has followed the dead takes back what they held. What goes wrong then does not undo what the caller has done;
    /// whoever comes next is told.
    #[inline]
    fn reap_after(&self, taken: Taken) {
        if matches!(taken, Taken::Over { .. }) {
            let _ = self.reap();
        }
    }

    /// Does `op` in the critical section, whose lock has just been got.
    #[inline(always)]
    pub(crate) fn section_after<R>(
        &self,
        taken: Taken,
        mut op: impl FnMut(&mut Section<'_>) -> Result<R, Fault>,
    ) -> Result<R, Error> {
        let mut section = Section::enter(self, taken);
        if matches!(taken, Taken::Over { .. }) || self.header().poison.load(Relaxed) != 0 {
            section.check(taken)?;
        }
        let result = match op(&mut section) {
            Ok(done) => Ok(done),
            Err(Fault::Damage(_)) => section.again(op),
            Err(fault) => Err(section.explain(fault)),
        };
        section.clean();
        if section.leave() { result } else { Err(self.lost_for_good()) }
    }

    /// Somebody else has what was this session's.
    #[cold]
    pub(crate) fn lost(&self) -> Error {
        Error::SessionLost { path: self.path.clone() }
    }

    /// Others took this session for dead. It must not touch the file any more.
    #[cold]
    fn lost_for_good(&self) -> Error {
        self.is_lost.store(true, Relaxed);
        self.lost()
    }

    /// Does `op` in the critical section, whose lock has just been got, however damaged the file is.
    pub(crate) fn section_regardless<R>(
        &self,
        taken: Taken,
        op: impl FnOnce(&mut Section<'_>) -> R,
    ) -> Result<R, Error> {
        let mut section = Section::enter(self, taken);
        if let Taken::Over { dead, .. } = taken {
            // What is damaged is about to be repaired.
            let _ = section.follow(dead);
        }
        let result = op(&mut section);
        if section.leave() { Ok(result) } else { Err(self.lost_for_good()) }
    }

    /// An error if the file is marked as damaged.
    pub(crate) fn check_sound(&self) -> Result<(), Error> {
        match Damage::describe(self.header().poison.load(Relaxed)) {
            Some(what) => Err(self.poisoned(what)),
            None => Ok(()),
        }
    }

    pub(crate) fn poisoned(&self, what: String) -> Error {
        Error::Poisoned { name: self.name.clone(), path: self.path.clone(), what }
    }
}

impl<'a> Section<'a> {
    /// By the owner of the lock.
    #[inline(always)]
    fn enter(table: &'a Table, taken: Taken) -> Self {
        let odd = protocol::begin(&table.header().seq);
        step::at("section: entered");
        let epoch = taken.epoch();
        Self { table, epoch, seq: odd, wakes: Wakes::new(), dirty: false, left: false, lost: false }
    }

    fn header(&self) -> &'a Header {
        self.table.header()
    }

    /// Finishes what a dead owner had begun; an error if the file is damaged.
    #[cold]
    fn check(&mut self, taken: Taken) -> Result<(), Error> {
        if let Taken::Over { dead, .. } = taken {
            self.follow(dead).map_err(|damage| self.poison(damage))?;
        }
        self.table.check_sound()
    }

    /// Makes the caches anew, since one was wrong, and does `op` once more.
    #[cold]
    fn again<R>(&mut self, mut op: impl FnMut(&mut Self) -> Result<R, Fault>) -> Result<R, Error> {
        let result = self.rebuild().map_err(Fault::from).and_then(|()| op(self));
        result.map_err(|fault| self.explain(fault))
    }

    /// Leaves it and wakes who has to be; false: see [`Table::leave`].
    #[inline(always)]
    fn leave(mut self) -> bool {
        self.finish();
        !self.lost
    }

    #[inline(always)]
    fn finish(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        protocol::end(&self.header().seq, self.seq);
        step::at("section: about to leave");
        self.lost = !self.table.leave(self.epoch);
        self.wakes.fire();
    }

    fn is_poisoned(&self) -> bool {
        self.header().poison.load(Relaxed) != 0
    }

    /// Makes anew what was found wrong when there was no way back.
    #[inline]
    fn clean(&mut self) {
        if self.dirty {
            self.clean_slow();
        }
    }

    #[cold]
    fn clean_slow(&mut self) {
        if !self.is_poisoned() {
            if let Err(damage) = self.rebuild() {
                // What was done has been done; whoever comes next is told.
                self.poison(damage);
            }
        }
    }

    /// Nobody is admitted any more.
    #[cold]
    fn poison(&mut self, damage: Damage) -> Error {
        let poison = &self.header().poison;
        if poison.load(Relaxed) == 0 {
            poison.store(damage.code(), Relaxed);
            let what = Damage::describe(damage.code()).unwrap_or_default();
            self.note(Note { kind: Some(crate::EventKind::Poisoned), why: &what, ..Note::default() });
        }
        self.table.poisoned(Damage::describe(poison.load(Relaxed)).unwrap_or_default())
    }

    #[cold]
    fn explain(&mut self, fault: Fault) -> Error {
        let table = self.table;
        let name = || table.name.clone();
        let geometry = table.map.geometry();
        match fault {
            Fault::Damage(damage) => self.poison(damage),
            Fault::ExceedsLimit { asked, limit } => Error::ExceedsLimit { name: name(), asked, limit },
            Fault::GrantsFull => Error::GrantsFull { name: name(), max: geometry.grants },
            Fault::QueueFull => Error::QueueFull { name: name(), max: geometry.waiters },
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if step::is_dead() {
            return;
        }
        self.finish();
    }
}

/// Adds `n` to a word that only the owner of the lock writes.
fn add(word: &AtomicU64, n: u64) {
    word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Counts `ns` in a histogram.
fn count(buckets: &[AtomicU64], sum: &AtomicU64, ns: u64) {
    let bucket = (u64::BITS - (ns >> 10).leading_zeros()) as usize;
    if let Some(bucket) = buckets.get(bucket.min(buckets.len() - 1)) {
        add(bucket, 1);
    }
    add(sum, ns);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Claim, LockWord, State};
    use crate::session::{Purpose, Session};

    /// A session of a new file, and its folder.
    fn session(limit: u32) -> (Session, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let options = crate::Options::new().directory(folder.path()).limit(limit);
        (Session::open("s", &options, Purpose::Use).expect("a session"), folder)
    }

    #[test]
    fn a_count_that_changes_between_the_look_and_the_use_does_not_overflow() {
        let (session, _folder) = session(1);
        let made = session.table.section(|section| {
            section.header().used.store(u32::MAX, Relaxed);
            let (owner, label) = (section.table.session(), Label::Text(""));
            section.grant(grants::Making {
                permits: 1,
                limit: 1,
                owner,
                serial: 0,
                process: None,
                label,
                unclaimed: false,
                now: 0,
            })
        });
        made.expect("a grant");
        assert_eq!(session.table.header().used.load(Relaxed), u32::MAX);
    }

    #[test]
    fn damage_that_reaping_finds_after_a_take_over_does_not_undo_what_was_done() {
        let (session, _folder) = session(1);
        let table = &session.table;
        // The lock is a dead session's, and so is a grant.
        table.header().lock.store(LockWord(0).owned_by(1000).0, Relaxed);
        let result = table.section(|_| {
            let row = table.map().grant(3).expect("a row");
            row.word.store(Claim::new(State::Active, 1, (1000, 1)).0, Relaxed);
            table.header().held.store(1, Relaxed);
            table.header().poison.store(Damage::Cache.code(), Relaxed);
            Ok(7)
        });
        assert_eq!(result.expect("it was done"), 7);
        assert!(table.check_sound().is_err());
    }
}
