//! What may be written after `gatepost run`, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Options;
use super::report::Target;
use crate::error::Error;
use crate::jobserver::client::Client;
use crate::machine::name::{self, Wanted};
use crate::machine::open::{self, Making};
use crate::values;

/// The arguments of `gatepost run`, as they are written.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The semaphore, and how many of its permits to take; may be given several times, for all or none
    ///
    /// NAME is a name, or the path of a file, with a slash in it. Several are taken in the order of their names (of a path,
    /// what stands before .gate), so that no two runs can wait for each other; the command starts when it has all of them.
    #[arg(short, long = "sem", value_name = "NAME[=N]", required = true)]
    sem: Vec<Wanted>,

    /// Take N permits at once [default: 1]
    #[arg(short, long, value_name = "N", value_parser = name::permits, allow_negative_numbers = true)]
    permits: Option<u32>,

    /// How the semaphores are opened.
    #[command(flatten)]
    making: Making,

    /// Take a token of the jobserver around us, too: for work beside a recipe of make
    ///
    /// The token is taken before the permits, and returned after them, however the command ends. The recipe itself has a
    /// token of its make already, and its line may need a `+` in front: see Jobserver below.
    #[arg(long)]
    from_jobserver: bool,

    /// Wait for permits at most DUR, such as 90, 1.5s, 2min; then exit with 124
    #[arg(short, long, value_name = "DUR", value_parser = values::patience)]
    timeout: Option<Duration>,

    /// Do not wait at all: exit with 75 if the permits are not free
    #[arg(short, long, conflicts_with = "timeout")]
    no_wait: bool,

    /// Exit with N instead of 124 or 75 where the permits were not to be had
    #[arg(short = 'E', long, value_name = "N", allow_negative_numbers = true)]
    conflict_exit_code: Option<u8>,

    /// What listings call it [default: the command]
    #[arg(short, long, value_name = "TEXT")]
    label: Option<String>,

    /// Fail if the permits have no slots, that is, numbers of their own (see GATEPOST_SLOTS)
    #[arg(long)]
    slots: bool,

    /// Give the command the GPUs whose numbers are its slots (CUDA_VISIBLE_DEVICES)
    ///
    /// With several semaphores say whose slots are meant: --gpu=NAME.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    gpu: Option<Option<String>>,

    /// Write what happened to FD (a number) or FILE, as one JSON object
    #[arg(long, value_name = "FD|FILE")]
    report: Option<PathBuf>,

    /// Replace this program by the command, which keeps the permits as long as it, or a process that it started, lives
    ///
    /// There is no wrapper left then, so nobody passes signals on or ends the command when the permit is revoked.
    #[arg(long, conflicts_with_all = ["report", "hold", "die_with_parent", "kill_after", "from_jobserver"])]
    exec: bool,

    /// What the permits are held for
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Hold::Child)]
    hold: Hold,

    /// Kill the command when this program is killed
    #[arg(long)]
    die_with_parent: bool,

    /// Kill the command if it goes on DUR after it was told to end because a permit was lost
    #[arg(long, value_name = "DUR", value_parser = values::grace, default_value = "10s")]
    kill_after: Duration,

    /// Under a run that holds permits of the same semaphore, use those instead of taking more
    #[arg(long)]
    reenter: bool,

    /// Say nothing while waiting
    #[arg(short, long)]
    quiet: bool,

    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// What permits are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hold {
    /// The command's own process
    Child,
    /// The command and all that it starts, in the background too
    Tree,
}

impl RunArgs {
    /// Joins what was written into what is to be done.
    pub(crate) fn into_options(self) -> Result<Options, Error> {
        // Ahead of all else, since it may be told to us by the numbers of descriptors.
        let jobserver = self.from_jobserver.then(Client::from_environment).transpose()?;
        let wanted = open::in_order(self.sem, self.permits)?;
        self.making.check(wanted.iter().map(|(name, _)| name.as_str()))?;
        let gpu = match self.gpu {
            None => None,
            Some(Some(name)) if !wanted.iter().any(|(wanted, _)| *wanted == name) => {
                return Err(Error::GpuOfWhich { name });
            }
            Some(Some(name)) => Some(name),
            Some(None) => match wanted.as_slice() {
                [(only, _)] => Some(only.clone()),
                _ => return Err(Error::GpuOfWhich { name: "NAME".to_owned() }),
            },
        };
        let label = self.label.unwrap_or_else(|| {
            let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
            words.join(" ")
        });
        Ok(Options {
            wanted,
            making: self.making,
            jobserver,
            timeout: self.timeout,
            no_wait: self.no_wait,
            conflict_status: self.conflict_exit_code,
            label,
            slots: self.slots,
            gpu,
            report: self.report.map(|path| Target::open(&path)).transpose()?,
            exec: self.exec,
            tree: self.hold == Hold::Tree,
            die_with_parent: self.die_with_parent,
            kill_after: self.kill_after,
            reenter: self.reenter,
            quiet: self.quiet,
            command: self.command,
        })
    }
}
