//! The library's own tests of the address-keyed semaphores. What users may rely on is tested from outside, in
//! `tests/go.rs`; here is what needs to see inside.
//!
//! | room | what it shows | setting |
//! |---|---|---|
//! | `detached` | what is done when a permit comes: once, in order, without a deep stack | plain |
//! | `treap` | the tree after each operation, against a sequential model; what it costs to search | plain |
//! | `growth` | the table: splitting loses nobody, and searching costs the same however many wait | plain |
//! | `cost` | what each path costs, counted | plain |
//! | `destroy` | whoever acquires frees the word, and its own waiter, at once; many times | plain |
//! | `traps` | the traps of the protocol, each set by hand | plain |
//! | `world` | a table of the checkers' size | the checkers' |
//! | `loom`, `loom_table` | every interleaving of a few threads, weak memory | `--cfg loom` |
//! | `shuttle` | random schedules of many threads at many addresses | `--cfg shuttle` |

#[cfg(not(any(loom, shuttle)))]
mod cost;
#[cfg(not(any(loom, shuttle)))]
mod destroy;
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
mod detached;
#[cfg(not(any(loom, shuttle)))]
mod growth;
#[cfg(loom)]
mod loom;
#[cfg(loom)]
mod loom_table;
#[cfg(shuttle)]
mod shuttle;
#[cfg(not(any(loom, shuttle)))]
mod traps;
#[cfg(not(any(loom, shuttle)))]
mod treap;
#[cfg(any(loom, shuttle))]
mod world;
