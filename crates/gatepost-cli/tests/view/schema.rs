//! The JSON as `docs/observing.md` documents it: every key that is there is named there, and the other way round.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::yard::{Yard, queue, take};

/// Collects `a.b`, `a[].b` for all keys of `value`; objects in lists count once.
fn keys(value: &Value, prefix: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                into.insert(path.clone());
                keys(value, &path, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, &format!("{prefix}[]"), into)),
        _ => {}
    }
}

/// What the section of the page with this title documents: lines of a table that begin with a key in backquotes.
///
/// A key whose type is in bold is that of an object which has a section of its own, and whose keys are meant with it.
fn documented(page: &str, title: &str, prefix: &str, into: &mut BTreeSet<String>) {
    let heading = format!("### {title}\n");
    let section = page.split_once(&heading).unwrap_or_else(|| panic!("no section {title:?}")).1;
    let section = section.split("\n#").next().unwrap_or_default();
    let mut found = false;
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (key, rest) = row.split_once('`').expect("a key in backquotes");
        let kind = rest.split('|').nth(1).unwrap_or_else(|| panic!("no type: {row}"));
        let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        into.insert(path.clone());
        if let Some(name) = kind.split("**").nth(1) {
            let list = if kind.contains("list of") { "[]" } else { "" };
            documented(page, name, &format!("{path}{list}"), into);
        }
        found = true;
    }
    assert!(found, "the section {title:?} documents no key");
}

fn page() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/observing.md");
    std::fs::read_to_string(path).expect("the page is there")
}

#[track_caller]
fn agree(real: &BTreeSet<String>, title: &str) {
    let mut said = BTreeSet::new();
    documented(&page(), title, "", &mut said);
    let unsaid: Vec<_> = real.difference(&said).collect();
    let untrue: Vec<_> = said.difference(real).collect();
    assert!(unsaid.is_empty() && untrue.is_empty(), "not documented: {unsaid:?}; documented and not there: {untrue:?}");
}

/// Statuses that have all there can be: some keys are only there in objects that are null at most times.
fn statuses() -> Vec<Value> {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let held = take(&build, 7, "cargo build");
    held.keep(std::process::id()).expect("kept");
    queue(&build, 3, "cargo test");
    let json = |status: gatepost_shared::Status| serde_json::to_value(status).expect("JSON");
    let mut status = json(build.status().expect("a status"));
    let session = status["sessions"][0].clone();
    let moment = status["now"].clone();
    // A stuck lock and an expiry are made up from what is real: the library reads it back, so it is a status.
    status["locked_by"] = session;
    status["holders"][0]["expires"] = moment;
    let read: gatepost_shared::Status = serde_json::from_value(status).expect("a status");
    let printed = yard.run(["status", "build", "--json"]).out;
    vec![json(read), serde_json::from_str(&printed).expect("JSON")]
}

#[test]
fn every_key_of_a_status_is_documented_and_every_documented_key_is_there() {
    let mut real = BTreeSet::new();
    statuses().iter().for_each(|status| keys(status, "", &mut real));
    agree(&real, "Status");
}

#[test]
fn every_key_of_an_event_is_documented_and_every_documented_key_is_there() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let held = take(&build, 2, "cargo build");
    build.revoke(held.id(), "for a test").expect("revoked");
    let mut real = BTreeSet::new();
    for line in yard.run(["events", "build", "--json"]).out.lines() {
        keys(&serde_json::from_str(line).expect("JSON"), "", &mut real);
    }
    agree(&real, "Event");
}

#[test]
fn a_semaphore_that_cannot_be_read_is_documented() {
    let yard = Yard::new();
    std::fs::write(yard.path().join("bad.gate"), b"no semaphore").expect("the file is written");
    let mut real = BTreeSet::new();
    keys(&serde_json::from_str(yard.run(["list", "--json"]).out.trim()).expect("JSON"), "", &mut real);
    agree(&real, "Unreadable");
}

#[test]
fn every_word_that_a_state_a_kind_or_a_policy_can_be_is_documented() {
    let page = page();
    let samples = include_str!("../../src/view/samples/events.jsonl");
    let kinds = samples.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["kind"].clone());
    let states = ["alive", "kept", "unknown", "leased", "dead"].map(Value::from);
    let policies = ["fifo", "overtaking"].map(Value::from);
    for word in kinds.chain(states).chain(policies) {
        let word = format!("`{}`", word.as_str().expect("text"));
        assert!(page.contains(&word), "{word} is not documented");
    }
}
