//! `gatepost status NAME`: a semaphore in words that explain themselves.

use std::fmt::Write as _;

use gatepost_shared::{Event, Holder, HolderState, Process, Session, Statistics, Status};

use super::process::{self, Seen};
use super::words::{age, bound, clean, counted, label};
use super::{folder, why};

/// What can be found out about a process; `process::look`, or what a test says instead.
type Look<'a> = &'a dyn Fn(Process) -> Option<Seen>;

/// `status` as a page of text, with `events` at its end.
pub(crate) fn text(status: &Status, events: &[Event]) -> String {
    page(status, events, &process::look)
}

fn page(status: &Status, events: &[Event], look: Look<'_>) -> String {
    let mut out = String::new();
    let name = clean(&status.name);
    let _ = writeln!(out, "{name}: {}", why::summary(status));
    if let Some(damage) = &status.damage {
        let _ = writeln!(out, "damaged: {}", clean(damage));
        let _ = writeln!(out, "  nobody is admitted until it is repaired: gatepost repair {name}");
    }
    let slots = if status.slots { "each permit has a slot" } else { "no slots" };
    let _ = writeln!(out, "file: {} ({}, {slots})", clean(&status.path.display().to_string()), status.policy);
    if let Some(owner) = &status.locked_by {
        lock(&mut out, owner, look);
    }
    holders(&mut out, status, look);
    queue(&mut out, status);
    sessions(&mut out, status);
    statistics(&mut out, &status.statistics);
    if !events.is_empty() {
        let _ = writeln!(out, "\nlast events (all that are kept: gatepost events {name})");
        for event in events {
            let _ =
                writeln!(out, "  {:>6} ago  {}", age(folder::ago(status.now, event.when)), super::events::what(event));
        }
    }
    out
}

fn lock(out: &mut String, owner: &Session, look: Look<'_>) {
    let pid = owner.process.pid;
    let _ = write!(out, "lock: pid {pid} ({}) is in the critical section", clean(&owner.name));
    let _ = match look(owner.process) {
        _ if !owner.alive => writeln!(out, " and dead: the next one that needs it takes it over"),
        Some(Seen { stopped: true, .. }) => {
            writeln!(out, " and stopped, so nobody comes to anything: kill -CONT {pid}")
        }
        Some(_) => writeln!(out, " for longer than a look takes: does it get any processor time?"),
        None => writeln!(out, "; it is of another PID namespace: look there whether it is stopped"),
    };
}

fn holders(out: &mut String, status: &Status, look: Look<'_>) {
    if status.holders.is_empty() {
        let _ = writeln!(out, "\nnobody holds permits");
        return;
    }
    let _ = writeln!(out, "\nholders, the oldest first");
    for holder in &status.holders {
        let slots = match holder.slots.as_slice() {
            [] => String::new(),
            [one] => format!(", slot {}", one.index),
            several => format!(", slots {}", indices(several.iter().map(|slot| slot.index))),
        };
        let _ = writeln!(
            out,
            "  {}:{}  {}{slots}  {}  {}",
            clean(&status.name),
            holder.id,
            counted(holder.permits, "permit"),
            age(holder.held),
            label(&holder.label)
        );
        let _ = writeln!(out, "      {}", whose(status, holder, look));
    }
}

/// The processes of a grant: the command first, as it is what works with the permits; each directory beside its process.
fn whose(status: &Status, holder: &Holder, look: Look<'_>) -> String {
    let process = holder.session.process;
    let state = state(status, holder);
    let directory = |process| {
        let directory = look(process).and_then(|seen| seen.directory);
        directory.map_or_else(String::new, |path| format!(" in {}", clean(&path.display().to_string())))
    };
    match (&holder.state, holder.keep) {
        (HolderState::Alive, Some(keep)) if keep != process => {
            let directory = directory(keep);
            let comma = if directory.is_empty() { "" } else { "," };
            format!("pid {}, run by {}{comma}{directory}: {state}", keep.pid, process.pid)
        }
        (HolderState::Alive, _) => format!("pid {}{}: {state}", process.pid, directory(process)),
        (HolderState::Kept, Some(keep)) => format!("pid {}: {state}{}", process.pid, directory(keep)),
        _ => format!("pid {}: {state}", process.pid),
    }
}

