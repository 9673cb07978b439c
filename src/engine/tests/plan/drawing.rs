//! Plans of generations and holds, risk, failed checks and the order of things.

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::job::{ProfileRef, ProfileSelector, ProtectedGeneration};
use nix_prune::domain::plan::{Action, Item, RemovalRule, Subject};
use nix_prune::domain::snapshot::Pin;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::support::{actions, plan_of};

#[test]
fn generations_come_first_and_the_store_last() {
    let mut snapshot = snapshot(vec![system(), alice()]);
    snapshot.roots = vec![root("b"), root("a")];
    snapshot.holds = vec![hold(2, NOW), hold(1, "2026-11-20T00:00:00Z")];
    let plan = plan_of(&snapshot, &job());
    let expected = [
        "drop profile:1",
        "drop profile:2",
        "drop system:1",
        "drop system:2",
        "remove a",
        "remove b",
        "release 1",
        "release 2",
        "collect",
        "optimise",
        "verify true",
    ];
    assert_eq!(steps(&plan), expected);
    assert_eq!(plan.items.len(), 4 + 4 + 2 + 2);
    assert_eq!(plan.risk(), Some(RiskLevel::High));
    assert!(plan.failed_checks.is_empty() && plan.notes.is_empty() && !plan.skips_collection);
}

#[test]
fn an_empty_snapshot_and_an_idle_job_make_an_empty_plan() {
    let mut idle = job();
    idle.operations = Operations {
        generations: idle.operations.generations,
        roots: idle.operations.roots,
        ..Operations::default()
    };
    let plan = plan_of(&snapshot(Vec::new()), &idle);
    assert!(plan.items.is_empty() && plan.is_empty());
    assert_eq!(plan.risk(), None);
    idle.operations = Operations::default();
    let mut full = snapshot(vec![system(), alice()]);
    full.roots = vec![root("a")];
    let plan = plan_of(&full, &idle);
    assert!(plan.items.is_empty() && plan.is_empty());
}

#[test]
fn an_action_carries_the_facts_it_relies_on() {
    let snapshot = snapshot(vec![alice()]);
    let plan = plan_of(&snapshot, &job());
    let facts = plan.removed_generations().next().unwrap();
    let generation = &snapshot.profiles[0].generations[&GenerationNumber(1)];
    assert_eq!(facts.profile, profile_path(ALICE));
    assert_eq!(facts.profile_kind, ProfileKind::User);
    assert_eq!(facts.owner, owner(1000));
    assert_eq!(facts.number, GenerationNumber(1));
    assert_eq!(facts.target, generation.target);
    assert_eq!(Some(&facts.store_path), generation.content.on_disk());
    assert_eq!(facts.created, generation.created);
    assert_eq!(facts.current, GenerationNumber(4));
    assert_eq!(facts.hold, Span::days(7));
}

#[rstest]
#[case(CheckCode::ProfileUnreadable, false)]
#[case(CheckCode::CurrentUnknown, false)]
#[case(CheckCode::ProfileAbsent, false)]
#[case(CheckCode::OddName, false)]
#[case(CheckCode::RootsUnreadable, true)]
#[case(CheckCode::PinsUnreadable, false)]
#[case(CheckCode::Unrooted, true)]
#[case(CheckCode::JournalUnreadable, true)]
#[case(CheckCode::UsersUnreadable, true)]
fn a_refusal_takes_the_collection_out_and_is_named(#[case] code: CheckCode, #[case] stops: bool) {
    let blocker = |code, message: &str| Blocker {
        code,
        message: message.to_string(),
        hint: "look".to_string(),
        places: Vec::new(),
        reason: None,
    };
    let mut snapshot = snapshot(vec![alice()]);
    let (first, second) = (blocker(code, "a"), blocker(code, "b"));
    snapshot.blockers = vec![second.clone(), first.clone(), second.clone()];
    let plan = plan_of(&snapshot, &job());
    assert_eq!(!steps(&plan).contains(&"collect".to_string()), stops);
    assert_eq!(plan.skips_collection, stops);
    assert_eq!(plan.failed_checks, [first, second]);
    // What was never asked for was not refused either.
    let mut job = job();
    job.operations.collect = None;
    assert!(!plan_of(&snapshot, &job).skips_collection);
}

