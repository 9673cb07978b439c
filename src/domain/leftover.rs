//! Leftovers: files of Nix beside the store that nothing uses any more, by class and directory.

use std::collections::BTreeMap;
use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::disk_use::Taken;
use super::measure::{Bytes, Span, Timestamp, count};
use super::profile::Owner;
use super::protected::ProtectedPaths;

/// A class of leftovers.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum LeftoverClass {
    /// Directories of failed and interrupted builds.
    BuildDirs,
    /// Logs of builds.
    BuildLogs,
    /// Logs of builds whose derivation is no longer in the store.
    OrphanedBuildLogs,
    /// What Nix keeps for a user to fetch and evaluate less.
    NixCache,
    /// Files of temporary roots whose process has ended.
    TemporaryRoots,
}

impl LeftoverClass {
    /// All classes, in the order in which they are removed.
    pub const ALL: [Self; 5] = [
        Self::BuildDirs,
        Self::BuildLogs,
        Self::OrphanedBuildLogs,
        Self::NixCache,
        Self::TemporaryRoots,
    ];

    /// One entry of the class.
    pub fn noun(self) -> &'static str {
        match self {
            Self::BuildDirs => "build directory",
            Self::BuildLogs => "build log",
            Self::OrphanedBuildLogs => "orphaned build log",
            Self::NixCache => "cache entry",
            Self::TemporaryRoots => "temporary root file",
        }
    }

    /// So many entries of the class.
    pub fn count(self, entries: u64) -> String {
        count(entries, self.noun())
    }
}

impl fmt::Display for LeftoverClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = self.count(0);
        f.write_str(many.trim_start_matches("0 "))
    }
}

/// The age from which the entries of each class are removed; a class without one is left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftoversOperation(BTreeMap<LeftoverClass, Span>);

impl FromIterator<(LeftoverClass, Span)> for LeftoversOperation {
    fn from_iter<T: IntoIterator<Item = (LeftoverClass, Span)>>(ages: T) -> Self {
        Self(ages.into_iter().collect())
    }
}

impl LeftoversOperation {
    /// Every class, whatever its age.
    pub fn any_age() -> Self {
        LeftoverClass::ALL
            .map(|class| (class, Span::days(0)))
            .into_iter()
            .collect()
    }

    /// Whether no class is removed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The classes, each with the time before which its entries were last used.
    pub fn cutoffs(&self, now: Timestamp) -> impl Iterator<Item = (LeftoverClass, Timestamp)> {
        let ages = self.0.iter();
        ages.map(move |(class, age)| (*class, now.before(*age)))
    }

    /// The time before which entries of a class were last used; `None` for a class that is left alone.
    pub fn cutoff(&self, class: LeftoverClass, now: Timestamp) -> Option<Timestamp> {
        self.0.get(&class).map(|age| now.before(*age))
    }
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub struct LeftoverQuery<'a> {
    /// The classes and ages.
    pub operation: &'a LeftoversOperation,
    /// The moment that the ages count from.
    pub now: Timestamp,
    /// The paths that the settings protect.
    pub protected: &'a ProtectedPaths,
}

/// A number of entries, and what they take on disk.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct LeftoverSum {
    /// How many entries.
    pub entries: u64,
    /// Their blocks on disk, each inode once.
    pub bytes: Bytes,
    /// Their inodes.
    pub inodes: u64,
}

impl LeftoverSum {
    /// Adds an entry.
    pub fn add(&mut self, taken: Taken) {
        self.join(Self {
            entries: 1,
            bytes: taken.bytes,
            inodes: taken.inodes,
        });
    }

    /// Adds other entries.
    pub fn join(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.bytes.0 = self.bytes.0.saturating_add(other.bytes.0);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }

    /// What they take.
    pub fn taken(self) -> Taken {
        Taken {
            bytes: self.bytes,
            inodes: self.inodes,
        }
    }
}

/// The leftovers of a class in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// The class.
    pub class: LeftoverClass,
    /// The directory that they are in.
    pub dir: Utf8PathBuf,
    /// Whose directory it is.
    pub owner: Owner,
    /// Those that are old enough, and that nothing uses.
    pub old: LeftoverSum,
    /// All others.
    pub kept: LeftoverSum,
    /// When the oldest of those that are old enough was last used.
    pub oldest: Option<Timestamp>,
    /// Whether they are on the file system of the store.
    pub is_on_store: bool,
    /// Why entries are kept that are neither young nor in use: the first few, in sentences.
    pub problems: Vec<String>,
}

/// All entries of each class that has any; orphaned build logs are among the build logs.
pub fn by_class(leftovers: &[Leftovers]) -> Vec<(LeftoverClass, LeftoverSum)> {
    let mut sums: BTreeMap<LeftoverClass, LeftoverSum> = BTreeMap::new();
    for found in leftovers {
        let class = match found.class {
            LeftoverClass::OrphanedBuildLogs => LeftoverClass::BuildLogs,
            class => class,
        };
        let sum = sums.entry(class).or_default();
        sum.join(found.old);
        sum.join(found.kept);
    }
    sums.into_iter()
        .filter(|(_, sum)| sum.entries > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_a_cutoff_where_it_has_an_age() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let operation: LeftoversOperation = [(LeftoverClass::BuildLogs, Span::days(2))]
            .into_iter()
            .collect();
        let cutoff = now.before(Span::days(2));
        assert_eq!(operation.cutoff(LeftoverClass::BuildDirs, now), None);
        assert_eq!(
            operation.cutoff(LeftoverClass::BuildLogs, now),
            Some(cutoff)
        );
        let all: Vec<_> = operation.cutoffs(now).collect();
        assert_eq!(all, [(LeftoverClass::BuildLogs, cutoff)]);
        assert!(!operation.is_empty() && LeftoversOperation::default().is_empty());
    }

    #[test]
    fn classes_are_named_in_the_plural() {
        let names = LeftoverClass::ALL.map(|class| class.to_string());
        assert_eq!(
            names,
            [
                "build directories",
                "build logs",
                "orphaned build logs",
                "cache entries",
                "temporary root files"
            ]
        );
        assert_eq!(LeftoverClass::BuildDirs.count(1), "1 build directory");
    }

    #[test]
    fn sums_add_up_entries_bytes_and_inodes() {
        let mut sum = LeftoverSum::default();
        let (bytes, inodes) = (Bytes(5), 2);
        sum.add(Taken { bytes, inodes });
        sum.join(LeftoverSum {
            entries: 3,
            bytes: Bytes(u64::MAX),
            inodes: 1,
        });
        assert_eq!(
            (sum.entries, sum.bytes, sum.inodes),
            (4, Bytes(u64::MAX), 3)
        );
        assert_eq!(
            sum.taken(),
            Taken {
                bytes: Bytes(u64::MAX),
                inodes: 3
            }
        );
    }
}
