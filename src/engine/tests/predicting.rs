//! Predictions of plans on a store that can be read.

use crate::domain::note::{Note, NoteCode};
use nix_prune::domain::analysis::{Fate, StoreAnalysis, StoreData, UnregisteredPath};
use nix_prune::domain::blocker::{Blocker, CheckCode};
use nix_prune::domain::budget::{Amount, Budget, Disk, DiskGoal, ReleaseHolds};
use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::disk_use::{AtMost, DiskUse, Taken};
use nix_prune::domain::graph::{GraphBuilder, KeepFlags};
use nix_prune::domain::plan::Plan;
use nix_prune::engine::{DeadPaths, Exact, PlanError, Planner};
use nix_prune::ports::{DiskError, Observation, ReadStore, RunningRoots};

use super::*;
use crate::support::actions;

/// A store where each path takes 100 bytes, twice that on disk, and was registered at the second of its number.
struct Open<'a> {
    world: &'a World,
    available: u64,
    doubts: Vec<String>,
    /// A path that was registered just now.
    young: i64,
    /// A path that the flake `/flake` locks.
    locked: Option<u32>,
    /// What the database does not know.
    stray: Option<&'static str>,
}

impl ReadStore for Open<'_> {
    fn observe(&self, survey: &dyn Survey) -> Result<Observation, SurveyError> {
        let snapshot = survey.snapshot()?;
        let mut builder = GraphBuilder::new();
        for path in &*self.world.disk.borrow() {
            let number: i64 = path
                .to_string()
                .rsplit('-')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let registered = if number == self.young { NOW } else { number };
            builder.add_path(number, &path.to_string(), 100, registered, None);
        }
        let root = |link: Utf8PathBuf, path: StorePath<String>| GcRoot {
            link,
            entry: None,
            exact: true,
            target: None,
            store_path: Some(path),
            kind: RootKind::Profile,
            owner: None,
            state: RootState::Live,
            made_at: None,
        };
        let generations = snapshot.profiles.iter().flat_map(|profile| {
            let numbers = profile.generations.keys();
            numbers.map(|number| (profile.path.link(*number), path(number.0)))
        });
        let links = generations.map(|(link, path)| root(link, path));
        let holds = self.world.holds.borrow().clone().into_iter();
        let holds = holds.map(|(link, path)| root(link, path));
        let locked = self.locked.map(|number| GcRoot {
            kind: RootKind::FlakeInput,
            ..root("/flake/flake.lock".into(), path(number))
        });
        let store = StoreAnalysis::new(StoreData {
            store: snapshot.store.clone(),
            graph: builder.finish().unwrap().into(),
            flags: KeepFlags::NIX_DEFAULT,
            roots: links.chain(holds).chain(locked).collect(),
            names: Vec::from_iter(self.stray.map(|name| UnregisteredPath {
                name: name.to_string(),
                exact: true,
            })),
            doubts: self.doubts.clone(),
            unknown_outputs: None,
            notes: Vec::new(),
        });
        Ok(Observation {
            snapshot,
            store: Ok(store),
            running: RunningRoots::default(),
        })
    }

    fn fullness(&self) -> Result<Disk, DiskError> {
        Ok(Disk {
            inodes: None,
            used: Bytes(1000),
            available: Bytes(self.available),
        })
    }

    fn measure(&self, names: &[&str]) -> Result<DiskUse, DiskError> {
        Ok(DiskUse {
            bytes: Bytes(200 * names.len() as u64),
            at_most: vec![AtMost::Compressed],
            ..DiskUse::default()
        })
    }

    fn measure_each(&self, names: &[&str]) -> Result<Vec<Taken>, DiskError> {
        let taken = Taken {
            bytes: Bytes(200),
            inodes: 1,
        };
        Ok(vec![taken; names.len()])
    }
}

/// Nine generations, of which six are removed, and two dead paths.
fn world() -> World {
    let world = World::new(9, 9);
    world.disk.borrow_mut().extend([path(60), path(61)]);
    world
}

fn open(world: &World) -> Open<'_> {
    Open {
        world,
        available: 100,
        doubts: Vec::new(),
        locked: None,
        stray: Some("stray"),
        young: 0,
    }
}

fn planned(world: &World, store: &Open<'_>, job: &Job) -> Result<Plan, PlanError> {
    let planner = Planner {
        survey: world,
        store,
        nix: Some(world),
        remember: world,
    };
    planner.plan(&unrestricted(job), Exact::IfCheap)
}

