//! What the flags of other tools become.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

mod others;

const ANGRR: &str = r#"
[temporary-root-policies.direnv]
path-regex = '/\.direnv/'
period = "14d"

[profile-policies.system]
profile-paths = ["/nix/var/nix/profiles/system"]
keep-since = "14d"
keep-latest-n = 3
keep-booted-system = true
keep-n-per-bucket = [
  { bucket-window = "1 day", bucket-amount = 7 },
  { bucket-window = "1 week", bucket-amount = 4 },
]

[profile-policies.user]
enable = false
profile-paths = ["~/.local/state/nix/profiles/profile", "/nix/var/nix/profiles/per-user/root/profile"]
keep-since = "0d"
keep-latest-n = 3
"#;

const ODD_BUCKETS: &str = r#"
store = "/nix/store"
[profile-policies."my system"]
profile-paths = ["/nix/var/nix/profiles/system"]
keep-n-per-bucket = [
  { n = 2, bucket-window = "1 day", bucket-amount = 5 },
  { bucket-window = "1 month", bucket-amount = 6 },
  { bucket-window = "1 year", bucket-amount = 2 },
  { bucket-window = "6h", bucket-amount = 8 },
]
"#;

const PRESETS: &str = r#"
[housekeeping]
keep-min = 10
remove-older = "14d"
interactive = true
gc = false

[only-count]
keep-max = 20
gc = true
"#;

fn read(path: &Utf8Path) -> Result<String, ImportError> {
    match path.as_str() {
        "angrr.toml" => Ok(ANGRR.to_string()),
        "odd.toml" => Ok(ODD_BUCKETS.to_string()),
        "presets.toml" => Ok(PRESETS.to_string()),
        "slip.toml" => Ok(ANGRR.replace("keep-since", "keep-sinse")),
        "slips.toml" => Ok(PRESETS.replace("keep-max", "keep-maks")),
        other => Err(ImportError::new(format!("{other} is not there"), "")),
    }
}

/// A machine with profiles that nh looks at, and others that it does not.
fn entries(dir: &Utf8Path) -> Vec<Entry> {
    let found: &[(&str, Option<&str>)] = match dir.as_str() {
        "/nix/var/nix/profiles" => &[
            ("system", Some("system-9-link")),
            ("system-9-link", Some("/nix/store/x-system")),
            (
                "default",
                Some("/nix/var/nix/profiles/per-user/root/profile"),
            ),
            ("per-user", None),
            ("system-profiles", None),
        ],
        "/nix/var/nix/profiles/system-profiles" => &[("known-good", Some("known-good-4-link"))],
        "/nix/var/nix/profiles/per-user" => &[("root", None), ("u", None)],
        "/nix/var/nix/profiles/per-user/root" => {
            &[("channels", Some("channels-2-link")), ("nixops", None)]
        }
        "/nix/var/nix/profiles/per-user/root/nixops" => &[("deep", Some("deep-1-link"))],
        "/nix/var/nix/profiles/per-user/u" => {
            &[("old", Some("/nix/var/nix/profiles/per-user/u/old-1-link"))]
        }
        "/home/u/.local/state/nix/profiles" => &[
            ("profile", Some("profile-3-link")),
            ("home-manager", Some("home-manager-7-link")),
            ("odd", Some("other-3-link")),
            ("strange", Some("strange-x-link")),
        ],
        "/home/far/.local/state/nix/profiles" => &[("profile", Some("profile-3-link"))],
        _ => &[],
    };
    let entry = |(name, link): &(&str, Option<&str>)| Entry {
        name: (*name).to_string(),
        link: link.map(str::to_string),
    };
    found.iter().map(entry).collect()
}

fn home_of(uid: u32) -> Option<Utf8PathBuf> {
    match uid {
        1000 => Some("/home/u".into()),
        2000 => Some("/home/far".into()),
        _ => None,
    }
}

