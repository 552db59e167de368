//! What may be written on the command line.
//!
//! Everything is checked here (and value by value in `values`), so that a mistake is told before anything starts and
//! the rooms behind take typed values that cannot be wrong.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::each::items::Source;
use crate::each::template::Template;
use crate::each::weight::{Weigh, Weights};
use crate::each::{Limits, Options};
use crate::error::Error;
use crate::help;
use crate::values;
use clap::{Args, Parser, Subcommand as ClapSubcommand, ValueEnum};

/// One semaphore for every scope, at the shell's prompt
#[derive(Debug, Parser)]
#[command(
    name = "gatepost",
    bin_name = "gatepost",
    version,
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Subcommand,
}

/// The commands of the program.
#[derive(Debug, ClapSubcommand)]
pub(crate) enum Subcommand {
    /// Run a command once for each item, with a bound on the jobs, or on their weight, at one time
    #[command(long_about = help::ABOUT, after_long_help = help::AFTER, after_help = help::AFTER_SHORT)]
    #[command(
        override_usage = "gatepost each [OPTIONS] -- CMD [ARG]...\n       gatepost each [OPTIONS] -- CMD [ARG]... ::: ITEM..."
    )]
    Each(Box<EachArgs>),
    /// Run a command under permits of a semaphore that the whole machine shares
    #[cfg(target_os = "linux")]
    #[command(long_about = help::RUN_ABOUT, after_long_help = help::RUN_AFTER, after_help = help::RUN_AFTER_SHORT)]
    #[command(override_usage = "gatepost run --sem NAME[=N]... [OPTIONS] -- CMD [ARG]...")]
    Run(Box<crate::run::args::RunArgs>),
    /// What is done to a semaphore of the machine.
    #[cfg(target_os = "linux")]
    #[command(flatten)]
    Machine(crate::acts::Command),
    /// See whether this machine has what semaphores need, and what to do if not
    #[cfg(target_os = "linux")]
    #[command(after_help = help::DOCTOR_AFTER)]
    Doctor(crate::doctor::DoctorArgs),
    /// What looks at the semaphores of the machine.
    #[cfg(target_os = "linux")]
    #[command(flatten)]
    View(crate::view::Command),
    /// Let builds (make, cargo, ninja) share the permits of a semaphore, job by job
    #[cfg(target_os = "linux")]
    Jobserver(Box<crate::jobserver::args::JobserverArgs>),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  gatepost completions bash > ~/.local/share/bash-completion/completions/gatepost"
    )]
    Completions {
        /// The shell that will read it
        shell: clap_complete::Shell,
    },
    /// Print a manual page in roff, of the whole program or of one command
    #[command(after_help = "Example:\n  gatepost man each > ~/.local/share/man/man1/gatepost-each.1")]
    Man {
        /// The command to describe; the whole program if left out
        command: Option<String>,
    },
}

/// The arguments of `gatepost each`, as they are written.
#[derive(Debug, Args)]
pub(crate) struct EachArgs {
    /// Use at most N permits at one time [default: the number of CPUs]
    ///
    /// A job takes one permit, or as many as it weighs (see --weigh). The default is the number of CPUs that this
    /// process may use. 0 is an error, since nothing could ever run.
    #[arg(short, long, value_name = "N", value_parser = values::limit, allow_negative_numbers = true)]
    limit: Option<NonZeroUsize>,

    /// Read items from FILE instead of standard input; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Items end in NUL instead of a newline, as `find -print0` writes them
    ///
    /// Nothing is stripped then, and an empty item is an item.
    #[arg(short = '0', long)]
    null: bool,

    /// Weigh each job: `size:UNIT` by the file's size, `column:K` by a number in the item
    ///
    /// `size:64MiB`: the item is the path of a file, and its job weighs one for each 64 MiB begun, at least 1. KiB,
    /// MiB, GiB are powers of 1024; KB, MB, GB of 1000. `column:2`: the second tab-separated column of the item is a whole
    /// number, the weight; 0 counts as 1. Without --weigh every job weighs 1.
    #[arg(short, long, value_name = "HOW", value_parser = values::weigh)]
    weigh: Option<Weigh>,

    /// Let a job heavier than the limit run alone instead of being an error
    #[arg(long, requires = "weigh")]
    clamp: bool,

    /// Take each job's weight of this semaphore of the machine, too
    ///
    /// It is that of `gatepost run`. The limit of this run, --limit, holds besides. A job that lost its permit because it was revoked is ended, and has
    /// failed. The permits are held as long as the jobs run, even if `gatepost each` is killed.
    #[cfg(target_os = "linux")]
    #[arg(short, long, value_name = "NAME", conflicts_with = "dry_run")]
    sem: Option<String>,

