//! The long sections of `gatepost each --help` and its like, which are also those of the manual pages.

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
  run (seconds), outcome (success, exit, signal, timeout, lost,
  not-found, not-executable, not-started, stopped), status.

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
  failures. With --sem, what is wrong with the semaphore before the first
  job is 64, 69 or 77, as for `gatepost run`; a job whose permit was
  revoked has status 120 in the log.

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
  All terminals of the machine together run eight, this one at most two:
    gatepost each --limit 2 --sem tests --sem-limit 8 -- ./test ::: *.t
  What would be run:
    seq 3 | gatepost each --dry-run -- echo job {#} of {}";

/// What `run` does, ahead of the options.
#[cfg(target_os = "linux")]
pub(crate) const RUN_ABOUT: &str = "\
Run CMD when permits of a semaphore are free, and give them back when it ends.

Every process of the machine that names the same semaphore shares its limit, in the order in which they came. There is no \
daemon: the semaphore is a file in memory, and the kernel says who lives. The first who gives a --limit creates it. \
Whichever process is killed, at whichever moment, nothing is lost: permits are free when their command is gone, and not \
before, even if this program was killed and the command was not.";

/// Where to find more.
#[cfg(target_os = "linux")]
pub(crate) const RUN_AFTER_SHORT: &str = "\
Example:
  gatepost run --sem build --limit 2 -- cargo build

`gatepost run --help` says more: exit status, environment, signals, examples.";

/// Everything about `run` that has no option to be said at.
#[cfg(target_os = "linux")]
pub(crate) const RUN_AFTER: &str = "\
Waiting:
  On a terminal, a line on standard error says why:
  build: 2nd in line, 8/8 used; oldest: cargo test (pid 7, ~/a, 4m12s)
  Elsewhere it is written after 5 seconds, and then once a minute.
  Ctrl-C leaves the queue at once. Ctrl-Z stops the wait, and it keeps its
  place, so those behind it wait too.

Jobserver:
  With --from-jobserver, inside of a make with -j, this run takes a token
  of that make before it takes permits, and returns it when CMD has ended,
  whatever ended it. --timeout is for both together, and --no-wait waits
  for neither. CMD finds the same jobserver and may take more of it.
  A recipe has a token from its make already. So this is for what a recipe
  starts beside its own work (with &); what it waits for needs none. If as
  many recipes as there are jobs all wait for one more, none comes:
  give --timeout where that may be.
  Make before 4.4, and later with --jobserver-style=pipe, passes its pipe
  only to recipe lines with + in front or $(MAKE) in them. If this program
  is killed by SIGKILL, that make has one token less.

Exit status:
  The command's own; 128 + n if signal n ended it; and
  64        usage: an option that cannot be, another limit than there is,
            no such semaphore, a run inside a run of the same one, no
            jobserver for --from-jobserver
  69        the semaphore cannot be used: damaged, full, another version;
            the jobserver is gone
  75        the permits (or token) are not free, and --no-wait was given
  77        no permission to use the semaphore
  120       a permit was lost or revoked, and CMD was ended for it
  124       the permits (or token) were not free within --timeout
  125       Gatepost itself failed
  126       CMD was found but cannot be run
  127       CMD was not found
  -E N takes the place of 75 and 124. --report tells them from a CMD that
  happens to exit with the same.

Environment:
  GATEPOST_DIR           where semaphores are, unless --dir says so
  CMD finds, with one word for each semaphore:
  GATEPOST_SEM           their names
  GATEPOST_PERMIT        the permits, as `gatepost revoke` takes them:
                         build:57
  GATEPOST_SLOTS         the numbers of the permits, from 0 to the limit
                         less 1, that nobody else has: 0,3
  GATEPOST_FENCE         for each slot, how often it was given out: a
                         resource that keeps the highest it saw can refuse
                         a holder that is late
  GATEPOST_DEADLINE      is taken out: permits of one machine end with
                         their holder and at no certain time
  GATEPOST_HELD          what this run and those around it hold, by which
                         a run inside is noticed
  CUDA_VISIBLE_DEVICES   with --gpu: the slots

Signals:
  CMD has a process group of its own. INT, TERM, HUP, QUIT, USR1, USR2,
  WINCH, CONT and TSTP are passed on to that group, unless they were
  ignored when we were started (nohup).
  If standard input, output and error are the terminal, CMD has its
  foreground from the start, as in a shell; otherwise from when it asks
  for it. When it is stopped (Ctrl-Z), so are we; `fg` continues both.
  When Ctrl-C has ended CMD, we end by the same signal, so that a script
  around us ends, too.

Loss:
  When a permit is revoked, the group of CMD gets SIGTERM, and SIGKILL
  after --kill-after; the exit status is 120.

Hold:
  --hold child  The permits are free when the process of CMD has ended.
                What it leaves running in the background holds nothing.
  --hold tree   They are held until all that CMD started has ended, and
                until then this program stays. If it is killed, the kernel
                holds them on.
  --exec        As tree, without this program: see there.

Report:
  One JSON object: schema (gatepost/1), outcome (exit, signal, lost,
  timeout, busy, interrupted, not-found, not-executable, not-started,
  failed), status (ours), exit and signal (of CMD), waited_ns, held_ns,
  permits (semaphore, path, id, permits, slots, epochs), lost, error.

Notes:
  A folder that does not exist is made (mode 0700), so a mistyped
  GATEPOST_DIR is another set of limits: `gatepost list` says which it is.
  Never truncate a .gate file: all who have it open end by SIGBUS. Use
  `gatepost remove`.
  --die-with-parent reaches CMD itself, not what CMD has started.
  Revoking a run with --exec frees its permit while CMD goes on;
  `gatepost revoke --kill` ends CMD.

Examples:
  Two builds at one time, in however many terminals:
    gatepost run --sem build --limit 2 -- cargo build
  One GPU of four, whichever is free:
    gatepost run --sem gpu --limit 4 --gpu -- python train.py
  Linking takes 3 GB each, so as many as there is memory for:
    gatepost run --sem link --limit mem/3G -- ld \"$@\"
  A cron job that is skipped while the last one still runs:
    gatepost run --sem backup --limit 1 --no-wait -E 0 -- ./backup
  Two cores and a license, or neither:
    gatepost run --sem cores=2 --sem license -- ./simulate
  No wrapper process; the semaphore is a file of the project:
    gatepost run --exec --sem ./db.gate --limit 1 -- ./migrate";

/// The rest of `doctor --help`.
#[cfg(target_os = "linux")]
pub(crate) const DOCTOR_AFTER: &str = "\
Exit status:
  0         all that is needed is there
  69        something is not

JSON:
  With --json each line is an object: schema (gatepost/1), check, state
  (ok, note, bad), found, advice.

Example:
  gatepost doctor --dir /run/gatepost";

#[cfg(test)]
mod tests {
    use super::*;

    fn long_helps() -> Vec<&'static str> {
        vec![
            AFTER,
            #[cfg(target_os = "linux")]
            RUN_AFTER,
        ]
    }

    #[test]
    fn the_long_help_fits_80_columns_even_indented_in_a_manual() {
        for line in long_helps().into_iter().flat_map(str::lines) {
            assert!(line.chars().count() <= 74, "too long: {line}");
        }
    }

    #[test]
    fn every_section_has_a_title() {
        for section in long_helps().into_iter().flat_map(|help| help.split("\n\n")) {
            let (title, body) = section.split_once(":\n").expect("a title");
            assert!(!title.contains('\n') && body.starts_with("  "), "{section}");
        }
    }
}