fn context(scope: Scope) -> ImportContext<'static> {
    ImportContext {
        scope,
        home: Some(Utf8Path::new("/home/u")),
        user: Some("u"),
        state_dir: Utf8Path::new("/nix/var/nix"),
        home_of: &home_of,
        entries: &entries,
        read: &read,
    }
}

fn take_over(tool: &str, words: &str, scope: Scope) -> Result<Imported, ImportError> {
    let words: Vec<String> = match words.split_once(" '") {
        Some(_) if tool == "home-manager" => shlex::split(words).unwrap(),
        Some((flag, quoted)) => vec![
            flag.to_string(),
            quoted.strip_suffix('\'').unwrap().to_string(),
        ],
        None => words.split_whitespace().map(str::to_string).collect(),
    };
    import(tool, &words, &context(scope))
}

/// The operations of the only job, and what the notes are about.
fn only_job(imported: &Imported) -> (Value, Vec<String>) {
    let value: Value = serde_json::from_str(&imported.text).unwrap();
    let jobs = value["jobs"].as_object().unwrap();
    assert_eq!(jobs.len(), 1, "{value}");
    let job = jobs.values().next().unwrap();
    let mut operations = job["operations"].clone();
    if let Some(budget) = job.get("budget") {
        operations["budget"] = budget.clone();
    }
    let notes = imported.notes.iter().map(|note| note.about.clone());
    (
        operations,
        notes.filter(|about| about != "undoWindow").collect(),
    )
}

fn generations(profiles: &[&str], keep: &Value) -> Value {
    json!({ "profiles": profiles, "keep": keep })
}

const OWN: &[&str] = &["users", "home-manager"];
const NIXS: &[&str] = &["nix-collect-garbage"];
/// What nh looks at on that machine.
const NHS: &[&str] = &[
    "/home/u/.local/state/nix/profiles/home-manager",
    "/home/u/.local/state/nix/profiles/profile",
    "/nix/var/nix/profiles/per-user/u/old",
];
const NHS_ALL: &[&str] = &[
    "/nix/var/nix/profiles/system",
    "/nix/var/nix/profiles/per-user/root/channels",
    "/nix/var/nix/profiles/per-user/u/old",
    "/home/u/.local/state/nix/profiles/home-manager",
    "/home/u/.local/state/nix/profiles/profile",
];
const SYSTEM: &[&str] = &["/nix/var/nix/profiles/system"];

