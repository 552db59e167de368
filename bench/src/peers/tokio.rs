//! Tokio, the newest. The loops know it already: see `tokio_peer` in the kit.

use super::{Peer, version};
use crate::counted;
use gatepost_bench_kit::tokio_peer;

pub(super) fn peer() -> Peer {
    Peer::new(tokio_peer::entry("tokio", &version("tokio")), counted::all::<tokio::sync::Semaphore>())
}
