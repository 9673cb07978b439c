//! Nix's effective settings, as printed by Nix: the store and the keep flags.

use std::sync::PoisonError;

use camino::Utf8PathBuf;

use super::access::may_write;
use super::parse::{self, Setting};
use super::{NixCli, SHORT, failed};
use crate::adapters::process::ProcessError;
use crate::domain::graph::KeepFlags;
use crate::ports::PerformError;

/// Nix answered without the settings that are needed.
#[derive(Debug, thiserror::Error)]
#[error("`nix config show` did not print store, keep-derivations and keep-outputs")]
struct IncompleteSettings;

/// The effective store is not the one that is read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the effective store is `{setting}`, not the local store {store} with its state in {state_dir}"
)]
struct Elsewhere {
    setting: String,
    store: String,
    state_dir: Utf8PathBuf,
}

/// How Nix reaches the store that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// It opens the files itself.
    Files,
    /// Through a daemon.
    Daemon {
        /// Its address, as Nix takes it for a store.
        address: String,
        /// Its socket.
        socket: Utf8PathBuf,
        /// Whether the socket lies where the daemon of this store has it.
        is_own: bool,
    },
}

/// What Nix's settings come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixConfig {
    /// How the store is reached.
    pub route: Route,
    /// What a live path keeps beside its references (trap 24).
    pub flags: KeepFlags,
}

impl NixCli {
    /// What Nix's settings come to, asked for once, as Nix's collector reads them once.
    ///
    /// # Errors
    /// As [`NixCli::ask_config`].
    pub fn nix_config(&self) -> Result<NixConfig, PerformError> {
        // One who asks waits for another who does.
        let known = self.config.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*known {
            return Ok(config.clone());
        }
        let config = self.ask_config()?;
        *known = Some(config.clone());
        Ok(config)
    }

    /// What Nix's settings come to, as Nix itself has them: from its files, its environment and its defaults, under the
    /// old names of the settings as well. Nothing is made and no store opened.
    ///
    /// A daemon does not take the settings of an ordinary user, and its own are those of the machine. Which of both
    /// would count hangs on whom it trusts, so where there is a daemon, what either keeps is kept, and the store must be
    /// the local one for both.
    ///
    /// # Errors
    /// [`PerformError::OtherStore`] when the effective store is another one or unknown.
    fn ask_config(&self) -> Result<NixConfig, PerformError> {
        self.version()?;
        let (address, setting, flags) = self.settings_with(&[])?;
        let route = self.route(&address, setting);
        if route == Route::Files {
            return Ok(NixConfig { route, flags });
        }
        let (_, _, machine) =
            self.settings_with(&["NIX_USER_CONF_FILES", "NIX_CONFIG", "NIX_REMOTE"])?;
        let flags = KeepFlags {
            derivations: flags.derivations || machine.derivations,
            outputs: flags.outputs || machine.outputs,
        };
        Ok(NixConfig { route, flags })
    }

    /// By default Nix opens the files where it may write to the state directory, and asks a daemon elsewhere.
    fn route(&self, address: &str, setting: Setting) -> Route {
        let state_dir = &self.places.state_dir;
        let address = match setting {
            Setting::Daemon(Some(_)) => address.to_string(),
            _ => "daemon".to_string(),
        };
        let socket = match setting {
            Setting::Files => return Route::Files,
            Setting::Auto => {
                if may_write(state_dir) {
                    return Route::Files;
                }
                None
            }
            Setting::Daemon(socket) => socket,
        };
        let usual = state_dir.join("daemon-socket/socket");
        let named = || {
            let named = self.child_env.get("NIX_DAEMON_SOCKET_PATH");
            let named = named.and_then(|path| path.to_str());
            named.filter(|path| !path.is_empty()).map(Utf8PathBuf::from)
        };
        let socket = socket.or_else(named).unwrap_or_else(|| usual.clone());
        let is_own = socket.components().eq(usual.components());
        Route::Daemon {
            address,
            socket,
            is_own,
        }
    }

    /// The setting `store` as it is written, what it means, and the keep flags.
    fn settings_with(
        &self,
        emptied: &[&str],
    ) -> Result<(String, Setting, KeepFlags), PerformError> {
        let what = || "asking Nix for its settings".to_string();
        let shown = self
            .show_settings(&["config", "show"], emptied)
            // The name until 2.19.
            .or_else(|error| match error {
                ProcessError::Failed { .. } => self.show_settings(&["show-config"], emptied),
                error => Err(error),
            });
        let text = shown.map_err(|error| match failed(what(), error) {
            PerformError::Nix { source, .. } => PerformError::OtherStore(source),
            other => other,
        })?;
        let found = parse::value(&text, "store").zip(parse::keep_flags(&text));
        let (store, flags) =
            found.ok_or_else(|| PerformError::OtherStore(Box::new(IncompleteSettings)))?;
        let (dir, state_dir) = (&self.places.store, &self.places.state_dir);
        let setting = parse::store_setting(store, dir, state_dir).ok_or_else(|| {
            PerformError::OtherStore(Box::new(Elsewhere {
                setting: parse::shown(store),
                store: dir.to_string(),
                state_dir: state_dir.clone(),
            }))
        })?;
        Ok((store.to_string(), setting, flags))
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
