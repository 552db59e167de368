//! The picture of `top`: a pure function from a [`Model`] to a frame, for any size of terminal.
//!
//! ```text
//! title
//! semaphores │ name, used, state
//!   a line   │ gauge
//!   for each │ holders, each with a bar for its age     below 60 columns, the semaphores stand above
//!            │ queue, with the reason why its head waits
//!            │ waits and holds
//!            │ last events
//! keys, or a question, or what came of a deed
//! ```

use gatepost_shared::{HolderState, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::super::watch::Look;
use super::super::words::{self, age, bound, counted, cut};
use super::super::{events, folder, list, status, why};
use super::model::{Mode, Model};

/// How things look: colours where they are wanted, and what needs no colour otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    /// Whether there may be colours.
    pub(crate) colour: bool,
}

impl Theme {
    fn tint(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn marked(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    fn bad(self) -> Style {
        self.tint(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn warning(self) -> Style {
        self.tint(Color::Yellow)
    }

    fn state(self, state: &str) -> Style {
        match state {
            "damaged" | "stuck" | "unreadable" => self.bad(),
            "paused" | "drained" | "over the limit" => self.warning(),
            _ => Style::new(),
        }
    }

    fn holder(self, state: HolderState) -> Style {
        match state {
            HolderState::Alive => self.tint(Color::Green),
            HolderState::Kept | HolderState::Leased => self.tint(Color::Cyan),
            HolderState::Dead => self.tint(Color::Red),
            _ => self.warning(),
        }
    }
}

/// The width at which the semaphores stand beside the chosen one, and not above it.
const SIDE_BY_SIDE: u16 = 60;
/// The height from which there are empty lines between the lists.
const ROOMY: usize = 17;
/// The width of a bar that stands for an age.
const BAR: usize = 10;

/// Draws `model`.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) {
    let Rect { width, height, .. } = frame.area();
    let mut last = foot(model, theme, width.into());
    // A long message keeps its end, where the advice is.
    let most = usize::from((height / 2).max(1));
    last.drain(..last.len().saturating_sub(most));
    let rows = Constraint::Length(u16::try_from(last.len()).unwrap_or(1));
    let [title, middle, foot] = Layout::vertical([Constraint::Length(1), Constraint::Min(0), rows]).areas(frame.area());
    frame.render_widget(head(model, theme, title.width), title);
    if model.picture.looks.is_empty() {
        let text = match (&model.picture.trouble, model.picture.number) {
            (Some(trouble), _) => words::clean(trouble),
            (None, 0) => "looking".to_owned(),
            (None, _) => list::empty(std::path::Path::new(&model.folder)),
        };
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), middle);
    } else {
        let wide = middle.width >= SIDE_BY_SIDE;
        let rows = u16::try_from(model.picture.looks.len()).unwrap_or(u16::MAX);
        let (left, right) = if wide {
            let [left, right] = Layout::horizontal([Constraint::Length(26), Constraint::Min(0)]).areas(middle);
            (left, right)
        } else {
            let high = rows.min(middle.height / 3).saturating_add(1);
            let [left, right] = Layout::vertical([Constraint::Length(high), Constraint::Min(0)]).areas(middle);
            (left, right)
        };
        let block = Block::new().borders(if wide { Borders::RIGHT } else { Borders::BOTTOM }).border_style(theme.dim());
        let inside = block.inner(left);
        frame.render_widget(block, left);
        frame.render_widget(Paragraph::new(semaphores(model, theme, inside)), inside);
        let right = if wide { right.inner(ratatui::layout::Margin::new(1, 0)) } else { right };
        if let Some(look) = model.look() {
            frame.render_widget(detail(model, look, theme, right), right);
        }
    }
    frame.render_widget(Paragraph::new(last), foot);
    if model.mode == Mode::Help {
        help(frame, theme);
    }
}

fn head(model: &Model, theme: Theme, width: u16) -> Line<'static> {
    let count = counted(model.picture.looks.len() as u64, "semaphore");
    let left = format!("gatepost top  {}", words::clean(&model.folder));
    let room = usize::from(width).saturating_sub(count.len() + 2);
    let left = cut(&left, room);
    let gap = usize::from(width).saturating_sub(Span::raw(&left).width() + count.len());
    Line::styled(format!("{left}{:gap$}{count}", ""), theme.title())
}

