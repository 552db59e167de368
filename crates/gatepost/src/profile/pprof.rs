//! The format of `go tool pprof`: a protocol buffer, `profile.proto`, gzipped.
//!
//! The encoding is small enough to be written down: a message is a sequence of fields, each a number and a type in a
//! varint, then a varint (type 0) or a length and bytes (type 2). Texts are indices into a table.

use super::snapshot::{Frame, Snapshot};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::borrow::ToOwned;
use std::collections::HashMap;
use std::io::{self, Write};
use std::string::{String, ToString};
use std::time::UNIX_EPOCH;
use std::vec::Vec;

/// Fields of `Profile`.
mod profile {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const DURATION_NANOS: u32 = 10;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn packed(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.message(field, &packed);
    }
}

/// What is numbered from 1 on as it comes up: texts (whose 0 is the empty one), functions, locations.
struct Numbered<K>(HashMap<K, u64>);

impl<K: std::hash::Hash + Eq> Numbered<K> {
    /// Its number, and whether it is new.
    fn of(&mut self, key: K) -> (u64, bool) {
        let next = self.0.len() as u64 + 1;
        let number = *self.0.entry(key).or_insert(next);
        (number, number == next)
    }
}

struct Builder<'a> {
    out: Message,
    texts: Numbered<String>,
    table: Message,
    functions: Numbered<(&'a str, &'a str)>,
    /// An address is one location, and several functions where some were inlined; the first of a stack may lack those
    /// that are this library's.
    locations: Numbered<&'a [Frame]>,
}

/// See [`Snapshot::write_pprof`].
pub(super) fn write(snapshot: &Snapshot, to: impl Write) -> io::Result<()> {
    let mut to = GzEncoder::new(to, Compression::default());
    to.write_all(&encode(snapshot))?;
    to.finish()?.flush()
}

/// The profile before it is compressed.
pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut builder = Builder {
        out: Message::default(),
        texts: Numbered(HashMap::new()),
        table: Message::default(),
        functions: Numbered(HashMap::new()),
        locations: Numbered(HashMap::new()),
    };
    builder.table.bytes(profile::STRING_TABLE, b"");
    let contentions = builder.value_type("contentions", "count");
    let delay = builder.value_type("delay", "nanoseconds");
    builder.out.message(profile::SAMPLE_TYPE, &contentions);
    builder.out.message(profile::SAMPLE_TYPE, &delay);
    builder.mapping();
    for record in snapshot.all() {
        let locations: Vec<u64> =
            record.frames.chunk_by(|a, b| a.address == b.address).map(|frames| builder.location(frames)).collect();
        let mut sample = Message::default();
        sample.packed(1, locations);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative; saturates
        let count = record.totals.count.round() as u64;
        sample.packed(2, [count, record.totals.nanos].map(|value| value.min(i64::MAX as u64)));
        builder.out.message(profile::SAMPLE, &sample);
    }
    let wall = snapshot.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    builder.out.number(profile::TIME_NANOS, u64::try_from(wall.as_nanos()).unwrap_or(0));
    builder.out.number(profile::DURATION_NANOS, u64::try_from(snapshot.elapsed.as_nanos()).unwrap_or(0));
    builder.out.message(profile::PERIOD_TYPE, &contentions);
    builder.out.number(profile::PERIOD, 1);
    let mut comments = std::vec![std::format!("gatepost {} profile, {}", snapshot.kind.name(), snapshot.setting())];
    if snapshot.lost > 0 {
        comments.push(std::format!("{} events were lost while another was recorded", snapshot.lost));
    }
    for comment in comments {
        let comment = builder.text(&comment);
        builder.out.number(profile::COMMENT, comment);
    }
    let default = builder.text("delay");
    builder.out.number(profile::DEFAULT_SAMPLE_TYPE, default);
    let Builder { mut out, table, .. } = builder;
    out.0.extend(table.0);
    out.0
}

impl<'a> Builder<'a> {
    fn text(&mut self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let (number, new) = self.texts.of(text.to_owned());
        if new {
            self.table.bytes(profile::STRING_TABLE, text.as_bytes());
        }
        number
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> Message {
        let mut message = Message::default();
        message.number(1, self.text(kind));
        message.number(2, self.text(unit));
        message
    }

    /// The program, all of whose names are there already.
    fn mapping(&mut self) {
        let program = std::env::current_exe().map_or_else(|_| "?".to_string(), |path| path.display().to_string());
        let mut mapping = Message::default();
        mapping.number(1, 1);
        mapping.number(3, i64::MAX as u64);
        mapping.number(5, self.text(&program));
        (7..=10).for_each(|has| mapping.number(has, 1)); // functions, files, lines, inlined frames
        self.out.message(profile::MAPPING, &mapping);
    }

    fn location(&mut self, frames: &'a [Frame]) -> u64 {
        let (id, new) = self.locations.of(frames);
        if new {
            let mut location = Message::default();
            location.number(1, id);
            location.number(2, 1);
            location.number(3, frames.first().map_or(0, |frame| frame.address as u64));
            for frame in frames {
                let mut line = Message::default();
                line.number(1, self.function(frame));
                line.number(2, frame.line.map_or(0, u64::from));
                location.message(4, &line);
            }
            self.out.message(profile::LOCATION, &location);
        }
        id
    }

    fn function(&mut self, frame: &'a Frame) -> u64 {
        let (id, new) = self.functions.of((&frame.name, frame.file.as_deref().unwrap_or_default()));
        if new {
            let mut function = Message::default();
            let name = self.text(&frame.name);
            function.number(1, id);
            function.number(2, name);
            function.number(3, name);
            function.number(4, self.text(frame.file.as_deref().unwrap_or_default()));
            self.out.message(profile::FUNCTION, &function);
        }
        id
    }
}
