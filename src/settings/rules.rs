//! Rules between keys, and the conversion of keys to jobs.

use std::collections::BTreeSet;
use std::num::TryFromIntError;
use std::sync::Arc;

use camino::Utf8PathBuf;

mod operations;

use super::finding::{Code, Finding, Pointer};
use super::keys;
use super::platform::Platform;
use super::reader::Reader;
use super::slot::{Slot, Sourced};
use super::syntax::At;
use super::{JobSettings, Settings};
use crate::domain::accept::Acceptance;
use crate::domain::budget::{Budget, DiskGoal};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::{Job, JobName, Operations, PathPatterns, Protect, ProtectedGeneration};
use crate::domain::limits::Limits;
use crate::domain::measure::Span;
use crate::domain::notice::{HookCommand, NoticeSettings};
use crate::domain::policy::{MinimumRetention, Policy};
use crate::domain::profile::GenerationNumber;
use crate::domain::protected::ProtectedPaths;
use crate::domain::risk::RiskLevel;

/// The number of jobs above which there is a warning.
const MANY_JOBS: usize = 10;
const JOBS: At<'static> = At::Key(&At::Root, "jobs");
/// The longest that a run waits for the command of a notice.
const MAX_NOTICE_TIMEOUT: Span = Span::minutes(10);

/// Checks the rules between keys, and makes the settings. There are none if a value is missing or wrong; the findings
/// contain it.
pub(super) fn settings(
    mut keys: keys::Settings,
    platform: Platform,
    reader: &mut Reader,
) -> Option<Settings> {
    keys.fill(platform);
    let safe_mode = !matches!(value(keys.safe_mode.as_ref()), Some(false));
    if !safe_mode {
        reader.warn(
            Code::SafeModeOff,
            At::Key(&At::Root, "safeMode"),
            "safe mode is off: a job whose `maxRisk` is critical may remove generations irreversibly",
            "use `true`, unless this is intended",
        );
    }
    let protected = protected(keys.protect.as_ref(), platform, reader);
    let jobs: Vec<Option<(JobName, JobSettings)>> = keys
        .jobs
        .iter()
        .flat_map(|jobs| &jobs.0)
        .map(|(name, job)| {
            let settings = self::job(name, job, safe_mode, reader)?;
            Some((settings.job.name.clone(), settings))
        })
        .collect();
    if jobs.len() > MANY_JOBS {
        let message = format!(
            "there are {} jobs; more than {MANY_JOBS} are hard to review",
            jobs.len()
        );
        reader.warn(Code::JobsMany, JOBS, &message, "combine some of them");
    }
    let undo_window = value(keys.undo_window.as_ref())?;
    let (protect, accepted) = (Arc::new(protected?), accepted(&keys)?);
    let (limits, policy) = (limits(&keys), policy(&keys)?);
    let notices = notices(&keys, reader)?;
    let mut jobs: Vec<(JobName, JobSettings)> = jobs.into_iter().collect::<Option<_>>()?;
    for (_, settings) in &mut jobs {
        let job = &mut settings.job;
        job.undo_window = undo_window;
        job.protect = Arc::clone(&protect);
        job.accepted = Arc::clone(&accepted);
        job.limits = limits;
    }
    let settings = Settings {
        safe_mode,
        undo_window,
        protect,
        limits,
        accepted,
        policy,
        notices,
        jobs: jobs.into_iter().collect(),
        keys,
    };
    reader.findings.extend(settings.policy_conflicts());
    Some(settings)
}

fn value<T: Clone>(key: Option<&Sourced<T>>) -> Option<T> {
    key.map(|sourced| sourced.value.clone())
}

fn protected(
    protect: Option<&keys::Protect>,
    platform: Platform,
    reader: &mut Reader,
) -> Option<Protect> {
    let protect = protect?;
    let at = At::Key(&At::Root, "protect");
    let at = At::Key(&at, "paths");
    let paths = protect.paths.as_ref()?.items.iter();
    let paths: Vec<Utf8PathBuf> = paths.map(|path| path.value.clone()).collect();
    // Literally: no prefix covers a path, and `/` does not replace the others.
    let listed: BTreeSet<&str> = paths.iter().map(|path| path.as_str()).collect();
    let critical = platform.critical_paths().map(Into::into).collect();
    let missing = platform.critical_paths();
    let missing: Vec<&str> = missing.filter(|path| !listed.contains(path)).collect();
    if !missing.is_empty() && !reader.is_misshapen(at) {
        reader.error(
            Code::MissingCritical,
            at,
            &format!("critical paths are not protected: {}", missing.join(" ")),
            "list each of them, or omit `paths` to protect all of them",
        );
    }
    let pins = protect.generations.as_ref()?.items.iter().map(|pin| {
        Some(ProtectedGeneration {
            profile: value(pin.profile.as_ref())?,
            number: GenerationNumber(u32::try_from(value(pin.number.as_ref())?).ok()?),
            reason: value(pin.reason.as_ref()),
        })
    });
    let patterns = protect.roots.as_ref()?.items.iter();
    let patterns = PathPatterns::new(patterns.map(|pattern| pattern.value.0.as_str()));
    if let Err(error) = &patterns {
        let at = At::Key(&At::Root, "protect");
        let message = format!("the patterns cannot be used together: {error}");
        reader.error(
            Code::RootPattern,
            At::Key(&at, "roots"),
            &message,
            "use fewer",
        );
    }
    Some(Protect {
        generations: pins.collect::<Option<_>>()?,
        roots: patterns.ok()?,
        paths: ProtectedPaths::new(paths).with_critical(critical),
    })
}

