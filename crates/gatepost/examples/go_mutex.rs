//! Go's mutex at work: what its two modes are for.
//!
//! Some threads take it for a moment, over and over; one takes it for longer, with pauses between. In normal mode those who run pass
//! those who were woken: most is done, and somebody may wait long. In starvation mode the mutex is handed over to whoever has
//! waited for a millisecond: less is done, and nobody waits much longer than that.
//!
//! `cargo run --release --example go_mutex [seconds]`

#[allow(dead_code)] // the example does without some of it
#[path = "../tests/go/users/mutex.rs"]
mod mutex;

use mutex::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What one thread has seen.
struct Seen {
    acquisitions: u64,
    longest: Duration,
}

fn work(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Takes the mutex until told to stop, and keeps it for a while each time.
fn takes<const PATIENCE_NS: u64>(
    mutex: &Mutex<PATIENCE_NS>,
    stop: &AtomicBool,
    keeps: Duration,
    pauses: Duration,
) -> Seen {
    let mut seen = Seen { acquisitions: 0, longest: Duration::ZERO };
    while !stop.load(Relaxed) {
        let begin = Instant::now();
        mutex.lock();
        seen.longest = seen.longest.max(begin.elapsed());
        seen.acquisitions += 1;
        work(keeps);
        mutex.unlock();
        work(pauses);
    }
    seen
}

fn show<const PATIENCE_NS: u64>(mode: &str, time: Duration) {
    let (mutex, stop) = (Mutex::<PATIENCE_NS>::new(), AtomicBool::new(false));
    let (mutex, stop) = (&mutex, &stop);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|i| {
                let pauses = if i == 0 { Duration::from_micros(100) } else { Duration::ZERO };
                scope.spawn(move || takes(mutex, stop, Duration::from_micros(20), pauses))
            })
            .collect();
        let begin = Instant::now();
        while begin.elapsed() < time {
            std::thread::park_timeout(time - begin.elapsed().min(time));
        }
        stop.store(true, Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    println!("{mode}:");
    for (i, Seen { acquisitions, longest }) in seen.iter().enumerate() {
        let kind = if i == 0 { "with pauses" } else { "without" };
        println!("  thread {i} ({kind:>11}): {acquisitions:>7} acquisitions, longest wait {longest:?}");
    }
    let total: u64 = seen.iter().map(|seen| seen.acquisitions).sum();
    println!("  in all                : {total:>7}");
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(1.0, |text| text.parse().expect("a number of seconds"));
    let time = Duration::from_secs_f64(seconds);
    show::<{ u64::MAX }>("normal mode for ever", time);
    show::<1_000_000>("starvation mode after a millisecond, as Go has it", time);
    show::<0>("starvation mode at once", time);
}
