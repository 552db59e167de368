//! What a job weighs: how many permits it takes.

use std::fs;
use std::num::{IntErrorKind, NonZeroUsize};

use super::items::Item;
use super::template::column;
use crate::error::{Error, quoted};

/// How jobs are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weigh {
    /// Each weighs one.
    One,
    /// By the size of the file that the item names.
    Size {
        /// Bytes to one permit, at least 1.
        unit: u64,
    },
    /// By a number in the item.
    Column {
        /// Which tab-separated column.
        column: NonZeroUsize,
    },
}

/// The rule for all weights of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    /// How jobs are weighed.
    pub(crate) weigh: Weigh,
    /// The number of permits, at least 1.
    pub(crate) limit: usize,
    /// Whether what is over the limit weighs as much as the limit, instead of being an error.
    pub(crate) clamp: bool,
}

impl Weights {
    /// The weight of `item`: from 1 to the limit.
    pub(crate) fn of(&self, item: &Item) -> Result<usize, Error> {
        let weight = match self.weigh {
            Weigh::One => 1,
            Weigh::Size { unit } => size(item)?.div_ceil(unit).try_into().unwrap_or(usize::MAX),
            Weigh::Column { column } => number(item, column)?,
        };
        match weight.max(1) {
            weight if weight <= self.limit => Ok(weight),
            _ if self.clamp => Ok(self.limit),
            weight => Err(Error::OverLimit { item: item.named(), weight, limit: self.limit }),
        }
    }
}

/// The size of the file that `item` names, in bytes.
fn size(item: &Item) -> Result<u64, Error> {
    let no_size = |reason| Error::NoSize { item: item.named(), reason };
    let file = fs::metadata(&item.text).map_err(|error| no_size(error.to_string()))?;
    match file.is_file() {
        true => Ok(file.len()),
        // A directory has a size too, and it says nothing of what is in it.
        false if file.is_dir() => Err(no_size("it is a directory".to_owned())),
        false => Err(no_size("it is not a regular file".to_owned())),
    }
}

/// The whole number in column `wanted` of `item`.
fn number(item: &Item, wanted: NonZeroUsize) -> Result<usize, Error> {
    let not_a_weight = |found| Error::NotAWeight { item: item.named(), column: wanted.get(), found };
    let text = column(&item.text, wanted).ok_or_else(|| not_a_weight("missing".to_owned()))?.trim_ascii();
    let digits = std::str::from_utf8(text).map_err(|_| not_a_weight(quoted(text)))?;
    match digits.parse() {
        Ok(number) => Ok(number),
        // A number, though a huge one: the limit, not the parser, is what it is over.
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Ok(usize::MAX),
        Err(_) => Err(not_a_weight(quoted(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn weight(weigh: Weigh, clamp: bool, text: impl Into<OsString>) -> Result<usize, String> {
        let item = Item { number: 4, text: text.into() };
        Weights { weigh, limit: 10, clamp }.of(&item).map_err(|error| error.to_string())
    }

    fn by_column(text: &str) -> Result<usize, String> {
        weight(Weigh::Column { column: NonZeroUsize::new(2).expect("not 0") }, false, text)
    }

    #[test]
    fn without_weights_each_weighs_one() {
        assert_eq!(weight(Weigh::One, false, "anything"), Ok(1));
    }

    #[test]
    fn a_column_is_a_whole_number_and_0_counts_as_1() {
        assert_eq!(by_column("a\t7"), Ok(7));
        assert_eq!(by_column("a\t 7 \tb"), Ok(7));
        assert_eq!(by_column("a\t0"), Ok(1));
        for (text, found) in [("a", "missing"), ("a\t", "\"\""), ("a\t-1", "\"-1\""), ("a\t1.5", "\"1.5\"")] {
            let error = by_column(text).unwrap_err();
            assert!(error.contains("item 4") && error.contains(&format!("column 2 is {found}")), "{error}");
        }
    }

    #[test]
    fn over_the_limit_is_an_error_or_clamped() {
        assert_eq!(by_column("a\t10"), Ok(10));
        let error = by_column("a\t11").unwrap_err();
        assert!(error.contains("item 4 (\"a\\t11\") weighs 11 and the limit is 10"), "{error}");
        assert!(error.contains("--limit to 11") && error.contains("--clamp"), "{error}");
        let huge = "9".repeat(40);
        assert!(by_column(&format!("a\t{huge}")).unwrap_err().contains("the limit is 10"));
        let column = NonZeroUsize::MIN;
        assert_eq!(weight(Weigh::Column { column }, true, huge), Ok(10));
    }

    #[test]
    fn a_file_weighs_one_for_each_unit_begun() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let weigh = |bytes: u64, unit: u64| {
            file.as_file().set_len(bytes).expect("resize");
            weight(Weigh::Size { unit }, false, file.path())
        };
        assert_eq!([weigh(0, 10), weigh(1, 10), weigh(10, 10), weigh(11, 10)], [Ok(1), Ok(1), Ok(1), Ok(2)]);
        assert!(weigh(u64::from(u32::MAX), 1).unwrap_err().contains("weighs 4294967295"));
    }

    #[test]
    fn what_is_no_regular_file_has_no_weight() {
        let by_size = |path| weight(Weigh::Size { unit: 1 }, true, path).unwrap_err();
        assert!(by_size("/").contains("it is a directory"));
        assert!(by_size("/dev/null").contains("it is not a regular file"));
        assert!(by_size("/nowhere/at/all").contains("No such file"));
    }
}
