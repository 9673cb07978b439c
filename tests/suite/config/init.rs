//! `config init`: what it writes, and what it leaves alone.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::settings::Preset;

use super::check;
use crate::support::{Ran, command, is_root, listing, run_command};

/// The program for somebody whose home is `home`.
fn init(home: &Utf8Path, args: &[&str]) -> Ran {
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    let command = command.env_clear().env("HOME", home).current_dir(home);
    run_command(command.args(["config", "init"]).args(args))
}

fn home() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let home = Utf8Path::from_path(dir.path()).unwrap().to_path_buf();
    (dir, home)
}

#[test]
fn every_preset_is_written_with_a_guide_and_is_valid_at_the_strictest() {
    let (_dir, home) = home();
    for preset in Preset::ALL {
        let file = home.join("made/for").join(preset.name()).join("c.json");
        let ran = init(
            &home,
            &["--preset", preset.name(), "--output", file.as_str()],
        );
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        assert_eq!(ran.stdout, format!("Wrote {file} and c.guide.md.\n"));
        assert_eq!(fs::read_to_string(&file).unwrap(), preset.text());
        let guide = fs::read_to_string(file.with_extension("guide.md")).unwrap();
        assert!(guide.starts_with("# c.json\n") && guide.contains(preset.about()));
        assert!(guide.contains("`undoWindow`") && guide.contains("keeps it"));
        let ran = check(&file, &["--level", "strict"]);
        assert_eq!(ran.status, 0, "{}", ran.stdout);
        let names = listing(file.parent().unwrap()).into_keys();
        let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        assert_eq!(names.len(), 2, "nothing is left of the writing: {names:?}");
    }
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_written_over() {
    let (_dir, home) = home();
    for there in ["c.json", "c.guide.md"] {
        fs::write(home.join(there), "mine").unwrap();
        let ran = init(&home, &["--output", "c.json"]);
        assert_eq!(ran.status, 4, "{}", ran.stdout);
        assert!(
            ran.stderr.contains(&format!("{there} already exists")),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("--force"));
        let names = listing(&home).into_keys();
        assert_eq!(names.filter(|name| !name.is_empty()).count(), 1);
        assert_eq!(fs::read_to_string(home.join(there)).unwrap(), "mine");
        fs::remove_file(home.join(there)).unwrap();
    }
    fs::write(home.join("c.json"), "mine").unwrap();
    let ran = init(&home, &["--output", "c.json", "--force", "--preset", "ci"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        fs::read_to_string(home.join("c.json")).unwrap(),
        Preset::Ci.text()
    );
}

#[test]
fn without_a_name_it_is_the_file_that_is_read() {
    const ANYBODY: u32 = 65_533;
    let (_dir, home) = home();
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    command.env_clear().env("HOME", &home).current_dir("/");
    if is_root() {
        // Root's own is the machine's, which is not for a test to write.
        chown(&home, Some(ANYBODY), Some(ANYBODY)).unwrap();
        command.gid(ANYBODY).uid(ANYBODY);
    }
    let ran = run_command(command.args(["config", "init"]));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let file = home.join(".config/nix-prune/config.json");
    assert_eq!(fs::read_to_string(file).unwrap(), Preset::Daily.text());
}

#[test]
fn a_name_that_cannot_be_written_is_told() {
    let (_dir, home) = home();
    fs::write(home.join("file"), "").unwrap();
    let ran = init(&home, &["--output", "file/c.json"]);
    assert_eq!(ran.status, 73, "{}", ran.stderr);
    let ran = init(&home, &["--output", "c.guide.md"]);
    assert_eq!(
        ran.status, 0,
        "only the guide's own name is taken: {}",
        ran.stderr
    );
}
