//! The protocol, one access at a time: how LOCKED is taken (E1, D3, X1, C2, H, S, Z) and what its holder does (U).

use super::super::word::{CLOSED, LOCKED, QUEUED, Word};
use super::Bug;
use super::plan::Op;
use super::spec::{self, NO, Property};
use super::state::{Bits, Fate, Goal, Hold, List, Pc, Rest};
use super::step::Turn;
use crate::semaphore::locked::LockWord as _;

/// Taking LOCKED.
impl Turn<'_> {
    /// `lock`; its first look is the next step.
    pub(super) fn lock_for(&mut self, goal: Goal) {
        self.thread_mut().goal = goal;
        self.goto(Pc::Lock);
    }

    /// A look at LOCKED, and what may end the wait for it.
    pub(super) fn lock(&mut self) {
        let word = self.word();
        match self.thread().goal {
            Goal::Enqueue if word.is_closed() => self.answer(spec::CLOSED),
            Goal::Enqueue if self.admits(word, self.number()) => {
                self.goto(Pc::TakeInstead { looked: word.into(), now: word.into() });
            }
            Goal::Withdraw(_) | Goal::Replace => self.goto(Pc::Bail(word.into())),
            Goal::Settle if !word.is_queued() => self.settled(word),
            Goal::Close if word.is_closed() || !word.is_queued() => self.goto(Pc::Look),
            Goal::Over if self.number() + word.permits() <= self.plan.max => self.release_from(word),
            Goal::Over if !word.is_queued() => self.answer(NO),
            _ => self.lock_or_wait(word),
        }
    }

    /// The node's state, which may end the wait for LOCKED.
    pub(super) fn bail(&mut self, word: Bits) {
        match (self.state.nodes[self.node()].fate, self.thread().goal) {
            (Fate::Queued, _) => self.lock_or_wait(word.word()),
            (_, Goal::Replace) => self.outcome(),
            _ => self.withdrawn(),
        }
    }

    /// A2 for an enqueuer.
    pub(super) fn take_instead(&mut self, looked: Bits, now: Bits) {
        let n = self.number();
        match self.exchange(now, now.word().minus(n)) {
            Ok(()) => self.taken(),
            Err(now) if self.admits(now, n) => self.goto(Pc::TakeInstead { looked, now: now.into() }),
            // The code goes on from its first look.
            Err(_) => self.lock_or_wait(looked.word()),
        }
    }

    fn lock_or_wait(&mut self, word: Word) {
        if word.is_locked() {
            // The code looks fifty times first; who looks later sees the same.
            self.goto(Pc::Announce);
        } else {
            self.check(self.locked(word).is_queued(), Property::I4);
            self.goto(Pc::LockFrom(word.into()));
        }
    }

    /// The CAS that takes LOCKED, and what the new holder does first.
    pub(super) fn lock_from(&mut self, word: Bits) {
        let next = self.locked(word.word());
        if self.exchange(word, next).is_err() {
            return self.goto(Pc::Lock);
        }
        self.state.holder = Some(self.me as u8);
        match self.thread().goal {
            Goal::Enqueue => {
                // E2
                let node = self.node();
                self.state.queue.push(node);
                self.state.nodes[node].fate = Fate::Queued;
                self.state.spec_join(self.plan);
                self.serve_from(next);
            }
            Goal::Withdraw(to) => self.leave(to, next),
            Goal::Over => self.goto(Pc::Over(next.into())),
            _ => self.serve_from(next),
        }
    }

    /// D3 and U5.
    pub(super) fn try_lock(&mut self, word: Word) {
        if word.wants_server() {
            self.goto(Pc::TryLockFrom(word.into()));
        } else {
            self.paid();
        }
    }

    pub(super) fn try_lock_from(&mut self, word: Bits) {
        let next = word.word().with(LOCKED);
        match self.exchange(word, next) {
            Ok(()) => {
                self.state.holder = Some(self.me as u8);
                self.goto(Pc::Serve(Hold { word: next.into(), granted: 0, batch: List::EMPTY, closing: false }));
            }
            Err(now) => self.try_lock(now),
        }
    }

    /// Z1.
    pub(super) fn announce(&mut self) {
        self.state.sleepers |= 1;
        let announced = self.state.sleepers;
        let skip = self.bug == Some(Bug::SleepUnannounced);
        self.goto(if skip { Pc::Sleep(announced) } else { Pc::Confirm(announced) });
    }

    /// Z2.
    pub(super) fn confirm(&mut self, announced: u8) {
        self.goto(if self.word().is_locked() { Pc::Sleep(announced) } else { Pc::Lock });
    }

    /// Z3.
    pub(super) fn sleep(&mut self, announced: u8) {
        self.goto(if self.state.sleepers == announced { Pc::Asleep } else { Pc::Lock });
    }
}

