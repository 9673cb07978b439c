//! The boot menu: when a plan refreshes it, and what becomes of the rest when that fails.

use nix_prune::domain::boot_menu::{BootEntry, BootMenu, SeenMenu};
use nix_prune::domain::budget::{Budget, DiskGoal, DiskUsage, ReleaseHolds};
use nix_prune::domain::job::BootMenuOperation;
use nix_prune::domain::plan::{BootFacts, Plan};

use super::*;
use crate::support::recheck;

/// Eight generations, the last one current and able to write the menu.
fn world() -> World {
    let world = World::new(8, 8);
    world.boot.borrow_mut().writer = Some(path(8));
    world
}

fn refreshing(window: Span) -> Job {
    let mut job = job(window);
    job.operations.boot_menu = Some(BootMenuOperation::default());
    job
}

/// A menu with these generations of `profile`, each with a kernel of its own; those of the second list are not there.
fn menu(profile: Option<&str>, generations: &[u32], missing: &[u32]) -> BootMenu {
    let file = |n: &u32| Utf8PathBuf::from(format!("EFI/nixos/{n}.efi"));
    let entry = |n: &u32| BootEntry {
        profile: profile.map(ToString::to_string),
        generation: GenerationNumber(*n),
        files: [file(n)].into(),
    };
    let there = generations.iter().filter(|n| !missing.contains(n));
    BootMenu {
        dir: "/boot".into(),
        free: Bytes(0),
        entries: generations.iter().map(entry).collect(),
        default: None,
        sizes: there.map(|n| (file(n), Bytes(1))).collect(),
    }
}

fn refresh(system: u32) -> Action {
    let system = path(system);
    Action::RefreshBootMenu(BootFacts { system })
}

fn refreshes(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| step.action == refresh(8))
}

fn outcomes(receipt: &Receipt) -> Vec<Outcome> {
    let entries = receipt.entries.iter();
    let refreshes = entries.filter(|it| matches!(it.action, Action::RefreshBootMenu(_)));
    refreshes.map(|entry| entry.outcome).collect()
}

#[test]
fn the_menu_is_refreshed_after_the_collection() {
    let world = world();
    let mut job = refreshing(Span::days(7));
    job.operations.maintenance = vec![Action::Optimise(OptimiseFacts::default())];
    let receipt = run(&world, &job).unwrap();
    let last: Vec<&Action> = receipt
        .entries
        .iter()
        .rev()
        .take(3)
        .map(|it| &it.action)
        .collect();
    assert!(matches!(
        last[..],
        [
            Action::Optimise(_),
            Action::RefreshBootMenu(_),
            Action::Collect(_)
        ]
    ));
    assert_eq!(
        (outcomes(&receipt), world.refreshes.get()),
        (vec![Outcome::Done], 1)
    );
    let entry = receipt.entries.iter().rev().nth(1).unwrap();
    assert_eq!(entry.detail.as_deref(), Some("updating the menu"));
    // There is nothing for the next run.
    let again = run(&world, &job).unwrap();
    assert_eq!((outcomes(&again), world.refreshes.get()), (vec![], 1));
}

#[rstest]
#[case::nothing_known(SeenMenu::None, false)]
#[case::not_understood(SeenMenu::Unknown("/boot: it is a symbolic link".to_string()), false)]
#[case::as_it_should_be(SeenMenu::Known(menu(None, &[7, 8], &[])), false)]
#[case::a_removed_one(SeenMenu::Known(menu(None, &[7, 8, 9], &[])), true)]
#[case::left_behind_by_another_boot_loader(SeenMenu::Known(menu(None, &[7, 8, 9], &[9])), false)]
#[case::of_an_unknown_profile(SeenMenu::Known(menu(Some("work"), &[9], &[])), false)]
fn a_menu_that_lists_a_removed_generation_is_refreshed(
    #[case] menu: SeenMenu,
    #[case] expected: bool,
) {
    let world = world();
    world.boot.borrow_mut().menu = menu;
    let mut job = refreshing(Span::days(7));
    job.operations.generations = None;
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    assert_eq!(refreshes(&plan), expected);
    let receipt = run(&world, &job).unwrap();
    assert_eq!(
        outcomes(&receipt),
        vec![Outcome::Done; usize::from(expected)]
    );
    job.operations.boot_menu = None;
    assert!(!refreshes(&plan_of(&world.snapshot().unwrap(), &job)));
}

type Change = fn(&mut Snapshot);

