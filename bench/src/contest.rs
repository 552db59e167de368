//! Who takes part: peers in this process and those in programs, asked in one way.

use crate::programs::Session;
use anyhow::Result;
use gatepost_bench_kit::result::Kind;
use gatepost_bench_kit::{Ask, Entry, Sample};
use std::cell::RefCell;
use std::rc::Rc;

/// A peer, wherever it lives.
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) version: String,
    place: Place,
}

enum Place {
    Here(Entry),
    Program { session: Rc<RefCell<Session>>, cases: Vec<String>, notes: Vec<String> },
}

impl Contestant {
    /// A peer in this process.
    pub(crate) fn here(entry: Entry) -> Self {
        Self { name: entry.name.clone(), kind: entry.kind, version: entry.version.clone(), place: Place::Here(entry) }
    }

    /// The peers of a program.
    pub(crate) fn of_program(session: Session) -> Vec<Self> {
        let hello = session.hello.clone();
        let session = Rc::new(RefCell::new(session));
        let of = |peer: gatepost_bench_kit::protocol::Introduced| {
            let notes = hello.notes.iter().chain(&peer.notes).cloned().collect();
            let place = Place::Program { session: session.clone(), cases: peer.cases, notes };
            Self { name: peer.name, kind: peer.kind, version: peer.version, place }
        };
        hello.peers.iter().cloned().map(of).collect()
    }

    /// Whether it takes part in that case with those parameters; of a program only the case is known.
    pub(crate) fn takes_part(&self, ask: &Ask) -> bool {
        match &self.place {
            Place::Here(entry) => entry.run(ask).is_some(),
            Place::Program { cases, .. } => cases.contains(&ask.case),
        }
    }

    /// Takes a sample.
    pub(crate) fn take(&self, ask: &Ask) -> Result<Sample> {
        let ask = &Ask { peer: self.name.clone(), ..ask.clone() };
        match &self.place {
            Place::Here(entry) => entry.take(ask),
            Place::Program { session, .. } => session.borrow_mut().take(ask),
        }
    }

    /// What a table of that case must say of it. `word` is the kind of the case, as in `C7 tasks`.
    pub(crate) fn notes(&self, case: &str, word: Option<&str>) -> Vec<String> {
        match &self.place {
            Place::Here(entry) => {
                let of = |only: Option<&str>| {
                    only.is_none_or(|only| only == case || word.is_some_and(|word| only == format!("{case} {word}")))
                };
                entry.notes.iter().filter(|(only, _)| of(*only)).map(|(_, note)| note.clone()).collect()
            }
            Place::Program { notes, .. } => notes.clone(),
        }
    }
}
