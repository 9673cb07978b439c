//! The settings that come of it, and what is to be said about them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ImportError, Imported, Note, NoteKind};
use crate::domain::job::JobName;
use crate::domain::measure::Span;
use crate::domain::retention::{KeepPolicy, KeepRules, MOST_KEPT};
use crate::domain::visible::escape_json;
use crate::settings::{Settings, VERSION};

/// Jobs so far.
#[derive(Default)]
pub(super) struct Draft {
    jobs: BTreeMap<String, Job>,
    notes: Vec<Note>,
}

/// A job as it is written.
#[derive(Default, Serialize)]
pub(super) struct Job {
    pub(super) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) budget: Option<Budget>,
    pub(super) operations: Operations,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Budget {
    MaxStore(String),
    MaxUsed(u64),
    MinFree(String),
}

#[derive(Default, Serialize)]
pub(super) struct Operations {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) generations: Option<Generations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roots: Option<Roots>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) collect: Option<Collect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) optimise: Option<Optimise>,
}

#[derive(Serialize)]
pub(super) struct Generations {
    pub(super) profiles: Vec<String>,
    pub(super) keep: Keep,
}

/// Keep rules; those that are not there are not written.
#[derive(Default, Clone, Copy, Serialize)]
pub(super) struct Keep {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) within: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) daily: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weekly: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) monthly: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yearly: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Roots {
    pub(super) dangling: bool,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Collect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep_recent: Option<Span>,
}

#[derive(Serialize)]
pub(super) struct Optimise {
    pub(super) enabled: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    version: i64,
    jobs: &'a BTreeMap<String, Job>,
}

impl Keep {
    /// Whether any rule keeps anything.
    pub(super) fn keeps(&self) -> bool {
        let counts = [
            self.last,
            self.daily,
            self.weekly,
            self.monthly,
            self.yearly,
        ];
        let counted = counts.iter().flatten().any(|&count| count > 0);
        counted || self.within.is_some_and(|age| !age.is_zero())
    }

    fn check(&self) -> Result<(), ImportError> {
        let short =
            |count: Option<u64>| count.map(|count| u16::try_from(count).unwrap_or(u16::MAX));
        let rules = KeepRules {
            last: short(self.last),
            within: self.within,
            daily: short(self.daily),
            weekly: short(self.weekly),
            monthly: short(self.monthly),
            yearly: short(self.yearly),
        };
        KeepPolicy::new(rules).map(|_| ()).map_err(|error| {
            let hint = format!("Say a rule that keeps something, and no number above {MOST_KEPT}.");
            ImportError::new(error.to_string(), hint)
        })
    }
}

impl Draft {
    pub(super) fn note(&mut self, about: &str, kind: NoteKind, message: &str) {
        self.notes.push(Note {
            about: about.to_string(),
            kind,
            message: message.to_string(),
        });
    }

    /// What shows or asks, and decides nothing.
    pub(super) fn ignored(&mut self, about: &str, instead: &str) {
        self.note(about, NoteKind::NoEquivalent, instead);
    }

    /// Adds a job; a name that ours cannot have is replaced.
    pub(super) fn job(&mut self, name: &str, job: Job) -> Result<(), ImportError> {
        if let Some(generations) = &job.operations.generations {
            generations.keep.check()?;
        }
        let valid = JobName::try_from(name.to_string()).is_ok() && !self.jobs.contains_key(name);
        let name = if valid {
            name.to_string()
        } else {
            let number = self.jobs.len() + 1;
            let own = format!("job-{number}");
            let message = format!("`{name}` is not a valid job name here; it is called `{own}`.");
            self.note(name, NoteKind::Different, &message);
            own
        };
        self.jobs.insert(name, job);
        Ok(())
    }

    /// The text, checked: what is handed out can be used as it is.
    pub(super) fn finish(mut self) -> Result<Imported, ImportError> {
        if self.jobs.is_empty() {
            return Err(ImportError::new(
                "it contains nothing that can be converted",
                "Write settings with `nix-prune config init`.",
            ));
        }
        let drops = self
            .jobs
            .values()
            .any(|job| job.operations.generations.is_some());
        if drops {
            self.note(
                "undoWindow",
                NoteKind::KeepsMore,
                "Removed generations stay restorable for 7 days, and use disk space until then; set `\"undoWindow\"` to change that.",
            );
        }
        let document = Document {
            version: VERSION,
            jobs: &self.jobs,
        };
        let broken =
            |why: String| ImportError::new(why, "Write settings with `nix-prune config init`.");
        let text = serde_json::to_string_pretty(&document)
            .map(escape_json)
            .map_err(|error| broken(format!("the settings cannot be written: {error}")))?;
        match Settings::parse(&text) {
            Ok((_, warnings)) if warnings.is_empty() => Ok(Imported {
                text: text + "\n",
                notes: self.notes,
            }),
            Ok((_, findings)) | Err(findings) => {
                let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
                Err(broken(findings.join("\n")))
            }
        }
    }
}
