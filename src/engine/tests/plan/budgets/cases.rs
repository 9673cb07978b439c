//! Budgets case by case: what is written down, what is left out and why, and the second look.

use nix_prune::domain::analysis::{StoreAnalysis, StoreData};
use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags};
use nix_prune::domain::plan::{EarlyFacts, HoldFacts};
use nix_prune::engine::Recent;
use rstest::rstest;

use super::super::*;
use super::{BudgetContext, DiskUsage, Infallible, NodeSet, ReleaseHolds, World, goal, taken};
use crate::support::{actions, recheck, unrestricted};
use nix_prune::domain::budget::{Contradiction, Quantity, SizeMetric};
use nix_prune::domain::receipt::RunId;

const SIZE: u64 = 100;

/// A store in which every generation and every hold keeps one path of its own, and one path is dead.
fn world(profiles: Vec<Profile>, holds: Vec<Hold>) -> World {
    let mut snapshot = snapshot(profiles);
    snapshot.holds = holds;
    let mut kept = Vec::new();
    for profile in &snapshot.profiles {
        for generation in profile.generations.values() {
            let path = generation.content.store_path().unwrap().clone();
            kept.push((profile.path.link(generation.number), path));
        }
    }
    let holds = snapshot.holds.iter();
    kept.extend(holds.map(|hold| (hold.link.clone(), hold.store_path.clone())));
    let mut builder = GraphBuilder::new();
    builder.add_path(0, &path_of("dead", 1).to_string(), SIZE, 0, None);
    for (id, (_, path)) in (1..).zip(&kept) {
        builder.add_path(id, &path.to_string(), SIZE, id, None);
    }
    let root = |(link, path): (Utf8PathBuf, StorePath<String>)| GcRoot {
        link,
        entry: None,
        store_path: Some(path),
        state: RootState::Live,
        ..root("any")
    };
    let inspection = StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: builder.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots: kept.into_iter().map(root).collect(),
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: None,
        notes: Vec::new(),
    });
    World::from_parts(snapshot, inspection, job())
}

fn of_alice(hold: Hold) -> Hold {
    let Held::Generation { number, .. } = hold.held else {
        return hold;
    };
    Hold {
        held: held(ALICE, number.0),
        ..hold
    }
}

/// Two expired holds and two open ones of Alice, and two generations of hers that no rule keeps.
fn full() -> World {
    let holds = [
        hold(1, "2026-11-20T00:00:00Z"),
        hold(2, "2026-11-21T00:00:00Z"),
        hold(3, "2026-11-24T00:00:00Z"),
        hold(4, "2026-11-25T00:00:00Z"),
    ];
    world(vec![alice()], holds.map(of_alice).to_vec())
}

fn removals(plan: &Plan) -> Vec<String> {
    let mut steps = steps(plan);
    steps.retain(|step| !["collect", "optimise", "verify true"].contains(&step.as_str()));
    steps
}

#[rstest]
#[case::a_part_of_the_dead(1, &[], 0)]
#[case::all_that_is_dead(SIZE, &[], 0)]
#[case::an_expired_hold(SIZE + 1, &["release 1"], 0)]
#[case::both(3 * SIZE, &["release 1", "release 2"], 0)]
#[case::what_is_held_will_do(3 * SIZE + 1, &["release 1", "release 2"], 1)]
#[case::that_too(5 * SIZE, &["release 1", "release 2"], 2 * SIZE)]
#[case::a_generation_for_later(5 * SIZE + 1, &["drop profile:1", "release 1", "release 2"], 2 * SIZE + 1)]
#[case::both_generations(7 * SIZE, &["drop profile:1", "drop profile:2", "release 1", "release 2"], 4 * SIZE)]
#[case::more_than_there_is(8 * SIZE, &["drop profile:1", "drop profile:2", "release 1", "release 2"], 5 * SIZE)]
fn who_may_wait_takes_one_step_after_the_other(
    #[case] to_free: u64,
    #[case] expected: &[&str],
    #[case] missing: u64,
) {
    let plan = full().within(&job(), to_free, ReleaseHolds::Never);
    assert_eq!(removals(&plan), expected);
    let report = plan.budget.unwrap();
    assert_eq!(report.missing, Quantity(missing));
    // As much as is dead is collected wholly, less of it by name.
    assert_eq!(
        report.collect_at_least,
        (to_free < SIZE).then_some(Quantity(to_free))
    );
}

