//! Standard output and standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::args::ColorChoice;
use super::failure::{Exit, Failure};
use super::progress::Log;
use crate::domain::refusal::Refusal;
use crate::render::table::Style;
use crate::render::text::escape;

/// Prints bytes. A reader that has gone away is no failure: what is being done goes on without it.
pub(super) fn bytes(text: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::warn!(%error, "standard output cannot be written");
    }
}

/// Prints a text of our own making; what comes from others in it is escaped already.
pub(super) fn text(text: &str) {
    bytes(text.as_bytes());
    if !text.is_empty() && !text.ends_with('\n') {
        bytes(b"\n");
    }
}

/// Prints the one document of `--json`.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn json(document: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(document)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))?;
    text.push(b'\n');
    bytes(&text);
    Ok(())
}

/// Says sentences on standard error; what comes from others in them is escaped already.
pub(super) fn said(sentences: &[String]) {
    let text = sentences.join("\n") + "\n";
    // There is nowhere left to complain to.
    let _ = Log.write_all(text.as_bytes());
}

/// Says on standard error what went wrong and what to do now.
pub(super) fn failure(failure: &Failure) {
    let mut text = format!("nix-prune: {}.\n", escape(&failure.message));
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            text.push_str(&escape(line));
            text.push('\n');
        }
    }
    // There is nowhere left to complain to.
    let _ = Log.write_all(text.as_bytes());
}

/// Says on standard error what stands in the way of a collection.
pub(super) fn refusals(refusals: &[Refusal]) {
    for refusal in refusals.iter().filter(|r| r.code.stops_collection()) {
        failure(
            &Failure::new(
                Exit::Refused,
                format!("nothing was collected: {}", refusal.message),
            )
            .hint(format!(
                "{}\nIf you know better, let it pass with --accept {}.",
                refusal.hint, refusal.code
            )),
        );
    }
}

/// How to draw on standard output.
pub(super) fn style(color: ColorChoice) -> Style {
    let terminal = io::stdout().is_terminal();
    let color = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    // What a person sets by hand counts before what the terminal says; a pipe has no width.
    let width = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .or_else(|| terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0));
    Style { color, width }
}
