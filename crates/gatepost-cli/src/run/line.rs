//! Why it waits, in one line: `build: 2nd in line, 8/8 used; oldest: cargo test (pid 4121, ~/a, 4m12s)`.
//!
//! On a terminal the line stands on standard error and is redrawn each second; it is gone when the wait is over. Elsewhere
//! it is a line of the log: the first after five seconds, since a short wait is nothing to tell, then each minute.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepost_shared::{Holder, Process, Status};
use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthChar;

pub(crate) use crate::say::say;

/// How often the line on a terminal is drawn.
const REDRAW: Duration = Duration::from_secs(1);
/// After so long the line appears on a terminal: a shorter wait would only flicker.
const FLICKER: Duration = Duration::from_millis(100);
/// After so long a log has its first line.
const FIRST: Duration = Duration::from_secs(5);
/// And then one each.
const THEN: Duration = Duration::from_secs(60);

/// The line of one wait.
#[derive(Debug)]
pub(crate) struct Line {
    kind: Kind,
    /// When it is next to be shown, since the wait began.
    next: Duration,
    /// Whether there is one on the terminal.
    drawn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Silent,
    Terminal,
    Log,
}

impl Line {
    /// A line that is not shown yet.
    pub(crate) fn new(quiet: bool) -> Self {
        let kind = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Kind::Silent,
            (false, true) => Kind::Terminal,
            (false, false) => Kind::Log,
        };
        Self { kind, next: if kind == Kind::Log { FIRST } else { FLICKER }, drawn: false }
    }

    /// Whether it is to be shown, after so long a wait. Asked for once, it is due again later.
    pub(crate) fn is_due(&mut self, waited: Duration) -> bool {
        let due = self.kind != Kind::Silent && waited >= self.next;
        if due {
            self.next = waited + if self.kind == Kind::Log { THEN } else { REDRAW };
        }
        due
    }

    /// How long it is until then.
    pub(crate) fn pause(&self, waited: Duration) -> Option<Duration> {
        (self.kind != Kind::Silent).then(|| self.next.saturating_sub(waited))
    }

    /// Shows it.
    pub(crate) fn show(&mut self, text: &str) {
        let mut stderr = io::stderr().lock();
        // A line that cannot be written is missed by nobody.
        let _ = match self.kind {
            Kind::Silent => Ok(()),
            Kind::Log => stderr.write_all(crate::say::line(text).as_bytes()),
            Kind::Terminal => {
                // One that does not know its width says 0.
                let width = tcgetwinsize(&stderr).map_or(0, |size| usize::from(size.ws_col));
                let width = if width == 0 { 80 } else { width };
                // A line that is as wide as the terminal would wrap, and not be erased whole.
                let shown = fitting(text, width - 1);
                stderr.write_all(format!("\r\x1b[K{shown}").as_bytes())
            }
        };
        let _ = stderr.flush();
        self.drawn = self.kind == Kind::Terminal;
    }

    /// Takes it off the terminal.
    pub(crate) fn clear(&mut self) {
        if self.drawn {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K").and_then(|()| stderr.flush());
            self.drawn = false;
            self.next = Duration::ZERO;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.clear();
    }
}

/// From where the other processes are looked at.
#[derive(Debug, Default)]
struct Place {
    home: Option<PathBuf>,
    namespace: u64,
}

impl Place {
    fn here() -> Self {
        let namespace = std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
        Self { home: std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()), namespace }
    }

    /// The working directory of `process`, where it can be seen from here.
    fn directory_of(&self, process: &Process) -> Option<String> {
        if process.namespace != self.namespace && process.namespace != 0 {
            return None;
        }
        let path = std::fs::read_link(format!("/proc/{}/cwd", process.pid)).ok()?;
        Some(self.short(&path))
    }

    /// `path`, with `~` for the home directory.
    fn short(&self, path: &Path) -> String {
        match self.home.as_ref().and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }
}

/// What the line says for the waiter with `ticket`, which asks for `permits`.
pub(crate) fn of_permits(status: &Status, ticket: Option<u64>, permits: u32) -> String {
    text(status, ticket, permits, &Place::here())
}

/// What it says for a waiter for a token.
pub(crate) const OF_A_TOKEN: &str = "jobserver: waiting for a token, all are taken";

/// The line's text.
fn text(status: &Status, ticket: Option<u64>, permits: u32, place: &Place) -> String {
    let mut text = format!("{}: ", plain(&status.name));
    let ahead = ticket.and_then(|ticket| status.waiters.iter().position(|waiter| waiter.ticket == ticket));
    let _ = match ahead {
        Some(ahead) => write!(text, "{} in line", ordinal(ahead + 1)),
        None => write!(text, "waiting"),
    };
    if permits > 1 {
        let _ = write!(text, " for {permits} permits");
    }
    let _ = write!(text, ", {}/{} used", status.used, status.limit);
    if status.damage.is_some() {
        let _ = write!(text, ", damaged (`gatepost repair {}`)", plain(&status.name));
    }
    if status.paused {
        let _ = write!(text, ", paused (`gatepost resume {}`)", plain(&status.name));
    }
    if let Some(oldest) = status.holders.first() {
        let _ = write!(text, "; oldest: {}", holder(oldest, place));
    }
    text
}

