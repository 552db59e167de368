//! The tools that take tokens from a jobserver, and which kind each understands.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::Finding;
use crate::each::alarm;

/// A tool that has not said its version by then is not asked further: a shim may want to download one.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn look() -> Vec<Finding> {
    let mut findings = vec![make(), ninja(), cargo()];
    findings.extend(inside());
    findings
}

fn make() -> Finding {
    const FIFO: [u32; 2] = [4, 4];
    match version_of("make", "GNU Make ") {
        None => absent("make"),
        Some((text, version)) if version >= FIFO => {
            Finding::ok("make", format!("{text}: takes a jobserver by its path"))
        }
        Some((text, _)) => {
            Finding::note("make", text, "before 4.4 it takes a jobserver as a pipe only; `jobserver run` gives it one")
        }
    }
}

fn ninja() -> Finding {
    const CLIENT: [u32; 2] = [1, 13];
    match version_of("ninja", "") {
        None => absent("ninja"),
        Some((text, version)) if version >= CLIENT => {
            Finding::ok("ninja", format!("{text}: takes tokens from a jobserver"))
        }
        Some((text, _)) => {
            Finding::note("ninja", text, "before 1.13 it knows no jobserver; limit it with `gatepost run`")
        }
    }
}

fn cargo() -> Finding {
    match version_of("cargo", "cargo ") {
        None => absent("cargo"),
        Some((text, _)) => Finding::ok("cargo", format!("{text}: takes tokens from a jobserver")),
    }
}

fn absent(tool: &str) -> Finding {
    Finding::ok(tool, "not installed")
}

/// Whether we run inside of somebody's jobserver.
fn inside() -> Option<Finding> {
    let flags = std::env::var("MAKEFLAGS").ok()?;
    let given = flags.split_whitespace().find(|flag| flag.starts_with("--jobserver"))?;
    Some(Finding::note(
        "jobserver",
        format!("we run inside of one ({given})"),
        "builds started here take their tokens from it",
    ))
}

/// The version that `tool` says, behind `prefix` in its first line: the line, and the first two numbers.
fn version_of(tool: &str, prefix: &str) -> Option<(String, [u32; 2])> {
    let line = first_line(Command::new(tool).arg("--version"))?;
    let numbers = line.strip_prefix(prefix)?.split(|c: char| !c.is_ascii_digit());
    let mut numbers = numbers.map(|number| number.parse().unwrap_or(0));
    let version = [numbers.next()?, numbers.next().unwrap_or(0)];
    Some((line, version))
}

/// The first line that `command` writes, if it comes in time.
fn first_line(command: &mut Command) -> Option<String> {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut stdout = child.stdout.take()?;
    let mut text = Vec::new();
    let mut piece = [0; 512];
    while !text.contains(&b'\n') && begun.elapsed() < PATIENCE {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let mut set = [PollFd::new(&stdout, PollFlags::IN)];
        let ready = alarm::wait(&mut set, Some(left)).is_ok() && !set[0].revents().is_empty();
        match ready.then(|| stdout.read(&mut piece)) {
            None => {}
            Some(Ok(length)) if length > 0 => text.extend_from_slice(&piece[..length]),
            Some(_) => break,
        }
    }
    // It has said what we want; nothing is lost.
    let _ = child.kill();
    let _ = child.wait();
    let line = text.split(|byte| *byte == b'\n').next().filter(|line| !line.is_empty())?;
    Some(String::from_utf8_lossy(line).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_read_and_a_program_that_goes_on_is_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo GNU Make 4.3; exec sleep 1000"]);
        assert_eq!(first_line(&mut command).as_deref(), Some("GNU Make 4.3"));
        assert_eq!(first_line(&mut Command::new("/no/such/tool")), None);
        assert_eq!(first_line(&mut Command::new("true")), None);
    }
}
