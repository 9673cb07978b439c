//! Every row of the table of risks, and what holds for all changes.

use rstest::rstest;
use serde_json::{Value, json};

use super::{Platform, RiskLevel, Settings, SettingsDiff};

/// Settings with one job, and everything in it that a row may change.
fn base() -> Value {
    json!({
        "version": 2,
        "safeMode": true,
        "undoWindow": "7d",
        "protect": {
            "paths": [
                "/", "/usr", "/etc", "/var", "/bin", "/sbin", "/boot", "/nix/store", "/nix/var", "/srv"
            ],
            "roots": ["/home/*/keep/**"],
            "generations": [{ "profile": "system", "number": 42, "reason": "the last good kernel" }]
        },
        "accept": accepted(),
        "limits": { "maxGenerationsPerRun": 20, "maxBytesPerRun": "50G" },
        "policy": {
            "keepAtLeast": { "last": 2, "within": "3d" },
            "maxRisk": "medium",
            "undoWindow": "2d"
        },
        "jobs": {
            "daily": {
                "description": "thin out",
                "maxRisk": "medium",
                "budget": { "maxUsed": 50 },
                "operations": {
                    "generations": {
                        "profiles": ["system", "users"],
                        "keep": { "last": 5, "within": "14d", "daily": 7, "weekly": 4, "monthly": 6, "yearly": 2 }
                    },
                    "collect": { "keepRecent": "2d" }
                }
            },
            "off": { "enabled": false, "operations": { "collect": {} } }
        }
    })
}

fn accepted() -> [Value; 2] {
    [
        json!({ "code": "roots.away", "place": "/mnt/backup", "reason": "by hand" }),
        json!({ "code": "roots.unreadable", "place": "/home/alice", "reason": "NFS" }),
    ]
}

fn settings(value: &Value, platform: Platform) -> Settings {
    let parsed = Settings::parse_for(&value.to_string(), platform);
    parsed.unwrap_or_else(|f| panic!("{value}: {f:?}")).0
}

/// The base with some places written anew; null removes what is there.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut value = base();
    for (pointer, new) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match value.pointer_mut(parent).unwrap() {
            Value::Object(map) if new.is_null() => {
                map.remove(key);
            }
            Value::Object(map) => {
                map.insert(key.to_string(), new.clone());
            }
            other => panic!("{other} is no object"),
        }
    }
    value
}

fn assess(old: &Value, new: &Value) -> SettingsDiff {
    let here = Platform::Linux;
    SettingsDiff::of(Some(&settings(old, here)), &settings(new, here), here)
}

const KEEP: &str = "/jobs/daily/operations/generations/keep";

