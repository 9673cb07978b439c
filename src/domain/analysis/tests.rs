//! A store of seven paths, looked at from every side.

mod division;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use rstest::rstest;

use super::*;
use crate::domain::baseline::SnapshotScope;
use crate::domain::budget::Quantity;
use crate::domain::graph::GraphBuilder;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::note::{Note, NoteCode};
use crate::domain::profile::{
    Content, Current, Generation, GenerationNumber, Owner, Profile, ProfileKind, ProfilePath,
};
use crate::domain::receipt::RunId;
use crate::domain::snapshot::{Actor, Held, Hold, MachineId, Snapshot};
use crate::domain::store_path::StorePath;

const PROFILE: &str = "/nix/var/nix/profiles/system";
/// Name, size and what it refers to. The last one is the derivation of the second one.
const PATHS: [(&str, u64, &[i64]); 7] = [
    ("glibc-2.40", 100, &[]),
    ("hello-2.12", 10, &[0]),
    ("hello-2.11", 8, &[0]),
    ("system-1", 5, &[1]),
    ("system-2", 6, &[2]),
    ("junk-1.0", 50, &[0]),
    ("hello-2.12.drv", 1, &[]),
];

fn base_name(n: usize) -> String {
    format!("{n:032}-{}", PATHS[n].0)
}

fn path(name: &str) -> StorePath<String> {
    StorePathRef::from_base_name(name).unwrap().to_owned()
}

fn graph() -> StoreGraph {
    let mut builder = GraphBuilder::new();
    for (n, (_, size, _)) in PATHS.iter().enumerate() {
        let deriver = (n == 1).then(|| base_name(6));
        let id = i64::try_from(n).unwrap();
        builder.add_path(id, &base_name(n), *size, id, deriver.as_deref());
    }
    for (n, (_, _, references)) in PATHS.iter().enumerate() {
        for reference in *references {
            builder.add_reference(i64::try_from(n).unwrap(), *reference);
        }
    }
    builder.finish().unwrap()
}

fn root(link: &str, kind: RootKind, uid: Option<u32>, to: &str) -> GcRoot {
    GcRoot {
        link: link.into(),
        entry: None,
        exact: true,
        target: None,
        store_path: Some(path(to)),
        kind,
        owner: uid.map(|uid| Owner { uid, name: None }),
        state: RootState::Live,
        made_at: None,
    }
}

fn generation(n: u32) -> String {
    format!("{PROFILE}-{n}-link")
}

/// Two generations, a user's link to what the second one needs, and a process that uses what the first one needs.
fn roots() -> Vec<GcRoot> {
    vec![
        root(&generation(1), RootKind::Profile, Some(0), &base_name(3)),
        root(&generation(2), RootKind::Profile, Some(0), &base_name(4)),
        root(
            "/home/a/result",
            RootKind::Result,
            Some(1000),
            &base_name(2),
        ),
        root("/proc/7/exe", RootKind::Process, None, &base_name(1)),
        root(
            "/home/a/gone",
            RootKind::Result,
            Some(1000),
            &format!("{:032}-gone", 99),
        ),
    ]
}

fn name(name: &str, exact: bool) -> UnregisteredPath {
    let name = name.to_string();
    UnregisteredPath { name, exact }
}

fn analysis(roots: Vec<GcRoot>) -> StoreAnalysis {
    StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: graph().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots,
        names: vec![
            name(&base_name(0), true),
            name(&format!("{:032}-stray", 50), true),
            name("odd \u{fffd}", false),
            name(".links", true),
        ],
        doubts: vec!["a directory cannot be read".to_string()],
        unknown_outputs: None,
        notes: vec![a_note()],
    })
}

