//! A run that was made up gives the files that its cells allow; each is well-formed and names who is in it.

use super::write;
use gatepost_bench_kit::result::{Better, Cell, Kind, Metric, Metrics, Parameters, Row, Run, Value};

const PEERS: [(&str, Kind); 5] = [
    ("gatepost", Kind::Ours),
    ("gatepost barging", Kind::Ours),
    ("tokio", Kind::Fair),
    // What would break a text that is pasted into a file.
    ("a<b> & \"c\"", Kind::Barging),
    ("bare RMW pair", Kind::Reference),
];

fn metric(name: &str, unit: &str, better: Better) -> Metric {
    Metric { name: name.into(), unit: unit.into(), better }
}

/// A cell in which each peer is a little worse than the one before.
fn cell(case: &str, parameters: &[(&str, Value)], metrics: &[Metric]) -> Cell {
    let row = |(nth, (peer, kind)): (usize, &(&str, Kind))| {
        let round = |round: usize| -> Metrics {
            metrics.iter().map(|metric| (metric.name.clone(), 5.0 * (nth + 1) as f64 + round as f64)).collect()
        };
        Row {
            peer: (*peer).to_owned(),
            kind: *kind,
            version: "1".to_owned(),
            rounds: (0..3).map(round).collect(),
            histogram: vec![(64, 1000), (72, 100), (1 << (12 + nth), 3)],
            missing: None,
        }
    };
    Cell {
        case: case.to_owned(),
        title: "what is done".to_owned(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Parameters>(),
        metrics: metrics.to_vec(),
        notes: Vec::new(),
        rows: PEERS.iter().enumerate().map(row).collect(),
    }
}

fn whole_run() -> Run {
    let ns = [metric("ns", "ns", Better::Lower)];
    let contended = [
        metric("ops_per_s", "1/s", Better::Higher),
        metric("share", "", Better::Higher),
        metric("wait_p50", "ns", Better::Lower),
        metric("wait_p99", "ns", Better::Lower),
        metric("wait_max", "ns", Better::Lower),
    ];
    let mut cells: Vec<Cell> = ["U1", "U2", "U3", "U3try", "U4"].map(|case| cell(case, &[], &ns)).into();
    for permits in [1_usize, 4] {
        for many in [2_usize, 16, 64] {
            let tasks = [("tasks", many.into()), ("permits", permits.into())];
            cells.extend(["C1", "C1b"].map(|case| cell(case, &tasks, &contended[..2])));
            cells.push(cell("C2", &[("threads", many.into()), ("permits", permits.into())], &contended));
        }
    }
    for waiters in [1000_usize, 100_000] {
        cells
            .extend(["all", "one"].map(|way| cell("C3", &[("waiters", waiters.into()), ("release", way.into())], &ns)));
        cells.push(cell("C4", &[("waiters", waiters.into())], &ns));
    }
    cells.push(cell("C6", &[], &[metric("bytes", "B", Better::Lower), ns[0].clone()]));
    cells.extend(["running", "parked", "tasks"].map(|who| cell("C7", &[("between", who.into())], &ns)));
    cells.extend(["P1", "P3"].map(|case| cell(case, &[], &ns)));
    cells.extend([0_usize, 100].map(|ms| cell("P4", &[("waited_ms", ms.into())], &ns)));
    cells.extend([2_usize, 4].map(|n| cell("P2", &[("processes", n.into()), ("limit", 1_usize.into())], &contended)));
    let at_addresses = [ns[0].clone(), metric("release_ns", "ns", Better::Lower)];
    cells.extend([1_usize, 100, 1_000_000].map(|n| cell("A1", &[("addresses", n.into())], &at_addresses)));
    for waiters in [100_usize, 10_000] {
        cells.extend(["A2", "A3"].map(|case| cell(case, &[("waiters", waiters.into())], &at_addresses)));
    }
    Run { cells, ..Run::default() }
}

/// The files of a run, by name.
fn files(run: &Run) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let written = write(run, dir.path()).unwrap();
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    written.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Whether every element is closed where it must be, and nothing is in a text or an attribute that may not be.
fn assert_well_formed(file: &str, svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        assert!(!text.contains('>'), "{file}: a loose > in {text:?}");
        for (at, _) in text.match_indices('&') {
            let end = text[at..].find(';').unwrap_or_else(|| panic!("{file}: a loose & in {text:?}"));
            assert!(["&amp;", "&lt;", "&gt;", "&quot;", "&apos;"].contains(&&text[at..=at + end]), "{file}: {text:?}");
        }
        let end = at + rest[at..].find('>').unwrap_or_else(|| panic!("{file}: an element without an end"));
        let tag = &rest[at + 1..end];
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{file}");
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{file}: {tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{file}: {open:?} are not closed");
}

#[test]
fn a_whole_run_gives_every_plot_and_each_is_well_formed_and_names_the_peers() {
    let files = files(&whole_run());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "uncontended.svg",
        "c1-throughput.svg",
        "c1b-throughput.svg",
        "c2-throughput.svg",
        "c2-share.svg",
        "c2-waits-permits-1.svg",
        "c2-waits-permits-4.svg",
        "c2-wait-distribution.svg",
        "c3-wake.svg",
        "c4-cancel.svg",
        "c6-memory.svg",
        "c7-hand-off.svg",
        "processes.svg",
        "p4-recovery.svg",
        "p2-throughput.svg",
        "a1-addresses.svg",
        "a1-release.svg",
        "a2-one-address.svg",
        "a3-one-root.svg",
    ];
    assert_eq!(names, expected);
    for (file, svg) in &files {
        assert_well_formed(file, svg);
        for (peer, _) in PEERS {
            let escaped = peer.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            assert!(svg.contains(&escaped), "{file} does not name {peer}");
        }
        assert!(svg.contains("is better"), "{file} does not say which way is better");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{file}");
    }
}

#[test]
fn a_part_of_a_run_gives_its_plots_only() {
    let mut run = whole_run();
    run.cells.retain(|cell| cell.case == "C4" || cell.case == "U1");
    let names: Vec<String> = files(&run).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["uncontended.svg", "c4-cancel.svg"]);
}

#[test]
fn an_empty_run_gives_nothing_not_even_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("plots");
    assert_eq!(write(&Run::default(), &inside).unwrap(), Vec::<std::path::PathBuf>::new());
    assert!(!inside.exists());
}

#[test]
fn a_peer_without_figures_is_in_no_plot() {
    let mut run = whole_run();
    for row in run.cells.iter_mut().flat_map(|cell| &mut cell.rows).filter(|row| row.peer == "tokio") {
        row.rounds.clear();
        row.histogram.clear();
        row.missing = Some("its toolchain is not there".to_owned());
    }
    let files = files(&run);
    assert_eq!(files.len(), 19);
    assert!(files.iter().all(|(_, svg)| !svg.contains("tokio")));
}

#[test]
fn zeros_have_a_place_on_every_axis() {
    let mut run = whole_run();
    for value in run.cells.iter_mut().flat_map(|cell| &mut cell.rows).flat_map(|row| &mut row.rounds) {
        value.values_mut().for_each(|value| *value = 0.0);
    }
    for (file, svg) in files(&run) {
        assert_well_formed(&file, &svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{file}");
    }
}