#[rstest]
#[case::no_system_of_nixos(|it: &mut Snapshot| it.boot.writer = None, "has no bin/switch-to-configuration")]
#[case::no_profile(|it: &mut Snapshot| it.profiles[0].kind = ProfileKind::NamedSystem, "no profile `system`")]
#[case::of_another_user(|it: &mut Snapshot| { it.actor = Actor::User(1); it.profiles[0].owner.uid = 0 }, "only 0 may do that")]
#[case::another_default(|it: &mut Snapshot| it.boot.menu = SeenMenu::Known(BootMenu { default: Some(path(7)), ..menu(None, &[7, 9], &[]) }), "by default")]
fn a_menu_that_cannot_be_refreshed_is_named(#[case] change: Change, #[case] why: &str) {
    let world = world();
    world.boot.borrow_mut().menu = SeenMenu::Known(menu(None, &[9], &[]));
    let job = refreshing(Span::days(7));
    let mut snapshot = world.snapshot().unwrap();
    let before = refresh(8);
    assert_eq!(recheck(&before, &snapshot, None), Ok(()));
    change(&mut snapshot);
    let plan = plan_of(&snapshot, &job);
    assert!(!refreshes(&plan));
    let mut notes = plan.notes.iter().map(|note| note.text.as_str());
    assert!(
        notes
            .any(|text| text.starts_with("The boot menu is not refreshed: ") && text.contains(why)),
        "{:?}",
        plan.notes
    );
    assert!(recheck(&before, &snapshot, None).is_err_and(|text| text.contains(why)));
}

#[test]
fn the_default_of_the_menu_may_be_the_current_system() {
    let world = world();
    let default = Some(path(8));
    world.boot.borrow_mut().menu = SeenMenu::Known(BootMenu {
        default,
        ..menu(None, &[9], &[])
    });
    assert!(refreshes(&plan_of(
        &world.snapshot().unwrap(),
        &refreshing(Span::days(7))
    )));
}

#[test]
fn another_current_system_makes_the_refresh_stale() {
    let world = world();
    let snapshot = world.snapshot().unwrap();
    assert_eq!(recheck(&refresh(8), &snapshot, None), Ok(()));
    let why = recheck(&refresh(7), &snapshot, None).unwrap_err();
    assert!(why.contains("no longer"), "{why}");
}

#[test]
fn a_failure_undoes_nothing_else() {
    let world = world();
    world.fail_refresh.set(true);
    let receipt = run(&world, &refreshing(Span::days(7))).unwrap();
    assert_eq!(outcomes(&receipt), [Outcome::Failed]);
    assert_eq!(receipt.count(Outcome::Done), receipt.entries.len() - 1);
    assert_eq!(world.numbers(), [6, 7, 8]);
}

#[test]
fn without_a_removal_nothing_is_refreshed() {
    let world = world();
    world.fail_drop.set(true);
    let receipt = run(&world, &refreshing(Span::days(7))).unwrap();
    assert_eq!(
        (outcomes(&receipt), world.refreshes.get()),
        (vec![Outcome::Retained], 0)
    );
}

#[test]
fn what_an_undo_restores_is_on_the_menu_again() {
    let world = world();
    let with = run(&world, &refreshing(Span::days(7))).unwrap().run;
    let undone = world.engine().undo(Some(&with), &[]).unwrap();
    assert_eq!(
        (outcomes(&undone), world.refreshes.get()),
        (vec![Outcome::Done], 2)
    );
    assert_eq!(world.numbers().len(), 8);
    world.now.set(NOW + 60);
    // A run that left the menu alone is undone in the same way, and so is one on a machine that is no NixOS any more.
    let without = run(&world, &job(Span::days(7))).unwrap().run;
    let undone = world.engine().undo(Some(&without), &[]).unwrap();
    assert_eq!(outcomes(&undone), []);
    world.now.set(NOW + 120);
    let with = run(&world, &refreshing(Span::days(7))).unwrap().run;
    world.boot.borrow_mut().writer = None;
    let undone = world.engine().undo(Some(&with), &[]).unwrap();
    assert_eq!((outcomes(&undone), world.refreshes.get()), (vec![], 3));
}

#[test]
fn a_refresh_that_was_interrupted_may_be_repeated() {
    let world = world();
    let mut receipt = run(&world, &refreshing(Span::days(7))).unwrap();
    let entry = receipt
        .entries
        .iter_mut()
        .find(|it| it.action == refresh(8))
        .unwrap();
    entry.outcome = Outcome::Pending;
    receipt.finished_at = None;
    world
        .journal
        .borrow_mut()
        .insert(receipt.run.clone(), receipt.clone());
    let settled = world.engine().resume().unwrap();
    assert_eq!(outcomes(&settled[0]), [Outcome::Skipped]);
}

/// Generations 1 to 8 with a kernel of ten bytes each, of which the job may remove 1 to 5; the budget of the store is reached.
fn within_budget(world: &World, min_free: u64, window: Span) -> (Plan, Snapshot) {
    let mut job = refreshing(window);
    let min_free = Some(Bytes(min_free));
    job.operations.boot_menu = Some(BootMenuOperation { min_free });
    let budget = Budget::min_free("1K".parse().unwrap()).unwrap();
    let goal = DiskGoal::new(budget, ReleaseHolds::Never);
    job.budget = Some(goal);
    let job = unrestricted(&job);
    let snapshot = world.snapshot().unwrap();
    let usage = DiskUsage::default();
    let mut plan = Plan::build_when_within_budget(&snapshot, &job, goal, usage);
    crate::engine::plan::boot_menu::fit(&mut plan, &snapshot, &job);
    (plan, snapshot)
}