/// Why a grant is held, and what can be done about it, in words.
pub(crate) fn state(status: &Status, holder: &Holder) -> String {
    let kept_by = holder.keep.map_or(0, |process| process.pid);
    match holder.state {
        HolderState::Alive => "alive".to_owned(),
        HolderState::Kept => format!("gone, kept by pid {kept_by}, which is alive"),
        HolderState::Unknown => format!(
            "gone, kept by pid {kept_by} of another PID namespace, which cannot be seen from here; if you know that it has \
             ended: gatepost revoke {}:{}",
            clean(&status.name),
            holder.id
        ),
        HolderState::Leased => {
            let left = holder.expires.map_or(std::time::Duration::ZERO, |end| folder::ago(end, status.now));
            format!("gone, and held for another {}", age(left))
        }
        HolderState::Dead => "dead: the next acquire takes it back".to_owned(),
        _ => "in a state that this version does not know; use the version of gatepost that took it".to_owned(),
    }
}

/// Sorted numbers with runs joined: `0-3,6`.
pub(crate) fn indices(numbers: impl Iterator<Item = u32>) -> String {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    let mut out = String::new();
    for run in numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let comma = if out.is_empty() { "" } else { "," };
        let _ = match run {
            [first, .., last] => write!(out, "{comma}{first}-{last}"),
            other => write!(out, "{comma}{}", other[0]),
        };
    }
    out
}

fn queue(out: &mut String, status: &Status) {
    let Some(reason) = why::head_waits(status) else {
        let _ = writeln!(out, "\nnobody waits");
        return;
    };
    let _ = writeln!(out, "\nqueue: {reason}");
    for (k, waiter) in status.waiters.iter().enumerate() {
        let gone = if waiter.session.alive { "" } else { ", dead: it is passed over" };
        let _ = writeln!(
            out,
            "  {}.  {}  {}  {}  pid {}{gone}",
            k + 1,
            counted(waiter.permits, "permit"),
            age(waiter.waited),
            label(&waiter.label),
            waiter.session.process.pid
        );
    }
}

fn sessions(out: &mut String, status: &Status) {
    let dead = status.sessions.iter().filter(|session| !session.alive).count();
    let _ = write!(out, "\n{} of {} open", status.sessions.len() - dead, counted(status.capacity.sessions, "session"));
    if dead > 0 {
        let _ = write!(out, ", {dead} of the dead not cleared yet");
    }
    out.push('\n');
    for session in &status.sessions {
        let alive = if session.alive { "" } else { ", dead" };
        let process = session.process;
        let _ = writeln!(
            out,
            "  {}.{}  pid {}  {}  uid {}{alive}",
            session.index,
            session.generation,
            process.pid,
            label(&session.name),
            session.uid
        );
    }
}

