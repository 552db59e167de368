//! Who inherits is scheduled so by the system.
//!
//! A thread's own scheduling is its own business. From when it first inherits until it inherits nothing, it is scheduled by its
//! effective weight and the process's [`Scale`], if that is above its own, and then as it was before. The steps are made by whoever
//! changes the weight, under the kernel's lock, so that they come in the order of the changes, and before a waiter sleeps.
//! There is one exception:
//!
//! **H3.** A thread that lowers itself is lowered after it has given back the lock and woken whom it wakes. Lowered before, it would be
//! preempted at once by a thread of middle priority, and the urgent one that it was about to wake would wait for that: the very
//! inversion, at its end.
//!
//! **H1.** `own` is there if and only if the thread may be scheduled otherwise than by itself; it is what to go back to.
//!
//! **H2.** The status says [`InEffect`](Inheritance::InEffect) only if nothing was refused since it was asked for. After a refusal nobody
//! is raised any more; who is, is set back.

use crate::sys::scheduling::{self, Scheduling, ThreadId};
use core::fmt;
use std::io;

/// Whether threads that inherit are scheduled so by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inheritance {
    /// Nobody has asked for it.
    Off,
    /// They are.
    InEffect,
    /// They are not: the system refused, with this number (`EPERM`: the process lacks `CAP_SYS_NICE`, and what it asks for is beyond
    /// `RLIMIT_RTPRIO` or `RLIMIT_NICE`).
    NotPermitted(i32),
    /// They are not: this library does not know how to ask this system.
    Unsupported,
}

impl fmt::Display for Inheritance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("inheritance is off: threads are scheduled as they are by themselves"),
            Self::InEffect => f.write_str("inheritance is in effect"),
            Self::NotPermitted(errno) => {
                write!(f, "inheritance is not in effect: {}", io::Error::from_raw_os_error(*errno))
            }
            Self::Unsupported => f.write_str("inheritance is not in effect: not supported on this system"),
        }
    }
}

/// What the system is to make of an effective weight.
///
/// It has steps: whoever weighs at least so much has at least such a real-time priority (`SCHED_FIFO`, from 1 to 99) while it inherits. Below
/// the first step, ordinary threads get as many times their share of the processors (by niceness) as they weigh more than by
/// themselves.
///
/// Since weights add up, leave room between steps: with a factor of 100, a hundred waiters of one step weigh as much as one of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(&'static [(u64, u8)]);

impl Scale {
    /// No step: shares of the processors alone.
    pub const SHARES: Self = Self(&[]);

    /// With these steps: from which weight on, which priority.
    ///
    /// # Panics
    /// If weights or priorities do not ascend, or a priority is not one of 1 to 99.
    pub const fn real_time(steps: &'static [(u64, u8)]) -> Self {
        let mut at = 0;
        while at < steps.len() {
            let (weight, priority) = steps[at];
            assert!(1 <= priority && priority <= 99, "a real-time priority is one of 1 to 99");
            assert!(at == 0 || steps[at - 1].0 < weight, "the weights of the steps ascend");
            assert!(at == 0 || steps[at - 1].1 < priority, "the priorities of the steps ascend");
            at += 1;
        }
        Self(steps)
    }

    fn has_steps(&self) -> bool {
        !self.0.is_empty()
    }

    fn priority(self, weight: u64) -> Option<u8> {
        let below = self.0.partition_point(|&(from, _)| from <= weight);
        below.checked_sub(1).map(|step| self.0[step].1)
    }
}

/// What is kept of a thread.
#[derive(Debug)]
pub(super) struct Scheduled {
    /// By which the system knows it, if it may be touched.
    id: Option<ThreadId>,
    /// H1.
    own: Option<Scheduling>,
    /// How it is scheduled while `own` is there.
    now: Option<Scheduling>,
}

impl Scheduled {
    pub(super) const fn of(id: Option<ThreadId>) -> Self {
        Self { id, own: None, now: None }
    }
}

/// Of the process. Guarded by the kernel's lock.
#[derive(Debug)]
pub(super) struct Inheriting {
    scale: Scale,
    status: Inheritance,
}

impl Inheriting {
    pub(super) const OFF: Self = Self { scale: Scale::SHARES, status: Inheritance::Off };

    pub(super) fn with(scale: Scale, status: Inheritance) -> Self {
        Self { scale, status }
    }

    pub(super) fn status(&self) -> Inheritance {
        self.status
    }

    /// Whether the system permits the highest step, or, without steps, a little more of the processors.
    pub(super) fn probe(scale: Scale) -> Inheritance {
        if !scheduling::SUPPORTED {
            return Inheritance::Unsupported;
        }
        let try_it = move || -> Result<(), scheduling::Errno> {
            let Some(this) = ThreadId::of_this_thread() else { return Ok(()) };
            let ordinary = Scheduling::of(this)?.ordinary();
            ordinary.apply(this)?;
            ordinary.raised(scale.priority(u64::MAX), 2, 1).apply(this)
        };
        match std::thread::Builder::new().name("gatepost-probe".into()).spawn(try_it).map(|probe| probe.join()) {
            Ok(Ok(Ok(()))) => Inheritance::InEffect,
            Ok(Ok(Err(errno))) => Inheritance::NotPermitted(errno),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Inheritance::NotPermitted(error.raw_os_error().unwrap_or_default()),
        }
    }

    /// A thread that weighs `base` by itself weighs `effective` now.
    pub(super) fn follow(&mut self, thread: &mut Scheduled, base: u32, effective: u64) {
        let Some(id) = thread.id else { return };
        let followed = if effective == u64::from(base) {
            let restored = thread.own.map_or(Ok(()), |own| own.apply(id));
            if restored.is_ok() {
                (thread.own, thread.now) = (None, None);
            }
            restored
        } else if self.status == Inheritance::InEffect {
            self.raise(id, thread, base, effective)
        } else {
            Ok(())
        };
        if let Err(errno) = followed {
            self.status = Inheritance::NotPermitted(errno); // H2
        }
    }

    fn raise(&self, id: ThreadId, thread: &mut Scheduled, base: u32, effective: u64) -> Result<(), scheduling::Errno> {
        let own = match thread.own {
            Some(own) => own,
            None => Scheduling::of(id)?,
        };
        let raised = own.raised(self.scale.priority(effective), effective, u64::from(base));
        if raised != thread.now.unwrap_or(own) {
            match raised.apply(id) {
                Ok(()) => (thread.own, thread.now) = (Some(own), Some(raised)),
                // Below the first step it is a matter of shares, for which there may be no permission where there is one for
                // the steps: what is urgent goes on to be raised.
                Err(_) if self.scale.has_steps() && self.scale.priority(effective).is_none() => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_the_priority_of_the_last_step_that_it_reaches() {
        let scale = Scale::real_time(&[(10, 1), (100, 50)]);
        for (weight, priority) in [(0, None), (9, None), (10, Some(1)), (99, Some(1)), (100, Some(50))] {
            assert_eq!(scale.priority(weight), priority, "{weight}");
        }
        assert_eq!(scale.priority(u64::MAX), Some(50));
        assert_eq!(Scale::SHARES.priority(u64::MAX), None);
    }

    #[test]
    #[should_panic(expected = "ascend")]
    fn steps_ascend() {
        let _ = Scale::real_time(&[(10, 2), (20, 2)]);
    }

    #[test]
    fn the_report_says_why() {
        assert_eq!(Inheritance::InEffect.to_string(), "inheritance is in effect");
        assert!(Inheritance::NotPermitted(1).to_string().starts_with("inheritance is not in effect: "));
    }
}
