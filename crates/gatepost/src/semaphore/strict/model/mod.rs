//! Every interleaving of the protocol, on a model of it.
//!
//! The loom tests run the code itself, with weak memory, and with few threads and preemptions. This is the other half: a
//! model of the code, step by step, in which *all* interleavings of up to four threads are visited, and which knows what
//! the code cannot know: what a sequential semaphore would have done, who holds LOCKED, where each permit is. Since all
//! that the protocol decides is decided at one word, interleaving single accesses is enough to judge its logic.
//!
//! | room | what it holds |
//! |---|---|
//! | [`plan`] | scenarios: what the threads do |
//! | [`state`] | a state: shared memory, threads, and what the specification says |
//! | [`step`], [`hold`] | the protocol, one access at a time: callers; LOCKED and its holder |
//! | [`spec`] | the sequential specification, and the properties by name |
//! | [`explore`] | breadth first through all states |
//! | [`tests`] | scenarios, and the bugs that they must catch |
//!
//! # What a step is
//! One access to shared memory (a load, a CAS, an addition to the word; a publication; a wake-up), and everything that
//! the thread does without one until its next. What only the holder of LOCKED may touch is no shared memory.
//!
//! | step ([`Pc`](state::Pc)) | protocol | code |
//! |---|---|---|
//! | `Idle`, `Look` | A1, D1, and the first look of everything else | `look` |
//! | `Take` | A2 | `take` |
//! | `TakeInstead` | A2, by one who waits for LOCKED (E1) | `join` |
//! | `AddFrom` | D2 by CAS; if the word wants a server, D3 with it | `release_slow` |
//! | `Add` | D2 by addition | `deposit` |
//! | `TryLock`, `TryLockFrom` | D3, U5: a look, a CAS | `try_lock` |
//! | `Lock`, `Bail` | a look for LOCKED, and at the node, which may end the wait | `lock` |
//! | `LockFrom` | E1 and E2, X1 and X2, C2, S: a CAS, and what the new holder does first | `lock`, `join`, `leave` |
//! | `Announce`, `Confirm`, `Sleep`, `Asleep` | Z1, Z2, Z3 | `relax` |
//! | `Serve` | U1, and then U2 for one node, or C4, or U3 | `serve` |
//! | `LookForSleepers`, `CountSleepers`, `WakeSleepers` | Z4 | `wake_sleepers` |
//! | `LookIfClosed` | C: whether a U3 that owes came after C4 | `close_and_wake` |
//! | `Wake` | U4 for one waker | `pay` |
//! | `Over`, `OverGrant` | H: the CAS that serves the front from the hand, and its U2 | `serve_from_hand` |
//! | `CloseFrom` | C1 | `close` |
//! | `ForgetFrom` | F: the CAS that forgets | `forget` |
//! | `LookIfInMotion` | X0: the look that says whether to settle | `leave` |
//! | `LookIfPending`, `Outcome` | a later poll: the look at CLOSED, the look at the node | `ask` |
//!
//! # What is checked
//! [`Property`](spec::Property) names it all. In every state: I1 to I4; that no permit is lost or made; that word and
//! specification agree. At each answer: that the specification would have given it, too. At each end: that nobody waits
//! who need not. And there is an end: no schedule keeps threads going round.
//!
//! # What is not modelled
//! - Weak memory: see the loom tests.
//! - Looks that decide nothing: the fifty before Z1, the second of a release that does not find the simple case. Who looks
//!   later sees the same.
//! - RMWs that change nothing, but for Z2 and A2 of nothing; they are there for their ordering.
//! - That a release is served by the time it returns: it may leave that to the holder, and a poll may be pending until
//!   then. (A time-out may not.)
//! - Without `std`: the lock without sleeping, and a panic that unwinds through U4.
//! - Panics of foreign code other than wakers when they wake.
//! - The cooperative budget (`may_take`), tracing, `Debug`, `is_closed`, the number of waiters.

mod explore;
mod hold;
mod plan;
mod spec;
mod state;
mod step;
mod tests;

/// A seeded bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    /// U3 is no CAS: it clears LOCKED whatever the word has become.
    BlindUnlock,
    /// U3 clears QUEUED though somebody is left.
    ClearQueued,
    /// U5 is skipped.
    DebtUnpaid,
    /// A waker that panics ends U4, and U5 with it.
    PanicSkipsDebt,
    /// X unlocks without U1.
    CancelWithoutServing,
    /// X0 is skipped.
    GiveUpInMotion,
    /// A grant that meets its waiter's withdrawal is not given back.
    GrantLost,
    /// The same, but only if the waker of another panics meanwhile.
    PanicLosesGrant,
    /// A release that would be too many ends, unreleased, by the panic of a waker that it served to make room.
    PanicEndsRelease,
    /// A close that has not closed yet ends by the panic of a waker that it served.
    PanicEndsClose,
    /// C4 comes before C3.
    CloseFailsServedHead,
    /// C returns after a U3 that owes.
    CloseOwing,
    /// A poll of a queued node does not look at CLOSED.
    PollMissesClose,
    /// S is skipped.
    AnswerInMotion,
    /// S ends with a U3 that owes.
    SettleOwing,
    /// Z2 is skipped.
    SleepUnannounced,
    /// A2 ignores QUEUED.
    Overtake,
    /// A release adds first, and takes it back if that was too much.
    AddFirst,
}