fn statistics(out: &mut String, statistics: &Statistics) {
    let Statistics {
        acquired, released, waited, timeouts, cancelled, reclaimed, revoked, takeovers, wait, hold, ..
    } = statistics;
    let _ = writeln!(out, "\nsince it was created");
    let _ = writeln!(out, "  {acquired} acquired, {waited} of them after a wait; {released} released");
    let _ = writeln!(
        out,
        "  {timeouts} timed out, {cancelled} went away, {reclaimed} taken back from the dead, {revoked} revoked"
    );
    if *takeovers > 0 {
        let _ = writeln!(out, "  {} taken over from a dead owner", counted(*takeovers, "critical section"));
    }
    for (what, histogram) in [("wait", wait), ("hold", hold)] {
        let (p50, p99) = (bound(histogram.quantile(0.5)), bound(histogram.quantile(0.99)));
        let _ = writeln!(out, "  {what}: p50 {p50}, p99 {p99} ({} measured)", histogram.count());
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn nothing(_: Process) -> Option<Seen> {
        None
    }

    fn at_home(process: Process) -> Option<Seen> {
        [4121, 4125].contains(&process.pid).then(|| Seen { directory: Some("/home/ada/engine".into()), stopped: true })
    }

    #[test]
    fn the_whole_page() {
        let page = page(&samples::build(), &samples::events()[2..4], &at_home);
        samples::is_as_in("build.txt", &page);
    }

    #[test]
    fn an_idle_one_says_so() {
        let page = page(&samples::idle(), &[], &nothing);
        assert!(page.contains("nobody holds permits") && page.contains("nobody waits"), "{page}");
        assert!(page.contains("wait: p50 -, p99 - (0 measured)"), "{page}");
    }

    #[test]
    fn the_owner_of_a_stuck_lock_is_named_with_what_to_do() {
        let mut status = samples::build();
        status.locked_by = Some(status.sessions[0].clone());
        assert!(page(&status, &[], &at_home).contains("and stopped, so nobody comes to anything: kill -CONT 4121"));
        assert!(page(&status, &[], &nothing).contains("of another PID namespace"));
        status.locked_by = Some(status.sessions[1].clone());
        assert!(page(&status, &[], &at_home).contains("and dead: the next one that needs it takes it over"));
    }

    #[test]
    fn damage_comes_first_with_the_remedy() {
        let mut status = samples::build();
        status.damage = Some("slot 3 has two grants".to_owned());
        let page = page(&status, &[], &nothing);
        let second = page.lines().nth(1);
        assert_eq!(second, Some("damaged: slot 3 has two grants"));
        assert!(page.contains("gatepost repair build"), "{page}");
    }

    #[test]
    fn each_state_says_what_becomes_of_it() {
        let mut status = samples::build();
        let words = |status: &Status| state(status, &status.holders[1]);
        assert_eq!(words(&status), "gone, kept by pid 4390, which is alive");
        status.holders[1].state = HolderState::Dead;
        assert_eq!(words(&status), "dead: the next acquire takes it back");
        status.holders[1].state = HolderState::Leased;
        let mut end = status.now;
        end.boot_ns += 90_000_000_000;
        status.holders[1].expires = Some(end);
        assert_eq!(words(&status), "gone, and held for another 1m30s");
        assert!(state(&status, &status.holders[2]).contains("gatepost revoke build:63"));
    }

    #[test]
    fn the_command_comes_first_and_a_directory_stands_beside_its_own_process() {
        let mut status = samples::build();
        let everywhere =
            |process: Process| Some(Seen { directory: Some(format!("/of/{}", process.pid).into()), stopped: false });
        let words = |status: &Status, k: usize, look: Look<'_>| whose(status, &status.holders[k], look);
        assert_eq!(words(&status, 1, &everywhere), "pid 4388: gone, kept by pid 4390, which is alive in /of/4390");
        assert!(words(&status, 2, &everywhere).starts_with("pid 17: gone, kept by pid 18 of"));
        for state in [HolderState::Leased, HolderState::Dead] {
            status.holders[1].state = state;
            assert!(!words(&status, 1, &everywhere).contains("/of/"), "{state:?}");
        }
        let own = status.holders[0].session.process;
        status.holders[0].keep = Some(own);
        assert_eq!(words(&status, 0, &everywhere), "pid 4121 in /of/4121: alive");
        status.holders[0].keep = Some(Process { pid: 4123, ..own });
        assert_eq!(words(&status, 0, &everywhere), "pid 4123, run by 4121, in /of/4123: alive");
        assert_eq!(words(&status, 0, &nothing), "pid 4123, run by 4121: alive");
    }

    #[test]
    fn runs_of_slots_are_joined() {
        assert_eq!(indices([6, 0, 1, 2, 3].into_iter()), "0-3,6");
        assert_eq!(indices([u32::MAX, 0].into_iter()), format!("0,{}", u32::MAX));
        assert_eq!(indices([].into_iter()), "");
    }
}
