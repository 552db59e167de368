//! Waiting in the queue: steps E, P and X of the protocol (see the head of [`super`]).

use super::Gate;
use super::serve::{Hold, Intent};
use super::word::{QUEUED, WAKING};
use crate::semaphore::error::AcquireError;
use crate::semaphore::locked::LockWord;
use crate::wait::batch::Panics;
use crate::wait::node::{self, Node, State};
use crate::wait::timing::{self, Charge};
use core::ptr::NonNull;
use core::task::{Poll, Waker};

/// Whether a node in this state is in the queue.
fn is_linked(state: State) -> bool {
    matches!(state, node::QUEUED | node::WOKEN)
}

impl Gate {
    /// E. See [`enqueue`](crate::semaphore::policy::Gate::enqueue).
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn join(&self, node: &Node, waker: &Waker, may_take: bool) -> Poll<Result<(), AcquireError>> {
        let clone = waker.clone(); // W3: before the lock
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
                drop(clone);
                answer
            }
            Ok(word) => {
                // SAFETY: the node is idle, hence the caller's.
                unsafe { node.put_waker(clone) };
                node.set_state(node::QUEUED);
                node.set_phase(node::Phase::Waiting);
                // SAFETY: LOCKED is held; by the caller's promise the node stays in place until it is unlinked. E2.
                unsafe {
                    if self.queue.front().is_none() {
                        self.patience.renew();
                    }
                    self.queue.push_back(NonNull::from(node));
                }
                self.count_waiters(1);
                let mut panics = Panics::new();
                self.serve_and_wake(Hold::new(word), Intent::Serve, &mut panics);
                panics.resume();
                // SAFETY: passed on; it has joined.
                timing::answered(node, unsafe { self.ask(node, waker) })
            }
        }
    }

    /// A poll of a node that has joined. See [`poll`](crate::semaphore::policy::Gate::poll).
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(super) unsafe fn ask(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        let mut state = node.state();
        if is_linked(state) && self.look().is_closed() {
            // `close` may have returned while another thread still has this node in its batches: do not stay pending.
            let mut panics = Panics::new();
            // SAFETY: passed on.
            state = unsafe { self.leave(node, node::CLOSED, &mut panics) };
            panics.resume();
        }
        match state {
            node::GRANTED => Poll::Ready(Ok(())),
            // SAFETY: the caller is the owner, and joining put a waker.
            node::QUEUED if unsafe { node.will_wake(waker) } => Poll::Pending,
            // SAFETY: passed on.
            node::QUEUED | node::WOKEN => unsafe { self.compete(node, waker) },
            _ => Poll::Ready(Err(AcquireError::closed())),
        }
    }

    /// P: the woken front takes its permits, or goes back to sleep, with `waker`. So does one that is polled with a waker
    /// that it has not yet been given (T16).
    ///
    /// # Safety
    /// As for [`ask`](Self::ask).
    #[cold]
    unsafe fn compete(&self, node: &Node, waker: &Waker) -> Poll<Result<(), AcquireError>> {
        let waker = waker.clone(); // W3
        let mut panics = Panics::new();
        let mut unused = None;
        match self.lock(0, |_| Some(node.state()).filter(|&state| !is_linked(state))) {
            Err(_) => unused = Some(waker),
            Ok(word) => {
                let mut hold = Hold::new(word);
                let mut intent = Intent::Serve;
                match node.state() {
                    node::WOKEN => {
                        if self.take_as_front(&mut hold, node.need()) {
                            // SAFETY: LOCKED is held, and it is linked. P2.
                            unsafe { self.unlink(&mut hold, NonNull::from(node), node::WOKEN) };
                            node.set_state(node::GRANTED);
                            unused = Some(waker);
                        } else {
                            // SAFETY: LOCKED is held, and the waker was moved out when it was woken. P3.
                            unsafe { node.put_waker(waker) };
                            node.set_state(node::QUEUED);
                            hold.flags &= !WAKING;
                            if self.patience.lose() {
                                intent = Intent::Protect;
                            }
                        }
                    }
                    // SAFETY: LOCKED is held, and a node that is QUEUED has its waker, this thread's to move.
                    node::QUEUED => unsafe {
                        unused = Some(node.take_waker());
                        node.put_waker(waker);
                    },
                    // Decided between the look and the lock, and the word is what it was.
                    _ => unused = Some(waker),
                }
                self.serve_and_wake(hold, intent, &mut panics);
            }
        }
        panics.catch(|| drop(unused)); // W3
        panics.resume();
        match node.state() {
            node::GRANTED => Poll::Ready(Ok(())),
            node::QUEUED => Poll::Pending,
            // Permits came while it went back to sleep: the wake-up that `serve` has sent to this very waiter brings it
            // here again.
            node::WOKEN => Poll::Pending,
            _ => Poll::Ready(Err(AcquireError::closed())),
        }
    }

    /// Takes `n` permits for the front, protected or not, unless there are too few in the word as examined last.
    fn take_as_front(&self, hold: &mut Hold, n: usize) -> bool {
        while !hold.word.is_closed() && n <= hold.word.permits() {
            if self.take_held(hold, n) {
                return true;
            }
        }
        false
    }

    /// X. See [`withdraw`](crate::semaphore::policy::Gate::withdraw).
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn leave(&self, node: &Node, outcome: State, panics: &mut Panics) -> State {
        let mut outcome = outcome;
        let gives_up = matches!(outcome, node::TIMED_OUT | node::INTERRUPTED);
        let word = self.look();
        if gives_up && is_linked(node.state()) && word.masks() && word.permits() > 0 {
            self.settle(panics); // X0
        }
        let word = match self.lock(0, |_| Some(node.state()).filter(|&state| !is_linked(state))) {
            Ok(word) => word,
            Err(decided) => return decided,
        };
        let mut hold = Hold::new(word);
        let mut waker = None;
        let mut intent = Intent::Serve;
        let state = node.state();
        // It may have been decided between the last look and the lock.
        if is_linked(state) {
            // SAFETY: LOCKED is held.
            let is_front = unsafe { self.queue.front() } == Some(NonNull::from(node));
            if gives_up && word.is_closed() {
                outcome = node::CLOSED;
            } else if gives_up && node.need() <= hold.word.permits() && (is_front || !hold.word.is_starved()) {
                // X1: as exact as a "no".
                if !is_front && self.patience.look() {
                    intent = Intent::Protect;
                } else if self.take_as_front(&mut hold, node.need()) {
                    outcome = node::GRANTED;
                }
            }
            Charge::stamp(node);
            // SAFETY: LOCKED is held, and it is linked; one that is QUEUED has its waker. X2.
            unsafe {
                self.unlink(&mut hold, NonNull::from(node), state);
                waker = (state == node::QUEUED).then(|| node.take_waker());
            }
            node.set_state(outcome);
        }
        self.serve_and_wake(hold, intent, panics);
        panics.catch(|| drop(waker)); // W3
        node.state()
    }

    /// A woken thread looks at the word for a little while before it says that it has lost: it is awake, and to sleep and
    /// be woken again costs it, and the releaser, more. WAKING stays set meanwhile, so releases cost nothing.
    #[cfg(feature = "std")]
    pub(super) fn linger(&self, node: &Node) {
        use crate::sys::{cpus, pause};
        use std::time::Instant;
        if node.state() != node::WOKEN || cpus::count() < 2 {
            return;
        }
        let start = Instant::now();
        loop {
            let word = self.look();
            if word.is_closed() || word.permits() >= node.need() || node.state() != node::WOKEN {
                return;
            }
            // Each look takes the word's line away from those who work with it.
            for _ in 0..super::LOOK_EVERY {
                pause();
            }
            if start.elapsed() >= super::LONGEST_LINGER {
                return;
            }
        }
    }
}
