//! Standard output and standard error.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::args::ColorChoice;
use super::failure::{Exit, Failure};
use super::log::{self, Priority, RunEvent};
use crate::adapters::service_manager;
use crate::domain::accept::Acceptance;
use crate::domain::blocker::Blocker;
use crate::domain::plan::Plan;
use crate::render::json::to_text;
use crate::render::table::{NotDone, Style};
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
    if io::stdout().is_terminal() && !is_utf8() {
        // As wide as they are.
        bytes(text.replace('…', "~").replace('—', "-").as_bytes());
    } else {
        bytes(text.as_bytes());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        bytes(b"\n");
    }
}

/// Prints our own text as [`text`] does, and in the journal as an event with a priority of its own.
pub(super) fn text_of(event: &RunEvent, priority: Priority, lines: &str) {
    if !log::is_journal() {
        text(lines);
    } else if !QUIET.load(Ordering::Relaxed) {
        log::print_event(priority, Some(event), lines);
    }
}

/// Whether the locale's characters are UTF-8.
#[expect(clippy::disallowed_methods, reason = "the locale")]
pub(super) fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).unwrap_or_default());
    let locale = set.into_iter().find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
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
    log::print(Priority::Warning, &(sentences.join("\n") + "\n"));
}

/// Prints on standard error what a run did not do.
pub(super) fn not_done(entries: &[NotDone]) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    for entry in entries {
        let event = RunEvent {
            action: Some(entry.action.clone()),
            ..RunEvent::default()
        };
        let text = entry.text.clone() + "\n";
        log::print_event(Priority::Warning, Some(&event), &text);
    }
}

/// Sets the line that the service manager shows for the unit, if this is the process of one.
#[expect(clippy::disallowed_methods, reason = "set by systemd")]
pub(super) fn unit_status(line: &str) {
    if let Some(socket) = std::env::var("NOTIFY_SOCKET")
        .ok()
        .filter(|it| !it.is_empty())
        && let Err(error) = service_manager::set_status(socket.as_str().into(), line)
    {
        tracing::debug!(%error, "the service manager does not take the status line");
    }
}

/// Prints the failure and its hint on standard error.
pub(super) fn failure(failure: &Failure) {
    // Who stops a unit finds no error of it.
    let priority = match failure.exit {
        Exit::Stopped => Priority::Warning,
        _ => Priority::Error,
    };
    failure_of(&failure.event(), priority, failure);
}

/// The same as an event of the journal, with a priority of its own.
pub(super) fn failure_of(event: &RunEvent, priority: Priority, failure: &Failure) {
    let message = escape(&failure.message);
    unit_status(&message);
    let mut text = if log::is_journal() {
        format!("{message}.\n")
    } else {
        format!("nix-prune: {message}.\n")
    };
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            text.push_str(&escape(line));
            text.push('\n');
        }
    }
    log::print_event(priority, Some(event), &text);
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
        let check = Some(code);
        failure(&Failure {
            check,
            ..Failure::new(Exit::Refused, message).hint(format!("{hint}."))
        });
    }
}

/// The name of this program with the options of this process that every command takes, to be copied.
#[expect(clippy::disallowed_methods, reason = "to print the options again")]
pub(super) fn program() -> String {
    let args = std::env::args_os().skip(1);
    with_places(args.map(|arg| arg.to_string_lossy().into_owned()))
}

/// The options that name a file or directory for every command, as a command line.
fn with_places(mut args: impl Iterator<Item = String>) -> String {
    let mut words = vec!["nix-prune".to_string()];
    while let Some(arg) = args.next() {
        let (option, value) = match arg.split_once('=') {
            Some((option, value)) => (option, Some(value.to_string())),
            None => (arg.as_str(), None),
        };
        if ["--config", "--state-dir", "--nix-bin"].contains(&option)
            && let Some(value) = value.or_else(|| args.next())
        {
            words.extend([option.to_string(), value]);
        }
    }
    quoted(&words)
}

/// The command line of this process with another command in place of `plan` or `run`, to be copied.
#[expect(clippy::disallowed_methods, reason = "to print the command line again")]
pub(super) fn command(name: &str) -> String {
    let args = std::env::args_os().skip(1);
    repeated(args.map(|arg| arg.to_string_lossy().into_owned()), name)
}

/// The arguments as a command line, without those that change only what is printed, asked or held.
fn repeated(mut args: impl Iterator<Item = String>, name: &str) -> String {
    const DROPPED: [&str; 9] = [
        "--full",
        "--exact",
        "--json",
        "--yes",
        "-y",
        "--dry-run",
        "-n",
        "--ask",
        "-a",
    ];
    const DROPPED_WITH_VALUE: [&str; 2] = ["--out", "--undo-window"];
    let mut words = vec!["nix-prune".to_string()];
    while let Some(arg) = args.next() {
        let option = arg
            .split_once('=')
            .map_or(arg.as_str(), |(option, _)| option);
        if DROPPED_WITH_VALUE.contains(&option) {
            if option == arg {
                args.next();
            }
        } else if ["plan", "run"].contains(&arg.as_str()) && !words.iter().any(|it| it == name) {
            words.push(name.to_string());
        } else if !DROPPED.contains(&arg.as_str()) {
            words.push(arg);
        }
    }
    if !words.iter().any(|word| word == name) {
        return format!("nix-prune {name}");
    }
    quoted(&words)
}

/// Words as a shell reads them.
fn quoted(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
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

#[cfg(test)]
mod tests {
    use super::{repeated, with_places};
    use rstest::rstest;

    #[rstest]
    #[case("plan --full", "nix-prune")]
    #[case(
        "--config a.json run x --state-dir=/b",
        "nix-prune --config a.json --state-dir /b"
    )]
    #[case("run --config", "nix-prune")]
    #[case("run --config=a;b", "nix-prune --config 'a;b'")]
    fn other_commands_take_the_same_places(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(with_places(line.split(' ').map(str::to_string)), expected);
    }

    #[rstest]
    #[case("plan", "nix-prune run")]
    #[case("run --yes", "nix-prune run")]
    #[case(
        "--config /etc/x.json plan weekly --keep-last=3 --full --json --out p.json",
        "nix-prune --config /etc/x.json run weekly --keep-last=3"
    )]
    #[case("plan --out=p --undo-window 3d -k 5", "nix-prune run -k 5")]
    #[case("plan --undo-window=3d run", "nix-prune run run")]
    #[case("plan --profile a$b", "nix-prune run --profile 'a$b'")]
    #[case("demo --nix-bin /x", "nix-prune run")]
    fn a_command_line_is_repeated(#[case] line: &str, #[case] expected: &str) {
        let args = line.split(' ').map(str::to_string);
        assert_eq!(repeated(args, "run"), expected);
    }
}
