//! What only test builds contain: items under `#[cfg(test)]` and the like, and the files of such modules.

use crate::lexer::{self, Kind, Token};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Ranges of token indices that belong to items of test builds.
pub(crate) fn items(tokens: &[Token<'_>]) -> Vec<RangeInclusive<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match attribute(tokens, at) {
            Some(attribute) if attribute.only_tests && attribute.inner => {
                found.push(at..=tokens.len() - 1);
                return found;
            }
            Some(attribute) if attribute.only_tests => {
                let end = item_end(tokens, attribute.end + 1);
                found.push(at..=end);
                at = end + 1;
            }
            Some(attribute) => at = attribute.end + 1,
            None => at += 1,
        }
    }
    found
}

/// The files, out of `texts`, that only test builds contain.
pub(crate) fn files<'t>(texts: impl Iterator<Item = (&'t Path, &'t str)>) -> BTreeSet<PathBuf> {
    let texts: Vec<_> = texts.filter(|(path, _)| path.extension().is_some_and(|e| e == "rs")).collect();
    let mut roots: Vec<PathBuf> = Vec::new();
    let mut found = BTreeSet::new();
    for (path, text) in &texts {
        let source = lexer::scan(text);
        let tokens = &source.tokens;
        for range in items(tokens) {
            if *range.start() == 0 && *range.end() + 1 == tokens.len() && tokens.get(1).is_some_and(|t| t.is("!")) {
                found.insert(path.to_path_buf());
            }
            let item = &tokens[range];
            let declared = item.windows(3).find(|three| three[0].is("mod") && three[2].is(";"));
            if let Some(name) = declared.filter(|_| item.last().is_some_and(|last| last.is(";"))) {
                roots.push(module_folder(path).join(name[1].text));
            }
        }
    }
    let below = |path: &Path| roots.iter().any(|root| path.starts_with(root) || path == root.with_extension("rs"));
    found.extend(texts.iter().map(|(path, _)| path.to_path_buf()).filter(|path| below(path)));
    found
}

/// The folder in which a file's child modules lie.
fn module_folder(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => folder.to_path_buf(),
        Some(stem) => folder.join(stem),
    }
}

struct Attribute {
    /// The index of its `]`.
    end: usize,
    /// `#![…]`.
    inner: bool,
    only_tests: bool,
}

