//! The long sections of `gatepost each --help`, which are also those of the manual page.

/// What the command does, ahead of the options.
pub(crate) const ABOUT: &str = "\
Run CMD once for each item, with at most N permits in use at one time.

Items are lines of standard input, or of --file, or the arguments after `:::`. They are read as jobs start, so a \
million of them need no more memory than one. Jobs start in the order of the items and nothing overtakes: while a \
heavy job waits for its permits, the lighter ones behind it wait too, so a heavy job is never starved.";

/// Where to find more, after the short help.
pub(crate) const AFTER_SHORT: &str = "\
Example:
  git ls-files '*.rs' | gatepost each --limit 4 -- wc -l

`gatepost each --help` says more: placeholders, items, weights, signals, exit status.";

/// Everything that has no option to be said at: sections with a title, divided by empty lines.
///
/// Lines are short enough for 80 columns and the indentation of a manual page, since a wrapped table is none.
pub(crate) const AFTER: &str = "\
Placeholders:
  {}        the item; it is added as the last argument if neither {} nor a
            column is there
  {#}       the number of the item, from 1
  {1} {2}   columns of the item, separated by tabs; it is an error if one
            is missing
  \\{}       a literal {}, and so for \\{#} and \\{1}
  They may stand anywhere in CMD and its arguments. Each job also finds
  its number in GATEPOST_JOB and its weight in GATEPOST_WEIGHT.
  There is no shell between; for pipes and such, call one:
    gatepost each -- sh -c 'sort \"$1\" | uniq -c' sh {} ::: *.txt

Items:
  Lines     A newline ends an item, and a CR before it (CRLF) is dropped
            with it. Empty lines are skipped. The last line needs no
            newline.
  Bytes     Any will do, UTF-8 or not. Only NUL cannot be in an argument:
            an error that names the item, unless --null makes it the
            separator.
  Length    An item of more than 16 MiB is an error. If it makes the
            argument list longer than the system takes, that job fails.
  Terminal  If standard input is a terminal, type the items there, one a
            line, and end them with Ctrl-D.

Weights:
  `--weigh size:64MiB --limit 16` keeps the files in work at one time
  below about 1 GiB. A weight over the limit is an error that names the
  item (--clamp lets it run alone instead), and so is an item that has no
  weight. Such an error ends the run: running jobs finish, no more start.

Jobs:
  Each job reads /dev/null, has a process group of its own and no
  terminal: if it asks for a password there, the system stops it, and only
  --timeout ends it.
  What it writes to standard output, and then what it writes to standard
  error, is printed in one piece when it has ended; outputs of jobs never
  mix. Over 1 MiB, output waits in an unlinked temporary file (in TMPDIR).
  A job has ended when its process has. What it leaves running in the
  background is not waited for.
  If the process table is full, starting is tried again for about ten
  seconds, and then reported.

Signals:
  Ctrl-C (SIGINT), SIGTERM or SIGHUP: no more jobs start, and the running
  ones get the same signal. A second one kills them, a third leaves at
  once. If whoever reads our output goes away, the run ends quietly.

Log:
  --log writes one JSON object a line: job (its number), item, item_bytes
  (if the item is not UTF-8), weight, attempts, started (UTC), waited and
  run (seconds), outcome (success, exit, signal, timeout, not-found,
  not-executable, not-started, stopped), status.

Exit status:
  0         every job succeeded, or there was none
  1 to 100  that many jobs failed
  101       more than 100 jobs failed
  124       jobs failed, and all of them by --timeout
  125       Gatepost itself failed: usage, items, weights, log
  126       CMD was found but cannot be run
  127       CMD was not found
  130       ended by Ctrl-C (129 by SIGHUP, 143 by SIGTERM)
  141       whoever read our output went away
  With 126 and 127 the run ends at the first job. Only if CMD itself holds
  a placeholder are they failures of single jobs, and the status is theirs
  if all failures are of that kind. Jobs that the run itself ended are no
  failures.

Examples:
  Count the lines of every source file, four files at a time:
    git ls-files '*.rs' | gatepost each --limit 4 -- wc -l
  Items as arguments, output in their order:
    gatepost each --keep-order -- sha256sum ::: *.iso
  Any file names at all, a minute for each, two more tries:
    find . -name '*.png' -print0 |
      gatepost each --null --timeout 1min --retries 2 -- optipng
  Large files are heavy; at most 16 times 64 MiB in work at one time:
    gatepost each --limit 16 --weigh size:64MiB --clamp -- xz -k ::: *.tar
  A table of name, gigabytes and target; the first failure ends it all:
    gatepost each --file jobs.tsv --limit 64 --weigh column:2 \\
      --halt now -- ./train --out {3} {1}
  What would be run:
    seq 3 | gatepost each --dry-run -- echo job {#} of {}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_help_fits_80_columns_even_indented_in_a_manual() {
        for line in AFTER.lines() {
            assert!(line.chars().count() <= 74, "too long: {line}");
        }
    }

    #[test]
    fn every_section_has_a_title() {
        for section in AFTER.split("\n\n") {
            let (title, body) = section.split_once(":\n").expect("a title");
            assert!(!title.contains('\n') && body.starts_with("  "), "{section}");
        }
    }
}
