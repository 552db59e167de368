//! From a run to what is drawn: the median of a row's rounds, series over a parameter, the tail of a histogram.
//!
//! A row without a figure has no point; a panel or section without a row is left out.

use super::{Scale, axis};
use gatepost_bench_kit::result::{Better, Cell, Kind, Metric, Row, Run, Value};
use gatepost_bench_kit::stats;

/// Panels side by side that share their axes.
pub(super) struct Chart {
    pub(super) panels: Vec<Panel>,
    /// What is on the x axis.
    pub(super) x_label: String,
    /// Ticks of the x axis, in its unit; none: powers of ten.
    pub(super) x_ticks: Vec<f64>,
    pub(super) x_unit: String,
    /// What the y axis shows, and which way is better.
    pub(super) y_label: String,
    pub(super) y_unit: String,
    pub(super) y_scale: Scale,
}

/// One system of axes.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) series: Vec<Series>,
}

/// One peer's line.
pub(super) struct Series {
    pub(super) peer: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether the points are single measurements, or many that make a curve.
    pub(super) marked: bool,
}

/// One list of bars.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) unit: String,
    /// The best first.
    pub(super) bars: Vec<Bar>,
}

/// One peer's bar.
pub(super) struct Bar {
    pub(super) peer: String,
    pub(super) kind: Kind,
    pub(super) spread: stats::Spread,
}

/// What a section is called after.
#[derive(Clone, Copy)]
pub(super) enum Naming {
    Case,
    Parameter(&'static str),
    Title(&'static str),
}

fn cells<'a>(run: &'a Run, case: &'a str) -> impl Iterator<Item = &'a Cell> {
    run.cells.iter().filter(move |cell| cell.case == case)
}

fn metric_of<'a>(cell: &'a Cell, name: &str) -> Option<&'a Metric> {
    cell.metrics.iter().find(|metric| metric.name == name)
}

fn spread(row: &Row, metric: &str) -> Option<stats::Spread> {
    stats::spread(&stats::values(row, metric)).filter(|spread| spread.median.is_finite())
}

/// The values that a parameter has in a case, in the run's order.
pub(super) fn parameter_values(run: &Run, case: &str, name: &str) -> Vec<Value> {
    let mut values = Vec::new();
    for value in cells(run, case).filter_map(|cell| cell.parameters.get(name)) {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}

/// `1 permit`, `4 permits`, `released all at once`.
fn named(parameter: &str, value: &Value) -> String {
    match (value, parameter.strip_suffix('s')) {
        (limit, _) if parameter == "limit" => format!("limit {limit}"),
        (time, _) if parameter == "waited_ms" => format!("the waiter has slept for {time} ms"),
        (Value::Integer(1), Some(one)) => format!("1 {one}"),
        (Value::Integer(n), _) => format!("{n} {parameter}"),
        (Value::Text(word), _) if parameter == "release" && word == "all" => "released all at once".to_owned(),
        (Value::Text(word), _) if parameter == "release" && word == "one" => "released one at a time".to_owned(),
        _ => format!("{parameter}: {value}"),
    }
}

fn metric_name(name: &str) -> &str {
    match name {
        "ops_per_s" => "operations per second (k: thousand, M: million)",
        "share" => "least share / largest share",
        "ns" => "time",
        "release_ns" => "time of a release",
        "bytes" => "bytes",
        "wait_p50" => "median wait",
        "wait_p99" => "99th percentile",
        "wait_max" => "longest wait",
        other => other,
    }
}

fn better(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
    }
}

fn label(metric: &Metric) -> String {
    let name = metric_name(&metric.name);
    match metric.unit.as_str() {
        "" | "1/s" | "B" => format!("{name}; {}", better(metric.better)),
        unit => format!("{name} in {}; {}", axis::unit_name(unit), better(metric.better)),
    }
}

/// A series for each peer of these cells, in the run's order.
fn series_of(cells: &[&Cell], x: &str, metric: &str) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for cell in cells {
        let Some(at) = cell.parameters.get(x).and_then(Value::number) else { continue };
        for row in &cell.rows {
            let Some(spread) = spread(row, metric) else { continue };
            match all.iter_mut().find(|series| series.peer == row.peer) {
                Some(series) => series.points.push((at, spread.median)),
                None => {
                    all.push(Series { peer: row.peer.clone(), points: vec![(at, spread.median)], marked: true });
                }
            }
        }
    }
    for series in &mut all {
        series.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    all
}

fn x_values(panels: &[Panel]) -> Vec<f64> {
    let points = panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let mut values: Vec<f64> = points.map(|point| point.0).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn chart(panels: Vec<Panel>, x: &str, metric: Option<&Metric>, y_scale: Scale) -> Chart {
    let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.series.is_empty()).collect();
    Chart {
        x_ticks: x_values(&panels),
        panels,
        x_label: x.to_owned(),
        x_unit: String::new(),
        y_label: metric.map(label).unwrap_or_default(),
        y_unit: metric.map(|metric| metric.unit.clone()).unwrap_or_default(),
        y_scale,
    }
}

