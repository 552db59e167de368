//! What may befall the file and its folder: a restart of the machine, no room, no right to write, and that it is taken away.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::alone::alone;
use super::namespaces::{is_left_out, mount, mounts_are_private, unshare};
use super::process::{folder, fork};
use crate::layout::BOOT_ID_AT;
use crate::{Error, EventKind, Observer, Options, Semaphore, remove};

#[test]
fn after_a_restart_of_the_machine_everything_is_free_and_the_limit_and_the_epochs_stay() {
    alone("tests::files::after_a_restart_of_the_machine_everything_is_free_and_the_limit_and_the_epochs_stay", || {
        let folder = folder();
        let options = Options::new().directory(folder.path());
        let semaphore = Semaphore::open("boot", &options.clone().limit(4)).expect("it opens");
        semaphore.try_acquire().expect("free").release();
        semaphore.resize(3).expect("it works");
        let kept = semaphore.try_acquire_many(2).expect("free");
        let epochs = kept.epochs();
        assert_eq!(epochs, [2, 1]);
        kept.keep(std::process::id()).expect("held");
        kept.leave();

        // A live session of another kernel: a machine and its guest share the folder.
        for word in &semaphore.table().header().fixed[BOOT_ID_AT..BOOT_ID_AT + 2] {
            word.store(!word.load(Relaxed), Relaxed);
        }
        let refused = Semaphore::open("boot", &options);
        assert!(matches!(&refused, Err(Error::Refused { what, .. }) if what.contains("another kernel")), "{refused:?}");
        drop(semaphore);

        let semaphore = Semaphore::open("boot", &options).expect("it opens");
        let status = semaphore.status().expect("it can be seen");
        assert_eq!((status.limit, status.used, status.holders.len()), (3, 0, 0));
        let kinds: Vec<_> = semaphore.events().map(|event| event.kind).collect();
        assert_eq!(kinds.last(), Some(&EventKind::Rebooted), "{kinds:?}");
        assert_eq!(semaphore.try_acquire_many(2).expect("free").epochs(), [3, 2]);
        // And once only.
        assert!(Semaphore::open("boot", &options).is_ok());
        assert_eq!(semaphore.events().filter(|event| event.kind == EventKind::Rebooted).count(), 1);
    });
}

/// The kind of the system's error, and whether the text says what to do.
#[track_caller]
fn says(result: Result<Semaphore, Error>, kind: io::ErrorKind, hint: &str) {
    let Err(error) = result else { panic!("it opens") };
    assert!(matches!(&error, Error::Io { source, .. } if source.kind() == kind), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(hint) && text.contains("GATEPOST_DIR"), "{text}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}

/// In a mount namespace of its own, with a file system in memory at `folder`.
fn with_tmpfs(size: &std::ffi::CStr, body: impl FnOnce(&Path, &Options)) {
    let folder = folder();
    let mut child = fork(|| {
        if !unshare(libc::CLONE_NEWNS) {
            return 77;
        }
        mounts_are_private();
        mount(c"tmpfs", &c_path(folder.path()), 0, size);
        body(folder.path(), &Options::new().directory(folder.path()));
        0
    });
    if !is_left_out(&mut child) {
        child.succeed();
    }
}

#[test]
fn a_full_file_system_says_so_at_creation_and_nothing_stays_there() {
    alone("tests::files::a_full_file_system_says_so_at_creation_and_nothing_stays_there", || {
        with_tmpfs(c"size=256k", |folder, options| {
            says(Semaphore::open("full", &options.clone().limit(2)), io::ErrorKind::StorageFull, "make room");
            assert!(is_empty(folder));
            // With room it works, in what has become of the same folder.
            mount(c"tmpfs", &c_path(folder), libc::MS_REMOUNT, c"size=4m");
            let semaphore = Semaphore::open("full", &options.clone().limit(2)).expect("there is room");
            // Full behind it: what was reserved is there to be written.
            while fs::write(folder.join("rest"), vec![1; 8 << 20]).is_ok() {}
            let permit = semaphore.try_acquire_many(2).expect("free");
            assert_eq!(permit.slots(), [0, 1]);
        });
    });
}

#[test]
fn a_file_system_that_cannot_be_written_says_so_and_can_be_looked_at() {
    alone("tests::files::a_file_system_that_cannot_be_written_says_so_and_can_be_looked_at", || {
        with_tmpfs(c"size=4m", |folder, options| {
            drop(Semaphore::open("there", &options.clone().limit(2)).expect("it opens"));
            mount(c"tmpfs", &c_path(folder), libc::MS_REMOUNT | libc::MS_RDONLY, c"size=4m");
            let kind = io::ErrorKind::ReadOnlyFilesystem;
            says(Semaphore::open("new", &options.clone().limit(2)), kind, "can be written");
            says(Semaphore::open("there", options), kind, "can be written");
            let status =
                Observer::open("there", options).expect("to look is allowed").status().expect("it can be seen");
            assert_eq!(status.limit, 2);
        });
    });
}

#[test]
fn a_folder_that_may_not_be_written_says_so() {
    alone("tests::files::a_folder_that_may_not_be_written_says_so", || {
        let folder = folder();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o555)).expect("it is ours");
        let mut child = fork(|| {
            if rustix::process::geteuid().is_root() {
                // Root may write everywhere, so be somebody else.
                // SAFETY: the call takes a number.
                assert_eq!(unsafe { libc::setuid(65534) }, 0, "{}", io::Error::last_os_error());
            }
            let options = Options::new().directory(folder.path());
            says(Semaphore::open("new", &options.limit(2)), io::ErrorKind::PermissionDenied, "a folder of your own");
            0
        });
        child.succeed();
        assert!(is_empty(folder.path()));
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).expect("it is ours");
    });
}

