//! Taking permits and giving them back.

use std::sync::atomic::Ordering::{Relaxed, Release};

use super::{Damage, Fault, Label, Section, add, count};
use crate::layout::{Claim, GrantRow, NONE, State};
use crate::{Process, step};

/// A process that is none.
const NOBODY: Process = Process { pid: 0, start: 0, namespace: 0 };

/// What a grant is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) permits: u32,
    /// The limit under which it is made.
    pub(super) limit: u32,
    /// Session and generation.
    pub(super) owner: (u32, u32),
    pub(super) serial: u64,
    /// The process of that session.
    pub(super) process: Option<Process>,
    pub(super) label: Label<'a>,
    /// Whether it is made for a waiter, by another.
    pub(super) unclaimed: bool,
    pub(super) now: u64,
}

/// A grant as its owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    /// Its row.
    pub(crate) index: u32,
    /// What its word is while it is held.
    pub(crate) word: Claim,
    pub(crate) serial: u64,
}

impl Section<'_> {
    /// The next identity. T6.
    pub(super) fn next_serial(&self) -> u64 {
        let serial = self.header().serial.load(Relaxed);
        self.header().serial.store(serial.wrapping_add(1), Relaxed);
        step::at("serial: taken");
        serial
    }

    /// Whether `permits` more are within the limit.
    pub(super) fn fits(&self, permits: u32, limit: u32) -> bool {
        self.header().used.load(Relaxed).checked_add(permits).is_some_and(|used| used <= limit)
    }

    /// Makes a grant that fits. T2.
    #[inline(always)]
    pub(super) fn grant(&mut self, making: Making<'_>) -> Result<Grant, Fault> {
        let header = self.header();
        let index = header.free_grant.load(Relaxed);
        if index == NONE {
            return Err(Fault::GrantsFull);
        }
        let row = self.table.map().grant(index).ok_or(Damage::Cache)?;
        if row.word.load(Relaxed) != Claim::FREE.0 {
            return Err(Damage::Cache.into());
        }
        if step::has_bug("the word before the slots") {
            row.serial.store(making.serial, Relaxed);
            row.word.store(Claim::new(State::Active, making.permits, making.owner).0, Relaxed);
        }
        self.take_slots(index, row, making.permits, making.limit)?;
        row.serial.store(making.serial, Relaxed);
        row.since.store(making.now, Relaxed);
        row.expires.store(0, Relaxed);
        row.keep_pid.store(0, Relaxed);
        row.owner.store(making.process.unwrap_or(NOBODY));
        let is_unclaimed = making.unclaimed && !step::has_bug("an unclaimed grant does not say so");
        row.unclaimed.store(is_unclaimed.into(), Relaxed);
        making.label.store(&row.label);
        let word = Claim::new(State::Active, making.permits, making.owner);
        step::at("grant: prepared");
        // ORDERING: Release: whoever sees the word sees the row. Also, no store before it may come after it, for one who finds the
        // section half done (T2, T4).
        row.word.store(word.0, Release);
        step::at("grant: stored");
        header.free_grant.store(row.next.load(Relaxed), Relaxed);
        // It fitted when it was looked at, and anybody may have written another number since.
        header.used.store(header.used.load(Relaxed).saturating_add(making.permits), Relaxed);
        header.held.store(header.held.load(Relaxed).wrapping_add(1), Relaxed);
        add(&header.acquired, 1);
        step::at("grant: counted");
        Ok(Grant { index, word, serial: making.serial })
    }

    /// The row of a grant, if it still is the one that was meant.
    pub(super) fn held(&self, grant: Grant) -> Option<&GrantRow> {
        self.table
            .map()
            .grant(grant.index)
            .filter(|row| row.word.load(Relaxed) == grant.word.0 && row.serial.load(Relaxed) == grant.serial)
    }

    /// The grant with this serial.
    pub(super) fn find(&self, serial: u64) -> Option<Grant> {
        self.table.map().grants().find_map(|(index, row)| {
            let word = Claim(row.word.load(Relaxed));
            let found = word.is(State::Active) && row.serial.load(Relaxed) == serial;
            found.then_some(Grant { index, word, serial })
        })
    }

    /// Ends a grant; false if it has ended already. Whoever waits is not served yet: see `pump`.
    pub(super) fn free(&mut self, grant: Grant, now: u64) -> bool {
        let map = self.table.map();
        let Some(row) = self.held(grant).and(map.grant(grant.index)) else {
            return false;
        };
        // ORDERING: Release: what the holder has done comes before the end of its grant, for whoever looks without the lock.
        row.word.store(Claim::FREE.0, Release);
        step::at("free: stored");
        let permits = grant.word.permits();
        self.free_slots(grant.index, row, permits);
        let header = self.header();
        row.next.store(header.free_grant.load(Relaxed), Relaxed);
        header.free_grant.store(grant.index, Relaxed);
        match (header.used.load(Relaxed).checked_sub(permits), header.held.load(Relaxed).checked_sub(1)) {
            (Some(used), Some(held)) => {
                header.used.store(used, Relaxed);
                header.held.store(held, Relaxed);
            }
            _ => self.dirty = true,
        }
        count(&header.hold, &header.hold_sum, now.saturating_sub(row.since.load(Relaxed)));
        step::at("free: counted");
        true
    }

    /// Gives a grant back, and serves whoever it makes room for; false if it was gone.
    pub(crate) fn release(&mut self, grant: Grant, now: u64) -> bool {
        let freed = self.free(grant, now);
        if freed {
            add(&self.header().released, 1);
            self.serve(now);
        }
        freed
    }
}