#[rstest]
#[case::holds_first(3 * SIZE + 1, &["release 1", "release 2", "release early 3"])]
#[case::all_holds(5 * SIZE, &["release 1", "release 2", "release early 3", "release early 4"])]
#[case::then_a_generation(5 * SIZE + 1, &["drop profile:1", "release 1", "release 2", "release early 3", "release early 4"])]
fn who_needs_it_now_ends_windows_before_it_drops_for_good(
    #[case] to_free: u64,
    #[case] expected: &[&str],
) {
    let plan = full().within(&job(), to_free, ReleaseHolds::IfNeeded);
    assert_eq!(removals(&plan), expected);
    assert_eq!(plan.budget.as_ref().unwrap().missing, Quantity(0));
    let for_good = taken(&plan).into_iter().all(|(_, for_good)| for_good);
    assert!(for_good, "what must go now cannot be held");
    let all = actions(&plan);
    let early = all
        .iter()
        .filter(|a| matches!(a.action, Action::ReleaseEarly(_)));
    assert!(early.clone().count() > 0 && early.clone().all(|a| a.risk == RiskLevel::High));
    // What frees comes before what collects.
    let last = all
        .iter()
        .rposition(|a| matches!(a.action, Action::ReleaseEarly(_)));
    assert!(last < all.iter().position(|a| a.action.collection().is_some()));
}

/// The plan for a goal on a file system that gives nothing back.
fn where_nothing_frees(mode: ReleaseHolds) -> Plan {
    let world = full();
    let context = BudgetContext {
        inspection: &world.inspection,
        disk_usage: DiskUsage::default(),
        to_free: Quantity(100 * SIZE),
        recent: None,
        contradiction: None,
    };
    let weigh = |_: &NodeSet| -> Result<Quantity, Infallible> { Ok(Quantity(0)) };
    Plan::build_for_budget(
        &world.snapshot,
        &unrestricted(&job()),
        goal(mode),
        context,
        weigh,
    )
    .unwrap()
}

#[test]
fn what_frees_nothing_on_disk_stays() {
    for mode in [ReleaseHolds::Never, ReleaseHolds::IfNeeded] {
        let plan = where_nothing_frees(mode);
        assert_eq!(removals(&plan), [""; 0]);
        assert_eq!(
            plan.budget.unwrap().free_nothing,
            if mode == ReleaseHolds::Never { 4 } else { 6 }
        );
    }
}

#[test]
fn after_a_contradiction_nothing_is_removed_without_a_hold() {
    let contradiction = Contradiction {
        run: RunId::at(time("2026-11-21T00:00:00Z"), 1),
        at: time("2026-11-21T00:00:00Z"),
        metric: SizeMetric::OnDisk,
        predicted: Quantity(1 << 30),
        measured: 0,
    };
    let world = full();
    let plan = |job: &Job, mode| {
        let context = BudgetContext {
            inspection: &world.inspection,
            disk_usage: DiskUsage::default(),
            to_free: Quantity(100 * SIZE),
            recent: None,
            contradiction: Some(&contradiction),
        };
        let weigh = |dead: &NodeSet| -> Result<Quantity, Infallible> {
            Ok(Quantity(world.inspection.graph().nar_size(dead).0))
        };
        Plan::build_for_budget(
            &world.snapshot,
            &unrestricted(job),
            goal(mode),
            context,
            weigh,
        )
        .unwrap()
    };
    for mode in [ReleaseHolds::Never, ReleaseHolds::IfNeeded] {
        let plan = plan(&job(), mode);
        assert!(
            taken(&plan)
                .iter()
                .all(|(link, for_good)| !for_good || link.contains("/holds/"))
        );
        assert_eq!(
            removals(&plan),
            ["drop profile:1", "drop profile:2", "release 1", "release 2"]
        );
        let report = plan.budget.unwrap();
        assert_eq!(
            (report.reached_at, report.contradiction),
            (None, Some(contradiction.clone()))
        );
    }
    // Without an undo window there is no hold.
    let job = Job {
        undo_window: Span::ZERO,
        ..job()
    };
    assert_eq!(
        removals(&plan(&job, ReleaseHolds::Never)),
        ["release 1", "release 2"]
    );
}

