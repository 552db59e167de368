//! Output: whole blocks, spilled when large, and a reader that goes away.

use std::io::Write;

use crate::stage::{Stage, complete, each, finish, next_line, run, sh, sh_each, start_fed, words};

#[test]
fn outputs_of_jobs_that_run_at_one_time_do_not_mix() {
    let mut stage = Stage::new();
    let script = "echo {} 1; echo {} > said; read _ < go; echo {} 2";
    let child = stage.start(sh("--limit 2", script, "a b"));
    assert_eq!(stage.hear_sorted(2), ["a", "b"], "both have written their first line");
    stage.release(2);
    let ran = finish(child);
    let [a, b] = ["a 1\na 2\n", "b 1\nb 2\n"];
    assert!(ran.text() == format!("{a}{b}") || ran.text() == format!("{b}{a}"), "{}", ran.text());
}

#[test]
fn standard_output_and_standard_error_stay_apart() {
    let ran = run(sh("-q --limit 1", "echo out {}; echo err {} >&2", "a b"));
    assert_eq!((ran.text(), &ran.err[..]), ("out a\nout b\n", "err a\nerr b\n"));
}

#[test]
fn large_outputs_are_whole_and_leave_nothing_behind() {
    let mut stage = Stage::new();
    let tmp = stage.path("tmp");
    std::fs::create_dir(&tmp).expect("a directory");
    // Three megabytes each, in two halves with the other job's half between them.
    let half = "head -c 1500000 /dev/zero | tr '\\0' {}";
    let script = format!("{half}; echo > said; read _ < go; {half}; {half} >&2");
    let child = stage.each(sh("-q --limit 2", &script, "a b")).env("TMPDIR", &tmp).spawn().expect("the program starts");
    stage.hear_sorted(2);
    // Both have more than a megabyte out, which has to be somewhere; the file has no name.
    assert_eq!(std::fs::read_dir(&tmp).expect("it is there").count(), 0);
    stage.release(2);
    let ran = finish(child);
    let count = |text: &[u8]| {
        let runs: Vec<(u8, usize)> = text.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
        runs.iter().all(|(_, length)| *length == text.len() / 2).then_some(runs.len())
    };
    assert_eq!((ran.out.len(), count(&ran.out)), (6_000_000, Some(2)));
    assert_eq!((ran.err.len(), count(ran.err.as_bytes())), (3_000_000, Some(2)));
}

#[test]
fn a_large_output_without_room_is_an_error_that_names_the_item() {
    let mut command = each(words("-- head -c 2000000 ::: /dev/zero"));
    let ran = complete(command.env("TMPDIR", "/nowhere"));
    ran.refuses(&["item 1 (\"/dev/zero\")", "\"/nowhere\"", "TMPDIR"]);
}

#[test]
fn a_small_output_needs_no_file() {
    let mut command = each(words("-- head -c 1000000 ::: /dev/zero"));
    let ran = complete(command.env("TMPDIR", "/nowhere"));
    assert_eq!((ran.status, ran.out.len()), (0, 1_000_000));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let mut stage = Stage::new();
    // One job runs on, items never end, and somebody reads a single line: `… | head -n 1`.
    let script = "echo {}; [ {} = first ] || { echo > said; exec sleep 1000; }";
    let (mut child, mut stdin) = start_fed(&mut stage.each(sh_each("--limit 2", script)));
    let mut stdout = child.stdout.take().expect("a pipe");
    stdin.write_all(b"first\n").expect("it is read");
    assert_eq!(next_line(&mut stdout), "first");
    drop(stdout);
    stdin.write_all(b"second\n").expect("it is read");
    stage.hear();
    stdin.write_all(b"first\n").expect("it is read");
    let ran = finish(child);
    assert_eq!((ran.status, &ran.err[..]), (141, ""), "as a shell shows it for a program that SIGPIPE ended");
    drop(stdin);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a full device");
    let mut command = each(words("-- echo ::: a b"));
    let ran = complete(command.stdout(full));
    ran.refuses(&["cannot write the output", "No space left", "make room"]);
}
