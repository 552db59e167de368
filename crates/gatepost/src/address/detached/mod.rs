//! Waiters that outlive whoever called: something is done when a permit comes.
//!
//! A thread's waiter is on its stack, and a task's is in its future. One that is left behind, so that its caller may go on, has a
//! record of the [`pool`].
//!
//! ```text
//!   pool ──take──▶ the caller's ──link──▶ the queue's ──told, and woken──▶ the releaser's ──▶ pool, and then the call
//!                                            ▲                                │
//!                                            └────────── somebody was faster ─┘
//! ```
//! **V1.** A record belongs to one party at a time, as drawn. To be woken is to own it: its waker is woken once for each time
//! that it is told, and never cloned.
//!
//! **V2.** What is to be done is done by whoever releases, after its lock, and not inside of another such call: a call that
//! releases, and so wakes another, only notes it in its thread's list, which the outermost goes through. So a chain of a
//! million needs no deeper stack than one.

mod pool;

use super::serve::Address;
use super::waiter::Waiter;
use super::word::Word;
use super::{RawSema, Sema, SemaTable};
use crate::sys::atomic::explored::AtomicU32;
use crate::wait::batch::Panics;
use crate::wait::{node, timing};
use core::cell::Cell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::task::{RawWaker, RawWakerVTable, Waker};
use std::boxed::Box;

/// What fits into a record; what is larger gets a box.
type Inline = [usize; 6];

/// See the module head.
struct Record {
    waiter: Waiter,
    /// In a list of those that nobody uses, or of those that are to be resumed.
    next: Cell<Option<NonNull<Record>>>,
    waits: Cell<Option<Waits>>,
    call: Cell<MaybeUninit<Inline>>,
}

/// What a record waits for, and what then.
#[derive(Clone, Copy)]
struct Waits {
    word: NonNull<AtomicU32>,
    table: &'static SemaTable,
    /// Goes on when it has been woken; it knows the kind of the word.
    resume: unsafe fn(NonNull<Record>, Waits),
    /// Takes what is to be done out of the record, gives the record back, and does it.
    finish: unsafe fn(NonNull<Record>),
}

impl Record {
    fn new() -> Self {
        Self {
            waiter: Waiter::new(),
            next: Cell::new(None),
            waits: Cell::new(None),
            call: Cell::new(MaybeUninit::uninit()),
        }
    }
}

/// Calls `then` when it has a permit of `address`, perhaps before this returns.
///
/// # Safety
/// The word lives until `then` is called.
unsafe fn acquire_then<W: Word + 'static, F: FnOnce() + Send + 'static>(address: Address<'static, W>, then: F) {
    let record = pool::take();
    // SAFETY: of the pool, hence the caller's, until it is linked (V1).
    unsafe {
        let record = &mut *record.as_ptr();
        record.waiter = Waiter::new();
        let finish = put_call(&record.call, then);
        record.waits.set(Some(Waits { word: address.word(), table: address.table, resume: resume::<W>, finish }));
    }
    run(record);
}

/// Puts what is to be done into a record; how it is done.
fn put_call<F: FnOnce() + Send + 'static>(slot: &Cell<MaybeUninit<Inline>>, then: F) -> unsafe fn(NonNull<Record>) {
    const fn fits<F>() -> bool {
        size_of::<F>() <= size_of::<Inline>() && align_of::<F>() <= align_of::<Inline>()
    }
    /// # Safety
    /// The record is the caller's, and `put_call` has put an `F` into it.
    unsafe fn finish<F: FnOnce()>(record: NonNull<Record>) {
        // SAFETY: by the caller's promise; it is read once, since the record is given back.
        let then = unsafe {
            let then = record.as_ref().call.as_ptr().cast::<F>().read();
            pool::give_back(record);
            then
        };
        then();
    }
    if fits::<F>() {
        // SAFETY: it fits, and the slot is aligned for it.
        unsafe { slot.as_ptr().cast::<F>().write(then) };
        finish::<F>
    } else {
        let boxed: Box<dyn FnOnce() + Send> = Box::new(then);
        const { assert!(fits::<Box<dyn FnOnce() + Send>>()) };
        // SAFETY: as above.
        unsafe { slot.as_ptr().cast::<Box<dyn FnOnce() + Send>>().write(boxed) };
        finish::<Box<dyn FnOnce() + Send>>
    }
}

/// Joins the queue, or has the permit: then it is resumed in its turn.
///
/// # Safety
/// The record is the caller's, and waits for `address`.
unsafe fn join<W: Word>(record: NonNull<Record>, address: Address<'static, W>) {
    // SAFETY: by the caller's promise, until it is linked.
    unsafe {
        let waiter = &record.as_ref().waiter;
        waiter.node.set_state(node::IDLE);
        waiter.node.begin_wait();
        waiter.node.put_waker(Waker::from_raw(raw(record.as_ptr().cast_const().cast())));
    }
    // SAFETY: as above.
    let waiter = unsafe { NonNull::new_unchecked(&raw mut (*record.as_ptr()).waiter) };
    // SAFETY: idle, with a waker, and pinned in its record, which is not freed while it waits.
    if unsafe { address.join(waiter, true) } == Some(true) {
        return;
    }
    // Not linked: the permit is there, and the record is the caller's still. (Its waker does nothing when it is forgotten.)
    // SAFETY: as above.
    unsafe { record.as_ref() }.waiter.node.set_state(node::GRANTED);
    run(record);
}

