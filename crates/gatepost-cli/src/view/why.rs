//! "Why am I waiting", in one sentence: it stands over every queue, in text, on the terminal and on the page.

use std::fmt::Write as _;

use gatepost_shared::{HolderState, Status};

use super::words::{self, counted};

/// Permits that could be given out now, pauses and damage left aside.
pub(crate) fn free(status: &Status) -> u32 {
    status.limit.saturating_sub(status.used)
}

/// Whether a process stays in the critical section, so that nobody comes to anything.
pub(crate) fn is_stuck(status: &Status) -> bool {
    status.locked_by.is_some()
}

/// Why the first in line is not served; nothing if nobody waits.
pub(crate) fn head_waits(status: &Status) -> Option<String> {
    let head = status.waiters.first()?;
    let asks = format!("the head asks for {}", head.permits);
    let dead: u32 = held_by_the_dead(status);
    let free = free(status);
    Some(if status.damage.is_some() {
        format!("the file is damaged, so nobody is admitted: gatepost repair {}", words::clean(&status.name))
    } else if let Some(owner) = &status.locked_by {
        format!("pid {} is inside the critical section and does not leave it", owner.process.pid)
    } else if status.paused {
        format!("it is paused, so nobody is admitted: gatepost resume {}", words::clean(&status.name))
    } else if status.limit == 0 {
        format!("the limit is 0: drained; gatepost resize {} N admits waiters again", words::clean(&status.name))
    } else if status.used > status.limit {
        format!(
            "{} are in use and the limit was lowered to {}: nobody is admitted until {} come back",
            status.used,
            status.limit,
            status.used - status.limit + head.permits.min(status.limit)
        )
    } else if head.permits <= free {
        format!("{asks}, {free} are free: it is being served, or its process does not run")
    } else if head.permits <= free.saturating_add(dead) {
        format!("{asks}, {free} are free and {dead} are held by the dead: the head takes them back in a moment")
    } else {
        format!("{asks}, {}", if free == 1 { "1 is free".to_owned() } else { format!("{free} are free") })
    })
}

/// Permits that nobody holds any more, though nobody has taken them back yet.
fn held_by_the_dead(status: &Status) -> u32 {
    let dead = status.holders.iter().filter(|holder| holder.state == HolderState::Dead);
    dead.fold(0u32, |sum, holder| sum.saturating_add(holder.permits))
}

/// The state of the whole in a few words, the worst first: `damaged`, `stuck`, `paused`, `drained`, `over the limit`, `full`;
/// empty if there is nothing to tell.
pub(crate) fn state(status: &Status) -> &'static str {
    if status.damage.is_some() {
        "damaged"
    } else if is_stuck(status) {
        "stuck"
    } else if status.paused {
        "paused"
    } else if status.limit == 0 {
        "drained"
    } else if status.used > status.limit {
        "over the limit"
    } else if status.used == status.limit {
        "full"
    } else {
        ""
    }
}

/// The sentence at the top of a status: how much is used, and what that means.
pub(crate) fn summary(status: &Status) -> String {
    let free = free(status);
    let mut out = format!("{} of {} in use, {free} free", status.used, counted(status.limit, "permit"));
    match state(status) {
        "" => {}
        "full" if held_by_the_dead(status) > 0 => {
            let _ = write!(out, "; {} held by the dead, which the next acquire takes back", held_by_the_dead(status));
        }
        "full" if status.waiters.is_empty() => out.push_str("; the next one waits"),
        "full" => {}
        "drained" => out.push_str("; drained: it admits nobody until its limit is raised"),
        "over the limit" => out.push_str("; the limit was lowered, so it only shrinks"),
        "paused" => out.push_str("; paused: it admits nobody until it is resumed"),
        "stuck" => out.push_str("; stuck: see `lock` below"),
        other => {
            out.push_str("; ");
            out.push_str(other);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_sentence_names_the_strongest_reason() {
        let full = samples::build();
        assert_eq!(head_waits(&full).as_deref(), Some("the head asks for 3, 1 is free"));
        let mut with = full.clone();
        with.limit = 0;
        assert!(head_waits(&with).is_some_and(|why| why.contains("the limit is 0: drained")));
        with.paused = true;
        assert!(head_waits(&with).is_some_and(|why| why.contains("gatepost resume build")));
        with.locked_by = Some(full.sessions[0].clone());
        assert!(head_waits(&with).is_some_and(|why| why.contains("pid 4121 is inside")));
        with.damage = Some("two grants of one slot".to_owned());
        assert!(head_waits(&with).is_some_and(|why| why.contains("gatepost repair build")));
    }

    #[test]
    fn permits_of_the_dead_and_a_lowered_limit_are_said() {
        let mut status = samples::build();
        status.holders[1].state = HolderState::Dead;
        assert!(head_waits(&status).is_some_and(|why| why.contains("2 are held by the dead")));
        status.limit = 5;
        assert!(
            head_waits(&status).is_some_and(|why| why.contains("lowered to 5") && why.contains("until 5 come back"))
        );
        assert_eq!(state(&status), "over the limit");
    }

    #[test]
    fn nobody_waits_for_no_reason() {
        assert_eq!(head_waits(&samples::idle()), None);
        assert_eq!(state(&samples::idle()), "");
        assert_eq!(summary(&samples::idle()), "0 of 2 permits in use, 2 free");
        let mut full = samples::build();
        (full.used, full.waiters) = (8, Vec::new());
        assert!(summary(&full).ends_with("0 free; the next one waits"));
        full.holders[1].state = HolderState::Dead;
        assert!(summary(&full).ends_with("0 free; 2 held by the dead, which the next acquire takes back"));
    }
}
