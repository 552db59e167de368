//! The summary, the lines for failed jobs, the log, the dry run.

use serde_json::Value;

use crate::stage::{Stage, each, feed, finish, lines_of, run, run_on, sh, sh_each, start_fed, words};

#[test]
fn the_summary_closes_the_run() {
    let ran = run_on(b"2\n3\n1\n", sh_each("--limit 3 --weigh column:1", "exit {}"));
    let summary = ran.err.lines().last().expect("a last line");
    assert!(summary.starts_with("gatepost: 3 jobs, 3 failed; at most 3 of 3 permits in use; waited "), "{summary}");
    assert!(summary.contains(" s for permits, ran ") && summary.ends_with(" s"), "{summary}");
}

#[test]
fn the_times_are_those_of_the_jobs() {
    let ran = run(words("--limit 1 -- sleep ::: 0.2 0.2"));
    let summary = ran.err.lines().last().expect("a last line");
    let numbers: Vec<f64> = summary.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [_jobs, _failed, _peak, _limit, waited, run, elapsed] = numbers[..] else { panic!("{summary}") };
    // The second waited for the first, and what is slow here only adds to it.
    assert!(waited >= 0.15 && run >= 0.4 && elapsed >= 0.4, "{summary}");
}

#[test]
fn each_failed_job_is_named_and_quiet_says_nothing() {
    let ran = run(sh("", "exit {}", "0 4"));
    assert!(ran.err.contains("gatepost: item 2 (\"4\"): exited with status 4\n"), "{}", ran.err);
    assert!(!ran.err.contains("item 1"), "{}", ran.err);
    let ran = run(sh("--quiet", "exit {}", "0 4"));
    assert_eq!((ran.status, &ran.err[..]), (1, ""));
}

#[test]
fn the_log_has_a_json_line_for_each_job() {
    let stage = Stage::new();
    let script = "case {1} in bad) exit 3;; slow) exec sleep 1000;; dead) kill -9 $$;; esac";
    let options = "--limit 4 --weigh column:2 --retries 1 --timeout 1s --log log";
    let mut command = stage.each(sh_each(options, script));
    let ran = feed(&mut command, b"good\t1\nbad\t2\nslow\t3\ndead\t4\n");
    assert_eq!(ran.status, 3);
    let mut records: Vec<Value> =
        lines_of(&stage.path("log")).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    records.sort_by_key(|record| record["job"].as_u64());
    let of = |record: &Value| {
        let text = |key: &str| record[key].as_str().expect("a text").to_owned();
        let number = |key: &str| record[key].as_u64().expect("a number");
        (number("job"), text("item"), number("weight"), number("attempts"), text("outcome"), number("status"))
    };
    let expected = [
        (1, "good\t1", 1, 1, "success", 0),
        (2, "bad\t2", 2, 2, "exit", 3),
        (3, "slow\t3", 3, 2, "timeout", 124),
        (4, "dead\t4", 4, 2, "signal", 137),
    ]
    .map(|(job, item, weight, tries, outcome, status)| {
        (job, item.to_owned(), weight, tries, outcome.to_owned(), status)
    });
    assert_eq!(records.iter().map(of).collect::<Vec<_>>(), expected);
    assert!(records[2]["run"].as_f64().expect("seconds") >= 2.0, "both attempts: {}", records[2]);
    assert!(records[3]["waited"].as_f64().expect("seconds") > 0.0, "it needs all four permits: {}", records[3]);
    let started = records[0]["started"].as_str().expect("a time");
    assert!(started.starts_with("20") && started.ends_with('Z') && started.contains('T'), "{started}");
    assert!(records[0].get("item_bytes").is_none(), "only where the item is not UTF-8");
}

#[test]
fn the_log_has_the_exact_bytes_of_an_item_that_is_not_utf_8() {
    let stage = Stage::new();
    feed(&mut stage.each(words("--log log -- true")), b"a\xff\n");
    let record: Value = serde_json::from_str(&lines_of(&stage.path("log"))[0]).expect("JSON");
    assert_eq!((&record["item"], &record["item_bytes"]), (&Value::from("a\u{fffd}"), &Value::from(vec![97, 255])));
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let ran = run(words("--log /nowhere/log -- echo ::: a"));
    ran.refuses(&["\"/nowhere/log\"", "writable directory"]);
    assert_eq!(ran.text(), "", "and nothing was run");
    run(words("--limit 1 --log /dev/full -- true ::: a b")).refuses(&["No space left", "1 job,"]);
}

#[test]
fn a_dry_run_prints_commands_that_a_shell_takes_and_runs_none() {
    let stage = Stage::new();
    let input = b"a b\nit's\n$HOME\n*\n-n\nc\xff\n";
    let command = ["--", "printf", "<%s>\\n", "{#}:{}", "plain"];
    let ran = feed(stage.each(["-k"]).args(command), input);
    let dry = feed(stage.each(["--dry-run"]).args(command), input);
    assert_eq!((dry.status, &dry.err[..]), (0, ""));
    assert!(dry.out.starts_with(b"printf \"<%s>\\\\n\" '1:a b' plain\n"), "{}", String::from_utf8_lossy(&dry.out));
    let mut shell = std::process::Command::new("sh");
    let shell = feed(shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()), &dry.out);
    assert_eq!((shell.status, shell.out), (0, ran.out));
    finish(stage.start(words("--dry-run -- touch ::: made")));
    assert!(!stage.path("made").exists());
}

#[test]
fn a_dry_run_finds_what_is_wrong_with_the_items() {
    run_on(b"1\n9\n", words("-n --limit 4 --weigh column:1 -- echo")).refuses(&["item 2", "weighs 9"]);
    run_on(b"a\n", words("-n -- echo {2}")).refuses(&["item 1", "{2}"]);
}

#[test]
fn a_dry_run_whose_reader_goes_away_ends_quietly() {
    let (mut child, mut stdin) = start_fed(&mut each(words("-n --file /dev/stdin -- echo")));
    drop(child.stdout.take());

    let line = b"item\n".repeat(1000);
    while std::io::Write::write_all(&mut stdin, &line).is_ok() {}
    let ran = finish(child);
    assert_eq!((ran.status, &ran.err[..]), (141, ""));
}

#[test]
fn progress_is_shown_off_a_terminal_only_when_asked_for() {
    let with = |when: &str| run(words(&format!("--progress {when} -- true ::: a b c"))).err;
    assert!(with("always").contains("gatepost: 3/3 jobs done, 0 failed\n"));
    assert!(!with("auto").contains("jobs done") && !with("never").contains("jobs done"));
}
