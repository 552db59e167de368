//! `gatepost serve`, as scripts and bad clients see it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::client::{Server, picture};
use crate::yard::{Yard, queue, take, until};

/// A yard with something to see.
fn busy() -> (Yard, Vec<gatepost_shared::Permit>) {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let _idle = yard.semaphore("link", 2);
    let held = vec![take(&build, 4, "cargo build"), take(&build, 3, "make")];
    queue(&build, 3, "cargo test");
    (yard, held)
}

#[test]
fn metrics_have_the_names_that_are_promised_and_satisfy_promtool() {
    let (yard, _held) = busy();
    std::fs::write(yard.path().join("bad.gate"), b"no semaphore").expect("the file is written");
    let server = Server::start(&yard, &[]);
    let answer = server.get("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "gatepost_permits{sem=\"build\",scope=\"process\",state=\"used\"} 7",
        "gatepost_permits{sem=\"build\",scope=\"process\",state=\"free\"} 1",
        "gatepost_limit{sem=\"build\",scope=\"process\"} 8",
        "gatepost_waiters{sem=\"build\",scope=\"process\"} 1",
        "gatepost_acquired_total{sem=\"build\",scope=\"process\"} 2",
        "gatepost_lost_total{sem=\"build\",scope=\"process\",why=\"revoked\"} 0",
        "gatepost_wait_seconds_count{sem=\"link\",scope=\"process\"} 0",
    ] {
        assert!(answer.body.lines().any(|there| there == line), "{line} is not in:\n{}", answer.body);
    }
    assert!(answer.body.contains("# unreadable: bad: "), "{}", answer.body);
    promtool(&["check", "metrics"], &answer.body);
}

/// What `promtool` says of `text`: nothing, if all is well. `GATEPOST_REQUIRE_PROMTOOL=1` means that it must be there.
#[track_caller]
fn promtool(arguments: &[&str], text: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("it is written");
    let input = std::fs::File::open(file.path()).expect("it is there");
    match Command::new("promtool").args(arguments).stdin(Stdio::from(input)).output() {
        Ok(output) => assert!(output.status.success() && output.stderr.is_empty(), "{output:?}"),
        Err(_) => {
            let required = std::env::var_os("GATEPOST_REQUIRE_PROMTOOL").is_some_and(|value| value == "1");
            assert!(!required, "GATEPOST_REQUIRE_PROMTOOL is 1, and there is no promtool here");
            eprintln!("no promtool here: its opinion goes unheard");
        }
    }
}

#[test]
fn the_alerts_in_the_documentation_are_rules() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/observing.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let block = page.split("```yaml\n").find(|block| block.starts_with("groups:")).expect("alerts");
    let rules = block.split("```").next().expect("their text");
    // Each metric that they name is one that there is.
    let (yard, _held) = busy();
    let server = Server::start(&yard, &[]);
    let metrics = server.get("/metrics").body;
    let words = rules.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| word.starts_with("gatepost_"));
    for metric in words {
        assert!(metrics.contains(&format!("\n{metric}{{")), "{metric}");
    }
    promtool(&["check", "rules", "/dev/stdin"], rules);
}

#[test]
fn the_status_is_what_list_prints() {
    let (yard, _held) = busy();
    let server = Server::start(&yard, &[]);
    let body = server.get("/api/status").body;
    let names = |text: &str| -> Vec<String> {
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["name"].to_string();
        text.lines().map(line).collect()
    };
    assert_eq!(names(&body), names(&yard.run(["list", "--json"]).out));
}

#[test]
fn the_page_lets_nothing_run_but_its_own() {
    let server = Server::start(&Yard::new(), &[]);
    let answer = server.get("/");
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    assert!(!policy.contains("unsafe"));
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    assert_eq!(answer.body.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert_ne!(server.get("/").header("content-security-policy"), Some(policy));
    for path in ["/", "/metrics", "/nowhere"] {
        let answer = server.ask("GET", path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()), "{path}");
    }
}