    /// Create the semaphore with this limit, or insist on it: a number, cores, cores/2, mem/3G
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "LIMIT", allow_negative_numbers = true, requires = "sem", hide_short_help = true)]
    sem_limit: Option<crate::machine::limit::Limit>,

    /// Where it is.
    #[cfg(target_os = "linux")]
    #[command(flatten)]
    place: crate::machine::open::Place,

    /// Print the jobs' output in the order of the items
    ///
    /// To bound what is held back, no job starts more than 4 × limit ahead of the oldest one that is not printed yet.
    #[arg(short, long)]
    keep_order: bool,

    /// End a job that takes longer than DUR, such as 90, 1.5s, 2min
    ///
    /// Its process group gets SIGTERM, and SIGKILL if that does not help (see --kill-after). A plain number is seconds.
    /// With --retries each attempt has the whole time.
    #[arg(short, long, value_name = "DUR", value_parser = values::duration)]
    timeout: Option<Duration>,

    /// Kill a job that goes on DUR after it was told to end
    #[arg(long, value_name = "DUR", value_parser = values::grace, default_value = "5s")]
    kill_after: Duration,

    /// What a failed job means for the others
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Halt::Never)]
    halt: Halt,

    /// Run a failed job again, up to N times; the output of the last attempt is printed
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    retries: u32,

    /// Print the commands, quoted for a shell, instead of running them
    #[arg(short = 'n', long, conflicts_with = "log")]
    dry_run: bool,

    /// Show progress on standard error
    ///
    /// `auto`: a bar if standard error is a terminal. `always`: a bar on a terminal, otherwise a line now and then.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    progress: When,

    /// Write no closing summary, no progress bar and no line for each failed job
    #[arg(short, long, conflicts_with = "progress")]
    quiet: bool,

    /// Write a JSON line to FILE for each job that ended
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// The command, its arguments and, after `:::`, the items
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What a failed job means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Halt {
    /// Nothing: the other jobs run
    Never,
    /// Start no more jobs, let the running ones finish
    Soon,
    /// Start no more jobs and end the running ones, as at a time-out
    Now,
}

/// When to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// If standard error is a terminal
    Auto,
    /// Also if it is not
    Always,
    /// Not at all
    Never,
}

/// Separates the command from its items.
const SEPARATOR: &str = ":::";

impl EachArgs {
    /// Joins what was written into what is to be done.
    pub(crate) fn into_options(self) -> Result<Options, Error> {
        let Self { mut command, .. } = self;
        let listed = command.iter().position(|word| word == SEPARATOR).map(|at| {
            let items = command.split_off(at + 1);
            command.truncate(at);
            items
        });
        if command.is_empty() {
            return Err(Error::NoCommand);
        }
        let separator = if self.null { b'\0' } else { b'\n' };
        let items = match (listed, self.file) {
            (Some(_), Some(_)) => return Err(Error::TwoSources { other: "--file" }),
            (Some(_), None) if self.null => return Err(Error::TwoSources { other: "-0" }),
            (Some(items), None) if items.iter().any(|item| item == SEPARATOR) => {
                return Err(Error::TwoSources { other: "a second `:::`" });
            }
            (Some(items), None) => Source::Listed(items),
            (None, Some(path)) if path.as_os_str() != "-" => Source::File { path, separator },
            (None, _) => Source::StandardInput { separator },
        };
        let limit = self.limit.map_or_else(values::cpus, NonZeroUsize::get);
        Ok(Options {
            items,
            template: Template::parse(&command),
            weights: Weights { weigh: self.weigh.unwrap_or(Weigh::One), limit, clamp: self.clamp },
            #[cfg(target_os = "linux")]
            machine: self.sem.map(|name| crate::each::machine::Wish { name, limit: self.sem_limit, place: self.place }),
            #[cfg(not(target_os = "linux"))]
            machine: None,
            keep_order: self.keep_order,
            limits: Limits { timeout: self.timeout, kill_after: self.kill_after },
            halt: self.halt,
            retries: self.retries,
            dry_run: self.dry_run,
            progress: if self.quiet { When::Never } else { self.progress },
            quiet: self.quiet,
            log: self.log,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &[&str]) -> Result<Options, String> {
        let words = ["gatepost", "each"].iter().chain(words);
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Subcommand::Each(arguments) => arguments.into_options().map_err(|error| error.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_the_command_are_the_commands_own() {
        let options = parse(&["--limit", "3", "--", "wc", "-l", "--limit", "::: "]).expect("valid");
        assert_eq!(options.weights.limit, 3);
        assert!(matches!(options.items, Source::StandardInput { separator: b'\n' }));
        let options = parse(&["wc", "-l", "--limit", "9", ":::", "-x"]).expect("`--` may be left out");
        assert!(matches!(options.items, Source::Listed(items) if items == ["-x"]));
        assert_ne!(options.weights.limit, 9);
    }

    #[test]
    fn an_unknown_option_is_not_taken_for_the_command() {
        assert!(parse(&["--limt", "3", "--", "true"]).unwrap_err().contains("--limt"));
    }

    #[test]
    fn the_items_have_one_source() {
        assert!(parse(&["--", ":::", "a"]).unwrap_err().contains("no command"));
        assert!(parse(&["-f", "x", "--", "c", ":::", "a"]).unwrap_err().contains("--file"));
        assert!(parse(&["-0", "--", "c", ":::", "a"]).unwrap_err().contains("-0"));
        assert!(parse(&["--", "c", ":::", "a", ":::", "b"]).unwrap_err().contains("second"));
        assert!(matches!(parse(&["-f", "-", "-0", "c"]).unwrap().items, Source::StandardInput { separator: 0 }));
    }

    #[test]
    fn without_a_limit_there_is_one_job_a_cpu() {
        assert_eq!(parse(&["true"]).unwrap().weights.limit, values::cpus());
    }
}
