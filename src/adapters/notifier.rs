//! Delivery of notices: to a command, and to the desktop of a session.

use std::path::Path;
use std::time::Duration;

use camino::Utf8Path;

use super::files::trust;
use super::process::{ChildEnv, Command, ProcessError, Program};
use crate::domain::notice::HookCommand;
use crate::ports::{Interrupt, JournalError};

/// A command that was asked to end has this long.
const GRACE: Duration = Duration::from_secs(2);
/// A desktop answers at once; a bus that starts one takes a moment.
const DESKTOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Where a session is: for the desktop, and for commands that show something there.
const OF_THE_SESSION: [&str; 2] = ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"];
/// Nix's settings may contain a password.
const NOT_FOR_HOOKS: &str = "NIX_CONFIG";

/// Why a notice was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Another user could have replaced the command.
    #[error("the command of `notify` was not run")]
    Untrusted(#[source] JournalError),
    /// The command could not be run, or failed.
    #[error("the command of `notify` failed")]
    Command(#[source] ProcessError),
    /// The desktop did not take it.
    #[error("the desktop did not show the notice")]
    Desktop(#[source] ProcessError),
}

impl DeliveryError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Untrusted(_) => {
                "Make root the owner of the command and of the directories above it, and let no other user write to them."
            }
            Self::Command(_) => {
                "Check that the command reads a JSON document from standard input, and ends in time with status 0."
            }
            Self::Desktop(_) => {
                "A desktop needs the session bus of its user and `busctl` of systemd on PATH. A job of the system has no session."
            }
        }
    }
}

/// Delivers notices as our own user.
pub struct Notifier<'a> {
    /// The environment, of which a command gets a part.
    pub child_env: &'a ChildEnv,
    /// Requests to stop.
    pub interrupt: &'a dyn Interrupt,
    /// Whether our own user is root.
    pub is_root: bool,
}

impl Notifier<'_> {
    /// Runs a command with a document on its standard input.
    ///
    /// # Errors
    /// When it cannot be run, fails or takes too long; as root also when another user could have replaced it.
    pub fn run(
        &self,
        hook: &HookCommand,
        document: Vec<u8>,
        timeout: Duration,
    ) -> Result<(), DeliveryError> {
        if self.is_root {
            trust::check(&hook.program, 0).map_err(DeliveryError::Untrusted)?;
            // A script is an argument of its shell.
            let files = hook.args.iter().map(Utf8Path::new);
            for file in files.filter(|file| file.is_absolute() && file.is_file()) {
                trust::check(file, 0).map_err(DeliveryError::Untrusted)?;
            }
        }
        let name = hook.program.file_name().unwrap_or_default();
        let dir = hook.program.parent().map(Utf8Path::as_std_path);
        let program = Program::find(name, Some(dir.unwrap_or(Path::new("/"))), self.child_env)
            .map_err(DeliveryError::Command)?;
        let command = Command::new(&program, self.child_env, timeout)
            .unset(NOT_FOR_HOOKS)
            .args(&hook.args)
            .input_bytes(document);
        self.deliver(command).map_err(DeliveryError::Command)
    }

    /// Shows a notice on the desktop: a headline, and a text that must not contain markup.
    ///
    /// # Errors
    /// When there is no desktop, or it does not answer.
    pub fn show(&self, headline: &str, text: &str, is_urgent: bool) -> Result<(), DeliveryError> {
        let busctl =
            Program::find("busctl", None, self.child_env).map_err(DeliveryError::Desktop)?;
        let call = [
            "--user",
            "--",
            "call",
            "org.freedesktop.Notifications",
            "/org/freedesktop/Notifications",
            "org.freedesktop.Notifications",
            "Notify",
            "susssasa{sv}i",
        ];
        let urgency = if is_urgent { "2" } else { "1" };
        // The name of the program, no notice that it replaces, no picture.
        let head = ["nix-prune", "0", "", headline];
        // No buttons, which need a process that waits for them; one hint; the usual time.
        let tail = ["0", "1", "urgency", "y", urgency, "-1"];
        let escaped = without_markup(text);
        let command = Command::new(&busctl, self.child_env, DESKTOP_TIMEOUT)
            .args(call)
            .args(head)
            .args([escaped])
            .args(tail);
        self.deliver(command).map_err(DeliveryError::Desktop)
    }

    fn deliver(&self, command: Command<'_>) -> Result<(), ProcessError> {
        let command = OF_THE_SESSION
            .iter()
            .fold(command.end_within(GRACE), |it, name| it.keep(name));
        command.run(self.interrupt).map(drop)
    }
}

