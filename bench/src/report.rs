//! Tables: ours first, every peer as a ratio to ours, with its spread.

use crate::cases::label;
use gatepost_bench_kit::result::{Better, Cell, Kind, Metric, Row, Run};
use gatepost_bench_kit::stats::{self, Spread};
use std::fmt::Write as _;

/// Rows of columns, aligned; the first column to the left, the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(line, "  {cell:width$}"),
                _ => write!(line, "  {cell:>width$}"),
            }
            .expect("a string takes anything");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// About three digits, and a unit prefix.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value == 0.0 => "0".to_owned(),
        _ if size >= 9.995e8 => format!("{:.2}G", value / 1e9),
        _ if size >= 9.995e5 => format!("{}M", digits(value / 1e6)),
        _ if size >= 9995.0 => format!("{}k", digits(value / 1e3)),
        _ if size < 0.001 => format!("{value:.0e}"),
        _ => digits(value),
    }
}

fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn with_spread(Spread { median, min, max }: Spread) -> String {
    format!("{} [{}–{}]", short(median), short(min), short(max))
}

/// Those of ours that others are compared with: the forms of a semaphore are compared with it, as peers are.
const BASES: [&str; 4] = ["gatepost", "gatepost barging", "gatepost Sema", "gatepost shared"];

/// Which rows stand together: what is fair is compared with what is fair.
fn class(row: &Row) -> (u8, &'static str) {
    match row.kind {
        Kind::Ours if row.peer.contains("barging") || row.peer.contains("Sema") => (1, "barging"),
        Kind::Ours | Kind::Fair => (0, "fair"),
        Kind::Barging => (1, "barging"),
        Kind::Reference => (2, "reference"),
    }
}

/// The rows as they are shown: by class, ours first in each, then by the first metric, the best first.
fn sorted(cell: &Cell) -> Vec<&Row> {
    let first = &cell.metrics[0];
    let value = |row: &Row| {
        let median = stats::median(&stats::values(row, &first.name)).unwrap_or(f64::INFINITY);
        if first.better == Better::Higher && median.is_finite() { -median } else { median }
    };
    let mut rows: Vec<&Row> = cell.rows.iter().collect();
    rows.sort_by(|a, b| {
        let key = |row: &Row| (class(row).0, row.kind != Kind::Ours);
        key(a).cmp(&key(b)).then(value(a).total_cmp(&value(b)))
    });
    rows
}

fn ratio(ours: &Row, row: &Row, metric: &Metric) -> String {
    if ours.peer == row.peer {
        return "–".to_owned();
    }
    stats::times_better(ours, row, &metric.name, metric.better).map_or_else(String::new, with_spread)
}

/// One cell as a table.
pub(crate) fn cell(cell: &Cell, rounds: usize) -> String {
    let is_base = |row: &&Row| BASES.contains(&row.peer.as_str()) && !row.rounds.is_empty();
    let ours: Vec<&Row> = cell.rows.iter().filter(is_base).collect();
    let first = &cell.metrics[0];
    let mut head = vec![String::new(), "kind".to_owned()];
    let unit = if first.unit.is_empty() { String::new() } else { format!(", {}", first.unit) };
    head.push(format!("{}{unit} [min–max]", first.name));
    head.extend(ours.iter().map(|ours| format!("÷ {}", ours.peer)));
    head.extend(cell.metrics[1..].iter().map(|metric| metric.name.clone()));
    let mut rows = vec![head];
    let mut footnotes = Vec::new();
    for row in sorted(cell) {
        let mut columns = vec![row.peer.clone(), class(row).1.to_owned()];
        if let Some(why) = &row.missing {
            columns.push(if crate::schedule::is_lost(why) { "lost" } else { "–" }.to_owned());
            footnotes.push(format!("{}: {why}", row.peer));
        } else {
            let of = |metric: &Metric| stats::spread(&stats::values(row, &metric.name));
            let cut = if row.rounds.len() < rounds { format!(" n={}", row.rounds.len()) } else { String::new() };
            columns.push(of(first).map_or_else(String::new, with_spread) + &cut);
            columns.extend(ours.iter().map(|ours| ratio(ours, row, first)));
            let others = cell.metrics[1..].iter();
            columns.extend(others.map(|metric| of(metric).map_or_else(String::new, |spread| short(spread.median))));
        }
        rows.push(columns);
    }
    let mut text = format!("{}\n{}", label(&cell.case, &cell.parameters), table(&rows));
    for note in footnotes {
        let _ = writeln!(text, "  – {note}");
    }
    text
}

