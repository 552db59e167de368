//! Starting a job's process.
//!
//! Without `--sem`, nothing here asks for code between fork and exec, so the standard library takes `posix_spawn`: the cost of a
//! start does not grow with our own memory.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;

use super::machine::Held;
use crate::error::quoted;
use crate::exit;

/// How often starting is tried while the system has no room for a process.
const TRIES: u32 = 11;
/// The pause after the first such try; it doubles with each: about ten seconds in all.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// Why a process could not be started.
#[derive(Debug)]
pub(crate) struct StartError {
    /// The kind, which decides what to do about it.
    pub(crate) kind: Kind,
    /// The system says of a directory the same as of a file that is not executable.
    is_directory: bool,
    program: String,
    source: io::Error,
}

/// The kinds of failure to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no such program.
    NotFound,
    /// There is, and it cannot be run.
    NotExecutable,
    /// This item makes the arguments too long.
    ArgumentsTooLong,
    /// No room in the process table, for open files or in memory, however often it was tried.
    NoRoom,
    /// The run ended while there was no room.
    Ended,
    /// Its permit of the machine's semaphore was lost before it could start.
    Lost,
}

impl Kind {
    /// The kind of `error`, which the system gave instead of a process.
    pub(crate) fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT) => Self::NotFound,
            Some(Errno::TOOBIG) => Self::ArgumentsTooLong,
            Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => Self::NoRoom,
            _ => Self::NotExecutable,
        }
    }

    /// The status of a job that ends like this.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::NotFound => exit::NOT_FOUND,
            Self::NotExecutable | Self::ArgumentsTooLong => exit::NOT_EXECUTABLE,
            Self::NoRoom | Self::Ended => exit::OWN_FAILURE,
            Self::Lost => exit::LOST,
        }
    }
}