/// The list of semaphores, scrolled so that the chosen one is in sight.
fn semaphores(model: &Model, theme: Theme, area: Rect) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let chosen = model.position().unwrap_or(0);
    let first = (chosen + 1).saturating_sub(usize::from(area.height));
    let looks = model.picture.looks.iter().enumerate().skip(first).take(usize::from(area.height));
    let line = |(k, look): (usize, &Look)| {
        let (numbers, state) = match &look.sight.seen {
            Ok(status) => {
                let waiting = match status.waiters.len() {
                    0 => String::new(),
                    n => format!(" +{n}"),
                };
                (format!("{}/{}{waiting}", status.used, status.limit), why::state(status))
            }
            Err(_) => ("?".to_owned(), "unreadable"),
        };
        let mark = match state {
            "" | "full" => "",
            _ => " !",
        };
        let room = width.saturating_sub(numbers.len() + mark.len() + 1);
        let name = cut(&words::clean(&look.sight.name), room);
        let gap = width.saturating_sub(Span::raw(&name).width() + numbers.len() + mark.len());
        let style = if k == chosen { theme.marked() } else { Style::new() };
        Line::from(vec![
            Span::styled(format!("{name}{:gap$}{numbers}", ""), style),
            Span::styled(mark, theme.state(state).patch(style)),
        ])
    };
    looks.map(line).collect()
}

/// The chosen semaphore.
fn detail(model: &Model, look: &Look, theme: Theme, area: Rect) -> Paragraph<'static> {
    match &look.sight.seen {
        Ok(status) => Paragraph::new(found(model, status, look, theme, area)),
        Err(error) => {
            let name = Line::styled(words::clean(&look.sight.name), theme.title());
            let error = Line::styled(words::clean(error), theme.bad());
            Paragraph::new(vec![name, Line::default(), error]).wrap(Wrap { trim: true })
        }
    }
}

fn found(model: &Model, status: &Status, look: &Look, theme: Theme, area: Rect) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = vec![
        Line::from(vec![
            Span::styled(words::clean(&status.name), theme.title()),
            Span::raw("  "),
            Span::styled(why::summary(status), theme.state(why::state(status))),
        ]),
        gauge(status, theme, width),
    ];
    if let Some(damage) = &status.damage {
        let repair = format!("damaged: {}; gatepost repair {}", words::clean(damage), words::clean(&status.name));
        lines.push(Line::styled(repair, theme.bad()));
    }
    if let Some(owner) = &status.locked_by {
        let text = format!("pid {} is in the critical section and does not leave it", owner.process.pid);
        lines.push(Line::styled(text, theme.bad()));
    }

    // Three lists, each with a title, and the line of times: where there is room, with an empty line above each.
    let airy = height >= ROOMY;
    let air = |lines: &mut Vec<Line<'static>>| {
        if airy {
            lines.push(Line::default());
        }
    };
    let fixed = lines.len() + 4 + 4 * usize::from(airy);
    let wants = [status.holders.len().max(1), status.waiters.len().max(1), look.events.len().max(1)];
    let [holding, waiting, happened] = share(height.saturating_sub(fixed), wants);

    air(&mut lines);
    lines.push(Line::styled(format!("holders ({})", status.holders.len()), theme.title()));
    holders(&mut lines, model, status, theme, holding);
    air(&mut lines);
    let reason = why::head_waits(status).map_or_else(String::new, |why| format!(": {why}"));
    lines.push(Line::from(vec![
        Span::styled(format!("queue ({})", status.waiters.len()), theme.title()),
        Span::raw(reason),
    ]));
    queue(&mut lines, status, theme, waiting);
    air(&mut lines);
    lines.push(times(status, theme));
    air(&mut lines);
    lines.push(Line::styled("last events", theme.title()));
    let shown = look.events.iter().rev().take(happened);
    for event in shown {
        let ago = format!("{:>7}  ", age(folder::ago(status.now, event.when)));
        lines.push(Line::from(vec![Span::styled(ago, theme.dim()), Span::raw(events::what(event))]));
    }
    if look.events.is_empty() && happened > 0 {
        lines.push(Line::styled("     none", theme.dim()));
    }
    lines
}

/// One bar for the whole limit: what each holder has, what is free.
fn gauge(status: &Status, theme: Theme, width: usize) -> Line<'static> {
    let all = u64::from(status.limit.max(status.used)).max(1);
    let cells = |upto: u64| usize::try_from(upto * width as u64 / all).unwrap_or(width);
    let mut spans = Vec::new();
    let (mut sum, mut drawn) = (0u64, 0);
    for (k, holder) in status.holders.iter().enumerate() {
        sum = (sum + u64::from(holder.permits)).min(all);
        let upto = cells(sum).max(drawn);
        // Neighbours differ without colours, too.
        let fill = if k % 2 == 0 { "█" } else { "▓" };
        spans.push(Span::styled(fill.repeat(upto - drawn), theme.holder(holder.state)));
        drawn = upto;
    }
    spans.push(Span::styled("░".repeat(width.saturating_sub(drawn)), theme.dim()));
    Line::from(spans)
}

