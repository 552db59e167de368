//! Being called when a signal comes. Where the system has a futex, and so waking a thread is allowed in a handler; elsewhere an error.

use core::ffi::c_int;
use std::io;

/// What is called when a signal comes.
pub(crate) type Handler = extern "C" fn(c_int);

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64"
))]
mod backend {
    use super::{Handler, c_int, io};
    use core::ptr;

    /// `struct sigaction` of the 64-bit Linux C libraries.
    #[repr(C)]
    struct Action {
        handler: usize,
        mask: [u64; 16],
        flags: c_int,
        restorer: usize,
    }

    /// System calls that were interrupted go on: those of the rest of the program are not disturbed.
    const SA_RESTART: c_int = 0x1000_0000;
    /// On the signal stack of a thread that has one.
    const SA_ONSTACK: c_int = 0x0800_0000;
    /// Up to here a handler is none: the default, or to ignore it.
    const SIG_IGN: usize = 1;

    unsafe extern "C" {
        fn sigaction(signal: c_int, action: *const Action, before: *mut Action) -> c_int;
    }

    pub(crate) fn handle(signal: c_int, handler: Handler) -> io::Result<()> {
        let action = Action { handler: handler as usize, mask: [0; 16], flags: SA_RESTART | SA_ONSTACK, restorer: 0 };
        let mut before = Action { handler: 0, mask: [0; 16], flags: 0, restorer: 0 };
        // SAFETY: asks, and writes `before`.
        if unsafe { sigaction(signal, ptr::null(), &raw mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        if before.handler == action.handler {
            return Ok(());
        }
        if before.handler > SIG_IGN {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the signal has a handler already"));
        }
        // SAFETY: the handler is one for its whole life, and does what handlers may: by the promise of whoever names it.
        match unsafe { sigaction(signal, &raw const action, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64"
)))]
mod backend {
    use super::{Handler, c_int, io};

    pub(crate) fn handle(_signal: c_int, _handler: Handler) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Calls `handler`, which may do only what is allowed there, whenever `signal` comes.
pub(crate) use backend::handle;
