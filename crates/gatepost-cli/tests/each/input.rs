//! Items: lines, NUL, `--file`, `:::`, and what may be wrong with them.

use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use crate::stage::{PATIENCE, Stage, complete, each, feed, finish, is_ready, run, run_on, sh_each, start_fed, words};

#[test]
fn lines_become_items_and_empty_ones_do_not() {
    let ran = run_on(b"a b\r\n\n  c\n\r\nlast", ["-k", "--", "printf", "<%s>\\n"]);
    assert_eq!((ran.status, ran.text()), (0, "<a b>\n<  c>\n<last>\n"));
}

#[test]
fn nul_separated_items_may_hold_newlines_and_be_empty() {
    let ran = run_on(b"a\nb\0\0c\r\0", words("-0 -k -- printf <%s>"));
    assert_eq!((ran.status, ran.text()), (0, "<a\nb><><c\r>"));
}

#[test]
fn no_items_are_no_jobs_and_success() {
    for input in [&b""[..], b"\n\r\n\n"] {
        let ran = run_on(input, words("-- false"));
        assert_eq!((ran.status, ran.text()), (0, ""));
        assert!(ran.err.contains("0 jobs, 0 failed"), "{}", ran.err);
    }
    assert_eq!(run(words("-- false :::")).status, 0);
}

#[test]
fn a_file_of_items_is_read_instead_of_standard_input() {
    let stage = Stage::new();
    let file = stage.file("items", b"x\ny\n", 0o600);
    let file = file.to_str().expect("a plain path");
    let ran = run_on(b"not this\n", ["--file", file, "-k", "--", "echo", "item"]);
    assert_eq!((ran.status, ran.text()), (0, "item x\nitem y\n"));
    let ran = run_on(b"this\n", words("--file - -- echo"));
    assert_eq!((ran.status, ran.text()), (0, "this\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_says_so() {
    run(words("--file /nowhere/items -- echo")).refuses(&["\"/nowhere/items\"", "No such file", "--file"]);
    run(words("--file / -- echo")).refuses(&["cannot read items", "directory"]);
}

#[test]
fn listed_items_are_taken_as_they_are() {
    let ran = run(["-k", "--", "printf", "<%s>", ":::", "a b", "", "-n", "{}"]);
    assert_eq!((ran.status, ran.text()), (0, "<a b><><-n><{}>"));
}

#[test]
fn placeholders_are_filled_in() {
    let ran = run_on(b"a\tb\nc\td\n", ["-k", "--", "echo", "{#}:{2}-{1}", "\\{}", "[{}]"]);
    assert_eq!((ran.status, ran.text()), (0, "1:b-a {} [a\tb]\n2:d-c {} [c\td]\n"));
}

#[test]
fn items_need_not_be_utf_8() {
    let bytes = b"caf\xe9 \xff\xfe";
    let ran = run_on(&[bytes, &b"\n"[..]].concat(), ["--", "printf", "%s"]);
    assert_eq!((ran.status, &ran.out[..]), (0, &bytes[..]));
    let listed = std::ffi::OsString::from_vec(bytes.to_vec());
    let mut command = each(words("-- printf %s :::"));
    let ran = complete(command.arg(listed));
    assert_eq!((ran.status, &ran.out[..]), (0, &bytes[..]));
}

#[test]
fn a_nul_in_a_line_ends_the_run_and_names_the_item() {
    let ran = run_on(b"good\nba\0d\nnever\n", words("-- echo"));
    ran.refuses(&["item 2 (\"ba\\0d\")", "-0"]);
    assert_eq!(ran.text(), "good\n", "what came before was run");
}

#[test]
fn input_without_end_and_without_newline_is_an_error() {
    let endless = std::fs::File::open("/dev/zero").expect("a file without end");
    let mut command = each(words("-- echo"));
    let ran = complete(command.stdin(endless));
    ran.refuses(&["item 1 is longer than 16777216 bytes", "-0"]);
}

#[test]
fn a_missing_column_ends_the_run_and_names_the_item() {
    let ran = run_on(b"a\tb\nc\nd\te\n", words("-k -- echo {2}"));
    ran.refuses(&["item 2 (\"c\") has 1 ", "{2}", "add the column"]);
    assert_eq!(ran.text(), "b\n");
}

#[test]
fn too_long_an_argument_fails_that_job_only() {
    let mut input = vec![b'x'; 200_000];
    input.extend_from_slice(b"\nshort\n");
    let ran = run_on(&input, words("-k -- echo"));
    assert_eq!((ran.status, ran.text()), (126, "short\n"), "{}", ran.err);
    assert!(ran.err.contains("item 1 (\"xxx") && ran.err.contains("longer than the system takes"), "{}", ran.err);
    assert!(ran.err.len() < 1000, "the item is not printed whole");
}

#[test]
fn input_is_read_as_jobs_start_and_not_ahead_of_them() {
    let mut stage = Stage::new();
    let script = "echo > said; read _ < go; exit 1";
    let mut command = stage.each(sh_each("--limit 1 --halt soon", script));
    let (child, mut stdin) = start_fed(&mut command);
    stdin.write_all(b"first\n").expect("it is read");
    stage.hear();
    fcntl_setfl(&stdin, OFlags::NONBLOCK).expect("our end, our manners");
    let line = b"another\n".repeat(512);
    let mut taken = 0;
    // The pipe holds 64 KiB and the program's buffer as many. Once both are full, nothing more is taken.
    while is_ready(&stdin, PollFlags::OUT, Duration::ZERO) {
        match rustix::io::write(&stdin, &line) {
            Ok(written) => taken += written,
            Err(Errno::AGAIN) => break,
            Err(errno) => panic!("{errno}"),
        }
        assert!(taken < 1 << 20, "a megabyte was read for a single job");
    }
    stage.release(1);
    assert_eq!(finish(child).status, 1);
}

#[test]
fn a_run_that_stops_does_not_wait_for_more_input() {
    let (child, mut stdin) = start_fed(&mut each(words("--halt soon -- false")));
    stdin.write_all(b"first\n").expect("it is read");
    let stderr = child.stderr.as_ref().expect("a pipe");
    assert!(is_ready(stderr, PollFlags::IN, PATIENCE), "the failure is told while input is still open");
    assert_eq!(finish(child).status, 1);
    drop(stdin);
}

#[test]
fn sources_exclude_each_other() {
    run(words("--file x -- echo ::: a")).refuses(&["--file", "one of the two"]);
    run(words("-0 -- echo ::: a")).refuses(&["-0"]);
    run(words("-- ::: a")).refuses(&["no command", "gatepost each -- CMD"]);
    feed(&mut each::<&str>([]), b"").refuses(&["CMD"]);
}
