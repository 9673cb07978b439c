//! Dangling roots, by cause.

use nix_prune::domain::job::PathPatterns;
use nix_prune::domain::plan::{Decision, RemovalRule};
use nix_prune::domain::protected::ProtectedPaths;
use rstest::rstest;

use super::*;
use crate::support::plan_of;

/// What becomes of a root: the reasons to keep it, or the rule that removes it.
#[derive(Debug, PartialEq)]
enum Verdict {
    Keep(Vec<Reason>),
    Remove(RemovalRule),
}

fn verdict(decision: &Decision) -> Verdict {
    match decision {
        Decision::Keep { .. } => Verdict::Keep(decision.reasons().cloned().collect()),
        Decision::Remove(removal) => {
            assert_eq!(removal.risk, RiskLevel::Low);
            Verdict::Remove(removal.rule)
        }
    }
}

/// The verdict on one root, as the only thing that is there.
fn fate(root: GcRoot, actor: Actor, job: &Job) -> Option<Verdict> {
    let mut snapshot = snapshot(Vec::new());
    snapshot.roots.push(root);
    snapshot.actor = actor;
    let plan = plan_of(&snapshot, job);
    let fate = plan.items.first().map(|item| verdict(&item.decision));
    let goes = steps(&plan).iter().any(|step| step.starts_with("remove"));
    assert_eq!(goes, matches!(fate, Some(Verdict::Remove(_))));
    fate
}

fn kept(reason: Reason) -> Verdict {
    Verdict::Keep(vec![reason])
}

fn removed() -> Verdict {
    Verdict::Remove(RemovalRule::Dangling)
}

#[rstest]
#[case::trap_16_the_link_is_gone(RootState::Dangling(Dangling::LinkGone), Some(removed()))]
#[case::trap_17_the_place_is_gone(
    RootState::Dangling(Dangling::ParentMissing),
    Some(kept(Reason::ParentMissing))
)]
#[case::the_store_path_is_gone(
    RootState::Dangling(Dangling::PathGone),
    Some(kept(Reason::LinkExists))
)]
#[case::it_holds_nothing(
    RootState::Dangling(Dangling::NotARoot),
    Some(kept(Reason::LinkExists))
)]
#[case::it_is_alive(RootState::Live, None)]
#[case::it_cannot_be_read(RootState::Unreadable("permission denied".to_string()), None)]
fn a_root_goes_only_when_its_link_is_gone(
    #[case] state: RootState,
    #[case] expected: Option<Verdict>,
) {
    let root = GcRoot { state, ..root("a") };
    assert_eq!(fate(root, Actor::Root, &job()), expected);
}

#[test]
fn what_a_released_hold_leaves_is_no_dangling_root_of_anybody() {
    let hold = |state| GcRoot {
        kind: RootKind::Hold,
        state: RootState::Dangling(state),
        ..root("a")
    };
    assert_eq!(fate(hold(Dangling::LinkGone), Actor::Root, &job()), None);
    let away = fate(hold(Dangling::ParentMissing), Actor::Root, &job());
    assert_eq!(away, Some(kept(Reason::ParentMissing)));
}

#[rstest]
#[case::in_auto(Some("/nix/var/nix/gcroots/auto/x"), Some(removed()))]
#[case::trap_16_per_user(Some("/nix/var/nix/gcroots/per-user/alice/x"), Some(removed()))]
#[case::per_user_itself(
    Some("/nix/var/nix/gcroots/per-user/x"),
    Some(kept(Reason::EntryByHand))
)]
#[case::below_per_user(
    Some("/nix/var/nix/gcroots/per-user/alice/sub/x"),
    Some(kept(Reason::EntryByHand))
)]
#[case::below_auto(
    Some("/nix/var/nix/gcroots/auto/sub/x"),
    Some(kept(Reason::EntryByHand))
)]
#[case::another_state(Some("/other/gcroots/auto/x"), Some(kept(Reason::EntryByHand)))]
#[case::no_entry(None, Some(kept(Reason::LinkExists)))]
fn only_entries_of_auto_and_of_users_are_removed(
    #[case] entry: Option<&str>,
    #[case] expected: Option<Verdict>,
) {
    let root = GcRoot {
        entry: entry.map(Utf8PathBuf::from),
        ..root("a")
    };
    assert_eq!(fate(root, Actor::Root, &job()), expected);
}

