//! `SAFETY` beside what is unsafe, `ORDERING:` beside what orders memory.
//!
//! A note counts when it is in the statement, directly above it, or at most [`REACH`] lines above the place. Whether
//! it says anything true is for a reader.

use super::{Finding, only_tests};
use crate::lexer::{Kind, Source, Token};

/// How many lines above a place its note may end.
const REACH: usize = 8;

/// Orderings that promise something to another thread.
const STRONG: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// Methods and functions that take an ordering.
const ACCESSES: [&str; 16] = [
    "load",
    "store",
    "swap",
    "compare_exchange",
    "compare_exchange_weak",
    "compare_and_swap",
    "fetch_add",
    "fetch_sub",
    "fetch_and",
    "fetch_or",
    "fetch_xor",
    "fetch_nand",
    "fetch_max",
    "fetch_min",
    "fetch_update",
    "fence",
];

/// `unsafe` blocks and impls without a note.
pub(crate) fn safety(source: &Source<'_>) -> Vec<Finding> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for (index, pair) in tokens.windows(2).enumerate() {
        let [keyword, next] = pair else { continue };
        if keyword.is("unsafe") && (next.is("{") || next.is("impl")) && !noted(source, index, "SAFETY") {
            let what = if next.is("{") { "block" } else { "impl" };
            found.push(Finding { line: keyword.line, what: format!("unsafe {what} without a `SAFETY` note above it") });
        }
    }
    found
}

/// Accesses stronger than `Relaxed` without a note; modules and items that only tests build are left out.
pub(crate) fn ordering(source: &Source<'_>) -> Vec<Finding> {
    let tokens = &source.tokens;
    let mut left_out = only_tests::items(tokens);
    left_out.extend(imports(tokens));
    let mut found: Vec<Finding> = Vec::new();
    for index in 0..tokens.len() {
        if !is_strong(tokens, index) || left_out.iter().any(|range| range.contains(&index)) {
            continue;
        }
        if noted(source, index, "ORDERING:") {
            continue;
        }
        let line = tokens[index].line;
        if found.last().is_none_or(|last| last.line != line) {
            let what = format!("`{}` without an `ORDERING:` note above it", tokens[index].text);
            found.push(Finding { line, what });
        }
    }
    found
}

