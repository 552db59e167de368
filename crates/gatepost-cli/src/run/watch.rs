//! The command, from its start until its end or the loss of a permit.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::fcntl_dupfd_cloexec;

use super::environment::Variables;
use super::line::say;
use super::report::Outcome;
use super::take::Held;
use super::{Options, Story};
use crate::child::signals::Signals;
use crate::child::{Child, End, NotStarted, Plan};
use crate::each::alarm;
use crate::error::Error;
use crate::machine::bell::Bell;

/// Starts the command under `held` and stays with it. If a permit is lost, it is ended.
pub(crate) fn watch(
    options: &Options,
    environment: Variables,
    held: &mut [Held],
    bell: &Bell,
    signals: &mut Signals,
    story: &mut Story,
) -> Result<Outcome, Error> {
    let plan = Plan {
        command: options.command.clone(),
        environment,
        inherit: if options.tree { sessions(held)? } else { Vec::new() },
        tree: options.tree,
        die_with_parent: options.die_with_parent,
        kill_after: options.kill_after,
    };
    let keep = |pid: rustix::process::Pid| {
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        held.iter().try_for_each(|held| held.permit.keep(pid))
    };
    let mut child = match Child::start(&plan, signals, keep) {
        Ok(child) => child,
        Err(NotStarted::Start(error)) => return Err(Error::NotStarted(error)),
        Err(NotStarted::Grant(error)) => return Err(error.into()),
        Err(NotStarted::Signal(signal)) => return Ok(Outcome::Interrupted { signal }),
    };
    drop(plan);
    loop {
        bell.hush();
        if story.lost.is_none()
            && let Some(lost) = held.iter_mut().find_map(|held| held.is_lost(bell).then(|| held.permit_name()))
        {
            let lost = lost.to_string();
            say(&format!("the permit {lost} was revoked; ending the command"));
            story.lost = Some(lost);
            child.end();
        }
        let turn = child.turn(signals).and_then(|end| match end {
            Some(end) => Ok(Some(end)),
            None => {
                let mut set = [PollFd::new(bell, PollFlags::IN), PollFd::new(&*signals, PollFlags::IN)];
                alarm::wait(&mut set, child.timeout()).map(|()| None)
            }
        });
        match turn {
            Ok(None) => {}
            Ok(Some(end)) if story.lost.is_some() => return Ok(Outcome::Lost { end: Some(end) }),
            Ok(Some(End::Exited(status))) => return Ok(Outcome::Exit { status }),
            Ok(Some(End::Signalled(signal))) => {
                let at_the_keyboard = child.ended_at_the_keyboard().is_some();
                return Ok(Outcome::Signal { signal, at_the_keyboard });
            }
            Err(source) => {
                child.kill();
                return Err(Error::LostSight { source });
            }
        }
    }
}

/// Descriptors that keep our sessions alive in whoever has them.
///
/// Copies, since the ones that the semaphores have are closed in a child.
fn sessions(held: &[Held]) -> Result<Vec<OwnedFd>, Error> {
    let above_the_standard_streams = 3;
    let copy = |held: &Held| fcntl_dupfd_cloexec(held.semaphore.session_fd().as_fd(), above_the_standard_streams);
    held.iter().map(copy).collect::<Result<_, _>>().map_err(|errno| Error::SetUp { source: errno.into() })
}
