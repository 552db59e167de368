//! Names on the command line: of a semaphore, of a number of its permits, of one permit that is held.
//!
//! A name may be the path of a file, with any of `=` and `:` in it; so the number is what follows the *last* of them.

use std::fmt;
use std::str::FromStr;

use gatepost_shared::PermitId;

/// `NAME` or `NAME=N`: a semaphore, and how many of its permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The semaphore.
    pub(crate) name: String,
    /// How many permits, if it was said.
    pub(crate) permits: Option<u32>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, permits) = match text.rsplit_once('=') {
            None => (text, None),
            Some((name, number)) => (name, Some(permits(number).map_err(|reason| format!("{number:?}: {reason}"))?)),
        };
        if name.is_empty() {
            return Err("a name is missing; write NAME or NAME=PERMITS, such as build=2".to_owned());
        }
        Ok(Self { name: name.to_owned(), permits })
    }
}

/// A number of permits.
pub(crate) fn permits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("0 permits are none; ask for at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("a number of permits is a whole number from 1".to_owned()),
    }
}

/// `NAME:ID`: one permit that is, or was, held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PermitName {
    /// The semaphore.
    pub(crate) name: String,
    /// Its number for the permit.
    pub(crate) id: PermitId,
}

impl FromStr for PermitName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how =
            || format!("{text:?} names no permit; write NAME:NUMBER, such as build:57, as `gatepost status` shows it");
        let (name, id) = text.rsplit_once(':').ok_or_else(how)?;
        if name.is_empty() {
            return Err(how());
        }
        Ok(Self { name: name.to_owned(), id: id.parse().map_err(|_| how())? })
    }
}

impl fmt::Display for PermitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_permits_follows_the_last_sign() {
        let wanted = |text: &str| text.parse::<Wanted>().map(|wanted| (wanted.name, wanted.permits));
        assert_eq!(wanted("build"), Ok(("build".to_owned(), None)));
        assert_eq!(wanted("build=2"), Ok(("build".to_owned(), Some(2))));
        assert_eq!(wanted("./a=b.gate=3"), Ok(("./a=b.gate".to_owned(), Some(3))));
        for wrong in ["", "=2", "build=0", "build=", "build=-1", "build=x"] {
            assert!(wanted(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_permit_is_named_as_it_is_printed() {
        for text in ["build:57", "/a/b:c.gate:1", "./x.gate:18446744073709551615"] {
            assert_eq!(text.parse::<PermitName>().expect("a permit").to_string(), text);
        }
        for wrong in ["", "build", "build:", ":5", "5", "build:x", "build:-1", "build:18446744073709551616"] {
            assert!(wrong.parse::<PermitName>().is_err(), "{wrong:?}");
        }
    }
}
