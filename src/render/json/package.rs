//! The document of `du PACKAGE --json` and `why PACKAGE --json`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::analysis::{StoreAnalysis, StoreRoot};
use crate::domain::graph::NodeIdx;
use crate::domain::measure::Bytes;
use crate::domain::note::Note;
use crate::domain::profile::{GenerationNumber, ProfileNames, ProfilePath};
use crate::domain::root::RootKind;
use crate::domain::snapshot::Snapshot;
use crate::render::text::{count, ranges};

/// The versions of a package.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/package/1"))]
    pub schema: &'static str,
    /// The package.
    pub package: String,
    /// Its paths, by name.
    pub versions: Vec<PackagePathDocument>,
    /// Their NAR size.
    pub nar_bytes: Bytes,
    /// Notes.
    pub notes: Vec<Note>,
}

/// A path of a package.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackagePathDocument {
    /// The path.
    pub path: String,
    /// Its NAR size.
    pub nar_bytes: Bytes,
    /// What keeps it: `system:1-55`, a link, `2 processes`; empty if it is dead.
    pub kept_by: Vec<String>,
}

/// The versions of a package, without derivations.
pub fn package(snapshot: &Snapshot, inspection: &StoreAnalysis, package: &str) -> PackageDocument {
    let graph = inspection.graph();
    let name = |node: &NodeIdx| graph.base_name(*node).split_once('-').map(|(_, name)| name);
    let mut nodes: Vec<NodeIdx> = inspection.package_paths(package).collect();
    nodes.sort_by(|a, b| name(a).cmp(&name(b)));
    let keepers = Keepers::of(snapshot);
    let version = |&node: &NodeIdx| {
        let roots = inspection.why(node, usize::MAX);
        let roots = roots.into_iter().map(|(root, _)| root);
        PackagePathDocument {
            path: inspection.path(node),
            nar_bytes: graph.nar_size_of(node),
            kept_by: keepers.names(roots),
        }
    };
    let versions: Vec<_> = nodes.iter().map(version).collect();
    PackageDocument {
        schema: "nix-prune/package/1",
        package: package.to_string(),
        notes: inspection.notes(versions.iter().any(|version| version.kept_by.is_empty())),
        versions,
        nar_bytes: graph.nar_size(&graph.set_of(nodes.iter().copied())),
    }
}

/// The names under which roots are shown: generations by their profile, processes by their number.
struct Keepers<'a> {
    names: ProfileNames<'a>,
    generations: BTreeMap<camino::Utf8PathBuf, (&'a ProfilePath, GenerationNumber)>,
}

impl<'a> Keepers<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let links = snapshot.profiles.iter().flat_map(|profile| {
            let numbers = profile.generations.keys();
            numbers.map(|n| (profile.path.link(*n), (&profile.path, *n)))
        });
        Self {
            names: snapshot.profiles.iter().map(|it| &it.path).collect(),
            generations: links.collect(),
        }
    }

    fn names<'r>(&self, roots: impl Iterator<Item = &'r StoreRoot>) -> Vec<String> {
        let mut profiles: BTreeMap<&ProfilePath, BTreeSet<u32>> = BTreeMap::new();
        let (mut links, mut holds, mut processes) = (BTreeSet::new(), 0_usize, 0_usize);
        for root in roots {
            match (root.root.kind, self.generations.get(&root.root.link)) {
                (RootKind::Process | RootKind::Temporary, _) => processes += 1,
                (_, Some((profile, number))) => {
                    profiles.entry(profile).or_default().insert(number.0);
                }
                (RootKind::Hold, None) => holds += 1,
                _ => {
                    links.insert(root.root.link.to_string());
                }
            }
        }
        let profiles = profiles.iter();
        let profiles = profiles
            .map(|(profile, numbers)| format!("{}:{}", self.names.of(profile), ranges(numbers)));
        let counted = [(holds, "hold"), (processes, "process")];
        let counted = counted.into_iter().filter(|(number, _)| *number > 0);
        let counted = counted.map(|(number, noun)| count(number, noun));
        profiles.chain(links).chain(counted).collect()
    }
}
