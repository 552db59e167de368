//! The `gatepost` program: the semaphore at the shell's prompt.
//!
//! | room         | subject
//! |--------------|--------------------------------------------------------------
//! | `cli`        | what may be written on the command line, and its meaning
//! | `values`     | the values of its options, parsed
//! | `help`       | the long sections of `--help` and of the man page
//! | `generate`   | `gatepost completions` and `gatepost man`, from the same parser
//! | `machine`    | what all commands of the machine's scope share (Linux)
//! | `child`      | one command, supervised as a shell supervises a job (Linux)
//! | `run`        | `gatepost run`: one command under permits of the machine (Linux)
//! | `acts`       | `resize`, `revoke`, `acquire` and so on: what is done to a semaphore (Linux)
//! | `view`       | `list`, `status`, `top`, `events`, `serve`: to look and not to touch (Linux)
//! | `jobserver`  | `gatepost jobserver`: builds that share the permits of a semaphore (Linux)
//! | `each`       | `gatepost each`: bounded, weighted parallel jobs
//! | `doctor`     | `gatepost doctor`: what this machine offers (Linux)
//! | `say`        | what is said on standard error, a line at a time
//! | `system`     | the few calls that need `unsafe` (Linux)
//! | `error`      | every reason why a run cannot go on, with what to do
//! | `exit`       | the exit status as one table

// One room allows it: `system`.
#![deny(unsafe_code)]

#[cfg(not(unix))]
compile_error!("gatepost runs its jobs in process groups, which only Unix systems have");

#[cfg(target_os = "linux")]
mod acts;
#[cfg(target_os = "linux")]
mod child;
mod cli;
#[cfg(target_os = "linux")]
mod doctor;
mod each;
mod error;
mod exit;
mod generate;
mod help;
#[cfg(target_os = "linux")]
mod jobserver;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod run;
mod say;
#[cfg(target_os = "linux")]
mod system;
mod values;
#[cfg(target_os = "linux")]
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    // A panic would exit with 101, which means more than 100 failed jobs.
    let status = std::panic::catch_unwind(|| status_of(std::env::args_os()));
    ExitCode::from(status.unwrap_or(exit::OWN_FAILURE))
}

/// Runs the program with `arguments`, its own name first, and returns its exit status.
fn status_of(arguments: impl Iterator<Item = OsString>) -> u8 {
    let arguments: Vec<_> = arguments.collect();
    let cli = match cli::Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(answer) => {
            // A reader of `--help` that went away is no failure of ours.
            let _ = answer.print();
            return if answer.use_stderr() { usage_status(arguments.get(1)) } else { exit::SUCCESS };
        }
    };
    let result = match cli.command {
        cli::Subcommand::Each(arguments) => arguments.into_options().and_then(|options| each::run(&options)),
        #[cfg(target_os = "linux")]
        cli::Subcommand::Run(arguments) => arguments.into_options().and_then(|options| run::run(&options)),
        #[cfg(target_os = "linux")]
        cli::Subcommand::Doctor(arguments) => doctor::run(&arguments),
        #[cfg(target_os = "linux")]
        cli::Subcommand::Machine(command) => command.run(),
        #[cfg(target_os = "linux")]
        cli::Subcommand::View(command) => view::run(&command),
        #[cfg(target_os = "linux")]
        cli::Subcommand::Jobserver(arguments) => jobserver::run(*arguments),
        cli::Subcommand::Completions { shell } => generate::completions(shell),
        cli::Subcommand::Man { command } => generate::man(command.as_deref()),
    };
    result.unwrap_or_else(|error| {
        // The status is for those who read nothing.
        say::say(&error.to_string());
        error.status()
    })
}

/// The status of a mistake in the arguments of `command`.
///
/// The commands that deal with one command or one semaphore leave 125 to failures of ours, as `sysexits` has it. `each`
/// and its companions have 125 for both.
fn usage_status(command: Option<&OsString>) -> u8 {
    let is_known = command.is_some_and(|name| cli::Cli::command().find_subcommand(name).is_some());
    let has_one_status =
        command.is_none_or(|name| ["each", "completions", "man", "help"].iter().any(|one| name == one));
    if is_known && !has_one_status { exit::USAGE } else { exit::OWN_FAILURE }
}
