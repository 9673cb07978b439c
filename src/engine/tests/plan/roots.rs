//! Dangling roots, by cause.

use nix_prune::domain::job::RootPatterns;
use nix_prune::domain::plan::{Decision, DropRule, KeepCause};
use nix_prune::domain::protected::ProtectedPaths;
use rstest::rstest;

use super::*;
use crate::support::plan_of;

/// The fate of one root, as the only thing that is there.
fn fate(root: GcRoot, actor: Actor, job: &Job) -> Option<Decision> {
    let mut snapshot = snapshot(Vec::new());
    snapshot.roots.push(root);
    snapshot.actor = actor;
    let plan = plan_of(&snapshot, job);
    let fate = plan.items.first().map(|item| item.fate.clone());
    let goes = steps(&plan).iter().any(|step| step.starts_with("remove"));
    assert_eq!(goes, matches!(fate, Some(Decision::Drop { .. })));
    fate
}

fn kept(cause: KeepCause) -> Decision {
    Decision::Keep(cause)
}

fn removed() -> Decision {
    let (rule, risk) = (DropRule::Dangling, RiskLevel::Low);
    Decision::Drop { rule, risk }
}

#[rstest]
#[case::trap_16_the_link_is_gone(RootState::Dangling(Dangling::LinkGone), Some(removed()))]
#[case::trap_17_the_place_is_gone(
    RootState::Dangling(Dangling::ParentMissing),
    Some(kept(KeepCause::ParentMissing))
)]
#[case::the_store_path_is_gone(
    RootState::Dangling(Dangling::PathGone),
    Some(kept(KeepCause::LinkExists))
)]
#[case::it_holds_nothing(
    RootState::Dangling(Dangling::NotARoot),
    Some(kept(KeepCause::LinkExists))
)]
#[case::it_is_alive(RootState::Live, None)]
#[case::it_cannot_be_read(RootState::Unreadable("permission denied".to_string()), None)]
fn a_root_goes_only_when_its_link_is_gone(
    #[case] state: RootState,
    #[case] expected: Option<Decision>,
) {
    let root = GcRoot { state, ..root("a") };
    assert_eq!(fate(root, Actor::Root, &job()), expected);
}

#[rstest]
#[case::in_auto(Some("/nix/var/nix/gcroots/auto/x"), Some(removed()))]
#[case::trap_16_per_user(
    Some("/nix/var/nix/gcroots/per-user/alice/x"),
    Some(kept(KeepCause::EntryByHand))
)]
#[case::below_auto(
    Some("/nix/var/nix/gcroots/auto/sub/x"),
    Some(kept(KeepCause::EntryByHand))
)]
#[case::another_state(Some("/other/gcroots/auto/x"), Some(kept(KeepCause::EntryByHand)))]
#[case::no_entry(None, Some(kept(KeepCause::LinkExists)))]
fn only_entries_of_auto_are_removed(
    #[case] entry: Option<&str>,
    #[case] expected: Option<Decision>,
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
    assert_eq!(
        fate(root, Actor::Root, &job()),
        Some(kept(KeepCause::NotUtf8))
    );
}

#[rstest]
#[case("/home/*/src/**", Some(kept(KeepCause::Protected)))]
#[case("/home/alice/src/a/result", Some(kept(KeepCause::Protected)))]
#[case("/home/*/result", Some(removed()))]
fn patterns_protect_roots(#[case] pattern: &str, #[case] expected: Option<Decision>) {
    let mut job = job();
    std::sync::Arc::make_mut(&mut job.protect).roots = RootPatterns::new([pattern]).unwrap();
    assert_eq!(fate(root("a"), Actor::Root, &job), expected);
}

#[rstest]
#[case::below("/home/alice", Some(kept(KeepCause::ProtectedPath)))]
#[case::itself("/home/alice/src/a/result", Some(kept(KeepCause::ProtectedPath)))]
#[case::a_prefix_of_its_text("/home/ali", Some(removed()))]
#[case::everything_is_below_it("/", Some(removed()))]
fn a_root_below_a_protected_path_stays(#[case] path: &str, #[case] expected: Option<Decision>) {
    let mut job = job();
    std::sync::Arc::make_mut(&mut job.protect).paths = ProtectedPaths::new(vec![path.into()]);
    assert_eq!(fate(root("a"), Actor::Root, &job), expected);
}

#[test]
fn a_job_that_removes_none_keeps_all() {
    let mut job = job();
    job.operations.roots = Some(RootsOperation { dangling: false });
    assert_eq!(
        fate(root("a"), Actor::Root, &job),
        Some(kept(KeepCause::NotSelected))
    );
    job.operations.roots = None;
    assert_eq!(fate(root("a"), Actor::Root, &job), None);
}

#[rstest]
#[case(1000, Some(1000), Some(removed()))]
#[case(1000, Some(0), Some(kept(KeepCause::OtherOwner)))]
#[case(1001, Some(1000), Some(kept(KeepCause::OtherOwner)))]
#[case(1000, None, Some(kept(KeepCause::OtherOwner)))]
fn a_user_removes_only_their_own(
    #[case] actor: u32,
    #[case] of: Option<u32>,
    #[case] expected: Option<Decision>,
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
            last_used: Some(time("2001-01-01T00:00:00Z")),
            state,
            ..root("a")
        };
        let fate = fate(root, Actor::Root, &job());
        assert!(!matches!(fate, Some(Decision::Drop { .. })));
    }
}

#[test]
fn one_run_removes_a_bounded_number_of_roots() {
    use nix_prune::domain::plan::MAX_REMOVALS;
    let mut snapshot = snapshot(Vec::new());
    let roots = (0..MAX_REMOVALS + 2).map(|n| root(&n.to_string()));
    snapshot.roots.extend(roots);
    let plan = plan_of(&snapshot, &job());
    let count = |fate: &Decision| plan.items.iter().filter(|item| item.fate == *fate).count();
    assert_eq!(count(&removed()), MAX_REMOVALS);
    assert_eq!(count(&kept(KeepCause::LaterRun)), 2);
}