fn snapshot() -> Snapshot {
    let generation = |n: u32| {
        let number = GenerationNumber(n);
        let store_path = path(&base_name(2 + usize::try_from(n).unwrap()));
        let generation = Generation {
            number,
            target: Utf8PathBuf::from(format!("/nix/store/{store_path}")),
            content: Content::Bootable(store_path),
            specialisations: Vec::new(),
            created: Timestamp::from_unix(i64::from(n), 0).unwrap(),
        };
        (number, generation)
    };
    Snapshot {
        unseen_roots: None,
        taken_at: Timestamp::from_unix(100, 0).unwrap(),
        zone: TimeZone::UTC,
        machine: MachineId("a machine".to_string()),
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        state_dir: "/nix/var/nix".into(),
        actor: Actor::Root,
        profiles: vec![Profile {
            path: ProfilePath::new(Utf8Path::new(PROFILE)).unwrap(),
            kind: ProfileKind::System,
            owner: Owner { uid: 0, name: None },
            current: Current::Known(GenerationNumber(2)),
            generations: [1, 2].map(generation).into_iter().collect(),
            is_nix_own: false,
            blocked: None,
        }],
        roots: Vec::new(),
        boot: crate::domain::boot_menu::BootState::default(),
        uses: std::collections::BTreeMap::new(),
        booted: Vec::new(),
        running: Vec::new(),
        pins: Vec::new(),
        holds: Vec::new(),
        vanished: Vec::new(),
        uptimes: BTreeMap::new(),
        flakes: Vec::new(),
        leftovers: Vec::new(),
        scope: SnapshotScope::default(),
        blockers: Vec::new(),
        notes: Vec::new(),
    }
}

fn names(store: &StoreAnalysis, nodes: impl IntoIterator<Item = NodeIdx>) -> Vec<&'static str> {
    let name = |node| {
        let position = (0..PATHS.len()).find(|&n| base_name(n) == store.graph().base_name(node));
        PATHS[position.unwrap()].0
    };
    nodes.into_iter().map(name).collect()
}

#[test]
fn dead_is_what_no_root_keeps() {
    let store = analysis(roots());
    assert_eq!(names(&store, store.dead().iter()), ["junk-1.0"]);
    assert_eq!(store.everything().count(), 7);
    assert_eq!(
        store.roots().len(),
        4,
        "a root of a path that is not valid keeps nothing"
    );
    let none = analysis(Vec::new());
    assert_eq!(none.dead().count(), 7);
    assert_eq!(store.flags(), KeepFlags::NIX_DEFAULT);
    let glibc = store.graph().find(&base_name(0)).unwrap();
    assert_eq!(store.path(glibc), format!("/nix/store/{}", base_name(0)));
    assert_eq!(store.store().as_path(), "/nix/store");
}

/// Groups of links, and the paths and bytes that only each keeps.
#[rstest]
#[case::each_alone(&["system-1-link", "system-2-link"], &[(1, 5), (1, 6)])]
#[case::what_a_process_uses_is_not_theirs(&["system-1-link system-2-link"], &[(2, 11)])]
#[case::together_what_neither_keeps_alone(&["system-2-link result"], &[(2, 14)])]
#[case::one_beside_the_other(&["system-1-link", "system-2-link result"], &[(1, 5), (2, 14)])]
#[case::no_process_belongs_to_a_group(&["system-1-link exe"], &[(1, 5)])]
#[case::an_empty_group(&["none", "result"], &[(0, 0), (0, 0)])]
fn a_group_keeps_what_no_other_root_keeps(
    #[case] groups: &[&str],
    #[case] expected: &[(u64, u64)],
) {
    let store = analysis(roots());
    let group_of = |link: &Utf8Path| {
        let name = link.file_name()?;
        let mut groups = groups.iter();
        groups.position(|group| group.split(' ').any(|of_it| name == of_it))
    };
    let weights = store.exclusive_of(groups.len(), group_of);
    let weights: Vec<_> = weights.iter().map(|w| (w.paths, w.nar_bytes.0)).collect();
    assert_eq!(weights, expected);
}

