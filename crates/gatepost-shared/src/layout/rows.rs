//! The rows of the tables, as atomics that lie in the file.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::Process;

/// Words of text in a grant and in a waiter.
const LABEL_WORDS: usize = 14;
/// Words of text in an event.
const WHY_WORDS: usize = 14;

/// The first page.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) fixed: [AtomicU64; 16],
    /// See `lock`.
    pub(crate) lock: AtomicU64,
    /// Odd while somebody is in the critical section; see `snapshot`.
    pub(crate) seq: AtomicU32,
    /// Not 0: what is wrong, and nobody is admitted.
    pub(crate) poison: AtomicU32,
    _pad0: [AtomicU64; 6],
    pub(crate) config: AtomicU64,
    /// The next permit's identity, and a waiter's place in the queue.
    pub(crate) serial: AtomicU64,
    /// The number of the next event.
    pub(crate) next_event: AtomicU64,
    _pad1: [AtomicU64; 5],
    pub(crate) used: AtomicU32,
    pub(crate) held: AtomicU32,
    pub(crate) waiting: AtomicU32,
    pub(crate) free_grant: AtomicU32,
    pub(crate) free_waiter: AtomicU32,
    pub(crate) head: AtomicU32,
    pub(crate) tail: AtomicU32,
    _pad2: [AtomicU32; 9],
    /// Where those sleep who watch; see `lock`.
    pub(crate) changes: AtomicU32,
    _pad3: [AtomicU32; 15],
    pub(crate) acquired: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) reclaimed: AtomicU64,
    pub(crate) revoked: AtomicU64,
    pub(crate) takeovers: AtomicU64,
    pub(crate) wait_sum: AtomicU64,
    pub(crate) hold_sum: AtomicU64,
    _pad4: [AtomicU64; 6],
    pub(crate) wait: [AtomicU64; 32],
    pub(crate) hold: [AtomicU64; 32],
    /// A set bit is a slot that nobody has.
    pub(crate) free_slots: [AtomicU64; 16],
}

/// A process that has the file open.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SessionRow {
    pub(crate) word: AtomicU64,
    /// Where its helper thread sleeps.
    pub(crate) doorbell: AtomicU32,
    pub(crate) pid: AtomicU32,
    pub(crate) start: AtomicU64,
    pub(crate) namespace: AtomicU64,
    pub(crate) uid: AtomicU32,
    _pad: AtomicU32,
    pub(crate) name: [AtomicU64; 3],
}

/// The process that has a grant or waits, for people: its session's row may be another process's by the time they look.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct OwnerRow {
    start: AtomicU64,
    pid: AtomicU32,
    /// Namespaces have numbers of 32 bits; 0 if the system did not say.
    namespace: AtomicU32,
}

impl OwnerRow {
    pub(crate) fn store(&self, process: Process) {
        self.start.store(process.start, Relaxed);
        self.pid.store(process.pid, Relaxed);
        self.namespace.store(u32::try_from(process.namespace).unwrap_or(0), Relaxed);
    }

    pub(crate) fn load(&self) -> Option<Process> {
        let pid = self.pid.load(Relaxed);
        (pid != 0).then(|| Process {
            pid,
            start: self.start.load(Relaxed),
            namespace: self.namespace.load(Relaxed).into(),
        })
    }
}

/// Some permits, held together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct GrantRow {
    pub(crate) word: AtomicU64,
    pub(crate) serial: AtomicU64,
    /// When it was granted, in nanoseconds of the boot clock.
    pub(crate) since: AtomicU64,
    /// When it ends once its session is gone; 0: at once.
    pub(crate) expires: AtomicU64,
    pub(crate) keep_start: AtomicU64,
    pub(crate) keep_namespace: AtomicU64,
    /// The process that keeps it when its session is gone; 0: none.
    pub(crate) keep_pid: AtomicU32,
    /// 1 while the waiter that it is for has not taken it.
    pub(crate) unclaimed: AtomicU32,
    /// Cache: the next one in the list of free rows.
    pub(crate) next: AtomicU32,
    /// Cache: the first of its slots.
    pub(crate) slot: AtomicU32,
    pub(crate) owner: OwnerRow,
    pub(crate) label: [AtomicU64; LABEL_WORDS],
}

