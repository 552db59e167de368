//! A thread that waits for its node's outcome.
//!
//! It spins for a little while, if that has paid, and then parks. Spinning reads the thread's own node only, so it costs
//! the others no line transfer, but it costs them the processor. Hence:
//!
//! - not at all on one processor, and not unless the waiters ahead could all be running on the others;
//! - for about as long as it took lately: the budget starts at [`LONGEST_SPIN`], about what parking costs, and follows
//!   twice the observed hand-off time down to [`SURE_SPIN`];
//! - where it does not pay, the budget decays to nothing, and is tried again once in [`PROBE_EVERY`] waits, again with
//!   [`LONGEST_SPIN`]: a partner that sleeps has to wake up within it, or two threads that pass a permit to and fro would
//!   never get out of putting one another to sleep.
//!
//! The clock is read only by a wait that spins or has a deadline.

use super::interrupt::Registration;
use super::node::{Node, QUEUED};
use super::parker::{Parker, Spin};
use crate::sys::{cpus, pause};
use std::time::{Duration, Instant};

/// The least budget where spinning pays: a hand-off between running threads takes a tenth of it, and now and then one is
/// held up.
const SURE_SPIN: Duration = Duration::from_micros(2);
/// A futex wake-up takes 16 to 54 microseconds until the woken thread runs on another core (measured on the machines of
/// `docs/performance.md`).
pub(crate) const LONGEST_SPIN: Duration = Duration::from_micros(50);
/// Below this, spinning is switched off.
const SHORTEST_SPIN: Duration = Duration::from_nanos(200);
/// How often spinning is tried again once it was switched off.
const PROBE_EVERY: u32 = 32;
/// Looks at the node for each look at the clock.
const LOOKS: u32 = 16;

/// Why a thread stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The node has its outcome.
    Decided,
    /// The deadline has come; the node may still be queued.
    TimedOut,
    /// An interrupt is pending; the node may still be queued.
    Interrupted,
}

/// Waits for `node`'s outcome. `ahead` is about the number of waiters before it, or more.
pub(crate) fn wait_for_outcome(
    node: &Node,
    parker: &'static Parker,
    ahead: usize,
    deadline: Option<Instant>,
    interrupt: Option<&Registration<'_>>,
) -> End {
    if spin(node, parker, ahead, deadline) {
        return End::Decided;
    }
    loop {
        if node.state() != QUEUED {
            return End::Decided;
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return End::TimedOut;
        }
        if interrupt.is_some_and(Registration::is_pending) {
            return End::Interrupted;
        }
        parker.park(deadline);
    }
}

/// Spins for as long as that has paid. Returns whether the outcome came.
fn spin(node: &Node, parker: &Parker, ahead: usize, deadline: Option<Instant>) -> bool {
    if ahead + 1 >= cpus::count() {
        return false;
    }
    let learnt = parker.spin.get();
    let budget = if learnt.budget >= SHORTEST_SPIN {
        learnt.budget
    } else if learnt.idle_waits >= PROBE_EVERY {
        LONGEST_SPIN
    } else {
        parker.spin.set(Spin { idle_waits: learnt.idle_waits + 1, ..learnt });
        return false;
    };
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if node.state() != QUEUED {
                parker.spin.set(learn(budget, Some(start.elapsed())));
                return true;
            }
            pause();
        }
        let now = Instant::now();
        if now.duration_since(start) >= budget || deadline.is_some_and(|at| now >= at) {
            parker.spin.set(learn(budget, None));
            return false;
        }
    }
}

/// The budget after a wait that ended in the spin after `took`, or did not end in it.
fn learn(budget: Duration, took: Option<Duration>) -> Spin {
    let budget = match took {
        Some(took) => ((budget * 3 + took * 2) / 4).clamp(SURE_SPIN, LONGEST_SPIN),
        None => budget / 4,
    };
    Spin { budget, idle_waits: 0 }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn spinning_that_pays_follows_the_hand_off() {
        let mut budget = LONGEST_SPIN;
        for _ in 0..64 {
            budget = learn(budget, Some(Duration::from_micros(3))).budget;
        }
        assert!((Duration::from_micros(5)..=Duration::from_micros(6)).contains(&budget), "{budget:?}");
    }

    #[test]
    fn spinning_never_exceeds_the_cost_of_parking() {
        let mut budget = LONGEST_SPIN;
        for _ in 0..64 {
            budget = learn(budget, Some(Duration::from_millis(1))).budget;
        }
        assert_eq!(budget, LONGEST_SPIN);
    }

    #[test]
    fn spinning_that_does_not_pay_is_switched_off() {
        let mut budget = LONGEST_SPIN;
        for _ in 0..32 {
            budget = learn(budget, None).budget;
        }
        assert!(budget < SHORTEST_SPIN, "{budget:?}");
    }

    #[test]
    fn nobody_spins_where_the_waiters_ahead_fill_the_processors() {
        let node = Node::new(1);
        node.set_state(QUEUED);
        super::super::parker::with_current(|parker| {
            let before = crate::sys::atomic::counts();
            assert!(!spin(&node, parker, cpus::count(), None));
            assert_eq!(crate::sys::atomic::counts(), before, "it looked at the node");
        });
    }
}
