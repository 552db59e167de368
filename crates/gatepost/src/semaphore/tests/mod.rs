//! The library's own tests of the semaphore. What users may rely on is tested from outside, under `tests/`; here is what
//! needs to see inside: counts, hooks, model checkers, seeded bugs.
//!
//! | room | what it shows | setting |
//! |---|---|---|
//! | `barging` | the barging policy: both bounds, and random scripts against its sequential model | plain |
//! | `cost` | what each path costs, counted | plain |
//! | `profile` | what the contention profiles are told, by a virtual clock | plain |
//! | `traps` | the traps of the protocol, each set by hand | plain |
//! | `script` | random scripts of tasks and threads against the sequential semaphore | plain |
//! | `history` | the sequential semaphore, and whether a concurrent history is one of its own | all |
//! | `loom`, `loom_barging` | every interleaving of a few threads, weak memory | `--cfg loom` |
//! | `shuttle` | random schedules of many threads, with histories | `--cfg shuttle` |

#[cfg(not(any(loom, shuttle)))]
mod barging;
#[cfg(not(any(loom, shuttle)))]
mod cost;
#[cfg(not(loom))]
mod history;
#[cfg(loom)]
mod loom;
#[cfg(loom)]
mod loom_barging;
#[cfg(all(feature = "profile", not(any(loom, shuttle))))]
mod profile;
#[cfg(not(any(loom, shuttle)))]
mod script;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod traps;
