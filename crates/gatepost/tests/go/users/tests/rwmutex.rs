//! Go's tests of its readers' and writers' lock (`sync/rwmutex_test.go`).

use super::leaked;
use super::rwmutex::RwMutex;
use crate::common::panics::caught;
use crate::common::thread::{start, until};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};

/// `TestParallelReaders`: as many read at one time as like to.
#[test]
fn rwmutex_test_parallel_readers() {
    for readers in [1, 3, 4] {
        let lock = leaked(RwMutex::new());
        let all_inside = leaked(Barrier::new(readers));
        let threads: Vec<_> = (0..readers)
            .map(|_| {
                start(move || {
                    lock.read();
                    all_inside.wait();
                    lock.unread();
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join());
        assert!(lock.try_write());
    }
}

/// `TestRWMutex`: one writer, some readers, one more writer, the rest of the readers. A reader counts as one, a writer as 10000.
#[test]
fn rwmutex_test_rwmutex() {
    fn hammer(readers: usize, loops: usize) {
        const WRITER: i32 = 10_000;
        let (lock, inside) = (leaked(RwMutex::new()), leaked(AtomicI32::new(0)));
        let write = move || {
            for _ in 0..loops {
                lock.write();
                assert_eq!(inside.fetch_add(WRITER, SeqCst), 0, "a writer is not alone");
                (0..100).for_each(|_| std::hint::spin_loop());
                inside.fetch_sub(WRITER, SeqCst);
                lock.unwrite();
            }
        };
        let read = move || {
            for _ in 0..loops {
                lock.read();
                assert!((0..WRITER).contains(&inside.fetch_add(1, SeqCst)), "a reader meets a writer");
                (0..100).for_each(|_| std::hint::spin_loop());
                inside.fetch_sub(1, SeqCst);
                lock.unread();
            }
        };
        let mut threads = vec![start(write)];
        threads.extend((0..readers / 2).map(|_| start(read)));
        threads.push(start(write));
        threads.extend((readers / 2..readers).map(|_| start(read)));
        threads.into_iter().for_each(|thread| thread.join());
        assert!(lock.try_write());
        assert_eq!(lock.sleepers(), (0, 0));
    }
    for readers in [1, 3, 10] {
        hammer(readers, 500);
    }
}

/// `TestRWMutex` begins with it.
#[test]
fn rwmutex_readers_together_and_writers_alone() {
    let lock = RwMutex::new();
    lock.write();
    assert!(!lock.try_write() && !lock.try_read());
    lock.unwrite();
    assert!(lock.try_write());
    assert!(!lock.try_write() && !lock.try_read());
    lock.unwrite();
    lock.read();
    assert!(lock.try_read() && !lock.try_write());
    lock.unread();
    assert!(!lock.try_write());
    lock.unread();
    assert!(lock.try_write());
}

/// Once a writer waits, those who come to read wait behind it; and once it has gone, they come before the next writer.
#[test]
fn rwmutex_a_writer_that_waits_comes_before_new_readers_and_they_before_the_next_writer() {
    let (lock, order) = (leaked(RwMutex::new()), leaked(AtomicUsize::new(0)));
    lock.read();
    lock.read();
    let writer = start(|| {
        lock.write();
        let mine = order.fetch_add(1, SeqCst);
        until("both readers wait", || lock.sleepers() == (0, 2));
        lock.unwrite();
        mine
    });
    until("the writer waits", || lock.sleepers().0 == 1);
    assert!(!lock.try_read());
    let readers = [(); 2].map(|()| {
        start(|| {
            lock.read();
            let mine = order.fetch_add(1, SeqCst);
            until("both are inside", || order.load(SeqCst) >= 3);
            lock.unread();
            mine
        })
    });
    until("the readers wait for the writer", || lock.sleepers() == (1, 2));
    lock.unread();
    assert_eq!(lock.sleepers().0, 1, "one still reads");
    lock.unread();
    // While those who read are inside, another writer waits for them.
    lock.write();
    let second = order.fetch_add(1, SeqCst);
    lock.unwrite();
    assert_eq!((writer.join(), second), (0, 3));
    let mut readers = readers.map(|thread| thread.join());
    readers.sort_unstable();
    assert_eq!(readers, [1, 2]);
}

/// Readers that overlap without end: a writer has it nevertheless.
#[test]
fn rwmutex_a_writer_is_not_starved_by_readers() {
    let (lock, stop) = (leaked(RwMutex::new()), leaked(AtomicBool::new(false)));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            start(|| {
                lock.read();
                let mut rounds = 0_u64;
                loop {
                    // The next one begins before the last one ends, unless a writer waits.
                    if lock.try_read() {
                        lock.unread();
                    } else {
                        lock.unread();
                        lock.read();
                    }
                    rounds += 1;
                    if stop.load(SeqCst) {
                        break;
                    }
                }
                lock.unread();
                rounds
            })
        })
        .collect();
    for _ in 0..100 {
        lock.write();
        lock.unwrite();
    }
    stop.store(true, SeqCst);
    readers.into_iter().for_each(|thread| assert!(thread.join() > 0));
    assert!(lock.try_write());
}

#[test]
fn rwmutex_misuse_panics_and_changes_nothing() {
    let lock = RwMutex::new();
    caught(|| lock.unread()).says("nobody reads under", file!());
    caught(|| lock.unwrite()).says("nobody writes under", file!());
    lock.read();
    caught(|| lock.unwrite()).says("nobody writes under", file!());
    lock.unread();
    lock.write();
    caught(|| lock.unread()).says("nobody reads under", file!());
    lock.unwrite();
    assert!(lock.try_write());
}
