//! Semaphores as tests want to see them. The types can only be made by the library, or from JSON.

use std::sync::Arc;

use gatepost_shared::{Event, Status};

use super::folder::Sight;
use super::watch::{Look, Picture};

/// Three holders in three states and two waiters, with statistics.
pub(crate) fn build() -> Status {
    serde_json::from_str(include_str!("samples/build.json")).expect("a status")
}

/// Nobody holds and nobody waits.
pub(crate) fn idle() -> Status {
    serde_json::from_str(include_str!("samples/idle.json")).expect("a status")
}

/// One event of each kind.
pub(crate) fn events() -> Vec<Event> {
    include_str!("samples/events.jsonl").lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

/// Asserts that `text` is what stands in `samples/NAME`; `GATEPOST_UPDATE_SAMPLES=1` writes it there instead, to be read
/// and committed.
#[track_caller]
pub(crate) fn is_as_in(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/view/samples").join(name);
    if std::env::var_os("GATEPOST_UPDATE_SAMPLES").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).expect("the sample can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).expect("the sample can be read");
    assert!(text == expected, "not as in {path:?}, but:\n{text}");
}

/// A picture of these.
pub(crate) fn picture_of(all: Vec<Status>) -> Arc<Picture> {
    let look = |status: Status| {
        let events = if status.name == "build" { events().split_off(2) } else { Vec::new() };
        let sight = Sight { name: status.name.clone(), path: status.path.clone(), seen: Ok(status) };
        Look { sight, events }
    };
    Arc::new(Picture { number: 1, looks: all.into_iter().map(look).collect(), trouble: None })
}

/// A picture of one that cannot be read, one that is full of life, and one that is idle.
pub(crate) fn picture() -> Arc<Picture> {
    let mut picture = Arc::into_inner(picture_of(vec![build(), idle()])).expect("nobody else has it");
    let error = "\"/run/user/1000/gatepost/bad.gate\" cannot be used as a semaphore: it is empty; remove it";
    let sight = Sight { name: "bad".into(), path: "/run/user/1000/gatepost/bad.gate".into(), seen: Err(error.into()) };
    picture.looks.insert(0, Look { sight, events: Vec::new() });
    Arc::new(picture)
}
