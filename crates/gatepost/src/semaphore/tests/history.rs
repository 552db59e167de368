//! The sequential semaphore, and whether a concurrent history could be one of its own (linearizability).
//!
//! A history is a set of calls, each with the moments at which it began and ended, and its answer. It is accepted if the
//! calls can be put into an order in which each takes effect at once, between its two moments, such that [`Spec`] gives
//! the same answers. The search is Wing and Gong's, with a memory of the dead ends.
//!
//! An acquisition has two such moments, one at which it takes its place and one at which it is done, as is usual for
//! operations that wait; they may fall into one call.
//!
//! One answer is allowed to be late: a poll of a waiter that has been granted may still say `Pending`, for its wake-up is
//! on the way. "No" must be exact, and after a close nothing may be pending.

use std::collections::HashSet;
use std::vec::Vec;

/// Names one acquisition.
pub(super) type Id = usize;

/// A call, with its arguments and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Polls an acquisition; a first poll that says `Pending` also starts it.
    Poll {
        id: Id,
        n: usize,
        answer: Answer,
    },
    /// Starts an acquisition that is done within the same call: it takes its place in the queue at one moment,
    Join {
        id: Id,
        n: usize,
    },
    /// and has its answer at a later one.
    Done {
        id: Id,
        answer: Answer,
    },
    /// Drops an acquisition.
    Drop {
        id: Id,
    },
    TryAcquire {
        n: usize,
        answer: Try,
    },
    Release {
        n: usize,
    },
    Forget {
        n: usize,
        answer: usize,
    },
    Available {
        answer: usize,
    },
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Granted,
    Closed,
    Pending,
    /// Timed out or interrupted: has left the queue.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Try {
    Taken,
    NoPermits,
    Closed,
}

/// A call of a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) call: Call,
    pub(super) begin: usize,
    pub(super) end: usize,
    /// The index of a call that comes before this one though their times overlap.
    pub(super) after: Option<usize>,
}

/// The sequential FIFO batch semaphore.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    pub(super) permits: usize,
    pub(super) queue: Vec<(Id, usize)>,
    /// Granted, and not told yet.
    pub(super) granted: Vec<(Id, usize)>,
    /// Failed by a close, and not told yet.
    pub(super) failed: Vec<Id>,
    pub(super) closed: bool,
}

impl Spec {
    pub(super) fn new(permits: usize) -> Self {
        Self { permits, queue: Vec::new(), granted: Vec::new(), failed: Vec::new(), closed: false }
    }

    fn admits(&self, n: usize) -> bool {
        !self.closed && (n == 0 || self.queue.is_empty() && self.permits >= n)
    }

    /// Serves the front for as long as it fits.
    fn serve(&mut self) {
        while let Some(&(id, n)) = self.queue.first() {
            if n > self.permits {
                break;
            }
            self.permits -= n;
            self.queue.remove(0);
            self.granted.push((id, n));
        }
    }

    pub(super) fn is_queued(&self, id: Id) -> bool {
        self.queue.iter().any(|&(queued, _)| queued == id)
    }

    pub(super) fn available(&self) -> usize {
        if self.queue.is_empty() || self.closed { self.permits } else { 0 }
    }

    pub(super) fn join(&mut self, id: Id, n: usize) {
        if self.closed {
            self.failed.push(id);
        } else if self.admits(n) {
            self.permits -= n;
            self.granted.push((id, n));
        } else {
            self.queue.push((id, n));
        }
    }

    /// Takes a grant that nobody has been told of.
    pub(super) fn take_grant(&mut self, id: Id) -> Option<usize> {
        let at = self.granted.iter().position(|&(granted, _)| granted == id)?;
        Some(self.granted.swap_remove(at).1)
    }

    /// Leaves the queue; the next front may fit.
    pub(super) fn leave(&mut self, id: Id) {
        self.queue.retain(|&(queued, _)| queued != id);
        self.serve();
    }

