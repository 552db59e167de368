//! The house rules that a machine can check.
//!
//! | rule | where | room
//! |---|---|---
//! | every `unsafe` block and impl has a `SAFETY` note | every Rust file | [`notes`]
//! | every access stronger than `Relaxed` has an `ORDERING:` note | the library's sources, test modules left out | [`notes`], [`only_tests`]
//! | nothing is left undone, nothing debugs | every Rust file | [`words`]
//! | nothing sleeps to let something happen | sources and tests of the crates | [`words`]
//! | no path of somebody's machine, no registry's host | every text file but the lock files | [`words`]

mod files;
mod notes;
mod only_tests;
mod words;

use crate::job::{Failure, Job, Outcome};
use crate::lexer;
use std::fmt;
use std::path::{Path, PathBuf};

/// A line that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// From 1.
    pub(crate) line: usize,
    /// Which rule, and what would mend it.
    pub(crate) what: String,
}

/// A file of the project.
struct Text {
    /// As seen from the root.
    path: PathBuf,
    text: String,
}

/// The stage.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let mut texts = Vec::new();
    for path in files::of(&job.project.root)? {
        // What is no text has no lines to check; what was deleted and not yet committed has none either.
        if let Ok(text) = std::fs::read_to_string(job.project.root.join(&path)) {
            texts.push(Text { path, text });
        }
    }
    let rust = texts.iter().filter(|file| is_rust(&file.path)).count();
    if rust == 0 {
        return Err(Failure::Broken("no Rust file found to check".into()));
    }
    let found = findings(&texts);
    for (path, finding) in &found {
        job.say(Shown { path, finding })?;
    }
    job.note(format!("{} files, {rust} of Rust", texts.len()));
    match found.len() {
        0 => Ok(Outcome::Passed),
        1 => Err(Failure::Broken("a line breaks a house rule".into())),
        n => Err(Failure::Broken(format!("{n} lines break a house rule"))),
    }
}

struct Shown<'f> {
    path: &'f Path,
    finding: &'f Finding,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.finding.line, self.finding.what)
    }
}

fn findings(texts: &[Text]) -> Vec<(&Path, Finding)> {
    let test_files = only_tests::files(texts.iter().map(|file| (file.path.as_path(), file.text.as_str())));
    let mut all = Vec::new();
    for file in texts {
        let path = file.path.as_path();
        let mut found = words::foreign(&file.text);
        if is_rust(path) {
            let source = lexer::scan(&file.text);
            found.extend(words::undone(&source));
            found.extend(notes::safety(&source));
            if in_crate(path, &["src", "tests"]) {
                found.extend(words::sleeps(&source));
            }
            if is_library(path) && !test_files.contains(path) {
                found.extend(notes::ordering(&source));
            }
        }
        found.sort_by_key(|finding| finding.line);
        all.extend(found.into_iter().map(|finding| (path, finding)));
    }
    all
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// Is it the source of a library, and not that of a program?
fn is_library(path: &Path) -> bool {
    ["crates/gatepost/src", "crates/gatepost-shared/src"].iter().any(|folder| path.starts_with(folder))
}

/// Is it in one of these folders of a crate under `crates/`?
fn in_crate(path: &Path, folders: &[&str]) -> bool {
    let mut parts = path.components().map(|part| part.as_os_str());
    parts.next().is_some_and(|part| part == "crates")
        && parts.nth(1).is_some_and(|part| folders.iter().any(|folder| part == *folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn found(path: &str, text: &str) -> Vec<usize> {
        let texts = [Text { path: path.into(), text: text.into() }];
        findings(&texts).into_iter().map(|(_, finding)| finding.line).collect()
    }

    #[test]
    fn each_rule_holds_where_it_is_said_to() {
        let load = "fn f() {\n    word.load(Acquire);\n}\n";
        assert_eq!(found("crates/gatepost/src/wait/queue.rs", load), [2]);
        assert_eq!(found("crates/gatepost-shared/src/lock.rs", load), [2]);
        assert_eq!(found("crates/gatepost/tests/queue.rs", load), NONE);
        assert_eq!(found("crates/gatepost-cli/src/main.rs", load), NONE);

        let sleep = "fn f() { std::thread::sleep(x); }";
        assert_eq!(found("crates/gatepost-cli/tests/each.rs", sleep), [1]);
        assert_eq!(found("crates/gatepost/benches/pair.rs", sleep), NONE);
        assert_eq!(found("xtask/src/process.rs", sleep), NONE);

        let no_note = "fn f() { unsafe { g() } }";
        assert_eq!(found("xtask/src/process.rs", no_note), [1]);
        assert_eq!(found("docs/page.md", no_note), NONE);
    }

    #[test]
    fn a_file_that_holds_only_tests_needs_no_ordering_note() {
        let texts = [
            Text { path: "crates/gatepost/src/lib.rs".into(), text: "#[cfg(test)] mod checks;".into() },
            Text { path: "crates/gatepost/src/checks.rs".into(), text: "fn f() { x.load(SeqCst); }".into() },
        ];
        assert!(findings(&texts).is_empty());
        assert_eq!(findings(&texts[1..]).len(), 1);
    }
}