#[rstest]
#[case("nix-collect-garbage", "", json!({ "collect": {} }), &[])]
#[case("nix-collect-garbage", "-d", json!({ "generations": generations(NIXS, &json!({ "last": 1 })), "collect": {} }), &["--delete-old"])]
#[case("nix-collect-garbage", "--delete-old", json!({ "generations": generations(NIXS, &json!({ "last": 1 })), "collect": {} }), &["--delete-old"])]
#[case("nix-collect-garbage", "--delete-older-than 30d", json!({ "generations": generations(NIXS, &json!({ "within": "30d" })), "collect": {} }), &[])]
#[case("nix-collect-garbage", "-d --delete-older-than 14d", json!({ "generations": generations(NIXS, &json!({ "within": "14d" })), "collect": {} }), &["--delete-old"])]
#[case("nix-collect-garbage", "--max-freed 10G", json!({ "collect": {} }), &["--max-freed"])]
#[case("nix-collect-garbage", "-dv --dry-run", json!({ "generations": generations(NIXS, &json!({ "last": 1 })), "collect": {} }), &["--verbose", "--dry-run", "--delete-old"])]
#[case("nix-collect-garbage", "--option keep-outputs true", json!({ "collect": {} }), &["--option"])]
#[case("nix-gc", "", json!({ "collect": {} }), &[])]
#[case("nix-gc", "--options '--delete-older-than 30d'", json!({ "generations": generations(NIXS, &json!({ "within": "30d" })), "collect": {} }), &[])]
#[case("nix-gc", "--options '-d'", json!({ "generations": generations(NIXS, &json!({ "last": 1 })), "collect": {} }), &["--delete-old"])]
#[case("nix-gc", "--dates weekly --persistent true", json!({ "collect": {} }), &["--dates", "--persistent"])]
#[case("nh", "clean all", json!({ "generations": generations(NHS_ALL, &json!({ "last": 1 })), "roots": { "dangling": true }, "collect": {} }), &["all", "gcroots", "--keep"])]
#[case("nh", "clean all --keep 3 --keep-since 7d", json!({ "generations": generations(NHS_ALL, &json!({ "last": 3, "within": "7d" })), "roots": { "dangling": true }, "collect": {} }), &["all", "gcroots", "--keep-since", "--keep"])]
#[case("nh", "all -k5 -K 1week", json!({ "generations": generations(NHS_ALL, &json!({ "last": 5, "within": "7d" })), "roots": { "dangling": true }, "collect": {} }), &["all", "gcroots", "--keep-since", "--keep"])]
#[case("nh", "user --keep=2 --no-gc", json!({ "generations": generations(NHS, &json!({ "last": 2 })), "roots": { "dangling": true } }), &["user", "gcroots", "--keep"])]
#[case("nh", "clean user --nogcroots --optimise", json!({ "generations": generations(NHS, &json!({ "last": 1 })), "collect": {}, "optimise": { "enabled": true } }), &["user", "--keep"])]
#[case("nh", "clean profile /p/system -k 4", json!({ "generations": generations(&["/p/system"], &json!({ "last": 4 })), "collect": {} }), &["--keep"])]
#[case("nh", "clean user --no-gcroots -k 0", json!({ "generations": generations(NHS, &json!({ "last": 1 })), "collect": {} }), &["user", "--keep", "--keep"])]
#[case("nh", "clean user --no-gcroots -k 0 -K 2d", json!({ "generations": generations(NHS, &json!({ "last": 0, "within": "2d" })), "collect": {} }), &["user", "--keep-since", "--keep"])]
#[case("nh", "clean user --no-gcroots -na --max 5G --keep-one -x", json!({ "generations": generations(NHS, &json!({ "last": 1 })), "collect": {} }), &["--dry", "--ask", "--max", "--keep-one", "--cross-filesystems", "user", "--keep"])]
#[case("nix-sweep", "cleanout system --keep-min 10 --remove-older 30d", json!({ "generations": generations(SYSTEM, &json!({ "last": 10, "within": "30d" })) }), &["keep"])]
#[case("nix-sweep", "system --remove-older 2w", json!({ "generations": generations(SYSTEM, &json!({ "last": 1, "within": "14d" })) }), &["keep"])]
#[case("nix-sweep", "system --keep-max 8 --keep-newer 7d", json!({ "generations": generations(SYSTEM, &json!({ "last": 8, "within": "7d" })) }), &["keep"])]
#[case("nix-sweep", "system --keep-max 8 --remove-older 30d", json!({ "generations": generations(SYSTEM, &json!({ "last": 8 })) }), &["remove-older", "keep"])]
#[case("nix-sweep", "system --keep-max 8 --keep-min 0 --gc", json!({ "generations": generations(SYSTEM, &json!({ "last": 8 })), "collect": {} }), &["keep"])]
#[case("nix-collect-garbage", "--max-freed 0 -d", json!({ "generations": generations(NIXS, &json!({ "last": 1 })) }), &["--delete-old", "--max-freed"])]
#[case("nix-collect-garbage", "-v --quiet --debug --log-format raw -L -j 4 --option cores 2", json!({ "collect": {} }), &["--verbose", "--quiet", "--debug", "--log-format", "--print-build-logs", "--max-jobs", "--option"])]
#[case("nix-gc", "--options '--max-freed $((64 * 1024**3))'", json!({ "collect": {} }), &["--max-freed"])]
#[case("nix-gc", "--options '--delete-older-than 7d --max-freed \"$((30 * 1024**3 - 1024 * $(df -P -k /nix/store | tail -n 1 | awk '{ print $4 }')))\"'", json!({ "generations": generations(NIXS, &json!({ "within": "7d" })), "collect": {}, "budget": { "minFree": "30G" } }), &["--max-freed"])]
#[case("nix-gc", "--options '--max-freed $((1000 - 1024 * $(df -P -k /nix/store | tail -n 1 | awk '{ print $4 }')))'", json!({ "collect": {}, "budget": { "minFree": "1000B" } }), &["--max-freed"])]
#[case("home-manager", "", json!({ "generations": generations(&["home-manager"], &json!({ "within": "30d" })) }), &["--timestamp"])]
#[case("home-manager", "--enable true --frequency weekly --timestamp '-7 days' --store.cleanup false", json!({ "generations": generations(&["home-manager"], &json!({ "within": "7d" })) }), &["--enable", "--frequency", "--timestamp"])]
#[case("home-manager", "expire-generations '2 weeks ago'", json!({ "generations": generations(&["home-manager"], &json!({ "within": "14d" })) }), &["--timestamp"])]
#[case("home-manager", "expire-generations '-1 month'", json!({ "generations": generations(&["home-manager"], &json!({ "within": "31d" })) }), &["--timestamp"])]
#[case("harmonia-gc", "", json!({ "collect": {} }), &[])]
#[case("fast-nix-gc", "--delete-older-than 2w --ensure-free 20% --keep-recent 1d --no-vacuum", json!({ "generations": generations(OWN, &json!({ "within": "14d" })), "collect": { "keepRecent": "1d" }, "budget": { "minFree": "20%" } }), &["--no-vacuum", "--ensure-free"])]
#[case("harmonia-gc", "--automatic true --deleteOlderThan 1m --ensureFree 50g --keepRecent 12h", json!({ "generations": generations(OWN, &json!({ "within": "30d" })), "collect": { "keepRecent": "12h" }, "budget": { "minFree": "50G" } }), &["--automatic", "--ensure-free"])]
#[case("harmonia-gc", "--extraArgs '--delete-old --ensure-free 12.5%'", json!({ "generations": generations(OWN, &json!({ "last": 1 })), "collect": {}, "budget": { "minFree": "12%" } }), &["--delete-old", "--ensure-free"])]
#[case("harmonia-gc", "--ensure-free 0 -d", json!({ "generations": generations(OWN, &json!({ "last": 1 })) }), &["--delete-old"])]
#[case("nix-sweep", "home --remove-older 1mon", json!({ "generations": generations(&["/home/u/.local/state/nix/profiles/home-manager"], &json!({ "last": 1, "within": "30d" })) }), &["home", "keep"])]
#[case("nix-sweep", "system --gc --gc-bigger 50 --gc-modest", json!({ "collect": {}, "budget": { "maxStore": "50G" } }), &["gc-bigger"])]
#[case("nix-sweep", "system --gc --gc-quota 80", json!({ "collect": {}, "budget": { "maxUsed": 80 } }), &["gc-quota"])]
#[case("nix-sweep", "gc --bigger 50 -m", json!({ "collect": {}, "budget": { "maxStore": "50G" } }), &["gc-bigger"])]
#[case("nix-sweep", "cleanout -C presets.toml -p only-count system", json!({ "generations": generations(SYSTEM, &json!({ "last": 20 })), "collect": {} }), &["keep"])]
#[case("nix-sweep", "-C presets.toml -p housekeeping system --keep-min 5 -nd", json!({ "generations": generations(SYSTEM, &json!({ "last": 5, "within": "14d" })) }), &["--non-interactive", "--dry-run", "keep", "interactive"])]
fn flags_become_operations(
    #[case] tool: &str,
    #[case] words: &str,
    #[case] operations: Value,
    #[case] notes: &[&str],
) {
    let imported = take_over(tool, words, Scope::User).unwrap();
    let (found, about) = only_job(&imported);
    assert_eq!(found, operations);
    assert_eq!(about, notes);
    let says_what_is_held = imported.notes.iter().any(|note| note.about == "undoWindow");
    assert_eq!(says_what_is_held, operations.get("generations").is_some());
}

