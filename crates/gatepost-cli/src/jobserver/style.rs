//! Which tool the command is, and in which style it can be told of the jobserver.
//!
//! | tool                        | fifo:PATH            | R,W
//! |-----------------------------|----------------------|------------------------------------
//! | GNU Make 4.4 and later      | yes                  | yes, for recipes that are marked as recursive
//! | GNU Make 4.2, 4.3           | *aborts*             | yes, the same
//! | ninja 1.13 and later        | yes                  | ignored (read by Kitware's, of the Python package)
//! | ninja before, samurai       | ignored              | ignored
//! | cargo 1.74 and later        | yes                  | yes
//! | cargo before                | ignored              | yes
//!
//! The fifo reaches every process of a build, and the pipe keeps the order of those who wait exactly (`channel`). So `auto`
//! takes the pipe for cargo, which hands it on to all that take tokens, and where something would abort: for a make
//! before 4.4, and if such a make is what the build would find in PATH, unless the tool knows nothing else than fifos.
//! Otherwise it takes the fifo. A tool that would ignore both is an error, since no limit would hold.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use super::channel::Style;
use super::error::Error;
use super::flags;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Wanted {
    /// What the tool understands
    #[default]
    Auto,
    /// The path of a named pipe
    Fifo,
    /// Two descriptors that are inherited
    Pipe,
}

/// The tools that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Make,
    Ninja,
    Cargo,
    Other,
}

impl Tool {
    fn of(program: &OsStr) -> Self {
        match Path::new(program).file_name().and_then(OsStr::to_str) {
            Some("make" | "gmake" | "gnumake") => Self::Make,
            Some("ninja" | "ninja-build" | "samu") => Self::Ninja,
            Some("cargo") => Self::Cargo,
            _ => Self::Other,
        }
    }
}

/// A version: `4.3` of `GNU Make 4.3`.
type Version = (u32, u32);

/// What a program says of itself.
#[derive(Debug)]
struct Said {
    text: String,
    version: Option<Version>,
}

impl Said {
    fn new(text: &str) -> Self {
        let text = text.lines().next().unwrap_or_default().trim().to_owned();
        let version = text.split(' ').find_map(version_of);
        Self { text: if text.is_empty() { "of an unknown version".to_owned() } else { text }, version }
    }
}

