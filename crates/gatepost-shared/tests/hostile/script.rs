//! A script of changes to a file and of things that users do with it, read from bytes: what a fuzzer invents. The file `fuzz/`
//! beside `tests/` feeds it with what has found new ways through the code; the test here with random bytes.
//!
//! The first byte says whether the rest is the file itself, or what happens to a whole one. All happens in one thread, with waits
//! that end at once, so that a script does the same each time. What is right: an error value for whatever is wrong, and after a
//! repair that succeeds a semaphore with all its permits.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use gatepost_shared::{Acquire, Error, Observer, Options, Permit, PermitId, Semaphore, list, remove, repair};

const LIMIT: u32 = 6;
const SIZE: u64 = 577_536;
const LOCK: u64 = 0x80;

/// What is left of the input; zeros behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// A place in the file: mostly in the header, or in the first rows of a table.
    fn place(&mut self) -> u64 {
        let [kind, low, high] = self.bytes().map(u64::from);
        let offset = low | high << 8;
        match kind % 8 {
            0 => offset % 0x80,
            1 | 2 => 0x80 + offset % 0x400,
            3 => 0x1000 + offset % 0x100,
            4 => 0x11000 + offset % (8 * 192),
            5 => 0x41000 + offset % (8 * 16),
            6 => 0x45000 + offset % (8 * 192),
            _ => (offset * 16 + kind / 8) % SIZE,
        }
    }

    fn value(&mut self) -> u64 {
        let [kind, small] = self.bytes();
        match kind % 4 {
            0 => u64::from(small),
            1 => u64::MAX - u64::from(small),
            2 => u64::from(u32::MAX) - u64::from(small),
            _ => u64::from_le_bytes(self.bytes()),
        }
    }
}

struct Play<'a> {
    options: Options,
    file: Option<File>,
    folder: &'a Path,
    sessions: Vec<Semaphore>,
    permits: Vec<Permit>,
    waits: Vec<Pin<Box<Acquire>>>,
    observers: Vec<Observer>,
}

/// Plays the script `input` in `folder`, which is empty and will be.
pub(crate) fn play(input: &[u8], folder: &Path) {
    let mut input = Input(input);
    let path = folder.join("s.gate");
    let options = Options::new().directory(folder);
    let raw = input.byte() % 4 == 0;
    if raw {
        let longer = input.byte() % 2 == 0;
        std::fs::write(&path, input.0).expect("a file");
        if longer {
            File::options().write(true).open(&path).and_then(|file| file.set_len(SIZE)).expect("its size");
        }
    } else {
        drop(Semaphore::open("s", &options.clone().limit(LIMIT)).expect("a new one"));
    }
    let file = File::options().read(true).write(true).open(&path).ok();
    let (sessions, permits, waits, observers) = Default::default();
    let mut play = Play { options, file, folder, sessions, permits, waits, observers };
    if raw {
        play.open();
        play.look();
    } else {
        // Not more than a script of some length needs: each is some system calls.
        for _ in 0..200 {
            if input.0.is_empty() {
                break;
            }
            play.step(&mut input);
        }
    }
    play.end();
    let _ = std::fs::remove_file(&path);
}

