//! The rules and their boundaries, each against the same small base.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::domain::job::PathPatterns;
use crate::domain::risk::RiskLevel;

const KEEP: &str = "/jobs/daily/operations/generations/keep";

fn parse(text: &str) -> Result<(Settings, Vec<Finding>), Vec<Finding>> {
    Settings::parse_for(text, Platform::Linux)
}

/// What was found, errors and warnings alike, as `CODE POINTER`.
fn found(text: &str) -> Vec<String> {
    let (Ok((_, findings)) | Err(findings)) = parse(text);
    let short = |f: &Finding| format!("{} {}", f.code, f.pointer);
    findings.iter().map(short).collect()
}

/// Valid settings with one job, and nothing that is optional.
fn base() -> Value {
    json!({ "version": 2, "jobs": { "daily": { "operations": { "generations": { "keep": { "last": 5 } } } } } })
}

/// The base with the value put at a pointer; objects on the way are made.
fn base_with(pointer: &str, value: Value) -> String {
    let mut document = base();
    let mut place = &mut document;
    for key in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
    document.to_string()
}

#[test]
fn the_base_is_valid_and_gives_no_finding() {
    let (settings, findings) = parse(&base().to_string()).unwrap();
    assert_eq!(findings, []);
    let job = settings.job("daily").unwrap();
    assert!(settings.safe_mode() && job.safe_mode);
    assert_eq!(job.undo_window, Span::days(7));
    assert_eq!(job.max_risk, RiskLevel::High);
    assert_eq!(settings.protect().paths.iter().count(), 9);
}

#[rstest]
#[case::usage_too_large("/jobs/daily/budget/maxUsed", json!(150), &["budget.max-used /jobs/daily/budget/maxUsed"])]
#[case::usage_too_small("/jobs/daily/budget/maxUsed", json!(5), &["budget.max-used /jobs/daily/budget/maxUsed"])]
#[case::usage_9("/jobs/daily/budget/maxUsed", json!(9), &["budget.max-used /jobs/daily/budget/maxUsed"])]
#[case::usage_10("/jobs/daily/budget/maxUsed", json!(10), &[])]
#[case::usage_95("/jobs/daily/budget/maxUsed", json!(95), &[])]
#[case::usage_96("/jobs/daily/budget/maxUsed", json!(96), &["budget.max-used /jobs/daily/budget/maxUsed"])]
#[case::usage_wrong_type("/jobs/daily/budget/maxUsed", json!("50"), &["wrong-type /jobs/daily/budget/maxUsed"])]
#[case::budget_without_goal("/jobs/daily/budget", json!({}), &["budget.goals /jobs/daily/budget"])]
#[case::budget_only_holds("/jobs/daily/budget/releaseHolds", json!("ifNeeded"), &["budget.goals /jobs/daily/budget"])]
#[case::two_goals("/jobs/daily/budget", json!({"minFree": "1G", "maxStore": "1G"}), &["budget.goals /jobs/daily/budget"])]
#[case::two_goals_one_bad("/jobs/daily/budget", json!({"minFree": "1G", "maxUsed": 9}), &["budget.goals /jobs/daily/budget", "budget.max-used /jobs/daily/budget/maxUsed"])]
#[case::free_4_percent("/jobs/daily/budget/minFree", json!("4%"), &["budget.min-free /jobs/daily/budget/minFree"])]
#[case::free_5_percent("/jobs/daily/budget/minFree", json!("5%"), &[])]
#[case::free_90_percent("/jobs/daily/budget/minFree", json!("90%"), &[])]
#[case::free_91_percent("/jobs/daily/budget/minFree", json!("91%"), &["budget.min-free /jobs/daily/budget/minFree"])]
#[case::free_no_size("/jobs/daily/budget/minFree", json!("50 GB"), &["budget.min-free /jobs/daily/budget/minFree"])]
#[case::free_nothing("/jobs/daily/budget/minFree", json!("0"), &["budget.min-free /jobs/daily/budget/minFree"])]
#[case::free_a_number("/jobs/daily/budget/minFree", json!(50), &["wrong-type /jobs/daily/budget/minFree"])]
#[case::store_a_size("/jobs/daily/budget/maxStore", json!("1.5T"), &[])]
#[case::store_percent("/jobs/daily/budget/maxStore", json!("20%"), &["budget.max-store /jobs/daily/budget/maxStore"])]
#[case::usage_negative("/jobs/daily/budget/maxUsed", json!(-80), &["budget.max-used /jobs/daily/budget/maxUsed"])]
#[case::usage_a_fraction("/jobs/daily/budget/maxUsed", json!(80.5), &["wrong-type /jobs/daily/budget/maxUsed"])]
#[case::version_missing("/version", Value::Null, &["version.missing /version"])]
#[case::version_older("/version", json!(0), &["version.older /version"])]
#[case::version_newer("/version", json!(3), &["version.newer /version"])]
#[case::version_huge("/version", json!(u64::MAX), &["version.newer /version"])]
#[case::version_a_text("/version", json!("1"), &["wrong-type /version"])]
#[case::protected_empty("/protect/paths", json!([]), &["protect.paths.missing-critical /protect/paths"])]
#[case::protected_no_list("/protect/paths", json!("/usr"), &["wrong-type /protect/paths"])]
#[case::protect_empty("/protect", json!({}), &[])]
#[case::no_jobs("/jobs", json!({}), &["jobs.none /jobs"])]
#[case::jobs_missing("/jobs", Value::Null, &["jobs.none /jobs"])]
#[case::unknown_key("/save", json!(1), &["unknown-key /save"])]
#[case::unknown_key_nested("/jobs/daily/operations/verify/content", json!(1), &["unknown-key /jobs/daily/operations/verify/content"])]
#[case::no_operation("/jobs/daily/operations", json!({}), &["jobs.no-operation /jobs/daily/operations"])]
#[case::safe_mode_off("/safeMode", json!(false), &["safe-mode.off /safeMode"])]
#[case::optimise("/jobs/daily/operations/optimise", json!({}), &[])]
#[case::collect("/jobs/daily/operations/collect", json!({}), &[])]
#[case::collect_by_name("/jobs/daily/operations/collect", json!({"method": "selective", "keepRecent": "1.5d"}), &[])]
#[case::collect_wholly("/jobs/daily/operations/collect", json!({"method": "full"}), &[])]
#[case::collect_by_truth("/jobs/daily/operations/collect", json!(true), &["wrong-type /jobs/daily/operations/collect"])]
fn check_cases(#[case] pointer: &str, #[case] value: Value, #[case] expected: &[&str]) {
    assert_eq!(found(&base_with(pointer, value)), expected);
}

