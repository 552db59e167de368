//! The library without `std`: tasks only, the platform's hooks, and wakers that panic. (The harness has `std`; what is
//! tested has not: `cargo test -p gatepost --no-default-features --test no_std`, and again with `--features alloc`.)
#![cfg(not(feature = "std"))]

use gatepost::platform::{AlreadyInstalled, Platform, install};
use gatepost::{Acquire, Semaphore, TryAcquireError};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

/// What the hooks have seen in one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    entered: u32,
    /// `exit` after `enter`, with what that returned.
    left: u32,
    /// `exit` without `enter`, or with something else.
    wrong: u32,
    relaxed: u32,
}

thread_local! {
    static SEEN: Cell<Seen> = Cell::default();
    /// What `enter` returned, not yet given to `exit`. At most one: the library never locks a queue with another locked.
    static OPEN: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    /// What the next `enter` does, between the library's look at the word and its attempt to lock.
    static INTERFERE: Cell<Option<fn()>> = const { Cell::new(None) };
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// The arguments of `relax`.
    static ATTEMPTS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

fn see(change: impl FnOnce(&mut Seen)) {
    let mut seen = SEEN.get();
    change(&mut seen);
    SEEN.set(seen);
}

/// Set by `relax` in a thread that [`WATCHED`] says so of: it had to wait for a queue's lock.
static RELAXED: AtomicBool = AtomicBool::new(false);

static PLATFORM: Platform = Platform {
    relax: |attempt| {
        see(|seen| seen.relaxed += 1);
        ATTEMPTS.with_borrow_mut(|attempts| attempts.push(attempt));
        if WATCHED.get() {
            RELAXED.store(true, SeqCst);
        }
        std::thread::yield_now();
    },
    enter: || {
        static NEXT: AtomicU32 = AtomicU32::new(1_000);
        let token = NEXT.fetch_add(7, SeqCst);
        if let Some(interfere) = INTERFERE.take() {
            interfere();
        }
        see(|seen| seen.entered += 1);
        OPEN.with_borrow_mut(|open| open.push(token));
        token
    },
    exit: |token| {
        let is_right = OPEN.with_borrow_mut(|open| open.pop() == Some(token) && open.is_empty());
        see(|seen| if is_right { seen.left += 1 } else { seen.wrong += 1 });
    },
};

/// Installs the platform, once for all tests of this process.
fn platform() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| install(&PLATFORM).expect("nobody else installs one"));
}

/// Runs `operation` and returns what this thread's hooks saw meanwhile: as many leave as enter, with the same token.
fn seen<R>(operation: impl FnOnce() -> R) -> (Seen, R) {
    platform();
    SEEN.set(Seen::default());
    ATTEMPTS.take();
    let result = operation();
    let seen = SEEN.take();
    assert_eq!((seen.left, seen.wrong), (seen.entered, 0), "what is entered is left: {seen:?}");
    (seen, result)
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_second_platform_is_refused() {
    platform();
    static ANOTHER: Platform = Platform { relax: |_| (), enter: || 0, exit: |_| () };
    assert_eq!(install(&ANOTHER), Err(AlreadyInstalled));
    assert_eq!(install(&PLATFORM), Err(AlreadyInstalled));
    assert!(AlreadyInstalled.to_string().starts_with("a platform is installed already"));
    // The first is in use still.
    let semaphore = Semaphore::new(0);
    let (seen, _) = seen(|| assert!(poll(pin!(semaphore.acquire())).is_pending()));
    assert!(seen.entered > 0);
}

#[test]
fn where_nobody_waits_the_platform_is_not_called() {
    let semaphore = Semaphore::new(2);
    let (seen, ()) = seen(|| {
        drop(semaphore.try_acquire().expect("free"));
        assert!(poll(pin!(semaphore.acquire_many(2))).is_ready());
        semaphore.add_permits(1);
        assert_eq!(semaphore.forget_permits(1), 1);
        assert_eq!(semaphore.try_acquire_many(3).unwrap_err(), TryAcquireError::NoPermits);
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (2, 0));
        semaphore.close();
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    });
    assert_eq!(seen, Seen::default());
}

