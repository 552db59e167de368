//! Watches all semaphores of a folder and makes a picture of them when something changes, for `top` and for the page.
//!
//! ```text
//!  watcher, one for each semaphore            scanner, one                     subscribers
//!  W1 sleep until it changes                  S1 wait until one subscribes
//!  W2 look, to set what "changes" means       S2 look at all ── picture n+1 ──> wake with picture n+1
//!  W3 ring ─────────────────────────────>     S3 sleep a second, or until rung
//!  W4 sleep until picture n+1                 S4 sleep out the gap
//! ```
//! P1. Between two pictures lies at least [`GAP`]: a semaphore that changes a million times a second costs ten pictures, since
//!     by W4 its watcher rings once for each.
//! P2. What changes no file, such as a death, is seen within a second (S3).
//! P3. Nobody looks while nobody subscribes (S1; W1 ends within a second).
//! P4. No change is missed: what comes before W2 is in the picture that the ring of W3 asks for, and what comes after it ends
//!     the next W1.
//! P5. A file that was removed and made again is opened again: a description of the old one would never change.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gatepost_shared::{Event, Observer};

use super::folder::{self, Folder, Sight};

/// The least time between two pictures.
const GAP: Duration = Duration::from_millis(100);
/// The longest time between two pictures while somebody looks.
const TICK: Duration = Duration::from_secs(1);
/// More semaphores than this are seen every second only, and not when they change.
const WATCHERS: usize = 64;
/// How many of the last events a picture has of each semaphore.
const EVENTS: usize = 20;

/// One look at everything.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// Which one it is, from 1; 0 is none.
    pub(crate) number: u64,
    /// The semaphores by name.
    pub(crate) looks: Vec<Look>,
    /// Why the folder could not be read, if so.
    pub(crate) trouble: Option<String>,
}

/// One semaphore in a picture.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// What it is, or why it cannot be seen.
    pub(crate) sight: Sight,
    /// The last of its events, the oldest first.
    pub(crate) events: Vec<Event>,
}

/// The watching of a folder; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    state: Mutex<State>,
    /// Rung at every change of the state.
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    picture: Arc<Picture>,
    subscribers: usize,
    rung: bool,
    ended: bool,
}

impl Watch {
    /// Starts to watch; nobody looks before somebody subscribes.
    pub(crate) fn start(folder: Folder) -> io::Result<Self> {
        let shared = Arc::new(Shared { folder, state: Mutex::default(), bell: Condvar::new() });
        let scanner = Arc::clone(&shared);
        thread::Builder::new().name("scanner".into()).spawn(move || scanner.scan())?;
        Ok(Self { shared })
    }

    /// Somebody who looks from now on.
    pub(crate) fn subscribe(&self) -> Subscription {
        let mut state = self.shared.lock();
        // While nobody looked, the last picture grew old: it is not the first one to be seen.
        let seen = if state.subscribers == 0 { state.picture.number } else { 0 };
        state.subscribers += 1;
        drop(state);
        self.shared.bell.notify_all();
        Subscription { shared: Arc::clone(&self.shared), seen }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.bell.notify_all();
    }
}

/// Somebody who looks.
#[derive(Debug)]
pub(crate) struct Subscription {
    shared: Arc<Shared>,
    seen: u64,
}

