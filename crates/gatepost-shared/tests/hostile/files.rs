//! What is in the place of a semaphore's file: each a clear error, which says what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use gatepost_shared::{Error, Observer, Options, Semaphore};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::common::{Dice, Folder, at};

/// What `open` says of what is there, which must hold all of `words`.
#[track_caller]
fn assert_error(folder: &Folder, options: &Options, is: fn(&Error) -> bool, words: &[&str]) {
    let error = Semaphore::open("s", options).expect_err("it must not be opened");
    let text = error.to_string();
    assert!(is(&error), "{error:?}");
    assert!(text.contains(folder.path().to_str().expect("a path")), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} in {text}");
    }
}

fn is_format(error: &Error) -> bool {
    matches!(error, Error::Format { .. })
}

fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Refused { .. })
}

/// A folder with a whole file, which nobody has open.
fn whole() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    drop(folder.open(4));
    let bytes = fs::read(folder.path()).expect("the file");
    assert_eq!(bytes.len() as u64, at::END);
    (folder, bytes)
}

/// The same header with another value in it, and the checksum that belongs to that.
fn with_header(bytes: &[u8], at: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    let mut hasher = crc32fast::Hasher::new();
    for part in [0x00..0x30, 0x40..0x5C, 0x60..0x80] {
        hasher.update(&bytes[part]);
    }
    bytes[0x5C..0x60].copy_from_slice(&hasher.finalize().to_le_bytes());
    bytes
}

#[test]
fn random_bytes_of_any_length_are_another_programs_file() {
    let (folder, _) = whole();
    let mut dice = Dice(1);
    for round in 0..200 {
        let length = if round % 2 == 0 { at::END } else { 0x80 + dice.below(at::END) };
        let bytes: Vec<u8> = (0..length.min(0x2000)).map(|_| dice.below(256) as u8).collect();
        fs::write(folder.path(), &bytes).expect("to write");
        fs::File::options().write(true).open(folder.path()).and_then(|file| file.set_len(length)).expect("a length");
        assert_error(&folder, &folder.options().limit(4), is_format, &["another program's file", "another name"]);
        assert!(gatepost_shared::repair("s", &folder.options()).is_err());
        assert_eq!(fs::read(folder.path()).expect("it")[..bytes.len()], bytes[..], "it is left as it is");
    }
}

#[test]
fn a_truncated_file_says_how_long_it_is_at_every_length() {
    let (folder, bytes) = whole();
    let file = fs::File::options().write(true).open(folder.path()).expect("the file");
    let options = folder.options().limit(4);
    // Every boundary of the first two pages, and some of each later one.
    let lengths = (0..at::END / 64).rev().filter(|k| k * 64 < 0x2000 || k % 13 == 0).map(|k| k * 64);
    for length in lengths.chain([0x7F, 1]) {
        file.set_len(length).expect("shorter");
        let error = Semaphore::open("s", &options).expect_err("truncated");
        let Error::Format { what, remedy, .. } = error else { panic!("{error:?}") };
        assert!(what.starts_with(&format!("it has {length} bytes")), "{what}");
        assert!(remedy.contains("remove it (rm)"), "{remedy}");
        if length < 0x80 || length % 4096 != 0 {
            continue;
        }
        assert!(Observer::open("s", &options).is_err());
        assert!(gatepost_shared::repair("s", &options).is_err());
    }
    fs::write(folder.path(), [&bytes[..], &[0]].concat()).expect("longer");
    assert_error(&folder, &options, is_format, &["577537 bytes", "577536"]);
}

