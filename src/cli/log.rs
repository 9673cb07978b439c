//! The log on standard error, for a terminal or the systemd journal.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::Global;
use super::progress::Log;
use crate::adapters::service_manager;
use crate::adapters::system_journal::EntrySocket;
use crate::domain::job::JobName;
use crate::domain::receipt::RunId;
use crate::render::text::escape;

mod event;

pub(super) use event::{EventKind, RunEvent};

/// Starts the log. A second call has no effect.
pub(super) fn start(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (1.., _) => LevelFilter::ERROR,
        (0, 0) => LevelFilter::WARN,
        (0, 1) => LevelFilter::INFO,
        (0, 2) => LevelFilter::DEBUG,
        (0, _) => LevelFilter::TRACE,
    };
    // Only a second subscriber could be refused, and the first one is as good.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Log)
        // Otherwise the failure to write a line is reported by another line, and that failure by a panic.
        .log_internal_errors(false)
        .event_format(Lines)
        .try_init();
}

/// How urgent a line is, as in syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Priority {
    fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            Level::DEBUG | Level::TRACE => Self::Debug,
        }
    }
}

/// Whether standard error is the journal of systemd.
pub(super) fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "set by systemd")]
        let stream = std::env::var("JOURNAL_STREAM");
        stream.is_ok_and(|stream| service_manager::is_journal(io::stderr(), &stream))
    })
}

/// The run of this process, as entries of the journal name it.
#[derive(Default)]
struct About {
    job: Option<String>,
    run: Option<String>,
}

/// `None` while the process has no run, and in commands without one.
static ABOUT: Mutex<Option<About>> = Mutex::new(None);

fn about<T>(work: impl FnOnce(&mut Option<About>) -> T) -> T {
    work(&mut ABOUT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Lets the entries of the journal from now on be about a run.
pub(super) fn begin_run() {
    about(|about| *about = Some(About::default()));
}

/// Names the job of the run.
pub(super) fn set_job(name: &JobName) {
    about(|about| about.get_or_insert_default().job = Some(name.to_string()));
}

/// Names the run, once it has a record.
pub(super) fn set_run(run: &RunId) {
    about(|about| about.get_or_insert_default().run = Some(run.to_string()));
}

/// Prints lines on standard error.
pub(super) fn print(priority: Priority, text: &str) {
    print_event(priority, None, text);
}

/// Prints lines on standard error. In the journal each is an entry, and the first one has the fields of the event.
pub(super) fn print_event(priority: Priority, event: Option<&RunEvent>, text: &str) {
    if !is_journal() {
        // There is nowhere to report it.
        let _ = Log.write_all(text.as_bytes());
        return;
    }
    let mut event = event;
    for line in text.lines() {
        if !send(priority, event.take(), line) {
            let _ = Log.write_all(prefixed(priority, line).as_bytes());
        }
    }
}

/// Adds an entry to the journal that has no line anywhere else.
pub(super) fn record(priority: Priority, event: &RunEvent, line: &str) {
    if is_journal() {
        send(priority, Some(event), line);
    }
}

/// Sends an entry with fields; `false` where only lines are taken.
fn send(priority: Priority, event: Option<&RunEvent>, line: &str) -> bool {
    static SOCKET: OnceLock<Option<EntrySocket>> = OnceLock::new();
    let Some(socket) = SOCKET.get_or_init(|| EntrySocket::beside(io::stderr())) else {
        return false;
    };
    // As the journal does with lines of a stream.
    let line = line.trim_end();
    if line.is_empty() {
        return true;
    }
    about(|about| {
        let priority = (priority as u8).to_string();
        let mut fields = vec![
            ("MESSAGE", line),
            ("PRIORITY", &priority),
            ("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME")),
        ];
        let about = about.as_ref();
        let job = about.and_then(|about| about.job.as_deref());
        let run = about.and_then(|about| about.run.as_deref());
        fields.extend(job.map(|job| ("NIX_PRUNE_JOB", job)));
        fields.extend(run.map(|run| ("NIX_PRUNE_RUN", run)));
        // What a command without a run reports is no event of one.
        let event = about.and(event).map(RunEvent::fields);
        let event = event.iter().flatten();
        fields.extend(event.map(|(name, value)| (*name, value.as_str())));
        socket.send(&fields).is_ok()
    })
}

/// A line for the stream of the journal, which takes the priority from its beginning.
fn prefixed(priority: Priority, line: &str) -> String {
    let number = priority as u8;
    format!("<{number}>{line}\n")
}

/// One line for each event: `warning: message (key: value)`; the journal has the priority in place of the word.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let word = match level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut line = escape(&fields.message);
        if !fields.others.is_empty() {
            let others = fields.others.join(", ");
            line = format!("{line} ({})", escape(&others));
        }
        if is_journal() {
            print(Priority::of(level), &line);
            return Ok(());
        }
        writeln!(writer, "nix-prune: {word}: {line}")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others.push(format!("{}: {value:?}", field.name()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_string();
        } else {
            self.others.push(format!("{}: {value}", field.name()));
        }
    }
}
