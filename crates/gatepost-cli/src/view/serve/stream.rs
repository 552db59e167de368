//! `GET /events`: pictures as they come, as server-sent events, for the page.
//!
//! What is sent is the page's own affair, and no interface: it holds the library's status and events as `/api/status` has
//! them, and beside them the same words that the other views use, so that the page need not find words of its own.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatepost_shared::{Event, SCHEMA, Status};
use serde::Serialize;

use super::super::watch::{Look, Picture, Subscription};
use super::super::{events, folder, status, why, words};
use super::http;

/// After this long without a picture a line is sent that says nothing: a client that is gone is found out by it.
const SILENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Page<'p> {
    schema: &'static str,
    folder: &'p str,
    trouble: &'p Option<String>,
    semaphores: Vec<Entry<'p>>,
}

#[derive(Serialize)]
struct Entry<'p> {
    name: &'p str,
    error: Option<&'p str>,
    status: Option<&'p Status>,
    state: &'static str,
    summary: String,
    why: Option<String>,
    wait: [String; 2],
    hold: [String; 2],
    holders: Vec<String>,
    events: Vec<Happened<'p>>,
}

#[derive(Serialize)]
struct Happened<'p> {
    event: &'p Event,
    text: String,
}

/// `picture` as one event.
pub(crate) fn encode(picture: &Picture, directory: &str) -> Vec<u8> {
    let page = Page {
        schema: SCHEMA,
        folder: directory,
        trouble: &picture.trouble,
        semaphores: picture.looks.iter().map(entry).collect(),
    };
    format!("data: {}\n", folder::line(&page)).into_bytes()
}

fn entry(look: &Look) -> Entry<'_> {
    let happened = |event| Happened { event, text: events::what(event) };
    let mut entry = Entry {
        name: &look.sight.name,
        error: None,
        status: None,
        state: "unreadable",
        summary: String::new(),
        why: None,
        wait: Default::default(),
        hold: Default::default(),
        holders: Vec::new(),
        events: look.events.iter().rev().map(happened).collect(),
    };
    match &look.sight.seen {
        Err(error) => entry.error = Some(error),
        Ok(seen) => {
            let times = |histogram: &gatepost_shared::Histogram| {
                [0.5, 0.99].map(|share| words::bound(histogram.quantile(share)))
            };
            entry.status = Some(seen);
            entry.state = why::state(seen);
            entry.summary = why::summary(seen);
            entry.why = why::head_waits(seen);
            entry.wait = times(&seen.statistics.wait);
            entry.hold = times(&seen.statistics.hold);
            entry.holders = seen.holders.iter().map(|holder| status::state(seen, holder)).collect();
        }
    }
    entry
}

/// The last picture, encoded once for all who watch.
#[derive(Debug, Default)]
pub(crate) struct Encoded(Mutex<(u64, Arc<[u8]>)>);

impl Encoded {
    fn of(&self, picture: &Picture, directory: &str) -> Arc<[u8]> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != picture.number {
            *last = (picture.number, encode(picture, directory).into());
        }
        Arc::clone(&last.1)
    }
}

/// Sends pictures until the client has gone or does not read. A client that is slower than the pictures gets fewer.
pub(crate) fn send(stream: &mut TcpStream, mut pictures: Subscription, encoded: &Encoded, directory: &str) {
    let head = http::head(http::OK, "text/event-stream", None, "");
    if http::write(stream, format!("{head}retry: 2000\n\n").as_bytes()).is_err() {
        return;
    }
    loop {
        let sent = match pictures.next(SILENCE) {
            Some(picture) => http::write(stream, &encoded.of(&picture, directory)),
            None => http::write(stream, b":\n\n"),
        };
        if sent.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    #[test]
    fn a_picture_is_one_event_of_one_line() {
        let bytes = encode(&samples::picture(), "/run");
        let text = String::from_utf8(bytes).expect("text");
        samples::is_as_in("stream.txt", &text);
        let data = text.strip_prefix("data: ").and_then(|data| data.strip_suffix("\n\n")).expect("an event");
        assert!(!data.contains('\n'));
        let page: serde_json::Value = serde_json::from_str(data).expect("JSON");
        let semaphores = page["semaphores"].as_array().expect("a list");
        assert_eq!(semaphores.len(), 3);
        assert!(semaphores[0]["error"].as_str().is_some_and(|error| error.contains("cannot be used")));
        assert_eq!(semaphores[1]["why"], "the head asks for 3, 1 is free");
        assert_eq!(semaphores[1]["status"]["used"], 7);
        assert_eq!(semaphores[1]["holders"][0], "alive");
    }

    #[test]
    fn a_picture_is_encoded_once() {
        let encoded = Encoded::default();
        let picture = samples::picture();
        let (one, two) = (encoded.of(&picture, "/run"), encoded.of(&picture, "/run"));
        assert!(Arc::ptr_eq(&one, &two));
    }
}
