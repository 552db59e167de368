//! The numbers of the permits: the lowest free ones are given out, and each use of a number has an epoch.

use std::sync::atomic::Ordering::Relaxed;

use super::{Damage, Section};
use crate::layout::{GrantRow, NONE, SlotWord};
use crate::step;

/// An epoch has 48 bits, and stays at its end.
const LAST_EPOCH: u64 = (1 << 48) - 1;

impl Section<'_> {
    /// Gives the `permits` lowest free slots below `limit` to `grant`, which is not held yet. T3.
    ///
    /// There are enough: the slots in use are as many as the permits in use, and with these there is room below the limit.
    pub(super) fn take_slots(&self, grant: u32, row: &GrantRow, permits: u32, limit: u32) -> Result<(), Damage> {
        row.slot.store(NONE, Relaxed);
        let map = self.table.map();
        if map.geometry().slots == 0 {
            return Ok(());
        }
        let mut left = permits;
        let mut link = &row.slot;
        for (base, free) in (0..).step_by(64).zip(&self.header().free_slots) {
            let mut bits = free.load(Relaxed);
            while bits != 0 && left > 0 {
                let index = base + bits.trailing_zeros();
                let slot = map.slot(index).filter(|_| index < limit).ok_or(Damage::Cache)?;
                let word = SlotWord(slot.word.load(Relaxed));
                if word.grant().is_some() {
                    return Err(Damage::Cache);
                }
                slot.word.store(SlotWord::of(LAST_EPOCH.min(word.epoch() + 1), grant).0, Relaxed);
                step::at("slots: took one");
                slot.next.store(NONE, Relaxed);
                link.store(index, Relaxed);
                link = &slot.next;
                bits &= bits - 1;
                left -= 1;
            }
            free.store(bits, Relaxed);
            if left == 0 {
                return Ok(());
            }
        }
        Err(Damage::Cache)
    }

    /// Takes them back from `grant`, which is not held any more.
    pub(super) fn free_slots(&mut self, grant: u32, row: &GrantRow, permits: u32) {
        let map = self.table.map();
        if map.geometry().slots == 0 {
            return;
        }
        let mut index = row.slot.load(Relaxed);
        for _ in 0..permits {
            let slot = map.slot(index).filter(|slot| SlotWord(slot.word.load(Relaxed)).grant() == Some(grant));
            let (Some(slot), Some(free)) = (slot, self.header().free_slots.get(index as usize / 64)) else {
                self.dirty = true;
                return;
            };
            slot.word.store(SlotWord::free(SlotWord(slot.word.load(Relaxed)).epoch()).0, Relaxed);
            step::at("slots: freed one");
            free.store(free.load(Relaxed) | 1 << (index % 64), Relaxed);
            index = slot.next.load(Relaxed);
        }
        self.dirty |= index != NONE;
    }
}
