//! One build, from its first permit to its end.
//!
//! ```text
//!   style? gates? ──> open ──> nested? ──> one permit ──> start behind a gate ──> pump and watch ──> all permits back
//!        64                      64        75… 124         the permit names          120
//!                                                          the process first
//! ```
//! B1. The build never runs without its own permit, the implicit token: the grant names its process before it starts.
//! B2. Everything waits in one `poll(2)`: the pipe, what is written to it, the bell that grants and changes ring, signals
//!     (the end of the build among them), and the time of a gate, a share, or the kill.
//! B3. A pump that fails ends the pumping and not the build, which goes on with the tokens that it has.
//! B4. However a build ends, we hold nothing afterwards.

use std::ffi::OsString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;

use super::channel::{Channel, Invitation};
use super::error::Error as Own;
use super::pump::{Next, Pump};
use super::tokens::{SESSION, Shared};
use super::{Options, flags, style};
use crate::child::signals::{self, Signals};
use crate::child::{Child, End, NotStarted, Plan};
use crate::each::alarm;
use crate::error::Error;
use crate::exit;
use crate::machine::bell::Bell;
use crate::run::environment::{self, Variables};
use crate::run::line::say;
use crate::run::nested;
use crate::run::take::{self, Failure, Held, Patience};

/// How much of a command is in the label of a grant, so that what follows is not cut off.
const LABEL: usize = 72;

/// Does what `options` say and returns the exit status.
pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let style = style::decide(&options.command, options.style, style::ask)?;
    options.gates.check().map_err(|(path, source)| Own::Gate { path, source })?;
    let mut signals = Signals::new().map_err(|source| Error::SetUp { source })?;
    let semaphore = options.making.open(&options.name, SESSION)?;
    let around = nested::ancestors();
    if nested::held_around(&around, &semaphore)?.is_some() {
        return Err(Own::Nested { name: options.name.clone() }.into());
    }

    let bell = take::bell()?;
    let begun = Instant::now();
    let patience = options.timeout.map_or(Patience::Endless, |time| Patience::Until { begun, time });
    let wanted = vec![(options.name.as_str(), semaphore.clone(), 1)];
    let taken = take::all(wanted, &label(options, true), patience, options.quiet, &bell, &mut signals);
    let mut held = match taken {
        Ok(held) => held,
        Err(Failure::Error(error)) => return Err(error),
        Err(Failure::Signal(signal)) => {
            signals::die_of(signal);
            return Ok(exit::of_signal(signal));
        }
        // There is only one, so nothing else was waited for.
        Err(Failure::Lost { .. }) => return Ok(exit::LOST),
    };

    let limit = semaphore.limit();
    let with = options.making.options(&options.name).session_name(SESSION);
    let tokens = Shared::new(semaphore, &with, label(options, false))?;
    let no_pipe = |source| Own::Channel { source };
    let channel = Channel::new(style).map_err(no_pipe)?;
    let Invitation { auth, inherit } = channel.invitation().map_err(no_pipe)?;
    let mut variables = environment::of(&held, None, &around);
    variables.extend(for_tools(&auth, limit, |name| std::env::var_os(name)));
    let plan = Plan {
        command: options.command.clone(),
        environment: variables,
        inherit,
        tree: false,
        die_with_parent: false,
        kill_after: options.kill_after,
    };
    let build = AtomicU32::new(0);
    let keep = |pid: Pid| {
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        build.store(pid, Ordering::Relaxed);
        held.iter().try_for_each(|held| held.permit.keep(pid))
    };
    let child = match Child::start(&plan, &mut signals, keep) {
        Ok(child) => child,
        Err(NotStarted::Start(error)) => return Err(Error::NotStarted(error)),
        Err(NotStarted::Grant(error)) => return Err(error.into()),
        Err(NotStarted::Signal(signal)) => {
            drop(held);
            signals::die_of(signal);
            return Ok(exit::of_signal(signal));
        }
    };
    // Our copies of what it has inherited.
    drop(plan);
    // The start is over, and it happened after the store.
    let build = build.into_inner();
    let pump = Pump::new(channel, tokens.of_build(build), options.gates.clone(), options.rule, bell.waker().clone());
    let end = watch(child, pump, &mut held, &bell, &mut signals);
    drop(held);
    let (end, at_the_keyboard, lost) = end?;
    if let (End::Signalled(signal), true) = (end, at_the_keyboard) {
        // The terminal told the build alone. A script around us must hear of it, and see that we heeded it.
        let group = rustix::process::Signal::from_named_raw(signal);
        let _ = group.map(rustix::process::kill_current_process_group);
        signals::die_of(signal);
    }
    Ok(match end {
        _ if lost => exit::LOST,
        End::Exited(status) => status,
        End::Signalled(signal) => exit::of_signal(signal),
    })
}

