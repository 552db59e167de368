//! Wakers on their way out of the queue.
//!
//! Under the lock wakers are only moved, into a batch of at most [`CAPACITY`]; they run after the lock is given back (W3,
//! W4). Nothing is allocated.
//!
//! With the wakers goes what the hold of the lock is charged with in the mutex profile ([`timing`](super::timing)): it is
//! reported where they run.
//!
//! A waker may panic. The rest of its batch is woken all the same, and so are later batches: with `std` each panic is
//! caught, and the first is resumed when everything is done ([`Panics`]); without, `Drop` does the rest while the panic
//! unwinds (a second panic then aborts, as any panic in a destructor does).

use super::timing::Charge;
use core::mem::MaybeUninit;
use core::task::Waker;

/// The most wakers in a batch, and the most nodes handled in one hold of a queue's lock. The model checkers get a
/// boundary that they can reach.
pub(crate) const CAPACITY: usize = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

/// Up to [`CAPACITY`] wakers, to be woken in the order in which they were pushed.
pub(crate) struct WakeBatch {
    wakers: [MaybeUninit<Waker>; CAPACITY],
    /// `wakers[next..len]` are initialised.
    next: usize,
    len: usize,
    /// What the hold of the lock is charged with.
    pub(crate) charge: Charge,
}

impl WakeBatch {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { wakers: [const { MaybeUninit::uninit() }; CAPACITY], next: 0, len: 0, charge: Charge::new() }
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len == CAPACITY
    }

    /// Adds a waker. The batch must not be full.
    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        self.wakers[self.len].write(waker);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Waker> {
        if self.next == self.len {
            return None;
        }
        // SAFETY: `next < len`, so it is initialised; `next` moves on, so it is read once.
        let waker = unsafe { self.wakers[self.next].assume_init_read() };
        self.next += 1;
        Some(waker)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether one of the wakers is a blocked thread's.
    #[cfg(feature = "std")]
    pub(crate) fn has_thread(&self) -> bool {
        // SAFETY: `wakers[next..len]` are initialised.
        self.wakers[self.next..self.len]
            .iter()
            .any(|waker| super::parker::is_threads(unsafe { waker.assume_init_ref() }))
    }

    /// Without `std` no thread blocks.
    #[cfg(not(feature = "std"))]
    pub(crate) fn has_thread(&self) -> bool {
        false
    }

    /// Wakes all, in order, and empties the batch; reports the charge. The first panic is kept in `panics`. Returns whether none panicked.
    #[inline]
    pub(crate) fn wake_all(&mut self, panics: &mut Panics) -> bool {
        let all = self.len == 0 || self.wake_some(panics);
        self.charge.report();
        all
    }

    fn wake_some(&mut self, panics: &mut Panics) -> bool {
        let mut all = true;
        while let Some(waker) = self.pop() {
            all &= panics.catch(|| waker.wake());
        }
        (self.next, self.len) = (0, 0);
        all
    }
}

impl Drop for WakeBatch {
    #[inline]
    fn drop(&mut self) {
        // Reached with wakers left only while a panic unwinds, without `std`.
        self.wake_all(&mut Panics::new());
    }
}

/// The first panic of the user's code, to be resumed when the work is done: a waker belongs to somebody else, and what its
/// panic interrupts must not be left undone. (Without `std` there is nothing to keep: the panic unwinds at once.)
pub struct Panics {
    #[cfg(feature = "std")]
    first: Option<std::boxed::Box<dyn core::any::Any + Send>>,
}

impl Panics {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(feature = "std")]
            first: None,
        }
    }

    /// Runs the user's code and keeps its panic, if it is the first. Returns whether it did not panic.
    #[cfg(feature = "std")]
    pub(crate) fn catch(&mut self, user_code: impl FnOnce()) -> bool {
        // Unwind safe: the closure owns what it touches.
        let result = std::panic::catch_unwind(core::panic::AssertUnwindSafe(user_code));
        let well = result.is_ok();
        if let Err(panic) = result {
            match self.first {
                None => self.first = Some(panic),
                // Dropping a payload runs the user's code once more, which may panic once more: leak it.
                Some(_) => core::mem::forget(panic),
            }
        }
        well
    }

    /// Runs the user's code.
    #[cfg(not(feature = "std"))]
    pub(crate) fn catch(&mut self, user_code: impl FnOnce()) -> bool {
        user_code();
        true
    }

    /// Resumes the first panic. If this thread is unwinding already (a permit dropped by a panic woke somebody whose
    /// waker panics), two panics would abort the process: the panic hook has reported this one, and it ends here.
    #[inline]
    pub(crate) fn resume(#[allow(unused_mut)] mut self) {
        #[cfg(feature = "std")]
        if let Some(panic) = self.first.take() {
            if std::thread::panicking() {
                core::mem::forget(panic);
            } else {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[cfg(feature = "std")]
impl Drop for Panics {
    fn drop(&mut self) {
        // Not resumed: a graver panic unwinds. To drop the payload would run the user's code in the middle of that.
        core::mem::forget(self.first.take());
    }
}
