//! What a kernel tells this module, and what it is told.

use super::thread::Thread;
use super::wait::Deadline;

/// The ground that [`kernel`](super) stands on: a scheduler, a clock, and blocks for threads.
///
/// To port the module to a kernel is to implement this trait, once, in a static. Three implementations are here to
/// look at: [`Recording`](super::Recording) writes down what it is told, [`simulated`](super::simulated) is a whole machine with
/// virtual processors and a virtual clock, [`Native`](super::Native) are the threads of the process.
///
/// # The lock
/// Everything that is not a fast path happens under one lock, a [`Kernel`](super::Kernel)'s own. It is taken with what
/// [`gatepost::platform`](crate::platform) installs, so that a kernel may forbid preemption meanwhile (and interrupts, if their handlers
/// post). It is held for a number of steps that depends on the length of a chain of owners, and on the logarithm of the number of waiters.
///
/// | function | called by | with the lock | may block | may call back |
/// |---|---|:-:|:-:|:-:|
/// | [`current`](Self::current) | a thread that waits | no | no | no |
/// | [`now`](Self::now) | a thread that waits, a timer | yes | no | no |
/// | [`finish_time`](Self::finish_time) | whoever blocks, or changes a weight | yes | no | no |
/// | [`effective_changed`](Self::effective_changed) | whoever blocks, wakes, or changes a weight | yes | no | no |
/// | [`wake`](Self::wake) | whoever wakes | yes | no | no |
/// | [`block`](Self::block) | the thread that waits | no | it is what it is for | [`Thread::expire`] |
/// | [`unblock`](Self::unblock) | whoever wakes | no | no | yes |
/// | [`settled`](Self::settled) | whoever has woken, or changed a weight or an owner | no | no | [`Thread::effective_weight`], [`Thread::base_weight`] |
///
/// Whatever posts, kills, suspends, resumes or expires may do so in any context that may take the lock: in an interrupt handler only if
/// interrupts are forbidden while it is held.
///
/// # Safety
/// [`current`](Self::current) says which thread calls: while a block is one thread's, it is no other's. No function that is called with the
/// lock may unwind, nor [`block`](Self::block): a thread would be left in a queue that is gone. (To call back with the lock held is no more than a
/// deadlock.)
pub unsafe trait Platform: Sized + Sync + 'static {
    /// What the platform keeps in a thread's block.
    type Thread: Send + Sync + 'static;

    /// By what a thread is made to run again. Taken while the thread is known to be there, used when it may be gone.
    type Wake: Copy;

    /// The block of the thread that calls.
    fn current(&self) -> &'static Thread<Self>;

    /// The monotonic clock, in nanoseconds.
    fn now(&self) -> u64;

    /// Lets the calling thread sleep until [`unblock`](Self::unblock) is called with its [`wake`](Self::wake), which may have happened
    /// already. If `deadline` comes first, calls [`Thread::expire`] between [`Deadline::when`] and [`Deadline::latest`], and goes on: that
    /// has the thread unblocked, or somebody else has. To return early is allowed: the caller looks again.
    ///
    /// # Safety
    /// `thread` is the caller.
    unsafe fn block(&self, thread: &'static Thread<Self>, deadline: Deadline);

    /// How `thread`, which is blocked, will be made to run again.
    fn wake(&self, thread: &'static Thread<Self>) -> Self::Wake;

    /// Makes a thread run again whose outcome is decided.
    fn unblock(&self, wake: Self::Wake, how: Unblock);

    /// A thread's weight is another now: its own and what it inherits. Called for each thread of a chain, from the waiter to
    /// the last owner. The scheduler should take it into account at once; if it cannot, inheritance is not in effect.
    ///
    /// # Safety
    /// The kernel's lock is held.
    unsafe fn effective_changed(&self, thread: &'static Thread<Self>, effective: u64);

    /// The calling thread has made a step that may have changed weights, its own among them: it has given the lock back, and woken
    /// whom it wakes. A scheduler that would preempt a thread as soon as it weighs less, the lock held or not, lowers the calling thread
    /// here, and not in [`effective_changed`](Self::effective_changed): otherwise whom it was about to wake would wait for whoever preempted it.
    fn settled(&self) {}

    /// What decides when a thread is woken: the smallest first, among equals who came first. In Zircon the time by which its
    /// scheduler would have the thread done. Asked when a thread blocks in a queue that is ordered so, and again when its
    /// weight changes, or [`Thread::reorder`] is called.
    ///
    /// # Safety
    /// The kernel's lock is held.
    unsafe fn finish_time(&self, thread: &'static Thread<Self>, effective: u64) -> u64 {
        let _ = (thread, effective);
        0 // all the same: first come, first served
    }
}

/// How a thread is made to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblock {
    /// The scheduler decides who runs.
    Normal,
    /// Whoever wakes keeps its processor until it blocks itself, and the woken thread is to run on it then (Z25).
    Synchronous,
}