/// Pumps until the build has ended: how, whether by a key, and whether its permit was lost.
fn watch(
    mut child: Child,
    pump: Pump<Shared>,
    held: &mut [Held],
    bell: &Bell,
    signals: &mut Signals,
) -> Result<(End, bool, bool), Error> {
    let mut pump = Some(pump);
    let mut lost = false;
    let end = loop {
        bell.hush();
        // First of all: a client may be about to take again what it returned.
        let next = match pump.as_mut().map(|pump| pump.step(Instant::now())) {
            Some(Ok(next)) => next,
            Some(Err(source)) => {
                say(&Own::Pump { source }.to_string());
                // Not dropped: its permits are those of tokens that are out.
                pump.take().into_iter().for_each(std::mem::forget);
                Next::NOTHING
            }
            None => Next::NOTHING,
        };
        if !lost && let Some(permit) = held.iter_mut().find_map(|held| held.is_lost(bell).then(|| held.permit_name())) {
            say(&format!("the permit {permit} of the build was revoked; ending the build"));
            lost = true;
            child.end();
        }
        if let Some(news) = pump.as_mut().and_then(Pump::news) {
            say(&news);
        }
        let turn = child.turn(signals).and_then(|end| match end {
            Some(end) => Ok(Some(end)),
            None => wait(pump.as_ref(), next, bell, signals, child.timeout()).map(|()| None),
        });
        match turn {
            Ok(None) => {}
            Ok(Some(end)) => break end,
            Err(source) => {
                child.kill();
                return Err(Error::LostSight { source });
            }
        }
    };
    if let Some(pump) = pump {
        if pump.absorbed() > 0 {
            let absorbed = pump.absorbed();
            say(&format!("{absorbed} tokens were returned that nobody had taken; some tool of the build miscounts"));
        }
        pump.finish();
    }
    Ok((end, child.ended_at_the_keyboard().is_some(), lost))
}

/// Waits until there is something to do.
fn wait(
    pump: Option<&Pump<Shared>>,
    next: Next,
    bell: &Bell,
    signals: &Signals,
    timeout: Option<Duration>,
) -> std::io::Result<()> {
    let mut set = vec![PollFd::new(bell, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    if let Some(pump) = pump {
        set.push(PollFd::new(pump.channel(), next.pipe));
        set.extend(pump.channel().returns().map(|returns| PollFd::from_borrowed_fd(returns, PollFlags::IN)));
        set.extend(pump.channel().notices().map(|notices| PollFd::from_borrowed_fd(notices, PollFlags::IN)));
    }
    let until = next.at.map(|at| at.saturating_duration_since(Instant::now()));
    alarm::wait(&mut set, [timeout, until].into_iter().flatten().min())
}

/// What listings call a grant: the command, which build it is (by our own number), and what the grant is for.
fn label(options: &Options, implicit: bool) -> String {
    let mut label: String = options
        .label
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= LABEL).then_some(c)
        })
        .collect();
    label.push_str(&format!(" (build {}{})", std::process::id(), if implicit { ": implicit" } else { "" }));
    label
}

/// What the tools of a build look at.
fn for_tools(auth: &flags::Auth, limit: u32, value_of: impl Fn(&str) -> Option<OsString>) -> Variables {
    vec![
        ("MAKEFLAGS", Some(flags::with_auth(value_of("MAKEFLAGS").as_deref(), auth, limit))),
        // Where cargo looks first, and nobody after make.
        ("CARGO_MAKEFLAGS", Some(flags::for_cargo(auth))),
        ("MFLAGS", None),
        // They would make tools start jobs of their own.
        ("GNUMAKEFLAGS", value_of("GNUMAKEFLAGS").map(|flags| flags::unlimited(&flags))),
        ("CMAKE_BUILD_PARALLEL_LEVEL", None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_start_jobs_beside_ours_is_taken_out_of_the_environment() {
        let there = |name: &str| match name {
            "MAKEFLAGS" => Some("k -j64".into()),
            "GNUMAKEFLAGS" => Some("-j64 --no-print-directory".into()),
            _ => None,
        };
        let auth = flags::Auth::Pipe { read: 3, write: 4 };
        let of = |name| for_tools(&auth, 8, there).into_iter().find(|(known, _)| *known == name).expect("it is set").1;
        assert_eq!(of("MAKEFLAGS"), Some("k -j8 --jobserver-auth=3,4".into()));
        assert_eq!(of("CARGO_MAKEFLAGS"), Some("-j --jobserver-fds=3,4 --jobserver-auth=3,4".into()));
        assert_eq!(of("GNUMAKEFLAGS"), Some(" --no-print-directory".into()));
        assert_eq!([of("MFLAGS"), of("CMAKE_BUILD_PARALLEL_LEVEL")], [None, None]);
    }
}
