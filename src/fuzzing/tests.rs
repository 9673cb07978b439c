//! The inputs that are kept, through the same functions: so that no target is left behind by what it reads.

use std::path::Path;

use rstest::rstest;

use super::Target;

#[rstest]
#[case(Target::Settings)]
#[case(Target::Links)]
#[case(Target::Nix)]
#[case(Target::Journal)]
#[case(Target::Plan)]
#[case(Target::Request)]
fn every_input_that_is_kept_is_read(#[case] target: Target) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = home.join("fuzz/corpus").join(target.name());
    let mut read = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        assert!(input.len() <= 8 << 10, "{} is not small", path.display());
        target.run(&input);
        read += 1;
    }
    assert!((8..=60).contains(&read), "{read} inputs of {target:?}");
}

#[test]
fn every_file_of_settings_is_read() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in [
        "src/settings/presets",
        "tests/fixtures/settings/good",
        "tests/fixtures/settings/bad",
    ] {
        for entry in std::fs::read_dir(home.join(dir)).unwrap() {
            Target::Settings.run(&std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_binary_and_is_named() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file| std::fs::read_to_string(home.join(file)).unwrap();
    let (manifest, script) = (read("fuzz/Cargo.toml"), read("scripts/fuzz"));
    let names: Vec<&str> = Target::ALL.into_iter().map(Target::name).collect();
    let binaries = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""));
    let binaries: Vec<&str> = binaries.map(|rest| rest.trim_end_matches('"')).collect();
    assert_eq!(binaries.split_first().unwrap().1, names);
    assert!(script.contains(&format!("({})", names.join(" "))));
}