#[test]
fn each_hold_of_the_lock_is_entered_and_left() {
    let semaphore = Semaphore::new(0);
    let mut futures: Vec<_> = (0..70).map(|_| Box::pin(semaphore.acquire())).collect();
    let (joining, ()) = seen(|| futures.iter_mut().for_each(|future| assert!(poll(future.as_mut()).is_pending())));
    assert_eq!(joining.entered, 70);
    let (leaving, ()) = seen(|| futures.truncate(69));
    assert_eq!(leaving.entered, 1);
    let (serving, ()) = seen(|| semaphore.add_permits(69));
    assert_eq!(serving.entered, 3, "batches of 32");
    let (completing, ()) = seen(|| {
        for future in &mut futures {
            let Poll::Ready(Ok(permit)) = poll(future.as_mut()) else { panic!("granted") };
            permit.forget();
        }
    });
    assert_eq!(completing, Seen::default());
    futures.clear();
    let mut last = pin!(semaphore.acquire());
    assert!(poll(last.as_mut()).is_pending());
    let (closing, ()) = seen(|| semaphore.close());
    assert_eq!(closing.entered, 1);
    assert!(matches!(poll(last.as_mut()), Poll::Ready(Err(_))));
}

#[test]
fn an_attempt_to_lock_that_fails_is_left_too() {
    static SEMAPHORE: Semaphore = Semaphore::const_new(0);
    // The word changes between the look and the attempt: once more.
    let mut waiting = pin!(SEMAPHORE.acquire_many(2));
    let (attempts, ()) = seen(|| {
        INTERFERE.set(Some(|| SEMAPHORE.add_permits(1)));
        assert!(poll(waiting.as_mut()).is_pending());
    });
    assert_eq!(attempts.entered, 2);
    SEMAPHORE.add_permits(1);
    assert!(poll(waiting.as_mut()).is_ready());
    assert_eq!(SEMAPHORE.forget_permits(2), 2);
    // It has become needless to wait.
    let (attempts, ()) = seen(|| {
        INTERFERE.set(Some(|| SEMAPHORE.add_permits(2)));
        assert!(poll(pin!(SEMAPHORE.acquire_many(2))).is_ready());
    });
    assert_eq!(attempts.entered, 1);
    // There will be nothing to wait for.
    let (attempts, ()) = seen(|| {
        INTERFERE.set(Some(|| SEMAPHORE.close()));
        assert!(matches!(poll(pin!(SEMAPHORE.acquire_many(3))), Poll::Ready(Err(_))));
    });
    assert_eq!(attempts.entered, 1);
}

#[test]
fn tasks_are_served_in_order() {
    let semaphore = Semaphore::new(0);
    let mut futures: Vec<_> = [3, 1, 2, 1].map(|n| Box::pin(semaphore.acquire_many(n))).into();
    let mut permits = Vec::new();
    let mut ready = |futures: &mut [Pin<Box<Acquire<'_>>>], range: std::ops::Range<usize>| {
        for future in &mut futures[range] {
            let Poll::Ready(Ok(permit)) = poll(future.as_mut()) else { panic!("it is its turn") };
            permits.push(permit.num_permits());
            permit.forget();
        }
    };
    for future in &mut futures {
        assert!(poll(future.as_mut()).is_pending());
    }
    semaphore.add_permits(2); // the first needs three, and lets nobody pass
    for future in &mut futures {
        assert!(poll(future.as_mut()).is_pending());
    }
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    semaphore.add_permits(2);
    ready(&mut futures, 0..2);
    assert!(poll(futures[2].as_mut()).is_pending());
    semaphore.add_permits(3);
    ready(&mut futures, 2..4);
    assert_eq!(permits, [3, 1, 2, 1]);
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
}

#[cfg(feature = "alloc")]
#[test]
fn with_alloc_permits_are_owned() {
    let semaphore = Arc::new(Semaphore::new(2));
    let mut polled = gatepost::PollSemaphore::new(semaphore.clone());
    let one = semaphore.clone().try_acquire_owned().expect("free");
    let mut two = Box::pin(semaphore.clone().acquire_many_owned(2));
    assert!(poll(two.as_mut()).is_pending());
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(polled.poll_acquire(cx).is_pending());
    drop(one);
    let Poll::Ready(Ok(two)) = poll(two.as_mut()) else { panic!("it is its turn") };
    assert!(polled.poll_acquire(cx).is_pending());
    drop(two);
    assert!(polled.poll_acquire(cx).is_ready());
    assert_eq!(semaphore.available_permits(), 2);
}

