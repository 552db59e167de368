//! Tokio 1.53.3, the last one before a task could yield while it holds a permit, as a program that the suite asks.

use gatepost_bench_kit::{serve, tokio_peer};
use std::io::{stdin, stdout};

/// As in this workspace's manifest.
const VERSION: &str = "1.53.3";

fn main() -> anyhow::Result<()> {
    let entry = tokio_peer::entry("tokio 1.53.3", VERSION);
    serve::serve(&format!("tokio {VERSION}"), &[entry], stdin().lock(), stdout())
}
