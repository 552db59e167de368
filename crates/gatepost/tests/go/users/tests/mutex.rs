//! Go's tests of its mutex (`sync/mutex_test.go`), and its two modes, step by step. G51.

use super::mutex::Mutex;
use super::{leaked, work};
use crate::common::panics::caught;
use crate::common::thread::{start, until};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Never in starvation mode.
type Patient = Mutex<{ u64::MAX }>;
/// In starvation mode as soon as somebody has waited and lost.
type Impatient = Mutex<0>;

#[test]
fn g51_eight_bytes_as_in_go() {
    assert_eq!(size_of::<Mutex>(), 8);
}

#[test]
fn g51_a_mutex_is_locked_once() {
    let mutex: Mutex = Mutex::new();
    mutex.lock();
    assert!(!mutex.try_lock(), "it is locked");
    mutex.unlock();
    assert!(mutex.try_lock());
    assert!(!mutex.try_lock());
    mutex.unlock();
}

/// A number that only the mutex protects.
#[derive(Default)]
struct Counter(UnsafeCell<u64>);

// SAFETY: it is only touched with the mutex locked.
unsafe impl Sync for Counter {}

/// `TestMutex`: ten of them hammer it, by `try_lock` a third of the time.
fn hammer<const PATIENCE_NS: u64>() {
    const LOOPS: usize = 1_000;
    let shared = leaked((Mutex::<PATIENCE_NS>::new(), Counter::default()));
    let (mutex, counter) = shared;
    let threads: Vec<_> = (0..10)
        .map(|_| {
            start(move || {
                let mut locked = 0;
                for i in 0..LOOPS {
                    if i % 3 != 0 {
                        mutex.lock();
                    } else if !mutex.try_lock() {
                        continue;
                    }
                    // SAFETY: the mutex is locked.
                    unsafe { *shared.1.0.get() += 1 };
                    locked += 1;
                    mutex.unlock();
                }
                locked
            })
        })
        .collect();
    let locked: u64 = threads.into_iter().map(|thread| thread.join()).sum();
    assert!(mutex.try_lock(), "it is free");
    // SAFETY: the mutex is locked.
    assert_eq!(unsafe { *counter.0.get() }, locked);
    assert_eq!((mutex.sleepers(), mutex.is_starving()), (0, false));
}

#[test]
fn g51_test_mutex() {
    hammer::<1_000_000>();
}

#[test]
fn g51_test_mutex_with_no_patience_and_with_all_of_it() {
    hammer::<0>();
    hammer::<{ u64::MAX }>();
}

/// `TestMutexFairness`: against a holder that has it for 100 µs at a time and hardly lets go, ten acquisitions succeed. (Go: within
/// ten seconds. Here a minute is a hang.)
#[test]
fn g51_test_mutex_fairness() {
    let mutex = leaked(Mutex::<1_000_000>::new());
    let stop = leaked(AtomicBool::new(false));
    let holder = start(|| {
        while !stop.load(SeqCst) {
            mutex.lock();
            work(Duration::from_micros(100));
            mutex.unlock();
        }
    });
    let other = start(|| {
        for _ in 0..10 {
            work(Duration::from_micros(100));
            mutex.lock();
            mutex.unlock();
        }
    });
    other.join();
    stop.store(true, SeqCst);
    holder.join();
}

/// `TestMutexMisuse`. Go ends the program; here it is a panic at the caller, and the mutex is as before.
#[test]
fn g51_test_mutex_misuse() {
    let mutex: Mutex = Mutex::new();
    caught(|| mutex.unlock()).says("unlock of an unlocked mutex", file!());
    mutex.lock();
    mutex.unlock();
    caught(|| mutex.unlock()).says("unlock of an unlocked mutex", file!());
    assert!(mutex.try_lock());
    mutex.unlock();
}

/// Starvation mode, step by step: whoever has waited and lost is handed the mutex, and nobody comes in between.
#[test]
fn g51_in_starvation_mode_the_mutex_is_handed_over() {
    let mutex = leaked(Impatient::new());
    let turn = leaked(AtomicUsize::new(0));
    mutex.lock();
    let takes_its_turn = || {
        start(|| {
            mutex.lock();
            let mine = turn.fetch_add(1, SeqCst);
            mutex.unlock();
            mine
        })
    };
    // Lets it go and takes it again at once, until that was faster than somebody who waits, who is starving then.
    let waiter = loop {
        let waiter = takes_its_turn();
        until("it sleeps", || mutex.sleepers() == 1);
        while !mutex.is_starving() && turn.load(SeqCst) == 0 {
            mutex.unlock();
            mutex.lock();
        }
        if turn.swap(0, SeqCst) == 0 {
            break waiter;
        }
        waiter.join(); // it was faster
    };
    assert!(mutex.is_starving());
    until("it sleeps again", || mutex.sleepers() == 1);
    let newcomer = takes_its_turn();
    until("both sleep", || mutex.sleepers() == 2);
    mutex.unlock();
    // This thread, which comes then, waits behind both.
    mutex.lock();
    let third = turn.fetch_add(1, SeqCst);
    assert_eq!((waiter.join(), newcomer.join(), third), (0, 1, 2));
    mutex.unlock();
    assert!(!mutex.is_starving(), "the mode has ended with the last who waited");
    assert!(mutex.try_lock());
}

#[test]
fn g51_while_it_is_handed_over_nobody_else_can_have_it() {
    let mutex = leaked(Impatient::new());
    let inside = leaked(AtomicBool::new(false));
    mutex.lock();
    let waiter = start(|| {
        mutex.lock();
        inside.store(true, SeqCst);
        mutex.unlock();
    });
    until("it sleeps", || mutex.sleepers() == 1);
    while !mutex.is_starving() && !inside.load(SeqCst) {
        mutex.unlock();
        mutex.lock();
    }
    let starving = mutex.is_starving();
    mutex.unlock();
    if starving {
        while !inside.load(SeqCst) {
            if mutex.try_lock() {
                assert!(inside.load(SeqCst), "it was locked by somebody who does not wait");
                mutex.unlock();
            }
        }
    }
    waiter.join();
}

/// Normal mode: who runs may take it as often as it likes before the woken one has got up; that one still gets it in the end.
#[test]
fn g51_in_normal_mode_whoever_runs_may_pass() {
    let mutex = leaked(Patient::new());
    mutex.lock();
    let waiter = start(|| {
        mutex.lock();
        mutex.unlock();
    });
    until("it sleeps", || mutex.sleepers() == 1);
    for _ in 0..1_000 {
        mutex.unlock();
        mutex.lock();
        assert!(!mutex.is_starving());
    }
    mutex.unlock();
    waiter.join();
    assert_eq!(mutex.sleepers(), 0);
    assert!(mutex.try_lock());
}