/// Threads that drive tasks, more of them than permits; each has to wait at least once.
fn contend() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 2_000;
    let semaphore = Semaphore::new(2);
    let all = semaphore.try_acquire_many(2).expect("free");
    let in_use = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let n = 1 + round % 2;
                    let permit = futures::executor::block_on(semaphore.acquire_n(n)).expect("open");
                    assert!(in_use.fetch_add(n, SeqCst) + n <= 2);
                    in_use.fetch_sub(n, SeqCst);
                    drop(permit);
                }
                let seen = SEEN.get();
                assert_eq!((seen.left, seen.wrong), (seen.entered, 0));
            });
        }
        while semaphore.num_waiters() < THREADS {
            std::thread::yield_now();
        }
        drop(all);
    });
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (2, 0));
}

#[test]
fn threads_that_drive_tasks_share_a_queue() {
    platform();
    contend();
}

/// In a process of its own, since a platform is installed for good.
#[test]
fn without_a_platform_threads_share_a_queue_too() {
    const ALONE: &str = "GATEPOST_NO_PLATFORM";
    if std::env::var_os(ALONE).is_some() {
        contend();
        static FIRST: Platform = Platform { relax: |_| (), enter: || 0, exit: |_| () };
        return assert_eq!(install(&FIRST), Ok(()), "none was installed");
    }
    let this = std::env::current_exe().expect("a test has an executable");
    let output = Command::new(this)
        .args(["without_a_platform_threads_share_a_queue_too", "--exact", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .expect("a test's executable can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// The lock is held here for as long as a test likes, though the library runs no code of a user's under it: the node at
/// the back of the queue lies in a page that nobody may touch, so that whoever links another behind it, with the lock
/// held, ends up in a signal handler, which waits.
#[cfg(target_os = "linux")]
mod with_the_lock_held {
    use super::*;
    use std::ffi::c_int;
    use std::ptr;

    const PAGE: usize = 1 << 16; // no system's pages are larger

    /// The page that stops whoever touches it, or 0.
    static TRAP: AtomicUsize = AtomicUsize::new(0);
    /// Somebody has been stopped.
    static STOPPED: AtomicBool = AtomicBool::new(false);

    /// It was for too long.
    static GAVE_UP: AtomicBool = AtomicBool::new(false);

    /// Seconds since some time.
    fn now() -> libc::time_t {
        // SAFETY: plain numbers, which the kernel fills in.
        unsafe {
            let mut now: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
            now.tv_sec
        }
    }

    /// Waits for `RELAXED`, and opens the page. Calls nothing but the kernel.
    extern "C" fn on_fault(_: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let trap = TRAP.load(SeqCst);
        // SAFETY: the kernel passes what it says about a fault; the page is mapped for as long as it is the trap.
        unsafe {
            if trap == 0 || (*info).si_addr().addr().wrapping_sub(trap) >= PAGE {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL); // a true fault: meet it again, for good
                return;
            }
            STOPPED.store(true, SeqCst);
            let start = now();
            while !RELAXED.load(SeqCst) && !GAVE_UP.load(SeqCst) {
                // So that a library which never relaxes fails, and does not hang.
                GAVE_UP.store(now() - start > 20, SeqCst);
                libc::sched_yield();
            }
            libc::mprotect(ptr::with_exposed_provenance_mut(trap), PAGE, libc::PROT_READ | libc::PROT_WRITE);
        }
    }

    /// A future in a page of its own.
    struct Trap<'a>(*mut Acquire<'a>);

    impl<'a> Trap<'a> {
        fn new(future: Acquire<'a>) -> Self {
            // SAFETY: asks for a new page, and fills it.
            unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let page = libc::mmap(ptr::null_mut(), PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
                assert_ne!(page, libc::MAP_FAILED);
                let place = page.cast::<Acquire<'a>>();
                place.write(future);
                Self(place)
            }
        }

        fn poll(&mut self) -> Poll<<Acquire<'a> as Future>::Output> {
            // SAFETY: it stays in its page until it is dropped there.
            poll(unsafe { Pin::new_unchecked(&mut *self.0) })
        }

        /// From here on whoever touches it is stopped.
        fn set(&self) {
            RELAXED.store(false, SeqCst);
            TRAP.store(self.0.expose_provenance(), SeqCst);
            // SAFETY: the page is this object's; the handler is there before anybody can be stopped.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction =
                    on_fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) as usize;
                action.sa_flags = libc::SA_SIGINFO;
                assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
                assert_eq!(libc::mprotect(self.0.cast(), PAGE, libc::PROT_NONE), 0);
            }
        }
    }

    impl Drop for Trap<'_> {
        fn drop(&mut self) {
            TRAP.store(0, SeqCst);
            // SAFETY: opened, dropped once, and given back.
            unsafe {
                libc::mprotect(self.0.cast(), PAGE, libc::PROT_READ | libc::PROT_WRITE);
                self.0.drop_in_place();
                libc::munmap(self.0.cast(), PAGE);
            }
        }
    }

    #[test]
    fn who_needs_the_lock_relaxes_and_who_releases_does_not_wait() {
        let semaphore = Semaphore::new(0);
        let mut front = Trap::new(semaphore.acquire_many(2));
        assert!(front.poll().is_pending());
        front.set();
        WATCHED.set(true);
        let mut next = Box::pin(semaphore.acquire());
        let mut last = Box::pin(semaphore.acquire());
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| seen(|| assert!(poll(next.as_mut()).is_pending())));
            while !STOPPED.load(SeqCst) {
                std::thread::yield_now();
            }

            // The queue is locked, and stays so until somebody relaxes. These do not.
            let (nothing, ()) = seen(|| {
                semaphore.add_permits(1);
                assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: <locked>, waiters: 1, closed: false }");
                assert_eq!(semaphore.try_acquire_many(2).unwrap_err(), TryAcquireError::NoPermits);
                assert!(poll(pin!(semaphore.acquire_many(0))).is_ready());
                assert!(!semaphore.is_closed());
            });
            assert_eq!(nothing, Seen::default());
            assert!(!RELAXED.load(SeqCst));

            let (waited, ()) = seen(|| assert!(poll(last.as_mut()).is_pending()));
            assert!(waited.relaxed > 0, "it took a lock that is held");
            let attempts = ATTEMPTS.take();
            assert!(attempts.iter().copied().eq(0..waited.relaxed), "turns are counted: {attempts:?}");
            let (held, ()) = holder.join().expect("it has not panicked");
            assert!(!GAVE_UP.load(SeqCst));
            assert_eq!((held.entered, held.relaxed), (1, 0));
        });

        // The order is that in which the lock was taken.
        assert_eq!(semaphore.num_waiters(), 3);
        semaphore.add_permits(2);
        assert!(poll(last.as_mut()).is_pending());
        let Poll::Ready(Ok(permit)) = poll(next.as_mut()) else { panic!("it is its turn") };
        drop(permit);
        assert!(poll(last.as_mut()).is_ready());
        assert!(front.poll().is_ready());
        drop(front);
        assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (3, 0));
    }
}

