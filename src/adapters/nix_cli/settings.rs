//! Nix's effective settings, from Nix itself.

use super::parse;
use super::{NixCli, SHORT, failed};
use crate::adapters::process::ProcessError;
use crate::domain::graph::KeepFlags;
use crate::ports::PerformError;

/// Nix answered and did not tell the settings.
#[derive(Debug, thiserror::Error)]
#[error("`nix config show` did not tell keep-derivations and keep-outputs")]
struct Untold;

impl NixCli {
    /// What a live path keeps beside its references, as Nix itself would have it (trap 24): from its files, its
    /// environment and its defaults, under the old names of the settings as well. Nothing is made and no store opened.
    ///
    /// A daemon does not take the settings of an ordinary user, and its own are those of the machine. Which of both
    /// would count hangs on whom it trusts, so where `through_daemon` is set, what either keeps is kept.
    ///
    /// # Errors
    /// When Nix failed, or told no such settings.
    pub fn keep_flags(&self, through_daemon: bool) -> Result<KeepFlags, PerformError> {
        let ours = self.flags_with(&[])?;
        if !through_daemon {
            return Ok(ours);
        }
        let machine = self.flags_with(&["NIX_USER_CONF_FILES", "NIX_CONFIG"])?;
        Ok(KeepFlags {
            derivations: ours.derivations || machine.derivations,
            outputs: ours.outputs || machine.outputs,
        })
    }

    fn flags_with(&self, emptied: &[&str]) -> Result<KeepFlags, PerformError> {
        let what = || "asking Nix for its settings".to_string();
        let shown = self
            .show_settings(&["config", "show"], emptied)
            // The name until 2.19.
            .or_else(|error| match error {
                ProcessError::Failed { .. } => self.show_settings(&["show-config"], emptied),
                error => Err(error),
            });
        let text = shown.map_err(|error| failed(what(), error))?;
        parse::keep_flags(&text).ok_or_else(|| PerformError::Nix {
            what: what(),
            source: Box::new(Untold),
        })
    }

    fn show_settings(&self, words: &[&str], emptied: &[&str]) -> Result<String, ProcessError> {
        let mut command = self
            .command(&self.nix, SHORT)
            .args(["--extra-experimental-features", "nix-command"])
            .args(words.iter().copied());
        for name in emptied {
            command = command.set(name, "");
        }
        Ok(command.run(&*self.interrupt)?.stdout.text())
    }
}
