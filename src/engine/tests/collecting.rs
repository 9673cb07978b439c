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
    assert_eq!(collection.deleted, Some(dead(0..10)));
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
    assert!(
        detail.contains("refused to delete 2 of the dead paths"),
        "{detail}"
    );
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
