//! The shape of settings to checked settings: every rule, all findings at once, nothing changed on the way.

mod accept;
mod budget;
mod job;
mod limits;
mod operations;
mod place;
mod policy;
mod protect;

use std::collections::BTreeSet;
use std::sync::Arc;

use camino::Utf8PathBuf;

use super::finding::{Code, Finding, Pointer, Severity};
use super::platform::Platform;
use super::raw::{self, Whole};
use super::{JobSettings, Said, Settings, VERSION};
use crate::domain::job::{Job, Protect};
use crate::domain::measure::Span;

/// Checks settings.
pub(super) fn check(
    raw: &raw::Settings,
    platform: Platform,
) -> Result<(Settings, Vec<Finding>), Vec<Finding>> {
    let mut findings = Findings::default();
    let settings = settings(raw, platform, &mut findings);
    match settings {
        // A finding that left a value behind is an error all the same.
        Ok(settings) if !findings.has_error() => Ok((settings, findings.all)),
        _ => Err(findings.all),
    }
}

fn settings(
    raw: &raw::Settings,
    platform: Platform,
    findings: &mut Findings,
) -> Result<Settings, Refused> {
    let root = Pointer::root();
    findings.all.extend(version(raw.version, VERSION));
    let safe_mode = raw.safe_mode.unwrap_or(true);
    if !safe_mode {
        findings.warn(
            Code::SafeModeOff,
            &root.key("safeMode"),
            "the safe mode is off: a job may do what nothing brings back, if its `maxRisk` allows that",
            "write `true`, unless that is what you want",
        );
    }
    let undo_window = match &raw.undo_window {
        Some(text) => findings.age(&root.key("undoWindow"), text),
        None => Ok(Settings::UNDO_WINDOW),
    };
    let limits = limits::limits(raw, findings);
    let protected = protect::protected(raw, platform, findings);
    let accepted = accept::accepted(raw, findings);
    let policy = policy::policy(raw, findings);
    let drafts = job::drafts(raw, safe_mode, findings);
    let (undo_window, limits, protected, policy) = (undo_window?, limits?, protected?, policy?);
    let accepted = accepted?;
    let protect = Arc::new(protected.protect);
    let assemble = |draft: job::Draft| {
        let job = Job {
            name: draft.name.clone(),
            max_risk: draft.max_risk,
            safe_mode,
            undo_window,
            protect: Arc::clone(&protect),
            budget: draft.budget,
            limits,
            // By its code alone a check is accepted for one run, by whoever sees what it found.
            accept: BTreeSet::new(),
            accepted: Arc::clone(&accepted),
            policy,
            operations: draft.operations,
        };
        let (description, enabled) = (draft.description, draft.enabled);
        let job = JobSettings {
            job,
            description,
            enabled,
            on_top: true,
        };
        (draft.name, job)
    };
    let settings = Settings {
        safe_mode,
        undo_window,
        said: Said {
            safe_mode: raw.safe_mode,
            undo_window: raw.undo_window.is_some(),
        },
        limits,
        accepted: Arc::clone(&accepted),
        policy,
        jobs: drafts?.into_iter().map(assemble).collect(),
        protected_paths: protected.paths,
        protect,
    };
    for finding in settings.where_the_policy_bites() {
        findings.all.push(finding);
    }
    Ok(settings)
}

/// What `protect` says.
struct Protected {
    paths: Vec<Utf8PathBuf>,
    protect: Protect,
}

/// Tells what is wrong with a version where a later or an earlier one is understood.
pub(super) fn version(version: Option<Whole>, understood: i64) -> Option<Finding> {
    let at = Pointer::root().key("version");
    let hint = format!("write {understood}");
    let error = |code, message: &str, hint: &str| Some(Finding::error(code, &at, message, hint));
    match version {
        None => error(
            Code::VersionMissing,
            "the version of the settings is not said",
            &hint,
        ),
        Some(Whole(found)) if found > understood => error(
            Code::VersionNewer,
            &format!("the settings are of version {found}, and version {understood} is understood"),
            &format!("update nix-prune, or write the settings for version {understood}"),
        ),
        Some(Whole(found)) if found < 1 => error(
            Code::VersionOlder,
            &format!("there is no version {found} of the settings; version 1 is the first"),
            &hint,
        ),
        Some(Whole(found)) if found < understood => error(
            Code::VersionOlder,
            &format!("the settings are of version {found}, and version {understood} is understood"),
            &format!("let `nix-prune config migrate` write them for version {understood}"),
        ),
        Some(_) => None,
    }
}

/// Checks settings that lack a critical path as if they had it; only to tell what they would change, and how bad it is.
pub(super) fn check_but_for_critical_paths(
    raw: &raw::Settings,
    platform: Platform,
) -> Option<Settings> {
    let mut findings = Findings {
        lacks_critical: true,
        ..Findings::default()
    };
    let settings = settings(raw, platform, &mut findings);
    settings.ok().filter(|_| !findings.has_error())
}

/// All findings so far.
#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    lacks_critical: bool,
}

/// The proof that an error was recorded: a value can be missing for no other reason.
#[derive(Debug, Clone, Copy)]
struct Refused(());

impl Findings {
    fn error(&mut self, code: Code, at: &Pointer, message: &str, hint: &str) -> Refused {
        self.all.push(Finding::error(code, at, message, hint));
        Refused(())
    }

    fn warn(&mut self, code: Code, at: &Pointer, message: &str, hint: &str) {
        self.all.push(Finding::warning(code, at, message, hint));
    }

    fn has_error(&self) -> bool {
        self.all.iter().any(|f| f.severity == Severity::Error)
    }

    fn age(&mut self, at: &Pointer, text: &str) -> Result<Span, Refused> {
        text.parse().map_err(|_| {
            self.error(
                Code::AgeInvalid,
                at,
                &format!("`{text}` is not an age"),
                "write numbers with s, m, h, d or w behind them, such as `14d`, `1.5d` or `1h30m`",
            )
        })
    }

    /// Refuses a key that promises something and does nothing.
    fn not_yet(&mut self, parent: &Pointer, key: &str) {
        self.error(
            Code::NotYet,
            &parent.key(key),
            &format!("this release does not act on `{key}` yet"),
            "remove it",
        );
    }
}

/// Looks at every item before the first that is refused ends it.
fn each<T, U>(
    items: impl IntoIterator<Item = T>,
    look: impl FnMut(T) -> Result<U, Refused>,
) -> Result<Vec<U>, Refused> {
    let looked_at: Vec<Result<U, Refused>> = items.into_iter().map(look).collect();
    looked_at.into_iter().collect()
}
