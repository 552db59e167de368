//! A program that runs: it is asked for one sample at a time.

use anyhow::{Context as _, Result, bail, ensure};
use gatepost_bench_kit::Ask;
use gatepost_bench_kit::protocol::{Answer, Hello, Sample, read};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a program may take to start.
const START: Duration = Duration::from_secs(20);
/// How long an answer may take beyond its windows. Whoever needs longer is stuck.
const STUCK: Duration = Duration::from_secs(8);
/// How often one that was lost is started again.
const RESTARTS: usize = 3;

/// A program that runs.
pub(crate) struct Session {
    pub(crate) hello: Hello,
    child: Child,
    /// Nothing once it has been told to end.
    requests: Option<ChildStdin>,
    /// What it says, read by a thread of its own, so that waiting for it can end.
    lines: Receiver<String>,
    /// Why it was ended. It is started again for the next request.
    lost: Option<String>,
    command: Command,
    restarts: usize,
}

impl Session {
    /// Starts it and hears what it has.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("its output is a pipe")?);
        let (said, lines) = channel();
        std::thread::spawn(move || {
            for line in answers.lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    return; // nobody asks any more
                }
            }
        });
        let hello =
            Hello { hello: 0, runtime: String::new(), peers: Vec::new(), notes: Vec::new(), absent: Vec::new() };
        let mut session = Self { hello, child, requests, lines, lost: None, command, restarts: 0 };
        session.hello = read(&session.line(START)?)?;
        ensure!(session.hello.hello == 1, "it speaks version {} of the protocol, not 1", session.hello.hello);
        Ok(session)
    }

    /// Has it take a sample.
    pub(crate) fn take(&mut self, ask: &Ask) -> Result<Sample> {
        if let Some(why) = &self.lost {
            if self.restarts == RESTARTS {
                return Err(Refused(format!("its program was lost too often, last: {why}")).into());
            }
            self.restarts += 1;
            let command = std::mem::replace(&mut self.command, Command::new(""));
            let restarts = self.restarts;
            *self = Self::start(command)?;
            self.restarts = restarts;
        }
        self.exchange(ask).inspect_err(|error| {
            // An answer that says "no" leaves it as it is; anything else leaves it in a state that nobody knows.
            if error.downcast_ref::<Refused>().is_none() {
                self.lost = Some(format!("{error:#}"));
                self.end();
            }
        })
    }

    fn exchange(&mut self, ask: &Ask) -> Result<Sample> {
        let requests = self.requests.as_mut().context("it has been told to end")?;
        let request = serde_json::to_string(ask)?;
        if writeln!(requests, "{request}").and_then(|()| requests.flush()).is_err() {
            bail!("it does not listen any more{}", self.last_words());
        }
        let patience = 4 * (ask.warm() + ask.window()) + ask.limit() + STUCK;
        match read(&self.line(patience)?)? {
            Answer::Took(sample) => Ok(sample),
            Answer::Failed { error } => Err(Refused(error).into()),
        }
    }

    fn line(&mut self, patience: Duration) -> Result<String> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("no answer within {patience:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended{}", self.last_words()),
        }
    }

    /// What a program that is gone said to its standard error.
    fn last_words(&mut self) -> String {
        self.end();
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            // Of a program that failed; what cannot be read is nothing more to say.
            let _ = errors.read_to_string(&mut said);
        }
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
        if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" / ")) }
    }

    /// Tells it to end, and ends it if it does not.
    fn end(&mut self) {
        drop(self.requests.take());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It may have ended meanwhile: then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

/// A program's own "no".
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        let text = r#"{"peer":"x","case":"U1","parameters":{},"warm_ms":0,"window_ms":1}"#;
        read(text).unwrap()
    }

    fn program(script: &str) -> Result<Session> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Session::start(command)
    }

    const HELLO: &str = r#"echo '{"hello":1,"runtime":"sh","peers":[]}'"#;

    #[test]
    fn a_program_answers_refuses_and_ends() {
        let body = r#"
            read -r _; echo '{"metrics":{"ns":5}}'
            read -r _; echo '{"error":"not that"}'
            read -r _; echo '{"metrics":{"ns":6}}'
            read -r _; echo 'a permit is lost' >&2; exit 1"#;
        let mut session = program(&format!("{HELLO};{body}")).unwrap();
        assert_eq!(session.take(&ask()).unwrap().metrics["ns"], 5.0);
        assert_eq!(session.take(&ask()).unwrap_err().to_string(), "not that");
        assert_eq!(session.take(&ask()).unwrap().metrics["ns"], 6.0);
        assert!(format!("{:#}", session.take(&ask()).unwrap_err()).contains("a permit is lost"));
        // It is started again.
        assert_eq!(session.take(&ask()).unwrap().metrics["ns"], 5.0);
    }

    #[test]
    fn a_program_that_says_something_else_is_not_started() {
        assert!(program("echo hello").is_err());
        assert!(program("echo no toolchain >&2; exit 1").err().unwrap().to_string().contains("no toolchain"));
        assert!(program(r#"echo '{"hello":2,"runtime":"sh","peers":[]}'"#).is_err());
    }
}