fn holders(lines: &mut Vec<Line<'static>>, model: &Model, status: &Status, theme: Theme, rows: usize) {
    if status.holders.is_empty() {
        lines.push(Line::styled("     nobody", theme.dim()));
        return;
    }
    let marked = model.marked().and_then(|id| status.holders.iter().position(|holder| holder.id == id));
    let first = marked.map_or(0, |at| (at + 2).saturating_sub(rows).min(at));
    let most = status.holders[0].held.as_secs_f64();
    let width = status.holders.iter().map(|holder| holder.id.to_string().len()).max().unwrap_or(0);
    let room = room(status.holders.len() - first, rows);
    for (k, holder) in status.holders.iter().enumerate().skip(first).take(room) {
        let slots = match holder.slots.as_slice() {
            [] => String::new(),
            slots => format!(" [{}]", status::indices(slots.iter().map(|slot| slot.index))),
        };
        let state = match holder.state {
            HolderState::Alive => "",
            HolderState::Kept => "  kept",
            HolderState::Leased => "  leased",
            HolderState::Dead => "  dead",
            _ => "  unknown",
        };
        let style = theme.holder(holder.state);
        let line = Line::from(vec![
            Span::raw(format!("{:>width$}  {:>3}  ", holder.id.to_string(), holder.permits)),
            Span::styled(bar(holder.held.as_secs_f64(), most), style),
            Span::raw(format!(" {:>6}{slots}", age(holder.held))),
            Span::styled(state, style),
            Span::raw(format!("  {}", words::label(&holder.label))),
        ]);
        lines.push(if marked == Some(k) { line.patch_style(theme.marked()) } else { line });
    }
    more(lines, status.holders.len() - first, rows, theme);
}

fn queue(lines: &mut Vec<Line<'static>>, status: &Status, theme: Theme, rows: usize) {
    if status.waiters.is_empty() {
        lines.push(Line::styled("     nobody", theme.dim()));
        return;
    }
    let most = status.waiters[0].waited.as_secs_f64();
    let width = status.waiters.len().to_string().len();
    let room = room(status.waiters.len(), rows);
    for (k, waiter) in status.waiters.iter().enumerate().take(room) {
        let gone = if waiter.session.alive { "" } else { "  dead" };
        lines.push(Line::from(vec![
            Span::raw(format!("{:>width$}. {:>3}  ", k + 1, waiter.permits)),
            Span::styled(bar(waiter.waited.as_secs_f64(), most), theme.tint(Color::Blue)),
            Span::raw(format!(" {:>6}  {}", age(waiter.waited), words::label(&waiter.label))),
            Span::styled(gone, theme.bad()),
        ]));
    }
    more(lines, status.waiters.len(), rows, theme);
}

/// How many of `count` are shown in `rows`: one row is kept for how many more there are, but not the only one.
fn room(count: usize, rows: usize) -> usize {
    if count > rows && rows > 1 { rows - 1 } else { rows }
}

fn more(lines: &mut Vec<Line<'static>>, count: usize, rows: usize, theme: Theme) {
    let shown = room(count, rows);
    if count > shown && rows > 1 {
        lines.push(Line::styled(format!("     and {} more", count - shown), theme.dim()));
    }
}

fn times(status: &Status, theme: Theme) -> Line<'static> {
    let statistics = &status.statistics;
    let mut spans = Vec::new();
    for (what, histogram) in [("wait", &statistics.wait), ("  hold", &statistics.hold)] {
        let quantile = |q| bound(histogram.quantile(q)).replace(' ', "");
        spans.push(Span::styled(what, theme.title()));
        spans.push(Span::raw(format!(" p50 {} p99 {}", quantile(0.5), quantile(0.99))));
    }
    spans.push(Span::styled(format!("  {} acquired", statistics.acquired), theme.dim()));
    Line::from(spans)
}

