//! What is done to a semaphore by one who need not hold any of it.

use std::sync::atomic::Ordering::{Relaxed, Release};

use super::reap::kept_by;
use super::{Fault, Note, Section, add};
use crate::layout::Claim;
use crate::{EventKind, clock, step};

impl Section<'_> {
    /// Changes the limit. Fewer permits take nothing from those who hold them; more serve the queue.
    pub(crate) fn resize(&mut self, limit: u32) {
        let old = self.table.config();
        let why = format!("the limit was {}", old.limit());
        self.announce(Note { kind: Some(EventKind::Resized), permits: limit, why: &why, ..Note::default() });
        // ORDERING: Release: for those who look without the lock.
        self.header().config.store(old.with_limit(limit).0, Release);
        step::at("resize: stored");
        self.confirm();
        self.send_away(limit);
        self.serve(clock::boot_ns());
    }

    /// Admits nobody until it is resumed, or everybody again.
    pub(crate) fn pause(&mut self, paused: bool) {
        let old = self.table.config();
        if old.is_paused() == paused {
            return;
        }
        let kind = if paused { EventKind::Paused } else { EventKind::Resumed };
        self.announce(Note { kind: Some(kind), ..Note::default() });
        // ORDERING: Release: as in `resize`.
        self.header().config.store(old.with_paused(paused).0, Release);
        step::at("pause: stored");
        self.confirm();
        self.serve(clock::boot_ns());
    }

    /// Ends the grant with this serial, whosever it is; by force: it is written down, and its session is told. False if it was gone.
    pub(crate) fn end(&mut self, serial: u64, force: Option<&str>) -> bool {
        let Some(grant) = self.find(serial) else { return false };
        let now = clock::boot_ns();
        if let Some(why) = force {
            let row = self.table.map().grant(grant.index);
            let to = row.and_then(|row| kept_by(row).or_else(|| row.owner.load()));
            let (serial, permits) = (Some(serial), grant.word.permits());
            self.announce(Note { kind: Some(EventKind::Revoked), serial, permits, to, why });
        }
        // It is held: it was found.
        self.free(grant, now);
        self.ring(grant.word.session());
        match force {
            None => add(&self.header().released, 1),
            Some(_) => {
                add(&self.header().revoked, 1);
                self.confirm();
            }
        }
        self.serve(now);
        true
    }

    /// From now on `process` keeps the grant when its session has ended; false if the grant is gone.
    pub(crate) fn keep(&mut self, grant: super::Grant, process: crate::Process) -> bool {
        let Some(row) = self.held(grant) else { return false };
        row.keep_pid.store(0, Relaxed);
        row.keep_start.store(process.start, Relaxed);
        row.keep_namespace.store(process.namespace, Relaxed);
        step::at("keep: prepared");
        // ORDERING: Release: whoever sees the number sees the rest, and one who finds the section half done finds nobody or the
        // whole.
        row.keep_pid.store(process.pid, Release);
        step::at("keep: stored");
        true
    }

    /// From now on the grant is held until the boot clock shows `expires`, if its session has ended by then; false if it is gone.
    pub(crate) fn lease(&mut self, grant: super::Grant, expires: u64) -> bool {
        let Some(row) = self.held(grant) else { return false };
        row.expires.store(expires, Relaxed);
        step::at("lease: stored");
        true
    }

    /// After a restart of the machine nobody is left who could hold or wait. By the one who prepares the file, before it has a
    /// session; the boot id is stored by the caller, last.
    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        let map = self.table.map();
        self.finish_note();
        for (_, row) in map.grants() {
            row.word.store(Claim::FREE.0, Relaxed);
        }
        for (_, row) in map.waiters() {
            row.word.store(Claim::FREE.0, Relaxed);
        }
        for (_, row) in map.sessions() {
            let word = crate::layout::SessionWord(row.word.load(Relaxed));
            row.word.store(crate::layout::SessionWord::new(false, word.generation()).0, Relaxed);
        }
        Ok(self.rebuild()?)
    }

    /// Writes down that the file is new, or that the machine is another one than before.
    pub(crate) fn restarted(&mut self, is_new: bool) {
        let permits = self.table.config().limit();
        self.note(if is_new {
            Note { kind: Some(EventKind::Created), permits, why: "with this limit", ..Note::default() }
        } else {
            let why = "the machine has started since; nothing is held";
            Note { kind: Some(EventKind::Rebooted), permits, why, ..Note::default() }
        });
    }

    /// Gives this session its generation and its name: from here on nothing in the file is taken for its own that is not.
    pub(crate) fn sign(&mut self, generation: u32, name: &str) {
        let Some(row) = self.table.map().session(self.table.me()) else { return };
        let own = self.table.own();
        row.pid.store(own.pid, Relaxed);
        row.start.store(own.start, Relaxed);
        row.namespace.store(own.namespace, Relaxed);
        row.uid.store(rustix::process::geteuid().as_raw(), Relaxed);
        crate::layout::store_text(&row.name, name);
        step::at("session: prepared");
        // ORDERING: Release: whoever sees the word sees the row.
        row.word.store(crate::layout::SessionWord::new(true, generation).0, Release);
        step::at("session: signed");
    }
}
