//! Runs and undos: every refusal and every failure.

use nix_prune::domain::blocker::Blocker;
use nix_prune::domain::budget::{Amount, Budget, BudgetReport, DiskGoal, DiskUsage, ReleaseHolds};
use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::policy::Policy;

use super::*;

#[test]
fn a_run_holds_drops_collects_and_is_undone() {
    let world = World::new(9, 9);
    let before = world.links.borrow().clone();
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.numbers(), [7, 8, 9]);
    assert_eq!(receipt.count(Outcome::Done), receipt.entries.len());
    assert_eq!(world.disk.borrow().len(), 9, "what was dropped is held");
    assert_eq!(world.holds.borrow().len(), 6);
    assert_eq!(receipt.bytes.paths, Some(0));

    let undone = world.engine().undo(None, &[]).unwrap();
    assert_eq!(undone.kind, RunKind::Undo(receipt.run.clone()));
    assert_eq!(undone.count(Outcome::Done), 7, "six generations and a root");
    assert_eq!(*world.links.borrow(), before);
    assert!(
        world.holds.borrow().is_empty(),
        "a restored generation needs no hold"
    );
    assert!(matches!(
        world.engine().undo(None, &[]),
        Err(EngineError::NothingToUndo { .. })
    ));
    assert!(matches!(
        world.engine().undo(Some(&receipt.run), &[]),
        Err(EngineError::NothingToUndo { .. })
    ));
}

#[test]
fn an_approved_plan_says_what_it_does() {
    let world = World::new(9, 9);
    let mut plan = plan_of(&world.snapshot().unwrap(), &job(Span::days(7)));
    plan.prediction.paths = Some(7);
    let approved = gate(&plan, RunKind::Run).unwrap();
    assert_eq!(approved.predicted_paths(), Some(7));
    assert_eq!(approved.generations(), 6);
    assert!(approved.collects());
}

#[rstest]
#[case::a_collection(true, None, true)]
#[case::a_goal(false, Some(1), true)]
#[case::neither(false, None, false)]
fn the_store_is_read_for_a_collection_or_a_goal(
    #[case] collects: bool,
    #[case] goal: Option<u64>,
    #[case] needs: bool,
) {
    let world = World::new(9, 9);
    let mut job = job(Span::days(7));
    job.operations.collect = job.operations.collect.filter(|_| collects);
    let mut plan = plan_of(&world.snapshot().unwrap(), &job);
    let goal = goal.map(|bytes| Budget::MinFree(Amount::Bytes(Bytes(bytes))));
    let goal = goal.map(|budget| DiskGoal::new(budget, ReleaseHolds::Never));
    plan.budget = goal.map(|goal| BudgetReport::reached(goal, DiskUsage::default()));
    let approved = gate(&plan, RunKind::Run).unwrap();
    assert_eq!(approved.needs_the_store(), needs);
    assert_eq!(approved.collects(), collects);
}

#[rstest]
#[case::by_name(CollectMethod::Selective, true, Some(1))]
#[case::by_name_without_checks(CollectMethod::Selective, false, Some(0))]
#[case::as_nix_likes(CollectMethod::Auto, true, None)]
fn what_is_accepted_counts_where_garbage_is_collected_by_name_alone(
    #[case] method: CollectMethod,
    #[case] accepts: bool,
    #[case] accepted: Option<usize>,
) {
    let world = World::new(9, 9);
    let mut job = job(Span::days(7));
    job.operations.collect = Some(CollectOperation {
        method,
        ..CollectOperation::default()
    });
    let mut plan = plan_of(&world.snapshot().unwrap(), &job);
    let check = Blocker::new(CheckCode::RootsAway, String::new(), String::new());
    plan.accepted_checks = Some(check).filter(|_| accepts).into_iter().collect();
    let approved = gate(&plan, RunKind::Run).unwrap();
    let by_name = approved.accepted_by_name();
    assert_eq!(by_name.map(|checks| checks.len()), accepted);
}

