//! One checker for the raw file: what holds at every instruction, and what holds outside the critical section.
//!
//! It reads what the file says and believes none of it: the truth is summed up here once more, and the caches are compared
//! with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

use crate::layout::{BOOT_ID_AT, Claim, Config, LockWord, NONE, SlotWord, State};
use crate::map::Map;
use crate::table::{Damage, read_event};
use crate::{Event, EventKind};

/// A grant or a waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) index: u32,
    pub(super) word: Claim,
    pub(super) serial: u64,
}

/// What the file says, without its caches.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    pub(super) config: Config,
    pub(super) grants: Vec<Row>,
    pub(super) waiters: Vec<Row>,
    pub(super) slots: Vec<SlotWord>,
    pub(super) lock: LockWord,
    pub(super) next_event: u64,
    pub(super) serial: u64,
    pub(super) boot: [u64; 2],
}

impl Truth {
    pub(super) fn of(map: &Map) -> Self {
        let header = map.header();
        let grants = map.grants().map(|(index, row)| Row {
            index,
            word: Claim(row.word.load(Relaxed)),
            serial: row.serial.load(Relaxed),
        });
        let waiters = map.waiters().map(|(index, row)| Row {
            index,
            word: Claim(row.word.load(Relaxed)),
            serial: row.serial.load(Relaxed),
        });
        let is_there = |row: &Row| !row.word.is(State::Free);
        Self {
            config: Config(header.config.load(Relaxed)),
            grants: grants.filter(is_there).collect(),
            waiters: waiters.filter(is_there).collect(),
            slots: map.slots().map(|(_, row)| SlotWord(row.word.load(Relaxed))).collect(),
            lock: LockWord(header.lock.load(Relaxed)),
            next_event: header.next_event.load(Relaxed),
            serial: header.serial.load(Relaxed),
            boot: [0, 1].map(|k| header.fixed[BOOT_ID_AT + k].load(Relaxed)),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.grants.iter().map(|grant| u64::from(grant.word.permits())).sum()
    }

    pub(super) fn grant(&self, serial: u64) -> Option<&Row> {
        self.grants.iter().find(|grant| grant.serial == serial)
    }

    pub(super) fn waiter(&self, serial: u64) -> Option<&Row> {
        self.waiters.iter().find(|waiter| waiter.serial == serial)
    }
}

/// What is allowed that otherwise is not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Allow {
    /// More permits in use than the limit: it was lowered (I3).
    pub(super) excess: bool,
}

fn ensure(holds: bool, says: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(says()) }
}

/// What holds at every instruction: I1, I3, I7, T2, T4, T6.
pub(super) fn at_any_moment(map: &Map, before: &Truth, allow: Allow) -> Result<Truth, String> {
    let truth = Truth::of(map);
    let limit = u64::from(truth.config.limit());
    ensure(limit <= map.geometry().capacity().into(), || format!("the limit is {limit}"))?;
    ensure(allow.excess || truth.used() <= limit, || format!("I3: {} permits in use of {limit}", truth.used()))?;
    let mut serials = BTreeSet::new();
    for grant in &truth.grants {
        ensure(grant.word.is(State::Active) && grant.word.permits() > 0, || format!("{grant:?} is impossible"))?;
        ensure(serials.insert(grant.serial), || format!("T6: two grants have serial {}", grant.serial))?;
        ensure(grant.serial < truth.serial, || format!("T6: serial {} is still to be given out", grant.serial))?;
        if !truth.slots.is_empty() {
            let slots = truth.slots.iter().filter(|slot| slot.grant() == Some(grant.index)).count();
            ensure(slots == grant.word.permits() as usize, || format!("T2: {grant:?} has {slots} slots"))?;
        }
        let is_unclaimed = map.grant(grant.index).is_some_and(|row| row.unclaimed.load(Relaxed) != 0);
        if is_unclaimed {
            let waiter = truth.waiter(grant.serial).filter(|waiter| waiter.word.owner() == grant.word.owner());
            ensure(waiter.is_some(), || format!("T4: {grant:?} is unclaimed, and nobody waits for it"))?;
        } else {
            // One that is claimed has its waiter's word granted, until that is freed.
            let waits = truth.waiter(grant.serial).is_some_and(|waiter| waiter.word.is(State::Active));
            ensure(!waits, || format!("T4: {grant:?} is claimed by one who waits"))?;
        }
    }
    let mut serials = BTreeSet::new();
    for waiter in &truth.waiters {
        ensure(serials.insert(waiter.serial), || format!("T6: two waiters have serial {}", waiter.serial))?;
        ensure(waiter.serial < truth.serial, || format!("T6: serial {} is still to be given out", waiter.serial))?;
    }
    for (index, (now, then)) in truth.slots.iter().zip(&before.slots).enumerate() {
        let (now, then) = (now.epoch(), then.epoch());
        ensure(now >= then, || format!("I7: the epoch of slot {index} was {then} and is {now}"))?;
    }
    Ok(truth)
}

