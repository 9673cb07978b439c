//! The shape of settings to checked settings: every rule, all findings at once, nothing changed on the way.

mod budget;
mod job;
mod operations;
mod place;
mod protect;

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::finding::{Code, Finding, Pointer, Severity};
use super::platform::Platform;
use super::raw::{self, Whole};
use super::{JobSettings, Settings, VERSION};
use crate::domain::job::{Job, Protect};
use crate::domain::measure::Age;

const UNDO_WINDOW: Age = Age::days(7);

/// Checks settings.
pub(super) fn check(
    raw: &raw::Settings,
    platform: Platform,
) -> Result<(Settings, Vec<Finding>), Vec<Finding>> {
    let mut findings = Findings::default();
    let settings = settings(raw, platform, &mut findings);
    match settings {
        // A finding that left a value behind is an error all the same.
        Ok(settings) if !findings.has_error() => Ok((settings, findings.0)),
        _ => Err(findings.0),
    }
}

fn settings(
    raw: &raw::Settings,
    platform: Platform,
    findings: &mut Findings,
) -> Result<Settings, Refused> {
    let root = Pointer::root();
    findings.0.extend(version(raw.version));
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
        None => Ok(UNDO_WINDOW),
    };
    let protected = protect::protected(raw, platform, findings);
    let drafts = job::drafts(raw, safe_mode, findings);
    let (undo_window, protected) = (undo_window?, protected?);
    let assemble = |draft: job::Draft| {
        let job = Job {
            name: draft.name.clone(),
            max_risk: draft.max_risk,
            safe_mode,
            undo_window,
            protect: protected.protect.clone(),
            budget: draft.budget,
            // Only who looks at what is wrong may let it pass, each time anew.
            accept: BTreeSet::new(),
            operations: draft.operations,
        };
        let (description, enabled) = (draft.description, draft.enabled);
        let job = JobSettings {
            job,
            description,
            enabled,
        };
        (draft.name, job)
    };
    Ok(Settings {
        safe_mode,
        undo_window,
        jobs: drafts?.into_iter().map(assemble).collect(),
        protected_paths: protected.paths,
    })
}

/// What `protect` says.
struct Protected {
    paths: Vec<Utf8PathBuf>,
    protect: Protect,
}

/// Tells what is wrong with a version.
pub(super) fn version(version: Option<Whole>) -> Option<Finding> {
    let at = Pointer::root().key("version");
    let hint = format!("write {VERSION}");
    let error = |code, message: &str, hint: &str| Some(Finding::error(code, &at, message, hint));
    match version {
        None => error(
            Code::VersionMissing,
            "the version of the settings is not said",
            &hint,
        ),
        Some(Whole(found)) if found > VERSION => error(
            Code::VersionNewer,
            &format!("the settings are of version {found}, and version {VERSION} is understood"),
            &format!("update nix-prune, or write the settings for version {VERSION}"),
        ),
        Some(Whole(found)) if found < VERSION => error(
            Code::VersionOlder,
            &format!("there is no version {found} of the settings; version {VERSION} is the first"),
            &hint,
        ),
        Some(_) => None,
    }
}

/// All findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

/// The proof that an error was recorded: a value can be missing for no other reason.
#[derive(Debug, Clone, Copy)]
struct Refused(());

impl Findings {
    fn error(&mut self, code: Code, at: &Pointer, message: &str, hint: &str) -> Refused {
        self.0.push(Finding::error(code, at, message, hint));
        Refused(())
    }

    fn warn(&mut self, code: Code, at: &Pointer, message: &str, hint: &str) {
        self.0.push(Finding::warning(code, at, message, hint));
    }

    fn has_error(&self) -> bool {
        self.0.iter().any(|f| f.severity == Severity::Error)
    }

    fn age(&mut self, at: &Pointer, text: &str) -> Result<Age, Refused> {
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