#[test]
fn an_accepted_refusal_stops_nothing_is_named_and_lets_no_other_pass() {
    let blocker = |code: CheckCode| Blocker {
        code,
        message: format!("{code} stands"),
        hint: "look".to_string(),
        places: Vec::new(),
        reason: None,
    };
    let collects = |plan: &Plan| steps(plan).contains(&"collect".to_string());
    for code in CheckCode::acceptable().filter(|code| code.stops_collection()) {
        let mut snapshot = snapshot(vec![alice()]);
        snapshot.blockers = vec![blocker(code)];
        let accepting = |accept: &[CheckCode]| Job {
            accept: accept.iter().copied().collect(),
            ..job()
        };
        let plan = plan_of(&snapshot, &accepting(&[code]));
        assert!(collects(&plan) && !plan.skips_collection, "{code}");
        assert_eq!(plan.failed_checks, []);
        assert_eq!(plan.accepted_checks, [blocker(code)]);
        for other in CheckCode::acceptable().filter(|other| *other != code) {
            let plan = plan_of(&snapshot, &accepting(&[other]));
            assert_eq!(plan.accepted_checks, [], "{other}");
            assert_eq!(plan.failed_checks, [blocker(code)]);
            assert!(!collects(&plan), "{other} let {code} pass");
        }
        // What is let pass takes no generation that stayed because of it.
        assert_eq!(gone(&plan, ALICE), gone(&plan_of(&snapshot, &job()), ALICE));
    }
}

#[rstest]
#[case::user(ALICE, ProfileKind::User, "7d", RiskLevel::Medium)]
#[case::user_for_good(ALICE, ProfileKind::User, "0s", RiskLevel::High)]
#[case::home("/p/home-manager", ProfileKind::HomeManager, "7d", RiskLevel::Medium)]
#[case::system(SYSTEM, ProfileKind::System, "7d", RiskLevel::High)]
#[case::system_for_good(SYSTEM, ProfileKind::System, "0s", RiskLevel::Critical)]
#[case::named("/p/gaming", ProfileKind::NamedSystem, "7d", RiskLevel::High)]
fn risk_follows_from_the_circumstances(
    #[case] path: &str,
    #[case] kind: ProfileKind,
    #[case] window: &str,
    #[case] risk: RiskLevel,
) {
    let mut job = job();
    job.undo_window = window.parse().unwrap();
    let plan = plan_of(&snapshot(vec![profile(path, kind, 0, 4)]), &job);
    assert_eq!(gone(&plan, path), [1, 2]);
    assert_eq!(plan.risk(), Some(risk));
    let rule = RemovalRule::NoRuleKeepsIt;
    assert!(plan.removals().all(|r| (r.rule, r.risk) == (rule, risk)));
    assert!(actions(&plan).iter().take(2).all(|a| a.risk == risk));
}

/// How generations 4 (current), 3 and 2 look, which all stay: `b`ootable, on `d`isk only, or `m`issing. 1 looks
/// bootable if any does, and goes.
#[rstest]
#[case("bbb", RiskLevel::High)]
#[case("bbm", RiskLevel::High)]
#[case("mbb", RiskLevel::High)]
#[case("dbb", RiskLevel::High)]
#[case("dbd", RiskLevel::Critical)]
#[case("dbm", RiskLevel::Critical)]
#[case("mbd", RiskLevel::Critical)]
// Nothing looks bootable, in a container for instance: then being there has to do.
#[case("ddd", RiskLevel::High)]
#[case("mdd", RiskLevel::High)]
#[case("mdm", RiskLevel::Critical)]
fn fewer_than_two_to_boot_from_is_critical(#[case] looks: &str, #[case] risk: RiskLevel) {
    let first = if looks.contains('b') { "b" } else { "d" };
    let mut system = system();
    for (n, look) in (1..).zip(first.chars().chain(looks.chars().rev())) {
        let path = path_of("system", n);
        system
            .generations
            .get_mut(&GenerationNumber(n))
            .unwrap()
            .content = match look {
            'b' => Content::Bootable(path),
            'd' => Content::Present(path),
            _ => Content::Missing(path),
        };
    }
    let mut snapshot = snapshot(vec![system]);
    snapshot.pins = [2, 3]
        .map(|n| Pin {
            profile: profile_path(SYSTEM),
            number: GenerationNumber(n),
            reason: None,
            until: None,
        })
        .to_vec();
    let plan = plan_of(&snapshot, &with_last(1));
    assert_eq!(gone(&plan, SYSTEM), [1]);
    assert_eq!(actions(&plan)[0].risk, risk);
}

