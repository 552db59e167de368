//! What a kernel or a bare-metal program tells the library when there is no `std`. (With the feature `std`, which another
//! crate may have turned on, a platform can be installed and is not asked.)
//!
//! The queue lock is held for at most 32 nodes and never while user code runs, but somebody may have to wait for it. With
//! `std` a thread sleeps for it; without, it calls [`Platform::relax`], and the holder runs between [`Platform::enter`]
//! and [`Platform::exit`]. Where preemption exists, `enter` should forbid it: a waiter of higher priority than a
//! preempted holder would otherwise spin for ever.

use core::sync::atomic::{AtomicPtr, Ordering};

/// What the platform offers. All three functions may be called from any context that calls the library.
#[derive(Debug)]
pub struct Platform {
    /// Called in each turn of a wait for the queue lock, with the number of turns so far. May yield; must return.
    pub relax: fn(attempt: u32),
    /// Called before the queue lock is taken; forbids preemption (and interrupts, if their handlers release permits of
    /// semaphores on which somebody waits). The value is given to [`exit`](Platform::exit).
    pub enter: fn() -> u32,
    /// Called after the queue lock is given back.
    pub exit: fn(token: u32),
}

/// The platform is installed already; it stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyInstalled;

impl core::fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a platform is installed already: install one, once, before the first semaphore is used")
    }
}

impl core::error::Error for AlreadyInstalled {}

#[cfg_attr(feature = "std", allow(dead_code))]
static SPIN: Platform = Platform { relax: |_| core::hint::spin_loop(), enter: || 0, exit: |_| () };
static INSTALLED: AtomicPtr<Platform> = AtomicPtr::new(core::ptr::null_mut());

/// Installs the platform for the rest of the program, before the first semaphore is used: a lock taken before is given
/// back after, and [`exit`](Platform::exit) would be called without its `enter`. Without a platform, waiting for the queue lock spins and nothing forbids
/// preemption.
///
/// # Errors
/// [`AlreadyInstalled`] if one was installed before.
pub fn install(platform: &'static Platform) -> Result<(), AlreadyInstalled> {
    let new = core::ptr::from_ref(platform).cast_mut();
    // ORDERING: Release pairs with the Acquire load in `current`: whoever reads the pointer sees the table behind it.
    match INSTALLED.compare_exchange(core::ptr::null_mut(), new, Ordering::Release, Ordering::Relaxed) {
        Ok(_) => Ok(()),
        Err(_) => Err(AlreadyInstalled),
    }
}

#[cfg_attr(feature = "std", allow(dead_code))]
pub(crate) fn current() -> &'static Platform {
    // ORDERING: Acquire pairs with the Release in `install`.
    let installed = INSTALLED.load(Ordering::Acquire);
    // SAFETY: not null means that `install` stored it from a `&'static Platform`.
    if installed.is_null() { &SPIN } else { unsafe { &*installed } }
}
