//! cargo beside make.

use std::process::Command;

use crate::stage::{Stage, finish, run};

/// How many crates there are beside the one that uses them all.
const CRATES: usize = 5;

/// A workspace without dependencies from elsewhere: each crate has a build script, so each is compiled in three steps.
fn workspace(stage: &Stage) -> usize {
    let names: Vec<String> = (1..=CRATES).map(|n| format!("part{n}")).collect();
    let members: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n{rest}")
    };
    let users: String = names.iter().map(|name| format!("{name} = {{ path = {name:?} }}\n")).collect();
    let root = format!("[workspace]\nmembers = [{}]\n[dependencies]\n{users}", members.join(", "));
    stage.write("cargo/Cargo.toml", &manifest("whole", &root));
    stage.write("cargo/build.rs", "fn main() {}\n");
    let sum: Vec<_> = names.iter().map(|name| format!("{name}::one()")).collect();
    stage.write("cargo/src/lib.rs", &format!("pub fn all() -> u32 {{ {} }}\n", sum.join(" + ")));
    for name in &names {
        stage.write(&format!("cargo/{name}/Cargo.toml"), &manifest(name, ""));
        stage.write(&format!("cargo/{name}/build.rs"), "fn main() { println!(\"cargo::rustc-env=ONE=1\"); }\n");
        stage.write(&format!("cargo/{name}/src/lib.rs"), "pub fn one() -> u32 { env!(\"ONE\").len() as u32 }\n");
    }
    // rustc, with a note before and after; what cargo asks it at first is no job.
    let wrapper = "#!/bin/sh\ncase \"$*\" in *--crate-name\\ ___*|*-vV*) exec \"$@\";; esac\nexport NAME=cargo\n\
                   STEP=begin sh -c \"$JOB\"\n\"$@\"\nstatus=$?\nSTEP=end sh -c \"$JOB\"\nexit $status\n";
    stage.write("rustc-wrapper", wrapper);
    2 * (CRATES + 1)
}

fn with_cargo(stage: &Stage, mut command: Command) -> Command {
    command
        .env("RUSTC_WRAPPER", stage.path("rustc-wrapper"))
        .env("CARGO_TARGET_DIR", stage.path("target"))
        .env("CARGO_NET_OFFLINE", "true");
    command
}

fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

#[test]
fn make_and_cargo_share_the_limit_and_both_get_on() {
    const JOBS: usize = 30;
    let mut stage = Stage::new();
    let compilations = workspace(&stage);
    let first = stage.bridge("--limit 3", stage.makefile(JOBS)).spawn().expect("it starts");
    for _ in 0..3 {
        stage.hear();
    }
    let cargo = [&cargo(), "build", "--quiet", "--manifest-path", "cargo/Cargo.toml"].map(str::to_owned);
    let second = with_cargo(&stage, stage.bridge("", cargo)).spawn().expect("it starts");
    let running = stage.let_in("cargo", 3);
    let mut builds = [first, second];
    stage.conduct(3, running, &mut builds);
    for build in builds {
        let ran = finish(build);
        assert_eq!(ran.status, 0, "{}", ran.err);
    }
    assert!(stage.most_at_once() <= 3, "{:?}", stage.log());
    assert_eq!((stage.begun("make"), stage.begun("cargo")), (JOBS, compilations));
    assert!(stage.turns() >= 3, "{} turns: {:?}", stage.turns(), stage.log());
    assert_eq!(stage.status().used, 0);
}

#[test]
fn cargo_takes_tokens_in_both_styles() {
    for style in ["fifo", "pipe"] {
        let mut stage = Stage::new();
        let compilations = workspace(&stage);
        let cargo = [&cargo(), "build", "--quiet", "--manifest-path", "cargo/Cargo.toml"].map(str::to_owned);
        let bridge = stage.bridge(&format!("--limit 2 --style {style}"), cargo);
        let mut build = with_cargo(&stage, bridge).spawn().expect("it starts");
        // Two at one time, which one permit would not allow.
        stage.hear();
        stage.hear();
        stage.conduct(2, 2, std::slice::from_mut(&mut build));
        let ran = finish(build);
        assert_eq!(ran.status, 0, "{}", ran.err);
        assert_eq!((stage.begun("cargo"), stage.most_at_once()), (compilations, 2), "{style}");
    }
}

#[test]
fn cargo_itself_says_that_it_ignores_a_number_of_jobs() {
    let stage = Stage::new();
    stage.write("cargo/Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\n[workspace]\n");
    stage.write("cargo/src/lib.rs", "");
    let mut bridge =
        stage.bridge("--limit 2", [&cargo(), "check", "-j7", "--manifest-path", "cargo/Cargo.toml"].map(str::to_owned));
    bridge.env("CARGO_TARGET_DIR", stage.path("target")).env("CARGO_NET_OFFLINE", "true");
    let ran = run(bridge);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.err.contains("ignoring the `-j` parameter"), "{}", ran.err);
}
