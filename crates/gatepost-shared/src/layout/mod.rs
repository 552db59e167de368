//! The file, byte by byte.
//!
//! ```text
//! 0x0000  magic "GATEPOST" | u16 major, u16 minor | u32 incompat, ro_compat, compat       fixed: written once, with a
//! 0x0020  u128 file id | u128 boot id | u64 created                                       checksum (the boot id aside)
//! 0x0048  u32 sessions, grants, waiters, slots, events | u32 checksum
//! 0x0080  lock | seq | poison                                                             `lock`, `snapshot`
//! 0x00C0  config | next serial | next event                                               truth
//! 0x0100  used, held, waiting, free lists, queue                                          caches, made again at will
//! 0x0140  changes                                                                         where those sleep who look on
//! 0x0180  statistics, histograms
//! 0x0400  free slots, a bit each                                                          cache
//! 0x1000  sessions[]   64 B     who has it open
//!         grants[]    192 B     who holds how much: the truth
//!         slots[]      16 B     which permit has which number, and its epoch
//!         waiters[]   192 B     who waits
//!         events[]    192 B     a ring: what was done by force
//! ```
//!
//! Little-endian, and of one size from its creation on, so that a full file system says so when the file is made and not
//! by a signal later. Everything after the fixed part is an atomic that any process may write at any time: values are read
//! once, checked, then used. A field is always accessed with one width.
//!
//! The truth is in `config`, in the words of `grants`, `waiters` and `sessions`, and in `slots`. How many permits are in use
//! is a sum over `grants`; `used` is where that sum is kept between two acquisitions, and whoever finds a critical section
//! left by a dead process makes it, and the lists, anew.
//!
//! *Versions.* A reader refuses a file of another major version, or with a bit in `incompat` that it does not know; with
//! an unknown bit in `ro_compat` it looks and does not touch; unknown bits in `compat` say nothing to it (as ext4 has it).

mod rows;
mod word;

pub(crate) use rows::{EventRow, GrantRow, Header, SessionRow, SlotRow, WaiterRow};
pub(crate) use rows::{load_text, store_text};
pub(crate) use word::{Claim, Config, LockWord, SessionWord, SlotWord, State};

#[cfg(target_endian = "big")]
compile_error!("the file of a shared semaphore is little-endian, and nobody has written the conversion");

/// The first eight bytes.
pub(crate) const MAGIC: [u8; 8] = *b"GATEPOST";
/// Files of another major version are refused.
pub(crate) const MAJOR: u16 = 1;
/// Files of another minor version can be used.
pub(crate) const MINOR: u16 = 0;
/// No index: ends a list.
pub(crate) const NONE: u32 = u32::MAX;
/// The greatest limit with slots, and so the greatest number of words that one acquisition writes.
pub(crate) const MAX_SLOTS: u32 = 1024;
/// The greatest limit.
pub(crate) const MAX_PERMITS: u32 = (1 << 30) - 1;
/// The first byte that stands for a session: byte `SESSION_BYTE + i` is locked while session `i` lives. Locks may lie
/// beyond the end of a file.
pub(crate) const SESSION_BYTE: i64 = 1 << 40;
/// Locked while the file is prepared for use, or taken away.
pub(crate) const SETUP_BYTE: i64 = SESSION_BYTE - 1;

const HEADER_SIZE: usize = 0x1000;

/// The sizes of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) sessions: u32,
    pub(crate) grants: u32,
    pub(crate) waiters: u32,
    /// 0, or the greatest limit.
    pub(crate) slots: u32,
    pub(crate) events: u32,
}

impl Geometry {
    /// What a new file has room for.
    pub(crate) fn with_slots(slots: bool) -> Self {
        Self { sessions: 1024, grants: 1024, waiters: 1024, slots: if slots { MAX_SLOTS } else { 0 }, events: 512 }
    }

    /// The greatest limit.
    pub(crate) fn capacity(self) -> u32 {
        if self.slots == 0 { MAX_PERMITS } else { self.slots }
    }

    /// Whether each table has a size that the words can count, and that no loop over it takes long.
    fn is_sound(self) -> bool {
        let fits = |size: u32| (1..=0x4000).contains(&size);
        // A lock word names its owner plus one in 16 bits, a slot its grant in 16 bits with one value for none.
        fits(self.sessions)
            && fits(self.grants)
            && fits(self.waiters)
            && fits(self.events)
            && (self.slots == 0 || self.slots == MAX_SLOTS)
    }

    pub(crate) fn sessions_at(self) -> usize {
        HEADER_SIZE
    }

    pub(crate) fn grants_at(self) -> usize {
        self.sessions_at() + self.sessions as usize * size_of::<SessionRow>()
    }

    pub(crate) fn slots_at(self) -> usize {
        self.grants_at() + self.grants as usize * size_of::<GrantRow>()
    }

    pub(crate) fn waiters_at(self) -> usize {
        self.slots_at() + self.slots as usize * size_of::<SlotRow>()
    }

    pub(crate) fn events_at(self) -> usize {
        self.waiters_at() + self.waiters as usize * size_of::<WaiterRow>()
    }

    /// The size of the file.
    pub(crate) fn size(self) -> usize {
        let end = self.events_at() + self.events as usize * size_of::<EventRow>();
        end.next_multiple_of(4096)
    }
}

/// The part that is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) minor: u16,
    pub(crate) ro_compat: u32,
    pub(crate) file_id: u128,
    pub(crate) boot_id: u128,
    /// Nanoseconds since 1970.
    pub(crate) created: u64,
    pub(crate) geometry: Geometry,
}

