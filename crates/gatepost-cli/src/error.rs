//! Every reason why a run cannot go on. Each text says what was asked, what was there, and what to do.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Why Gatepost gives up; [`Error::status`] is the exit status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing stands where the command should be.
    #[error("there is no command before `:::`; write `gatepost each -- CMD [ARG]... ::: ITEM...`")]
    NoCommand,
    /// The items are given twice.
    #[error(
        "the items follow `:::`, so {other} has nothing to read; give one of the two (an item that is itself `:::` can \
         be given on standard input)"
    )]
    TwoSources {
        /// What else was given.
        other: &'static str,
    },
    /// The file of items cannot be opened.
    #[error("cannot open {path:?}: {source}; give --file a readable file, or leave it out to read standard input")]
    OpenItems {
        /// The file that was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading the items failed under way.
    #[error("cannot read items from {name}: {source}; the items before this point were run, the others were not")]
    ReadItems {
        /// The file, or "standard input".
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// An item is longer than any argument list.
    #[error(
        "item {number} is longer than {most} bytes, which no argument list can hold; if the items \
         end in NUL and not in a newline, say so with -0"
    )]
    ItemTooLong {
        /// The item's number, from 1.
        number: u64,
        /// The greatest length taken.
        most: usize,
    },
    /// An item holds a NUL byte.
    #[error(
        "{item} holds a NUL byte, which no argument can; if the items end in NUL and not in a newline, say so with -0"
    )]
    ItemHasNul {
        /// The item.
        item: Named,
    },
    /// The command asks for a column that the item has not.
    #[error(
        "{item} has {there} tab-separated column(s) and the command asks for {{{wanted}}}; add the \
         column, or write \\{{{wanted}}} if the braces are meant literally"
    )]
    MissingColumn {
        /// The item.
        item: Named,
        /// The column in the command.
        wanted: usize,
        /// How many there are.
        there: usize,
    },
    /// `--weigh column:K` finds no whole number in column K.
    #[error("{item} has no weight: column {column} is {found}; --weigh column:{column} needs a whole number there")]
    NotAWeight {
        /// The item.
        item: Named,
        /// The column asked for.
        column: usize,
        /// What is there: a quoted text, or "missing".
        found: String,
    },
    /// `--weigh size:…` cannot learn the size of the file.
    #[error("{item} cannot be weighed: {reason}; --weigh size:… needs every item to be the path of a regular file")]
    NoSize {
        /// The item.
        item: Named,
        /// What the system said, or what is there instead of a file.
        reason: String,
    },
    /// The item is heavier than the limit.
    #[error(
        "{item} weighs {weight} and the limit is {limit}, so it could never start; raise --limit to {weight}, or give \
         --clamp to let it run alone"
    )]
    OverLimit {
        /// The item.
        item: Named,
        /// Its weight.
        weight: usize,
        /// The limit of the run.
        limit: usize,
    },
    /// The system refuses to start anything.
    #[error("{item} cannot be started: {reason}")]
    CannotSpawn {
        /// The item.
        item: Named,
        /// What stood in the way, and what to do about it.
        reason: String,
    },
    /// Watching a job failed.
    #[error("lost sight of {item}: {source}; it was killed, and nothing more is started")]
    Watch {
        /// The item.
        item: Named,
        /// What the system said.
        source: io::Error,
    },
    /// The temporary file for a large output cannot be written.
    #[error(
        "cannot keep the output of {item} in a temporary file in {directory:?}: {source}; make room \
         there, or set TMPDIR to a directory that has it"
    )]
    Spill {
        /// The item.
        item: Named,
        /// Where the file would be.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log file cannot be created or written.
    #[error("cannot write the log {path:?}: {source}; give --log a file in a writable directory that has room")]
    Log {
        /// The file that was named.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output takes no more.
    #[error("cannot write the output: {source}; make room where standard output and standard error go, and run again")]
    Output {
        /// What the system said.
        source: io::Error,
    },
    /// A pipe, a thread or a signal handler could not be set up.
    #[error("cannot set up the run: {source}; raise `ulimit -n` and `ulimit -u`, or lower --limit")]
    SetUp {
        /// What the system said.
        source: io::Error,
    },
    /// `gatepost man` was asked for a command that there is not.
    #[error("there is no command {name:?} to describe; `gatepost --help` lists the commands")]
    NoSuchPage {
        /// The name given.
        name: String,
    },
    /// A semaphore of the machine says no.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Shared(#[from] gatepost_shared::Error),
    /// Several semaphores and a limit that does not say whose it is.
    #[cfg(target_os = "linux")]
    #[error("--limit {limit} could be that of each of the semaphores; say whose it is: --limit NAME={limit}")]
    LimitOfWhich {
        /// The limit.
        limit: String,
    },
    /// A limit of a semaphore that is not used.
    #[cfg(target_os = "linux")]
    #[error(
        "--limit {name}={limit} is for a semaphore that is not used here; add --sem {name:?}, or leave the limit out"
    )]
    LimitOfNone {
        /// The name.
        name: String,
        /// The limit.
        limit: String,
    },
    /// Two limits for one semaphore.
    #[cfg(target_os = "linux")]
    #[error("the semaphore {name:?} is given two limits; leave one of them out")]
    LimitTwice {
        /// The name.
        name: String,
    },
    /// A policy that the semaphore has not.
    #[cfg(target_os = "linux")]
    #[error(
        "the semaphore {name:?} has the policy {there} and you ask for {asked}, which only counts when it is created; leave \
             --policy out, or use another semaphore"
    )]
    PolicyDiffers {
        /// The name.
        name: String,
        /// The policy asked for.
        asked: gatepost_shared::Policy,
        /// The policy that it has.
        there: gatepost_shared::Policy,
    },
    /// A group that the semaphore is not shared with.
    #[cfg(target_os = "linux")]
    #[error(
        "the semaphore {name:?} is of {there} and you ask for group {asked}, which only counts when it is created; leave \
             --group out, or use another semaphore"
    )]
    GroupDiffers {
        /// The name.
        name: String,
        /// The group asked for.
        asked: u32,
        /// Whose it is.
        there: String,
    },
    /// The number of permits is said in two ways, or for several.
    #[cfg(target_os = "linux")]
    #[error("--permits {permits} goes with one --sem NAME that has no number; otherwise write --sem NAME={permits}")]
    PermitsTwice {
        /// The number.
        permits: u32,
    },
    /// A semaphore is named twice.
    #[cfg(target_os = "linux")]
    #[error(
        "the semaphore {name:?} is named twice, and would wait for itself; name it once, with the sum of its permits"
    )]
    SemaphoreTwice {
        /// The name.
        name: String,
    },
    /// `--gpu` does not say whose slots it means, or means none that are taken.
    #[cfg(target_os = "linux")]
    #[error("--gpu must say whose slots are the GPUs, of the semaphores that are taken: --gpu={name} --sem {name}")]
    GpuOfWhich {
        /// The name.
        name: String,
    },
    /// `--gpu` of a semaphore that was had already.
    #[cfg(target_os = "linux")]
    #[error(
        "--gpu={name} takes no slots under --reenter: they are those of the run around; leave --gpu out, and \
             CUDA_VISIBLE_DEVICES stands as that run has set it"
    )]
    GpuReentered {
        /// The name.
        name: String,
    },
    /// Slots are asked for and there are none.
    #[cfg(target_os = "linux")]
    #[error(
        "the permits of the semaphore {name:?} have no slots, since its limit was above 1024 when it was created; \
             use one with a smaller limit, or leave --slots and --gpu out"
    )]
    NoSlots {
        /// The name.
        name: String,
    },
    /// A run around this one holds the same semaphore.
    #[cfg(target_os = "linux")]
    #[error(
        "a run around this one holds permits of the semaphore {name:?} already, so this one might wait for itself; \
             use those (--reenter), or another semaphore for the inner command"
    )]
    Nested {
        /// The name.
        name: String,
    },
    /// The same, for permits that a script asks for.
    #[cfg(target_os = "linux")]
    #[error(
        "a run around this script holds permits of the semaphore {name:?} already, so `acquire` might wait for itself; \
             leave it out, since the script has them as long as it runs, or take those of another semaphore"
    )]
    NestedAcquire {
        /// The name.
        name: String,
    },
    /// `--reenter` for more than there is.
    #[cfg(target_os = "linux")]
    #[error(
        "the run around this one holds {there} permits of the semaphore {name:?} and --reenter asks for {asked}; take \
             {asked} with the outer run, or ask for at most {there}"
    )]
    ReenterMore {
        /// The name.
        name: String,
        /// The number asked for.
        asked: u32,
        /// The number held.
        there: u32,
    },
    /// The report cannot be written.
    #[cfg(target_os = "linux")]
    #[error(
        "cannot write the report {path:?}: {source}; give --report a file in a writable directory, or the number of a \
             descriptor that is open for writing"
    )]
    Report {
        /// The file or number that was given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The command could not be started.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    NotStarted(crate::each::spawn::StartError),
    /// Waiting for a semaphore to fall idle took too long.
    #[cfg(target_os = "linux")]
    #[error(
        "the semaphore {name:?} is still in use: {used} permits held, {waiting} waiting; wait longer, or see who it is \
             (`gatepost status {name}`)"
    )]
    NotIdle {
        /// The name.
        name: String,
        /// Permits in use.
        used: u32,
        /// How many wait.
        waiting: usize,
    },
    /// The process that was to keep a permit is not there.
    #[cfg(target_os = "linux")]
    #[error(
        "the permit was given back, since process {pid} has ended, or never was, and cannot keep it; give --keep the \
             number of a process that runs"
    )]
    NoKeeper {
        /// Its number.
        pid: u32,
    },
    /// A permit of a semaphore that there is not.
    #[cfg(target_os = "linux")]
    #[error(
        "there is no semaphore {name:?} ({path:?}), and so no permit {permit}; `gatepost list` shows those that there are"
    )]
    NoSuchSemaphore {
        /// The permit.
        permit: String,
        /// The name of the semaphore.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A permit of somebody who uses it.
    #[cfg(target_os = "linux")]
    #[error(
        "the permit {permit} is in use by process {pid}, which gives it back itself, and nothing was released; to take it \
             away from there: gatepost revoke {permit}"
    )]
    InUse {
        /// The permit.
        permit: String,
        /// The process, in its own namespace.
        pid: u32,
    },
    /// A process that cannot be killed from here.
    #[cfg(target_os = "linux")]
    #[error(
        "{permit} is revoked, but its process {pid} cannot be killed from here: it is another user's, or in another \
             PID namespace; kill it there"
    )]
    OutOfReach {
        /// The permit.
        permit: String,
        /// The process, in its own namespace.
        pid: u32,
    },
    /// A permit that was taken away before it could be used.
    #[cfg(target_os = "linux")]
    #[error("the permit {permit} was revoked before it could be used; ask again if you may")]
    Gone {
        /// The permit.
        permit: String,
    },
    /// The bridge to builds says no.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Jobserver(#[from] crate::jobserver::error::Error),
    /// Somebody else's jobserver has no token for us.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Token(#[from] crate::jobserver::client::Error),
    /// Watching the command failed.
    #[cfg(target_os = "linux")]
    #[error("lost sight of the command: {source}; it was killed")]
    LostSight {
        /// What the system said.
        source: io::Error,
    },
    /// `top` has no terminal to draw on.
    #[cfg(target_os = "linux")]
    #[error(
        "top draws on a terminal, and {what} is none; `gatepost list`, `gatepost status NAME` and `--json` print instead"
    )]
    NoTerminal {
        /// Standard input or output.
        what: &'static str,
    },
    /// The terminal does not do as it is told.
    #[cfg(target_os = "linux")]
    #[error("cannot draw on this terminal: {source}; `gatepost list` and `gatepost status NAME` print instead")]
    Terminal {
        /// What the system said.
        source: io::Error,
    },
    /// `serve` cannot listen.
    #[cfg(target_os = "linux")]
    #[error("cannot listen on {address}: {source}; {}", listening(.source))]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// What to do about an address that cannot be had.
