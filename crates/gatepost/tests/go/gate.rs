//! One test for both words of four bytes, and for both kinds of table.

use gatepost::address::{self, Acquire, RawSema, Sema, SemaTable};
use std::fmt::Debug;
use std::panic::RefUnwindSafe;

/// `None`: the table of the process, by the methods that take none.
type Table = Option<&'static SemaTable>;

/// What `Sema` and `RawSema` have in common.
pub(crate) trait Word: address::Word + Debug + Default + RefUnwindSafe + Sized + 'static {
    const NAME: &'static str;
    const MAX_COUNT: u32;

    fn new(count: u32) -> Self;
    fn count(&self) -> u32;
    fn try_acquire(&self) -> bool;
    fn acquire(&'static self, table: Table) -> Acquire<'static, Self>;
    #[track_caller]
    fn release(&self, table: Table);
    #[track_caller]
    fn release_n(&self, n: u32, table: Table) -> u32;
    #[track_caller]
    fn release_handoff(&self, table: Table);
    fn num_waiters(&self, table: Table) -> usize;
    #[cfg(feature = "std")]
    fn blocking_acquire(&self);
}

macro_rules! word {
    ($name:ident) => {
        impl Word for $name {
            const NAME: &'static str = stringify!($name);
            const MAX_COUNT: u32 = $name::MAX_COUNT;

            fn new(count: u32) -> Self {
                $name::new(count)
            }

            fn count(&self) -> u32 {
                $name::count(self)
            }

            fn try_acquire(&self) -> bool {
                $name::try_acquire(self)
            }

            fn acquire(&'static self, table: Table) -> Acquire<'static, Self> {
                table.map_or_else(|| $name::acquire(self), |table| self.acquire_in(table))
            }

            #[track_caller]
            fn release(&self, table: Table) {
                match table {
                    None => $name::release(self),
                    Some(table) => self.release_in(table),
                }
            }

            #[track_caller]
            fn release_n(&self, n: u32, table: Table) -> u32 {
                match table {
                    None => $name::release_n(self, n),
                    Some(table) => self.release_n_in(n, table),
                }
            }

            #[track_caller]
            fn release_handoff(&self, table: Table) {
                match table {
                    None => $name::release_handoff(self),
                    Some(table) => self.release_handoff_in(table),
                }
            }

            fn num_waiters(&self, table: Table) -> usize {
                table.map_or_else(|| $name::num_waiters(self), |table| self.num_waiters_in(table))
            }

            #[cfg(feature = "std")]
            fn blocking_acquire(&self) {
                $name::blocking_acquire(self);
            }
        }
    };
}

word!(Sema);
word!(RawSema);

/// A word, and the table in which its waiters are. Leaked: threads and wakers may use it without keeping it alive.
#[derive(Debug)]
pub(crate) struct Gate<W: 'static> {
    pub(crate) word: &'static W,
    pub(crate) table: Table,
}

impl<W> Clone for Gate<W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Gate<W> {}

/// How a test makes what it tests.
pub(crate) type New<W> = fn(u32) -> Gate<W>;

impl<W: Word> Gate<W> {
    /// With a table of its own.
    pub(crate) fn private(count: u32) -> Self {
        Self { word: Box::leak(Box::new(W::new(count))), table: Some(Box::leak(Box::default())) }
    }

    /// In the table of the process.
    pub(crate) fn global(count: u32) -> Self {
        Self { word: Box::leak(Box::new(W::new(count))), table: None }
    }

    /// So many side by side, with one table.
    pub(crate) fn row(self, n: usize) -> Vec<Self> {
        let words: Vec<W> = (0..n).map(|_| W::new(0)).collect();
        words.leak().iter().map(|word| Self { word, table: self.table }).collect()
    }

    pub(crate) fn count(self) -> u32 {
        self.word.count()
    }

    pub(crate) fn try_acquire(self) -> bool {
        self.word.try_acquire()
    }

    pub(crate) fn acquire(self) -> Acquire<'static, W> {
        self.word.acquire(self.table)
    }

    #[track_caller]
    pub(crate) fn release(self) {
        self.word.release(self.table);
    }

    #[track_caller]
    pub(crate) fn release_n(self, n: u32) -> u32 {
        self.word.release_n(n, self.table)
    }

    #[track_caller]
    pub(crate) fn handoff(self) {
        self.word.release_handoff(self.table);
    }

    pub(crate) fn waiters(self) -> usize {
        self.word.num_waiters(self.table)
    }

    /// Asserts what is there, and how many wait.
    #[track_caller]
    pub(crate) fn has(self, count: u32, waiters: usize) {
        assert_eq!((self.count(), self.waiters()), (count, waiters), "count and waiters");
    }

    /// Gives way until `n` wait. (They are counted under the lock of their bucket, so they have joined.)
    #[cfg(feature = "std")]
    #[track_caller]
    pub(crate) fn until_waiting(self, n: usize) {
        crate::common::thread::until("as many waiters as expected", || self.waiters() == n);
    }
}

/// Runs `$check`, which is generic over the [`Word`], for each word with each kind of table.
macro_rules! each_gate {
    ($check:ident) => {
        each_gate!($check: gatepost::address::Sema);
        each_gate!($check: gatepost::address::RawSema);
    };
    ($check:ident: $word:ty) => {
        println!("{}, a table of its own", <$word as $crate::gate::Word>::NAME);
        $check::<$word>($crate::gate::Gate::private);
        println!("{}, the table of the process", <$word as $crate::gate::Word>::NAME);
        $check::<$word>($crate::gate::Gate::global);
    };
}