/// The size of the fixed part.
pub(crate) const FIXED_SIZE: usize = 0x80;
/// Where the boot id is, as an index of 64-bit words.
pub(crate) const BOOT_ID_AT: usize = 0x30 / 8;

impl Fixed {
    /// As bytes of the file.
    pub(crate) fn encode(&self) -> [u8; FIXED_SIZE] {
        let mut bytes = [0; FIXED_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0x00, &MAGIC);
        put(0x08, &MAJOR.to_le_bytes());
        put(0x0A, &self.minor.to_le_bytes());
        put(0x10, &self.ro_compat.to_le_bytes());
        put(0x20, &self.file_id.to_le_bytes());
        put(0x30, &self.boot_id.to_le_bytes());
        put(0x40, &self.created.to_le_bytes());
        let Geometry { sessions, grants, waiters, slots, events } = self.geometry;
        for (k, size) in [sessions, grants, waiters, slots, events].into_iter().enumerate() {
            put(0x48 + 4 * k, &size.to_le_bytes());
        }
        let sum = checksum(&bytes);
        bytes[0x5C..0x60].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Whether what never changes is as it was written.
    pub(crate) fn has_right_checksum(bytes: &[u8; FIXED_SIZE]) -> bool {
        checksum(bytes).to_le_bytes() == bytes[0x5C..0x60]
    }

    /// A whole header of another major version.
    #[cfg(test)]
    pub(crate) fn with_major(major: u16) -> [u8; FIXED_SIZE] {
        let geometry = Geometry::with_slots(true);
        let fixed = Self { minor: 0, ro_compat: 0, file_id: 1, boot_id: 2, created: 3, geometry };
        let mut bytes = fixed.encode();
        bytes[0x08..0x0A].copy_from_slice(&major.to_le_bytes());
        let sum = checksum(&bytes);
        bytes[0x5C..0x60].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// From the first bytes of a file, or what is wrong with them, and what to do.
    pub(crate) fn decode(bytes: &[u8; FIXED_SIZE]) -> Result<Self, (String, &'static str)> {
        const OTHER: &str = "it is another program's file: choose another name or folder";
        const DAMAGED: &str =
            "repair it (`gatepost repair`), or, if nothing uses it, remove it (rm), and the next use creates it anew";
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|k| bytes[at + k]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|k| bytes[at + k]));
        let u128_at = |at: usize| u128::from_le_bytes(std::array::from_fn(|k| bytes[at + k]));
        if bytes[..8] != MAGIC {
            return Err(("it does not begin as a semaphore's file does".to_owned(), OTHER));
        }
        let [major, minor] = [0, 16].map(|shift| (u32_at(0x08) >> shift) as u16);
        if major != MAJOR {
            return Err((
                format!("it has format {major}.{minor}, and this version knows {MAJOR}.x"),
                "use the version of gatepost that made it, or, if nothing uses it, remove it (rm)",
            ));
        }
        if !Self::has_right_checksum(bytes) {
            return Err(("the checksum of its header is wrong".to_owned(), DAMAGED));
        }
        let incompat = u32_at(0x0C);
        if incompat != 0 {
            return Err((
                format!("it needs features that this version does not know ({incompat:#x})"),
                "use a newer version of gatepost",
            ));
        }
        let [sessions, grants, waiters, slots, events] = [0, 1, 2, 3, 4].map(|k| u32_at(0x48 + 4 * k));
        let geometry = Geometry { sessions, grants, waiters, slots, events };
        if !geometry.is_sound() {
            return Err((format!("its tables have impossible sizes ({geometry:?})"), DAMAGED));
        }
        Ok(Self {
            minor,
            ro_compat: u32_at(0x10),
            file_id: u128_at(0x20),
            boot_id: u128_at(0x30),
            created: u64_at(0x40),
            geometry,
        })
    }
}

/// Over everything that never changes: all but the boot id and the sum itself.
fn checksum(bytes: &[u8; FIXED_SIZE]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..0x30]);
    hasher.update(&bytes[0x40..0x5C]);
    hasher.update(&bytes[0x60..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> Fixed {
        Fixed {
            minor: 3,
            ro_compat: 0,
            file_id: 0x1234_5678_9ABC_DEF0_1111_2222_3333_4444,
            boot_id: 7,
            created: 99,
            geometry: Geometry::with_slots(true),
        }
    }

    #[test]
    fn the_fixed_part_comes_back_as_it_was_written() {
        assert_eq!(Fixed::decode(&fixed().encode()), Ok(fixed()));
        assert_eq!(fixed().encode()[..8], *b"GATEPOST");
    }

    #[test]
    fn another_boot_id_leaves_the_checksum_right_and_any_other_bit_does_not() {
        let bytes = fixed().encode();
        for bit in 0..FIXED_SIZE * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let boot_id = (0x30..0x40).contains(&(bit / 8));
            assert_eq!(Fixed::decode(&flipped).is_ok(), boot_id, "bit {bit}");
        }
    }

    #[test]
    fn tables_lie_one_behind_the_other_and_aligned() {
        for geometry in [Geometry::with_slots(true), Geometry::with_slots(false)] {
            let ends = [
                geometry.sessions_at(),
                geometry.grants_at(),
                geometry.slots_at(),
                geometry.waiters_at(),
                geometry.events_at(),
                geometry.size(),
            ];
            assert!(ends.is_sorted());
            assert!(ends.iter().all(|at| at % 64 == 0));
        }
    }
}
