//! Reasons to keep or remove an item, in words.
//!
//! Sentences contain external text unescaped; a view for a terminal escapes them.

use crate::domain::measure::{Span, Timestamp, count};
use crate::domain::plan::{Decision, RemovalRule};
use crate::domain::profile::GenerationNumber;
use crate::domain::receipt::Outcome;
use crate::domain::retention::Reason;
use crate::domain::root::{Dangling, RootState};
use crate::domain::root_rules::RuleNumber;

/// A reason in words; `time` writes the times in it.
pub fn sentence(reason: &Reason, time: &dyn Fn(Timestamp) -> String) -> String {
    match reason {
        Reason::Current => "it is the current one".to_string(),
        Reason::Booted => "the machine was booted with it".to_string(),
        Reason::Running => "the machine is running it".to_string(),
        Reason::Pinned { reason, until } => {
            let until = until.map_or(String::new(), |at| format!(" until {}", time(at)));
            let why = reason.as_ref().map_or(String::new(), |r| format!(": {r}"));
            format!("pinned{until}{why}")
        }
        Reason::NewerThanCurrent => "newer than the current one".to_string(),
        Reason::ActiveAtCutoff => "was active at the start of `within`".to_string(),
        Reason::Fallback => "rollback target".to_string(),
        Reason::Last(1) => "the last one (last)".to_string(),
        Reason::Last(n) => format!("one of the last {n} (last)"),
        Reason::Within(age) => format!("not older than {age} (within)"),
        Reason::NewestOf { rule, period } => format!("newest of {period} ({})", rule.as_str()),
        Reason::KnownGood(span) => format!("ran {} (known good)", uptime(*span)),
        Reason::PolicyLast(n) => format!("the policy keeps the last {n}"),
        Reason::PolicyWithin(age) => {
            format!("the policy keeps generations active in the last {age}")
        }
        Reason::FutureTimestamp => "timestamp is in the future".to_string(),
        Reason::TargetMissing => "its store path is gone".to_string(),
        Reason::TargetOutsideStore => "link target is not a store path".to_string(),
        Reason::CurrentUnknown(why) => format!("the current generation is unknown: {why}"),
        Reason::Blocked(why) => format!("the profile must not be changed: {why}"),
        Reason::Protected => "the settings protect it".to_string(),
        Reason::ProtectedPath => "its link is in a path that the settings protect".to_string(),
        Reason::ParentMissing => "parent directory missing or not mounted".to_string(),
        Reason::LinkExists => "the link exists; its owner can remove it".to_string(),
        Reason::EntryByHand => {
            "the entry is outside gcroots/auto and gcroots/per-user; its owner can remove it"
                .to_string()
        }
        Reason::NotUtf8 => "its name is not UTF-8 and could not be restored exactly".to_string(),
        Reason::WindowOpen => "its undo window is open".to_string(),
        Reason::NotSelected => "the job does not select it".to_string(),
        Reason::OtherOwner => "it belongs to another user".to_string(),
        Reason::NotNeeded => "the budget does not need its space".to_string(),
        Reason::LaterRun => "left for a later run".to_string(),
        Reason::NotMarked => "it is not marked".to_string(),
        Reason::InUse { pid } => format!("process {pid} works in its project"),
        Reason::OutOfReach => "it cannot be removed with the rights of its owner".to_string(),
        Reason::UseUnknown(why) => format!("its last use is unknown: {why}"),
        Reason::UsedWithin { span, last } => {
            let (at, signal) = (time(last.at), last.signal);
            format!("used {at} ({signal}), within {span}")
        }
        Reason::MadeWithin(span) => format!("not older than {span}"),
        Reason::LatestInDirectory(1) => "the latest of its kind in its directory".to_string(),
        Reason::LatestInDirectory(n) => {
            format!("one of the latest {n} of its kind in its directory")
        }
        Reason::ProjectExists => "its project exists".to_string(),
        Reason::RuleKeepsIt(RuleNumber(n)) => format!("rule {n} keeps it"),
        Reason::OtherFileSystem => {
            "it is on another file system, and no rule names it by `match`".to_string()
        }
        Reason::Derivation => "its target is a derivation and could not be restored".to_string(),
        Reason::YoungOrInUse => "too young, or in use".to_string(),
    }
}

