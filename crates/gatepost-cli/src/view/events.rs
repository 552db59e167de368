//! `gatepost events NAME`: what was done by force, and what a person may want to know afterwards.

use gatepost_shared::{Event, EventKind};

use super::folder;
use super::words::{clean, clock, counted};

/// `event` as one line, its newline included.
pub(crate) fn line(event: &Event, json: bool) -> String {
    if json {
        return folder::line(event);
    }
    let at = event.when.at;
    let day = humantime::format_rfc3339_seconds(at).to_string();
    let day = day.get(..10).unwrap_or_default();
    format!("{:>5}  {day} {}Z  {}\n", event.number, clock(at), what(event))
}

/// What happened, in words, with who did it to whom and why.
pub(crate) fn what(event: &Event) -> String {
    let permit = || {
        let id = event.permit.map_or_else(|| "a grant".to_owned(), |id| format!("{}:{id}", clean(&event.semaphore)));
        format!("{id} ({})", counted(event.permits, "permit"))
    };
    let from = event.to.map_or_else(String::new, |process| format!(" of pid {}", process.pid));
    let mut text = match event.kind {
        EventKind::Created => format!("created with a limit of {}", event.permits),
        EventKind::Rebooted => "the machine has started since: all that was held is free".to_owned(),
        EventKind::Reclaimed => format!("took {}{from} back from the dead", permit()),
        EventKind::Ended => format!("{}{from} has ended", permit()),
        EventKind::Abandoned => format!("took the place{from}, which is dead, out of the queue"),
        EventKind::Revoked => format!("revoked {}{from}", permit()),
        EventKind::Resized => format!("the limit is now {}", event.permits),
        EventKind::Paused => "paused: nobody is admitted".to_owned(),
        EventKind::Resumed => "resumed".to_owned(),
        EventKind::TakenOver => format!("finished what the dead owner{from} had begun in the critical section"),
        EventKind::Poisoned => "damaged: nobody is admitted".to_owned(),
        EventKind::Repaired => "repaired".to_owned(),
        EventKind::Refused => format!("sent a waiter{from} away, which asked for {}", event.permits),
        _ => "something that this version of gatepost does not know".to_owned(),
    };
    if event.by.pid != 0 {
        text.push_str(&format!(", by pid {}", event.by.pid));
    }
    // With which limit a file was created has been said.
    if !event.why.is_empty() && event.kind != EventKind::Created {
        text.push_str(": ");
        text.push_str(&clean(&event.why));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn every_kind_has_words_of_its_own() {
        let lines: String = samples::events().iter().map(|event| line(event, false)).collect();
        samples::is_as_in("events.txt", &lines);
    }

    #[test]
    fn json_is_what_it_was_read_from() {
        for event in samples::events() {
            let json = line(&event, true);
            assert_eq!(json.matches('\n').count(), 1);
            assert_eq!(serde_json::from_str::<Event>(&json).expect("an event"), event);
        }
    }

    #[test]
    fn a_reason_cannot_break_the_line() {
        let mut event = samples::events().remove(0);
        event.why = "a\nb".to_owned();
        assert_eq!(line(&event, false).matches('\n').count(), 1);
    }
}
