//! A look at everything, without the lock.
//!
//! # Protocol
//!
//! The owner of the lock makes `seq` odd before its first store and even after its last. A reader notes `seq`, reads, and looks
//! again: the same even number means that nothing was stored in between.
//!
//! - *Orderings, and why they suffice*: [`protocol::look`].
//! - While somebody stays in the section, stopped or dead, there is no such moment. After some tries what was read last is given as it
//!   is, with the name of the one who stays: a listing that is out of step by one change, and never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::Now;
use crate::layout::{Claim, Config, LockWord, SessionWord, SlotWord, State, load_text};
use crate::liveness::is_locked;
use crate::map::Map;
use crate::protocol;
use crate::status::{Capacity, Holder, HolderState, Process, SCHEMA, Session, Slot, Statistics, Status, Waiter};
use crate::status::{Histogram, PermitId};
use crate::table::{Damage, Table, afterlife, kept_by};

/// How often it is tried to read all at one moment.
const TRIES: u32 = 200;

/// What is needed to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) map: &'a Map,
    /// Asks for the sessions' locks.
    pub(crate) probe: BorrowedFd<'a>,
    pub(crate) name: &'a str,
    pub(crate) path: &'a Path,
}

impl<'a> View<'a> {
    pub(crate) fn of(table: &'a Table) -> Self {
        let probe = table.descriptions().probe.as_fd();
        Self { map: table.map(), probe, name: table.name(), path: table.path() }
    }
}

/// What was read, before any system call is made about it.
#[derive(Debug, Default)]
struct Raw {
    config: u64,
    grants: Vec<RawGrant>,
    slots: BTreeMap<u32, Vec<Slot>>,
    waiters: Vec<RawWaiter>,
    statistics: Statistics,
    poison: u32,
}

#[derive(Debug)]
struct RawGrant {
    index: u32,
    word: Claim,
    serial: u64,
    since: u64,
    expires: u64,
    keep: Option<Process>,
    owner: Option<Process>,
    label: String,
}

#[derive(Debug)]
struct RawWaiter {
    word: Claim,
    serial: u64,
    since: u64,
    owner: Option<Process>,
    label: String,
}

/// All that there is to see.
pub(crate) fn status(view: &View<'_>) -> Status {
    let seq = &view.map.header().seq;
    let mut raw = Raw::default();
    let mut stuck = None;
    for tries in 1..=TRIES {
        let (read, whole) = protocol::look(seq, || read(view.map));
        raw = read;
        if whole {
            stuck = None;
            break;
        }
        stuck = LockWord(view.map.header().lock.load(Relaxed)).owner();
        if tries > TRIES / 2 {
            std::thread::yield_now();
        }
    }
    describe(view, raw, stuck)
}

fn read(map: &Map) -> Raw {
    let header = map.header();
    let mut raw = Raw { config: header.config.load(Relaxed), poison: header.poison.load(Relaxed), ..Raw::default() };
    for (index, row) in map.grants() {
        let word = Claim(row.word.load(Relaxed));
        if word.is(State::Active) {
            raw.grants.push(RawGrant {
                index,
                word,
                serial: row.serial.load(Relaxed),
                since: row.since.load(Relaxed),
                expires: row.expires.load(Relaxed),
                keep: kept_by(row),
                owner: row.owner.load(),
                label: load_text(&row.label),
            });
        }
    }
    for (index, row) in map.slots() {
        let word = SlotWord(row.word.load(Relaxed));
        if let Some(grant) = word.grant() {
            raw.slots.entry(grant).or_default().push(Slot { index, epoch: word.epoch() });
        }
    }
    for (_, row) in map.waiters() {
        let word = Claim(row.word.load(Relaxed));
        if word.is(State::Active) {
            raw.waiters.push(RawWaiter {
                word,
                serial: row.serial.load(Relaxed),
                since: row.since.load(Relaxed),
                owner: row.owner.load(),
                label: load_text(&row.label),
            });
        }
    }
    let histogram = |buckets: &[AtomicU64], sum: &AtomicU64| Histogram {
        buckets: buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
        sum_ns: sum.load(Relaxed),
    };
    raw.statistics = Statistics {
        acquired: header.acquired.load(Relaxed),
        released: header.released.load(Relaxed),
        waited: header.waited.load(Relaxed),
        timeouts: header.timeouts.load(Relaxed),
        cancelled: header.cancelled.load(Relaxed),
        reclaimed: header.reclaimed.load(Relaxed),
        revoked: header.revoked.load(Relaxed),
        takeovers: header.takeovers.load(Relaxed),
        wait: histogram(&header.wait, &header.wait_sum),
        hold: histogram(&header.hold, &header.hold_sum),
    };
    raw
}