/// The number of a permit.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SlotRow {
    pub(crate) word: AtomicU64,
    /// Cache: the next slot of the same grant.
    pub(crate) next: AtomicU32,
    _pad: AtomicU32,
}

/// One in the queue.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct WaiterRow {
    pub(crate) word: AtomicU64,
    /// The identity of its permit to be, and its place in the queue.
    pub(crate) serial: AtomicU64,
    /// Since when it waits, in nanoseconds of the boot clock.
    pub(crate) since: AtomicU64,
    /// Where its thread sleeps; bumped when its word changes.
    pub(crate) futex: AtomicU32,
    /// Its grant, once it has one.
    pub(crate) grant: AtomicU32,
    /// 1: a task waits, and its session's doorbell is to be rung.
    pub(crate) task: AtomicU32,
    /// How many have overtaken it.
    pub(crate) passed: AtomicU32,
    /// Cache: the queue, or the list of free rows.
    pub(crate) next: AtomicU32,
    /// Cache: the queue.
    pub(crate) previous: AtomicU32,
    pub(crate) owner: OwnerRow,
    _pad: [AtomicU64; 2],
    pub(crate) label: [AtomicU64; LABEL_WORDS],
}

/// What was done by force.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct EventRow {
    /// Its number plus one, written last; 0: none yet.
    pub(crate) number: AtomicU64,
    pub(crate) boot_ns: AtomicU64,
    pub(crate) real_ns: AtomicU64,
    pub(crate) serial: AtomicU64,
    pub(crate) kind: AtomicU32,
    pub(crate) permits: AtomicU32,
    pub(crate) by_pid: AtomicU32,
    pub(crate) to_pid: AtomicU32,
    pub(crate) by_start: AtomicU64,
    pub(crate) by_namespace: AtomicU64,
    pub(crate) to_start: AtomicU64,
    pub(crate) to_namespace: AtomicU64,
    pub(crate) why: [AtomicU64; WHY_WORDS],
}

const _: () = {
    assert!(size_of::<Header>() == 0x480);
    assert!(std::mem::offset_of!(Header, lock) == 0x80);
    assert!(std::mem::offset_of!(Header, config) == 0xC0);
    assert!(std::mem::offset_of!(Header, used) == 0x100);
    assert!(std::mem::offset_of!(Header, changes) == 0x140);
    assert!(std::mem::offset_of!(Header, acquired) == 0x180);
    assert!(std::mem::offset_of!(Header, wait) == 0x200);
    assert!(std::mem::offset_of!(Header, free_slots) == 0x400);
    assert!(size_of::<SessionRow>() == 64);
    assert!(size_of::<GrantRow>() == 192);
    assert!(size_of::<SlotRow>() == 16);
    assert!(size_of::<WaiterRow>() == 192);
    assert!(size_of::<EventRow>() == 192);
};

/// Writes `text` as UTF-8 with NULs behind it, cut at a character where there is no room for more.
pub(crate) fn store_text(words: &[AtomicU64], text: &str) {
    let mut room = words.len() * 8;
    if text.len() <= room {
        room = text.len();
    }
    while !text.is_char_boundary(room) {
        room -= 1;
    }
    let bytes = &text.as_bytes()[..room];
    for (word, at) in words.iter().zip((0..).step_by(8)) {
        let part = bytes.get(at..bytes.len().min(at + 8)).unwrap_or(&[]);
        let mut raw = [0; 8];
        raw[..part.len()].copy_from_slice(part);
        word.store(u64::from_le_bytes(raw), Relaxed);
    }
}

/// Reads text that anybody may have written: what is not UTF-8 is replaced, and so is what would steer a terminal.
pub(crate) fn load_text(words: &[AtomicU64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars().map(|c| if c.is_control() || is_bidi(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether `c` changes the direction in which what stands around it is shown.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_made_harmless() {
        let words = [const { AtomicU64::new(u64::MAX) }; 2];
        store_text(&words, "cargo");
        assert_eq!(load_text(&words), "cargo");
        store_text(&words, "0123456789abcdeé!");
        assert_eq!(load_text(&words), "0123456789abcde");
        store_text(&words, "\x1b[31m\u{202E}x");
        assert_eq!(load_text(&words), "\u{FFFD}[31m\u{FFFD}x");
        words[0].store(u64::MAX, Relaxed);
        assert_eq!(load_text(&words[..1]).chars().next(), Some('\u{FFFD}'));
    }
}
