//! `gatepost serve`: metrics for Prometheus, and a page for people.
//!
//! | path          | what
//! |---------------|------------------------------------------------------------
//! | `/`           | the page: one file, no other source, its script under a nonce
//! | `/events`     | pictures for the page, as server-sent events
//! | `/metrics`    | the text format of Prometheus
//! | `/api/status` | what `gatepost list --json` prints
//!
//! S1. A thread for each connection, [`CONNECTIONS`] at most, of which [`STREAMS`] may be streams of events: those who
//!     watch leave room for those who ask. Who finds none is told to come again.
//! S2. It reads. There is no authentication, and so nothing that could be done by it.

mod http;
mod metrics;
mod stream;

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gatepost::Semaphore;

use self::http::{Method, Refusal, Request, Status};
use self::stream::Encoded;
use super::folder::Folder;
use super::watch::Watch;
use crate::error::Error;
use crate::run::line::say;

/// The most connections at one time.
const CONNECTIONS: usize = 64;
/// The most of them that may be streams of events.
const STREAMS: usize = 32;
/// The most that are being told that there is no place, at one time.
const REFUSALS: usize = 16;
/// The port that is taken where none is given.
const PORT: u16 = 9190;

/// The page.
const PAGE: &str = include_str!("page.html");
/// Where the page wants the nonce of its response.
const NONCE: &str = "NONCE";

const TEXT: &str = "text/plain; charset=utf-8";

/// Where to listen: `ADDRESS:PORT`, `ADDRESS`, `:PORT` or `PORT`; loopback, unless an address says otherwise.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let text = match text.strip_prefix("localhost") {
        Some(port) if port.is_empty() || port.starts_with(':') => &format!("{local}{port}"),
        _ => text,
    };
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Ok(SocketAddr::new(local, port));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse().map(|ip| SocketAddr::new(ip, PORT));
    text.parse().or(bare).map_err(|_| {
        format!(
            "{text:?} is no address to listen on; write 127.0.0.1:{PORT}, [::1]:{PORT}, :{PORT} for loopback, or \
                 0.0.0.0:{PORT} for every interface"
        )
    })
}

/// A name to answer to; an error for what no `Host` header can ever hold as its name.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.chars().all(fits) && !name.split('.').any(str::is_empty) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{text:?} is no name of a host, and would never match; write the name alone, without scheme, port or path, such as \
         build-box.lan (addresses are answered to anyway; write an international name as its xn-- form)"
    ))
}

/// What all connections share.
struct Server {
    folder: Folder,
    directory: String,
    names: Vec<String>,
    watch: Watch,
    encoded: Encoded,
    streams: Arc<Semaphore>,
}

/// Serves until a signal ends it.
pub(crate) fn run(folder: &Folder, address: SocketAddr, names: &[String]) -> Result<u8, Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let server = Arc::new(Server {
        directory: folder.path().display().to_string(),
        folder: folder.clone(),
        names: names.to_vec(),
        watch: Watch::start(folder.clone()).map_err(failed)?,
        encoded: Encoded::default(),
        streams: Arc::new(Semaphore::new(STREAMS)),
    });
    say(&format!("the page is at http://{bound}/ and the metrics at http://{bound}/metrics; Ctrl-C ends it"));
    if !bound.ip().is_loopback() {
        say(&format!("there is no authentication: whoever reaches {bound} reads names, commands and process numbers"));
    }
    let (connections, refusals) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Semaphore::new(REFUSALS)));
    loop {
        match listener.accept() {
            Ok((stream, _)) => accept(&server, &connections, &refusals, stream),
            // Too many descriptors, most likely: until some are closed there is nothing to do but to wait.
            Err(error)
                if error.kind() != io::ErrorKind::Interrupted && error.kind() != io::ErrorKind::ConnectionAborted =>
            {
                thread::park_timeout(Duration::from_millis(100));
            }
            Err(_) => {}
        }
    }
}

/// Gives the connection a thread; `connections` are the places of those that are answered, and `refusals` of those that
/// are sent away.
fn accept(server: &Arc<Server>, connections: &Arc<Semaphore>, refusals: &Arc<Semaphore>, mut stream: TcpStream) {
    let thread = || thread::Builder::new().name("client".into());
    // If there is no thread to be had, or not even a place to say no, the client sees its connection closed.
    if let Ok(place) = Arc::clone(connections).try_acquire_owned() {
        let server = Arc::clone(server);
        let _ = thread().spawn(move || {
            server.answer(stream);
            drop(place);
        });
    } else if let Ok(place) = Arc::clone(refusals).try_acquire_owned() {
        let _ = thread().spawn(move || {
            let body = "all connections are in use; try again\n";
            let head = http::head(http::BUSY, TEXT, Some(body.len()), "Retry-After: 1\r\n");
            if http::write(&mut stream, (head + body).as_bytes()).is_ok() {
                http::finish(stream);
            }
            drop(place);
        });
    }
}

/// An answer that is there as a whole.
struct Answer {
    status: Status,
    kind: &'static str,
    headers: String,
    body: String,
}

