//! What a machine's owner wrote down: text to `raw` (the shape) to `sanitize` (what can mean one thing only) to checked
//! [`Settings`] (the rules), all steps pure.
//!
//! Only the last type can be used, and only `check` makes it, so that no job runs on settings that were not checked.
//! Reading the file is the caller's business.

mod assess;
mod check;
mod finding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gone;
mod import;
mod layers;
mod locate;
mod migrate;
mod platform;
mod preset;
mod raw;
mod read;
mod reference;
mod sanitize;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::accept::Acceptance;
use crate::domain::job::{Job, JobName, Protect};
use crate::domain::limits::Limits;
use crate::domain::measure::Span;
use crate::domain::nearest::nearest;
use crate::domain::policy::Policy;

pub use assess::{Assessment, Difference, Value};
pub use finding::{Code, Finding, Pointer, Severity};
pub use import::{Around, Entry, ImportError, Imported, Note, NoteKind, Scope, Tool, import};
pub use layers::{Layer, Stack, stack};
pub use migrate::{Migration, Unmigrated, migrate};
pub use platform::Platform;
pub use preset::Preset;
pub use reference::reference;
pub use sanitize::{Change, ChangeKind, Clamping};
pub use shown::{Beside, InForce, Origin, Shown, Written};

/// The version of the settings that is understood.
pub const VERSION: i64 = 1 + OLDER_VERSIONS as i64;

/// How many versions came before it.
const OLDER_VERSIONS: u8 = 0;

/// The text of the settings that hold where nobody wrote any.
pub const BUILTIN: &str = include_str!("settings/builtin.json");

/// Settings that were checked.
#[derive(Debug, Clone)]
pub struct Settings {
    safe_mode: bool,
    undo_window: Span,
    protected_paths: Vec<Utf8PathBuf>,
    protect: Arc<Protect>,
    limits: Limits,
    accepted: Arc<[Acceptance]>,
    policy: Policy,
    said: Said,
    jobs: BTreeMap<JobName, JobSettings>,
}

impl Settings {
    /// How long what was dropped is held where nobody says it.
    pub const UNDO_WINDOW: Span = Span::days(7);

    /// Reads and checks the settings of a file; gives the warnings beside them.
    ///
    /// # Errors
    /// All that is wrong with them, warnings included; a text of the wrong shape gives its first fault alone.
    pub fn parse(text: &str) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        Self::parse_for(text, Platform::HERE)
    }

    /// Reads and checks the settings of a machine of another kind.
    ///
    /// # Errors
    /// As [`Settings::parse`].
    pub fn parse_for(text: &str, platform: Platform) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let report = Report::of(text, platform, Clamping::Refuse);
        match report.settings {
            Some(settings) => Ok((settings, report.findings)),
            None => Err(report.findings),
        }
    }

    /// The settings with the job `default` that hold where nobody wrote any.
    ///
    /// # Errors
    /// Never in a tested build: they take the same way as a file's, so that they can break no rule.
    pub fn builtin() -> Result<Self, Vec<Finding>> {
        Self::parse(BUILTIN).map(|(settings, _)| settings)
    }

    /// Whether critical actions are refused.
    pub fn safe_mode(&self) -> bool {
        self.safe_mode
    }

    /// How long what was dropped is held.
    pub fn undo_window(&self) -> Span {
        self.undo_window
    }

    /// What no job may take away.
    pub fn protect(&self) -> &Arc<Protect> {
        &self.protect
    }

    /// The safety checks that are accepted, each at a place and for a reason.
    pub fn accepted(&self) -> &Arc<[Acceptance]> {
        &self.accepted
    }

    /// What no job can fall short of.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The most that one run may do unasked.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The places that no operation may remove.
    pub fn protected_paths(&self) -> impl Iterator<Item = &Utf8Path> {
        self.protected_paths.iter().map(Utf8PathBuf::as_path)
    }

    /// All jobs by name, disabled ones too.
    pub fn jobs(&self) -> impl Iterator<Item = &JobSettings> {
        self.jobs.values()
    }

    /// The job of this name, with everything that bears on it.
    ///
    /// # Errors
    /// When there is none, or it is disabled: running such a job must be a choice that [`Settings::jobs`] makes visible.
    pub fn job(&self, name: &str) -> Result<&Job, NoJob> {
        let key = JobName::try_from(name.to_string()).ok();
        match key.and_then(|key| self.jobs.get(&key)) {
            Some(found) if found.enabled => Ok(&found.job),
            Some(_) => Err(NoJob::Disabled {
                name: name.to_string(),
            }),
            None => {
                let known: Vec<String> = self.jobs.keys().map(ToString::to_string).collect();
                Err(NoJob::Unknown {
                    name: name.to_string(),
                    nearest: nearest(name, known.iter().map(String::as_str)).map(str::to_string),
                    known,
                })
            }
        }
    }
}

