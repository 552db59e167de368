//! What the suite asks a peer that is a program, and what it answers: one JSON object a line.

use crate::result::{Kind, Metrics, Parameters, Value};
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a program says first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol: 1.
    pub hello: u32,
    /// The runtime and its version.
    pub runtime: String,
    /// The peers that it has.
    pub peers: Vec<Introduced>,
    /// Footnotes for every table that it is in.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Peers that it could not be built with.
    #[serde(default)]
    pub absent: Vec<Absent>,
}

/// A peer in a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Introduced {
    /// Its name in the tables.
    pub name: String,
    /// With whom it may be compared.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// The cases that it takes part in.
    pub cases: Vec<String>,
    /// Footnotes for every table that it is in.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A peer that a program was built without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// What it lacks.
    pub why: String,
}

/// One sample to take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The peer's name.
    pub peer: String,
    /// `U1` …
    pub case: String,
    /// The cell's parameters.
    pub parameters: Parameters,
    /// How long to run before the window.
    pub warm_ms: u64,
    /// How long to measure.
    pub window_ms: u64,
    /// How long a storm may take before it is given up; a program may ignore it.
    #[serde(default = "two_seconds")]
    pub limit_ms: u64,
    /// Whether to run shortly with a check on each permit first; a program may ignore it.
    #[serde(default)]
    pub audit: bool,
}

fn two_seconds() -> u64 {
    2000
}

impl Ask {
    /// A parameter that is a count.
    pub fn count(&self, name: &str) -> Result<usize> {
        match self.parameters.get(name) {
            Some(Value::Integer(n)) => Ok(*n as usize),
            other => bail!("case {} needs a number as parameter `{name}`, not {other:?}", self.case),
        }
    }

    /// A parameter that is a word.
    pub fn word(&self, name: &str) -> Result<&str> {
        match self.parameters.get(name) {
            Some(Value::Text(word)) => Ok(word),
            other => bail!("case {} needs a word as parameter `{name}`, not {other:?}", self.case),
        }
    }

    /// How long to run before the window.
    pub fn warm(&self) -> Duration {
        Duration::from_millis(self.warm_ms)
    }

    /// How long to measure.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms.max(1))
    }

    /// How long a storm may take.
    pub fn limit(&self) -> Duration {
        Duration::from_millis(self.limit_ms)
    }
}

/// One sample, taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// A value for each metric.
    pub metrics: Metrics,
    /// Waits, as in [`Row::histogram`](crate::result::Row::histogram).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<(u64, u64)>,
    /// What a table must say beside it: that it was ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Sample {
    /// A sample with one metric.
    pub fn of(name: &str, value: f64) -> Self {
        Self::default().with(name, value)
    }

    /// The sample with one metric more.
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.metrics.insert(name.to_owned(), value);
        self
    }
}

/// What a program answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// It could not.
    Failed {
        /// Why.
        error: String,
    },
    /// It did.
    Took(Sample),
}

/// Reads one line of the other side.
pub fn read<T: for<'a> Deserialize<'a>>(line: &str) -> Result<T> {
    serde_json::from_str(line.trim()).with_context(|| format!("not a line of the protocol: {}", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_an_answer_come_through_as_they_were() {
        let ask = Ask {
            peer: "Go channel".into(),
            case: "C2".into(),
            parameters: [("threads".to_owned(), 16_usize.into()), ("by".to_owned(), "tasks".into())].into(),
            warm_ms: 10,
            window_ms: 100,
            limit_ms: 2000,
            audit: true,
        };
        assert_eq!(read::<Ask>(&serde_json::to_string(&ask).unwrap()).unwrap(), ask);
        assert_eq!((ask.count("threads").unwrap(), ask.word("by").unwrap()), (16, "tasks"));
        assert!(ask.count("by").is_err() && ask.word("permits").is_err());

        let sample = Sample { histogram: vec![(128, 7)], ..Sample::of("ns", 4.5).with("share", 1.0) };
        for answer in [Answer::Took(sample), Answer::Failed { error: "no".into() }] {
            assert_eq!(read::<Answer>(&serde_json::to_string(&answer).unwrap()).unwrap(), answer);
        }
    }

    #[test]
    fn what_other_languages_write_is_read() {
        let ask = r#"{"peer":"x","case":"U1","parameters":{},"warm_ms":1,"window_ms":2}"#;
        assert_eq!(read::<Ask>(ask).unwrap().limit_ms, 2000);
        let hello =
            r#"{"hello":1,"runtime":"go1.23.5","peers":[{"name":"a","kind":"barging","version":"1","cases":["U1"]}]}"#;
        assert_eq!(read::<Hello>(hello).unwrap().peers[0].kind, Kind::Barging);
        let answer = r#"{"metrics":{"ns":5},"histogram":[[128,7],[144,9]]}"#;
        assert!(matches!(read::<Answer>(answer).unwrap(), Answer::Took(sample) if sample.metrics["ns"] == 5.0));
        assert!(read::<Answer>("panic: x").unwrap_err().to_string().contains("panic: x"));
    }
}
