//! The settings: text to a tree with positions (`syntax`), to declared keys (`reader`, `keys`), to checked [`Settings`]
//! (`rules`). All steps are pure.
//!
//! Only the last type can be used, and only `rules` makes it, so that no job runs with unchecked settings. The caller
//! reads the file.

mod declare;
mod diff;
mod finding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod keys;
mod layers;
mod migrate;
mod platform;
mod preset;
mod reader;
mod reference;
mod rules;
mod schema;
mod show;
mod slot;
mod syntax;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::accept::Acceptance;
use crate::domain::job::{Job, JobName, Protect};
use crate::domain::limits::Limits;
use crate::domain::measure::Span;
use crate::domain::nearest::nearest;
use crate::domain::notice::NoticeSettings;
use crate::domain::policy::Policy;
use declare::Key;
use reader::Reader;
use slot::{Group, Slot};
use syntax::{At, Node};

pub use diff::{Difference, SettingsDiff};
pub use finding::{Code, Finding, Pointer, Severity};
pub use import::{Entry, ImportContext, ImportError, Imported, Note, NoteKind, Scope, import};
pub use layers::{Layer, Stack, stack};
pub use migrate::{Migration, Unmigrated, migrate};
pub use platform::Platform;
pub use preset::Preset;
pub use reader::{Change, ChangeKind, OutOfRange};
pub use reference::reference;
pub use schema::schema;
pub use show::{Effective, Overrides, Shown};
pub use slot::Origin;

/// The current version of the settings.
pub const VERSION: i64 = 1 + OLDER_VERSIONS as i64;

/// The number of versions before it.
const OLDER_VERSIONS: u8 = 1;

/// The text of the built-in settings, which apply if there is no file.
pub const BUILTIN: &str = include_str!("settings/builtin.json");

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    safe_mode: bool,
    undo_window: Span,
    protect: Arc<Protect>,
    limits: Limits,
    accepted: Arc<[Acceptance]>,
    policy: Policy,
    notices: Option<NoticeSettings>,
    jobs: BTreeMap<JobName, JobSettings>,
    /// The settings they were made from, with defaults.
    keys: keys::Settings,
}

impl Settings {
    /// Reads and checks the settings of a file; returns them with warnings.
    ///
    /// # Errors
    /// All findings, warnings included. A text of the wrong shape gives only its first fault.
    pub fn parse(text: &str) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        Self::parse_for(text, Platform::HERE)
    }

    /// Reads and checks the settings of a machine of another kind.
    ///
    /// # Errors
    /// As [`Settings::parse`].
    pub fn parse_for(text: &str, platform: Platform) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let report = Report::of(text, platform, OutOfRange::Refuse);
        match report.settings {
            Some(settings) => Ok((settings, report.findings)),
            None => Err(report.findings),
        }
    }

    /// The built-in settings, with the job `default`.
    ///
    /// # Errors
    /// Never in a tested build: they are checked like those of a file, so that they cannot break a rule.
    pub fn builtin() -> Result<Self, Vec<Finding>> {
        Self::parse(BUILTIN).map(|(settings, _)| settings)
    }

    /// Whether critical actions are refused.
    pub fn safe_mode(&self) -> bool {
        self.safe_mode
    }

    /// How long removed generations are held.
    pub fn undo_window(&self) -> Span {
        self.undo_window
    }

    /// What no job may remove.
    pub fn protect(&self) -> &Arc<Protect> {
        &self.protect
    }

    /// The accepted safety checks, each with its places and a reason.
    pub fn accepted(&self) -> &Arc<[Acceptance]> {
        &self.accepted
    }

    /// The minimum retention of every job.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Who is told of what is wrong with a job; `None` for nobody.
    pub fn notices(&self) -> Option<&NoticeSettings> {
        self.notices.as_ref()
    }

    /// Per-run limits: what a run may do without a confirmation.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// All jobs by name, disabled ones too.
    pub fn jobs(&self) -> impl Iterator<Item = &JobSettings> {
        self.jobs.values()
    }

    /// The job of this name, with the settings for all jobs.
    ///
    /// # Errors
    /// When there is none, or it is disabled: to run such a job must be a choice that [`Settings::jobs`] makes visible.
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

