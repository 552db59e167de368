//! A client of `gatepost serve` that knows no more of HTTP than it must, and a server to talk to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::yard::{PATIENCE, Running, Yard, lines};

/// `gatepost serve` on a port of its own.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Server {
    pub(crate) fn start(yard: &Yard, arguments: &[&str]) -> Self {
        Self::start_at(yard, ":0", arguments)
    }

    pub(crate) fn start_at(yard: &Yard, address: &str, arguments: &[&str]) -> Self {
        let mut child = yard.gatepost(["serve", address].iter().chain(arguments)).spawn().expect("it starts");
        let said = lines(child.stderr.take().expect("a pipe"));
        let running = Running(child);
        let line = said.recv_timeout(PATIENCE).expect("it says where it listens");
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        Self { running, address: address.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// Sends `request` as it is and reads until the end.
    pub(crate) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("it takes requests");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer, and its end");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let answer = self.ask("GET", path);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// A stream of events, after its head.
    pub(crate) fn watch(&self) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).expect("it takes requests");
        let mut stream = BufReader::new(stream);
        let mut first = String::new();
        stream.read_line(&mut first).expect("a line");
        assert!(first.starts_with("HTTP/1.1 200 "), "{first:?}");
        stream
    }
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The next picture of a stream of events.
pub(crate) fn picture(stream: &mut impl BufRead) -> serde_json::Value {
    loop {
        let mut line = String::new();
        assert_ne!(stream.read_line(&mut line).expect("a line"), 0, "the stream has ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).expect("JSON");
        }
    }
}
