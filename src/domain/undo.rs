//! Parts of a run that an undo names, and what it would restore.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::measure::Timestamp;
use super::plan::Action;
use super::profile::{ProfileNames, ProfilePath};
use super::receipt::RunId;
use super::reference::{GenerationsRef, ranges};

/// A part of a run: generations of a profile, or a root by the path of its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRef {
    text: String,
    generations: Option<GenerationsRef>,
}

impl ItemRef {
    /// Reads `PROFILE`, `PROFILE:N`, `PROFILE:N..M` or an absolute path.
    pub fn parse(text: &str) -> Option<Self> {
        let generations = GenerationsRef::parse(text);
        (generations.is_some() || text.starts_with('/')).then(|| Self {
            text: text.to_string(),
            generations,
        })
    }

    /// Whether the action removed or held what is meant.
    pub fn names(&self, action: &Action) -> bool {
        if let Some(facts) = action.removed_generation() {
            let mut reference = self.generations.iter();
            return reference.any(|it| it.names(&facts.profile, facts.number));
        }
        let paths = match action {
            Action::RemoveRoot(facts) => vec![&facts.link, &facts.entry],
            Action::RemoveRootLink(facts) => vec![&facts.link, &facts.entry],
            Action::HoldRoot(facts) => vec![&facts.link],
            _ => Vec::new(),
        };
        paths.into_iter().any(|path| *path == self.text)
    }
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What an undo would restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoPreview {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// What it removed, in the order in which that is restored.
    pub items: Vec<UndoItem>,
}

/// One generation or root that an undo would restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoItem {
    /// What restores it.
    pub action: Action,
    /// Why that may fail; `None` if nothing is known to prevent it.
    pub obstacle: Option<String>,
}

/// Generations by profile, and roots by their links, that some actions remove or restore.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// The numbers of the generations.
    pub generations: BTreeMap<&'a ProfilePath, BTreeSet<u32>>,
    /// The links of dangling roots.
    pub dangling: BTreeSet<&'a str>,
    /// The links of roots.
    pub links: BTreeSet<&'a str>,
}

impl<'a> FromIterator<&'a Action> for Parts<'a> {
    fn from_iter<T: IntoIterator<Item = &'a Action>>(actions: T) -> Self {
        let mut parts = Self::default();
        for action in actions {
            if let Some(facts) = action.changed_generation() {
                let numbers = parts.generations.entry(&facts.profile).or_default();
                numbers.insert(facts.number.0);
            }
            match action {
                Action::RemoveRoot(facts) | Action::RestoreRoot(facts) => {
                    parts.dangling.insert(facts.link.as_str());
                }
                Action::RemoveRootLink(facts) | Action::RestoreRootLink(facts) => {
                    parts.links.insert(facts.link.as_str());
                }
                _ => {}
            }
        }
        parts
    }
}

impl Parts<'_> {
    /// Names for the profiles.
    pub fn names(&self) -> ProfileNames<'_> {
        self.generations.keys().copied().collect()
    }

    /// The items that name all of it.
    pub fn items(&self) -> Vec<String> {
        let names = self.names();
        let generations = self.generations.iter().flat_map(|(profile, numbers)| {
            let name = names.of(profile);
            ranges(numbers).into_iter().map(move |range| match range {
                (first, last) if first == last => format!("{name}:{first}"),
                (first, last) => format!("{name}:{first}..{last}"),
            })
        });
        let links = self.dangling.union(&self.links).map(ToString::to_string);
        generations.chain(links).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::measure::Span;
    use crate::domain::plan::{GenerationFacts, OptimiseFacts, RootFacts, VanishedFacts};
    use crate::domain::profile::{GenerationNumber, Owner, ProfileKind};
    use crate::domain::store_path::StorePathRef;
    use camino::Utf8Path;
    use rstest::rstest;

    fn actions() -> Vec<Action> {
        let path = StorePathRef::from_base_name("00bgd045z0d4icpbc2yyz4gx48ak44la-x");
        let store_path = path.unwrap().to_owned();
        let now = Timestamp::from_unix(1_795_000_000, 0).unwrap();
        let generation = |profile: &str, number| {
            Action::RemoveGeneration(GenerationFacts {
                profile: ProfilePath::new(Utf8Path::new(profile)).unwrap(),
                profile_kind: ProfileKind::Other,
                owner: Owner { uid: 0, name: None },
                number: GenerationNumber(number),
                target: "/nix/store/x".into(),
                store_path: store_path.clone(),
                created: now,
                current: GenerationNumber(99),
                hold: Span::days(7),
            })
        };
        let system = (40..=43).map(|n| generation("/nix/var/nix/profiles/system", n));
        let home = "/home/alice/.local/state/nix/profiles/home-manager";
        let mut all: Vec<Action> = system.collect();
        all.extend([
            generation(home, 7),
            generation(home, 9),
            Action::RemoveRoot(RootFacts {
                entry: "/nix/var/nix/gcroots/auto/abc".into(),
                link: "/src/result:2".into(),
            }),
            Action::HoldRoot(VanishedFacts {
                link: "/src/gone".into(),
                store_path: store_path.clone(),
                hold: Span::days(7),
            }),
            Action::Optimise(OptimiseFacts::default()),
        ]);
        all
    }

    #[rstest]
    #[case("system:41", &[1])]
    #[case("system:42..99", &[2, 3])]
    #[case("system", &[0, 1, 2, 3])]
    #[case("alice/home-manager:7", &[4])]
    #[case("home-manager", &[4, 5])]
    #[case("/home/alice/.local/state/nix/profiles/home-manager:9", &[5])]
    #[case("/src/result:2", &[6])]
    #[case("/nix/var/nix/gcroots/auto/abc", &[6])]
    #[case("/src/gone", &[7])]
    #[case("/src/result", &[])]
    #[case("bob/home-manager:7", &[])]
    fn items_of_a_run_are_named(#[case] text: &str, #[case] named: &[usize]) {
        let item = ItemRef::parse(text).unwrap();
        let actions = actions();
        let found: Vec<usize> = (0..actions.len())
            .filter(|index| item.names(&actions[*index]))
            .collect();
        assert_eq!(found, named);
    }

    #[test]
    fn the_items_listed_name_what_can_be_restored_and_nothing_else() {
        let actions = actions();
        let items = actions.iter().collect::<Parts<'_>>().items();
        assert_eq!(
            items,
            [
                "alice/home-manager:7",
                "alice/home-manager:9",
                "system:40..43",
                "/src/result:2"
            ]
        );
        for action in &actions {
            let mut items = items.iter().map(|item| ItemRef::parse(item).unwrap());
            let named = items.any(|item| item.names(action));
            assert_eq!(named, action.operation().inverse().is_some(), "{action:?}");
        }
    }

    #[test]
    fn profiles_of_one_name_are_named_by_their_paths() {
        let mut actions = actions();
        actions.truncate(2);
        let Action::RemoveGeneration(facts) = &mut actions[1] else {
            panic!("{actions:?}");
        };
        facts.profile =
            ProfilePath::new(Utf8Path::new("/mnt/nix/var/nix/profiles/system")).unwrap();
        let items = actions.iter().collect::<Parts<'_>>().items();
        let other = "/mnt/nix/var/nix/profiles/system:41";
        assert_eq!(items, [other, "/nix/var/nix/profiles/system:40"]);
    }
}
