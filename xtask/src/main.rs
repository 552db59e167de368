//! The project's own build commands: `cargo xtask test`, `cargo xtask soak`, `cargo xtask miri`.
//!
//! | room | holds
//! |---|---
//! | [`cli`] | the command line
//! | [`plan`] | which stages there are, in which order, and which of them a run takes
//! | [`runner`] | runs the stages within a time budget; seconds for each, a closing table, a closing count
//! | [`job`] | what a stage gets to work with: commands, a log, a tally of tests
//! | [`process`] | one command: its own process group, its output to a log, its end when time is spent
//! | [`tally`] | counts of tests, read from what the test runners print
//! | [`project`] | where things are, asked from cargo
//! | [`lexer`] | enough of Rust's lexer to tell code from comments and strings
//! | [`stages`] | one file for each stage, or for each family of them

mod cli;
mod job;
mod lexer;
mod plan;
mod process;
mod project;
mod runner;
mod stages;
mod tally;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse().and_then(|request| runner::run(&request)) {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}