/// The result of checking a text.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The settings, unless there is an error.
    pub settings: Option<Settings>,
    /// The keys that are written, if the text is valid.
    pub written: Option<Written>,
    /// Errors and warnings, in the order of the text.
    pub findings: Vec<Finding>,
    /// The corrections.
    pub changes: Vec<Change>,
}

/// The content of one file; only a check makes one.
#[derive(Debug, Clone)]
pub struct Written(keys::Settings);

impl Report {
    /// Reads, corrects and checks a text.
    pub fn of(text: &str, platform: Platform, clamping: OutOfRange) -> Self {
        let parsed = Parsed::of(text, platform, clamping);
        let error = |finding: &Finding| finding.severity == Severity::Error;
        let is_valid = !parsed.findings.iter().any(error);
        Self {
            settings: parsed.settings.filter(|_| is_valid),
            written: parsed.keys.filter(|_| is_valid).map(Written),
            findings: parsed.findings,
            changes: parsed.changes,
        }
    }
}

/// The content of a text, whether or not it can be used.
#[derive(Default)]
struct Parsed {
    /// The values, as far as none is missing; they may break rules.
    settings: Option<Settings>,
    keys: Option<keys::Settings>,
    findings: Vec<Finding>,
    changes: Vec<Change>,
}

impl Parsed {
    fn of(text: &str, platform: Platform, clamping: OutOfRange) -> Self {
        let mut parsed = Self::default();
        match syntax::parse(text) {
            Ok((mut node, duplicates)) => {
                reader::tidy(
                    &mut node,
                    keys::Settings::KEYS,
                    At::Root,
                    clamping,
                    &mut parsed.changes,
                );
                parsed.read(&mut node, duplicates, platform);
                for finding in &mut parsed.findings {
                    if finding.span.is_empty() {
                        finding.span = node.span_of(&finding.pointer, finding.code);
                    }
                }
                parsed.findings.sort_by_key(|finding| finding.span.start);
            }
            Err(findings) => parsed.findings = findings,
        }
        syntax::number_lines(text, &mut parsed.findings);
        parsed
    }

    /// The version comes first: keys of a later version must not be reported as unknown.
    fn read(&mut self, node: &mut Node, duplicates: Vec<Finding>, platform: Platform) {
        let version = migrate::version_of(node).unwrap_or(VERSION);
        if version != 1
            && let Some(finding) = migrate::refused(version, VERSION)
        {
            self.findings.push(finding);
            return;
        }
        let mut reader = Reader::beside(duplicates);
        if version == 1 {
            reader.is_version_1 = true;
            migrate::set_version(node);
            reader.warn(
                Code::VersionOlder,
                At::Key(&At::Root, "version"),
                "the settings are of version 1, in which `m` is minutes and a bare number is bytes",
                "let `nix-prune config migrate` write them for version 2",
            );
        }
        let keys = <keys::Settings as Slot>::read(&mut reader, At::Root, node, &Key::PLAIN);
        if let Some(keys) = keys.filter(|_| !reader.gives_up()) {
            self.settings = rules::settings(keys.clone(), platform, &mut reader);
            self.keys = Some(keys);
        }
        self.findings = reader.findings;
    }
}

/// A job with the settings that apply to it.
#[derive(Debug, Clone)]
pub struct JobSettings {
    job: Job,
    description: Option<String>,
    enabled: bool,
    is_in_highest_file: bool,
}

impl JobSettings {
    /// The job itself.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Its description.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Whether the highest file has it.
    pub fn is_in_highest_file(&self) -> bool {
        self.is_in_highest_file
    }

    /// Whether it is enabled.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }
}

/// Why a job cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoJob {
    /// There is no job of this name.
    #[error("the settings have no job `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
        /// The existing jobs.
        known: Vec<String>,
    },
    /// The job is disabled.
    #[error("the settings disable the job `{name}`")]
    Disabled {
        /// Its name.
        name: String,
    },
}
