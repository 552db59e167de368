//! The library's own tests of the notify list: what needs to see inside. What users may rely on is tested from outside, in
//! `tests/notify.rs`.
//!
//! | room | what it shows | setting |
//! |---|---|---|
//! | `statements` | G44 to G50, one by one, and what each path costs | plain |
//! | `script` | random scripts against the sequential list | plain |
//! | `loom` | every interleaving of a few threads, weak memory | `--cfg loom` |
//! | `shuttle` | random schedules of many threads | `--cfg shuttle` |

#[cfg(loom)]
mod loom;
#[cfg(not(any(loom, shuttle)))]
mod script;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod statements;

#[cfg(not(any(loom, shuttle)))]
use super::NotifyList;

/// Where counters start: plain, and so that each of the wrap-arounds comes soon (G46).
#[cfg(not(any(loom, shuttle)))]
const STARTS: [u32; 4] = [0, u32::MAX - 3, u32::MAX / 2 - 1, u32::MAX];

#[cfg(not(any(loom, shuttle)))]
impl NotifyList {
    /// The lengths of the queue and of its settled part, and the number of void tickets; with the invariants checked.
    fn inside(&self) -> (u32, u32, u32) {
        self.with_line(|line| {
            line.check(self.wait.load(super::Relaxed));
            line.counts()
        })
    }
}
