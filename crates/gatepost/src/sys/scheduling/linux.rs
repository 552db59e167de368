//! `sched_getattr` and `sched_setattr`: policy, real-time priority and niceness of one thread in one call each.

use super::Errno;
use core::ffi::{c_int, c_long, c_uint};
use std::io;

/// Whether there is anything below.
pub(crate) const SUPPORTED: bool = true;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const SCHED_SETATTR: super::c_long = 314;
    pub(super) const SCHED_GETATTR: super::c_long = 315;
    pub(super) const GETTID: super::c_long = 186;
}
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
mod number {
    pub(super) const SCHED_SETATTR: super::c_long = 274;
    pub(super) const SCHED_GETATTR: super::c_long = 275;
    pub(super) const GETTID: super::c_long = 178;
}

const NORMAL: u32 = 0;
const FIFO: u32 = 1;
const RR: u32 = 2;
const IDLE: u32 = 5;
const DEADLINE: u32 = 6;

/// `SCHED_FLAG_RESET_ON_FORK`, the one flag that is kept.
const RESET_ON_FORK: u64 = 1;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

fn counted() {
    #[cfg(all(test, not(any(loom, shuttle))))]
    crate::sys::atomic::count_syscall();
}

fn checked(result: c_long) -> Result<(), Errno> {
    match result {
        -1 => Err(io::Error::last_os_error().raw_os_error().unwrap_or_default()),
        _ => Ok(()),
    }
}

/// A thread as the system names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(c_int);

impl ThreadId {
    /// Good until the thread ends.
    pub(crate) fn of_this_thread() -> Option<Self> {
        counted();
        // SAFETY: asks for a number.
        c_int::try_from(unsafe { syscall(number::GETTID) }).ok().map(Self)
    }
}

/// How a thread is scheduled: `struct sched_attr` in its first version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Scheduling {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

#[allow(clippy::cast_possible_truncation)] // 48
const SIZE: c_uint = size_of::<Scheduling>() as c_uint;

impl Scheduling {
    pub(crate) fn of(thread: ThreadId) -> Result<Self, Errno> {
        counted();
        let mut attr =
            Self { size: SIZE, policy: 0, flags: 0, nice: 0, priority: 0, runtime: 0, deadline: 0, period: 0 };
        // SAFETY: writes as many bytes at `attr` as are named, and `attr` has.
        checked(unsafe { syscall(number::SCHED_GETATTR, thread.0, &raw mut attr, SIZE, 0 as c_uint) })?;
        Ok(Self { size: SIZE, flags: attr.flags & RESET_ON_FORK, ..attr })
    }

    pub(crate) fn apply(self, thread: ThreadId) -> Result<(), Errno> {
        counted();
        // SAFETY: reads as many bytes as the first field of `self` says.
        checked(unsafe { syscall(number::SCHED_SETATTR, thread.0, &raw const self, 0 as c_uint) })
    }

    /// The same thread, if it were an ordinary one.
    pub(crate) fn ordinary(self) -> Self {
        Self { policy: NORMAL, priority: 0, runtime: 0, deadline: 0, period: 0, ..self }
    }

    /// How a thread that is scheduled so by itself is to be scheduled while it weighs `effective`, and `base` by itself. With a real-time
    /// priority: at least that one. Without: as many times the share of the processors as it weighs more. Never less than it has.
    pub(crate) fn raised(self, priority: Option<u8>, effective: u64, base: u64) -> Self {
        match (self.policy, priority) {
            (DEADLINE, _) | (FIFO | RR, None) => self, // above all that could be given
            (FIFO | RR, Some(priority)) => Self { priority: self.priority.max(priority.into()), ..self },
            (_, Some(priority)) => Self { policy: FIFO, priority: priority.into(), ..self.ordinary() },
            (policy, None) => {
                let own = if policy == IDLE { IDLE_SHARE } else { share(self.nice) };
                let due = u128::from(own) * u128::from(effective) / u128::from(base.max(1));
                let nice = (-20..=19).rev().find(|&nice| u128::from(share(nice)) >= due).unwrap_or(-20);
                match policy {
                    IDLE => Self { nice, ..self.ordinary() },
                    _ => Self { nice: nice.min(self.nice), ..self },
                }
            }
        }
    }
}

/// What an idle thread weighs in the system's scheduler.
const IDLE_SHARE: u32 = 3;

/// What a thread of that niceness weighs in the system's scheduler (`sched_prio_to_weight`).
fn share(nice: i32) -> u32 {
    const SHARES: [u32; 40] = [
        88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501,
        1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
    ];
    SHARES[usize::try_from(nice.clamp(-20, 19) + 20).unwrap_or_default()]
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn scheduled(policy: u32, nice: i32, priority: u32) -> Scheduling {
        Scheduling { size: SIZE, policy, flags: 0, nice, priority, runtime: 0, deadline: 0, period: 0 }
    }

    fn shown(scheduling: Scheduling) -> (u32, i32, u32) {
        (scheduling.policy, scheduling.nice, scheduling.priority)
    }

    #[test]
    fn this_thread_is_scheduled_somehow_and_may_stay_so() {
        let this = ThreadId::of_this_thread().expect("it has a number");
        let now = Scheduling::of(this).expect("it may ask about itself");
        assert_eq!(now.apply(this), Ok(()));
        assert_eq!(Scheduling::of(this), Ok(now));
    }

    #[test]
    fn an_ordinary_thread_gets_as_many_shares_as_it_weighs() {
        let own = scheduled(NORMAL, 0, 0);
        for (effective, nice) in [(1, 0), (2, -4), (10, -11), (80, -20), (u64::MAX, -20)] {
            assert_eq!(shown(own.raised(None, effective, 1)), (NORMAL, nice, 0), "{effective} times");
        }
        assert_eq!(shown(scheduled(NORMAL, 19, 0).raised(None, 300, 100)), (NORMAL, 14, 0));
        assert_eq!(shown(own.raised(None, 7, 0)), (NORMAL, -9, 0), "who weighs nothing counts as one");
        assert_eq!(shown(scheduled(IDLE, 0, 0).raised(None, 1000, 1)), (NORMAL, -5, 0));
    }

    #[test]
    fn a_priority_is_never_lowered() {
        assert_eq!(shown(scheduled(FIFO, 0, 10).raised(Some(30), 2, 1)), (FIFO, 0, 30));
        assert_eq!(shown(scheduled(RR, 0, 40).raised(Some(30), 2, 1)), (RR, 0, 40));
        assert_eq!(shown(scheduled(FIFO, 0, 10).raised(None, 2, 1)), (FIFO, 0, 10));
        assert_eq!(shown(scheduled(NORMAL, 5, 0).raised(Some(30), 2, 1)), (FIFO, 5, 30));
        assert_eq!(shown(scheduled(DEADLINE, 0, 0).raised(Some(99), 2, 1)), (DEADLINE, 0, 0));
    }
}
