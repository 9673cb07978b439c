//! Links of another user that are roots: removed and restored with that user's rights only.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::set_link_time;
use nix_prune::domain::measure::Span;
use nix_prune::domain::plan::RootLinkFacts;
use nix_prune::domain::profile::Owner;
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::root::RootKind;
use nix_prune::domain::root_rules::RuleNumber;
use nix_prune::domain::root_use::{LastUse, UseSignal};
use nix_prune::ports::{LinkState, NixActions, PerformError, RestoreMode};
use rstest::rstest;

use super::other_users::{EVE, Machine, as_eve, as_root};
use super::{assert_stale, chain, created};
use crate::support::{by_hand, listing};

impl Machine {
    fn project(&self) -> Utf8PathBuf {
        self.scratch.base().join("eve/src/a")
    }

    /// A link of eve's, made by Nix for her.
    fn root_link(&self) -> RootLinkFacts {
        let link = self.project().join("result");
        for dir in [self.project().parent().unwrap(), &self.project()] {
            fs::create_dir(dir).unwrap();
            chown(dir, Some(EVE), Some(EVE)).unwrap();
        }
        let path = self.scratch.add_path("of-a-project", &[], 1_000).unwrap();
        let target = path.to_absolute_path(self.scratch.store());
        let args = ["--realise", target.as_str(), "--add-root", link.as_str()];
        as_eve(&self.scratch, "nix-store", &args.map(String::from));
        set_link_time(&link, created(1)).unwrap();
        let auto = self.scratch.state_dir().join("gcroots/auto");
        let mut entries = auto.read_dir_utf8().unwrap().map(Result::unwrap);
        let entry = entries.find(|it| it.path().read_link_utf8().is_ok_and(|to| to == link));
        RootLinkFacts {
            link,
            entry: entry.unwrap().into_path(),
            origin: RootKind::Result,
            owner: Owner {
                uid: EVE,
                name: Some("eve".into()),
            },
            target,
            store_path: path,
            made_at: created(1),
            rule: RuleNumber(1),
            last_use: LastUse {
                at: created(1),
                signal: UseSignal::Link,
            },
            project_gone: false,
            hold: Span::days(7),
        }
    }

    fn remove(&self, facts: &RootLinkFacts) -> Result<(), PerformError> {
        let nothing = ProtectedPaths::default();
        self.scratch
            .nix()
            .unwrap()
            .remove_root_link(facts, &nothing)
    }
}

#[test]
fn a_users_link_is_removed_and_restored_with_their_rights() {
    as_root(|nix| {
        let m = Machine::new(nix);
        let cli = m.scratch.nix().unwrap();
        let facts = m.root_link();
        let hold = m.scratch.base().join("state/holds/run/0");
        fs::create_dir_all(hold.parent().unwrap()).unwrap();
        cli.hold(&facts.store_path, &hold).unwrap();
        assert_eq!(cli.see_root_link(&facts).unwrap(), LinkState::Unchanged);
        m.remove(&facts).unwrap();
        assert_eq!(cli.see_root_link(&facts).unwrap(), LinkState::Gone);
        assert_stale(m.remove(&facts), "no longer exists");
        // Nix drops the entry of the link that is gone.
        by_hand(&m.scratch, "nix-collect-garbage", &[]);
        assert!(facts.target.exists() && !facts.entry.is_symlink());
        cli.restore_root_link(&facts, RestoreMode::Fresh).unwrap();
        assert_eq!(cli.see_root_link(&facts).unwrap(), LinkState::Unchanged);
        let link = facts.link.symlink_metadata().unwrap();
        assert_eq!((link.uid(), link.gid()), (EVE, EVE));
        assert_eq!(facts.entry.read_link_utf8().unwrap(), facts.link);
        assert_stale(
            cli.restore_root_link(&facts, RestoreMode::Fresh),
            "its name is taken",
        );
        fs::remove_file(&hold).unwrap();
        by_hand(&m.scratch, "nix-collect-garbage", &[]);
        assert!(facts.target.exists(), "it is a root again");
    });
}

/// Does something in the directory of the link, as a hostile eve or an unlucky machine.
type Swap = fn(&Machine, &RootLinkFacts);

fn remake(facts: &RootLinkFacts, text: &str) {
    fs::remove_file(&facts.link).unwrap();
    symlink(text, &facts.link).unwrap();
    lchown(&facts.link, Some(EVE), Some(EVE)).unwrap();
    set_link_time(&facts.link, facts.made_at).unwrap();
}

#[rstest]
#[case::another_target(|_: &Machine, it: &RootLinkFacts| remake(it, "/etc/passwd"), "has changed since the plan")]
#[case::another_time(
    |_: &Machine, it: &RootLinkFacts| set_link_time(&it.link, created(2)).unwrap(),
    "has changed since the plan"
)]
#[case::another_owner(
    |_: &Machine, it: &RootLinkFacts| {
        lchown(&it.link, Some(0), Some(0)).unwrap();
        set_link_time(&it.link, it.made_at).unwrap();
    },
    "has changed since the plan"
)]
#[case::a_file(
    |_: &Machine, it: &RootLinkFacts| {
        fs::remove_file(&it.link).unwrap();
        fs::write(&it.link, it.target.as_str()).unwrap();
    },
    "has changed since the plan"
)]
#[case::a_directory_of_roots(
    |m: &Machine, _: &RootLinkFacts| {
        chown(m.project(), Some(0), Some(0)).unwrap();
        fs::set_permissions(m.project(), fs::Permissions::from_mode(0o755)).unwrap();
    },
    "Permission denied"
)]
#[case::a_link_to_a_directory_of_roots(
    |m: &Machine, it: &RootLinkFacts| {
        // It holds what is exactly eve's link, so that only the way there differs.
        let trap = m.scratch.base().join("trap");
        fs::rename(m.project(), &trap).unwrap();
        symlink(&trap, m.project()).unwrap();
        assert!(it.link.is_symlink());
    },
    "is a symbolic link"
)]
#[case::a_link_above(
    |m: &Machine, it: &RootLinkFacts| {
        let (src, trap) = (m.scratch.base().join("eve/src"), m.scratch.base().join("trap"));
        fs::rename(&src, &trap).unwrap();
        symlink(&trap, &src).unwrap();
        assert!(it.link.is_symlink());
    },
    "is a symbolic link"
)]
fn what_a_user_has_swapped_is_not_removed(#[case] swap: Swap, #[case] words: &str) {
    as_root(|nix| {
        let m = Machine::new(nix);
        let facts = m.root_link();
        swap(&m, &facts);
        // The daemon's process for eve may still be ending, and takes its temporary roots with it.
        let files = || {
            let mut all = listing(m.scratch.base());
            all.retain(|path, _| !path.starts_with("nix/var/"));
            all
        };
        let before = files();
        assert!(before.contains_key("eve/.local"));
        let error = m.remove(&facts).unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
        assert_eq!(files(), before);
    });
}

#[test]
fn a_protected_link_of_a_user_is_not_removed() {
    as_root(|nix| {
        let m = Machine::new(nix);
        let facts = m.root_link();
        let protected = ProtectedPaths::new(vec![m.scratch.base().join("eve/src")]);
        let error = m
            .scratch
            .nix()
            .unwrap()
            .remove_root_link(&facts, &protected);
        let error = chain(&error.unwrap_err());
        assert!(error.contains("is below the protected path"), "{error}");
        assert!(facts.link.is_symlink());
    });
}