#[test]
fn a_temporary_root_keeps_every_name_with_its_hash() {
    let hash = format!("{:032}", 5);
    let temporary = |to: &str| root("/temproots/7", RootKind::Temporary, None, to);
    let with = |to: &str| {
        let mut roots = roots();
        roots.push(temporary(to));
        analysis(roots)
    };
    assert!(with(&format!("{hash}-junk-1.0.lock")).dead().is_empty());
    assert!(with(&base_name(5)).dead().is_empty());
    let store = with(&format!("{:032}-stray.lock", 50));
    assert_eq!(names(&store, store.dead().iter()), ["junk-1.0"]);
    let unregistered = |store: &StoreAnalysis| {
        let names = store.unregistered().iter();
        names.map(|name| name.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(unregistered(&store), [".links", "odd \u{fffd}"]);
    let all = unregistered(&analysis(roots()));
    assert_eq!(
        all,
        [".links", &format!("{:032}-stray", 50), "odd \u{fffd}"]
    );
    // The same hash in another kind of root keeps nothing.
    let other = root(
        "/home/b/result",
        RootKind::Result,
        None,
        &format!("{hash}-other"),
    );
    assert_eq!(analysis(vec![other]).dead().count(), 7);
}

#[test]
fn what_a_vanished_root_kept_counts_as_kept() {
    let mut store = analysis(roots());
    assert!(!store.dead().is_empty());
    let vanished = |to: &str| VanishedRoot {
        link: "/home/a/away".into(),
        store_path: path(to),
    };
    store.keep_vanished(&[
        vanished(&format!("{:032}-gone", 99)),
        vanished(&base_name(5)),
    ]);
    assert!(store.dead().is_empty());
    assert_eq!(store.roots().last().unwrap().root.link, "/home/a/away");
}

#[test]
fn doubts_are_told_only_of_what_is_dead() {
    let store = analysis(roots());
    assert!(store.is_at_most());
    let sure = StoreAnalysis {
        doubts: Vec::new(),
        ..analysis(roots())
    };
    assert!(!sure.is_at_most());
    let text = "dead paths may be over-reported: a directory cannot be read";
    let doubt = Note::new(NoteCode::DeadAtMost, text);
    assert_eq!(store.notes(true), [doubt, a_note()]);
    assert_eq!(store.notes(false), [a_note()]);
    assert_eq!(store.remarks(), [a_note()]);
}

fn a_note() -> Note {
    Note::new(NoteCode::NixSettingsUnknown, "a note")
}

#[test]
fn each_root_of_a_path_says_why_it_is_kept() {
    let mut all = roots();
    all.push(root(
        "/home/b/result",
        RootKind::Result,
        None,
        &base_name(2),
    ));
    let store = analysis(all);
    let node = |n: usize| store.graph().find(&base_name(n)).unwrap();
    let chains = |target: NodeIdx, most: usize| -> Vec<(String, Vec<&str>)> {
        let chains = store.why(target, most).into_iter();
        chains
            .map(|(root, chain)| {
                let steps = chain.steps.iter().map(|step| step.node);
                (root.root.link.to_string(), names(&store, steps))
            })
            .collect()
    };
    let hello = |link: &str| (link.to_string(), vec!["hello-2.11"]);
    let (first, second) = (hello("/home/a/result"), hello("/home/b/result"));
    let third = (generation(2), vec!["system-2", "hello-2.11"]);
    assert_eq!(chains(node(2), 9), [first.clone(), second.clone(), third]);
    assert_eq!(chains(node(2), 2), [first.clone(), second]);
    assert_eq!(chains(node(2), 1), [first]);
    assert_eq!(chains(node(5), 9), []);
}

#[test]
fn what_is_dead_is_deleted_by_name_where_its_name_is_known() {
    let mut store = analysis(roots());
    let inexact = name(&format!("{:032}-odd", 51), false);
    store.unregistered.push(inexact);
    let selection = store.into_selection();
    // The dead path, and the stray with the name of a store path.
    assert_eq!((selection.len(), selection.foreign_names()), (2, 3));
    assert!(!selection.is_the_whole_store());
}

/// The rows as name, paths, versions, own size, closure, exclusive size.
fn rows(by: GroupBy, top: usize) -> Vec<(String, u64, [Option<u64>; 4])> {
    let store = analysis(roots());
    let usage = store.usage(&snapshot(), by, top, Sets::Left);
    assert_eq!(
        (usage.by, usage.all.paths, usage.all.nar_bytes),
        (by, 7, Bytes(180))
    );
    assert_eq!((usage.dead.paths, usage.dead.nar_bytes), (1, Bytes(50)));
    let bytes = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
    usage
        .rows
        .into_iter()
        .map(|row| {
            assert!(row.set.is_empty() || by == GroupBy::Path);
            let sizes = [
                row.versions,
                bytes(row.own),
                bytes(row.closure),
                bytes(row.exclusive),
            ];
            (row.name, row.paths, sizes)
        })
        .collect()
}

fn kept(name: &str, paths: u64, closure: u64, exclusive: u64) -> (String, u64, [Option<u64>; 4]) {
    (
        name.to_string(),
        paths,
        [None, None, Some(closure), Some(exclusive)],
    )
}

#[test]
fn the_store_is_divided_by_what_keeps_it() {
    let process = format!("/proc/7/exe -> /nix/store/{}", base_name(1));
    assert_eq!(
        rows(GroupBy::Root, 9),
        [
            kept(&generation(2), 3, 114, 6),
            kept(&generation(1), 3, 115, 5),
            kept(&process, 2, 110, 0),
            kept("/home/a/result", 2, 108, 0),
        ]
    );
    assert_eq!(rows(GroupBy::Profile, 9), [kept(PROFILE, 5, 129, 11)]);
    assert_eq!(
        rows(GroupBy::Generation, 9),
        [
            kept(&format!("{PROFILE}:2"), 3, 114, 6),
            kept(&format!("{PROFILE}:1"), 3, 115, 5),
        ]
    );
    assert_eq!(
        rows(GroupBy::User, 9),
        [
            kept("0", 5, 129, 11),
            kept("(processes)", 2, 110, 0),
            kept("1000", 2, 108, 0),
        ]
    );
    // A process that uses a generation's path does not make it a generation.
    let mut of_process = roots();
    of_process[1].kind = RootKind::Process;
    let store = analysis(of_process);
    let usage = store.usage(&snapshot(), GroupBy::Generation, 9, Sets::Left);
    assert_eq!(usage.rows.len(), 1);
}

#[test]
fn the_store_is_divided_by_packages_and_paths() {
    let package = |name: &str, paths, versions, own| {
        (
            name.to_string(),
            paths,
            [Some(versions), Some(own), None, None],
        )
    };
    assert_eq!(
        rows(GroupBy::Package, 4),
        [
            package("glibc", 1, 1, 100),
            package("junk", 1, 1, 50),
            package("hello", 3, 2, 19),
            package("system", 2, 2, 11),
        ]
    );
    let of_path = |n: usize, paths, own, closure| {
        let name = format!("/nix/store/{}", base_name(n));
        (name, paths, [None, Some(own), Some(closure), None])
    };
    assert_eq!(
        rows(GroupBy::Path, 2),
        [of_path(0, 1, 100, 100), of_path(5, 2, 50, 150)]
    );
}

#[rstest]
#[case(GroupBy::Root, 1, 3, &["system-2"])]
#[case(GroupBy::Profile, 1, 0, &["system-1", "system-2"])]
#[case(GroupBy::Package, 3, 1, &["glibc-2.40"])]
#[case(GroupBy::Path, 5, 2, &["glibc-2.40"])]
fn the_paths_of_a_row_are_listed_where_they_are_asked_for(
    #[case] by: GroupBy,
    #[case] top: usize,
    #[case] more: u64,
    #[case] first: &[&str],
) {
    let store = analysis(roots());
    let usage = store.usage(&snapshot(), by, top, Sets::Listed);
    assert_eq!((usage.rows.len(), usage.more), (top, more));
    assert_eq!(names(&store, usage.rows[0].set.iter().copied()), first);
}

#[test]
fn a_root_costs_its_closure_and_what_it_alone_keeps() {
    let store = analysis(roots());
    let sizes = store.sizes(&snapshot());
    let cost = |size: Size| (size.closure.map(|b| b.0), size.exclusive.map(|b| b.0));
    let of = |link: &str, n: usize| cost(sizes.of(Utf8Path::new(link), Some(&path(&base_name(n)))));
    assert_eq!(of(&generation(1), 3), (Some(115), Some(5)));
    assert_eq!(of("/home/a/result", 2), (Some(108), Some(0)));
    assert_eq!(of("/no/root", 4), (Some(114), Some(0)));
    assert_eq!(
        of("/home/a/result", 5),
        (None, None),
        "nobody asked for its closure"
    );
    assert_eq!(
        cost(sizes.of(Utf8Path::new("/home/a/result"), None)),
        (None, None)
    );
    let with_older = |n: usize| {
        let path = path(&base_name(n + 2));
        let link = generation(u32::try_from(n).unwrap());
        sizes.of(Utf8Path::new(&link), Some(&path)).with_older
    };
    // Both need the same path, which only the second one frees.
    assert_eq!(
        (with_older(1), with_older(2)),
        (Some(Bytes(5)), Some(Bytes(11)))
    );
    let roots = roots();
    assert_eq!(cost(sizes.of_root(&roots[0])), (Some(115), Some(5)));
    assert_eq!(cost(sizes.of_root(&roots[3])), (Some(110), Some(0)));
    // Without the first generation the process alone keeps something.
    let store = analysis(roots[1..].to_vec());
    let sizes = store.sizes(&snapshot());
    assert_eq!(cost(sizes.of_root(&roots[3])), (Some(110), Some(11)));
}

#[test]
fn the_parts_of_a_store_add_up_to_it() {
    let (mut roots, mut snapshot) = (roots(), snapshot());
    let hold = |n: u32, day: i64| Hold {
        run: RunId::at(Timestamp::from_unix(day, 0).unwrap(), 1),
        link: format!("/holds/{n}").into(),
        store_path: path(&base_name(2 + usize::try_from(n).unwrap())),
        held: Held::Root {
            root: "/gone".into(),
        },
        until: Timestamp::from_unix(day, 0).unwrap(),
        intact: true,
    };
    // The first generation is gone and held; its hold ends last.
    snapshot.holds = vec![hold(1, 200), hold(2, 100)];
    let number = GenerationNumber(1);
    snapshot.profiles[0].generations.remove(&number);
    for held in &snapshot.holds {
        let path = held.store_path.to_string();
        roots.push(root(held.link.as_str(), RootKind::Hold, None, &path));
    }
    let store = analysis(roots[1..].to_vec());
    let shares = store.shares(&snapshot);
    let all = store.graph().weight(&store.everything());
    let paths: u64 = shares.iter().map(|share| share.weight.paths).sum();
    let bytes: u64 = shares.iter().map(|share| share.weight.nar_bytes.0).sum();
    assert_eq!((paths, bytes), (all.paths, all.nar_bytes.0));
    let of = |keeper: &dyn Fn(&Keeper) -> bool| {
        let found = shares.iter().find(|share| keeper(&share.keeper)).unwrap();
        (found.roots, found.weight.nar_bytes.0)
    };
    let holds = |day: i64| {
        let until = Timestamp::from_unix(day, 0).unwrap();
        of(&|keeper| matches!(keeper, Keeper::Holds { until: end, .. } if *end == until))
    };
    assert_eq!((holds(100), holds(200)), ((1, 0), (1, 16)));
    assert_eq!(of(&|keeper| matches!(keeper, Keeper::Profile(_))), (1, 0));
    assert_eq!(of(&|keeper| *keeper == Keeper::OtherRoots), (1, 0));
    assert_eq!(of(&|keeper| *keeper == Keeper::Processes), (1, 0));
    sharing_adds_up(&store, &snapshot);
}

/// Exclusive, shared and dead paths are the store, however many groups are joined.
fn sharing_adds_up(store: &StoreAnalysis, snapshot: &Snapshot) {
    let all = store.graph().weight(&store.everything());
    for top in 0..6 {
        let sharing = store.sharing(snapshot, top);
        let exclusive = sharing.groups.iter().map(|keeping| keeping.exclusive);
        let shared = sharing.shared.iter().chain(&sharing.smaller);
        let parts = exclusive.chain(shared.map(|part| part.weight));
        let sum = parts.fold(sharing.dead, |mut sum, part| {
            sum.add(part);
            sum
        });
        assert_eq!(sum, all);
        let joined = |keeping: &&Keeping| matches!(keeping.group, RootGroup::Others { .. });
        let runtime = |keeping: &&Keeping| keeping.group == RootGroup::Processes;
        let named = sharing
            .groups
            .iter()
            .filter(|it| !joined(it) && !runtime(it));
        assert!(named.count() <= top);
    }
}

#[test]
fn groups_share_what_both_keep() {
    let store = analysis(roots()[..4].to_vec());
    let sharing = store.sharing(&snapshot(), 9);
    let groups = sharing.groups.iter();
    let groups = groups.map(|it| (it.group.clone(), it.roots, it.exclusive.nar_bytes.0));
    let profile = ProfilePath::new(Utf8Path::new(PROFILE)).unwrap();
    // The process uses what the profile keeps, and is no group.
    let expected = [
        (RootGroup::Profile(profile), 2, 22),
        (RootGroup::Root("/home/a/result".into()), 1, 0),
    ];
    assert_eq!(groups.collect::<Vec<_>>(), expected);
    let shared: Vec<_> = sharing
        .shared
        .iter()
        .map(|it| (&it.keepers[..], it.weight.nar_bytes.0))
        .collect();
    assert_eq!(shared, [(&[0, 1][..], 108)]);
    assert_eq!((sharing.smaller, sharing.dead.nar_bytes.0), (None, 50));
    let joined = store.sharing(&snapshot(), 1);
    assert_eq!(joined.groups[1].group, RootGroup::Others { groups: 1 });
}

#[test]
fn what_alone_keeps_the_most_is_told_first() {
    let store = analysis(roots()[1..].to_vec());
    let process = format!("/proc/7/exe -> /nix/store/{}", base_name(1));
    let all = store.largest_without(&[], 9);
    assert_eq!(
        all,
        [(process.clone(), Bytes(11)), (generation(2), Bytes(6))]
    );
    let link = generation(2);
    let without = store.largest_without(&[Utf8Path::new(&link)], 9);
    let result = ("/home/a/result".to_string(), Bytes(8));
    assert_eq!(without, [(process.clone(), Bytes(11)), result]);
    assert_eq!(store.largest_without(&[], 1), [(process, Bytes(11))]);
}

#[test]
fn source_trees_of_one_name_and_size_are_shown_together() {
    let mut builder = GraphBuilder::new();
    let name = |n: i64, name: &str| format!("{n:032}-{name}");
    let trees = [
        ("source", 10),
        ("source", 10),
        ("source", 30),
        ("a-source", 10),
        ("source.drv", 99),
        ("resource", 99),
        ("source-2", 99),
    ];
    for (n, (tree, size)) in (1..).zip(trees) {
        builder.add_path(n, &name(n, tree), size, 0, None);
    }
    let store = StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: builder.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots: vec![root("/a", RootKind::Result, None, &name(1, "source"))],
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: None,
        notes: Vec::new(),
    });
    let row = |row: &UsageRow| {
        let (own, dead) = (row.own.unwrap().0, row.dead.unwrap());
        (
            row.name.clone(),
            row.paths,
            own,
            dead.paths,
            dead.nar_bytes.0,
        )
    };
    let usage = store.usage(&snapshot(), GroupBy::Source, 2, Sets::Listed);
    let rows: Vec<_> = usage.rows.iter().map(row).collect();
    let expected = [("source", 1, 30, 1, 30), ("source", 2, 20, 1, 10)];
    assert_eq!(
        rows,
        expected.map(|(a, b, c, d, e)| (a.to_string(), b, c, d, e))
    );
    assert_eq!(usage.rows[1].set.len(), 2);
    assert_eq!(
        (usage.more, usage.all.paths, usage.all.nar_bytes.0),
        (1, 4, 60)
    );
    assert_eq!((usage.dead.paths, usage.dead.nar_bytes.0), (3, 50));
    let left = store.usage(&snapshot(), GroupBy::Source, 9, Sets::Left);
    assert!(left.rows.len() == 3 && left.rows[0].set.is_empty());
}