fn version_of(word: &str) -> Option<Version> {
    let mut numbers = word.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Decides how `command` is told, or why it cannot be. `ask` runs a program with `--version`.
pub(crate) fn decide(
    command: &[OsString],
    wanted: Wanted,
    ask: impl Fn(&OsStr) -> Option<String>,
) -> Result<Style, Error> {
    let (program, arguments) = command.split_first().expect("the command has a first word");
    let said = || Said::new(&ask(program).unwrap_or_default());
    let old_make = || ask(OsStr::new("make")).is_some_and(|text| is_old_make(&Said::new(&text)));
    let wrong_style =
        |said: Said, style, instead| Error::Style { program: program.clone(), found: said.text, style, instead };
    let too_old = |said: Said, needed| Error::TooOld { program: program.clone(), found: said.text, needed };
    let asked = |letters: &flags::Letters, tool| match letters.jobs_asked(arguments) {
        Some(word) => Err(Error::JobsAsked { tool, word: word.to_owned() }),
        None => Ok(()),
    };
    match Tool::of(program) {
        Tool::Make => {
            asked(&flags::MAKE, "make")?;
            let said = said();
            match (said.version, wanted) {
                // Not to be found, or not GNU's: starting it says more than we could, and pipes at least abort nothing.
                (None, Wanted::Auto) => Ok(Style::Pipe),
                (Some(version), _) if version < (4, 2) => Err(too_old(said, "GNU Make 4.2")),
                (Some(version), Wanted::Fifo) if version < (4, 4) => Err(wrong_style(said, "fifo", "GNU Make 4.4")),
                (Some(version), Wanted::Auto) if version < (4, 4) => Ok(Style::Pipe),
                (_, Wanted::Auto | Wanted::Fifo) => Ok(Style::Fifo),
                (_, Wanted::Pipe) => Ok(Style::Pipe),
            }
        }
        Tool::Ninja => {
            asked(&flags::NINJA, "ninja")?;
            let said = said();
            let reads_pipes = said.text.contains("jobserver-pipe");
            match (said.version, wanted) {
                (None, Wanted::Auto) => Ok(Style::Fifo),
                (Some(version), _) if version < (1, 13) => Err(too_old(said, "ninja 1.13")),
                (Some(_), Wanted::Pipe) if !reads_pipes => Err(wrong_style(said, "pipe", "--style fifo")),
                (_, Wanted::Auto) if reads_pipes && old_make() => Ok(Style::Pipe),
                (_, Wanted::Auto | Wanted::Fifo) => Ok(Style::Fifo),
                (_, Wanted::Pipe) => Ok(Style::Pipe),
            }
        }
        Tool::Cargo => {
            let said = said();
            let old = said.version.is_some_and(|version| version < (1, 74));
            match wanted {
                Wanted::Fifo if old => Err(wrong_style(said, "fifo", "--style pipe")),
                Wanted::Fifo => Ok(Style::Fifo),
                Wanted::Auto | Wanted::Pipe => Ok(Style::Pipe),
            }
        }
        Tool::Other => Ok(match wanted {
            Wanted::Auto if old_make() => Style::Pipe,
            Wanted::Auto | Wanted::Fifo => Style::Fifo,
            Wanted::Pipe => Style::Pipe,
        }),
    }
}

fn is_old_make(said: &Said) -> bool {
    said.text.starts_with("GNU Make") && said.version.is_some_and(|version| version < (4, 4))
}

/// What `program --version` prints.
pub(crate) fn ask(program: &OsStr) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        // A make that aborts at what it finds there would say nothing of its version.
        .env_remove("MAKEFLAGS")
        .env_remove("GNUMAKEFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The versions of the programs of a machine.
    struct Machine(&'static [(&'static str, &'static str)]);

    impl Machine {
        fn decide(&self, line: &str, wanted: Wanted) -> Result<Style, String> {
            let command: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let ask = |program: &OsStr| {
                let name = Path::new(program).file_name().expect("a name");
                self.0.iter().find(|(known, _)| name == *known).map(|(_, text)| format!("{text}\nmore\n"))
            };
            decide(&command, wanted, ask).map_err(|error| error.to_string())
        }
    }

    const OLD: Machine = Machine(&[
        ("make", "GNU Make 4.3"),
        ("ninja", "1.13.2"),
        ("ninja-build", "1.13.2.git.kitware.jobserver-pipe-1"),
        ("cargo", "cargo 1.90.0 (840b83a10 2025-07-30)"),
    ]);
    const NEW: Machine = Machine(&[
        ("make", "GNU Make 4.4.1"),
        ("ninja", "1.13.2"),
        ("ninja-build", "1.13.2.git.kitware.jobserver-pipe-1"),
        ("cargo", "cargo 1.70.0 (x)"),
        ("samu", "1.9.0"),
        ("gmake", "GNU Make 3.81"),
    ]);

    #[test]
    fn auto_takes_what_the_tool_understands_and_avoids_what_would_abort() {
        use Style::{Fifo, Pipe};
        let auto = |machine: &Machine, line| machine.decide(line, Wanted::Auto);
        for (line, old, new) in [
            ("make all", Pipe, Fifo),
            ("/usr/bin/make", Pipe, Fifo),
            ("ninja", Fifo, Fifo),
            ("ninja-build", Pipe, Fifo),
            ("cargo build -j4", Pipe, Pipe),
            ("sh -c x", Pipe, Fifo),
        ] {
            assert_eq!(auto(&OLD, line), Ok(old), "{line}");
            assert_eq!(auto(&NEW, line), Ok(new), "{line}");
        }
        let bare = Machine(&[("cargo", "cargo 1.95.0")]);
        assert_eq!(
            [auto(&bare, "cargo build"), auto(&bare, "sh"), auto(&bare, "ninja")],
            [Ok(Pipe), Ok(Fifo), Ok(Fifo)]
        );
    }

    #[test]
    fn a_style_that_the_tool_does_not_understand_is_an_error_with_the_other_one() {
        let refused = |machine: &Machine, line, wanted| machine.decide(line, wanted).expect_err("refused");
        assert!(refused(&OLD, "make", Wanted::Fifo).contains("GNU Make 4.4"));
        assert!(refused(&OLD, "ninja", Wanted::Pipe).contains("--style fifo"));
        assert!(refused(&NEW, "cargo build", Wanted::Fifo).contains("--style pipe"));
        assert_eq!(NEW.decide("make", Wanted::Pipe), Ok(Style::Pipe));
        assert_eq!(OLD.decide("ninja-build", Wanted::Pipe), Ok(Style::Pipe));
        assert_eq!(OLD.decide("cargo build", Wanted::Fifo), Ok(Style::Fifo));
    }

    #[test]
    fn a_tool_that_would_ignore_the_tokens_is_an_error_that_names_another_way() {
        for line in ["samu", "gmake"] {
            let error = NEW.decide(line, Wanted::Auto).expect_err("too old");
            assert!(error.contains("gatepost run"), "{error}");
        }
    }

    #[test]
    fn a_number_of_jobs_is_an_error_where_it_would_count() {
        for line in ["make -j8", "make -C dir -kj", "ninja -j 4", "ninja -vj4"] {
            let error = OLD.decide(line, Wanted::Auto).expect_err("its own jobs");
            assert!(error.contains("leave it out"), "{error}");
        }
        assert!(OLD.decide("cargo build -j4", Wanted::Auto).is_ok(), "cargo itself warns, and ignores it");
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("GNU Make 4.3", Some((4, 3))),
            ("1.13.2.git.kitware.jobserver-pipe-1", Some((1, 13))),
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Some((1, 95))),
            ("usage: make [options]", None),
            ("", None),
        ] {
            assert_eq!(Said::new(text).version, version, "{text}");
        }
    }
}
