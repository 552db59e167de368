//! Rewrites paths to Tokio's semaphore types into paths to ours, in code only, and checks that none is left.
//!
//! A path in full keeps everything but its root: `tokio::sync::Semaphore::MAX_PERMITS` becomes
//! `gatepost::Semaphore::MAX_PERMITS`. A `use` tree that names one of the types among others is written out leaf by
//! leaf, as one declaration, so that attributes and visibility still hold: `use tokio::sync::{oneshot, Semaphore};`
//! becomes `use {tokio::sync::oneshot, gatepost::Semaphore};`. What would bring the types in under a name that is not
//! seen here (a glob, the module itself, Tokio under another name) is refused.

use crate::lexer::{self, Kind, Token};
use std::ops::Range;

/// The types that are ours.
pub(crate) const OURS: [&str; 5] =
    ["Semaphore", "SemaphorePermit", "OwnedSemaphorePermit", "AcquireError", "TryAcquireError"];

/// The text with our paths, and how many paths were rewritten.
pub(crate) fn rewritten(text: &str) -> Result<(String, usize), String> {
    let source = lexer::scan(text);
    let tokens = &source.tokens;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut count = 0;
    let mut at = 0;
    while at < tokens.len() {
        if !starts_path(tokens, at) {
            at += 1;
            continue;
        }
        let tree = Tree::read(text, tokens, at)?;
        let ours = tree.leaves.iter().filter(|leaf| leaf.is_ours()).count();
        if ours > 0 {
            // `::tokio` starts at its colons.
            let first = if at > 0 && tokens[at - 1].is("::") { at - 1 } else { at };
            let span = tokens[first].at..tokens[tree.end].span().end;
            edits.push((span, tree.written()));
            count += ours;
        }
        at = tree.end + 1;
    }
    let mut out = String::with_capacity(text.len());
    let mut kept = 0;
    for (span, new) in edits {
        out.push_str(&text[kept..span.start]);
        out.push_str(&new);
        kept = span.end;
    }
    out.push_str(&text[kept..]);
    Ok((out, count))
}

