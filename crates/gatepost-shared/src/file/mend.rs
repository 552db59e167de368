//! A header that has been damaged, written anew.
//!
//! Everything in it that matters to anybody is known without it: the format, and the sizes of the tables, of which there are two
//! kinds that differ in the size of the file. So `repair` can tell a header in which something was changed from one that is
//! another version's, whose checksum is right, and from a file that never was a semaphore's.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::Place;
use super::create::{Access, open_file, trust};
use crate::error::Error;
use crate::layout::{FIXED_SIZE, Fixed, Geometry, MAGIC, MINOR};
use crate::options::Options;

/// How many bits may differ from what must be there. Of a file of random bytes it would be half of them, some 350.
const MOST_BITS: u32 = 64;
/// How much of the first eight bytes must be right: a file of zeros is nobody's.
const MAGIC_BYTES: usize = 5;

/// Writes the header of a semaphore's file anew if it was damaged; what was done, in words.
pub(crate) fn mend_header(place: &Place, options: &Options) -> Result<Option<String>, Error> {
    let Some(file) = open_file(place, Access::Write)? else { return Ok(None) };
    let path = &place.path;
    let size = trust(file.as_fd(), path, options, Access::Write)?;
    mend(file.as_fd(), path, size)
}

fn mend(file: BorrowedFd<'_>, path: &Path, size: u64) -> Result<Option<String>, Error> {
    let io = |what| move |errno: rustix::io::Errno| Error::Io { what, path: path.to_owned(), source: errno.into() };
    let geometry = [true, false].map(Geometry::with_slots).into_iter().find(|geometry| geometry.size() as u64 == size);
    let Some(geometry) = geometry else { return Ok(None) };
    let mut found = [0; FIXED_SIZE];
    if rustix::io::pread(file, &mut found[..], 0).map_err(io("read"))? < FIXED_SIZE {
        return Ok(None);
    }
    let Some(mended) = mended(&found, geometry) else { return Ok(None) };
    rustix::io::pwrite(file, &mended[..], 0).map_err(io("write"))?;
    Ok(Some("the header was damaged and has been written anew".to_owned()))
}

/// What the header has been, if it was damaged and can be told from others.
fn mended(found: &[u8; FIXED_SIZE], geometry: Geometry) -> Option<[u8; FIXED_SIZE]> {
    if Fixed::has_right_checksum(found) {
        return None;
    }
    // File id, boot id and time of creation are what they are.
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|k| found[at + k]));
    let u128_at = |at: usize| u128::from(u64_at(at)) | u128::from(u64_at(at + 8)) << 64;
    let (file_id, boot_id, created) = (u128_at(0x20), u128_at(0x30), u64_at(0x40));
    let mended = Fixed { minor: MINOR, ro_compat: 0, file_id, boot_id, created, geometry }.encode();
    let bytes = found.iter().zip(&mended).enumerate().filter(|(at, _)| !(0x5C..0x60).contains(at));
    let bits: u32 = bytes.map(|(_, (found, mended))| (found ^ mended).count_ones()).sum();
    let magic = found.iter().zip(&MAGIC).filter(|(found, right)| found == right).count();
    (bits <= MOST_BITS && magic >= MAGIC_BYTES).then_some(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(slots: bool) -> [u8; FIXED_SIZE] {
        let geometry = Geometry::with_slots(slots);
        Fixed { minor: MINOR, ro_compat: 0, file_id: 3, boot_id: 4, created: 5, geometry }.encode()
    }

    #[test]
    fn every_bit_of_a_header_can_be_mended_but_those_that_are_no_damage() {
        for slots in [true, false] {
            let good = header(slots);
            for bit in 0..FIXED_SIZE * 8 {
                let mut bad = good;
                bad[bit / 8] ^= 1 << (bit % 8);
                let mended = mended(&bad, Geometry::with_slots(slots));
                match bit / 8 {
                    // The boot id is not under the checksum; what cannot be known stays as it is.
                    0x30..0x40 => assert_eq!(mended, None, "bit {bit}"),
                    0x20..0x30 | 0x40..0x48 => {
                        assert!(mended.is_some_and(|new| Fixed::decode(&new).is_ok()), "bit {bit}")
                    }
                    _ => assert_eq!(mended, Some(good), "bit {bit}"),
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_damaged_header_is_left_alone() {
        let geometry = Geometry::with_slots(true);
        assert_eq!(mended(&header(true), geometry), None, "it is whole");
        assert_eq!(mended(&[0; FIXED_SIZE], geometry), None, "zeros");
        assert_eq!(mended(&[0x5A; FIXED_SIZE], geometry), None, "text");
        assert_eq!(mended(&Fixed::with_major(2), geometry), None, "another version, whole");
    }
}
