//! Links of roots: which a plan removes, and why it keeps the others.

use nix_prune::domain::job::PathPatterns;
use nix_prune::domain::plan::{Item, RootLinkFacts};
use nix_prune::domain::protected::ProtectedPaths;
use nix_prune::domain::root_rules::RootRule;
use nix_prune::domain::root_use::{LastUse, LinkUse, SeenUse, UseSignal};
use rstest::rstest;

use super::*;
use crate::support::{plan_of, unrestricted};

const OLD: &str = "2026-01-01T00:00:00Z";

/// A `result` of alice that was made long ago and not used since.
fn link(name: &str) -> GcRoot {
    let path = path_of(name, 1);
    GcRoot {
        target: Some(format!("/nix/store/{path}").into()),
        store_path: Some(path),
        state: RootState::Live,
        made_at: Some(time(OLD)),
        ..root(name)
    }
}

fn unused() -> LinkUse {
    LinkUse::Seen(SeenUse {
        last: LastUse {
            at: time(OLD),
            signal: UseSignal::Link,
        },
        project_gone: false,
        elsewhere: false,
        out_of_reach: false,
    })
}

fn rule(days: u32) -> RootRule {
    RootRule {
        unused_for: Some(Span::days(days)),
        ..RootRule::default()
    }
}

fn rules(rules: Vec<RootRule>) -> Job {
    let mut job = job();
    job.operations.roots = Some(RootsOperation {
        dangling: false,
        rules,
        removed_users: None,
    });
    job
}

fn world(roots: Vec<GcRoot>) -> Snapshot {
    let mut snapshot = snapshot(Vec::new());
    let uses = roots.iter().map(|root| (root.link.clone(), unused()));
    snapshot.uses = uses.collect();
    snapshot.roots = roots;
    snapshot
}

fn reasons_of(item: &Item) -> Vec<Reason> {
    item.decision.reasons().cloned().collect()
}

/// The reasons to keep the only link; `None` where the plan does not show it.
fn kept(root: GcRoot, job: &Job) -> Option<Vec<Reason>> {
    let plan = plan_of(&world(vec![root]), job);
    plan.items.first().map(reasons_of)
}

#[test]
fn the_facts_of_a_removal_are_those_of_the_link() {
    let job = rules(vec![rule(30)]);
    let plan = plan_of(&world(vec![link("a")]), &job);
    let removal = plan.removals().next().unwrap();
    assert_eq!(removal.risk, RiskLevel::Medium);
    let facts = removal.action.removed_root_link().unwrap();
    let expected = link("a");
    assert_eq!(facts.link, expected.link);
    assert_eq!(Some(&facts.entry), expected.entry.as_ref());
    assert_eq!(Some(&facts.target), expected.target.as_ref());
    assert_eq!(Some(facts.made_at), expected.made_at);
    assert_eq!((facts.owner.uid, facts.rule.0), (1000, 1));
    assert_eq!((facts.last_use.at, facts.hold), (time(OLD), Span::days(7)));
    assert_eq!(plan.removed_for_good(), 0);
    assert!(plan.is_consistent());
}

#[test]
fn without_an_undo_window_the_risk_is_high() {
    let mut job = rules(vec![rule(30)]);
    job.undo_window = Span::ZERO;
    let plan = plan_of(&world(vec![link("a")]), &job);
    assert_eq!(plan.risk(), Some(RiskLevel::High));
    // A person types the number of generations.
    assert_eq!(plan.removed_for_good(), 0);
}

#[rstest]
#[case::profile(RootKind::Profile)]
#[case::home(RootKind::Home)]
#[case::system(RootKind::System)]
#[case::container(RootKind::Container)]
#[case::hold(RootKind::Hold)]
#[case::temporary(RootKind::Temporary)]
fn trap_23_what_is_no_link_of_a_user_is_not_looked_at(#[case] kind: RootKind) {
    let root = GcRoot { kind, ..link("a") };
    assert_eq!(kept(root, &rules(vec![rule(30)])), None);
}

