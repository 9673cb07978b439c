//! Deletion by name: what Nix refuses, what comes alive meanwhile, and when everything is left to Nix.

use nix_prune::domain::collect::CollectMethod;
use nix_prune::domain::plan::CollectFacts;
use nix_prune::engine::{Collection, collect};
use nix_prune::operations::ActionContext;

use super::rounds::{DEAD, Kind, StoreData, deleted, world};
use super::*;

fn collected(world: &World, method: CollectMethod) -> Collection {
    collect(&StoreData(world), world, world, method)
}

fn dead(range: std::ops::Range<u32>) -> BTreeSet<StorePath<String>> {
    range.map(|n| path(DEAD + n)).collect()
}

/// Two generations and ten dead paths.
fn ten() -> World {
    world(Kind::Honest, &[16; 2], &[8; 10])
}

/// Only the engine collects, after a last look; an action that did nothing must not count as done.
#[test]
fn a_collection_is_no_action_like_others() {
    let world = ten();
    let context = ActionContext {
        nix: &world,
        hold: None,
        protected: &ProtectedPaths::default(),
    };
    let action = Action::Collect(CollectFacts::default());
    let performed = action.operation().perform(&context);
    assert!(matches!(performed, Err(PerformError::Stale(_))));
    assert_eq!(world.disk.borrow().len(), 12);
}

#[rstest]
#[case(CollectMethod::Auto)]
#[case(CollectMethod::Selective)]
fn what_is_dead_is_deleted_and_told(#[case] method: CollectMethod) {
    let world = ten();
    let collection = collected(&world, method);
    assert!(collection.outcome.is_ok() && collection.refused.is_empty());
    assert_eq!(collection.detail(), None);
    let deleted = collection.deleted.unwrap();
    assert_eq!(deleted.into_iter().collect::<BTreeSet<_>>(), dead(0..10));
    let of_ten = Collected {
        paths: Some(10),
        bytes: Some(Bytes(10_000)),
    };
    assert_eq!((collection.collected, world.collections.get()), (of_ten, 0));
    assert_eq!(world.disk.borrow().len(), 2);
}

#[test]
fn what_nix_refuses_stays_and_the_rest_is_deleted() {
    let world = ten();
    let refused = [path(DEAD + 7), path(DEAD)];
    world.refuses.borrow_mut().extend(refused.clone());
    let collection = collected(&world, CollectMethod::Auto);
    assert!(collection.outcome.is_ok());
    assert_eq!(
        collection
            .refused
            .iter()
            .map(|r| &r.path)
            .collect::<Vec<_>>(),
        refused.each_ref()
    );
    assert_eq!((deleted(&world).len(), world.collections.get()), (8, 0));
    let detail = collection.detail().unwrap();
    assert!(detail.contains("2 dead paths were not deleted"), "{detail}");
    assert_eq!(
        world.tidied.get(),
        1,
        "the last call of Nix broke off before it tidied up"
    );
}

#[test]
fn what_comes_alive_after_a_refusal_is_not_tried() {
    let world = ten();
    world.refuses.borrow_mut().insert(path(DEAD + 9));
    *world.comes_alive.borrow_mut() = Some(path(DEAD + 5));
    // The world panics when a path is deleted that something keeps.
    let collection = collected(&world, CollectMethod::Auto);
    assert!(collection.outcome.is_ok());
    assert_eq!(collection.refused.len(), 1);
    assert!(!deleted(&world).contains(&path(DEAD + 5)));
    assert_eq!(deleted(&world).len(), 8);
}

#[rstest]
#[case(CollectMethod::Auto, 1, "full collection by nix-collect-garbage")]
#[case(CollectMethod::Selective, 0, "8 more dead paths were not deleted")]
fn many_refusals_end_it(
    #[case] method: CollectMethod,
    #[case] collections: usize,
    #[case] says: &str,
) {
    let world = world(Kind::Honest, &[16; 2], &[8; 40]);
    world.refuses.borrow_mut().extend(dead(0..40));
    let collection = collected(&world, method);
    assert!(collection.outcome.is_ok());
    assert_eq!(
        (collection.refused.len(), world.collections.get()),
        (32, collections)
    );
    let detail = collection.detail().unwrap();
    assert!(
        detail.contains(says) && detail.contains("and 24 more"),
        "{detail}"
    );
    assert_eq!(collection.deleted.is_none(), collections > 0);
    assert_eq!(world.tidied.get(), 1 - collections);
}

#[rstest]
#[case(CollectMethod::Auto, true, Some("nix-collect-garbage"))]
#[case(CollectMethod::Full, true, None)]
#[case(CollectMethod::Selective, false, None)]
fn a_nix_that_is_not_known_collects_wholly_or_not_at_all(
    #[case] method: CollectMethod,
    #[case] collects: bool,
    #[case] says: Option<&str>,
) {
    let world = ten();
    world.only_wholly.set(true);
    let collection = collected(&world, method);
    assert_eq!(collection.outcome.is_ok(), collects);
    assert_eq!(world.collections.get(), usize::from(collects));
    assert_eq!(world.disk.borrow().len(), if collects { 2 } else { 12 });
    assert_eq!(collection.detail().is_some(), says.is_some());
    assert!(says.is_none_or(|says| collection.detail().unwrap().contains(says)));
}

#[test]
fn a_request_to_stop_ends_it() {
    let world = ten();
    world.stop_after_drops.set(Some(0));
    let collection = collected(&world, CollectMethod::Auto);
    assert!(matches!(
        collection.outcome,
        Err(PerformError::Interrupted { .. })
    ));
    assert_eq!(deleted(&world), []);
}

/// As many paths go into one call of Nix as its arguments have room for.
#[rstest]
#[case::three(3, 4)]
#[case::one(1, 10)]
#[case::all(10, 1)]
fn paths_are_deleted_in_batches(#[case] of: usize, #[case] deletions: usize) {
    let world = ten();
    let per_path = 20;
    let bytes = of * (path(DEAD).to_string().len() + per_path);
    world.limit.set(Some(ArgLimit { bytes, per_path }));
    let collection = collected(&world, CollectMethod::Auto);
    assert!(collection.outcome.is_ok());
    assert_eq!(
        (deleted(&world).len(), world.deletions.get()),
        (10, deletions)
    );
}

/// A generation goes only once it is held, if that was promised.
#[test]
fn what_was_promised_a_hold_is_not_removed_without_one() {
    let world = World::new(9, 9);
    let plan = plan_of(&world.snapshot().unwrap(), &job(Span::days(7)));
    let action = plan.actions().next().unwrap().action;
    assert!(action.removed_generation().is_some());
    let context = ActionContext {
        nix: &world,
        hold: None,
        protected: &ProtectedPaths::default(),
    };
    let performed = action.operation().perform(&context);
    assert!(matches!(performed, Err(PerformError::Stale(_))));
    assert_eq!(world.numbers().len(), 9);
}

#[test]
fn what_was_said_in_one_round_is_not_said_again() {
    let collection = |notes: &[&str], paths| Collection {
        notes: notes.iter().map(ToString::to_string).collect(),
        collected: Collected {
            paths,
            bytes: Some(Bytes(10)),
        },
        ..Collection::default()
    };
    let mut all = collection(&["a"], Some(1));
    all.join(collection(&["a", "b"], Some(2)));
    assert_eq!(all.detail().as_deref(), Some("a; b"));
    assert_eq!(
        all.collected,
        Collected {
            paths: Some(3),
            bytes: Some(Bytes(20))
        }
    );
    // What is not known of one is not known of all.
    all.join(collection(&[], None));
    assert_eq!(all.collected.paths, None);
}
