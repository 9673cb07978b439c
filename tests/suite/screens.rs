//! Screens and questions on the store of a laptop with 131 generations, which `scripts/laptop` makes.

#![cfg(all(test, target_os = "linux"))]
// Helpers are not tests to clippy, but they fail like tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod chapters;
mod fit;
mod pictures;
mod questions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::geteuid;

use crate::support::{Ran, command, is_root, listing, nixes, on_mounted, run_command};

/// Always the same place, so that lines break in the same places.
const BASE: &str = "/srv/laptop";

#[test]
fn nix_reads_the_laptop_as_we_do() {
    on_laptop("nix_reads_the_laptop_as_we_do", |laptop| {
        let nix_store = |args: &[&str]| run_command(&mut laptop.program(80, "nix-store", args));
        let verified = nix_store(&["--verify", "--check-contents"]);
        assert_eq!(verified.status, 0, "{}", verified.stderr);
        let lines = |ran: Ran| {
            ran.stdout
                .lines()
                .map(str::to_string)
                .collect::<BTreeSet<_>>()
        };
        let ours = lines(laptop.run(80, &["dead"]));
        // This removes the dangling roots, so it comes last.
        let of_nix = lines(nix_store(&["--gc", "--print-dead"]));
        assert_eq!(ours, of_nix);
        assert_eq!(ours.len(), 21);
    });
}

/// Runs a test of this module on a small disk of its own that has the laptop's store, with the newest Nix.
fn on_laptop(test: &str, body: impl FnOnce(&Laptop)) {
    // Root reads the profiles of every user, and the machine's own are no part of this. What the processes of other tests use at the
    // same place must not seem to be used here.
    let alone = format!(
        "unshare {}--pid --fork --kill-child --mount-proc",
        if is_root() {
            ""
        } else {
            "--user --map-current-user "
        }
    );
    let passwd = format!("alice:x:{}:0::{BASE}/home/alice:/bin/sh", geteuid());
    let mount = format!(
        "mount -t tmpfs -o size=76m tmpfs /srv && echo '{passwd}' >/srv/passwd && \
         mount --bind /srv/passwd /etc/passwd && {alone} true && set -- {alone} \"$@\""
    );
    on_mounted(&format!("screens::{test}"), &mount, || {
        let Some(nix) = nixes().last() else { return };
        body(&Laptop {
            variables: made(&nix.bin),
            nix: nix.bin.clone(),
        });
    });
}

/// Makes the laptop, and returns the commands of a shell that set the variables of its store.
fn made(nix: &Utf8Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/laptop");
    let ran = run_command(command(script).args([BASE, nix.as_str()]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout
}

/// The laptop.
struct Laptop {
    /// The directory of Nix's programs.
    nix: Utf8PathBuf,
    /// The commands of a shell that set the variables of its store.
    variables: String,
}

impl Laptop {
    /// A program on a terminal of so many columns, with nothing in its environment but what the script prints.
    fn program(&self, columns: u16, program: &str, args: &[&str]) -> Command {
        let mut command = command("/bin/sh");
        command
            .args(["-c", &format!("{}exec \"$0\" \"$@\"", self.variables)])
            .arg(program)
            .args(args)
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("TZ", "UTC")])
            .envs([("NO_COLOR", "1"), ("COLUMNS", &columns.to_string())])
            .current_dir(BASE)
            .stdin(Stdio::null());
        command
    }

    /// Makes it anew, as it was before anything was run.
    fn renew(&self) {
        // Nix takes the right to write from what it registers and restores.
        let ran = run_command(command("chmod").args(["-R", "u+w", BASE]));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        std::fs::remove_dir_all(BASE).unwrap();
        made(&self.nix);
    }

    /// Runs our program to its end.
    #[must_use]
    fn run(&self, columns: u16, args: &[&str]) -> Ran {
        run_command(&mut self.program(columns, env!("CARGO_BIN_EXE_nix-prune"), args))
    }
}

/// Every generation, root and store path.
fn contents() -> BTreeMap<String, String> {
    let base = Utf8Path::new(BASE);
    let mut contents = listing(&base.join("nix/var/nix/profiles"));
    contents.extend(listing(&base.join("nix/var/nix/gcroots")));
    contents.extend(listing(&base.join("home")));
    let paths = base.join("nix/store").read_dir_utf8().unwrap();
    contents.extend(paths.map(|path| (path.unwrap().path().to_string(), String::new())));
    contents
}