/// A long time in whole days.
fn uptime(span: Span) -> String {
    count(span.as_seconds() / 86_400, "day")
}

/// A rule in words.
pub fn rule_sentence(rule: RemovalRule) -> &'static str {
    match rule {
        RemovalRule::NoRuleKeepsIt => "no rule keeps it",
        RemovalRule::OwnerRemoved => "the account of its owner is gone",
        RemovalRule::Dangling => "its link is gone",
        RemovalRule::RootRule => "a rule removes it",
        RemovalRule::WindowEnded => "its undo window has ended",
        RemovalRule::NeededNow => {
            "the budget needs its space now, although its undo window is open"
        }
        RemovalRule::Leftover => "it is old, and nothing uses it",
    }
}

/// All reasons of a decision in words.
pub fn of_decision(decision: &Decision, time: &dyn Fn(Timestamp) -> String) -> String {
    match decision {
        Decision::Keep { reasons } => {
            let all: Vec<String> = reasons.iter().map(|r| sentence(r, time)).collect();
            all.join("; ")
        }
        Decision::Remove(removal) => match removal.action.removed_root_link() {
            Some(facts) => {
                let RuleNumber(number) = facts.rule;
                let (at, signal) = (time(facts.last_use.at), facts.last_use.signal);
                let gone = if facts.project_gone {
                    "its project is gone, "
                } else {
                    ""
                };
                format!("rule {number}: {gone}last used {at} ({signal})")
            }
            None => rule_sentence(removal.rule).to_string(),
        },
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

/// The word for a root's state.
pub fn state_word(state: &RootState) -> &'static str {
    match state {
        RootState::Live => "live",
        RootState::Dangling(_) => "dangling",
        RootState::Unreadable(_) => "unreadable",
    }
}

/// What is wrong with a root, if anything is.
pub fn state_problem(state: &RootState) -> Option<String> {
    let text = match state {
        RootState::Live => return None,
        RootState::Dangling(Dangling::LinkGone) => "the link is gone",
        RootState::Dangling(Dangling::ParentMissing) => "parent directory missing or not mounted",
        RootState::Dangling(Dangling::PathGone) => "the store path is gone",
        RootState::Dangling(Dangling::NotARoot) => "it is not a link into the store",
        RootState::Unreadable(why) => why,
    };
    Some(text.to_string())
}

/// A generation by its number and profile.
pub fn generation(number: GenerationNumber, profile: &(impl std::fmt::Display + ?Sized)) -> String {
    format!("generation {number} of {profile}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::blocker::CheckCode;
    use crate::domain::retention::Calendar;
    use rstest::rstest;

    #[rstest]
    #[case(
        Reason::NewestOf { rule: Calendar::Monthly, period: "2026-05".into() },
        "newestOf",
        "newest of 2026-05 (monthly)"
    )]
    #[case(Reason::Last(5), "last", "one of the last 5 (last)")]
    #[case(Reason::Last(1), "last", "the last one (last)")]
    #[case(
        Reason::Within(Span::days(14)),
        "within",
        "not older than 14d (within)"
    )]
    #[case(Reason::Pinned { reason: None, until: None }, "pinned", "pinned")]
    #[case(
        Reason::Pinned { reason: Some("good kernel".into()), until: Timestamp::from_unix(0, 0) },
        "pinned",
        "pinned until T: good kernel"
    )]
    #[case(Reason::KnownGood(Span::seconds(12 * 86_400 + 9)), "knownGood", "ran 12 days (known good)")]
    #[case(Reason::Blocked("x".into()), "blocked", "the profile must not be changed: x")]
    fn reasons_have_a_code_and_a_sentence(
        #[case] reason: Reason,
        #[case] expected: &str,
        #[case] words: &str,
    ) {
        assert_eq!(serde_json::to_value(&reason).unwrap()["code"], expected);
        assert_eq!(sentence(&reason, &|_| "T".to_string()), words);
    }

    #[rstest]
    #[case(CheckCode::CurrentUnknown, "profile.current-unknown")]
    #[case(CheckCode::UsersUnreadable, "users.unreadable")]
    fn refusals_have_their_serialised_code(#[case] code: CheckCode, #[case] text: &str) {
        assert_eq!(code.as_str(), text);
    }
}