/// Desktops read some HTML in the text of a notice.
fn without_markup(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use camino::Utf8PathBuf;
    use rstest::rstest;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    struct Nobody;

    impl Interrupt for Nobody {
        fn requested(&self) -> bool {
            false
        }
    }

    fn hook(dir: &Utf8Path, text: &str) -> HookCommand {
        let program = dir.join("hook");
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let args = vec![
            dir.join("out").into_string(),
            "two words; $HOME".to_string(),
        ];
        HookCommand { program, args }
    }

    fn run(hook: &HookCommand, document: &str, is_root: bool) -> Result<(), DeliveryError> {
        let child_env: ChildEnv = [
            ("PATH", "/usr/bin:/bin"),
            ("NIX_CONFIG", "access-tokens = x"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
        ]
        .into_iter()
        .collect();
        let notifier = Notifier {
            child_env: &child_env,
            interrupt: &Nobody,
            is_root,
        };
        notifier.run(hook, document.into(), Duration::from_millis(400))
    }

    #[test]
    fn a_command_gets_the_document_its_arguments_and_a_clean_environment() {
        let (_guard, dir) = scratch();
        let hook = hook(&dir, r#"{ cat; echo "$2"; env; } >"$1""#);
        run(&hook, "{\"a\":1}\n", false).unwrap();
        let out = fs::read_to_string(dir.join("out")).unwrap();
        assert!(out.starts_with("{\"a\":1}\ntwo words; $HOME\n"), "{out}");
        assert!(out.contains("XDG_RUNTIME_DIR=/run/user/7\n"), "{out}");
        assert!(
            !out.contains("LD_PRELOAD") && !out.contains("NIX_CONFIG"),
            "{out}"
        );
    }

    #[rstest]
    #[case::fails("echo no luck >&2; exit 3", "no luck")]
    #[case::hangs("exec sleep 600", "timed out")]
    #[case::hangs_with_a_child("sleep 600 & sleep 600", "timed out")]
    #[case::ignores_the_request("trap '' TERM; while :; do sleep 1; done", "timed out")]
    fn a_command_that_fails_or_hangs_is_an_error(#[case] text: &str, #[case] why: &str) {
        let (_guard, dir) = scratch();
        let started = Instant::now();
        let error = run(&hook(&dir, text), "{}", false).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(20));
        let text = crate::ports::error_chain(&error);
        assert!(text.contains(why), "{text}");
    }

    /// Neither what it prints nor a document that it does not read holds it up.
    #[test]
    fn a_command_may_print_megabytes_and_read_nothing() {
        let (_guard, dir) = scratch();
        let hook = hook(&dir, "exec 0<&-; head -c 3000000 /dev/zero");
        run(&hook, &"x".repeat(1 << 20), false).unwrap();
    }

    #[test]
    fn a_command_that_is_not_there_is_an_error() {
        let program = Utf8PathBuf::from("/nowhere/hook");
        let hook = HookCommand {
            program,
            args: Vec::new(),
        };
        for is_root in [true, false] {
            assert!(run(&hook, "{}", is_root).is_err());
        }
    }

    #[test]
    fn root_runs_no_command_that_another_user_could_have_replaced() {
        let (_guard, dir) = scratch();
        let hook = hook(&dir, ":>\"$1\"");
        fs::set_permissions(&hook.program, Permissions::from_mode(0o777)).unwrap();
        let error = run(&hook, "{}", true).unwrap_err();
        assert!(matches!(error, DeliveryError::Untrusted(_)), "{error}");
        assert!(!dir.join("out").exists());
        // As a script is, behind its shell.
        let shell = HookCommand {
            program: "/bin/sh".into(),
            args: vec![hook.program.to_string(), dir.join("out").into_string()],
        };
        let error = run(&shell, "{}", true).unwrap_err();
        assert!(matches!(error, DeliveryError::Untrusted(_)), "{error}");
        assert!(!dir.join("out").exists());
        run(&hook, "{}", false).unwrap();
        assert!(dir.join("out").exists());
    }

    #[test]
    fn a_text_has_no_markup() {
        assert_eq!(
            without_markup("<a href=\"x\">&"),
            "&lt;a href=\"x\"&gt;&amp;"
        );
    }
}
