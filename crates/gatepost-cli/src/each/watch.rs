//! Watching one job: its output is taken up, its time kept, its end awaited.
//!
//! One `poll` waits for all that can happen: the two pipes, the process (a pidfd), and the next alarm of the gate. So
//! there is no handler for SIGCHLD, no thread for each pipe and no table of running jobs: whoever must tell all jobs
//! something rings an alarm, and each watcher signals only its own job, which it has not reaped yet, so that the
//! process number cannot have become somebody else's.
//!
//! ```text
//!   running ──deadline──> told (SIGTERM) ──kill-after──> killed (SIGKILL)
//!      ├──permit lost───> told (SIGTERM)
//!      └──gate.end──────> told (the farewell)  └──gate.kill──^
//! ```
//! The job has ended when its own process has. What is in the pipes then is taken up, and no more: a process that it
//! left running may hold them open for ever.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::Limits;
use super::alarm::{self, Alarm};
use super::capture::{Capture, Stream};
use super::gate::Gate;
use super::machine::{Held, Loss};
use super::outcome::Outcome;

/// How often a process without a pidfd is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Why watching a job failed.
#[derive(Debug)]
pub(crate) enum WatchError {
    /// The system refused to tell.
    Lost(io::Error),
    /// The temporary file for its output cannot be written.
    Spill(io::Error),
}

/// Watches `child` until it has ended; what it wrote is in `capture` then. `scratch` is room to read into.
pub(crate) fn watch(
    child: &mut Child,
    limits: &Limits,
    gate: &Gate,
    held: Option<&Held>,
    capture: &mut Capture,
    scratch: &mut [u8],
) -> Result<Outcome, WatchError> {
    let mut watch = Watch::new(child, limits, gate);
    let loss = held.map(Held::loss).transpose();
    let result = loss.map_err(WatchError::Lost).and_then(|loss| {
        watch.loss = loss;
        watch.until_the_end(capture, scratch)
    });
    // Nobody would ever look after it again.
    if result.is_err() && matches!(watch.child.try_wait(), Ok(None)) {
        watch.signal(Signal::KILL);
        let _ = watch.child.wait();
    }
    result
}

struct Watch<'job> {
    child: &'job mut Child,
    group: Pid,
    /// Readable once the process has ended. `None` where the system has no such thing, or no room for one.
    end: Option<OwnedFd>,
    /// `None` after the end of the stream.
    pipes: [Option<OwnedFd>; 2],
    gate: &'job Gate,
    kill_after: Duration,
    stage: Stage,
    timed_out: bool,
    /// How the loss of its permit of the machine is heard of, if it has one.
    loss: Option<Loss>,
    lost: bool,
    /// Whether the gate's farewell was passed on.
    told: bool,
    /// Whether the gate's order to kill was carried out.
    killed: bool,
}

/// What is done to the job next, if it does not end by itself.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// It has until then; `None` is for ever.
    Running(Option<Instant>),
    /// It was told to end, and is killed then.
    Told(Option<Instant>),
    /// There is nothing stronger.
    Killed,
}