#[test]
fn versions_and_features_decide_who_may_do_what() {
    let (folder, bytes) = whole();
    let options = folder.options();
    let put = |at, value: &[u8]| fs::write(folder.path(), with_header(&bytes, at, value)).expect("to write");
    put(0x08, &2u16.to_le_bytes());
    assert_error(&folder, &options, is_format, &["format 2.0", "knows 1.x", "the version of gatepost that made it"]);
    assert!(gatepost_shared::repair("s", &options).is_err(), "it is no damage");
    put(0x0C, &(1u32 << 7).to_le_bytes());
    assert_error(&folder, &options, is_format, &["0x80", "newer version"]);
    assert!(Observer::open("s", &options).is_err());
    put(0x10, &4u32.to_le_bytes());
    assert_error(&folder, &options, is_format, &["can only read", "0x4", "newer version"]);
    let status = Observer::open("s", &options).expect("looking is allowed").status().expect("a look");
    assert_eq!(status.limit, 4);
    for (at, value) in [(0x0A, &9u16.to_le_bytes()[..]), (0x14, &u32::MAX.to_le_bytes())] {
        put(at, value);
        drop(
            Semaphore::open("s", &options)
                .expect("a minor version, or a compatible feature")
                .try_acquire()
                .expect("free"),
        );
    }
}

#[test]
fn impossible_tables_are_refused_before_anything_is_mapped() {
    let (folder, bytes) = whole();
    for (table, size) in [(0, 0), (1, 0x4001), (2, u32::MAX), (3, 7), (3, 1023), (4, 0), (4, 1 << 31)] {
        fs::write(folder.path(), with_header(&bytes, 0x48 + 4 * table, &u32::to_le_bytes(size))).expect("to write");
        assert_error(&folder, &folder.options(), is_format, &["impossible sizes", &size.to_string()]);
    }
    // Possible, and not what the file is long enough for.
    fs::write(folder.path(), with_header(&bytes, 0x48, &0x4000u32.to_le_bytes())).expect("to write");
    assert_error(&folder, &folder.options(), is_format, &["577536 bytes", "its header says"]);
}

#[test]
fn what_is_no_regular_file_of_one_name_is_refused() {
    let folder = Folder::new();
    let path = folder.path();
    let options = folder.options().limit(4);
    fs::create_dir(&path).expect("a folder");
    assert_error(&folder, &options, is_refused, &["it is a folder", "another name"]);
    fs::remove_dir(&path).expect("it is empty");

    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a fifo");
    assert_error(&folder, &options, is_refused, &["no regular file", "another name"]);
    assert!(matches!(Observer::open("s", &options), Err(Error::Refused { .. })));
    fs::remove_file(&path).expect("ours");

    let socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    assert_error(&folder, &options, is_refused, &["no regular file", "another name"]);
    assert!(matches!(Observer::open("s", &options), Err(Error::Refused { .. })));
    drop(socket);
    fs::remove_file(&path).expect("ours");

    let target = folder.join("t.gate");
    drop(Semaphore::open("t", &options).expect("another one"));
    symlink(&target, &path).expect("a link");
    assert_error(&folder, &options, is_refused, &["symbolic link", "that it points to"]);
    fs::remove_file(&path).expect("ours");
    symlink(folder.join("nothing"), &path).expect("a link");
    assert_error(&folder, &options, is_refused, &["symbolic link"]);
    assert!(!folder.join("nothing").exists(), "nothing is made at its end");
    fs::remove_file(&path).expect("ours");

    fs::hard_link(&target, &path).expect("a second name");
    assert_error(&folder, &options, is_refused, &["it has 2 names", "find -samefile"]);
    fs::remove_file(&target).expect("ours");
    drop(Semaphore::open("s", &options).expect("it has one name again"));

    let error = Semaphore::open("/dev/null", &Options::new().limit(1)).expect_err("a device");
    assert!(is_refused(&error) && error.to_string().contains("no regular file"), "{error}");
}

#[test]
fn whoever_else_may_write_it_makes_it_worthless() {
    let (folder, _) = whole();
    let options = folder.options();
    let mode = |mode| fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).expect("ours");
    mode(0o606);
    assert_error(&folder, &options, is_refused, &["everybody may write it", "mode 606", "chmod o-w"]);
    mode(0o660);
    let group = rustix::process::getegid().as_raw();
    assert_error(&folder, &options, is_refused, &["may write it", &format!("group {group}"), "--group", "chmod g-w"]);
    drop(Semaphore::open("s", &options.clone().group(group)).expect("that is meant"));
    assert_error(&folder, &options.clone().group(group + 1), is_refused, &[&format!("group {group}")]);
    mode(0o644);
    drop(Semaphore::open("s", &options).expect("to read is no harm"));
}

