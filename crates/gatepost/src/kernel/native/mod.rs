//! The threads of this process as a kernel's threads.
//!
//! | room | what it has |
//! |---|---|
//! | here | the platform: clock, sleep, wake-up, finish times |
//! | `thread` | a thread's block from its first wait to its end; what ends a wait from a signal handler |
//! | `inherit` | who inherits is scheduled so by the system |
//!
//! # Sleep
//! A thread sleeps on the parker in its block, and looks again whenever that returns: at its outcome ([`Thread::sleep`]), then at
//! whether it was interrupted, then at the clock. So a token that was meant for an earlier wait, or for an earlier thread of the block,
//! costs a look.
//!
//! # What a real-time program should know
//! The kernel's lock is an ordinary lock: who holds it may be preempted, and does not inherit from those who want it. It is held
//! for a few hundred instructions, and system calls where somebody is raised; only paths that block or wake come to it.

mod inherit;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod thread;

use super::Kernel;
use super::mutex::Mutex;
use super::owned::OwnedWaitQueue;
use super::platform::{Platform, Unblock};
use super::semaphore::Semaphore;
use super::thread::Thread;
use super::wait::Deadline;
use super::{Count, WakeOrder};
use crate::sys::cell::UnsafeCell;
use crate::sys::signal;
use core::mem;
use inherit::Inheriting;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub use inherit::{Inheritance, Scale};
pub use thread::NativeThread;

/// The [`Platform`] of an ordinary program: its threads, asleep on futexes, and the monotonic clock, which begins with the
/// first use.
///
/// # Wake order
/// In a queue [by finish time](WakeOrder::ByFinishTime), those who have been given [one](Thread::set_finish_time) come first; the others
/// by effective weight, the heaviest first (as POSIX has it for priorities). Among equals who came first. A thread weighs 1 unless it is
/// [given](Thread::set_base_weight) another weight: so without either, first come, first served.
///
/// [`Unblock::Synchronous`] is [`Unblock::Normal`] here: no system offers a program what it asks for.
///
/// # Inheritance
/// Weights are always inherited, and decide the order of wake-ups. That the *system* schedules a thread by what it inherits has to
/// be asked for: [`Native::inherit`].
#[derive(Debug)]
pub struct Native {
    /// Guarded by the kernel's lock.
    inheriting: UnsafeCell<Inheriting>,
}

// SAFETY: `inheriting` is guarded by the kernel's lock.
unsafe impl Sync for Native {}

static KERNEL: Kernel<Native> = Kernel::new(Native { inheriting: UnsafeCell::new(Inheriting::OFF) });

