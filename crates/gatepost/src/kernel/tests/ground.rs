//! A platform of real threads, or a checker's: they sleep on the engine's parkers. Its clock stands still unless it is set.

use crate::kernel::{Deadline, Kernel, Platform, Thread, Unblock};
use crate::wait::parker::Parker;
use std::boxed::Box;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::vec::Vec;

#[cfg(loom)]
use loom::thread_local;
#[cfg(shuttle)]
use shuttle::thread_local;
#[cfg(not(any(loom, shuttle)))]
use std::thread_local;

/// See the module head. What is not part of a protocol is `std`'s: no checker schedules it.
pub(super) struct Ground {
    now: AtomicU64,
}

/// What it keeps of a thread.
pub(super) struct Block {
    parker: Parker,
    /// Whether the thread could have run already, each time that its weight changed.
    told: Mutex<Vec<bool>>,
}

impl Block {
    #[cfg_attr(any(loom, shuttle), allow(dead_code))]
    pub(super) fn told(&self) -> Vec<bool> {
        self.told.lock().unwrap().clone()
    }
}

thread_local! {
    #[allow(clippy::missing_const_for_thread_local)] // a checker's is not one
    static CURRENT: Cell<Option<&'static Thread<Ground>>> = Cell::new(None);
}

impl Ground {
    pub(super) fn kernel() -> &'static Kernel<Self> {
        Box::leak(Box::new(Kernel::new(Self { now: AtomicU64::new(0) })))
    }

    pub(super) fn thread(kernel: &'static Kernel<Self>, weight: u32) -> &'static Thread<Self> {
        let block = Block { parker: Parker::new(), told: Mutex::new(Vec::new()) };
        Box::leak(Box::new(Thread::new(kernel, block, weight)))
    }

    /// The caller is `thread` from now on.
    #[cfg_attr(not(any(loom, shuttle)), allow(dead_code))]
    pub(super) fn be(thread: &'static Thread<Self>) {
        CURRENT.with(|current| current.set(Some(thread)));
    }

    #[cfg_attr(not(any(loom, shuttle)), allow(dead_code))]
    pub(super) fn set_now(&self, now: u64) {
        self.now.store(now, Relaxed);
    }
}

// SAFETY: each scenario gives each of its threads a block of its own. A checker that unwinds them has failed.
unsafe impl Platform for Ground {
    type Thread = Block;
    type Wake = &'static Block;

    fn current(&self) -> &'static Thread<Self> {
        CURRENT.with(|current| current.get().expect("`be` says who it is"))
    }

    fn now(&self) -> u64 {
        self.now.load(Relaxed)
    }

    unsafe fn block(&self, thread: &'static Thread<Self>, _deadline: Deadline) {
        thread.platform().parker.park(None); // who sets the clock calls `expire`
    }

    fn wake(&self, thread: &'static Thread<Self>) -> &'static Block {
        thread.platform()
    }

    fn unblock(&self, wake: &'static Block, _how: Unblock) {
        wake.parker.unpark();
    }

    unsafe fn effective_changed(&self, thread: &'static Thread<Self>, _effective: u64) {
        thread.platform().told.lock().unwrap().push(thread.outcome().is_some());
    }
}
