//! The semaphores of a folder, each seen or with the reason why it cannot be. One that cannot is one line among the
//! others, never the end of them.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gatepost_shared::{Event, Moment, Observer, Options, SCHEMA, Status};
use serde::Serialize;

use crate::error::Error;
use crate::machine::open::Place;

/// A semaphore that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sight {
    /// Its name.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// What was seen, or why nothing was.
    pub(crate) seen: Result<Status, String>,
}

/// A semaphore that could not be looked at, as JSON.
#[derive(Debug, Serialize)]
struct Unseen<'a> {
    schema: &'static str,
    name: &'a str,
    path: Cow<'a, str>,
    error: &'a str,
}

impl Sight {
    /// One line of JSON, its newline included: a status, or name, path and error.
    pub(crate) fn json(&self) -> String {
        match &self.seen {
            Ok(status) => line(status),
            Err(error) => line(&Unseen { schema: SCHEMA, name: &self.name, path: self.path.to_string_lossy(), error }),
        }
    }
}

/// `value` as one line of JSON, its newline included.
pub(crate) fn line(value: &impl Serialize) -> String {
    // The types are the schema's own: their maps have text for keys, and nothing in them can fail.
    let mut text = serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    text.push('\n');
    text
}

/// Where semaphores are looked for, and how they are opened.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    options: Options,
}

impl Folder {
    /// The folder that `place` names.
    pub(crate) fn of(place: &Place) -> Self {
        Self { path: place.directory(), options: place.options() }
    }

    /// A folder of a test.
    #[cfg(test)]
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), options: Options::new().directory(path) }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How to open what is in it.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The names and files of what is in it; a folder that is not there has nothing in it.
    pub(crate) fn names(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        match gatepost_shared::list(&self.path) {
            Err(gatepost_shared::Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            listed => Ok(listed?),
        }
    }

    /// An observer of `name`.
    pub(crate) fn observe(&self, name: &str) -> Result<Observer, gatepost_shared::Error> {
        Observer::open(name, &self.options)
    }

    /// Looks once at everything in it.
    pub(crate) fn look(&self) -> Result<Vec<Sight>, Error> {
        let see = |(name, path): (String, PathBuf)| {
            let seen = self.observe(&name).and_then(|observer| observer.status());
            Sight { name, path, seen: seen.map_err(|error| error.to_string()) }
        };
        Ok(self.names()?.into_iter().map(see).collect())
    }
}

/// What tells a file from another one of the same name.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// The last `most` events that the file keeps.
pub(crate) fn last_events(observer: &Observer, most: usize) -> Vec<Event> {
    let mut events: Vec<Event> = observer.events().collect();
    events.split_off(events.len().saturating_sub(most))
}

/// How long before `now` something happened, by the clock that nobody sets.
pub(crate) fn ago(now: Moment, then: Moment) -> std::time::Duration {
    std::time::Duration::from_nanos(now.boot_ns.saturating_sub(then.boot_ns))
}
