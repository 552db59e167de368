//! The command line.

use crate::plan::Suite;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::time::Duration;

/// `cargo xtask test` must end within this on two cores, or it fails.
const TEST_BUDGET_MINUTES: u64 = 25;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Request {
    /// Which list of stages.
    pub(crate) suite: Suite,
    /// Names of the stages to run; empty means all.
    pub(crate) only: Vec<String>,
    /// Print the stages and do nothing.
    pub(crate) list: bool,
    /// Stop at the first stage that fails.
    pub(crate) fail_fast: bool,
    /// Show what the commands print while they run.
    pub(crate) verbose: bool,
    /// All stages together may take this long.
    pub(crate) budget: Option<Duration>,
    /// How long each soaking stage works.
    pub(crate) soak: Duration,
    /// What runs unit and contract tests.
    pub(crate) runner: TestRunner,
}

/// What runs unit and contract tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestRunner {
    /// cargo-nextest where it is installed, `cargo test` elsewhere.
    Auto,
    /// cargo-nextest.
    Nextest,
    /// `cargo test`.
    Cargo,
}

/// Reads the process's arguments; ends the process on `--help` and on an error in the arguments.
pub(crate) fn parse() -> Result<Request, String> {
    request(&command().get_matches())
}

fn command() -> Command {
    Command::new("cargo xtask")
        .about("Gatepost's own build commands")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            stage_args(Command::new("test").about("Run everything that must pass"))
                .arg(
                    Arg::new("budget")
                        .long("budget-minutes")
                        .value_name("N")
                        .value_parser(value_parser!(u64).range(1..))
                        .help(format!("All stages together may take N minutes [default: {TEST_BUDGET_MINUTES}]")),
                )
                .arg(
                    Arg::new("runner")
                        .long("runner")
                        .value_name("WHICH")
                        .value_parser(["auto", "nextest", "cargo"])
                        .default_value("auto")
                        .help("What runs unit and contract tests; auto takes cargo-nextest where it is installed"),
                ),
        )
        .subcommand(
            stage_args(
                Command::new("soak").about("Run what takes longer: random load, models without bounds, sanitizers"),
            )
            .arg(
                Arg::new("minutes")
                    .long("minutes")
                    .value_name("N")
                    .value_parser(value_parser!(u64).range(1..))
                    .default_value("60")
                    .help("How long each soaking stage works"),
            ),
        )
        .subcommand(
            Command::new("miri")
                .about("Run the library's unit tests under Miri with strict provenance (a nightly with miri)")
                .arg(verbose_arg()),
        )
}

fn stage_args(command: Command) -> Command {
    command
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("STAGE")
                .num_args(1..)
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("Run these stages and no others"),
        )
        .arg(Arg::new("list").long("list").action(ArgAction::SetTrue).help("Print the stages"))
        .arg(
            Arg::new("fail-fast")
                .long("fail-fast")
                .action(ArgAction::SetTrue)
                .help("Stop at the first stage that fails"),
        )
        .arg(verbose_arg())
}

fn verbose_arg() -> Arg {
    Arg::new("verbose")
        .short('v')
        .long("verbose")
        .action(ArgAction::SetTrue)
        .help("Show what the commands print while they run")
}

fn request(matches: &ArgMatches) -> Result<Request, String> {
    let (name, matches) = matches.subcommand().ok_or("no command given")?;
    let suite = match name {
        "test" => Suite::Test,
        "soak" => Suite::Soak,
        _ => Suite::Miri,
    };
    let flag = |id: &str| matches!(matches.try_get_one::<bool>(id), Ok(Some(true)));
    let number = |id: &str| matches.try_get_one::<u64>(id).ok().flatten().copied();
    let minutes = |n: u64| Duration::from_secs(n.saturating_mul(60));
    Ok(Request {
        suite,
        only: match matches.try_get_many::<String>("only") {
            Ok(Some(names)) => names.cloned().collect(),
            _ => Vec::new(),
        },
        list: flag("list"),
        fail_fast: flag("fail-fast"),
        verbose: flag("verbose"),
        budget: (suite == Suite::Test).then(|| minutes(number("budget").unwrap_or(TEST_BUDGET_MINUTES))),
        soak: minutes(number("minutes").unwrap_or(60)),
        runner: match matches.try_get_one::<String>("runner").ok().flatten().map(String::as_str) {
            Some("nextest") => TestRunner::Nextest,
            Some("cargo") => TestRunner::Cargo,
            _ => TestRunner::Auto,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Request {
        let matches = command().try_get_matches_from(line.split_whitespace());
        request(&matches.expect("valid arguments")).expect("a request")
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_test_run_has_a_budget_and_a_soak_has_none() {
        assert_eq!(parsed("xtask test").budget, Some(Duration::from_secs(25 * 60)));
        assert_eq!(parsed("xtask test --budget-minutes 3").budget, Some(Duration::from_secs(180)));
        assert_eq!(parsed("xtask soak").budget, None);
        assert_eq!(parsed("xtask soak --minutes 2").soak, Duration::from_secs(120));
    }

    #[test]
    fn stages_are_named_with_spaces_commas_or_again() {
        assert_eq!(parsed("xtask test --only fmt house").only, ["fmt", "house"]);
        assert_eq!(parsed("xtask test --only fmt,house --only loom").only, ["fmt", "house", "loom"]);
        assert!(parsed("xtask test").only.is_empty());
    }

    #[test]
    fn the_runner_can_be_chosen() {
        assert_eq!(parsed("xtask test").runner, TestRunner::Auto);
        assert_eq!(parsed("xtask test --runner cargo").runner, TestRunner::Cargo);
        assert_eq!(parsed("xtask miri -v").suite, Suite::Miri);
        assert!(parsed("xtask miri -v").verbose);
    }
}
