//! One command: its own process group, its output to a log, its end when time is spent.
//!
//! Both of the child's streams are one pipe, so that the log has the lines in the order in which they were written. A
//! child has its own process group, so that what it started ends with it. A terminal's Ctrl-C does not reach that
//! group, so the signal is taken here and passed on.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// How often a waiting parent looks at the clock and for a signal.
const TICK: Duration = Duration::from_millis(100);
/// How long a process group has between the request to end and its forced end; nextest takes its own tests along.
const GRACE: Duration = Duration::from_secs(12);

/// A command to be run.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    program: OsString,
    args: Vec<OsString>,
    /// `None` removes the variable.
    env: Vec<(OsString, Option<OsString>)>,
}

impl Step {
    /// `program`, without arguments yet.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Step {
        Step { program: program.as_ref().into(), args: Vec::new(), env: Vec::new() }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Step {
        self.args.push(arg.as_ref().into());
        self
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Step {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Step {
        self.env.push((name.into(), Some(value.as_ref().into())));
        self
    }

    /// Removes an environment variable.
    pub(crate) fn without_env(mut self, name: &str) -> Step {
        self.env.push((name.into(), None));
        self
    }

    /// The command as a person would type it.
    pub(crate) fn line(&self) -> String {
        let set = self.env.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{}={}", name.to_string_lossy(), quoted(value)))
        });
        let program = Path::new(&self.program).file_name().unwrap_or(&self.program);
        let words = std::iter::once(program).chain(self.args.iter().map(OsString::as_os_str)).map(quoted);
        set.chain(words).collect::<Vec<_>>().join(" ")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null());
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// What the command prints on its standard output, when it succeeds; for short questions.
    pub(crate) fn answer(&self) -> Option<String> {
        let output = self.command().stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the command in `folder` until it ends, the deadline passes, or a signal asks for an end.
    pub(crate) fn run(&self, folder: &Path, sink: Sink<'_>, deadline: Option<Instant>) -> io::Result<Ran> {
        // Before there is a child: a signal that comes first would leave it behind.
        let asked = &*ASKED_TO_END;
        let (reader, writer) = io::pipe()?;
        let mut command = self.command();
        command.current_dir(folder).stdout(writer.try_clone()?).stderr(writer);
        own_group(&mut command);
        let mut child = command.spawn()?;
        // `command` holds the pipe's writing ends: while it lives, the reader sees no end.
        drop(command);
        let output = copied(reader, sink.log.try_clone()?, sink.echo);
        let cause = loop {
            match output.recv_timeout(TICK) {
                Ok(text) => {
                    let status = child.wait()?;
                    // The signal that asked this process to end may have ended the command first.
                    let end = if asked.load(Ordering::Relaxed) { End::Interrupted } else { End::Exited(status) };
                    return Ok(Ran { end, output: text });
                }
                Err(RecvTimeoutError::Disconnected) => break End::Exited(child.wait()?),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if asked.load(Ordering::Relaxed) {
                break End::Interrupted;
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                break End::OutOfTime;
            }
        };
        let output = ended(&mut child, &output)?;
        Ok(Ran { end: cause, output })
    }
}

/// Where the output of a command goes besides the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sink<'a> {
    /// Everything is appended here.
    pub(crate) log: &'a File,
    /// And shown on standard output too.
    pub(crate) echo: bool,
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) end: End,
    pub(crate) output: String,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// The deadline passed.
    OutOfTime,
    /// A signal asked this process to end.
    Interrupted,
}

/// Set once a signal asks this process to end.
static ASKED_TO_END: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Where no handler can be had, the signal keeps its default effect, which ends this process.
        let _ = signal_hook::flag::register(signal, Arc::clone(&asked));
    }
    asked
});

/// Copies the pipe to the log from a thread of its own; all of it as text arrives at the end.
fn copied(mut pipe: io::PipeReader, mut log: File, echo: bool) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => {
                    let new = &chunk[..n];
                    // A full disk must not stop the pipe: the caller still gets the text.
                    let _ = log.write_all(new);
                    if echo {
                        let _ = io::stdout().write_all(new);
                        let _ = io::stdout().flush();
                    }
                    all.extend_from_slice(new);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = send.send(String::from_utf8_lossy(&all).into_owned());
    });
    receive
}

/// Ends a child and its group: asks, waits a little, then forces. Returns what was printed.
fn ended(child: &mut Child, output: &Receiver<String>) -> io::Result<String> {
    for signal in ["TERM", "KILL"] {
        signal_group(child, signal);
        if let Ok(text) = output.recv_timeout(GRACE) {
            child.wait()?;
            return Ok(text);
        }
    }
    // Something that left the group holds the pipe open; the child itself is gone.
    child.kill()?;
    child.wait()?;
    Ok(String::new())
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

/// The shell's built-in `kill`: a machine may lack the program of that name, and calling the system needs `unsafe`.
fn signal_group(child: &Child, signal: &str) {
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"-$2\"", "sh", signal, &child.id().to_string()])
        .stderr(Stdio::null())
        .status();
}

fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn log() -> File {
        File::options().write(true).open("/dev/null").expect("the null device")
    }

    fn run(script: &str, deadline: Option<Instant>) -> Ran {
        let log = log();
        let sink = Sink { log: &log, echo: false };
        Step::new("sh").args(["-c", script]).run(Path::new("/"), sink, deadline).expect("a shell")
    }

    #[test]
    fn output_of_both_streams_keeps_its_order() {
        let ran = run("echo 1; echo 2 >&2; echo 3; exit 4", None);
        assert_eq!(ran.output, "1\n2\n3\n");
        assert!(matches!(ran.end, End::Exited(status) if status.code() == Some(4)));
    }

    #[test]
    fn a_deadline_ends_the_whole_group() {
        let began = Instant::now();
        // The inner shell holds the pipe: were it not ended too, the output would not end either.
        let ran = run("echo here; sh -c 'sleep 600' & sleep 600", Some(began + Duration::from_millis(300)));
        assert_eq!(ran.end, End::OutOfTime);
        assert_eq!(ran.output, "here\n");
        assert!(began.elapsed() < GRACE);
    }

    #[test]
    fn a_missing_program_is_an_error_that_says_so() {
        let log = log();
        let sink = Sink { log: &log, echo: false };
        let error = Step::new("no-such-program-here").run(Path::new("/"), sink, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let step = Step::new("/usr/bin/cargo").args(["test", "a b", "it's"]).env("RUSTFLAGS", "--cfg loom");
        assert_eq!(step.line(), r"RUSTFLAGS='--cfg loom' cargo test 'a b' 'it'\''s'");
    }
}
