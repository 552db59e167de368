//! What is said on standard error.
//!
//! A line is made whole first and written at once: when many processes fail in the same instant and share a log, their
//! lines stand below each other, and not in pieces within each other.

use std::io::{self, Write};

/// Says `text`. Standard error may be full or closed, and that is no reason to end, let alone in a panic.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(line(text).as_bytes());
}

/// `text` as a line of ours.
pub(crate) fn line(text: &str) -> String {
    format!("gatepost: {text}\n")
}