/// The whole run.
pub(crate) fn run(run: &Run) -> String {
    let rounds = run.settings.get("rounds").and_then(|rounds| rounds.number()).unwrap_or(0.0) as usize;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "÷ name: how many times better that one of ours is, in the same round: median [min–max]; above 1 ours wins."
    );
    let _ = writeln!(text, "n=: fewer rounds than the others, for time.");
    let mut cases: Vec<&str> = run.cells.iter().map(|cell| cell.case.as_str()).collect();
    cases.dedup();
    for case in cases {
        let cells: Vec<&Cell> = run.cells.iter().filter(|cell| cell.case == case).collect();
        let _ = writeln!(text, "\n== {case}: {}\n", cells[0].title);
        if case == "L1" {
            text += &limits(&cells);
        } else {
            for each in &cells {
                text += &cell(each, rounds);
                text.push('\n');
            }
        }
        let mut notes: Vec<&String> = Vec::new();
        for note in cells.iter().flat_map(|cell| &cell.notes) {
            if !notes.contains(&note) {
                notes.push(note);
                let _ = writeln!(text, "  * {note}");
            }
        }
    }
    text += &counted(run);
    if !run.missing.is_empty() {
        text += "\n== missing\n\n";
        for missing in &run.missing {
            let _ = writeln!(text, "  {}: {}", missing.peer, missing.why);
        }
    }
    text
}

/// The limits have one row each: they fit in one table.
fn limits(cells: &[&Cell]) -> String {
    let mut rows = vec![vec![String::new(), "ns [min–max]".to_owned()]];
    for cell in cells {
        let probe = cell.parameters.values().next().map(ToString::to_string).unwrap_or_default();
        let value = cell.rows.first().map(|row| match &row.missing {
            Some(why) => why.clone(),
            None => stats::spread(&stats::values(row, "ns")).map_or_else(String::new, with_spread),
        });
        rows.push(vec![probe, value.unwrap_or_default()]);
    }
    table(&rows)
}

fn counted(run: &Run) -> String {
    let counted = &run.counted;
    let mut text = String::new();
    if !counted.costs.is_empty() || counted.missing.is_some() {
        text += "\n== counted: instructions / locked ones / fences / system calls / calls of the allocator\n\n";
    }
    let mut operations: Vec<&str> = Vec::new();
    for cost in &counted.costs {
        if !operations.contains(&cost.operation.as_str()) {
            operations.push(&cost.operation);
        }
    }
    for operation in operations {
        let mut rows =
            vec![[operation, "instructions", "locked", "fences", "syscalls", "allocator"].map(str::to_owned).to_vec()];
        for cost in counted.costs.iter().filter(|cost| cost.operation == operation) {
            let counts = [cost.instructions, cost.locked, cost.fences, cost.syscalls, cost.allocator];
            rows.push([cost.peer.clone()].into_iter().chain(counts.map(|count| count.to_string())).collect());
        }
        text += &table(&rows);
        text.push('\n');
    }
    if !counted.costs.is_empty() {
        text += "  * of cancels the mean of 64 at random; a row that a peer does not have: it has no such operation, or one that \
                 takes too long to step through\n";
    }
    if let Some(missing) = &counted.missing {
        let _ = writeln!(text, "  – {missing}");
    }
    if !counted.sizes.is_empty() {
        text += "\n== sizes in bytes, without what is on the heap\n\n";
        let mut rows = vec![["", "semaphore", "future"].map(str::to_owned).to_vec()];
        for size in &counted.sizes {
            let future = size.future.map_or_else(|| "–".to_owned(), |size| size.to_string());
            rows.push(vec![size.peer.clone(), size.semaphore.to_string(), future]);
        }
        text += &table(&rows);
    }
    text
}

/// The facts that stand above the tables.
pub(crate) fn facts(run: &Run) -> String {
    let mut text = String::new();
    let list = |facts: Vec<(String, String)>| {
        facts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" · ")
    };
    let values = |facts: &indexmap::IndexMap<String, _>| -> Vec<(String, String)> {
        facts
            .iter()
            .map(|(name, value): (&String, &gatepost_bench_kit::result::Value)| (name.clone(), value.to_string()))
            .collect()
    };
    let _ = writeln!(text, "machine: {}", list(values(&run.machine)));
    let _ = writeln!(text, "versions: {}", list(run.versions.clone().into_iter().collect()));
    let _ = writeln!(text, "settings: {}", list(values(&run.settings)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_three_digits() {
        let all = [0.0, 4.368, 0.98, 0.0004, 12.345, 318.4, 4600.0, 26_660.0, 53_040_000.0, 999_600.0];
        let shown = ["0", "4.37", "0.980", "4e-4", "12.3", "318", "4600", "26.7k", "53.0M", "1.00M"];
        assert_eq!(all.map(short), shown);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "  a    bb\n  ccc   d\n");
    }
}
