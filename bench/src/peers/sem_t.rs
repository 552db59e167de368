//! `sem_t` of the C library: POSIX's unnamed semaphore, within one process.

use super::Peer;
use crate::counted;
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::peer::{self, Deposit, Threads, Timed, Try};
use gatepost_bench_kit::result::Kind;
use std::cell::UnsafeCell;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn peer() -> Peer {
    let entry = Entry::new("sem_t", Kind::Barging, crate::machine::libc_version())
        .tries::<Posix>()
        .threads::<Posix>()
        .threads_and_deposits::<Posix>()
        .timed::<Posix>()
        .note_in("U3try", "sem_t: one permit at a time only")
        .note_in("C8 threads", "sem_t: its timeout is a time of day");
    Peer::new(entry, counted::of_threads_one_at_a_time::<Posix>())
}

/// POSIX does not let one be copied. It is moved here only before its first use, which the C libraries of Linux bear: theirs
/// has no address in it.
struct Posix(UnsafeCell<libc::sem_t>);

// SAFETY: it is made to be used by several threads at once.
unsafe impl Send for Posix {}
// SAFETY: as above.
unsafe impl Sync for Posix {}

/// A permit.
struct Permit(&'static Posix);

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.post();
    }
}

impl Posix {
    #[inline(always)]
    fn post(&self) {
        // SAFETY: initialized in `new`, destroyed in `drop`.
        let failed = unsafe { libc::sem_post(self.0.get()) } != 0;
        assert!(!failed, "sem_post: {}", io::Error::last_os_error());
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        // SAFETY: initialized in `new`; nobody waits, since it is being dropped.
        unsafe { libc::sem_destroy(self.0.get()) };
    }
}

impl peer::Peer for Posix {
    type Permit = Permit;

    fn new(permits: usize) -> Self {
        // SAFETY: plain bytes, which sem_init overwrites.
        let semaphore = UnsafeCell::new(unsafe { std::mem::zeroed() });
        // SAFETY: it is this frame's.
        let failed = unsafe { libc::sem_init(semaphore.get(), 0, permits as libc::c_uint) } != 0;
        assert!(!failed, "sem_init: {}", io::Error::last_os_error());
        Self(semaphore)
    }
}

impl Try for Posix {
    #[inline(always)]
    fn try_one(&'static self) -> Option<Self::Permit> {
        // SAFETY: initialized in `new`, destroyed in `drop`.
        (unsafe { libc::sem_trywait(self.0.get()) } == 0).then(|| Permit(self))
    }
}

impl Threads for Posix {
    #[inline(always)]
    fn wait(&'static self) -> Self::Permit {
        // SAFETY: initialized in `new`, destroyed in `drop`.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {
            let error = io::Error::last_os_error();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "sem_wait: {error}");
        }
        Permit(self)
    }
}

impl Timed for Posix {
    fn wait_timeout(&'static self, timeout: Duration) -> Option<Self::Permit> {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970") + timeout;
        let until = libc::timespec { tv_sec: until.as_secs() as _, tv_nsec: until.subsec_nanos().into() };
        loop {
            // SAFETY: initialized in `new`, destroyed in `drop`; `until` is this frame's.
            if unsafe { libc::sem_timedwait(self.0.get(), &until) } == 0 {
                return Some(Permit(self));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::TimedOut => return None,
                io::ErrorKind::Interrupted => {}
                _ => panic!("sem_timedwait: {error}"),
            }
        }
    }
}

impl Deposit for Posix {
    const MANY: bool = false;

    #[inline(always)]
    fn add(&'static self, n: usize) {
        (0..n).for_each(|_| self.post());
    }

    fn forget(permit: Self::Permit) {
        std::mem::forget(permit);
    }
}
