//! Gatepost as a user gets it who asks for no feature, as a program that the suite asks.

use gatepost::address::{RawSema, Sema};
use gatepost::{Barging, Strict};
use gatepost_bench_kit::{gatepost_peer, sema_peer, serve};
use std::io::{stdin, stdout};

/// The library's: it has that of its workspace, which is ours.
const VERSION: &str = "0.1.0";

fn main() -> anyhow::Result<()> {
    let entries = [
        gatepost_peer::plain::<Strict>(VERSION),
        gatepost_peer::plain::<Barging>(VERSION),
        sema_peer::plain::<Sema>(VERSION),
        sema_peer::plain::<RawSema>(VERSION),
    ];
    serve::serve("gatepost without features", &entries, stdin().lock(), stdout())
}
