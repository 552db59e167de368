//! Every case with every peer in this process, as short as can be; and a peer that lies.

use crate::cases::{Cell, cells};
use crate::peers;
use gatepost_bench_kit::peer::{Peer, Tasks, Threads, Try};
use gatepost_bench_kit::protocol::{Ask, read};
use gatepost_bench_kit::result::{Kind, Run, SCHEMA, Value};
use gatepost_bench_kit::{Entry, Sample};

fn ask(cell: &Cell) -> Ask {
    let blank = r#"{"peer":"","case":"","parameters":{},"warm_ms":1,"window_ms":2,"audit":true}"#;
    Ask { case: cell.case.id.to_owned(), parameters: cell.parameters.clone(), ..read(blank).unwrap() }
}

/// Small enough for a test.
fn is_small(cell: &Cell) -> bool {
    cell.parameters.values().all(|value| !matches!(value, Value::Integer(n) if *n > 1000))
}

/// That a sample has what its case says it has.
fn check(cell: &Cell, peer: &str, sample: &Sample) {
    for metric in cell.metrics() {
        let value = sample.metrics.get(&metric.name);
        let value = *value.unwrap_or_else(|| panic!("{} of {peer} has no {}", cell.label(), metric.name));
        assert!(value.is_finite() && value >= 0.0, "{} of {peer}: {} is {value}", cell.label(), metric.name);
    }
    assert_eq!(sample.metrics.len(), cell.metrics().len(), "{} of {peer}", cell.label());
    assert_eq!(cell.case.id == "C2", !sample.histogram.is_empty() && cell.case.id != "C8");
}

/// Takes a sample of each peer in each small cell of a case.
fn smoke(case: &str) {
    let all = peers::all();
    let mut taken = 0;
    for cell in cells().iter().filter(|cell| cell.case.id == case && is_small(cell)) {
        for peer in &all {
            let ask = ask(cell);
            let Some(run) = peer.entry.run(&ask) else { continue };
            match run(&ask) {
                Ok(sample) => {
                    check(cell, &peer.entry.name, &sample);
                    taken += 1;
                }
                // A peer may be unable to; ours is not.
                Err(error) => {
                    let why = format!("{error:#}");
                    let may = why.starts_with("too slow")
                        || why.contains("cannot add that many")
                        || why.contains("cannot have more than");
                    assert!(may && peer.entry.kind != Kind::Ours, "{} of {}: {why}", cell.label(), peer.entry.name);
                }
            }
        }
    }
    assert!(taken > 0, "nobody takes part in {case}");
}

macro_rules! smoke {
    ($($name:ident $case:literal)*) => {$(
        #[test]
        fn $name() {
            smoke($case);
        }
    )*};
}

smoke! {
    u1_runs_with_every_peer "U1"
    u2_runs_with_every_peer "U2"
    u3_runs_with_every_peer "U3"
    u3try_runs_with_every_peer "U3try"
    u4_runs_with_every_peer "U4"
    c1_runs_with_every_peer "C1"
    c1b_runs_with_every_peer "C1b"
    c2_runs_with_every_peer "C2"
    c3_runs_with_every_peer "C3"
    c4_runs_with_every_peer "C4"
    c5_runs_with_every_peer "C5"
    c6_runs_with_every_peer "C6"
    c7_runs_with_every_peer "C7"
    c8_runs_with_every_peer "C8"
    a1_runs_with_every_peer "A1"
    a2_runs_with_every_peer "A2"
    a3_runs_with_every_peer "A3"
    a4_runs_with_every_peer "A4"
    a5_runs_with_every_peer "A5"
    l1_runs_with_every_probe "L1"
}

/// Those that other processes take part in: which are this one again, started to run [`the_process_that_others_start`].
#[cfg(target_os = "linux")]
mod processes {
    use super::*;
    use gatepost_bench_kit::across::{ARGUMENTS, Across, Role};
    use gatepost_bench_kit::cases::processes::be;
    use std::path::Path;

    fn set_up() {
        let arguments = ["--exact", "smoke::processes::the_process_that_others_start", "--nocapture"];
        ARGUMENTS.get_or_init(|| arguments.map(str::to_owned).to_vec());
    }

    #[test]
    fn the_process_that_others_start() {
        if let Some(role) = Role::of_this_process().unwrap() {
            if role.peer == Lax::NAME { be::<Lax>(&role).unwrap() } else { crate::peers::across::play(&role).unwrap() }
        }
    }

    fn smoke_with_processes(case: &str) {
        set_up();
        smoke(case);
    }

    #[test]
    fn p1_runs_with_every_peer() {
        smoke_with_processes("P1");
    }

    #[test]
    fn p2_runs_with_every_peer() {
        smoke_with_processes("P2");
    }

    #[test]
    fn p3_runs_with_every_peer() {
        smoke_with_processes("P3");
    }

