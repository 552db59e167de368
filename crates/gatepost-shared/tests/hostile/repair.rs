//! `repair`: after it, whatever was wrong, the file works, or the error says what to do.

use gatepost_shared::{Error, EventKind, Semaphore, repair};

use super::common::{Folder, at};

#[test]
fn nothing_is_done_to_a_sound_file() {
    let folder = Folder::new();
    let s = folder.open(4);
    let held = s.acquire_many(3).wait().expect("free");
    assert_eq!(repair("s", &folder.options()).expect("it is sound"), [""; 0]);
    assert!(held.is_held());
    assert!(s.events().all(|event| event.kind != EventKind::Repaired));
}

#[test]
fn what_does_not_exist_cannot_be_repaired_and_is_not_made() {
    let folder = Folder::new();
    let error = repair("s", &folder.options().limit(3)).expect_err("there is none");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(!folder.path().exists());
}

#[test]
fn who_has_tried_to_repair_what_cannot_be_is_not_told_to_repair_it() {
    let folder = Folder::new();
    drop(folder.open(4));
    for at in (0x10..0x50).step_by(8) {
        folder.bytes().put_u64(at, 0x5555_AAAA_5555_AAAA ^ at);
    }
    let text = |error: Error| error.to_string();
    let opened = Semaphore::open("s", &folder.options()).map(drop).map_err(text).expect_err("damaged");
    assert!(opened.contains("gatepost repair"), "{opened}");
    let repaired = repair("s", &folder.options()).map_err(text).expect_err("beyond repair");
    assert!(!repaired.contains("gatepost repair") && repaired.contains("remove it"), "{repaired}");
}

#[test]
fn every_bit_of_the_header_is_noticed_and_repaired_while_others_use_it() {
    let folder = Folder::new();
    let s = folder.open(4);
    let bytes = folder.bytes();
    for bit in 0..0x80 * 8 {
        bytes.flip(bit);
        let error = Semaphore::open("s", &folder.options()).expect_err("damaged");
        let text = error.to_string();
        match error {
            Error::Format { .. } => {
                assert!(text.contains("remove it") || text.contains("another"), "bit {bit}: {text}")
            }
            Error::Refused { .. } => assert!(text.contains("repair it"), "bit {bit}: {text}"),
            _ => panic!("bit {bit}: {text}"),
        }
        let held = s.acquire_many(2).wait().expect("who has it open goes on");
        let done = repair("s", &folder.options()).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
        assert_eq!(done.len(), 1, "bit {bit}: {done:?}");
        let other = Semaphore::open("s", &folder.options().limit(4)).expect("repaired");
        assert!(held.is_held(), "bit {bit}");
        drop(held);
        other.try_acquire_many(4).unwrap_or_else(|error| panic!("bit {bit}: {error}"));
    }
}

#[test]
fn counters_and_lists_are_made_anew() {
    let folder = Folder::new();
    let s = folder.open(4);
    let held = s.acquire_many(3).wait().expect("free");
    let bytes = folder.bytes();
    for (at, value) in [(at::USED, 4), (at::HELD, 0), (at::USED, u32::MAX), (at::HELD, u32::MAX)] {
        bytes.put_u32(at, value);
        let done = repair("s", &folder.options()).expect("to repair it");
        assert!(matches!(&done[..], [one] if one.contains("3 in 1 are held")), "{done:?}");
        drop(s.try_acquire().expect("one is free"));
    }
    drop(held);
    drop(s.try_acquire_many(4).expect("all are free"));
    let last = s.events().last().expect("it is written down");
    assert_eq!((last.kind, last.why.as_str()), (EventKind::Repaired, "1 thing was wrong"));
}