#[rstest]
#[case("nix-collect-garbage", "--delete-older-than +3", "does not take `+3`")]
#[case("nix-collect-garbage", "--delete-older-than 0d", "does not take `0d`")]
#[case("nix-collect-garbage", "--delete-older-than 30", "does not take `30`")]
#[case("nix-collect-garbage", "--delete-older-than 2w", "does not take `2w`")]
#[case("nix-collect-garbage", "--max-freed x", "not an amount")]
#[case("harmonia-gc", "--gc-roots-dir /x", "would be deleted")]
#[case("harmonia-gc", "--gcRootsDirs /x", "would be deleted")]
#[case("home-manager", "switch", "takes no `switch`")]
#[case("home-manager", "--timestamp yesterday", "not a time")]
#[case("home-manager", "--timestamp '30 days'", "not a time")]
#[case("home-manager", "--timestamp '-1 month 3 days ago'", "not a time")]
#[case("home-manager", "--timestamp '-0 days'", "not a time")]
#[case(
    "home-manager",
    "--store.cleanup true --store.options '--delete-older-than 2w'",
    "does not take `2w`"
)]
#[case("harmonia-gc", "--keep-outputs true", "keeps paths")]
#[case("harmonia-gc", "--delete-older-than 30", "does not take `30`")]
#[case("harmonia-gc", "--delete-older-than 1y", "not a duration")]
#[case("harmonia-gc", "--ensure-free 3%", "not a goal")]
#[case("harmonia-gc", "--delete-olderthan 3d", "no flag `--delete-olderthan`")]
#[case("nix-collect-garbage", "--delete-older-than d", "does not take `d`")]
#[case("nix-collect-garbage", "--delete-older-than", "a value is required")]
#[case(
    "nix-collect-garbage",
    "--delete-olderthan 3d",
    "no flag `--delete-olderthan`"
)]
#[case("nix-collect-garbage", "-x", "no flag `-x`")]
#[case("nix-collect-garbage", "30d", "takes no `30d`")]
#[case("nix-gc", "--option '-d'", "no flag `--option`")]
#[case("nix-gc", "--options '--delete-older-than $DAYS'", "a `$`")]
#[case("nix-gc", "-d", "no flag `-d`")]
#[case("nh", "clean", "of nh clean")]
#[case("nh", "clean al", "of nh clean")]
#[case("nh", "clean all --keep three", "is not a number")]
#[case("nh", "clean all --keep-since 7", "not a duration")]
#[case("nh", "clean all --keepsince 7d", "no flag `--keepsince`")]
#[case("nh", "clean all --no-gc=yes", "unexpected value 'yes'")]
#[case("nh", "clean all --keep 1001", "`last` cannot be 1001")]
#[case("nh", "clean profile", "needs a profile")]
#[case("nh", "clean profile p", "not the absolute path")]
#[case("nix-sweep", "system", "nothing that can be converted")]
#[case("nix-sweep", "system --keep-min 3", "nothing that can be converted")]
#[case(
    "nix-sweep",
    "system --keep-max 2 --keep-min 3",
    "more than what is left over"
)]
#[case(
    "nix-sweep",
    "system --keep-newer 9d --remove-older 8d",
    "more than what is left over"
)]
#[case("nix-sweep", "system --gc --gc-modest", "modest only")]
#[case("nix-sweep", "system -p housekeeping", "was not named")]
#[case("nix-sweep", "system -C presets.toml -p house", "no preset `house`")]
#[case("nix-sweep", "system -C slips.toml", "no presets of nix-sweep")]
#[case("nix-sweep", "system --remove-oldr 3d", "no flag `--remove-oldr`")]
#[case("angrr", "slip.toml", "no settings of angrr")]
#[case("angrr", "absent.toml", "absent.toml is not there")]
#[case("angrr", "a.toml b.toml", "two files")]
#[case("nix-gcc", "", "unknown tool `nix-gcc`")]
fn slips_are_errors(#[case] tool: &str, #[case] words: &str, #[case] message: &str) {
    let error = take_over(tool, words, Scope::User).unwrap_err();
    assert!(error.message.contains(message), "{}", error.message);
    assert!(!error.hint.is_empty() || message.contains("not there"));
}

