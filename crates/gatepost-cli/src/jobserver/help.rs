//! The long sections of `gatepost jobserver run --help`, which are also those of the manual page.

/// What the command does, ahead of the options.
pub(crate) const ABOUT: &str = "\
Run a build whose jobs take their permits from a semaphore that the whole machine shares.

Gatepost is the build's jobserver, by the protocol of GNU Make, which cargo and ninja speak too. Every job of every \
build that runs like this has one permit, so all of them together run no more jobs than the limit, whoever starts them, \
and a build that is alone has all of them. A job or a whole build that is killed keeps no permit past the end of its build.";

/// Where to find more, after the short help.
pub(crate) const AFTER_SHORT: &str = "\
Example:
  gatepost jobserver run --sem cores --limit cores -- make all

`gatepost jobserver run --help` says more: tools, shares, gates, exit status.";

/// Everything that has no option to be said at, as in `help`.
pub(crate) const AFTER: &str = "\
Tools:
  make      GNU Make 4.2 or later. Do not give it -j: it would start as
            many jobs as that says and ask nobody, so it is an error.
  ninja     1.13 or later, without -j, for the same reason.
  cargo     Any; it says itself that it ignores -j here.
  others    Whatever looks for a jobserver in MAKEFLAGS: rustc, gcc's and
            LLVM's link-time optimisation, and all that scripts start.
  Flags in MAKEFLAGS are kept, but for -j; CMAKE_BUILD_PARALLEL_LEVEL is
  taken out, since it makes `cmake --build` give -j.

Styles:
  fifo      The build finds a named pipe: every process can open it. What
            a tool gives back it may take again before those who wait.
  pipe      The build inherits two descriptors. Under make, only lines
            with $(MAKE) or + have them. GNU Make before 4.4 needs this.
            What is given back goes to those who wait, always.
  auto      pipe for cargo, for such a make, and for others if such a make
            is the one in PATH, unless they know no pipe (ninja); or fifo.

Shares:
  A token that a job gives back goes to whoever is first in line, in any
  build. With --share fair a build that holds limit / builds permits,
  rounded up, asks for no more while another build waits, and a token
  that it leaves lying goes to those who wait. Each build has one permit
  at least, for as long as it runs.

Gates:
  --min-free and --psi hold the next token back, not those that are out,
  and not the build's own permit: a build always goes on.

Holding:
  The permits are held for the process of CMD. If Gatepost is killed, the
  build goes on with the tokens that it has left, and the permits are
  free when it has ended. `gatepost status NAME` lists one permit a token.
  Signals, the terminal and revoked permits: as with `gatepost run`.

Exit status:
  0 to 128+ that of CMD; 128 + n if it died of signal n
  64        usage: CMD asks for -j, or cannot take part; another limit
  69        the semaphore cannot be used
  77        no permission to use it
  120       the build's own permit was revoked
  124       waited in vain for as long as --timeout allows
  125       Gatepost itself failed
  126, 127  CMD cannot be run, was not found

Examples:
  All builds together run as many jobs as there are CPUs:
    gatepost jobserver run --sem cores --limit cores -- make all
    gatepost jobserver run --sem cores -- cargo build --release
    gatepost jobserver run --sem cores -- ninja -C out
  No further job while memory is short or the disk is the bottleneck:
    gatepost jobserver run --sem cores --min-free 4G --psi io=20 -- make
  A script with builds of several kinds:
    gatepost jobserver run --sem cores -- ./build.sh
  Who holds them:
    gatepost status cores";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_help_fits_80_columns_and_has_titles() {
        for line in AFTER.lines() {
            assert!(line.chars().count() <= 74, "too long: {line}");
        }
        for section in AFTER.split("\n\n") {
            let (title, body) = section.split_once(":\n").expect("a title");
            assert!(!title.contains('\n') && body.starts_with("  "), "{section}");
        }
    }
}
