//! Taking back what the dead hold.
//!
//! Whether a session lives is asked without the lock, since it is a system call; what was found is done under it. Between the
//! two nothing can come to life again: a session that was dead stays dead, and another one with its number has another
//! generation. So a claim that names a dead session is that of a dead session for good, as long as its word and serial are the
//! same.
//!
//! A grant whose session is dead is held nevertheless while the process that keeps it lives, or cannot be judged from here, or until its
//! time has run out, if it has one.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::grants::Grant;
use super::{Note, Section, Table, Turn, add};
use crate::error::Error;
use crate::layout::{Claim, GrantRow, NONE, SessionWord, State};
use crate::liveness::{Judgement, judge};
use crate::lock::Taken;
use crate::{EventKind, HolderState, Process, clock, step};

/// Why a grant is taken back from the dead.
pub(crate) const DEAD: &str = "its holder died without giving it back";

/// What the dead hold, as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Remains {
    pub(crate) grants: Vec<Grant>,
    pub(crate) turns: Vec<(Turn, Claim)>,
}

impl Remains {
    pub(crate) fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.turns.is_empty()
    }
}

/// Asks for each session once.
#[derive(Debug)]
pub(crate) struct Census<'a> {
    table: &'a Table,
    /// By number and generation: between two questions a number may pass from a dead session to a living one.
    alive: HashMap<(u32, u32), bool>,
}

impl<'a> Census<'a> {
    pub(crate) fn new(table: &'a Table) -> Self {
        Self { table, alive: HashMap::new() }
    }

    /// Whether the session that a claim names lives.
    pub(crate) fn is_alive(&mut self, (session, generation): (u32, u32)) -> bool {
        let Some(row) = self.table.map().session(session) else { return false };
        // The word comes before the probe: had the number changed hands in between, then the new session, too, would see that
        // the claim is not its own, and reap.
        if !SessionWord(row.word.load(Relaxed)).is_of(generation) {
            return false;
        }
        let of = if step::has_bug("census by number") { 0 } else { generation };
        let ask = || {
            let is_alive = self.table.is_session_alive(session);
            step::at("census: asked");
            is_alive
        };
        *self.alive.entry((session, of)).or_insert_with(ask)
    }

    /// Why a grant is held.
    pub(crate) fn state_of(&mut self, word: Claim, row: &GrantRow) -> HolderState {
        if self.is_alive(word.owner()) {
            return HolderState::Alive;
        }
        afterlife(kept_by(row), row.expires.load(Relaxed))
    }
}

/// The process that keeps a grant.
pub(crate) fn kept_by(row: &GrantRow) -> Option<Process> {
    let pid = row.keep_pid.load(Relaxed);
    (pid != 0).then(|| Process {
        pid,
        start: row.keep_start.load(Relaxed),
        namespace: row.keep_namespace.load(Relaxed),
    })
}

/// Why a grant has ended that was to outlive its session; nothing if it was not.
fn end_of(row: &GrantRow) -> Option<&'static str> {
    if kept_by(row).is_some_and(|keep| judge(keep) == Judgement::Dead) {
        Some("the process that kept it has ended")
    } else {
        (row.expires.load(Relaxed) != 0).then_some("its time is over")
    }
}

/// Why a grant is held whose session is dead.
pub(crate) fn afterlife(keep: Option<Process>, expires: u64) -> HolderState {
    let kept = match keep.map(judge) {
        None => None,
        Some(Judgement::Alive) => Some(HolderState::Kept),
        Some(Judgement::Unknown) => Some(HolderState::Unknown),
        Some(Judgement::Dead) => return HolderState::Dead,
    };
    if expires == 0 {
        kept.unwrap_or(HolderState::Dead)
    } else if clock::boot_ns() < expires {
        kept.unwrap_or(HolderState::Leased)
    } else {
        HolderState::Dead
    }
}

impl Table {
    /// Takes back what the dead hold; how many grants that was. Without anybody dead: a system call for each session that
    /// holds or waits.
    pub(crate) fn reap(&self) -> Result<usize, Error> {
        self.reap_if(&[HolderState::Dead], DEAD, || Some(self.take()))
    }

    /// As [`reap`](Self::reap), and nothing if the lock cannot be had in time.
    pub(crate) fn reap_within(&self, time: Duration) -> Result<usize, Error> {
        self.reap_if(&[HolderState::Dead], DEAD, || self.take_within(time))
    }

    /// Takes back what is held by dead sessions for processes that cannot be seen from here. By a person's decision (`repair`).
    pub(crate) fn reap_unknown(&self, time: Duration) -> Result<Vec<String>, Error> {
        let why = "its session is dead, and whether the process that keeps it lives cannot be seen from here";
        let unknown = self.remains(&[HolderState::Unknown]).grants;
        let keeper = |grant: &Grant| self.map().grant(grant.index).and_then(kept_by).map_or(0, |process| process.pid);
        let done = unknown.iter().map(|grant| {
            let pid = keeper(grant);
            format!("permit {} was kept by process {pid} of another PID namespace and is free now", grant.serial)
        });
        let done: Vec<_> = done.collect();
        self.reap_if(&[HolderState::Dead, HolderState::Unknown], why, || self.take_within(time))?;
        Ok(done)
    }