#[rstest]
#[case("1w", "write `7d`")]
#[case("2 weeks", "write `14d`")]
#[case("1mo", "write `30d`")]
#[case("48h", "write `2d`")]
#[case("30", "write `30d`")]
#[case("7days", "write `7d`")]
#[case("+5", "number of generations")]
#[case("soon", "whole days, at least one")]
fn another_age_gets_the_days_that_it_has(#[case] age: &str, #[case] advice: &str) {
    let words = ["--delete-older-than".to_string(), age.to_string()];
    let error = import("nix-collect-garbage", &words, &context(Scope::User)).unwrap_err();
    assert!(error.hint.contains(advice), "{}", error.hint);
}

#[rstest]
#[case("--option keep-outputs true", NoteKind::DeletesMore)]
#[case("--option gc-keep-derivations 1", NoteKind::DeletesMore)]
#[case("--keep-outputs", NoteKind::DeletesMore)]
#[case("--option keep-outputs false", NoteKind::NoEquivalent)]
#[case("--option cores 2", NoteKind::NoEquivalent)]
fn settings_that_keep_dead_paths_are_reported(#[case] flags: &str, #[case] kind: NoteKind) {
    let imported = take_over("nix-collect-garbage", flags, Scope::User).unwrap();
    assert_eq!(imported.notes[0].kind, kind);
    let flags = format!("{flags} --option cores 2");
    let imported = take_over("nix-collect-garbage", &flags, Scope::User).unwrap();
    assert_eq!(imported.notes[0].kind, kind);
}

