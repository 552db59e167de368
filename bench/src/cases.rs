//! The cases, their parameters and their metrics. The loops are in the kit.

use gatepost_bench_kit::cases::{limits, profiles};
use gatepost_bench_kit::result::{Better, Metric, Parameters, Value};

/// A case.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// Name, unit, which way is better; the first one is compared.
    metrics: &'static [(&'static str, &'static str, Better)],
    /// What every table of it says.
    pub(crate) notes: &'static [&'static str],
    /// The longest window, in ms, of the full mode; 0 if the work decides how long it takes.
    pub(crate) window_ms: f64,
    /// How many windows one sample has, its calibration and warm-up included.
    pub(crate) windows: f64,
    /// The values of each parameter.
    grid: &'static [(&'static str, Values)],
}

enum Values {
    Counts(&'static [u64]),
    Words(&'static [&'static str]),
}

/// A case with its parameters.
#[derive(Clone)]
pub(crate) struct Cell {
    pub(crate) case: &'static Case,
    pub(crate) parameters: Parameters,
}

const NS: (&str, &str, Better) = ("ns", "ns", Better::Lower);
const RATE: (&str, &str, Better) = ("ops_per_s", "1/s", Better::Higher);
const SHARE: (&str, &str, Better) = ("share", "", Better::Higher);
const IDLE: (&str, &str, Better) = ("idle", "", Better::Lower);

const TASKS: &[(&str, Values)] = &[("tasks", Values::Counts(&[2, 8, 64, 1000])), ("permits", Values::Counts(&[1, 4]))];
/// Of A1 to A3.
const AT_ADDRESSES: &[(&str, &str, Better)] = &[
    NS,
    ("enqueue_ns", "ns", Better::Lower),
    ("wake_ns", "ns", Better::Lower),
    ("release_ns", "ns", Better::Lower),
    ("doubling", "", Better::Lower),
];
const BY_HAND: &str = "for each waiter; ns: enqueue_ns and wake_ns; wake_ns: the releases, and until all have their permits; \
     doubling: t(n) ÷ t(n/2), 2 is linear; futures are polled by hand on one thread, as in C3";
const AT_RANDOM: &str = "released in a random order";
const SCHEDULED: &str = "of tasks, threads and goroutines: enqueue_ns lasts until the last is about to wait, and all figures have \
     their switches in them; threads: no more than 10,000";
const POLL: &str = "each future polled once by a bare loop, outside of any runtime";

const fn uncontended(id: &'static str, title: &'static str, notes: &'static [&'static str]) -> Case {
    Case { id, title, metrics: &[NS], notes, window_ms: 40.0, windows: 1.35, grid: &[] }
}