/// Bytes and paths now, bytes on disk, bytes and paths when the undo windows end.
fn figures(plan: &Plan) -> [Option<u64>; 5] {
    let of = &plan.prediction;
    let later = of.when_windows_end;
    [
        of.nar_bytes.map(|bytes| bytes.0),
        of.paths,
        of.disk_bytes.map(|bytes| bytes.0),
        later.map(|later| later.nar_bytes.0),
        later.map(|later| later.paths),
    ]
}

#[test]
fn held_generations_are_freed_when_their_windows_end() {
    let world = world();
    let store = open(&world);
    let plan = planned(&world, &store, &job(Span::days(7))).unwrap();
    // On disk also what the database does not know.
    assert_eq!(figures(&plan), [200, 2, 600, 600, 6].map(Some));
    assert!(plan.prediction.disk_bytes_at_most);
    // Each generation alone keeps its own path; roots keep nothing.
    let alone = plan.items.iter().filter_map(|item| item.exclusive_bytes);
    assert_eq!(alone.collect::<Vec<_>>(), [Bytes(100); 9]);
    let text = "the bytes on disk are an upper bound: some files are compressed";
    let note = Note::new(NoteCode::FreedAtMost, text);
    assert_eq!(plan.prediction.notes.last(), Some(&note));
    let plan = planned(&world, &store, &job(Span::ZERO)).unwrap();
    assert_eq!(figures(&plan), [800, 8, 1800, 0, 0].map(Some));
}

/// What `browse` shows of marks is what the plan of them predicts.
#[rstest]
#[case::held(Span::days(7))]
#[case::at_once(Span::ZERO)]
fn all_marks_free_what_the_plan_predicts_and_no_mark_removes_nothing(#[case] window: Span) {
    let world = world();
    let store = open(&world);
    let planner = Planner {
        survey: &world,
        store: &store,
        nix: Some(&world),
        remember: &world,
    };
    let job = unrestricted(&job(window));
    let exploration = planner.explore(&job).unwrap();
    let (plan, analysis) = (&exploration.plan, &exploration.store);
    let what_if = exploration.what_if(&job);
    let freed = what_if.together(analysis, &plan.fates());
    let later = plan.prediction.when_windows_end.unwrap();
    assert_eq!(Some(freed.now.nar_bytes), plan.prediction.nar_bytes);
    assert_eq!(freed.later.nar_bytes, later.nar_bytes);
    assert_eq!(
        (figures(plan)[0], figures(plan)[3]),
        (Some(freed.now.nar_bytes.0), Some(freed.later.nar_bytes.0),)
    );
    let restricted = |dead, is_marked: &dyn Fn(usize) -> bool| {
        let mut plan = plan.clone();
        plan.restrict_to_marked(&exploration.snapshot, dead, is_marked);
        plan
    };
    let all = restricted(DeadPaths::Delete, &|_| true);
    assert_eq!(actions(&all), actions(plan));
    let none = restricted(DeadPaths::Keep, &|_| false);
    assert!(none.is_empty(), "{:?}", actions(&none));
    let first = restricted(DeadPaths::Delete, &|at| at == 0);
    assert_eq!(first.removals().count(), 1);
    let renewed = planner.renew(first, &job, Exact::Never).unwrap();
    let mut fates = plan.fates();
    fates.iter_mut().skip(1).for_each(|fate| *fate = Fate::Kept);
    let freed = what_if.together(analysis, &fates);
    assert_eq!(Some(freed.now.nar_bytes), renewed.prediction.nar_bytes);
}

#[test]
fn an_ended_hold_is_freed_now() {
    let world = world();
    run(&world, &job(Span::days(7))).unwrap();
    world.disk.borrow_mut().insert(path(62));
    world.now.set(NOW + 8 * DAY);
    let plan = planned(&world, &open(&world), &job(Span::days(7))).unwrap();
    assert_eq!(figures(&plan)[..2], [700, 7].map(Some));
}

/// A machine with a second profile, whose generations from `first` on are those of the first one.
struct TwoProfiles<'a> {
    world: &'a World,
    first: u32,
}

impl Survey for TwoProfiles<'_> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let mut snapshot = self.world.snapshot()?;
        let mut second = snapshot.profiles[0].clone();
        second.path = ProfilePath::new(Utf8Path::new("/state/profiles/work")).unwrap();
        second
            .generations
            .retain(|number, _| number.0 >= self.first);
        snapshot.profiles.push(second);
        Ok(snapshot)
    }
}

