//! The library's own tests of the address-keyed semaphores. What users may rely on is tested from outside, in
//! `tests/go.rs`; here is what needs to see inside.
//!
//! | room | what it shows | setting |
//! |---|---|---|
//! | `detached` | what is done when a permit comes: once, in order, without a deep stack | plain |
//! | `treap` | the tree after each operation, against a sequential model; what it costs to search | plain |
//! | `growth` | the table: splitting loses nobody, and searching costs the same however many wait | plain |

#[cfg(all(feature = "std", not(any(loom, shuttle))))]
mod detached;
#[cfg(not(any(loom, shuttle)))]
mod growth;
#[cfg(not(any(loom, shuttle)))]
mod treap;