#[test]
fn for_all_users_nh_names_what_it_looks_at_and_nothing_deeper() {
    let imported = take_over("nh", "clean all", Scope::System).unwrap();
    let (operations, _) = only_job(&imported);
    assert_eq!(operations["generations"]["profiles"], json!(NHS_ALL));
    let nobody = ImportContext {
        entries: &|_| Vec::new(),
        ..context(Scope::System)
    };
    let imported = import("nh", &["all".to_string()], &nobody).unwrap();
    let (operations, _) = only_job(&imported);
    assert_eq!(operations.get("generations"), None);
    assert_eq!(imported.notes[0].kind, NoteKind::NoEquivalent);
}

#[test]
fn for_the_machine_nixs_own_profiles_have_a_word_and_those_of_harmonia_only_in_part() {
    let imported = take_over("nix-collect-garbage", "-d", Scope::System).unwrap();
    let (operations, notes) = only_job(&imported);
    assert_eq!(operations["generations"]["profiles"], json!(NIXS));
    assert!(!notes.contains(&"profiles".to_string()));
    let imported = take_over("harmonia-gc", "-d", Scope::System).unwrap();
    let (operations, notes) = only_job(&imported);
    assert_eq!(operations["generations"]["profiles"], json!(["system"]));
    assert!(notes.contains(&"profiles".to_string()));
}

#[test]
fn home_manager_expires_and_collects_in_two_jobs_of_one_user() {
    let flags = "--store.cleanup true --store.options '--delete-older-than 60d'";
    let imported = take_over("home-manager", flags, Scope::User).unwrap();
    let settings: Value = serde_json::from_str(&imported.text).unwrap();
    let jobs = settings["jobs"].as_object().unwrap();
    assert_eq!(jobs.keys().collect::<Vec<_>>(), ["default", "home-manager"]);
    let collects = &jobs["default"]["operations"];
    assert_eq!(collects["generations"]["keep"], json!({ "within": "60d" }));
    assert_eq!(collects["collect"], json!({}));
    let error = take_over("home-manager", flags, Scope::System).unwrap_err();
    assert!(error.hint.contains("--for user"), "{}", error.hint);
}

