//! Waiting: first come, first served, in batches.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::grants::{Grant, Making};
use super::{Damage, Fault, Note, Section, Table, add, count};
use crate::futex;
use crate::layout::{Claim, NONE, State, WaiterRow, store_text};
use crate::protocol::bump;
use crate::{EventKind, Policy, clock, step};

/// How often one at the head may be passed under [`Policy::Overtaking`].
const MOST_PASSES: u32 = 16;

/// What a grant is called: as told, or as the waiter is that it is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Label<'a> {
    Text(&'a str),
    Of(&'a WaiterRow),
}

impl Label<'_> {
    pub(super) fn store(self, to: &[AtomicU64]) {
        match self {
            // The first word ends it.
            Self::Text("") => to[0].store(0, Relaxed),
            Self::Text(text) => store_text(to, text),
            Self::Of(row) => {
                for (to, from) in to.iter().zip(&row.label) {
                    to.store(from.load(Relaxed), Relaxed);
                }
            }
        }
    }
}

/// A place in the queue, as its owner knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Turn {
    /// Its row.
    pub(crate) index: u32,
    pub(crate) serial: u64,
}

/// What came of an acquisition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The permits are there.
    Granted(Grant),
    /// Not yet.
    Waiting(Turn),
    /// They were there, and were taken back before they were claimed.
    Revoked,
    /// The limit became less than what was asked for.
    Refused { asked: u32, limit: u32 },
    /// The place is not ours: we were taken for dead.
    Lost,
}

/// How a waiter that goes away is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    TimedOut,
    Dropped,
}

impl Table {
    /// What has become of a place in the queue, without the lock: an answer that is not "waiting" is final.
    pub(crate) fn state_of(&self, turn: Turn) -> State {
        let Some(row) = self.map().waiter(turn.index) else { return State::Free };
        // ORDERING: Acquire pairs with the Release of the answer; and of the word of one who has got the row after us, whose
        // serial we see then.
        let word = Claim(row.word.load(Acquire));
        // A place that was taken from us may be another one's, who waits.
        if row.serial.load(Relaxed) == turn.serial { word.state() } else { State::Free }
    }
}

