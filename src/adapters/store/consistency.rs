//! Check that the database and the store directory belong together.

use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::graph::StoreGraph;
use crate::domain::measure::count_with_verb;
use crate::domain::root::{GcRoot, RootKind, RootState};
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::StoreDir;
use crate::ports::{StoreReadError, StoreReadTrouble, error_chain};

use super::listing::Listing;

/// So many paths that only the database or only the directory has are more than an accident, if they are the larger part:
/// more than Nix takes from caches at one time, as it unpacks those before they have a row.
const MANY: usize = 20;
/// So many names are looked up first.
const SAMPLE: usize = 256;
/// So many paths are named as examples.
const EXAMPLES: usize = 3;

/// What Nix adds to the name of a path that it builds or checks. Of a path that is valid such a leftover is evidence for the
/// same store, and of any other it is no evidence at all: no database knows it.
const BESIDE_A_PATH: [&str; 3] = [".lock", ".chroot", ".check"];

/// The facts that decide whether a database and a store directory belong together.
pub(super) struct StoreComparison<'a> {
    /// The valid paths, if they can be read.
    pub(super) graph: Result<&'a StoreGraph, &'a StoreReadError>,
    /// What is in the store directory.
    pub(super) names: &'a Listing,
    /// The store directory.
    pub(super) store: &'a StoreDir,
}

/// Why a collection is refused.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) blocker: Blocker,
    /// Whether it may be due to what came while we looked, so that another look at the database can settle it.
    pub(super) may_pass: bool,
}

impl StoreComparison<'_> {
    /// Refuses to collect where the names of the directory, or the targets of roots, are not those of the database: Nix
    /// takes what its database does not know for garbage, whatever leads there. A direct collection that was cut off deletes rows
    /// before files, so it may have left any number of names: `left_files`.
    pub(super) fn mismatch(
        &self,
        snapshot: &Snapshot,
        left_files: impl FnOnce() -> bool,
    ) -> Option<Mismatch> {
        match self.graph {
            Ok(graph) => rooted(graph, snapshot).or_else(|| self.by_names(graph, left_files)),
            // Nix makes a database where there is none, and knows no path in it.
            Err(error) if error.kind == StoreReadTrouble::NoDatabase => {
                let any = self.names.paths().find(|name| path_beside(name).is_none());
                any.map(|_| mismatch(error_chain(error), false))
            }
            Err(_) => None,
        }
    }

    fn by_names(&self, graph: &StoreGraph, left_files: impl FnOnce() -> bool) -> Option<Mismatch> {
        let valid = graph.len();
        if is_plausible(self.names, valid, |name| graph.find(name).is_some()) {
            return None;
        }
        let mut unknown = graph.without_known(self.names.paths());
        let present = self.names.paths().count() - unknown.len();
        unknown.retain(|name| path_beside(name).is_none());
        let count = Count {
            valid,
            present,
            unknown: unknown.len(),
        };
        let is_explained = || !count.lacks_its_paths() && left_files();
        (count.is_of_two_stores() && !is_explained()).then(|| {
            let Count { present, unknown, .. } = count;
            let message = format!(
                "the database and the store directory {} belong to different stores: of {valid} valid paths {present} \
                 exist, and {unknown} existing paths are not in the database",
                self.store
            );
            // What came is unknown; nothing that came makes valid paths be missing.
            mismatch(message, !count.lacks_its_paths())
        })
    }
}

/// What the database and the directory have in common.
#[derive(Debug, Clone, Copy)]
struct Count {
    /// Paths that the database knows.
    valid: usize,
    /// Those of them that are in the directory.
    present: usize,
    /// Paths in the directory that the database does not know.
    unknown: usize,
}

impl Count {
    /// What a build leaves behind is never the larger part of a store, unless the store is hardly begun.
    fn is_of_two_stores(self) -> bool {
        self.lacks_its_paths() || self.is_many(self.unknown)
    }

    /// Whether what the database knows is not there.
    fn lacks_its_paths(self) -> bool {
        let absent = self.valid.saturating_sub(self.present);
        (self.valid > 0 && self.present == 0) || self.is_many(absent)
    }

    fn is_many(self, mismatched: usize) -> bool {
        mismatched >= MANY && mismatched > self.present
    }
}

/// What somebody wants kept is there, and the database does not know it: of an older copy of the database, of one that lost
/// its last rows in a crash, or of another store's.
fn rooted(graph: &StoreGraph, snapshot: &Snapshot) -> Option<Mismatch> {
    let unknown = |root| Some((root, unknown_target(graph, root)?));
    let unknown: Vec<(&GcRoot, String)> = snapshot.roots.iter().filter_map(unknown).collect();
    let (GcRoot { link, .. }, path) = unknown.first()?;
    let others = unknown.iter().take(EXAMPLES).skip(1);
    let others: Vec<String> = others.map(|(root, _)| format!(", {}", root.link)).collect();
    let others = others.concat();
    let roots = count_with_verb(unknown.len(), "root", "point");
    let message =
        format!("{roots} to existing paths that are not in the database: {link} to {path}{others}");
    Some(mismatch(message, true))
}

fn unknown_target(graph: &StoreGraph, root: &GcRoot) -> Option<String> {
    // What a process uses may be on its way into the store, and a locked input is wanted only if it is valid.
    let lasting = !root.kind.is_runtime() && root.kind != RootKind::FlakeInput;
    let name = root.store_path.as_ref()?.to_string();
    // What Nix leaves beside a path is nobody's to keep, whatever leads there.
    let lasting = lasting && path_beside(&name).is_none();
    (lasting && root.state == RootState::Live && graph.find(&name).is_none()).then_some(name)
}

