//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// Gatepost's semaphore and its peers, side by side: the same work, in the same run.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "gatepost-bench", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Cli {
    /// Short windows: everything within 2 minutes. Without it: within 20.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only the cases that match: `U1`, `C*`, `C2 threads=16*`. May be given several times.
    #[arg(long, value_name = "GLOB")]
    pub(crate) case: Vec<String>,

    /// Only the peers that match, beside ours and the references: `tokio*`. May be given several times.
    #[arg(long, value_name = "GLOB")]
    pub(crate) peer: Vec<String>,

    /// Write every raw round to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write plots into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,

    /// The seed of the order in which peers take turns.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Say which cases and peers there are, and measure nothing.
    #[arg(long)]
    pub(crate) list: bool,

    /// Be the process whose instructions are counted.
    #[arg(long, hide = true, value_name = "PEER", exclusive = true)]
    pub(crate) be_counted: Option<String>,

    /// Be one of the processes that share a semaphore, as the environment says.
    #[arg(long, hide = true, exclusive = true)]
    pub(crate) be_process: bool,
}

const AFTER: &str = "\
Exit status: 0 if all went well; 1 if a peer failed a check, or something could not be written; 2 if the command line \
asks for what is not there.";
