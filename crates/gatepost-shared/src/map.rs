//! The file in memory: typed rows by checked index, and nothing else.
//!
//! M1. The mapping is as long as the geometry says, which was compared with the size of the file; and it stays where it is
//!     until the value is dropped.
//! M2. Only atomics are made of it, so what other processes write at any time is data and never undefined behaviour.
//! M3. A row is had by an index that was compared with the size of its table.
//!
//! What this cannot guard against is a file that is made shorter while it is mapped: the system answers an access behind
//! its new end with SIGBUS. Whoever may write the file may do that; see *Security* in the documentation of the crate.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::layout::{EventRow, Geometry, GrantRow, Header, SessionRow, SlotRow, WaiterRow};

/// A mapping of the whole file.
#[derive(Debug)]
pub(crate) struct Map {
    base: NonNull<u8>,
    geometry: Geometry,
}

// SAFETY: by M1 the mapping does not move and lives as long as the value; by M2 all that is reached through it is atomic.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps `file`, whose size is that of `geometry`.
    pub(crate) fn new(file: BorrowedFd<'_>, geometry: Geometry, writable: bool) -> rustix::io::Result<Self> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: no address is asked for, so nothing that exists is replaced.
        let base = unsafe { mmap(std::ptr::null_mut(), geometry.size(), access, MapFlags::SHARED, file, 0)? };
        let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { base, geometry })
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: M1: the first page is there, and page-aligned; M2: the header is made of atomics.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    pub(crate) fn session(&self, index: u32) -> Option<&SessionRow> {
        self.row(self.geometry.sessions_at(), self.geometry.sessions, index)
    }

    pub(crate) fn grant(&self, index: u32) -> Option<&GrantRow> {
        self.row(self.geometry.grants_at(), self.geometry.grants, index)
    }

    pub(crate) fn slot(&self, index: u32) -> Option<&SlotRow> {
        self.row(self.geometry.slots_at(), self.geometry.slots, index)
    }

    pub(crate) fn waiter(&self, index: u32) -> Option<&WaiterRow> {
        self.row(self.geometry.waiters_at(), self.geometry.waiters, index)
    }

    /// The row of event `number` in the ring.
    pub(crate) fn event(&self, number: u64) -> Option<&EventRow> {
        let index = number % u64::from(self.geometry.events);
        self.row(self.geometry.events_at(), self.geometry.events, index as u32)
    }

    /// Every session with its index; and so for the other tables.
    pub(crate) fn sessions(&self) -> impl DoubleEndedIterator<Item = (u32, &SessionRow)> {
        (0..self.geometry.sessions).filter_map(|index| Some((index, self.session(index)?)))
    }

    pub(crate) fn grants(&self) -> impl DoubleEndedIterator<Item = (u32, &GrantRow)> {
        (0..self.geometry.grants).filter_map(|index| Some((index, self.grant(index)?)))
    }

    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = (u32, &SlotRow)> {
        (0..self.geometry.slots).filter_map(|index| Some((index, self.slot(index)?)))
    }

    pub(crate) fn waiters(&self) -> impl DoubleEndedIterator<Item = (u32, &WaiterRow)> {
        (0..self.geometry.waiters).filter_map(|index| Some((index, self.waiter(index)?)))
    }

    /// Row `index` of the table of `rows` rows that begins at byte `at`. `T` is one of the row types, all made of atomics
    /// and aligned to 8 bytes, as `at` and the size of each are.
    fn row<T>(&self, at: usize, rows: u32, index: u32) -> Option<&T> {
        if index >= rows {
            return None;
        }
        let offset = at + index as usize * size_of::<T>();
        debug_assert!(offset % align_of::<T>() == 0 && offset + size_of::<T>() <= self.geometry.size());
        // SAFETY: M3: the row lies in its table, which by M1 lies in the mapping; M2.
        unsafe { Some(self.base.add(offset).cast::<T>().as_ref()) }
    }

    /// Writes the fixed part. For a file that nobody else can see yet.
    pub(crate) fn write_fixed(&self, bytes: &[u8; crate::layout::FIXED_SIZE]) {
        for (word, raw) in self.header().fixed.iter().zip(bytes.chunks_exact(8)) {
            let raw = u64::from_le_bytes(std::array::from_fn(|k| raw[k]));
            word.store(raw, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: M1: this is the mapping, and nothing borrows from a value that is dropped.
        let result = unsafe { munmap(self.base.as_ptr().cast(), self.geometry.size()) };
        debug_assert!(result.is_ok());
    }
}
