//! `gatepost doctor`: whether this machine has what semaphores need, seen by trying it.
//!
//! | room     | subject
//! |----------|------------------------------------------------------------------
//! | `kernel` | locks, futexes, process descriptors, pressure
//! | `folder` | the folder of the semaphores, its file system, and who is in it
//! | `tools`  | make, ninja and cargo, as far as they matter to the jobserver

mod folder;
mod kernel;
mod tools;

use std::io::{self, Write};

use clap::Args;
use gatepost_shared::SCHEMA;
use serde::Serialize;

use crate::error::Error;
use crate::exit;
use crate::machine::open::Place;

/// The arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    /// Where semaphores are.
    #[command(flatten)]
    place: Place,
}

/// What was found of one matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// The matter.
    check: String,
    state: State,
    /// What is there.
    found: String,
    /// What to do, or what follows.
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// As it should be.
    Ok,
    /// It works; worth knowing.
    Note,
    /// Semaphores do not work here.
    Bad,
}

impl Finding {
    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state: State::Ok, found: found.into(), advice: None }
    }

    fn note(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Note, advice: Some(advice.into()), ..Self::ok(check, found) }
    }

    fn bad(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Bad, advice: Some(advice.into()), ..Self::ok(check, found) }
    }

    fn line(&self, json: bool) -> String {
        if json {
            #[derive(Serialize)]
            struct Line<'a> {
                schema: &'a str,
                #[serde(flatten)]
                finding: &'a Finding,
            }
            return serde_json::to_string(&Line { schema: SCHEMA, finding: self }).expect("text is JSON");
        }
        let state = match self.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Bad => "BAD",
        };
        let advice = self.advice.as_ref().map(|advice| format!("\n{:17}{advice}", "")).unwrap_or_default();
        format!("{state:4} {:11} {}{advice}", self.check, crate::run::line::plain(&self.found))
    }
}

/// Looks at everything and returns the exit status.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8, Error> {
    let directory = args.place.directory();
    let findings = kernel::look().into_iter().chain(folder::look(&directory, &args.place)).chain(tools::look());
    let mut all_is_well = true;
    let mut stdout = io::stdout().lock();
    for finding in findings {
        all_is_well &= finding.state != State::Bad;
        match writeln!(stdout, "{}", finding.line(args.json)) {
            Err(source) if source.kind() != io::ErrorKind::BrokenPipe => return Err(Error::Output { source }),
            _ => {}
        }
    }
    Ok(if all_is_well { exit::SUCCESS } else { exit::UNAVAILABLE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_or_an_object() {
        let finding = Finding::note("make", "4.3", "use a pipe");
        assert_eq!(finding.line(false), "note make        4.3\n                 use a pipe");
        let json: serde_json::Value = serde_json::from_str(&finding.line(true)).expect("JSON");
        let expected = serde_json::json!({
            "schema": "gatepost/1", "check": "make", "state": "note", "found": "4.3", "advice": "use a pipe",
        });
        assert_eq!(json, expected);
    }
}