/// Of nine generations, the first six are removed.
#[rstest]
#[case::it_shares_all_of_them(1, &[0, 0])]
#[case::it_has_the_last_three(4, &[300, 0])]
#[case::it_removes_none(7, &[600, 0])]
fn a_profile_frees_what_no_other_keeps(#[case] first: u32, #[case] frees: &[u64]) {
    let world = world();
    let store = open(&world);
    let planner = Planner {
        survey: &TwoProfiles {
            world: &world,
            first,
        },
        store: &store,
        nix: Some(&world),
        remember: &world,
    };
    let plan = planner
        .plan(&unrestricted(&job(Span::ZERO)), Exact::IfCheap)
        .unwrap();
    // What two profiles share is freed by neither alone, and all the same.
    assert_eq!(figures(&plan)[..2], [800, 8].map(Some));
    let of_profiles: Vec<_> = plan.profiles.iter().map(|it| it.frees.unwrap().0).collect();
    assert_eq!(of_profiles, frees);
}

#[rstest]
#[case::nothing_is_held_yet(None, None)]
#[case::while_the_windows_are_open(Some(1), Some((600, 6)))]
#[case::when_they_have_ended(Some(8), None)]
fn open_holds_keep_what_an_earlier_run_removed(
    #[case] days_later: Option<i64>,
    #[case] kept: Option<(u64, u64)>,
) {
    let world = world();
    let job = job(Span::days(7));
    if let Some(days) = days_later {
        run(&world, &job).unwrap();
        world.now.set(NOW + days * DAY);
    }
    let plan = planned(&world, &open(&world), &job).unwrap();
    let open = plan.prediction.open_holds;
    assert_eq!(open.map(|later| (later.nar_bytes.0, later.paths)), kept);
}

#[test]
fn recent_paths_are_spared_and_told() {
    let world = world();
    let mut store = open(&world);
    let mut job = job(Span::days(7));
    job.operations.collect = Some(CollectOperation {
        keep_recent: Some(Span::days(2)),
        ..CollectOperation::default()
    });
    // What the database does not know has no age.
    let plan = planned(&world, &store, &job).unwrap();
    assert_eq!(figures(&plan), [200, 2, 400, 600, 6].map(Some));
    assert!(plan.prediction.notes[0].starts_with("0 dead paths"));
    store.young = 61;
    let plan = planned(&world, &store, &job).unwrap();
    assert_eq!(figures(&plan), [100, 1, 200, 600, 6].map(Some));
    assert!(plan.prediction.notes[0].starts_with("1 dead path of 100 B"));
}

#[test]
fn names_that_are_not_in_the_database_are_announced_where_they_are_deleted() {
    let world = world();
    let mut store = open(&world);
    let noted = |store: &Open<'_>, method, keep_recent: Option<Span>| {
        let mut job = job(Span::days(7));
        job.operations.collect = Some(CollectOperation {
            method,
            keep_recent,
            ..CollectOperation::default()
        });
        let plan = planned(&world, store, &job).unwrap();
        let mut notes = plan.prediction.notes.into_iter();
        notes
            .find(|note| note.code == NoteCode::DeadUnregistered)
            .map(|note| note.text)
    };
    let said = "The collection also deletes 1 name in the store directory but not in the database.";
    let (auto, selective) = (CollectMethod::Auto, CollectMethod::Selective);
    assert_eq!(noted(&store, auto, None).as_deref(), Some(said));
    assert_eq!(noted(&store, selective, None), None);
    assert_eq!(noted(&store, auto, Some(Span::days(2))), None);
    store.stray = Some("00000000000000000000000000000000-left");
    assert_eq!(noted(&store, selective, None).as_deref(), Some(said));
    store.stray = None;
    assert_eq!(noted(&store, auto, None), None);
}

#[test]
fn locked_inputs_are_kept_with_their_price() {
    let world = world();
    let mut store = open(&world);
    store.locked = Some(61);
    let note = |flake: &str| {
        let mut job = job(Span::days(7));
        job.operations.collect = Some(CollectOperation {
            keep_flake_inputs: vec![flake.into()],
            ..CollectOperation::default()
        });
        let plan = planned(&world, &store, &job).unwrap();
        assert_eq!(figures(&plan)[..2], [100, 1].map(Some));
        let mut notes = plan.prediction.notes.into_iter();
        notes.find(|note| note.code == NoteCode::DeadFlakeInputs)
    };
    assert!(note("/flake").unwrap().starts_with("1 dead path of 100 B"));
    assert_eq!(note("/other"), None);
}