/// A bar of [`BAR`] cells for the share of `most` that `value` is, in eighths of a cell.
fn bar(value: f64, most: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    // At least an eighth, so that what there is can be seen.
    let eighths = ((share * (8 * BAR) as f64) as usize).max(1);
    let mut out = "█".repeat(eighths / 8);
    out.push_str(EIGHTHS[eighths % 8]);
    let gap = BAR - eighths.div_ceil(8);
    out.push_str(&" ".repeat(gap));
    out
}

/// Shares `rows` among three lists: one each in turn, until none wants more.
fn share(rows: usize, wants: [usize; 3]) -> [usize; 3] {
    let mut given = [0; 3];
    for _ in 0..rows {
        let hungry = (0..3).filter(|&k| given[k] < wants[k]).min_by_key(|&k| given[k]);
        match hungry {
            Some(k) => given[k] += 1,
            None => break,
        }
    }
    given
}

/// The message, if there is one, in as many lines as it needs; the keys, or the question that is open.
fn foot(model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(message) = &model.message {
        let style = if message.is_error { theme.bad() } else { theme.title() };
        lines.extend(words::folded(&message.text, width).into_iter().map(|line| Line::styled(line, style)));
    }
    if lines.is_empty() || !matches!(model.mode, Mode::Browse | Mode::Help) {
        lines.push(keys(model, theme));
    }
    lines
}

fn keys(model: &Model, theme: Theme) -> Line<'static> {
    let text = match &model.mode {
        Mode::Browse | Mode::Help => {
            let keys =
                [("↑↓", "choose"), ("r", "resize"), ("p", "pause"), ("x", "revoke"), ("?", "help"), ("q", "quit")];
            let spans = keys.iter().flat_map(|(key, what)| {
                [Span::styled(*key, theme.title()), Span::styled(format!(" {what}   "), theme.dim())]
            });
            return Line::from(spans.collect::<Vec<_>>());
        }
        Mode::Resize { name, text } => {
            format!("new limit of {}: {text}_   (0 drains; Enter: set, Esc: leave it)", words::clean(name))
        }
        Mode::Choose { .. } => "revoke which? ↑↓ choose, Enter: this one, Esc: none".to_owned(),
        Mode::Confirm { name, id } => {
            let label = model.holder(name, *id).map(|holder| words::label(&holder.label)).unwrap_or_default();
            format!("revoke {}:{id}, {}? y: yes, any other: no", words::clean(name), cut(&label, 30))
        }
    };
    Line::styled(text, theme.warning().add_modifier(Modifier::BOLD))
}

/// The keys, explained.
const HELP: &str = "\
↑ ↓ or k j     choose a semaphore
r              resize: a new limit for everybody, 0 drains
p              pause, and resume: paused, it admits nobody
x              revoke: choose a holder, and confirm; its permits are
               free at once, and its owner is told
Ctrl-L         draw everything again
Ctrl-Z         stop, as the shell has it
q or Ctrl-C    quit

7/8 +2         7 of 8 permits in use, 2 are waiting
!              paused, drained, damaged: choose it to read more
bars           ages, compared with the oldest one
[0-3,6]        the slots of a holder";