impl<'job> Watch<'job> {
    fn new(child: &'job mut Child, limits: &Limits, gate: &'job Gate) -> Self {
        let group = Pid::from_child(child);
        let deadline = limits.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self {
            group,
            end: end_of(group),
            pipes: [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)],
            child,
            gate,
            kill_after: limits.kill_after,
            stage: Stage::Running(deadline),
            timed_out: false,
            loss: None,
            lost: false,
            told: false,
            killed: false,
        }
    }

    fn until_the_end(&mut self, capture: &mut Capture, scratch: &mut [u8]) -> Result<Outcome, WatchError> {
        loop {
            self.press();
            let ready = self.wait().map_err(WatchError::Lost)?;
            for stream in Stream::BOTH {
                self.take_up(stream, ready.pipes[stream as usize], capture, scratch)?;
            }
            if ready.ended || self.has_ended_unseen().map_err(WatchError::Lost)? {
                self.take_up_the_rest(capture, scratch)?;
                let status = self.child.wait().map_err(WatchError::Lost)?;
                return Ok(self.outcome(status));
            }
        }
    }

    /// Does to the job what is due.
    fn press(&mut self) {
        if !self.told
            && let Some(farewell) = self.gate.farewell()
        {
            self.told = true;
            self.signal(farewell.signal);
            // Otherwise its own time goes on, and ends it as before.
            if farewell.then_kill
                && let Stage::Running(_) = self.stage
            {
                self.stage = Stage::Told(self.patience());
            }
        }
        if !self.killed && self.gate.kill.is_rung() {
            self.killed = true;
            self.kill();
        }
        if self.loss.as_mut().is_some_and(Loss::is_new)
            && let Stage::Running(_) = self.stage
        {
            self.lost = true;
            self.signal(Signal::TERM);
            self.stage = Stage::Told(self.patience());
        }
        match self.stage {
            Stage::Running(deadline) if is_past(deadline) => {
                self.timed_out = true;
                self.signal(Signal::TERM);
                self.stage = Stage::Told(self.patience());
            }
            Stage::Told(deadline) if is_past(deadline) => self.kill(),
            _ => {}
        }
    }

    /// Until when a job that was told to end may go on.
    fn patience(&self) -> Option<Instant> {
        Instant::now().checked_add(self.kill_after)
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.stage = Stage::Killed;
    }

    /// Sends `signal` to the job and to all that it started.
    fn signal(&self, signal: Signal) {
        // The process has not been reaped, so its number is its own. If it left its group, it is still to be told. No
        // error is of use: what is gone needs no signal, and what changed its user cannot be sent one.
        if kill_process_group(self.group, signal).is_err() {
            let _ = kill_process(self.group, signal);
        }
        if signal != Signal::KILL {
            // A stopped job hears nothing else.
            let _ = kill_process_group(self.group, Signal::CONT);
        }
    }

    /// The alarm of the gate that has not been heeded yet.
    fn next_alarm(&self) -> Option<&'job Alarm> {
        match (self.told, self.killed) {
            (false, _) => Some(&self.gate.end),
            (true, false) => Some(&self.gate.kill),
            (true, true) => None,
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let deadline = match self.stage {
            Stage::Running(deadline) | Stage::Told(deadline) => deadline,
            Stage::Killed => None,
        };
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match self.end {
            Some(_) => left,
            None => Some(left.map_or(GLANCE, |left| left.min(GLANCE))),
        }
    }

    /// Waits for something to happen.
    fn wait(&self) -> io::Result<Ready> {
        let mut set = Vec::with_capacity(5);
        set.extend(self.end.iter().map(|end| PollFd::new(end, PollFlags::IN)));
        set.extend(self.pipes.iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        // The alarm is asked by itself, so its answer is not read: it only has to wake us.
        set.extend(self.next_alarm().map(|alarm| PollFd::new(alarm, PollFlags::IN)));
        set.extend(self.loss.iter().map(|loss| PollFd::new(loss, PollFlags::IN)));
        alarm::wait(&mut set, self.timeout())?;

        let mut answers = set.iter().map(PollFd::revents);
        let ended = self.end.is_some() && answers.next().is_some_and(|answer| !answer.is_empty());
        let pipes = self.pipes.each_ref().map(|pipe| match pipe {
            Some(_) => answers.next().unwrap_or(PollFlags::empty()),
            None => PollFlags::empty(),
        });
        Ok(Ready { ended, pipes })
    }

    /// Without a pidfd: whether the process has ended.
    fn has_ended_unseen(&mut self) -> io::Result<bool> {
        Ok(self.end.is_none() && self.child.try_wait()?.is_some())
    }

    /// Reads once from `stream` if it is ready, and closes it at its end.
    fn take_up(
        &mut self,
        stream: Stream,
        ready: PollFlags,
        capture: &mut Capture,
        scratch: &mut [u8],
    ) -> Result<(), WatchError> {
        let slot = &mut self.pipes[stream as usize];
        let Some(pipe) = slot else { return Ok(()) };
        if ready.contains(PollFlags::IN) {
            // Readable, and nobody else reads: this does not block.
            if read(pipe, scratch, |bytes| capture.keep(stream, bytes))? == 0 {
                *slot = None;
            }
        } else if !ready.is_empty() {
            *slot = None;
        }
        Ok(())
    }

    /// Takes up what the pipes hold now, and not what a process left behind may add.
    fn take_up_the_rest(&mut self, capture: &mut Capture, scratch: &mut [u8]) -> Result<(), WatchError> {
        for stream in Stream::BOTH {
            let Some(pipe) = self.pipes[stream as usize].take() else {
                continue;
            };
            let held = rustix::io::ioctl_fionread(&pipe).map_err(|errno| WatchError::Lost(errno.into()))?;
            let mut left = usize::try_from(held).unwrap_or(usize::MAX);
            while left > 0 {
                let room = left.min(scratch.len());
                match read(&pipe, &mut scratch[..room], |bytes| capture.keep(stream, bytes))? {
                    0 => break,
                    length => left -= length,
                }
            }
        }
        Ok(())
    }

    fn outcome(&self, status: ExitStatus) -> Outcome {
        match status.code() {
            // As with `timeout`, however it then ended.
            _ if self.timed_out => Outcome::TimedOut,
            _ if self.lost => Outcome::Lost,
            Some(0) => Outcome::Success,
            _ if self.told || self.killed => Outcome::Stopped,
            // A status has eight bits.
            Some(code) => Outcome::Exit(code as u8),
            None => Outcome::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// A descriptor that is readable once `process` has ended, if there is room for one.
#[cfg(target_os = "linux")]
fn end_of(process: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// Only Linux has such a descriptor.
#[cfg(not(target_os = "linux"))]
fn end_of(_process: Pid) -> Option<OwnedFd> {
    None
}

/// What `poll` answered.
struct Ready {
    ended: bool,
    pipes: [PollFlags; 2],
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Reads once from `pipe` and hands the bytes to `keep`; how many there were, 0 at the end.
fn read(pipe: &OwnedFd, scratch: &mut [u8], keep: impl FnOnce(&[u8]) -> io::Result<()>) -> Result<usize, WatchError> {
    let length = loop {
        match rustix::io::read(pipe, &mut *scratch) {
            Err(Errno::INTR) => {}
            result => break result.map_err(|errno| WatchError::Lost(errno.into()))?,
        }
    };
    if length > 0 {
        keep(&scratch[..length]).map_err(WatchError::Spill)?;
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use rustix::pipe::fcntl_setpipe_size;
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    #[test]
    fn what_the_pipe_holds_at_the_end_is_taken_up_and_no_more_is_waited_for() {
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().expect("it starts");
        let over = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), over).expect("it ends");

        let (reader, mut left_running) = io::pipe().expect("a pipe");
        fcntl_setpipe_size(&reader, 256 << 10).expect("a larger one, as a job may make it");
        left_running.write_all(&[b'x'; 200_000]).expect("it has room");

        let gate = Gate::new(1, false).expect("pipes");
        let limits = Limits { timeout: None, kill_after: Duration::MAX };
        let mut watch = Watch::new(&mut child, &limits, &gate);
        watch.pipes[Stream::Out as usize] = Some(reader.into());
        let mut capture = Capture::default();
        let outcome = watch.until_the_end(&mut capture, &mut [0; 4096]).expect("it is watched");

        let mut length = 0;
        let counted = capture.replay(Stream::Out, |piece| {
            length += piece.len();
            Ok(())
        });
        counted.expect("it is in memory");
        assert!(matches!(outcome, Outcome::Success));
        assert_eq!(length, 200_000);
        drop(left_running);
    }
}
