//! Waiting in the queue: steps E and X of the protocol, and polls in between (see the head of [`super`]).

use super::word::{LOCKED, QUEUED};
use super::{Gate, LockWord};
use crate::semaphore::error::AcquireError;
use crate::sys::mutant::{self, Mutant};
use crate::wait::batch::{Panics, WakeBatch};
use crate::wait::node::{self, Node, State};
use crate::wait::timing::{self, Charge};
use core::ptr::NonNull;
use core::task::{Poll, Waker};

impl Gate {
    /// E. See [`enqueue`](crate::semaphore::policy::Gate::enqueue).
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn join(&self, node: &Node, waker: &Waker, may_take: bool) -> Poll<Result<(), AcquireError>> {
        let waker = waker.clone(); // W3: before the lock
        node.begin_wait();
        let n = node.need();
        match self.lock(QUEUED, |word| {
            if word.is_closed() {
                return Some(Poll::Ready(Err(AcquireError::closed())));
            }
            if !word.admits(n) {
                return None;
            }
            if !may_take {
                return Some(Poll::Pending);
            }
            self.take(n, word).is_ok().then_some(Poll::Ready(Ok(())))
        }) {
            Err(answer) => {
                if matches!(answer, Poll::Ready(Ok(()))) {
                    // To drop the clone is to run the user's code: until it returns, the permits are the node's.
                    node.set_state(node::GRANTED);
                    node.set_phase(node::Phase::Waiting);
                }
                drop(waker);
                answer
            }
            Ok(word) => {
                // SAFETY: the node is idle, hence the caller's.
                unsafe { node.put_waker(waker) };
                node.set_state(node::QUEUED);
                node.set_phase(node::Phase::Waiting);
                // SAFETY: LOCKED is held; by the caller's promise the node stays in place until it is unlinked. E2.
                unsafe { self.queue.push_back(NonNull::from(node)) };
                self.count_waiters(1);
                if let Err(word) = self.unlock_if_none_fits(word) {
                    self.serve_and_wake(word);
                    return timing::answered(node, Self::answer(node.state()));
                }
                Poll::Pending
            }
        }
    }

    /// A later poll. See [`poll`](crate::semaphore::policy::Gate::poll).
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(super) unsafe fn ask(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        let answer = Self::answer(node.state());
        if answer.is_ready() {
            return answer;
        }
        if self.look().is_closed() && !mutant::is(Mutant::PollMissesClose) {
            // `close` may have returned while another thread still has this node in its batches: do not stay pending.
            let mut panics = Panics::new();
            // SAFETY: passed on.
            let state = unsafe { self.leave(node, node::CLOSED, &mut panics) };
            panics.resume();
            return Self::answer(state);
        }
        // SAFETY: the caller is the owner, and joining put a waker.
        if unsafe { node.will_wake(waker) } {
            return Poll::Pending;
        }
        self.replace_waker(node, waker)
    }

    /// X for a node that nobody will look at again, where LOCKED is free. See
    /// [`cancel`](crate::semaphore::policy::Gate::cancel).
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn leave_at_once(&self, node: &Node, panics: &mut Panics) -> bool {
        let word = self.look();
        if word.is_locked() || node.state() != node::QUEUED || mutant::is(Mutant::CancelWithoutServing) {
            return false;
        }
        let locked = word.with(LOCKED);
        if self.try_exchange_locked(word, locked).is_err() {
            return false;
        }
        if node.state() != node::QUEUED {
            // Decided between the look and the lock.
            self.serve_and_wake_with(locked, &mut WakeBatch::new(), panics);
            return false;
        }
        Charge::stamp(node);
        // SAFETY: LOCKED is held and QUEUED means linked, so the waker is there. X2.
        let waker = unsafe {
            self.queue.remove(NonNull::from(node));
            node.take_waker()
        };
        node.set_state(node::CANCELLED);
        self.count_waiters(-1);
        if let Err(word) = self.unlock_if_none_fits(locked) {
            // The front may be another now, and fit.
            self.serve_and_wake_with(word, &mut WakeBatch::new(), panics);
        }
        panics.catch(|| drop(waker)); // W3
        true
    }

    /// X. See [`withdraw`](crate::semaphore::policy::Gate::withdraw).
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn leave(&self, node: &Node, outcome: State, panics: &mut Panics) -> State {
        let gives_up = matches!(outcome, node::TIMED_OUT | node::INTERRUPTED);
        let word = self.look();
        if gives_up && node.state() == node::QUEUED && (word.permits() > 0 || word.is_closed()) {
            self.settle(panics); // X0
        }
        let word = match self.lock(0, |_| Some(node.state()).filter(|&state| state != node::QUEUED)) {
            Ok(word) => word,
            Err(decided) => return decided,
        };
        let mut waker = None;
        // It may have been granted between the last look and the lock.
        if node.state() == node::QUEUED {
            Charge::stamp(node);
            // SAFETY: LOCKED is held and QUEUED means linked, so the waker is there. X2.
            unsafe {
                self.queue.remove(NonNull::from(node));
                waker = Some(node.take_waker());
            }
            self.count_waiters(-1);
            node.set_state(outcome);
        }
        if mutant::is(Mutant::CancelWithoutServing) {
            self.unlock_unserved(word);
        } else if let Err(word) = self.unlock_if_none_fits(word) {
            self.serve_and_wake_with(word, &mut WakeBatch::new(), panics);
        }
        if let Some(waker) = waker {
            panics.catch(|| drop(waker)); // W3
        }
        node.state()
    }

    /// A queued node is polled with another waker (T16).
    #[cold]
    fn replace_waker(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        let waker = waker.clone(); // W3
        match self.lock(0, |_| Some(node.state()).filter(|&state| state != node::QUEUED)) {
            Err(decided) => Self::answer(decided),
            Ok(word) => {
                let old = (node.state() == node::QUEUED).then(|| {
                    // SAFETY: LOCKED is held and the node is linked, so its waker is there and this thread's to move.
                    unsafe {
                        let old = node.take_waker();
                        node.put_waker(waker);
                        old
                    }
                });
                let mut panics = Panics::new();
                self.serve_and_wake_with(word, &mut WakeBatch::new(), &mut panics);
                panics.catch(|| drop(old)); // W3
                panics.resume();
                Self::answer(node.state())
            }
        }
    }

    /// Outcome of a node that somebody has published, or that is still queued.
    #[inline(always)]
    fn answer(state: State) -> Poll<Result<(), AcquireError>> {
        match state {
            node::GRANTED => Poll::Ready(Ok(())),
            node::QUEUED => Poll::Pending,
            _ => Poll::Ready(Err(AcquireError::closed())),
        }
    }
}