#[rstest]
#[case(json!(-1), false)]
#[case(json!(0), false)]
#[case(json!(1), true)]
#[case(json!(1000), true)]
#[case(json!(1001), false)]
#[case(json!(1.5), false)]
#[case(json!("5"), false)]
fn keep_rules_are_whole_numbers_up_to_1000(#[case] value: Value, #[case] valid: bool) {
    for rule in ["last", "daily", "weekly", "monthly", "yearly"] {
        let text = base_with(KEEP, json!({ rule: value }));
        assert_eq!(parse(&text).is_ok(), valid, "{text}");
    }
}

#[test]
fn keep_zero_is_valid_beside_a_rule_that_keeps() {
    assert!(parse(&base_with(KEEP, json!({ "last": 0, "daily": 1 }))).is_ok());
}

#[rstest]
#[case("a", true)]
#[case("9", true)]
#[case("a_B-9", true)]
#[case(&"n".repeat(50), true)]
#[case(&"n".repeat(51), false)]
#[case("", false)]
#[case("_a", false)]
#[case("-a", false)]
#[case("a b", false)]
#[case("a.b", false)]
#[case("ä", false)]
#[case("a\n", false)]
fn job_names(#[case] name: &str, #[case] valid: bool) {
    let job = json!({ "operations": { "collect": {} } });
    let text = json!({ "version": 2, "jobs": { name: job } }).to_string();
    let findings = found(&text);
    assert_eq!(findings.is_empty(), valid, "{findings:?}");
    assert!(valid || findings == [format!("jobs.name /jobs/{name}")]);
}

