//! Horizontal bars: sections in a grid, each with its own scale, the best peer on top. A bar that is far longer than the
//! others is cut, which a mark in it shows; its figure is written beside it as beside every other.

use super::Scale;
use super::axis::{Axis, quantity};
use super::page::{self, BOTTOM, MARGIN, Page, Size, TOP};
use super::select::{Bar, Section};
use super::style::{self, KINDS, Peers};
use anyhow::Result;
use gatepost_bench_kit::result::Kind;
use plotters::style::text_anchor::HPos;
use plotters::style::{Color as _, RGBColor};

const COLUMN: i32 = 400;
/// Room for the key of the colours.
const LEAST_WIDTH: i32 = 960;
const MOST_COLUMNS: usize = 3;
const BAR: i32 = 19;
const HEAD: i32 = 46;
const GAP: i32 = 26;
/// What the peers' names take.
const NAMES: i32 = 168;
/// What the figures take.
const FIGURES: i32 = 62;
/// A bar longer than so many times the median bar is cut.
const CUT: f64 = 3.0;

const FAIR: RGBColor = RGBColor(58, 124, 196);
const BARGING: RGBColor = RGBColor(150, 104, 84);
const REFERENCE: RGBColor = RGBColor(140, 140, 140);

pub(super) fn draw(title: &str, sections: &[Section], peers: &Peers, footer: &str) -> Result<String> {
    let columns = sections.len().clamp(1, MOST_COLUMNS);
    // Each section goes where there is most room left, the leftmost such column.
    let mut filled = vec![TOP + 8; columns];
    let mut places = Vec::new();
    for section in sections {
        let column = (0..columns).min_by_key(|&column| filled[column]).unwrap_or(0);
        places.push((MARGIN + column as i32 * COLUMN, filled[column]));
        filled[column] += height(section);
    }
    let width = (2 * MARGIN + columns as i32 * COLUMN).max(LEAST_WIDTH);
    let total = filled.into_iter().max().unwrap_or(TOP) + BOTTOM;
    page::draw((width, total), title, "", footer, |page| {
        key(page, sections)?;
        sections.iter().zip(places).try_for_each(|(section, place)| draw_section(page, section, peers, place))
    })
}

fn height(section: &Section) -> i32 {
    HEAD + section.bars.len() as i32 * BAR + GAP
}

/// Which colour is which kind.
fn key(page: &Page<'_>, sections: &[Section]) -> Result<()> {
    let mut x = MARGIN;
    for (kind, name) in KINDS {
        if sections.iter().flat_map(|section| &section.bars).any(|bar| bar.kind == kind) {
            bar(page, (x, 50), (x + 26, 62), kind, style::OURS[0])?;
            page.text((x + 34, 49), name, Size::Label, style::TEXT, HPos::Left)?;
            x += 34 + 34 + name.chars().count() as i32 * 7;
        }
    }
    page.text((x, 49), "thin line: from the best to the worst round", Size::Label, style::FAINT, HPos::Left)
}

/// Filled for who serves in order, an outline and a tint for who barges: they differ without colours, too.
fn bar(page: &Page<'_>, from: page::At, to: page::At, kind: Kind, ours: RGBColor) -> Result<()> {
    match kind {
        Kind::Ours => page.rectangle(from, to, &ours, true),
        Kind::Fair => page.rectangle(from, to, &FAIR, true),
        Kind::Reference => page.rectangle(from, to, &REFERENCE.mix(0.55), true),
        Kind::Barging => {
            page.rectangle(from, to, &BARGING.mix(0.25), true)?;
            page.rectangle(from, to, &BARGING, false)
        }
    }
}

fn draw_section(page: &Page<'_>, section: &Section, peers: &Peers, (left, top): page::At) -> Result<()> {
    page.text((left, top), &section.title, Size::Heading, style::TEXT, HPos::Left)?;
    page.text((left, top + 19), &section.subtitle, Size::Small, style::FAINT, HPos::Left)?;
    let (zero, most) = (left + NAMES, left + COLUMN - FIGURES - 24);
    let mut medians: Vec<f64> = section.bars.iter().map(|bar| bar.spread.median).collect();
    medians.sort_by(f64::total_cmp);
    let longest = medians.last().copied().unwrap_or(0.0).min(medians[medians.len() / 2] * CUT);
    let axis = Axis::over([longest].into_iter(), Scale::Linear);
    let x_of = |value: f64| zero + (f64::from(most - zero) * axis.place(value)).round() as i32;

    let bottom = top + HEAD + section.bars.len() as i32 * BAR;
    page.line(vec![(zero, top + HEAD - 4), (zero, bottom)], style::BORDER, 1)?;
    for (at, one) in (0..).zip(&section.bars) {
        let y = top + HEAD + at * BAR;
        let cut = axis.is_above(one.spread.median);
        draw_bar(page, (one, &section.unit, cut), peers, (left, y), &x_of)?;
    }
    // What the hardware allows, through all of the section.
    for limit in section.bars.iter().filter(|bar| bar.kind == Kind::Reference) {
        let x = x_of(limit.spread.median);
        page.dashed(vec![(x, top + HEAD - 4), (x, bottom)], style::TEXT, 1, (3, 3))?;
    }
    Ok(())
}

fn draw_bar(
    page: &Page<'_>,
    (one, unit, cut): (&Bar, &str, bool),
    peers: &Peers,
    (left, y): page::At,
    x_of: &impl Fn(f64) -> i32,
) -> Result<()> {
    let (zero, end) = (x_of(0.0), x_of(one.spread.median));
    let look = peers.look(&one.peer);
    let colour = if one.kind == Kind::Ours { look.colour } else { style::TEXT };
    page.text((zero - 8, y + 1), &one.peer, Size::Label, colour, HPos::Right)?;
    bar(page, (zero, y + 2), (end.max(zero + 1), y + BAR - 4), one.kind, look.colour)?;
    let mut figure = end;
    if cut {
        for shift in [10, 16] {
            let x = end - shift;
            page.line(vec![(x - 2, y + BAR - 3), (x + 3, y + 1)], style::BACKGROUND, 3)?;
        }
    } else {
        let (best, worst) = (x_of(one.spread.min), x_of(one.spread.max));
        let middle = y + BAR / 2 - 1;
        page.line(vec![(best, middle), (worst, middle)], style::TEXT, 1)?;
        figure = worst.max(end);
    }
    let text = quantity(one.spread.median, unit);
    debug_assert!(figure <= left + COLUMN);
    page.text((figure + 6, y + 1), &text, Size::Label, style::TEXT, HPos::Left)
}
