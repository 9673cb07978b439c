//! Errors of commands, with the output of the command.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::domain::visible::shown;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not there.
    #[error("cannot find {program} {place}")]
    NotFound {
        /// Its name.
        program: String,
        /// Where it was looked for.
        place: String,
    },
    /// It could not be started.
    #[error("cannot start `{command}`")]
    Spawn {
        /// The command.
        command: CommandLine,
        /// Why.
        source: io::Error,
    },
    /// It was started, and then could not be waited for.
    #[error("cannot wait for `{command}`")]
    Wait {
        /// The command.
        command: CommandLine,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("`{command}` {ended}{}", said(stderr))]
    Failed {
        /// The command.
        command: CommandLine,
        /// How it ended.
        ended: Ended,
        /// The last lines that it wrote to its standard error.
        stderr: String,
    },
    /// It timed out and was killed.
    #[error("`{command}` timed out after {} and was killed{}", seconds(*after), said(stderr))]
    TimedOut {
        /// The command.
        command: CommandLine,
        /// How long it was given.
        after: Duration,
        /// The last lines that it wrote to its standard error.
        stderr: String,
    },
    /// The user asked to stop, and it ended, or was not begun.
    #[error("`{0}` was interrupted")]
    Interrupted(CommandLine),
    /// It did not even end when it was killed.
    #[error("cannot kill `{0}`")]
    Unkillable(CommandLine),
    /// It ended well, but not all of its output was seen.
    #[error("cannot read the whole output of `{0}`")]
    Cut(CommandLine),
}

/// The words of a command; as text they are quoted where a shell would need it, and never act on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<OsString>);

impl CommandLine {
    pub(super) fn new(words: Vec<OsString>) -> Self {
        Self(words)
    }
}

/// How many words of a command are written; nobody reads ten thousand store paths.
const WORDS: usize = 40;

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.0.iter().take(WORDS).enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            let word = shown(word);
            let plain = |c: char| c.is_alphanumeric() || "+-./:=@_%,".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                f.write_str(&word)?;
            } else {
                write!(f, "'{}'", word.replace('\'', "'\\''"))?;
            }
        }
        match self.0.len().saturating_sub(WORDS) {
            0 => Ok(()),
            more => write!(f, " … and {more} more words"),
        }
    }
}

/// How a command ended that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Status(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exited with status {status}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {signal}"),
            },
        }
    }
}

/// The last lines of what a command wrote, in one.
pub(super) fn last_lines(text: &str) -> String {
    const LINES: usize = 8;
    const LENGTH: usize = 400;
    let mut lines: Vec<String> = text
        .lines()
        .rev()
        .map(str::trim)
        // What Nix says behind every collection is no cause of anything, and may be negative.
        .filter(|line| !(line.starts_with("note: ") && line.contains("hard linking")))
        // A refused priority is none either.
        .filter(|line| !line.starts_with("nice: "))
        .filter(|line| !line.is_empty())
        .take(LINES)
        .map(|line| shown(line).chars().take(LENGTH).collect())
        .collect();
    lines.reverse();
    lines.join(" / ")
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(": {stderr}")
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["nix-env", "-p", "/a/b"], "nix-env -p /a/b")]
    #[case(&["x", "", "a b", "it's"], r"x '' 'a b' 'it'\''s'")]
    #[case(&["x", "a\nb\u{1b}]0;c"], r"x 'a\nb\u{1b}]0;c'")]
    #[case(&["x", "a\u{202e}b", "ä"], r"x 'a\u{202e}b' ä")]
    fn commands_are_written(#[case] words: &[&str], #[case] text: &str) {
        let words = words.iter().map(OsString::from).collect();
        assert_eq!(CommandLine(words).to_string(), text);
    }

    #[test]
    fn what_nix_says_of_hard_links_is_no_cause() {
        let text = "error: it failed\nnote: hard linking is currently saving -4.0 KiB\nnote: currently hard linking saves -0.00 MiB\n";
        assert_eq!(last_lines(text), "error: it failed");
    }

    #[test]
    fn a_command_of_thousands_of_words_is_cut() {
        let words = vec![OsString::from("x"); 2_040];
        let text = CommandLine(words).to_string();
        assert!(text.ends_with(" x … and 2000 more words"), "{text}");
        assert!(text.len() < 120, "{text}");
    }

    #[test]
    fn only_the_last_lines_are_repeated() {
        let lines: Vec<String> = (0..99).map(|n| format!("line {n}\n\n")).collect();
        let text = lines.concat();
        let last = last_lines(&text);
        assert!(last.starts_with("line 91 / "), "{last}");
        assert!(last.ends_with(" / line 98"), "{last}");
        assert_eq!(last_lines(&"x".repeat(9999)).len(), 400);
    }
}
