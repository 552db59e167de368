//! The front page keeps its word: its commands run as printed, and its code compiles.

use crate::job::{Failure, Job, Outcome};
use crate::process::Step;
use crate::project::{LIBRARY, cargo, library_file};
use std::fs;

/// The command that a newcomer is shown first.
const COMMAND: &str = "cargo run --release -- each ";

/// The stage.
pub(crate) fn check(job: &mut Job<'_>) -> Result<Outcome, Failure> {
    let page = fs::read_to_string(job.project.root.join("README.md"))?;
    let lines = commands(&page);
    if lines.is_empty() {
        return Err(Failure::Broken(format!("the README shows no `{COMMAND}…`")));
    }
    job.run_all(lines.iter().map(|line| Step::new("sh").args(["-c", line])))?;

    let build = cargo().args(["build", "-p", LIBRARY, "--lib", "--message-format=json-render-diagnostics"]);
    let library = library_file(&job.run(&build)?)?;
    let rustdoc = Step::new(std::env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into()));
    let examples = rustdoc.args(["--test", "README.md", "--edition", "2024"]);
    job.tests(&examples.arg("--extern").arg(format!("{LIBRARY}={}", library.display())))?;
    Ok(Outcome::Passed)
}

/// The lines of the page's shell blocks that run the program.
fn commands(page: &str) -> Vec<&str> {
    let mut shell = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            shell = language == "sh";
        } else if shell && line.starts_with(COMMAND) {
            found.push(line);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_in_shell_blocks_are_run() {
        let page = "\
Say `cargo run --release -- each x`:
cargo run --release -- each not in a block
```sh
cargo run --release -- each --limit 4 -- wc -l ::: README.md
cargo xtask test
```
```text
cargo run --release -- each in another block
```
";
        assert_eq!(commands(page), ["cargo run --release -- each --limit 4 -- wc -l ::: README.md"]);
    }
}