static CASES: &[Case] = &[
    uncontended("U1", "try_acquire and drop, permits free", &["one thread, 16 permits"]),
    uncontended("U2", "acquire().await and drop, permits free", &["one thread, 16 permits", POLL]),
    uncontended("U3", "acquire_many(8).await and drop, permits free", &["one thread, 16 permits", POLL]),
    uncontended("U3try", "try_acquire_many(8) and drop, permits free", &["one thread, 16 permits"]),
    uncontended("U4", "blocking acquire and release, permits free", &["one thread, 16 permits"]),
    Case {
        id: "C1",
        title: "tasks that contend, each peer as it comes",
        metrics: &[RATE, SHARE, IDLE],
        notes: &[
            "tokio and gatepost spend the runtime's budget and so let other tasks run; a peer without one never yields \
             while permits are free, and tasks that do not run get nothing: compare shares in C1b",
        ],
        window_ms: 100.0,
        windows: 1.15,
        grid: TASKS,
    },
    Case {
        id: "C1b",
        title: "tasks that contend, no budget, every task yields after each 64 operations",
        metrics: &[RATE, SHARE, IDLE],
        notes: &[],
        window_ms: 100.0,
        windows: 1.15,
        grid: TASKS,
    },
    Case {
        id: "C2",
        title: "threads that contend",
        metrics: &[
            RATE,
            SHARE,
            IDLE,
            ("wait_p50", "ns", Better::Lower),
            ("wait_p99", "ns", Better::Lower),
            ("wait_max", "ns", Better::Lower),
        ],
        notes: &[
            "waits are of a second pass with a clock around each acquisition; throughput and share of one without",
            "with 64 threads on few processors, one turn of the scheduler takes longer than the window: judge shares by 16",
        ],
        window_ms: 100.0,
        windows: 2.3,
        grid: &[("threads", Values::Counts(&[2, 4, 16, 64])), ("permits", Values::Counts(&[1, 4]))],
    },
    Case {
        id: "C3",
        title: "a queue of raw futures is woken, each then polled to its end and its permit dropped",
        metrics: &[
            NS,
            ("enqueue_ns", "ns", Better::Lower),
            ("release_ns", "ns", Better::Lower),
            ("poll_ns", "ns", Better::Lower),
        ],
        notes: &["for each waiter; one thread, a waker that counts, the futures side by side in one block of memory"],
        window_ms: 0.0,
        windows: 1.0,
        grid: &[("waiters", Values::Counts(&[1000, 100_000])), ("release", Values::Words(&["all", "one"]))],
    },
    Case {
        id: "C4",
        title: "queued futures are dropped in a random order",
        metrics: &[NS],
        notes: &["for each cancel; one thread, the futures side by side in one block of memory"],
        window_ms: 0.0,
        windows: 1.0,
        grid: &[("waiters", Values::Counts(&[1000, 10_000, 100_000, 1_000_000]))],
    },
    Case {
        id: "C5",
        title: "64 tasks that each ask for 1 to 16 of 16 permits",
        metrics: &[RATE, SHARE, ("big_small", "", Better::Higher)],
        notes: &[
            "big_small: what those got that ask for 13 to 16, of what those got that ask for 1 to 4",
            "as in C1, a peer without a budget never yields while permits are free",
        ],
        window_ms: 100.0,
        windows: 1.15,
        grid: &[],
    },
    Case {
        id: "C6",
        title: "a million semaphores",
        metrics: &[("bytes", "B", Better::Lower), ("size_of", "B", Better::Lower), NS],
        notes: &[
            "bytes: growth of the resident memory for each, its heap included; ns: try and release at a random one",
        ],
        window_ms: 20.0,
        windows: 1.35,
        grid: &[],
    },
    Case {
        id: "C7",
        title: "how long a permit takes from one to another, one way",
        metrics: &[NS],
        notes: &[
            "running: threads that pass it back and forth at once, as far as the peer spins before it sleeps; parked: the \
             other thread is asleep, as the kernel has it; tasks: two on the runtime",
        ],
        window_ms: 100.0,
        windows: 1.15,
        grid: &[("between", Values::Words(&["running", "parked", "tasks"]))],
    },
    Case {
        id: "C8",
        title: "a storm of deadlines: one permit, held for 100 µs again and again, and many who ask with a timeout",
        metrics: &[RATE, ("granted", "", Better::Higher), ("late_p99", "ns", Better::Lower)],
        notes: &[
            "threads: 16, 50 µs; tasks: 1000, 1 ms by tokio's timer, which counts whole milliseconds; ops_per_s: attempts \
             that ended; late_p99: how long after its deadline a refusal came",
        ],
        window_ms: 100.0,
        windows: 1.2,
        grid: &[("by", Values::Words(&["threads", "tasks"]))],
    },
    Case {
        id: "A1",
        title: "each waits at an address of its own, and is woken",
        metrics: AT_ADDRESSES,
        notes: &[BY_HAND, AT_RANDOM, SCHEDULED],
        window_ms: 0.0,
        windows: 1.0,
        grid: &[("addresses", Values::Counts(&[1, 100, 10_000, 100_000, 1_000_000]))],
    },
    Case {
        id: "A2",
        title: "all wait at one address, and are woken one at a time",
        metrics: AT_ADDRESSES,
        notes: &[BY_HAND, SCHEDULED],
        window_ms: 0.0,
        windows: 1.0,
        grid: &[("waiters", Values::Counts(&[100, 10_000, 1_000_000]))],
    },
    Case {
        id: "A3",
        title: "each waits at an address of its own; all these share a root of Go's table",
        metrics: AT_ADDRESSES,
        notes: &[
            BY_HAND,
            AT_RANDOM,
            SCHEDULED,
            "addresses 2008 bytes apart: each on a page that nothing else is on, or half of one",
        ],
        window_ms: 0.0,
        windows: 1.0,
        grid: &[("waiters", Values::Counts(&[100, 1000, 10_000, 100_000]))],
    },
    Case {
        id: "A4",
        title: "one comes, is woken and goes, again and again, beside others that stay",
        metrics: &[NS, ("doubling", "", Better::Lower)],
        notes: &[
            "the others wait at one address, or at many, that share a root of Go's table with the one's; ns: to join, to be \
             woken, and to take the permit; doubling: beside n of them, of what it takes beside n/2: 1 is constant",
            "ours: one thread, a raw future polled by hand; Go: two goroutines that pass it to and fro, half of a round trip",
        ],
        window_ms: 40.0,
        windows: 2.7,
        grid: &[("others", Values::Counts(&[1000, 100_000])), ("at", Values::Words(&["one", "many"]))],
    },
    Case {
        id: "A5",
        title: "a wait by hand, with contention profiles off and on",
        metrics: &[NS],
        notes: &[
            "one future joins, is served, and takes its permit; block, mutex, both: every wait is recorded; sampled: what adds \
             up to 10 µs, and every hundredth; without the feature `profile` of the suite they are not there",
        ],
        window_ms: 40.0,
        windows: 1.35,
        grid: &[("profile", Values::Words(profiles::PROFILES))],
    },
    #[cfg(target_os = "linux")]
    Case {
        id: "P1",
        title: "processes share it: acquire and release, permits free",
        metrics: &[NS, ("cpu_ns", "ns", Better::Lower)],
        notes: &[
            "one process, 16 permits where the peer can have as many; cpu_ns: time of a processor, which is ns where nothing \
             else runs",
        ],
        window_ms: 40.0,
        windows: 1.35,
        grid: &[],
    },
    #[cfg(target_os = "linux")]
    Case {
        id: "P2",
        title: "processes that contend",
        metrics: &[RATE, SHARE, IDLE, ("cpu_ns", "ns", Better::Lower), ("switches", "", Better::Lower)],
        notes: &[
            "cpu_ns, switches: processor time, and how often a process gave its processor up to wait, for each turn, the \
             work inside included, as getrusage(2) has them of all processes from the first turn to the last",
        ],
        window_ms: 100.0,
        windows: 1.15,
        grid: &[("processes", Values::Counts(&[2, 4, 8])), ("limit", Values::Counts(&[1, 2]))],
    },
    #[cfg(target_os = "linux")]
    Case {
        id: "P3",
        title: "how long a permit takes from one process to another, one way",
        metrics: &[NS],
        notes: &[
            "two processes and three semaphores of one permit: whoever has two permits gives one back and asks for the third, \
             which the other holds; half of a turn is one way",
        ],
        window_ms: 100.0,
        windows: 1.15,
        grid: &[],
    },
    #[cfg(target_os = "linux")]
    Case {
        id: "P4",
        title: "from the SIGKILL of a holder to where a waiter in another process has its permit",
        metrics: &[NS],
        notes: &[
            "limit 1; waited_ms: so long the waiter has slept when the holder is killed; lost: the permit never came back \
             while somebody waited for a second or two",
        ],
        window_ms: 100.0,
        windows: 1.3,
        grid: &[("waited_ms", Values::Counts(&[0, 100]))],
    },
    Case {
        id: "L1",
        title: "what the machine takes by itself",
        metrics: &[NS],
        notes: &[],
        window_ms: 40.0,
        windows: 1.4,
        grid: &[("probe", Values::Words(limits::PROBES))],
    },
];

