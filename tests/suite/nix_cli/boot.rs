//! The refresh of the boot menu: with programs in the place of NixOS's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use camino::Utf8PathBuf;
use nix_prune::adapters::nix_cli::NixCli;
use nix_prune::adapters::nix_dirs::NixDirs;
use nix_prune::adapters::process::ChildEnv;
use nix_prune::domain::plan::BootFacts;
use nix_prune::domain::store_path::{StoreDir, StorePath};
use nix_prune::ports::{Interrupt, NixActions, PerformError};
use rstest::rstest;

use super::{assert_stale, chain};
use crate::support::{command, script};

/// A machine with two systems, of which the second is current. No Nix is needed.
struct Machine {
    _guard: tempfile::TempDir,
    base: Utf8PathBuf,
    places: NixDirs,
}

struct Stopped;

impl Interrupt for Stopped {
    fn requested(&self) -> bool {
        true
    }
}

impl Machine {
    /// `text` is the script of the second system; `BASE` in it is a directory of ours.
    fn new(text: &str) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let base = Utf8PathBuf::from_path_buf(guard.path().canonicalize().unwrap()).unwrap();
        let places = NixDirs {
            store: StoreDir::new(&base.join("store")).unwrap(),
            state_dir: base.join("state"),
            ..NixDirs::from_env().unwrap()
        };
        let machine = Self {
            _guard: guard,
            base,
            places,
        };
        let profiles = machine.base.join("state/profiles");
        fs::create_dir_all(&profiles).unwrap();
        for number in [1, 2] {
            let top = Self::system(number).to_absolute_path(&machine.places.store);
            fs::create_dir_all(top.join("bin")).unwrap();
            let text = text.replace("BASE", machine.base.as_str());
            script(&top.join("bin/switch-to-configuration"), &text);
            symlink(top, profiles.join(format!("system-{number}-link"))).unwrap();
        }
        symlink("system-2-link", profiles.join("system")).unwrap();
        fs::create_dir(machine.base.join("bin")).unwrap();
        for tool in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
            script(&machine.base.join("bin").join(tool), "exit 1");
        }
        machine
    }

    fn system(number: u32) -> StorePath<String> {
        let name = format!("{}-nixos-system-{number}", "1".repeat(32));
        let path = nix_prune::domain::store_path::StorePathRef::from_base_name(&name);
        path.unwrap().to_owned()
    }

    fn refresh(&self, number: u32) -> Result<Option<String>, PerformError> {
        let variables = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("LOCALE_ARCHIVE", "/archive".to_string()),
            ("NIXOS_INSTALL_BOOTLOADER", "1".to_string()),
            ("TZ", "Asia/Tokyo".to_string()),
        ];
        let child_env: ChildEnv = variables.into_iter().collect();
        let bin = self.base.join("bin");
        let cli = NixCli::new(
            self.places.clone(),
            Some(&bin),
            child_env,
            Arc::new(Stopped),
        );
        let system = Self::system(number);
        cli.unwrap().refresh_boot_menu(&BootFacts { system })
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.base.join(name)).unwrap()
    }
}

#[test]
fn the_current_system_writes_the_menu_as_in_a_rebuild() {
    let machine =
        Machine::new("echo \"$0 $*\" >BASE/called; env >BASE/env; echo one; echo two >&2");
    // A boot loader is not left half installed because somebody asked the run to stop.
    assert_eq!(machine.refresh(2).unwrap().as_deref(), Some("two"));
    let program = machine
        .base
        .join("store")
        .join(Machine::system(2).to_string());
    let expected = format!("{program}/bin/switch-to-configuration boot\n");
    assert_eq!(machine.read("called"), expected);
    let env = machine.read("env");
    assert!(env.contains("LOCALE_ARCHIVE=/archive"), "{env}");
    assert!(
        !env.contains("NIXOS_INSTALL_BOOTLOADER") && !env.contains("TZ="),
        "{env}"
    );
}

#[rstest]
#[case::of_an_earlier_generation("system-2-link", 1)]
#[case::after_a_rollback("system-1-link", 2)]
#[case::a_profile_that_leads_elsewhere("/elsewhere/system-2-link", 2)]
#[case::a_generation_that_is_gone("system-3-link", 2)]
fn another_system_does_not_become_the_default(#[case] current: &str, #[case] planned: u32) {
    let machine = Machine::new("touch BASE/called");
    let link = machine.base.join("state/profiles/system");
    fs::remove_file(&link).unwrap();
    symlink(current, link).unwrap();
    assert_stale(machine.refresh(planned), "and no longer");
    assert!(!machine.base.join("called").exists());
}

#[rstest]
#[case::fails(
    "echo 'No space left on device' >&2; exit 1",
    "exited with status 1: No space left"
)]
#[case::says_much(
    "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo 'the end' >&2; exit 2",
    "the end"
)]
#[case::is_killed("kill -9 $$", "was killed by SIGKILL")]
#[case::a_switch_meanwhile(
    "ln -sfn system-1-link BASE/state/profiles/system",
    "run `nixos-rebuild boot`"
)]
fn a_failure_is_named(#[case] text: &str, #[case] says: &str) {
    let error = Machine::new(text).refresh(2).unwrap_err();
    let text = chain(&error);
    assert!(
        text.starts_with("refreshing the boot menu failed") && text.contains(says),
        "{text}"
    );
    assert!(text.len() < 4_000);
}

#[rstest]
#[case::missing("rm -- \"$1\"")]
#[case::not_executable("chmod 644 -- \"$1\"")]
#[case::a_directory("rm -- \"$1\" && mkdir -- \"$1\"")]
#[case::a_link_that_dangles("ln -sf /nowhere/x -- \"$1\"")]
fn a_program_that_cannot_be_run_is_named(#[case] change: &str) {
    let machine = Machine::new("exit 0");
    let top = Machine::system(2).to_absolute_path(&machine.places.store);
    let program = top.join("bin/switch-to-configuration");
    let changed = command("/bin/sh")
        .args(["-c", change, "sh", program.as_str()])
        .status();
    assert!(changed.unwrap().success());
    let error = chain(&machine.refresh(2).unwrap_err());
    assert!(error.contains("switch-to-configuration"), "{error}");
}
