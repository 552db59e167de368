//! The hook with the feature `profile`. See the head of [`super`].

use crate::sys::cell::UnsafeCell;
use crate::sys::clock;
use crate::wait::node::{self, Node, State};
use crate::wait::queue::Queue;
use crate::wait::reason::WaitReason;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// What profiles are on. A function is `None` if its profile is off.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// Called by a waiter whose wait is over: how long it was, in nanoseconds.
    pub(crate) block: Option<fn(nanos: u64)>,
    /// Called by a releaser: how many timed waiters it let go, and what it is charged with, in nanoseconds.
    pub(crate) mutex: Option<fn(waiters: u64, nanos: u64)>,
}

#[cfg(not(test))]
mod current {
    use super::Hooks;
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

    static HOOKS: AtomicPtr<Hooks> = AtomicPtr::new(ptr::null_mut());

    /// Switches profiles on or off.
    pub(crate) fn set_hooks(hooks: Option<&'static Hooks>) {
        // Relaxed: a table is a constant, initialised before the program starts.
        HOOKS.store(hooks.map_or(ptr::null_mut(), |hooks| ptr::from_ref(hooks).cast_mut()), Relaxed);
    }

    #[inline(always)]
    pub(super) fn hooks() -> Option<&'static Hooks> {
        // SAFETY: null, or from a `&'static Hooks`, by `set_hooks`.
        unsafe { HOOKS.load(Relaxed).as_ref() }
    }
}

/// In the library's own tests each thread has its own, as it has its own clock: tests run side by side.
#[cfg(test)]
mod current {
    use super::Hooks;
    use std::cell::Cell;

    std::thread_local! {
        static HOOKS: Cell<Option<&'static Hooks>> = const { Cell::new(None) };
    }

    /// Switches profiles on or off, for this thread.
    pub(crate) fn set_hooks(hooks: Option<&'static Hooks>) {
        HOOKS.with(|current| current.set(hooks));
    }

    pub(super) fn hooks() -> Option<&'static Hooks> {
        HOOKS.with(std::cell::Cell::get)
    }
}

use current::hooks;
pub(crate) use current::set_hooks;

/// `timed`: the wait belongs in the block profile.
const BLOCK: u16 = 1;
/// `timed`: the wait belongs in the mutex profile.
const MUTEX: u16 = 2;

/// G35.
const fn profiles_of(reason: WaitReason) -> u16 {
    match reason {
        WaitReason::Semaphore | WaitReason::Mutex | WaitReason::RwLockRead | WaitReason::RwLockWrite => BLOCK | MUTEX,
        WaitReason::Wakeup | WaitReason::WaitGroup | WaitReason::Condvar => BLOCK,
        WaitReason::Internal => 0,
    }
}

/// The times of a node. See the head of the file.
pub(crate) struct Times(UnsafeCell<MaybeUninit<Inner>>);

struct Inner {
    /// The first attempt.
    start: u64,
    /// The last time that somebody decided about the waiter, or woke it to compete; 0 before.
    released: u64,
    /// When it joined the queue, or was woken before it joined again.
    arrival: u64,
    /// The charges of its queue when it joined.
    charges: u64,
    /// Of the front: what the queue's waiters have in common.
    crowd: Crowd,
}

/// The timed waiters of a queue. See the head of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowd {
    count: u64,
    sum: u64,
    /// When somebody was last charged.
    last: u64,
    /// How often that was.
    charges: u64,
}

impl Crowd {
    pub(crate) const EMPTY: Self = Self { count: 0, sum: 0, last: 0, charges: 0 };

    /// T1.
    fn charge(&mut self, now: u64) -> u64 {
        let at_now = self.count.wrapping_mul(now);
        let charged = at_now.wrapping_sub(self.sum);
        *self = Self { count: self.count, sum: at_now, last: now, charges: self.charges.wrapping_add(1) };
        charged
    }

    /// The base of a waiter that has joined.
    fn base_of(&self, arrival: u64, charges: u64) -> u64 {
        if charges == self.charges { arrival } else { self.last }
    }
}

