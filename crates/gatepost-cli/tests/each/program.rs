//! The program around `each`: help, version, completions, the man page.

use std::process::{Command, Output};

fn gatepost(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_gatepost")).args(arguments).output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("a status"), text(stdout), text(stderr))
}

#[test]
fn help_says_everything_that_is_defined() {
    let (status, help, _) = gatepost(&["each", "--help"]);
    assert_eq!(status, 0);
    let said = [
        "--limit",
        "--file",
        "--null",
        "--weigh",
        "--clamp",
        "--keep-order",
        "--timeout",
        "--kill-after",
        "--halt",
        "--retries",
        "--dry-run",
        "--progress",
        "--quiet",
        "--log",
        "--sem",
        "--sem-limit",
        "nothing overtakes",
        "{#}",
        "{1} {2}",
        "CRLF",
        "Empty lines",
        "UTF-8",
        "a terminal",
        "argument list",
        "/dev/null",
        "process group",
        "1 MiB",
        "4 × limit",
        "0 is an error",
        "size:64MiB",
        "column:2",
        "never starved",
        "Ctrl-C",
        "TMPDIR",
        "GATEPOST_JOB",
        "101",
        "124",
        "125",
        "126",
        "127",
        "130",
        "141",
        "Examples:",
        "process table",
    ];
    for word in said {
        assert!(help.contains(word), "--help does not say {word:?}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "lines fit a screen");
    let (_, short, _) = gatepost(&["each", "-h"]);
    assert!(short.lines().count() < 40 && short.contains("Example:"), "the short help is short");
}

#[test]
fn errors_of_usage_are_125_and_help_is_0() {
    assert_eq!(gatepost(&[]).0, 125);
    assert_eq!(gatepost(&["no-such-command"]).0, 125);
    assert_eq!(gatepost(&["--help"]).0, 0);
    let (status, version, _) = gatepost(&["--version"]);
    assert_eq!((status, version), (0, format!("gatepost {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (status, script, _) = gatepost(&["completions", shell]);
        assert_eq!(status, 0);
        assert!(script.contains("keep-order") && script.contains("gatepost"), "{shell}");
    }
    assert_eq!(gatepost(&["completions", "tea"]).0, 125);
    let bash = Command::new("bash").args(["-n", "-c", &gatepost(&["completions", "bash"]).1]).status();
    assert!(bash.map_or(true, |status| status.success()), "bash takes its own");
}

#[test]
fn the_man_page_has_what_help_has() {
    let (status, page, _) = gatepost(&["man"]);
    assert!(status == 0 && page.contains(".TH gatepost 1") && page.contains("each"), "{page}");
    let (status, page, _) = gatepost(&["man", "each"]);
    assert!(status == 0 && page.contains(".TH gatepost-each 1  \"gatepost-each 0"), "{page}");
    for word in ["keep\\-order", "OVERTAKES", "size:64MiB", "EXIT STATUS", "[OPTIONS] \\-\\- CMD"] {
        assert!(page.to_lowercase().contains(&word.to_lowercase()), "the page does not say {word:?}: {page}");
    }
    let (status, _, error) = gatepost(&["man", "tea"]);
    assert!(status == 125 && error.contains("no command \"tea\"") && error.contains("--help"), "{error}");
}
