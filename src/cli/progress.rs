//! The progress line on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::context::Context;

/// Shorter work shows no line.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// Moves to the beginning of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// Whether a line is shown; locked while somebody writes, so that a message does not interrupt it.
static SHOWN: Mutex<bool> = Mutex::new(false);

/// The line while it is shown.
#[derive(Debug, Default)]
pub(super) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Context {
    /// As [`Progress::show`], unless it is silent.
    pub(super) fn progress(&self, text: impl Fn() -> Option<String> + Send + 'static) -> Progress {
        if self.global.quiet > 0 {
            return Progress::default();
        }
        Progress::show(text)
    }
}

impl Progress {
    /// Shows the result of `text` a few times a second, if standard error is a suitable terminal.
    fn show(text: impl Fn() -> Option<String> + Send + 'static) -> Self {
        #[expect(clippy::disallowed_methods, reason = "what the terminal can show")]
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if dumb || !io::stderr().is_terminal() {
            return Self::default();
        }
        let (stop, stopped) = mpsc::channel();
        // Without a thread there is no line; the work continues.
        let draws = thread::Builder::new().spawn(move || {
            let mut pause = PATIENCE;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if let Some(text) = text() {
                    draw(&text);
                }
                pause = PAUSE;
            }
            clear_line(&mut io::stderr().lock());
        });
        Self(draws.ok().map(|draws| (stop, draws)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, draws)) = self.0.take() {
            drop(stop);
            // Only the output could fail.
            let _ = draws.join();
        }
    }
}

fn draw(text: &str) {
    let width = terminal_size::terminal_size_of(io::stderr());
    let columns = width.map_or(79, |(width, _)| usize::from(width.0).saturating_sub(1));
    let text: String = text.chars().take(columns).collect();
    let mut err = io::stderr().lock();
    if let Ok(mut shown) = SHOWN.lock() {
        // There is nowhere to report that the line cannot be printed.
        let _ = write!(err, "{CLEAR}{text}").and_then(|()| err.flush());
        *shown = true;
    }
}

/// Removes the line, if there is one, so that the next output begins at the start of a line.
fn clear_line(err: &mut impl Write) {
    if let Ok(mut shown) = SHOWN.lock()
        && std::mem::take(&mut *shown)
    {
        let _ = write!(err, "{CLEAR}").and_then(|()| err.flush());
    }
}

/// Standard error for the log.
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut err = io::stderr().lock();
        clear_line(&mut err);
        err.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
