//! What may be written after `gatepost jobserver run`, and what it means.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::gates::{self, Gates, Pressure};
use super::share::Rule;
use super::style::Wanted;
use super::{Options, help};
use crate::error::Error;
use crate::machine::open::Making;
use crate::values;

/// The arguments of `gatepost jobserver`.
#[derive(Debug, Args)]
pub(crate) struct JobserverArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands of `gatepost jobserver`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a build whose jobs take their permits from a semaphore that the whole machine shares
    #[command(long_about = help::ABOUT, after_long_help = help::AFTER, after_help = help::AFTER_SHORT)]
    #[command(override_usage = "gatepost jobserver run --sem NAME [OPTIONS] -- make|cargo|ninja [ARG]...")]
    Run(Box<RunArgs>),
}

/// The arguments of `gatepost jobserver run`, as they are written.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The semaphore: a name, or the path of a file, with a slash in it
    #[arg(short, long, value_name = "NAME")]
    sem: String,

    /// How the semaphore is opened.
    #[command(flatten)]
    making: Making,

    /// How the build is told of its tokens
    #[arg(long, value_enum, value_name = "STYLE", default_value_t)]
    style: Wanted,

    /// How builds share the permits
    #[arg(long, value_enum, value_name = "RULE", default_value_t)]
    share: Rule,

    /// Offer no further token while less than SIZE of memory is available, such as 4G
    #[arg(long, value_name = "SIZE", value_parser = gates::min_free)]
    min_free: Option<u64>,

    /// Offer no further token while a pressure is above PERCENT: io=20, memory=10, cpu=80
    ///
    /// Pressure is the share of the last ten seconds in which work stood still for want of something, as the kernel
    /// tells it in /proc/pressure: for io and memory all work (`full`), for cpu some of it.
    #[arg(long, value_name = "WHAT=PERCENT,...", value_delimiter = ',')]
    psi: Vec<Pressure>,

    /// Wait for the build's first permit at most DUR, such as 90, 1.5s, 2min; then exit with 124
    #[arg(short, long, value_name = "DUR", value_parser = values::some_patience)]
    timeout: Option<Duration>,

    /// Kill the build if it goes on DUR after it was told to end because its permit was revoked
    #[arg(long, value_name = "DUR", value_parser = values::grace, default_value = "10s")]
    kill_after: Duration,

    /// What listings call it [default: the command]
    #[arg(short, long, value_name = "TEXT")]
    label: Option<String>,

    /// Say nothing while waiting
    #[arg(short, long)]
    quiet: bool,

    /// The command of the build and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl RunArgs {
    /// Joins what was written into what is to be done.
    pub(crate) fn into_options(self) -> Result<Options, Error> {
        self.making.check(std::iter::once(self.sem.as_str()))?;
        let label = self.label.unwrap_or_else(|| {
            let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        });
        Ok(Options {
            name: self.sem,
            making: self.making,
            style: self.style,
            rule: self.share,
            gates: Gates { min_free: self.min_free, pressures: self.psi, ..Gates::default() },
            timeout: self.timeout,
            kill_after: self.kill_after,
            label,
            quiet: self.quiet,
            command: self.command,
        })
    }
}
