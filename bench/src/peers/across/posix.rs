//! POSIX's semaphores between processes: unnamed in a mapped file, and named. Neither knows who holds it.

use super::{interrupted, must};
use anyhow::{Context as _, Result, ensure};
use gatepost_bench_kit::across::{Across, map};
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// A permit of either.
pub(super) struct Permit(*mut libc::sem_t);

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the semaphore outlives its permits, which borrow from it.
        must("sem_post", unsafe { libc::sem_post(self.0) });
    }
}

#[inline(always)]
fn wait(semaphore: *mut libc::sem_t) -> Permit {
    // SAFETY: whoever calls has the semaphore mapped.
    while unsafe { libc::sem_wait(semaphore) } != 0 {
        assert!(interrupted(), "sem_wait: {}", io::Error::last_os_error());
    }
    Permit(semaphore)
}

fn try_wait(semaphore: *mut libc::sem_t) -> Option<Permit> {
    // SAFETY: whoever calls has the semaphore mapped.
    (unsafe { libc::sem_trywait(semaphore) } == 0).then_some(Permit(semaphore))
}

/// `sem_init` with `pshared`, in a mapped file.
pub(super) struct Unnamed(*mut libc::sem_t);

impl Unnamed {
    fn mapped(place: &Path, new: bool) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(new).open(place);
        let file = file.with_context(|| place.display().to_string())?;
        file.set_len(size_of::<libc::sem_t>() as u64)?;
        Ok(Self(map(&file, size_of::<libc::sem_t>())?.as_ptr().cast()))
    }
}

impl Across for Unnamed {
    const NAME: &'static str = "sem_t shared";
    type Permit<'a> = Permit;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        let semaphore = Self::mapped(place, true)?;
        // SAFETY: mapped, large enough, and nobody else knows of it yet.
        must("sem_init", unsafe { libc::sem_init(semaphore.0, 1, permits as libc::c_uint) });
        Ok(semaphore)
    }

    fn open(place: &Path, _permits: usize) -> Result<Self> {
        Self::mapped(place, false)
    }

    #[inline(always)]
    fn acquire(&self) -> Permit {
        wait(self.0)
    }

    fn try_acquire(&self) -> Option<Permit> {
        try_wait(self.0)
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with that length. (It is not destroyed, since others may wait; it has nothing to free.)
        unsafe { libc::munmap(self.0.cast(), size_of::<libc::sem_t>()) };
    }
}

/// `sem_open`.
pub(super) struct Named {
    semaphore: *mut libc::sem_t,
    /// Of the one who takes it away.
    unlink: Option<CString>,
}

/// The folder's name is the only one of its kind.
fn name(place: &Path) -> Result<CString> {
    let parts: Vec<_> = place.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    Ok(CString::new(format!("/{}", parts.join("-")))?)
}

impl Across for Named {
    const NAME: &'static str = "sem_t named";
    type Permit<'a> = Permit;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        let name = name(place)?;
        let flags = libc::O_CREAT | libc::O_EXCL;
        // SAFETY: a string that ends with a zero, and the two arguments that go with O_CREAT.
        let semaphore = unsafe { libc::sem_open(name.as_ptr(), flags, 0o600, permits as libc::c_uint) };
        ensure!(semaphore != libc::SEM_FAILED, "sem_open: {}", io::Error::last_os_error());
        Ok(Self { semaphore, unlink: Some(name) })
    }

    fn open(place: &Path, _permits: usize) -> Result<Self> {
        // SAFETY: a string that ends with a zero.
        let semaphore = unsafe { libc::sem_open(name(place)?.as_ptr(), 0) };
        ensure!(semaphore != libc::SEM_FAILED, "sem_open: {}", io::Error::last_os_error());
        Ok(Self { semaphore, unlink: None })
    }

    #[inline(always)]
    fn acquire(&self) -> Permit {
        wait(self.semaphore)
    }

    fn try_acquire(&self) -> Option<Permit> {
        try_wait(self.semaphore)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // SAFETY: opened by us, closed once; the name is a string that ends with a zero.
        unsafe {
            libc::sem_close(self.semaphore);
            if let Some(name) = &self.unlink {
                libc::sem_unlink(name.as_ptr());
            }
        }
    }
}
