//! The peers that live in this process, one room each.
//!
//! A room implements the kit's traits for what its library offers, says in its notes what is not its library's own, and
//! lists itself. To add one: write the room, and name it in [`all`].

#[cfg(target_os = "linux")]
pub(crate) mod across;
mod async_lock;
mod asyncband;
mod crossbeam;
mod gatepost;
mod intrusive;
mod maitake;
mod parking_lot_condvar;
mod parking_lot_core;
pub(crate) mod reference;
mod saa;
#[cfg(target_os = "linux")]
mod sem_t;
mod std_condvar;
mod tokio;

use crate::counted::{self, Count};
use gatepost_bench_kit::Entry;

/// A peer in this process.
pub(crate) struct Peer {
    pub(crate) entry: Entry,
    /// Counts what its operations execute.
    pub(crate) count: Count,
}

impl Peer {
    fn new(entry: Entry, count: Count) -> Self {
        Self { entry, count }
    }
}

/// Every peer in this process, ours first.
pub(crate) fn all() -> Vec<Peer> {
    let mut all = gatepost::peers();
    all.push(tokio::peer());
    all.push(async_lock::peer());
    all.push(asyncband::peer());
    all.push(saa::peer());
    all.push(maitake::peer());
    all.extend(intrusive::peers());
    all.push(std_condvar::peer());
    all.push(parking_lot_condvar::peer());
    all.push(parking_lot_core::peer());
    #[cfg(target_os = "linux")]
    all.push(sem_t::peer());
    all.push(crossbeam::peer());
    #[cfg(target_os = "linux")]
    all.extend(across::peers());
    all.extend(reference::entries().into_iter().map(|entry| Peer::new(entry, counted::nothing())));
    all
}

/// The version of a peer's package: that to which the manifest pins it, or else that of the lock file, in which another
/// version may stand beside a pinned one.
pub(crate) fn version(package: &str) -> String {
    let manifest = include_str!("../../Cargo.toml");
    let of = |line: &str| {
        let pinned = line.strip_prefix(package)?.strip_prefix(" = ")?;
        Some(pinned.split_once("\"=")?.1.split_once('"')?.0.to_owned())
    };
    manifest.lines().find_map(of).unwrap_or_else(|| {
        let name = format!("name = \"{package}\"");
        let mut lines = include_str!("../../Cargo.lock").lines().skip_while(|line| *line != name);
        let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
        version.unwrap_or_else(|| panic!("the lock file has no package {package}")).to_owned()
    })
}

/// What a table says of a peer whose futures threads wait for.
pub(crate) fn under_pollster(entry: Entry, cases: &[&'static str]) -> Entry {
    cases.iter().fold(entry, |entry, case| {
        let note = format!("{}: no blocking form; its future under pollster's block_on", entry.name);
        entry.note_in(case, note)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_versions_are_those_that_were_compiled() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|peer| &peer.entry.name).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!((version("tokio").as_str(), version("parking_lot").as_str()), ("1.54.1", "0.13.0"));
        assert!(version("gatepost").starts_with("0."));
    }
}
