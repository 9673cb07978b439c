//! Selective collection: the choice of dead paths, in an order that Nix accepts.
//!
//! Nix spends most of a collection on finding the dead paths. They are already known here, so Nix gets the list and only checks each
//! path under its own lock. Nix refuses a path that is no longer dead, and the list shrinks; nothing here ever extends it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod deletion_set;

pub use deletion_set::{DeletionSet, Part, Unregistered};

/// How garbage is collected.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum CollectMethod {
    /// Deletes listed paths where that equals a full collection; otherwise a full collection.
    #[default]
    Auto,
    /// Deletes listed paths or nothing.
    Selective,
    /// With `nix-collect-garbage`.
    #[serde(alias = "whole")]
    Full,
    /// Deletes dead paths in the place of Nix, with its protocol.
    Direct,
}

impl fmt::Display for CollectMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Selective => "selective",
            Self::Full => "full",
            Self::Direct => "direct",
        })
    }
}

/// Why paths are not, or not all, deleted by name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FullGcReason {
    /// Nothing looks for what is dead.
    #[error("dead paths were not computed")]
    NotLooked,
    /// The look failed.
    #[error("cannot determine which paths are dead: {0}")]
    Unknown(String),
    /// Nothing must be collected in any way: the database is damaged, or Nix works on another store.
    #[error("{0}")]
    Unsafe(String),
    /// This Nix may delete a path by name that its collector would keep.
    #[error("this version of Nix is not tested with selective collection")]
    UntestedNix,
    /// There are names in the store directory that only a full collection deletes.
    #[error("the store directory has names that are not store paths ({0})")]
    ForeignNames(u64),
    /// Nix's own collector has nothing to find out, and is the faster of the two.
    #[error("nothing in the store is live")]
    NothingLive,
    /// Nix refused too much of what was chosen.
    #[error("Nix refused to delete {0} of the dead paths")]
    Refusals(usize),
}

/// How a collection is carried out.
#[derive(Debug)]
pub enum CollectStrategy {
    /// Delete these paths.
    Selective(Box<DeletionSet>),
    /// A full collection, with the reason where a selective one was preferred.
    Full(Option<FullGcReason>),
    /// No collection: the method cannot be used.
    Neither(FullGcReason),
}

/// A word that names no way to collect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown collection method `{0}`; use auto, selective, full or direct")]
pub struct NotAMethod(String);

impl FromStr for CollectMethod {
    type Err = NotAMethod;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "selective" => Ok(Self::Selective),
            "full" => Ok(Self::Full),
            "direct" => Ok(Self::Direct),
            _ => Err(NotAMethod(text.to_string())),
        }
    }
}

impl CollectMethod {
    /// Whether only paths are deleted that were found dead, and never what Nix's collector finds.
    pub fn lists_paths(self) -> bool {
        matches!(self, Self::Selective | Self::Direct)
    }

    /// The method for what was chosen; a part of what is dead is never widened to the whole.
    #[must_use]
    pub fn of_part(self, is_part: bool) -> Self {
        match self {
            Self::Auto | Self::Full if is_part => Self::Selective,
            method => method,
        }
    }

    /// Chooses the strategy. `find_dead` finds the dead paths, and is not called where that does not matter.
    pub fn strategy(
        self,
        find_dead: impl FnOnce() -> Result<DeletionSet, FullGcReason>,
    ) -> CollectStrategy {
        if self == Self::Full {
            return CollectStrategy::Full(None);
        }
        match find_dead() {
            Err(why) => self.otherwise(why),
            Ok(chosen) if self == Self::Auto && chosen.requires_full_gc() => {
                CollectStrategy::Full(Some(FullGcReason::ForeignNames(chosen.foreign_names())))
            }
            Ok(chosen) if self == Self::Auto && chosen.is_the_whole_store() => {
                CollectStrategy::Full(Some(FullGcReason::NothingLive))
            }
            Ok(chosen) => CollectStrategy::Selective(Box::new(chosen)),
        }
    }

