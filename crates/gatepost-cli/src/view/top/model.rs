//! What `top` shows and what keys do to it: no terminal, no clock, no file.
//!
//! | mode      | keys                                              | leads to
//! |-----------|---------------------------------------------------|------------------------------------------
//! | `Browse`  | up, down, `r`, `p`, `x`, `?`, `q`                 | itself, `Resize`, a deed, `Choose`, `Help`, the end
//! | `Resize`  | digits, backspace, Enter, Esc                     | a deed, `Browse`
//! | `Choose`  | up, down, Enter, Esc                              | `Confirm`, `Browse`
//! | `Confirm` | `y`; any other                                    | a deed, `Browse`
//! | `Help`    | any                                               | `Browse`
//!
//! M1. Everything that is chosen is chosen by identity and not by position: a picture that comes between two keys cannot
//!     make a key act on another semaphore or holder than the one that was marked.

use std::sync::Arc;

use gatepost_shared::{Holder, PermitId, Status};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::super::watch::{Look, Picture};
use super::super::words;

/// What is shown.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// The folder, for the title.
    pub(crate) folder: String,
    /// What was seen last.
    pub(crate) picture: Arc<Picture>,
    /// The name of the chosen semaphore.
    chosen: Option<String>,
    /// What keys mean.
    pub(crate) mode: Mode,
    /// What came of the last deed.
    pub(crate) message: Option<Message>,
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// To look around.
    Browse,
    /// A new limit is being written.
    Resize {
        /// Of which semaphore.
        name: String,
        /// What is written.
        text: String,
    },
    /// A holder is being chosen.
    Choose {
        /// Of which semaphore.
        name: String,
        /// The one that is marked.
        id: PermitId,
    },
    /// A holder was chosen, and it is asked once more.
    Confirm {
        /// Of which semaphore.
        name: String,
        /// The one that was chosen.
        id: PermitId,
    },
    /// The keys are explained.
    Help,
}

/// A line to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// In words.
    pub(crate) text: String,
    /// Whether it tells of a failure.
    pub(crate) is_error: bool,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing but to be shown.
    Show,
    /// To do something to a semaphore.
    Do(Deed),
    /// To be stopped, as by the shell's Ctrl-Z.
    Suspend,
    /// To draw everything again.
    Redraw,
    /// The end.
    Quit,
}

/// Something to do to a semaphore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A new limit.
    Resize {
        /// Of which semaphore.
        name: String,
        /// The limit.
        limit: u32,
    },
    /// To admit nobody.
    Pause {
        /// Which semaphore.
        name: String,
    },
    /// To admit waiters again.
    Resume {
        /// Which semaphore.
        name: String,
    },
    /// To take a grant back by force.
    Revoke {
        /// Of which semaphore.
        name: String,
        /// Which grant.
        id: PermitId,
    },
}

impl Model {
    /// Nothing seen yet.
    pub(crate) fn new(folder: String) -> Self {
        Self { folder, picture: Arc::default(), chosen: None, mode: Mode::Browse, message: None }
    }

    /// Takes what was seen.
    pub(crate) fn see(&mut self, picture: Arc<Picture>) {
        self.picture = picture;
        if self.position().is_none() {
            self.chosen = self.picture.looks.first().map(|look| look.sight.name.clone());
        }
        let lost = match &self.mode {
            Mode::Choose { name, id } => self.holder(name, *id).is_none().then(|| format!("{name}:{id}")),
            Mode::Confirm { name, id } => self.holder(name, *id).is_none().then(|| format!("{name}:{id}")),
            Mode::Resize { name, .. } => self.status_of(name).is_none().then(|| name.clone()),
            Mode::Browse | Mode::Help => None,
        };
        if let Some(what) = lost {
            self.mode = Mode::Browse;
            self.message = Some(Message { text: format!("{} is gone", words::clean(&what)), is_error: false });
        }
    }

    /// Where the chosen semaphore stands in the list.
    pub(crate) fn position(&self) -> Option<usize> {
        let chosen = self.chosen.as_deref()?;
        self.picture.looks.iter().position(|look| look.sight.name == chosen)
    }

    /// The chosen semaphore.
    pub(crate) fn look(&self) -> Option<&Look> {
        self.picture.looks.get(self.position()?)
    }

    fn status(&self) -> Option<&Status> {
        self.look()?.sight.seen.as_ref().ok()
    }

    fn status_of(&self, name: &str) -> Option<&Status> {
        self.picture.looks.iter().find(|look| look.sight.name == name)?.sight.seen.as_ref().ok()
    }