/// A waker that says that it was woken, and may panic.
struct Task {
    woken: AtomicUsize,
    panics: bool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, SeqCst);
        if self.panics {
            resume_unwind(Box::new("a waker's panic")); // as `panic!`, but says nothing
        }
    }
}

const WAITERS: usize = 100;

/// A hundred who wait for one permit each, the fifth of whom has a waker that panics.
struct Crowd<'a> {
    futures: Vec<Pin<Box<Acquire<'a>>>>,
    tasks: Vec<Arc<Task>>,
}

impl<'a> Crowd<'a> {
    fn of(semaphore: &'a Semaphore) -> Self {
        let mut futures: Vec<_> = (0..WAITERS).map(|_| Box::pin(semaphore.acquire())).collect();
        let tasks: Vec<_> =
            (1..=WAITERS).map(|n| Arc::new(Task { woken: AtomicUsize::new(0), panics: n == 5 })).collect();
        for (future, task) in futures.iter_mut().zip(&tasks) {
            let waker = task.clone().into();
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        Self { futures, tasks }
    }

    /// Runs what wakes them: it panics, and wakes each of them once.
    fn is_woken_by(&mut self, what: &str, wake: impl FnOnce()) -> Vec<Result<(), ()>> {
        let (_, result) = seen(|| catch_unwind(AssertUnwindSafe(wake)));
        let panic = result.expect_err("the waker's panic goes on");
        assert_eq!(panic.downcast_ref(), Some(&"a waker's panic"), "{what}");
        let woken: Vec<_> = self.tasks.iter().map(|task| task.woken.load(SeqCst)).collect();
        assert_eq!(woken, [1; WAITERS], "{what}");
        let mut outcomes = Vec::new();
        for future in &mut self.futures {
            let Poll::Ready(outcome) = poll(future.as_mut()) else { panic!("{what}: one was woken for nothing") };
            outcomes.push(outcome.map(|permit| permit.forget()).map_err(drop));
        }
        outcomes
    }
}

#[test]
fn of_a_hundred_waiters_all_are_woken_though_the_fifth_waker_panics() {
    let semaphore = Semaphore::new(0);
    let granted = vec![Ok(()); WAITERS];
    let mut crowd = Crowd::of(&semaphore);
    assert_eq!(crowd.is_woken_by("add_permits", || semaphore.add_permits(WAITERS)), granted);

    semaphore.add_permits(WAITERS);
    let held = semaphore.try_acquire_n(WAITERS).expect("free");
    let mut crowd = Crowd::of(&semaphore);
    assert_eq!(crowd.is_woken_by("the drop of a permit", || drop(held)), granted);

    let mut front = Some(Box::pin(semaphore.acquire_n(WAITERS + 1)));
    assert!(poll(front.as_mut().expect("there").as_mut()).is_pending());
    let mut crowd = Crowd::of(&semaphore);
    semaphore.add_permits(WAITERS); // too few for the front
    assert_eq!(crowd.is_woken_by("the cancellation of the front", || front = None), granted);

    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (0, 0));
    let mut crowd = Crowd::of(&semaphore);
    assert_eq!(crowd.is_woken_by("close", || semaphore.close()), [Err(()); WAITERS]);
    assert!(semaphore.is_closed() && semaphore.num_waiters() == 0);
}