#[test]
fn what_a_vanished_root_kept_is_not_predicted_as_freed() {
    let world = world();
    world.lose_root(60);
    let plan = planned(&world, &open(&world), &job(Span::days(7))).unwrap();
    assert_eq!(figures(&plan)[..2], [100, 1].map(Some));
    let without = planned(&world, &open(&world), &job(Span::ZERO)).unwrap();
    assert_eq!(
        without.prediction.paths,
        Some(8),
        "nothing is held without an undo window"
    );
}

#[test]
fn roots_that_cannot_be_read_leave_the_prediction_open() {
    let world = world();
    let hidden = Blocker::new(
        CheckCode::RootsUnreadable,
        "it is hidden".into(),
        String::new(),
    );
    world.blockers.borrow_mut().push(hidden);
    let mut job = job(Span::days(7));
    job.accept.insert(CheckCode::RootsUnreadable);
    let plan = planned(&world, &open(&world), &job).unwrap();
    assert!(plan.collection().is_some());
    assert_eq!(figures(&plan), [None; 5]);
    let note = Note::new(
        NoteCode::FreedUnknown,
        "the amount freed is unknown: it is hidden",
    );
    assert_eq!(plan.prediction.notes, [note]);
}

#[test]
fn doubts_are_in_the_notes_of_a_prediction() {
    let world = world();
    let mut store = open(&world);
    store.doubts.push("one process".to_string());
    let plan = planned(&world, &store, &job(Span::days(7))).unwrap();
    let doubts = |plan: &Plan| {
        let mut notes = plan.prediction.notes.iter();
        notes.any(|note| note.ends_with("one process"))
    };
    assert!(doubts(&plan), "{:?}", plan.prediction.notes);
    // Where nothing is dead there is nothing to doubt.
    let world = World::new(9, 9);
    let store = Open {
        doubts: store.doubts,
        ..open(&world)
    };
    let plan = planned(&world, &store, &job(Span::days(7))).unwrap();
    assert_eq!(plan.prediction.paths, Some(0));
    assert!(!doubts(&plan), "{:?}", plan.prediction.notes);
}

fn with_goal(budget: Budget, window: Span) -> Job {
    let mut job = job(window);
    job.safe_mode = false;
    job.max_risk = RiskLevel::Critical;
    job.budget = Some(DiskGoal::new(budget, ReleaseHolds::Never));
    job
}

/// How many generations a plan removes, and what it is predicted to free for its budget.
fn within(budget: Budget) -> (usize, u64, Option<u64>) {
    let world = world();
    let plan = planned(&world, &open(&world), &with_goal(budget, Span::ZERO)).unwrap();
    let report = plan.budget.as_ref().unwrap();
    assert!(!report.is_reached());
    let frees = report.frees.0;
    (
        plan.removed_generations().count(),
        frees,
        plan.prediction.paths,
    )
}

#[test]
fn a_budget_removes_what_it_needs_after_what_is_dead() {
    let free = |bytes| Budget::MinFree(Amount::Bytes(Bytes(bytes)));
    // Two dead paths and the stray have 600 bytes on disk; each generation has 200.
    assert_eq!(within(free(250)), (0, 200, Some(1)));
    assert_eq!(within(free(700)), (0, 600, Some(2)));
    assert_eq!(within(free(701)), (1, 800, Some(3)));
    assert_eq!(within(free(1100)), (2, 1000, Some(4)));
    // The store has 1100 bytes by its own sizes.
    assert_eq!(within(Budget::MaxStore(Bytes(1000))), (0, 100, Some(1)));
    assert_eq!(within(Budget::MaxStore(Bytes(850))), (1, 300, Some(3)));
}

#[test]
fn what_is_held_is_freed_for_a_goal_when_all_windows_end() {
    let world = world();
    let goal = Budget::MinFree(Amount::Bytes(Bytes(1_500)));
    let job = with_goal(goal, Span::days(7));
    let plan = planned(&world, &open(&world), &job).unwrap();
    let report = plan.budget.as_ref().unwrap();
    // Of 1400 bytes, what is dead frees 600, and each of the six generations 200 on disk.
    let sizes = (report.to_free.0, report.frees.0, report.missing.0);
    assert_eq!(sizes, (1_400, 600, 800));
    let later: Vec<_> = report
        .later
        .iter()
        .map(|it| (it.at, it.nar_bytes.0))
        .collect();
    let end = world.now().after(Span::days(7));
    assert_eq!(later, [(end, 400)]);
    assert_eq!(report.reached_at, Some(end));
    assert_eq!(plan.removed_generations().count(), 4);
}

