//! The log: one JSON object a line for each job that ended.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::outcome::Outcome;
use crate::error::Error;

/// The file that `--log` names.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

/// What the log says of one job.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'job> {
    /// Its number, from 1.
    pub(crate) job: u64,
    /// Its item, with U+FFFD where it is not UTF-8.
    #[serde(serialize_with = "lossy")]
    pub(crate) item: &'job OsStr,
    /// Its item exactly, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_bytes: Option<&'job [u8]>,
    /// The permits that it held.
    pub(crate) weight: usize,
    /// How often it was run.
    pub(crate) attempts: u32,
    /// When the first attempt began.
    #[serde(serialize_with = "timestamp")]
    pub(crate) started: SystemTime,
    /// How long it waited for its permits.
    #[serde(serialize_with = "seconds")]
    pub(crate) waited: Duration,
    /// How long it ran, all attempts together.
    #[serde(serialize_with = "seconds")]
    pub(crate) run: Duration,
    /// How it ended.
    #[serde(serialize_with = "outcome_name")]
    pub(crate) outcome: &'job Outcome,
    /// The status that a shell would show.
    pub(crate) status: u8,
}

/// `item` exactly, if its text would not say it.
pub(crate) fn exact(item: &OsStr) -> Option<&[u8]> {
    item.to_str().is_none().then(|| item.as_bytes())
}

impl Log {
    /// Creates the file, or empties it.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        match File::create(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file: Mutex::new(file) }),
            Err(source) => Err(Error::Log { path: path.to_owned(), source }),
        }
    }

    /// Writes one line, in one piece, so that who follows the file sees whole lines.
    pub(crate) fn write(&self, record: &Record<'_>) -> Result<(), Error> {
        let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
        });
        written.map_err(|source| Error::Log { path: self.path.clone(), source })
    }
}

fn lossy<S: Serializer>(item: &OsStr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&item.to_string_lossy())
}

fn timestamp<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn outcome_name<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.name())
}