/// Everything that there is to say of a text.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What it means, unless something is wrong with it.
    pub settings: Option<Settings>,
    /// What is written there, mended, if it is valid.
    pub written: Option<Written>,
    /// What is wrong or doubtful, each with its place in the text.
    pub findings: Vec<Finding>,
    /// What was taken for something else than was written.
    pub changes: Vec<Change>,
}

impl Report {
    /// Reads, mends and checks a text.
    pub fn of(text: &str, platform: Platform, clamping: Clamping) -> Self {
        let mut read = read::read(text);
        let of_the_shape = read.findings.len();
        let mut report = match read.settings.take() {
            Some(raw) => Self::checked(raw, &read, platform, clamping),
            None => Self::default(),
        };
        report.findings.splice(0..0, read.findings);
        locate::locate(text, &mut report.findings);
        let (of_the_shape, _) = report.findings.split_at_mut(of_the_shape);
        of_the_shape.sort_by_key(|finding| finding.span.start);
        report
    }

    /// What there is to say beyond the shape.
    fn checked(
        raw: raw::Settings,
        read: &read::Read,
        platform: Platform,
        clamping: Clamping,
    ) -> Self {
        let (clean, mut changes, gone) = sanitize::sanitize(raw, clamping);
        let (settings, mut findings) = match check::check(&clean, platform) {
            Ok((settings, warnings)) => (Some(settings), warnings),
            Err(findings) => (None, findings),
        };
        for finding in &mut findings {
            finding.pointer = read.gone.restore(&gone.restore(&finding.pointer));
        }
        for change in &mut changes {
            change.pointer = read.gone.restore(&change.pointer);
        }
        findings.retain(|finding| !read.explains(finding));
        let settings = settings.filter(|_| read.findings.is_empty());
        Self {
            written: settings.is_some().then_some(Written(clean)),
            settings,
            findings,
            changes,
        }
    }
}

/// What is written, and not taken for said.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    safe_mode: Option<bool>,
    undo_window: bool,
}

/// A job and what the settings say about it.
#[derive(Debug, Clone)]
pub struct JobSettings {
    job: Job,
    description: Option<String>,
    enabled: bool,
    on_top: bool,
}

impl JobSettings {
    /// The job itself.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// What it is for, in its owner's words.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whether the settings that count most have it.
    pub fn is_on_top(&self) -> bool {
        self.on_top
    }

    /// Whether it is to run at all.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }
}

/// Why there is no job to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoJob {
    /// The settings have none of this name.
    #[error("the settings have no job `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The job that was perhaps meant.
        nearest: Option<String>,
        /// The jobs that there are.
        known: Vec<String>,
    },
    /// The settings switch it off.
    #[error("the settings disable the job `{name}`")]
    Disabled {
        /// Its name.
        name: String,
    },
}

/// Describes the shape of the settings; what JSON Schema cannot say, the check does.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(raw::Settings)
}
