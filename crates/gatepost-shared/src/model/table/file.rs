//! A small file, laid out and read back.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::SESSIONS;
use crate::file::{Access, reopen};
use crate::futex;
use crate::layout::{Claim, Config, Geometry, LockWord, NONE, SessionWord, SlotWord, State};
use crate::liveness::{Descriptions, try_lock, unlock};
use crate::map::Map;
use crate::table::{Grant, Table, Turn};

const GRANTS: usize = 3;
const WAITERS: usize = 3;
const SLOTS: usize = 2;
const GEOMETRY: Geometry = Geometry {
    sessions: SESSIONS as u32,
    grants: GRANTS as u32,
    waiters: WAITERS as u32,
    slots: SLOTS as u32,
    events: 4,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GrantImage {
    word: u64,
    serial: u64,
    unclaimed: u32,
    next: u32,
    slot: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct SlotImage {
    word: u64,
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct WaiterImage {
    word: u64,
    serial: u64,
    grant: u32,
    task: u32,
    passed: u32,
    next: u32,
    previous: u32,
}

/// All of a file that decides what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Image {
    lock: u64,
    seq: u32,
    pub(super) poison: u32,
    config: u64,
    serial: u64,
    used: u32,
    held: u32,
    waiting: u32,
    free_grant: u32,
    free_waiter: u32,
    head: u32,
    tail: u32,
    free_slots: u64,
    sessions: [u64; SESSIONS],
    grants: [GrantImage; GRANTS],
    slots: [SlotImage; SLOTS],
    waiters: [WaiterImage; WAITERS],
}

/// The words at which people sleep.
pub(super) struct Bells {
    waiters: [u32; WAITERS],
    sessions: [u32; SESSIONS],
}

/// The file, and each session's view of it.
pub(super) struct World {
    pub(super) tables: Vec<Table>,
    locked: [bool; SESSIONS],
}

impl World {
    pub(super) fn new() -> Self {
        let file = memfd_create("model", MemfdFlags::CLOEXEC).expect("a file in memory");
        ftruncate(&file, GEOMETRY.size() as u64).expect("its size");
        let path = std::path::Path::new("model");
        let open = || reopen(file.as_fd(), path, Access::Write).expect("another description");
        let table = |me| {
            let map = Map::new(file.as_fd(), GEOMETRY, true).expect("a mapping");
            Table::new(map, Descriptions { hold: open(), probe: open() }, me, "model".to_owned(), path.to_owned())
        };
        Self { tables: (0..SESSIONS as u32).map(table).collect(), locked: [false; SESSIONS] }
    }

    /// A new file, with every session signed.
    pub(super) fn make(&mut self, config: Config) -> Image {
        let table = &self.tables[0];
        table.header().config.store(config.0, Relaxed);
        table.section_regardless(table.take(), |section| section.reset().expect("a new file")).expect("our lock");
        for (_, row) in table.map().sessions() {
            row.word.store(SessionWord::new(true, 1).0, Relaxed);
        }
        self.read_back()
    }

    pub(super) fn next_generation(&self, session: usize) -> u32 {
        let row = self.tables[session].map().session(session as u32).expect("a row");
        SessionWord(row.word.load(Relaxed)).generation() + 1
    }

    /// Makes the file that of `image`, and locks the bytes of those who live.
    pub(super) fn lay_out(&mut self, image: &Image, alive: [bool; SESSIONS]) {
        for (table, (lives, locked)) in self.tables.iter().zip(alive.into_iter().zip(self.locked)) {
            let hold = table.descriptions().hold.as_fd();
            match (lives, locked) {
                (true, false) => assert!(try_lock(hold, table.me()).expect("a lock"), "it is locked"),
                (false, true) => unlock(hold, table.me()).expect("our lock"),
                _ => {}
            }
        }
        self.locked = alive;
        let map = self.tables[0].map();
        let header = map.header();
        header.lock.store(image.lock, Relaxed);
        header.seq.store(image.seq, Relaxed);
        header.poison.store(image.poison, Relaxed);
        header.config.store(image.config, Relaxed);
        header.serial.store(image.serial, Relaxed);
        header.used.store(image.used, Relaxed);
        header.held.store(image.held, Relaxed);
        header.waiting.store(image.waiting, Relaxed);
        header.free_grant.store(image.free_grant, Relaxed);
        header.free_waiter.store(image.free_waiter, Relaxed);
        header.head.store(image.head, Relaxed);
        header.tail.store(image.tail, Relaxed);
        header.free_slots[0].store(image.free_slots, Relaxed);
        for ((_, row), word) in map.sessions().zip(image.sessions) {
            row.word.store(word, Relaxed);
        }
        for ((_, row), image) in map.grants().zip(image.grants) {
            row.word.store(image.word, Relaxed);
            row.serial.store(image.serial, Relaxed);
            row.unclaimed.store(image.unclaimed, Relaxed);
            row.next.store(image.next, Relaxed);
            row.slot.store(image.slot, Relaxed);
        }
        for ((_, row), image) in map.slots().zip(image.slots) {
            row.word.store(image.word, Relaxed);
            row.next.store(image.next, Relaxed);
        }
        for ((_, row), image) in map.waiters().zip(image.waiters) {
            row.word.store(image.word, Relaxed);
            row.serial.store(image.serial, Relaxed);
            row.grant.store(image.grant, Relaxed);
            row.task.store(image.task, Relaxed);
            row.passed.store(image.passed, Relaxed);
            row.next.store(image.next, Relaxed);
            row.previous.store(image.previous, Relaxed);
        }
    }

    /// The file as it is, but for the numbers of serials.
    pub(super) fn read_back(&self) -> Image {
        let map = self.tables[0].map();
        let header = map.header();
        let mut grants = map.grants().map(|(_, row)| {
            let image = GrantImage {
                word: row.word.load(Relaxed),
                serial: row.serial.load(Relaxed),
                unclaimed: row.unclaimed.load(Relaxed),
                next: row.next.load(Relaxed),
                slot: row.slot.load(Relaxed),
            };
            match Claim(image.word).state() {
                State::Free => GrantImage { serial: u64::MAX, unclaimed: 0, slot: NONE, ..image },
                _ => image,
            }
        });
        let mut slots = map.slots().map(|(_, row)| {
            let (word, next) = (SlotWord(row.word.load(Relaxed)), row.next.load(Relaxed));
            match word.grant() {
                None => SlotImage { word: word.0, next: NONE },
                Some(_) => SlotImage { word: word.0, next },
            }
        });
        let mut waiters = map.waiters().map(|(_, row)| {
            let image = WaiterImage {
                word: row.word.load(Relaxed),
                serial: row.serial.load(Relaxed),
                grant: row.grant.load(Relaxed),
                task: row.task.load(Relaxed),
                passed: row.passed.load(Relaxed),
                next: row.next.load(Relaxed),
                previous: row.previous.load(Relaxed),
            };
            match Claim(image.word).state() {
                State::Free => {
                    WaiterImage { serial: u64::MAX, grant: NONE, task: 0, passed: 0, previous: NONE, ..image }
                }
                _ => image,
            }
        });
        Image {
            // What the epoch is for is in `model::lock`.
            lock: header.lock.load(Relaxed) & 0xFFFF_FFFF,
            seq: header.seq.load(Relaxed) & 1,
            poison: header.poison.load(Relaxed),
            config: header.config.load(Relaxed),
            serial: header.serial.load(Relaxed),
            used: header.used.load(Relaxed),
            held: header.held.load(Relaxed),
            waiting: header.waiting.load(Relaxed),
            free_grant: header.free_grant.load(Relaxed),
            free_waiter: header.free_waiter.load(Relaxed),
            head: header.head.load(Relaxed),
            tail: header.tail.load(Relaxed),
            free_slots: header.free_slots[0].load(Relaxed),
            sessions: std::array::from_fn(|k| map.session(k as u32).map_or(0, |row| row.word.load(Relaxed))),
            grants: std::array::from_fn(|_| grants.next().expect("a row")),
            slots: std::array::from_fn(|_| slots.next().expect("a row")),
            waiters: std::array::from_fn(|_| waiters.next().expect("a row")),
        }
    }

    pub(super) fn bells(&self) -> Bells {
        let map = self.tables[0].map();
        Bells {
            waiters: std::array::from_fn(|k| map.waiter(k as u32).map_or(0, |row| row.futex.load(Relaxed))),
            sessions: std::array::from_fn(|k| map.session(k as u32).map_or(0, |row| row.doorbell.load(Relaxed))),
        }
    }

    /// Whoever has been answered in a section that came to its end has been woken, and so has been who was answered by a dead
    /// one before.
    pub(super) fn check_wakes(
        &self,
        before: &Image,
        after: &Image,
        bells: &Bells,
        woken: &[*const u32],
    ) -> Result<(), String> {
        let answered = |image: &WaiterImage| matches!(Claim(image.word).state(), State::Granted | State::Refused);
        let was_dead = before.lock_owner().is_some();
        for (index, (old, new)) in before.waiters.iter().zip(&after.waiters).enumerate() {
            if !answered(new) || answered(old) && !was_dead {
                continue;
            }
            let session = Claim(new.word).session();
            // Each view has a mapping of its own; any of them names the same word.
            let is_told = |table: &Table| {
                let waiter = table.map().waiter(index as u32).expect("a row");
                let bell = table.map().session(session).expect("a row");
                let (word, was) = match new.task {
                    0 => (&waiter.futex, bells.waiters[index]),
                    _ => (&bell.doorbell, bells.sessions[session as usize]),
                };
                word.load(Relaxed) != was && woken.contains(&futex::of(word))
            };
            if !self.tables.iter().any(is_told) {
                return Err(format!("waiter {index} has been answered and not told"));
            }
        }
        Ok(())
    }
}

impl Image {
    pub(super) fn config(&self) -> Config {
        Config(self.config)
    }

    pub(super) fn lock_owner(&self) -> Option<u32> {
        LockWord(self.lock).owner()
    }

    /// The session is closed in good order.
    pub(super) fn close(&mut self, session: usize) {
        self.sessions[session] = SessionWord::new(false, SessionWord(self.sessions[session]).generation()).0;
    }

    /// Every serial that says something; the next one that is given out is among them.
    pub(super) fn serials(&self) -> Vec<u64> {
        let mut serials = vec![self.serial];
        serials.extend(self.grants.iter().map(|row| row.serial).filter(|serial| *serial != u64::MAX));
        serials.extend(self.waiters.iter().map(|row| row.serial).filter(|serial| *serial != u64::MAX));
        serials
    }

    pub(super) fn each_serial(&mut self, change: impl Fn(&mut u64)) {
        change(&mut self.serial);
        self.grants.iter_mut().for_each(|row| change(&mut row.serial));
        self.waiters.iter_mut().for_each(|row| change(&mut row.serial));
        // The epochs have been looked at.
        for slot in &mut self.slots {
            let word = SlotWord(slot.word);
            slot.word = word.grant().map_or(SlotWord::free(0), |grant| SlotWord::of(0, grant)).0;
        }
    }

    /// Those that are held: their serials and words.
    pub(super) fn held(&self) -> Vec<(u64, Claim)> {
        let rows = self.grants.iter().map(|row| (row.serial, Claim(row.word)));
        rows.filter(|(_, claim)| claim.is(State::Active)).collect()
    }

    pub(super) fn held_serials(&self) -> Vec<u64> {
        self.held().into_iter().map(|(serial, _)| serial).collect()
    }

    /// Those that wait or have been answered.
    pub(super) fn waiters(&self) -> impl Iterator<Item = (u64, Claim)> {
        self.waiters.iter().map(|row| (row.serial, Claim(row.word))).filter(|(_, claim)| !claim.is(State::Free))
    }

    pub(super) fn waiter_is_answered(&self, index: u32) -> bool {
        matches!(Claim(self.waiters[index as usize].word).state(), State::Granted | State::Refused)
    }

    pub(super) fn holds(&self, grant: Grant) -> bool {
        let row = &self.grants[grant.index as usize];
        row.word == grant.word.0 && row.serial == grant.serial
    }

    pub(super) fn has_turn(&self, turn: Turn, owner: (u32, u32)) -> bool {
        let row = &self.waiters[turn.index as usize];
        row.serial == turn.serial && !Claim(row.word).is(State::Free) && Claim(row.word).owner() == owner
    }

    /// A slot that has another grant than before has a later epoch than before.
    pub(super) fn check_epochs(&self, before: &Self) -> Result<(), String> {
        for (old, new) in before.slots.iter().zip(&self.slots) {
            let (old, new) = (SlotWord(old.word), SlotWord(new.word));
            if new.epoch() < old.epoch()
                || new.grant().is_some() && new.grant() != old.grant() && new.epoch() == old.epoch()
            {
                return Err("I7: an epoch has not grown".to_owned());
            }
        }
        Ok(())
    }

    /// What holds at each instruction.
    pub(super) fn check_truth(&self, limit: u32) -> Result<(), String> {
        let permits: u32 = self.held().iter().map(|(_, claim)| claim.permits()).sum();
        if permits > limit {
            return Err("I3: more permits than the limit".to_owned());
        }
        for (index, row) in self.grants.iter().enumerate() {
            let claim = Claim(row.word);
            let named = |slot: &&SlotImage| SlotWord(slot.word).grant() == Some(index as u32);
            if claim.is(State::Active) && self.slots.iter().filter(named).count() != claim.permits() as usize {
                return Err(format!("I1, T3: grant {index} has not all its slots"));
            }
        }
        let mut serials = self.held_serials();
        let all = serials.iter().copied().chain(self.waiters().map(|(serial, _)| serial));
        if all.max().is_some_and(|last| last >= self.serial) {
            return Err("T6: a serial is used and not given out".to_owned());
        }
        serials.sort_unstable();
        let mut waiting: Vec<u64> = self.waiters().map(|(serial, _)| serial).collect();
        waiting.sort_unstable();
        if serials.windows(2).chain(waiting.windows(2)).any(|two| two[0] == two[1]) {
            return Err("T6: two have one serial".to_owned());
        }
        Ok(())
    }

    /// What holds outside of the section.
    pub(super) fn check_caches(&self) -> Result<(), String> {
        let is = |yes: bool, what: &str| if yes { Ok(()) } else { Err(format!("T1: {what}")) };
        is(self.seq == 0, "`seq` is odd")?;
        let held = self.held();
        let used: u32 = held.iter().map(|(_, claim)| claim.permits()).sum();
        is(self.used == used, "`used`")?;
        is(self.held as usize == held.len(), "`held`")?;
        let list = |mut at: u32, next: &dyn Fn(usize) -> u32, size: usize| {
            let mut rows = Vec::new();
            while at != NONE && (at as usize) < size && rows.len() <= size {
                rows.push(at as usize);
                at = next(at as usize);
            }
            rows
        };
        let sorted = |mut rows: Vec<usize>| {
            rows.sort_unstable();
            rows
        };
        let free = sorted(list(self.free_grant, &|row| self.grants[row].next, GRANTS));
        is(free == rows(&self.grants.map(|row| row.word), State::Free), "the list of free grants")?;
        let words = self.waiters.map(|row| row.word);
        let free = sorted(list(self.free_waiter, &|row| self.waiters[row].next, WAITERS));
        is(free == rows(&words, State::Free), "the list of free waiters")?;
        let queue = list(self.head, &|row| self.waiters[row].next, WAITERS);
        let back = list(self.tail, &|row| self.waiters[row].previous, WAITERS);
        is(queue.iter().rev().eq(&back), "the queue from behind")?;
        is(queue.len() == self.waiting as usize, "`waiting`")?;
        is(queue.is_sorted_by_key(|row| self.waiters[*row].serial), "T5: the order of the queue")?;
        is(sorted(queue.clone()) == rows(&words, State::Active), "T5: those in the queue")?;
        for (index, slot) in self.slots.iter().enumerate() {
            let holder = SlotWord(slot.word).grant();
            let is_free = self.free_slots >> index & 1 != 0;
            is(is_free == holder.is_none(), "the free slots")?;
            let is_held = |grant: u32| Claim(self.grants[grant as usize].word).is(State::Active);
            is(holder.is_none_or(is_held), "T3: a slot of nobody's")?;
        }
        for (index, row) in self.grants.iter().enumerate().filter(|(_, row)| Claim(row.word).is(State::Active)) {
            let chain = list(row.slot, &|slot| self.slots[slot].next, SLOTS);
            let own = |slot: &usize| SlotWord(self.slots[*slot].word).grant() == Some(index as u32);
            is(chain.len() == Claim(row.word).permits() as usize && chain.iter().all(own), "the slots of a grant")?;
        }
        let limit = self.config().limit();
        let first = queue.first().map(|row| Claim(words[*row]));
        match (first, self.config().admits()) {
            (Some(first), Some(_)) if first.permits() > limit => Err("it waits for more than the limit".to_owned()),
            (Some(first), Some(_)) if used + first.permits() <= limit => Err("I4: the first in line fits".to_owned()),
            _ => Ok(()),
        }
    }
}

fn rows(words: &[u64], state: State) -> Vec<usize> {
    (0..words.len()).filter(|row| Claim(words[*row]).is(state)).collect()
}
