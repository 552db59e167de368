//! A peer under its name, with the loops that its traits allow.

use crate::cases::{addresses, cancel, deadline, handoff, memory, profiles, storm, tasks, threads, uncontended};
use crate::peer::{Deposit, Tasks, TasksMany, Threads, Timed, Try, TryMany};
use crate::protocol::{Ask, Introduced, Sample};
use crate::result::Kind;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// Takes one sample.
pub type Run = fn(&Ask) -> Result<Sample>;

/// A peer, or a reference.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name in the tables.
    pub name: String,
    /// With whom it may be compared.
    pub kind: Kind,
    /// Of the library.
    pub version: String,
    /// A case, or nothing for all of them, and what a table must say there.
    pub notes: Vec<(Option<&'static str>, String)>,
    runs: BTreeMap<&'static str, Run>,
}

impl Entry {
    /// A peer that takes part in nothing yet.
    pub fn new(name: impl Into<String>, kind: Kind, version: impl Into<String>) -> Self {
        Self { name: name.into(), kind, version: version.into(), notes: Vec::new(), runs: BTreeMap::new() }
    }

    /// Has it take part in a case, or in one kind of a case, as in `C7 tasks`.
    pub fn with(mut self, case: &'static str, run: Run) -> Self {
        self.runs.insert(case, run);
        self
    }

    /// Has it take part in these cases and no others.
    pub fn only(mut self, cases: &[&str]) -> Self {
        self.runs.retain(|case, _| cases.contains(case));
        self
    }

    /// What every table that it is in must say.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push((None, text.into()));
        self
    }

    /// What the tables of one case must say.
    pub fn note_in(mut self, case: &'static str, text: impl Into<String>) -> Self {
        self.notes.push((Some(case), text.into()));
        self
    }

    /// What a peer can do that takes a permit if one is free.
    pub fn tries<S: Try>(self) -> Self {
        self.with("U1", uncontended::try_one::<S>).with("C6", memory::million::<S>)
    }

    /// The same with many permits.
    pub fn tries_many<S: TryMany>(self) -> Self {
        self.with("U3try", uncontended::try_many::<S>)
    }

    /// What a peer can do that tasks wait for.
    pub fn tasks<S: Tasks>(self) -> Self {
        self.with("U2", uncontended::await_one::<S>)
            .with("C1", tasks::as_it_comes::<S>)
            .with("C1b", tasks::yielding::<S>)
            .with("C4", cancel::storm::<S>)
            .with("C8 tasks", deadline::tasks::<S>)
    }

    /// The same with many permits.
    pub fn tasks_many<S: TasksMany>(self) -> Self {
        self.with("U3", uncontended::await_many::<S>).with("C5", tasks::mixed::<S>)
    }

    /// What a peer can do that tasks wait for, and to which permits can be added.
    pub fn tasks_and_deposits<S: Tasks + Deposit>(self) -> Self {
        self.with("C3", storm::wake::<S>).with("C7 tasks", handoff::tasks::<S>)
    }

    /// What a peer can do that threads wait for.
    pub fn threads<S: Threads>(self) -> Self {
        self.with("U4", uncontended::block_one::<S>).with("C2", threads::contend::<S>)
    }

    /// What a peer can do that threads wait for, and to which permits can be added.
    pub fn threads_and_deposits<S: Threads + Deposit>(self) -> Self {
        self.with("C7 running", handoff::running::<S>).with("C7 parked", handoff::parked::<S>)
    }

    /// What a peer can do that threads wait for no longer than they want.
    pub fn timed<S: Timed>(self) -> Self {
        self.with("C8 threads", deadline::threads::<S>)
    }

    /// What a peer can do that tasks wait for at many addresses.
    pub fn addresses<S: Tasks + Deposit>(self) -> Self {
        let futures =
            ["A1", "A2", "A3"].into_iter().fold(self, |entry, case| entry.with(case, addresses::futures::<S>));
        futures.with("A4", addresses::beside::<S>)
    }

    /// What a peer can do that processes share.
    #[cfg(target_os = "linux")]
    pub fn across<S: crate::across::Across>(self) -> Self {
        use crate::cases::processes;
        self.with("P1", processes::alone::<S>)
            .with("P2", processes::contend::<S>)
            .with("P3", processes::ping_pong::<S>)
            .with("P4", processes::recovery::<S>)
    }

    /// What can be profiled of a peer that is ours.
    pub fn profiled<S: Tasks + Deposit>(self) -> Self {
        self.with("A5", profiles::wait::<S>)
    }

    /// What a peer can do that threads wait for at many addresses.
    pub fn addresses_by_threads<S: Threads + Deposit>(self) -> Self {
        ["A1", "A2", "A3"].into_iter().fold(self, |entry, case| entry.with(case, addresses::threads::<S>))
    }

    /// The loop for a sample, if it takes part.
    pub fn run(&self, ask: &Ask) -> Option<Run> {
        let kind = ["between", "by", "probe"].iter().find_map(|name| ask.word(name).ok());
        let of_kind = kind.and_then(|kind| self.runs.get(format!("{} {kind}", ask.case).as_str()));
        of_kind.or_else(|| self.runs.get(ask.case.as_str())).copied()
    }

    /// Takes a sample.
    pub fn take(&self, ask: &Ask) -> Result<Sample> {
        let run = self.run(ask).with_context(|| format!("{} takes no part in {}", self.name, ask.case))?;
        run(ask)
    }

    /// What a program says of it.
    pub fn introduced(&self) -> Introduced {
        let mut cases: Vec<String> =
            self.runs.keys().map(|case| case.split(' ').next().unwrap_or(case).to_owned()).collect();
        cases.dedup();
        // A program's notes are of all its cases: so each says of which it is.
        let of = |(case, note): &(Option<&str>, String)| match case {
            Some(case) => format!("{note} ({case})"),
            None => note.clone(),
        };
        let notes = self.notes.iter().map(of).collect();
        Introduced { name: self.name.clone(), kind: self.kind, version: self.version.clone(), cases, notes }
    }
}
