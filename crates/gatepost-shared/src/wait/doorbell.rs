//! The helper of a session: one thread, however many tasks wait, that sleeps on the session's word in the file and wakes tasks.
//!
//! D1. The thread runs while somebody is listed, and goes when the session does.
//! D2. It reads the doorbell, then looks at everyone who is listed, then sleeps while the doorbell is what it was. Whoever is
//!     answered after the look has the doorbell rung after the answer, so the sleep does not begin or is ended.
//! D3. No waker is called, cloned or dropped under the mutex of the list.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::helpers::at_work;
use super::{PATIENCE, RECHECK, watch};
use crate::error::Error;
use crate::futex;
use crate::layout::State;
use crate::protocol;
use crate::table::{Grant, Table, Turn};

/// The list, shared with the thread.
#[derive(Debug, Default)]
pub(crate) struct Doorbell(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    /// Those who wait for permits. By the whole of their place: in a damaged file a serial may be there twice.
    turns: HashMap<Turn, Waker>,
    /// Those who wait for the loss of a permit, by a number of their own.
    losses: HashMap<u64, (Grant, Waker)>,
    last_loss: u64,
    is_running: bool,
    is_stopped: bool,
}

impl Doorbell {
    fn lock(list: &Mutex<List>) -> MutexGuard<'_, List> {
        // Nothing panics while it is locked.
        list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` woken when `turn` has been answered.
    pub(crate) fn list(&self, table: &Arc<Table>, turn: Turn, waker: &Waker) -> Result<(), Error> {
        let waker = waker.clone();
        let mut list = Self::lock(&self.0);
        let old = list.turns.insert(turn, waker);
        let start = self.start(&mut list, table);
        drop(list);
        drop(old);
        start
    }

    /// Does not wake anybody for `turn` any more.
    pub(crate) fn forget(&self, turn: Turn) {
        let old = Self::lock(&self.0).turns.remove(&turn);
        drop(old);
    }

    /// Has `waker` woken when `grant` is held no more; `key`: of an earlier call that it replaces.
    pub(crate) fn list_loss(
        &self,
        table: &Arc<Table>,
        key: Option<u64>,
        grant: Grant,
        waker: &Waker,
    ) -> Result<u64, Error> {
        let waker = waker.clone();
        let mut list = Self::lock(&self.0);
        list.last_loss += 1;
        let key = key.unwrap_or(list.last_loss);
        let old = list.losses.insert(key, (grant, waker));
        let start = self.start(&mut list, table);
        drop(list);
        drop(old);
        start.map(|()| key)
    }

    /// Does not wake anybody for that loss any more.
    pub(crate) fn forget_loss(&self, key: u64) {
        let old = Self::lock(&self.0).losses.remove(&key);
        drop(old);
    }

    fn start(&self, list: &mut List, table: &Arc<Table>) -> Result<(), Error> {
        if list.is_running {
            return Ok(());
        }
        let (shared, table) = (Arc::clone(&self.0), Arc::clone(table));
        let path = table.path().to_owned();
        std::thread::Builder::new()
            .name("gatepost-bell".to_owned())
            .spawn(move || serve(&shared, &table))
            .map_err(|source| Error::Io { what: "start a thread that waits for", path, source })?;
        list.is_running = true;
        Ok(())
    }

    /// Ends the thread.
    pub(crate) fn stop(&self, table: &Table) {
        Self::lock(&self.0).is_stopped = true;
        if let Some(row) = table.map().session(table.me()) {
            // ORDERING: Release pairs with the Acquire in `serve`; the mutex orders the rest.
            row.doorbell.fetch_add(1, std::sync::atomic::Ordering::Release);
            futex::wake(futex::of(&row.doorbell), i32::MAX);
        }
    }
}

/// Takes those out for whom it is time.
fn take_out<K: Copy + Eq + Hash, V>(listed: &mut HashMap<K, V>, is_time: impl Fn(&K, &V) -> bool) -> Vec<V> {
    let keys: Vec<K> = listed.iter().filter(|(key, entry)| is_time(key, entry)).map(|(key, _)| *key).collect();
    keys.iter().filter_map(|key| listed.remove(key)).collect()
}

/// The thread.
fn serve(list: &Mutex<List>, table: &Arc<Table>) {
    let Some(row) = table.map().session(table.me()) else { return };
    let mut watching = None;
    let mut had_turns = false;
    loop {
        // D2.
        let seen = protocol::heard(&row.doorbell);
        let mut guard = Doorbell::lock(list);
        if guard.is_stopped {
            return;
        }
        let answered = |turn: &Turn, _: &Waker| table.state_of(*turn) != State::Active;
        let over = |_: &u64, (grant, _): &(Grant, Waker)| !table.is_held(*grant);
        let mut wakers = take_out(&mut guard.turns, answered);
        wakers.extend(take_out(&mut guard.losses, over).into_iter().map(|(_, waker)| waker));
        let has_turns = !guard.turns.is_empty();
        drop(guard);
        for waker in wakers {
            // A panic of somebody's waker is that task's affair, and the others are to be woken.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
        }
        // Tasks that wait for longer than a look have the others watched, as a thread has that waits.
        if !has_turns {
            watching = None;
        } else if had_turns && watching.is_none() {
            watching = watch(table).ok();
            if watching.is_none() {
                // Without a watcher it is done here, more seldom.
                let _at_work = at_work();
                let _ = table.reap();
            }
        }
        had_turns = has_turns;
        let most = if has_turns && watching.is_none() { PATIENCE } else { RECHECK };
        futex::wait(futex::of(&row.doorbell), seen, most);
    }
}
