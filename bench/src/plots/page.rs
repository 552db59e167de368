//! A page: background, title, footer and legend. Its background is its own, so that it can be read on a dark site, too.

use super::style::{self, KINDS, Look, Marker, Peers};
use anyhow::Result;
use gatepost_bench_kit::result::Run;
use plotters::coord::Shift;
use plotters::element::{Circle, DashedPathElement, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea as _, IntoFont as _, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontStyle, RGBColor, ShapeStyle, TextStyle};

/// A point on the page.
pub(super) type At = (i32, i32);

pub(super) const MARGIN: i32 = 24;
/// Where the first panel may begin.
pub(super) const TOP: i32 = 84;
/// What the footer takes.
pub(super) const BOTTOM: i32 = 40;
const LEGEND_LINE: i32 = 18;
const LEGEND_HEADING: i32 = 24;

/// A page that is being drawn.
pub(super) struct Page<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// How large a text is, and how strong.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Title,
    Heading,
    Label,
    Small,
}

/// Draws a page and gives its SVG.
pub(super) fn draw(
    size: At,
    title: &str,
    subtitle: &str,
    footer: &str,
    fill: impl FnOnce(&Page<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (size.0 as u32, size.1 as u32)).into_drawing_area();
        area.fill(&style::BACKGROUND)?;
        let page = Page { area };
        page.text((MARGIN, 20), title, Size::Title, style::TEXT, HPos::Left)?;
        page.text((MARGIN, 46), subtitle, Size::Label, style::FAINT, HPos::Left)?;
        page.text((MARGIN, size.1 - 24), footer, Size::Small, style::FAINT, HPos::Left)?;
        fill(&page)?;
        page.area.present()?;
    }
    Ok(svg)
}

/// On what, and how it was measured: without it a figure says nothing.
pub(super) fn footer(run: &Run) -> String {
    let fact = |map: &indexmap::IndexMap<String, _>, name: &str| map.get(name).map(ToString::to_string);
    let mut parts: Vec<String> = fact(&run.machine, "cpu").into_iter().collect();
    parts.extend(fact(&run.machine, "cores").map(|cores| format!("{cores} cores")));
    parts.extend(fact(&run.machine, "kernel").map(|kernel| match kernel.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("Linux {kernel}"),
        false => kernel,
    }));
    parts.extend(fact(&run.settings, "mode").map(|mode| format!("{mode} mode")));
    parts.extend(fact(&run.settings, "rounds").map(|rounds| format!("median of {rounds} rounds")));
    parts.extend(fact(&run.settings, "window_ms").map(|ms| format!("{ms} ms each")));
    parts.extend(run.versions.get("gatepost").map(|version| format!("gatepost {version}")));
    parts.join(" · ")
}

impl Page<'_> {
    /// Text whose upper edge is at `at`.
    pub(super) fn text(&self, at: At, text: &str, size: Size, colour: RGBColor, side: HPos) -> Result<()> {
        let (points, bold) = match size {
            Size::Title => (20, true),
            Size::Heading => (14, true),
            Size::Label => (13, false),
            Size::Small => (12, false),
        };
        let mut font = ("sans-serif", points).into_font();
        if bold {
            font = font.style(FontStyle::Bold);
        }
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(side, VPos::Top));
        self.area.draw(&Text::new(text.to_owned(), at, style))?;
        Ok(())
    }

    pub(super) fn line(&self, points: Vec<At>, colour: RGBColor, width: u32) -> Result<()> {
        self.area.draw(&PathElement::new(points, colour.stroke_width(width)))?;
        Ok(())
    }

    pub(super) fn dashed(&self, points: Vec<At>, colour: RGBColor, width: u32, dash: (i32, i32)) -> Result<()> {
        let style = colour.stroke_width(width);
        self.area.draw(&DashedPathElement::new(points, dash.0, dash.1, style))?;
        Ok(())
    }

    pub(super) fn rectangle(&self, from: At, to: At, colour: &impl plotters::style::Color, filled: bool) -> Result<()> {
        let style = ShapeStyle { color: colour.to_rgba(), filled, stroke_width: 1 };
        self.area.draw(&Rectangle::new([from, to], style))?;
        Ok(())
    }

    /// A peer's line, without its markers.
    pub(super) fn stroke(&self, points: Vec<At>, look: Look) -> Result<()> {
        match look.dash {
            None => self.line(points, look.colour, look.width),
            Some(dash) => self.dashed(points, look.colour, look.width, dash),
        }
    }

    /// A peer's marker.
    pub(super) fn marker(&self, (x, y): At, look: Look) -> Result<()> {
        let r = if look.width > 2 { 6 } else { 4 };
        let corners = match look.marker {
            Marker::None => return Ok(()),
            Marker::Circle => {
                let colour = if look.filled { look.colour } else { style::PANEL };
                self.area.draw(&Circle::new((x, y), r, colour.filled()))?;
                self.area.draw(&Circle::new((x, y), r, look.colour.stroke_width(2)))?;
                return Ok(());
            }
            Marker::Square => vec![(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
            Marker::Triangle => vec![(x, y - r - 1), (x + r + 1, y + r), (x - r - 1, y + r)],
            Marker::Diamond => vec![(x, y - r - 2), (x + r + 2, y), (x, y + r + 2), (x - r - 2, y)],
        };
        let colour = if look.filled { look.colour } else { style::PANEL };
        self.area.draw(&Polygon::new(corners.clone(), colour.filled()))?;
        let outline = corners.iter().chain(&corners[..2]).copied().collect();
        self.line(outline, look.colour, 2)
    }

    /// The legend: the peers that `shown` has, by kind.
    pub(super) fn legend(&self, at: At, peers: &Peers, shown: impl Fn(&str) -> bool) -> Result<()> {
        let (x, mut y) = at;
        for (kind, heading) in KINDS {
            let mut of_kind = peers.iter().filter(|(name, look)| look.kind == kind && shown(name)).peekable();
            if of_kind.peek().is_none() {
                continue;
            }
            self.text((x, y), heading, Size::Small, style::FAINT, HPos::Left)?;
            y += LEGEND_LINE;
            for (name, look) in of_kind {
                self.stroke(vec![(x, y + 7), (x + 34, y + 7)], look)?;
                self.marker((x + 17, y + 7), look)?;
                self.text((x + 42, y), name, Size::Label, style::TEXT, HPos::Left)?;
                y += LEGEND_LINE;
            }
            y += LEGEND_HEADING - LEGEND_LINE;
        }
        Ok(())
    }
}

/// How high a legend of so many peers can be.
pub(super) fn legend_height(peers: usize) -> i32 {
    peers as i32 * LEGEND_LINE + KINDS.len() as i32 * LEGEND_HEADING
}
