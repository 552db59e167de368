//! Ours, with each policy.

use super::{Peer, version};
use crate::counted;
use gatepost::{Barging, Strict};
use gatepost_bench_kit::gatepost_peer::{Gate, Made, entry};

/// Each policy.
pub(super) fn peers() -> Vec<Peer> {
    vec![peer::<Strict>(), peer::<Barging>()]
}

fn peer<P: Made>() -> Peer {
    let notes = ["U2", "U3", "U4"].into_iter().fold(entry::<P>(P::NAME, &version("gatepost")), |entry, case| {
        entry.note_in(
            case,
            format!(
                "{}: with the feature `tokio`, as C1 needs it: each poll asks for the task's budget, each blocking call \
                 whether this is a runtime's thread. Without the feature it does neither: see \"no features\"",
                P::NAME
            ),
        )
    });
    Peer::new(notes, counted::all::<Gate<P>>())
}
