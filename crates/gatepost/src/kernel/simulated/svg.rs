//! A trace as a picture: a lane for each thread, runs one under the other on one scale of time.

use super::lanes::{Doing, Segment};
use super::plan::ThreadId;
use super::timeline::Nanoseconds;
use super::trace::{On, Trace, What};
use std::io;
use std::string::{String, ToString};
use std::vec::Vec;

/// Widths and heights in pixels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 138.0;
const RIGHT: f64 = 36.0;
const LANE: f64 = 58.0;
/// Within a lane: where its bar begins, and how high it is.
const BAR: (f64, f64) = (16.0, 24.0);
const CAPTION: f64 = 38.0;
const AXIS: f64 = 40.0;
const TITLE: f64 = 46.0;
const LEGEND: f64 = 60.0;

const STYLE: &str = r#"
    text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #2b3440 }
    .title { font-weight: 600; font-size: 18px }
    .caption { font-weight: 600; font-size: 15px }
    .name { font-weight: 600; font-size: 14px }
    .note { font-size: 12px; fill: #66727f }
    .on { font-size: 12px; font-weight: 600; fill: #ffffff }
    .waits { font-size: 12px; font-weight: 600; fill: #8e3a26 }
    .alarm { font-size: 12px; font-weight: 600; fill: #b3261e }
    .page { fill: #fbfaf7; stroke: #d9d6cd }
    .plot { fill: #ffffff; stroke: #e4e1d8 }
    .grid { stroke: #eeece5 }
    .base { stroke: #c9ced3; stroke-width: 1.5; stroke-dasharray: 1.5 5; stroke-linecap: round }
    .runs { fill: #24656f }
    .boosted { fill: #d67a1f }
    .ready { fill: #e6eff0; stroke: #8fb0b5 }
    .mutex { fill: url(#hatch); stroke: #b8533c }
    .other { fill: #eef0f2; stroke: #a9b2ba }
    .stopped { fill: #ffffff; stroke: #98a3ad; stroke-dasharray: 4 3 }
    .holds { fill: #5b4a86 }
    .held { font-size: 11px; fill: #5b4a86 }
    .across { stroke: #c9c4b6; stroke-dasharray: 3 4 }
    .mark { stroke: #2b3440; stroke-width: 1.5 }
    .markalarm { stroke: #b3261e; stroke-width: 2 }"#;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// About how wide a text of 12 pixels is.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 7.0
}

impl Segment {
    fn class(&self) -> Option<&'static str> {
        Some(match self.doing {
            Doing::Runs { .. } if self.boosted() => "boosted",
            Doing::Runs { .. } => "runs",
            Doing::Ready => "ready",
            Doing::Blocked(On::Sleep) => return None,
            Doing::Blocked(On::Mutex(_)) => "mutex",
            Doing::Blocked(_) => "other",
            Doing::Stopped => "stopped",
        })
    }

    /// What it says: when it is hovered over, and, shorter, in it.
    fn texts(&self, trace: &Trace) -> (String, String) {
        let lasts = Nanoseconds(self.to - self.from);
        let weight = match self.boosted() {
            true => format!("weighs {}, {} of it its own", self.effective, self.base),
            false => format!("weighs {}", self.base),
        };
        let (what, short) = match self.doing {
            Doing::Runs { processor } if trace.processors > 1 => {
                (format!("runs on processor {processor}"), format!("{processor}"))
            }
            Doing::Runs { .. } if self.boosted() => ("runs, boosted".to_string(), format!("weighs {}", self.effective)),
            Doing::Runs { .. } => ("runs".to_string(), String::new()),
            Doing::Ready => ("ready".to_string(), String::new()),
            Doing::Blocked(on @ On::Mutex(_)) => {
                let name = trace.name_of(on);
                (format!("waits for {name}"), format!("waits for {name}: {lasts}"))
            }
            Doing::Blocked(on) => (format!("waits for {}", trace.name_of(on)), String::new()),
            Doing::Stopped => ("suspended".to_string(), String::new()),
        };
        (format!("{what}, {lasts} from {} to {}; {weight}", Nanoseconds(self.from), Nanoseconds(self.to)), short)
    }
}

/// Pixels from nanoseconds.
struct Scale {
    end: u64,
}

impl Scale {
    fn x(&self, at: u64) -> f64 {
        LEFT + at as f64 / self.end as f64 * (WIDTH - LEFT - RIGHT)
    }

    /// Moments with a tick: at most twelve, on round numbers.
    fn ticks(&self) -> impl Iterator<Item = u64> {
        let steps = (0..19).flat_map(|power| [1, 2, 5].map(|step| step * 10_u64.pow(power)));
        let step = steps.into_iter().find(|step| self.end / step <= 12).unwrap_or(u64::MAX);
        (0..=self.end / step).map(move |tick| tick * step)
    }
}

/// Writes one picture of several runs, one under the other, each with a caption.
///
/// # Errors
/// Those of `to`.
///
/// # Examples
/// ```
/// use gatepost::kernel::simulated::{MILLISECOND, Simulation, write_svg};
///
/// let mut machine = Simulation::new();
/// let thread = machine.thread("one", 1);
/// machine.script(thread).run(MILLISECOND);
/// let mut picture = Vec::new();
/// write_svg(&mut picture, "Twice the same", &[("first", &machine.run()), ("second", &machine.run())])?;
/// assert!(picture.starts_with(b"<svg"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_svg(to: &mut impl io::Write, title: &str, runs: &[(&str, &Trace)]) -> io::Result<()> {
    let scale = Scale { end: runs.iter().map(|(_, trace)| trace.end()).max().unwrap_or(0).max(1) };
    let height_of = |trace: &Trace| CAPTION + trace.lanes.len() as f64 * LANE + AXIS;
    let height = TITLE + runs.iter().map(|(_, trace)| height_of(trace)).sum::<f64>() + LEGEND;
    let title = escaped(title);
    writeln!(
        to,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title\">\n  <title id=\"title\">{title}</title>\n  <style>{STYLE}\n  </style>"
    )?;
    writeln!(
        to,
        "  <defs><pattern id=\"hatch\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"7\" height=\"7\" fill=\"#fbeeea\"/><rect width=\"2\" height=\"7\" \
         fill=\"#f0d0c7\"/></pattern></defs>"
    )?;
    writeln!(
        to,
        "  <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"14\"/>",
        WIDTH - 1.0,
        height - 1.0
    )?;
    writeln!(to, "  <text class=\"title\" x=\"22\" y=\"34\">{title}</text>")?;
    let mut y = TITLE;
    for (caption, trace) in runs {
        writeln!(to, "  <text class=\"caption\" x=\"22\" y=\"{}\">{}</text>", y + 24.0, escaped(caption))?;
        run(to, trace, &scale, y + CAPTION)?;
        y += height_of(trace);
    }
    legend(to, y + 12.0)?;
    writeln!(to, "</svg>")
}

/// The lanes of one run, and its axis.
fn run(to: &mut impl io::Write, trace: &Trace, scale: &Scale, top: f64) -> io::Result<()> {
    let (left, right) = (scale.x(0), scale.x(scale.end));
    let bottom = top + trace.lanes.len() as f64 * LANE;
    writeln!(
        to,
        "  <rect class=\"plot\" x=\"{left:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\"/>",
        right - left,
        bottom - top
    )?;
    for at in scale.ticks() {
        let x = scale.x(at);
        writeln!(to, "  <path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>")?;
        let label = if at == 0 { "0".to_string() } else { Nanoseconds(at).to_string() };
        writeln!(
            to,
            "  <text class=\"note\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 17.0
        )?;
    }
    for (at, ..) in trace.marks() {
        let x = scale.x(at);
        writeln!(to, "  <path class=\"across\" d=\"M{x:.1} {top}V{bottom}\"/>")?;
    }
    for (index, lane) in trace.lanes.iter().enumerate() {
        let y = top + index as f64 * LANE;
        let middle = y + BAR.0 + BAR.1 / 2.0;
        if index > 0 {
            writeln!(to, "  <path class=\"grid\" d=\"M{left:.1} {y}H{right:.1}\"/>")?;
        }
        let x = LEFT - 14.0;
        writeln!(
            to,
            "  <text class=\"name\" x=\"{x}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            middle - 1.0,
            escaped(&lane.name)
        )?;
        writeln!(
            to,
            "  <text class=\"note\" x=\"{x}\" y=\"{}\" text-anchor=\"end\">weight {}</text>",
            middle + 14.0,
            lane.weight
        )?;
        self::lane(to, trace, scale, ThreadId(index), y)?;
    }
    Ok(())
}

fn lane(to: &mut impl io::Write, trace: &Trace, scale: &Scale, thread: ThreadId, y: f64) -> io::Result<()> {
    let (top, height) = (y + BAR.0, BAR.1);
    let middle = top + height / 2.0;
    let segments = trace.segments(thread);
    if let Some(last) = segments.last() {
        writeln!(to, "  <path class=\"base\" d=\"M{:.1} {middle}H{:.1}\"/>", scale.x(0), scale.x(last.to))?;
    }
    for segment in &segments {
        let Some(class) = segment.class() else { continue };
        let (x, right) = (scale.x(segment.from), scale.x(segment.to));
        let (width, low) = (right - x, matches!(class, "ready" | "other" | "stopped"));
        let (bar_top, bar_height) = if low { (middle - 5.0, 10.0) } else { (top, height) };
        let (hover, short) = segment.texts(trace);
        writeln!(
            to,
            "  <rect class=\"{class}\" x=\"{x:.1}\" y=\"{bar_top}\" width=\"{width:.1}\" height=\"{bar_height}\" rx=\"3\">\
             <title>{}</title></rect>",
            escaped(&hover)
        )?;
        let lasts = Nanoseconds(segment.to - segment.from).to_string();
        let short = if class == "mutex" && width_of(&short) + 6.0 >= width { lasts } else { short };
        if !short.is_empty() && width_of(&short) + 6.0 < width {
            let class = if class == "mutex" { "waits" } else { "on" };
            writeln!(
                to,
                "  <text class=\"{class}\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x + width / 2.0,
                middle + 4.0,
                escaped(&short)
            )?;
        }
    }
    for (mutex, from, until) in trace.holdings(thread) {
        let name = escaped(&trace.mutexes[mutex.0]);
        let (x, right) = (scale.x(from), scale.x(until));
        let below = top + height + 3.0;
        writeln!(
            to,
            "  <rect class=\"holds\" x=\"{x:.1}\" y=\"{below}\" width=\"{:.1}\" height=\"3\"><title>holds {name}, from {} \
             to {}</title></rect>",
            right - x,
            Nanoseconds(from),
            Nanoseconds(until)
        )?;
        if right - x > width_of(&name) {
            writeln!(to, "  <text class=\"held\" x=\"{x:.1}\" y=\"{}\">{name}</text>", below + 13.0)?;
        }
    }
    marks(to, trace, scale, thread, y)
}

/// Ticks with labels; those of one moment together.
fn marks(to: &mut impl io::Write, trace: &Trace, scale: &Scale, thread: ThreadId, y: f64) -> io::Result<()> {
    let mut marks: Vec<(u64, String, bool)> = Vec::new();
    for event in trace.of(thread) {
        let (label, alarm) = match &event.what {
            What::Mark(label) => (label, false),
            What::Alarm(label) => (label, true),
            _ => continue,
        };
        match marks.last_mut() {
            Some((at, labels, alarms)) if *at == event.at => {
                *labels += ": ";
                *labels += label;
                *alarms |= alarm;
            }
            _ => marks.push((event.at, label.clone(), alarm)),
        }
    }
    for (at, label, alarm) in marks {
        let x = scale.x(at);
        let (line, text) = if alarm { ("markalarm", "alarm") } else { ("mark", "note") };
        let bottom = y + BAR.0 + BAR.1 + 2.0;
        writeln!(
            to,
            "  <path class=\"{line}\" d=\"M{x:.1} {}V{bottom}\"><title>{}</title></path>",
            y + 4.0,
            Nanoseconds(at)
        )?;
        let (anchor, x) = if x > WIDTH - 220.0 { ("end", x - 5.0) } else { ("start", x + 5.0) };
        let label = escaped(&label);
        writeln!(
            to,
            "  <text class=\"{text}\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>",
            y + 13.0
        )?;
    }
    Ok(())
}

fn legend(to: &mut impl io::Write, y: f64) -> io::Result<()> {
    let entries = [
        ("runs", "runs"),
        ("boosted", "runs, boosted"),
        ("ready", "ready"),
        ("mutex", "waits for a mutex"),
        ("other", "waits otherwise"),
        ("holds", "holds a mutex"),
    ];
    let mut x = 22.0;
    for (class, text) in entries {
        let (top, height) = match class {
            "holds" => (y + 7.0, 3.0),
            "ready" | "other" => (y + 4.0, 10.0),
            _ => (y, 17.0),
        };
        writeln!(to, "  <rect class=\"{class}\" x=\"{x}\" y=\"{top}\" width=\"26\" height=\"{height}\" rx=\"3\"/>")?;
        writeln!(to, "  <text class=\"note\" x=\"{}\" y=\"{}\">{text}</text>", x + 33.0, y + 13.0)?;
        x += 33.0 + width_of(text) + 22.0;
    }
    writeln!(to, "  <path class=\"base\" d=\"M{x} {}h26\"/>", y + 9.0)?;
    writeln!(to, "  <text class=\"note\" x=\"{}\" y=\"{}\">asleep</text>", x + 33.0, y + 13.0)
}

impl Trace {
    /// Writes a picture with a lane for each thread.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_svg(&self, to: &mut impl io::Write, title: &str) -> io::Result<()> {
        write_svg(to, title, &[("", self)])
    }
}
