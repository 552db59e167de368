//! Contention profiles of a program whose hot semaphore is known.
//!
//! ```sh
//! cargo run --release -p gatepost --features profile --example contention_profile -- target/profiles
//! go tool pprof -top target/profiles/block.pb.gz
//! ```
//!
//! A made-up server: requests, each a thread, and uploads, each a task, share two database connections, which are what
//! everybody waits for, and a cache, which hardly anybody does. It writes `block.pb.gz`, `mutex.pb.gz`, a flame graph and a
//! table of each, into the folder that it is given, and prints the sums of both profiles in nanoseconds.

use gatepost::profile::{self, Snapshot};
use gatepost::{Barging, Semaphore};
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What everybody waits for.
static CONNECTIONS: Semaphore = Semaphore::const_new(2);
/// What hardly anybody waits for.
static CACHE: Semaphore<Barging> = Semaphore::const_barging(1);

const REQUESTS: usize = 6;
const UPLOADS: usize = 2;
const ROUNDS: usize = 12;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("say which folder the profiles shall be written to")?;
    profile::block::start(1); // every wait
    profile::mutex::start(1); // every release that lets somebody go

    serve();

    let (block, mutex) = (profile::block::snapshot(), profile::mutex::snapshot());
    profile::block::stop();
    profile::mutex::stop();
    std::fs::create_dir_all(&folder)?;
    write("block", &block, Path::new(&folder))?;
    write("mutex", &mutex, Path::new(&folder))?;
    block.write_text(std::io::stdout())?;
    Ok(())
}

fn write(name: &str, profile: &Snapshot, folder: &Path) -> Result<(), Box<dyn Error>> {
    profile.write_pprof(File::create(folder.join(format!("{name}.pb.gz")))?)?;
    profile.write_flamegraph(File::create(folder.join(format!("{name}.svg")))?)?;
    profile.write_text(File::create(folder.join(format!("{name}.txt")))?)?;
    println!("{name}: {} contentions, {} ns", profile.count(), profile.total().as_nanos());
    Ok(())
}

/// Requests and uploads, side by side.
fn serve() {
    // Nobody begins before all are there, so that they are in one another's way.
    let held = CONNECTIONS.try_acquire_many(2).expect("nobody has begun");
    thread::scope(|scope| {
        for _ in 0..REQUESTS {
            scope.spawn(|| (0..ROUNDS).for_each(handle_request));
        }
        for _ in 0..UPLOADS {
            scope.spawn(|| block_on(handle_uploads()));
        }
        while CONNECTIONS.num_waiters() < REQUESTS + UPLOADS {
            thread::yield_now();
        }
        open_connections(held);
    });
}

#[inline(never)]
fn open_connections(held: gatepost::SemaphorePermit<'_>) {
    work(Duration::from_millis(2));
    drop(held);
}

#[inline(never)]
fn handle_request(round: usize) {
    let rows = if round % 4 == 3 { report() } else { query() };
    std::hint::black_box(rows + look_up());
}

/// Holds a connection for a moment. (It returns what it found: a function that ends with giving a permit back would, when
/// optimized, have left the stack by then.)
#[inline(never)]
fn query() -> u64 {
    let connection = CONNECTIONS.blocking_acquire().expect("it is never closed");
    let rows = work(Duration::from_micros(500));
    drop(connection);
    rows
}

/// Holds a connection for long: the culprit of the mutex profile.
#[inline(never)]
fn report() -> u64 {
    let connection = CONNECTIONS.blocking_acquire().expect("it is never closed");
    let rows = work(Duration::from_millis(3));
    drop(connection);
    rows
}

#[inline(never)]
fn look_up() -> u64 {
    let cache = CACHE.blocking_acquire().expect("it is never closed");
    let rows = work(Duration::from_micros(5));
    drop(cache);
    rows
}

async fn handle_uploads() {
    for _ in 0..ROUNDS {
        upload().await;
    }
}

/// Needs both connections at once.
async fn upload() {
    let connections = CONNECTIONS.acquire_many(2).await.expect("it is never closed");
    work(Duration::from_micros(300));
    drop(connections);
}

/// Computes something for a while.
fn work(time: Duration) -> u64 {
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < time {
        rows += 1;
        std::hint::spin_loop();
    }
    rows
}

/// Runs a task on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
