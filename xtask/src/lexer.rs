//! Enough of Rust's lexer to tell code from comments and strings.
//!
//! It knows comments (nested ones too), the literals, lifetimes and raw identifiers, and cuts everything else into
//! words and punctuation. It does not check anything: text that does not compile gives some tokens or other.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword.
    Word,
    /// A number, character or string.
    Literal,
    /// A lifetime or a label.
    Lifetime,
    /// `::` and `&&` in one piece, everything else character by character.
    Punct,
}

/// A piece of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s str,
    /// The byte at which it starts.
    pub(crate) at: usize,
    /// The line on which it starts, from 1.
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Is it this word or this punctuation?
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && matches!(self.kind, Kind::Word | Kind::Punct)
    }

    /// The bytes that it covers.
    pub(crate) fn span(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

/// Comments on consecutive lines, as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) text: String,
    /// First line, from 1.
    pub(crate) first: usize,
    /// Last line.
    pub(crate) last: usize,
}

/// A file, cut up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source<'s> {
    pub(crate) tokens: Vec<Token<'s>>,
    pub(crate) remarks: Vec<Remark>,
}

/// Cuts `text` up.
pub(crate) fn scan(text: &str) -> Source<'_> {
    let mut scanner = Scanner { text, at: 0, line: 1, source: Source::default() };
    while scanner.at < text.len() {
        scanner.next();
    }
    scanner.source
}

/// The index of the token that closes the bracket at `open`, or the last index.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        if token.kind == Kind::Punct {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len().saturating_sub(1)
}

struct Scanner<'s> {
    text: &'s str,
    at: usize,
    line: usize,
    source: Source<'s>,
}

impl<'s> Scanner<'s> {
    fn rest(&self) -> &'s str {
        &self.text[self.at..]
    }

    fn next(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return;
        };
        if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            self.remark(length);
        } else if rest.starts_with("/*") {
            self.remark(block_comment(rest));
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else if let Some(length) = string(rest) {
            self.token(Kind::Literal, length);
        } else if first == '\'' {
            match character(rest) {
                Some(length) => self.token(Kind::Literal, length),
                None => self.token(Kind::Lifetime, 1 + word(&rest[1..])),
            }
        } else if first.is_ascii_digit() {
            self.token(Kind::Literal, number(rest));
        } else if first.is_alphabetic() || first == '_' {
            let raw = rest.strip_prefix("r#").map_or(0, |name| if word(name) > 0 { 2 } else { 0 });
            self.token(Kind::Word, raw + word(&rest[raw..]));
        } else if rest.starts_with("::") || rest.starts_with("&&") {
            self.token(Kind::Punct, 2);
        } else {
            self.token(Kind::Punct, first.len_utf8());
        }
    }

    fn token(&mut self, kind: Kind, length: usize) {
        let text = &self.rest()[..length];
        self.source.tokens.push(Token { kind, text, at: self.at, line: self.line });
        self.skip(length);
    }

    fn remark(&mut self, length: usize) {
        let text = &self.rest()[..length];
        let first = self.line;
        self.skip(length);
        match self.source.remarks.last_mut() {
            Some(before) if before.last + 1 >= first => {
                before.text.push('\n');
                before.text.push_str(text);
                before.last = self.line;
            }
            _ => self.source.remarks.push(Remark { text: text.into(), first, last: self.line }),
        }
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest()[..length].matches('\n').count();
        self.at += length;
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let whole = word(text);
    // `1.5` is one number, `1..5` and `1.max(5)` are not.
    match text[whole..].strip_prefix('.') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => whole + 1 + word(rest),
        _ => whole,
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string literal that starts here, if one does.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let hashes = rest.trim_start_matches('#');
            hashes.starts_with('"') && (prefix.ends_with('r') || rest.len() == hashes.len())
        })
    });
    let Some(prefix) = prefix else {
        return text.strip_prefix('b').and_then(character).map(|length| 1 + length);
    };
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let open = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(text[open..].find(&end).map_or(text.len(), |at| open + at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in text[open..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(open + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of the character literal that starts here, if it is one and not a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.strip_prefix('\'')?.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 2);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        scan(text).tokens.iter().map(|token| token.text).collect()
    }

    #[test]
    fn code_is_cut_into_words_and_punctuation() {
        assert_eq!(texts("a::b(&&c, 1..2)"), ["a", "::", "b", "(", "&&", "c", ",", "1", ".", ".", "2", ")"]);
        assert_eq!(texts("1.5e3 1.max(2) 0x_ff"), ["1.5e3", "1", ".", "max", "(", "2", ")", "0x_ff"]);
        assert_eq!(texts("r#type rest"), ["r#type", "rest"]);
    }

    #[test]
    fn strings_are_one_token_whatever_they_hold() {
        for literal in [
            r#""a // \" b""#,
            r##"r#"a " b"#"##,
            r#"b"x""#,
            r#"c"x""#,
            r###"br##"a"# b"##"###,
            r"'\''",
            r"'\u{1F600}'",
            "'\"'",
            "b'x'",
            r"b'\''",
            "'/'",
        ] {
            let source = scan(literal);
            assert_eq!(source.tokens.len(), 1, "{literal}");
            assert_eq!(source.tokens[0].kind, Kind::Literal, "{literal}");
            assert!(source.remarks.is_empty(), "{literal}");
        }
    }

    #[test]
    fn lifetimes_are_no_characters() {
        let kinds = |text| scan(text).tokens.iter().map(|token| token.kind).collect::<Vec<_>>();
        assert_eq!(kinds("'a 'static '_"), [Kind::Lifetime; 3]);
        assert_eq!(texts("&'a str, 'x', <'b>"), ["&", "'a", "str", ",", "'x'", ",", "<", "'b", ">"]);
    }

    #[test]
    fn comments_on_consecutive_lines_are_one_remark() {
        let source = scan("// one\n// two\nlet x = 1; // three\n\n/* four /* five */\nsix */ y");
        let lines: Vec<_> = source.remarks.iter().map(|remark| (remark.first, remark.last)).collect();
        assert_eq!(lines, [(1, 3), (5, 6)]);
        assert_eq!(source.tokens.last().map(|token| (token.text, token.line)), Some(("y", 6)));
    }

    #[test]
    fn lines_are_counted_inside_literals_too() {
        let source = scan("\"a\nb\"\nc");
        assert_eq!(source.tokens.last().map(|token| token.line), Some(3));
    }

    #[test]
    fn brackets_are_matched() {
        let source = scan("f(a[1], {b}) c");
        assert_eq!(source.tokens[closing(&source.tokens, 1)].text, ")");
        assert_eq!(closing(&source.tokens, 1), source.tokens.len() - 2);
        assert_eq!(closing(&source.tokens, 0), 0);
    }

    #[test]
    fn broken_text_ends_all_the_same() {
        for text in ["\"open", "/* open", "r#\"open\"", "'", "b'", "'\\", "é'é", "r#", "/*/"] {
            scan(text);
        }
    }
}