#[test]
fn the_module_of_nh_has_its_flags_in_one_word() {
    let same = take_over("nh", "clean all --keep-since 4d --keep 3", Scope::System).unwrap();
    let flags = "--keep-since 4d --keep 3";
    for words in [
        &["--extraArgs", flags][..],
        &["all", "--extraArgs", flags, "--dates", "weekly"],
    ] {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let imported = import("nh", &words, &context(Scope::System)).unwrap();
        assert_eq!(imported.text, same.text);
    }
}

fn jobs(imported: &Imported) -> Value {
    serde_json::from_str::<Value>(&imported.text).unwrap()["jobs"].clone()
}

#[test]
fn policies_of_angrr_become_jobs() {
    let imported = take_over("angrr", "run -c angrr.toml -n", Scope::System).unwrap();
    // Four windows of a week are longer than the 14 days.
    let system = json!({ "last": 3, "within": "28d" });
    assert_eq!(
        jobs(&imported),
        json!({
            "system": {
                "description": "imported from the angrr policy system",
                "operations": { "generations": generations(SYSTEM, &system) }
            },
            "user": {
                "description": "imported from the angrr policy user",
                "enabled": false,
                "operations": {
                    "generations": generations(&["/nix/var/nix/profiles/per-user/root/profile"], &json!({ "last": 3 }))
                }
            }
        })
    );
    let about = |text: &str| imported.notes.iter().any(|note| note.about == text);
    assert!(about("temporary-root-policies.direnv"));
    assert!(about("collect"));
    let of_a_user = take_over("angrr", "angrr.toml", Scope::User).unwrap();
    assert_eq!(
        jobs(&of_a_user)["user"]["operations"]["generations"]["profiles"][0],
        "/home/u/.local/state/nix/profiles/profile"
    );
}

#[test]
fn windows_without_a_rule_are_kept_whole() {
    let imported = take_over("angrr", "odd.toml", Scope::System).unwrap();
    let jobs = jobs(&imported);
    // The name is none that ours can have.
    let keep = &jobs["job-1"]["operations"]["generations"]["keep"];
    assert_eq!(*keep, json!({ "within": "730d12h" }));
    assert!(imported.notes.iter().any(|note| note.about == "store"));
}

#[test]
fn every_preset_becomes_a_job() {
    let imported = take_over("nix-sweep", "-C presets.toml system", Scope::System).unwrap();
    let jobs = jobs(&imported);
    let names: Vec<&String> = jobs.as_object().unwrap().keys().collect();
    assert_eq!(names, ["housekeeping", "only-count"]);
}

#[rstest]
#[case("0", 0)]
#[case("1h 30m", 5_400)]
#[case("2 weeks", 1_209_600)]
#[case("1month", 2_630_016)]
#[case("1y2d", 31_730_400)]
fn spans_of_humantime_are_read(#[case] text: &str, #[case] seconds: u64) {
    let age = durations::read("x", text, durations::HUMANTIME).unwrap();
    assert_eq!(age.as_seconds(), seconds);
}

#[rstest]
#[case("")]
#[case("d")]
#[case("-1d")]
#[case("1.5d")]
#[case("7x")]
#[case("99999999999999999999d")]
fn other_spans_are_not(#[case] text: &str) {
    assert!(durations::read("x", text, durations::HUMANTIME).is_err());
    assert!(durations::read("x", text, durations::DURATION_STR).is_err());
}

proptest::proptest! {
    #[test]
    fn no_words_panic(tool in 0..TOOLS.len(), words in proptest::collection::vec("(-{0,2}[a-z-]{0,12}|[0-9]{1,4}[dw]?|\\PC{0,6})", 0..5)) {
        let context = ImportContext { home: None, ..context(Scope::User) };
        if let Ok(imported) = import(TOOLS[tool].0, &words, &context) {
            let (_, findings) = crate::settings::Settings::parse(&imported.text).unwrap();
            proptest::prop_assert!(findings.is_empty());
        }
    }
}
