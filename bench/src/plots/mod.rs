//! Plots of a run, as SVG.
//!
//! What is plotted is a table, [`PLOTS`]: a plot of a new case is an entry. An entry names a case, what lies on the x axis
//! and what tells panels or sections apart; units and which way is better come from the run. A plot for which the run
//! has nothing is left out.
//!
//! A room for each part: [`select`] takes medians out of the run, [`lines`] and [`bars`] draw them on a [`page`], with
//! the ticks of [`axis`] and the colours and strokes of [`style`].

mod axis;
mod bars;
mod lines;
mod page;
mod select;
mod style;
#[cfg(test)]
mod tests;

use anyhow::Context as _;
use gatepost_bench_kit::result::Run;
use std::path::{Path, PathBuf};

/// One plot.
struct Plot {
    /// Its file's name, without the ending.
    file: &'static str,
    title: &'static str,
    form: Form,
}

/// What a plot shows.
enum Form {
    /// A metric against a parameter, a panel for each value of another parameter (`""`: one panel).
    Against { case: &'static str, metric: &'static str, x: &'static str, panels: &'static str, y: Scale },
    /// Several metrics of one unit, as panels, against a parameter, a panel for each; a file for each value of another parameter.
    Panels { case: &'static str, metrics: &'static [&'static str], x: &'static str, files: &'static str },
    /// How many waits were longer than x, in the cells where `only` has this value; a panel for each value of another.
    Waits { case: &'static str, only: (&'static str, u64), panels: &'static str },
    /// Bars: a section for each of these cases.
    Cases { cases: &'static [&'static str], metric: &'static str },
    /// Bars: a section for each value of a parameter.
    Values { case: &'static str, metric: &'static str, sections: &'static str },
    /// Bars: a section for each of these metrics, with its title.
    Metrics { case: &'static str, metrics: &'static [(&'static str, &'static str)] },
}

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
}

const PLOTS: &[Plot] = &[
    Plot {
        file: "uncontended",
        title: "Uncontended: one thread, free permits",
        form: Form::Cases { cases: &["U1", "U2", "U3", "U3try", "U4"], metric: "ns" },
    },
    Plot {
        file: "c1-throughput",
        title: "C1: tasks that contend, no other await",
        form: Form::Against { case: "C1", metric: "ops_per_s", x: "tasks", panels: "permits", y: Scale::Log },
    },
    Plot {
        file: "c1b-throughput",
        title: "C1b: tasks that contend, each yields after 64 operations",
        form: Form::Against { case: "C1b", metric: "ops_per_s", x: "tasks", panels: "permits", y: Scale::Log },
    },
    Plot {
        file: "c2-throughput",
        title: "C2: threads that contend",
        form: Form::Against { case: "C2", metric: "ops_per_s", x: "threads", panels: "permits", y: Scale::Log },
    },
    Plot {
        file: "c2-share",
        title: "C2: what the unluckiest thread got of what the luckiest got",
        form: Form::Against { case: "C2", metric: "share", x: "threads", panels: "permits", y: Scale::Linear },
    },
    Plot {
        file: "c2-waits",
        title: "C2: how long an acquisition takes",
        form: Form::Panels {
            case: "C2",
            metrics: &["wait_p50", "wait_p99", "wait_max"],
            x: "threads",
            files: "permits",
        },
    },
    Plot {
        file: "c2-wait-distribution",
        title: "C2: distribution of waits, 16 threads",
        form: Form::Waits { case: "C2", only: ("threads", 16), panels: "permits" },
    },
    Plot {
        file: "c3-wake",
        title: "C3: waking queued waiters, time for each",
        form: Form::Against { case: "C3", metric: "ns", x: "waiters", panels: "release", y: Scale::Log },
    },
    Plot {
        file: "c4-cancel",
        title: "C4: cancelling queued waiters in random order, time for each",
        form: Form::Against { case: "C4", metric: "ns", x: "waiters", panels: "", y: Scale::Log },
    },
    Plot {
        file: "c6-memory",
        title: "C6: a million semaphores",
        form: Form::Metrics {
            case: "C6",
            metrics: &[("bytes", "memory for each"), ("ns", "try and release at a random one")],
        },
    },
    Plot {
        file: "c7-hand-off",
        title: "C7: from a release to the partner's acquire",
        form: Form::Values { case: "C7", metric: "ns", sections: "between" },
    },
    Plot {
        file: "processes",
        title: "Processes that share a semaphore: permits free, and from one to another",
        form: Form::Cases { cases: &["P1", "P3"], metric: "ns" },
    },
    Plot {
        file: "p4-recovery",
        title: "P4: from the SIGKILL of a holder to the waiter\'s permit (whoever is not here loses it)",
        form: Form::Values { case: "P4", metric: "ns", sections: "waited_ms" },
    },
    Plot {
        file: "p2-throughput",
        title: "P2: processes that contend",
        form: Form::Against { case: "P2", metric: "ops_per_s", x: "processes", panels: "limit", y: Scale::Log },
    },
    Plot {
        file: "a1-addresses",
        title: "A1: waiting and being woken at many addresses, time for each waiter",
        form: Form::Against { case: "A1", metric: "ns", x: "addresses", panels: "", y: Scale::Log },
    },
    Plot {
        file: "a1-release",
        title: "A1: a release that wakes one of many, each at an address of its own",
        form: Form::Against { case: "A1", metric: "release_ns", x: "addresses", panels: "", y: Scale::Log },
    },
    Plot {
        file: "a2-one-address",
        title: "A2: waiting and being woken at one address, time for each waiter",
        form: Form::Against { case: "A2", metric: "ns", x: "waiters", panels: "", y: Scale::Log },
    },
    Plot {
        file: "a3-one-root",
        title: "A3: addresses that share a root of Go's table, time for each waiter",
        form: Form::Against { case: "A3", metric: "ns", x: "waiters", panels: "", y: Scale::Log },
    },
];

/// Writes the plots of `run` into `dir` and returns what was written.
pub(crate) fn write(run: &Run, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let peers = style::Peers::of(run);
    let footer = page::footer(run);
    let mut written = Vec::new();
    for plot in PLOTS {
        for (file, svg) in plot.draw(run, &peers, &footer).with_context(|| format!("plot {}", plot.file))? {
            std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
            let path = dir.join(file).with_extension("svg");
            std::fs::write(&path, svg).with_context(|| path.display().to_string())?;
            written.push(path);
        }
    }
    Ok(written)
}

impl Plot {
    /// The files, by name and content; none if the run has nothing for it.
    fn draw(&self, run: &Run, peers: &style::Peers, footer: &str) -> anyhow::Result<Vec<(String, String)>> {
        let charts: Vec<(String, select::Chart)> = match self.form {
            Form::Against { case, metric, x, panels, y } => {
                vec![(self.file.to_owned(), select::against(run, case, metric, x, panels, y))]
            }
            Form::Panels { case, metrics, x, files } => select::parameter_values(run, case, files)
                .into_iter()
                .map(|value| {
                    let file = format!("{}-{files}-{value}", self.file);
                    (file, select::metrics_against(run, case, metrics, x, (files, &value)))
                })
                .collect(),
            Form::Waits { case, only, panels } => {
                vec![(self.file.to_owned(), select::waits(run, case, only, panels))]
            }
            Form::Cases { .. } | Form::Values { .. } | Form::Metrics { .. } => {
                let sections = self.sections(run);
                if sections.is_empty() {
                    return Ok(Vec::new());
                }
                return Ok(vec![(self.file.to_owned(), bars::draw(self.title, &sections, peers, footer)?)]);
            }
        };
        charts
            .into_iter()
            .filter(|(_, chart)| !chart.panels.is_empty())
            .map(|(file, chart)| Ok((file, lines::draw(self.title, &chart, peers, footer)?)))
            .collect()
    }

    fn sections(&self, run: &Run) -> Vec<select::Section> {
        match self.form {
            Form::Cases { cases, metric } => {
                cases.iter().flat_map(|case| select::sections(run, case, metric, select::Naming::Case)).collect()
            }
            Form::Values { case, metric, sections } => {
                select::sections(run, case, metric, select::Naming::Parameter(sections))
            }
            Form::Metrics { case, metrics } => metrics
                .iter()
                .flat_map(|(metric, title)| select::sections(run, case, metric, select::Naming::Title(title)))
                .collect(),
            Form::Against { .. } | Form::Panels { .. } | Form::Waits { .. } => Vec::new(),
        }
    }
}
