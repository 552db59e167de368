//! What stands on the semaphore in Go, built on [`Sema`](gatepost::address::Sema) alone, each with Go's own tests.
//!
//! | room | what it is in Go |
//! |---|---|
//! | `mutex` | `sync.Mutex`, with its two modes |
//! | `rwmutex` | `sync.RWMutex` |
//! | `wait_group` | `sync.WaitGroup` |
//! | `fd_mutex` | `internal/poll.fdMutex` |
//!
//! They are written to be read, and copied. (`examples/go_mutex.rs` shows the first at work.)

#[path = "users/fd_mutex.rs"]
mod fd_mutex;
#[path = "users/mutex.rs"]
mod mutex;
#[path = "users/rwmutex.rs"]
mod rwmutex;
#[path = "users/wait_group.rs"]
mod wait_group;

#[path = "users/tests/fd_mutex.rs"]
mod fd_mutex_tests;
#[path = "users/tests/mutex.rs"]
mod mutex_tests;
#[path = "users/tests/rwmutex.rs"]
mod rwmutex_tests;
#[path = "users/tests/wait_group.rs"]
mod wait_group_tests;

use std::time::{Duration, Instant};

/// Keeps the processor for so long. (Where Go's tests sleep.)
fn work(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
