//! Names and targets of links, as bytes, parsed as Nix parses them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

pub(super) use crate::domain::visible::shown;

use crate::domain::profile::{GenerationNumber, ProfilePath};
use crate::domain::root::RootKind;
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};

/// The meaning of a link's target for the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leads {
    /// A store path, or something below one.
    ToStorePath(StorePath<String>),
    /// In the store directory, but not a store path.
    IntoStore,
    /// Elsewhere.
    Elsewhere,
}

/// Reads a target as the collector does: literally, without the file system and without normalising it. With a doubled
/// slash Nix sees no root, and then there is none.
pub(super) fn leads(text: &OsStr, store: &StoreDir) -> Leads {
    let below = text
        .as_bytes()
        .strip_prefix(store.as_path().as_str().as_bytes())
        .and_then(|rest| rest.strip_prefix(b"/"))
        .filter(|rest| !rest.is_empty());
    let Some(below) = below else {
        return Leads::Elsewhere;
    };
    let base = below.split(|b| *b == b'/').next().unwrap_or_default();
    match store_path_name(base) {
        Some(path) => Leads::ToStorePath(path),
        None => Leads::IntoStore,
    }
}

/// The store path whose base name this is.
pub(super) fn store_path_name(base: &[u8]) -> Option<StorePath<String>> {
    let base = std::str::from_utf8(base).ok()?;
    let path = StorePathRef::from_base_name(base).ok()?;
    Some(path.to_owned())
}

/// The store path of a generation's link: the target is exactly that path, except for doubled slashes.
pub(super) fn generation_target(text: &Utf8Path, store: &StoreDir) -> Option<StorePath<String>> {
    let mut single = String::with_capacity(text.as_str().len());
    for c in text.as_str().chars() {
        if c != '/' || !single.ends_with('/') {
            single.push(c);
        }
    }
    let base = single
        .strip_prefix(store.as_path().as_str())?
        .strip_prefix('/')?;
    store_path_name(base.as_bytes())
}