impl Times {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    /// The caller may touch the times (see the head of the file), and they are initialised.
    unsafe fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        // SAFETY: by the caller's promise.
        self.0.with_mut(|inner| f(unsafe { (*inner).assume_init_mut() }))
    }

    /// # Safety
    /// The caller holds the lock, and the node is, or becomes, the front of a queue.
    unsafe fn with_crowd<R>(&self, f: impl FnOnce(*mut Crowd) -> R) -> R {
        // SAFETY: in bounds; nothing is read.
        self.0.with_mut(|inner| f(unsafe { &raw mut (*(*inner).as_mut_ptr()).crowd }))
    }
}

impl Node {
    /// A wait begins, or goes on after it was woken and lost. By the owner, before each time that the node is linked,
    /// and before the lock that this needs.
    #[inline]
    pub(crate) fn begin_wait(&self) {
        if self.timed() != 0 {
            // What it waited before was charged when it was woken.
            // SAFETY: timed, so they are initialised; not linked, so they are the owner's.
            unsafe { self.times().with(|times| times.arrival = times.released.max(times.arrival)) };
        } else if let Some(hooks) = hooks() {
            self.begin_timed(hooks);
        }
    }

    #[cold]
    fn begin_timed(&self, hooks: &Hooks) {
        let on = if hooks.block.is_some() { BLOCK } else { 0 } | if hooks.mutex.is_some() { MUTEX } else { 0 };
        let timed = on & profiles_of(self.reason());
        if timed != 0 {
            let now = clock::nanos();
            let times = Inner { start: now, released: 0, arrival: now, charges: 0, crowd: Crowd::EMPTY };
            self.times().0.with_mut(|slot| {
                // SAFETY: not linked, so they are the owner's.
                unsafe { (*slot).write(times) };
            });
            self.set_timed(timed);
        }
    }
}

/// A wait is over, and its owner takes the outcome: reports it, once, on this stack. Runs the profile's code, so not
/// under a lock.
#[inline(always)]
pub(crate) fn ended(node: &Node) {
    if node.timed() != 0 {
        ended_timed(node);
    }
}

#[cold]
#[inline(never)]
fn ended_timed(node: &Node) {
    // SAFETY: timed, so they are initialised; the wait is over, so they are the owner's.
    let (start, released) = unsafe { node.times().with(|times| (times.start, times.released)) };
    let belongs = node.timed() & BLOCK != 0;
    node.set_timed(0);
    // Not stamped: it was not linked at all, or the profile was off when it was decided.
    if belongs && released != 0 {
        if let Some(block) = hooks().and_then(|hooks| hooks.block) {
            block(released.saturating_sub(start));
        }
    }
}

/// What one hold of a queue's lock does to times: the time of the hold, read at most once, and what it is charged with,
/// to be reported when the lock has been given back.
#[derive(Debug)]
pub(crate) struct Charge {
    /// 0: not read yet.
    now: u64,
    waiters: u64,
    nanos: u64,
}