fn describe(view: &View<'_>, raw: Raw, stuck: Option<u32>) -> Status {
    let now = Now::new();
    let geometry = view.map.geometry();
    let config = Config(raw.config);
    let named: BTreeSet<u32> = (raw.grants.iter().map(|grant| grant.word.session()))
        .chain(raw.waiters.iter().map(|waiter| waiter.word.session()))
        .chain(stuck)
        .collect();
    let sessions: BTreeMap<u32, Session> = (view.map.sessions())
        .filter(|(index, row)| named.contains(index) || SessionWord(row.word.load(Relaxed)).is_open())
        .map(|(index, _)| (index, session(view, index)))
        .filter(|(index, session)| named.contains(index) || session.alive)
        .collect();
    // A claim names half of its session's generation; one of an earlier generation is that of a dead session.
    let owner = |word: Claim, process: Option<Process>| {
        let (index, generation) = word.owner();
        let known = sessions.get(&index);
        let is_current = known.is_some_and(|known| known.generation as u16 == generation as u16);
        match known {
            Some(known) if is_current => known.clone(),
            _ => Session {
                index,
                generation,
                process: process.unwrap_or(Process { pid: 0, start: 0, namespace: 0 }),
                uid: 0,
                name: String::new(),
                alive: false,
            },
        }
    };
    let slots = |index| raw.slots.get(&index).cloned().unwrap_or_default();
    let mut holders: Vec<Holder> = (raw.grants.iter())
        .map(|grant| {
            let session = owner(grant.word, grant.owner);
            let state = if session.alive { HolderState::Alive } else { afterlife(grant.keep, grant.expires) };
            Holder {
                id: PermitId(grant.serial),
                permits: grant.word.permits(),
                slots: slots(grant.index),
                label: grant.label.clone(),
                since: now.at(grant.since),
                held: now.since(grant.since),
                session,
                keep: grant.keep,
                expires: (grant.expires > 0).then(|| now.at(grant.expires)),
                state,
            }
        })
        .collect();
    holders.sort_by_key(|holder| (holder.since.boot_ns, holder.id));
    let mut waiters: Vec<Waiter> = (raw.waiters.into_iter())
        .map(|waiter| Waiter {
            ticket: waiter.serial,
            permits: waiter.word.permits(),
            label: waiter.label,
            since: now.at(waiter.since),
            waited: now.since(waiter.since),
            session: owner(waiter.word, waiter.owner),
        })
        .collect();
    waiters.sort_by_key(|waiter| waiter.ticket);
    let permits: u64 = holders.iter().map(|holder| u64::from(holder.permits)).sum();
    Status {
        schema: SCHEMA.to_owned(),
        name: view.name.to_owned(),
        path: view.path.to_owned(),
        now: now.moment(),
        limit: config.limit(),
        used: u32::try_from(permits).unwrap_or(u32::MAX),
        paused: config.is_paused(),
        policy: config.policy(),
        slots: geometry.slots > 0,
        capacity: Capacity {
            limit: geometry.capacity(),
            sessions: geometry.sessions,
            grants: geometry.grants,
            waiters: geometry.waiters,
        },
        holders,
        waiters,
        locked_by: stuck.and_then(|index| sessions.get(&index).cloned()),
        sessions: sessions.into_values().collect(),
        statistics: raw.statistics,
        damage: Damage::describe(raw.poison),
    }
}

/// Session `index`, as it says itself and as the kernel says.
fn session(view: &View<'_>, index: u32) -> Session {
    let row = view.map.session(index);
    let load = |field: fn(&crate::layout::SessionRow) -> u64| row.map_or(0, field);
    let word = SessionWord(load(|row| row.word.load(Relaxed)));
    Session {
        index,
        generation: word.generation(),
        process: Process {
            pid: load(|row| row.pid.load(Relaxed).into()) as u32,
            start: load(|row| row.start.load(Relaxed)),
            namespace: load(|row| row.namespace.load(Relaxed)),
        },
        uid: load(|row| row.uid.load(Relaxed).into()) as u32,
        name: row.map_or_else(String::new, |row| load_text(&row.name)),
        alive: word.is_open() && is_locked(view.probe, index, 1).unwrap_or(true),
    }
}