    /// A holder, if it is still there.
    pub(crate) fn holder(&self, name: &str, id: PermitId) -> Option<&Holder> {
        self.status_of(name)?.holders.iter().find(|holder| holder.id == id)
    }

    /// The holder that is marked, in the modes that mark one.
    pub(crate) fn marked(&self) -> Option<PermitId> {
        match self.mode {
            Mode::Choose { id, .. } | Mode::Confirm { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Heeds a key.
    pub(crate) fn press(&mut self, key: KeyEvent) -> Act {
        if key.kind == KeyEventKind::Release {
            return Act::Show;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Act::Quit,
                KeyCode::Char('z') => return Act::Suspend,
                KeyCode::Char('l') => return Act::Redraw,
                _ => return Act::Show,
            }
        }
        self.message = None;
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Browse => self.browse(key.code),
            Mode::Help => Act::Show,
            Mode::Resize { name, text } => self.resize(key.code, name, text),
            Mode::Choose { name, id } => self.choose(key.code, name, id),
            Mode::Confirm { name, id } if matches!(key.code, KeyCode::Char('y' | 'Y')) => {
                Act::Do(Deed::Revoke { name, id })
            }
            Mode::Confirm { .. } => self.tell("nothing was revoked"),
        }
    }

    fn browse(&mut self, key: KeyCode) -> Act {
        match key {
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Home | KeyCode::PageUp => self.go(isize::MIN),
            KeyCode::End | KeyCode::PageDown => self.go(isize::MAX),
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('r' | 'p' | 'x') => return self.begin(key),
            _ => {}
        }
        Act::Show
    }

    fn begin(&mut self, key: KeyCode) -> Act {
        let Some(status) = self.status() else {
            return self.tell("there is no semaphore to do that to");
        };
        let name = self.chosen.clone().unwrap_or_default();
        match key {
            KeyCode::Char('r') => self.mode = Mode::Resize { name, text: String::new() },
            KeyCode::Char('p') if status.paused => return Act::Do(Deed::Resume { name }),
            KeyCode::Char('p') => return Act::Do(Deed::Pause { name }),
            _ => match status.holders.first() {
                Some(holder) => self.mode = Mode::Choose { name, id: holder.id },
                None => return self.tell("nobody holds a permit of it"),
            },
        }
        Act::Show
    }

    fn resize(&mut self, key: KeyCode, name: String, mut text: String) -> Act {
        match key {
            KeyCode::Esc => return self.tell("the limit stays"),
            KeyCode::Enter if text.is_empty() => return self.tell("the limit stays"),
            KeyCode::Enter => match text.parse() {
                Ok(limit) => return Act::Do(Deed::Resize { name, limit }),
                Err(_) => self.message = Some(Message { text: format!("{text} is too large"), is_error: true }),
            },
            KeyCode::Char(digit @ '0'..='9') if text.len() < 10 => text.push(digit),
            KeyCode::Char('0'..='9') => {
                let text = "a limit has at most ten digits".to_owned();
                self.message = Some(Message { text, is_error: true });
            }
            KeyCode::Char(other) => {
                let text = format!("a limit is a number, and {} is no digit", words::clean(&other.to_string()));
                self.message = Some(Message { text, is_error: true });
            }
            KeyCode::Backspace => drop(text.pop()),
            _ => {}
        }
        self.mode = Mode::Resize { name, text };
        Act::Show
    }

    fn choose(&mut self, key: KeyCode, name: String, id: PermitId) -> Act {
        let step = match key {
            KeyCode::Esc | KeyCode::Char('q') => return self.tell("nothing was revoked"),
            KeyCode::Enter => {
                self.mode = Mode::Confirm { name, id };
                return Act::Show;
            }
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Down | KeyCode::Char('j') => 1,
            _ => 0,
        };
        let holders = self.status_of(&name).map_or(&[][..], |status| &status.holders);
        let at = holders.iter().position(|holder| holder.id == id).unwrap_or(0);
        let id = holders.get(moved(at, step, holders.len())).map_or(id, |holder| holder.id);
        self.mode = Mode::Choose { name, id };
        Act::Show
    }

    fn go(&mut self, step: isize) {
        let at = moved(self.position().unwrap_or(0), step, self.picture.looks.len());
        self.chosen = self.picture.looks.get(at).map(|look| look.sight.name.clone());
    }

    fn tell(&mut self, text: &str) -> Act {
        self.message = Some(Message { text: text.to_owned(), is_error: false });
        Act::Show
    }
}

/// `at` moved by `step` among `count`, and not past their ends.
fn moved(at: usize, step: isize, count: usize) -> usize {
    at.saturating_add_signed(step).min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn typed(model: &mut Model, keys: &str) -> Act {
        let mut act = Act::Show;
        for c in keys.chars() {
            act = model.press(key(match c {
                '\n' => KeyCode::Enter,
                '<' => KeyCode::Backspace,
                '!' => KeyCode::Esc,
                c => KeyCode::Char(c),
            }));
        }
        act
    }

    fn model() -> Model {
        let mut model = Model::new("/run".into());
        model.see(samples::picture());
        model
    }

    #[test]
    fn arrows_choose_and_stop_at_the_ends() {
        let mut model = model();
        let name = |model: &Model| model.look().map(|look| look.sight.name.clone()).unwrap_or_default();
        assert_eq!(name(&model), "bad");
        typed(&mut model, "jkkk");
        assert_eq!(name(&model), "bad");
        typed(&mut model, "jjjjjj");
        assert_eq!(name(&model), "link");
        typed(&mut model, "k");
        assert_eq!(name(&model), "build");
    }

    #[test]
    fn a_new_limit_is_written_in_digits() {
        let mut model = model();
        typed(&mut model, "j");
        assert_eq!(typed(&mut model, "r1a2<\n"), Act::Do(Deed::Resize { name: "build".into(), limit: 1 }));
        typed(&mut model, "r1a");
        assert!(matches!(&model.message, Some(Message { is_error: true, text }) if text.contains("a is no digit")));
        assert!(matches!(&model.mode, Mode::Resize { text, .. } if text == "1"), "{:?}", model.mode);
        typed(&mut model, "!r12345678901");
        assert!(matches!(&model.message, Some(Message { is_error: true, text }) if text.contains("ten digits")));
        typed(&mut model, "!");
        assert_eq!(typed(&mut model, "r9999999999\n"), Act::Show);
        assert!(matches!(&model.message, Some(Message { is_error: true, text }) if text.contains("too large")));
        assert_eq!(typed(&mut model, "!"), Act::Show);
        assert_eq!(model.mode, Mode::Browse);
        assert_eq!(typed(&mut model, "r\n"), Act::Show);
    }

    #[test]
    fn pausing_is_the_other_way_round_where_it_is_paused() {
        let mut model = model();
        typed(&mut model, "j");
        assert_eq!(typed(&mut model, "p"), Act::Do(Deed::Pause { name: "build".into() }));
        let mut status = samples::build();
        status.paused = true;
        model.see(samples::picture_of(vec![status]));
        assert_eq!(typed(&mut model, "p"), Act::Do(Deed::Resume { name: "build".into() }));
    }

    #[test]
    fn a_holder_is_chosen_and_confirmed_before_it_is_revoked() {
        let mut model = model();
        typed(&mut model, "j");
        assert_eq!(typed(&mut model, "xjj\nn"), Act::Show);
        assert_eq!(typed(&mut model, "xjjjk\ny"), Act::Do(Deed::Revoke { name: "build".into(), id: 61.into() }));
        assert_eq!(model.mode, Mode::Browse);
    }

    #[test]
    fn a_picture_between_two_keys_cannot_change_what_is_acted_on() {
        let mut model = model();
        typed(&mut model, "jxj");
        let mut status = samples::build();
        status.holders.remove(0);
        model.see(samples::picture_of(vec![samples::idle(), status.clone()]));
        assert_eq!(typed(&mut model, "\ny"), Act::Do(Deed::Revoke { name: "build".into(), id: 61.into() }));
        typed(&mut model, "x\n");
        status.holders.clear();
        model.see(samples::picture_of(vec![status]));
        assert_eq!(model.mode, Mode::Browse);
        assert!(model.message.as_ref().is_some_and(|message| message.text == "build:61 is gone"));
        assert_eq!(typed(&mut model, "y"), Act::Show);
    }

    #[test]
    fn where_there_is_nothing_keys_say_so() {
        let mut model = Model::new("/run".into());
        for keys in ["r", "p", "x", "j", "k"] {
            assert_eq!(typed(&mut model, keys), Act::Show);
        }
        model.see(samples::picture());
        assert_eq!(typed(&mut model, "p"), Act::Show, "it cannot be read");
        assert_eq!(typed(&mut model, "?q"), Act::Show, "any key leaves the help");
        assert_eq!(typed(&mut model, "q"), Act::Quit);
    }

    #[test]
    fn control_keys_work_in_every_mode() {
        let mut model = model();
        typed(&mut model, "jr4");
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        assert_eq!(model.press(control('z')), Act::Suspend);
        assert_eq!(model.press(control('l')), Act::Redraw);
        assert_eq!(typed(&mut model, "2\n"), Act::Do(Deed::Resize { name: "build".into(), limit: 42 }));
        assert_eq!(model.press(control('c')), Act::Quit);
    }
}