impl Native {
    /// The kernel of the process.
    pub fn kernel() -> &'static Kernel<Self> {
        &KERNEL
    }

    /// The block of this thread: what others kill, suspend, resume and interrupt it by, and make it an owner.
    ///
    /// It is this thread's for ever: after its end, who still has it reaches nobody. So it is not used for another thread, as the blocks
    /// of threads are that have not called this: a few hundred bytes for each thread that has.
    ///
    /// # Examples
    /// ```
    /// use gatepost::kernel::{Deadline, Native, Semaphore, WaitFailure};
    ///
    /// static NEVER: Semaphore<Native> = Semaphore::new(0);
    ///
    /// let (send, receive) = std::sync::mpsc::channel();
    /// let waiting = std::thread::spawn(move || {
    ///     send.send(Native::current_thread()).unwrap();
    ///     NEVER.wait(Deadline::INFINITE)
    /// });
    /// receive.recv()?.kill();
    /// assert_eq!(waiting.join().unwrap(), Err(WaitFailure::Killed));
    /// # Ok::<(), std::sync::mpsc::RecvError>(())
    /// ```
    pub fn current_thread() -> &'static Thread<Self> {
        let thread = KERNEL.platform().current();
        thread.platform().set_named();
        thread
    }

    /// From now on a thread that inherits is scheduled so by the system, as `scale` says, until what it inherits has been withdrawn; it is
    /// scheduled then as it was before. Whether that is so is said at once, and by [`inheritance`](Self::inheritance) at any time.
    ///
    /// What a thread inherits already counts from its next change on. A thread that changes its own scheduling while it inherits is set
    /// back to what it was. A process that forks without executing another program has to leave this off: it would raise the threads
    /// of its parent. Threads and processes that are started by a thread while it inherits begin, and stay, as it is scheduled then:
    /// start none with such a lock held.
    ///
    /// # Cost
    /// Whoever begins to wait for a thread, or stops, makes up to two system calls for each thread of the chain.
    ///
    /// # Examples
    /// ```
    /// use gatepost::kernel::{Inheritance, Native, Scale};
    ///
    /// // Weights from 100 on belong to threads of real-time priority 10, and so on; below that are ordinary threads.
    /// static SCALE: Scale = Scale::real_time(&[(100, 10), (10_000, 20), (1_000_000, 30)]);
    ///
    /// match Native::inherit(SCALE) {
    ///     Inheritance::InEffect => println!("who holds up an urgent thread is urgent itself"),
    ///     not => println!("beware of priority inversion: {not}"),
    /// }
    /// ```
    pub fn inherit(scale: Scale) -> Inheritance {
        // In a thread of its own, which may have its scheduling changed as if it were raised.
        let permitted = Inheriting::probe(scale);
        Self::with_inheriting(|inheriting| {
            *inheriting = Inheriting::with(scale, permitted);
            permitted
        })
    }

    /// Nobody is raised any more from now on. Who is raised already is set back when what it inherits has been withdrawn.
    pub fn inherit_no_more() {
        Self::with_inheriting(|inheriting| *inheriting = Inheriting::OFF);
    }

    /// Whether threads that inherit are scheduled so by the system.
    pub fn inheritance() -> Inheritance {
        Self::with_inheriting(|inheriting| inheriting.status())
    }

    fn with_inheriting<R>(f: impl FnOnce(&mut Inheriting) -> R) -> R {
        let _lock = KERNEL.lock();
        // SAFETY: the lock is held.
        KERNEL.platform().inheriting.with_mut(|inheriting| f(unsafe { &mut *inheriting }))
    }

    /// From now on the signal `signo` [interrupts](NativeThread::interrupt) the thread that it is delivered to, as POSIX has it for
    /// `sem_wait` (`EINTR`). Signals for the process are delivered to any of its threads: use `pthread_kill`, or block the signal in others.
    ///
    /// Other system calls go on when they were interrupted by it (`SA_RESTART`). A thread is known from its first wait that blocked, or
    /// from [`current_thread`](Self::current_thread): a signal that comes before is lost.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the signal has a handler, which may call
    /// [`NativeThread::interrupt`] itself; [`Unsupported`](io::ErrorKind::Unsupported) where a thread cannot be woken in a handler;
    /// otherwise what the system says.
    pub fn interrupt_on_signal(signo: i32) -> io::Result<()> {
        extern "C" fn handler(_signo: i32) {
            thread::interrupt_current();
        }
        signal::handle(signo, handler)
    }

    /// # Safety
    /// The kernel's lock is held.
    unsafe fn follow(&self, thread: &'static Thread<Self>, effective: u64) {
        // SAFETY: by the caller's promise.
        unsafe {
            let base = thread.guarded(|guarded| guarded.base);
            self.inheriting.with_mut(|inheriting| {
                thread.platform().guarded(|guarded| (*inheriting).follow(&mut guarded.scheduled, base, effective));
            });
        }
    }

    fn start() -> Instant {
        static START: OnceLock<Instant> = OnceLock::new();
        *START.get_or_init(Instant::now)
    }
}

