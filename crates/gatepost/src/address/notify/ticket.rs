//! A ticket in hand.

use super::{Notified, NotifyList};
use core::fmt;
use core::future::IntoFuture;
use core::mem::ManuallyDrop;

/// A place in the order of a [`NotifyList`], taken with [`add`](NotifyList::add): to be waited for, with
/// [`notified`](Self::notified) or, by a task, with `.await`.
///
/// Wait for it, or drop it, soon: a ticket that is only kept holds a notification up that might be for somebody else, and one
/// that was notified and then kept while 2^31 others are notified has been forgotten.
///
/// # Cancel safety
/// Dropping it gives the place up. If it has been notified, by [`notify_one`](NotifyList::notify_one), the notification
/// goes on to the next ticket.
///
/// # Examples
/// See [`NotifyList`].
#[must_use = "a ticket that is dropped is given up: wait for it"]
pub struct Ticket<'a> {
    list: &'a NotifyList,
    number: u32,
}

impl<'a> Ticket<'a> {
    #[inline]
    pub(super) fn new(list: &'a NotifyList, number: u32) -> Self {
        Self { list, number }
    }

    /// The wait for this ticket: a future, which a task polls or a thread waits for.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    /// use std::time::Duration;
    ///
    /// let list = NotifyList::new();
    /// assert!(list.add().notified().wait_timeout(Duration::from_millis(1)).is_err());
    /// ```
    #[inline]
    pub fn notified(self) -> Notified<'a> {
        let ticket = ManuallyDrop::new(self); // it is the future's from here on
        Notified::new(ticket.list, ticket.number)
    }

    /// Whether it has been notified: if so, waiting for it returns at once.
    ///
    /// # Memory ordering
    /// If it has, everything before the notification is visible.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    ///
    /// let list = NotifyList::new();
    /// let ticket = list.add();
    /// assert!(!ticket.is_notified());
    /// list.notify_all();
    /// assert!(ticket.is_notified());
    /// ```
    #[inline]
    pub fn is_notified(&self) -> bool {
        self.list.is_notified(self.number)
    }

    /// Its number, modulo 2^32: each ticket's is the last one's and one.
    ///
    /// # Examples
    /// ```
    /// use gatepost::address::NotifyList;
    ///
    /// let list = NotifyList::new();
    /// let (first, second) = (list.add(), list.add());
    /// assert_eq!(second.number(), first.number().wrapping_add(1));
    /// ```
    #[inline]
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl<'a> IntoFuture for Ticket<'a> {
    type Output = ();
    type IntoFuture = Notified<'a>;

    #[inline]
    fn into_future(self) -> Notified<'a> {
        self.notified()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.list.give_up(self.number);
    }
}

impl fmt::Debug for Ticket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("number", &self.number).field("notified", &self.is_notified()).finish()
    }
}