#[test]
fn one_that_is_shared_with_a_group_can_be_written_by_it_whatever_the_mask() {
    let folder = Folder::new();
    let group = rustix::process::getegid().as_raw();
    let options = folder.options().limit(4).group(group);
    drop(Semaphore::open("s", &options).expect("a new one"));
    let mode = fs::metadata(folder.path()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
}

#[test]
fn another_users_file_and_another_users_folder_are_refused() {
    let (folder, _) = whole();
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give files away.
    }
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(12_345), None).expect("root may");
    give(&folder.path());
    assert_error(&folder, &folder.options(), is_refused, &["user 12345", "you are 0", "--group"]);
    let status = Observer::open("s", &folder.options()).expect("root may look").status();
    assert_eq!(status.expect("a look").limit, 4);

    let (folder, _) = whole();
    give(folder.path().parent().expect("a folder"));
    let error = Semaphore::open("s", &folder.options()).expect_err("another user's folder");
    assert!(is_refused(&error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("folder belongs to user 12345") && text.contains("GATEPOST_DIR"), "{text}");
}

#[test]
fn a_folder_in_which_others_may_replace_files_is_refused() {
    let (folder, _) = whole();
    let path = folder.path();
    let parent = path.parent().expect("a folder");
    fs::set_permissions(parent, PermissionsExt::from_mode(0o777)).expect("ours");
    for limit in [None, Some(4)] {
        let options = limit.map_or(folder.options(), |limit| folder.options().limit(limit));
        let error = Semaphore::open("s", &options).expect_err("others may replace it");
        let text = error.to_string();
        assert!(is_refused(&error) && text.contains("mode 777") && text.contains("chmod +t"), "{text}");
    }
    assert!(Semaphore::open("new", &folder.options().limit(1)).is_err());
    assert!(!folder.join("new.gate").exists());
    fs::set_permissions(parent, PermissionsExt::from_mode(0o1777)).expect("ours");
    drop(Semaphore::open("s", &folder.options()).expect("nobody may take another's file away"));
}

#[test]
fn a_name_that_is_none_says_why() {
    let folder = Folder::new();
    let long = "x".repeat(65);
    let bad = [
        ("", "empty"),
        (".hidden", "dot"),
        ("..", "dot"),
        ("-rf", "dash"),
        ("a b", "another character"),
        ("a\nb", "another character"),
        ("größe", "another character"),
        ("a\0b", "NUL"),
        ("/", "no file's name"),
        ("/tmp/..", "no file's name"),
        (&long, "longer than 64"),
    ];
    for (name, word) in bad {
        let error = Semaphore::open(name, &folder.options().limit(1)).expect_err("no name");
        let text = error.to_string();
        assert!(matches!(error, Error::Name { .. }), "{error:?}");
        assert!(text.contains(word) && text.contains("1 to 64 of A-Z a-z 0-9 . _ -"), "{text}");
        assert!(!text.contains(['\0', '\n']), "{text:?}");
    }
    assert_eq!(fs::read_dir(folder.join("")).expect("the folder").count(), 0, "nothing was made");
}

#[test]
fn a_folder_by_another_users_link_is_refused_and_by_our_own_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::create_dir(&real).expect("a folder in it");
    symlink(&real, &link).expect("a link to it");
    let options = Options::new().directory(&link).limit(1);
    drop(Semaphore::open("s", &options).expect("the link is our own"));
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give links away.
    }
    std::os::unix::fs::lchown(&link, Some(12_345), None).expect("root may");
    let refused = Semaphore::open("s", &options);
    assert!(
        matches!(&refused, Err(Error::Refused { path, what, .. }) if *path == link && what.contains("12345")),
        "{refused:?}"
    );
}