fn help(frame: &mut Frame<'_>, theme: Theme) {
    let area = frame.area();
    let (width, height) = (70.min(area.width), (HELP.lines().count() as u16 + 2).min(area.height));
    let area = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let block = Block::bordered().title(" keys; any of them closes this ").border_style(theme.title());
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(block), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::super::samples;
    use super::super::model::Message;
    use super::*;

    fn drawn(model: &Model, width: u16, height: u16, colour: bool) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, model, Theme { colour })).expect("it draws");
        terminal.backend().buffer().clone()
    }

    fn text(model: &Model, width: u16, height: u16) -> String {
        let buffer = drawn(model, width, height, false);
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }

    fn at_build() -> Model {
        let mut model = Model::new("/run/user/1000/gatepost".into());
        model.see(samples::picture());
        press(&mut model, KeyCode::Down);
        model
    }

    fn press(model: &mut Model, key: KeyCode) {
        model.press(KeyEvent::new(key, KeyModifiers::NONE));
    }

    #[test]
    fn a_usual_terminal() {
        samples::is_as_in("top-80x24.txt", &text(&at_build(), 80, 24));
        samples::is_as_in("top-120x32.txt", &text(&at_build(), 120, 32));
    }

    #[test]
    fn a_narrow_one_has_the_list_above() {
        samples::is_as_in("top-40x24.txt", &text(&at_build(), 40, 24));
    }

    #[test]
    fn questions_stand_at_the_foot() {
        let mut model = at_build();
        press(&mut model, KeyCode::Char('x'));
        press(&mut model, KeyCode::Down);
        assert!(text(&model, 80, 24).contains("revoke which?"));
        press(&mut model, KeyCode::Enter);
        assert!(text(&model, 80, 24).contains("revoke build:61, make -j2 check? y: yes"));
        press(&mut model, KeyCode::Char('n'));
        press(&mut model, KeyCode::Char('r'));
        press(&mut model, KeyCode::Char('4'));
        assert!(text(&model, 80, 24).contains("new limit of build: 4_"));
        press(&mut model, KeyCode::Esc);
        press(&mut model, KeyCode::Char('?'));
        samples::is_as_in("top-help.txt", &text(&model, 80, 24));
    }

    #[test]
    fn a_message_is_not_cut_before_its_advice() {
        let mut model = at_build();
        let long = format!("{}; run `gatepost repair build`", "it was not done ".repeat(8));
        model.message = Some(Message { text: long, is_error: true });
        for width in [40, 80] {
            let shown = text(&model, width, 24).replace('\n', " ");
            assert!(shown.contains("it was not done") && shown.contains("repair build`"), "{shown}");
        }
        press(&mut model, KeyCode::Char('r'));
        press(&mut model, KeyCode::Char('z'));
        let shown = text(&model, 80, 24);
        assert!(shown.contains("z is no digit") && shown.contains("new limit of build: _"), "{shown}");
    }

    #[test]
    fn what_cannot_be_read_and_what_is_idle() {
        let mut model = at_build();
        press(&mut model, KeyCode::Up);
        assert!(text(&model, 200, 24).contains("cannot be used as a semaphore"));
        press(&mut model, KeyCode::End);
        let idle = text(&model, 80, 24);
        assert!(idle.contains("holders (0)") && idle.contains("nobody") && idle.contains("none"), "{idle}");
    }

    #[test]
    fn an_empty_folder_says_what_to_do() {
        let mut model = Model::new("/run/user/1000/gatepost".into());
        assert!(text(&model, 80, 24).contains("looking"));
        model.see(samples::picture_of(Vec::new()));
        assert!(text(&model, 80, 24).replace('\n', " ").contains("gatepost run --sem NAME --limit N"));
    }

    #[test]
    fn no_size_is_too_small_and_none_too_large() {
        let mut full = samples::build();
        full.holders = (0..300).map(|_| full.holders[0].clone()).collect();
        full.waiters = (0..300).map(|_| full.waiters[0].clone()).collect();
        full.used = u32::MAX;
        let mut crowded = Model::new("/x".repeat(200));
        crowded.see(samples::picture_of(vec![full]));
        let mut helped = at_build();
        press(&mut helped, KeyCode::Char('?'));
        let mut revoking = at_build();
        press(&mut revoking, KeyCode::Char('x'));
        for model in [&at_build(), &crowded, &helped, &revoking, &Model::new(String::new())] {
            for width in (0..70).chain([80, 200, 500]) {
                for height in (0..30).chain([200]) {
                    drawn(model, width, height, true);
                }
            }
        }
    }

    #[test]
    fn without_colours_there_are_none() {
        let colours = |colour| {
            let buffer = drawn(&at_build(), 80, 24, colour);
            buffer.content().iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
        };
        assert_eq!(colours(false), 0);
        assert!(colours(true) > 0);
    }

    #[test]
    fn a_label_cannot_reach_the_terminal() {
        let mut status = samples::build();
        status.holders[0].label = "\x1b[31mred\u{202e}".to_owned();
        let mut model = Model::new("/run".into());
        model.see(samples::picture_of(vec![status]));
        let shown = text(&model, 120, 24);
        assert!(shown.contains("\\u{1b}[31mred\\u{202e}") && !shown.contains('\x1b'), "{shown}");
    }

    #[test]
    fn rows_are_shared_evenly_and_none_is_left_idle() {
        assert_eq!(share(9, [5, 1, 9]), [4, 1, 4]);
        assert_eq!(share(2, [5, 5, 5]), [1, 1, 0]);
        assert_eq!(share(100, [2, 3, 4]), [2, 3, 4]);
        assert_eq!(share(0, [1, 1, 1]), [0, 0, 0]);
    }

    #[test]
    fn a_bar_is_as_wide_as_its_room() {
        for value in [0.0, 0.01, 0.5, 0.999, 1.0, 7.0] {
            assert_eq!(bar(value, 1.0).chars().count(), BAR, "{value}");
        }
        assert_eq!(bar(1.0, 0.0).trim_end(), "▏");
    }
}