#[test]
fn a_run_without_a_failure_ends_a_row_of_failures() {
    let world = World::new(9, 9);
    let run = run(&world, &job(Span::days(7))).unwrap();
    let failed = {
        let mut failed = run.clone();
        failed.entries[0].outcome = Outcome::Failed;
        failed
    };
    let runs = [&failed, &failed, &run, &failed];
    let in_a_row = |runs: &[&Receipt]| failed_in_a_row(&world, runs.iter().copied());
    assert_eq!(in_a_row(&runs), 2);
    let stopped = Receipt {
        stopped: true,
        ..run.clone()
    };
    assert_eq!(in_a_row(&[&failed, &stopped, &failed, &run]), 2);
    assert_eq!(in_a_row(&runs[2..]), 0);
    // What was acknowledged does not count, nor what was before it.
    let later = |days: u32| Receipt {
        started_at: failed.started_at.after(Span::days(days)),
        ..failed.clone()
    };
    world.acknowledged_at.set(Some(later(1).started_at));
    assert_eq!(in_a_row(&[&later(2), &later(1), &failed]), 1);
    assert_eq!(in_a_row(&[&later(1), &failed]), 0);
}

#[rstest]
#[case::locked(true, 30, true, 1)]
#[case::each_step_is_slow(true, 20, false, 2)]
#[case::a_slow_machine(true, 3, false, 6)]
#[case::our_own_and_locked(false, 60, true, 1)]
#[case::our_own_and_slow(false, 20, false, 6)]
fn a_user_holds_up_a_run_only_for_so_long(
    #[case] of_another_user: bool,
    #[case] takes: i64,
    #[case] times_out: bool,
    #[case] tried: usize,
) {
    let world = World::new(9, 9);
    world.of_another_user.set(of_another_user);
    world.takes.set(takes);
    world.times_out.set(times_out);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    let skipped: Vec<&str> = receipt
        .entries
        .iter()
        .filter(|entry| entry.outcome == Outcome::Skipped)
        .filter_map(|entry| entry.detail.as_deref())
        .collect();
    assert_eq!(skipped.len(), 6 - tried);
    assert!(
        skipped.iter().all(|why| why.starts_with("skipped: ")),
        "{skipped:?}"
    );
    let dropped = if times_out { 0 } else { tried };
    assert_eq!(world.drops.get(), dropped);
    assert_eq!(
        world.holds.borrow().len(),
        dropped,
        "what stays is not held"
    );
    assert_eq!(world.collections.get(), 1, "the garbage was collected");
    assert!(world.now.get() - NOW <= takes * 6);
}

#[rstest]
#[case::of_roots_profile(0, 0)]
#[case::of_another_users_profile(4242, 1)]
fn a_removal_that_took_more_stops_the_others_there_and_roots_own_the_collection(
    #[case] owner: u32,
    #[case] collections: usize,
) {
    let world = World::new(9, 9);
    world.owner.set(owner);
    world.removes_more.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.drops.get(), 1);
    assert_eq!(receipt.count(Outcome::Skipped), 5);
    assert_eq!(world.collections.get(), collections);
    assert_eq!(receipt.count(Outcome::Failed), 1 - collections);
}

#[test]
fn an_undo_gives_up_a_locked_profile_and_can_be_repeated() {
    let world = World::new(9, 9);
    let before = world.links.borrow().clone();
    run(&world, &job(Span::days(7))).unwrap();
    world.of_another_user.set(true);
    world.times_out.set(true);
    let undone = world.engine().undo(None, &[]).unwrap();
    assert_eq!(undone.count(Outcome::Failed), 1);
    assert_eq!(undone.count(Outcome::Skipped), 5);
    world.times_out.set(false);
    world.engine().undo(None, &[]).unwrap();
    assert_eq!(*world.links.borrow(), before);
}

#[test]
fn what_a_vanished_root_kept_is_held_first() {
    let world = World::new(9, 9);
    world.lose_root(50);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert!(matches!(receipt.entries[0].action, Action::HoldRoot(_)));
    assert!(world.disk.borrow().contains(&path(50)));
    assert_eq!(world.holds.borrow().len(), 7);
    // Undoing the run puts back what it took, and that was not the root.
    world.engine().undo(None, &[]).unwrap();
    assert_eq!(world.holds.borrow().len(), 1);
    assert!(world.engine().undo(None, &[]).is_err());
}