fn attribute(tokens: &[Token<'_>], at: usize) -> Option<Attribute> {
    let is = |index: usize, text: &str| tokens.get(index).is_some_and(|token| token.is(text));
    if !is(at, "#") {
        return None;
    }
    let inner = is(at + 1, "!");
    let open = at + 1 + usize::from(inner);
    if !is(open, "[") {
        return None;
    }
    let end = lexer::closing(tokens, open);
    let only_tests = match tokens.get(open + 1).map(|token| token.text) {
        Some("cfg") => tokens.get(open + 3..end).is_some_and(needs_test),
        Some("test") => is(open + 2, "]"),
        _ => false,
    };
    Some(Attribute { end, inner, only_tests })
}

/// Is this condition false in every build that is no test build?
fn needs_test(condition: &[Token<'_>]) -> bool {
    let Some(first) = condition.first() else {
        return false;
    };
    let has_list = condition.get(1).is_some_and(|token| token.is("("));
    match first.text {
        "test" => !has_list,
        "all" if has_list => arguments(condition).iter().any(|part| needs_test(part)),
        "any" if has_list => {
            let parts = arguments(condition);
            !parts.is_empty() && parts.iter().all(|part| needs_test(part))
        }
        _ => false,
    }
}

/// The comma-separated parts of `name(…)`.
fn arguments<'a, 's>(condition: &'a [Token<'s>]) -> Vec<&'a [Token<'s>]> {
    let end = lexer::closing(condition, 1);
    let mut depth = 0_usize;
    condition[2..end]
        .split(|token| {
            match token.text {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            depth == 0 && token.is(",")
        })
        .filter(|part| !part.is_empty())
        .collect()
}

/// The index of the last token of what starts at `at`: an item, a field, a statement, an expression.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    const ITEMS: [&str; 15] = [
        "pub",
        "mod",
        "fn",
        "impl",
        "struct",
        "enum",
        "union",
        "trait",
        "const",
        "static",
        "use",
        "unsafe",
        "extern",
        "async",
        "macro_rules",
    ];
    while let Some(attribute) = attribute(tokens, at) {
        at = attribute.end + 1;
    }
    let starts_block = tokens.get(at).is_some_and(|token| token.is("{"));
    let is_item = tokens.get(at).is_some_and(|token| token.kind == Kind::Word && ITEMS.contains(&token.text));
    // A field may start with `pub` too: then a colon follows the name.
    let is_field = is_item && field(tokens, at);
    while at < tokens.len() {
        match tokens[at].text {
            "(" | "[" => at = lexer::closing(tokens, at),
            "{" => {
                let end = lexer::closing(tokens, at);
                if (is_item && !is_field) || starts_block {
                    return end;
                }
                at = end;
            }
            ";" => return at,
            "," if !is_item || is_field => return at,
            ")" | "]" | "}" => return at.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    tokens.len().saturating_sub(1)
}

/// Is `pub name: …` or `pub(crate) name: …` at `at`?
fn field(tokens: &[Token<'_>], mut at: usize) -> bool {
    if !tokens[at].is("pub") {
        return false;
    }
    at += 1;
    if tokens.get(at).is_some_and(|token| token.is("(")) {
        at = lexer::closing(tokens, at) + 1;
    }
    tokens.get(at + 1).is_some_and(|token| token.is(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code outside of tests, tokens joined by spaces.
    fn shipped(text: &str) -> String {
        let source = lexer::scan(text);
        let ranges = items(&source.tokens);
        let kept = source.tokens.iter().enumerate().filter(|(i, _)| !ranges.iter().any(|range| range.contains(i)));
        kept.map(|(_, token)| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn conditions_that_need_a_test_build() {
        for (condition, needs) in [
            ("test", true),
            ("all(test, loom)", true),
            ("all(loom, test)", true),
            ("any(test, loom)", false),
            ("any(all(test, loom), all(test, shuttle))", true),
            ("not(test)", false),
            ("not(all(test, loom))", false),
            ("feature = \"test\"", false),
            ("all(feature = \"std\", not(test))", false),
            ("any()", false),
        ] {
            let text = format!("#[cfg({condition})] mod m {{}} x");
            assert_eq!(shipped(&text) == "x", needs, "{condition}");
        }
    }

    #[test]
    fn an_item_ends_where_it_ends() {
        assert_eq!(shipped("#[cfg(test)] #[inline] fn f<A, B>(a: [u8; 4]) -> [u8; 4] { a } x"), "x");
        assert_eq!(shipped("#[cfg(test)] mod m; x"), "x");
        assert_eq!(shipped("#[cfg(test)] static S: [u8; 2] = [1, 2]; x"), "x");
        assert_eq!(shipped("#[cfg(test)] { a(); b } x"), "x");
        assert_eq!(shipped("#[cfg(test)] hook.call({ 1 }); x"), "x");
        assert_eq!(shipped("#[test] fn f() {} x"), "x");
    }

    #[test]
    fn a_field_ends_at_its_comma_or_with_its_struct() {
        assert_eq!(shipped("struct S { #[cfg(test)] hook: Hook, a: u8 } x"), "struct S { a : u8 } x");
        assert_eq!(shipped("struct S { #[cfg(test)] pub(crate) hook: Hook, a: u8 } x"), "struct S { a : u8 } x");
        assert_eq!(shipped("S { a, #[cfg(test)] hook: Hook {} } x"), "S { a , } x");
    }

    #[test]
    fn an_inner_attribute_speaks_of_all_that_follows() {
        assert_eq!(shipped("#![cfg(all(test, loom))] fn f() {}"), "");
        assert_eq!(shipped("#![no_std] fn f() {}"), "# ! [ no_std ] fn f ( ) { }");
    }

    #[test]
    fn files_of_test_modules_are_found() {
        let texts = [
            ("src/lib.rs", "mod a; #[cfg(test)] mod checks;"),
            ("src/a.rs", "#[cfg(all(test, loom))] mod loom; mod kept; #[cfg(test)] mod inline { mod x; }"),
            ("src/a/loom.rs", ""),
            ("src/a/loom/close.rs", ""),
            ("src/a/kept.rs", ""),
            ("src/b/mod.rs", "#[cfg(test)] pub(crate) mod shuttle;"),
            ("src/b/shuttle/mod.rs", ""),
            ("src/checks.rs", ""),
            ("src/inner.rs", "#![cfg(test)] fn f() {}"),
        ];
        let found = files(texts.iter().map(|(path, text)| (Path::new(*path), *text)));
        let found: Vec<_> = found.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(
            found,
            ["src/a/loom/close.rs", "src/a/loom.rs", "src/b/shuttle/mod.rs", "src/checks.rs", "src/inner.rs"]
        );
    }
}