fn with_last(last: u16) -> Job {
    let mut job = job();
    let last = Some(last);
    let keep = KeepPolicy::new(KeepRules {
        last,
        ..KeepRules::default()
    });
    job.operations.generations.as_mut().unwrap().keep = keep.unwrap();
    job
}

#[test]
fn what_is_not_selected_or_not_ours_stays_and_says_so() {
    let other = profile("/srv/profile", ProfileKind::Other, 1000, 4);
    let mut snapshot = snapshot(vec![other, system(), alice()]);
    snapshot.actor = Actor::User(1000);
    let mut job = job();
    let plan = plan_of(&snapshot, &job);
    assert_eq!(gone(&plan, ALICE), [1, 2]);
    assert_eq!(reasons(&plan, SYSTEM, 1), [Reason::OtherOwner]);
    assert_eq!(reasons(&plan, "/srv/profile", 1), [Reason::NotSelected]);
    let profiles = &mut job.operations.generations.as_mut().unwrap().profiles;
    profiles.push(ProfileSelector::Path(profile_path("/srv/profile")));
    assert_eq!(gone(&plan_of(&snapshot, &job), "/srv/profile"), [1, 2]);
    snapshot.actor = Actor::User(1001);
    let plan = plan_of(&snapshot, &job);
    assert_eq!(reasons(&plan, ALICE, 1), [Reason::OtherOwner]);
    assert!(gone(&plan, "/srv/profile").is_empty());
}

#[test]
fn trap_12_a_profile_without_a_known_current_one_is_left_alone() {
    let (mut unknown, mut blocked) = (system(), alice());
    unknown.current = Current::Known(GenerationNumber(9));
    blocked.blocked = Some("its directory is writable by others".to_string());
    let plan = plan_of(&snapshot(vec![unknown, blocked]), &job());
    assert_eq!(steps(&plan), ["collect", "optimise", "verify true"]);
    assert!(matches!(
        reasons(&plan, SYSTEM, 1)[..],
        [Reason::CurrentUnknown(_)]
    ));
    assert!(matches!(reasons(&plan, ALICE, 1)[..], [Reason::Blocked(_)]));
}

#[rstest]
#[case::by_name(ProfileRef::Name("system".to_string()), &[])]
#[case::by_path(ProfileRef::Path(profile_path(SYSTEM)), &[])]
#[case::of_another(ProfileRef::Name("profile".to_string()), &[1])]
#[case::with_a_slip(ProfileRef::Name("sytem".to_string()), &[1])]
fn the_settings_pin_by_name_and_by_path(#[case] profile: ProfileRef, #[case] goes: &[u32]) {
    let mut job = job();
    let found = profile.names(&profile_path(SYSTEM));
    std::sync::Arc::make_mut(&mut job.protect)
        .generations
        .push(ProtectedGeneration {
            profile,
            number: GenerationNumber(1),
            reason: Some("last good kernel".to_string()),
        });
    let plan = plan_of(
        &snapshot(vec![super::profile(SYSTEM, ProfileKind::System, 0, 3)]),
        &job,
    );
    assert_eq!(gone(&plan, SYSTEM), goes);
    // A pin that protects nothing is told.
    assert_eq!(plan.notes.is_empty(), found, "{:?}", plan.notes);
    if found {
        let pinned = Reason::Pinned {
            reason: Some("last good kernel".to_string()),
            until: None,
        };
        assert_eq!(reasons(&plan, SYSTEM, 1), [pinned]);
    }
}

#[test]
fn a_recorded_pin_counts_for_its_own_profile_only() {
    let mut snapshot = snapshot(vec![system(), alice()]);
    snapshot.pins.push(Pin {
        profile: profile_path(ALICE),
        number: GenerationNumber(1),
        reason: None,
        until: None,
    });
    let plan = plan_of(&snapshot, &job());
    assert_eq!(gone(&plan, SYSTEM), [1, 2]);
    assert_eq!(gone(&plan, ALICE), [2]);
}