#[test]
fn what_vanishes_between_plan_and_run_is_held_as_well() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    world.lose_root(50);
    let error = world.engine().apply(
        gate(&plan, RunKind::Apply).unwrap(),
        Some(&unrestricted(&job)),
    );
    assert!(matches!(error, Err(EngineError::Changed { .. })));
    let approved = gate(&plan, RunKind::Run).unwrap();
    world
        .engine()
        .apply(approved, Some(&unrestricted(&job)))
        .unwrap();
    assert!(world.disk.borrow().contains(&path(50)));
    assert_eq!(world.collections.get(), 1);
}

#[rstest]
#[case::no_undo_window(Span::ZERO, true)]
#[case::no_collection(Span::days(7), false)]
fn nothing_is_held_where_that_is_not_asked_for_or_not_needed(
    #[case] window: Span,
    #[case] collects: bool,
) {
    let world = World::new(9, 9);
    world.lose_root(50);
    let mut job = job(window);
    job.safe_mode = false;
    job.max_risk = RiskLevel::Critical;
    job.operations.collect = job.operations.collect.filter(|_| collects);
    let receipt = run(&world, &job).unwrap();
    assert!(
        receipt
            .entries
            .iter()
            .all(|e| !matches!(e.action, Action::HoldRoot(_)))
    );
    assert_eq!(world.disk.borrow().contains(&path(50)), !collects);
}

#[test]
fn what_a_vanished_root_kept_and_cannot_be_held_is_not_collected() {
    let world = World::new(9, 9);
    world.lose_root(50);
    world.fail_hold.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.collections.get(), 0);
    assert!(world.disk.borrow().contains(&path(50)));
    let collect = receipt.entries.last().unwrap();
    assert_eq!(collect.outcome, Outcome::Failed);
    let why = collect.detail.as_ref().unwrap();
    assert!(why.contains("/gone/50/result"), "{why}");
}

#[test]
fn expired_holds_are_released_and_collected_and_cannot_be_undone() {
    let world = World::new(9, 9);
    let first = run(&world, &job(Span::days(7))).unwrap();
    world.now.set(NOW + 8 * DAY);
    let second = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(second.bytes.paths, Some(6));
    assert_eq!(second.bytes.reported, Some(Bytes(6000)));
    assert_eq!(second.bytes.measured, Some(6000));
    assert!(world.holds.borrow().is_empty());
    assert!(matches!(
        world.engine().undo(None, &[]),
        Err(EngineError::NothingToUndo { .. }) | Ok(_)
    ));
    let undone = world.engine().undo(Some(&first.run), &[]);
    let stale = undone.map(|receipt| receipt.count(Outcome::Stale));
    assert!(
        matches!(stale, Ok(6)),
        "every generation says that it is gone"
    );
    assert_eq!(world.numbers(), [7, 8, 9]);
}

#[test]
fn an_undo_does_not_take_a_number_that_is_taken() {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    world.links.borrow_mut().insert(3, (target(9), created(9)));
    let undone = world.engine().undo(None, &[]).unwrap();
    assert_eq!(undone.count(Outcome::Stale), 1);
    assert_eq!(world.links.borrow().get(&3).unwrap().0, target(9));
    assert_eq!(
        world.holds.borrow().len(),
        1,
        "what could not come back stays held"
    );
}

#[test]
fn what_cannot_be_held_stays() {
    let world = World::new(9, 9);
    world.fail_hold.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.numbers().len(), 9);
    assert_eq!(receipt.count(Outcome::Failed), 6);
}

#[test]
fn a_failed_drop_leaves_no_hold_behind() {
    let world = World::new(9, 9);
    world.fail_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Failed), 6);
    assert!(world.holds.borrow().is_empty());
}