/// Is a path rooted at Tokio starting here?
fn starts_path(tokens: &[Token<'_>], at: usize) -> bool {
    if !tokens[at].is("tokio") || at.checked_sub(1).is_some_and(|before| tokens[before].is(".")) {
        return false;
    }
    // `a::tokio` is another module of that name; `::tokio`, after anything but a name, is Tokio.
    match (at.checked_sub(1), at.checked_sub(2)) {
        (Some(colons), Some(before)) if tokens[colons].is("::") => {
            !matches!(tokens[before].kind, Kind::Word) && !tokens[before].is(">")
                || matches!(tokens[before].text, "use" | "in" | "as" | "return" | "mut" | "dyn" | "impl")
        }
        _ => true,
    }
}

/// A path, or a tree of paths as `use` has them.
struct Tree {
    leaves: Vec<Leaf>,
    /// The index of its last token.
    end: usize,
}

/// A path as far as it matters here: its segments, and what follows them as it was written.
struct Leaf {
    path: Vec<String>,
    /// ` as name`, or nothing.
    rename: String,
}

impl Leaf {
    fn is_ours(&self) -> bool {
        matches!(self.path.as_slice(), [root, sync, name, ..]
            if root == "tokio" && sync == "sync" && OURS.contains(&name.as_str()))
    }

    fn written(&self) -> String {
        let skip = if self.is_ours() { 2 } else { 0 };
        let root = if skip > 0 { "gatepost::" } else { "" };
        let path = &self.path[skip..];
        // `self` stands for the module only between braces.
        match path.split_last() {
            Some((last, module)) if last == "self" => {
                format!("{root}{}::{{self{}}}", module.join("::"), self.rename)
            }
            _ => format!("{root}{}{}", path.join("::"), self.rename),
        }
    }

    /// Would it bring our types in under a name that is not seen here?
    fn hides(&self) -> bool {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        matches!(path.as_slice(), ["tokio", "sync"] | ["tokio", "sync", "self" | "*"] | ["tokio", "*" | "self"])
            || (path == ["tokio"] && !self.rename.is_empty())
    }
}

impl Tree {
    fn read(text: &str, tokens: &[Token<'_>], at: usize) -> Result<Tree, String> {
        let mut tree = Tree { leaves: Vec::new(), end: at };
        tree.end = tree.branch(tokens, at, &[])?;
        match tree.leaves.iter().find(|leaf| leaf.hides()) {
            None => Ok(tree),
            Some(_) => {
                let span = tokens[at].at..tokens[tree.end].span().end;
                let line = tokens[at].line;
                Err(format!("line {line}: `{}` may hide a semaphore", text[span].replace('\n', " ")))
            }
        }
    }

    /// Reads the branch that starts at `at` below `prefix`; returns the index of its last token.
    fn branch(&mut self, tokens: &[Token<'_>], mut at: usize, prefix: &[String]) -> Result<usize, String> {
        let mut path = prefix.to_vec();
        let token = |index: usize| tokens.get(index).map_or("", |token| token.text);
        loop {
            if token(at) == "{" {
                let close = lexer::closing(tokens, at);
                let mut next = at + 1;
                while next < close {
                    let end = self.branch(tokens, next, &path)?;
                    next = end + 1;
                    if token(next) == "," {
                        next += 1;
                    } else if next < close {
                        return Err(format!("line {}: a group that is no list", tokens[next].line));
                    }
                }
                return Ok(close);
            }
            path.push(token(at).to_owned());
            let name_follows =
                tokens.get(at + 2).is_some_and(|next| next.kind == Kind::Word || matches!(next.text, "{" | "*"));
            if token(at + 1) != "::" || !name_follows {
                break;
            }
            at += 2;
        }
        let mut rename = String::new();
        if token(at + 1) == "as" {
            rename = format!(" as {}", token(at + 2));
            at += 2;
        }
        self.leaves.push(Leaf { path, rename });
        Ok(at)
    }

    fn written(&self) -> String {
        match self.leaves.as_slice() {
            [leaf] => leaf.written(),
            leaves => format!("{{{}}}", leaves.iter().map(Leaf::written).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Where Tokio's semaphore is still named: a second reading that knows nothing of the first. It takes the code without
/// spaces, and looks from each of the names back to the root of its path.
pub(crate) fn leftovers(text: &str) -> Vec<String> {
    let source = lexer::scan(text);
    let tokens = &source.tokens;
    let mut left = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind == Kind::Word && OURS.contains(&token.text) {
            let roots = roots(tokens, index);
            if roots.iter().any(|root| root == "tokio" || root == "sync") {
                left.push(format!("line {}: {}::{}", token.line, roots.join("::"), token.text));
            }
        }
        let next = |n: usize| tokens.get(index + n).map_or("", |token| token.text);
        if token.is("tokio") && next(1) == "::" && next(2) == "sync" && (next(3) != "::" || next(4) == "*") {
            left.push(format!("line {}: tokio::sync as a whole", token.line));
        }
        if token.is("tokio") && (next(1) == "as" || (next(1) == "::" && next(2) == "*")) {
            left.push(format!("line {}: tokio as a whole", token.line));
        }
    }
    left
}

/// The names that stand before the one at `index` in its path, out through the groups that hold it.
fn roots(tokens: &[Token<'_>], index: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = index;
    while let Some(before) = at.checked_sub(1) {
        match tokens[before].text {
            "::" => {
                let Some(name) = before.checked_sub(1) else {
                    break;
                };
                names.insert(0, tokens[name].text.to_owned());
                at = name;
            }
            // Inside a group: over what stands before in it, to the brace that opens it.
            "," | "{" => {
                let Some(open) = opening(tokens, before) else {
                    break;
                };
                if open.checked_sub(1).is_none_or(|colons| !tokens[colons].is("::")) {
                    break;
                }
                at = open;
            }
            _ => break,
        }
    }
    names
}

/// The index of the brace that opens the group which the token at `at` separates or opens.
fn opening(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for index in (0..=at).rev() {
        match tokens[index].text {
            "}" => depth += 1,
            "{" if depth == 0 => return Some(index),
            "{" => depth -= 1,
            ";" | "(" | ")" => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let (new, _) = rewritten(text).expect("a rewriting");
        assert_eq!(leftovers(&new), [""; 0], "{new}");
        new
    }

    #[test]
    fn each_of_the_five_is_rewritten_and_nothing_else() {
        for name in OURS {
            assert_eq!(of(&format!("use tokio::sync::{name};")), format!("use gatepost::{name};"));
        }
        for other in ["oneshot", "Mutex", "batch_semaphore", "SemaphorePermits", "oneshot::channel"] {
            let text = format!("use tokio::sync::{other};");
            assert_eq!(of(&text), text);
        }
    }

    #[test]
    fn full_paths_keep_their_ends() {
        assert_eq!(of("s.add(tokio::sync::Semaphore::MAX_PERMITS);"), "s.add(gatepost::Semaphore::MAX_PERMITS);");
        assert_eq!(of("fn f(p: tokio::sync::SemaphorePermit<'_>) {}"), "fn f(p: gatepost::SemaphorePermit<'_>) {}");
        assert_eq!(of("let e: Result<(), tokio::sync::AcquireError>;"), "let e: Result<(), gatepost::AcquireError>;");
        assert_eq!(of("tokio :: sync ::\n    Semaphore::new(1)"), "gatepost::Semaphore::new(1)");
        assert_eq!(of("x = ::tokio::sync::Semaphore::new(1)"), "x = gatepost::Semaphore::new(1)");
        assert_eq!(of("use ::tokio::sync::Semaphore;"), "use gatepost::Semaphore;");
        assert_eq!(of("Semaphore::<tokio::sync::Semaphore>::x"), "Semaphore::<gatepost::Semaphore>::x");
    }

    #[test]
    fn a_channel_of_tokio_stays() {
        let text = "let (a, b) = tokio::sync::oneshot::channel(); tokio::spawn(async {}); #[tokio::test] fn f() {}";
        assert_eq!(of(text), text);
    }

    #[test]
    fn groups_are_written_out_as_one_declaration() {
        assert_eq!(
            of("#[cfg(x)] pub use tokio::sync::{oneshot, Semaphore};"),
            "#[cfg(x)] pub use {tokio::sync::oneshot, gatepost::Semaphore};"
        );
        assert_eq!(of("use tokio::sync::{Semaphore};"), "use gatepost::Semaphore;");
        assert_eq!(
            of("use tokio::{sync::{Semaphore as S, mpsc::{self, Sender}}, time};"),
            "use {gatepost::Semaphore as S, tokio::sync::mpsc::{self}, tokio::sync::mpsc::Sender, tokio::time};"
        );
        assert_eq!(
            of("use {std::fmt, tokio::sync::{Semaphore, Mutex,}};"),
            "use {std::fmt, {gatepost::Semaphore, tokio::sync::Mutex}};"
        );
        let without = "use tokio::sync::{oneshot, mpsc::{self, Sender}};";
        assert_eq!(of(without), without);
    }

    #[test]
    fn comments_and_strings_are_left_alone() {
        let text = "// tokio::sync::Semaphore\n/// [`tokio::sync::Semaphore`]\nlet s = \"tokio::sync::Semaphore\";";
        assert_eq!(of(text), text);
        assert_eq!(rewritten(text).map(|(_, count)| count), Ok(0));
    }

    #[test]
    fn paths_are_counted() {
        let text = "use tokio::sync::{Semaphore, AcquireError}; tokio::sync::Semaphore::MAX_PERMITS";
        assert_eq!(rewritten(text).map(|(_, count)| count), Ok(3));
    }

    #[test]
    fn what_could_hide_a_semaphore_is_refused() {
        for text in [
            "use tokio::sync::*;",
            "use tokio::sync;",
            "use tokio::sync as s;",
            "use tokio::{sync, time};",
            "use tokio::*;",
            "use tokio::sync::{self, oneshot};",
            "use tokio::{sync::{*}};",
            "use tokio as t;",
            "extern crate tokio as t;",
        ] {
            assert!(rewritten(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_second_reading_finds_what_is_left() {
        for text in [
            "use tokio::sync::Semaphore;",
            "tokio::sync::Semaphore::MAX_PERMITS",
            "use tokio::sync::{oneshot, Semaphore};",
            "use tokio::sync::{mpsc::{self, Sender}, AcquireError as E};",
            "use tokio::{time, sync::{TryAcquireError}};",
            "use tokio::sync::*;",
            "use tokio::sync;",
            "use tokio as t;",
            "sync::Semaphore::new(1)",
            "use {std::fmt, tokio::sync::{Mutex, Semaphore}};",
        ] {
            assert!(!leftovers(text).is_empty(), "{text}");
        }
        for text in
            ["use gatepost::Semaphore;", "f(tokio::spawn(x), Semaphore::new(1));", "tokio::sync::oneshot::channel()"]
        {
            assert_eq!(leftovers(text), [""; 0], "{text}");
        }
    }
}
