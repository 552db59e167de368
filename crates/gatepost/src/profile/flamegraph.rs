//! A profile as a flame graph: one SVG file, without scripts.
//!
//! Stacks are merged from their outermost function on. A function is a box as wide as the waiting below it; its callers are
//! beneath it. Colours come from the names and mean nothing else, but that the profiles differ: warm for the block profile,
//! cool for the mutex profile, and paler for the standard library.

use super::Kind;
use super::sample::Totals;
use super::snapshot::Snapshot;
use super::symbols::is_std;
use super::text::{count, delay, percent};
use std::collections::BTreeMap;
use std::format;
use std::io::{self, Write};
use std::string::String;

const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const ROW: f64 = 18.0;
/// What is above the boxes.
const HEAD: f64 = 54.0;
/// Of the monospaced font, at 11 pixels.
const CHARACTER: f64 = 6.65;
/// Narrower boxes are left out.
const NARROWEST: f64 = 0.2;

/// A function, called in one way.
#[derive(Default)]
struct Call<'a> {
    totals: Totals,
    calls: BTreeMap<&'a str, Call<'a>>,
}

impl Call<'_> {
    fn depth(&self) -> usize {
        1 + self.calls.values().map(Call::depth).max().unwrap_or(0)
    }
}

/// See [`Snapshot::write_flamegraph`].
pub(super) fn write(snapshot: &Snapshot, mut to: impl Write) -> io::Result<()> {
    let mut root = Call::default();
    for record in snapshot.all() {
        root.totals += record.totals;
        let mut at = &mut root;
        for frame in record.frames.iter().rev() {
            at = at.calls.entry(frame.name()).or_default();
            at.totals += record.totals;
        }
    }
    #[allow(clippy::cast_precision_loss)] // some tens
    let height = HEAD + root.depth() as f64 * ROW + MARGIN;
    let (name, all) = (snapshot.kind.name(), delay(root.totals.nanos));
    let subtitle =
        format!("{all} of waiting in {} contentions; {}", count(root.totals.count), escaped(&snapshot.setting()),);
    write!(
        to,
        r##"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">
<title>Gatepost: {name} profile</title>
<style>
text {{ font: 11px "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1c1c1c; pointer-events: none }}
.title {{ font: bold 15px "DejaVu Sans", Helvetica, Arial, sans-serif }}
.subtitle {{ font: 12px "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #555 }}
rect.call {{ stroke: #fff; stroke-width: 0.6 }}
g:hover > rect.call {{ stroke: #000; stroke-width: 1 }}
</style>
<rect width="100%" height="100%" fill="#fff"/>
<text class="title" x="{MARGIN}" y="24">{title}</text>
<text class="subtitle" x="{MARGIN}" y="42">{subtitle}</text>
"##,
        title = match snapshot.kind {
            Kind::Block => "Block profile: who waited",
            Kind::Mutex => "Mutex profile: whose releases were waited for",
        },
    )?;
    let mut graph = Graph { to: &mut to, kind: snapshot.kind, bottom: height - MARGIN, all: root.totals.nanos.max(1) };
    graph.draw("all", &root, 0.0, 0)?;
    writeln!(to, "</svg>")?;
    to.flush()
}

struct Graph<W> {
    to: W,
    kind: Kind,
    bottom: f64,
    all: u64,
}

impl<W: Write> Graph<W> {
    /// Draws a function and what it calls, `nanos` of waiting from the left.
    #[allow(clippy::cast_precision_loss)] // pixels
    fn draw(&mut self, name: &str, call: &Call<'_>, nanos: f64, depth: usize) -> io::Result<()> {
        let scale = (WIDTH - 2.0 * MARGIN) / self.all as f64;
        let width = call.totals.nanos as f64 * scale;
        if width < NARROWEST && depth > 0 {
            return Ok(());
        }
        let width = if depth == 0 { WIDTH - 2.0 * MARGIN } else { width };
        let (x, y) = (MARGIN + nanos * scale, self.bottom - (depth + 1) as f64 * ROW);
        writeln!(
            self.to,
            r#"<g><title>{}: {} ({}), {} contentions</title><rect class="call" x="{x:.2}" y="{y}" width="{width:.2}" height="{ROW}" rx="1.5" fill="{}"/>{}</g>"#,
            escaped(name),
            delay(call.totals.nanos),
            percent(call.totals.nanos, self.all),
            count(call.totals.count),
            colour(self.kind, name, depth),
            label(name, width)
                .map(|label| format!(r#"<text x="{:.2}" y="{:.1}">{}</text>"#, x + 4.0, y + 12.5, escaped(&label)))
                .unwrap_or_default(),
        )?;
        // The widest first, as readers look for it.
        let mut calls: std::vec::Vec<_> = call.calls.iter().collect();
        calls.sort_by_key(|(_, call)| core::cmp::Reverse(call.totals.nanos));
        let mut at = nanos;
        for (name, inner) in calls {
            self.draw(name, inner, at, depth + 1)?;
            at += inner.totals.nanos as f64;
        }
        Ok(())
    }
}

/// As much of a name as a box has room for; the end of a path says more than its beginning.
fn label(name: &str, width: f64) -> Option<String> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative; a thousand pixels
    let room = ((width - 8.0).max(0.0) / CHARACTER) as usize;
    let length = name.chars().count();
    if length <= room {
        return Some(name.into());
    }
    if room < 3 {
        return None;
    }
    let parts = [shortened(name, 2), shortened(name, 1)];
    if let Some(short) = parts.into_iter().find(|part| part.chars().count() <= room) {
        return Some(short.into());
    }
    let mut cut: String = parts[1].chars().take(room - 1).collect();
    cut.push('…');
    Some(cut)
}

/// The last parts of a path, closures not counted, and generic arguments not looked into.
fn shortened(name: &str, parts: usize) -> &str {
    let mut depth = 0_usize;
    let mut found = 0;
    for (at, character) in name.char_indices().rev() {
        match character {
            '>' | ')' | ']' | '}' => depth += 1,
            '<' | '(' | '[' | '{' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && name[..at].ends_with(':') => {
                let part = &name[at + 1..];
                found += usize::from(!part.starts_with("{{"));
                if found == parts {
                    return part;
                }
            }
            _ => {}
        }
    }
    name
}

/// A colour that a name always has.
fn colour(kind: Kind, name: &str, depth: usize) -> String {
    if depth == 0 {
        return "#d9d9d9".into();
    }
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let (spread, light) = (hash >> 8 & 31, 66 + (hash >> 16) % 12);
    let (pale, light) = if is_std(name) { (0.4, light + 12) } else { (1.0, light) };
    match kind {
        Kind::Block => format!("hsl({},{}%,{light}%)", 16 + spread, 88.0 * pale),
        Kind::Mutex => format!("hsl({},{}%,{light}%)", 172 + spread, 62.0 * pale),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_name_is_cut_where_it_says_least() {
        let name = "user::module::Type<a::B>::method";
        assert_eq!(label(name, 1000.0).as_deref(), Some(name));
        assert_eq!(label(name, 8.0 + 21.0 * CHARACTER).as_deref(), Some("Type<a::B>::method"));
        assert_eq!(label(name, 8.0 + 6.5 * CHARACTER).as_deref(), Some("method"));
        assert_eq!(label(name, 8.0 + 5.5 * CHARACTER).as_deref(), Some("meth…"));
        assert_eq!(label(name, 8.0 + 2.5 * CHARACTER), None);
        assert_eq!(shortened("<a::T as b::U>::f::{{closure}}", 1), "f::{{closure}}");
        assert_eq!(shortened("a::b::f::{{closure}}::{{closure}}", 2), "b::f::{{closure}}::{{closure}}");
        assert_eq!(shortened("f", 2), "f");
    }

    #[test]
    fn markup_in_names_is_escaped() {
        assert_eq!(escaped("<T as \"U\"> & \u{1}"), "&lt;T as &quot;U&quot;&gt; &amp; \u{fffd}");
    }
}
