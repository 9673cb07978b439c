//! Short names of profiles: `system`, `alice/home-manager`.

use std::collections::{BTreeMap, BTreeSet};

use super::{GenerationNumber, ProfilePath};
use crate::domain::snapshot::Held;

impl ProfilePath {
    /// The name within the directories where Nix keeps profiles: `system`, `system-profiles/work`, `alice/home-manager`; of the
    /// system of a container `container/NAME`. A profile anywhere else has its whole path.
    pub fn short(&self) -> String {
        let mut parents = self.dir.components().rev().map(|part| part.as_str());
        let mut next = || parents.next().unwrap_or_default();
        let prefix = match [next(), next(), next(), next(), next()] {
            ["profiles", "nix", "var", ..] => None,
            ["profiles", "nix", "state", ".local", user] if user != "/" => Some(user),
            [user, "per-user", "profiles", "nix", "var"] => Some(user),
            ["system-profiles", "profiles", "nix", "var", _] => Some("system-profiles"),
            ["system-manager-profiles", "profiles", "nix", "var", _]
                if self.name == "system-manager" =>
            {
                None
            }
            [container, "per-container", "profiles", "nix", "var"] if self.name == "system" => {
                return format!("container/{container}");
            }
            _ => return self.to_string(),
        };
        match prefix {
            Some(prefix) => format!("{prefix}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Names for the profiles of one screen: the short one, or the path where two profiles share it.
#[derive(Debug, Default)]
pub struct ProfileNames<'a>(BTreeMap<String, BTreeSet<&'a ProfilePath>>);

impl<'a> FromIterator<&'a ProfilePath> for ProfileNames<'a> {
    fn from_iter<T: IntoIterator<Item = &'a ProfilePath>>(profiles: T) -> Self {
        let mut names = Self::default();
        for profile in profiles {
            names.0.entry(profile.short()).or_default().insert(profile);
        }
        names
    }
}

impl ProfileNames<'_> {
    /// A profile's name.
    pub fn of(&self, profile: &ProfilePath) -> String {
        let short = profile.short();
        let known = self.0.get(&short);
        if known.is_some_and(|paths| paths.iter().any(|path| *path != profile)) {
            profile.to_string()
        } else {
            short
        }
    }

    /// A generation in words.
    pub fn generation(&self, number: GenerationNumber, profile: &ProfilePath) -> String {
        format!("generation {number} of {}", self.of(profile))
    }

    /// What a hold takes the place of, in words.
    pub fn held(&self, held: &Held) -> String {
        match held {
            Held::Generation { profile, number } => self.generation(*number, profile),
            Held::Root { .. } => held.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::ProfileRef;
    use camino::Utf8Path;
    use rstest::rstest;

    fn path(text: &str) -> ProfilePath {
        ProfilePath::new(Utf8Path::new(text)).unwrap()
    }

    #[rstest]
    #[case("/nix/var/nix/profiles/system", "system")]
    #[case("/nix/var/nix/profiles/default", "default")]
    #[case("/base/nix/var/nix/profiles/system", "system")]
    #[case("/nix/var/nix/profiles/system-profiles/work", "system-profiles/work")]
    #[case("/nix/var/nix/profiles/per-user/root/channels", "root/channels")]
    #[case(
        "/home/alice/.local/state/nix/profiles/home-manager",
        "alice/home-manager"
    )]
    #[case("/root/.local/state/nix/profiles/profile", "root/profile")]
    #[case("/nix/var/nix/profiles/per-container/web/system", "container/web")]
    #[case(
        "/nix/var/nix/profiles/per-container/web/tools",
        "/nix/var/nix/profiles/per-container/web/tools"
    )]
    #[case(
        "/nix/var/nix/profiles/system-manager-profiles/system-manager",
        "system-manager"
    )]
    #[case(
        "/nix/var/nix/profiles/system-manager-profiles/other",
        "/nix/var/nix/profiles/system-manager-profiles/other"
    )]
    #[case("/nix/var/nix/profiles/nix-on-droid", "nix-on-droid")]
    #[case(
        "/.local/state/nix/profiles/profile",
        "/.local/state/nix/profiles/profile"
    )]
    #[case(
        "/srv/app/.devenv/profiles/profile",
        "/srv/app/.devenv/profiles/profile"
    )]
    #[case("/system", "/system")]
    fn profiles_have_short_names(#[case] profile: &str, #[case] short: &str) {
        assert_eq!(path(profile).short(), short);
    }

    #[rstest]
    #[case("system", &["system"])]
    #[case("alice/home-manager", &["alice"])]
    #[case("home-manager", &["alice", "bob"])]
    #[case("/home/bob/.local/state/nix/profiles/home-manager", &["bob"])]
    #[case("carol/home-manager", &[])]
    #[case("container/web", &["web"])]
    #[case("web", &["web"])]
    #[case("/nix/var/nix/profiles/per-container/web/system", &["web"])]
    #[case("nix/profiles/system", &[])]
    #[case("./system", &[])]
    #[case("../system", &[])]
    #[case("system/", &[])]
    #[case("", &[])]
    fn people_name_profiles(#[case] text: &str, #[case] expected: &[&str]) {
        let home = |user| format!("/home/{user}/.local/state/nix/profiles/home-manager");
        let all = [
            ("system", "/nix/var/nix/profiles/system".to_string()),
            (
                "web",
                "/nix/var/nix/profiles/per-container/web/system".to_string(),
            ),
            ("alice", home("alice")),
            ("bob", home("bob")),
        ];
        let reference = ProfileRef::parse(text);
        let named = |profile: &str| {
            reference
                .as_ref()
                .is_some_and(|it| it.names(&path(profile)))
        };
        let named: Vec<&str> = all
            .iter()
            .filter(|(_, path)| named(path))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(named, expected);
    }

    #[test]
    fn two_profiles_of_one_name_are_named_by_their_paths() {
        let (old, new) = (
            path("/nix/var/nix/profiles/per-user/alice/profile"),
            path("/home/alice/.local/state/nix/profiles/profile"),
        );
        let system = path("/nix/var/nix/profiles/system");
        let names: ProfileNames<'_> = [&old, &new, &system, &system].into_iter().collect();
        let one: ProfileNames<'_> = [&old].into_iter().collect();
        let none = ProfileNames::default();
        for (names, profile, expected) in [
            (&names, &system, "system".to_string()),
            (&names, &old, old.to_string()),
            (&names, &new, new.to_string()),
            (&one, &old, "alice/profile".to_string()),
            (&one, &new, new.to_string()),
            (&none, &new, "alice/profile".to_string()),
        ] {
            assert_eq!(names.of(profile), expected);
        }
    }
}