impl Answer {
    fn ok(kind: &'static str, body: String) -> Self {
        Self { status: http::OK, kind, headers: String::new(), body }
    }

    fn error(status: Status, body: &str) -> Self {
        Self { status, kind: TEXT, headers: String::new(), body: format!("{body}\n") }
    }
}

impl Server {
    fn answer(&self, mut stream: TcpStream) {
        let (answer, method) = match http::read(&mut stream) {
            Err(Refusal::Gone) => return,
            Err(Refusal::Status(status)) => (Answer::error(status, status.1), Method::Get),
            Ok(request) => {
                let method = request.method;
                match self.respond(&request) {
                    Some(answer) => (answer, method),
                    None => match Arc::clone(&self.streams).try_acquire_owned() {
                        Ok(_place) => {
                            return stream::send(&mut stream, self.watch.subscribe(), &self.encoded, &self.directory);
                        }
                        Err(_) => {
                            let mut answer = Answer::error(http::BUSY, "all streams of events are in use; try again");
                            answer.headers = "Retry-After: 5\r\n".to_owned();
                            (answer, method)
                        }
                    },
                }
            }
        };
        let mut bytes = http::head(answer.status, answer.kind, Some(answer.body.len()), &answer.headers).into_bytes();
        if method != Method::Head {
            bytes.extend_from_slice(answer.body.as_bytes());
        }
        if http::write(&mut stream, &bytes).is_ok() {
            http::finish(stream);
        }
    }

    /// The answer to `request`; nothing if it is a stream of events.
    fn respond(&self, request: &Request) -> Option<Answer> {
        if let Some(host) = &request.host
            && !http::is_ours(host, &self.names)
        {
            let why = "this server is not known by that name: use its address, or start it with --host NAME";
            return Some(Answer::error(http::FORBIDDEN, why));
        }
        let is_known = matches!(request.path.as_str(), "/" | "/events" | "/metrics" | "/api/status");
        if is_known && request.method == Method::Other {
            let mut answer = Answer::error(http::NOT_ALLOWED, "there is nothing to do here but to look: GET or HEAD");
            answer.headers = "Allow: GET, HEAD\r\n".to_owned();
            return Some(answer);
        }
        Some(match request.path.as_str() {
            "/" => page(),
            "/events" if request.method == Method::Head => Answer::ok("text/event-stream", String::new()),
            "/events" => return None,
            "/metrics" => self.seen("text/plain; version=0.0.4; charset=utf-8", metrics::text),
            "/api/status" => self.seen("application/jsonl", |sights| sights.iter().map(|sight| sight.json()).collect()),
            _ => Answer::error(http::NOT_FOUND, "there are /, /events, /metrics and /api/status"),
        })
    }

    fn seen(&self, kind: &'static str, text: impl FnOnce(&[super::folder::Sight]) -> String) -> Answer {
        match self.folder.look() {
            Ok(sights) => Answer::ok(kind, text(&sights)),
            Err(error) => Answer::error(http::FAILED, &error.to_string()),
        }
    }
}

/// The page, whose style and script run since they carry the nonce of this very answer; nothing else does.
fn page() -> Answer {
    let mut bytes = [0u8; 16];
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(bytes.len()) {
        return Answer::error(http::FAILED, "the system has no random numbers for this page");
    }
    let nonce = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let mut answer = Answer::ok("text/html; charset=utf-8", PAGE.replace(NONCE, &nonce));
    answer.headers = format!(
        "Content-Security-Policy: default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src \
         'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_taken_only_if_a_request_can_name_it() {
        for name in ["build-box.lan", "BOX", "xn--rksmrgs-5wao1o", "a_b"] {
            assert!(http::is_ours(&format!("{name}:9190"), &[host(name).expect(name)]), "{name}");
        }
        assert!(http::is_ours("box", &[host("box.").expect("a final dot")]));
        for no in ["", ".", "a b", "box:9190", "http://box", "box/", "a..b", "[::1]", "räka.se", "a\n"] {
            assert!(host(no).is_err_and(|error| error.contains("never match")), "{no:?}");
        }
    }

    #[test]
    fn addresses_are_local_unless_they_say_otherwise() {
        for (text, parsed) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            (":9090", "127.0.0.1:9090"),
            ("9090", "127.0.0.1:9090"),
            ("localhost", "127.0.0.1:9190"),
            ("localhost:1", "127.0.0.1:1"),
            ("0.0.0.0", "0.0.0.0:9190"),
            ("::1", "[::1]:9190"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Ok(parsed));
        }
        for wrong in ["", "localhostx", "box.lan:80", "127.0.0.1:99999", ":x"] {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_page_has_no_source_but_itself() {
        for outside in ["http://", "https://", "src=", "@import", "url(", "innerHTML", "document.write", "style=\""] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
        assert_eq!(PAGE.matches(&format!("nonce=\"{NONCE}\"")).count(), 2);
        assert_eq!(PAGE.matches(NONCE).count(), 2);
        let (one, two) = (page(), page());
        assert!(one.body != two.body && one.headers != two.headers);
    }
}