#[rstest]
#[case::by_hand(Some("/nix/var/nix/gcroots/per-user/alice/x"))]
#[case::direct(None)]
fn only_what_nix_made_a_root_is_looked_at(#[case] entry: Option<&str>) {
    let root = GcRoot {
        entry: entry.map(Utf8PathBuf::from),
        ..link("a")
    };
    assert_eq!(kept(root, &rules(vec![rule(30)])), None);
}

#[test]
fn a_dangling_root_is_not_for_rules() {
    assert_eq!(
        kept(root("a"), &rules(vec![rule(30)])),
        Some(vec![Reason::NotSelected])
    );
}

#[rstest]
#[case::not_exact(GcRoot { exact: false, ..link("a") }, Reason::NotUtf8)]
#[case::of_nobody(GcRoot { owner: None, ..link("a") }, Reason::OtherOwner)]
#[case::into_a_store_path(
    GcRoot { target: link("a").target.map(|it| it.join("bin")), ..link("a") },
    Reason::TargetOutsideStore
)]
#[case::too_new(GcRoot { made_at: Some(time("2099-01-01T00:00:00Z")), ..link("a") }, Reason::FutureTimestamp)]
#[case::without_a_target(
    GcRoot { target: None, ..link("a") },
    Reason::UseUnknown("the link could not be read".to_string())
)]
fn what_cannot_be_restored_as_it_was_is_kept(#[case] root: GcRoot, #[case] reason: Reason) {
    assert_eq!(kept(root, &rules(vec![rule(30)])), Some(vec![reason]));
}

#[test]
fn a_derivation_is_kept() {
    let path = path_of("a.drv", 1);
    let name = "00000000000000000000000000000001-a.drv";
    let path = nix_prune::domain::store_path::StorePathRef::from_base_name(name)
        .map_or(path, |path| path.to_owned());
    let root = GcRoot {
        target: Some(format!("/nix/store/{path}").into()),
        store_path: Some(path),
        ..link("a")
    };
    assert_eq!(
        kept(root, &rules(vec![rule(30)])),
        Some(vec![Reason::Derivation])
    );
}

#[test]
fn protected_links_are_kept() {
    let mut job = rules(vec![rule(30)]);
    std::sync::Arc::make_mut(&mut job.protect).roots =
        PathPatterns::new(["/home/*/src/**"]).unwrap();
    assert_eq!(kept(link("a"), &job), Some(vec![Reason::Protected]));
    let mut job = rules(vec![rule(30)]);
    std::sync::Arc::make_mut(&mut job.protect).paths =
        ProtectedPaths::new(vec!["/home/alice".into()]);
    assert_eq!(kept(link("a"), &job), Some(vec![Reason::ProtectedPath]));
    // The name of a generation makes nobody but its profile the owner of a link.
    let generation = GcRoot {
        link: "/home/alice/p/.direnv/flake-profile-1-link".into(),
        kind: RootKind::Direnv,
        ..link("a")
    };
    assert_eq!(kept(generation, &job), Some(vec![Reason::ProtectedPath]));
}

#[test]
fn a_user_removes_only_their_own_links() {
    let job = rules(vec![rule(30)]);
    let mut snapshot = world(vec![link("a")]);
    for (actor, removes) in [(1000, true), (1001, false)] {
        snapshot.actor = Actor::User(actor);
        let plan = plan_of(&snapshot, &job);
        assert_eq!(plan.removals().count() == 1, removes, "{actor}");
    }
}

#[test]
fn a_link_that_was_not_looked_at_is_kept() {
    let mut snapshot = world(vec![link("a")]);
    snapshot.uses.clear();
    let plan = plan_of(&snapshot, &rules(vec![rule(30)]));
    let reasons = reasons_of(&plan.items[0]);
    assert!(matches!(reasons.as_slice(), [Reason::UseUnknown(_)]));
}