#[test]
fn the_report_says_what_is_free_when() {
    let report = full()
        .within(&job(), 6 * SIZE, ReleaseHolds::Never)
        .budget
        .unwrap();
    let later: Vec<(String, u64)> = report
        .later
        .iter()
        .map(|l| (l.at.to_string(), l.nar_bytes.0))
        .collect();
    let day = |d: u32| format!("2026-11-{d}T00:00:00Z");
    assert_eq!(
        later,
        [
            (day(24), SIZE),
            (day(25), SIZE),
            ("2026-11-29T12:00:00Z".to_string(), SIZE)
        ]
    );
    assert_eq!(report.reached_at, Some(time("2026-11-29T12:00:00Z")));
    let sooner = full()
        .within(&job(), 4 * SIZE, ReleaseHolds::Never)
        .budget
        .unwrap();
    assert_eq!(sooner.reached_at, Some(time(&day(24))));
    let never = full()
        .within(&job(), 9 * SIZE, ReleaseHolds::Never)
        .budget
        .unwrap();
    assert_eq!(never.reached_at, None);
    let kept: Vec<&str> = never
        .kept_by
        .iter()
        .map(|kept| kept.root.as_str())
        .collect();
    assert_eq!(kept, [format!("{ALICE}-3-link"), format!("{ALICE}-4-link")]);
}

#[rstest]
#[case::a_users(ALICE, false, RiskLevel::High, 1)]
#[case::a_systems_under_the_safe_mode(SYSTEM, true, RiskLevel::Critical, 0)]
#[case::a_systems(SYSTEM, false, RiskLevel::Critical, 1)]
#[case::of_a_profile_that_is_gone("/nix/var/nix/profiles/gone", false, RiskLevel::Critical, 1)]
#[case::of_a_profile_that_is_gone_under_the_safe_mode(
    "/nix/var/nix/profiles/gone",
    true,
    RiskLevel::Critical,
    0
)]
fn an_open_window_ends_only_within_what_the_job_may_risk(
    #[case] profile: &str,
    #[case] safe_mode: bool,
    #[case] risk: RiskLevel,
    #[case] ends: usize,
) {
    let open = Hold {
        held: held(profile, 9),
        ..hold(9, "2026-11-24T00:00:00Z")
    };
    let world = world(vec![alice(), system()], vec![open]);
    let mut job = job();
    job.operations.generations = None;
    job.safe_mode = safe_mode;
    job.max_risk = if safe_mode {
        RiskLevel::High
    } else {
        RiskLevel::Critical
    };
    let plan = world.within(&job, 2 * SIZE, ReleaseHolds::IfNeeded);
    let early: Vec<_> = plan
        .actions()
        .filter(|a| matches!(a.action, Action::ReleaseEarly(_)))
        .collect();
    assert_eq!(early.len(), ends);
    assert!(early.iter().all(|planned| planned.risk == risk));
    let report = plan.budget.unwrap();
    assert_eq!(report.too_risky.len(), 1 - ends);
    assert!(
        report
            .too_risky
            .iter()
            .all(|left| left.risk == risk && left.steps == 1)
    );
}

#[test]
fn what_is_pinned_or_protected_is_not_ended_early() {
    let job = job();
    for way in 0..3 {
        let mut world = full();
        let mut job = job.clone();
        match way {
            0 => world.snapshot.pins.push(nix_prune::domain::snapshot::Pin {
                profile: profile_path(ALICE),
                number: GenerationNumber(3),
                reason: None,
                until: None,
            }),
            1 => std::sync::Arc::make_mut(&mut job.protect).generations.push(
                nix_prune::domain::job::ProtectedGeneration {
                    profile: nix_prune::domain::job::ProfileRef::Name("profile".to_string()),
                    number: GenerationNumber(3),
                    reason: None,
                },
            ),
            _ => {
                let patterns = ["/var/lib/nix-prune/holds/3"];
                std::sync::Arc::make_mut(&mut job.protect).roots =
                    nix_prune::domain::job::PathPatterns::new(patterns).unwrap();
            }
        }
        let plan = world.within(&job, 4 * SIZE, ReleaseHolds::IfNeeded);
        let expected = ["release 1", "release 2", "release early 4"];
        assert_eq!(removals(&plan), expected, "{way}");
        let facts = early(&world.snapshot.holds[2], false);
        assert!(
            recheck(&facts, &world.snapshot, Some(&unrestricted(&job))).is_err(),
            "{way}"
        );
    }
}

