//! Open-file-description locks on single bytes.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::fork::Registered;
use crate::layout::{SESSION_BYTE, SETUP_BYTE};

/// The two descriptions of a session.
#[derive(Debug)]
pub(crate) struct Descriptions {
    /// Its lock says that the session lives.
    pub(crate) hold: Registered,
    /// Asks for other sessions' locks.
    pub(crate) probe: Registered,
}

fn flock(kind: libc::c_int, start: i64, len: i64) -> libc::flock {
    // SAFETY: all of it may be zero.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = len;
    lock
}

fn fcntl(file: BorrowedFd<'_>, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    loop {
        // SAFETY: the kernel reads and writes `lock`, which is a valid one.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut *lock) };
        match result {
            -1 => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
            _ => return Ok(()),
        }
    }
}

/// Takes the byte of session `index`, if nobody has it.
pub(crate) fn try_lock(hold: BorrowedFd<'_>, index: u32) -> io::Result<bool> {
    let mut lock = flock(libc::F_WRLCK, SESSION_BYTE + i64::from(index), 1);
    match fcntl(hold, libc::F_OFD_SETLK, &mut lock) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the byte of session `index` back, as the end of its process does.
#[cfg(test)]
pub(crate) fn unlock(hold: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    fcntl(hold, libc::F_OFD_SETLK, &mut flock(libc::F_UNLCK, SESSION_BYTE + i64::from(index), 1))
}

/// Whether another description has one of the bytes of `count` sessions from `index` on.
pub(crate) fn is_locked(probe: BorrowedFd<'_>, index: u32, count: u32) -> io::Result<bool> {
    let mut lock = flock(libc::F_WRLCK, SESSION_BYTE + i64::from(index), i64::from(count));
    fcntl(probe, libc::F_OFD_GETLK, &mut lock)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// Takes the byte that one who prepares the file, or takes it away, has; waits for it. Dropping the value gives it back, and so
/// does closing the description.
pub(crate) fn lock_setup(hold: BorrowedFd<'_>) -> io::Result<SetupLock> {
    fcntl(hold, libc::F_OFD_SETLKW, &mut flock(libc::F_WRLCK, SETUP_BYTE, 1))?;
    Ok(SetupLock(hold.as_raw_fd()))
}

/// As [`lock_setup`], and does not wait.
pub(crate) fn try_lock_setup(hold: BorrowedFd<'_>) -> io::Result<Option<SetupLock>> {
    match fcntl(hold, libc::F_OFD_SETLK, &mut flock(libc::F_WRLCK, SETUP_BYTE, 1)) {
        Ok(()) => Ok(Some(SetupLock(hold.as_raw_fd()))),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// See [`lock_setup`]. By number: the description is moved about while it has the lock.
#[derive(Debug)]
pub(crate) struct SetupLock(RawFd);

impl Drop for SetupLock {
    fn drop(&mut self) {
        // SAFETY: whoever has the lock keeps the description open, or has closed it, and then this says so and does nothing.
        let hold = unsafe { BorrowedFd::borrow_raw(self.0) };
        let _ = fcntl(hold, libc::F_OFD_SETLK, &mut flock(libc::F_UNLCK, SETUP_BYTE, 1));
    }
}