/// What holds while nobody is in the section: the above, T1, T3, T5, and that nobody waits who could be served.
pub(super) fn at_rest(map: &Map, before: &Truth, allow: Allow) -> Result<Truth, String> {
    let header = map.header();
    let poison = header.poison.load(Relaxed);
    ensure(poison == 0, || format!("poisoned: {:?}", Damage::describe(poison)))?;
    let truth = at_any_moment(map, before, allow)?;
    ensure(truth.lock.owner().is_none(), || format!("the lock is {:?}", truth.lock.owner()))?;
    ensure(header.seq.load(Relaxed) % 2 == 0, || "seq is odd".to_owned())?;
    let load = |word: &std::sync::atomic::AtomicU32| u64::from(word.load(Relaxed));
    ensure(load(&header.used) == truth.used(), || {
        format!("T1: used is {} and Σ is {}", load(&header.used), truth.used())
    })?;
    ensure(load(&header.held) == truth.grants.len() as u64, || format!("T1: held is {}", load(&header.held)))?;
    let held: BTreeSet<u32> = truth.grants.iter().map(|grant| grant.index).collect();
    let placed: BTreeSet<u32> = truth.waiters.iter().map(|waiter| waiter.index).collect();
    let next = |index| map.grant(index).map(|row| row.next.load(Relaxed));
    check_free("grants", header.free_grant.load(Relaxed), map.geometry().grants, &held, next)?;
    let next = |index| map.waiter(index).map(|row| row.next.load(Relaxed));
    check_free("waiters", header.free_waiter.load(Relaxed), map.geometry().waiters, &placed, next)?;
    check_slots(map, &truth)?;
    check_queue(map, &truth)?;
    Ok(truth)
}

/// The list of free rows has each row that is not in use, once.
fn check_free(
    what: &str,
    first: u32,
    rows: u32,
    used: &BTreeSet<u32>,
    next: impl Fn(u32) -> Option<u32>,
) -> Result<(), String> {
    let mut found = BTreeSet::new();
    let mut at = first;
    while at != NONE {
        ensure(found.insert(at), || format!("T1: the list of free {what} has row {at} twice"))?;
        ensure(!used.contains(&at), || format!("T1: the list of free {what} has row {at}, which is in use"))?;
        at = next(at).ok_or_else(|| format!("T1: the list of free {what} leads to row {at}"))?;
    }
    let free = rows as usize - used.len();
    ensure(found.len() == free, || format!("T1: {} free {what} are listed of {free}", found.len()))
}

