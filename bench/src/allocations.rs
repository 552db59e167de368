//! The global allocator, which counts its calls while it is told to. It is told to only while costs are counted: in what is
//! timed, an allocation is the system's and one load.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// How many calls there were since [`count`].
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    expect(dead_code, reason = "nothing is counted here")
)]
pub(crate) fn calls() -> u64 {
    CALLS.load(Relaxed)
}

/// Counts from now on; for a process with one thread, which the one that is measured is.
#[cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64")),
    expect(dead_code, reason = "nothing is counted here")
)]
pub(crate) fn count() {
    ON.store(true, Relaxed);
}

#[inline]
fn called() {
    if ON.load(Relaxed) {
        // No locked instruction, which would be counted as the peer's.
        CALLS.store(CALLS.load(Relaxed) + 1, Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        called();
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        called();
        // SAFETY: by the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        called();
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        called();
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}