#[rstest]
#[case("30s", Some(30))]
#[case("15min", Some(900))]
#[case("2h", Some(7_200))]
#[case("1h30min", Some(5_400))]
#[case("1d", Some(86_400))]
#[case("1.5d", Some(129_600))]
#[case("30d", Some(2_592_000))]
#[case("2w", Some(1_209_600))]
#[case(" 7d ", Some(604_800))]
#[case("", None)]
#[case("d", None)]
#[case("1.xd", None)]
#[case("-1d", None)]
#[case("7 d d", None)]
#[case("1e3d", None)]
#[case("6mo", Some(15_780_096))]
#[case("1y", Some(31_557_600))]
#[case("6m", None)]
fn ages(#[case] text: &str, #[case] seconds: Option<u64>) {
    let window = parse(&base_with("/undoWindow", json!(text)));
    assert_eq!(
        window
            .as_ref()
            .ok()
            .map(|(s, _)| s.undo_window().as_seconds()),
        seconds
    );
    let expected = [format!("age.invalid {KEEP}/within")];
    let findings = found(&base_with(KEEP, json!({ "within": text })));
    assert_eq!(findings, &expected[..usize::from(seconds.is_none())]);
}

#[rstest]
#[case("LOW", Some(RiskLevel::Low))]
#[case("Medium", Some(RiskLevel::Medium))]
#[case("high", Some(RiskLevel::High))]
#[case("none", None)]
#[case("", None)]
fn risk_words_are_read_in_any_case(#[case] word: &str, #[case] level: Option<RiskLevel>) {
    match (parse(&base_with("/jobs/daily/maxRisk", json!(word))), level) {
        (Ok((settings, _)), Some(level)) => {
            assert_eq!(settings.job("daily").unwrap().max_risk, level);
        }
        (Err(findings), None) => {
            assert_eq!(findings[0].pointer.as_str(), "/jobs/daily/maxRisk");
            for level in RiskLevel::ALL {
                assert!(findings[0].hint.contains(level.as_str()));
            }
        }
        (got, _) => panic!("{got:?}"),
    }
}

#[rstest]
#[case(true, "critical", &["error max-risk.safe-mode"])]
#[case(true, "high", &[])]
#[case(false, "high", &["warning safe-mode.off"])]
#[case(false, "Critical", &["warning max-risk.critical", "warning safe-mode.off"])]
fn critical_work_needs_the_safe_mode_off(
    #[case] safe: bool,
    #[case] risk: &str,
    #[case] expected: &[&str],
) {
    let mut document = base();
    document["safeMode"] = json!(safe);
    document["jobs"]["daily"]["maxRisk"] = json!(risk);
    let (Ok((_, findings)) | Err(findings)) = parse(&document.to_string());
    let severity = |f: &Finding| match f.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let got: Vec<String> = findings
        .iter()
        .map(|f| format!("{} {}", severity(f), f.code))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn every_critical_path_is_missed_by_name_and_covered_only_by_itself() {
    for platform in [Platform::Linux, Platform::MacOs] {
        for absent in platform.critical_paths() {
            let others = platform.critical_paths().filter(|path| *path != absent);
            let longer = format!("{}local", absent.trim_end_matches('/'));
            let mut list: Vec<String> = others.map(str::to_string).collect();
            list.extend(["/srv".to_string(), longer.replace("local", "/local")]);
            list.push(if absent == "/" {
                "/rootlocal".into()
            } else {
                longer
            });
            let text = base_with("/protect/paths", json!(list));
            let findings = Settings::parse_for(&text, platform).unwrap_err();
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].code, Code::MissingCritical);
            let listed = findings[0].message.rsplit_once(": ").unwrap().1;
            assert_eq!(listed, absent);
        }
    }
}

#[test]
fn an_empty_list_of_protected_paths_tells_all_that_is_missing() {
    let text = base_with("/protect/paths", json!([]));
    for (platform, count) in [(Platform::Linux, 9), (Platform::MacOs, 12)] {
        let findings = Settings::parse_for(&text, platform).unwrap_err();
        assert_eq!(findings.len(), 1);
        let listed = findings[0].message.rsplit_once(": ").unwrap().1;
        assert_eq!(listed.split(' ').count(), count);
        assert!(
            platform
                .critical_paths()
                .all(|p| listed.split(' ').any(|l| l == p))
        );
    }
}

