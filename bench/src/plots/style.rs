//! Colours and strokes. A peer looks the same in each plot of a run: its colour and marker follow from its place among
//! the peers of its kind. Ours are always in the same strong, warm colours and thicker; whoever serves in order has a solid
//! line and a filled marker, whoever barges a dashed line and a hollow one, a reference a dotted grey line.

use gatepost_bench_kit::result::{Kind, Run};
use plotters::style::RGBColor;

pub(super) const BACKGROUND: RGBColor = RGBColor(252, 252, 250);
pub(super) const PANEL: RGBColor = RGBColor(255, 255, 255);
pub(super) const TEXT: RGBColor = RGBColor(28, 32, 38);
pub(super) const FAINT: RGBColor = RGBColor(98, 104, 112);
pub(super) const GRID: RGBColor = RGBColor(226, 228, 231);
pub(super) const BORDER: RGBColor = RGBColor(170, 175, 182);

pub(super) const OURS: [RGBColor; 7] = [
    RGBColor(208, 0, 62),
    RGBColor(244, 124, 0),
    RGBColor(255, 110, 150),
    RGBColor(150, 0, 30),
    RGBColor(240, 180, 0),
    RGBColor(255, 60, 0),
    RGBColor(190, 90, 0),
];
// Cold colours for those who serve in order, the earth's and the violets for those who barge; none is near ours.
const FAIR: [RGBColor; 9] = [
    RGBColor(24, 100, 190),
    RGBColor(22, 140, 84),
    RGBColor(20, 160, 190),
    RGBColor(94, 76, 200),
    RGBColor(16, 84, 84),
    RGBColor(112, 168, 232),
    RGBColor(96, 190, 120),
    RGBColor(26, 52, 120),
    RGBColor(120, 200, 200),
];
const BARGING: [RGBColor; 11] = [
    RGBColor(134, 78, 58),
    RGBColor(176, 72, 180),
    RGBColor(122, 126, 32),
    RGBColor(72, 72, 112),
    RGBColor(190, 150, 60),
    RGBColor(110, 44, 120),
    RGBColor(150, 160, 120),
    RGBColor(226, 130, 190),
    RGBColor(60, 50, 40),
    RGBColor(160, 130, 190),
    RGBColor(186, 150, 130),
];
const REFERENCE: [RGBColor; 3] = [RGBColor(60, 60, 60), RGBColor(130, 130, 130), RGBColor(175, 175, 175)];

/// What marks a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    None,
}

const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

/// How a peer's line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) kind: Kind,
    pub(super) colour: RGBColor,
    pub(super) width: u32,
    /// Lengths of a dash and of the gap after it; nothing: solid.
    pub(super) dash: Option<(i32, i32)>,
    pub(super) marker: Marker,
    pub(super) filled: bool,
}

/// The peers of a run and their looks, in the order of a legend: ours, fair, barging, references.
pub(super) struct Peers {
    known: Vec<(String, Look)>,
}

/// The kinds in the order of a legend, and what they are called there.
pub(super) const KINDS: [(Kind, &str); 4] = [
    (Kind::Ours, "ours"),
    (Kind::Fair, "fair: in order"),
    (Kind::Barging, "barging: may overtake"),
    (Kind::Reference, "reference, no semaphore"),
];

impl Peers {
    pub(super) fn of(run: &Run) -> Self {
        let mut known: Vec<(String, Look)> = Vec::new();
        for (kind, _) in KINDS {
            let rows = run.cells.iter().flat_map(|cell| &cell.rows).filter(|row| row.kind == kind);
            let mut names: Vec<&str> = Vec::new();
            for row in rows {
                if !names.contains(&row.peer.as_str()) {
                    names.push(&row.peer);
                }
            }
            // Strict before barging, then the words of four bytes; the others as the alphabet has them: a run of some peers
            // keeps the order.
            names.sort_unstable_by_key(|name| (kind == Kind::Ours && name.contains("Sema"), *name));
            known.extend(names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), Look::new(kind, at))));
        }
        Self { known }
    }

    pub(super) fn look(&self, peer: &str) -> Look {
        let found = self.known.iter().find(|(name, _)| name == peer);
        found.map_or_else(|| Look::new(Kind::Reference, 0), |(_, look)| *look)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Look)> {
        self.known.iter().map(|(name, look)| (name.as_str(), *look))
    }
}

impl Look {
    fn new(kind: Kind, at: usize) -> Self {
        let (colours, width, dash, filled): (&[RGBColor], _, _, _) = match kind {
            Kind::Ours => (&OURS, 4, None, true),
            Kind::Fair => (&FAIR, 2, None, true),
            Kind::Barging => (&BARGING, 2, Some((7, 4)), false),
            Kind::Reference => (&REFERENCE, 2, Some((2, 4)), false),
        };
        // Past the last colour the colours come again with the next marker.
        let marker = match kind {
            Kind::Reference => Marker::None,
            Kind::Ours => MARKERS[(at % 2 + at / 2) % MARKERS.len()],
            Kind::Fair | Kind::Barging => MARKERS[(at % colours.len() + at / colours.len()) % MARKERS.len()],
        };
        Self { kind, colour: colours[at % colours.len()], width, dash, marker, filled }
    }
}
