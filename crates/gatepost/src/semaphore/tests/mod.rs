//! The library's own tests of the semaphore. What users may rely on is tested from outside, under `tests/`; here is what
//! needs to see inside: counts, hooks, model checkers, seeded bugs.

#[cfg(loom)]
mod loom;
