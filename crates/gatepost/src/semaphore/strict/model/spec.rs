//! What the model is checked against: the sequential specification, and the properties by name.
//!
//! # The specification
//! A queue, permits, and whether it is closed. Whoever asks joins the queue; whenever the front fits it is served at
//! once; closing fails those who are left; who newly comes sees permits only if nobody waits.
//!
//! It moves with the protocol: each operation that changes something takes effect at one RMW on the word (A2, E1, D2,
//! C1, C4, the withdrawal at X2), and there the specification makes the same move in one. What it keeps in
//! [`State`] is its permits, and how many at the front of the queue it has served and the protocol has not published yet.
//! From then on the two are compared in every state.
//!
//! An operation that changes nothing (a "no", a number, a time-out, a pending poll) may take effect at any instant of
//! the call. So each call carries, in `seen`, the set of answers that the specification would have given at some instant
//! since the call began; its own must be one of them.

use super::plan::{Op, Plan};
use super::state::{Fate, Pc, State};
use super::step::Turn;
use crate::semaphore::locked::LockWord as _;
use std::vec;
use std::vec::Vec;

/// The answers of most operations. That of `Forget` and `Available` is a number.
pub(super) const YES: u8 = 0;
pub(super) const NO: u8 = 1;
pub(super) const CLOSED: u8 = 2;

/// What must hold, in every state or at the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Property {
    /// The permits of the word are never below 0 or above MAX.
    PermitsInRange,
    /// The word's permits, less those granted and not yet subtracted, and those in hands, kept or forgotten, add up.
    PermitsConserved,
    /// The same permits of the word are the specification's, and what it has granted and nobody has published yet.
    WordAsSpecified,
    /// I1. A node is linked by the holder, and while one is QUEUED is set.
    I1,
    /// I2. QUEUED is cleared by the holder alone, from the word examined, with an empty queue.
    I2,
    /// I3. LOCKED is cleared by the holder alone, from the word examined, in which the queue is empty, or the front does
    /// not fit and CLOSED is clear, or the unlocker owes.
    I3,
    /// I4. LOCKED implies QUEUED; while it is set only the holder sets CLOSED and, until then, takes permits away.
    I4,
    /// LOCKED has one holder.
    OneHolder,
    /// No waker runs under LOCKED.
    WakesUnlocked,
    /// A2 passes nobody and takes what is there.
    NobodyOvertakes,
    /// Grants come in the order of the queue, and each is one that the specification has made.
    GrantsInOrder,
    /// Close, and a poll that finds it closed, fails nobody who fits.
    FittingFrontsSurviveClose,
    /// A "no", a number and a time-out are answers of the specification at some instant of the call.
    AnswersExact,
    /// A poll is pending only if the semaphore was open at some instant of the call.
    NothingPendsAfterClose,
    /// A call of close that ends, even by a waker's panic, has closed.
    CloseCloses,
    /// A release that ends by a waker's panic has added its permits, and one that overflows has not.
    ReleaseReleases,
    /// Who is granted or failed by another is woken once.
    WokenOnce,
    /// In the end: if the queue is not empty, then QUEUED is set, the front does not fit and CLOSED is clear.
    NoLostWakeUp,
    /// In the end nobody holds LOCKED.
    LockGivenBack,
    /// In the end nobody sleeps for LOCKED.
    NobodySleepsForLock,
    /// In the end every script is done, or waits for permits.
    NoDeadlock,
    /// However the threads are scheduled: nobody goes round and round.
    EveryRunEnds,
}

/// The specification's moves.
impl State {
    fn is_closed(&self) -> bool {
        self.word.word().is_closed()
    }

    /// Somebody waits whom the specification has not served.
    fn somebody_waits(&self) -> bool {
        !self.is_closed() && self.queue.len() > self.served.into()
    }

    /// The permits that a newcomer sees.
    fn visible(&self) -> usize {
        if self.somebody_waits() { 0 } else { self.permits.into() }
    }

    fn spec_serve(&mut self, plan: &Plan) {
        while self.somebody_waits() {
            let need = plan.need(self.queue.as_slice()[usize::from(self.served)].into());
            if need > self.permits.into() {
                break;
            }
            self.permits -= need as u8;
            self.served += 1;
        }
    }

    /// Whether a newcomer gets `n` at once; then it has them.
    pub(super) fn spec_take(&mut self, n: usize) -> bool {
        let admitted = !self.is_closed() && (n == 0 || self.visible() >= n);
        if admitted {
            self.permits -= n as u8;
        }
        admitted
    }

    pub(super) fn spec_release(&mut self, plan: &Plan, n: usize) {
        self.permits += n as u8;
        self.spec_serve(plan);
    }

    pub(super) fn spec_forget(&mut self, n: usize) -> usize {
        let taken = n.min(self.visible());
        self.permits -= taken as u8;
        taken
    }

    /// `node` is the last of the queue since just now.
    pub(super) fn spec_join(&mut self, plan: &Plan) {
        self.spec_serve(plan);
    }

    /// The node `at` this place of the queue leaves it. Whether it had been served (then it gives back).
    pub(super) fn spec_leave(&mut self, plan: &Plan, at: usize) -> bool {
        let need = plan.need(self.queue.as_slice()[at].into());
        let served = at < self.served.into();
        if served {
            self.served -= 1;
            self.permits += need as u8;
        }
        self.queue.remove(at);
        self.spec_serve(plan);
        served
    }

    /// Whether `n` more would be too many.
    fn spec_overflows(&self, plan: &Plan, n: usize) -> bool {
        n > plan.max || !self.somebody_waits() && n + usize::from(self.permits) > plan.max
    }

