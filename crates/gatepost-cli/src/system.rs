//! The calls that need `unsafe`, each behind a function that does not.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::io::FdFlags;
use rustix::process::Signal;

/// What a child does between fork and exec. Only this room can make one, of steps that are sound there.
#[derive(Debug)]
pub(crate) struct Prelude {
    /// Closed first: our end of the gate, of which the child has a copy.
    pub(crate) close: RawFd,
    /// Kept open across exec.
    pub(crate) pass_on: Vec<RawFd>,
    /// Whether it is killed when the thread that started it ends.
    pub(crate) die_with_parent: bool,
    /// Where it says its number.
    pub(crate) name: io::PipeWriter,
    /// Where it waits for a byte.
    pub(crate) wait: io::PipeReader,
}

impl Prelude {
    /// Makes the child of `command` do all that before it becomes the program.
    pub(crate) fn attach(self, command: &mut Command) {
        // SAFETY: `run` allocates nothing, takes no lock and makes only system calls, so it is sound in the child of a
        // process with threads.
        unsafe {
            command.pre_exec(move || self.run());
        }
    }

    fn run(&self) -> io::Result<()> {
        // SAFETY: this is a child's copy of the descriptor, which nothing in it uses: the owner's destructor never runs
        // in the child, which becomes a program or ends.
        unsafe { rustix::io::close(self.close) };
        for &fd in &self.pass_on {
            // SAFETY: who made the prelude keeps these open until the child has become a program.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            rustix::io::fcntl_setfd(fd, FdFlags::empty())?;
        }
        if self.die_with_parent {
            // A parent that is gone by now is noticed at the gate.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        }
        forget_handlers();
        let number = std::process::id().to_ne_bytes();
        while let Err(error) = rustix::io::write(&self.name, &number) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        loop {
            match rustix::io::read(&self.wait, &mut [0u8]) {
                Ok(1) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                // The gate was taken away: it must not run. There may be nobody left to tell an error, and who is there knows
                // it already.
                // SAFETY: it ends the process, and runs nothing of it before.
                _ => unsafe { libc::_exit(crate::exit::OWN_FAILURE.into()) },
            }
        }
    }
}

/// Gives every signal that has a handler its default back, as exec will: a signal that comes before is meant for the program,
/// and a handler of ours would swallow it. For a child between fork and exec.
fn forget_handlers() {
    for signal in 1..32 {
        // SAFETY: all zeroes is a valid value of this structure: a default, no flags, an empty mask.
        let (mut now, default) = unsafe { std::mem::zeroed::<(libc::sigaction, libc::sigaction)>() };
        // SAFETY: both structures live through the calls, which only change what a signal does; a signal of which that cannot
        // be changed is refused.
        unsafe {
            if libc::sigaction(signal, ptr::null(), &raw mut now) == 0
                && now.sa_sigaction != libc::SIG_DFL
                && now.sa_sigaction != libc::SIG_IGN
            {
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
    }
}

/// Runs `action` while `signal` cannot reach this thread.
pub(crate) fn with_blocked<T>(signal: Signal, action: impl FnOnce() -> T) -> T {
    let mut one = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the sets are ours; `sigemptyset` makes `one` whole before it is used, and `before` is written by the call
    // if that succeeds, which it does for valid arguments.
    let blocked = unsafe {
        libc::sigemptyset(one.as_mut_ptr());
        libc::sigaddset(one.as_mut_ptr(), signal.as_raw());
        libc::pthread_sigmask(libc::SIG_BLOCK, one.as_ptr(), before.as_mut_ptr()) == 0
    };
    let result = action();
    if blocked {
        // SAFETY: `before` was written, since the call succeeded.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
    result
}

/// Lets `signals` reach this thread, and those that it starts from now on.
pub(crate) fn unblock(signals: impl IntoIterator<Item = i32>) {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is ours, and `sigemptyset` makes it whole before it is used; a number that is no signal is refused by
    // `sigaddset`. The mask of before is not asked for.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// A descriptor for the same as `number`, one that we were given, and that can be written to.
pub(crate) fn given_to_write(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: to ask about a number, and to copy what it stands for, changes nothing of what it stands for.
    let (mode, copy) = unsafe { (libc::fcntl(number, libc::F_GETFL), libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3)) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made it for us.
    let copy = unsafe { OwnedFd::from_raw_fd(copy) };
    if mode & libc::O_ACCMODE == libc::O_RDONLY {
        return Err(io::Error::other("it is open for reading only"));
    }
    Ok(copy)
}

/// Takes a lock of an open file description on the first byte of `file`, as the machine's semaphores do.
pub(crate) fn lock_description(file: &File) -> io::Result<()> {
    // SAFETY: all zeroes is a valid value of this structure of numbers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_len = 1;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the structure lives through the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
