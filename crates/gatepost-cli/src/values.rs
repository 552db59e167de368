//! The values of options, each with a parser of its own, whose errors say what to write instead.

use std::num::NonZeroUsize;
use std::time::Duration;

use gatepost::Semaphore;

use crate::each::weight::Weigh;

/// The number of CPUs that this process may use, or 1 if the system does not say.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The value of `--limit`.
pub(crate) fn limit(text: &str) -> Result<NonZeroUsize, String> {
    let limit: usize =
        text.parse().map_err(|_| format!("a limit is a whole number from 1 to {}", Semaphore::MAX_PERMITS))?;
    if limit > Semaphore::MAX_PERMITS {
        return Err(format!("the greatest limit is {}", Semaphore::MAX_PERMITS));
    }
    NonZeroUsize::new(limit).ok_or_else(|| {
        format!(
            "with a limit of 0 nothing could ever run; give at least 1, or leave --limit out for the number of CPUs \
             (here {})",
            cpus()
        )
    })
}

/// The value of `--weigh`.
pub(crate) fn weigh(text: &str) -> Result<Weigh, String> {
    const HOW: &str = "write size:UNIT, such as size:64MiB, or column:K, such as column:2";
    match text.split_once(':') {
        Some(("size", unit)) => match unit.parse::<bytesize::ByteSize>().map(|unit| unit.as_u64()) {
            Ok(0) => Err("a unit of 0 bytes weighs nothing; write one such as size:64MiB".to_owned()),
            Ok(unit) => Ok(Weigh::Size { unit }),
            Err(_) => Err(format!("{unit:?} is no size; write a number and a unit, such as size:64MiB")),
        },
        Some(("column", column)) => column
            .parse()
            .map(|column| Weigh::Column { column })
            .map_err(|_| format!("{column:?} is no column; they are counted from 1, as in column:2")),
        _ => Err(HOW.to_owned()),
    }
}

/// The value of `--timeout` of `each`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    more_than_zero(text, "no time at all would end every job at its start; leave the option out for no bound")
}

/// The value of `--kill-after`.
pub(crate) fn grace(text: &str) -> Result<Duration, String> {
    more_than_zero(text, "no time at all leaves none to end in; give a little, such as 1ms")
}

/// The value of `--timeout` where `--no-wait` is there for no wait at all.
#[cfg(target_os = "linux")]
pub(crate) fn patience(text: &str) -> Result<Duration, String> {
    more_than_zero(text, "to wait for no time at all is not to wait: say --no-wait; leave the option out for no bound")
}

/// The value of `--timeout` where there is no `--no-wait`.
#[cfg(target_os = "linux")]
pub(crate) fn some_patience(text: &str) -> Result<Duration, String> {
    more_than_zero(
        text,
        "no time at all is too short to wait; give a little, such as 1ms, or leave it out for no bound",
    )
}

/// The value of `--ttl`.
#[cfg(target_os = "linux")]
pub(crate) fn ttl(text: &str) -> Result<Duration, String> {
    more_than_zero(text, "a permit that lasts no time at all is gone before it is used; give it a time, such as 10min")
}

/// A duration; `zero` is said of one that is none.
fn more_than_zero(text: &str, zero: &str) -> Result<Duration, String> {
    // `timeout` takes a plain number for seconds, and so do hands that know it.
    let plain = text.ends_with(|last: char| last.is_ascii_digit() || last == '.');
    let parsed = if plain { humantime::parse_duration(&format!("{text}s")) } else { humantime::parse_duration(text) };
    match parsed {
        Ok(Duration::ZERO) => Err(zero.to_owned()),
        Ok(duration) => Ok(duration),
        Err(reason) => Err(format!("{reason}; write 90, 1.5s, 300ms, 2min or \"1h 30min\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_whole_numbers_from_one() {
        assert_eq!(limit("7").unwrap().get(), 7);
        assert!(limit("0").unwrap_err().contains("at least 1"));
        assert!(limit("-1").unwrap_err().contains("whole number"));
        assert!(limit("many").unwrap_err().contains("whole number"));
        assert!(limit(&usize::MAX.to_string()).unwrap_err().contains("greatest"));
    }

    #[test]
    fn weights_are_sizes_or_columns() {
        assert_eq!(weigh("size:64MiB"), Ok(Weigh::Size { unit: 64 << 20 }));
        assert_eq!(weigh("size:1"), Ok(Weigh::Size { unit: 1 }));
        assert!(matches!(weigh("column:2"), Ok(Weigh::Column { column }) if column.get() == 2));
        for wrong in ["size:0", "size:64Mops", "size:", "column:0", "column:x", "column", "weight:3", ""] {
            assert!(weigh(wrong).is_err(), "{wrong:?} is no weight");
        }
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("1h 30min"), Ok(Duration::from_secs(5400)));
        for wrong in ["0", "0s", "", "-3", "soon", "3 parsecs"] {
            assert!(duration(wrong).is_err(), "{wrong:?} is no duration");
        }
    }
}