#[test]
fn what_live_paths_were_built_with_is_kept_with_its_price() {
    let name = |n: i64, end: &str| format!("{n:032}-p{end}");
    let (out, out_drv) = (name(1, ""), name(2, ".drv"));
    let (tool_drv, tool) = (name(3, ".drv"), name(4, ""));
    let mut builder = GraphBuilder::new();
    builder.add_path(1, &out, 1, 0, Some(&out_drv));
    builder.add_path(2, &out_drv, 1, 0, None);
    builder.add_path(3, &tool_drv, 1, 0, None);
    builder.add_path(4, &tool, 20, 0, Some(&tool_drv));
    builder.add_path(5, &name(5, ""), 300, 0, None);
    builder.add_reference(2, 3);
    builder.add_output(2, &out);
    builder.add_output(3, &tool);
    let mut store = StoreAnalysis::new(StoreData {
        store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
        graph: builder.finish().unwrap().into(),
        flags: KeepFlags::NIX_DEFAULT,
        roots: vec![root("/result", RootKind::Result, None, &out)],
        names: Vec::new(),
        doubts: Vec::new(),
        unknown_outputs: Some("unknown outputs".to_string()),
        notes: Vec::new(),
    });
    let bytes = |store: &StoreAnalysis| {
        let predicted = store.predict_collection(&RemovedLinks::default());
        (predicted.now.nar_bytes.0, predicted.built_with.nar_bytes.0)
    };
    assert_eq!(bytes(&store), (320, 0));
    assert!(
        !store.is_at_most(),
        "without keep-outputs nothing hangs on it"
    );
    store.keep_build_dependencies();
    assert_eq!(bytes(&store), (300, 20));
    assert_eq!(store.dead().count(), 1);
    assert!(store.is_at_most());
    // What nobody knows is not deleted.
    let refused = store.into_selection().without_build_dependencies();
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("unknown outputs"), "{why}");
}

