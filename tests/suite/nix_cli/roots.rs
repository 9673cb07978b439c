//! Holds and dangling roots.

use std::fs;
use std::os::unix::fs::symlink;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::plan::{HoldFacts, RootFacts};
use nix_prune::domain::profile::GenerationNumber;
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::snapshot::Held;
use nix_prune::ports::{LinkState, NixActions, PerformError};

use super::{Fixture, assert_stale, chain};
use crate::support::{by_hand, listing, time, with_each_nix};

impl Fixture {
    fn hold_facts(&self, link: Utf8PathBuf) -> HoldFacts {
        HoldFacts {
            run: "20261122T221644Z".to_string().try_into().unwrap(),
            link,
            store_path: self.path(1),
            held: Held::Generation {
                profile: self.profile.clone(),
                number: GenerationNumber(1),
            },
            until: time("2026-12-01T00:00:00Z"),
        }
    }

    /// A link `proj/result` with its entry, then without the link.
    fn dangling(&self) -> RootFacts {
        let link = self.scratch.base().join("proj/result");
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        self.scratch.add_root(&link, &self.path(1)).unwrap();
        let auto = self.scratch.state_dir().join("gcroots/auto");
        let entry = auto
            .read_dir_utf8()
            .unwrap()
            .map(|entry| entry.unwrap().into_path())
            .find(|entry| entry.read_link_utf8().is_ok_and(|text| text == link))
            .unwrap();
        fs::remove_file(&link).unwrap();
        RootFacts { entry, link }
    }
}

#[test]
fn a_hold_is_a_root_that_nix_knows() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::with_space(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let hold = f.hold(0);
        cli.hold(&f.path(1), &hold).unwrap();
        // Once more is no error: a run that was interrupted does it again.
        cli.hold(&f.path(1), &hold).unwrap();
        let roots = by_hand(&f.scratch, "nix-store", &["--gc", "--print-roots"]).stdout;
        let path = f.path(1).to_absolute_path(f.scratch.store());
        let is_ours = |root: &&str| root.contains(hold.as_str()) && root.ends_with(path.as_str());
        assert_eq!(roots.lines().filter(is_ours).count(), 1, "{roots}");
        assert_eq!(roots.lines().count(), 4, "{roots}");
    });
}

#[test]
fn what_cannot_be_held_is_an_error() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let gone = f.scratch.path_named("never-made").unwrap();
        assert_stale(cli.hold(&gone, &f.hold(0)), "is gone from the store");
        let drv = f.derivation();
        let error = cli.hold(&drv, &f.hold(0)).unwrap_err();
        assert!(chain(&error).ends_with("it is a derivation"), "{error:?}");
        assert!(f.hold(0).symlink_metadata().is_err());
        // A link that is something else already, or that nobody could find again.
        fs::write(f.hold(1), "").unwrap();
        assert!(cli.hold(&f.path(1), &f.hold(1)).is_err());
        assert!(cli.hold(&f.path(1), "relative".into()).is_err());
        let dotted = f.hold(2).parent().unwrap().join("../run/2");
        assert!(cli.hold(&f.path(1), &dotted).is_err());
        let missing = f.scratch.base().join("blocked/0");
        fs::write(f.scratch.base().join("blocked"), "").unwrap();
        assert!(cli.hold(&f.path(1), &missing).is_err());
    });
}

#[test]
fn only_a_hold_is_released() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        cli.hold(&f.path(1), &f.hold(0)).unwrap();
        let outside = f.scratch.base().join("outside");
        symlink(f.facts(1).target, &outside).unwrap();
        symlink(f.facts(2).target, f.hold(1)).unwrap();
        fs::write(f.hold(2), "").unwrap();
        let elsewhere = f.scratch.base().join("state/holds/link");
        symlink(f.hold(0).parent().unwrap(), &elsewhere).unwrap();
        let before = listing(f.scratch.base());
        assert_stale(
            cli.release_hold(&f.hold_facts(outside)),
            "is not in the directory of holds",
        );
        let dotted = f.hold(0).parent().unwrap().join("../../../outside");
        assert_stale(
            cli.release_hold(&f.hold_facts(dotted)),
            "is not in the directory of holds",
        );
        assert_stale(
            cli.release_hold(&f.hold_facts(f.hold(1))),
            "is not the hold of",
        );
        assert_stale(
            cli.release_hold(&f.hold_facts(f.hold(2))),
            "is not the hold of",
        );
        let through = cli.release_hold(&f.hold_facts(elsewhere.join("0")));
        assert!(
            matches!(through, Err(PerformError::File { .. })),
            "{through:?}"
        );
        assert_eq!(listing(f.scratch.base()), before);
        cli.release_hold(&f.hold_facts(f.hold(0))).unwrap();
        assert!(f.hold(0).symlink_metadata().is_err());
        // What is gone is released.
        cli.release_hold(&f.hold_facts(f.hold(0))).unwrap();
        let never = f.scratch.base().join("state/holds/never/0");
        cli.release_hold(&f.hold_facts(never)).unwrap();
    });
}

