//! A million items in bounded memory.

use std::io::{BufReader, Read, Write};
use std::process::Child;
use std::thread;

use crate::stage::{each, finish, start_fed, words};

/// The most memory that the program has had so far, in KiB.
fn peak_memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the program is there");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system tells");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_million_lines_need_no_more_memory_than_a_few() {
    const LINES: usize = 1_000_000;
    let (mut child, mut stdin) = start_fed(&mut each(words("--dry-run --weigh column:1 --limit 9 -- echo {#} {2}")));

    let mut stdout = BufReader::with_capacity(1 << 20, child.stdout.take().expect("a pipe"));
    let lines = thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let block = "7\tan item as long as a path may well be\n".repeat(1000);
            (0..LINES / 1000).for_each(|_| stdin.write_all(block.as_bytes()).expect("it is read"));
            // Open until the memory has been read, so that the program waits for more.
            stdin
        });
        let mut lines = 0;
        let mut piece = vec![0; 1 << 20];
        // The last buffer is written at the end of the input only. It and the pipe have room for what is left here.
        while lines < LINES - 2000 {
            let length = stdout.read(&mut piece).expect("it writes");
            assert!(length > 0, "the output ends after {lines} lines");
            lines += piece[..length].iter().filter(|&&byte| byte == b'\n').count();
        }
        let peak = peak_memory(&child);
        assert!(peak < 32 << 10, "{peak} KiB for a million lines of 40 bytes, which are 38 MiB themselves");
        drop(writer.join().expect("no panic"));
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).expect("it ends");
        lines + rest.iter().filter(|&&byte| byte == b'\n').count()
    });
    assert_eq!((lines, finish(child).status), (LINES, 0));
}

#[test]
fn jobs_that_have_ended_leave_nothing_in_memory() {
    // Real jobs take a third of a millisecond at best, so a few thousand have to stand for a million; each one's item
    // is so long that keeping them all would show.
    let (child, mut stdin) = start_fed(&mut each(words("-q -k --limit 4 -- test -n")));

    let mut line = vec![b'x'; 100_000];
    line.push(b'\n');
    for _ in 0..100 {
        stdin.write_all(&line).expect("it is read");
    }
    let early = peak_memory(&child);
    for _ in 0..900 {
        stdin.write_all(&line).expect("it is read");
    }
    let late = peak_memory(&child);
    drop(stdin);
    assert_eq!(finish(child).status, 0);
    assert!(late < early + (20 << 10), "{early} KiB after 100 jobs of 100 KB, {late} KiB after 1000");
}
