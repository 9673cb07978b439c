//! Names in the store directory, kept in one string: a store has hundreds of thousands of names.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use camino::Utf8Path;

use crate::domain::analysis::UnregisteredPath;
use crate::domain::graph::StoreGraph;
use crate::domain::store_path::StorePathRef;

/// Every name in the store directory but Nix's own and those that a build may be using, in the order of the file system.
#[derive(Debug, Default)]
pub(super) struct Listing {
    text: String,
    ends: Vec<usize>,
    /// What is not UTF-8, as it can be shown. No path has such a name.
    garbled: Vec<String>,
}

impl Listing {
    /// Reads the store directory.
    ///
    /// # Errors
    /// When it cannot be read to its end.
    pub(super) fn read(store: &Utf8Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in fs::read_dir(store)? {
            let name = entry?.file_name();
            // Nix's hard links, and what a build may be using: the latter is not known without taking its lock.
            if name == ".links" || name.as_bytes().starts_with(b"tmp-") {
                continue;
            }
            match name.to_str() {
                Some(name) => listing.push(name),
                None => listing.garbled.push(name.to_string_lossy().into_owned()),
            }
        }
        Ok(listing)
    }

    fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// Every so many names one.
    pub(super) fn sample(&self, step: usize) -> impl Iterator<Item = &str> {
        (0..self.len())
            .step_by(step.max(1))
            .filter_map(|at| self.get(at))
    }

    /// The names that are those of store paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.sample(1)
            .filter(|name| StorePathRef::from_base_name(name).is_ok())
    }

    /// The names that are those of no valid path.
    pub(super) fn unknown_to(&self, graph: &StoreGraph) -> Vec<UnregisteredPath> {
        let unregistered = |name: &str, exact| UnregisteredPath {
            name: name.to_string(),
            exact,
        };
        let unknown = graph.without_known(self.sample(1));
        let exact = unknown.into_iter().map(|name| unregistered(name, true));
        let garbled = self.garbled.iter().map(|name| unregistered(name, false));
        exact.chain(garbled).collect()
    }
}

#[cfg(test)]
impl<'a> FromIterator<&'a str> for Listing {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut listing = Self::default();
        names.into_iter().for_each(|name| listing.push(name));
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::graph::GraphBuilder;
    use rstest::rstest;
    use std::ffi::OsStr;

    const PATH: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-known";
    const OTHER: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-other";

    #[test]
    fn names_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Utf8Path::from_path(dir.path()).unwrap();
        for name in [PATH, OTHER, "foreign", ".links", "tmp-1-2"] {
            fs::write(store.join(name), "").unwrap();
        }
        let garbled = OsStr::from_bytes(b"a\xffb");
        let taken = fs::write(dir.path().join(garbled), "").is_ok();
        let listing = Listing::read(store).unwrap();
        let mut builder = GraphBuilder::new();
        builder.add_path(1, PATH, 1, 1, None);
        let mut unknown: Vec<(String, bool)> = listing
            .unknown_to(&builder.finish().unwrap())
            .into_iter()
            .map(|unregistered| (unregistered.name, unregistered.exact))
            .collect();
        unknown.sort();
        let mut expected = vec![(OTHER.to_string(), true), ("foreign".to_string(), true)];
        // Some file systems take UTF-8 alone.
        expected.extend(taken.then(|| ("a\u{fffd}b".to_string(), false)));
        expected.sort();
        assert_eq!(unknown, expected);
        let mut paths: Vec<&str> = listing.paths().collect();
        paths.sort_unstable();
        assert_eq!(paths, [PATH, OTHER]);
        assert_eq!(listing.len(), 3);
    }

    #[rstest]
    #[case::of_nix(".links", false)]
    #[case::of_a_build("tmp-12-34", false)]
    #[case::a_file("junkfile", true)]
    #[case::nearly_of_nix(".links2", true)]
    #[case::beside_an_output("00bgd045z0d4icpbc2yyz4gx48ak44la-known.lock", true)]
    #[case::of_a_derivation("00bgd045z0d4icpbc2yyz4gx48ak44la-known.drv.chroot", true)]
    fn trap_33_what_a_collector_deletes_is_listed(#[case] name: &str, #[case] listed: bool) {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join(name)).unwrap();
        let listing = Listing::read(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        assert_eq!(listing.len(), usize::from(listed));
    }

    #[test]
    fn a_sample_is_of_everywhere() {
        let listing: Listing = ["a", "", "ccc", "dd", "e"].into_iter().collect();
        assert_eq!(
            listing.sample(1).collect::<Vec<_>>(),
            ["a", "", "ccc", "dd", "e"]
        );
        assert_eq!(listing.sample(2).collect::<Vec<_>>(), ["a", "ccc", "e"]);
        assert_eq!(listing.sample(0).count(), 5);
        assert_eq!(Listing::default().sample(1).count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(Listing::read(Utf8Path::from_path(&gone).unwrap()).is_err());
    }
}