/// Many open it and take its only permit, while others take the file away whenever nobody has it open.
#[test]
fn a_file_that_is_taken_away_all_the_time_is_never_two_files_in_use() {
    const ROUNDS: u32 = 150;
    alone("tests::files::a_file_that_is_taken_away_all_the_time_is_never_two_files_in_use", || {
        let folder = folder();
        let options = Options::new().directory(folder.path()).limit(1);
        // Seen by all children: how many are inside, and how often the file was taken away and the permit had.
        let words: [&AtomicU32; 3] = std::array::from_fn(|_| shared_word());
        let [inside, removed, entered] = words;
        let user = || {
            for _ in 0..ROUNDS {
                let semaphore = match Semaphore::open("race", &options) {
                    Ok(semaphore) => semaphore,
                    // Sixty-four times in a row it was taken away.
                    Err(Error::Refused { what, .. }) if what.contains("all the time") => continue,
                    Err(error) => panic!("{error}"),
                };
                if let Ok(permit) = semaphore.try_acquire() {
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "two have the only permit");
                    std::thread::yield_now();
                    assert_eq!(inside.fetch_sub(1, SeqCst), 1, "two have the only permit");
                    entered.fetch_add(1, SeqCst);
                    permit.release();
                }
            }
            0
        };
        let remover = || {
            for _ in 0..ROUNDS * 2 {
                match remove("race", &options) {
                    Ok(()) => drop(removed.fetch_add(1, SeqCst)),
                    Err(Error::NotFound { .. } | Error::InUse { .. } | Error::Refused { .. }) => {
                        std::thread::yield_now()
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            0
        };
        let mut children = vec![fork(user), fork(remover), fork(user), fork(remover), fork(user)];
        for child in &mut children {
            child.succeed();
        }
        let (removed, entered) = (removed.load(SeqCst), entered.load(SeqCst));
        println!("{removed} files taken away, {entered} permits had");
        assert!(removed > 0 && entered > 0, "{removed} files taken away, {entered} permits had");
    });
}

/// A word that forked children share. It is never unmapped.
fn shared_word() -> &'static AtomicU32 {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: no address is asked for, so nothing that exists is replaced.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, access, MapFlags::SHARED) }.expect("a page");
    // SAFETY: the page is aligned and zero, which is a word, and stays.
    unsafe { &*page.cast::<AtomicU32>() }
}
