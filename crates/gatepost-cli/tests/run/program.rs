//! Help and manual pages of these commands.

use crate::stage::{Stage, run};

#[test]
fn the_help_of_run_says_everything_that_is_defined() {
    let stage = Stage::new();
    let help = stage.complete("run --help");
    assert_eq!(help.status, 0);
    let said = [
        "--sem",
        "--permits",
        "--limit",
        "--set-limit",
        "--dir",
        "--policy",
        "--group",
        "--from-jobserver",
        "--timeout",
        "--no-wait",
        "-E",
        "--label",
        "--slots",
        "--gpu",
        "--report",
        "--exec",
        "--hold",
        "--die-with-parent",
        "--kill-after",
        "--reenter",
        "--quiet",
        "cores/2",
        "mem/3G",
        "Exit status:",
        "64",
        "69",
        "75",
        "77",
        "120",
        "124",
        "125",
        "126",
        "127",
        "Environment:",
        "GATEPOST_SEM",
        "GATEPOST_PERMIT",
        "GATEPOST_SLOTS",
        "GATEPOST_FENCE",
        "GATEPOST_DEADLINE",
        "GATEPOST_HELD",
        "CUDA_VISIBLE_DEVICES",
        "Jobserver:",
        "Signals:",
        "foreground",
        "Examples:",
        "gatepost/1",
    ];
    for word in said {
        assert!(help.out.contains(word), "--help does not say {word:?}");
    }
    assert!(help.out.lines().all(|line| line.chars().count() <= 120), "lines fit a screen");
    let short = stage.complete("run -h");
    assert!(short.out.lines().count() < 60 && short.out.contains("Example:"), "{}", short.out);
}

#[test]
fn each_command_has_an_example_and_a_manual_page() {
    let stage = Stage::new();
    for name in
        ["run", "acquire", "release", "wait", "resize", "pause", "resume", "revoke", "repair", "remove", "doctor"]
    {
        let help = stage.complete(&format!("{name} --help"));
        assert!(help.status == 0 && help.out.contains("Example"), "{name}: {}", help.out);
        let page = stage.complete(&format!("man {name}"));
        assert!(page.status == 0 && page.out.contains(&format!(".TH gatepost-{name} 1")), "{name}: {}", page.out);
    }
    let page = stage.complete("man run").out;
    for word in ["EXIT STATUS", "ENVIRONMENT", "SIGNALS", "EXAMPLES"] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn a_status_does_not_depend_on_whether_anybody_can_read_why() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    assert_eq!(run(&mut stage.shell("$GATEPOST wait s --idle --timeout 10ms 2> /dev/full")).status, 124);
    assert_eq!(run(&mut stage.shell("$GATEPOST status nothing 2> /dev/full")).status, 64);
    assert_eq!(stage.let_finish(holder).status, 0);
}