/// A hold is nix-prune's own: the critical paths, which hold most roots, keep none from ending for a budget.
#[test]
fn protected_paths_keep_no_hold() {
    let vanished = Hold {
        held: Held::Root {
            root: "/nix/var/nix/gcroots/ci/result".into(),
        },
        ..hold(9, "2026-11-24T00:00:00Z")
    };
    let world = world(vec![alice()], vec![vanished]);
    let mut job = job();
    job.operations.generations = None;
    job.max_risk = RiskLevel::Critical;
    job.safe_mode = false;
    std::sync::Arc::make_mut(&mut job.protect).paths =
        nix_prune::domain::protected::ProtectedPaths::new(vec!["/nix/var".into()]);
    let plan = world.within(&job, 2 * SIZE, ReleaseHolds::IfNeeded);
    assert_eq!(
        removals(&plan),
        ["release early /nix/var/nix/gcroots/ci/result"]
    );
    let facts = early(&world.snapshot.holds[0], false);
    assert!(recheck(&facts, &world.snapshot, Some(&unrestricted(&job))).is_ok());
}

#[test]
fn without_a_collection_nothing_goes_for_good() {
    let mut job = job();
    job.operations.collect = None;
    let plan = full().within(&job, 6 * SIZE, ReleaseHolds::IfNeeded);
    assert_eq!(
        removals(&plan),
        ["drop profile:1", "release 1", "release 2"]
    );
    let mut world = full();
    world.snapshot.blockers.push(Blocker {
        code: CheckCode::RootsUnreadable,
        message: String::new(),
        hint: String::new(),
        places: Vec::new(),
        reason: None,
    });
    let plan = world.within(&super::super::job(), 6 * SIZE, ReleaseHolds::IfNeeded);
    assert_eq!(
        removals(&plan),
        ["drop profile:1", "release 1", "release 2"]
    );
}

#[test]
fn what_is_too_young_to_go_is_waited_for() {
    let mut world = full();
    // The paths of all holds.
    let until = time("2026-11-24T12:00:00Z");
    world.recent = Some(Recent { since: 5, until });
    let plan = world.within(&job(), 2 * SIZE, ReleaseHolds::IfNeeded);
    let report = plan.budget.as_ref().unwrap();
    assert_eq!(report.frees, Quantity(2 * SIZE));
    assert_eq!(
        removals(&plan),
        ["drop profile:1"],
        "the end of a hold would free nothing"
    );
    let plan = world.within(&job(), 3 * SIZE, ReleaseHolds::Never);
    assert!(
        removals(&plan).is_empty(),
        "what has ended is enough in time"
    );
    let report = world
        .within(&job(), 3 * SIZE, ReleaseHolds::Never)
        .budget
        .unwrap();
    assert_eq!(report.frees, Quantity(SIZE));
    assert_eq!(report.reached_at, Some(until));
}

#[test]
fn generations_of_all_profiles_go_from_the_oldest() {
    let mut older = alice();
    for generation in older.generations.values_mut() {
        generation.created = generation.created.before("12h".parse().unwrap());
    }
    let world = world(vec![system(), older], Vec::new());
    for (count, expected) in (1..).zip([
        vec!["drop profile:1"],
        vec!["drop profile:1", "drop system:1"],
        vec!["drop profile:1", "drop profile:2", "drop system:1"],
    ]) {
        let plan = world.within(&job(), (1 + count) * SIZE, ReleaseHolds::Never);
        assert_eq!(removals(&plan), expected);
    }
}

fn early(hold: &Hold, system: bool) -> Action {
    Action::ReleaseEarly(EarlyFacts {
        hold: HoldFacts::from(hold),
        system,
    })
}

#[test]
fn the_second_look_sees_that_a_hold_is_still_what_it_was() {
    let snapshot = full().snapshot;
    let open = &snapshot.holds[2];
    assert_eq!(recheck(&early(open, false), &snapshot, None), Ok(()));
    let gone = Hold {
        link: Utf8PathBuf::from("/elsewhere"),
        ..open.clone()
    };
    assert!(recheck(&early(&gone, false), &snapshot, None).is_err());
    // What was planned as a user's must not be a system's.
    let of_system = Hold {
        held: held(SYSTEM, 9),
        ..open.clone()
    };
    let mut other = super::super::snapshot(vec![system()]);
    other.holds = vec![of_system.clone()];
    assert!(recheck(&early(&of_system, false), &other, None).is_err());
    assert_eq!(recheck(&early(&of_system, true), &other, None), Ok(()));
    // A hold whose window is open is not simply released.
    let plain = Action::ReleaseHold(HoldFacts::from(open));
    assert!(recheck(&plain, &snapshot, None).is_err());
}
