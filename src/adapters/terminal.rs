//! The terminal as a screen of its own: raw mode, the alternate screen, keys and the mouse; all of it is given back on any exit.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd::read;
use ratatui::backend::TermionBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

use self::keys::Parsed;
pub use self::keys::{Event, Key};
use crate::ports::Interrupt;

mod keys;

/// The alternate screen, empty, and reports of the mouse with coordinates of any size. The console of Linux has no alternate
/// screen, and would show what was there before between the words.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?1000h\x1b[?1006h";
/// The same in reverse, with the cursor and without colours.
const LEAVE: &[u8] = b"\x1b[0m\x1b[H\x1b[2J\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";

/// How long a request to stop may go unnoticed.
const TICK: Duration = Duration::from_millis(200);
/// Over a slow connection the rest of a key's bytes comes late. An escape character that nothing follows is the key itself.
const REST_OF_KEY: Duration = Duration::from_millis(50);
/// Two clicks within this time are a double click.
const DOUBLE_CLICK: Duration = Duration::from_millis(400);
/// More bytes at once are a paste, and no keys.
const MAX_INPUT_BYTES: usize = 4096;

/// The settings of the terminal before it was taken, while it is.
static TAKEN: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// The terminal while it is taken.
pub struct Screen {
    terminal: Option<Terminal<TermionBackend<io::Stdout>>>,
    unread: Vec<u8>,
    last_click: Option<(Instant, u16, u16)>,
}

impl Screen {
    /// Takes the terminal of standard input and output. Dropping it, and a panic, give it back.
    ///
    /// # Errors
    /// When there is no terminal.
    pub fn take() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        HOOK.call_once(|| {
            let previous = panic::take_hook();
            // The message must not be lost with the alternate screen.
            panic::set_hook(Box::new(move |panic| {
                give_back();
                previous(panic);
            }));
        });
        if let Ok(mut taken) = TAKEN.lock() {
            *taken = Some(before);
        }
        // From here on its drop gives the terminal back, whatever fails.
        let mut screen = Self {
            terminal: None,
            unread: Vec::new(),
            last_click: None,
        };
        termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &raw)?;
        let mut out = io::stdout();
        out.write_all(ENTER)?;
        out.flush()?;
        screen.terminal = Some(Terminal::new(TermionBackend::new(out))?);
        Ok(screen)
    }

    /// Draws.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if let Some(terminal) = &mut self.terminal {
            terminal.draw(draw)?;
        }
        Ok(())
    }

    /// Makes the next drawing draw everything.
    ///
    /// # Errors
    /// As [`Screen::draw`].
    pub fn clear(&mut self) -> io::Result<()> {
        if let Some(terminal) = &mut self.terminal {
            // Its own `clear` asks the terminal where the cursor is, and waits for an answer among the keys.
            let size = terminal.size()?;
            terminal.resize(Rect::new(0, 0, size.width, size.height))?;
        }
        Ok(())
    }

    /// Columns and lines.
    ///
    /// # Errors
    /// When the terminal does not tell them.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.as_ref().map(Terminal::size).transpose()?;
        Ok(size.map_or((0, 0), |size| (size.width, size.height)))
    }

    /// Waits for keys or the mouse: none after a while, or where somebody asked to stop. `None` at the end of the input.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub fn read(&mut self, interrupt: &impl Interrupt) -> io::Result<Option<Vec<Event>>> {
        if interrupt.requested() {
            return Ok(Some(Vec::new()));
        }
        let patience = if self.unread.is_empty() {
            TICK
        } else {
            REST_OF_KEY
        };
        let is_last = match wait(patience)? {
            Waited::Nothing => true,
            Waited::Input => {
                let mut bytes = [0u8; MAX_INPUT_BYTES];
                match read(io::stdin().as_fd(), &mut bytes) {
                    Ok(0) => return Ok(None),
                    Ok(count) => self.unread.extend(bytes.iter().take(count)),
                    Err(Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
                false
            }
        };
        let Parsed { events, rest } = keys::parse(&self.unread, is_last);
        self.unread = rest;
        let events = events.into_iter().map(|event| self.doubled(event));
        Ok(Some(events.collect()))
    }

    /// The second of two clicks at one place as a double click.
    fn doubled(&mut self, event: Event) -> Event {
        let Event::Click(column, line) = event else {
            return event;
        };
        let now = Instant::now();
        let is_double = self.last_click.is_some_and(|(at, x, y)| {
            (x, y) == (column, line) && now.duration_since(at) < DOUBLE_CLICK
        });
        self.last_click = (!is_double).then_some((now, column, line));
        if is_double {
            Event::DoubleClick(column, line)
        } else {
            event
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It shows the cursor, on the screen that it was hidden on.
        self.terminal = None;
        give_back();
    }
}

enum Waited {
    Input,
    Nothing,
}

fn wait(patience: Duration) -> io::Result<Waited> {
    let stdin = io::stdin();
    let mut wanted = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
    match poll(&mut wanted, patience) {
        Ok(0) | Err(Errno::EINTR) => Ok(Waited::Nothing),
        Ok(_) => Ok(Waited::Input),
        Err(error) => Err(error.into()),
    }
}

/// Gives the terminal back as it was, if it is taken. There is nowhere to report what fails.
fn give_back() {
    let before = TAKEN.lock().ok().and_then(|mut taken| taken.take());
    if let Some(before) = before {
        let mut out = io::stdout();
        let _ = out.write_all(LEAVE).and_then(|()| out.flush());
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &before);
    }
}