/// T3, the bits, and the chain of each grant.
fn check_slots(map: &Map, truth: &Truth) -> Result<(), String> {
    let mut of_grant: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (index, slot) in (0..).zip(&truth.slots) {
        let bits = map.header().free_slots[index as usize / 64].load(Relaxed);
        let is_free = bits >> (index % 64) & 1 != 0;
        ensure(is_free == slot.grant().is_none(), || format!("T1: slot {index} is {slot:?}, and its bit {is_free}"))?;
        if let Some(grant) = slot.grant() {
            let is_held = truth.grants.iter().any(|row| row.index == grant);
            ensure(is_held, || format!("T3: slot {index} names grant {grant}, which nobody holds"))?;
            of_grant.entry(grant).or_default().insert(index);
        }
    }
    if truth.slots.is_empty() {
        return Ok(());
    }
    for grant in &truth.grants {
        let mut chain = BTreeSet::new();
        let mut at = map.grant(grant.index).map_or(NONE, |row| row.slot.load(Relaxed));
        while at != NONE {
            ensure(chain.insert(at), || format!("T1: slot {at} is twice in the chain of {grant:?}"))?;
            at = map.slot(at).map_or(NONE, |row| row.next.load(Relaxed));
        }
        ensure(of_grant.get(&grant.index) == Some(&chain), || format!("T1: {grant:?} has the chain {chain:?}"))?;
    }
    Ok(())
}

/// T5, the links, and that the pump has done what it could.
fn check_queue(map: &Map, truth: &Truth) -> Result<(), String> {
    let header = map.header();
    let mut waiting: Vec<&Row> = truth.waiters.iter().filter(|waiter| waiter.word.is(State::Active)).collect();
    waiting.sort_by_key(|waiter| waiter.serial);
    let count = header.waiting.load(Relaxed) as usize;
    ensure(count == waiting.len(), || format!("T1: waiting is {count} and there are {}", waiting.len()))?;
    let (mut at, mut last) = (header.head.load(Relaxed), NONE);
    for waiter in &waiting {
        ensure(at == waiter.index, || format!("T5: the queue has row {at} where {waiter:?} should be"))?;
        let row = map.waiter(at).ok_or("T5: no such row")?;
        ensure(row.previous.load(Relaxed) == last, || format!("T5: {waiter:?} does not link back"))?;
        (last, at) = (at, row.next.load(Relaxed));
    }
    ensure(at == NONE && header.tail.load(Relaxed) == last, || "T5: the queue does not end".to_owned())?;
    if let (Some(head), Some(limit)) = (waiting.first(), truth.config.admits()) {
        let fits = truth.used() + u64::from(head.word.permits()) <= u64::from(limit);
        ensure(!fits, || format!("stranded: {head:?} fits, and waits"))?;
        let can_ever = head.word.permits() <= limit;
        ensure(can_ever, || format!("stranded: {head:?} waits for more than the limit"))?;
    }
    for waiter in truth.waiters.iter().filter(|waiter| waiter.word.is(State::Granted)) {
        let grant = map.waiter(waiter.index).map(|row| row.grant.load(Relaxed));
        let found = truth.grant(waiter.serial).map(|row| row.index);
        ensure(found.is_none() || found == grant, || format!("{waiter:?} is told of grant {grant:?}, not {found:?}"))?;
    }
    Ok(())
}

/// The events from number `since` on: none is missing.
pub(super) fn events(map: &Map, since: u64) -> Result<Vec<Event>, String> {
    let end = map.header().next_event.load(Relaxed);
    (since..end).map(|number| read_event(map, "", number).ok_or_else(|| format!("event {number} is missing"))).collect()
}

/// I10: whatever changed by force between `before` and `after` was written down.
pub(super) fn check_records(before: &Truth, after: &Truth, events: &[Event]) -> Result<(), String> {
    let last = |kinds: &[EventKind]| events.iter().rev().find(|event| kinds.contains(&event.kind));
    let (old, new) = (before.config, after.config);
    if old.limit() != new.limit() {
        let found = last(&[EventKind::Resized]).map(|event| event.permits);
        ensure(found == Some(new.limit()), || format!("I10: the limit became {}: {found:?}", new.limit()))?;
    }
    if old.is_paused() != new.is_paused() {
        let kind = if new.is_paused() { EventKind::Paused } else { EventKind::Resumed };
        let found = last(&[EventKind::Paused, EventKind::Resumed]).map(|event| event.kind);
        ensure(found == Some(kind), || format!("I10: {kind:?} is not written down: {found:?}"))?;
    }
    Ok(())
}
