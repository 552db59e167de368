//! What the shipped fast paths cost, counted and not timed: in the code as the compiler made it, `Arc` and `std` included,
//! each instruction is stepped over and looked at ([`ruler`]). One atomic operation more, anywhere, fails a row.
//!
//! | counted | what |
//! |---|---|
//! | locked | atomic read-modify-writes: instructions with a `lock` prefix, and `xchg` with memory |
//! | fences | `mfence`, `lfence`, `sfence`, and the locked no-op on the stack that stands for one |
//! | syscalls | calls of the kernel |
//! | allocator | calls of the global allocator, to free included |
//! | instructions | all of them; held to a bound in optimized builds, and printed |
//!
//! `cargo test --release -p gatepost --test cost -- --nocapture` prints the table. Stepping needs Linux on x86-64; sizes
//! and allocations are checked everywhere.

#[path = "cost/allocations.rs"]
mod allocations;

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "cost/decode.rs"]
mod decode;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "cost/ruler.rs"]
mod ruler;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
#[path = "cost/table.rs"]
mod table;

use gatepost::{Acquire, Semaphore};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
#[test]
fn fast_paths_cost_what_the_design_says() {
    println!("nothing is counted here: stepping needs Linux on x86-64");
}

/// Of a 64-bit processor, without what the spans of the feature `tracing` and the times of `profile` add.
#[cfg(all(target_pointer_width = "64", not(any(feature = "tracing", feature = "profile"))))]
#[test]
fn sizes_are_those_in_the_documentation() {
    use gatepost::SemaphorePermit;
    assert_eq!(size_of::<Semaphore>(), 32);
    assert_eq!(size_of::<Acquire<'_>>(), 56);
    assert_eq!(size_of::<gatepost::address::Sema>(), 4);
    assert_eq!(size_of::<gatepost::address::RawSema>(), 4);
    assert!(size_of::<gatepost::address::Acquire<'_>>() <= 144);
    assert_eq!(size_of::<SemaphorePermit<'_>>(), 16);
    assert_eq!(size_of::<Option<SemaphorePermit<'_>>>(), 16);
    #[cfg(feature = "alloc")]
    {
        use gatepost::{AcquireOwned, OwnedSemaphorePermit};
        assert_eq!(size_of::<AcquireOwned>(), 56);
        assert_eq!(size_of::<OwnedSemaphorePermit>(), 16);
        assert_eq!(size_of::<Option<OwnedSemaphorePermit>>(), 16);
    }
}

/// Polls for a task that nobody has to wake.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Calls of the allocator by `operation`, whose result is dropped within.
fn allocator_calls<R>(operation: impl FnOnce() -> R) -> u64 {
    let before = allocations::calls();
    drop(operation());
    allocations::calls() - before
}

#[test]
fn the_allocator_is_counted() {
    assert_eq!(allocator_calls(|| black_box(Box::new(1))), 2);
    assert_eq!(allocator_calls(|| 1), 0);
}

/// The first use of a thread-local or of a callsite may allocate, so each operation goes once before it counts.
fn allocates_nothing<R>(what: &str, mut operation: impl FnMut() -> R) {
    drop(operation());
    assert_eq!(allocator_calls(operation), 0, "{what} calls the allocator");
}

#[test]
fn tasks_allocate_nothing() {
    let semaphore = Semaphore::new(8);
    allocates_nothing("a semaphore", || Semaphore::new(8));
    allocates_nothing("try_acquire", || semaphore.try_acquire().map(drop));
    allocates_nothing("a failing try_acquire", || semaphore.try_acquire_many(9).map(drop));
    allocates_nothing("acquire", || poll(pin!(semaphore.acquire())).map(drop));
    allocates_nothing("acquire_many", || poll(pin!(semaphore.acquire_many(8))).map(drop));
    allocates_nothing("split and merge", || {
        let mut all = semaphore.try_acquire_many(8).expect("they are free");
        let part = all.split(3).expect("it has eight");
        all.merge(part);
    });
    let mut futures: Vec<Pin<Box<Acquire<'_>>>> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
    allocates_nothing("a queue of a hundred, half of them cancelled, the others served", || {
        let held = semaphore.try_acquire_many(8).expect("they are free");
        for future in &mut futures {
            future.set(semaphore.acquire());
            assert!(poll(future.as_mut()).is_pending());
        }
        for future in futures.iter_mut().step_by(2) {
            future.set(semaphore.acquire()); // drops the one that waits
        }
        drop(held);
        for future in futures.iter_mut().skip(1).step_by(2) {
            assert!(poll(future.as_mut()).is_ready());
        }
    });
    allocates_nothing("closing", || {
        let closing = Semaphore::new(0);
        let mut waiting = pin!(closing.acquire());
        assert!(poll(waiting.as_mut()).is_pending());
        closing.close();
        assert!(poll(waiting.as_mut()).is_ready());
    });
}

#[cfg(feature = "alloc")]
#[test]
fn owned_forms_allocate_nothing() {
    use gatepost::PollSemaphore;
    use std::sync::Arc;

    let semaphore = Arc::new(Semaphore::new(8));
    allocates_nothing("try_acquire_owned", || semaphore.clone().try_acquire_owned().map(drop));
    allocates_nothing("acquire_owned", || poll(pin!(semaphore.clone().acquire_owned())).map(drop));
    let mut polled = PollSemaphore::new(semaphore.clone());
    let mut poll_semaphore = || polled.poll_acquire(&mut Context::from_waker(Waker::noop()));
    allocates_nothing("poll_acquire", || assert!(poll_semaphore().is_ready()));
    let held = semaphore.try_acquire_many(8).expect("they are free");
    assert!(poll_semaphore().is_pending()); // allocates, once
    drop(held);
    assert!(poll_semaphore().is_ready());
    allocates_nothing("poll_acquire that waits again", || {
        let held = semaphore.try_acquire_many(8).expect("they are free");
        assert!(poll_semaphore().is_pending());
        drop(held);
        assert!(poll_semaphore().is_ready());
    });
}

/// The first hundred make the table grow, which allocates.
#[test]
fn g34_tasks_at_addresses_allocate_nothing() {
    use gatepost::address::Sema;
    let semas: Vec<Sema> = (0..100).map(|_| Sema::new(0)).collect();
    let mut futures: Vec<_> = semas.iter().map(|sema| Box::pin(sema.acquire())).collect();
    allocates_nothing("a hundred addresses, half of them left, the others served", || {
        for (sema, future) in semas.iter().zip(&mut futures) {
            future.set(sema.acquire());
            assert!(poll(future.as_mut()).is_pending());
        }
        for (sema, future) in semas.iter().zip(&mut futures).step_by(2) {
            future.set(sema.acquire()); // drops the one that waits
        }
        for (sema, future) in semas.iter().zip(&mut futures).skip(1).step_by(2) {
            sema.release();
            assert!(poll(future.as_mut()).is_ready());
        }
    });
}

#[cfg(feature = "std")]
#[test]
fn g34_detached_waiters_that_have_waited_before_allocate_nothing() {
    use gatepost::address::Sema;
    static SEMA: Sema = Sema::new(0);
    allocates_nothing("as many as a thread keeps", || {
        for _ in 0..100 {
            SEMA.acquire_then(|| ());
        }
        SEMA.release_n(100);
    });
}

/// Where a thread sleeps in the kernel and not on a mutex of the standard library, which may allocate.
#[cfg(all(feature = "std", target_os = "linux"))]
#[test]
fn threads_that_have_blocked_before_allocate_nothing() {
    use gatepost::{Interrupter, WaitOptions};
    use std::time::{Duration, Instant};

    let semaphore = Semaphore::new(1);
    let soon = || Instant::now() + Duration::from_millis(1);
    allocates_nothing("blocking_acquire", || semaphore.blocking_acquire().map(drop));
    let held = semaphore.blocking_acquire().expect("it is open");
    allocates_nothing("a wait that times out", || {
        assert!(semaphore.acquire().wait_deadline(soon()).is_err());
    });
    let interrupter = Interrupter::new();
    allocates_nothing("a wait that is interrupted", || {
        interrupter.interrupt();
        assert!(semaphore.acquire().wait_interruptible(&interrupter).is_err());
    });
    allocates_nothing("a wait of a future that was polled before", || {
        let mut acquire = pin!(semaphore.acquire());
        assert!(poll(acquire.as_mut()).is_pending());
        assert!(acquire.wait_pinned(WaitOptions::new().deadline(soon())).is_err());
    });
    drop(held);
    let sema = gatepost::address::Sema::new(0);
    allocates_nothing("a wait at an address that times out", || {
        assert!(sema.acquire().wait_deadline(soon()).is_err());
    });

    // Two threads hand one permit to and fro, so that each blocks, and is woken by the other.
    let (ping, pong) = (Semaphore::new(0), Semaphore::new(0));
    let rounds = |mine: &Semaphore, theirs: &Semaphore| {
        // Nothing is there yet, so this blocks, if for no time.
        assert!(mine.acquire_many(1000).wait_deadline(Instant::now()).is_err());
        let round = || {
            theirs.add_permits(1);
            mine.blocking_acquire().expect("it is open").forget();
        };
        allocator_calls(|| (0..100).for_each(|_| round()))
    };
    let calls = std::thread::scope(|scope| {
        let other = scope.spawn(|| rounds(&pong, &ping));
        (rounds(&ping, &pong), other.join().expect("it has not panicked"))
    });
    assert_eq!(calls, (0, 0), "to block or to wake calls the allocator");
}
