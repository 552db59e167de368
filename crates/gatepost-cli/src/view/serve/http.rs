//! As much of HTTP/1.1 as serves pages that only look: GET and HEAD, one request for each connection.
//!
//! The parser is `httparse`, hyper's. What stands around it is ours since the servers that could be had either cannot
//! drop a client that does not read (no time-out on writes) or cannot stream an event as it comes (they buffer), and both
//! are the point here.
//!
//! H1. A client has [`PATIENCE`] for its request and again for each piece of the answer; then it is dropped. No client
//!     can hold a thread by being slow, only by reading a stream of events as fast as it comes.
//! H2. A request is at most [`LONGEST`] bytes with [`HEADERS`] headers; a body is never waited for.
//! H3. Each answer has the headers of [`SECURITY`], errors too.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::time::{Duration, Instant, SystemTime};

/// How long a client may take to say what it wants, and to take what it gets.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request that is read.
const LONGEST: usize = 16 << 10;
/// The most headers of a request.
const HEADERS: usize = 64;
/// What is read and thrown away after an answer, so that closing does not destroy it on its way.
const LINGER: (usize, Duration) = (64 << 10, Duration::from_secs(1));

/// What every answer says to browsers.
const SECURITY: &str = "\
X-Content-Type-Options: nosniff\r\n\
Referrer-Policy: no-referrer\r\n\
Cross-Origin-Resource-Policy: same-origin\r\n\
Cross-Origin-Opener-Policy: same-origin\r\n\
Cache-Control: no-store\r\n";

/// A request, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its method.
    pub(crate) method: Method,
    /// The path, without what follows a `?`.
    pub(crate) path: String,
    /// The host that the client believes to talk to.
    pub(crate) host: Option<String>,
}

/// The methods, as far as they matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// To have it.
    Get,
    /// To have its headers.
    Head,
    /// To do something, and there is nothing to do here.
    Other,
}

/// Why a request gets no answer of its own.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is answered with this status.
    Status(Status),
    /// Nobody is there to answer.
    Gone,
}

/// A status and its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16, pub(crate) &'static str);

pub(crate) const OK: Status = Status(200, "OK");
pub(crate) const BAD_REQUEST: Status = Status(400, "Bad Request");
pub(crate) const FORBIDDEN: Status = Status(403, "Forbidden");
pub(crate) const NOT_FOUND: Status = Status(404, "Not Found");
pub(crate) const NOT_ALLOWED: Status = Status(405, "Method Not Allowed");
pub(crate) const TIMED_OUT: Status = Status(408, "Request Timeout");
pub(crate) const TOO_LARGE: Status = Status(431, "Request Header Fields Too Large");
pub(crate) const FAILED: Status = Status(500, "Internal Server Error");
pub(crate) const BUSY: Status = Status(503, "Service Unavailable");
pub(crate) const VERSION: Status = Status(505, "HTTP Version Not Supported");

/// Reads the request that a client makes.
pub(crate) fn read(stream: &mut TcpStream) -> Result<Request, Refusal> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        match parse(&bytes)? {
            Some(request) => return Ok(request),
            None if bytes.len() >= LONGEST => return Err(Refusal::Status(TOO_LARGE)),
            None => {}
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Refusal::Status(TIMED_OUT));
        }
        stream.set_read_timeout(Some(left)).map_err(|_| Refusal::Gone)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(Refusal::Gone),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return Err(Refusal::Status(TIMED_OUT)),
            Err(_) => return Err(Refusal::Gone),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The request in `bytes`; nothing if it is not all there.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::Status(TOO_LARGE)),
        Err(httparse::Error::Version) => return Err(Refusal::Status(VERSION)),
        Err(_) => return Err(Refusal::Status(BAD_REQUEST)),
    }
    let bad = || Refusal::Status(BAD_REQUEST);
    let method = match request.method.ok_or_else(bad)? {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().map(|header| std::str::from_utf8(header.value).map(|host| host.trim().to_owned()));
    let mut host = host.transpose().map_err(|_| bad())?;
    // Of two, a proxy and we might believe different ones.
    if hosts.next().is_some() || (host.is_none() && request.version == Some(1)) {
        return Err(bad());
    }
    let target = request.path.ok_or_else(bad)?;
    let target = match target.strip_prefix("http://") {
        None => target,
        // What is asked of a proxy: the host stands in the target, and counts.
        Some(absolute) => {
            let (authority, _) = absolute.split_once('/').unwrap_or((absolute, ""));
            host = Some(authority.to_owned());
            if authority.len() < absolute.len() { &absolute[authority.len()..] } else { "/" }
        }
    };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    Ok(Some(Request { method, path: path.to_owned(), host }))
}