fn full_menu() -> BootMenu {
    let mut menu = menu(None, &[1, 2, 3, 4, 5, 6, 7, 8], &[]);
    menu.sizes.values_mut().for_each(|size| *size = Bytes(10));
    menu
}

/// Lets the first generation use the kernel of the second one.
fn share(menu: &mut BootMenu, one: usize, other: usize) {
    menu.entries[one - 1].files = menu.entries[other - 1].files.clone();
}

type Alter = fn(&mut BootMenu);

#[rstest]
#[case::one(10, |_: &mut BootMenu| {}, &[1], 10, 0)]
#[case::as_many_as_it_takes(25, |_: &mut BootMenu| {}, &[1, 2, 3], 30, 0)]
#[case::not_enough(60, |_: &mut BootMenu| {}, &[1, 2, 3, 4, 5], 50, 10)]
#[case::reached(40, |menu: &mut BootMenu| menu.free = Bytes(40), &[], 0, 0)]
#[case::a_kernel_of_two(10, |menu: &mut BootMenu| share(menu, 1, 2), &[1, 2], 10, 0)]
#[case::a_kernel_that_stays_in_use(10, |menu: &mut BootMenu| share(menu, 1, 8), &[2], 10, 0)]
#[case::one_that_is_not_on_it(10, |menu: &mut BootMenu| drop(menu.entries.remove(0)), &[2], 10, 0)]
#[case::of_another_profile(10, |menu: &mut BootMenu| menu.entries[0].profile = Some("work".to_string()), &[2], 10, 0)]
fn as_few_are_removed_as_the_menu_needs(
    #[case] min_free: u64,
    #[case] alter: Alter,
    #[case] removed: &[u32],
    #[case] frees: u64,
    #[case] missing: u64,
) {
    let world = world();
    let mut menu = full_menu();
    alter(&mut menu);
    world.boot.borrow_mut().menu = SeenMenu::Known(menu);
    let (plan, _) = within_budget(&world, min_free, Span::days(7));
    let numbers: Vec<u32> = plan.removed_generations().map(|it| it.number.0).collect();
    assert_eq!(numbers, removed);
    let report = plan.boot_menu.as_ref().unwrap();
    assert_eq!(
        (report.frees, report.missing),
        (Bytes(frees), Bytes(missing))
    );
    assert_eq!(refreshes(&plan), !removed.is_empty());
    assert!(
        plan.removals()
            .all(|removal| removal.risk == RiskLevel::High)
    );
}

#[test]
fn an_entry_that_is_gone_frees_its_kernel_without_a_removal() {
    let world = world();
    let mut menu = full_menu();
    menu.entries[0].generation = GenerationNumber(9);
    world.boot.borrow_mut().menu = SeenMenu::Known(menu);
    let (plan, _) = within_budget(&world, 10, Span::days(7));
    assert_eq!(plan.removals().count(), 0);
    assert!(refreshes(&plan));
    assert_eq!(plan.boot_menu.unwrap().missing, Bytes(0));
}

#[test]
fn nothing_is_removed_for_a_menu_that_cannot_be_refreshed_or_understood() {
    let world = world();
    world.boot.borrow_mut().menu = SeenMenu::Known(full_menu());
    // Without an undo window the removal of a system is critical.
    let (plan, _) = within_budget(&world, 10, Span::ZERO);
    assert_eq!(plan.removals().count(), 0);
    assert_eq!(plan.boot_menu.unwrap().missing, Bytes(10));
    world.boot.borrow_mut().writer = None;
    let (plan, _) = within_budget(&world, 10, Span::days(7));
    assert!(plan.is_empty());
    assert_eq!(plan.boot_menu.unwrap().missing, Bytes(10));
    for (menu, why) in [
        (SeenMenu::None, "no boot menu"),
        (SeenMenu::Unknown("/boot: odd".to_string()), "/boot: odd"),
    ] {
        world.boot.borrow_mut().menu = menu;
        let (plan, _) = within_budget(&world, 10, Span::days(7));
        assert!(plan.is_empty() && plan.boot_menu.is_none());
        assert!(plan.notes.iter().any(|note| note.text.contains(why)));
    }
}

#[test]
fn a_run_measures_what_is_free_on_the_menu() {
    let world = world();
    world.boot.borrow_mut().menu = SeenMenu::Known(full_menu());
    let (plan, _) = within_budget(&world, 15, Span::days(7));
    for (free, missing) in [(Some(20), None), (Some(14), Some(Bytes(1))), (None, None)] {
        world.boot_free.set(free.map(Bytes));
        let approved = gate(&plan, RunKind::Run).unwrap();
        let receipt = world.engine().apply(approved, None).unwrap();
        let outcome = receipt.boot_menu.unwrap();
        assert_eq!(
            (outcome.free, outcome.missing()),
            (free.map(Bytes), missing)
        );
    }
    assert_eq!(world.numbers(), [3, 4, 5, 6, 7, 8]);
}
