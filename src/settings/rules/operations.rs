//! Rules of the operations of a job.

use camino::Utf8PathBuf;

use super::{count, value};
use crate::domain::job::{
    BootMenuOperation, CollectOperation, GenerationsOperation, Operations, PathPatterns,
    RootsOperation,
};
use crate::domain::leftover::{LeftoverClass, LeftoversOperation};
use crate::domain::measure::Span;
use crate::domain::plan::{Action, OptimiseFacts};
use crate::domain::profile::ProfileKind;
use crate::domain::retention::{Calendar, KeepPolicy, KeepRules, PeriodCounts};
use crate::domain::root_rules::{RootRule, RuleVerdict};
use crate::settings::finding::Code;
use crate::settings::keys;
use crate::settings::reader::Reader;
use crate::settings::slot::{List, Sourced};
use crate::settings::syntax::At;

pub(super) fn operations(
    keys: &keys::Operations,
    at: At<'_>,
    reader: &mut Reader,
) -> Option<Operations> {
    let generations = keys.generations.as_ref();
    let generations =
        generations.map(|keys| self::generations(keys, At::Key(&at, "generations"), reader));
    let collect = keys.collect.as_ref();
    let collect = collect.map(|keys| self::collect(keys, At::Key(&at, "collect"), reader));
    let roots = keys.roots.as_ref();
    let roots = roots.map(|keys| self::roots(keys, At::Key(&at, "roots"), reader));
    let leftovers = keys.leftovers.as_ref().map(leftovers).unwrap_or_default();
    let enabled = |enabled: Option<&Sourced<bool>>| value(enabled) != Some(false);
    let boot_menu = keys.boot_menu.as_ref();
    let boot_menu = boot_menu.map(|keys| {
        let removes = generations.as_ref().is_some_and(|it| {
            // One that is wrong is reported as such.
            it.as_ref()
                .is_none_or(|it| it.may_select(ProfileKind::System))
        });
        self::boot_menu(keys, removes, At::Key(&at, "bootMenu"), reader)
    });
    let mut maintenance = Vec::new();
    if let Some(optimise) = &keys.optimise
        && enabled(optimise.enabled.as_ref())
    {
        maintenance.push(Action::Optimise(OptimiseFacts::default()));
    }
    if let Some(verify) = &keys.verify
        && enabled(verify.enabled.as_ref())
    {
        let contents = value(verify.contents.as_ref()) == Some(true);
        maintenance.push(Action::Verify { contents });
    }
    Some(Operations {
        generations: transposed(generations)?,
        roots: transposed(roots)?.filter(RootsOperation::removes_something),
        leftovers,
        collect: transposed(collect)?,
        boot_menu: transposed(boot_menu)?.flatten(),
        maintenance,
    })
}

fn roots(keys: &keys::Roots, at: At<'_>, reader: &mut Reader) -> Option<RootsOperation> {
    let rules = keys.rules.as_ref()?.items.iter().enumerate();
    let of_users = At::Key(&at, "removedUsers");
    let at = At::Key(&at, "rules");
    let rules = rules.map(|(index, keys)| root_rule(keys, At::Index(&at, index), reader));
    let removed_users = value(keys.removed_users.as_ref());
    if removed_users.is_some_and(Span::is_zero) {
        let message = "removedUsers would remove what was made a moment ago";
        let hint = "use an age such as `90d`";
        reader.error(Code::RemovedUsers, of_users, message, hint);
        return None;
    }
    // Every rule is checked, whatever is wrong with the others.
    let rules: Vec<Option<RootRule>> = rules.collect();
    Some(RootsOperation {
        dangling: value(keys.dangling.as_ref()) == Some(true),
        rules: rules.into_iter().collect::<Option<_>>()?,
        removed_users,
    })
}

fn root_rule(keys: &keys::RootRule, at: At<'_>, reader: &mut Reader) -> Option<RootRule> {
    let pattern = value(keys.pattern.as_ref());
    let pattern = pattern.map(|pattern| PathPatterns::new([pattern.0.as_str()]));
    let rule = RootRule {
        kind: value(keys.kind.as_ref()).map(|kind| kind.0),
        pattern: pattern.transpose().ok()?,
        owner: value(keys.owner.as_ref()),
        unused_for: value(keys.unused_for.as_ref()),
        older_than: value(keys.older_than.as_ref()),
        keep_latest: count(value(keys.keep_latest.as_ref())).ok()?,
        project_gone: value(keys.project_gone.as_ref()) == Some(true),
        verdict: value(keys.action.as_ref())?,
    };
    if rule.verdict == RuleVerdict::Remove && !rule.has_condition() && !reader.is_faulty(at) {
        let message = "the rule would remove links that were made a moment ago";
        let hint = "add `unusedFor`, `olderThan`, `keepLatestPerDirectory` or `projectGone`";
        reader.error(Code::RootRules, at, message, hint);
        return None;
    }
    Some(rule)
}

