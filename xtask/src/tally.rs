//! Counts of tests, read from what the test runners print.
//!
//! Two formats are read: libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …` (a line for each binary), and
//! cargo-nextest's `Summary [ 0.1s] 4 tests run: 3 passed, 1 timed out, 2 skipped`.

use std::ops::AddAssign;

/// How many tests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Ran and held.
    pub(crate) passed: u64,
    /// Ran and did not hold, or did not end.
    pub(crate) failed: u64,
    /// Marked `#[ignore]`.
    pub(crate) ignored: u64,
}

impl Tally {
    /// Sums up the closing lines in `output`. Those of libtest count where they start a line and nextest has not summed
    /// up: nextest shows, indented, what a failed test's process printed, and that is a libtest line of its own.
    pub(crate) fn read(output: &str) -> Tally {
        let (mut libtest, mut nextest) = (Tally::default(), None);
        for line in output.lines().map(plain) {
            if let Some(rest) = line.strip_prefix("test result: ") {
                let counts = rest.split_once(". ").map_or(rest, |(_, counts)| counts);
                libtest += counted(counts.split(';'));
            } else if let Some((_, counts)) = summary(&line) {
                *nextest.get_or_insert_default() += counted(counts.split(','));
            }
        }
        nextest.unwrap_or(libtest)
    }

    /// Counts test by test in the output of a libtest binary that was ended before it could sum up.
    pub(crate) fn read_unfinished(output: &str) -> Tally {
        let mut tally = Tally::default();
        for line in output.lines().map(plain).filter(|line| line.starts_with("test ")) {
            match line.rsplit_once(" ... ").map(|(_, end)| end) {
                Some("ok") => tally.passed += 1,
                Some("FAILED") => tally.failed += 1,
                Some(end) if end.starts_with("ignored") => tally.ignored += 1,
                _ => {}
            }
        }
        tally
    }

    /// Tests that were executed.
    pub(crate) fn ran(&self) -> u64 {
        self.passed + self.failed
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// The parts of nextest's closing line around `run:`.
fn summary(line: &str) -> Option<(&str, &str)> {
    line.trim_start().strip_prefix("Summary [")?.split_once(" run: ")
}

fn counted<'a>(parts: impl Iterator<Item = &'a str>) -> Tally {
    let mut tally = Tally::default();
    for part in parts {
        // "(1 slow" and "1 leaky)" only qualify those that passed.
        let Some((number, what)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match what.split(" (").next().unwrap_or(what) {
            "passed" => tally.passed += number,
            "failed" | "timed out" | "exec failed" => tally.failed += number,
            "ignored" | "skipped" => tally.ignored += number,
            _ => {}
        }
    }
    tally
}

/// `line` without the escape sequences that colour it.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, ignored: u64) -> Tally {
        Tally { passed, failed, ignored }
    }

    #[test]
    fn libtest_lines_are_summed() {
        let output = "\
running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        assert_eq!(Tally::read(output), tally(4, 2, 1));
        assert_eq!(Tally::read(output).ran(), 6);
    }

    #[test]
    fn nextest_summaries_are_read() {
        let line = "     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped";
        assert_eq!(Tally::read(line), tally(3, 0, 0));
        let line = "     Summary [  61.0s] 5/9 tests run: 2 passed (1 slow, 1 leaky), 1 failed, 2 timed out, 4 skipped";
        assert_eq!(Tally::read(line), tally(2, 3, 4));
        let line = "     Summary [   0.005s] 1 test run: 1 passed (1 slow), 12 skipped";
        assert_eq!(Tally::read(line), tally(1, 0, 12));
    }

    #[test]
    fn what_nextest_quotes_is_not_counted_again() {
        let output = "\
        FAIL [   0.1s] ( 2/3) gatepost a
  stdout ───
    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.1s
     Summary [   0.5s] 3 tests run: 2 passed, 1 failed, 0 skipped
";
        assert_eq!(Tally::read(output), tally(2, 1, 0));
    }

    #[test]
    fn colours_do_not_hide_a_count() {
        let line = "test result: \u{1b}[32mok\u{1b}[0m. 3 passed; 0 failed; 0 ignored; 0 measured";
        assert_eq!(Tally::read(line), tally(3, 0, 0));
    }

    #[test]
    fn an_unfinished_run_is_counted_test_by_test() {
        let output = "\
running 5 tests
test a ... ok
test b ... FAILED
test c ... ignored, takes long
test d has been running for over 60 seconds
";
        assert_eq!(Tally::read_unfinished(output), tally(1, 1, 1));
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(Tally::read("running 0 tests\n3 passed\n"), Tally::default());
        assert_eq!(Tally::read("test result: ok. 0 passed; 0 failed; 0 ignored").ran(), 0);
    }
}
