//! A state of the model: the shared memory, where each thread stands, and what the specification says.
//!
//! A state is small and plain, so that millions fit into memory and equal situations are equal values: a register that a
//! step does not need does not exist at that step (it is a field of the [`Pc`] that needs it).

use super::super::word::Word;
use super::plan::Plan;
use crate::semaphore::locked::LockWord as _;
use core::fmt;

pub(super) const THREADS: usize = 4;
pub(super) const NODES: usize = 6;
/// The largest capacity of a batch.
pub(super) const BATCH: usize = 2;

/// The word, in a byte: the code's own layout with room for 31 permits. What it means is asked of the code's own
/// [`Word`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Bits(u8);

impl Bits {
    pub(super) const fn word(self) -> Word {
        Word(self.0 as usize)
    }
}

impl From<Word> for Bits {
    fn from(word: Word) -> Self {
        Self(word.0 as u8)
    }
}

impl fmt::Debug for Bits {
    /// Permits and flags: `2QL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        write!(f, "{}", word.permits())?;
        let flags = [(word.is_closed(), "C"), (word.is_queued(), "Q"), (word.is_locked(), "L")];
        flags.into_iter().filter(|flag| flag.0).try_for_each(|flag| f.write_str(flag.1))
    }
}

/// At most `N` nodes, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct List<const N: usize> {
    len: u8,
    items: [u8; N],
}

impl<const N: usize> List<N> {
    pub(super) const EMPTY: Self = Self { len: 0, items: [0; N] };

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.items[..self.len()]
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    pub(super) fn front(&self) -> Option<usize> {
        self.as_slice().first().map(|&node| node.into())
    }

    pub(super) fn position(&self, node: usize) -> Option<usize> {
        self.as_slice().iter().position(|&at| usize::from(at) == node)
    }

    pub(super) fn push(&mut self, node: usize) {
        self.items[self.len()] = node as u8;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.items.copy_within(at + 1.., at);
        self.items[N - 1] = 0;
        self.len -= 1;
    }
}

impl<const N: usize> fmt::Debug for List<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// What became of a node. The first five are the code's own states.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Fate {
    Idle,
    Queued,
    /// Published; its owner has not looked.
    Granted,
    Closed,
    /// Left the queue: given up, or its time was up.
    Left,
    /// The permits have been handed out to the owner, who keeps them.
    Held,
    /// Dropped after its grant.
    Dropped,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Node {
    pub(super) fate: Fate,
    /// Outcomes that others published, less wakes.
    pub(super) due: i8,
}

/// One hold of LOCKED, in U.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Hold {
    /// As last examined.
    pub(super) word: Bits,
    /// Granted, and not yet subtracted.
    pub(super) granted: u8,
    pub(super) batch: List<BATCH>,
    /// C3 and C4 are to be done.
    pub(super) closing: bool,
}

/// What is left to do after U3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Rest {
    pub(super) batch: List<BATCH>,
    pub(super) owing: bool,
}

/// The next access of a thread, with the registers that it needs. The table in the head of [`super`] names the steps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Pc {
    /// The first access of the next operation. Or the script is done.
    Idle,
    Look,
    Take(Bits),
    /// An enqueuer's A2: it looked for LOCKED at `looked`, and now takes from `now`.
    TakeInstead {
        looked: Bits,
        now: Bits,
    },
    ForgetFrom(Bits),
    CloseFrom(Bits),
    AddFrom(Bits),
    Add,
    /// Of the mutant that adds first.
    Undo,
    TryLock,
    TryLockFrom(Bits),
    Lock,
    Bail(Bits),
    LockFrom(Bits),
    Announce,
    Confirm(u8),
    Sleep(u8),
    Asleep,
    Serve(Hold),
    Over(Bits),
    OverGrant(Bits),
    LookForSleepers(Rest),
    CountSleepers(Rest, u8),
    WakeSleepers(Rest),
    LookIfClosed(Rest),
    Wake(Rest),
    LookIfPending,
    LookIfInMotion,
    Outcome,
}

/// Who called `lock` or `serve`, and what to do when that returns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Goal {
    None,
    Enqueue,
    /// X, with the outcome to set.
    Withdraw(Fate),
    /// X after X2.
    Withdrawn,
    /// X that found an outcome.
    Decided,
    Replace,
    Settle,
    /// S after its first U3, with the word that this wrote, or `None` if it owes.
    Settled(Option<Bits>),
    Close,
    /// C after its first U3: whether the semaphore is closed; `None` until that has been looked up.
    Closed(Option<bool>),
    /// The release of a sum above MAX.
    Over,
    /// ... which lets others be served before it looks again.
    OverAgain,
    /// D after D2.
    Deposited,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Thread {
    /// The next operation of the script, or the one in progress.
    pub(super) at: u8,
    pub(super) pc: Pc,
    pub(super) goal: Goal,
    /// A waker has panicked; to be resumed when all debts are paid.
    pub(super) panicked: bool,
    /// What the specification could have answered since the operation began: see [`super::spec`].
    pub(super) seen: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) word: Bits,
    pub(super) sleepers: u8,
    pub(super) queue: List<NODES>,
    pub(super) nodes: [Node; NODES],
    pub(super) threads: [Thread; THREADS],
    /// Who took LOCKED last and has not given it back. Known to the checks alone.
    pub(super) holder: Option<u8>,
    /// Permits taken by `Try` and `Forget`, less those released. Known to the checks alone.
    pub(super) kept: i8,
    /// The specification's permits.
    pub(super) permits: u8,
    /// How many of the queue's first nodes the specification has served already.
    pub(super) served: u8,
}

impl State {
    /// The front of the queue fits the word, less what has been granted of it; after CLOSED every front does (U1).
    pub(super) fn front_fits(&self, plan: &Plan, word: Word, granted: u8) -> bool {
        let fits = |front: usize| word.is_closed() || plan.need(front) + usize::from(granted) <= word.permits();
        self.queue.front().is_some_and(fits)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word {:?} queue {:?}", self.word, self.queue)?;
        write!(f, " (specified: {} permits, {} served)", self.permits, self.served)
    }
}
