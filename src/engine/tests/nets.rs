//! What stands between a run and a loss: holds that are made again, the last look before a collection, and what an undo
//! chooses.

use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::policy::{MinimumRetention, Policy};

use super::*;

const LINK: &str = "/home/alice/result";

/// A world where a user's link keeps path 60, and goes behind the second drop.
fn with_link() -> World {
    let world = World::new(9, 9);
    world.disk.borrow_mut().insert(path(60));
    world.roots.borrow_mut().insert(LINK.into(), path(60));
    world.unlinks_after.set(Some(2));
    world
}

fn on_disk(world: &World, n: u32) -> bool {
    world.disk.borrow().contains(&path(n))
}

/// The link of the hold of a path.
fn hold_of(world: &World, n: u32) -> Option<Utf8PathBuf> {
    let holds = world.holds.borrow();
    let of_it = holds.iter().find(|(_, held)| **held == path(n));
    of_it.map(|(link, _)| link.clone())
}

/// The outcome of the collection, and what is written of it.
fn collection(receipt: &Receipt) -> (Outcome, String) {
    let mut entries = receipt.entries.iter();
    let entry = entries.find(|entry| entry.action.collection().is_some());
    let entry = entry.unwrap();
    (entry.outcome, entry.detail.clone().unwrap_or_default())
}

#[test]
fn a_root_that_vanishes_during_a_run_is_held_before_the_collection() {
    for window in [Span::days(7), Span::ZERO] {
        let world = with_link();
        let mut job = job(window);
        job.safe_mode = false;
        job.max_risk = RiskLevel::Critical;
        let receipt = run(&world, &job).unwrap();
        assert_eq!(world.collections.get(), 1);
        assert!(on_disk(&world, 60) && hold_of(&world, 60).is_some());
        assert_eq!(on_disk(&world, 1), !window.is_zero());
        // It is on record with the end of its hold, for the next run to release it.
        let hold = receipt.entries.last().unwrap().hold(&receipt.run).unwrap();
        assert_eq!(Some(hold.link), hold_of(&world, 60));
        let least = world.now().after(window.max(Span::days(1)));
        assert_eq!(hold.until, least);
        assert!(!receipt.is_interrupted());
    }
}

#[test]
fn what_vanished_during_a_run_and_cannot_be_held_is_not_collected() {
    let world = with_link();
    *world.unholdable.borrow_mut() = Some(path(60));
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.collections.get(), 0);
    assert!(on_disk(&world, 60));
    let (outcome, why) = collection(&receipt);
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains(LINK), "{why}");
}

#[test]
fn a_root_that_leads_elsewhere_or_was_held_already_is_not_held_again() {
    let world = with_link();
    world.unlinks_after.set(None);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert!(on_disk(&world, 60) && hold_of(&world, 60).is_none());
    assert_eq!(receipt.count(Outcome::Done), receipt.entries.len());
}

