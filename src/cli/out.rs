//! Standard output and standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::args::ColorChoice;
use super::failure::{Exit, Failure};
use super::progress::Log;
use crate::domain::accept::Acceptance;
use crate::domain::blocker::Blocker;
use crate::domain::plan::Plan;
use crate::render::json::to_text;
use crate::render::table::Style;
use crate::render::text::escape;

/// Whether something could not be printed.
static FAILED: AtomicBool = AtomicBool::new(false);
/// Whether only errors are printed.
static QUIET: AtomicBool = AtomicBool::new(false);
/// Whether standard output has something.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// The exit status: incomplete output is a failure, even if everything else succeeded.
pub(super) fn exit(exit: Exit) -> Exit {
    match exit {
        Exit::Done if FAILED.load(Ordering::Relaxed) => Exit::Failed,
        exit => exit,
    }
}

/// Prints bytes. A closed pipe is no failure: the work continues.
pub(super) fn bytes(text: &[u8]) {
    PRINTED.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !FAILED.swap(true, Ordering::Relaxed)
    {
        tracing::error!(%error, "standard output cannot be written");
    }
}

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints only errors and what was asked for by name (`--json`, scripts, files) from now on.
pub(super) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Prints our own text, unless `--quiet` is set; foreign text in it is escaped already.
pub(super) fn text(text: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
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
    let text = to_text(document)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write JSON: {error}")))?;
    bytes(text.as_bytes());
    Ok(())
}

/// Prints sentences on standard error; foreign text in them is escaped already.
pub(super) fn eprint_lines(sentences: &[String]) {
    if sentences.is_empty() || QUIET.load(Ordering::Relaxed) {
        return;
    }
    let text = sentences.join("\n") + "\n";
    // There is nowhere to report it.
    let _ = Log.write_all(text.as_bytes());
}

/// Prints the failure and its hint on standard error.
pub(super) fn failure(failure: &Failure) {
    let mut text = format!("nix-prune: {}.\n", escape(&failure.message));
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            text.push_str(&escape(line));
            text.push('\n');
        }
    }
    // There is nowhere to report it.
    let _ = Log.write_all(text.as_bytes());
}

/// Prints the document of a failure, unless standard output has its one document already.
pub(super) fn failure_document(failure: &Failure) {
    if !PRINTED.load(Ordering::Relaxed) {
        // What cannot be printed is said on standard error.
        let _ = json(&failure.document());
    }
}

/// Prints on standard error which requested operations of a plan were refused.
pub(super) fn blockers(plan: &Plan) {
    let asked = |blocker: &Blocker| {
        blocker.places.is_empty()
            || plan
                .skipped_profiles
                .iter()
                .any(|path| blocker.concerns(path))
    };
    for blocker in plan.left_out() {
        let (code, message) = (blocker.code, &blocker.message);
        let message = if code.stops_collection() {
            format!("no garbage was collected: {message}")
        } else if !plan.skipped_profiles.is_empty() && asked(blocker) {
            format!("a profile was skipped: {message}")
        } else {
            continue;
        };
        let mut hint = format!(
            "{}\nTo override this check, use --accept {code}",
            blocker.hint
        );
        if Acceptance::is_possible(code) && !blocker.places.is_empty() {
            hint.push_str(", or permanently an `accept` entry in the settings");
        }
        failure(&Failure::new(Exit::Refused, message).hint(format!("{hint}.")));
    }
}

/// The command line of this process with another command in place of `plan` or `run`, to be copied. Options that change only what is
/// printed or asked are left out.
#[expect(clippy::disallowed_methods, reason = "to print the command line again")]
pub(super) fn command(name: &str) -> String {
    const DROPPED: [&str; 8] = [
        "--full",
        "--exact",
        "--json",
        "--yes",
        "-y",
        "--dry-run",
        "-n",
        "--ask",
    ];
    let mut words = vec!["nix-prune".to_string()];
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        let arg = arg.to_string_lossy().into_owned();
        match arg.as_str() {
            "plan" | "run" if !words.iter().any(|word| word == name) => {
                words.push(name.to_string());
            }
            "--out" => _ = args.next(),
            dropped if DROPPED.contains(&dropped) || dropped.starts_with("--out=") => {}
            _ => words.push(arg),
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
    let quoted = words.iter().map(|word| {
        if word.chars().all(is_plain) {
            return word.clone();
        }
        shlex::try_quote(word).map_or_else(|_| word.clone(), Into::into)
    });
    escape(&quoted.collect::<Vec<_>>().join(" "))
}

/// The format of standard output.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR, TERM and COLUMNS")]
pub(super) fn style(color: ColorChoice) -> Style {
    let terminal = io::stdout().is_terminal();
    let color = match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            terminal && !is_dumb && !is_set("NO_COLOR")
        }
    };
    // Explicit settings take precedence over the terminal; a pipe has no width.
    let width = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .or_else(|| terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0));
    Style { color, width }
}
