//! The `gatepost` program: the semaphore at the shell's prompt.
//!
//! | room         | subject
//! |--------------|--------------------------------------------------------------
//! | `cli`        | what may be written on the command line, and its meaning
//! | `values`     | the values of its options, parsed
//! | `help`       | the long sections of `--help` and of the man page
//! | `generate`   | `gatepost completions` and `gatepost man`, from the same parser
//! | `each`       | `gatepost each`: bounded, weighted parallel jobs
//! | `error`      | every reason why a run cannot go on, with what to do
//! | `exit`       | the exit status as one table

#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("gatepost runs its jobs in process groups, which only Unix systems have");

mod cli;
mod each;
mod error;
mod exit;
mod generate;
mod help;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A panic would exit with 101, which means more than 100 failed jobs.
    let status = std::panic::catch_unwind(|| status_of(std::env::args_os()));
    ExitCode::from(status.unwrap_or(exit::OWN_FAILURE))
}

/// Runs the program with `arguments`, its own name first, and returns its exit status.
fn status_of(arguments: impl Iterator<Item = OsString>) -> u8 {
    let cli = match cli::Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(answer) => {
            // A reader of `--help` that went away is no failure of ours.
            let _ = answer.print();
            return if answer.use_stderr() { exit::OWN_FAILURE } else { exit::SUCCESS };
        }
    };
    let result = match cli.command {
        cli::Subcommand::Each(arguments) => arguments.into_options().and_then(|options| each::run(&options)),
        cli::Subcommand::Completions { shell } => generate::completions(shell),
        cli::Subcommand::Man { command } => generate::man(command.as_deref()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("gatepost: {error}");
        exit::OWN_FAILURE
    })
}