/// Holding LOCKED.
impl Turn<'_> {
    /// U1, then U2, C4 or U3.
    pub(super) fn serve(&mut self, mut hold: Hold) {
        let word = hold.word.word();
        if hold.closing && self.bug == Some(Bug::CloseFailsServedHead) {
            let closed = word.with(CLOSED);
            let done = self.exchange(hold.word, closed);
            hold.closing = done.is_err();
            hold.word = done.err().unwrap_or(closed).into();
            return self.goto(Pc::Serve(hold));
        }
        let withdraws = matches!(self.thread().goal, Goal::Withdrawn | Goal::Decided);
        let unserved = withdraws && self.bug == Some(Bug::CancelWithoutServing);
        let fits = !unserved && self.state.front_fits(self.plan, word, hold.granted);
        if fits && hold.batch.len() < self.plan.batch {
            return self.grant(hold);
        }
        let owing = fits;
        let empty = self.state.queue.len() == 0;
        let mut next = self.subtract(word, hold.granted);
        if hold.closing && !owing {
            next = next.with(CLOSED);
            if !empty {
                return self.close_locked(hold, next);
            }
        }
        let clear = empty || self.bug == Some(Bug::ClearQueued);
        self.unlock(hold, next.without(if clear { LOCKED | QUEUED } else { LOCKED }), owing);
    }

    /// U2.
    fn grant(&mut self, mut hold: Hold) {
        let closed = hold.word.word().is_closed();
        let node = self.publish(if closed { Fate::Closed } else { Fate::Granted });
        hold.batch.push(node);
        if !closed {
            hold.granted += self.plan.need(node) as u8;
        }
        self.goto(Pc::Serve(hold));
    }

    /// Unlinks the front and publishes its outcome, which must be what the specification says.
    fn publish(&mut self, fate: Fate) -> usize {
        let node = self.state.queue.front().expect("there is a front");
        let served = self.state.served > 0;
        match fate {
            Fate::Granted => self.check(served, Property::GrantsInOrder),
            _ => self.check(!served, Property::FittingFrontsSurviveClose),
        }
        self.state.served -= u8::from(served);
        self.state.queue.remove(0);
        self.state.nodes[node].fate = fate;
        self.state.nodes[node].due += 1;
        node
    }

    fn subtract(&mut self, word: Word, granted: u8) -> Word {
        let granted = usize::from(granted);
        self.check(granted <= word.permits(), Property::PermitsInRange);
        word.minus(granted.min(word.permits()))
    }

    /// C4, with others left to be told.
    fn close_locked(&mut self, mut hold: Hold, next: Word) {
        match self.exchange(hold.word, next) {
            Ok(()) => hold = Hold { word: next.into(), granted: 0, closing: false, ..hold },
            Err(now) => hold.word = now.into(),
        }
        self.goto(Pc::Serve(hold));
    }

    /// U3.
    fn unlock(&mut self, mut hold: Hold, next: Word, owing: bool) {
        if self.bug == Some(Bug::BlindUnlock) {
            let change = next.0.wrapping_sub(hold.word.word().0);
            self.write(Word(self.word().0.wrapping_add(change)));
        } else if let Err(now) = self.exchange(hold.word, next) {
            hold.word = now.into();
            return self.goto(Pc::Serve(hold));
        }
        self.state.holder = None;
        let owing = owing && self.bug != Some(Bug::BlindUnlock);
        self.thread_mut().goal = match self.thread().goal {
            Goal::Settle => Goal::Settled((!owing || self.bug == Some(Bug::SettleOwing)).then_some(next.into())),
            Goal::Close => Goal::Closed((!owing || self.bug == Some(Bug::CloseOwing)).then_some(true)),
            goal => goal,
        };
        self.goto(Pc::LookForSleepers(Rest { batch: hold.batch, owing }));
    }

    /// Z4: a look.
    pub(super) fn look_for_sleepers(&mut self, rest: Rest) {
        match self.state.sleepers {
            sleepers if sleepers & 1 != 0 => self.goto(Pc::CountSleepers(rest, sleepers)),
            _ => self.unlocked(rest),
        }
    }

    /// Z4: a CAS.
    pub(super) fn count_sleepers(&mut self, rest: Rest, sleepers: u8) {
        if self.state.sleepers == sleepers {
            self.state.sleepers = sleepers.wrapping_add(1);
            self.goto(Pc::WakeSleepers(rest));
        } else {
            self.unlocked(rest);
        }
    }

    /// Z4: the wake-up.
    pub(super) fn wake_sleepers(&mut self, rest: Rest) {
        for thread in &mut self.state.threads {
            if thread.pc == Pc::Asleep {
                thread.pc = Pc::Lock;
            }
        }
        self.unlocked(rest);
    }

    /// U3 is done, with Z4.
    fn unlocked(&mut self, rest: Rest) {
        match self.thread().goal {
            Goal::Closed(None) => self.goto(Pc::LookIfClosed(rest)),
            _ => self.pay(rest),
        }
    }

    /// Whether the U3 that owes came before C4 or after.
    pub(super) fn look_if_closed(&mut self, rest: Rest) {
        self.thread_mut().goal = Goal::Closed(Some(self.word().is_closed()));
        self.pay(rest);
    }

    /// What comes after U3: U4, U5, and then back to the caller.
    fn pay(&mut self, rest: Rest) {
        if rest.batch.len() > 0 {
            self.goto(Pc::Wake(rest));
        } else if rest.owing && self.bug != Some(Bug::DebtUnpaid) {
            self.goto(Pc::TryLock);
        } else {
            self.paid();
        }
    }

    /// U4, for one waker.
    pub(super) fn wake(&mut self, mut rest: Rest) {
        let node = rest.batch.front().expect("the batch is not empty");
        rest.batch.remove(0);
        self.state.nodes[node].due -= 1;
        self.check(self.state.nodes[node].due >= 0, Property::WokenOnce);
        self.check(self.state.holder != Some(self.me as u8), Property::WakesUnlocked);
        if self.plan.panics >> node & 1 != 0 {
            self.thread_mut().panicked = true;
            if self.bug == Some(Bug::PanicSkipsDebt) {
                return self.unwind();
            }
        }
        self.pay(rest);
    }

    /// Nothing is owed any more: back to the caller. If a waker has panicked, that is resumed when the caller has done
    /// what it came for.
    fn paid(&mut self) {
        let panicked = self.thread().panicked;
        let gives_up = matches!(self.op(), Op::Interrupted(_) | Op::Timed(_));
        match self.thread().goal {
            Goal::Closed(_) if panicked && self.bug == Some(Bug::PanicEndsClose) => self.unwind(),
            Goal::OverAgain if panicked && self.bug == Some(Bug::PanicEndsRelease) => self.unwind(),
            Goal::Deposited | Goal::Enqueue | Goal::Replace if panicked => self.unwind(),
            Goal::Settled(Some(_)) if panicked && !gives_up => self.unwind(),
            Goal::Deposited => self.released(),
            Goal::Enqueue | Goal::Replace => self.goto(Pc::Outcome),
            Goal::Withdrawn | Goal::Decided => self.withdrawn(),
            Goal::Settled(Some(word)) => self.settled(word.word()),
            Goal::Settled(None) => self.lock_for(Goal::Settle),
            Goal::Closed(Some(true)) => self.closed(),
            Goal::Closed(_) => self.goto(Pc::Look),
            Goal::OverAgain => self.lock_for(Goal::Over),
            goal => unreachable!("{goal:?} does not serve"),
        }
    }
}

