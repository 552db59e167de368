//! The library's own tests of what is in `sync`: the model checkers'. What users may rely on is tested from outside, in
//! `tests/sync.rs`.

#[cfg(loom)]
mod loom;
#[cfg(shuttle)]
mod shuttle;
