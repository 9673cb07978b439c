//! What a job does.

use super::place::place;
use super::{Code, Findings, Pointer, Refused, each};
use crate::domain::collect::NotAMethod;
use crate::domain::job::{
    CollectOperation, GenerationsOperation, Operations, ProfileSelector, RootsOperation,
    VerifyOperation,
};
use crate::domain::nearest::nearest;
use crate::domain::retention::{KeepPolicy, KeepRules, MOST_KEPT};
use crate::settings::raw::{self, Object, Whole};

pub(super) fn operations(
    raw: &raw::Operations,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Operations, Refused> {
    let generations = raw
        .generations
        .as_ref()
        .map(|Object(raw)| generations(raw, &at.key("generations"), findings))
        .transpose();
    if let Some(Object(raw)) = &raw.leftovers {
        leftovers(raw, at, findings);
    }
    let collect = raw
        .collect
        .as_ref()
        .map(|Object(raw)| collect(raw, &at.key("collect"), findings))
        .transpose();
    let roots = raw
        .roots
        .as_ref()
        .and_then(|Object(raw)| roots(raw, at, findings));
    let verify = raw.verify.as_ref().filter(|Object(raw)| raw.enabled);
    Ok(Operations {
        generations: generations?,
        roots,
        collect: collect?,
        optimise: raw.optimise.as_ref().is_some_and(|Object(raw)| raw.enabled),
        verify: verify.map(|Object(raw)| VerifyOperation {
            contents: raw.contents.unwrap_or(false),
        }),
    })
}

fn collect(
    raw: &raw::Collect,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<CollectOperation, Refused> {
    let method = raw.method.as_ref().map(|text| {
        text.parse().map_err(|error: NotAMethod| {
            let hint = "write auto, selective or whole";
            findings.error(
                Code::CollectMethod,
                &at.key("method"),
                &error.to_string(),
                hint,
            )
        })
    });
    let recent = raw.keep_recent.as_ref();
    let recent = recent.map(|text| findings.age(&at.key("keepRecent"), text));
    let operation = CollectOperation {
        method: method.transpose()?.unwrap_or_default(),
        keep_recent: recent.transpose()?,
    };
    operation.check().map_err(|error| {
        findings.error(
            Code::CollectRecent,
            &at.key("keepRecent"),
            &error.to_string(),
            "leave out the method, or write selective",
        )
    })?;
    Ok(operation)
}

fn roots(raw: &raw::Roots, at: &Pointer, findings: &mut Findings) -> Option<RootsOperation> {
    let at = at.key("roots");
    let rules = raw.rules.as_deref().unwrap_or_default();
    if !rules.is_empty() {
        findings.not_yet(&at, "rules");
    }
    for (i, Object(rule)) in rules.iter().enumerate() {
        let at = at.key("rules").index(i).key("unusedFor");
        let _ = findings.age(&at, &rule.unused_for);
    }
    let dangling = raw.dangling.unwrap_or(false);
    dangling.then_some(RootsOperation { dangling })
}

fn leftovers(raw: &raw::Leftovers, at: &Pointer, findings: &mut Findings) {
    findings.not_yet(at, "leftovers");
    let at = at.key("leftovers");
    let ages = [
        ("buildDirs", &raw.build_dirs),
        ("buildLogs", &raw.build_logs),
        ("nixCache", &raw.nix_cache),
    ];
    for (key, age) in ages {
        if let Some(age) = age {
            let _ = findings.age(&at.key(key), age);
        }
    }
}

fn generations(
    raw: &raw::Generations,
    at: &Pointer,
    findings: &mut Findings,
) -> Result<GenerationsOperation, Refused> {
    let profiles = match &raw.profiles {
        Some(words) => profiles(words, &at.key("profiles"), findings),
        None => Ok(vec![
            ProfileSelector::System,
            ProfileSelector::Users,
            ProfileSelector::HomeManager,
        ]),
    };
    let none = raw::Keep::default();
    let rules = raw.keep.as_ref().map_or(&none, |Object(keep)| keep);
    let keep = keep(rules, &at.key("keep"), findings);
    if raw.refresh_boot_menu == Some(true) {
        findings.not_yet(at, "refreshBootMenu");
    }
    Ok(GenerationsOperation {
        profiles: profiles?,
        keep: keep?,
    })
}

fn profiles(
    words: &[String],
    at: &Pointer,
    findings: &mut Findings,
) -> Result<Vec<ProfileSelector>, Refused> {
    let known = ProfileSelector::WORDS.join(", ");
    if words.is_empty() {
        let hint = format!("write some of {known} or absolute paths of profiles");
        return Err(findings.error(Code::ProfilesNone, at, "no profile is selected", &hint));
    }
    each(words.iter().enumerate(), |(i, word)| {
        let at = at.index(i);
        if word.contains('/') {
            place(findings, &at, word)?;
        }
        ProfileSelector::parse(word).ok_or_else(|| {
            let meant =
                nearest(word, ProfileSelector::WORDS).map(|meant| format!(", perhaps {meant}"));
            let meant = meant.unwrap_or_default();
            let hint = format!("write one of {known} or the absolute path of a profile{meant}");
            let message = format!("`{word}` selects no profile");
            findings.error(Code::ProfileUnknown, &at, &message, &hint)
        })
    })
}

fn keep(raw: &raw::Keep, at: &Pointer, findings: &mut Findings) -> Result<KeepPolicy, Refused> {
    let mut count = |key: &str, value: Option<Whole>| -> Result<Option<u16>, Refused> {
        let Some(Whole(value)) = value else {
            return Ok(None);
        };
        let count = u16::try_from(value).ok().filter(|&n| n <= MOST_KEPT);
        count.map(Some).ok_or_else(|| {
            let message = format!("{value} generations cannot be kept");
            let hint = format!("write a number from 0 to {MOST_KEPT}");
            findings.error(Code::KeepRange, &at.key(key), &message, &hint)
        })
    };
    let last = count("last", raw.last);
    let daily = count("daily", raw.daily);
    let weekly = count("weekly", raw.weekly);
    let monthly = count("monthly", raw.monthly);
    let yearly = count("yearly", raw.yearly);
    let within = raw.within.as_ref();
    let within = within.map(|text| findings.age(&at.key("within"), text));
    let rules = KeepRules {
        last: last?,
        within: within.transpose()?,
        daily: daily?,
        weekly: weekly?,
        monthly: monthly?,
        yearly: yearly?,
    };
    KeepPolicy::new(rules).map_err(|error| {
        findings.error(
            Code::KeepsNothing,
            at,
            &error.to_string(),
            "write a rule above zero, such as `\"last\": 5` or `\"within\": \"14d\"`",
        )
    })
}