fn holder(holder: &Holder, place: &Place) -> String {
    let process = holder.keep.as_ref().unwrap_or(&holder.session.process);
    let label = if holder.label.is_empty() { &holder.session.name } else { &holder.label };
    let mut text = format!("{} (pid {}, ", plain(label), process.pid);
    if let Some(directory) = place.directory_of(process) {
        let _ = write!(text, "{}, ", plain(&directory));
    }
    let _ = write!(text, "{})", short_time(holder.held));
    text
}

/// `text` without what could move a terminal's cursor, or turn the direction of what follows.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// As much of `text` as fits into so many columns.
fn fitting(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let too_far = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > columns
    });
    too_far.map_or(text, |(at, _)| &text[..at])
}

/// 1st, 2nd, 3rd, 4th.
fn ordinal(number: usize) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A time in its two greatest units.
pub(crate) fn short_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A state as it is in JSON, since it can be had from nowhere else.
    fn status() -> Status {
        let moment = json!({ "at": "2026-01-01T00:00:00Z", "boot_ns": 0 });
        let process = |pid: u32| json!({ "pid": pid, "start": 0, "namespace": 1 });
        let session = |pid: u32| json!({ "index": 0, "generation": 1, "process": process(pid), "uid": 0, "name": "cargo", "alive": true });
        let waiter = |ticket: u64| json!({ "ticket": ticket, "permits": 1, "label": "", "since": moment, "waited_ns": 0, "session": session(7) });
        let nothing = json!({ "buckets": [], "sum_ns": 0 });
        let status = json!({
            "schema": "gatepost/1", "name": "build", "path": "/x/build.gate", "now": moment, "limit": 8, "used": 8,
            "paused": false, "policy": "fifo", "slots": true,
            "capacity": { "limit": 1024, "sessions": 256, "grants": 1024, "waiters": 1024 },
            "holders": [{
                "id": 57, "permits": 8, "slots": [], "label": "cargo \u{1b}[2Jtest", "since": moment,
                "held_ns": 252_000_000_000u64, "session": session(4100), "keep": process(4121), "expires": null,
                "state": "alive",
            }],
            "waiters": [waiter(3), waiter(5)],
            "sessions": [], "locked_by": null,
            "statistics": {
                "acquired": 0, "released": 0, "waited": 0, "timeouts": 0, "cancelled": 0, "reclaimed": 0, "revoked": 0,
                "takeovers": 0, "wait": nothing, "hold": nothing,
            },
            "damage": null,
        });
        serde_json::from_value(status).expect("a status")
    }

    #[test]
    fn the_line_says_place_use_and_the_oldest() {
        let mut status = status();
        let place = Place { home: None, namespace: 2 };
        assert_eq!(
            text(&status, Some(5), 1, &place),
            "build: 2nd in line, 8/8 used; oldest: cargo \u{fffd}[2Jtest (pid 4121, 4m12s)"
        );
        status.paused = true;
        status.holders.clear();
        assert_eq!(
            text(&status, None, 3, &place),
            "build: waiting for 3 permits, 8/8 used, paused (`gatepost resume build`)"
        );
    }

    #[test]
    fn no_label_turns_the_line_around_or_makes_it_wider_than_the_terminal() {
        assert_eq!(plain("a\u{202e}b\u{2066}c\nd"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        // Each takes two columns.
        assert_eq!((fitting("漢字漢字", 5), fitting("漢字", 4), fitting("ab", 1)), ("漢字", "漢字", "a"));
    }

    #[test]
    fn a_directory_is_short_and_only_that_of_a_process_that_can_be_seen() {
        let place = Place { home: Some("/home/me".into()), namespace: 5 };
        assert_eq!(place.short(Path::new("/home/me/a")), "~/a");
        assert_eq!(place.short(Path::new("/home/me")), "~");
        assert_eq!(place.short(Path::new("/home/mere")), "/home/mere");
        let ours = |namespace| Process { pid: std::process::id(), start: 0, namespace };
        assert!(place.directory_of(&ours(5)).is_some());
        assert_eq!(place.directory_of(&ours(6)), None);
    }

    #[test]
    fn numbers_and_times_are_as_people_write_them() {
        let ordinals = [1, 2, 3, 4, 11, 12, 13, 21, 101, 111].map(ordinal);
        assert_eq!(ordinals, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "101st", "111th"]);
        let times = [0, 59, 252, 3_720, 90_000].map(|seconds| short_time(Duration::from_secs(seconds)));
        assert_eq!(times, ["0s", "59s", "4m12s", "1h2m", "1d1h"]);
    }

    #[test]
    fn a_log_has_its_first_line_after_five_seconds_and_then_one_each_minute() {
        let mut line = Line { kind: Kind::Log, next: FIRST, drawn: false };
        let at = Duration::from_secs;
        assert!(!line.is_due(at(4)));
        assert_eq!(line.pause(at(4)), Some(at(1)));
        assert!(line.is_due(at(5)) && !line.is_due(at(64)) && line.is_due(at(65)));
        let mut silent = Line { kind: Kind::Silent, next: FIRST, drawn: false };
        assert!(!silent.is_due(at(1000)) && silent.pause(at(0)).is_none());
    }
}