#[rstest]
// What one run may take unasked.
#[case::more_generations("/limits/maxGenerationsPerRun", json!(30), "/limits/maxGenerationsPerRun", "medium")]
#[case::fewer_generations("/limits/maxGenerationsPerRun", json!(3), "/limits/maxGenerationsPerRun", "low")]
#[case::no_limit(
    "/limits/maxGenerationsPerRun",
    Value::Null,
    "/limits/maxGenerationsPerRun",
    "medium"
)]
#[case::more_bytes("/limits/maxBytesPerRun", json!("51G"), "/limits/maxBytesPerRun", "medium")]
#[case::fewer_bytes("/limits/maxBytesPerRun", json!("0"), "/limits/maxBytesPerRun", "low")]
// What is protected.
#[case::protected_path("/protect/paths", critical(&[]), "/protect/paths/9", "high")]
#[case::another_path("/protect/paths", critical(&["/srv", "/data"]), "/protect/paths/10", "low")]
#[case::protected_root("/protect/roots", json!([]), "/protect/roots/0", "high")]
#[case::another_root("/protect/roots", json!(["/home/*/keep/**", "/x"]), "/protect/roots/1", "low")]
#[case::pin("/protect/generations", json!([]), "/protect/generations/0", "high")]
#[case::reason_of_a_pin("/protect/generations", json!([{ "profile": "system", "number": 42 }]), "/protect/generations/0/reason", "low")]
// What is accepted.
#[case::another_accepted("/accept", json!([accepted()[0], accepted()[1], { "code": "roots.unreadable", "place": "/home/bob", "reason": "NFS" }]), "/accept/2", "high")]
#[case::profile_accepted("/accept", json!([accepted()[0], accepted()[1], { "code": "profile.absent", "place": "/p/x", "reason": "not here" }]), "/accept/2", "low")]
#[case::wider_place("/accept", json!([{ "code": "roots.away", "place": "/mnt/usb", "reason": "by hand" }, accepted()[1], accepted()[0]]), "/accept/0", "high")]
#[case::accepted_no_more("/accept", json!([accepted()[0]]), "/accept/1", "low")]
#[case::reason_of_an_accepted("/accept", json!([accepted()[0], { "code": "roots.unreadable", "place": "/home/alice", "reason": "FUSE" }]), "/accept/1/reason", "low")]
// What holds for all jobs.
#[case::safe_mode("/safeMode", json!(false), "/safeMode", "high")]
#[case::window_shortened("/undoWindow", json!("6d"), "/undoWindow", "medium")]
#[case::window_to_zero("/undoWindow", json!("0s"), "/undoWindow", "high")]
#[case::window_longer("/undoWindow", json!("8d"), "/undoWindow", "low")]
// The policy.
#[case::floor_lowered("/policy/keepAtLeast/last", json!(1), "/policy/keepAtLeast/last", "medium")]
#[case::floor_removed("/policy/keepAtLeast/within", json!(null), "/policy/keepAtLeast/within", "medium")]
#[case::floor_raised("/policy/keepAtLeast/last", json!(3), "/policy/keepAtLeast/last", "low")]
#[case::policy_window("/policy/undoWindow", json!("1d"), "/policy/undoWindow", "medium")]
#[case::policy_risk_raised("/policy/maxRisk", json!("high"), "/policy/maxRisk", "high")]
#[case::policy_risk_lowered("/policy/maxRisk", json!("low"), "/policy/maxRisk", "low")]
#[case::policy_risk_removed("/policy/maxRisk", json!(null), "/policy/maxRisk", "high")]
// What a job may risk.
#[case::risk_to_high("/jobs/daily/maxRisk", json!("high"), "/jobs/daily/maxRisk", "high")]
#[case::risk_to_low("/jobs/daily/maxRisk", json!("low"), "/jobs/daily/maxRisk", "low")]
// Keep rules.
#[case::last_lowered(&at("last"), json!(4), &at("last"), "medium")]
#[case::last_removed(&at("last"), json!(null), &at("last"), "medium")]
#[case::last_to_zero(&at("last"), json!(0), &at("last"), "high")]
#[case::last_raised(&at("last"), json!(6), &at("last"), "low")]
#[case::daily_lowered(&at("daily"), json!(1), &at("daily"), "medium")]
#[case::weekly_to_zero(&at("weekly"), json!(0), &at("weekly"), "high")]
#[case::monthly_removed(&at("monthly"), json!(null), &at("monthly"), "medium")]
#[case::yearly_raised(&at("yearly"), json!(3), &at("yearly"), "low")]
#[case::within_shortened(&at("within"), json!("13d"), &at("within"), "medium")]
#[case::within_to_zero(&at("within"), json!("0s"), &at("within"), "high")]
#[case::within_longer(&at("within"), json!("15d"), &at("within"), "low")]
#[case::recent_shortened("/jobs/daily/operations/collect/keepRecent", json!("1d"), "/jobs/daily/operations/collect/keepRecent", "medium")]
#[case::recent_to_zero("/jobs/daily/operations/collect/keepRecent", json!("0s"), "/jobs/daily/operations/collect/keepRecent", "high")]
#[case::recent_removed("/jobs/daily/operations/collect/keepRecent", json!(null), "/jobs/daily/operations/collect/keepRecent", "high")]
#[case::built_with("/jobs/daily/operations/collect/keepBuildDependencies", json!(true), "/jobs/daily/operations/collect/keepBuildDependencies", "low")]
#[case::recent_longer("/jobs/daily/operations/collect/keepRecent", json!("3d"), "/jobs/daily/operations/collect/keepRecent", "low")]
#[case::method("/jobs/daily/operations/collect/method", json!("selective"), "/jobs/daily/operations/collect/method", "low")]
// Goals.
#[case::used_stricter("/jobs/daily/budget", json!({ "maxUsed": 40 }), "/jobs/daily/budget/maxUsed", "medium")]
#[case::used_looser("/jobs/daily/budget", json!({ "maxUsed": 60 }), "/jobs/daily/budget/maxUsed", "low")]
#[case::another_goal("/jobs/daily/budget", json!({ "minFree": "20%" }), "/jobs/daily/budget", "medium")]
#[case::no_goal("/jobs/daily/budget", json!(null), "/jobs/daily/budget", "medium")]
#[case::early_release("/jobs/daily/budget", json!({ "maxUsed": 50, "releaseHolds": "ifNeeded" }), "/jobs/daily/budget/releaseHolds", "medium")]
// Jobs and operations.
#[case::job_added("/jobs/new", json!({ "operations": { "collect": {} } }), "/jobs/new", "low")]
#[case::job_that_thins_out("/jobs/new", json!({ "operations": { "generations": { "keep": { "last": 1 } } } }), "/jobs/new", "high")]
#[case::job_of_users("/jobs/new", json!({ "operations": { "generations": { "profiles": ["users"], "keep": { "last": 1 } } } }), "/jobs/new", "medium")]
#[case::job_within_its_ceiling("/jobs/new", json!({ "maxRisk": "low", "operations": { "generations": { "keep": { "last": 1 } } } }), "/jobs/new", "low")]
#[case::job_disabled("/jobs/daily/enabled", json!(false), "/jobs/daily/enabled", "low")]
#[case::job_enabled("/jobs/off/enabled", json!(true), "/jobs/off/enabled", "low")]
#[case::disabled_job_added("/jobs/new", json!({ "enabled": false, "operations": { "generations": { "keep": { "last": 1 } } } }), "/jobs/new", "low")]
#[case::job_removed("/jobs/off", json!(null), "/jobs/off", "low")]
#[case::description("/jobs/daily/description", json!("thin"), "/jobs/daily/description", "low")]
#[case::operation_added("/jobs/off/operations/generations", json!({ "keep": { "last": 1 } }), "/jobs/off/operations/generations", "high")]
#[case::operation_removed("/jobs/daily/operations/generations", json!(null), "/jobs/daily/operations/generations", "low")]
#[case::collection_removed("/jobs/daily/operations/collect", json!(null), "/jobs/daily/operations/collect", "low")]
#[case::collection_added("/jobs/off/operations", json!({ "collect": {}, "optimise": { "enabled": true } }), "/jobs/off/operations/optimise", "low")]
#[case::verify("/jobs/daily/operations/verify", json!({ "enabled": true }), "/jobs/daily/operations/verify", "low")]
#[case::roots("/jobs/daily/operations/roots", json!({ "dangling": true }), "/jobs/daily/operations/roots/dangling", "low")]
#[case::profiles_more("/jobs/daily/operations/generations/profiles", json!(["system", "users", "/srv/profile"]), "/jobs/daily/operations/generations/profiles/2", "medium")]
#[case::containers("/jobs/daily/operations/generations/profiles", json!(["system", "users", "containers"]), "/jobs/daily/operations/generations/profiles/2", "medium")]
#[case::pattern("/jobs/daily/operations/generations/profiles", json!(["system", "users", "/srv/*"]), "/jobs/daily/operations/generations/profiles/2", "medium")]
#[case::users("/jobs/daily/operations/generations/users", json!(["alice"]), "/jobs/daily/operations/generations/users", "low")]
#[case::profiles_fewer("/jobs/daily/operations/generations/profiles", json!(["system"]), "/jobs/daily/operations/generations/profiles/1", "low")]
fn one_change_gives_one_difference(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] at: &str,
    #[case] risk: &str,
) {
    let assessment = assess(&base(), &with(&[(pointer, value)]));
    let found: Vec<(&str, &str)> = assessment
        .changes
        .iter()
        .map(|change| (change.pointer.as_str(), change.risk.as_str()))
        .collect();
    assert_eq!(found, [(at, risk)]);
    assert_eq!(assessment.risk().map(RiskLevel::as_str), Some(risk));
    let change = &assessment.changes[0];
    assert_ne!(change.old, change.new);
}

