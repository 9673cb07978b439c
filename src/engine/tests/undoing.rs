//! Undos in part: which run they find, what they restore, and what is left.

use nix_prune::domain::undo::ItemRef;

use super::*;

fn items(texts: &[&str]) -> Vec<ItemRef> {
    let item = |text: &&str| ItemRef::parse(text).unwrap();
    texts.iter().map(item).collect()
}

/// Two runs, of which the first removed generations 1 to 6 and a root, and the second 7 and 8.
fn twice() -> (World, RunId, RunId) {
    let world = World::new(9, 9);
    let first = run(&world, &job(Span::days(7))).unwrap().run;
    for n in [10, 11] {
        world.links.borrow_mut().insert(n, (target(n), created(n)));
        world.disk.borrow_mut().insert(path(n));
    }
    world.current.set(11);
    world.now.set(NOW + 60);
    let second = run(&world, &job(Span::days(7))).unwrap().run;
    assert_eq!(world.numbers(), [9, 10, 11]);
    (world, first, second)
}

#[rstest]
#[case::latest(None, &[], &[7, 8, 9, 10, 11])]
#[case::one_of_the_latest(None, &["system:8"], &[8, 9, 10, 11])]
#[case::one_of_the_first(None, &["system:3"], &[3, 9, 10, 11])]
#[case::a_range(Some(0), &["system:2..4"], &[2, 3, 4, 9, 10, 11])]
#[case::a_range_that_is_larger(Some(1), &["system:5..99"], &[7, 8, 9, 10, 11])]
#[case::two(Some(0), &["system:1", "/state/profiles/system:6"], &[1, 6, 9, 10, 11])]
#[case::one_twice(Some(0), &["system:1", "system:1..2"], &[1, 2, 9, 10, 11])]
#[case::a_profile(Some(0), &["system"], &[1, 2, 3, 4, 5, 6, 9, 10, 11])]
fn an_undo_restores_what_is_named(
    #[case] run: Option<usize>,
    #[case] texts: &[&str],
    #[case] numbers: &[u32],
) {
    let (world, first, second) = twice();
    let run = run.map(|nth| [first, second][nth].clone());
    let preview = world.engine().preview_undo(run.as_ref(), &items(texts));
    let preview = preview.unwrap();
    assert_eq!(world.numbers(), [9, 10, 11], "a preview restores nothing");
    assert!(preview.items.iter().all(|item| item.obstacle.is_none()));
    let undone = world.engine().undo(run.as_ref(), &items(texts)).unwrap();
    assert_eq!(world.numbers(), numbers);
    let actions = |item: &nix_prune::domain::receipt::Entry| item.action.clone();
    let done: Vec<Action> = undone.entries.iter().map(actions).collect();
    let shown: Vec<Action> = preview.items.into_iter().map(|it| it.action).collect();
    assert_eq!(done, shown, "the preview is what is done");
}

#[test]
fn a_root_is_restored_alone() {
    let (world, first, _) = twice();
    assert!(world.entries.borrow().is_empty());
    let undone = world
        .engine()
        .undo(None, &items(&["/gone/result"]))
        .unwrap();
    assert_eq!(undone.kind, RunKind::Undo(first));
    assert_eq!(undone.entries.len(), 1);
    assert_eq!(world.entries.borrow().len(), 1);
    assert_eq!(world.numbers(), [9, 10, 11]);
}

#[test]
fn what_was_undone_in_part_stays_undoable_for_the_rest() {
    let world = World::new(9, 9);
    let before = world.links.borrow().clone();
    let run = run(&world, &job(Span::days(7))).unwrap().run;
    for texts in [&["system:2..3"][..], &["system:5"]] {
        world.engine().undo(None, &items(texts)).unwrap();
    }
    assert_eq!(world.numbers(), [2, 3, 5, 7, 8, 9]);
    assert_eq!(
        world.holds.borrow().len(),
        3,
        "only what is restored needs no hold"
    );
    let again = world.engine().undo(Some(&run), &items(&["system:5"]));
    assert!(matches!(again, Err(EngineError::NothingToUndo { why }) if why.contains("already")));
    let rest = world.engine().undo(None, &[]).unwrap();
    assert_eq!(rest.count(Outcome::Done), 4, "three generations and a root");
    assert_eq!(*world.links.borrow(), before);
    assert!(world.holds.borrow().is_empty());
}

#[rstest]
#[case::number(None, &["system:9"])]
#[case::one_is_wrong(None, &["system:8", "system:9"])]
#[case::of_two_runs(None, &["system:1", "system:8"])]
#[case::of_another_run(Some(1), &["system:1"])]
#[case::profile(None, &["sytem:1"])]
#[case::link(None, &["/gone/reslt"])]
fn a_wrong_item_restores_nothing(#[case] run: Option<usize>, #[case] texts: &[&str]) {
    let (world, first, second) = twice();
    let run = run.map(|nth| [&first, &second][nth]);
    let Err(EngineError::NoSuchItem {
        item, items: known, ..
    }) = world.engine().undo(run, &items(texts))
    else {
        panic!("it was found");
    };
    assert!(texts.contains(&item.as_str()));
    assert_eq!(known[0], "/state/profiles/system:7..8");
    assert_eq!(world.numbers(), [9, 10, 11]);
}

#[test]
fn a_root_that_vanished_is_named_with_its_target() {
    let world = World::new(9, 9);
    world.lose_root(50);
    run(&world, &job(Span::days(7))).unwrap();
    let undone = world.engine().undo(None, &items(&["/gone/50/result"]));
    let Err(EngineError::Vanished {
        link, path: held, ..
    }) = undone
    else {
        panic!("{undone:?}");
    };
    assert_eq!(link, "/gone/50/result");
    assert!(held.as_str().ends_with(&path(50).to_string()));
}

#[rstest]
#[case::taken(3, "taken")]
#[case::not_held(4, "no longer held")]
fn a_preview_says_what_may_fail(#[case] n: u32, #[case] why: &str) {
    let world = World::new(9, 9);
    run(&world, &job(Span::days(7))).unwrap();
    world.links.borrow_mut().insert(3, (target(9), created(9)));
    let released = |path: &StorePath<String>| *path == super::path(4);
    world.holds.borrow_mut().retain(|_, path| !released(path));
    let item = format!("system:{n}");
    let preview = world.engine().preview_undo(None, &items(&[&item])).unwrap();
    let obstacle = preview.items[0].obstacle.as_deref().unwrap();
    assert!(obstacle.contains(why), "{obstacle}");
}
