//! Links of roots that a rule removes: held, removed, restored, and killed at every step of that.

use nix_prune::domain::root_rules::RootRule;
use nix_prune::domain::root_use::{LastUse, LinkUse, SeenUse, UseSignal};

use super::*;

const LINK: &str = "/home/alice/src/old/result";

pub(super) fn root_of(
    (link, (path, time)): (&Utf8PathBuf, &(StorePath<String>, Timestamp)),
) -> GcRoot {
    let store = StoreDir::new(Utf8Path::new("/store")).unwrap();
    GcRoot {
        link: link.clone(),
        entry: Some("/state/gcroots/auto/link".into()),
        exact: true,
        target: Some(path.to_absolute_path(&store)),
        store_path: Some(path.clone()),
        kind: RootKind::Result,
        owner: Some(Owner {
            uid: 1000,
            name: Some("alice".to_string()),
        }),
        state: RootState::Live,
        made_at: Some(*time),
    }
}

pub(super) fn used(at: Timestamp) -> LinkUse {
    LinkUse::Seen(SeenUse {
        last: LastUse {
            at,
            signal: UseSignal::Link,
        },
        project_gone: false,
        elsewhere: false,
        out_of_reach: false,
    })
}

/// A machine with a link of 100 days that only a rule removes.
fn world() -> World {
    let world = World::new(3, 3);
    world.disk.borrow_mut().insert(path(60));
    let made = created(0);
    world
        .root_links
        .borrow_mut()
        .insert(LINK.into(), (path(60), made));
    world.entries.borrow_mut().clear();
    world
}

fn job(window: Span) -> Job {
    let mut job = super::job(window);
    job.operations.roots = Some(RootsOperation {
        dangling: false,
        rules: vec![RootRule {
            unused_for: Some(Span::days(30)),
            ..RootRule::default()
        }],
        removed_users: None,
    });
    job
}

fn is_held(world: &World) -> bool {
    world.holds.borrow().values().any(|held| *held == path(60))
}

fn undo(world: &World) -> Result<Receipt, EngineError> {
    world.engine().undo(None, &[])
}

#[test]
fn a_link_is_held_removed_and_restored() {
    let world = world();
    let before = world.root_links.borrow().clone();
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert!(world.root_links.borrow().is_empty() && is_held(&world));
    assert!(world.disk.borrow().contains(&path(60)));
    let removed =
        |entry: &&nix_prune::domain::receipt::Entry| entry.action.removed_link().is_some();
    let entry = receipt.entries.iter().find(removed).unwrap();
    assert_eq!(
        (entry.outcome, entry.risk),
        (Outcome::Done, RiskLevel::Medium)
    );
    let preview = world.engine().preview_undo(None, &[]).unwrap();
    assert_eq!(preview.items.len(), 1);
    assert_eq!(preview.items[0].obstacle, None);
    undo(&world).unwrap();
    assert_eq!(*world.root_links.borrow(), before);
    assert!(!is_held(&world), "the restored link needs no hold");
}

#[test]
fn without_an_undo_window_it_is_collected_at_once() {
    let world = world();
    let receipt = run(&world, &job(Span::ZERO)).unwrap();
    assert!(world.root_links.borrow().is_empty());
    assert_eq!(receipt.entries[0].risk, RiskLevel::High);
    assert!(!is_held(&world));
    assert!(matches!(
        undo(&world),
        Err(EngineError::NothingToUndo { .. })
    ));
}

#[test]
fn a_hold_that_fails_keeps_the_link() {
    let world = world();
    world.fail_hold.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.entries[0].outcome, Outcome::Failed);
    assert_eq!(world.root_links.borrow().len(), 1);
}

#[test]
fn a_removal_that_fails_needs_no_hold() {
    let world = world();
    world.fail_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.entries[0].outcome, Outcome::Failed);
    assert!(!is_held(&world) && world.root_links.borrow().len() == 1);
}

#[test]
fn a_removal_that_fails_after_it_was_done_counts_as_done() {
    let world = world();
    world.lie_about_drop.set(true);
    let receipt = run(&world, &job(Span::days(7))).unwrap();
    assert_eq!(receipt.entries[0].outcome, Outcome::Done);
    assert!(is_held(&world));
    undo(&world).unwrap();
    assert_eq!(world.root_links.borrow().len(), 1);
}

#[test]
fn a_link_whose_hold_has_ended_cannot_be_restored() {
    let world = world();
    run(&world, &job(Span::days(7))).unwrap();
    world.holds.borrow_mut().clear();
    world.collect_garbage();
    let first = world.journal.borrow().keys().next().cloned();
    let preview = world.engine().preview_undo(first.as_ref(), &[]).unwrap();
    let obstacle = preview.items[0].obstacle.as_deref();
    assert_eq!(obstacle, Some("it is no longer held"));
}

#[test]
fn a_link_that_was_used_since_the_plan_is_kept() {
    let world = world();
    let job = job(Span::days(7));
    let plan = plan_of(&world.snapshot().unwrap(), &job);
    let now = Timestamp::from_unix(NOW, 0).unwrap();
    world
        .root_links
        .borrow_mut()
        .insert(LINK.into(), (path(60), now));
    let approved = gate(&plan, RunKind::Run).unwrap();
    let receipt = world.engine().apply(approved, Some(&unrestricted(&job)));
    assert_eq!(receipt.unwrap().entries[0].outcome, Outcome::Stale);
    assert_eq!(world.root_links.borrow().len(), 1);
}

#[test]
fn killed_at_any_point_it_is_there_or_held_and_can_be_restored() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = world();
            let before = world.root_links.borrow().clone();
            let job = job(Span::days(7));
            if !dies_at(&world, n, after, |world| drop(run(world, &job))) {
                break;
            }
            points += 1;
            let at = format!("after a death at point {n} ({after})");
            world.collect_garbage();
            assert!(world.disk.borrow().contains(&path(60)), "lost {at}");
            run(&world, &job).unwrap();
            assert!(
                world.root_links.borrow().is_empty() && is_held(&world),
                "{at}"
            );
            while undo(&world).is_ok_and(|undone| undone.count(Outcome::Done) > 0) {}
            assert_eq!(*world.root_links.borrow(), before, "{at}");
        }
    }
    assert!(points > 10, "only {points} points");
}

#[test]
fn an_undo_killed_at_any_point_is_finished_by_the_next_one() {
    let mut points = 0;
    for after in [false, true] {
        for n in 0.. {
            let world = world();
            let before = world.root_links.borrow().clone();
            run(&world, &job(Span::days(7))).unwrap();
            if !dies_at(&world, n, after, |world| drop(undo(world))) {
                break;
            }
            points += 1;
            world.collect_garbage();
            while undo(&world).is_ok_and(|undone| undone.count(Outcome::Done) > 0) {}
            let at = format!("after a death at point {n} ({after})");
            assert_eq!(*world.root_links.borrow(), before, "{at}");
            assert!(world.disk.borrow().contains(&path(60)), "lost {at}");
        }
    }
    assert!(points > 5, "only {points} points");
}