#[test]
fn trap_16_a_dangling_root_goes_and_comes_back() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let facts = f.dangling();
        let text = facts.entry.read_link_utf8().unwrap();
        assert_eq!(cli.see_root(&facts).unwrap(), LinkState::Unchanged);
        cli.remove_root(&facts, &ProtectedPaths::default()).unwrap();
        assert_eq!(cli.see_root(&facts).unwrap(), LinkState::Gone);
        assert_stale(
            cli.remove_root(&facts, &ProtectedPaths::default()),
            "no longer exists",
        );
        cli.restore_root(&facts).unwrap();
        assert_eq!(facts.entry.read_link_utf8().unwrap(), text);
        assert_stale(cli.restore_root(&facts), "is taken");
        fs::remove_file(&facts.entry).unwrap();
        fs::write(&facts.entry, "").unwrap();
        assert_eq!(cli.see_root(&facts).unwrap(), LinkState::Different);
        assert_stale(cli.restore_root(&facts), "is taken");
    });
}

/// Whatever was planned: the place where links are removed refuses it once more.
#[test]
fn a_root_below_a_protected_path_is_not_removed() {
    with_each_nix(|nix| {
        let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
        let cli = f.scratch.nix().unwrap();
        let facts = f.dangling();
        let place = facts.link.parent().unwrap();
        let before = listing(f.scratch.base());
        let protected = ProtectedPaths::new(vec!["/".into(), place.into()]);
        let error = cli.remove_root(&facts, &protected).unwrap_err();
        let why = format!("{} is below the protected path {place}", facts.link);
        assert!(chain(&error).ends_with(&why), "{}", chain(&error));
        assert_eq!(listing(f.scratch.base()), before);
        let elsewhere = ProtectedPaths::new(vec!["/".into(), place.join("sub")]);
        cli.remove_root(&facts, &elsewhere).unwrap();
        assert_eq!(cli.see_root(&facts).unwrap(), LinkState::Gone);
    });
}

/// Something that changes between plan and deed, and a word of why the deed is refused then.
type Change = (&'static str, fn(&Fixture, &mut RootFacts));

#[test]
fn trap_17_a_root_that_leads_somewhere_or_to_a_place_that_is_away_stays() {
    let changes: &[Change] = &[
        ("exists again", |f, facts| {
            symlink(f.facts(1).target, &facts.link).unwrap();
        }),
        ("exists again", |_, facts| {
            symlink("nowhere", &facts.link).unwrap();
        }),
        ("exists again", |_, facts| {
            fs::write(&facts.link, "").unwrap();
        }),
        ("a directory that is gone", |_, facts| {
            fs::remove_dir(facts.link.parent().unwrap()).unwrap();
        }),
        ("a directory that is gone", |_, facts| {
            // The home is a link to a disk that is not there.
            let place = facts.link.parent().unwrap();
            fs::remove_dir(place).unwrap();
            symlink("/nowhere/at/all", place).unwrap();
        }),
        ("now points elsewhere", |_, facts| {
            facts.link.set_file_name("other");
        }),
        ("now points elsewhere", |_, facts| {
            fs::remove_file(&facts.entry).unwrap();
            fs::write(&facts.entry, "").unwrap();
        }),
        ("is not in /", |f, facts| facts.entry = f.link(1)),
        ("is not in /", |_, facts| {
            let below = facts.entry.join("x");
            facts.entry = below;
        }),
        ("without dots", |_, facts| {
            let name = facts.entry.file_name().unwrap().to_string();
            facts.entry = facts.entry.parent().unwrap().join("../auto").join(name);
        }),
        ("without dots", |_, facts| facts.link = "relative".into()),
    ];
    with_each_nix(|nix| {
        for (words, change) in changes {
            let f = Fixture::new(Scratch::new(Some(&nix.bin)).unwrap());
            let cli = f.scratch.nix().unwrap();
            let mut facts = f.dangling();
            change(&f, &mut facts);
            let before = listing(f.scratch.base());
            assert_stale(cli.remove_root(&facts, &ProtectedPaths::default()), words);
            assert_eq!(listing(f.scratch.base()), before, "{words}");
        }
    });
}
