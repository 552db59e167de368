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
    // Removed and made again, it is followed again.
    drop(build);
    std::fs::remove_file(yard.path().join("build.gate")).expect("it is there");
    let again = yard.semaphore("build", 3);
    assert_eq!(next().kind, EventKind::Created);
    again.resize(4).expect("resized");
    assert_eq!(next().permits, 4);
    child.signal(rustix::process::Signal::TERM);
    assert_eq!(child.ends(), 143);
}

#[test]
fn whoever_follows_for_nobody_ends() {
    let yard = Yard::new();
    let _build = yard.semaphore("build", 8);
    let mut child = yard.gatepost(["events", "build", "--follow"]).spawn().expect("it starts");
    let mut first = [0];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut first).expect("an event");
    drop(child.stdout.take());
    assert_eq!(Running(child).ends(), 0);
}
