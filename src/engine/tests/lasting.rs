//! What lasts beyond a run: the lock and the space for it, the recorded roots, and holds that are made again.

use super::*;
use crate::engine::pending;
use crate::engine::vanished::{Known, Links};
use nix_prune::domain::blocker::Blocker;
use nix_prune::operations::{ActionContext, Performed};

#[rstest]
#[case::nothing_set_aside(false)]
#[case::by_the_reserve_of_nix(true)]
fn a_disk_without_space_for_a_lock_needs_the_reserve_of_nix(#[case] reserve: bool) {
    let world = World::new(9, 9);
    world.full_for_a_lock.set(true);
    world.reserve_of_nix.set(reserve);
    let receipt = run(&world, &job(Span::days(7)));
    assert_eq!(receipt.is_ok(), reserve);
    assert_eq!(world.numbers().len(), if reserve { 3 } else { 9 });
    if let Err(error) = receipt {
        assert!(matches!(error, EngineError::Journal(error) if error.is_of_full_disk()));
    }
}

#[test]
fn the_reserve_of_nix_is_not_given_up_for_the_lock_of_another_run() {
    let world = World::new(9, 9);
    world.locked.set(true);
    world.reserve_of_nix.set(true);
    assert!(run(&world, &job(Span::days(7))).is_err());
    assert!(world.reserve_of_nix.get());
}

/// A check that is accepted is not compared with again; one that still fails is.
#[test]
fn the_roots_are_recorded_before_and_after_a_run_with_the_checks_that_fail() {
    let world = World::new(9, 9);
    let (away, odd) = (CheckCode::RootsAway, CheckCode::OddName);
    let check = |code| Blocker::new(code, "it is so".to_string(), String::new());
    world.blockers.replace(vec![check(away), check(odd)]);
    let mut job = job(Span::days(7));
    job.accept.insert(away);
    run(&world, &job).unwrap();
    assert_eq!(*world.recorded.borrow(), [[odd], [odd]]);
}

#[rstest]
#[case::open_and_lost(1, false, true)]
#[case::open_and_intact(1, true, false)]
#[case::ended_and_lost(0, false, false)]
fn a_hold_is_made_again_while_its_window_is_open(
    #[case] days: u32,
    #[case] intact: bool,
    #[case] made: bool,
) {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    let mut snapshot = world.snapshot().unwrap();
    snapshot.holds.truncate(1);
    let hold = &mut snapshot.holds[0];
    (hold.until, hold.intact) = (snapshot.taken_at.after(Span::days(days)), intact);
    // Each hold that is made takes the mark from its link.
    world.lost.borrow_mut().insert(hold.link.clone());
    world.engine().repair(&snapshot).unwrap();
    assert_eq!(world.lost.borrow().is_empty(), made);
}

#[test]
fn so_many_links_are_named_after_one() {
    let mut links = Links::default();
    let mut named = 0;
    let mut next = || {
        let name = || {
            named += 1;
            Ok(format!("/holds/{named}").into())
        };
        links.next(name).unwrap()
    };
    let all: Vec<Utf8PathBuf> = (0..201).map(|_| next()).collect();
    let some = [0, 1, 199, 200].map(|n: usize| all[n].as_str());
    assert_eq!(some, ["/holds/1", "/holds/1-2", "/holds/1-200", "/holds/2"]);
}

/// What `nix-env` removes beyond a generation stops the collection of the user who runs this.
#[rstest]
#[case::roots_own(Actor::Root, 0, true)]
#[case::another_users(Actor::Root, 1000, false)]
#[case::a_users_own(Actor::User(1000), 1000, true)]
#[case::roots_for_a_user(Actor::User(1000), 0, false)]
fn a_removal_that_took_more_stops_the_collection_of_its_owner(
    #[case] actor: Actor,
    #[case] owner: u32,
    #[case] stops: bool,
) {
    let world = World::new(9, 9);
    let mut receipt = run(&world, &job(Span::days(7))).unwrap();
    for entry in &mut receipt.entries {
        entry.outcome = Outcome::Pending;
    }
    let mut entries = receipt.entries.iter();
    let facts = entries.find_map(|entry| entry.action.removed_generation());
    let mut facts = facts.unwrap().clone();
    facts.owner.uid = owner;
    let snapshot = Snapshot {
        actor,
        ..world.snapshot().unwrap()
    };
    let known = Known {
        snapshot: &snapshot,
        window: Span::ZERO,
        protected: None,
    };
    world.engine().stop_after(&facts, &mut receipt, Some(known));
    assert_eq!(
        receipt.count(Outcome::Skipped),
        6,
        "the others of the profile"
    );
    assert_eq!(receipt.count(Outcome::Failed), usize::from(stops));
}

/// A machine on which a safety check fails from one look on.
struct FailsLater<'a> {
    world: &'a World,
    looks: Cell<usize>,
    from: usize,
}

impl Survey for FailsLater<'_> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        self.looks.set(self.looks.get() + 1);
        let mut snapshot = self.world.snapshot()?;
        if self.looks.get() >= self.from {
            let code = CheckCode::RootsUnreadable;
            let check = Blocker::new(code, "a directory is locked".to_string(), String::new());
            snapshot.blockers.push(check);
        }
        Ok(snapshot)
    }
}

/// The first look is under the lock, the second right before the collection.
#[test]
fn a_check_that_fails_right_before_the_collection_makes_it_stale() {
    let world = World::new(9, 9);
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    let survey = FailsLater {
        world: &world,
        looks: Cell::new(0),
        from: 2,
    };
    let engine = Engine {
        survey: &survey,
        ..world.engine()
    };
    let approved = gate(&plan, RunKind::Run).unwrap();
    let receipt = engine.apply(approved, Some(&unrestricted(&job))).unwrap();
    let collection = receipt.entries.last().unwrap();
    assert!(collection.action.collection().is_some());
    assert_eq!(collection.outcome, Outcome::Stale);
    assert_eq!(collection.detail.as_deref(), Some("a directory is locked"));
    assert_eq!(world.collections.get(), 0);
}

#[test]
fn what_a_vanished_root_kept_is_held_at_its_place_or_not_at_all() {
    let world = World::new(9, 9);
    world.lose_root(50);
    let plan = plan_of(&world.snapshot().unwrap(), &job(Span::days(7)));
    let action = plan.actions().next().unwrap().action;
    assert!(action.vanished_root().is_some());
    let perform = |hold: Option<HoldFacts>| {
        let context = ActionContext {
            nix: &world,
            hold,
            protected: &ProtectedPaths::default(),
        };
        action.operation().perform(&context)
    };
    assert!(matches!(perform(None), Err(PerformError::Stale(_))));
    assert!(world.holds.borrow().is_empty());
    // The place and the end of the hold are on record.
    let receipt = run(&World::new(9, 9), &job(Span::days(7))).unwrap();
    let mut entry = pending(action.clone(), RiskLevel::Low);
    let until = world.now().after(action.operation().hold().unwrap());
    assert_eq!(until, world.now().after(Span::days(7)));
    entry.undo = action.operation().undo(Some(("/holds/x".into(), until)));
    let hold = entry.hold(&receipt.run);
    assert_eq!(perform(hold).unwrap(), Performed::default());
    assert_eq!(world.holds.borrow()[Utf8Path::new("/holds/x")], path(50));
}
