//! `docs/catalogue.md` says which test checks which statement: this keeps it true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of functions in the Rust files under `folder`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a Rust file is text");
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once(['(', '<']));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn each_test_that_the_catalogue_names_exists() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = crate_root.join("../..");
    // The published package has the tests without the page.
    let Ok(page) = fs::read_to_string(project.join("docs/catalogue.md")) else { return };
    let mut known = BTreeSet::new();
    functions(&crate_root.join("src"), &mut known);
    functions(&crate_root.join("tests"), &mut known);
    functions(&project.join("crates/gatepost-shared"), &mut known);

    let quoted: Vec<_> = page.split('`').skip(1).step_by(2).collect();
    let is_test = |name: &&&str| {
        name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let methods = [
        "sem_getvalue",
        "sem_post",
        "give_way",
        "go_mutex",
        "yield_now",
        "add_permits",
        "const_new",
        "forget_permits",
        "new_closed",
        "try_acquire",
    ];
    let missing: Vec<_> =
        quoted.iter().filter(is_test).filter(|name| !methods.contains(name) && !known.contains(**name)).collect();
    assert!(missing.is_empty(), "the page names tests that are not there: {missing:?}");
    for path in quoted.iter().filter(|quoted| quoted.starts_with("crates/")) {
        assert!(project.join(path).exists(), "the page names a file that is not there: {path}");
    }
    for (letter, last) in [('T', 46), ('G', 54), ('Z', 32), ('B', 18), ('P', 9)] {
        for number in 1..=last {
            assert!(page.contains(&format!("\n| {letter}{number} | ")), "no row for {letter}{number}");
        }
    }
}