#[rstest]
#[case("2026-11-22T11:59:59.999999999Z", true)]
#[case(NOW, true)]
#[case("2026-11-22T12:00:00.000000001Z", false)]
fn a_hold_is_released_when_its_window_ends(#[case] until: &str, #[case] released: bool) {
    let mut snapshot = snapshot(Vec::new());
    snapshot.holds.push(hold(1, until));
    let plan = plan_of(&snapshot, &job());
    assert_eq!(steps(&plan).contains(&"release 1".to_string()), released);
    let [item] = plan.items.as_slice() else {
        panic!("{:?}", plan.items);
    };
    let removal = item.removal().map(|removal| (removal.rule, removal.risk));
    let ended = (RemovalRule::WindowEnded, RiskLevel::Low);
    assert_eq!(removal, released.then_some(ended));
    let reasons: Vec<&Reason> = item.decision.reasons().collect();
    assert_eq!(reasons.is_empty(), released);
    assert!(reasons.iter().all(|reason| **reason == Reason::WindowOpen));
}

/// Where an item stands among the others: generations, roots, holds, each by what it is.
fn rank(item: &Item) -> (u8, String, u32) {
    match &item.subject {
        Subject::Generation {
            profile, number, ..
        } => (0, profile.to_string(), number.0),
        Subject::Root { link, .. } | Subject::RootLink { link, .. } => (1, link.to_string(), 0),
        Subject::Hold { until, link, .. } => (2, format!("{until} {link}"), 0),
        Subject::Leftovers { dir, .. } => (3, dir.to_string(), 0),
    }
}

proptest! {
    #[test]
    fn the_order_of_the_snapshot_does_not_matter(
        profiles in Just(vec![system(), alice(), profile("/p/a", ProfileKind::User, 0, 3)]).prop_shuffle(),
        roots in Just(["d", "a", "c", "b"].map(root).to_vec()).prop_shuffle(),
        holds in Just(vec![hold(1, NOW), hold(2, NOW), hold(3, "2027-01-01T00:00:00Z")]).prop_shuffle(),
    ) {
        let mut mixed = snapshot(profiles);
        mixed.roots = roots;
        mixed.holds = holds;
        let plan = plan_of(&mixed, &job());
        prop_assert!(plan.items.iter().map(rank).is_sorted());
        let mut sorted = mixed.clone();
        sorted.profiles.sort_by(|a, b| a.path.cmp(&b.path));
        sorted.roots.sort_by(|a, b| a.link.cmp(&b.link));
        sorted.holds.sort_by(|a, b| a.link.cmp(&b.link));
        let other = plan_of(&sorted, &job());
        prop_assert_eq!(actions(&plan), actions(&other));
        prop_assert_eq!(plan.items, other.items);
    }
}

/// A profile with more generations than one run may remove.
fn flooded(path: &str, uid: u32, count: u32) -> Profile {
    let mut profile = alice();
    profile.path = profile_path(path);
    profile.owner = owner(uid);
    let like = profile.generations[&GenerationNumber(1)].clone();
    profile.generations = (1..=count)
        .map(|n| {
            let mut generation = like.clone();
            generation.number = GenerationNumber(n);
            (generation.number, generation)
        })
        .collect();
    profile.current = nix_prune::domain::profile::Current::Known(GenerationNumber(count));
    profile
}

