//! Weights: by size, by column, over the limit, and the order that they keep.

use crate::stage::{Stage, finish, run_on, sh, sh_each, words};

#[test]
fn nothing_overtakes_a_heavy_job() {
    let mut stage = Stage::new();
    stage.file("items", b"1\n2\n1\n", 0o600);
    let script = "echo {#} > said; read _ < go";
    let child = stage.start(sh_each("--file items --limit 2 --weigh column:1", script));
    assert_eq!(stage.hear(), "1");
    // One permit is free and the third job would fit. Were it let past the second, it would now hold that permit, and
    // the second, which needs both, could not be heard before it.
    stage.release(1);
    assert_eq!(stage.hear(), "2");
    stage.release(1);
    assert_eq!(stage.hear(), "3");
    stage.release(1);
    let ran = finish(child);
    assert_eq!(ran.status, 0);
    assert!(ran.err.contains("at most 2 of 2 permits in use"), "{}", ran.err);
}

#[test]
fn light_jobs_share_what_a_heavy_one_leaves() {
    let mut stage = Stage::new();
    stage.file("items", b"a\t3\nb\t1\nc\t1\n", 0o600);
    let script = "echo {1} > said; read _ < go";
    let child = stage.start(sh_each("--file items --limit 5 --weigh column:2", script));
    assert_eq!(stage.hear_sorted(3), ["a", "b", "c"]);
    stage.release(3);
    assert!(finish(child).err.contains("at most 5 of 5 permits in use"));
}

#[test]
fn the_weights_at_one_time_stay_within_the_limit() {
    let stage = Stage::new();
    // Each job takes as many of four places as it weighs; one that finds too few is one too many.
    let script = "got=; for n in 1 2 3 4; do [ $(echo $got | wc -w) = {} ] && break; mkdir p$n 2>&- && got=\"$got p$n\"; \
                  done; left=$(echo $got | wc -w); [ -z \"$got\" ] || rmdir $got; [ $left = {} ]";
    let items: String = (0..120).map(|n| format!("{}\n", 1 + n * 7 % 4)).collect();
    stage.file("items", items.as_bytes(), 0o600);
    let ran = finish(stage.start(sh_each("--file items --limit 4 --weigh column:1", script)));
    assert_eq!(ran.status, 0, "{}", ran.err);
}

#[test]
fn a_file_weighs_by_its_size() {
    let stage = Stage::new();
    for (name, size) in [("empty", 0), ("one", 1024), ("more", 1025)] {
        stage.file(name, &vec![b'x'; size], 0o600);
    }
    let script = "echo {} $GATEPOST_WEIGHT";
    let options = "-k --limit 2 --weigh size:1KiB";
    let ran = finish(stage.start(sh(options, script, "empty one more")));
    assert_eq!((ran.status, ran.text()), (0, "empty 1\none 1\nmore 2\n"));
}

#[test]
fn over_the_limit_is_an_error_that_names_the_item() {
    let ran = run_on(b"a\t1\nb\t5\nc\t1\n", words("-k --limit 4 --weigh column:2 -- echo {1}"));
    ran.refuses(&["item 2 (\"b\\t5\") weighs 5 and the limit is 4", "--limit to 5", "--clamp"]);
    assert_eq!(ran.text(), "a\n", "what came before was run, and nothing after");
}

#[test]
fn clamped_it_runs_alone() {
    let arguments = sh_each("-k --limit 4 --weigh column:1 --clamp", "echo $GATEPOST_WEIGHT");
    let ran = run_on(b"1\n5\n99999999999999999999999\n", arguments);
    assert_eq!((ran.status, ran.text()), (0, "1\n4\n4\n"));
}

#[test]
fn an_item_without_a_weight_is_an_error_that_names_it() {
    let by_column = |input: &[u8]| run_on(input, words("--weigh column:2 -- echo"));
    by_column(b"a\n").refuses(&["item 1 (\"a\") has no weight", "column 2 is missing", "whole number"]);
    by_column(b"a\tmany\n").refuses(&["column 2 is \"many\""]);
    let by_size = |input: &[u8]| run_on(input, words("--weigh size:1MB -- echo"));
    by_size(b"/nowhere\n").refuses(&["item 1 (\"/nowhere\")", "No such file", "path of a regular file"]);
    by_size(b"/\n").refuses(&["it is a directory"]);
}

#[test]
fn a_weight_that_is_none_is_refused_before_anything_runs() {
    for how in ["size:0", "size:big", "column:0", "column:x", "heavy", "size"] {
        let ran = run_on(b"a\n", words(&format!("--weigh {how} -- echo")));
        ran.refuses(&["--weigh"]);
        assert_eq!(ran.text(), "");
    }
    run_on(b"a\n", words("--clamp -- echo")).refuses(&["--weigh"]);
}
