//! Go's mutex at work: what its two modes are for.
//!
//! One thread keeps it for a hundred microseconds, over and over; another comes by for a moment now and then. In normal mode
//! whoever runs passes whoever was woken: the first does the most, and the other may wait long. In starvation mode the mutex is
//! handed over to whoever has waited for a millisecond: nobody waits much longer than that. (Longer than the system lets it
//! wait for a processor, that is: it takes two that are free to see it well.)
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

/// Who takes it, for how long, and pauses for how long.
const TIMES: [(&str, Duration, Duration); 2] = [
    ("keeps it  ", Duration::from_micros(100), Duration::ZERO),
    ("comes by  ", Duration::from_micros(1), Duration::from_micros(100)),
];

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
        let threads: Vec<_> = TIMES
            .map(|(_, keeps, pauses)| scope.spawn(move || takes(mutex, stop, keeps, pauses)))
            .into_iter()
            .collect();
        let begin = Instant::now();
        while begin.elapsed() < time {
            std::thread::park_timeout(time - begin.elapsed().min(time));
        }
        stop.store(true, Relaxed);
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    println!("{mode}:");
    for ((name, ..), Seen { acquisitions, longest }) in TIMES.iter().zip(seen) {
        println!("  {name}: {acquisitions:>6} acquisitions, longest wait {:>6} µs", longest.as_micros());
    }
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(1.0, |text| text.parse().expect("a number of seconds"));
    let time = Duration::from_secs_f64(seconds);
    show::<{ u64::MAX }>("normal mode for ever", time);
    show::<1_000_000>("starvation mode after a millisecond, as Go has it", time);
    show::<0>("starvation mode at once", time);
}