#[test]
fn a_plan_is_predicted_anew_before_it_is_applied() {
    let world = world();
    let store = open(&world);
    let job = unrestricted(&job(Span::days(7)));
    let planner = Planner {
        survey: &world,
        store: &store,
        nix: None,
        remember: &world,
    };
    let plan = planner.plan(&job, Exact::IfCheap).unwrap();
    world.disk.borrow_mut().remove(&path(60));
    let renewed = planner.renew(plan, &job, Exact::Always).unwrap();
    assert_eq!(figures(&renewed), [100, 1, 400, 600, 6].map(Some));
}

/// How many generations a plan for two goals removes, and the goal that it was fitted to.
fn for_both(budget: Budget, beside: Budget) -> (usize, Budget) {
    let world = world();
    let mut job = with_goal(budget, Span::ZERO);
    job.budget.as_mut().unwrap().beside = Some(beside);
    let plan = planned(&world, &open(&world), &job).unwrap();
    let goal = plan.budget.as_ref().unwrap().goal;
    (plan.removed_generations().count(), goal)
}

#[test]
fn of_two_goals_the_one_that_needs_more_decides() {
    let free = |bytes| Budget::MinFree(Amount::Bytes(Bytes(bytes)));
    let (reached, dead, one, two) = (
        free(100),
        free(250),
        Budget::MaxStore(Bytes(850)),
        free(1100),
    );
    for (less, more, removed) in [
        (reached, one, 1),
        (dead, one, 1),
        (one, two, 2),
        (reached, dead, 0),
    ] {
        assert_eq!(for_both(less, more), (removed, more));
        assert_eq!(for_both(more, less), (removed, more));
    }
    // Where both need the same, it is the first.
    let same = Budget::MaxStore(Bytes(1000));
    assert_eq!(for_both(dead, same), (0, dead));
    assert_eq!(for_both(same, dead), (0, same));
}

/// The sizes of the store are not the file system's to contradict.
#[rstest]
#[case(Budget::MinFree(Amount::Bytes(Bytes(1100))), true)]
#[case(Budget::MaxStore(Bytes(850)), false)]
fn what_the_file_system_contradicted_is_known_to_a_plan(
    #[case] budget: Budget,
    #[case] contradicts: bool,
) {
    let world = world();
    let mut earlier = run(&World::new(9, 9), &job(Span::days(7))).unwrap();
    earlier.bytes.predicted = Some(Bytes(4 << 20));
    earlier.bytes.measured = Some(0);
    world
        .journal
        .borrow_mut()
        .insert(earlier.run.clone(), earlier);
    let plan = planned(&world, &open(&world), &with_goal(budget, Span::ZERO)).unwrap();
    let report = plan.budget.as_ref().unwrap();
    assert_eq!(report.contradiction.is_some(), contradicts);
    assert_eq!(
        plan.removed_generations().count(),
        usize::from(!contradicts)
    );
}

#[test]
fn a_goal_keeps_recent_paths_as_well() {
    let world = world();
    let store = Open {
        young: 61,
        ..open(&world)
    };
    let mut job = with_goal(Budget::MinFree(Amount::Bytes(Bytes(700))), Span::ZERO);
    job.operations.collect = Some(CollectOperation {
        keep_recent: Some(Span::days(2)),
        ..CollectOperation::default()
    });
    let plan = planned(&world, &store, &job).unwrap();
    // One dead path is left, and the age of the stray is not known: two generations are needed beside it.
    assert_eq!(plan.removed_generations().count(), 2);
}

#[rstest]
#[case(Exact::Always, usize::MAX, true)]
#[case(Exact::IfCheap, 2000, true)]
#[case(Exact::IfCheap, 2001, false)]
#[case(Exact::Never, 0, false)]
fn paths_are_measured_where_that_is_asked_for_or_cheap(
    #[case] exact: Exact,
    #[case] paths: usize,
    #[case] measures: bool,
) {
    assert_eq!(exact.measures(paths), measures);
    assert_eq!(Exact::from_flag(true), Exact::Always);
    assert_eq!(Exact::from_flag(false), Exact::IfCheap);
}
