//! Maintenance of the store: what an optimisation saved, what a check found, and what is new since.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::measure::{Bytes, count};
use super::store_path::StorePath;

/// How many damaged paths a record lists. A record must fit into the space that is reserved for it on a full disk.
pub const MAX_DAMAGED_PATHS: usize = 400;

/// What an action found out, beyond that it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Report {
    /// An optimisation.
    Optimised(Optimised),
    /// A check of the store.
    Verified(Verified),
}

/// What an optimisation saved; unknown is `None`, never 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Optimised {
    /// How many files Nix reported as replaced by a hard link.
    pub files: Option<u64>,
    /// What Nix reported as freed: the sizes of these files, whatever they took on disk.
    pub reported: Option<Bytes>,
    /// The blocks of the files that lost their last link, measured.
    pub saved: Option<Bytes>,
    /// How far the database had come before it; `None` where it could not be read.
    pub registrations: Option<Registrations>,
}

impl fmt::Display for Optimised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.map(|files| count(files, "file"));
        let files = files.map_or(String::new(), |files| format!(" by hard-linking {files}"));
        match (self.saved, self.reported) {
            (Some(saved), _) => write!(f, "{saved} freed on disk{files}"),
            (None, Some(reported)) => {
                write!(f, "{reported} freed{files}, as Nix reports; not measured")
            }
            (None, None) => write!(f, "the amount freed{files} is unknown"),
        }
    }
}

/// How far the database of a store has come, and which database and store directory that is.
///
/// Nix numbers valid paths from 1 and never uses a number again. Where any other figure differs, it is another database, an older
/// copy of it, or a store directory that was copied without its hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registrations {
    /// The greatest number that a valid path ever had.
    pub last_id: i64,
    /// When the youngest valid path was registered, in seconds since 1970.
    pub newest: i64,
    /// The inode of the database.
    pub database: u64,
    /// The inode of the directory of hard links in the store; null where there is none.
    pub links: Option<u64>,
}

impl Registrations {
    /// Whether `self`, seen later, is of the same store as `earlier`.
    pub fn continues(self, earlier: Self) -> bool {
        self.links.is_some()
            && (self.database, self.links) == (earlier.database, earlier.links)
            && self.last_id >= earlier.last_id
    }
}

/// What a check of the store found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// How many paths are damaged.
    pub damaged: u64,
    /// The damaged paths, the first 1000 of them.
    pub paths: Vec<DamagedPath>,
    /// How many of Nix's hard links in `.links` have contents that do not match their name.
    pub links: u64,
    /// Whether Nix was asked. It is not asked while paths are missing: it would remove them from its database.
    pub by_nix: bool,
    /// Why Nix ended before it had checked everything; null where it did not.
    #[serde(default)]
    pub stopped: Option<String>,
}

/// A path that is not as it was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DamagedPath {
    /// The path.
    pub path: StorePath<String>,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Damage {
    /// It is valid, and not in the store directory.
    Missing,
    /// It was not in the store directory, and Nix removed it from its database.
    Forgotten,
    /// Its contents do not have the hash that was registered.
    Modified,
    /// Its contents cannot be read.
    Unreadable,
}

impl Damage {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Missing,
        Self::Forgotten,
        Self::Modified,
        Self::Unreadable,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Forgotten => "removed from the database by Nix, because it was missing",
            Self::Modified => "modified",
            Self::Unreadable => "unreadable",
        }
    }

    /// What a person gives to `nix-store` to have such a path again.
    pub fn remedy(self) -> &'static str {
        match self {
            // Nix repairs what is valid. What it has forgotten must be made anew.
            Self::Forgotten => "--realise",
            Self::Missing | Self::Modified | Self::Unreadable => "--repair-path",
        }
    }
}

impl Verified {
    /// Adds a path.
    pub fn add(&mut self, path: StorePath<String>, damage: Damage) {
        if self.paths.iter().any(|known| known.path == path) {
            return;
        }
        self.damaged += 1;
        if self.paths.len() < MAX_DAMAGED_PATHS {
            self.paths.push(DamagedPath { path, damage });
        }
    }

    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && self.links == 0
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.damaged > 0 {
            let mut kinds = Vec::new();
            for damage in Damage::ALL {
                let of_kind = self.paths.iter().filter(|path| path.damage == damage);
                let number = of_kind.count();
                if number > 0 {
                    kinds.push(format!("{number} {}", damage.as_str()));
                }
            }
            let more = self.damaged.saturating_sub(self.paths.len() as u64);
            if more > 0 {
                kinds.push(format!("{more} more"));
            }
            let paths = count(self.damaged, "damaged store path");
            parts.push(format!("{paths} ({})", kinds.join(", ")));
        }
        if self.links > 0 {
            parts.push(count(self.links, "damaged hard link"));
        }
        if parts.is_empty() {
            return f.write_str("no damage was found");
        }
        write!(f, "found {}", parts.join(" and "))?;
        if !self.by_nix {
            f.write_str(
                "; Nix did not check further, because it removes missing paths from its database",
            )?;
        }
        if let Some(why) = &self.stopped {
            write!(f, "; Nix stopped before its end: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::store_path::StorePathRef;
    use rstest::rstest;

    fn path(number: usize) -> StorePath<String> {
        let name = format!("{number:0>32}-a");
        StorePathRef::from_base_name(&name).unwrap().to_owned()
    }

    const SEEN: Registrations = Registrations {
        last_id: 7,
        newest: 100,
        database: 1,
        links: Some(2),
    };

    #[rstest]
    #[case::the_same(SEEN, true)]
    #[case::the_youngest_was_deleted(Registrations { newest: 90, ..SEEN }, true)]
    #[case::one_more(Registrations { last_id: 8, newest: 101, ..SEEN }, true)]
    #[case::an_older_copy(Registrations { last_id: 6, ..SEEN }, false)]
    #[case::another_database(Registrations { database: 3, ..SEEN }, false)]
    #[case::a_store_that_is_not_mounted(Registrations { links: None, ..SEEN }, false)]
    #[case::a_copied_store(Registrations { links: Some(3), ..SEEN }, false)]
    fn only_the_same_database_continues(#[case] now: Registrations, #[case] continues: bool) {
        assert_eq!(now.continues(SEEN), continues);
    }

    #[test]
    fn a_path_counts_once_and_no_more_than_a_limit_are_listed() {
        let mut found = Verified {
            by_nix: true,
            ..Verified::default()
        };
        assert_eq!(found.to_string(), "no damage was found");
        for _ in 0..2 {
            found.add(path(0), Damage::Modified);
        }
        assert_eq!(found.to_string(), "found 1 damaged store path (1 modified)");
        (1..=MAX_DAMAGED_PATHS).for_each(|n| found.add(path(n), Damage::Missing));
        found.links = 2;
        found.by_nix = false;
        assert_eq!(
            found.to_string(),
            "found 401 damaged store paths (399 missing, 1 modified, 1 more) and 2 damaged hard links; Nix did not check \
             further, because it removes missing paths from its database"
        );
        assert!(!found.is_sound());
    }
}
