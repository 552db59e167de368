//! The ring of events: what was done by force, by whom, to whom, and why.
//!
//! Events are rare, so they are written under the lock. A reader takes a row whose number is the same before and after.
//!
//! E1. What is done by force is *announced* before it is done and *confirmed* afterwards: the row first, with its number, then
//!     the deed, then `next_event`, which is what makes it an event. Whoever takes over a section finds an announced row that is
//!     not confirmed, looks whether the deed was done, and confirms it if so. So no death leaves a deed without its event, or
//!     an event without its deed.

use std::sync::atomic::Ordering::Relaxed;

use super::Section;
use crate::layout::{Claim, EventRow, State, load_text, store_text};
use crate::map::Map;
use crate::protocol;
use crate::status::{Event, EventKind, Moment, Process, SCHEMA};
use crate::{PermitId, clock, step};

/// An event to be written down.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Note<'a> {
    pub(crate) kind: Option<EventKind>,
    pub(crate) serial: Option<u64>,
    pub(crate) permits: u32,
    pub(crate) to: Option<Process>,
    pub(crate) why: &'a str,
}

const KINDS: [EventKind; 13] = [
    EventKind::Created,
    EventKind::Rebooted,
    EventKind::Reclaimed,
    EventKind::Abandoned,
    EventKind::Revoked,
    EventKind::Resized,
    EventKind::Paused,
    EventKind::Resumed,
    EventKind::TakenOver,
    EventKind::Poisoned,
    EventKind::Repaired,
    EventKind::Refused,
    EventKind::Ended,
];

impl Section<'_> {
    /// Writes `note` into the ring: for what needs no forethought, since it can be seen afterwards that it was done.
    pub(crate) fn note(&mut self, note: Note<'_>) {
        self.announce(note);
        self.confirm();
    }

    /// Writes down what is about to be done. E1.
    pub(super) fn announce(&mut self, note: Note<'_>) {
        let Some(kind) = note.kind.and_then(|kind| KINDS.iter().position(|other| *other == kind)) else { return };
        let header = self.header();
        let number = header.next_event.load(Relaxed);
        let Some(row) = self.table.map().event(number) else { return };
        protocol::write_event(&row.number, number, || {
            step::at("event: begun");
            let by = self.table.own();
            row.boot_ns.store(clock::boot_ns(), Relaxed);
            row.real_ns.store(clock::real_ns(), Relaxed);
            row.serial.store(note.serial.map_or(u64::MAX, |serial| serial), Relaxed);
            row.kind.store(kind as u32, Relaxed);
            row.permits.store(note.permits, Relaxed);
            row.by_pid.store(by.pid, Relaxed);
            row.by_start.store(by.start, Relaxed);
            row.by_namespace.store(by.namespace, Relaxed);
            row.to_pid.store(note.to.map_or(0, |to| to.pid), Relaxed);
            row.to_start.store(note.to.map_or(0, |to| to.start), Relaxed);
            row.to_namespace.store(note.to.map_or(0, |to| to.namespace), Relaxed);
            store_text(&row.why, note.why);
        });
        step::at("event: announced");
    }

    /// What was announced has been done. E1.
    pub(super) fn confirm(&mut self) {
        let next = &self.header().next_event;
        let number = next.load(Relaxed);
        let is_announced = |row: &EventRow| row.number.load(Relaxed) == number.wrapping_add(1);
        if self.table.map().event(number).is_some_and(is_announced) {
            protocol::publish_event(next, number);
            step::at("event: confirmed");
        }
    }

    /// Confirms what a dead owner of the section had announced, if it had done it. E1.
    pub(super) fn finish_note(&mut self) {
        let number = self.header().next_event.load(Relaxed);
        let Some(row) = self.table.map().event(number) else { return };
        if step::has_bug("announced deeds are not confirmed") || row.number.load(Relaxed) != number.wrapping_add(1) {
            return;
        }
        let serial = row.serial.load(Relaxed);
        let is_held = self.find(serial).is_some();
        let waits = |states: &[State]| {
            self.table.map().waiters().any(|(_, row)| {
                let word = Claim(row.word.load(Relaxed));
                states.contains(&word.state()) && row.serial.load(Relaxed) == serial
            })
        };
        let config = self.table.config();
        let was_done = match KINDS.get(row.kind.load(Relaxed) as usize) {
            None => false,
            Some(EventKind::Reclaimed | EventKind::Ended | EventKind::Revoked) => !is_held,
            Some(EventKind::Abandoned) => !is_held && !waits(&[State::Active, State::Granted, State::Refused]),
            Some(EventKind::Refused) => !waits(&[State::Active]),
            Some(EventKind::Resized) => config.limit() == row.permits.load(Relaxed),
            Some(EventKind::Paused) => config.is_paused(),
            Some(EventKind::Resumed) => !config.is_paused(),
            Some(_) => true,
        };
        if was_done {
            self.confirm();
        }
    }
}

/// Event `number`, if the ring has it.
pub(crate) fn read(map: &Map, semaphore: &str, number: u64) -> Option<Event> {
    let row = map.event(number)?;
    protocol::read_event(&row.number, number, || decode(row, semaphore, number)).flatten()
}

fn decode(row: &EventRow, semaphore: &str, number: u64) -> Option<Event> {
    let kind = *KINDS.get(row.kind.load(Relaxed) as usize)?;
    let serial = row.serial.load(Relaxed);
    let to = Process {
        pid: row.to_pid.load(Relaxed),
        start: row.to_start.load(Relaxed),
        namespace: row.to_namespace.load(Relaxed),
    };
    Some(Event {
        schema: SCHEMA.to_owned(),
        semaphore: semaphore.to_owned(),
        number,
        when: Moment { at: clock::wall(row.real_ns.load(Relaxed)), boot_ns: row.boot_ns.load(Relaxed) },
        kind,
        permit: (serial != u64::MAX).then_some(PermitId(serial)),
        permits: row.permits.load(Relaxed),
        by: Process {
            pid: row.by_pid.load(Relaxed),
            start: row.by_start.load(Relaxed),
            namespace: row.by_namespace.load(Relaxed),
        },
        to: (to.pid != 0).then_some(to),
        why: load_text(&row.why),
    })
}
