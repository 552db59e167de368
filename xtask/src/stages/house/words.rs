//! Words that must not be: what is left undone, what sleeps, what belongs to one machine.
//!
//! The words are put together here from pieces, so that this file does not break its own rule.

use super::Finding;
use crate::lexer::{Kind, Source, Token};

/// Macros that mark something as undone, or that debug.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];
/// The same, said in a comment.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];
/// Folders at the root of somebody's machine.
const FOLDERS: [&str; 2] = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Hosts of package registries.
const HOSTS: [&str; 6] = [
    concat!("crat", "es.io"),
    concat!("py", "pi.org"),
    concat!("npm", "js.com"),
    concat!("npm", "js.org"),
    concat!("deb.deb", "ian.org"),
    concat!("proxy.gol", "ang.org"),
];

/// What is left undone, and what debugs.
pub(crate) fn undone(source: &Source<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pair in source.tokens.windows(2) {
        if pair[0].kind == Kind::Word && MACROS.contains(&pair[0].text) && pair[1].is("!") {
            found.push(Finding { line: pair[0].line, what: format!("`{}!` is left", pair[0].text) });
        }
    }
    for remark in &source.remarks {
        for (offset, line) in remark.text.lines().enumerate() {
            for mark in MARKS.into_iter().filter(|mark| has_word(line, mark)) {
                found.push(Finding { line: remark.first + offset, what: format!("`{mark}` is left") });
            }
        }
    }
    found
}

/// `thread::sleep`, imported or in full.
pub(crate) fn sleeps(source: &Source<'_>) -> Vec<Finding> {
    let tokens = &source.tokens;
    let is = |index: usize, text: &str| tokens.get(index).is_some_and(|token: &Token<'_>| token.is(text));
    let mut found = Vec::new();
    for index in 0..tokens.len() {
        if !(is(index, "thread") && is(index + 1, "::")) {
            continue;
        }
        let sleeps = if is(index + 2, "{") {
            let end = crate::lexer::closing(tokens, index + 2);
            tokens[index + 2..end].iter().any(|token| token.is("sleep"))
        } else {
            is(index + 2, "sleep")
        };
        if sleeps {
            let what = "`thread::sleep`: wait for a hook, a barrier or a model instead";
            found.push(Finding { line: tokens[index].line, what: what.into() });
        }
    }
    found
}

/// What belongs to one machine, in any text.
pub(crate) fn foreign(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for folder in FOLDERS.into_iter().filter(|folder| has_path(line, folder)) {
            found.push(Finding { line: index + 1, what: format!("`{folder}` is a path of one machine") });
        }
        for host in HOSTS.into_iter().filter(|host| line.contains(host)) {
            found.push(Finding { line: index + 1, what: format!("`{host}` is the host of a registry") });
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word))
}

/// Does `folder` start a path? After a name or a variable it only goes on with one.
fn has_path(line: &str, folder: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || "_-.~*})>$".contains(c);
    line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(goes_on))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    const NONE: [usize; 0] = [];

    fn lines(found: Vec<Finding>) -> Vec<usize> {
        found.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn what_is_undone_is_found_in_code_and_comments() {
        let [fix, mark] = MARKS;
        let text = format!("fn f() {{\n    todo!()\n}}\n// one\n// {fix}: two\nlet dbg = 1; dbg!(dbg);\n/* {mark} */");
        assert_eq!(lines(undone(&lexer::scan(&text))), [2, 6, 5, 7]);
        let fine = "let s = \"todo!()\"; // todo!() in words\nlet todo = a != b; let x = 0xFF; // XXXL";
        assert_eq!(lines(undone(&lexer::scan(fine))), NONE);
    }

    #[test]
    fn sleeping_is_found_imported_or_in_full() {
        for text in ["std::thread::sleep(d);", "use std::thread::{self, sleep};", "thread :: sleep(d)"] {
            assert_eq!(lines(sleeps(&lexer::scan(text))), [1], "{text}");
        }
        for text in
            ["thread::spawn(f)", "tokio::time::sleep(d)", "// thread::sleep(d)", "use std::thread::{self, park};"]
        {
            assert_eq!(lines(sleeps(&lexer::scan(text))), NONE, "{text}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_where_they_start() {
        let [folder, other] = FOLDERS;
        assert_eq!(lines(foreign(&format!("ok\nsee {folder}main\n\"{other}x\""))), [2, 3]);
        assert_eq!(lines(foreign(&format!("src{folder}x $HOME{folder}x ~{folder}x ${{A}}{other}x"))), NONE);
    }

    #[test]
    fn hosts_of_registries_are_found() {
        for host in HOSTS {
            assert_eq!(lines(foreign(&format!("https://{host}/x"))), [1], "{host}");
        }
        assert_eq!(lines(foreign("https://docs.rs/gatepost")), NONE);
    }
}