impl Section<'_> {
    /// Takes `permits` if they are free and nobody waits for them; nothing if not.
    #[inline(always)]
    pub(crate) fn try_acquire(&mut self, permits: u32, label: &str, now: u64) -> Result<Option<Grant>, Fault> {
        let config = self.table.config();
        let limit = config.limit();
        let capacity = self.table.map().geometry().capacity();
        if limit > capacity {
            return Err(Damage::Config.into());
        }
        // While it is drained nobody knows what the next limit is, but what it can be at most.
        let most = if limit > 0 { limit } else { capacity };
        if permits > most {
            return Err(Fault::ExceedsLimit { asked: permits, limit: most });
        }
        let at_once =
            config.admits().is_some() && self.header().head.load(Relaxed) == NONE && self.fits(permits, limit);
        if !at_once {
            return Ok(None);
        }
        let serial = self.next_serial();
        let owner = self.table.session();
        let label = Label::Text(label);
        let process = Some(self.table.own());
        self.grant(Making { permits, limit, owner, serial, process, label, unclaimed: false, now }).map(Some)
    }

    /// Takes `permits`, or a place in the queue; `task`: a task waits, not a thread.
    #[inline(always)]
    pub(crate) fn acquire(&mut self, permits: u32, label: &str, task: bool, now: u64) -> Result<Answer, Fault> {
        if let Some(grant) = self.try_acquire(permits, label, now)? {
            return Ok(Answer::Granted(grant));
        }
        let turn = self.enqueue(permits, label, task)?;
        if self.table.config().policy() == Policy::Overtaking {
            self.serve(now);
            return Ok(self.answer(turn, now));
        }
        Ok(Answer::Waiting(turn))
    }

    fn waiter(&self, index: u32) -> Result<&WaiterRow, Damage> {
        self.table.map().waiter(index).ok_or(Damage::Cache)
    }

    fn enqueue(&mut self, permits: u32, label: &str, task: bool) -> Result<Turn, Fault> {
        let header = self.header();
        let index = header.free_waiter.load(Relaxed);
        if index == NONE {
            return Err(Fault::QueueFull);
        }
        let row = self.waiter(index)?;
        if row.word.load(Relaxed) != Claim::FREE.0 {
            return Err(Damage::Cache.into());
        }
        let tail = header.tail.load(Relaxed);
        let link = if tail == NONE { &header.head } else { &self.waiter(tail)?.next };
        let serial = self.next_serial();
        row.serial.store(serial, Relaxed);
        row.since.store(clock::boot_ns(), Relaxed);
        row.grant.store(NONE, Relaxed);
        row.task.store(task.into(), Relaxed);
        row.owner.store(self.table.own());
        row.passed.store(0, Relaxed);
        Label::Text(label).store(&row.label);
        step::at("enqueue: prepared");
        // ORDERING: Release: whoever sees the word sees the row.
        row.word.store(Claim::new(State::Active, permits, self.table.session()).0, Release);
        step::at("enqueue: stored");
        header.free_waiter.store(row.next.load(Relaxed), Relaxed);
        row.next.store(NONE, Relaxed);
        row.previous.store(tail, Relaxed);
        link.store(index, Relaxed);
        step::at("enqueue: half linked");
        header.tail.store(index, Relaxed);
        header.waiting.store(header.waiting.load(Relaxed).wrapping_add(1), Relaxed);
        step::at("enqueue: linked");
        Ok(Turn { index, serial })
    }

    /// Takes a row out of the queue. What is wrong with the links makes it dirty.
    pub(super) fn unlink(&mut self, index: u32, row: &WaiterRow) {
        let header = self.header();
        let map = self.table.map();
        let (previous, next) = (row.previous.load(Relaxed), row.next.load(Relaxed));
        let before = if previous == NONE { Some(&header.head) } else { map.waiter(previous).map(|row| &row.next) };
        let behind = if next == NONE { Some(&header.tail) } else { map.waiter(next).map(|row| &row.previous) };
        match (before, behind) {
            (Some(before), Some(behind)) if before.load(Relaxed) == index && behind.load(Relaxed) == index => {
                before.store(next, Relaxed);
                step::at("queue: half unlinked");
                behind.store(previous, Relaxed);
                header.waiting.store(header.waiting.load(Relaxed).wrapping_sub(1), Relaxed);
            }
            _ => self.dirty = true,
        }
    }

    /// Gives the row of one that has left the queue to the next one who needs it.
    pub(super) fn free_waiter(&mut self, index: u32, row: &WaiterRow) {
        let header = self.header();
        // ORDERING: Release: what was done with the row comes before.
        row.word.store(Claim::FREE.0, Release);
        step::at("waiter: freed");
        row.next.store(header.free_waiter.load(Relaxed), Relaxed);
        header.free_waiter.store(index, Relaxed);
    }

    /// Tells a waiter that its word has changed.
    pub(super) fn tell(&mut self, row: &WaiterRow) {
        bump(&row.futex);
        if row.task.load(Relaxed) == 0 {
            self.wakes.push(futex::of(&row.futex));
        } else {
            self.ring(Claim(row.word.load(Relaxed)).session());
        }
    }

    /// Wakes the helper of a session.
    pub(super) fn ring(&mut self, session: u32) {
        if let Some(row) = self.table.map().session(session) {
            bump(&row.doorbell);
            self.wakes.push(futex::of(&row.doorbell));
        }
    }

    /// Serves the queue, after something has been done that is not to be done again: a list that is wrong is made anew, and
    /// served then.
    #[inline]
    pub(crate) fn serve(&mut self, now: u64) {
        if self.header().head.load(Relaxed) != NONE && self.pump(now).is_err() {
            self.dirty = true;
        }
    }

    /// Sends away all who ask for more than `limit`, wherever in the queue they are; unless it is 0, which admits nobody and sends
    /// nobody away. Whoever finds this half done sends them away when their turn comes.
    pub(super) fn send_away(&mut self, limit: u32) {
        let map = self.table.map();
        let mut at = self.header().head.load(Relaxed);
        for _ in 0..map.geometry().waiters {
            let Some(row) = map.waiter(at).filter(|_| limit > 0) else { return };
            let next = row.next.load(Relaxed);
            let word = Claim(row.word.load(Relaxed));
            if word.is(State::Active) && word.permits() > limit {
                self.refuse(at, row, word);
            }
            at = next;
        }
    }

    /// Sends a waiter away that asks for more than the limit.
    fn refuse(&mut self, index: u32, row: &WaiterRow, word: Claim) {
        self.announce(Note {
            kind: Some(EventKind::Refused),
            serial: Some(row.serial.load(Relaxed)),
            permits: word.permits(),
            to: row.owner.load(),
            why: "it asks for more than the limit",
        });
        self.answer_waiter(index, row, word.in_state(State::Refused));
        self.confirm();
    }

    /// Serves the queue from its head while it fits; refuses who asks for more than the limit.
    pub(super) fn pump(&mut self, now: u64) -> Result<(), Damage> {
        let map = self.table.map();
        let config = self.table.config();
        let Some(limit) = config.admits().filter(|_| !self.is_poisoned()) else { return Ok(()) };
        if limit > map.geometry().capacity() {
            return Err(Damage::Config);
        }
        let mut at = self.header().head.load(Relaxed);
        let mut blocked: Option<&WaiterRow> = None;
        for _ in 0..map.geometry().waiters {
            if at == NONE {
                return Ok(());
            }
            let row = map.waiter(at).ok_or(Damage::Cache)?;
            let word = Claim(row.word.load(Relaxed));
            if !word.is(State::Active) {
                return Err(Damage::Cache);
            }
            if !self.is_possible(word) {
                return Err(Damage::Waiter(at));
            }
            let next = row.next.load(Relaxed);
            let permits = word.permits();
            if permits > limit {
                self.refuse(at, row, word);
            } else if self.fits(permits, limit) {
                let making = Making {
                    permits,
                    limit,
                    owner: word.owner(),
                    serial: row.serial.load(Relaxed),
                    process: row.owner.load(),
                    label: Label::Of(row),
                    unclaimed: true,
                    now,
                };
                let grant = match self.grant(making) {
                    Ok(grant) => grant,
                    // It waits until a row is free, which is when somebody releases, who pumps.
                    Err(Fault::GrantsFull) => return Ok(()),
                    Err(Fault::Damage(damage)) => return Err(damage),
                    Err(Fault::ExceedsLimit { .. } | Fault::QueueFull) => return Err(Damage::Cache),
                };
                row.grant.store(grant.index, Relaxed);
                self.answer_waiter(at, row, word.in_state(State::Granted));
                let header = self.header();
                add(&header.waited, 1);
                let waited = clock::boot_ns().saturating_sub(row.since.load(Relaxed));
                count(&header.wait, &header.wait_sum, waited);
                if let Some(blocked) = blocked {
                    blocked.passed.store(blocked.passed.load(Relaxed).saturating_add(1), Relaxed);
                }
            } else if config.policy() == Policy::Fifo {
                return Ok(());
            } else if blocked.is_none() {
                blocked = Some(row);
            }
            if blocked.is_some_and(|row| row.passed.load(Relaxed) >= MOST_PASSES) {
                return Ok(());
            }
            at = next;
        }
        if at == NONE { Ok(()) } else { Err(Damage::Cache) }
    }

    pub(super) fn answer_waiter(&mut self, index: u32, row: &WaiterRow, word: Claim) {
        // ORDERING: Release pairs with the Acquire in `state_of`.
        row.word.store(word.0, Release);
        step::at("waiter: answered");
        self.unlink(index, row);
        self.tell(row);
        step::at("waiter: told");
    }

    /// The row of a place in the queue, if it is still ours.
    fn own_turn(&self, turn: Turn) -> Option<(&WaiterRow, Claim)> {
        let row = self.table.map().waiter(turn.index)?;
        let word = Claim(row.word.load(Relaxed));
        let (session, generation) = self.table.session();
        let ours = row.serial.load(Relaxed) == turn.serial
            && word.session() == session
            && word.generation() == u32::from(generation as u16);
        ours.then_some((row, word))
    }

    /// What has become of a place in the queue; unless it still waits, the place is given up.
    pub(crate) fn answer(&mut self, turn: Turn, now: u64) -> Answer {
        let map = self.table.map();
        let found = self.own_turn(turn).map(|(_, word)| word);
        let (Some(word), Some(row)) = (found, map.waiter(turn.index)) else {
            return Answer::Lost;
        };
        match word.state() {
            State::Free => Answer::Lost,
            State::Active => Answer::Waiting(turn),
            State::Refused => {
                self.free_waiter(turn.index, row);
                Answer::Refused { asked: word.permits(), limit: self.table.config().limit() }
            }
            State::Granted => {
                let grant =
                    Grant { index: row.grant.load(Relaxed), word: word.in_state(State::Active), serial: turn.serial };
                let held = self.held(grant).and(map.grant(grant.index));
                if let Some(row) = held {
                    // The time to claim it is not time of holding it.
                    row.since.store(now, Relaxed);
                    row.unclaimed.store(0, Relaxed);
                    step::at("claim: claimed");
                }
                self.free_waiter(turn.index, row);
                if held.is_some() { Answer::Granted(grant) } else { Answer::Revoked }
            }
        }
    }

    /// Gives up a place in the queue, or tells what has become of it.
    pub(crate) fn give_up(&mut self, turn: Turn, why: Why, now: u64) -> Answer {
        let answer = self.answer(turn, now);
        if answer != Answer::Waiting(turn) {
            return answer;
        }
        let header = self.header();
        add(if why == Why::TimedOut { &header.timeouts } else { &header.cancelled }, 1);
        self.dirty |= self.remove(turn).is_err();
        self.serve(now);
        answer
    }

    /// Takes a waiting row out, whosever it is.
    pub(super) fn remove(&mut self, turn: Turn) -> Result<(), Damage> {
        let row = self.table.map().waiter(turn.index).ok_or(Damage::Cache)?;
        self.unlink(turn.index, row);
        step::at("remove: unlinked");
        self.free_waiter(turn.index, row);
        Ok(())
    }
}
