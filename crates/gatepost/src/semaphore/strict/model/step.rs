//! The protocol, one access at a time: what callers do with the word (A, D, C, F), and with their node (X).
//!
//! [`Turn::take`] makes the next access of one thread, and everything up to the one after that. Names are those of the
//! code: what `Gate::release_slow` does is in `release_from`, and so on.

use super::super::word::{CLOSED, LOCKED, QUEUED, Word};
use super::Bug;
use super::plan::{Op, Plan};
use super::spec::{self, NO, Property, YES};
use super::state::{Bits, Fate, Goal, Hold, List, Pc, State, Thread};
use crate::semaphore::locked::LockWord as _;
use std::vec;
use std::vec::Vec;

/// One step of one thread.
pub(super) struct Turn<'a> {
    pub(super) plan: &'a Plan,
    pub(super) bug: Option<Bug>,
    pub(super) me: usize,
    pub(super) state: State,
    /// What did not hold in this step.
    pub(super) broken: Vec<Property>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(plan: &'a Plan, bug: Option<Bug>, me: usize, state: State) -> Self {
        Self { plan, bug, me, state, broken: vec![] }
    }

    /// Makes the step. False if the thread waits, or is done.
    pub(super) fn take(&mut self) -> bool {
        let before = self.state;
        if self.thread().pc == Pc::Idle {
            // The call begins at its first access, which is the shortest interval for its answer.
            self.thread_mut().seen = self.state.possible(self.plan, self.me);
        }
        if !self.step() {
            return false;
        }
        for thread in 0..self.plan.threads() {
            if self.state.threads[thread].pc != Pc::Idle {
                self.state.threads[thread].seen |= self.state.possible(self.plan, thread);
            }
        }
        self.check_step(&before);
        true
    }

    fn step(&mut self) -> bool {
        match self.thread().pc {
            Pc::Idle => return self.begin(),
            Pc::Asleep => return false,
            Pc::Look => self.look(),
            Pc::Take(word) => self.take_from(word),
            Pc::TakeInstead { looked, now } => self.take_instead(looked, now),
            Pc::ForgetFrom(word) => self.forget_from(word),
            Pc::CloseFrom(word) => self.close_from(word),
            Pc::AddFrom(word) => self.add_from(word),
            Pc::Add => self.add(),
            Pc::Undo => self.undo(),
            Pc::TryLock => self.try_lock(self.word()),
            Pc::TryLockFrom(word) => self.try_lock_from(word),
            Pc::Lock => self.lock(),
            Pc::Bail(word) => self.bail(word),
            Pc::LockFrom(word) => self.lock_from(word),
            Pc::Announce => self.announce(),
            Pc::Confirm(announced) => self.confirm(announced),
            Pc::Sleep(announced) => self.sleep(announced),
            Pc::Serve(hold) => self.serve(hold),
            Pc::Over(word) => self.over(word),
            Pc::OverGrant(word) => self.over_grant(word),
            Pc::LookForSleepers(rest) => self.look_for_sleepers(rest),
            Pc::CountSleepers(rest, sleepers) => self.count_sleepers(rest, sleepers),
            Pc::WakeSleepers(rest) => self.wake_sleepers(rest),
            Pc::LookIfClosed(rest) => self.look_if_closed(rest),
            Pc::Wake(rest) => self.wake(rest),
            Pc::LookIfPending => self.look_if_pending(),
            Pc::LookIfInMotion => self.look_if_in_motion(),
            Pc::Outcome => self.outcome(),
        }
        true
    }

    /// The first access of an operation.
    fn begin(&mut self) -> bool {
        let Some((op, node)) = self.plan.op(self.me, self.thread().at) else { return false };
        let fate = self.state.nodes.get(node).map(|node| node.fate);
        let queued = fate == Some(Fate::Queued);
        match op {
            Op::Wait if queued => return false,
            Op::Interrupted(by) if queued && !self.is_done(by) => return false,
            Op::Poll | Op::Repoll if queued => self.goto(Pc::LookIfPending),
            Op::Interrupted(_) if queued => self.goto(Pc::LookIfInMotion),
            Op::Cancel if queued || fate == Some(Fate::Granted) => {
                self.lock_for(Goal::Withdraw(Fate::Left));
                self.lock();
            }
            Op::Wait | Op::Interrupted(_) | Op::Poll | Op::Repoll => self.outcome(),
            Op::Cancel => self.finish(),
            _ => self.look(),
        }
        true
    }

    fn is_done(&self, thread: usize) -> bool {
        self.plan.op(thread, self.state.threads[thread].at).is_none()
    }

    /// The look at the word with which most operations begin: A1, D1.
    fn look(&mut self) {
        let word = self.word();
        match self.op() {
            Op::Join(_) | Op::Timed(_) | Op::Try(_) => self.acquire_from(word),
            Op::Release(_) | Op::Cancel => self.release_from(word),
            Op::Forget(_) => self.count_from(word),
            Op::Available => self.count_from(word),
            Op::Close => self.close_seen(word),
            _ => unreachable!("an operation that does not look at the word first"),
        }
    }

    // --- A, and try_acquire.

    /// `try_take`, and `try_acquire` with its slow part, from a word seen.
    fn acquire_from(&mut self, word: Word) {
        let n = self.number();
        if self.admits(word, n) {
            self.goto(Pc::Take(word.into()));
        } else if word.is_closed() {
            self.answer(spec::CLOSED);
        } else if !matches!(self.op(), Op::Try(_)) {
            self.lock_for(Goal::Enqueue);
        } else if word.permits() < n || self.bug == Some(Bug::AnswerInMotion) {
            self.answer(NO);
        } else {
            self.lock_for(Goal::Settle);
        }
    }

    pub(super) fn admits(&self, word: Word, n: usize) -> bool {
        word.admits(n) || self.bug == Some(Bug::Overtake) && word.permits() >= n
    }

    /// A2.
    fn take_from(&mut self, word: Bits) {
        match self.exchange(word, word.word().minus(self.number())) {
            Ok(()) => self.taken(),
            Err(now) => self.acquire_from(now),
        }
    }

    /// After A2.
    pub(super) fn taken(&mut self) {
        let n = self.number();
        let admitted = self.state.spec_take(n);
        self.check(admitted, Property::NobodyOvertakes);
        match self.op() {
            Op::Try(_) => self.state.kept += n as i8,
            _ => self.state.nodes[self.node()].fate = Fate::Held,
        }
        self.finish();
    }

    /// S has returned this word, and no waker has panicked; or the panic waits until X is done.
    pub(super) fn settled(&mut self, word: Word) {
        match self.op() {
            Op::Interrupted(_) | Op::Timed(_) => self.lock_for(Goal::Withdraw(Fate::Left)),
            Op::Try(_) if word.masks() => self.answer(NO),
            Op::Try(_) => self.acquire_from(word),
            _ if word.masks() => self.answer(0),
            Op::Forget(_) => self.goto(Pc::ForgetFrom(word.into())),
            _ => self.answer(word.permits() as u8),
        }
    }

    /// `forget` and `available`, from a word seen.
    fn count_from(&mut self, word: Word) {
        if word.masks() && word.permits() > 0 && self.bug != Some(Bug::AnswerInMotion) {
            self.lock_for(Goal::Settle);
        } else {
            self.settled(word);
        }
    }

    fn forget_from(&mut self, word: Bits) {
        let taken = word.word().permits().min(self.number());
        match self.exchange(word, word.word().minus(taken)) {
            Ok(()) => {
                let forgotten = self.state.spec_forget(self.number());
                self.check(forgotten == taken, Property::AnswersExact);
                self.state.kept += taken as i8;
                self.finish();
            }
            Err(now) => self.count_from(now),
        }
    }

    // --- D.

    /// `release` and `release_slow`, from a word seen (D1).
    ///
    /// The code looks twice where the first look does not end in `Add`. The first then decides nothing.
    pub(super) fn release_from(&mut self, word: Word) {
        let n = self.number();
        let blind = word.permits() < self.plan.blind;
        if self.bug == Some(Bug::AddFirst) {
            self.goto(Pc::Add);
        } else if n > self.plan.max {
            self.answer(NO);
        } else if n > self.plan.max - word.permits() {
            self.lock_for(Goal::Over);
        } else if blind && !word.wants_server() {
            self.goto(Pc::Add);
        } else {
            self.goto(Pc::AddFrom(word.into()));
        }
    }

    /// D2 by CAS, and D3 in the same if there is somebody to serve.
    fn add_from(&mut self, word: Bits) {
        let old = word.word();
        let serving = old.wants_server();
        let next = old.plus(self.number()).with(if serving { LOCKED } else { 0 });
        match self.exchange(word, next) {
            Ok(()) => {
                self.deposited();
                if serving {
                    self.state.holder = Some(self.me as u8);
                    self.serve_from(next);
                } else {
                    self.released();
                }
            }
            Err(now) if now.permits() < self.plan.blind => self.goto(Pc::Add),
            Err(now) => self.release_from(now),
        }
    }

    /// D2 by addition, and whether to go on to D3.
    fn add(&mut self) {
        let before = self.word();
        if self.bug == Some(Bug::AddFirst) && before.permits() + self.number() > self.plan.max {
            self.add_modulo(self.number());
            return self.goto(Pc::Undo);
        }
        self.write(before.plus(self.number()));
        self.deposited();
        if before.wants_server() {
            self.goto(Pc::TryLock);
        } else {
            self.released();
        }
    }

    /// The sum was too large: take it back, and say so.
    fn undo(&mut self) {
        self.add_modulo(self.plan.max + 1 - self.number());
        self.answer(NO);
    }

    /// Adds as a machine does: whatever is above MAX is lost.
    fn add_modulo(&mut self, n: usize) {
        let word = self.word();
        let sum = (word.permits() + n) % (self.plan.max + 1);
        self.write(word.minus(word.permits()).plus(sum));
    }

    /// D2 is done.
    pub(super) fn deposited(&mut self) {
        let n = self.number();
        self.state.spec_release(self.plan, n);
        self.thread_mut().goal = Goal::Deposited;
        match self.op() {
            Op::Release(_) => self.state.kept -= n as i8,
            _ => self.state.nodes[self.node()].fate = Fate::Dropped,
        }
    }

    /// D is done, with what it had to serve.
    pub(super) fn released(&mut self) {
        self.answer(YES);
    }

    // --- C.

    /// `close`, from a word seen.
    fn close_seen(&mut self, word: Word) {
        if word.is_closed() {
            self.closed();
        } else if word.is_queued() {
            self.lock_for(Goal::Close);
        } else {
            self.goto(Pc::CloseFrom(word.into()));
        }
    }

    /// C1.
    fn close_from(&mut self, word: Bits) {
        match self.exchange(word, word.word().with(CLOSED)) {
            Ok(()) => self.closed(),
            Err(now) => self.close_seen(now),
        }
    }

    /// `close` returns.
    pub(super) fn closed(&mut self) {
        self.check(self.word().is_closed(), Property::CloseCloses);
        self.finish();
    }

    // --- A poll of a node that has joined, and X.

    /// A node that is queued was polled.
    fn look_if_pending(&mut self) {
        if self.word().is_closed() && self.bug != Some(Bug::PollMissesClose) {
            self.lock_for(Goal::Withdraw(Fate::Closed));
        } else if self.op() == Op::Repoll {
            self.lock_for(Goal::Replace);
        } else {
            self.answer(NO);
        }
    }

    /// Looks at the node's state and hands out what it says.
    pub(super) fn outcome(&mut self) {
        let node = self.node();
        match self.state.nodes[node].fate {
            Fate::Queued if matches!(self.op(), Op::Timed(_)) => self.goto(Pc::LookIfInMotion),
            Fate::Queued => self.answer(NO),
            Fate::Granted => {
                self.state.nodes[node].fate = Fate::Held;
                self.finish();
            }
            Fate::Closed if matches!(self.op(), Op::Poll | Op::Repoll) => self.answer(spec::CLOSED),
            _ => self.finish(),
        }
    }

    /// X0, for who gives up.
    fn look_if_in_motion(&mut self) {
        let in_motion = self.word().permits() > 0 || self.word().is_closed();
        let settle = in_motion && self.bug != Some(Bug::GiveUpInMotion);
        self.lock_for(if settle { Goal::Settle } else { Goal::Withdraw(Fate::Left) });
    }

    /// X2.
    pub(super) fn leave(&mut self, to: Fate, word: Word) {
        let node = self.node();
        let Some(at) = self.state.queue.position(node) else {
            // Published between the look and the lock.
            self.thread_mut().goal = Goal::Decided;
            return self.serve_from(word);
        };
        let served = self.state.spec_leave(self.plan, at);
        self.check(to != Fate::Closed || !served, Property::FittingFrontsSurviveClose);
        self.state.nodes[node].fate = to;
        self.thread_mut().goal = Goal::Withdrawn;
        self.serve_from(word);
    }

    /// X is done; the node has its outcome.
    pub(super) fn withdrawn(&mut self) {
        let node = self.node();
        let lost = match self.bug {
            Some(Bug::GrantLost) => true,
            Some(Bug::PanicLosesGrant) => self.thread().panicked,
            _ => false,
        };
        match (self.op(), self.state.nodes[node].fate) {
            (Op::Cancel, Fate::Granted) if lost => {
                self.state.nodes[node].fate = Fate::Dropped;
                self.finish();
            }
            (Op::Cancel, Fate::Granted) => self.goto(Pc::Look),
            (Op::Cancel, _) => self.finish(),
            _ if self.thread().panicked => self.unwind(),
            (Op::Interrupted(_) | Op::Timed(_), Fate::Left) => self.answer(NO),
            _ => self.outcome(),
        }
    }

    /// The panic of a waker is resumed, which ends the operation. The script goes on, as a caller does who catches it.
    pub(super) fn unwind(&mut self) {
        match self.op() {
            Op::Release(_) => self.check(self.thread().goal == Goal::Deposited, Property::ReleaseReleases),
            Op::Close => self.check(self.word().is_closed(), Property::CloseCloses),
            _ => {}
        }
        self.finish();
    }

    // --- What all steps are made of.

    pub(super) fn thread(&self) -> &Thread {
        &self.state.threads[self.me]
    }

    pub(super) fn thread_mut(&mut self) -> &mut Thread {
        &mut self.state.threads[self.me]
    }

    pub(super) fn goto(&mut self, pc: Pc) {
        self.thread_mut().pc = pc;
    }

    pub(super) fn op(&self) -> Op {
        self.plan.op(self.me, self.thread().at).expect("a thread that moves has an operation").0
    }

    pub(super) fn node(&self) -> usize {
        self.plan.op(self.me, self.thread().at).expect("a thread that moves has an operation").1
    }

    /// How many permits the operation is about.
    pub(super) fn number(&self) -> usize {
        match self.op() {
            Op::Join(n) | Op::Timed(n) | Op::Try(n) | Op::Release(n) | Op::Forget(n) => n,
            _ => self.plan.need(self.node()),
        }
    }

    pub(super) fn word(&self) -> Word {
        self.state.word.word()
    }

    pub(super) fn write(&mut self, word: Word) {
        self.state.word = word.into();
    }

    /// CAS; on failure the word as it is.
    pub(super) fn exchange(&mut self, from: Bits, to: Word) -> Result<(), Word> {
        if self.state.word == from {
            self.write(to);
            Ok(())
        } else {
            Err(self.word())
        }
    }

    /// `word` with LOCKED, and with QUEUED if the enqueuer takes it.
    pub(super) fn locked(&self, word: Word) -> Word {
        word.with(if self.thread().goal == Goal::Enqueue { LOCKED | QUEUED } else { LOCKED })
    }

    /// U begins.
    pub(super) fn serve_from(&mut self, word: Word) {
        let closing = self.thread().goal == Goal::Close;
        self.goto(Pc::Serve(Hold { word: word.into(), granted: 0, batch: List::EMPTY, closing }));
    }

    /// Ends the operation with an answer that the specification must have had, too.
    pub(super) fn answer(&mut self, answer: u8) {
        let property = match self.op() {
            Op::Join(_) | Op::Poll | Op::Repoll => Property::NothingPendsAfterClose,
            Op::Release(_) | Op::Cancel => Property::ReleaseReleases,
            _ => Property::AnswersExact,
        };
        self.check(self.thread().seen >> answer & 1 != 0, property);
        self.finish();
    }

    /// Ends the operation.
    pub(super) fn finish(&mut self) {
        let at = self.thread().at + 1;
        *self.thread_mut() = Thread { at, pc: Pc::Idle, goal: Goal::None, panicked: false, seen: 0 };
    }
}