fn accepted(keys: &keys::Settings) -> Option<Arc<[Acceptance]>> {
    let entries = keys.accept.as_ref()?.items.iter().map(|entry| {
        Some(Acceptance {
            code: value(entry.code.as_ref())?,
            place: value(entry.place.as_ref())?,
            reason: value(entry.reason.as_ref())?.0,
        })
    });
    entries.collect()
}

fn limits(keys: &keys::Settings) -> Limits {
    let limits = keys.limits.as_ref();
    Limits {
        generations: limits.and_then(|limits| value(limits.max_generations.as_ref())),
        bytes: limits.and_then(|limits| value(limits.max_bytes.as_ref())),
        ..Limits::default()
    }
}

/// Inside, `None` where nobody is to be told.
#[expect(
    clippy::option_option,
    reason = "outside, None means that a value is wrong"
)]
fn notices(keys: &keys::Settings, reader: &mut Reader) -> Option<Option<NoticeSettings>> {
    let Some(notify) = &keys.notify else {
        return Some(None);
    };
    let at = At::Key(&At::Root, "notify");
    let timeout = value(notify.timeout.as_ref())?;
    if timeout.is_zero() || timeout > MAX_NOTICE_TIMEOUT {
        let message = format!("the command of a notice cannot have {timeout}");
        let hint = format!("use a time up to {MAX_NOTICE_TIMEOUT}");
        reader.error(
            Code::NotifyTimeout,
            At::Key(&at, "timeout"),
            &message,
            &hint,
        );
    }
    let words = notify.command.as_ref().map(|list| &list.items);
    let mut words = words.into_iter().flatten().map(|word| word.value.clone());
    let command = words.next().map(|program| HookCommand {
        program: program.into(),
        args: words.collect(),
    });
    if let Some(command) = &command
        && !(command.program.is_absolute() && command.program.file_name().is_some())
    {
        let message = format!("`{}` is not an absolute path of a program", command.program);
        let hint = "use the absolute path; no shell reads the command, and PATH is not searched";
        reader.error(Code::NotifyCommand, At::Key(&at, "command"), &message, hint);
    }
    Some(Some(NoticeSettings {
        command,
        desktop: value(notify.desktop.as_ref())?,
        timeout,
        full_within: value(notify.full_within.as_ref()),
    }))
}

fn policy(keys: &keys::Settings) -> Option<Policy> {
    let Some(policy) = &keys.policy else {
        return Some(Policy::default());
    };
    let keep = policy.keep_at_least.as_ref();
    Some(Policy {
        keep: MinimumRetention {
            last: count(keep.and_then(|keep| value(keep.last.as_ref())))
                .ok()?
                .unwrap_or(0),
            within: keep
                .and_then(|keep| value(keep.within.as_ref()))
                .unwrap_or(Span::ZERO),
        },
        max_risk: value(policy.max_risk.as_ref()),
        undo_window: value(policy.undo_window.as_ref()).unwrap_or(Span::ZERO),
    })
}

/// The declared range fits.
fn count(number: Option<u64>) -> Result<Option<u16>, TryFromIntError> {
    number.map(u16::try_from).transpose()
}

