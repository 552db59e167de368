//! `gatepost list`.

use serde_json::Value;

use crate::yard::{Yard, queue, take};

#[test]
fn an_empty_folder_says_what_to_do_beside_an_empty_list() {
    let yard = Yard::new();
    let ran = yard.run(["list"]);
    assert_eq!((ran.status, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("gatepost run --sem NAME --limit N"), "{}", ran.err);
    let ran = yard.run(["list", "--json"]);
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
}

#[test]
fn a_folder_that_is_not_there_is_an_empty_one() {
    let yard = Yard::new();
    let ran = yard.run(["list", "--dir", "/nowhere/at/all"]);
    assert_eq!((ran.status, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("/nowhere/at/all"), "{}", ran.err);
}

#[test]
fn each_semaphore_has_a_line_with_its_numbers() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let _idle = yard.semaphore("link", 2);
    let _held = take(&build, 7, "cargo build");
    queue(&build, 3, "cargo test");
    let ran = yard.run(["list"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..4], ["NAME", "USED", "WAITING", "POLICY"]);
    assert_eq!(lines[1][..4], ["build", "7/8", "1", "fifo"]);
    assert_eq!(lines[1][5..], ["cargo", "build"]);
    assert_eq!(lines[2], ["link", "0/2", "0", "fifo", "-"]);
    assert!(ran.out.ends_with(&format!("\n\nfolder: {}\n", yard.path().display())), "{}", ran.out);
}

#[test]
fn what_cannot_be_read_is_a_line_and_not_the_end() {
    let yard = Yard::new();
    let _a = yard.semaphore("a", 1);
    std::fs::write(yard.path().join("b.gate"), b"no semaphore at all").expect("the file is written");
    let _c = yard.semaphore("c", 1);
    let ran = yard.run(["list"]);
    assert_eq!(ran.status, 0, "{}", ran.err);
    assert!(ran.out.contains("\na ") && ran.out.contains("\nc "), "{}", ran.out);
    assert!(ran.out.lines().any(|line| line.starts_with("b ") && line.ends_with("unreadable")), "{}", ran.out);
    assert!(ran.out.lines().any(|line| line.starts_with("b: ") && line.contains("b.gate")), "{}", ran.out);

    let ran = yard.run(["list", "--json"]);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<_> = lines.iter().map(|line| line["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(lines.iter().all(|line| line["schema"] == "gatepost/1"));
    assert!(lines[1]["error"].is_string() && lines[0].get("error").is_none());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let yard = Yard::new();
    let _a = yard.semaphore("a", 1);
    let mut child = yard.gatepost(["list"]).spawn().expect("it starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}
