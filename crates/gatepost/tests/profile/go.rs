//! The real `go tool pprof` opens what the example `contention_profile` writes.
//!
//! Where there is no Go this says so and passes, unless `GATEPOST_REQUIRE_GO` is 1.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// What a command says, which must succeed.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} fails:\n{said}\n{complained}");
    said.into_owned()
}

fn pprof(how: &str, folder: &Path, profile: &str) -> String {
    let mut go = Command::new("go");
    // What it keeps must not be somebody's home.
    go.env("GOCACHE", folder.join("go")).env("PPROF_TMPDIR", folder).env("HOME", folder);
    said(go.args(["tool", "pprof", how]).arg(folder.join(profile)))
}

/// The samples of `pprof -raw`: contentions and nanoseconds.
fn samples(raw: &str) -> Vec<(u64, u64)> {
    let lines = raw.lines().skip_while(|line| !line.starts_with("contentions/count")).skip(1);
    let sample = |line: &str| {
        let (values, _stack) = line.split_once(':')?;
        let mut values = values.split_whitespace().map(|value| value.parse::<u64>().ok());
        Some((values.next()??, values.next()??))
    };
    lines.take_while(|line| *line != "Locations").filter_map(sample).collect()
}

#[test]
fn go_tool_pprof_reads_the_profiles_of_the_example() {
    if option_env!("RUSTFLAGS").is_some_and(|flags| flags.contains("sanitizer")) {
        return println!("not with a sanitizer, with which the example would have to be built in another way");
    }
    if Command::new("go").arg("version").output().map_or(true, |output| !output.status.success()) {
        let required = std::env::var_os("GATEPOST_REQUIRE_GO").is_some_and(|value| value == "1");
        assert!(!required, "GATEPOST_REQUIRE_GO is 1, and there is no Go here");
        return println!("there is no Go here: whether its pprof reads the profiles was not tested");
    }
    let folder = std::env::temp_dir().join(format!("gatepost-profile-{}", std::process::id()));
    let mut example = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    example.args(["run", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    // As this test was built, so that little is to be built again.
    example.args(if cfg!(debug_assertions) { ["--profile", "test"] } else { ["--profile", "release"] });
    let features = ["profile", "tokio", "tracing", "stream"];
    let on = [true, cfg!(feature = "tokio"), cfg!(feature = "tracing"), cfg!(feature = "stream")];
    for (feature, _) in features.into_iter().zip(on).filter(|(_, on)| *on) {
        example.args(["--features", feature]);
    }
    let printed = said(example.args(["--example", "contention_profile", "--"]).arg(&folder));
    // "block: 98 contentions, 418225749 ns"
    let sums: HashMap<&str, (u64, u64)> = printed
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(": ")?;
            let (count, nanos) = rest.strip_suffix(" ns")?.split_once(" contentions, ")?;
            Some((name, (count.parse().ok()?, nanos.parse().ok()?)))
        })
        .collect();
    assert_eq!(sums["block"].1, sums["mutex"].1, "who waits is let go: the sums are one\n{printed}");

    for (profile, hot) in [("block", "query"), ("mutex", "report")] {
        let file = format!("{profile}.pb.gz");
        let samples = samples(&pprof("-raw", &folder, &file));
        let sum = samples.iter().fold((0, 0), |sum, sample| (sum.0 + sample.0, sum.1 + sample.1));
        assert_eq!(sum, sums[profile], "the sums that Go reads are those that were recorded");

        let top = pprof("-top", &folder, &file);
        assert!(top.contains("Type: delay"), "{top}");
        // "flat flat% sum% cum cum% name"
        let functions: Vec<(&str, &str)> = top
            .lines()
            .skip_while(|line| !line.trim_start().starts_with("flat"))
            .skip(1)
            .filter_map(|line| Some((line.split_whitespace().next()?, line.split_whitespace().nth(5)?)))
            .collect();
        let flat = |name: &str| functions.iter().find(|(_, function)| super::is(function, name)).map(|(flat, _)| *flat);
        for name in ["query", "report"] {
            assert!(flat(name).is_some_and(|flat| flat != "0"), "{name} waits, or lets others wait:\n{top}");
        }
        assert_eq!(flat("handle_request"), Some("0"), "it waits in what it calls:\n{top}");
        assert!(!functions.iter().any(|(_, name)| name.starts_with("gatepost::")), "the library shows:\n{top}");
        println!("{profile}: {hot} has {:?} of {} ns", flat(hot), sum.1);
    }
    for (file, beginning) in [("block.svg", "<?xml"), ("mutex.svg", "<?xml"), ("block.txt", "block profile: ")] {
        let text = std::fs::read_to_string(folder.join(file)).expect("the example has written it");
        assert!(text.starts_with(beginning) && text.contains("query"), "{text}");
    }
    std::fs::remove_dir_all(&folder).expect("it is this test's");
}