#[test]
fn after_a_waker_panicked_others_are_served() {
    let semaphore = Semaphore::new(0);
    let mut crowd = Crowd::of(&semaphore);
    let mut later = pin!(semaphore.acquire_many(7));
    assert!(poll(later.as_mut()).is_pending());
    crowd.is_woken_by("add_permits", || semaphore.add_permits(WAITERS + 6));
    assert!(poll(later.as_mut()).is_pending());
    semaphore.add_permits(1);
    let Poll::Ready(Ok(permit)) = poll(later.as_mut()) else { panic!("it is its turn") };
    drop(permit);
    assert_eq!((semaphore.available_permits(), semaphore.num_waiters()), (7, 0));
}

/// A waker whose clone is made while a permit comes back, and whose clone panics when it is dropped.
#[test]
fn a_waker_that_panics_when_dropped_takes_no_permit_with_it() {
    static SEMAPHORE: Semaphore = Semaphore::const_new(0);
    static VTABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            SEMAPHORE.add_permits(1);
            RawWaker::new(std::ptr::null(), &CLONE)
        },
        |_| (),
        |_| (),
        |_| (),
    );
    static CLONE: RawWakerVTable = RawWakerVTable::new(
        |_| RawWaker::new(std::ptr::null(), &CLONE),
        |_| (),
        |_| (),
        |_| resume_unwind(Box::new("a waker's panic")),
    );
    // SAFETY: the functions look at nothing.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
    let mut acquire = Box::pin(SEMAPHORE.acquire());
    let (_, result) =
        seen(|| catch_unwind(AssertUnwindSafe(|| acquire.as_mut().poll(&mut Context::from_waker(&waker)).map(drop))));
    if result.is_err() {
        drop(acquire);
    }
    assert_eq!((SEMAPHORE.available_permits(), SEMAPHORE.num_waiters()), (1, 0));
}