/// A metric against the parameter `x`; a panel for each value of the parameter `panels`.
pub(super) fn against(run: &Run, case: &str, metric: &str, x: &str, panels: &str, y: Scale) -> Chart {
    let all: Vec<&Cell> = cells(run, case).collect();
    let found = all.iter().find_map(|cell| metric_of(cell, metric));
    let drawn = if panels.is_empty() {
        vec![Panel { title: String::new(), series: series_of(&all, x, metric) }]
    } else {
        let values = parameter_values(run, case, panels);
        let panel = |value: &Value| {
            let of_panel: Vec<&Cell> =
                all.iter().copied().filter(|cell| cell.parameters.get(panels) == Some(value)).collect();
            Panel { title: named(panels, value), series: series_of(&of_panel, x, metric) }
        };
        values.iter().map(panel).collect()
    };
    chart(drawn, x, found, y)
}

/// Metrics of one unit against the parameter `x`, where the parameter `only` has this value; a panel for each.
pub(super) fn metrics_against(run: &Run, case: &str, metrics: &[&str], x: &str, only: (&str, &Value)) -> Chart {
    let all: Vec<&Cell> = cells(run, case).filter(|cell| cell.parameters.get(only.0) == Some(only.1)).collect();
    let found = all.iter().find_map(|cell| metrics.iter().find_map(|metric| metric_of(cell, metric)));
    let panel = |metric: &&str| Panel { title: metric_name(metric).to_owned(), series: series_of(&all, x, metric) };
    let mut chart = chart(metrics.iter().map(panel).collect(), x, found, Scale::Log);
    let unit = axis::unit_name(&chart.y_unit);
    let way = found.map(|metric| better(metric.better)).unwrap_or_default();
    chart.y_label = format!("{}, time in {unit}; {way}", named(only.0, only.1));
    chart
}

/// The share of waits that were longer than x: a curve for each peer.
fn tail(row: &Row) -> Series {
    let total: u64 = row.histogram.iter().map(|bucket| bucket.1).sum();
    let mut left = total;
    let mut points = Vec::new();
    for &(upper, count) in &row.histogram {
        if points.is_empty() {
            points.push((upper.max(1) as f64, 1.0));
        }
        left = left.saturating_sub(count);
        if left > 0 {
            points.push((upper as f64, left as f64 / total as f64));
        }
    }
    // The last bucket ends the curve at the share of a single wait.
    if let (Some(&(upper, _)), true) = (row.histogram.last(), total > 0) {
        points.push((upper as f64, 1.0 / total as f64));
    }
    Series { peer: row.peer.clone(), points, marked: false }
}

/// How many waits were longer than x.
pub(super) fn waits(run: &Run, case: &str, only: (&str, u64), panels: &str) -> Chart {
    let all: Vec<&Cell> =
        cells(run, case).filter(|cell| cell.parameters.get(only.0) == Some(&Value::Integer(only.1))).collect();
    let mut drawn = Vec::new();
    for value in parameter_values(run, case, panels) {
        let cells = all.iter().filter(|cell| cell.parameters.get(panels) == Some(&value));
        let rows = cells.flat_map(|cell| &cell.rows).filter(|row| !row.histogram.is_empty());
        let series = rows.map(tail).collect();
        drawn.push(Panel { title: named(panels, &value), series });
    }
    let mut chart = chart(drawn, "wait", None, Scale::Log);
    chart.x_ticks.clear();
    chart.x_unit = "ns".to_owned();
    chart.y_label = "share of the acquisitions that waited longer; lower is better".to_owned();
    chart
}

/// Bars of a case: one section for each of its cells that has figures.
pub(super) fn sections(run: &Run, case: &str, metric: &str, naming: Naming) -> Vec<Section> {
    let section = |cell: &Cell| {
        let found = metric_of(cell, metric)?;
        let bar = |row: &Row| Some(Bar { peer: row.peer.clone(), kind: row.kind, spread: spread(row, metric)? });
        let mut bars: Vec<Bar> = cell.rows.iter().filter_map(bar).collect();
        bars.sort_by(|a, b| match found.better {
            Better::Lower => a.spread.median.total_cmp(&b.spread.median),
            Better::Higher => b.spread.median.total_cmp(&a.spread.median),
        });
        let title = match naming {
            Naming::Case => format!("{}: {}", cell.case, cell.title),
            Naming::Parameter(name) => match cell.parameters.get(name) {
                // A word says by itself what it is.
                Some(value @ Value::Text(_)) => value.to_string(),
                Some(value) => named(name, value),
                None => String::new(),
            },
            Naming::Title(title) => title.to_owned(),
        };
        (!bars.is_empty()).then(|| Section { title, subtitle: label(found), unit: found.unit.clone(), bars })
    };
    cells(run, case).filter_map(section).collect()
}
