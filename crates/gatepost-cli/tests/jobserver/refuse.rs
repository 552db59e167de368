//! What cannot be done is said before anything starts.

use crate::stage::{Stage, run};

#[track_caller]
fn refused(options: &str, build: &str, status: i32, words: &[&str]) {
    let stage = Stage::new();
    let ran = run(stage.bridge(options, build.split(' ')));
    assert_eq!(ran.status, status, "{}", ran.err);
    for word in words {
        assert!(ran.err.contains(word), "{word:?} is not in: {}", ran.err);
    }
}

#[test]
fn a_number_of_jobs_for_make_is_an_error_with_a_hint() {
    refused("--limit 2", "make -j8 all", 64, &["\"-j8\"", "leave it out"]);
    refused("--limit 2", "make all --jobs", 64, &["--jobs"]);
}

#[test]
fn a_tool_that_would_ignore_the_tokens_is_an_error_that_names_another_way() {
    let stage = Stage::new();
    stage.write("bin/ninja", "#!/bin/sh\necho 1.11.1\n");
    let ran = run(stage.bridge("--limit 2", ["bin/ninja", "all"]));
    assert_eq!(ran.status, 64, "{}", ran.err);
    assert!(ran.err.contains("1.11.1") && ran.err.contains("gatepost run"), "{}", ran.err);
    let ran = run(stage.bridge("--limit 2", ["bin/ninja", "-j4", "all"]));
    assert!(ran.err.contains("\"-j4\""), "{}", ran.err);
}

#[test]
fn an_old_make_is_not_told_of_a_fifo() {
    let stage = Stage::new();
    stage.write("bin/make", "#!/bin/sh\necho GNU Make 4.3\n");
    let ran = run(stage.bridge("--limit 2 --style fifo", ["bin/make"]));
    assert_eq!(ran.status, 64, "{}", ran.err);
    assert!(ran.err.contains("GNU Make 4.4"), "{}", ran.err);
}

#[test]
fn what_cannot_be_started_has_the_shells_status_and_holds_nothing() {
    let stage = Stage::new();
    assert_eq!(run(stage.bridge("--limit 2", ["/no/such/build"])).status, 127);
    assert_eq!(run(stage.bridge("--limit 2", ["/etc/passwd"])).status, 126);
    assert_eq!(stage.status().used, 0);
}

#[test]
fn a_limit_that_differs_is_an_error_with_both_numbers() {
    let stage = Stage::new();
    stage.semaphore(5);
    let ran = run(stage.bridge("--limit 7", ["true"]));
    assert_eq!(ran.status, 64, "{}", ran.err);
    assert!(ran.err.contains('5') && ran.err.contains('7'), "{}", ran.err);
}

#[test]
fn a_build_inside_of_a_build_is_an_error_and_not_a_deadlock() {
    let stage = Stage::new();
    let gatepost = env!("CARGO_BIN_EXE_gatepost");
    let inner = format!("{gatepost} jobserver run --sem cores -- true");
    let ran = run(stage.bridge("--limit 1", ["sh", "-c", &inner]));
    assert_eq!(ran.status, 64, "{}", ran.err);
    assert!(ran.err.contains("MAKEFLAGS"), "{}", ran.err);
}

#[test]
fn a_first_permit_that_does_not_come_in_time_is_124() {
    let stage = Stage::new();
    let semaphore = stage.semaphore(1);
    let _held = semaphore.acquire().wait().expect("it is free");
    let ran = run(stage.bridge("--timeout 50ms", ["true"]));
    assert_eq!(ran.status, 124, "{}", ran.err);
    assert!(stage.status().waiters.is_empty());
}

#[test]
fn options_that_make_no_sense_are_told_of() {
    let stage = Stage::new();
    for (options, word) in [("--psi disk=3", "disk"), ("--min-free lots", "lots"), ("--share alone", "alone")] {
        let ran = run(stage.bridge(options, ["true"]));
        assert!(ran.status != 0 && ran.err.contains(word), "{options}: {}", ran.err);
    }
}

#[test]
fn the_help_and_the_manual_have_the_same_sections() {
    use std::process::Stdio;
    let stage = Stage::new();
    for arguments in [["jobserver", "run", "--help"].as_slice(), &["man", "jobserver run"], &["man", "jobserver-run"]] {
        let output = stage.gatepost(arguments).stdout(Stdio::piped()).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).to_uppercase();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        for section in ["TOOLS", "STYLES", "SHARES", "GATES", "HOLDING", "EXIT STATUS", "EXAMPLES"] {
            assert!(text.contains(section), "{arguments:?} has no {section}");
        }
    }
}