    /// The way where paths cannot be deleted by name.
    pub fn otherwise(self, why: FullGcReason) -> CollectStrategy {
        match self {
            Self::Auto if matches!(why, FullGcReason::Unsafe(_)) => CollectStrategy::Neither(why),
            Self::Selective | Self::Direct => CollectStrategy::Neither(why),
            Self::Auto | Self::Full => CollectStrategy::Full(Some(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::graph::{GraphBuilder, KeepFlags};
    use rstest::rstest;

    fn nothing_dead(foreign: u64) -> DeletionSet {
        let graph = GraphBuilder::new().finish().unwrap();
        let dead = graph.set_of([]);
        let unregistered = Unregistered {
            paths: Vec::new(),
            foreign,
        };
        DeletionSet::new(graph, KeepFlags::NIX_DEFAULT, dead, unregistered)
    }

    fn name_of(strategy: &CollectStrategy) -> String {
        match strategy {
            CollectStrategy::Selective(_) => "selective".to_string(),
            CollectStrategy::Full(None) => "full".to_string(),
            CollectStrategy::Full(Some(why)) => format!("full: {why:?}"),
            CollectStrategy::Neither(why) => format!("neither: {why:?}"),
        }
    }

    #[rstest]
    #[case(CollectMethod::Auto, Ok(0), "selective")]
    #[case(CollectMethod::Auto, Ok(2), "full: ForeignNames(2)")]
    #[case(CollectMethod::Auto, Err(FullGcReason::NotLooked), "full: NotLooked")]
    #[case(CollectMethod::Selective, Ok(0), "selective")]
    #[case(CollectMethod::Selective, Ok(2), "selective")]
    #[case(
        CollectMethod::Selective,
        Err(FullGcReason::UntestedNix),
        "neither: UntestedNix"
    )]
    #[case(
        CollectMethod::Auto,
        Err(FullGcReason::Unsafe("x".into())),
        "neither: Unsafe(\"x\")"
    )]
    fn the_way_follows_from_the_method_and_the_look(
        #[case] method: CollectMethod,
        #[case] find_dead: Result<u64, FullGcReason>,
        #[case] expected: &str,
    ) {
        assert_eq!(
            name_of(&method.strategy(|| find_dead.map(nothing_dead))),
            expected
        );
    }

    fn one_path(dead: bool) -> DeletionSet {
        let mut builder = GraphBuilder::new();
        let name = "0000000000000000000000000000000a-p";
        builder.add_path(1, name, 1, 1, None);
        let graph = builder.finish().unwrap();
        let dead = graph.set_of(graph.find(name).filter(|_| dead));
        DeletionSet::new(graph, KeepFlags::NIX_DEFAULT, dead, Unregistered::default())
    }

    #[rstest]
    #[case(CollectMethod::Auto, true, "full: NothingLive")]
    #[case(CollectMethod::Auto, false, "selective")]
    #[case(CollectMethod::Selective, true, "selective")]
    fn where_nothing_lives_there_is_nothing_to_find_out(
        #[case] method: CollectMethod,
        #[case] dead: bool,
        #[case] expected: &str,
    ) {
        assert_eq!(name_of(&method.strategy(|| Ok(one_path(dead)))), expected);
        // A part that was chosen is not widened, though it be all there is.
        let some = || one_path(dead).before(i64::MAX);
        assert_eq!(name_of(&method.strategy(|| Ok(some()))), "selective");
    }

    #[test]
    fn a_choice_of_some_is_not_widened_for_a_foreign_name() {
        let some = |n| nothing_dead(n).before(0);
        assert_eq!(
            name_of(&CollectMethod::Auto.strategy(|| Ok(some(2)))),
            "selective"
        );
    }

    #[test]
    fn a_whole_collection_needs_no_look() {
        let strategy = CollectMethod::Full.strategy(|| panic!("it was looked"));
        assert_eq!(name_of(&strategy), "full");
    }

    #[rstest]
    #[case("auto", CollectMethod::Auto)]
    #[case("selective", CollectMethod::Selective)]
    #[case("full", CollectMethod::Full)]
    #[case("direct", CollectMethod::Direct)]
    fn methods_are_read_and_written(#[case] word: &str, #[case] method: CollectMethod) {
        assert_eq!(word.parse(), Ok(method));
        assert_eq!(method.to_string(), word);
        assert_eq!(
            "whole".parse::<CollectMethod>(),
            Err(NotAMethod("whole".into()))
        );
    }
}
