//! Real Nix, of every version at hand, on a store of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::domain::store_path::StoreDir;
use tempfile::TempDir;

/// The directories of every Nix to test with.
pub(crate) fn versions() -> Vec<PathBuf> {
    let bins = crate::support::nixes().iter();
    bins.map(|nix| nix.bin.clone().into()).collect()
}

/// A store and the Nix that serves it.
pub(crate) struct RealStore {
    bin: PathBuf,
    root: Utf8PathBuf,
    _dir: TempDir,
}

impl RealStore {
    pub(crate) fn new(bin: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(fs::canonicalize(dir.path()).unwrap()).unwrap();
        let store = Self {
            bin: bin.to_path_buf(),
            root,
            _dir: dir,
        };
        for below in ["nix/store", "nix/var/nix", "log", "etc", "home"] {
            fs::create_dir_all(store.root.join(below)).unwrap();
        }
        let hook = bin.parent().unwrap().join("libexec/nix/build-remote");
        let hook = if hook.exists() {
            format!("build-hook = {}\n", hook.display())
        } else {
            String::new()
        };
        let conf = format!(
            "sandbox = false\nsubstitute = false\nsubstituters =\nbuild-users-group =\n{hook}"
        );
        fs::write(store.root.join("etc/nix.conf"), conf).unwrap();
        store
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn state_dir(&self) -> Utf8PathBuf {
        self.root.join("nix/var/nix")
    }

    pub(crate) fn store_dir(&self) -> StoreDir {
        StoreDir::new(&self.root.join("nix/store")).unwrap()
    }

    /// A command of this Nix.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = crate::support::command(self.bin.join(program));
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin.display()))
            .env("NIX_STORE_DIR", self.root.join("nix/store"))
            .env("NIX_STATE_DIR", self.root.join("nix/var/nix"))
            .env("NIX_LOG_DIR", self.root.join("log"))
            .env("NIX_CONF_DIR", self.root.join("etc"))
            .env("NIX_USER_CONF_FILES", "")
            .env("NIX_REMOTE", "local")
            .env("HOME", self.root.join("home"))
            .env("TMPDIR", "/tmp")
            .current_dir(&self.root)
            .stdin(Stdio::null());
        command
    }

    /// What a command prints; it must succeed.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes an expression and builds it without a root.
    pub(crate) fn build(&self, expression: &str) -> Vec<String> {
        let file = self.root.join("expression.nix");
        fs::write(&file, expression).unwrap();
        self.run("nix-build", &["--no-out-link", file.as_str()])
            .lines()
            .map(str::to_string)
            .collect()
    }
}
