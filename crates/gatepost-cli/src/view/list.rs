//! `gatepost list`: a line for each semaphore of the folder.

use std::path::Path;

use super::folder::{Folder, Sight};
use super::{why, words};
use crate::error::Error;

/// What to print, and what to say beside it.
pub(crate) fn show(folder: &Folder, json: bool) -> Result<(String, Option<String>), Error> {
    let sights = folder.look()?;
    if json {
        return Ok((sights.iter().map(Sight::json).collect(), None));
    }
    if sights.is_empty() {
        return Ok((String::new(), Some(empty(folder.path()))));
    }
    // Another folder is another set of limits, so it is said which one this is.
    let place = words::clean(&folder.path().display().to_string());
    Ok((format!("{}\nfolder: {place}\n", text(&sights)), None))
}

/// What an empty folder means.
pub(crate) fn empty(directory: &Path) -> String {
    format!(
        "there is no semaphore in {}; the first `gatepost run --sem NAME --limit N -- CMD` creates one (another folder: --dir, \
         or GATEPOST_DIR)",
        words::clean(&directory.display().to_string())
    )
}

/// The table; nothing at all for no semaphores.
fn text(sights: &[Sight]) -> String {
    if sights.is_empty() {
        return String::new();
    }
    let titles = ["NAME", "USED", "WAITING", "POLICY", "OLDEST HOLDER", "STATE"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let mut troubles = String::new();
    for sight in sights {
        let name = words::clean(&sight.name);
        match &sight.seen {
            Ok(status) => {
                let oldest = status.holders.first().map_or_else(
                    || "-".to_owned(),
                    |holder| format!("{} {}", words::age(holder.held), words::cut(&words::label(&holder.label), 40)),
                );
                rows.push(vec![
                    name,
                    format!("{}/{}", status.used, status.limit),
                    status.waiters.len().to_string(),
                    status.policy.to_string(),
                    oldest,
                    why::state(status).to_owned(),
                ]);
                if let Some(damage) = &status.damage {
                    troubles.push_str(&format!(
                        "{0}: damaged: {1}; run `gatepost repair {0}`\n",
                        words::clean(&sight.name),
                        words::clean(damage)
                    ));
                }
            }
            Err(error) => {
                rows.push(vec![name.clone(), "?".into(), "?".into(), "-".into(), "-".into(), "unreadable".into()]);
                troubles.push_str(&format!("{name}: {}\n", words::clean(error)));
            }
        }
    }
    let mut out = words::table(&rows, &[1, 2]);
    out.push_str(&troubles);
    out
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn sight(status: gatepost_shared::Status) -> Sight {
        Sight { name: status.name.clone(), path: status.path.clone(), seen: Ok(status) }
    }

    #[test]
    fn there_is_a_line_for_each_and_a_damaged_one_does_not_end_it() {
        let mut damaged = samples::idle();
        damaged.name = "gpu".to_owned();
        damaged.damage = Some("two grants of one slot".to_owned());
        let unreadable =
            Sight { name: "bad".into(), path: "/x/bad.gate".into(), seen: Err("it is a\x1bfolder".to_owned()) };
        let sights = [unreadable, sight(samples::build()), sight(damaged), sight(samples::idle())];
        let expected = "\
NAME   USED  WAITING  POLICY      OLDEST HOLDER                STATE
bad       ?        ?  -           -                            unreadable
build   7/8        2  fifo        4m12s cargo build --release
gpu     0/2        0  overtaking  -                            damaged
link    0/2        0  overtaking  -
bad: it is a\\u{1b}folder
gpu: damaged: two grants of one slot; run `gatepost repair gpu`
";
        assert_eq!(text(&sights), expected);
    }

    #[test]
    fn what_cannot_be_seen_is_a_line_of_json_too() {
        let sight = Sight { name: "bad".into(), path: "/x/bad.gate".into(), seen: Err("no".to_owned()) };
        let json = "{\"schema\":\"gatepost/1\",\"name\":\"bad\",\"path\":\"/x/bad.gate\",\"error\":\"no\"}\n";
        assert_eq!(sight.json(), json);
    }
}
