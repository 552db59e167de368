//! The terminal, taken and given back: whatever happens, the shell finds it as it was.
//!
//! | what ends us          | who gives the terminal back
//! |-----------------------|---------------------------------------------------------
//! | `q`, Ctrl-C, an error | dropping [`Screen`]
//! | SIGTERM, SIGHUP, SIGINT, SIGQUIT | the loop hears of them, and drops [`Screen`]
//! | Ctrl-Z, SIGTSTP       | [`Screen::suspended`], which takes it again afterwards
//! | a panic               | the hook, before it says what happened; then dropping does nothing more
//! | SIGKILL               | nobody can: `reset`

use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Once};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// Whether the terminal is ours at present.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal while it is ours.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal.
    pub(crate) fn take() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = Arc::new(std::panic::take_hook());
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        take_over()?;
        match Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws a frame.
    pub(crate) fn draw(&mut self, frame: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(frame).map(|_| ())
    }

    /// Forgets what was drawn, so that the next frame is drawn whole.
    ///
    /// Ratatui's own `clear` asks the terminal for its cursor, and a terminal that does not answer would end us.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }

    /// Gives the terminal back while `doing` runs, and takes it again.
    pub(crate) fn suspended(&mut self, doing: impl FnOnce()) -> io::Result<()> {
        give_back();
        doing();
        self.again()
    }

    /// Takes the terminal again after somebody else had it.
    pub(crate) fn again(&mut self) -> io::Result<()> {
        take_over()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    TAKEN.store(true, SeqCst);
    enable_raw_mode().and_then(|()| execute!(io::stdout(), EnterAlternateScreen)).inspect_err(|_| give_back())
}

/// What fails here fails since the terminal is gone, and then there is nothing to give back.
fn give_back() {
    if TAKEN.swap(false, SeqCst) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