#[rstest]
#[case("hello", true)]
#[case("hell", false)]
#[case("", false)]
fn a_package_is_there_if_a_path_of_it_is(#[case] package: &str, #[case] is: bool) {
    assert_eq!(analysis(Vec::new()).has_package(package), is);
}

#[test]
fn each_link_alone_keeps_so_much() {
    let store = analysis(roots());
    let each = store.exclusive_by_link();
    let of = |link: &str| each.get(Utf8Path::new(link)).map(|bytes| bytes.0);
    assert_eq!((of(&generation(1)), of(&generation(2))), (Some(5), Some(6)));
    assert_eq!(of("/home/a/result"), Some(0));
    assert_eq!(of("/proc/7/exe"), None, "it is no link");
}

#[test]
fn a_root_of_nobody_known_is_of_an_unknown_user() {
    let mut nobodys = roots();
    nobodys[2].owner = None;
    let store = analysis(nobodys);
    let usage = store.usage(&snapshot(), GroupBy::User, 9, Sets::Left);
    let users: Vec<_> = usage.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(users, ["0", "(processes)", "(unknown)"]);
}

/// Two profiles with a generation each, of which the second one keeps more, and a hold that nobody knows.
#[test]
fn a_store_is_shared_by_profiles_from_the_largest() {
    let mut snapshot = snapshot();
    let mut second = snapshot.profiles[0].clone();
    second.path = ProfilePath::new(Utf8Path::new("/nix/var/nix/profiles/work")).unwrap();
    let number = |n| GenerationNumber(n);
    snapshot.profiles[0].generations.remove(&number(2));
    second.generations.remove(&number(1));
    let work = second.path.link(number(2));
    snapshot.profiles.push(second);
    let store = analysis(vec![
        root(&generation(1), RootKind::Profile, Some(0), &base_name(2)),
        root(work.as_str(), RootKind::Profile, Some(0), &base_name(5)),
        // The booted system is the generation that it was made from.
        root("/run/booted-system", RootKind::System, None, &base_name(5)),
        root("/holds/unknown", RootKind::Hold, None, &base_name(4)),
    ]);
    let shares = store.shares(&snapshot);
    let of_profiles = shares.iter().filter_map(|share| match &share.keeper {
        Keeper::Profile(path) => Some((path.name(), share.roots, share.weight.nar_bytes.0)),
        _ => None,
    });
    let of_profiles: Vec<_> = of_profiles.collect();
    assert_eq!(of_profiles, [("work", 2, 50), ("system", 1, 0)]);
    let roots = |keeper: &Keeper| {
        let found = shares.iter().find(|share| share.keeper == *keeper);
        found.map(|share| share.roots)
    };
    assert_eq!(roots(&Keeper::UnknownHolds), Some(1));
    assert_eq!(roots(&Keeper::OtherRoots).unwrap_or_default(), 0);
}

/// Snapshots may keep the blocks of a path: a link is no gain that frees it and nothing else.
#[test]
fn a_link_whose_paths_weigh_nothing_frees_nothing() {
    let store = analysis(roots()[..2].to_vec());
    let links = [generation(1), generation(2)];
    let links: Vec<&Utf8Path> = links.iter().map(Utf8Path::new).collect();
    let sequence = store.removal_sequence(&[], &links, None);
    // What the second generation needs.
    let shared = [0, 2, 4].map(|n| store.graph().find(&base_name(n)).unwrap());
    let shared = store.graph().set_of(shared);
    let weigh = |dead: &NodeSet| {
        let size = store.graph().nar_size(&dead.without(&shared));
        Ok::<_, std::convert::Infallible>(Quantity(size.0))
    };
    let reached = sequence.fewest_to_free(Quantity(u64::MAX), weigh).unwrap();
    let free = sequence.links_that_free(&reached, weigh).unwrap();
    assert_eq!(free, [Utf8Path::new(&generation(1))]);
}