#[cfg(target_os = "linux")]
fn listening(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "something listens there already (`ss -ltnp` says what): give another port, or :0 for any"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address: give one of its own (`ip address`)"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: give a higher one, such as 127.0.0.1:9190"
        }
        _ => "give another address, such as 127.0.0.1:9190",
    }
}

impl Error {
    /// The exit status; the table is in `exit`.
    pub(crate) fn status(&self) -> u8 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Shared(error) => crate::machine::status::of(error),
            #[cfg(target_os = "linux")]
            Self::LimitOfWhich { .. }
            | Self::LimitOfNone { .. }
            | Self::LimitTwice { .. }
            | Self::PermitsTwice { .. }
            | Self::SemaphoreTwice { .. }
            | Self::GpuOfWhich { .. }
            | Self::GpuReentered { .. }
            | Self::NoSlots { .. }
            | Self::PolicyDiffers { .. }
            | Self::GroupDiffers { .. }
            | Self::Nested { .. }
            | Self::NestedAcquire { .. }
            | Self::NoSuchSemaphore { .. }
            | Self::InUse { .. }
            | Self::NoKeeper { .. }
            | Self::ReenterMore { .. } => crate::exit::USAGE,
            #[cfg(target_os = "linux")]
            Self::NotIdle { .. } => crate::exit::TIMED_OUT,
            #[cfg(target_os = "linux")]
            Self::OutOfReach { .. } => crate::exit::NO_PERMISSION,
            #[cfg(target_os = "linux")]
            Self::Gone { .. } => crate::exit::LOST,
            #[cfg(target_os = "linux")]
            Self::Jobserver(error) => error.status(),
            #[cfg(target_os = "linux")]
            Self::Token(error) => error.status(),
            #[cfg(target_os = "linux")]
            Self::NotStarted(error) => error.kind.status(),
            _ => crate::exit::OWN_FAILURE,
        }
    }
}