/// An entry that cannot be used invalidates the whole list.
#[allow(clippy::option_option, reason = "not written, wrong, or there")]
fn transposed<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    match written {
        Some(None) => None,
        other => Some(other.flatten()),
    }
}

fn paths(list: Option<&List<Sourced<Utf8PathBuf>>>) -> Vec<Utf8PathBuf> {
    let paths = list.into_iter().flat_map(|list| &list.items);
    paths.map(|path| path.value.clone()).collect()
}

/// The outer `None` is for what is wrong, the inner one for a menu that is left alone.
#[allow(clippy::option_option, reason = "wrong, left alone, or there")]
fn boot_menu(
    keys: &keys::BootMenu,
    removes_systems: bool,
    at: At<'_>,
    reader: &mut Reader,
) -> Option<Option<BootMenuOperation>> {
    let refresh = value(keys.refresh.as_ref())?;
    let min_free = value(keys.min_free.as_ref());
    let problem = match (min_free, refresh, removes_systems) {
        (None, ..) | (Some(_), true, true) => None,
        (Some(_), false, _) => Some("minFree needs refresh, which frees the space"),
        (Some(_), true, false) => {
            Some("minFree needs an operation `generations` that selects the system")
        }
    };
    if let Some(problem) = problem {
        let hint = "add `generations` with the profile system, or omit minFree";
        let at = At::Key(&at, "minFree");
        reader.error(Code::BootGenerations, at, problem, hint);
        return None;
    }
    Some(refresh.then_some(BootMenuOperation { min_free }))
}

fn leftovers(keys: &keys::Leftovers) -> LeftoversOperation {
    let logs = keys.build_logs.as_ref();
    let ages = [
        (LeftoverClass::BuildDirs, keys.build_dirs.as_ref()),
        (LeftoverClass::BuildLogs, logs),
        (
            LeftoverClass::OrphanedBuildLogs,
            keys.orphaned_build_logs.as_ref().or(logs),
        ),
        (LeftoverClass::NixCache, keys.nix_cache.as_ref()),
        (LeftoverClass::TemporaryRoots, keys.temporary_roots.as_ref()),
    ];
    let ages = ages.into_iter();
    ages.filter_map(|(class, age)| Some((class, value(age)?)))
        .collect()
}

fn collect(keys: &keys::Collect, at: At<'_>, reader: &mut Reader) -> Option<CollectOperation> {
    let operation = CollectOperation {
        method: value(keys.method.as_ref())?,
        keep_recent: value(keys.keep_recent.as_ref()),
        keep_flake_inputs: paths(keys.keep_flake_inputs.as_ref()),
        keep_build_dependencies: value(keys.keep_build_dependencies.as_ref())?,
        sources_first: value(keys.sources_first.as_ref())?,
    };
    if let Err(error) = operation.check() {
        let hint = "omit the method, or use selective";
        let at = At::Key(&at, error.key);
        reader.error(Code::CollectFull, at, &error.to_string(), hint);
        return None;
    }
    Some(operation)
}

fn calendar(keep: &keys::Keep) -> Option<PeriodCounts> {
    let counts = [
        (Calendar::Daily, &keep.daily),
        (Calendar::Weekly, &keep.weekly),
        (Calendar::Monthly, &keep.monthly),
        (Calendar::Yearly, &keep.yearly),
    ];
    let add = |all: PeriodCounts, (rule, key): (_, &Option<Sourced<u64>>)| {
        Some(all.with(rule, count(value(key.as_ref())).ok()?))
    };
    counts.into_iter().try_fold(PeriodCounts::default(), add)
}

fn generations(
    keys: &keys::Generations,
    at: At<'_>,
    reader: &mut Reader,
) -> Option<GenerationsOperation> {
    let none = keys::Keep::default();
    let keep = keys.keep.as_ref().unwrap_or(&none);
    let rules = KeepRules {
        last: count(value(keep.last.as_ref())).ok()?,
        within: value(keep.within.as_ref()),
        calendar: calendar(keep)?,
        known_good: value(keep.known_good.as_ref()) == Some(true),
    };
    let at = At::Key(&at, "keep");
    let keep = match KeepPolicy::new(rules) {
        _ if reader.is_faulty(at) => None,
        Ok(keep) => Some(keep),
        Err(error) => {
            let hint = "use a rule above zero, such as `\"last\": 5` or `\"within\": \"14d\"`";
            reader.error(Code::KeepsNothing, at, &error.to_string(), hint);
            None
        }
    };
    let profiles = keys.profiles.as_ref()?.items.iter();
    let users = keys.users.iter().flat_map(|users| &users.items);
    Some(GenerationsOperation {
        profiles: profiles.map(|profile| profile.value.clone()).collect(),
        users: users.map(|user| user.value.0.clone()).collect(),
        keep: keep?,
    })
}