    /// The answers that the specification would give to the operation of `thread` now, a bit each.
    pub(super) fn possible(&self, plan: &Plan, thread: usize) -> u16 {
        let Some((op, node)) = plan.op(thread, self.threads[thread].at) else { return 0 };
        let if_closed = |otherwise: u8| if self.is_closed() { CLOSED } else { otherwise };
        let answer = match op {
            Op::Try(n) => if_closed(if n == 0 || self.visible() >= n { YES } else { NO }),
            Op::Forget(n) => n.min(self.visible()) as u8,
            Op::Available => self.visible() as u8,
            Op::Release(n) => u8::from(self.spec_overflows(plan, n)),
            Op::Cancel => u8::from(self.spec_overflows(plan, plan.need(node))),
            Op::Join(_) | Op::Poll | Op::Repoll => if_closed(NO),
            Op::Interrupted(_) | Op::Timed(_) => match self.queue.position(node) {
                Some(at) if at >= self.served.into() => if_closed(NO),
                None if self.nodes[node].fate == Fate::Idle => if_closed(NO),
                _ => YES,
            },
            Op::Wait | Op::Close | Op::Acquire(_) | Op::Own(_) => return 0,
        };
        1 << answer
    }
}

/// The checks after each step.
impl Turn<'_> {
    /// Notes that `property` does not hold, if so.
    pub(super) fn check(&mut self, holds: bool, property: Property) {
        if !holds {
            self.broken.push(property);
        }
    }

    /// All that must hold of a step from `before`, and of the state after it.
    pub(super) fn check_step(&mut self, before: &State) {
        self.check_flags(before);
        self.check_permits(before);
        self.check_holder(before);
    }

    /// I1 to I3.
    fn check_flags(&mut self, before: &State) {
        let after = self.state;
        let (old, new) = (before.word.word(), after.word.word());
        let is_holder = |state: &State| state.holder == Some(self.me as u8);
        let from_examined =
            is_holder(before) && matches!(before.threads[self.me].pc, Pc::Serve(hold) if hold.word == before.word);
        let linked = after.queue.len() > before.queue.len();
        let owing = matches!(self.thread().pc, Pc::LookForSleepers(rest) if rest.owing);
        self.check(!linked || is_holder(&after), Property::I1);
        self.check(after.queue.len() == 0 || new.is_queued(), Property::I1);
        if old.is_queued() && !new.is_queued() {
            self.check(from_examined && after.queue.len() == 0, Property::I2);
        }
        if old.is_locked() && !new.is_locked() {
            self.check(from_examined && (owing || !after.front_fits(self.plan, new, 0)), Property::I3);
        }
    }

    /// I4, conservation, and the comparison with the specification.
    fn check_permits(&mut self, before: &State) {
        let after = self.state;
        let (old, new) = (before.word.word(), after.word.word());
        let most = new.permits().max(after.permits.into());
        self.check(most <= self.plan.max, Property::PermitsInRange);
        self.check(!new.is_locked() || new.is_queued(), Property::I4);
        if old.is_locked() && before.holder != Some(self.me as u8) {
            self.check(old.is_closed() || new.permits() >= old.permits(), Property::I4);
            self.check(new.is_closed() == old.is_closed(), Property::I4);
        }
        let free = new.permits() as i32 - self.granted();
        let need = |node: usize| self.plan.need(node) as i32;
        let hands: i32 = (0..after.nodes.len())
            .filter(|&node| matches!(after.nodes[node].fate, Fate::Granted | Fate::Held))
            .map(need)
            .sum();
        let total = free + hands + i32::from(after.kept);
        self.check(total == self.plan.permits() as i32, Property::PermitsConserved);
        let promised: i32 =
            after.queue.as_slice().iter().take(after.served.into()).map(|&node| need(node.into())).sum();
        self.check(free == i32::from(after.permits) + promised, Property::WordAsSpecified);
    }

    /// What the holder has granted and not subtracted; negative if the other way round.
    fn granted(&self) -> i32 {
        let of = |pc: Pc| match pc {
            Pc::Serve(hold) => i32::from(hold.granted),
            Pc::OverGrant(_) => -(self.state.queue.front().map_or(0, |front| self.plan.need(front)) as i32),
            _ => 0,
        };
        self.state.threads.iter().map(|thread| of(thread.pc)).sum()
    }

    fn check_holder(&mut self, before: &State) {
        let (old, new) = (before.word.word(), self.state.word.word());
        let taken = self.state.holder.is_some() && self.state.holder != before.holder;
        self.check(!taken || !old.is_locked() && new.is_locked(), Property::OneHolder);
        self.check(new.is_locked() == self.state.holder.is_some(), Property::OneHolder);
    }
}

/// What does not hold of a state in which no thread can move.
pub(super) fn broken_at_end(plan: &Plan, state: &State) -> Vec<Property> {
    let word = state.word.word();
    let mut broken = vec![];
    let mut check = |holds: bool, property| {
        if !holds {
            broken.push(property);
        }
    };
    check(!word.is_locked(), Property::LockGivenBack);
    check(state.queue.len() == 0 || word.is_queued(), Property::NoLostWakeUp);
    check(!state.front_fits(plan, word, 0), Property::NoLostWakeUp);
    check(!word.is_queued() || state.queue.len() > 0, Property::I2);
    check(state.nodes.iter().all(|node| node.due == 0), Property::WokenOnce);
    for thread in 0..plan.threads() {
        let Some((op, node)) = plan.op(thread, state.threads[thread].at) else { continue };
        let asleep = state.threads[thread].pc == Pc::Asleep;
        check(!asleep, Property::NobodySleepsForLock);
        let waits = matches!(op, Op::Wait | Op::Interrupted(_)) && state.nodes[node].fate == Fate::Queued;
        check(asleep || waits, Property::NoDeadlock);
    }
    broken
}