fn job(name: &str, keys: &keys::Job, safe_mode: bool, reader: &mut Reader) -> Option<JobSettings> {
    let at = At::Key(&JOBS, name);
    let max_risk = value(keys.max_risk.as_ref());
    if max_risk == Some(RiskLevel::Critical) {
        let at = At::Key(&at, "maxRisk");
        if safe_mode {
            reader.error(
                Code::RiskAgainstSafeMode,
                at,
                "the job allows critical actions, and safe mode refuses them",
                "use high; or set `\"safeMode\": false`, if no way back of this machine is needed",
            );
        } else {
            reader.warn(
                Code::RiskCritical,
                at,
                "DANGER: safe mode is off, so this job may irreversibly remove every rollback target of the machine without asking",
                "write high",
            );
        }
    }
    let enabled = value(keys.enabled.as_ref());
    let budget = match &keys.budget {
        Some(budget) => self::budget(budget, At::Key(&at, "budget"), reader).map(Some),
        None => Some(None),
    };
    let none = keys::Operations::default();
    let at = At::Key(&at, "operations");
    let operations = operations::operations(keys.operations.as_ref().unwrap_or(&none), at, reader);
    // A key that is refused is not also reported as missing.
    let idle = operations.as_ref().is_some_and(Operations::is_empty);
    if idle && enabled == Some(true) && !reader.is_faulty(at) {
        reader.error(
            Code::JobWithoutOperation,
            at,
            "the job is enabled and does nothing",
            "add one of generations, roots, leftovers, collect, bootMenu, optimise or verify, or set `\"enabled\": false` for the job",
        );
    }
    let job = Job {
        name: JobName::try_from(name.to_string()).ok()?,
        max_risk: max_risk?,
        safe_mode,
        // The caller adds what all jobs have in common.
        undo_window: Span::ZERO,
        protect: Arc::default(),
        budget: budget?,
        limits: Limits::default(),
        // By its code a check is accepted for one run, by a person who sees its findings.
        accept: BTreeSet::new(),
        accepted: Arc::default(),
        operations: operations?,
    };
    Some(JobSettings {
        job,
        description: value(keys.description.as_ref()),
        enabled: enabled?,
        is_in_highest_file: true,
    })
}

/// One size, a number of inodes or both, and whether holds may end early for it.
fn budget(keys: &keys::Budget, at: At<'_>, reader: &mut Reader) -> Option<DiskGoal> {
    let inodes = value(keys.min_free_inodes.as_ref()).map(|goal| goal.0);
    let has_inodes = inodes.is_some() || reader.is_faulty(At::Key(&at, "minFreeInodes"));
    let goals = [
        value(keys.min_free.as_ref()).map(|goal| goal.0),
        value(keys.max_used.as_ref()).and_then(|percent| Budget::max_used(percent).ok()),
        value(keys.max_store.as_ref()).map(|goal| goal.0),
    ];
    let wrong = ["minFree", "maxUsed", "maxStore"];
    let wrong = wrong
        .iter()
        .filter(|key| reader.is_faulty(At::Key(&at, key)));
    let written = wrong.count() + goals.iter().flatten().count();
    let is_wrong = written > 1 || (written == 0 && !has_inodes);
    if is_wrong && !reader.is_misshapen(at) {
        let message = match written {
            0 => "the budget has no goal".to_string(),
            more => format!("the budget has {more} goals for the size; only one is allowed"),
        };
        let hint = "use one of minFree, maxUsed and maxStore, and minFreeInodes with it or alone";
        reader.error(Code::BudgetGoals, at, &message, hint);
    }
    if is_wrong {
        return None;
    }
    let mut goals = goals.into_iter().flatten().chain(inodes);
    Some(DiskGoal {
        budget: goals.next()?,
        beside: goals.next(),
        release_holds: value(keys.release_holds.as_ref())?,
    })
}

impl Settings {
    /// Findings for jobs that exceed the policy. The policy applies in any case.
    pub(super) fn policy_conflicts(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut warn = |code, at: &Pointer, message: &str, hint: &str| {
            findings.push(Finding::warning(code, at, message, hint));
        };
        let policy = self.policy;
        if self.undo_window < policy.undo_window {
            let (window, least) = (self.undo_window, policy.undo_window);
            let message =
                format!("the undo window is {window}; the policy requires at least {least}");
            let hint = format!("use `{least}`; the policy enforces it anyway");
            let at = Pointer::root().key("undoWindow");
            warn(Code::PolicyWindow, &at, &message, &hint);
        }
        for (name, found) in &self.jobs {
            let job = &found.job;
            let bound = EffectiveJob::new(job.clone(), policy);
            let at = JOBS.pointer().key(&name.to_string());
            if bound.max_risk != job.max_risk {
                let (risk, most) = (job.max_risk, bound.max_risk);
                let message =
                    format!("the job allows risk {risk}; the policy allows at most {most}");
                let hint = format!("use `{most}`; the policy enforces it anyway");
                warn(Code::PolicyRisk, &at.key("maxRisk"), &message, &hint);
            }
            if bound.budget != job.budget {
                warn(
                    Code::PolicyWindow,
                    &at.key("budget").key("releaseHolds"),
                    "the budget releases holds early; the policy forbids that",
                    "use `never`; the policy enforces it anyway",
                );
            }
            let Some(operation) = &job.operations.generations else {
                continue;
            };
            let (rules, floor) = (operation.keep.rules(), policy.keep);
            let fewer = rules.last.unwrap_or(0) < floor.last;
            let shorter = rules.within.unwrap_or_default() < floor.within;
            if fewer || shorter {
                warn(
                    Code::PolicyKeep,
                    &at.key("operations").key("generations").key("keep"),
                    "the rules may keep less than the policy requires",
                    "keep at least as much; the policy enforces it anyway",
                );
            }
        }
        findings
    }
}