#[test]
fn methods_and_paths_have_their_answers() {
    let server = Server::start(&Yard::new(), &[]);
    for path in ["/", "/metrics", "/api/status", "/events"] {
        let answer = server.ask("HEAD", path);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        let answer = server.ask("POST", path);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    assert_eq!(server.ask("HEAD", "/").header("content-length").map(|length| length != "0"), Some(true));
    assert_eq!(server.ask("GET", "/nowhere").status, 404);
    assert_eq!(server.ask("GET", "/metrics?x=y").status, 200);
    let body = "x".repeat(100_000);
    let post = format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{body}");
    // With its body unread, an answer must not be lost to a reset.
    assert_eq!(server.send(&post[..60_000]).status, 405);
}

#[test]
fn what_is_no_request_is_refused() {
    let server = Server::start(&Yard::new(), &[]);
    assert_eq!(server.send("\u{1}\u{2}\r\n\r\n").status, 400);
    assert_eq!(server.send("GET / HTTP/1.1\r\n\r\n").status, 400);
    assert_eq!(
        server.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "y".repeat(40_000))).status,
        431
    );
    assert_eq!(server.send("GET / HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let server = Server::start(&Yard::new(), &["--host", "box.lan"]);
    let of = |host: &str| server.send(&format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for host in ["localhost", "127.0.0.1:1", "[::1]", "box.lan:9190"] {
        assert_eq!(of(host).status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:9190"] {
        let answer = of(host);
        assert!(answer.status == 403 && answer.body.contains("--host"), "{answer:?}");
    }
}

#[test]
fn pictures_come_when_something_changes() {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let server = Server::start(&yard, &[]);
    let mut stream = server.watch();
    assert_eq!(picture(&mut stream)["semaphores"][0]["status"]["used"], 0);
    let _held = take(&build, 5, "cargo build");
    while picture(&mut stream)["semaphores"][0]["status"]["used"] != 5 {}
    let _new = yard.semaphore("link", 1);
    while picture(&mut stream)["semaphores"].as_array().is_none_or(|all| all.len() < 2) {}
    std::fs::remove_file(yard.path().join("build.gate")).expect("it is there");
    while picture(&mut stream)["semaphores"].as_array().is_none_or(|all| all.len() > 1) {}
    // One of the same name is another one.
    let _again = yard.semaphore("build", 3);
    loop {
        let picture = picture(&mut stream);
        if picture["semaphores"][0]["name"] == "build" && picture["semaphores"][0]["status"]["limit"] == 3 {
            break;
        }
    }
}

#[test]
fn those_who_watch_leave_room_for_those_who_ask() {
    let (yard, _held) = busy();
    let server = Server::start(&yard, &[]);
    let mut streams: Vec<_> = (0..32).map(|_| server.watch()).collect();
    let refused = server.ask("GET", "/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    server.get("/metrics");
    // They do not read, and one goes away: its place is free once a picture could not be sent to it.
    streams.pop();
    until("there is a place again", || {
        let mut stream = server.connect();
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes requests");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("a status");
        &first == b"HTTP/1.1 200"
    });
    drop(streams);
    server.get("/metrics");
}

#[test]
fn clients_that_say_nothing_do_not_keep_others_out_for_long() {
    let server = Server::start(&Yard::new(), &[]);
    let silent: Vec<_> = (0..64).map(|_| server.connect()).collect();
    until("all places are taken", || server.ask("GET", "/metrics").status == 503);
    // They have ten seconds to say something.
    until("they have been sent away", || server.ask("GET", "/metrics").status == 200);
    drop(silent);
}

#[test]
fn a_port_that_is_taken_is_said_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ran = Yard::new().run(["serve", &address]);
    assert_eq!(ran.status, 125);
    assert!(ran.err.contains(&address) && ran.err.contains("give another port"), "{}", ran.err);
    assert_eq!(Yard::new().run(["serve", "nowhere.example:80"]).status, 64);
}

#[test]
fn a_signal_ends_it() {
    let mut server = Server::start(&Yard::new(), &[]);
    let _stream = server.watch();
    server.running.signal(Signal::TERM);
    assert_eq!(server.running.ends(), 143);
}
