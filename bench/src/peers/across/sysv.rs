//! System V's semaphore with `SEM_UNDO`: the kernel takes back what a process did to it when the process ends.

use super::{interrupted, must};
use anyhow::{Context as _, Result};
use gatepost_bench_kit::across::Across;
use std::io;
use std::path::Path;

pub(super) struct Undo {
    id: libc::c_int,
    /// Whether it goes with this.
    remove: bool,
}

pub(super) struct Permit(libc::c_int);

/// Adds to the count, and waits until that leaves it above zero. False: not now.
#[inline(always)]
fn add(id: libc::c_int, n: libc::c_short, flags: libc::c_int) -> bool {
    let mut operation = libc::sembuf { sem_num: 0, sem_op: n, sem_flg: (libc::SEM_UNDO | flags) as libc::c_short };
    // SAFETY: one operation, of this frame.
    while unsafe { libc::semop(id, &mut operation, 1) } != 0 {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock {
            return false;
        }
        assert!(interrupted(), "semop: {error}");
    }
    true
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        add(self.0, 1, 0);
    }
}

impl Across for Undo {
    const NAME: &'static str = "semop";
    /// `SEMVMX`.
    const MOST: usize = 32_767;
    type Permit<'a> = Permit;

    fn create(place: &Path, permits: usize) -> Result<Self> {
        // SAFETY: no pointers.
        let id = must("semget", unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) });
        let semaphore = Self { id, remove: true };
        // SAFETY: SETVAL takes a number.
        must("semctl", unsafe { libc::semctl(id, 0, libc::SETVAL, permits as libc::c_int) });
        std::fs::write(place, id.to_string()).with_context(|| place.display().to_string())?;
        Ok(semaphore)
    }

    fn open(place: &Path, _permits: usize) -> Result<Self> {
        let id = std::fs::read_to_string(place).with_context(|| place.display().to_string())?.parse()?;
        Ok(Self { id, remove: false })
    }

    #[inline(always)]
    fn acquire(&self) -> Permit {
        add(self.id, -1, 0);
        Permit(self.id)
    }

    fn try_acquire(&self) -> Option<Permit> {
        add(self.id, -1, libc::IPC_NOWAIT).then_some(Permit(self.id))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if self.remove {
            // SAFETY: IPC_RMID takes no argument.
            unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
        }
    }
}
