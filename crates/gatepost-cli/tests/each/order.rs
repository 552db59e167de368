//! `--keep-order`: printed in the order of the items, and no further ahead than four limits.

use crate::stage::{Stage, finish, next_line, run_on, sh, up_to, words};

#[test]
fn output_comes_in_the_order_of_the_items() {
    let mut stage = Stage::new();
    // The first job is the last to end.
    let script = "[ {} != a ] || read _ < go; echo {}; echo {} > said";
    let child = stage.start(sh("--keep-order --limit 2", script, "a b c"));
    assert_eq!([stage.hear(), stage.hear()], ["b", "c"]);
    stage.release(1);
    let ran = finish(child);
    assert_eq!((ran.status, ran.text()), (0, "a\nb\nc\n"));
}

#[test]
fn without_it_output_comes_as_jobs_end() {
    let mut stage = Stage::new();
    let script = "[ {} != a ] || read _ < go; echo {}";
    let mut child = stage.start(sh("--limit 2", script, "a b"));
    assert_eq!(next_line(child.stdout.as_mut().expect("a pipe")), "b");
    stage.release(1);
    assert_eq!(finish(child).text(), "a\n");
}

#[test]
fn no_job_starts_more_than_four_limits_ahead() {
    let mut stage = Stage::new();
    // Before it ends, the first job starts twenty processes, one after the other: that is time for another job to be
    // heard, which has to start only one.
    let script = "[ {} != 1 ] || { read _ < go; for n in $(seq 20); do env true; done; }; echo {} > said";
    let child = stage.start(sh("--keep-order --limit 2", script, &up_to(20)));
    // Jobs 1 to 8 have the places; the first holds up the printing of all.
    let ahead: Vec<_> = (2..=8).map(|_| stage.hear()).collect();
    assert_eq!(ahead, ["2", "3", "4", "5", "6", "7", "8"]);
    stage.release(1);
    assert_eq!(stage.hear(), "1", "the ninth waits for the first to be printed");
    assert_eq!(stage.hear_sorted(12).len(), 12);
    assert_eq!(finish(child).status, 0);
}

#[test]
fn many_jobs_keep_their_order() {
    let input: String = (0..500).map(|n| format!("{n}\n")).collect();
    let ran = run_on(input.as_bytes(), words("-k --limit 8 -- echo"));
    assert_eq!((ran.status, ran.text()), (0, &input[..]));
}
