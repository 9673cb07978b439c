//! Reasons to keep or remove an item: a stable code for scripts, and a sentence for people.
//!
//! Sentences contain external text unescaped; a view for a terminal escapes them.

use crate::domain::measure::Timestamp;
use crate::domain::plan::{DropRule, KeepCause};
use crate::domain::profile::GenerationNumber;
use crate::domain::retention::Reason;
use crate::domain::root::{Dangling, RootKind, RootState};
use crate::domain::snapshot::Held;

/// The code of a reason.
pub fn code(reason: &Reason) -> &'static str {
    match reason {
        Reason::Current => "current",
        Reason::Booted => "booted",
        Reason::Running => "running",
        Reason::Pinned { .. } => "pinned",
        Reason::NewerThanCurrent => "newerThanCurrent",
        Reason::ActiveAtCutoff => "activeAtCutoff",
        Reason::Fallback => "fallback",
        Reason::Last(_) => "last",
        Reason::Within(_) => "within",
        Reason::Daily(_) => "daily",
        Reason::Weekly(_) => "weekly",
        Reason::Monthly(_) => "monthly",
        Reason::Yearly(_) => "yearly",
        Reason::PolicyLast(_) => "policyLast",
        Reason::PolicyWithin(_) => "policyWithin",
        Reason::FutureTimestamp => "futureTimestamp",
        Reason::TargetMissing => "targetMissing",
        Reason::TargetOutsideStore => "targetOutsideStore",
        Reason::CurrentUnknown(_) => "currentUnknown",
        Reason::Blocked(_) => "blocked",
        Reason::NotSelected => "notSelected",
        Reason::OtherOwner => "otherOwner",
        Reason::NotNeeded => "notNeeded",
        Reason::LaterRun => "laterRun",
    }
}

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
        Reason::Daily(day) => format!("newest of {day} (daily)"),
        Reason::Weekly(week) => format!("newest of {week} (weekly)"),
        Reason::Monthly(month) => format!("newest of {month} (monthly)"),
        Reason::Yearly(year) => format!("newest of {year} (yearly)"),
        Reason::PolicyLast(n) => format!("the policy keeps the last {n}"),
        Reason::PolicyWithin(age) => {
            format!("the policy keeps generations active in the last {age}")
        }
        Reason::FutureTimestamp => "timestamp is in the future".to_string(),
        Reason::TargetMissing => "its store path is gone".to_string(),
        Reason::TargetOutsideStore => "link target is not a store path".to_string(),
        Reason::CurrentUnknown(why) => format!("the current generation is unknown: {why}"),
        Reason::Blocked(why) => format!("the profile must not be changed: {why}"),
        Reason::NotSelected => "the job does not select the profile".to_string(),
        Reason::OtherOwner => "the profile belongs to another user".to_string(),
        Reason::NotNeeded => "no rule keeps it, but the budget does not need its space".to_string(),
        Reason::LaterRun => "no rule keeps it; left for a later run".to_string(),
    }
}

/// The code of a cause.
pub fn cause_code(cause: KeepCause) -> &'static str {
    match cause {
        KeepCause::Protected => "protected",
        KeepCause::ProtectedPath => "protectedPath",
        KeepCause::ParentMissing => "parentMissing",
        KeepCause::LinkExists => "linkExists",
        KeepCause::EntryByHand => "entryByHand",
        KeepCause::NotSelected => "notSelected",
        KeepCause::OtherOwner => "otherOwner",
        KeepCause::NotUtf8 => "notUtf8",
        KeepCause::CoveredByHold => "coveredByHold",
        KeepCause::WindowOpen => "windowOpen",
        KeepCause::NotNeeded => "notNeeded",
        KeepCause::LaterRun => "laterRun",
    }
}

/// A cause in words.
pub fn cause_sentence(cause: KeepCause) -> &'static str {
    match cause {
        KeepCause::Protected => "the settings protect it",
        KeepCause::ProtectedPath => "its link is in a path that the settings protect",
        KeepCause::ParentMissing => "parent directory missing or not mounted",
        KeepCause::LinkExists => "the link exists; its owner can remove it",
        KeepCause::EntryByHand => {
            "the entry is outside gcroots/auto, where Nix never removes it; its owner can"
        }
        KeepCause::NotSelected => "the job removes no dangling roots",
        KeepCause::OtherOwner => "only root may remove it",
        KeepCause::NotUtf8 => "its name is not UTF-8 and could not be restored exactly",
        KeepCause::CoveredByHold => "its closure is held for the undo window",
        KeepCause::WindowOpen => "its undo window is open",
        KeepCause::NotNeeded => "the budget does not need its space",
        KeepCause::LaterRun => "left for a later run",
    }
}

/// The code of a rule.
pub fn rule_code(rule: DropRule) -> &'static str {
    match rule {
        DropRule::NoRuleKeepsIt => "noRuleKeepsIt",
        DropRule::Dangling => "dangling",
        DropRule::WindowEnded => "windowEnded",
        DropRule::NeededNow => "neededNow",
    }
}

/// A rule in words.
pub fn rule_sentence(rule: DropRule) -> &'static str {
    match rule {
        DropRule::NoRuleKeepsIt => "no rule keeps it",
        DropRule::Dangling => "its link is gone",
        DropRule::WindowEnded => "its undo window has ended",
        DropRule::NeededNow => "the budget needs its space now, although its undo window is open",
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

/// The word for a root's kind, as in the JSON documents.
pub fn kind_word(kind: RootKind) -> &'static str {
    match kind {
        RootKind::Profile => "profile",
        RootKind::Result => "result",
        RootKind::Direnv => "direnv",
        RootKind::Home => "home",
        RootKind::System => "system",
        RootKind::Process => "process",
        RootKind::Temporary => "temporary",
        RootKind::Hold => "hold",
        RootKind::Other => "other",
    }
}

/// A generation by its number and profile.
pub fn generation(number: GenerationNumber, profile: &(impl std::fmt::Display + ?Sized)) -> String {
    format!("generation {number} of {profile}")
}

/// What a hold takes the place of.
pub fn held(held: &Held) -> String {
    match held {
        Held::Generation { profile, number } => generation(*number, profile),
        Held::Root { root } => format!("the former target of {root}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::blocker::CheckCode;
    use crate::domain::measure::Span;
    use rstest::rstest;

    #[rstest]
    #[case(Reason::Monthly("2026-05".into()), "monthly", "newest of 2026-05 (monthly)")]
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
    #[case(Reason::Blocked("x".into()), "blocked", "the profile must not be changed: x")]
    fn reasons_have_a_code_and_a_sentence(
        #[case] reason: Reason,
        #[case] expected: &str,
        #[case] words: &str,
    ) {
        assert_eq!(code(&reason), expected);
        assert_eq!(sentence(&reason, &|_| "T".to_string()), words);
    }

    #[rstest]
    #[case(CheckCode::CurrentUnknown, "profile.current-unknown")]
    #[case(CheckCode::UsersUnreadable, "users.unreadable")]
    fn refusals_have_their_serialised_code(#[case] code: CheckCode, #[case] text: &str) {
        assert_eq!(code.as_str(), text);
    }

    #[rstest]
    fn kinds_are_written_as_in_json(
        #[values(
            RootKind::Profile,
            RootKind::Result,
            RootKind::Direnv,
            RootKind::Home,
            RootKind::System,
            RootKind::Process,
            RootKind::Temporary,
            RootKind::Hold,
            RootKind::Other
        )]
        kind: RootKind,
    ) {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind_word(kind));
    }
}