impl Charge {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self { now: 0, waiters: 0, nanos: 0 }
    }

    /// The time of the hold, unless the profiles have been switched off since the waiter began.
    fn now(&mut self) -> Option<u64> {
        hooks()?;
        if self.now == 0 {
            self.now = clock::nanos();
        }
        Some(self.now)
    }

    /// The holder decides about `node`, or wakes it to compete, and answers for all that its queue has waited; but
    /// not if it closes. Before the node is unlinked, or published.
    ///
    /// # Safety
    /// The caller holds the lock of `queue`, and the node is linked in it.
    #[inline(always)]
    pub(crate) unsafe fn decide(&mut self, queue: &Queue, node: NonNull<Node>, outcome: State) {
        // SAFETY: a linked node is alive.
        if unsafe { node.as_ref() }.timed() != 0 {
            // SAFETY: passed on.
            unsafe { self.decide_timed(queue, node, outcome) };
        }
    }

    /// # Safety
    /// As for [`decide`](Self::decide).
    #[cold]
    unsafe fn decide_timed(&mut self, queue: &Queue, node: NonNull<Node>, outcome: State) {
        // SAFETY: a linked node is alive.
        let node = unsafe { node.as_ref() };
        let Some(now) = self.stamp_timed(node) else { return };
        if outcome == node::CLOSED || node.timed() & MUTEX == 0 {
            return;
        }
        // SAFETY: the lock is held, and it is not empty.
        let front = unsafe { queue.front() }.expect("the node is in it");
        // SAFETY: the lock is held, and a front has a crowd.
        let charged = unsafe { front.as_ref().times().with_crowd(|crowd| (*crowd).charge(now)) };
        // Clocks of other processors may be ahead by a little.
        let charged = if charged <= i64::MAX as u64 { charged } else { 0 };
        self.nanos = self.nanos.wrapping_add(charged);
        self.waiters += 1;
    }

    /// The waiter itself ends its wait, with the lock: nobody is charged.
    #[inline(always)]
    pub(crate) fn stamp(node: &Node) {
        if node.timed() != 0 {
            Self::new().stamp_timed(node);
        }
    }

    #[cold]
    fn stamp_timed(&mut self, node: &Node) -> Option<u64> {
        let now = self.now()?;
        // SAFETY: timed, so they are initialised; by the callers' promises the lock is held.
        unsafe { node.times().with(|times| times.released = now) };
        Some(now)
    }

    /// The hold was that of a close: nobody is charged for it.
    #[inline(always)]
    pub(crate) fn forgive(&mut self) {
        *self = Self::new();
    }

    /// The lock has been given back: reports the charge, on the stack of whoever released. Runs the profile's code.
    #[inline(always)]
    pub(crate) fn report(&mut self) {
        if self.now != 0 {
            self.report_timed();
        }
    }

    #[cold]
    #[inline(never)]
    fn report_timed(&mut self) {
        let Self { waiters, nanos, .. } = core::mem::replace(self, Self::new());
        if waiters > 0 {
            if let Some(mutex) = hooks().and_then(|hooks| hooks.mutex) {
                mutex(waiters, nanos);
            }
        }
    }
}

/// What a queue does to the crowd, which its front carries. All with the queue's lock.
impl Times {
    /// A node joins a queue, whose front (perhaps itself) is `front`.
    ///
    /// # Safety
    /// The caller holds the lock; both are alive, and the front has its crowd.
    #[inline(always)]
    pub(crate) unsafe fn join(node: NonNull<Node>, front: NonNull<Node>) {
        // SAFETY: by the caller's promise.
        let (node, front) = unsafe { (node.as_ref(), front.as_ref()) };
        if node.timed() & MUTEX != 0 {
            // SAFETY: the lock is held; timed, so the times are initialised.
            unsafe {
                let crowd = front.times().with_crowd(|crowd| {
                    (*crowd).count = (*crowd).count.wrapping_add(1);
                    *crowd
                });
                let arrival = node.times().with(|times| {
                    times.charges = crowd.charges;
                    times.arrival
                });
                front.times().with_crowd(|crowd| (*crowd).sum = crowd.read().sum.wrapping_add(arrival));
            }
        }
    }

    /// A node leaves a queue, whose front (perhaps itself) is `front`.
    ///
    /// # Safety
    /// As for [`join`](Self::join).
    #[inline(always)]
    pub(crate) unsafe fn leave(node: NonNull<Node>, front: NonNull<Node>) {
        // SAFETY: by the caller's promise.
        let (node, front) = unsafe { (node.as_ref(), front.as_ref()) };
        if node.timed() & MUTEX != 0 {
            // SAFETY: the lock is held; timed, so the times are initialised.
            unsafe {
                let (arrival, charges) = node.times().with(|times| (times.arrival, times.charges));
                front.times().with_crowd(|crowd| {
                    let before = crowd.read();
                    (*crowd).count = before.count.wrapping_sub(1);
                    (*crowd).sum = before.sum.wrapping_sub(before.base_of(arrival, charges));
                });
            }
        }
    }

    /// The front is another: the crowd is with `to` from here on. `None`: there was none.
    ///
    /// # Safety
    /// The caller holds the lock; both are alive, and `from` has the crowd.
    #[inline(always)]
    pub(crate) unsafe fn hand_on(from: Option<NonNull<Node>>, to: NonNull<Node>) {
        // SAFETY: by the caller's promise.
        unsafe {
            let crowd = from.map_or(Crowd::EMPTY, |from| from.as_ref().times().with_crowd(|crowd| *crowd));
            to.as_ref().times().with_crowd(|to| to.write(crowd));
        }
    }
}
