//! Locks on files, which the kernel drops with the last descriptor: a byte for each permit by open-file-description locks,
//! and `flock`, which has one permit.

use super::interrupted;
use anyhow::{Context as _, Result};
use gatepost_bench_kit::across::Across;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

fn open(place: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(place);
    file.with_context(|| place.display().to_string())
}

/// A byte for each permit.
pub(super) struct Ranges {
    file: File,
    permits: usize,
    /// A description does not conflict with itself: those that are ours are known here, a bit each.
    held: Cell<u64>,
}

pub(super) struct Byte<'a>(&'a Ranges, usize);

impl Ranges {
    /// Locks or unlocks a byte; false: another has it.
    #[inline(always)]
    fn set(&self, command: libc::c_int, kind: libc::c_int, byte: usize) -> bool {
        // SAFETY: plain numbers.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = byte as libc::off_t;
        lock.l_len = 1;
        // SAFETY: the structure is this frame's.
        while unsafe { libc::fcntl(self.file.as_raw_fd(), command, &lock) } != 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error().is_some_and(|code| code == libc::EAGAIN || code == libc::EACCES) {
                return false;
            }
            assert!(interrupted(), "fcntl: {error}");
        }
        true
    }

    #[inline(always)]
    fn got(&self, byte: usize) -> Byte<'_> {
        self.held.set(self.held.get() | 1 << byte);
        Byte(self, byte)
    }

    fn is_ours(&self, byte: usize) -> bool {
        self.held.get() & (1 << byte) != 0
    }
}

impl Drop for Byte<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() & !(1 << self.1));
        self.0.set(libc::F_OFD_SETLK, libc::F_UNLCK, self.1);
    }
}

impl Across for Ranges {
    const NAME: &'static str = "OFD locks";
    const MOST: usize = 64;
    type Permit<'a> = Byte<'a>;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        Self::open(place, permits)
    }

    fn open(place: &Path, permits: usize) -> Result<Self> {
        Ok(Self { file: open(place)?, permits, held: Cell::new(0) })
    }

    #[inline(always)]
    fn acquire(&self) -> Byte<'_> {
        self.try_acquire().unwrap_or_else(|| {
            // Not all wait for the same one.
            let byte = std::process::id() as usize % self.permits;
            assert!(!self.is_ours(byte), "it would wait for itself");
            self.set(libc::F_OFD_SETLKW, libc::F_WRLCK, byte);
            self.got(byte)
        })
    }

    #[inline(always)]
    fn try_acquire(&self) -> Option<Byte<'_>> {
        let free = |byte: &usize| !self.is_ours(*byte) && self.set(libc::F_OFD_SETLK, libc::F_WRLCK, *byte);
        (0..self.permits).find(free).map(|byte| self.got(byte))
    }
}

/// `flock`.
pub(super) struct Flock {
    file: File,
    held: Cell<bool>,
}

pub(super) struct Lock<'a>(&'a Flock);

impl Flock {
    #[inline(always)]
    fn set(&self, operation: libc::c_int) -> bool {
        // SAFETY: no pointers.
        while unsafe { libc::flock(self.file.as_raw_fd(), operation) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::WouldBlock {
                return false;
            }
            assert!(interrupted(), "flock: {error}");
        }
        true
    }
}

impl Drop for Lock<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.set(libc::LOCK_UN);
    }
}

impl Across for Flock {
    const NAME: &'static str = "flock";
    const MOST: usize = 1;
    type Permit<'a> = Lock<'a>;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        Self::open(place, permits)
    }

    fn open(place: &Path, _permits: usize) -> Result<Self> {
        Ok(Self { file: open(place)?, held: Cell::new(false) })
    }

    #[inline(always)]
    fn acquire(&self) -> Lock<'_> {
        self.set(libc::LOCK_EX);
        self.held.set(true);
        Lock(self)
    }

    fn try_acquire(&self) -> Option<Lock<'_>> {
        let got = !self.held.get() && self.set(libc::LOCK_EX | libc::LOCK_NB);
        got.then(|| {
            self.held.set(true);
            Lock(self)
        })
    }
}
