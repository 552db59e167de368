//! The command as a template: `{}`, `{#}`, `{1}` `{2}` … are filled in for each item.
//!
//! Parsed once, rendered a million times; so the parts are found beforehand and rendering only copies bytes.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::items::Item;
use crate::error::Error;

/// The command with its placeholders.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    words: Vec<Word>,
}

/// One argument: its parts, to be joined.
type Word = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Item,
    Number,
    Column(NonZeroUsize),
}

impl Part {
    /// The placeholder at the start of `text`, with its length.
    fn placeholder(text: &[u8]) -> Option<(Self, usize)> {
        let inner = text.strip_prefix(b"{")?;
        let end = inner.iter().position(|&byte| byte == b'}')?;
        let part = match &inner[..end] {
            b"" => Self::Item,
            b"#" => Self::Number,
            digits => Self::Column(column_number(digits)?),
        };
        Some((part, end + 2))
    }

    /// Whether the item's own text comes in.
    fn names_the_item(&self) -> bool {
        matches!(self, Self::Item | Self::Column(_))
    }
}

/// `digits` as the number of a column; not `{0}`, `{+1}` or `{01}`, which are no placeholders.
fn column_number(digits: &[u8]) -> Option<NonZeroUsize> {
    let plain = digits.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0");
    plain.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

impl Template {
    /// Finds the placeholders in `command`, and appends `{}` if no part of the item is asked for.
    pub(crate) fn parse(command: &[OsString]) -> Self {
        let mut words: Vec<Word> = command.iter().map(|word| parse_word(word.as_bytes())).collect();
        if !words.iter().flatten().any(Part::names_the_item) {
            words.push(vec![Part::Item]);
        }
        Self { words }
    }

    /// Whether every job runs the same program, so that one that cannot be started means that none can.
    pub(crate) fn program_is_fixed(&self) -> bool {
        self.words[0].iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The arguments for `item`, the program first.
    pub(crate) fn render(&self, item: &Item) -> Result<Vec<OsString>, Error> {
        self.words.iter().map(|word| render_word(word, item)).collect()
    }
}

fn parse_word(mut text: &[u8]) -> Word {
    let mut word = Word::new();
    let mut literal = Vec::new();
    while let Some((&byte, rest)) = text.split_first() {
        if byte == b'\\'
            && let Some((_, length)) = Part::placeholder(rest)
        {
            literal.extend_from_slice(&rest[..length]);
            text = &rest[length..];
        } else if let Some((part, length)) = Part::placeholder(text) {
            if !literal.is_empty() {
                word.push(Part::Literal(std::mem::take(&mut literal)));
            }
            word.push(part);
            text = &text[length..];
        } else {
            literal.push(byte);
            text = rest;
        }
    }
    if !literal.is_empty() || word.is_empty() {
        word.push(Part::Literal(literal));
    }
    word
}

fn render_word(word: &Word, item: &Item) -> Result<OsString, Error> {
    let text = item.text.as_bytes();
    let mut rendered = Vec::new();
    for part in word {
        match part {
            Part::Literal(literal) => rendered.extend_from_slice(literal),
            Part::Item => rendered.extend_from_slice(text),
            Part::Number => rendered.extend_from_slice(item.number.to_string().as_bytes()),
            Part::Column(wanted) => {
                let found = column(&item.text, *wanted).ok_or_else(|| Error::MissingColumn {
                    item: item.named(),
                    wanted: wanted.get(),
                    there: text.split(|&byte| byte == b'\t').count(),
                })?;
                rendered.extend_from_slice(found);
            }
        }
    }
    Ok(OsString::from_vec(rendered))
}

/// Column `wanted` of `item`; tabs separate columns.
pub(crate) fn column(item: &OsStr, wanted: NonZeroUsize) -> Option<&[u8]> {
    item.as_bytes().split(|&byte| byte == b'\t').nth(wanted.get() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(words: &[&str]) -> Template {
        Template::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn item(text: &[u8]) -> Item {
        Item { number: 7, text: OsString::from_vec(text.to_vec()) }
    }

    #[track_caller]
    fn renders(words: &[&str], text: &str, expected: &[&str]) {
        assert_eq!(template(words).render(&item(text.as_bytes())).expect("all columns there"), expected);
    }

    #[test]
    fn the_item_is_appended_where_nothing_names_it() {
        renders(&["wc", "-l"], "a b", &["wc", "-l", "a b"]);
        renders(&["echo", "{#}"], "a", &["echo", "7", "a"]);
        renders(&["echo", "{}"], "a", &["echo", "a"]);
        renders(&["echo", "{1}"], "a\tb", &["echo", "a"]);
    }

    #[test]
    fn placeholders_may_stand_anywhere_and_often() {
        renders(&["{}.sh", "-o{}={#}.{2}", ""], "a\tb", &["a\tb.sh", "-oa\tb=7.b", ""]);
        renders(&["{}{}{#}{#}"], "x", &["xx77"]);
    }

    #[test]
    fn an_item_with_braces_is_not_a_template() {
        renders(&["echo", "{}{#}"], "{#}{}", &["echo", "{#}{}7"]);
    }

    #[test]
    fn other_braces_are_literal() {
        for word in ["{", "}", "{a}", "{0}", "{01}", "{+1}", "{ }", "{{", "{1", "{99999999999999999999999}", "$\\"] {
            renders(&["c", word], "i", &["c", word, "i"]);
        }
    }

    #[test]
    fn a_backslash_makes_a_placeholder_literal() {
        renders(&["find", "\\{}", "{}"], "i", &["find", "{}", "i"]);
        renders(&["c", "a\\{1}", "\\{#}", "\\x", "\\\\{}"], "i", &["c", "a{1}", "{#}", "\\x", "\\{}", "i"]);
    }

    #[test]
    fn a_missing_column_names_the_item() {
        let error = template(&["c", "{3}"]).render(&item(b"a\tb")).unwrap_err().to_string();
        assert!(error.contains("item 7 (\"a\\tb\")") && error.contains("has 2 ") && error.contains("{3}"), "{error}");
        renders(&["c", "{2}."], "a\t", &["c", "."]);
    }

    #[test]
    fn bytes_pass_through() {
        let rendered = template(&["c", "<{}>"]).render(&item(b"\xff\xfe")).unwrap();
        assert_eq!(rendered[1].as_bytes(), b"<\xff\xfe>");
    }

    #[test]
    fn a_program_with_a_placeholder_is_not_fixed() {
        assert!(template(&["c", "{}"]).program_is_fixed());
        assert!(!template(&["./{}"]).program_is_fixed());
        assert!(template(&["\\{}"]).program_is_fixed());
    }
}
