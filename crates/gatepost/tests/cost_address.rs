//! What the semaphores of four bytes cost in the shipped build, counted as in `cost.rs`: locked instructions are held to,
//! numbers of instructions printed and, where nobody waits, bounded.
//!
//! `cargo test --release -p gatepost --test cost_address -- --nocapture`
#![cfg(all(feature = "std", target_os = "linux", target_arch = "x86_64", not(miri)))]

#[path = "cost/allocations.rs"]
mod allocations;
#[path = "cost/decode.rs"]
mod decode;
#[path = "cost/ruler.rs"]
#[allow(dead_code, reason = "it can do more than is asked of it here")]
mod ruler;

use gatepost::address::{RawSema, Sema};
use ruler::{Counts, measured};
use std::hint::black_box;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Waker};

const MEASURED: &str = "GATEPOST_COST_ADDRESS_MEASURED";
const NAME: &str = "four_bytes_cost_what_the_design_says";

/// An operation; how many locked instructions it has of a `Sema` and of a `RawSema`; the most instructions of a `Sema`, where
/// that is bounded. (A `RawSema` looks at the table, and has as many again.)
struct Row(&'static str, [u64; 2], u64);

const FEW: u64 = 25;
const UNBOUNDED: u64 = u64::MAX;

static ROWS: &[Row] = &[
    Row("try_acquire, release", [2, 2], FEW),
    Row("blocking_acquire, release", [2, 2], FEW),
    Row("acquire().poll, release", [2, 2], 2 * FEW),
    // The bucket's lock: two. Of a `Sema` its bit, of a `RawSema` the announcement, which other threads must see in order.
    Row("poll that joins the queue", [3, 3], UNBOUNDED),
    // One at the word, the bucket's lock, and of a `Sema` the bit.
    Row("release that wakes the only one", [4, 3], UNBOUNDED),
    Row("poll of a woken future", [1, 1], UNBOUNDED),
    Row("drop of a queued future", [3, 2], UNBOUNDED),
    Row("hand-off to the only one", [3, 2], UNBOUNDED),
    Row("poll of a future that was handed its permit", [0, 0], UNBOUNDED),
    // One at the word, and the lock.
    Row("release that wakes one of two", [3, 3], UNBOUNDED),
];

#[test]
fn four_bytes_cost_what_the_design_says() {
    if std::env::var_os(MEASURED).is_some() {
        measured::use_one_processor();
        measured::begin();
        for _ in 0..2 {
            sema();
            raw_sema();
        }
        return measured::done();
    }
    if option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("sanitizer")) {
        return println!("nothing is counted here: a sanitizer's instructions are among the library's");
    }
    let mut again = Command::new(std::env::current_exe().expect("a test has an executable"));
    again.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env(MEASURED, "1");
    let rows = ruler::measure(&mut again);

    let mut wrong = Vec::new();
    println!("{:46} {:>7} {:>7} {:>13}", "", "", "locked", "instructions");
    for (index, Row(name, locked, most)) in ROWS.iter().enumerate() {
        for (nth, locked) in locked.iter().enumerate() {
            let counts = rows.get(&(index * 2 + nth)).unwrap_or_else(|| panic!("{name:?} was not measured"));
            let word = ["Sema", "RawSema"][nth];
            println!("{name:46} {word:>7} {:7} {:13}", counts.locked, counts.instructions);
            let Counts { instructions, locked: seen, fences, syscalls, allocator } = *counts;
            if (seen, fences, syscalls, allocator) != (*locked, 0, 0, 0) {
                wrong.push(format!(
                    "{name}, {word}: {seen} locked, {fences} fences, {syscalls} system calls, {allocator} calls of the \
                     allocator; it should be {locked}, and nothing else"
                ));
            }
            let most = most.saturating_mul(nth as u64 + 1);
            let bounded = !cfg!(any(debug_assertions, feature = "tokio", feature = "tracing"));
            if bounded && instructions > most {
                wrong.push(format!("{name}, {word}: {instructions} instructions; at most {most} are due"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! operations {
    ($function:ident $word:ident $nth:literal) => {
        fn $function() {
            #[inline(always)]
            fn measure<R>(name: &str, operation: impl FnOnce() -> R) -> R {
                let row = ROWS.iter().position(|row| row.0 == name).unwrap_or_else(|| panic!("no row {name:?}"));
                measured::region(row * 2 + $nth, operation)
            }
            let sema = black_box($word::new(1));
            let cx = &mut Context::from_waker(Waker::noop());
            measure("try_acquire, release", || {
                assert!(sema.try_acquire());
                sema.release();
            });
            measure("blocking_acquire, release", || {
                sema.blocking_acquire();
                sema.release();
            });
            measure("acquire().poll, release", || {
                assert!(pin!(sema.acquire()).poll(cx).is_ready());
                sema.release();
            });
            assert!(sema.try_acquire());

            let mut waiting = Box::pin(sema.acquire());
            measure("poll that joins the queue", || assert!(waiting.as_mut().poll(cx).is_pending()));
            measure("release that wakes the only one", || sema.release());
            measure("poll of a woken future", || assert!(waiting.as_mut().poll(cx).is_ready()));

            let mut dropped = Some(Box::pin(sema.acquire()));
            assert!(dropped.as_mut().is_some_and(|waiting| waiting.as_mut().poll(cx).is_pending()));
            // In place: to free its memory is not the library's.
            measure("drop of a queued future", || {
                dropped.as_mut().expect("it is there").set(sema.acquire());
            });

            let mut waiting = Box::pin(sema.acquire());
            assert!(waiting.as_mut().poll(cx).is_pending());
            measure("hand-off to the only one", || sema.release_handoff());
            measure("poll of a future that was handed its permit", || {
                assert!(waiting.as_mut().poll(cx).is_ready());
            });

            let (mut first, mut second) = (Box::pin(sema.acquire()), Box::pin(sema.acquire()));
            assert!(first.as_mut().poll(cx).is_pending() && second.as_mut().poll(cx).is_pending());
            measure("release that wakes one of two", || sema.release());
        }
    };
}

operations! { sema Sema 0 }
operations! { raw_sema RawSema 1 }
