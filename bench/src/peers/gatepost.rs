//! Ours: with each policy, and those of four bytes.

use super::{Peer, version};
use crate::counted;
use gatepost::address::{RawSema, Sema};
use gatepost::{Barging, Strict};
use gatepost_bench_kit::Entry;
use gatepost_bench_kit::gatepost_peer::{Gate, Made, entry};
use gatepost_bench_kit::sema_peer::{self, Four, FourBytes};

/// Each policy, each word of four bytes, and the forms of the one to choose.
pub(super) fn peers() -> Vec<Peer> {
    let mut peers = vec![peer::<Strict>(), peer::<Barging>(), word::<Sema>(), word::<RawSema>()];
    let forms = sema_peer::forms::<Sema>(&version("gatepost"));
    peers.extend(forms.map(|form| Peer::new(form, counted::nothing())));
    peers
}

fn peer<P: Made>() -> Peer {
    let entry = entry::<P>(P::NAME, &version("gatepost"));
    let entry = match P::NAME {
        "gatepost" => entry.addresses::<Gate<P>>().note_in("A1", QUEUES),
        _ => entry,
    };
    Peer::new(with_notes(entry, P::NAME), counted::all::<Gate<P>>())
}

/// What makes a semaphore that is no word different there.
const QUEUES: &str = "gatepost: a Semaphore has a queue of its own, and looks for no address";

fn word<W: FourBytes>() -> Peer {
    let entry = sema_peer::entry::<W>(&version("gatepost"));
    Peer::new(with_notes(entry, W::NAME), counted::one_at_a_time::<Four<W>>())
}

fn with_notes(entry: Entry, name: &str) -> Entry {
    ["U2", "U3", "U4"].into_iter().fold(entry, |entry, case| {
        entry.note_in(
            case,
            format!(
                "{name}: with the feature `tokio`, as C1 needs it: each poll asks for the task's budget, each blocking call \
                 whether this is a runtime's thread. Without the feature it does neither: see \"no features\""
            ),
        )
    })
}
