//! Making the caches from the truth, and finishing what a dead owner of the section had begun.

use std::sync::atomic::Ordering::Relaxed;

use super::{Damage, Note, Section};
use crate::layout::{Claim, NONE, SlotWord, State};
use crate::protocol::bump;
use crate::{EventKind, Process, clock, futex, step};

/// Above all that will ever be given out.
const LAST_SERIAL: u64 = 1 << 62;

impl Section<'_> {
    /// Goes on where a dead owner stopped.
    pub(super) fn follow(&mut self, dead: u32) -> Result<(), Damage> {
        super::add(&self.header().takeovers, 1);
        if step::has_bug("no rebuild") {
            return Ok(());
        }
        // Before anything else is written down.
        self.finish_note();
        self.rebuild()?;
        let why = "it died in the critical section; what it had begun was finished or undone";
        let to = self.table.process_of(dead);
        self.note(Note { kind: Some(EventKind::TakenOver), to, why, ..Note::default() });
        Ok(())
    }

    /// Makes all caches anew, or says why that cannot be. T1 holds afterwards.
    pub(super) fn rebuild(&mut self) -> Result<(), Damage> {
        self.check_words()?;
        self.link_slots()?;
        step::at("rebuild: linked the slots");
        let permits = self.link_grants()?;
        let used = u32::try_from(permits).map_err(|_| Damage::Sum)?;
        self.header().used.store(used, Relaxed);
        step::at("rebuild: linked the grants");
        self.link_waiters();
        step::at("rebuild: linked the waiters");
        self.finish_unclaimed();
        step::at("rebuild: linked");
        if !step::has_bug("nobody is served after a rebuild") {
            self.pump(clock::boot_ns())?;
        }
        self.dirty = false;
        Ok(())
    }

    /// Whether `word`, which is not that of a free row, can be.
    pub(super) fn is_possible(&self, word: Claim) -> bool {
        word.permits() > 0 && word.session() < self.table.map().geometry().sessions
    }

    fn check_words(&self) -> Result<(), Damage> {
        let map = self.table.map();
        if self.table.config().limit() > map.geometry().capacity() {
            return Err(Damage::Config);
        }
        let bad_grant = map.grants().find(|(_, row)| {
            let word = Claim(row.word.load(Relaxed));
            !(word.is(State::Free) || word.is(State::Active) && self.is_possible(word))
        });
        let bad_waiter = map.waiters().find(|(_, row)| {
            let word = Claim(row.word.load(Relaxed));
            !(word.is(State::Free) || self.is_possible(word))
        });
        match (bad_grant, bad_waiter) {
            (Some((index, _)), _) => Err(Damage::Grant(index)),
            (_, Some((index, _))) => Err(Damage::Waiter(index)),
            _ => Ok(()),
        }
    }

    /// Frees the slots that name a grant which is not held (T3), chains those of each grant, and notes the free ones.
    fn link_slots(&mut self) -> Result<(), Damage> {
        let map = self.table.map();
        if map.geometry().slots == 0 {
            return Ok(());
        }
        for word in &self.header().free_slots {
            word.store(0, Relaxed);
        }
        let mut counts = vec![0u32; map.geometry().grants as usize];
        for (_, row) in map.grants() {
            row.slot.store(NONE, Relaxed);
        }
        for (index, slot) in map.slots().rev() {
            let word = SlotWord(slot.word.load(Relaxed));
            let holder = word.grant().and_then(|grant| {
                let row = map.grant(grant)?;
                let held = Claim(row.word.load(Relaxed)).is(State::Active);
                held.then_some((row, counts.get_mut(grant as usize)?))
            });
            if let Some((row, count)) = holder {
                *count += 1;
                slot.next.store(row.slot.load(Relaxed), Relaxed);
                row.slot.store(index, Relaxed);
                continue;
            }
            if word.grant().is_some() {
                let epoch = word.epoch() - u64::from(step::has_bug("a freed slot has its old epoch"));
                slot.word.store(SlotWord::free(epoch).0, Relaxed);
                step::at("rebuild: freed a slot");
            }
            if let Some(free) = self.header().free_slots.get(index as usize / 64) {
                free.store(free.load(Relaxed) | 1 << (index % 64), Relaxed);
            }
        }
        for ((index, row), count) in map.grants().zip(counts) {
            let word = Claim(row.word.load(Relaxed));
            if word.is(State::Active) && word.permits() != count {
                return Err(Damage::Slots(index));
            }
        }
        Ok(())
    }

    /// Lists the free grants, the first row first, and gives Σ permits of the held ones.
    fn link_grants(&mut self) -> Result<u64, Damage> {
        let header = self.header();
        let (mut free, mut held, mut permits) = (NONE, 0, 0u64);
        for (index, row) in self.table.map().grants().rev() {
            let word = Claim(row.word.load(Relaxed));
            if word.is(State::Free) {
                // A row that says it is free and is not all zero would be found wrong when it is taken.
                row.word.store(Claim::FREE.0, Relaxed);
                row.next.store(free, Relaxed);
                free = index;
            } else {
                held += 1;
                permits += u64::from(word.permits());
            }
        }
        header.free_grant.store(free, Relaxed);
        header.held.store(held, Relaxed);
        Ok(permits)
    }

    /// Lists the free waiters, and links the queue in the order of the serials. T5.
    fn link_waiters(&mut self) {
        let header = self.header();
        let map = self.table.map();
        let mut free = NONE;
        let mut queue = Vec::new();
        for (index, row) in map.waiters().rev() {
            let word = Claim(row.word.load(Relaxed));
            match word.state() {
                State::Free => {
                    row.word.store(Claim::FREE.0, Relaxed);
                    row.next.store(free, Relaxed);
                    free = index;
                }
                State::Active => queue.push((row.serial.load(Relaxed), index, row)),
                // Answered; perhaps not woken.
                State::Granted | State::Refused if step::has_bug("the answered are not told") => {}
                State::Granted | State::Refused => self.tell(row),
            }
        }
        queue.sort_unstable_by_key(|(serial, index, _)| (*serial, *index));
        let (mut link, mut last) = (&header.head, NONE);
        for (_, index, row) in &queue {
            link.store(*index, Relaxed);
            row.previous.store(last, Relaxed);
            link = &row.next;
            last = *index;
        }
        link.store(NONE, Relaxed);
        header.tail.store(last, Relaxed);
        header.waiting.store(queue.len() as u32, Relaxed);
        header.free_waiter.store(free, Relaxed);
        // The counter was stored before the serial was used (T6), unless it is damaged: then it goes on behind those in use. But for
        // serials that no counter can have reached.
        let held = map.grants().filter(|(_, row)| Claim(row.word.load(Relaxed)).is(State::Active));
        let serials = held.map(|(_, row)| row.serial.load(Relaxed)).chain(queue.iter().map(|(serial, ..)| *serial));
        let next = serials.filter(|serial| *serial < LAST_SERIAL).max().map_or(0, |last| last + 1);
        if header.serial.load(Relaxed) < next {
            header.serial.store(next, Relaxed);
        }
    }

    /// Gives every grant that was made for a waiter to its waiter. T4.
    fn finish_unclaimed(&mut self) {
        if step::has_bug("unclaimed grants are left") {
            return;
        }
        let map = self.table.map();
        for (index, row) in map.grants() {
            let word = Claim(row.word.load(Relaxed));
            if !word.is(State::Active) || row.unclaimed.load(Relaxed) == 0 {
                continue;
            }
            let serial = row.serial.load(Relaxed);
            let waiter = map.waiters().find(|(_, waiter)| {
                let waits = Claim(waiter.word.load(Relaxed));
                waits.is(State::Active) && waiter.serial.load(Relaxed) == serial && waits.owner() == word.owner()
            });
            let Some((waiter_index, waiter)) = waiter else {
                continue; // Answered already, and told in `link_waiters`.
            };
            waiter.grant.store(index, Relaxed);
            self.answer_waiter(waiter_index, waiter, word.in_state(State::Granted));
        }
    }

    /// Makes a damaged file sound: what cannot be is taken away, and said.
    pub(crate) fn repair(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        let map = self.table.map();
        let header = self.header();
        if let Some(what) = Damage::describe(header.poison.load(Relaxed)) {
            done.push(format!("it was closed, since {what}"));
        }
        let (limit, capacity) = (self.table.config().limit(), map.geometry().capacity());
        if limit > capacity {
            header.config.store(self.table.config().with_limit(capacity).0, Relaxed);
            done.push(format!("the limit was {limit} and is {capacity} now"));
        }
        for (index, row) in map.grants() {
            let word = Claim(row.word.load(Relaxed));
            if !(word.is(State::Free) || word.is(State::Active) && self.is_possible(word)) {
                row.word.store(Claim::FREE.0, Relaxed);
                done.push(format!("grant {index} was impossible ({:#018x}) and is free now", word.0));
            }
        }
        for (index, row) in map.waiters() {
            let word = Claim(row.word.load(Relaxed));
            if !(word.is(State::Free) || self.is_possible(word)) {
                row.word.store(Claim::FREE.0, Relaxed);
                bump(&row.futex);
                self.wakes.push(futex::of(&row.futex));
                done.push(format!("waiter {index} was impossible ({:#018x}) and is free now", word.0));
            }
        }
        let held = || map.grants().map(|(_, row)| Claim(row.word.load(Relaxed))).filter(|word| word.is(State::Active));
        let (count, permits) = held().fold((0, 0), |(count, sum), word| (count + 1, sum + u64::from(word.permits())));
        let (counted, used) = (header.held.load(Relaxed), header.used.load(Relaxed));
        if counted != count || u64::from(used) != permits {
            done.push(format!("{used} permits in {counted} grants were counted, and {permits} in {count} are held"));
        }
        // From here on it may serve. If we die, whoever follows finds it damaged again, or sound.
        header.poison.store(0, Relaxed);
        // Each turn frees a grant, so there are not more turns than grants.
        for _ in 0..=map.geometry().grants {
            match self.rebuild() {
                Ok(()) => break,
                Err(Damage::Slots(index)) => self.give_up_grant(index, "its slots were another's", &mut done),
                Err(Damage::Sum) => {
                    let most = map.grants().max_by_key(|(_, row)| Claim(row.word.load(Relaxed)).permits());
                    let index = most.map_or(0, |(index, _)| index);
                    self.give_up_grant(index, "it had more permits than can be counted", &mut done);
                }
                Err(_) => {}
            }
        }
        done
    }

    fn give_up_grant(&mut self, index: u32, why: &str, done: &mut Vec<String>) {
        if let Some(row) = self.table.map().grant(index) {
            let word = Claim(row.word.load(Relaxed));
            row.word.store(Claim::FREE.0, Relaxed);
            self.ring(word.session());
            done.push(format!("grant {} was taken back: {why}", row.serial.load(Relaxed)));
        }
    }
}

impl super::Table {
    /// The process of session `index`, as it said itself.
    pub(crate) fn process_of(&self, index: u32) -> Option<Process> {
        let row = self.map().session(index)?;
        let pid = row.pid.load(Relaxed);
        (pid != 0).then(|| Process { pid, start: row.start.load(Relaxed), namespace: row.namespace.load(Relaxed) })
    }
}