/// An item in a message: its number, and as much of its text as helps to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    number: u64,
    text: String,
}

/// The longest item that is shown whole, in characters.
const SHOWN: usize = 80;

impl Named {
    /// Names item `number`, whose text is `item`.
    pub(crate) fn new(number: u64, item: &OsStr) -> Self {
        Self { number, text: quoted(item.as_bytes()) }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} ({})", self.number, self.text)
    }
}

/// `bytes` in quotes, escaped so that they cannot move a terminal's cursor, and cut to [`SHOWN`] characters.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    // A character has at most four bytes: cut first, so that a huge item costs little to name.
    let head = &bytes[..bytes.len().min(4 * (SHOWN + 1))];
    let text = String::from_utf8_lossy(head);
    let shown: String = text.chars().take(SHOWN).collect();
    let dots = if shown.len() < text.len() || head.len() < bytes.len() { "…" } else { "" };
    format!("{shown:?}{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_named_with_its_number_and_escaped() {
        let item = Named::new(3, OsStr::from_bytes(b"a\x1b[2Jb\xff"));
        assert_eq!(item.to_string(), "item 3 (\"a\\u{1b}[2Jb\u{fffd}\")");
    }

    #[test]
    fn a_long_item_is_cut() {
        let text = quoted("é".repeat(5000).as_bytes());
        assert_eq!(text, format!("\"{}\"…", "é".repeat(SHOWN)));
        assert_eq!(quoted(b"short"), "\"short\"");
    }
}