    pub(super) fn release(&mut self, n: usize) {
        self.permits += n;
        self.serve();
    }

    pub(super) fn forget(&mut self, n: usize) -> usize {
        let taken = self.available().min(n);
        self.permits -= taken;
        taken
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.failed.extend(self.queue.drain(..).map(|(id, _)| id));
    }

    pub(super) fn drop_acquisition(&mut self, id: Id) {
        if let Some(n) = self.take_grant(id) {
            self.release(n);
        } else if self.is_queued(id) {
            self.leave(id);
        } else {
            self.failed.retain(|&failed| failed != id);
        }
    }

    /// What the semaphore is after `call`, if it gives that answer.
    fn after(&self, call: Call) -> Option<Self> {
        let mut next = self.clone();
        let agrees = match call {
            Call::Poll { id, n, answer } => {
                let granted = self.granted.iter().any(|&(granted, _)| granted == id);
                if !self.is_queued(id) && !granted && !self.failed.contains(&id) {
                    next.join(id, n);
                }
                match answer {
                    Answer::Pending => next.is_queued(id) || granted,
                    _ => next.told(id, answer),
                }
            }
            Call::Join { id, n } => {
                next.join(id, n);
                true
            }
            Call::Done { id, answer: Answer::Left } => {
                next.leave(id);
                self.is_queued(id)
            }
            Call::Done { id, answer } => next.told(id, answer),
            Call::Drop { id } => {
                next.drop_acquisition(id);
                true
            }
            Call::TryAcquire { n, answer } => {
                let expected = if self.closed {
                    Try::Closed
                } else if self.admits(n) {
                    next.permits -= n;
                    Try::Taken
                } else {
                    Try::NoPermits
                };
                expected == answer
            }
            Call::Release { n } => {
                next.release(n);
                true
            }
            Call::Forget { n, answer } => next.forget(n) == answer,
            Call::Available { answer } => self.available() == answer,
            Call::Close => {
                next.close();
                true
            }
        };
        agrees.then_some(next)
    }

    /// Hands an outcome to its waiter; whether it is that one.
    fn told(&mut self, id: Id, answer: Answer) -> bool {
        match answer {
            Answer::Granted => self.take_grant(id).is_some(),
            Answer::Closed => {
                let before = self.failed.len();
                self.failed.retain(|&failed| failed != id);
                self.failed.len() < before
            }
            Answer::Pending | Answer::Left => false,
        }
    }
}

/// Whether `history` is one of the sequential semaphore's that starts with `permits`.
pub(super) fn is_linearizable(permits: usize, history: &[Event]) -> bool {
    assert!(history.len() <= 64, "a history of at most 64 calls");
    let mut dead_ends = HashSet::new();
    search(&Spec::new(permits), 0, history, &mut dead_ends)
}

fn search(spec: &Spec, done: u64, history: &[Event], dead_ends: &mut HashSet<(u64, Spec)>) -> bool {
    if done.count_ones() as usize == history.len() {
        return true;
    }
    let is_done = |index: usize| done & (1 << index) != 0;
    // A call may be next if none that is not done ended before it began.
    let first_end = history.iter().enumerate().filter(|(i, _)| !is_done(*i)).map(|(_, e)| e.end).min();
    for (index, event) in history.iter().enumerate() {
        if is_done(index) || first_end.is_some_and(|end| event.begin > end) || event.after.is_some_and(|i| !is_done(i))
        {
            continue;
        }
        let Some(next) = spec.after(event.call) else {
            continue;
        };
        let now_done = done | 1 << index;
        if !dead_ends.contains(&(now_done, next.clone())) && search(&next, now_done, history, dead_ends) {
            return true;
        }
        dead_ends.insert((now_done, next));
    }
    false
}

