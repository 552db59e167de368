//! A test in a process of its own, so that it can fork: beside it there is only the harness's main thread, which waits.

use std::process::{Command, Output};

use crate::step::unwind::VARIABLE;

const ALONE: &str = "GATEPOST_ALONE";

/// Runs `body`, which is the test `name` (its path within the crate), in a process of its own.
#[track_caller]
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let output = run(name, &[]);
    let said = said(&output);
    // What it counted is to be seen with --nocapture.
    print!("{said}");
    assert!(output.status.success(), "{name} failed in a process of its own");
}

/// Asserts that the test `name` fails with `bug` seeded, and says `because`; `variables` are set for it.
#[track_caller]
pub(super) fn caught(bug: &str, name: &str, variables: &[(&str, &str)], because: &str) {
    let output = run(name, &[variables, &[(VARIABLE, bug)]].concat());
    let said = said(&output);
    if output.status.success() && said.contains("left out: ") {
        return print!("{said}");
    }
    assert!(!output.status.success(), "{name} passes with {bug:?} seeded: it cannot fail");
    assert!(said.contains(because), "{name} fails with {bug:?} seeded, but not with {because:?}:\n{said}");
}

fn run(name: &str, variables: &[(&str, &str)]) -> Output {
    let output = Command::new(std::env::current_exe().expect("a test has an executable"))
        .args([name, "--exact", "--nocapture", "--test-threads=1", "--include-ignored"])
        .env(ALONE, "1")
        .env("RUST_BACKTRACE", "0")
        .envs(variables.iter().copied())
        .output()
        .expect("a test's executable can be run again");
    let said = said(&output);
    assert!(said.contains("running 1 test"), "there is no test {name}:\n{said}");
    output
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