/// Is the token an ordering that is put to use? The library has types of the same names: what follows `Ordering::`,
/// stands alone as an argument, or is anywhere in the arguments of an access is an ordering.
fn is_strong(tokens: &[Token<'_>], index: usize) -> bool {
    let token = tokens[index];
    if token.kind != Kind::Word || !STRONG.contains(&token.text) {
        return false;
    }
    let before = |n: usize| index.checked_sub(n).map_or("", |at| tokens[at].text);
    let after = tokens.get(index + 1).map_or("", |next| next.text);
    if before(1) == "::" {
        return before(2) == "Ordering";
    }
    if matches!(before(1), "(" | ",") && matches!(after, ")" | ",") {
        return true;
    }
    !matches!(after, "::" | "{" | "<" | "(") && in_access(tokens, index)
}

/// Is the token among the arguments of an access?
fn in_access(tokens: &[Token<'_>], index: usize) -> bool {
    let mut depth = 0_usize;
    for at in (0..index).rev() {
        match tokens[at].text {
            ")" | "]" => depth += 1,
            "(" | "[" if depth > 0 => depth -= 1,
            "(" => {
                let Some(name) = at.checked_sub(1).map(|before| tokens[before]) else {
                    return false;
                };
                if name.kind == Kind::Word && ACCESSES.contains(&name.text) {
                    return true;
                }
            }
            ";" => return false,
            _ => {}
        }
    }
    false
}

/// Ranges of token indices that `use` declarations cover.
fn imports(tokens: &[Token<'_>]) -> Vec<std::ops::RangeInclusive<usize>> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        // `impl Trait + use<'a>` has the same keyword in another place.
        let starts = index == 0 || matches!(tokens[index - 1].text, ";" | "{" | "}" | "]" | ")" | "pub");
        if token.is("use") && starts {
            let end = tokens[index..].iter().position(|token| token.is(";")).map_or(tokens.len(), |n| index + n);
            found.push(index..=end);
        }
    }
    found
}

/// Does a remark with `word` speak of the token at `index`?
fn noted(source: &Source<'_>, index: usize, word: &str) -> bool {
    let line = source.tokens[index].line;
    let top = line.saturating_sub(REACH).min(statement(&source.tokens, index).saturating_sub(1));
    source.remarks.iter().any(|remark| remark.last >= top && remark.first <= line && remark.text.contains(word))
}

/// The first line of the statement, match arm or field that holds the token at `index`.
fn statement(tokens: &[Token<'_>], index: usize) -> usize {
    let mut depth = 0_usize;
    // A comma ends an arm; one between the arguments of a call that holds the token does not.
    let mut comma = None;
    let mut at = index;
    while let Some(before) = at.checked_sub(1) {
        match tokens[before].text {
            ";" | "{" | "}" => break,
            ")" | "]" => depth += 1,
            "(" | "[" if depth > 0 => depth -= 1,
            "(" | "[" => comma = None,
            "," if depth == 0 => comma = comma.or(Some(at)),
            _ => {}
        }
        at = before;
    }
    tokens[comma.unwrap_or(at)].line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    const NONE: [usize; 0] = [];

    fn unsafe_lines(text: &str) -> Vec<usize> {
        safety(&lexer::scan(text)).iter().map(|finding| finding.line).collect()
    }

    fn ordering_lines(text: &str) -> Vec<usize> {
        ordering(&lexer::scan(text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_needs_a_note() {
        assert_eq!(unsafe_lines("fn f() {\n    unsafe { g() }\n}"), [2]);
        assert_eq!(unsafe_lines("unsafe impl Send for X {}"), [1]);
        assert_eq!(unsafe_lines("// SAFETY: I1.\nunsafe impl Send for X {}"), NONE);
        assert_eq!(
            unsafe_lines("fn f() {\n    // SAFETY: I1,\n    // and I2.\n    let x =\n        unsafe { g() };\n}"),
            NONE
        );
    }

    #[test]
    fn declarations_that_are_unsafe_to_call_need_none() {
        assert_eq!(unsafe_lines("unsafe fn f() {}\nunsafe extern \"C\" {}\nunsafe trait T {}"), NONE);
        assert_eq!(unsafe_lines("// unsafe { x }\nlet s = \"unsafe { x }\";"), NONE);
    }

    #[test]
    fn a_note_far_above_does_not_count() {
        let far = format!("// SAFETY: I1.\n{}unsafe {{ g() }}", "f();\n".repeat(REACH));
        assert_eq!(unsafe_lines(&far), [REACH + 2]);
        let near = format!("// SAFETY: I1.\n{}unsafe {{ g() }}", "f();\n".repeat(REACH - 1));
        assert_eq!(unsafe_lines(&near), NONE);
    }

    #[test]
    fn a_note_directly_above_a_long_statement_counts() {
        let long = format!("// ORDERING: R1.\nlet x = word\n{}    .load(Ordering::Acquire);", "    .a()\n".repeat(12));
        assert_eq!(ordering_lines(&long), NONE);
        let bare = long.replace("ORDERING:", "order");
        assert_eq!(ordering_lines(&bare), [15]);
    }

    #[test]
    fn a_note_of_one_arm_does_not_speak_of_the_next() {
        let arms = format!(
            "match x {{\n    // ORDERING: R1.\n    A => w.load(Acquire),\n{}    B => w.swap(1, AcqRel),\n}}",
            "    C => f(1, 2),\n".repeat(REACH)
        );
        assert_eq!(ordering_lines(&arms), [REACH + 4]);
        let spread =
            "// ORDERING: R1.\nw.compare_exchange(\n\n\n\n\n    a,\n\n\n\n    b,\n    AcqRel,\n    Acquire,\n);";
        assert_eq!(ordering_lines(spread), NONE);
    }

    #[test]
    fn accesses_need_a_note_in_whichever_form() {
        for access in [
            "w.load(Acquire);",
            "w.store(1, Ordering::Release);",
            "w.load(atomic::Ordering::SeqCst);",
            "fence(SeqCst);",
            "w.compare_exchange(a, b, AcqRel, Relaxed);",
            "w.compare_exchange(a, b, Relaxed, Acquire);",
            "w.load(if x { Acquire } else { Relaxed });",
            "const O: Ordering = Ordering::SeqCst;",
            "w.cas(a, b, AcqRel);",
            "w.fetch_update(AcqRel, Acquire, |v| Some(v + 1));",
        ] {
            assert_eq!(ordering_lines(access), [1], "{access}");
            assert_eq!(ordering_lines(&format!("// ORDERING: pairs with R1.\n{access}")), NONE, "{access}");
        }
    }

    #[test]
    fn a_type_of_the_same_name_needs_none() {
        for code in [
            "use core::sync::atomic::Ordering::{Acquire, Release, AcqRel};",
            "pub use self::acquire::Acquire;",
            "pub struct Acquire<'a> { sem: &'a Semaphore }",
            "impl Future for Acquire<'_> {}",
            "fn f() -> Acquire<'_> { Acquire::new(1) }",
            "impl Drop for Release {}",
            "match op { Op::Acquire(n) => n, Op::Release => 0 }",
            "let x: Acquire = y;",
            "w.load(Relaxed);",
            "// w.load(Acquire)",
            "let s = \"w.load(Acquire)\";",
            "w.store(Acquire::BIT, Relaxed);",
        ] {
            assert_eq!(ordering_lines(code), NONE, "{code}");
        }
    }

    #[test]
    fn what_only_tests_build_needs_none() {
        let text = "#[cfg(test)]\nmod tests {\n    fn f() { w.load(Acquire); }\n}\nfn g() { w.load(Acquire); }";
        assert_eq!(ordering_lines(text), [5]);
    }
}
