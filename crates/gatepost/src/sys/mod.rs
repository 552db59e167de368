//! The only room that knows an operating system or a model checker.
//!
//! Everything above uses the names below and compiles unchanged in four settings:
//!
//! | setting | atomics and cells | sleeping |
//! |---|---|---|
//! | shipped | `core` | futex on Linux, `std`'s mutex and condition variable elsewhere |
//! | the library's own unit tests | `core`, counted for each thread ([`atomic::counts`]) | the same, counted |
//! | `--cfg loom` unit tests | loom | loom's mutex and condition variable |
//! | `--cfg shuttle` unit tests | shuttle | shuttle's mutex and condition variable |
//!
//! The checkers are development dependencies and their settings need `cfg(test)`: a user who builds a whole dependency
//! tree with `--cfg loom` gets the shipped library.

/// Declares a `const fn`, except under loom, whose atomics cannot be made in a constant.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(all(test, loom)))]
        $(#[$attr])*
        $vis const fn $($rest)*
        #[cfg(all(test, loom))]
        $(#[$attr])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_fn;

pub(crate) mod atomic;
pub(crate) mod cell;
#[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
pub(crate) mod clock;
#[cfg(feature = "std")]
pub(crate) mod cpus;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod explore;
#[cfg(feature = "std")]
pub(crate) mod futex;
pub(crate) mod mutant;
pub mod platform;
#[cfg(all(feature = "std", not(all(test, loom))))] // for the kernel of the process, which loom cannot have
pub(crate) mod scheduling;
#[cfg(all(feature = "std", not(all(test, loom))))]
pub(crate) mod signal;

/// Nothing, but for loom: it takes `SeqCst` accesses for `AcqRel`, and knows the total order of fences alone. So where a
/// protocol of two locations rests on the order of `SeqCst` accesses, each side calls this between its write and its look, and the
/// model checks the same argument over fences. The shipped code spares the fence: on x86-64 it would cost as much as the
/// RMW that it stands beside.
#[inline(always)]
pub(crate) fn checked_fence() {
    #[cfg(all(test, loom))]
    if !mutant::is(mutant::Mutant::FenceMissing) {
        loom::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }
}

/// One turn of a spin loop.
#[inline]
pub(crate) fn pause() {
    #[cfg(not(all(test, any(loom, shuttle))))]
    core::hint::spin_loop();
    #[cfg(all(test, loom))]
    loom::hint::spin_loop();
    #[cfg(all(test, shuttle))]
    shuttle::hint::spin_loop();
}
