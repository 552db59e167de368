//! The wait for permits: its order, its end, and what it says.

use std::io::{BufRead, BufReader};

use rustix::process::Signal;

use crate::stage::{Stage, finish, send, start};

#[test]
fn a_signal_while_waiting_leaves_the_queue_at_once() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1), (Signal::QUIT, 3)] {
        let waiter = start(&mut stage.run_sh("--sem s", "echo ran > said"));
        stage.until_waiting("s", 1);
        send(&waiter, signal);
        let ran = finish(waiter);
        assert_eq!((ran.signal, ran.status), (Some(number), 128 + number), "{ran:?}");
        assert!(stage.status("s").waiters.is_empty(), "the queue is empty when we are gone");
    }
    assert_eq!(stage.let_finish(holder).status, 0);
    assert!(stage.is_silent());
    stage.is_untouched("s");
}

#[test]
fn a_waiter_that_is_killed_is_passed_over() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let mut first = start(&mut stage.run_sh("--sem s", "echo ran > said"));
    stage.until_waiting("s", 1);
    let second = start(&mut stage.run_sh("--sem s", "echo second > said"));
    stage.until_waiting("s", 2);
    first.kill().expect("it is there");
    first.wait().expect("it ends");
    assert_eq!(stage.let_finish(holder).status, 0);
    assert_eq!(stage.hear(), "second");
    assert_eq!(finish(second).status, 0);
    stage.is_untouched("s");
}

#[test]
fn who_came_first_is_first() {
    let mut stage = Stage::new();
    stage.make("s", 2);
    let holder = stage.hold("s", 2);
    let waiters: Vec<_> = (0..4)
        .map(|n| {
            let permits = 1 + n % 2;
            let child =
                start(&mut stage.run_sh(&format!("--sem s={permits}"), &format!("echo {n} > said; read _ < go")));
            stage.until_waiting("s", n + 1);
            child
        })
        .collect();
    stage.release();
    assert_eq!(stage.hear(), "0");
    for n in 1..4 {
        assert!(stage.is_silent(), "one is not passed by those who fit");
        stage.release();
        assert_eq!(stage.hear(), n.to_string());
    }
    stage.release();
    assert!(waiters.into_iter().chain([holder]).all(|child| finish(child).status == 0));
}

#[test]
fn several_are_taken_all_or_none() {
    let mut stage = Stage::new();
    stage.make("a", 2);
    stage.make("b", 1);
    let holder = stage.hold("b", 1);
    stage.complete("run --sem b --sem a=2 --no-wait -- true").says(75, &["\"b\""]);
    assert_eq!(stage.status("a").used, 0, "what was taken is given back");
    stage.complete("run --sem b --sem a=2 --timeout 50ms -- true").says(124, &["\"b\""]);
    assert_eq!(stage.status("a").used, 0);

    let waiter = start(&mut stage.run_sh("--sem b --sem a=2", "echo $GATEPOST_SEM > said"));
    stage.until_waiting("b", 1);
    assert_eq!(stage.status("a").used, 2, "in the order of the names");
    send(&waiter, Signal::INT);
    assert_eq!(finish(waiter).status, 130);
    stage.is_untouched("a");

    let waiter = start(&mut stage.run_sh("--sem b --sem a=2", "echo $GATEPOST_SEM > said"));
    stage.until_waiting("b", 1);
    assert_eq!(stage.let_finish(holder).status, 0);
    assert_eq!(stage.hear(), "a b");
    assert_eq!(finish(waiter).status, 0);
    stage.is_untouched("a");
    stage.is_untouched("b");
}

#[test]
fn whatever_they_are_called_all_take_them_in_the_same_order() {
    let mut stage = Stage::new();
    let path = |name: &str| stage.status(name).path.to_str().expect("text").to_owned();
    stage.make("a", 1);
    stage.make("b", 1);
    let (a, b) = (path("a"), path("b"));
    // By the order of what is written, the path would come first.
    let holder = stage.hold("a", 1);
    let waiter = start(&mut stage.run_sh(&format!("--sem a --sem {b}"), "echo $GATEPOST_SEM > said"));
    stage.until_waiting("a", 1);
    assert_eq!(stage.status("b").used, 0, "a comes before b");
    assert_eq!(stage.let_finish(holder).status, 0);
    assert_eq!(stage.hear(), format!("a {b}"));
    assert_eq!(finish(waiter).status, 0);
    stage.complete(&format!("run --sem a --sem {a} --timeout 60 -- true")).says(64, &["\"a\" is named twice"]);
    stage.is_untouched("a");
}

#[test]
fn the_loss_of_one_while_another_is_waited_for_ends_the_wait() {
    let mut stage = Stage::new();
    stage.make("a", 1);
    stage.make("b", 1);
    let holder = stage.hold("b", 1);
    let waiter = start(&mut stage.run_sh("--sem a --sem b", "echo ran > said"));
    stage.until_waiting("b", 1);
    let id = stage.status("a").holders[0].id;
    stage.complete(&format!("revoke a:{id}")).says(0, &[]);
    finish(waiter).says(120, &[&format!("a:{id}"), "nothing was started"]);
    assert!(stage.status("b").waiters.is_empty());
    assert_eq!(stage.let_finish(holder).status, 0);
    assert!(stage.is_silent());
}

#[test]
fn without_a_terminal_a_line_says_after_five_seconds_why_it_waits() {
    let mut stage = Stage::new();
    stage.make("s", 1);
    let holder = stage.hold("s", 1);
    let mut waiter = start(&mut stage.run_sh("--sem s", "true"));
    let mut lines = BufReader::new(waiter.stderr.take().expect("a pipe")).lines();
    let line = lines.next().expect("a line").expect("text");
    let (text, pid) = (line.as_str(), stage.status("s").holders[0].keep.expect("the command").pid);
    let start = "gatepost: s: 1st in line, 1/1 used; oldest: sh -c echo holds > said; read _ < go (pid ";
    assert!(text.starts_with(&format!("{start}{pid}, ")), "{text}");
    assert!(text.contains(stage.path("").to_str().expect("text").trim_end_matches('/')), "{text}");
    assert_eq!(stage.let_finish(holder).status, 0);
    assert_eq!(finish(waiter).status, 0);
    assert!(lines.next().is_none(), "no other one");
}
