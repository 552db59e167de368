//! Lines: panels side by side with shared axes, and one legend.

use super::Scale;
use super::axis::{Axis, quantity};
use super::page::{self, BOTTOM, MARGIN, Page, Size, TOP};
use super::select::{Chart, Panel, Series};
use super::style::{self, Peers};
use anyhow::Result;
use plotters::style::text_anchor::HPos;

const WIDTH: i32 = 1160;
const LEAST_HEIGHT: i32 = 540;
const LEGEND: i32 = 216;
/// What the labels of the y axis take.
const LABELS: i32 = 62;
const GAP: i32 = 18;
/// What the labels of the x axis take.
const UNDER: i32 = 46;
/// Room for a tick's label, by its letters.
const LETTER: i32 = 7;

/// A panel's rectangle and axes.
struct Frame<'a> {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    x: &'a Axis,
    y: &'a Axis,
}

impl Frame<'_> {
    fn x_of(&self, value: f64) -> i32 {
        // A marker at the edge must not be cut.
        self.left + 8 + ((self.right - self.left - 16) as f64 * self.x.place(value)).round() as i32
    }

    fn y_of(&self, value: f64) -> i32 {
        self.bottom - 4 - ((self.bottom - self.top - 8) as f64 * self.y.place(value)).round() as i32
    }
}

pub(super) fn draw(title: &str, chart: &Chart, peers: &Peers, footer: &str) -> Result<String> {
    let series = || chart.panels.iter().flat_map(|panel| &panel.series);
    let shown = |name: &str| series().any(|series| series.peer == name);
    let legend = page::legend_height(peers.iter().filter(|(name, _)| shown(name)).count());
    let height = LEAST_HEIGHT.max(TOP + legend + BOTTOM);
    let x = Axis::over(series().flat_map(|series| &series.points).map(|point| point.0), Scale::Log);
    let x = if chart.x_ticks.is_empty() { x } else { x.with_ticks(&chart.x_ticks) };
    let y = Axis::over(series().flat_map(|series| &series.points).map(|point| point.1), chart.y_scale);

    let scales = if chart.y_scale == Scale::Log { "both axes logarithmic" } else { "x axis logarithmic" };
    let subtitle = format!("{} ({scales})", chart.y_label);
    page::draw((WIDTH, height), title, &subtitle, footer, |page| {
        page.legend((WIDTH - LEGEND, TOP), peers, shown)?;
        let count = chart.panels.len() as i32;
        let room = WIDTH - LEGEND - 2 * MARGIN - LABELS - GAP * (count - 1);
        for (at, panel) in (0..).zip(&chart.panels) {
            let left = MARGIN + LABELS + at * (room / count + GAP);
            let frame = Frame {
                left,
                right: left + room / count,
                top: TOP + if panel.title.is_empty() { 0 } else { 20 },
                bottom: height - BOTTOM - UNDER,
                x: &x,
                y: &y,
            };
            axes(page, chart, panel, &frame, at == 0)?;
            curves(page, panel, &frame, peers)?;
        }
        Ok(())
    })
}

fn axes(page: &Page<'_>, chart: &Chart, panel: &Panel, frame: &Frame<'_>, first: bool) -> Result<()> {
    page.text((frame.left, TOP - 2), &panel.title, Size::Heading, style::TEXT, HPos::Left)?;
    page.rectangle((frame.left, frame.top), (frame.right, frame.bottom), &style::PANEL, true)?;
    for &tick in &frame.y.ticks {
        let y = frame.y_of(tick);
        page.line(vec![(frame.left, y), (frame.right, y)], style::GRID, 1)?;
        if first {
            page.text((frame.left - 8, y - 7), &quantity(tick, &chart.y_unit), Size::Label, style::TEXT, HPos::Right)?;
        }
    }
    let mut free = i32::MIN;
    for &tick in &frame.x.ticks {
        let x = frame.x_of(tick);
        page.line(vec![(x, frame.top), (x, frame.bottom)], style::GRID, 1)?;
        let label = quantity(tick, &chart.x_unit);
        let half = label.chars().count() as i32 * LETTER / 2;
        // A label that would touch the one before is left out; its line stays.
        if x - half >= free {
            page.text((x, frame.bottom + 8), &label, Size::Label, style::TEXT, HPos::Center)?;
            free = x + half + LETTER;
        }
    }
    page.rectangle((frame.left, frame.top), (frame.right, frame.bottom), &style::BORDER, false)?;
    let middle = i32::midpoint(frame.left, frame.right);
    page.text((middle, frame.bottom + 26), &chart.x_label, Size::Label, style::FAINT, HPos::Center)
}

/// Ours are drawn last: nothing covers them.
fn curves(page: &Page<'_>, panel: &Panel, frame: &Frame<'_>, peers: &Peers) -> Result<()> {
    let drawn = peers.iter().enumerate().collect::<Vec<_>>();
    for (nth, (name, look)) in drawn.into_iter().rev() {
        for Series { points, marked, .. } in panel.series.iter().filter(|series| series.peer == name) {
            let place = |&(x, y): &(f64, f64)| (frame.x_of(x), frame.y_of(y));
            // No line over a cell that this peer has no figure for.
            let next = |a: f64, b: f64| !*marked || !frame.x.ticks.iter().any(|&tick| a < tick && tick < b);
            for piece in points.chunk_by(|a, b| next(a.0, b.0)).filter(|piece| piece.len() > 1) {
                page.stroke(piece.iter().map(place).collect(), look)?;
            }
            let points: Vec<_> = points.iter().map(place).collect();
            // Of a curve, here and there: where, differs from peer to peer.
            let marks = if *marked { points } else { along(&points, 40 + 37 * (nth as i32 % 4)) };
            marks.into_iter().try_for_each(|point| page.marker(point, look))?;
        }
    }
    Ok(())
}

/// Points of a path that lie far from each other, the first of them at this distance from its beginning.
fn along(path: &[(i32, i32)], first: i32) -> Vec<(i32, i32)> {
    const APART: i32 = 190;
    let mut left = first;
    let mut marks = Vec::new();
    for pair in path.windows(2) {
        left -= (pair[1].0 - pair[0].0).abs() + (pair[1].1 - pair[0].1).abs();
        if left <= 0 {
            marks.push(pair[1]);
            left = APART;
        }
    }
    marks
}
