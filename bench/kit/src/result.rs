//! What a run of the suite found: the JSON of `--json`, and what tables and plots are made from.
//!
//! One cell is one case with one set of parameters; it has a row for each peer, and a row has the metrics of each round
//! that was kept. Nothing here is averaged: medians, ratios and spreads are computed by whoever shows them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of this format.
pub const SCHEMA: u32 = 1;

/// The metrics of one sample: a value for each name.
pub type Metrics = IndexMap<String, f64>;

/// The parameters of a cell, in the order in which they are shown.
pub type Parameters = IndexMap<String, Value>;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Facts about the machine: `cpu`, `cores`, `kernel`, `os`, `memory_bytes`, `line_ns_before`, `line_ns_after` …
    pub machine: IndexMap<String, Value>,
    /// The version of each library and program that was measured.
    pub versions: IndexMap<String, String>,
    /// How it was measured: `mode`, `seed`, `rounds`, `window_ms`, `planned_s`, `actual_s` …
    pub settings: IndexMap<String, Value>,
    /// What was timed.
    pub cells: Vec<Cell>,
    /// The peers that could not take part at all.
    pub missing: Vec<Missing>,
    /// What was counted instead of timed.
    pub counted: Counted,
}

/// A fact or a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A count, a size, a number of milliseconds.
    Integer(u64),
    /// A measured fact.
    Number(f64),
    /// A name.
    Text(String),
}

impl Value {
    /// The value as a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(n) => Some(*n as f64),
            Self::Number(n) => Some(*n),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(n) => n.fmt(f),
            Self::Number(n) => n.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Integer(n)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Self::Integer(n as u64)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Number(n)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// One case with one set of parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// `U1` … `L1`.
    pub case: String,
    /// What is done, in a line.
    pub title: String,
    /// Empty for a case that has none.
    pub parameters: Parameters,
    /// What each round has; the first is the one to compare by.
    pub metrics: Vec<Metric>,
    /// What cannot be fair, and what was cut.
    pub notes: Vec<String>,
    /// Ours first, then the other peers, then the references.
    pub rows: Vec<Row>,
}

/// A quantity that a case measures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// The key in [`Row::rounds`].
    pub name: String,
    /// `ns`, `1/s`, `B`, or nothing for a ratio or a count.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Less is better: a time, a size.
    Lower,
    /// More is better: a throughput, a share.
    Higher,
}

/// What one peer did in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The peer's name.
    pub peer: String,
    /// With whom it may be compared.
    pub kind: Kind,
    /// Of the library, or of the program's runtime.
    pub version: String,
    /// The metrics of each round that was kept, in order. Round n of each row was taken in the same pass over the peers;
    /// a row that was cut has fewer.
    pub rounds: Vec<Metrics>,
    /// How long acquisitions took, over all rounds: pairs of an upper bound in ns and a count, ascending, without empty
    /// buckets. A bucket is an eighth of a power of two. Empty if the case has no waits to show.
    #[serde(default)]
    pub histogram: Vec<(u64, u64)>,
    /// Why the row has no rounds.
    pub missing: Option<String>,
}

/// With whom a peer may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Gatepost.
    Ours,
    /// First come, first served.
    Fair,
    /// A late comer may overtake.
    Barging,
    /// A yardstick that is no semaphore.
    Reference,
}

/// A peer that could not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub peer: String,
    /// What it lacks, and how to get it.
    pub why: String,
}

/// Costs that were counted, which do not drift as times do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Why nothing was counted, if so.
    pub missing: Option<String>,
    /// What was executed.
    pub costs: Vec<Cost>,
    /// What is kept in memory.
    pub sizes: Vec<Size>,
}

/// What one operation of one peer executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The peer's name.
    pub peer: String,
    /// The operation.
    pub operation: String,
    /// Instructions in user space.
    pub instructions: u64,
    /// Locked instructions (atomic read-modify-writes).
    pub locked: u64,
    /// Memory fences.
    pub fences: u64,
    /// System calls.
    pub syscalls: u64,
    /// Calls of the allocator.
    pub allocator: u64,
}

/// What one peer keeps in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// The peer's name.
    pub peer: String,
    /// `size_of` its semaphore.
    pub semaphore: u64,
    /// `size_of` its future; nothing if it has none.
    pub future: Option<u64>,
}
