//! How what was seen is put in words: durations, counts, and texts of other processes that must not move a cursor.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A duration as a person reads it, in at most seven characters up to a year: `850µs`, `42ms`, `3.1s`, `4m12s`, `3h05m`,
/// `2d03h`.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_micros() == 0 => format!("{}ns", duration.as_nanos()),
        0 if duration.as_millis() == 0 => format!("{}µs", duration.as_micros()),
        0 => format!("{}ms", duration.as_millis()),
        1..=9 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        10..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A bound from a histogram, which is a power of two: `< 1.0ms`, `< 34s`; `-` if nothing was measured.
pub(crate) fn bound(quantile: Option<Duration>) -> String {
    quantile.map_or_else(|| "-".to_owned(), |bound| format!("< {}", age(bound)))
}

/// `1 permit`, `2 permits`.
pub(crate) fn counted(n: impl Into<u64>, noun: &str) -> String {
    let n = n.into();
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `text`, which another process wrote, so that it can neither move a terminal's cursor nor break a line or a table:
/// control characters and what reverses the direction of writing are escaped.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A label as [`clean`] leaves it, or words that say that there is none.
pub(crate) fn label(text: &str) -> String {
    if text.is_empty() { "(no label)".to_owned() } else { clean(text) }
}

/// At most `width` columns of `text`, the last of them a `…` if that is not all.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = width.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        left = rest;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// `text` in lines of at most `width` columns, broken at spaces, or within a word that is wider than a line.
pub(crate) fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if !line.is_empty() && line.width() + c.width().unwrap_or(0) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The time of day, in UTC: `09:30:05`.
pub(crate) fn clock(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02}:{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Lines of columns, each as wide as its widest cell; the columns of `numbers` stand at the right. The last column is
/// not padded.
pub(crate) fn table(rows: &[Vec<String>], numbers: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |k| rows.iter().filter_map(|row| row.get(k)).map(|cell: &String| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (k, cell) in row.iter().enumerate() {
            let pad = widths[k] - cell.width();
            let (before, after) = if numbers.contains(&k) { (pad, 0) } else { (0, pad) };
            let gap = if k == 0 { "" } else { "  " };
            let _ = write!(line, "{gap}{:before$}{cell}{:after$}", "", "");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_and_never_lie_by_more_than_a_tenth() {
        let cases = [
            (0, "0ns"),
            (850_000, "850µs"),
            (42_000_000, "42ms"),
            (3_190_000_000, "3.1s"),
            (59_900_000_000, "59s"),
            (252_000_000_000, "4m12s"),
            (11_100_000_000_000, "3h05m"),
            (183_600_000_000_000, "2d03h"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(age(Duration::from_nanos(nanoseconds)), text);
        }
        assert_eq!(age(Duration::MAX), "213503982334601d07h");
    }

    #[test]
    fn a_text_of_somebody_else_cannot_move_the_cursor() {
        assert_eq!(clean("a\x1b[2J\nb\u{202e}c\u{9b}é"), "a\\u{1b}[2J\\nb\\u{202e}c\\u{9b}é");
        assert_eq!(label(""), "(no label)");
    }

    #[test]
    fn a_cut_says_that_it_is_one() {
        assert_eq!([cut("abc", 3), cut("abcd", 3), cut("abcd", 1), cut("abcd", 0)], ["abc", "ab…", "…", ""]);
        assert_eq!([cut("門番所", 6), cut("門番所", 5), cut("門番所", 4)], ["門番所", "門番…", "門…"]);
    }

    #[test]
    fn a_text_is_folded_at_spaces_and_loses_nothing() {
        assert_eq!(folded("one two three", 7), ["one two", "three"]);
        assert_eq!(folded("a longest b", 4), ["a", "long", "est", "b"].map(str::to_owned));
        assert_eq!(folded("門番", 2), ["門", "番"]);
        assert!(folded("", 4).is_empty());
        assert_eq!(folded("ab", 0), ["a", "b"]);
    }

    #[test]
    fn the_clock_is_that_of_the_day() {
        assert_eq!(clock(UNIX_EPOCH + Duration::from_secs(86_400 + 9 * 3_600 + 30 * 60 + 5)), "09:30:05");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["A".to_owned(), "N".to_owned(), "x".to_owned()], vec!["long".to_owned(), "10".to_owned()]];
        assert_eq!(table(&rows, &[1]), "A      N  x\nlong  10\n");
        assert_eq!(table(&[], &[]), "");
    }
}