fn at(rule: &str) -> String {
    format!("{KEEP}/{rule}")
}

fn critical(and: &[&'static str]) -> Value {
    let paths = Platform::Linux.critical_paths();
    json!(paths.chain(and.iter().copied()).collect::<Vec<_>>())
}

#[test]
fn amounts_of_one_kind_are_compared_and_others_are_not() {
    let old = with(&[("/jobs/daily/budget", json!({ "minFree": "50G" }))]);
    let row = |budget: Value| {
        let found = assess(&old, &with(&[("/jobs/daily/budget", budget)]));
        let change = found.changes[0].clone();
        (change.pointer.as_str().to_string(), change.risk)
    };
    let at = |key: &str| format!("/jobs/daily/budget{key}");
    assert_eq!(
        row(json!({ "minFree": "60G" })),
        (at("/minFree"), RiskLevel::Medium)
    );
    assert_eq!(
        row(json!({ "minFree": "40G" })),
        (at("/minFree"), RiskLevel::Low)
    );
    assert_eq!(row(json!({ "minFree": "5%" })), (at(""), RiskLevel::Medium));
    let old = with(&[("/jobs/daily/budget", json!({ "maxStore": "50G" }))]);
    let stricter = with(&[("/jobs/daily/budget", json!({ "maxStore": "40G" }))]);
    assert_eq!(assess(&old, &stricter).risk(), Some(RiskLevel::Medium));
    assert_eq!(assess(&stricter, &old).risk(), Some(RiskLevel::Low));
}

#[test]
fn together_they_are_exactly_four() {
    let job =
        json!({ "maxRisk": "high", "operations": { "generations": { "keep": { "last": 3 } } } });
    let new = with(&[
        ("/safeMode", json!(false)),
        ("/jobs/daily/budget", json!({ "maxUsed": 60 })),
        ("/protect/paths", critical(&["/srv", "/data"])),
        ("/jobs/weekly", job),
    ]);
    let assessment = assess(&base(), &new);
    let changes = assessment.changes.iter().map(|change| {
        json!({ "pointer": change.pointer, "old": change.old, "new": change.new, "risk": change.risk,
                "message": change.message })
    });
    assert_eq!(
        changes.collect::<Value>(),
        json!([
            { "pointer": "/jobs/weekly", "old": null, "new": "generations", "risk": "high", "message": "a new job" },
            { "pointer": "/safeMode", "old": true, "new": false, "risk": "high",
              "message": "critical actions are allowed where a job allows them" },
            { "pointer": "/jobs/daily/budget/maxUsed", "old": 50, "new": 60, "risk": "low",
              "message": "the goal is looser" },
            { "pointer": "/protect/paths/10", "old": null, "new": "/data", "risk": "low",
              "message": "protected" },
        ])
    );
    assert_eq!(assessment.risk(), Some(RiskLevel::High));
}

#[rstest]
#[case::raised("/jobs/daily/maxRisk", json!("critical"))]
#[case::a_new_job("/jobs/new", json!({ "maxRisk": "critical", "operations": { "generations": { "keep": { "last": 1 } } } }))]
fn what_may_be_critical_is_critical(#[case] pointer: &str, #[case] value: Value) {
    let old = with(&[("/safeMode", json!(false))]);
    let new = with(&[("/safeMode", json!(false)), (pointer, value)]);
    assert_eq!(assess(&old, &new).risk(), Some(RiskLevel::Critical));
}

#[test]
fn a_critical_path_that_goes_is_critical() {
    let mut mac = base();
    let paths = Platform::MacOs.critical_paths().collect::<Vec<_>>();
    mac["protect"]["paths"] = json!(paths);
    let old = settings(&mac, Platform::MacOs);
    mac["protect"]["paths"] = critical(&[]);
    let new = settings(&mac, Platform::Linux);
    let assessment = SettingsDiff::of(Some(&old), &new, Platform::MacOs);
    let gone: Vec<_> = assessment.changes.iter().map(|c| c.old.clone()).collect();
    assert_eq!(gone.len(), 3);
    assert_eq!(assessment.risk(), Some(RiskLevel::Critical));
}

#[test]
fn another_order_is_no_change() {
    let mut new = base();
    new["protect"]["paths"].as_array_mut().unwrap().reverse();
    let generations = &mut new["jobs"]["daily"]["operations"]["generations"];
    generations["profiles"].as_array_mut().unwrap().reverse();
    new["accept"].as_array_mut().unwrap().reverse();
    let other: Settings = {
        // Keys too: serde_json writes them in order, so that the text is turned around by hand.
        let jobs = new["jobs"].clone();
        let text = format!(
            "{{\"jobs\": {jobs}, \"accept\": {}, \"undoWindow\": \"168h\", \"policy\": {}, \"limits\": {}, \"protect\": {}, \"version\": 2}}",
            new["accept"], new["policy"], new["limits"], new["protect"]
        );
        Settings::parse_for(&text, Platform::Linux).unwrap().0
    };
    let old = settings(&base(), Platform::Linux);
    let assessment = SettingsDiff::of(Some(&old), &other, Platform::Linux);
    assert_eq!(assessment.changes, []);
    assert_eq!(assessment.risk(), None);
}

#[test]
fn where_nothing_was_everything_is_added() {
    let new = settings(&base(), Platform::Linux);
    let assessment = SettingsDiff::of(None, &new, Platform::Linux);
    let found: Vec<&str> = assessment
        .changes
        .iter()
        .map(|c| c.pointer.as_str())
        .collect();
    assert_eq!(
        found,
        [
            "/accept/0",
            "/accept/1",
            "/jobs/daily",
            "/jobs/off",
            "/limits/maxBytesPerRun",
            "/limits/maxGenerationsPerRun",
            "/policy/keepAtLeast/last",
            "/policy/keepAtLeast/within",
            "/policy/maxRisk",
            "/policy/undoWindow",
            "/protect/generations/0",
            "/protect/paths/9",
            "/protect/roots/0"
        ]
    );
    assert!(assessment.changes.iter().all(|change| change.old.is_none()));
}

/// Without the list everybody's profiles lose generations.
#[rstest]
#[case::taken_away(json!(["alice"]), json!(null), "medium")]
#[case::one_more(json!(["alice"]), json!(["alice", "bob"]), "medium")]
#[case::another(json!(["alice"]), json!(["bob"]), "medium")]
#[case::one_fewer(json!(["alice", "bob"]), json!(["bob"]), "low")]
#[case::added(json!(null), json!(["bob"]), "low")]
#[case::order(json!(["alice", "bob"]), json!(["bob", "alice"]), "none")]
fn users_restrict_whose_profiles_lose_generations(
    #[case] old: Value,
    #[case] new: Value,
    #[case] risk: &str,
) {
    let users = "/jobs/daily/operations/generations/users";
    let [old, new] = [old, new].map(|it| with(&[(users, it)]));
    let found = assess(&old, &new);
    let found_risk = found.risk().map(|risk| risk.to_string());
    assert_eq!(found_risk.as_deref().unwrap_or("none"), risk);
    let pointers = found.changes.iter().map(|it| it.pointer.to_string());
    assert!(pointers.into_iter().all(|it| it == users));
}

/// What may select a system has its risk, also where no word says so.
#[rstest]
#[case("users", "medium")]
#[case("home-manager", "medium")]
#[case("containers", "high")]
#[case("system-manager", "high")]
#[case("nix-on-droid", "high")]
#[case("nix-collect-garbage", "high")]
#[case("/home/*/.local/state/nix/profiles/*", "high")]
fn a_new_job_has_the_risk_of_what_it_may_select(#[case] selector: &str, #[case] risk: &str) {
    let job = json!({ "operations": { "generations": { "profiles": [selector], "keep": { "last": 1 } } } });
    let found = assess(&base(), &with(&[("/jobs/new", job)]));
    assert_eq!(
        found.risk().map(|risk| risk.to_string()).as_deref(),
        Some(risk)
    );
}

#[rstest]
#[case::set(json!(null), json!("90d"), "high")]
#[case::shorter(json!("90d"), json!("30d"), "high")]
#[case::longer(json!("30d"), json!("90d"), "low")]
#[case::taken_away(json!("30d"), json!(null), "low")]
#[case::same(json!("30d"), json!("30d"), "none")]
fn profiles_of_removed_users_are_a_high_risk(
    #[case] old: Value,
    #[case] new: Value,
    #[case] risk: &str,
) {
    let roots = |age: Value| {
        let mut roots = json!({ "dangling": true });
        if !age.is_null() {
            roots["removedUsers"] = age;
        }
        with(&[("/jobs/daily/operations/roots", roots)])
    };
    let found = assess(&roots(old), &roots(new));
    let found_risk = found.risk().map(|risk| risk.to_string());
    assert_eq!(found_risk.as_deref().unwrap_or("none"), risk);
}

#[test]
fn a_new_job_for_removed_users_is_a_high_risk() {
    let job = json!({ "operations": { "roots": { "removedUsers": "90d" } } });
    let found = assess(&base(), &with(&[("/jobs/new", job)]));
    assert_eq!(found.risk(), Some(RiskLevel::High));
}

#[rstest]
#[case::set(json!({}), json!({ "buildLogs": "90d" }))]
#[case::removed(json!({ "buildLogs": "90d" }), json!({}))]
#[case::of_orphans(json!({}), json!({ "orphanedBuildLogs": "30d" }))]
#[case::shorter(json!({ "nixCache": "90d" }), json!({ "nixCache": "1d" }))]
fn leftovers_are_a_low_risk_whatever_their_age(#[case] old: Value, #[case] new: Value) {
    let leftovers = |ages| with(&[("/jobs/daily/operations/leftovers", ages)]);
    let found = assess(&leftovers(old), &leftovers(new));
    assert_eq!(found.risk(), Some(RiskLevel::Low));
}