#[test]
fn a_name_that_is_not_exact_stays() {
    let root = GcRoot {
        exact: false,
        ..root("a")
    };
    assert_eq!(fate(root, Actor::Root, &job()), Some(kept(Reason::NotUtf8)));
}

#[rstest]
#[case("/home/*/src/**", Some(kept(Reason::Protected)))]
#[case("/home/alice/src/a/result", Some(kept(Reason::Protected)))]
#[case("/home/*/result", Some(removed()))]
fn patterns_protect_roots(#[case] pattern: &str, #[case] expected: Option<Verdict>) {
    let mut job = job();
    std::sync::Arc::make_mut(&mut job.protect).roots = PathPatterns::new([pattern]).unwrap();
    assert_eq!(fate(root("a"), Actor::Root, &job), expected);
}

#[rstest]
#[case::below("/home/alice", Some(kept(Reason::ProtectedPath)))]
#[case::itself("/home/alice/src/a/result", Some(kept(Reason::ProtectedPath)))]
#[case::a_prefix_of_its_text("/home/ali", Some(removed()))]
#[case::everything_is_below_it("/", Some(removed()))]
fn a_root_below_a_protected_path_stays(#[case] path: &str, #[case] expected: Option<Verdict>) {
    let mut job = job();
    std::sync::Arc::make_mut(&mut job.protect).paths = ProtectedPaths::new(vec![path.into()]);
    assert_eq!(fate(root("a"), Actor::Root, &job), expected);
}

#[test]
fn a_job_that_removes_none_keeps_all() {
    let mut job = job();
    job.operations.roots = Some(RootsOperation::default());
    assert_eq!(
        fate(root("a"), Actor::Root, &job),
        Some(kept(Reason::NotSelected))
    );
    job.operations.roots = None;
    assert_eq!(fate(root("a"), Actor::Root, &job), None);
}

#[rstest]
#[case(1000, Some(1000), Some(removed()))]
#[case(1000, Some(0), Some(kept(Reason::OtherOwner)))]
#[case(1001, Some(1000), Some(kept(Reason::OtherOwner)))]
#[case(1000, None, Some(kept(Reason::OtherOwner)))]
fn a_user_removes_only_their_own(
    #[case] actor: u32,
    #[case] of: Option<u32>,
    #[case] expected: Option<Verdict>,
) {
    let root = GcRoot {
        owner: of.map(owner),
        ..root("a")
    };
    assert_eq!(fate(root, Actor::User(actor), &job()), expected);
}

#[test]
fn trap_23_the_current_home_stays_while_its_link_does() {
    for state in [
        RootState::Live,
        RootState::Dangling(Dangling::PathGone),
        RootState::Dangling(Dangling::NotARoot),
        RootState::Dangling(Dangling::ParentMissing),
    ] {
        let root = GcRoot {
            kind: RootKind::Home,
            link: "/home/alice/.local/state/home-manager/gcroots/current-home".into(),
            made_at: Some(time("2001-01-01T00:00:00Z")),
            state,
            ..root("a")
        };
        let fate = fate(root, Actor::Root, &job());
        assert!(!matches!(fate, Some(Verdict::Remove(_))));
    }
}

#[test]
fn one_run_removes_a_bounded_number_of_roots() {
    use nix_prune::operations::generations::MAX_REMOVALS;
    let mut snapshot = snapshot(Vec::new());
    let roots = (0..MAX_REMOVALS + 2).map(|n| root(&n.to_string()));
    snapshot.roots.extend(roots);
    let plan = plan_of(&snapshot, &job());
    let verdicts = plan.items.iter().map(|item| verdict(&item.decision));
    let count = |fate: &Verdict| verdicts.clone().filter(|found| found == fate).count();
    assert_eq!(count(&removed()), MAX_REMOVALS);
    assert_eq!(count(&kept(Reason::LaterRun)), 2);
}
