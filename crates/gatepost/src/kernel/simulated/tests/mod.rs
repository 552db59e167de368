//! The machine, looked at from its traces.

mod inheritance;
mod scheduler;
mod scripts;
mod semaphore;
mod views;

use super::{Event, MILLISECOND as MS, Simulation, ThreadId, Trace, What};
use std::vec::Vec;

/// When `thread` was given a processor, and which.
fn runs(trace: &Trace, thread: ThreadId) -> Vec<(u64, usize)> {
    let runs = |event: &Event| match event.what {
        What::Runs(processor) => Some((event.at, processor)),
        _ => None,
    };
    trace.of(thread).filter_map(runs).collect()
}

/// The marks, by label, in order.
fn marks(trace: &Trace) -> Vec<(u64, &str)> {
    trace.marks().map(|(at, _, label)| (at, label)).collect()
}

/// The labels of the marks, in order.
fn labels(trace: &Trace) -> Vec<&str> {
    trace.marks().map(|(_, _, label)| label).collect()
}
