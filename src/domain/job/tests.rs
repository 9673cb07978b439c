use rstest::rstest;

use super::*;
use crate::domain::plan::OptimiseFacts;
use crate::domain::profile::{Current, Owner, Profile, ProfileKind};
use crate::domain::retention::{KeepPolicy, KeepRules};

#[rstest]
#[case("daily", true)]
#[case("7-days_or_so", true)]
#[case("", false)]
#[case("-daily", false)]
#[case("_daily", false)]
#[case("every day", false)]
#[case("täglich", false)]
#[case("dail/y", false)]
#[case(&"x".repeat(50), true)]
#[case(&"x".repeat(51), false)]
fn jobs_have_plain_names(#[case] text: &str, #[case] is: bool) {
    let name = JobName::try_from(text.to_string());
    assert_eq!(name.is_ok(), is, "{name:?}");
    if let Ok(name) = name {
        assert_eq!(name.to_string(), text);
    }
}

#[rstest]
#[case("system", Some(ProfileRef::Name("system".into())))]
#[case("alice/home-manager", Some(ProfileRef::Name("alice/home-manager".into())))]
#[case("a/b/c", None)]
#[case("alice/", None)]
#[case("../system", None)]
#[case("", None)]
fn a_profile_is_named_by_one_part_or_two(#[case] text: &str, #[case] expected: Option<ProfileRef>) {
    assert_eq!(ProfileRef::parse(text), expected);
}

#[rstest]
#[case("/home/alice/.local/state/nix/profiles/home-manager", true)]
#[case("/home/bob/.local/state/nix/profiles/home-manager", false)]
#[case("home-manager", true)]
#[case("alice/home-manager", true)]
#[case("bob/home-manager", false)]
#[case("system", false)]
fn a_name_is_of_every_profile_that_it_fits(#[case] text: &str, #[case] is: bool) {
    let profile = "/home/alice/.local/state/nix/profiles/home-manager";
    let profile = ProfilePath::new(Utf8Path::new(profile)).unwrap();
    assert_eq!(ProfileRef::parse(text).unwrap().names(&profile), is);
}

#[rstest]
#[case("/home/*/keep/**", true)]
#[case("/home/{a", false)]
fn patterns_are_checked_as_they_are_compiled(#[case] pattern: &str, #[case] is: bool) {
    assert_eq!(PathPatterns::check(pattern).is_ok(), is);
    let patterns = PathPatterns::new([pattern]);
    assert_eq!(patterns.is_ok(), is);
    if let Ok(patterns) = patterns {
        assert_eq!(patterns.texts().collect::<Vec<_>>(), [pattern]);
    }
}

#[test]
fn a_job_without_operations_has_nothing_to_do() {
    let nothing = Operations::default();
    assert!(nothing.is_empty());
    let each = [
        Operations {
            roots: Some(RootsOperation {
                dangling: true,
                rules: Vec::new(),
                removed_users: None,
            }),
            ..nothing.clone()
        },
        Operations {
            collect: Some(CollectOperation::default()),
            ..nothing.clone()
        },
        Operations {
            maintenance: vec![Action::Optimise(OptimiseFacts::default())],
            ..nothing
        },
    ];
    for operations in each {
        assert!(!operations.is_empty(), "{operations:?}");
    }
}

#[rstest]
#[case::nothing(CollectMethod::Full, None, &[], false, None)]
#[case::recent(CollectMethod::Full, Some(1), &[], false, Some("keepRecent"))]
#[case::flakes(CollectMethod::Full, None, &["/a"], false, Some("keepFlakeInputs"))]
#[case::built(CollectMethod::Full, None, &[], true, Some("keepBuildDependencies"))]
#[case::auto(CollectMethod::Auto, Some(1), &["/a"], true, None)]
#[case::selective(CollectMethod::Selective, Some(1), &["/a"], true, None)]
fn nothing_is_kept_from_a_full_collection(
    #[case] method: CollectMethod,
    #[case] days: Option<u32>,
    #[case] flakes: &[&str],
    #[case] keep_build_dependencies: bool,
    #[case] wrong: Option<&str>,
) {
    let operation = CollectOperation {
        method,
        keep_recent: days.map(Span::days),
        keep_flake_inputs: flakes.iter().map(Utf8PathBuf::from).collect(),
        keep_build_dependencies,
        sources_first: true,
    };
    assert_eq!(operation.check().err().map(|error| error.key), wrong);
}

#[rstest]
#[case(None, None)]
#[case(Some(Span::ZERO), None)]
#[case(Some(Span::days(2)), Some("2026-11-20T12:00:00Z"))]
fn the_cutoff_is_so_long_ago(#[case] keep_recent: Option<Span>, #[case] expected: Option<&str>) {
    let operation = CollectOperation {
        keep_recent,
        ..CollectOperation::default()
    };
    let now = "2026-11-22T12:00:00.9Z".parse().unwrap();
    let cutoff = operation.cutoff(now).map(|at| at.to_string());
    assert_eq!(cutoff.as_deref(), expected);
}

fn of_kind(kind: ProfileKind, path: &str, uid: u32, name: Option<&str>) -> Profile {
    Profile {
        path: ProfilePath::new(path.into()).unwrap(),
        kind,
        owner: Owner {
            uid,
            name: name.map(str::to_string),
        },
        current: Current::Known(GenerationNumber(1)),
        is_nix_own: false,
        generations: std::collections::BTreeMap::new(),
        blocked: None,
    }
}

