//! Sleep and wake-up for the authors of locks and runtimes, with Go's semantics.
//!
//! | room | what it holds |
//! |---|---|
//! | [`notify`](self::NotifyList) | the notify list: tickets, and waiting for a ticket to be notified |

mod notify;

pub use notify::{Notified, NotifyList, Ticket};