impl Subscription {
    /// The next picture that this subscriber has not seen, which may leave out some; nothing if there is none in `time`.
    pub(crate) fn next(&mut self, time: Duration) -> Option<Arc<Picture>> {
        let state = self.shared.lock();
        let state = self.shared.wait(state, time, |state| state.picture.number <= self.seen && !state.ended);
        let picture = Arc::clone(&state.picture);
        (picture.number > self.seen).then(|| {
            self.seen = picture.number;
            picture
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.lock().subscribers -= 1;
    }
}

/// A semaphore that the scanner has open.
#[derive(Debug)]
struct Open {
    observer: Observer,
    file: (u64, u64),
    /// Ends its watcher when it goes.
    leash: Option<Leash>,
}

#[derive(Debug)]
struct Leash(Arc<AtomicBool>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, and what it guards is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        time: Duration,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'s, State> {
        let waited = self.bell.wait_timeout_while(state, time, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn ring(&self) {
        self.lock().rung = true;
        self.bell.notify_all();
    }

    fn scan(self: Arc<Self>) {
        let mut open = BTreeMap::new();
        loop {
            let state = self.lock();
            let mut state = self
                .bell
                .wait_while(state, |state| state.subscribers == 0 && !state.ended)
                .unwrap_or_else(PoisonError::into_inner);
            if state.ended {
                return;
            }
            state.rung = false;
            let number = state.picture.number + 1;
            drop(state);
            let began = Instant::now();
            let picture = Arc::new(self.look(number, &mut open));
            let mut state = self.lock();
            state.picture = picture;
            self.bell.notify_all();
            let state = self.wait(state, TICK, |state| !state.rung && !state.ended);
            drop(self.wait(state, GAP.saturating_sub(began.elapsed()), |state| !state.ended));
        }
    }

    fn look(self: &Arc<Self>, number: u64, open: &mut BTreeMap<String, Open>) -> Picture {
        let names = match self.folder.names() {
            Ok(names) => names,
            Err(error) => return Picture { number, looks: Vec::new(), trouble: Some(error.to_string()) },
        };
        open.retain(|name, open| {
            names.iter().any(|(listed, path)| listed == name && folder::identity(path) == Some(open.file))
        });
        let see = |(name, path): (String, std::path::PathBuf)| {
            let status = self.opened(&name, &path, open).and_then(|open| {
                let status = open.observer.status()?;
                Ok((status, folder::last_events(&open.observer, EVENTS)))
            });
            let (seen, events) = match status {
                Ok((status, events)) => (Ok(status), events),
                Err(error) => (Err(error.to_string()), Vec::new()),
            };
            Look { sight: Sight { name, path, seen }, events }
        };
        Picture { number, looks: names.into_iter().map(see).collect(), trouble: None }
    }

    fn opened<'o>(
        self: &Arc<Self>,
        name: &str,
        path: &Path,
        open: &'o mut BTreeMap<String, Open>,
    ) -> Result<&'o Open, gatepost_shared::Error> {
        let watched = open.values().filter(|open| open.leash.is_some()).count();
        match open.entry(name.to_owned()) {
            std::collections::btree_map::Entry::Occupied(open) => Ok(open.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                // Before it is opened: if it is replaced in between, the next look sees that.
                let file = folder::identity(path).unwrap_or_default();
                let observer = self.folder.observe(name)?;
                let leash = (watched < WATCHERS).then(|| self.watch(name)).flatten();
                Ok(place.insert(Open { observer, file, leash }))
            }
        }
    }

    /// Starts a watcher; without one the semaphore is seen every second all the same.
    fn watch(self: &Arc<Self>, name: &str) -> Option<Leash> {
        let observer = self.folder.observe(name).ok()?;
        observer.status().ok()?;
        let shared = Arc::clone(self);
        let end = Arc::new(AtomicBool::new(false));
        let leash = Leash(Arc::clone(&end));
        let watch = move || {
            while !end.load(Relaxed) {
                if !observer.wait_change(TICK) {
                    let idle = |state: &mut State| state.subscribers == 0 && !state.ended;
                    drop(shared.bell.wait_while(shared.lock(), idle));
                    continue;
                }
                let before = shared.lock().picture.number;
                if observer.status().is_err() {
                    return;
                }
                shared.ring();
                let older = |state: &mut State| state.picture.number <= before && !state.ended;
                drop(shared.bell.wait_while(shared.lock(), older));
            }
        };
        thread::Builder::new().name("watcher".into()).spawn(watch).ok().map(|_| leash)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use gatepost_shared::Semaphore;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn yard() -> (tempfile::TempDir, Semaphore, Watch) {
        let dir = tempfile::TempDir::new().expect("a folder");
        let folder = Folder::at(dir.path());
        let semaphore = Semaphore::open("busy", &folder.options().clone().limit(1)).expect("a semaphore");
        let watch = Watch::start(folder).expect("a thread");
        (dir, semaphore, watch)
    }

    #[test]
    fn p1_a_busy_semaphore_costs_no_more_than_ten_pictures_a_second() {
        let (_dir, semaphore, watch) = yard();
        let mut pictures = watch.subscribe();
        let end = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(Relaxed) {
                    drop(semaphore.try_acquire());
                }
            });
            let first = pictures.next(PATIENCE).expect("a picture").number;
            let began = Instant::now();
            let mut last = first;
            while began.elapsed() < Duration::from_secs(1) {
                last = pictures.next(PATIENCE).expect("a picture").number;
            }
            let most = began.elapsed().as_millis() / GAP.as_millis() + 1;
            end.store(true, Relaxed);
            assert!(u128::from(last - first) <= most, "{} pictures, and {most} would be many", last - first);
        });
    }

    #[test]
    fn p2_a_picture_comes_without_a_change_too() {
        let (_dir, _semaphore, watch) = yard();
        let mut pictures = watch.subscribe();
        for number in 1..=3 {
            assert!(pictures.next(PATIENCE).is_some_and(|picture| picture.number >= number));
        }
    }

    #[test]
    fn p3_without_subscribers_nobody_looks_and_the_next_one_sees_no_old_picture() {
        let (_dir, semaphore, watch) = yard();
        assert!(watch.subscribe().next(PATIENCE).is_some());
        let _held = semaphore.try_acquire().expect("it is free");
        let mut again = watch.subscribe();
        let used = |picture: Arc<Picture>| {
            picture.looks[0].sight.seen.as_ref().map(|status| status.used).map_err(Clone::clone)
        };
        // The scanner may have begun a last look before the permit was taken; a second one it has not.
        let seen = [again.next(PATIENCE), again.next(PATIENCE)].map(|picture| used(picture.expect("a picture")));
        assert_eq!(seen[1], Ok(1));
    }

    #[test]
    fn p5_a_file_made_anew_is_seen_anew() {
        let (dir, semaphore, watch) = yard();
        let mut pictures = watch.subscribe();
        let limit = |picture: &Picture| {
            picture.looks.first().and_then(|look| look.sight.seen.as_ref().ok()).map(|status| status.limit)
        };
        while pictures.next(PATIENCE).is_none_or(|picture| limit(&picture) != Some(1)) {}
        drop(semaphore);
        fs::remove_file(dir.path().join("busy.gate")).expect("it is there");
        let options = gatepost_shared::Options::new().directory(dir.path()).limit(7);
        let again = Semaphore::open("busy", &options).expect("a semaphore");
        while pictures.next(PATIENCE).is_none_or(|picture| limit(&picture) != Some(7)) {}
        again.resize(8).expect("resized");
        while pictures.next(PATIENCE).is_none_or(|picture| limit(&picture) != Some(8)) {}
    }
}
