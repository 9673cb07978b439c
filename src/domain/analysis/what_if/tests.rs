use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;

use super::*;
use crate::domain::analysis::{RemovedLinks, StoreData};
use crate::domain::graph::{GraphBuilder, KeepFlags};
use crate::domain::measure::Timestamp;
use crate::domain::root::{GcRoot, RootKind, RootState};
use crate::domain::store_path::{StoreDir, StorePathRef};

/// A store, links to its paths of which the first ones may be removed, and what becomes of each of these.
#[derive(Debug, Clone)]
struct World {
    sizes: Vec<u64>,
    references: BTreeSet<(usize, usize)>,
    links: Vec<usize>,
    others: Vec<usize>,
    fates: Vec<Fate>,
    recent: Option<i64>,
}

fn worlds() -> impl Strategy<Value = World> {
    let fate = prop::sample::select(vec![Fate::Kept, Fate::RemovedNow, Fate::Held]);
    (1usize..16).prop_flat_map(move |paths| {
        let node = 0..paths;
        (
            prop::collection::vec(0u64..50, paths),
            prop::collection::btree_set((node.clone(), node.clone()), 0..3 * paths),
            prop::collection::vec((node.clone(), fate.clone()), 0..7),
            prop::collection::vec(node, 0..3),
            prop::option::of(0i64..20),
        )
            .prop_map(|(sizes, references, links, others, recent)| {
                let (links, fates) = links.into_iter().unzip();
                World {
                    sizes,
                    references,
                    links,
                    others,
                    fates,
                    recent,
                }
            })
    })
}

impl World {
    fn analysis(&self) -> StoreAnalysis {
        let name = |path: usize| format!("{path:032}-p");
        let mut builder = GraphBuilder::new();
        let id = |path: usize| i64::try_from(path).unwrap();
        for (path, size) in self.sizes.iter().enumerate() {
            builder.add_path(id(path), &name(path), *size, id(path), None);
        }
        for &(from, to) in &self.references {
            builder.add_reference(id(from), id(to));
        }
        let root = |link: Utf8PathBuf, path: usize| GcRoot {
            link,
            entry: None,
            exact: true,
            target: None,
            store_path: Some(
                StorePathRef::from_base_name(&name(path))
                    .unwrap()
                    .to_owned(),
            ),
            kind: RootKind::Profile,
            owner: None,
            state: RootState::Live,
            made_at: None,
        };
        let links = self.links.iter().enumerate();
        let links = links.map(|(at, path)| root(link(at), *path));
        let others = self.others.iter().enumerate();
        let others = others.map(|(at, path)| root(format!("/other/{at}").into(), *path));
        StoreAnalysis::new(StoreData {
            store: StoreDir::new(Utf8Path::new("/nix/store")).unwrap(),
            graph: builder.finish().unwrap().into(),
            flags: KeepFlags::NIX_DEFAULT,
            roots: links.chain(others).collect(),
            names: Vec::new(),
            doubts: Vec::new(),
            unknown_outputs: None,
            notes: Vec::new(),
        })
    }

    fn what_if(&self, analysis: &StoreAnalysis) -> WhatIf {
        let links: Vec<Utf8PathBuf> = (0..self.links.len()).map(link).collect();
        WhatIf::new(
            analysis,
            links.iter().map(|link| Some(link.as_path())),
            self.recent,
        )
    }
}

fn link(at: usize) -> Utf8PathBuf {
    format!("/link/{at}").into()
}

fn sum(weights: &[Weight]) -> Weight {
    let mut sum = Weight::default();
    for weight in weights {
        sum.add(*weight);
    }
    sum
}

proptest! {
    #[test]
    fn marks_free_what_a_plan_of_them_predicts(world in worlds()) {
        let analysis = world.analysis();
        let with = |fate| {
            let fates = world.fates.iter().enumerate();
            fates.filter(move |(_, of)| **of == fate).map(|(at, _)| link(at)).collect()
        };
        let predicted = analysis.predict_collection(&RemovedLinks {
            now: with(Fate::RemovedNow),
            when_windows_end: with(Fate::Held),
            registered_before: world.recent.and_then(|at| Timestamp::from_unix(at, 0)),
        });
        let freed = world.what_if(&analysis).together(&analysis, &world.fates);
        prop_assert_eq!(freed.now, predicted.now);
        prop_assert_eq!(freed.later, predicted.later);
    }

    #[test]
    fn together_is_no_less_than_the_sum_of_each_alone(world in worlds()) {
        let world = World { recent: None, ..world };
        let analysis = world.analysis();
        let what_if = world.what_if(&analysis);
        let freed = what_if.together(&analysis, &world.fates);
        let alone = what_if.alone(&analysis);
        let marked = alone.iter().zip(&world.fates).filter(|(_, fate)| **fate != Fate::Kept);
        let marked: Vec<Weight> = marked.map(|(weight, _)| *weight).collect();
        let mut all = freed.now;
        all.add(freed.later);
        let mut least = sum(&marked);
        least.add(what_if.dead());
        prop_assert!(all.nar_bytes >= least.nar_bytes && all.paths >= least.paths);
    }

    #[test]
    fn one_more_mark_frees_what_was_said_of_it(world in worlds(), index: prop::sample::Index) {
        prop_assume!(!world.links.is_empty());
        let world = World { recent: None, ..world };
        let analysis = world.analysis();
        let what_if = world.what_if(&analysis);
        let at = index.index(world.links.len());
        let all = |fates: &[Fate]| {
            let freed = what_if.together(&analysis, fates);
            freed.now.nar_bytes.0 + freed.later.nar_bytes.0
        };
        let added = what_if.in_addition(&analysis, &world.fates)[at].nar_bytes.0;
        let mut fates = world.fates.clone();
        if fates[at] == Fate::Kept {
            fates[at] = Fate::Held;
            prop_assert_eq!(all(&fates), all(&world.fates) + added);
        } else {
            prop_assert_eq!(added, 0);
        }
    }
}

/// Two generations share a path; a process uses another one that the first of them has.
#[test]
fn what_is_shared_is_freed_with_the_last_mark() {
    let world = World {
        sizes: vec![1, 20, 300, 4000],
        references: [(1, 0), (2, 0)].into(),
        links: vec![1, 2],
        others: Vec::new(),
        fates: Vec::new(),
        recent: None,
    };
    let analysis = world.analysis();
    let what_if = world.what_if(&analysis);
    let freed = |fates: &[Fate]| {
        let freed = what_if.together(&analysis, fates);
        (freed.now.nar_bytes.0, freed.later.nar_bytes.0)
    };
    assert_eq!(freed(&[]), (4000, 0));
    assert_eq!(freed(&[Fate::Held]), (4000, 20));
    assert_eq!(freed(&[Fate::RemovedNow]), (4020, 0));
    assert_eq!(freed(&[Fate::RemovedNow, Fate::Held]), (4020, 301));
    assert_eq!(freed(&[Fate::Held, Fate::Held]), (4000, 321));
    let alone = what_if.alone(&analysis);
    assert_eq!(
        alone.iter().map(|it| it.nar_bytes.0).collect::<Vec<_>>(),
        [20, 300]
    );
    let rest = what_if.in_addition(&analysis, &[Fate::Held]);
    assert_eq!(
        rest.iter().map(|it| it.nar_bytes.0).collect::<Vec<_>>(),
        [0, 301]
    );
}
