//! The system says no in the middle of something: nothing stays behind.

use std::time::Instant;

use super::common::{Folder, LONG, Other};

#[test]
fn a_wait_that_cannot_be_watched_for_leaves_the_queue() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut other = Other::of(&folder);
    assert_eq!(other.tell("files 3"), "limited");
    let answer = other.tell("wait 60000");
    assert!(answer.contains("Io") && answer.contains("watch"), "{answer}");
    assert_eq!(s.status().expect("a look").waiters, []);
    drop(held);
    s.acquire().wait_timeout(LONG).expect("nobody is before us");
    assert_eq!(other.tell("files all"), "limited");
    assert!(other.tell("acquire 1").starts_with("got"), "it can wait again");
}

#[test]
fn a_watcher_whose_thread_could_not_be_started_is_started_for_the_next_wait() {
    let folder = Folder::new();
    let s = folder.open(1);
    let held = s.acquire().wait().expect("free");
    let mut other = Other::of(&folder);
    assert_eq!(other.tell("memory 1000000"), "limited");
    let answer = other.tell("wait 60000");
    assert!(answer.contains("Io") && answer.contains("watch"), "{answer}");
    assert_eq!(other.tell("memory all"), "limited");
    other.say("acquire 1");
    folder.until_waiters(1);
    // Once it has waited for a while; and the thread gives itself its name when it first runs.
    let deadline = Instant::now() + LONG;
    while !other.threads().contains("gatepost-watch") {
        assert!(Instant::now() < deadline, "{}", other.threads());
        std::thread::yield_now();
    }
    drop(held);
    assert!(other.hear().starts_with("got"));
}