#[test]
fn one_run_removes_a_bounded_number_of_generations_and_root_comes_first() {
    use nix_prune::operations::generations::{MAX_REMOVALS, MAX_REMOVALS_OF_A_USER};
    let removed = |plan: &Plan, uid: u32| {
        let of = |planned: &&nix_prune::domain::plan::PlannedAction| matches!(&planned.action, Action::RemoveGeneration(facts) if facts.owner.uid == uid);
        actions(plan).iter().filter(of).count()
    };
    // Two profiles of one user, whose paths come first, one of another, and one of root's.
    let profiles = vec![
        flooded("/a/p", 1000, 400),
        flooded("/b/p", 1000, 400),
        flooded("/c/p", 1001, 400),
        flooded("/d/p", 0, 9_900),
    ];
    let plan = plan_of(&snapshot(profiles), &job());
    assert_eq!(
        actions(&plan).len() - 3,
        MAX_REMOVALS,
        "collect, optimise and verify are beside them"
    );
    let root = removed(&plan, 0);
    assert!(root > 9_800, "{root}");
    assert_eq!(
        removed(&plan, 1000) + removed(&plan, 1001),
        MAX_REMOVALS - root
    );
    // Who has fewer comes first: 102 of the second user are removed beside root's 9,898, and none of the first one.
    let left = |of: &str| plan.notes.iter().any(|note| note.contains(of));
    assert!(
        left("Generations of 1000 left for later runs: 796."),
        "{:?}",
        plan.notes
    );
    assert!(
        left("Generations of 1001 left for later runs: 296."),
        "{:?}",
        plan.notes
    );
    // The oldest go first, and what is left is named.
    let plan = plan_of(&snapshot(vec![flooded("/a/p", 1000, 2_000)]), &job());
    assert_eq!(removed(&plan, 1000), MAX_REMOVALS_OF_A_USER);
    let first = plan.removed_generations().next().unwrap();
    assert_eq!(first.number, GenerationNumber(1));
    // Nor does root remove more of its own than the record of a run has space for.
    let plan = plan_of(&snapshot(vec![flooded("/d/p", 0, 11_000)]), &job());
    assert_eq!(removed(&plan, 0), MAX_REMOVALS);
    // A user's own run is not held to what root grants them.
    let mut own = snapshot(vec![flooded("/a/p", 1000, 2_000)]);
    own.actor = Actor::User(1000);
    assert!(removed(&plan_of(&own, &job()), 1000) > 1_900);
}

#[test]
fn generations_of_another_user_never_need_a_confirmation() {
    use nix_prune::domain::blocker::CheckCode;
    use nix_prune::domain::limits::{Limits, PlanSize, Usual, detect_anomalies};
    let removed = |plan: &Plan, uid: u32| {
        let of = |planned: &&nix_prune::domain::plan::PlannedAction| matches!(&planned.action, Action::RemoveGeneration(facts) if facts.owner.uid == uid);
        actions(plan).iter().filter(of).count()
    };
    let usual = PlanSize {
        generations: 6,
        of_generations: Some(100),
        nar_bytes: Some(nix_prune::domain::measure::Bytes(0)),
    };
    let earlier = [usual; 3];
    let profiles = |own: u32| {
        vec![
            flooded("/a/p", 1000, 400),
            flooded("/b/p", 1001, 12),
            flooded("/c/p", 0, own),
        ]
    };
    // Without what the others have, and the kept ones.
    let of_root = |own: u32| {
        removed(
            &plan_of(&snapshot(vec![flooded("/c/p", 0, own)]), &job()),
            0,
        )
    };
    for generations in [None, Some(22)] {
        let mut job = job();
        job.limits = Limits {
            generations,
            usual: Usual::of(earlier),
            ..Limits::default()
        };
        let plan = plan_of(&snapshot(profiles(12)), &job);
        assert_eq!(
            detect_anomalies(&PlanSize::of(&plan), job.limits, earlier),
            []
        );
        assert_eq!(removed(&plan, 0), of_root(12));
        let (many, few) = (removed(&plan, 1000), removed(&plan, 1001));
        assert!(
            few > 5 && many > 0,
            "the one with few comes first: {few}, {many}"
        );
        assert_eq!(
            many + few + of_root(12),
            usize::try_from(generations.unwrap_or(24)).unwrap()
        );
        assert!(
            plan.notes
                .iter()
                .any(|note| note.contains("need a confirmation")),
            "{:?}",
            plan.notes
        );
        // Root's own still need one, and are not left out.
        let plan = plan_of(&snapshot(profiles(300)), &job);
        assert_eq!(removed(&plan, 0), of_root(300));
        assert!(!detect_anomalies(&PlanSize::of(&plan), job.limits, earlier).is_empty());
        // So do those of a user's own run.
        let mut own = snapshot(vec![flooded("/a/p", 1000, 400)]);
        own.actor = Actor::User(1000);
        let plan = plan_of(&own, &job);
        assert!(removed(&plan, 1000) > 300);
        assert!(!detect_anomalies(&PlanSize::of(&plan), job.limits, earlier).is_empty());
        // An accepted check leaves nothing out.
        job.accept.extend([
            CheckCode::LimitGenerations,
            CheckCode::AnomalyGenerations,
            CheckCode::AnomalyShare,
        ]);
        assert!(removed(&plan_of(&snapshot(profiles(12)), &job), 1000) > 300);
    }
}
