//! Seeded bugs: each model check has to show that it can fail.
//!
//! A test shows that by running a check of its own executable again, in a process of its own (a failed model may abort),
//! with the bug named in the environment ([`caught`]). The protocol asks [`is`] at the one place that the bug concerns.
//! In a shipped build the question is the constant `false`.

/// A bug that a check must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code)] // each setting seeds those that its checks are for
pub(crate) enum Mutant {
    /// U3 clears LOCKED whatever the word has become: a deposit that left on LOCKED is never served.
    BlindUnlock,
    /// U5 is skipped: whoever unlocked owing does not come back.
    DebtUnpaid,
    /// X leaves without examining the next head.
    CancelWithoutServing,
    /// A grant that meets its waiter's withdrawal is not given back.
    GrantLost,
    /// C4 comes before C3: a head that already fits is failed.
    CloseFailsServedHead,
    /// S is skipped: a "no" is answered from a word in motion.
    AnswerInMotion,
    /// P1 publishes with Relaxed.
    RelaxedPublish,
    /// Z2 is skipped: a waiter for LOCKED sleeps on what it saw before it announced itself.
    SleepUnannounced,
    /// An interrupt that meets no registered thread is dropped instead of kept.
    InterruptNotSticky,
    /// The deposit is Release only, as in Tokio (T44).
    ReleaseOnlyDeposit,
    /// A poll of a queued node does not look at CLOSED.
    PollMissesClose,
    /// A newcomer takes free permits past the queue.
    Overtake,
    /// Barging: the front is never protected.
    EndlessPatience,
    /// Barging: a newcomer takes permits that are kept for a protected front.
    PassProtected,
    /// Barging: the unlock does not look at the permits that came meanwhile.
    UnlockUnseen,
    /// Barging: a woken waiter that goes away does not hand its turn on.
    TurnLost,
    /// Kernel: a failed wait gives its decrement back itself, and a post adds one, whoever waits.
    UndoFailedWait,
    /// Kernel: the post that wakes the last leaves the count negative.
    ZeroForgotten,
    /// Kernel: the exit condition of a post asks for exactly 0.
    ExactlyZero,
    /// Kernel: a wait that may block subtracts before it has the lock.
    SubtractUnlocked,
    /// Kernel: a woken thread is told before it owns what it is to own.
    OwnsTooLate,
    /// Kernel: who leaves a queue lends its weight for ever.
    WeightKept,
    /// Kernel: nobody looks whether a circle closes.
    CircleUnseen,
    /// Kernel: who waits for a lock does not look whether its mark is there still.
    MarkUnseen,
    /// Kernel: the block of a thread that takes a lock is not published.
    RelaxedHolder,
    /// Kernel: what came before a hand-off is not published.
    RelaxedDecide,
    /// An unlock of the small lock wakes nobody.
    LockSleeperLeft,
    /// Address table: whoever has locked a bucket does not look whether it is the right one still.
    StaleBucket,
    /// Address table: a releaser that finds nobody does not look whether the bucket was split meanwhile.
    SplitUnseen,
    /// Address table: B4 comes before B3.
    SplitOutOfOrder,
    /// Address: the word is looked at before the waiter is announced.
    LookBeforeAnnounce,
    /// Address: the bit of a `Sema` is left as it is when somebody joins.
    BitUnset,
    /// Address: the bit of a `Sema` is cleared while others wait there.
    BitClearedEarly,
    /// Address: a waiter that was woken and goes away does not wake another.
    WakeNotPassedOn,
    /// Notify list: a ticket that was notified before its waiter came is queued all the same (G45).
    ArrivalUnchecked,
    /// Notify list: a ticket whose waiter has left swallows a notification.
    VoidForgotten,
    /// Notify list: a notified waiter that goes away does not pass its notification on.
    NotificationLost,
    /// Notify list: the fast path looks at `wait` before `notify`.
    NotifySeenLast,
    /// Condition variable: the mutex is unlocked before the ticket is taken.
    TicketAfterUnlock,
    /// Address: a hand-off adds its permit to the count, and wakes.
    HandoffThroughCount,
    /// Address: whoever serves many ends with the first full batch.
    BatchUnfinished,
    /// Address: D5 comes before D4: the bit is cleared when the waiter has been told.
    BitClearedLate,
    /// Address: the waker is taken out of a waiter that has been told (P1).
    WakerTakenLate,
    /// Address: a releaser looks at the word once more when everything is done.
    WordTouchedLate,
    /// Address table: those whom a split moves are not counted in their new bucket.
    MovedUncounted,
    /// The order of two locations is not kept: what stands for `SeqCst` under loom is left out.
    FenceMissing,
}

/// Whether `mutant` is seeded in this thread.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is(_mutant: Mutant) -> bool {
    false
}

#[cfg(test)]
#[allow(unused_imports)]
pub(crate) use seeded::{VARIABLE, caught, is};

#[cfg(test)]
mod seeded {
    use super::Mutant;
    use std::process::Command;
    use std::string::String;
    use std::sync::OnceLock;

    /// The environment variable that names the seeded bug.
    pub(crate) const VARIABLE: &str = "GATEPOST_MUTANT";

    /// Whether `mutant` is seeded in this process.
    pub(crate) fn is(mutant: Mutant) -> bool {
        static SEEDED: OnceLock<Option<String>> = OnceLock::new();
        match SEEDED.get_or_init(|| std::env::var(VARIABLE).ok()) {
            None => false,
            Some(name) => *name == std::format!("{mutant:?}"),
        }
    }

    /// Asserts that the test `check` (its path within the crate) passes as it is, but fails with `mutant` seeded, saying
    /// `because`.
    #[allow(dead_code)]
    #[track_caller]
    pub(crate) fn caught(mutant: Mutant, check: &str, because: &str) {
        let output = Command::new(std::env::current_exe().expect("a test has an executable"))
            .args([check, "--exact", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, std::format!("{mutant:?}"))
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a test's executable can be run again");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("running 1 test"), "there is no test {check}:\n{said}");
        assert!(!output.status.success(), "{check} passes with {mutant:?} seeded: it cannot fail");
        assert!(said.contains(because), "{check} fails with {mutant:?} seeded, but not with {because:?}:\n{said}");
    }
}
