//! The log on standard error, for a terminal or the systemd journal.

use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::Global;
use super::progress::Log;
use crate::adapters::service_manager;
use crate::render::text::escape;

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

/// Prints lines on standard error. The journal takes the priority from the beginning of each.
pub(super) fn print(priority: Priority, text: &str) {
    let text = if is_journal() {
        prefixed(priority, text)
    } else {
        text.to_string()
    };
    // There is nowhere to report it.
    let _ = Log.write_all(text.as_bytes());
}

fn prefixed(priority: Priority, text: &str) -> String {
    let number = priority as u8;
    text.lines().fold(String::new(), |mut out, line| {
        // Writing to a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut out, format_args!("<{number}>{line}\n"));
        out
    })
}

/// One line for each event: `warning: message (key: value)`; for the journal the priority comes first, as `<4>`.
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
        if is_journal() {
            write!(writer, "<{}>", Priority::of(level) as u8)?;
        } else {
            write!(writer, "nix-prune: {word}: ")?;
        }
        write!(writer, "{}", escape(&fields.message))?;
        if !fields.others.is_empty() {
            write!(writer, " ({})", escape(&fields.others.join(", ")))?;
        }
        writeln!(writer)
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

#[cfg(test)]
mod tests {
    use super::{Priority, prefixed};
    use rstest::rstest;

    #[rstest]
    #[case(Priority::Error, "one\n", "<3>one\n")]
    #[case(Priority::Warning, "one\ntwo", "<4>one\n<4>two\n")]
    #[case(Priority::Info, "", "")]
    fn every_line_has_its_priority(
        #[case] priority: Priority,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(prefixed(priority, text), expected);
    }
}