/// The path beside which Nix leaves such a name.
fn path_beside(name: &str) -> Option<&str> {
    let mut paths = BESIDE_A_PATH
        .iter()
        .filter_map(|end| name.strip_suffix(end));
    paths.next()
}

/// Whether some names, from everywhere in the directory, are nearly all known, and there are about as many as valid paths.
/// In a store that is in order the others need not be looked up.
fn is_plausible(names: &Listing, valid: usize, known: impl Fn(&str) -> bool) -> bool {
    let sample = || names.sample(names.len() / SAMPLE);
    let mismatched = sample().filter(|name| !known(name)).count();
    valid > 0 && mismatched * 16 <= sample().count() && valid <= names.len() + names.len() / 4
}

fn mismatch(message: String, may_pass: bool) -> Mismatch {
    let hint = "check NIX_STORE_DIR and NIX_STATE_DIR, or restore the database from a copy; a collection would delete \
                paths that are not in the database";
    Mismatch {
        blocker: Blocker::new(CheckCode::StoreMismatch, message, hint.to_string()),
        may_pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use rstest::rstest;

    #[rstest]
    #[case::nothing_at_all(0, 0, 0, false)]
    #[case::hardly_begun(0, 0, MANY - 1, false)]
    #[case::a_database_that_was_made_anew(0, 0, MANY, true)]
    #[case::few_paths_and_what_a_crash_left(2, 2, MANY - 1, false)]
    #[case::few_paths_and_much_that_nobody_knows(2, 2, MANY, true)]
    #[case::as_many_known_as_unknown(MANY, MANY, MANY, false)]
    #[case::more_unknown_than_known(MANY, MANY, MANY + 1, true)]
    #[case::one_valid_path_which_is_not_there(1, 0, 0, true)]
    #[case::a_few_valid_paths_are_not_there(MANY, 1, 0, false)]
    #[case::most_valid_paths_are_not_there(MANY + 1, 1, 0, true)]
    #[case::half_of_the_valid_paths_are_not_there(2 * MANY, MANY, 0, false)]
    #[case::the_larger_half_is_not_there(2 * MANY + 1, MANY, 0, true)]
    #[case::all_is_well(100_000, 100_000, 300, false)]
    fn two_stores(
        #[case] valid: usize,
        #[case] present: usize,
        #[case] unknown: usize,
        #[case] expected: bool,
    ) {
        let count = Count {
            valid,
            present,
            unknown,
        };
        assert_eq!(count.is_of_two_stores(), expected);
    }

    /// How many of these names a database that knows `valid` paths finds to be of another store.
    fn of_two_stores(
        valid: usize,
        present: usize,
        beside: &[&str],
        of: usize,
        left_files: bool,
    ) -> bool {
        let path = |n: usize| format!("{n:0>32}-x");
        let mut builder = crate::domain::graph::GraphBuilder::new();
        for n in 0..valid {
            builder.add_path(i64::try_from(n).unwrap() + 1, &path(n), 1, 1, None);
        }
        let graph = builder.finish().unwrap();
        let mut names: Vec<String> = (0..present).map(path).collect();
        let left = (0..of).flat_map(|n| beside.iter().map(move |end| path(n) + end));
        names.extend(left);
        let names: Listing = names.iter().map(String::as_str).collect();
        let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
        let both = StoreComparison {
            graph: Ok(&graph),
            names: &names,
            store: &store,
        };
        both.by_names(&graph, || left_files).is_some()
    }

    #[rstest]
    #[case::beside_each_valid_path(10, 10, &[".lock", ".chroot", ".check"], 10, false)]
    #[case::beside_many(25, 25, &[".lock", ".chroot"], 25, false)]
    #[case::beside_paths_that_are_gone(1, 1, &[".lock", ".chroot"], 500, false)]
    #[case::other_names_are_strangers(25, 25, &[".drv", "-lib"], 25, true)]
    #[case::the_paths_themselves_are_not_there(25, 0, &[".lock", ".check"], 25, true)]
    fn what_builds_leave_beside_paths_is_of_no_other_store(
        #[case] valid: usize,
        #[case] present: usize,
        #[case] beside: &[&str],
        #[case] of: usize,
        #[case] expected: bool,
    ) {
        assert_eq!(of_two_stores(valid, present, beside, of, false), expected);
    }

    /// It explains names without rows, and not rows without names.
    #[rstest]
    #[case::names_that_nobody_knows(25, 25, 400, false)]
    #[case::the_paths_are_not_there(25, 0, 400, true)]
    fn a_collection_that_was_cut_off_leaves_names(
        #[case] valid: usize,
        #[case] present: usize,
        #[case] left: usize,
        #[case] expected: bool,
    ) {
        assert!(of_two_stores(valid, present, &["-left"], left, false));
        assert_eq!(
            of_two_stores(valid, present, &["-left"], left, true),
            expected
        );
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:0>32}-x")).collect()
    }

    /// The quick look may only pass what the count passes.
    #[rstest]
    fn the_quick_look_passes_nothing_that_the_count_refuses(
        #[values(0, 1, 19, 20, 21, 300, 1000, 5000)] present: usize,
        #[values(0, 1, 19, 20, 21, 300, 1000, 5000)] unknown: usize,
        #[values(0, 1, 19, 20, 21, 300, 1000, 5000)] absent: usize,
    ) {
        let names = names(present + unknown);
        // Mismatches at the end, where they are hardest to find.
        let known = |name: &str| names.iter().take(present).any(|known| known == name);
        let count = Count {
            valid: present + absent,
            present,
            unknown,
        };
        if count.is_of_two_stores() && names.len() <= 600 {
            let names = names.iter().map(String::as_str).collect();
            assert!(!is_plausible(&names, count.valid, known));
        }
    }
}