#[rstest]
#[case("/saveMode", "safeMode")]
#[case("/jobs/daily/operation", "operations")]
#[case("/jobs/daily/operations/generations/keep/withn", "within")]
#[case("/jobs/daily/operations/optimize", "optimise")]
#[case("/protect/path", "paths")]
fn an_unknown_key_names_the_nearest(#[case] pointer: &str, #[case] nearest: &str) {
    let findings = parse(&base_with(pointer, json!(1))).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, Code::UnknownKey);
    assert_eq!(findings[0].pointer.as_str(), pointer);
    assert!(
        findings[0].hint.contains(&format!("`{nearest}`")),
        "{}",
        findings[0].hint
    );
    assert!(findings[0].line.is_some() && findings[0].column.is_some());
}

#[rstest]
#[case("`, expected `jobs`", "known keys: ")]
#[case("\u{1b}[31m", "known keys: ")]
#[case("x`y", "known keys: ")]
fn an_odd_unknown_key_is_told_as_it_is(#[case] key: &str, #[case] hint: &str) {
    let text = json!({ "version": 2, key: 1 }).to_string();
    let findings = parse(&text).unwrap_err();
    let mut unknown = findings.iter().filter(|f| f.code == Code::UnknownKey);
    let finding = unknown.next().unwrap();
    assert_eq!(finding.pointer.as_str(), format!("/{key}"));
    assert!(finding.hint.contains(hint), "{}", finding.hint);
    let told = key.replace('\u{1b}', "\\u{1b}");
    assert_eq!(finding.message, format!("unknown key `{told}`"));
    assert!(!finding.to_string().contains('\u{1b}'));
}

#[test]
fn a_newer_version_is_refused_with_the_one_that_is_understood() {
    let findings = parse(r#"{ "version": 7, "somethingNew": {} }"#).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.contains("supports version 2"));
}

#[rstest]
#[case(PathPatterns::MAX_COUNT, &[])]
#[case(PathPatterns::MAX_COUNT + 1, &["protect.roots.many /protect/roots"])]
fn patterns_are_as_many_as_can_be_looked_for(#[case] count: usize, #[case] expected: &[&str]) {
    let patterns: Vec<String> = (0..count).map(|n| format!("/home/*/keep{n}/**")).collect();
    assert_eq!(
        found(&base_with("/protect/roots", json!(patterns))),
        expected
    );
}

#[rstest]
#[case(PathPatterns::MAX_COUNT, &[])]
#[case(PathPatterns::MAX_COUNT + 1, &["profiles.count /jobs/daily/operations/generations/profiles"])]
#[case(10_000, &["profiles.count /jobs/daily/operations/generations/profiles"])]
fn profiles_have_as_many_patterns(#[case] count: usize, #[case] expected: &[&str]) {
    let patterns: Vec<String> = (0..count).map(|n| format!("/p/*/dev{n}*")).collect();
    let profiles = "/jobs/daily/operations/generations/profiles";
    assert_eq!(found(&base_with(profiles, json!(patterns))), expected);
}

#[rstest]
#[case("**", "path.relative", "use the absolute path")]
#[case("per-user/*/dev*", "path.relative", "use the absolute path")]
#[case("*", "path.relative", "use the absolute path")]
#[case(
    "/p/../*",
    "path.not-normalised",
    "use the resolved path, without `..`"
)]
#[case("/p//*", "path.not-normalised", "use `/p/*`")]
#[case("/p/*/", "path.not-normalised", "use `/p/*`")]
#[case("/p/[", "profiles.unknown", "`*` matches one name")]
#[case("/p/{a", "profiles.unknown", "`*` matches one name")]
#[case("/", "profiles.unknown", "or a pattern")]
#[case("contaners", "profiles.unknown", "did you mean `containers`?")]
fn what_selects_no_profile_says_what_would(
    #[case] selector: &str,
    #[case] code: &str,
    #[case] hint: &str,
) {
    let profiles = "/jobs/daily/operations/generations/profiles";
    let findings = parse(&base_with(profiles, json!([selector]))).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code.to_string(), code);
    assert!(findings[0].hint.contains(hint), "{}", findings[0].hint);
}