/// Whether a browser may have come here by a name that is ours: an address, `localhost`, or one of `names`.
///
/// A page from elsewhere can have its own name resolve to this machine and then read what we serve as if it were its
/// own (DNS rebinding). It cannot make the browser send another name than its own.
pub(crate) fn is_ours(host: &str, names: &[String]) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split_once(']').is_some_and(|(address, port)| {
            address.parse::<std::net::Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port.strip_prefix(':')))
        });
    }
    let name = match host.split_once(':') {
        None => host,
        Some((name, port)) if is_port(Some(port)) => name,
        Some(_) => return false,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

fn is_port(port: Option<&str>) -> bool {
    port.is_some_and(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'))
}

/// The head of an answer: `more` is whole lines of headers.
pub(crate) fn head(status: Status, kind: &str, length: Option<usize>, more: &str) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let length = length.map_or_else(String::new, |length| format!("Content-Length: {length}\r\n"));
    let Status(code, words) = status;
    format!(
        "HTTP/1.1 {code} {words}\r\nDate: {date}\r\nConnection: close\r\nContent-Type: {kind}\r\n{length}{SECURITY}{more}\r\n"
    )
}

/// Writes all of `bytes`, or fails when the client does not take them in time.
pub(crate) fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    write_within(PATIENCE, stream, bytes)
}

fn write_within(patience: Duration, stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let end = Instant::now() + patience;
    while !bytes.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends a connection so that the answer arrives: to close one with unread bytes would reset it, and the answer with it.
pub(crate) fn finish(mut stream: TcpStream) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let (mut bytes, time) = LINGER;
    let end = Instant::now() + time;
    let mut chunk = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 && n <= bytes => bytes -= n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Request>, u16> {
        parse(text.as_bytes()).map_err(|refusal| match refusal {
            Refusal::Status(Status(code, _)) => code,
            Refusal::Gone => 0,
        })
    }

    fn request(method: Method, path: &str, host: &str) -> Result<Option<Request>, u16> {
        Ok(Some(Request { method, path: path.into(), host: Some(host.into()) }))
    }

    #[test]
    fn requests_are_read_as_far_as_they_matter() {
        assert_eq!(parsed("GET /metrics?x=1 HTTP/1.1\r\nhost:  a:1 \r\n\r\n"), request(Method::Get, "/metrics", "a:1"));
        assert_eq!(parsed("HEAD / HTTP/1.1\r\nHost: b\r\n\r\n"), request(Method::Head, "/", "b"));
        assert_eq!(parsed("POST / HTTP/1.1\r\nHost: b\r\n\r\n"), request(Method::Other, "/", "b"));
        assert_eq!(parsed("GET http://c:9/x HTTP/1.1\r\nHost: b\r\n\r\n"), request(Method::Get, "/x", "c:9"));
        assert_eq!(parsed("GET http://c HTTP/1.1\r\nHost: b\r\n\r\n"), request(Method::Get, "/", "c"));
        assert_eq!(parsed("GET / HTTP/1.1\r\nHos"), Ok(None));
        assert_eq!(parsed(""), Ok(None));
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_reason() {
        assert_eq!(parsed("GET / HTTP/1.1\r\n\r\n"), Err(400), "no host");
        assert_eq!(parsed("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Err(400));
        assert_eq!(parsed("\u{1}\r\n\r\n"), Err(400));
        assert_eq!(parsed("GET / HTTP/2.0\r\n\r\n"), Err(505));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS + 1));
        assert_eq!(parsed(&many), Err(431));
        assert!(matches!(parsed("GET / HTTP/1.0\r\n\r\n"), Ok(Some(Request { host: None, .. }))));
    }

    #[test]
    fn only_our_own_names_are_ours() {
        let names = ["box.lan".to_owned()];
        let ours = [
            "127.0.0.1",
            "127.0.0.1:9190",
            "[::1]",
            "[::1]:9190",
            "localhost:1",
            "LOCALHOST.",
            "box.lan",
            "Box.Lan:80",
        ];
        for host in ours {
            assert!(is_ours(host, &names), "{host}");
        }
        let foreign = [
            "",
            "evil.example",
            "evil.example:9190",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "[::1]x",
            "[localhost]",
            "localhost:",
            "localhost:x",
            "a:b:c",
            "127.0.0.1:99999",
            "user@localhost",
        ];
        for host in foreign {
            assert!(!is_ours(host, &names), "{host}");
        }
    }

    #[test]
    fn h1_a_client_that_does_not_read_is_dropped() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let _silent = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
        let (mut stream, _) = listener.accept().expect("a client");
        let more_than_any_buffer = vec![0; 256 << 20];
        let written = write_within(Duration::from_millis(100), &mut stream, &more_than_any_buffer);
        assert!(written.is_err_and(|error| is_timeout(&error)));
    }

    #[test]
    fn a_head_is_whole() {
        let head = head(OK, "text/plain", Some(3), "Allow: GET\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: ") && head.ends_with("Allow: GET\r\n\r\n"), "{head}");
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        assert!(response.parse(head.as_bytes()).is_ok_and(|status| status.is_complete()));
    }
}
