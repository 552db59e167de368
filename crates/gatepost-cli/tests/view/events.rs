//! `gatepost events NAME`.

use gatepost_shared::{Event, EventKind};

use crate::yard::{PATIENCE, Running, Yard, lines, take};

fn happened() -> Yard {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let held = take(&build, 2, "cargo build");
    build.resize(4).expect("resized");
    build.pause().expect("paused");
    build.resume().expect("resumed");
    build.revoke(held.id(), "for a test").expect("revoked");
    drop(held);
    yard
}

#[test]
fn what_happened_is_told_in_order_and_in_words() {
    let ran = happened().run(["events", "build"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let expected = ["created with a limit of 8", "the limit is now 4", "paused", "resumed", "revoked build:"];
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{}", ran.out);
    for (line, words) in lines.iter().zip(expected) {
        assert!(line.contains(words), "{words:?} is not in {line:?}");
    }
    assert!(lines[4].contains("(2 permits)") && lines[4].ends_with("for a test"), "{}", lines[4]);
}

#[test]
fn json_is_the_librarys_own_and_since_leaves_out() {
    let yard = happened();
    let events = |arguments: &[&str]| -> Vec<Event> {
        let ran = yard.run(["events", "build", "--json"].iter().chain(arguments));
        ran.out.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    };
    let all = events(&[]);
    assert!(all.windows(2).all(|pair| pair[0].number + 1 == pair[1].number), "{all:?}");
    let third = all[2].number.to_string();
    assert_eq!(events(&["--since", &third]), all[2..]);
    assert_eq!(events(&["--since", "1000000"]), []);
}

#[test]
fn to_follow_is_to_wait_for_more() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let mut child = yard.gatepost(["events", "build", "--follow", "--json"]).spawn().expect("it starts");
    let lines = lines(child.stdout.take().expect("a pipe"));
    let mut child = Running(child);
    let next = || -> Event {
        let line = lines.recv_timeout(PATIENCE).expect("a line comes");
        serde_json::from_str(&line).expect("an event")
    };
    assert_eq!(next().kind, EventKind::Created);
    for limit in [7, 6, 5] {
        build.resize(limit).expect("resized");
        let event = next();
        assert_eq!((event.kind, event.permits), (EventKind::Resized, limit));
    }
    // Whoever reads has seen enough: the next event finds nobody, and that is the end, and no failure.
    drop(lines);
    let mut limit = 5;
    crate::yard::until("it ends by itself", || {
        limit = if limit == 5 { 6 } else { 5 };
        build.resize(limit).expect("resized");
        child.0.try_wait().expect("it can be asked").is_some()
    });
    assert_eq!(child.ends(), 0);
}
