//! Scripts of changes to a file and of things that users do with it: see `tests/hostile/script.rs`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/script.rs"]
mod script;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|input: &[u8]| script::play(input, FOLDER.path()));
