//! Feature `tokio`: the cooperative budget, and the refusal to block a runtime's thread. Without the feature each of
//! these is nothing, and blocking inside a runtime goes undetected.
//!
//! Tokio gives each task a budget for each turn, so that one that always finds its resources ready cannot keep the
//! others from running. Who runs out of it should yield, but *not while holding a permit*: everybody else would queue
//! for it meanwhile. So, with the budget spent,
//!
//! - permits free: yield without taking any;
//! - a wait needed: join the queue at once, so that the place is kept, and wait;
//! - already granted: take it. The grant was paid for by waiting.

#[cfg(feature = "tokio")]
mod imp {
    use core::task::{Context, Poll};
    use tokio::task::coop;

    /// A unit of budget, given back unless spent.
    pub(crate) struct Unit(coop::RestoreOnPending);

    impl Unit {
        #[inline]
        pub(crate) fn spend(self) {
            self.0.made_progress();
        }
    }

    /// Takes a unit of the task's budget. `Pending`: it is used up, and the task has been told to come back.
    #[inline]
    pub(crate) fn take(cx: &mut Context<'_>) -> Poll<Unit> {
        coop::poll_proceed(cx).map(Unit)
    }

    /// Spends a unit if there is one left.
    pub(crate) fn spend_if_any(cx: &mut Context<'_>) {
        if coop::has_budget_remaining() {
            if let Poll::Ready(unit) = take(cx) {
                unit.spend();
            }
        }
    }

    /// Panics where Tokio's own blocking methods do, and with their words.
    #[track_caller]
    pub(crate) fn assert_may_block() {
        // A thread without a current runtime is not inside one. (`features_tokio.rs` compares with Tokio, place by place.)
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        // Whether it would panic here Tokio only says by doing it. A lock of this call's own, so that no two calls meet.
        let probe = tokio::sync::RwLock::const_new(());
        drop(probe.blocking_read());
    }
}

#[cfg(not(feature = "tokio"))]
mod imp {
    use core::task::{Context, Poll};

    /// Nothing.
    pub(crate) struct Unit;

    impl Unit {
        #[inline(always)]
        pub(crate) fn spend(self) {}
    }

    /// There is no budget.
    #[inline(always)]
    pub(crate) fn take(_cx: &mut Context<'_>) -> Poll<Unit> {
        Poll::Ready(Unit)
    }

    /// There is no budget.
    #[inline(always)]
    pub(crate) fn spend_if_any(_cx: &mut Context<'_>) {}

    /// Not known.
    #[cfg(feature = "std")]
    #[inline(always)]
    pub(crate) fn assert_may_block() {}
}

#[cfg(feature = "std")]
pub(crate) use imp::assert_may_block;
pub(crate) use imp::{spend_if_any, take};
