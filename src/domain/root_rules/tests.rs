//! Rules for links: which one decides, and what keeps a link.

use super::*;
use crate::domain::profile::Owner;
use crate::domain::root::RootState;
use crate::domain::root_use::{SeenUse, UseSignal};
use proptest::prelude::*;
use rstest::rstest;

const NOW: i64 = 1_795_000_000;
const DAY: i64 = 86_400;

fn ago(days: i64) -> Timestamp {
    Timestamp::from_unix(NOW - days * DAY, 0).unwrap()
}

fn root(link: &str, kind: RootKind, made: i64) -> GcRoot {
    GcRoot {
        link: link.into(),
        entry: Some("/nix/var/nix/gcroots/auto/x".into()),
        exact: true,
        target: None,
        store_path: None,
        kind,
        owner: Some(Owner {
            uid: 1000,
            name: Some("alice".to_string()),
        }),
        state: RootState::Live,
        made_at: Some(ago(made)),
    }
}

fn result() -> GcRoot {
    root("/home/alice/src/a/result", RootKind::Result, 100)
}

fn seen(days: i64) -> LinkUse {
    LinkUse::Seen(SeenUse {
        last: LastUse {
            at: ago(days),
            signal: UseSignal::Git,
        },
        project_gone: false,
        elsewhere: false,
        out_of_reach: false,
    })
}

fn with(change: impl FnOnce(&mut SeenUse)) -> LinkUse {
    let LinkUse::Seen(mut it) = seen(50) else {
        panic!("it was seen");
    };
    change(&mut it);
    LinkUse::Seen(it)
}

fn unused(days: u32) -> RootRule {
    RootRule {
        unused_for: Some(Span::days(days)),
        ..RootRule::default()
    }
}

fn judged(root: &GcRoot, used: &LinkUse, rules: &[RootRule]) -> Result<u16, Vec<Reason>> {
    let candidate = Candidate {
        root,
        used,
        newer: 1,
    };
    judge(candidate, rules, ago(0)).map(|found| found.rule.0)
}

#[rstest]
#[case::longer(49, Ok(1))]
#[case::exactly(50, Err(vec![Reason::UsedWithin { span: Span::days(50), last: LastUse { at: ago(50), signal: UseSignal::Git } }]))]
#[case::shorter(51, Err(vec![Reason::UsedWithin { span: Span::days(51), last: LastUse { at: ago(50), signal: UseSignal::Git } }]))]
fn what_was_not_used_for_long_enough_is_removed(
    #[case] days: u32,
    #[case] expected: Result<u16, Vec<Reason>>,
) {
    assert_eq!(judged(&result(), &seen(50), &[unused(days)]), expected);
}

#[rstest]
#[case::older(99, Ok(1))]
#[case::exactly(100, Err(vec![Reason::MadeWithin(Span::days(100))]))]
fn what_is_old_enough_is_removed(#[case] days: u32, #[case] expected: Result<u16, Vec<Reason>>) {
    let rule = RootRule {
        older_than: Some(Span::days(days)),
        ..RootRule::default()
    };
    assert_eq!(judged(&result(), &seen(0), &[rule]), expected);
}

#[rstest]
#[case(1, Ok(1))]
#[case(2, Err(vec![Reason::LatestInDirectory(2)]))]
fn the_latest_of_a_directory_are_kept(
    #[case] latest: u16,
    #[case] expected: Result<u16, Vec<Reason>>,
) {
    let rule = RootRule {
        keep_latest: Some(latest),
        ..RootRule::default()
    };
    assert_eq!(judged(&result(), &seen(0), &[rule]), expected);
}

