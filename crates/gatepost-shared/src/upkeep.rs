//! What is done to the files of semaphores, and not with a semaphore: to list them, to take one away, to mend one.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::file::{self, Place};
use crate::options::Options;
use crate::session::{Purpose, Session};
use crate::{liveness, snapshot};

/// How long `repair` waits for the lock to take back what the dead hold, which others do if it does not.
const PATIENCE: Duration = Duration::from_secs(1);

/// The semaphores of a folder, with their files, by name. A folder that does not exist has none.
///
/// # Errors
///
/// [`Error::Io`].
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// let found = gatepost_shared::list(folder.path())?;
/// assert_eq!(found[0].0, "build");
/// # drop(build);
/// # Ok(())
/// # }
/// ```
pub fn list(directory: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    file::list_in(directory)
}

/// Takes away the file of a semaphore that nobody uses.
///
/// # Errors
///
/// [`Error::InUse`] while a process has it open or a permit is kept; and those of opening it.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// assert!(gatepost_shared::remove("build", &options).is_err(), "it is in use");
/// drop(build);
/// gatepost_shared::remove("build", &options)?;
/// # Ok(())
/// # }
/// ```
pub fn remove(name: &str, options: &Options) -> Result<(), Error> {
    let place = Place::of(name, options)?;
    let io = |what| {
        let path = place.path.clone();
        move |source| Error::Io { what, path, source }
    };
    let not_found = || Error::NotFound { name: place.name.clone(), path: place.path.clone() };
    // A session, so that what the dead hold is taken back; all the others are counted.
    let session = Session::open(name, &Options { limit: None, ..options.clone() }, Purpose::Repair)?;
    let table = &session.table;
    let hold = table.descriptions().hold.as_fd();
    let setup = liveness::lock_setup(hold).map_err(io("lock"))?;
    let status = snapshot::status(&snapshot::View::of(table));
    let others = status.sessions.iter().filter(|other| other.alive && other.index != table.me()).count();
    let kept = status.holders.iter().filter(|holder| holder.state != crate::HolderState::Dead).count();
    if others > 0 || kept > 0 {
        return Err(Error::InUse { name: place.name, sessions: others, grants: kept });
    }
    if rustix::fs::fstat(hold).map_err(|errno| io("look at")(errno.into()))?.st_nlink == 0 {
        return Err(not_found());
    }
    std::fs::remove_file(&place.path).map_err(io("remove"))?;
    drop(setup);
    Ok(())
}

/// Makes a damaged file sound: what cannot be is taken away. And frees what the dead hold for processes that cannot be seen from
/// here, in another PID namespace ([`HolderState::Unknown`](crate::HolderState::Unknown)), so that nobody else would free it:
/// look first whether these have ended. What was done, in words; nothing was wrong if that is empty.
///
/// # Errors
///
/// Those of opening it, damage aside.
///
/// ```
/// # fn main() -> Result<(), gatepost_shared::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let options = gatepost_shared::Options::new().directory(folder.path());
/// # let build = gatepost_shared::Semaphore::open("build", &options.clone().limit(8))?;
/// assert!(gatepost_shared::repair("build", &options)?.is_empty(), "nothing was wrong");
/// # drop(build);
/// # Ok(())
/// # }
/// ```
pub fn repair(name: &str, options: &Options) -> Result<Vec<String>, Error> {
    let place = Place::of(name, options)?;
    let mut done = Vec::new();
    done.extend(file::mend_header(&place, options)?);
    let session =
        Session::open(name, &Options { limit: None, ..options.clone() }, Purpose::Repair).map_err(beyond_repair)?;
    let table = &session.table;
    done.extend(session.mended.iter().cloned());
    let taken = table.take_by_force(false, &mut done)?;
    table.section_regardless(taken, |section| {
        done.extend(section.repair());
        if !done.is_empty() {
            let why = if done.len() == 1 { "1 thing was wrong" } else { &format!("{} things were wrong", done.len()) };
            let kind = Some(crate::EventKind::Repaired);
            section.note(crate::table::Note { kind, why, ..Default::default() });
        }
    })?;
    table.reap_within(PATIENCE)?;
    done.extend(table.reap_unknown(PATIENCE)?);
    Ok(done)
}

/// Whoever has tried to repair a file is not told to do that.
fn beyond_repair(error: Error) -> Error {
    match error {
        Error::Format { path, what, remedy } if remedy.contains("gatepost repair") => {
            let remedy = "that is beyond repair: if nothing uses it, remove it (rm), and the next use creates it anew";
            Error::Format { path, what, remedy }
        }
        error => error,
    }
}