#[test]
fn generations_that_keep_rules_decide_about_are_left_to_them() {
    let mut job = rules(vec![rule(30)]);
    let profile = profile(
        "/home/alice/p/.direnv/flake-profile",
        ProfileKind::Other,
        1000,
        2,
    );
    let generation = GcRoot {
        link: profile.path.link(GenerationNumber(1)),
        kind: RootKind::Direnv,
        ..link("a")
    };
    let mut snapshot = world(vec![generation]);
    let selector = ProfileSelector::Path(profile.path.clone());
    snapshot.profiles = vec![profile];
    let links = |job: &Job| {
        let plan = plan_of(&snapshot, job);
        let links = plan.items.iter();
        links
            .filter(|item| matches!(item.subject, Subject::RootLink { .. }))
            .count()
    };
    assert_eq!(links(&job), 1);
    job.operations.generations.as_mut().unwrap().profiles = vec![selector];
    assert_eq!(links(&job), 0);
    job.operations.generations = None;
    assert_eq!(links(&job), 1);
}

#[test]
fn the_latest_of_a_directory_are_kept_by_time_and_name() {
    let rule = RootRule {
        keep_latest: Some(2),
        ..RootRule::default()
    };
    let made = |name: &str, at: &str| GcRoot {
        link: format!("/home/alice/src/p/{name}").into(),
        made_at: Some(time(at)),
        ..link(name)
    };
    let roots = vec![
        made("result-a", "2026-01-03T00:00:00Z"),
        made("result-b", "2026-01-01T00:00:00Z"),
        made("result-c", "2026-01-02T00:00:00Z"),
        made("result-d", "2026-01-02T00:00:00Z"),
        GcRoot {
            kind: RootKind::Other,
            ..made("e", OLD)
        },
        link("elsewhere"),
    ];
    let plan = plan_of(&world(roots), &rules(vec![rule]));
    let removed = plan
        .removals()
        .filter_map(|it| it.action.removed_root_link());
    let removed: Vec<&str> = removed.filter_map(|it| it.link.file_name()).collect();
    assert_eq!(removed, ["result-b", "result-c"]);
}

fn facts_of(plan: &Plan) -> RootLinkFacts {
    let mut links = plan
        .removals()
        .filter_map(|it| it.action.removed_root_link());
    links.next().unwrap().clone()
}

#[rstest]
#[case::unchanged(|_: &mut Snapshot| {}, None)]
#[case::gone(|it: &mut Snapshot| it.roots.clear(), Some("is no longer a root"))]
#[case::dangling(
    |it: &mut Snapshot| it.roots[0].state = RootState::Dangling(Dangling::LinkGone),
    Some("is no longer a root")
)]
#[case::another_time(
    |it: &mut Snapshot| it.roots[0].made_at = Some(time("2026-01-02T00:00:00Z")),
    Some("has changed since the plan")
)]
#[case::another_owner(
    |it: &mut Snapshot| it.roots[0].owner = Some(owner(1001)),
    Some("has changed since the plan")
)]
#[case::another_target(
    |it: &mut Snapshot| it.roots[0] = GcRoot { link: it.roots[0].link.clone(), entry: it.roots[0].entry.clone(), ..link("b") },
    Some("has changed since the plan")
)]
#[case::in_use(
    |it: &mut Snapshot| _ = it.uses.insert(it.roots[0].link.clone(), LinkUse::Process(1)),
    Some("no rule removes")
)]
fn a_removal_is_checked_again(#[case] change: fn(&mut Snapshot), #[case] refused: Option<&str>) {
    let job = rules(vec![rule(30)]);
    let mut snapshot = world(vec![link("a")]);
    let action = Action::RemoveRootLink(facts_of(&plan_of(&snapshot, &job)));
    change(&mut snapshot);
    let checked = action
        .operation()
        .recheck(&snapshot, Some(&unrestricted(&job)));
    match refused {
        None => checked.unwrap(),
        Some(words) => assert!(checked.as_ref().unwrap_err().contains(words), "{checked:?}"),
    }
    assert!(action.operation().recheck(&snapshot, None).is_err());
}

#[test]
fn one_run_removes_a_bounded_number_of_links() {
    use nix_prune::operations::generations::MAX_REMOVALS;
    let roots = (0..MAX_REMOVALS + 2).map(|n| link(&n.to_string()));
    let plan = plan_of(&world(roots.collect()), &rules(vec![rule(30)]));
    assert_eq!(plan.removals().count(), MAX_REMOVALS);
    let later = plan
        .items
        .iter()
        .filter(|it| reasons_of(it) == [Reason::LaterRun]);
    assert_eq!(later.count(), 2);
}