#[test]
fn a_hold_that_lost_its_root_is_a_root_again_before_a_collection() {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    let link = hold_of(&world, 3).unwrap();
    world.lost.borrow_mut().insert(link);
    run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.collections.get(), 2);
    assert!(world.lost.borrow().is_empty());
    world.engine().undo(None, &[]).unwrap();
    assert_eq!(world.numbers(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn without_the_root_of_a_hold_nothing_is_collected() {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    let link = hold_of(&world, 3).unwrap();
    world.lost.borrow_mut().insert(link);
    world.fail_hold.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.collections.get(), 1);
    assert!(on_disk(&world, 3));
    let (outcome, why) = collection(&receipt);
    assert_eq!(outcome, Outcome::Failed);
    assert!(why.contains("restoring the root of a hold"), "{why}");
}

#[test]
fn without_the_root_of_a_hold_a_budget_gives_up_nothing() {
    let world = rounds::world(rounds::Kind::Honest, &[16; 6], &[]);
    run(&world, &job(Span::days(7))).unwrap();
    let before = (world.numbers(), world.holds.borrow().clone());
    assert_eq!((before.0.len(), before.1.len()), (3, 3));
    world.lost.borrow_mut().insert(hold_of(&world, 3).unwrap());
    world.fail_hold.set(true);
    let receipt = rounds::run_for(&world, 32);
    assert_eq!(collection(&receipt).0, Outcome::Failed);
    assert_eq!((world.numbers(), world.holds.borrow().clone()), before);
}

#[test]
fn a_hold_that_somebody_ended_stays_ended() {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    let link = hold_of(&world, 3).unwrap();
    world.holds.borrow_mut().remove(&link);
    run(&world, &job(Span::days(7))).unwrap();
    assert_eq!((on_disk(&world, 3), hold_of(&world, 3)), (false, None));
}

#[test]
fn an_undo_takes_the_latest_run_that_still_holds_something() {
    let world = World::new(9, 9);
    let first = run(&world, &job(Span::days(7))).unwrap();
    for n in [10, 11] {
        world.links.borrow_mut().insert(n, (target(n), created(n)));
        world.disk.borrow_mut().insert(path(n));
    }
    world.current.set(11);
    world.now.set(NOW + DAY);
    run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(world.numbers(), [9, 10, 11]);
    // The holds of the second run are released by hand.
    let holds = world.snapshot().unwrap().holds;
    let of_second = holds.iter().filter(|hold| hold.run != first.run);
    let of_second: Vec<_> = of_second.map(HoldFacts::from).collect();
    assert_eq!(of_second.len(), 2);
    let released = world.engine().release(of_second).unwrap();
    assert_eq!(
        (released.kind, released.entries.len()),
        (RunKind::Release, 2)
    );
    let undone = world.engine().undo(None, &[]).unwrap();
    assert_eq!(undone.kind, RunKind::Undo(first.run));
    assert_eq!(world.numbers(), [1, 2, 3, 4, 5, 6, 9, 10, 11]);
}

/// The world after a run that died behind the first deed that makes it so.
fn dead_once(is_so: impl Fn(&World) -> bool) -> World {
    for n in 0.. {
        let world = World::new(9, 9);
        let run = |world: &World| drop(run(world, &job(Span::days(7))));
        assert!(dies_at(&world, n, true, run), "it never was so");
        if is_so(&world) {
            return world;
        }
    }
    unreachable!()
}

#[test]
fn a_drop_that_comes_to_pass_after_its_run_can_be_undone() {
    let world = dead_once(|world| hold_of(world, 1).is_some());
    let before = world.links.borrow().clone();
    assert_eq!(before.len(), 9);
    let settled = world.engine().resume().unwrap();
    assert_eq!((settled.len(), settled[0].count(Outcome::Pending)), (1, 0));
    assert!(world.engine().undo(None, &[]).is_err(), "nothing is gone");
    // The command that the run had started removes it after all.
    world.links.borrow_mut().remove(&1);
    let undone = world.engine().undo(None, &[]).unwrap();
    assert_eq!(undone.kind, RunKind::Undo(settled[0].run.clone()));
    assert_eq!(*world.links.borrow(), before);
    let recorded = world.journal.borrow()[&settled[0].run].clone();
    let undone_by = recorded.entries.iter().filter_map(|e| e.undone_by.as_ref());
    assert_eq!(undone_by.collect::<Vec<_>>(), [&undone.run]);
    world.links.borrow_mut().remove(&1);
    assert!(
        world.engine().undo(None, &[]).is_err(),
        "it was undone already"
    );
}

#[test]
fn a_number_that_somebody_took_after_an_interruption_is_left_alone() {
    let world = dead_once(|world| world.numbers().len() == 8);
    let other = (target(9), created(9));
    world.links.borrow_mut().insert(1, other.clone());
    let settled = world.engine().resume().unwrap();
    assert_eq!(settled[0].count(Outcome::Stale), 1);
    assert_eq!(world.links.borrow().get(&1), Some(&other));
    assert!(hold_of(&world, 1).is_some(), "it stays held");
}

#[rstest]
#[case::nothing("a run of no such name", false, None)]
#[case::it_did_nothing("the run did nothing", true, Some(0))]
fn what_cannot_be_undone_says_why(
    #[case] what: &str,
    #[case] runs: bool,
    #[case] drops: Option<usize>,
) {
    let world = World::new(9, 9);
    world.entries.borrow_mut().clear();
    world.stop_after_drops.set(drops);
    let name = if runs {
        run(&world, &job(Span::days(7))).unwrap().run
    } else {
        RunId::at(world.now(), 7)
    };
    match world.engine().undo(Some(&name), &[]).unwrap_err() {
        EngineError::NothingToUndo { why } => assert_eq!(why, what),
        EngineError::Journal(JournalError::NoSuchRun(run)) => assert_eq!(run, name.to_string()),
        other => panic!("{what}: {other}"),
    }
}

#[test]
fn a_check_that_stops_a_run_stops_it_before_anything_is_written() {
    let stops = CheckCode::ALL.into_iter().filter(|code| code.stops_run());
    let mut tried = 0;
    for code in stops {
        let world = World::new(9, 9);
        let job = job(Span::days(7));
        let plan = plan_of(&world.snapshot().unwrap(), &job);
        let stop = Blocker::new(code, "it is so".to_string(), "mend it".to_string());
        world.blockers.borrow_mut().push(stop);
        let approved = gate(&plan, RunKind::Run).unwrap();
        let refused = world.engine().apply(approved, Some(&unrestricted(&job)));
        assert!(matches!(refused, Err(EngineError::Refused { code: c, .. }) if c == code));
        assert!(world.journal.borrow().is_empty());
        assert_eq!((world.numbers().len(), world.collections.get()), (9, 0));
        tried += 1;
    }
    assert!(tried > 0);
}

#[rstest]
#[case::nothing(0, 0, &[7, 8, 9])]
#[case::five(5, 0, &[5, 6, 7, 8, 9])]
#[case::of_so_many_days(0, 94, &[5, 6, 7, 8, 9])]
fn a_plan_that_is_older_than_the_policy_removes_nothing_that_the_policy_keeps(
    #[case] last: u16,
    #[case] within: u32,
    #[case] left: &[u32],
) {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    let policy = Policy {
        keep: MinimumRetention {
            last,
            within: Span::days(within),
        },
        ..Policy::default()
    };
    let bound = EffectiveJob::new(job, policy);
    let approved = gate(&plan, RunKind::Run).unwrap();
    let receipt = world.engine().apply(approved, Some(&bound)).unwrap();
    assert_eq!(world.numbers(), left);
    assert_eq!(receipt.count(Outcome::Stale), left.len() - 3);
}

#[rstest]
#[case::whole(false, 0)]
#[case::damaged(true, 1)]
fn who_accepts_a_damaged_database_leaves_it_to_nix_what_is_dead(
    #[case] damaged: bool,
    #[case] collections: usize,
) {
    let world = rounds::world(rounds::Kind::Honest, &[16; 3], &[8; 2]);
    let mut job = job(Span::days(7));
    if damaged {
        let code = CheckCode::StoreDamaged;
        let message = "it is damaged".to_string();
        let damage = Blocker::new(code, message, String::new());
        world.blockers.borrow_mut().push(damage);
        job.accept.insert(code);
    }
    let survey = rounds::StoreData(&world);
    let engine = Engine {
        survey: &survey,
        ..world.engine()
    };
    let plan = plan_of(&survey.snapshot().unwrap(), &job);
    let approved = gate(&plan, RunKind::Run).unwrap();
    engine.apply(approved, Some(&unrestricted(&job))).unwrap();
    assert_eq!(
        (world.collections.get(), world.disk.borrow().len()),
        (collections, 3)
    );
}

#[rstest]
#[case::with_room(false, true, true, 1)]
#[case::full(true, true, false, 2)]
#[case::full_and_nothing_set_aside(true, false, false, 1)]
fn the_reserve_of_nix_is_given_up_on_a_full_disk_only(
    #[case] full: bool,
    #[case] reserve: bool,
    #[case] left: bool,
    #[case] restocked: usize,
) {
    let world = World::new(9, 9);
    world.full.set(full);
    world.reserve_of_nix.set(reserve);
    run(&world, &job(Span::days(7))).unwrap();
    // Once behind the run in any case.
    let counts = (world.reserve_of_nix.get(), world.restocked.get());
    assert_eq!(counts, (left, restocked));
}
