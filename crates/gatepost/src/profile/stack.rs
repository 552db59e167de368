//! The stack of an event: instruction pointers, taken on the spot and named much later ([`symbols`](super::symbols)).
//!
//! The user's code runs while an event is recorded, if its allocator is the user's own, and it may wait for a semaphore or
//! release one. [`exclusive`] keeps that from being an event of its own, which would recurse.

use core::ffi::c_void;
use std::cell::Cell;

/// No more frames than this are kept, from the innermost on.
pub(super) const DEPTH: usize = 64;

/// Instruction pointers, the innermost first.
pub(super) struct Stack {
    frames: [usize; DEPTH],
    len: usize,
}

impl Stack {
    /// The stack of whoever calls this. Allocates nothing.
    #[inline(never)]
    pub(super) fn capture() -> Self {
        let mut stack = Self { frames: [0; DEPTH], len: 0 };
        trace(|ip| {
            if !ip.is_null() {
                stack.frames[stack.len] = ip.addr();
                stack.len += 1;
            }
            stack.len < DEPTH
        });
        stack
    }

    pub(super) fn frames(&self) -> &[usize] {
        &self.frames[..self.len]
    }
}

/// Calls `each` with the instruction pointers, until it says that it has enough.
fn trace(mut each: impl FnMut(*mut c_void) -> bool) {
    let frame = |frame: &backtrace::Frame| each(frame.ip());
    // SAFETY: what must be synchronized is Windows' library of debugging symbols. Unix's unwinders are reentrant, and run
    // in many threads at once whenever those panic.
    #[cfg(unix)]
    unsafe {
        backtrace::trace_unsynchronized(frame);
    }
    #[cfg(not(unix))]
    backtrace::trace(frame);
}

std::thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, unless this thread is inside of another `exclusive`.
pub(super) fn exclusive<R>(f: impl FnOnce() -> R) -> Option<R> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            BUSY.set(false);
        }
    }
    if BUSY.replace(true) {
        return None;
    }
    let _leave = Leave;
    Some(f())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_that_of_the_caller_and_no_deeper_than_its_limit() {
        fn recurse(n: usize) -> usize {
            let len = if n == 0 { Stack::capture().frames().len() } else { recurse(n - 1) };
            std::hint::black_box(len)
        }
        assert!((2..=DEPTH).contains(&recurse(0)));
        assert_eq!(recurse(2 * DEPTH), DEPTH);
    }

    #[test]
    fn what_is_exclusive_is_so_in_its_thread_and_until_it_unwinds() {
        assert_eq!(exclusive(|| exclusive(|| ())), Some(None));
        assert_eq!(exclusive(|| std::thread::spawn(|| exclusive(|| 1)).join().expect("no panic")), Some(Some(1)));
        assert!(std::panic::catch_unwind(|| exclusive(|| panic!("on purpose"))).is_err());
        assert_eq!(exclusive(|| 1), Some(1));
    }
}
