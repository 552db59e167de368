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
//! The clock is read only by a wait that spins or has a deadline (or by a profile that is on).
//!
//! [`wait`] is every blocking form of the library: what differs from queue to queue is a [`Waiting`].

use super::batch::Panics;
use super::interrupt::Registration;
use super::node::{self, Node, Phase, QUEUED, State};
use super::options::{WaitError, WaitOptions};
use super::parker::{self, Parker, Spin};
use super::timing;
use crate::sys::{cpus, pause};
use core::task::{Poll, Waker};
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
enum End {
    /// The node has its outcome.
    Decided,
    /// The deadline has come; the node may still be queued.
    TimedOut,
    /// An interrupt is pending; the node may still be queued.
    Interrupted,
}

/// What a thread waits for, and who decides about it.
///
/// Outcomes are states of a node: GRANTED, CLOSED, and those of a wait that gave up. A queue in which waiters compete may
/// publish others, which [`ask_again`](Self::ask_again) turns into one of these or into another wait.
pub(crate) trait Waiting {
    /// The node that the outcome will be in.
    fn node(&self) -> &Node;

    /// Takes what is asked for if it is there: GRANTED or CLOSED; IDLE is an exact "no".
    fn try_now(&self) -> State;

    /// Joins the queue, unless that turns out to be needless.
    ///
    /// # Safety
    /// The node is idle and the caller's; it stays in place until it has an outcome or has been withdrawn.
    unsafe fn join(&self, waker: &Waker) -> Poll<State>;

    /// Asks for the outcome of a node that has joined, and says whom to wake for it.
    ///
    /// # Safety
    /// The caller owns the node, which has joined.
    unsafe fn ask(&self, waker: &Waker) -> Poll<State>;

    /// The same when the node is known to be decided. Pending: it waits again.
    ///
    /// # Safety
    /// As for [`ask`](Self::ask).
    unsafe fn ask_again(&self, waker: &Waker) -> Poll<State> {
        // SAFETY: passed on.
        unsafe { self.ask(waker) }
    }

    /// Leaves the queue with `outcome`, unless there is one already; returns the one that holds.
    ///
    /// # Safety
    /// As for [`ask`](Self::ask).
    unsafe fn withdraw(&self, outcome: State, panics: &mut Panics) -> State;

    /// About how many waiters are ahead of this one, or more.
    fn ahead(&self) -> usize;
}

/// Waits as a thread, however long `options` allow. Afterwards the node has left the queue; unless it was granted, it is
/// done. (What was granted is handed out by the caller, or given back if the panic of somebody's waker unwinds from here.)
///
/// What is there already wins: over a deadline that has passed, and over an interrupt, which then stays pending.
///
/// # Safety
/// The caller owns the node of `waiting`, which stays in place until this returns or it has been withdrawn.
pub(crate) unsafe fn wait(waiting: &impl Waiting, options: WaitOptions<'_>) -> Result<(), WaitError> {
    let WaitOptions { deadline, interrupter } = options;
    let node = waiting.node();
    parker::with_current(|parker| {
        let interrupt = interrupter.map(|interrupter| interrupter.register(parker));
        let interrupt = interrupt.as_ref();
        let joined = if node.phase() == Phase::New {
            // What would end the wait at once does so without joining; but what is there wins.
            let expired = deadline.is_some_and(|at| Instant::now() >= at);
            if expired || interrupt.is_some_and(Registration::is_pending) {
                return match waiting.try_now() {
                    node::GRANTED => Ok(()),
                    node::CLOSED => Err(WaitError::Closed),
                    _ if expired => Err(WaitError::TimedOut),
                    _ => {
                        interrupt.inspect(|i| i.consume());
                        Err(WaitError::Interrupted)
                    }
                };
            }
            // SAFETY: `New`, so the node is idle; the rest by the caller's promise.
            unsafe { waiting.join(&parker.waker()) }
        } else {
            // SAFETY: by the caller's promise; not `New`, so the node has joined.
            unsafe { waiting.ask(&parker.waker()) }
        };
        let mut panics = Panics::new();
        let state = match joined {
            Poll::Ready(state) => state,
            Poll::Pending => {
                let mut ahead = waiting.ahead();
                loop {
                    match wait_for_outcome(node, parker, ahead, deadline, interrupt) {
                        // SAFETY: as above.
                        End::Decided => match unsafe { waiting.ask_again(&parker.waker()) } {
                            Poll::Ready(state) => break state,
                            Poll::Pending => ahead = 0, // woken to compete, and lost: it is the front
                        },
                        // SAFETY: as above.
                        End::TimedOut => break unsafe { waiting.withdraw(node::TIMED_OUT, &mut panics) },
                        // SAFETY: as above.
                        End::Interrupted => break unsafe { waiting.withdraw(node::INTERRUPTED, &mut panics) },
                    }
                }
            }
        };
        if state != node::GRANTED {
            node.set_phase(Phase::Done); // whatever unwinds below
        }
        if state == node::INTERRUPTED {
            interrupt.inspect(|i| i.consume());
        }
        timing::ended(node);
        panics.resume(); // what was granted is given back by dropping the node's owner
        match state {
            node::GRANTED => Ok(()), // even over a deadline or an interrupt at the same instant
            node::TIMED_OUT => Err(WaitError::TimedOut),
            node::INTERRUPTED => Err(WaitError::Interrupted),
            _ => Err(WaitError::Closed),
        }
    })
}

/// Waits for `node`'s outcome. `ahead` is about the number of waiters before it, or more.
fn wait_for_outcome(
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