/// A release of a sum above MAX (H).
impl Turn<'_> {
    /// Serves the front from the hand, if that is what makes room.
    pub(super) fn over(&mut self, word: Bits) {
        let (old, n) = (word.word(), self.number());
        let Some(front) = self.state.queue.front() else {
            self.check(false, Property::I1);
            return self.finish();
        };
        let need = self.plan.need(front);
        if self.state.front_fits(self.plan, old, 0) || old.permits() + n <= self.plan.max {
            self.thread_mut().goal = Goal::OverAgain;
            self.serve_from(old);
            return self.step_serving();
        }
        let next = if need >= n { old.minus(need - n) } else { old.plus(n - need) };
        match self.exchange(word, next) {
            Ok(()) => {
                self.deposited();
                self.goto(Pc::OverGrant(next.into()));
            }
            Err(now) => self.goto(Pc::Over(now.into())),
        }
    }

    /// The first access of U, of a step that has made none.
    fn step_serving(&mut self) {
        if let Pc::Serve(hold) = self.thread().pc {
            self.serve(hold);
        }
    }

    /// U2 for the front whose need has been taken from the word.
    pub(super) fn over_grant(&mut self, word: Bits) {
        let node = self.publish(Fate::Granted);
        let mut batch = List::EMPTY;
        batch.push(node);
        self.goto(Pc::Serve(Hold { word, granted: 0, batch, closing: false }));
    }
}
