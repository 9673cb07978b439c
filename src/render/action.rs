//! Descriptions of actions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::domain::collect::CollectMethod;
use crate::domain::plan::{Action, CollectFacts, EarlyFacts};
use crate::domain::profile::ProfilePath;
use crate::domain::receipt::Outcome;
use crate::domain::snapshot::Held;

use super::reason::{self, generation};

/// Profiles by their names, where these are enough to tell them apart.
#[derive(Debug, Default)]
pub struct Names<'a>(BTreeMap<&'a str, BTreeSet<&'a ProfilePath>>);

impl<'a> FromIterator<&'a ProfilePath> for Names<'a> {
    fn from_iter<T: IntoIterator<Item = &'a ProfilePath>>(profiles: T) -> Self {
        let mut names = Self::default();
        for profile in profiles {
            names.0.entry(profile.name()).or_default().insert(profile);
        }
        names
    }
}

impl Names<'_> {
    fn of(&self, profile: &ProfilePath) -> String {
        match self.0.get(profile.name()) {
            Some(paths) if paths.len() == 1 && paths.contains(profile) => {
                profile.name().to_string()
            }
            _ => profile.to_string(),
        }
    }
}

/// What an action does, in the imperative; names in it are as they are, for a terminal they must be escaped.
pub fn sentence(action: &Action) -> String {
    short(action, &Names::default())
}

/// The same where a reader knows the profiles already.
pub fn short(action: &Action, names: &Names<'_>) -> String {
    let generation = |number, profile: &ProfilePath| {
        let name = names.of(profile);
        generation(number, &name as &dyn Display)
    };
    let place_of = |held: &Held| match held {
        Held::Generation { profile, number } => generation(*number, profile),
        Held::Root { .. } => reason::held(held),
    };
    match action {
        Action::DropGeneration(facts) => {
            let what = generation(facts.number, &facts.profile);
            if facts.hold.is_zero() {
                format!("remove {what} (not restorable)")
            } else {
                format!("remove {what} (restorable for {})", facts.hold)
            }
        }
        Action::HoldRoot(facts) => {
            let (link, hold) = (&facts.link, facts.hold);
            format!(
                "hold the former target of {link} for {hold} (the link vanished since the last run)"
            )
        }
        Action::RemoveRoot(facts) => format!("remove the dangling root {}", facts.link),
        Action::ReleaseHold(facts) => {
            format!("release the hold on {}", place_of(&facts.held))
        }
        Action::ReleaseEarly(EarlyFacts { hold, .. }) => {
            let what = place_of(&hold.held);
            format!("release the hold on {what} early")
        }
        Action::Collect(facts) => collection(facts),
        Action::Optimise => "hard-link equal files in the store".to_string(),
        Action::Verify { contents: false } => "check the store".to_string(),
        Action::Verify { contents: true } => "check the store and its contents".to_string(),
        Action::RestoreGeneration(facts) => {
            format!("restore {}", generation(facts.number, &facts.profile))
        }
        Action::RestoreRoot(facts) => {
            format!("restore the dangling root {}", facts.link)
        }
    }
}

fn collection(facts: &CollectFacts) -> String {
    let by = match facts.method {
        CollectMethod::Auto => "",
        CollectMethod::Selective => " (selective)",
        CollectMethod::Full => " (nix-collect-garbage)",
    };
    match facts.registered_before {
        None => format!("collect garbage{by}"),
        Some(before) => format!("collect garbage registered before {before}{by}"),
    }
}

/// The word for an outcome, as in the JSON documents.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "pending",
        Outcome::Done => "done",
        Outcome::Stale => "stale",
        Outcome::Retained => "retained",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    #[test]
    fn a_name_is_enough_where_it_is_the_only_one() {
        let path = |text: &str| ProfilePath::new(Utf8Path::new(text)).unwrap();
        let (system, mine, hers) = (path("/p/system"), path("/a/profile"), path("/b/profile"));
        let names: Names<'_> = [&system, &mine, &hers, &system].into_iter().collect();
        assert_eq!(names.of(&system), "system");
        assert_eq!(names.of(&mine), "/a/profile");
        assert_eq!(names.of(&hers), "/b/profile");
        assert_eq!(names.of(&path("/q/system")), "/q/system");
        assert_eq!(Names::default().of(&system), "/p/system");
    }
}