/// The target of an indirect root, resolved from its directory as Nix does: `..` removes the name before it, whether
/// that is a link or not.
pub(super) fn resolve(dir: &Path, text: &OsStr) -> PathBuf {
    let joined = dir.join(text);
    let mut steps: Vec<&[u8]> = Vec::new();
    for step in joined.as_os_str().as_bytes().split(|b| *b == b'/') {
        match step {
            b"" | b"." => {}
            b".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let mut path = vec![b'/'];
    path.extend(steps.join(&b'/'));
    PathBuf::from(OsString::from_vec(path))
}

/// A path for types that allow only UTF-8, and whether it is literally the same.
pub(super) fn lossy(path: PathBuf) -> (Utf8PathBuf, bool) {
    match Utf8PathBuf::from_path_buf(path) {
        Ok(path) => (path, true),
        Err(path) => (path.to_string_lossy().into_owned().into(), false),
    }
}

/// The profile's name and the number in `NAME-N-link`. `.` and `..` are directories and no profile names: `.-1-link`
/// would look like a generation of the directory's own name.
pub(super) fn generation_name(name: &str) -> Option<(&str, GenerationNumber)> {
    let (profile, digits) = name.strip_suffix("-link")?.rsplit_once('-')?;
    if matches!(profile, "" | "." | "..") {
        return None;
    }
    let canonical =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = canonical.then(|| digits.parse().ok()).flatten()?;
    Some((profile, GenerationNumber(number)))
}

/// Whether Nix could read the name as a generation of the profile although it is none: it also reads `NAME-007-link`,
/// `NAME-+1-link` and `NAME-1-link~` as numbers (trap 7).
pub(super) fn looks_like_a_generation(profile: &str, name: &str) -> bool {
    let number = name
        .strip_prefix(profile)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.split_once("-link"))
        .map(|(number, _)| number.strip_prefix(['+', '-']).unwrap_or(number));
    let canonical = generation_name(name).is_some_and(|(of, _)| of == profile);
    !canonical && number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The profile of which a link with this path would be a generation.
pub(super) fn profile_of_link(link: &Utf8Path) -> Option<ProfilePath> {
    let (name, _) = generation_name(link.file_name()?)?;
    ProfilePath::new(&link.parent()?.join(name)).ok()
}

/// The kind of a root, by its names. The first match counts: a hold of a system is a hold, a generation below `.direnv` belongs
/// to direnv.
pub(super) fn kind_of(
    link: &Utf8Path,
    entry: Option<&Utf8Path>,
    (holds, run_dir): (&Utf8Path, &Utf8Path),
    is_generation: bool,
) -> RootKind {
    let of_system = |path: &Utf8Path| {
        path.parent() == Some(run_dir)
            || matches!(path.file_name(), Some("booted-system" | "current-system"))
    };
    let has = |name: &str| link.components().any(|part| part.as_str() == name);
    let name = link.file_name().unwrap_or_default();
    // A tool makes them again, though they are generations of profiles of their own: those of nix-direnv, for instance.
    let of_environment = if has(".direnv") {
        Some(RootKind::Direnv)
    } else if has(".devenv") {
        Some(RootKind::Devenv)
    } else if has("lorri") && has("gc_roots") {
        Some(RootKind::Lorri)
    } else if has("cached-nix-shell") {
        Some(RootKind::NixShell)
    } else {
        None
    };
    if link.starts_with(holds) || entry.is_some_and(|e| e.starts_with(holds)) {
        RootKind::Hold
    } else if let Some(kind) = of_environment {
        kind
    } else if is_generation {
        RootKind::Profile
    } else if of_system(link) || entry.is_some_and(of_system) {
        RootKind::System
    } else if name == "current-home" || link.as_str().contains("/home-manager/gcroots/") {
        RootKind::Home
    } else if has("per-container") || has("nixos-containers") {
        RootKind::Container
    } else if name == "result" || name.starts_with("result-") {
        RootKind::Result
    } else {
        RootKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BASE: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-x";

    fn store() -> StoreDir {
        StoreDir::new(Utf8Path::new("/nix/store")).unwrap()
    }

    #[rstest]
    #[case("/nix/store/{}", Some(true))]
    #[case("/nix/store/{}/", Some(true))]
    #[case("/nix/store/{}/bin/x", Some(true))]
    #[case("/nix/store/{}/../y", Some(true))]
    #[case("/nix/store/{}-\n", Some(false))]
    #[case("/nix/store//{}", Some(false))]
    #[case("/nix/store/./{}", Some(false))]
    #[case("/nix/store/../{}", Some(false))]
    #[case("/nix/store/.links/x", Some(false))]
    #[case("/nix/store/", None)]
    #[case("/nix/store", None)]
    #[case("/nix//store/{}", None)]
    #[case("/nix/storee/{}", None)]
    #[case("nix/store/{}", None)]
    #[case("{}", None)]
    #[case("", None)]
    fn trap_18_texts_are_read_by_their_letters(#[case] text: &str, #[case] root: Option<bool>) {
        let text = text.replace("{}", BASE);
        let got = match leads(OsStr::new(&text), &store()) {
            Leads::ToStorePath(path) => {
                assert_eq!(path.to_string(), BASE);
                Some(true)
            }
            Leads::IntoStore => Some(false),
            Leads::Elsewhere => None,
        };
        assert_eq!(got, root);
    }

    #[rstest]
    #[case("/nix/store/{}", true)]
    #[case("//nix/store//{}", true)]
    #[case("/nix/store/{}/", false)]
    #[case("/nix/store/{}/bin", false)]
    #[case("/nix/store/./{}", false)]
    #[case("/nix/store/../store/{}", false)]
    #[case("nix/store/{}", false)]
    #[case("/nix/store", false)]
    #[case("", false)]
    fn a_generation_leads_straight_to_its_store_path(#[case] text: &str, #[case] is: bool) {
        let text = text.replace("{}", BASE);
        assert_eq!(
            generation_target(Utf8Path::new(&text), &store()).is_some(),
            is
        );
    }

    #[rstest]
    #[case("/s/gcroots/auto", "/home/u/result", "/home/u/result")]
    #[case("/s/profiles", "system-1-link", "/s/profiles/system-1-link")]
    #[case("/s/gcroots", "../x/./y//z/", "/s/x/y/z")]
    #[case("/s", "../../../..", "/")]
    fn indirect_texts_are_resolved(#[case] dir: &str, #[case] text: &str, #[case] path: &str) {
        assert_eq!(resolve(Path::new(dir), OsStr::new(text)), Path::new(path));
    }

    #[rstest]
    #[case("system-1-link", Some(("system", 1)))]
    #[case(".nix-profile-1-link-7-link", Some((".nix-profile-1-link", 7)))]
    #[case("a-b-3-link", Some(("a-b", 3)))]
    #[case("x-0-link", Some(("x", 0)))]
    #[case("x-007-link", None)]
    #[case("x--link", None)]
    #[case("-1-link", None)]
    #[case(".-1-link", None)]
    #[case("..-1-link", None)]
    #[case("...-1-link", Some(("...", 1)))]
    #[case("x-+1-link", None)]
    #[case("x-4294967296-link", None)]
    #[case("x-1-link~", None)]
    #[case("link", None)]
    fn trap_7_generation_names_are_split(#[case] name: &str, #[case] parts: Option<(&str, u32)>) {
        let parts = parts.map(|(name, number)| (name, GenerationNumber(number)));
        assert_eq!(generation_name(name), parts);
    }

    #[rstest]
    #[case("system-007-link", true)]
    #[case("system-1-link~", true)]
    #[case("system-3-link.tmp", true)]
    #[case("system-+1-link", true)]
    #[case("system--1-link", true)]
    #[case("system-4294967296-link", true)]
    #[case("system-1-link-7-link", true)]
    #[case("system-1-link", false)]
    #[case("system", false)]
    #[case("system.lock", false)]
    #[case("system--link", false)]
    #[case("system-x1-link", false)]
    #[case("system-manager-3-link", false)]
    #[case("systems-03-link", false)]
    fn trap_7_what_nix_would_misread_is_odd(#[case] name: &str, #[case] odd: bool) {
        assert_eq!(looks_like_a_generation("system", name), odd);
    }

    #[rstest]
    #[case("/var/holds/run/1", Some("/s/gcroots/auto/a"), RootKind::Hold)]
    #[case("/var/holds-not/run/1", Some("/s/gcroots/auto/a"), RootKind::Other)]
    #[case("/var/holds/run/current-system", None, RootKind::Hold)]
    #[case("/s/profiles/system-1-link", None, RootKind::Profile)]
    #[case("/s/profiles/other-1-link", None, RootKind::Other)]
    #[case(
        "/run/current-system",
        Some("/s/gcroots/current-system"),
        RootKind::System
    )]
    #[case("/run/opengl-driver", Some("/s/gcroots/opengl"), RootKind::System)]
    #[case("/run/user/1000/result", Some("/s/gcroots/auto/a"), RootKind::Result)]
    #[case("/s/gcroots/booted-system", None, RootKind::System)]
    #[case(
        "/h/.local/state/home-manager/gcroots/current-home",
        Some("/e"),
        RootKind::Home
    )]
    #[case(
        "/h/.local/state/home-manager/gcroots/new-home",
        Some("/e"),
        RootKind::Home
    )]
    #[case("/s/gcroots/per-user/u/current-home", None, RootKind::Home)]
    #[case("/h/p/.direnv/flake-profile", Some("/e"), RootKind::Direnv)]
    #[case("/h/p/.direnv/result", Some("/e"), RootKind::Direnv)]
    #[case("/h/p/x.direnv/y", Some("/e"), RootKind::Other)]
    #[case("/h/p/result", Some("/e"), RootKind::Result)]
    #[case("/h/p/result-man", Some("/e"), RootKind::Result)]
    #[case("/h/p/results", Some("/e"), RootKind::Other)]
    #[case("/h/result/x", Some("/e"), RootKind::Other)]
    fn trap_23_kinds_follow_from_names(
        #[case] link: &str,
        #[case] entry: Option<&str>,
        #[case] kind: RootKind,
    ) {
        let is_generation = link == "/s/profiles/system-1-link";
        let places = ("/var/holds".into(), "/run".into());
        let entry = entry.map(Utf8Path::new);
        assert_eq!(kind_of(link.into(), entry, places, is_generation), kind);
    }

    proptest::proptest! {
        #[test]
        fn made_generation_names_come_apart(name in "[^/\0]{1,20}", number: u32) {
            proptest::prop_assume!(name != "." && name != "..");
            let link = format!("{name}-{number}-link");
            let parts = Some((name.as_str(), GenerationNumber(number)));
            proptest::prop_assert_eq!(generation_name(&link), parts);
            // The same result as in the domain, which knows the profile's name beforehand.
            let path = profile_of_link(&Utf8Path::new("/p").join(&link)).unwrap();
            proptest::prop_assert_eq!((path.dir().as_str(), path.name()), ("/p", name.as_str()));
            proptest::prop_assert_eq!(path.number_of(&link), Some(GenerationNumber(number)));
        }

        #[test]
        fn no_name_panics(bytes: Vec<u8>, text: String) {
            let os = OsStr::from_bytes(&bytes);
            let _ = (leads(os, &store()), resolve(Path::new("/a"), os), shown(os));
            let _ = (generation_name(&text), looks_like_a_generation("a", &text));
        }
    }
}