#[rstest]
#[case::of_its_kind(RootRule { kind: Some(RootKind::Result), ..unused(9) }, true)]
#[case::of_another_kind(RootRule { kind: Some(RootKind::Direnv), ..unused(9) }, false)]
#[case::at_its_place(RootRule { pattern: Some(patterns("/home/*/src/**")), ..unused(9) }, true)]
#[case::elsewhere(RootRule { pattern: Some(patterns("/home/*/result")), ..unused(9) }, false)]
#[case::of_its_owner(RootRule { owner: Some("alice".into()), ..unused(9) }, true)]
#[case::by_number(RootRule { owner: Some("1000".into()), ..unused(9) }, true)]
#[case::of_another(RootRule { owner: Some("bob".into()), ..unused(9) }, false)]
fn a_rule_is_for_what_it_names(#[case] rule: RootRule, #[case] fits: bool) {
    let expected = if fits {
        Ok(1)
    } else {
        Err(vec![Reason::NotSelected])
    };
    assert_eq!(judged(&result(), &seen(50), &[rule]), expected);
}

fn patterns(pattern: &str) -> PathPatterns {
    PathPatterns::new([pattern]).unwrap()
}

#[test]
fn the_owner_of_a_link_without_one_is_nobody() {
    let nobody = GcRoot {
        owner: None,
        ..result()
    };
    let rule = RootRule {
        owner: Some("alice".into()),
        ..unused(9)
    };
    assert_eq!(
        judged(&nobody, &seen(50), &[rule]),
        Err(vec![Reason::NotSelected])
    );
}

#[test]
fn the_first_rule_that_fits_decides() {
    let keep = RootRule {
        verdict: RuleVerdict::Keep,
        ..unused(9)
    };
    let kept = Err(vec![Reason::RuleKeepsIt(RuleNumber(2))]);
    let direnv = RootRule {
        kind: Some(RootKind::Direnv),
        ..unused(1)
    };
    let rules = [direnv, keep, unused(1)];
    assert_eq!(judged(&result(), &seen(50), &rules), kept);
    // A rule that keeps and does not fit gives no reason.
    assert_eq!(judged(&result(), &seen(5), &rules), Ok(3));
    let rules = [unused(60), unused(9)];
    assert_eq!(judged(&result(), &seen(50), &rules), Ok(2));
    assert_eq!(
        judged(&result(), &seen(50), &[]),
        Err(vec![Reason::NotSelected])
    );
}

#[test]
fn verdicts_are_two_words() {
    let verdicts = ["keep", "remove", "removed"].map(str::parse);
    let expected = [
        Ok(RuleVerdict::Keep),
        Ok(RuleVerdict::Remove),
        Err(NotAVerdict),
    ];
    assert_eq!(verdicts, expected);
}

#[rstest]
#[case::process(LinkUse::Process(7), Reason::InUse { pid: 7 })]
#[case::unknown(LinkUse::Unknown("denied".into()), Reason::UseUnknown("denied".into()))]
fn what_is_in_use_or_not_known_is_kept_whatever_the_rules(
    #[case] used: LinkUse,
    #[case] reason: Reason,
) {
    assert_eq!(judged(&result(), &used, &[unused(1)]), Err(vec![reason]));
}

#[rstest]
#[case::in_the_future(Some(ago(-1)))]
#[case::unknown(None)]
fn a_link_without_a_time_in_the_past_is_kept(#[case] made_at: Option<Timestamp>) {
    let root = GcRoot {
        made_at,
        ..result()
    };
    let kept = Err(vec![Reason::FutureTimestamp]);
    assert_eq!(judged(&root, &seen(50), &[unused(1)]), kept);
    let now = GcRoot {
        made_at: Some(ago(0)),
        ..result()
    };
    assert_eq!(judged(&now, &seen(50), &[unused(1)]), Ok(1));
}

#[test]
fn a_project_that_is_gone_is_asked_for() {
    let rule = || RootRule {
        project_gone: true,
        ..RootRule::default()
    };
    let exists = Err(vec![Reason::ProjectExists]);
    assert_eq!(judged(&result(), &seen(50), &[rule()]), exists);
    let gone = with(|it| it.project_gone = true);
    assert_eq!(judged(&result(), &gone, &[rule()]), Ok(1));
    let found = Candidate {
        root: &result(),
        used: &gone,
        newer: 0,
    };
    let found = judge(found, &[rule()], ago(0)).unwrap();
    assert!(found.project_gone);
    assert_eq!(found.last_use.at, ago(50));
}