impl Deadline {
    /// In `timeout` from now, on the clock of [`Native`]. One that the clock cannot show is [`INFINITE`](Self::INFINITE).
    pub fn after(timeout: Duration) -> Self {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self::at(KERNEL.platform().now().saturating_add(timeout))
    }
}

impl Thread<Native> {
    /// The time by which this thread would be done, or, as at first, none: see [`Native`]. If it is blocked, it gets the place in its queue
    /// that this asks for (Z24).
    ///
    /// # Examples
    /// ```
    /// use gatepost::kernel::Native;
    ///
    /// Native::current_thread().set_finish_time(Some(20_000));
    /// ```
    pub fn set_finish_time(&'static self, finish: Option<u64>) {
        let _lock = KERNEL.lock();
        // SAFETY: the lock is held.
        unsafe {
            self.platform().guarded(|guarded| guarded.finish = finish);
            super::queue::WaitQueue::reorder(self);
        }
    }
}

// SAFETY: a block is its thread's until that has ended; what is called with the lock, and `block`, do not unwind.
unsafe impl Platform for Native {
    type Thread = NativeThread;
    type Wake = &'static NativeThread;

    fn current(&self) -> &'static Thread<Self> {
        thread::current()
    }

    fn now(&self) -> u64 {
        u64::try_from(Self::start().elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    unsafe fn block(&self, thread: &'static Thread<Self>, deadline: Deadline) {
        self.settled(); // it may have given a queue away as it blocked
        if thread.platform().ends_interrupted(thread) {
            return;
        }
        let moment = |when| Self::start().checked_add(Duration::from_nanos(when)); // none: no clock will ever show it
        thread.platform().park(if deadline.is_infinite() { None } else { moment(deadline.when()) });
        if deadline.has_come(self.now()) {
            thread.expire();
        }
    }

    fn wake(&self, thread: &'static Thread<Self>) -> &'static NativeThread {
        thread.platform()
    }

    fn unblock(&self, thread: &'static NativeThread, _how: Unblock) {
        thread.unpark();
    }

    unsafe fn effective_changed(&self, thread: &'static Thread<Self>, effective: u64) {
        // SAFETY: the caller holds the lock.
        unsafe {
            let lowered =
                thread.platform().guarded(|guarded| effective < mem::replace(&mut guarded.effective, effective));
            if lowered && thread::is_current(thread) {
                thread.platform().set_lowered(); // H3
            } else {
                self.follow(thread, effective);
            }
        }
    }

    fn settled(&self) {
        if let Some(thread) = thread::lowered() {
            let _lock = KERNEL.lock();
            // SAFETY: the lock is held.
            unsafe { self.follow(thread, thread.effective()) };
        }
    }

    unsafe fn finish_time(&self, thread: &'static Thread<Self>, effective: u64) -> u64 {
        // SAFETY: the caller holds the lock.
        let finish = unsafe { thread.platform().guarded(|guarded| guarded.finish) };
        finish.unwrap_or(u64::MAX - effective)
    }
}

impl Semaphore<Native> {
    /// A semaphore for the threads of this process.
    pub const fn new(count: Count) -> Self {
        Self::new_in(&KERNEL, count, WakeOrder::ByFinishTime)
    }
}

impl Default for Semaphore<Native> {
    /// A count of 0.
    fn default() -> Self {
        Self::new(0)
    }
}

impl OwnedWaitQueue<Native> {
    /// A queue for the threads of this process.
    pub const fn new() -> Self {
        Self::new_in(&KERNEL, WakeOrder::ByFinishTime)
    }
}

impl Default for OwnedWaitQueue<Native> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Mutex<T, Native> {
    /// A lock for the threads of this process.
    pub const fn new(value: T) -> Self {
        Self::new_in(&KERNEL, value, WakeOrder::ByFinishTime)
    }
}

impl<T: Default> Default for Mutex<T, Native> {
    fn default() -> Self {
        Self::new(T::default())
    }
}