    fn reap_if(&self, states: &[HolderState], why: &str, take: impl FnOnce() -> Option<Taken>) -> Result<usize, Error> {
        let remains = self.remains(states);
        if remains.is_empty() {
            return Ok(0);
        }
        self.check_process()?;
        let Some(taken) = take() else { return Ok(0) };
        self.section_after(taken, |section| Ok(section.bury(&remains, why)))
    }

    /// Whether a waiter of this session is first in line.
    pub(crate) fn is_first_in_line(&self) -> bool {
        let (session, generation) = self.session();
        self.first_in_line() == Some((session, u32::from(generation as u16)))
    }

    fn first_in_line(&self) -> Option<(u32, u32)> {
        let row = self.map().waiter(self.header().head.load(Relaxed))?;
        Some(Claim(row.word.load(Relaxed)).owner())
    }

    /// Whether this session, one of whose waiters is in the queue, has to look after the dead: it is first in line, or the first
    /// in line is dead, who would otherwise keep the rest waiting for ever.
    pub(crate) fn is_in_charge(&self) -> bool {
        let is_dead = |owner| !step::has_bug("the first in line alone") && !Census::new(self).is_alive(owner);
        self.is_first_in_line() || self.first_in_line().is_some_and(is_dead)
    }

    /// What is held, at this moment, by those who are dead, in one of these ways.
    pub(crate) fn remains(&self, states: &[HolderState]) -> Remains {
        let mut census = Census::new(self);
        let mut remains = Remains::default();
        let header = self.header();
        // The counts are hints: they spare us the free rows behind the last one in use.
        let mut left = header.held.load(Relaxed);
        for (index, row) in self.map().grants() {
            if left == 0 {
                break;
            }
            let word = Claim(row.word.load(Relaxed));
            if word.is(State::Active) {
                left -= 1;
                let serial = row.serial.load(Relaxed);
                if states.contains(&census.state_of(word, row)) {
                    remains.grants.push(Grant { index, word, serial });
                }
            }
        }
        // Answered rows of the dead are not counted as waiting; they are few, and looked for when a row is missed.
        let waits = header.waiting.load(Relaxed) > 0 || header.free_waiter.load(Relaxed) == NONE;
        let answered = remains
            .grants
            .iter()
            .any(|grant| self.map().grant(grant.index).is_some_and(|row| row.unclaimed.load(Relaxed) != 0));
        if !waits && !answered {
            return remains;
        }
        for (index, row) in self.map().waiters() {
            let word = Claim(row.word.load(Relaxed));
            let serial = row.serial.load(Relaxed);
            if !word.is(State::Free) && !census.is_alive(word.owner()) {
                remains.turns.push((Turn { index, serial }, word));
            }
        }
        remains
    }
}

impl Section<'_> {
    /// Takes back what was seen, as far as it still is there; how many grants that was.
    pub(crate) fn bury(&mut self, remains: &Remains, why: &str) -> usize {
        let now = clock::boot_ns();
        let map = self.table.map();
        let mut freed = 0;
        for (turn, seen) in &remains.turns {
            let Some(row) = map.waiter(turn.index) else { continue };
            let word = Claim(row.word.load(Relaxed));
            let is_another = row.serial.load(Relaxed) != turn.serial || word.owner() != seen.owner();
            if is_another && !step::has_bug("whoever has the row") {
                continue;
            }
            if word.is(State::Free) {
                continue;
            }
            self.announce(Note {
                kind: Some(EventKind::Abandoned),
                serial: Some(turn.serial),
                permits: word.permits(),
                to: row.owner.load(),
                why: "it died while it waited",
            });
            if word.is(State::Active) {
                self.unlink(turn.index, row);
                step::at("bury: unlinked");
            } else {
                let index = row.grant.load(Relaxed);
                let grant = Grant { index, word: word.in_state(State::Active), serial: turn.serial };
                if word.is(State::Granted) && self.free(grant, now) {
                    freed += 1;
                    add(&self.header().reclaimed, 1);
                }
            }
            self.free_waiter(turn.index, row);
            self.confirm();
        }
        for grant in &remains.grants {
            let Some(row) = self.held(*grant) else { continue };
            let to = kept_by(row).or_else(|| row.owner.load());
            // One that was to outlive its session has come to its end; and was not lost.
            let end = (why == DEAD).then(|| end_of(row)).flatten();
            let (kind, counter) = match end {
                Some(_) => (EventKind::Ended, &self.header().released),
                None => (EventKind::Reclaimed, &self.header().reclaimed),
            };
            self.announce(Note {
                kind: Some(kind),
                serial: Some(grant.serial),
                permits: grant.word.permits(),
                to,
                why: end.unwrap_or(why),
            });
            if self.free(*grant, now) {
                freed += 1;
                add(counter, 1);
            }
            self.confirm();
        }
        self.serve(now);
        freed
    }
}
