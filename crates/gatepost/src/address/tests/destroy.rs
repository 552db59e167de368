//! B10, B11: whoever has been given a permit frees the word, and its own waiter, at once, again and again.
//!
//! `GATEPOST_DESTROY_ROUNDS` says how often, in all. It is meant for the address sanitizer (`cargo xtask soak --only asan`);
//! without one it shows that nobody is lost when an address is used anew while releasers of its last use are on their way.

use crate::address::serve::Address;
use crate::address::{Acquire, RawSema, Sema, SemaTable, Word};
use std::boxed::Box;
use std::future::Future;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering::AcqRel, Ordering::Release};
use std::task::{Context, Waker};

/// How many words are made and freed by each test.
fn rounds() -> usize {
    std::env::var("GATEPOST_DESTROY_ROUNDS").map_or(20_000, |n| n.parse().expect("a number of rounds"))
}

/// How whoever waits for the word does so.
#[derive(Clone, Copy)]
enum Waits {
    /// As a thread, on its stack.
    Thread,
    /// As a future on the heap that it looks at without waiting to be woken: so it may be gone before its waker is called.
    Future,
}

/// The owner of a word: shows it to a releaser, acquires it, and frees it.
fn owner<W: Word>(table: &SemaTable, shown: &AtomicPtr<W>, new: fn() -> W, rounds: usize) {
    for round in 0..rounds {
        let word = Box::into_raw(Box::new(new()));
        // SAFETY: the word is freed below, after the permit has been acquired.
        let address = unsafe { Address::<W>::at((*word).word(), table) };
        let waits = if round % 2 == 0 { Waits::Thread } else { Waits::Future };
        let mut acquire = Box::pin(Acquire::new(address));
        let mut cx = Context::from_waker(Waker::noop());
        if round % 4 == 1 {
            assert!(acquire.as_mut().poll(&mut cx).is_pending(), "nobody has seen it");
        }
        shown.store(word, Release);
        match waits {
            Waits::Thread => Acquire::new(address).wait(),
            Waits::Future => {
                let mut looks = 0_u32;
                while acquire.as_mut().poll(&mut cx).is_pending() {
                    std::hint::spin_loop();
                    looks += 1;
                    if looks % 256 == 0 {
                        std::thread::yield_now(); // the releaser may be waiting for the processor
                    }
                }
            }
        }
        drop(acquire);
        // SAFETY: made above. The permit was the only one, and its releaser has made it visible.
        drop(unsafe { Box::from_raw(word) });
    }
}

/// Releases each word that is shown, once.
fn releaser<W: Word>(table: &SemaTable, shown: &AtomicPtr<W>, rounds: usize) {
    for round in 0..rounds {
        let word = loop {
            let word = shown.swap(std::ptr::null_mut(), AcqRel);
            match NonNull::new(word) {
                Some(word) => break word,
                None => std::thread::yield_now(),
            }
        };
        // SAFETY: it lives until what is released here has been acquired.
        let address = unsafe { Address::<W>::at(word.as_ref().word(), table) };
        if round % 3 == 0 {
            address.hand_off();
        } else {
            address.release(1);
        }
    }
}

/// Two owners and two releasers, in one table.
fn destroy<W: Word>(new: fn() -> W) {
    let table = SemaTable::new();
    let shown: [AtomicPtr<W>; 2] = Default::default();
    let rounds = rounds() / shown.len();
    std::thread::scope(|scope| {
        for shown in &shown {
            scope.spawn(|| owner(&table, shown, new, rounds));
            scope.spawn(|| releaser(&table, shown, rounds));
        }
    });
    assert_eq!(table.check(), 0);
}

#[test]
fn b11_a_raw_sema_may_be_freed_by_whoever_acquires_it() {
    destroy(|| RawSema::new(0));
}

#[test]
fn b11_a_sema_may_be_freed_by_whoever_acquires_it() {
    destroy(|| Sema::new(0));
}
