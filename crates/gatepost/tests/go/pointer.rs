//! Semaphores by pointer: words that whoever acquires them frees at once.

use crate::common::panics::caught;
use crate::common::thread::{start, until};
use gatepost::address::{
    RawSema, semacquire, semacquire_lifo, semacquire_with, semrelease, semrelease_n, semtryacquire,
};
use gatepost::{WaitError, WaitOptions};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::time::Duration;

fn word(count: u32) -> &'static AtomicU32 {
    Box::leak(Box::new(AtomicU32::new(count)))
}

fn waiters(word: &'static AtomicU32) -> usize {
    RawSema::from_atomic(word).num_waiters()
}

#[test]
fn g1_g5_by_pointer_what_is_there_is_taken_and_what_is_released_is_there() {
    let word = word(2);
    // SAFETY: the word is never freed; so throughout, but for B11.
    unsafe {
        semacquire(word);
        semacquire_lifo(word);
        assert!(!semtryacquire(word));
        semrelease(word, false);
        semrelease(word, true);
        assert_eq!(word.load(Relaxed), 2);
        assert_eq!(semrelease_n(word, 3), 5);
        assert!(semtryacquire(word));
        assert_eq!(semacquire_with(word, WaitOptions::new()), Ok(()));
    }
    assert_eq!(word.load(Relaxed), 3);
}

#[test]
fn p25_by_pointer_without_waiting_and_with_a_limit() {
    let word = word(0);
    let interrupter = gatepost::Interrupter::new();
    interrupter.interrupt();
    // SAFETY: as above.
    unsafe {
        assert!(!semtryacquire(word));
        let limit = WaitOptions::new().timeout(Duration::from_millis(1));
        assert_eq!(semacquire_with(word, limit), Err(WaitError::TimedOut));
        let options = WaitOptions::new().interrupter(&interrupter);
        assert_eq!(semacquire_with(word, options), Err(WaitError::Interrupted));
    }
    assert_eq!((word.load(Relaxed), waiters(word)), (0, 0));
}

#[test]
fn g16_g17_g27_by_pointer_the_orders_are_the_same() {
    let word = word(0);
    let (report, reports) = channel();
    let mut threads = Vec::new();
    for (i, name) in ["first", "second", "before all"].into_iter().enumerate() {
        let report = report.clone();
        threads.push(start(move || {
            // SAFETY: as above.
            unsafe { if name == "before all" { semacquire_lifo(word) } else { semacquire(word) } };
            report.send(name).expect("the test listens");
        }));
        until("it waits", || waiters(word) == i + 1);
    }
    for expected in ["before all", "first", "second"] {
        // SAFETY: as above.
        unsafe { semrelease(word, expected != "second") };
        assert_eq!(reports.recv(), Ok(expected));
    }
    threads.into_iter().for_each(|thread| thread.join());
    assert_eq!(word.load(Relaxed), 0);
}

#[test]
fn g11_by_pointer_an_overflow_is_refused_at_the_caller() {
    let word = word(u32::MAX);
    // SAFETY: as above.
    unsafe {
        caught(|| semrelease(word, false)).says("counts to 4294967295 and not beyond", file!());
        caught(|| semrelease(word, true)).says("counts to 4294967295 and not beyond", file!());
        caught(|| semrelease_n(word, 2)).says("2 were to be added to 4294967295", file!());
    }
    assert_eq!(word.load(Relaxed), u32::MAX);
}

/// The same word by a reference, and by a pointer.
#[test]
fn by_pointer_and_by_reference_it_is_one_semaphore() {
    let word = word(0);
    // SAFETY: as above.
    let thread = start(move || unsafe { semacquire(word) });
    until("it waits", || waiters(word) == 1);
    RawSema::from_atomic(word).release();
    thread.join();
    let thread = start(move || RawSema::from_atomic(word).acquire().wait());
    until("it waits", || waiters(word) == 1);
    // SAFETY: as above.
    unsafe { semrelease(word, false) };
    thread.join();
}

/// B11: whoever waits frees the word the moment it has what it came for, and something else comes to its place. The releaser
/// that still held on to it would touch freed memory (which a sanitizer sees), or change what is there now (which this sees).
fn frees_at_once(rounds: usize) {
    let (send, receive) = channel::<usize>();
    let releaser = start(move || {
        for (round, address) in receive.into_iter().enumerate() {
            let word: *const AtomicU32 = std::ptr::with_exposed_provenance(address);
            // SAFETY: the waiter frees the word after it has acquired it, which is after the count is visible, or it has been told.
            unsafe {
                match round % 3 {
                    0 => semrelease(word, false),
                    1 => semrelease(word, true),
                    _ => drop(semrelease_n(word, 1)),
                }
            }
        }
    });
    for round in 0..rounds {
        let word = Box::into_raw(Box::new(AtomicU32::new(0)));
        send.send(word.expose_provenance()).expect("the releaser lives as long as this sends");
        // The release comes before, in the midst of, and after the way to sleep.
        for _ in 0..round % 128 {
            std::hint::spin_loop();
        }
        // SAFETY: this thread frees the word, after this; nobody else acquires it, and the only release has come.
        let word = unsafe {
            semacquire(word);
            Box::from_raw(word)
        };
        assert_eq!(word.load(Relaxed), 0);
        word.store(0xDEAD_BEEF, Relaxed);
        drop(word);
        // Most probably where the word was.
        let next = Box::new(AtomicU32::new(0x5EED_5EED));
        std::hint::spin_loop();
        assert_eq!(next.load(Relaxed), 0x5EED_5EED, "somebody touched memory that was freed");
    }
    drop(send);
    releaser.join();
}

#[test]
fn b11_whoever_waits_may_free_the_word_at_once() {
    frees_at_once(20_000);
}

/// `cargo xtask soak` runs it; best under a sanitizer.
#[test]
#[ignore = "a million rounds"]
fn b11_whoever_waits_may_free_the_word_at_once_a_million_times() {
    frees_at_once(1_000_000);
}