#[test]
fn another_file_system_is_named_by_a_pattern_or_left_alone() {
    let elsewhere = with(|it| it.elsewhere = true);
    let kept = Err(vec![Reason::OtherFileSystem]);
    assert_eq!(judged(&result(), &elsewhere, &[unused(9)]), kept);
    let named = RootRule {
        pattern: Some(patterns("/home/**")),
        ..unused(9)
    };
    assert_eq!(judged(&result(), &elsewhere, &[named]), Ok(1));
}

#[test]
fn what_its_owner_cannot_remove_is_kept_where_a_rule_would_remove_it() {
    let closed = with(|it| it.out_of_reach = true);
    let kept = Err(vec![Reason::OutOfReach]);
    assert_eq!(judged(&result(), &closed, &[unused(9)]), kept);
    let young = judged(&result(), &closed, &[unused(99)]);
    assert!(matches!(
        young.unwrap_err()[..],
        [Reason::UsedWithin { .. }]
    ));
}

#[rstest]
#[case::none(RootRule::default(), false)]
#[case::zero(RootRule { unused_for: Some(Span::ZERO), older_than: Some(Span::ZERO), keep_latest: Some(0), ..RootRule::default() }, false)]
#[case::unused(unused(1), true)]
#[case::old(RootRule { older_than: Some(Span::days(1)), ..RootRule::default() }, true)]
#[case::latest(RootRule { keep_latest: Some(1), ..RootRule::default() }, true)]
#[case::gone(RootRule { project_gone: true, ..RootRule::default() }, true)]
fn a_rule_has_a_condition(#[case] rule: RootRule, #[case] has: bool) {
    assert_eq!(rule.has_condition(), has);
}

#[rstest]
#[case("/h/p/result", Some("/h/p"))]
#[case("/h/p/.direnv/flake-profile-1-link", Some("/h/p"))]
#[case("/h/p/.direnv/flake-inputs/x-source", Some("/h/p"))]
#[case("/h/p/.devenv/gc/shell", Some("/h/p"))]
#[case("/h/p/x.direnv/y", Some("/h/p/x.direnv"))]
#[case("/result", Some("/"))]
#[case("/", None)]
fn a_link_is_in_a_project(#[case] link: &str, #[case] expected: Option<&str>) {
    assert_eq!(
        project(Utf8Path::new(link)),
        expected.map(Utf8PathBuf::from)
    );
}

#[test]
fn nothing_of_the_system_may_be_removed() {
    let removable = RootKind::ALL
        .into_iter()
        .filter(|kind| may_be_removed(*kind));
    let removable: Vec<&str> = removable.map(RootKind::as_str).collect();
    let expected = ["result", "direnv", "devenv", "lorri", "nixShell", "other"];
    assert_eq!(removable, expected);
}

fn rules() -> impl Strategy<Value = Vec<RootRule>> {
    let rule = (
        prop::option::of(prop::sample::select(RULED_KINDS.to_vec())),
        prop::option::of(1u32..80),
        prop::option::of(1u32..80),
        prop::option::of(1u16..4),
    );
    let rule = rule.prop_map(|(kind, unused, old, keep_latest)| RootRule {
        kind,
        unused_for: unused.map(Span::days),
        older_than: old.map(Span::days),
        keep_latest,
        ..RootRule::default()
    });
    prop::collection::vec(rule, 0..4)
}

proptest! {
    #[test]
    fn longer_times_never_remove_more(
        rules in rules(),
        more in 0u32..40,
        used in 0i64..80,
        made in 0i64..80,
        newer in 0usize..4,
    ) {
        let longer = rules.iter().cloned().map(|mut rule| {
            let add = |span: Span| Span::days(u32::try_from(span.as_seconds() / 86_400).unwrap() + more);
            rule.unused_for = rule.unused_for.map(add);
            rule.older_than = rule.older_than.map(add);
            rule
        });
        let longer: Vec<RootRule> = longer.collect();
        let root = root("/home/alice/src/a/result", RootKind::Result, made);
        let used = seen(used);
        let judged = |rules: &[RootRule]| {
            let candidate = Candidate { root: &root, used: &used, newer };
            judge(candidate, rules, ago(0)).is_ok()
        };
        prop_assert!(!judged(&longer) || judged(&rules));
    }
}
