//! Semaphores as tests want to see them. The types can only be made by the library, or from JSON.

use gatepost_shared::{Event, Status};

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