/// One call after the other.
#[cfg(not(shuttle))]
fn sequence(calls: &[Call]) -> Vec<Event> {
    let event = |(i, &call): (usize, &Call)| Event { call, begin: 2 * i, end: 2 * i + 1, after: None };
    calls.iter().enumerate().map(event).collect()
}

#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn a_sound_history_is_accepted() {
        assert!(is_linearizable(
            1,
            &sequence(&[
                Call::Poll { id: 0, n: 2, answer: Answer::Pending },
                Call::TryAcquire { n: 1, answer: Try::NoPermits },
                Call::Release { n: 1 },
                Call::Poll { id: 0, n: 2, answer: Answer::Granted },
                Call::Available { answer: 0 },
            ])
        ));
    }

    /// ENGINE's rule: nobody answers "no" from a word in motion. A thread's own release of 5, while another releases 1
    /// to the one waiter, leaves it permits for sure.
    #[test]
    fn a_no_from_a_word_in_motion_is_rejected() {
        let mut history = sequence(&[
            Call::Poll { id: 0, n: 1, answer: Answer::Pending },
            Call::Release { n: 1 },
            Call::Release { n: 5 },
            Call::TryAcquire { n: 1, answer: Try::NoPermits },
            Call::Poll { id: 0, n: 1, answer: Answer::Granted },
        ]);
        // The other's release is in progress all the time.
        (history[1].begin, history[1].end) = (2, 7);
        assert!(!is_linearizable(0, &history));
        history[3].call = Call::TryAcquire { n: 1, answer: Try::Taken };
        assert!(is_linearizable(0, &history));
    }

    #[test]
    fn a_close_that_fails_a_served_front_is_rejected() {
        let history = sequence(&[
            Call::Poll { id: 0, n: 1, answer: Answer::Pending },
            Call::Release { n: 1 },
            Call::Close,
            Call::Poll { id: 0, n: 1, answer: Answer::Closed },
        ]);
        assert!(!is_linearizable(0, &history));
    }

    #[test]
    fn forgetting_what_the_front_waits_for_is_rejected() {
        let history = |forgotten| {
            sequence(&[
                Call::Poll { id: 0, n: 2, answer: Answer::Pending },
                Call::Release { n: 1 },
                Call::Forget { n: 1, answer: forgotten },
            ])
        };
        assert!(is_linearizable(0, &history(0)));
        assert!(!is_linearizable(0, &history(1)));
    }

    #[test]
    fn overtaking_is_rejected() {
        let history = sequence(&[
            Call::Poll { id: 0, n: 2, answer: Answer::Pending },
            Call::Poll { id: 1, n: 1, answer: Answer::Pending },
            Call::Release { n: 1 },
            Call::Poll { id: 1, n: 1, answer: Answer::Granted },
        ]);
        assert!(!is_linearizable(0, &history));
    }

    #[test]
    fn a_lost_permit_is_rejected() {
        let history = sequence(&[
            Call::Poll { id: 0, n: 1, answer: Answer::Pending },
            Call::Release { n: 1 },
            Call::Drop { id: 0 },
            Call::Available { answer: 0 },
        ]);
        assert!(!is_linearizable(0, &history));
    }

    #[test]
    fn pending_after_close_is_rejected() {
        let history = sequence(&[
            Call::Poll { id: 0, n: 1, answer: Answer::Pending },
            Call::Close,
            Call::Poll { id: 0, n: 1, answer: Answer::Pending },
        ]);
        assert!(!is_linearizable(0, &history));
    }

    #[test]
    fn a_timeout_of_a_granted_wait_is_rejected() {
        let mut history =
            sequence(&[Call::Join { id: 0, n: 1 }, Call::Release { n: 1 }, Call::Done { id: 0, answer: Answer::Left }]);
        assert!(!is_linearizable(0, &history));
        // ... unless the release came after.
        (history[1].begin, history[1].end, history[2].begin) = (3, 9, 2);
        assert!(is_linearizable(0, &history));
    }
}