#[test]
fn a_drop_that_nix_complains_of_behind_the_deed_is_recorded_as_done_and_held() {
    let world = World::new(9, 9);
    world.lie_about_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Failed), 0);
    assert_eq!(world.holds.borrow().len(), 6);
    world.lie_about_drop.set(false);
    world.engine().undo(None, &[]).unwrap();
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn what_changes_between_plan_and_deed_is_stale() {
    let world = World::new(9, 9);
    world.change_before_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Stale), 6);
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn a_pin_set_between_plan_and_run_holds() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    world.pins.borrow_mut().push(Pin {
        profile: ProfilePath::new(Utf8Path::new(PROFILE)).unwrap(),
        number: GenerationNumber(4),
        reason: None,
        until: None,
    });
    let approved = gate(&plan, RunKind::Run).unwrap();
    let receipt = world
        .engine()
        .apply(approved, Some(&unrestricted(&job)))
        .unwrap();
    assert_eq!(receipt.count(Outcome::Stale), 1);
    assert_eq!(world.numbers(), [4, 7, 8, 9]);
}

#[test]
fn a_saved_plan_that_is_stale_is_refused_as_a_whole() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    world.links.borrow_mut().remove(&2);
    let error = world.engine().apply(
        gate(&plan, RunKind::Apply).unwrap(),
        Some(&unrestricted(&job)),
    );
    assert!(matches!(error, Err(EngineError::Changed { .. })));
    assert!(world.journal.borrow().is_empty());
    assert_eq!(world.numbers().len(), 8);
}

#[test]
fn a_saved_plan_holds_as_long_as_the_policy_asks_now() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    let policy = |days| Policy {
        undo_window: Span::days(days),
        ..Policy::default()
    };
    let apply = |days| {
        let bound = EffectiveJob::new(job.clone(), policy(days));
        let approved = gate(&plan, RunKind::Apply).unwrap();
        world.engine().apply(approved, Some(&bound))
    };
    assert!(matches!(apply(30), Err(EngineError::Changed { .. })));
    assert_eq!(world.numbers().len(), 9);
    assert_eq!(apply(7).unwrap().count(Outcome::Failed), 0);
    assert_eq!(world.numbers().len(), 3);
}

#[test]
fn a_plan_of_another_machine_is_refused() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    *world.machine.borrow_mut() = "another".to_string();
    let error = world.engine().apply(
        gate(&plan, RunKind::Run).unwrap(),
        Some(&unrestricted(&job)),
    );
    assert!(matches!(error, Err(EngineError::OtherMachine)));
}

#[test]
fn a_second_run_is_locked_out() {
    let world = World::new(9, 9);
    world.locked.set(true);
    let error = run(&world, &job(Span::days(7)));
    assert!(matches!(
        error,
        Err(EngineError::Journal(JournalError::Locked { .. }))
    ));
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn a_request_to_stop_skips_the_rest_and_says_so() {
    let world = World::new(9, 9);
    world.stop_after_drops.set(Some(2));
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.count(Outcome::Done), 2);
    assert_eq!(receipt.count(Outcome::Skipped), receipt.entries.len() - 2);
    assert!(!receipt.is_interrupted() && receipt.stopped);
    assert_eq!(world.numbers().len(), 7);
}

#[rstest]
#[case::requested_when_all_was_done(Some(6), false)]
#[case::a_failure_is_no_stop(None, true)]
fn a_run_that_came_to_its_end_was_not_stopped(#[case] stop: Option<usize>, #[case] fails: bool) {
    let world = World::new(9, 9);
    world.stop_after_drops.set(stop);
    world.fail_drop.set(fails);
    let mut job = job(Span::days(7));
    (job.operations.roots, job.operations.collect) = (None, None);
    let receipt = run(&world, &job).unwrap();
    assert_eq!(receipt.count(Outcome::Done), if fails { 0 } else { 6 });
    assert!(!receipt.stopped);
}

#[test]
fn the_store_is_maintained_after_the_collection() {
    let world = World::new(9, 9);
    let mut job = job(Span::days(7));
    job.operations.maintenance = vec![
        Action::Optimise(OptimiseFacts::default()),
        Action::Verify { contents: true },
    ];
    let receipt = run(&world, &job).unwrap();
    assert_eq!(receipt.count(Outcome::Done), receipt.entries.len());
    assert_eq!(*world.maintained.borrow(), ["optimise", "verify true"]);
}

