//! Parser for what an optimisation and a check of the store report.

use super::size;
use crate::domain::maintenance::{Damage, Verified};
use crate::domain::measure::Bytes;
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};

/// How many files were replaced, and their sizes: `9.8 KiB freed by hard-linking 2 files`.
pub(in crate::adapters::nix_cli) fn optimised(text: &str) -> (Option<u64>, Option<Bytes>) {
    let line = text.lines().rev().find_map(|line| {
        let (freed, rest) = line.trim().split_once(" freed by hard-linking ")?;
        Some((rest.split(' ').next()?.parse().ok(), size(freed)))
    });
    line.unwrap_or_default()
}

/// Adds the damage that a check reports, and returns whether the check came to its end. Only where Nix `failed` is an error about a
/// path taken for one that cannot be read.
pub(in crate::adapters::nix_cli) fn damage(
    text: &str,
    store: &StoreDir,
    failed: bool,
    found: &mut Verified,
) -> bool {
    for line in text.lines().map(str::trim) {
        let of_path = line.starts_with("path ");
        let damage = if of_path && line.contains(" was modified!") {
            Damage::Modified
        } else if of_path && line.contains(" disappeared, removing from database") {
            Damage::Forgotten
        } else if of_path && line.contains(" disappeared, ") {
            Damage::Missing
        } else if line.starts_with("link ") && line.contains(" was modified!") {
            found.links += 1;
            continue;
        } else if failed && (line.starts_with("error: ") || line.starts_with("warning: ")) {
            Damage::Unreadable
        } else {
            continue;
        };
        if let Some(path) = first_path(line, store) {
            found.add(path, damage);
        }
    }
    // Nix prints that last, and an error instead where it stops before.
    !failed || text.contains("not all store errors were fixed")
}

/// The first store path in a line, whatever quotes it is in, and whatever lies below it.
fn first_path(line: &str, store: &StoreDir) -> Option<StorePath<String>> {
    let prefix = format!("{store}/");
    let mut parts = line.split(prefix.as_str()).skip(1);
    parts.find_map(|part| {
        let name = part.split(['\'', '"', '/', ' ', ':']).next()?;
        let path = StorePathRef::from_base_name(name).ok()?;
        Some(path.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::nix_cli::parse::{NixVersion, collected};
    use camino::Utf8Path;
    use rstest::rstest;

    /// What a Nix prints, without the line that says where it is from.
    macro_rules! printed {
        ($file:literal) => {
            include_str!(concat!("../../../../tests/fixtures/nix-output/", $file))
                .split_once('\n')
                .unwrap()
                .1
        };
    }

    fn damage_of(text: &str, failed: bool) -> (Verified, bool) {
        let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
        let mut found = Verified::default();
        let whole = damage(text, &store, failed, &mut found);
        (found, whole)
    }

    #[rstest]
    #[case::nix_2_8(printed!("nix-2.8.0/optimise.txt"), 10_485)]
    #[case::nix_2_26(printed!("nix-2.26.3/optimise.txt"), 10_485)]
    #[case::nix_2_34(printed!("nix-2.34.8/optimise.txt"), 10_035)]
    #[case::lix(printed!("lix-2.95.3/optimise.txt"), 10_485)]
    #[case::determinate(printed!("determinate-3.22.2/optimise.txt"), 10_035)]
    fn trap_28_what_an_optimisation_reports_is_read(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(optimised(text), (Some(2), Some(Bytes(bytes))));
        assert_eq!(collected(text), None);
    }

    #[rstest]
    #[case("", None, None)]
    #[case("-0.01 MiB freed by hard-linking 2 files", Some(2), None)]
    #[case("0.0 KiB freed by hard-linking some files", None, Some(0))]
    #[case("2 store paths deleted, 1.91 MiB freed", None, None)]
    fn what_is_not_understood_is_unknown(
        #[case] text: &str,
        #[case] files: Option<u64>,
        #[case] bytes: Option<u64>,
    ) {
        assert_eq!(optimised(text), (files, bytes.map(Bytes)));
    }

    #[rstest]
    #[case::nix_2_8(printed!("nix-2.8.0/verify-damaged.txt"))]
    #[case::nix_2_26(printed!("nix-2.26.3/verify-damaged.txt"))]
    #[case::nix_2_34(printed!("nix-2.34.8/verify-damaged.txt"))]
    #[case::lix(printed!("lix-2.95.3/verify-damaged.txt"))]
    #[case::determinate(printed!("determinate-3.22.2/verify-damaged.txt"))]
    fn every_kind_of_damage_is_read(#[case] text: &str) {
        let (found, whole) = damage_of(text, true);
        let of = |damage: Damage| {
            let of = found.paths.iter().filter(move |it| it.damage == damage);
            let names = of.map(|it| it.path.name().to_string());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(Damage::ALL.map(of), ["low", "c.txt", "a", "u"]);
        assert_eq!((found.damaged, found.links), (4, 1));
        assert!(whole);
    }

    #[rstest]
    #[case::nix_2_8(printed!("nix-2.8.0/verify-sound.txt"))]
    #[case::nix_2_26(printed!("nix-2.26.3/verify-sound.txt"))]
    #[case::nix_2_34(printed!("nix-2.34.8/verify-sound.txt"))]
    #[case::lix(printed!("lix-2.95.3/verify-sound.txt"))]
    fn a_sound_store_has_no_damage(#[case] text: &str) {
        for failed in [false, true] {
            let (found, whole) = damage_of(text, failed);
            assert!(found.is_sound(), "{found:?}");
            assert_eq!(whole, !failed);
        }
    }

    #[test]
    fn a_warning_of_a_nix_that_did_not_fail_is_no_damage() {
        let text = "warning: '/nix/store/00000000000000000000000000000000-a' is odd";
        assert!(damage_of(text, false).0.is_sound());
        assert_eq!(damage_of(text, true).0.damaged, 1);
    }

    #[test]
    fn trap_28_lix_is_read_by_the_same_parsers() {
        let version = NixVersion::parse(printed!("lix-2.95.3/version.txt")).unwrap();
        assert_eq!(version, NixVersion::new(2, 95, 3));
        let version = NixVersion::parse(printed!("determinate-3.22.2/version.txt")).unwrap();
        assert_eq!(version, NixVersion::new(2, 35, 2));
        let done = collected(printed!("lix-2.95.3/collect.txt")).unwrap();
        assert_eq!((done.paths, done.bytes), (Some(1), Some(Bytes(2_002_780))));
        assert_eq!(collected(printed!("lix-2.95.3/collect-dry-run.txt")), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(path |link |error: ).*/nix/store/.*( was modified!| disappeared, ).*") {
            damage_of(&text, true);
            optimised(&text);
        }
    }
}
