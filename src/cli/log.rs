//! The log on standard error, for a terminal or the systemd journal.

use std::fmt;
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::Global;
use super::progress::Log;
use crate::render::text::escape;

/// Starts the log. A second call has no effect.
pub(super) fn start(global: &Global) {
    let journal = !std::io::stderr().is_terminal();
    let level = match (global.quiet, global.verbose) {
        (1.., _) => LevelFilter::ERROR,
        (0, 0) => LevelFilter::WARN,
        (0, 1) => LevelFilter::INFO,
        (0, 2) => LevelFilter::DEBUG,
        (0, _) => LevelFilter::TRACE,
    };
    #[expect(clippy::disallowed_methods, reason = "set by systemd")]
    let is_below_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    // Only a second subscriber could be refused, and the first one is as good.
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Log)
        // Otherwise the failure to write a line is reported by another line, and that failure by a panic.
        .log_internal_errors(false)
        .event_format(Lines {
            journal: journal && is_below_journal,
        })
        .try_init();
}

/// One line for each event: `warning: message (key: value)`; for the journal the level comes first, as `<4>`.
struct Lines {
    journal: bool,
}

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
        let (priority, word) = match *event.metadata().level() {
            Level::ERROR => (3, "error"),
            Level::WARN => (4, "warning"),
            Level::INFO => (6, "info"),
            Level::DEBUG => (7, "debug"),
            Level::TRACE => (7, "trace"),
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        if self.journal {
            write!(writer, "<{priority}>")?;
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
