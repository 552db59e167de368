//! What is built on the waiting of this library: for tasks and threads, in one line.
//!
//! | room | what it holds |
//! |---|---|
//! | [`condvar`](self::Condvar) | a condition variable |
//! | [`guard`](self::Guard) | what it asks of a mutex, and the mutexes of `std` and Tokio |

mod condvar;
mod guard;
#[cfg(test)]
mod tests;

pub use condvar::{Condvar, Wait, WaitWhile};
#[cfg(feature = "std")]
pub use guard::StdGuard;
pub use guard::{AsyncGuard, Guard};