/// Every cell, in the order in which they are run.
pub(crate) fn cells() -> Vec<Cell> {
    let cells = CASES.iter().flat_map(|case| {
        let grids = case.grid.iter().fold(vec![Parameters::new()], |grids, (name, values)| {
            let with = |grid: &Parameters, value: Value| {
                let mut grid = grid.clone();
                grid.insert((*name).to_owned(), value);
                grid
            };
            let all = |grid| -> Vec<Parameters> {
                match values {
                    Values::Counts(counts) => counts.iter().map(|n| with(grid, (*n).into())).collect(),
                    Values::Words(words) => words.iter().map(|word| with(grid, (*word).into())).collect(),
                }
            };
            grids.iter().flat_map(all).collect()
        });
        grids.into_iter().map(move |parameters| Cell { case, parameters })
    });
    cells.collect()
}

impl Cell {
    /// `C2 threads=16 permits=1`.
    pub(crate) fn label(&self) -> String {
        label(self.case.id, &self.parameters)
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let metric = |&(name, unit, better): &(&str, &str, Better)| Metric {
            name: name.to_owned(),
            unit: unit.to_owned(),
            better,
        };
        self.case.metrics.iter().map(metric).collect()
    }

    /// About how long one sample of an ordinary peer takes beside its windows, in seconds.
    pub(crate) fn overhead(&self) -> f64 {
        let count = |name: &str| self.parameters.get(name).and_then(Value::number).unwrap_or(0.0);
        match self.case.id {
            "C1" | "C1b" | "C5" => 0.000_8 + count("tasks") * 2e-6,
            "C2" => 0.001 + count("threads") * 3e-4,
            "C3" => 0.000_2 + count("waiters") * 2.5e-7,
            "C4" => 0.000_2 + count("waiters") * 3e-7,
            "C6" => 0.12,
            "C7" => 0.002,
            "C8" => 0.008,
            "A1" | "A2" | "A3" => at_addresses(count("addresses") + count("waiters")),
            "A4" => 0.001 + count("others") * 1e-6,
            "P2" => 0.003 + count("processes") * 0.005,
            "P3" => 0.015,
            "P4" => 0.04 + count("waited_ms") * 0.003,
            _ => 0.000_2,
        }
    }
}

/// As long as threads take part, most of it is theirs.
fn at_addresses(waiters: f64) -> f64 {
    let threads = if waiters <= 10_000.0 { waiters * 5e-5 } else { 0.0 };
    0.001 + waiters * 1.2e-6 + threads
}

/// A case and its parameters in one line.
pub(crate) fn label(case: &str, parameters: &Parameters) -> String {
    parameters.iter().fold(case.to_owned(), |label, (name, value)| format!("{label} {name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_of_parameters_is_a_cell() {
        let of = |id: &str| cells().iter().filter(|cell| cell.case.id == id).count();
        assert_eq!((of("U1"), of("C1"), of("C2"), of("C3"), of("C4"), of("C7"), of("L1")), (1, 8, 8, 4, 4, 3, 7));
        assert_eq!((of("A1"), of("A2"), of("A3"), of("A4")), (5, 3, 4, 4));
        assert_eq!(cells()[0].label(), "U1");
        assert!(cells().iter().any(|cell| cell.label() == "C2 threads=16 permits=1"));
    }
}