/// Goes on with a record that is new, or was woken.
///
/// # Safety
/// The record is the caller's.
unsafe fn resume<W: Word + 'static>(record: NonNull<Record>, waits: Waits) {
    // SAFETY: the word lives until the call, which has not come yet.
    let address = unsafe { Address::<W>::at(waits.word, waits.table) };
    // SAFETY: by the caller's promise.
    let granted = unsafe { record.as_ref() }.waiter.node.state() == node::GRANTED;
    if granted || address.try_take() {
        // SAFETY: as above.
        timing::ended(unsafe { &record.as_ref().waiter.node });
        // SAFETY: as above.
        unsafe { (waits.finish)(record) }
    } else {
        // SAFETY: as above.
        unsafe { join(record, address) }
    }
}

fn raw(record: *const ()) -> RawWaker {
    RawWaker::new(record, &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |_| unreachable!("a detached waiter's waker is woken once, and not cloned (V1)"),
    |record| run(NonNull::new(record.cast_mut().cast()).expect("it was made from a record")),
    |_| unreachable!("a detached waiter's waker is woken by value (V1)"),
    |_| unreachable!("a detached waiter is not taken out but by being told"),
);

/// The records of this thread that are to be resumed (V2), first come first.
struct Turn {
    running: Cell<bool>,
    first: Cell<Option<NonNull<Record>>>,
    last: Cell<Option<NonNull<Record>>>,
}

impl Turn {
    fn push(&self, record: NonNull<Record>) {
        // SAFETY: woken, hence this thread's (V1), and so is all that is in the list.
        unsafe { record.as_ref() }.next.set(None);
        match self.last.replace(Some(record)) {
            // SAFETY: as above.
            Some(last) => unsafe { last.as_ref() }.next.set(Some(record)),
            None => self.first.set(Some(record)),
        }
    }

    fn pop(&self) -> Option<NonNull<Record>> {
        let record = self.first.get()?;
        // SAFETY: as in `push`.
        self.first.set(unsafe { record.as_ref() }.next.take());
        if self.first.get().is_none() {
            self.last.set(None);
        }
        Some(record)
    }
}

/// Resumes a record that is this thread's now, and those that come of it; or leaves it to the call that does so already.
fn run(record: NonNull<Record>) {
    std::thread_local! {
        static TURN: Turn =
            const { Turn { running: Cell::new(false), first: Cell::new(None), last: Cell::new(None) } };
    }
    let resume = |record: NonNull<Record>| {
        // SAFETY: woken, hence this thread's (V1).
        let waits = unsafe { record.as_ref() }.waits.get().expect("it waits for something");
        // SAFETY: as above.
        unsafe { (waits.resume)(record, waits) };
    };
    let in_turn = TURN.try_with(|turn| {
        turn.push(record);
        if turn.running.replace(true) {
            return;
        }
        let mut panics = Panics::new();
        while let Some(next) = turn.pop() {
            panics.catch(|| resume(next));
        }
        turn.running.set(false);
        panics.resume();
    });
    if in_turn.is_err() {
        resume(record); // the thread is going down
    }
}

macro_rules! face {
    ($name:ident) => {
        impl $name {
            /// Takes a permit when there is one, and then calls `then`; does not wait for that. If there is one now, this thread
            /// calls `then`, before this returns (or, if this is called by such a `then` itself, when that is done);
            /// otherwise whoever releases calls it.
            ///
            /// Such waiters queue with tasks and threads. What holds for a waker holds for `then`: no lock is held while it
            /// runs, it may release, and ask for more, and if it panics, the panic goes on to whoever released, when everybody else has been
            /// woken. It must not block: the releaser waits for it, and so may others whose turn comes after it in the same thread.
            ///
            /// # Cost
            /// No allocation in the steady state, if `then` is not larger than six pointers: the waiter comes from a pool.
            ///
            /// # Examples
            /// ```
            #[doc = concat!("use gatepost::address::", stringify!($name), ";")]
            /// use std::sync::atomic::{AtomicBool, Ordering};
            ///
            #[doc = concat!("static SEMA: ", stringify!($name), " = ", stringify!($name), "::new(0);")]
            /// static CALLED: AtomicBool = AtomicBool::new(false);
            ///
            /// SEMA.acquire_then(|| CALLED.store(true, Ordering::Relaxed));
            /// assert!(!CALLED.load(Ordering::Relaxed));
            /// SEMA.release();
            /// assert!(CALLED.load(Ordering::Relaxed));
            /// assert_eq!(SEMA.count(), 0, "the permit is the callback's");
            /// ```
            pub fn acquire_then(&'static self, then: impl FnOnce() + Send + 'static) {
                self.acquire_then_in(SemaTable::global(), then);
            }

            /// The same, waiting in `table`.
            pub fn acquire_then_in(&'static self, table: &'static SemaTable, then: impl FnOnce() + Send + 'static) {
                // SAFETY: it lives for ever.
                unsafe { acquire_then(Address::of(self, table), then) };
            }
        }
    };
}

face!(Sema);
face!(RawSema);

/// Takes one from `*addr` when it is above 0, and then calls `then`; does not wait for that.
/// See [`RawSema::acquire_then`].
///
/// # Safety
/// `addr` is aligned, and points to an `AtomicU32` that lives until `then` is called, and may be used from any thread.
pub unsafe fn semacquire_then(addr: *const core::sync::atomic::AtomicU32, then: impl FnOnce() + Send + 'static) {
    // SAFETY: passed on.
    unsafe { acquire_then(super::raw::at(addr), then) };
}