const ALICE: &str = "/nix/var/nix/profiles/per-user/alice/dev-tools";

#[test]
fn a_selector_is_a_word_a_path_or_a_pattern() {
    for word in ProfileSelector::WORDS {
        assert_eq!(ProfileSelector::parse(word).unwrap().path(), None, "{word}");
    }
    let profile = ProfileSelector::parse("/nix/var/nix/profiles/system").unwrap();
    assert_eq!(profile.path(), Some("/nix/var/nix/profiles/system".into()));
    let pattern = ProfileSelector::parse("/nix/var/nix/profiles/*").unwrap();
    assert!(matches!(pattern, ProfileSelector::Pattern(_)));
    for path in ["/a/[", "/a/{b", "/a/x[31m"] {
        let selector = ProfileSelector::parse(path).unwrap();
        assert_eq!(selector.path(), Some(path.into()));
    }
    for wrong in ["systems", "", "/", "*", "**", "profiles/*", "/.."] {
        assert_eq!(ProfileSelector::parse(wrong), None, "{wrong}");
    }
}

/// Each word has kinds of its own, so that no kind is selected by a word that is about another one.
#[rstest]
#[case("system", &[ProfileKind::System, ProfileKind::NamedSystem])]
#[case("users", &[ProfileKind::Default, ProfileKind::User, ProfileKind::Channels])]
#[case("home-manager", &[ProfileKind::HomeManager])]
#[case("containers", &[ProfileKind::Container])]
#[case("system-manager", &[ProfileKind::SystemManager])]
#[case("nix-on-droid", &[ProfileKind::NixOnDroid])]
#[case("nix-collect-garbage", &[])]
fn words_select_kinds(#[case] word: &str, #[case] kinds: &[ProfileKind]) {
    let selector = ProfileSelector::parse(word).unwrap();
    let others = [
        ProfileKind::Default,
        ProfileKind::User,
        ProfileKind::Channels,
        ProfileKind::HomeManager,
        ProfileKind::Other,
    ];
    for kind in ProfileKind::SYSTEMS.into_iter().chain(others) {
        let selects = selector.selects(&of_kind(kind, "/p/x", 0, Some("root")));
        assert_eq!(selects, kinds.contains(&kind), "{word} {kind:?}");
        assert!(!selects || selector.may_select(kind), "{word} {kind:?}");
    }
}

#[rstest]
#[case("/nix/var/nix/profiles/per-user/*/dev*", true)]
#[case("/nix/var/nix/profiles/per-user/alice/dev-tools", true)]
#[case("/nix/var/nix/profiles/**/dev-tools", true)]
#[case("/nix/var/nix/profiles/per-user/{alice,bob}/*", true)]
#[case("/**", true)]
#[case("/nix/var/nix/profiles/per-user/*", false)]
#[case("/nix/var/nix/*/dev-tools", false)]
#[case("/nix/var/nix/profiles/per-user/alice/dev", false)]
#[case("/nix/var/nix/profiles/per-user/alice/de?", false)]
#[case("/*", false)]
fn patterns_are_about_whole_paths(#[case] pattern: &str, #[case] selects: bool) {
    let profile = of_kind(ProfileKind::User, ALICE, 1000, Some("alice"));
    let selector = ProfileSelector::parse(pattern).unwrap();
    assert_eq!(selector.selects(&profile), selects);
}

#[rstest]
#[case(&[], &["alice", "bob", "left", "odd", "root", "system", "web"])]
#[case(&["alice"], &["alice", "system", "web"])]
#[case(&["1000"], &["alice", "system", "web"])]
#[case(&["1000", "bob"], &["alice", "bob", "system", "web"])]
#[case(&["1002"], &["left", "system", "web"])]
#[case(&["root"], &["root", "system", "web"])]
#[case::digits_are_no_name(&["77"], &["system", "web"])]
#[case(&["Alice", "100", "01000", ""], &["system", "web"])]
fn users_restrict_what_is_not_a_system(#[case] users: &[&str], #[case] expected: &[&str]) {
    let keep = KeepPolicy::new(KeepRules {
        last: Some(1),
        ..KeepRules::default()
    });
    let operation = GenerationsOperation {
        profiles: vec![ProfileSelector::parse("/**").unwrap()],
        users: users.iter().map(ToString::to_string).collect(),
        keep: keep.unwrap(),
    };
    let profiles = [
        (
            "alice",
            of_kind(ProfileKind::User, ALICE, 1000, Some("alice")),
        ),
        (
            "bob",
            of_kind(ProfileKind::Other, "/srv/p", 1001, Some("bob")),
        ),
        ("left", of_kind(ProfileKind::User, "/p/left", 1002, None)),
        (
            "odd",
            of_kind(ProfileKind::User, "/p/odd", 1003, Some("77")),
        ),
        (
            "root",
            of_kind(ProfileKind::Default, "/p/default", 0, Some("root")),
        ),
        (
            "system",
            of_kind(ProfileKind::System, "/p/system", 0, Some("root")),
        ),
        (
            "web",
            of_kind(ProfileKind::Container, "/p/web", 0, Some("root")),
        ),
    ];
    let selected = profiles.iter().filter(|(_, it)| operation.selects(it));
    let selected: Vec<&str> = selected.map(|(name, _)| *name).collect();
    assert_eq!(selected, expected);
}