#[test]
fn a_check_that_finds_damage_has_failed_and_pauses_no_job() {
    let world = World::new(9, 9);
    world.damaged.borrow_mut().push(path(1));
    let mut job = job(Span::days(7));
    job.operations.maintenance = vec![Action::Verify { contents: true }];
    let receipt = run(&world, &job).unwrap();
    let entry = receipt.entries.last().unwrap();
    assert_eq!(entry.outcome, Outcome::Failed);
    assert_eq!(entry.damage().unwrap().paths[0].path, path(1));
    assert_eq!(
        entry.detail.as_deref(),
        Some("found 1 damaged store path (1 modified)")
    );
    assert_eq!(failed_in_a_row(&world, [&receipt, &receipt].into_iter()), 0);
    let mut failed = receipt.clone();
    failed.entries.last_mut().unwrap().report = None;
    assert_eq!(failed_in_a_row(&world, [&failed, &receipt].into_iter()), 1);
}

#[rstest]
#[case(Span::days(7), RiskLevel::High, true, None)]
#[case(Span::days(7), RiskLevel::Medium, true, Some(RiskLevel::High))]
#[case(Span::ZERO, RiskLevel::Critical, true, Some(RiskLevel::Critical))]
#[case(Span::ZERO, RiskLevel::High, false, Some(RiskLevel::Critical))]
#[case(Span::ZERO, RiskLevel::Critical, false, None)]
fn the_gate_stops_what_is_too_risky(
    #[case] window: Span,
    #[case] ceiling: RiskLevel,
    #[case] safe: bool,
    #[case] stopped: Option<RiskLevel>,
) {
    let world = World::new(9, 9);
    let mut job = job(window);
    job.max_risk = ceiling;
    job.safe_mode = safe;
    let mut plan = plan_of(&world.snapshot().unwrap(), &job);
    let gated = gate(&plan, RunKind::Run);
    let critical = stopped == Some(RiskLevel::Critical);
    let about_critical = |error: &GateError| error.is_about_critical();
    assert_eq!(gated.as_ref().is_err_and(about_critical), critical);
    match (gated, stopped) {
        (Ok(_), None) => {}
        (Err(GateError::SafeMode { count: 6 }), Some(RiskLevel::Critical)) => assert!(safe),
        (Err(GateError::TooRisky { highest, .. }), Some(level)) => assert_eq!(highest, level),
        (other, _) => panic!("{other:?}"),
    }
    // What a person is asked about is what no hold keeps, and a yes lets it pass.
    assert_eq!(
        plan.removed_for_good(),
        if window.is_zero() { 6 } else { 0 }
    );
    plan.allow_critical();
    assert!(gate(&plan, RunKind::Run).is_ok());
}

#[test]
fn no_limit_of_one_run_is_above_the_policy() {
    let levels = RiskLevel::ALL;
    let policies = levels.map(Some).into_iter().chain([None]);
    for (max_risk, limit) in policies.flat_map(|policy| levels.map(|limit| (policy, limit))) {
        let policy = Policy {
            max_risk,
            ..Policy::default()
        };
        let bound = EffectiveJob::new(job(Span::ZERO), policy).with_risk_limit(limit);
        assert_eq!(
            (bound.max_risk, bound.safe_mode),
            (max_risk.map_or(limit, |most| most.min(limit)), false)
        );
    }
}

#[test]
fn a_saved_plan_cannot_say_that_its_risk_is_less_than_it_is() {
    let world = World::new(9, 9);
    let mut plan = plan_of(&world.snapshot().unwrap(), &job(Span::ZERO));
    for item in &mut plan.items {
        if let Decision::Remove(removal) = &mut item.decision {
            removal.risk = RiskLevel::Low;
        }
    }
    assert_eq!(plan.risk(), Some(RiskLevel::Low));
    let gated = gate(&plan, RunKind::Run);
    assert!(matches!(gated, Err(GateError::SafeMode { .. })));
}