    #[test]
    fn p4_runs_with_every_peer_and_tells_who_loses_what_a_dead_process_held() {
        set_up();
        let cell = cells().into_iter().find(|cell| cell.case.id == "P4").unwrap();
        // Long enough that nobody is slandered on a busy machine, so long as nobody is asked who is known to lose it.
        let (known, patient) =
            (["sem_t shared", "sem_t named", "jobserver pipe"], Ask { limit_ms: 30_000, ..ask(&cell) });
        for peer in peers::all().iter().filter(|peer| peer.entry.run(&patient).is_some()) {
            if known.contains(&peer.entry.name.as_str()) {
                let why = peer.entry.take(&Ask { limit_ms: 300, ..patient.clone() }).unwrap_err().to_string();
                assert!(why.starts_with("lost: "), "{}: {why}", peer.entry.name);
            } else {
                check(&cell, &peer.entry.name, &peer.entry.take(&patient).unwrap());
            }
        }
    }

    /// It lets everybody in.
    struct Lax;

    impl Across for Lax {
        const NAME: &'static str = "lax";
        type Permit<'a> = ();

        fn create(_place: &Path, _permits: usize) -> anyhow::Result<Self> {
            Ok(Self)
        }

        fn open(_place: &Path, _permits: usize) -> anyhow::Result<Self> {
            Ok(Self)
        }

        fn acquire(&self) {}

        fn try_acquire(&self) -> Option<()> {
            Some(())
        }
    }

    #[test]
    fn a_peer_that_lets_everybody_in_is_caught() {
        set_up();
        let lax = Entry::new(Lax::NAME, Kind::Fair, "").across::<Lax>();
        for case in ["P1", "P2"] {
            let cell = cells().into_iter().find(|cell| cell.case.id == case).unwrap();
            assert!(lax.take(&ask(&cell)).is_err(), "{case} believes a liar");
        }
    }
}

/// A peer that gives out permits which it does not have.
struct Liar;

impl Peer for Liar {
    type Permit = ();

    fn new(_permits: usize) -> Self {
        Self
    }
}

impl Try for Liar {
    fn try_one(&'static self) -> Option<()> {
        Some(())
    }
}

impl Tasks for Liar {
    type Granted = ();

    fn one(&'static self) -> impl Future<Output = ()> + Send + 'static {
        std::future::ready(())
    }

    fn permit(_granted: ()) {}
}

impl Threads for Liar {
    fn wait(&'static self) {}
}

#[test]
fn a_peer_that_lies_is_caught_in_every_case() {
    let liar = Entry::new("liar", Kind::Fair, "").tries::<Liar>().tasks::<Liar>().threads::<Liar>();
    let mut caught = 0;
    // C6 only looks at how large it is.
    for cell in cells().iter().filter(|cell| is_small(cell) && cell.case.id != "C6") {
        if liar.run(&ask(cell)).is_some() {
            assert!(liar.take(&ask(cell)).is_err(), "{} believes a liar", cell.label());
            caught += 1;
        }
    }
    assert!(caught > 20);
}

#[test]
fn an_audit_catches_a_liar_that_counts_well_at_the_end() {
    /// It has as many permits at the end as it should: it only lets everybody through who waits.
    struct Lax(std::sync::atomic::AtomicUsize);
    struct Permit(&'static Lax);

    impl Drop for Permit {
        fn drop(&mut self) {
            self.0.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    impl Peer for Lax {
        type Permit = Option<Permit>;

        fn new(permits: usize) -> Self {
            Self(permits.into())
        }
    }

    impl Try for Lax {
        fn try_one(&'static self) -> Option<Self::Permit> {
            let relaxed = std::sync::atomic::Ordering::Relaxed;
            self.0.fetch_update(relaxed, relaxed, |permits| permits.checked_sub(1)).ok()?;
            Some(Some(Permit(self)))
        }
    }

    impl Threads for Lax {
        fn wait(&'static self) -> Self::Permit {
            self.try_one().flatten()
        }
    }

    let lax = Entry::new("lax", Kind::Fair, "").threads::<Lax>();
    let cell = cells().into_iter().find(|cell| cell.label() == "C2 threads=16 permits=1").unwrap();
    // On one processor, two are only ever inside together if one is interrupted there: that takes a while to happen.
    let caught = (0..200).any(|_| lax.take(&ask(&cell)).is_err());
    assert!(caught);
    assert!(lax.take(&Ask { audit: false, ..ask(&cell) }).is_ok(), "only an audit sees it");
}

#[test]
fn a_run_comes_through_json_as_it_was() {
    let all = peers::all();
    let cell = cells().into_iter().find(|cell| cell.case.id == "U1").unwrap();
    let contestants: Vec<_> = all.iter().map(|peer| crate::contest::Contestant::here(peer.entry.clone())).collect();
    let planned = [crate::plan(cell, &contestants)];
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    let settings = crate::schedule::Settings { quick: true, seed: 1, deadline, rounds: 2 };
    let (cells, failures) = crate::schedule::run(&settings, &planned, |_, _| (), |_| ());
    assert_eq!(failures, [] as [String; 0]);
    let row = &cells[0].rows[0];
    // A busy machine may leave time for one round only.
    assert!(row.peer == "gatepost" && (1..=2).contains(&row.rounds.len()), "{row:?}");

    let run = Run {
        schema: SCHEMA,
        machine: crate::machine::facts(),
        settings: [("seed".to_owned(), 1_u64.into()), ("planned_s".to_owned(), 2.5.into())].into(),
        cells,
        ..Run::default()
    };
    let text = serde_json::to_string_pretty(&run).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    let tables = crate::report::run(&run);
    assert!(tables.contains("÷ gatepost") && tables.contains("sem_t") && tables.contains("bare RMW pair"), "{tables}");
}
