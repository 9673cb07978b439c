//! Environment that makes Nix and nix-prune use a temporary store.

use camino::Utf8Path;

/// The variables that lead there.
pub(super) fn variables(base: &Utf8Path) -> Vec<(String, String)> {
    let home = base.join("home");
    [
        ("NIX_STORE_DIR", base.join("nix/store")),
        ("NIX_STATE_DIR", base.join("nix/var/nix")),
        ("NIX_LOG_DIR", base.join("nix/var/log")),
        ("NIX_CONF_DIR", base.join("etc")),
        ("NIX_DAEMON_SOCKET_PATH", base.join("sock")),
        // Not a daemon of the machine's, and no settings of its users'.
        ("NIX_REMOTE", "local".into()),
        ("NIX_USER_CONF_FILES", "".into()),
        // Nix wants a name, and there need not be one for a number.
        ("USER", "scratch".into()),
        ("LOGNAME", "scratch".into()),
        ("NIX_PRUNE_STATE_DIR", base.join("state")),
        ("XDG_STATE_HOME", home.join(".local/state")),
        ("XDG_CACHE_HOME", home.join(".cache")),
        ("XDG_CONFIG_HOME", home.join(".config")),
        ("XDG_DATA_HOME", home.join(".local/share")),
        ("HOME", home),
        ("TMPDIR", base.join("tmp")),
    ]
    .map(|(name, value)| (name.to_string(), value.into_string()))
    .into()
}

/// Nix's settings: nothing comes from elsewhere, and nothing has to outlast a power cut or a full disk.
pub(super) fn settings(bin: Option<&Utf8Path>) -> String {
    let settings = [
        "sandbox = false",
        "substitute = false",
        "substituters =",
        "build-users-group =",
        "fsync-metadata = false",
        "gc-reserved-space = 0",
        "",
    ]
    .join("\n");
    let prefix = bin.and_then(Utf8Path::parent);
    let hook = prefix.map(|prefix| prefix.join("libexec/nix/build-remote"));
    // A Nix that was moved looks for this program where it was built for, and cannot build without it.
    match hook.filter(|hook| hook.exists()) {
        Some(hook) => format!("{settings}build-hook = {hook}\n"),
        None => settings,
    }
}