impl Play<'_> {
    fn open(&mut self) {
        if let (true, Ok(session)) = (self.sessions.len() < 3, Semaphore::open("s", &self.options)) {
            self.sessions.push(session);
        }
    }

    fn look(&mut self) {
        for status in self.sessions.iter().map(Semaphore::status).chain(self.observers.iter().map(Observer::status)) {
            let status = status.expect("this process opened it");
            let json = serde_json::to_string(&status).expect("whatever is in the file is a status");
            let again: gatepost_shared::Status = serde_json::from_str(&json).expect("that can be read again");
            assert_eq!((again.used, again.holders.len()), (status.used, status.holders.len()));
        }
        for session in &self.sessions {
            assert!(session.events().count() <= 512);
        }
    }

    /// Changes the file: not so that its lock is that of somebody who lives, for whom all would wait.
    fn change(&self, at: u64, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        file.write_all_at(bytes, at).expect("to write");
        let mut lock = [0; 2];
        file.read_exact_at(&mut lock, LOCK).expect("to read");
        if (1..=8).contains(&u16::from_le_bytes(lock)) {
            file.write_all_at(&1000u16.to_le_bytes(), LOCK).expect("to write");
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let [what, which] = input.bytes();
        let which = usize::from(which);
        let mut context = Context::from_waker(Waker::noop());
        let session = self.sessions.get(which % self.sessions.len().max(1)).cloned();
        match (what % 32, session) {
            (0..6, _) => {
                let at = input.place();
                if let Some(file) = &self.file {
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, at).expect("to read");
                    self.change(at, &[byte[0] ^ 1 << (which % 8)]);
                }
            }
            (6..9, _) => self.change(input.place() & !7, &input.value().to_le_bytes()),
            (9, _) => self.change(input.place() & !3, &(input.value() as u32).to_le_bytes()),
            (10 | 11, _) | (_, None) => self.open(),
            (12 | 13, Some(s)) => self.permits.extend(s.try_acquire_many(u32::from(input.byte() % 8))),
            (14, Some(s)) => {
                let n = (input.value() as u32).max(1);
                self.permits.extend(s.acquire_many(n).label("script").wait_timeout(Duration::ZERO));
            }
            (15 | 16, Some(s)) => {
                let mut wait = Box::pin(s.acquire_many(u32::from(input.byte() % 8).max(1)));
                match wait.as_mut().poll(&mut context) {
                    std::task::Poll::Ready(permit) => self.permits.extend(permit),
                    std::task::Poll::Pending => self.waits.push(wait),
                }
            }
            (17, _) if !self.waits.is_empty() => {
                let mut wait = self.waits.swap_remove(which % self.waits.len());
                match wait.as_mut().poll(&mut context) {
                    std::task::Poll::Ready(permit) => self.permits.extend(permit),
                    std::task::Poll::Pending => self.waits.push(wait),
                }
            }
            (18, _) if !self.waits.is_empty() => drop(self.waits.swap_remove(which % self.waits.len())),
            (19 | 20, _) if !self.permits.is_empty() => drop(self.permits.swap_remove(which % self.permits.len())),
            (21, _) if !self.permits.is_empty() => {
                let permit = &self.permits[which % self.permits.len()];
                let _ = permit.keep(u32::from(input.byte()));
                let _ = permit.lease(Duration::from_nanos(input.value()));
                assert!(permit.slots().len() <= 1024 && permit.epochs().len() <= 1024);
                permit.lost().wait_timeout(Duration::ZERO);
            }
            (22, Some(s)) => drop(s.resize(input.value() as u32)),
            (23, Some(s)) => drop(if which % 2 == 0 { s.pause() } else { s.resume() }),
            (24, Some(s)) => drop(s.release(PermitId::from(input.value()))),
            (25, Some(s)) => drop(s.revoke(PermitId::from(input.value()), "script")),
            (26, Some(s)) => drop(s.reclaim()),
            (27, _) => self.look(),
            (28, _) => {
                if let (true, Ok(observer)) = (self.observers.len() < 2, Observer::open("s", &self.options)) {
                    observer.wait_change(Duration::ZERO);
                    self.observers.push(observer);
                }
            }
            (29, _) => drop(repair("s", &self.options)),
            (30, _) if !self.sessions.is_empty() => drop(self.sessions.swap_remove(which % self.sessions.len())),
            (31, Some(s)) => {
                let mut events = s.events().since(input.value());
                assert!(events.wait(Duration::ZERO).is_none_or(|event| event.why.len() <= 3 * 112));
            }
            _ => self.open(),
        }
    }

    /// Everybody goes; what was damaged is repaired, or it is said why that cannot be.
    fn end(mut self) {
        self.waits.clear();
        self.permits.clear();
        self.sessions.clear();
        match repair("s", &self.options) {
            Ok(_) => {}
            // Damaged beyond recognition.
            Err(Error::Format { .. } | Error::NotFound { .. }) => return,
            Err(error) => panic!("{error}"),
        }
        let s = Semaphore::open("s", &self.options).unwrap_or_else(|error| panic!("{error}"));
        s.resume().expect("sound");
        s.resize(LIMIT).expect("sound");
        for holder in s.status().expect("a look").holders {
            s.revoke(holder.id, "nobody's").expect("sound");
        }
        let all = s.try_acquire_many(LIMIT).unwrap_or_else(|error| panic!("{error}: {:#?}", s.status()));
        assert!(all.slots().is_empty() || all.slots() == (0..LIMIT).collect::<Vec<_>>());
        assert!(s.try_acquire().is_err());
        drop((all, s, self.observers));
        assert_eq!(list(self.folder).expect("the folder").len(), 1);
        remove("s", &self.options).expect("nobody uses it");
    }
}
