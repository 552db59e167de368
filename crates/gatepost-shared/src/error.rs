//! Every reason why the semaphore of a machine says no. Each text says what was asked, what was there, and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What went wrong.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// let error = build.resize(5000).expect_err("its permits have slots");
/// assert!(error.to_string().contains("a limit of 5000 is above the 1024"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name cannot be that of a semaphore.
    #[error(
        "{name:?} is no name for a semaphore: {why}; use 1 to 64 of A-Z a-z 0-9 . _ - and not a dot in front, or the path \
         of a file, with a slash in it"
    )]
    Name {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no such semaphore, and no limit to create it with.
    #[error(
        "there is no semaphore {name:?} ({path:?}); give a limit to create it, or see which there are (`gatepost list`)"
    )]
    NotFound {
        /// The name.
        name: String,
        /// Where its file would be.
        path: PathBuf,
    },
    /// The semaphore has another limit than the one asked for.
    #[error(
        "the semaphore {name:?} has limit {there} and you ask for {asked}; leave the limit out, or change it for everybody \
         (`gatepost resize {name} {asked}`, or `--set-limit`)"
    )]
    LimitDiffers {
        /// The name.
        name: String,
        /// The limit asked for.
        asked: u32,
        /// The limit that the first one gave it.
        there: u32,
    },
    /// The limit is above what the file can hold.
    #[error(
        "a limit of {asked} is above the {capacity} that the semaphore {name:?} was made for: {reason}; give at most \
         {capacity}, or remove it while nobody uses it and create it with the larger limit"
    )]
    Capacity {
        /// The name.
        name: String,
        /// The limit asked for.
        asked: u32,
        /// The greatest limit that this file takes.
        capacity: u32,
        /// Why it is that.
        reason: &'static str,
    },
    /// More permits at once than there are.
    #[error(
        "{asked} permits were asked for and the semaphore {name:?} has a limit of {limit}, so they could never be had; ask \
         for at most {limit}, or raise the limit (`gatepost resize {name} {asked}`)"
    )]
    ExceedsLimit {
        /// The name.
        name: String,
        /// The number asked for.
        asked: u32,
        /// The limit.
        limit: u32,
    },
    /// No permits at all were asked for.
    #[error("0 permits were asked for; ask for at least 1")]
    Zero,
    /// The permits are not to be had now, and the caller does not wait.
    #[error("the semaphore {name:?} is busy: {used} of {limit} in use, {waiting} waiting; {hint}")]
    Busy {
        /// The name.
        name: String,
        /// Permits in use.
        used: u32,
        /// The limit.
        limit: u32,
        /// How many wait.
        waiting: u32,
        /// What to do.
        hint: String,
    },
    /// The permits were not to be had in time.
    #[error("waited {} for {} of the semaphore {name:?} in vain; {hint}", rounded(*.waited), counted(*.asked, "permit"))]
    TimedOut {
        /// The name.
        name: String,
        /// The number asked for.
        asked: u32,
        /// How long.
        waited: Duration,
        /// What to do.
        hint: String,
    },
    /// It is used, and was to be taken away.
    #[error(
        "the semaphore {name:?} is in use: {} it open and {} held; wait until they have ended (`gatepost status {name}`)",
        if *.sessions == 1 { "1 other process has".to_owned() } else { format!("{} other processes have", .sessions) },
        if *.grants == 1 { "1 grant is".to_owned() } else { format!("{} grants are", .grants) }
    )]
    InUse {
        /// The name.
        name: String,
        /// How many other processes have it open.
        sessions: usize,
        /// How many grants are held.
        grants: usize,
    },
    /// As many processes as the file has room for have it open.
    #[error("{max} processes have the semaphore {name:?} open, which is all that its file has room for; let some end")]
    SessionsFull {
        /// The name.
        name: String,
        /// The size of the table.
        max: u32,
    },
    /// As many grants as the file has room for are held.
    #[error(
        "{max} grants of the semaphore {name:?} are held, which is all that its file has room for; release some, or \
             take more permits with each"
    )]
    GrantsFull {
        /// The name.
        name: String,
        /// The size of the table.
        max: u32,
    },
    /// As many waiters as the file has room for are in the queue.
    #[error("{max} are waiting for the semaphore {name:?}, which is all that its file has room for; try again later")]
    QueueFull {
        /// The name.
        name: String,
        /// The size of the table.
        max: u32,
    },
    /// The permit was taken back before its owner learned of it.
    #[error("the permit {id} was revoked before it was used; ask again if you may")]
    Revoked {
        /// Which one.
        id: crate::PermitId,
    },
    /// This handle was opened by the process that forked this one.
    #[error("this handle of the semaphore {name:?} belongs to the process that forked this one; open it again here")]
    Forked {
        /// The name.
        name: String,
    },
    /// Another process believes that this one is dead, since its lock on the file is gone.
    #[error(
        "this process's lock on {path:?} is gone, so others took it for dead: something closed a descriptor that it does \
         not own (closefrom, close_range); open the semaphore again, and do not close descriptors that are not yours"
    )]
    SessionLost {
        /// The file.
        path: PathBuf,
    },
    /// The file breaks an invariant.
    #[error("the semaphore {name:?} ({path:?}) is damaged: {what}; run `gatepost repair {name}`")]
    Poisoned {
        /// The name.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file is no semaphore, or none that this version can use.
    #[error("{path:?} cannot be used as a semaphore: {what}; {remedy}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The file or its folder may not be trusted, or may not be used by this user.
    #[error("{path:?} is refused: {what}; {remedy}")]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The file system has no locks or no shared memory that processes on several machines could rely on.
    #[error(
        "{path:?} is on {kind}, where one machine does not see at once what another one writes; use a folder on a local \
         disk or in memory (GATEPOST_DIR), such as one under /run"
    )]
    FileSystem {
        /// The file or folder.
        path: PathBuf,
        /// The kind of file system.
        kind: String,
    },
    /// The system refused something.
    #[error("cannot {what} {path:?}: {source}{}", hint(.source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What to do about an error of the system, where it is known.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; make room on that file system, or set GATEPOST_DIR to a folder on another",
        io::ErrorKind::ReadOnlyFilesystem => "; set GATEPOST_DIR to a folder that can be written",
        io::ErrorKind::PermissionDenied => {
            "; ask its owner for the right to write it, or set GATEPOST_DIR to a folder of your own"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => {
            "; create the folder, or set GATEPOST_DIR to one that exists"
        }
        _ => "",
    }
}

/// A number of things, in words.
fn counted(number: u32, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A duration as a person would say it.
fn rounded(duration: Duration) -> String {
    let unit = if duration < Duration::from_secs(1) { Duration::from_millis(1) } else { Duration::from_millis(100) };
    let units = duration.as_nanos().div_ceil(unit.as_nanos());
    let rounded = unit.saturating_mul(u32::try_from(units).unwrap_or(u32::MAX));
    humantime::format_duration(rounded).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_said_as_a_person_would() {
        assert_eq!(
            [counted(0, "permit"), counted(1, "permit"), counted(2, "permit")],
            ["0 permits", "1 permit", "2 permits"]
        );
        assert_eq!(rounded(Duration::from_nanos(1_001_188_922)), "1s 100ms");
        assert_eq!(rounded(Duration::from_micros(250_200)), "251ms");
        assert_eq!(rounded(Duration::ZERO), "0s");
    }
}