impl StartError {
    /// Why `program` could not be started.
    pub(crate) fn new(kind: Kind, program: &[u8], source: io::Error) -> Self {
        // Without a slash it is looked for in PATH, and directories there are passed over.
        let is_directory = program.contains(&b'/') && Path::new(OsStr::from_bytes(program)).is_dir();
        Self { kind, is_directory, program: quoted(program), source }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, is_directory, program, source } = self;
        match kind {
            Kind::NotFound => write!(
                f,
                "the command {program} was not found; check its spelling and PATH, and if it is a \
                 script, the program in its first line"
            ),
            Kind::NotExecutable if *is_directory => {
                write!(f, "the command {program} cannot be run: it is a directory; name a program, perhaps one in it")
            }
            Kind::NotExecutable => write!(
                f,
                "the command {program} cannot be run: {source}; make it executable (chmod +x), and \
                 if it is a script, begin it with a line such as #!/bin/sh"
            ),
            Kind::ArgumentsTooLong => write!(
                f,
                "the arguments of {program} are longer than the system takes; pass less in one item, \
                 or the name of a file that holds it"
            ),
            Kind::NoRoom => write!(
                f,
                "the system has no room for another process ({source}), tried {TRIES} times; lower \
                 --limit, or raise `ulimit -u` and `ulimit -n`"
            ),
            Kind::Lost => write!(f, "{program} was not started: {source}"),
            Kind::Ended => write!(f, "the run ended before there was room for another process"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Starts `arguments` as job `number`: in its own process group, reading `/dev/null`, its output captured.
///
/// With `held`, it waits between fork and exec until that permit names it. While the system has no room, `pause` is called between tries; it returns true when the run ends.
pub(crate) fn spawn(
    arguments: &[OsString],
    number: u64,
    weight: usize,
    held: Option<&Held>,
    pause: impl FnMut(Duration) -> bool,
) -> Result<Child, StartError> {
    let (program, rest) = arguments.split_first().expect("the command has a first word");
    let make = || {
        let mut command = Command::new(program);
        command
            .args(rest)
            .env("GATEPOST_JOB", number.to_string())
            .env("GATEPOST_WEIGHT", weight.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    };
    let started = match held {
        None => {
            let mut command = make();
            while_no_room(|| command.spawn(), pause)
        }
        Some(held) => spawn_held(held, make, pause),
    };
    started.map_err(|(kind, source)| StartError::new(kind, program.as_bytes(), source))
}

/// Starts what `make` makes, with a permit of the machine.
#[cfg(target_os = "linux")]
fn spawn_held(
    held: &Held,
    make: impl Fn() -> Command,
    pause: impl FnMut(Duration) -> bool,
) -> Result<Child, (Kind, io::Error)> {
    use crate::child::gate::Refusal;
    let mut refused = None;
    let started = while_no_room(
        || match held.spawn(make()) {
            Ok(child) => Ok(Some(child)),
            Err(Refusal::Start(error)) => Err(error),
            Err(Refusal::Grant(error)) => {
                refused = Some(error);
                Ok(None)
            }
        },
        pause,
    )?;
    // What is refused will be refused again.
    started.ok_or_else(|| (Kind::Lost, refused.map_or_else(|| Errno::PERM.into(), io::Error::other)))
}

/// Nobody holds one here.
#[cfg(not(target_os = "linux"))]
fn spawn_held(
    held: &Held,
    _make: impl Fn() -> Command,
    _pause: impl FnMut(Duration) -> bool,
) -> Result<Child, (Kind, io::Error)> {
    match *held {}
}

/// Tries `start` until it works, fails for good, or has failed for want of room [`TRIES`] times.
pub(crate) fn while_no_room<T>(
    mut start: impl FnMut() -> io::Result<T>,
    mut pause: impl FnMut(Duration) -> bool,
) -> Result<T, (Kind, io::Error)> {
    let mut length = FIRST_PAUSE;
    for last in (0..TRIES).map(|tried| tried + 1 == TRIES) {
        match start() {
            Ok(started) => return Ok(started),
            Err(error) => match Kind::of(&error) {
                Kind::NoRoom if !last => {
                    if pause(length) {
                        return Err((Kind::Ended, error));
                    }
                    length *= 2;
                }
                kind => return Err((kind, error)),
            },
        }
    }
    unreachable!("the last try returns")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_room() -> io::Error {
        Errno::AGAIN.into()
    }

    #[test]
    fn a_full_process_table_is_tried_again_with_longer_pauses() {
        let (mut tries, mut pauses) = (0, Vec::new());
        let started = while_no_room(
            || {
                tries += 1;
                if tries < 4 { Err(no_room()) } else { Ok(tries) }
            },
            |pause| {
                pauses.push(pause.as_millis());
                false
            },
        );
        assert_eq!(started.ok(), Some(4));
        assert_eq!(pauses, [10, 20, 40]);
    }

    #[test]
    fn a_process_table_that_stays_full_is_reported() {
        let mut waited = Duration::ZERO;
        let result = while_no_room::<()>(
            || Err(no_room()),
            |pause| {
                waited += pause;
                false
            },
        );
        let (kind, source) = result.unwrap_err();
        assert_eq!((kind, waited), (Kind::NoRoom, Duration::from_millis(10_230)));
        let text = StartError { kind, is_directory: false, program: "x".to_owned(), source }.to_string();
        assert!(text.contains("11 times") && text.contains("ulimit -u"), "{text}");
    }

    #[test]
    fn the_end_of_the_run_ends_the_trying() {
        let (kind, _) = while_no_room::<()>(|| Err(no_room()), |_| true).unwrap_err();
        assert_eq!(kind, Kind::Ended);
    }

    #[test]
    fn other_failures_are_final_and_have_the_status_that_env_gives() {
        for (errno, kind, status) in [
            (Errno::NOENT, Kind::NotFound, 127),
            (Errno::ACCESS, Kind::NotExecutable, 126),
            (Errno::NOEXEC, Kind::NotExecutable, 126),
            (Errno::TOOBIG, Kind::ArgumentsTooLong, 126),
        ] {
            let (found, _) = while_no_room::<()>(|| Err(errno.into()), |_| panic!("no pause")).unwrap_err();
            assert_eq!((found, found.status()), (kind, status));
        }
    }
}
