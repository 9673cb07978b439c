//! The imported settings in the making, with the notes about them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::meanings::{Meaning, UNDO};
use super::{ImportError, Imported, Note, NoteKind, Result};
use crate::domain::job::JobName;
use crate::domain::measure::Span;
use crate::domain::visible::escape_json;
use crate::settings::{Settings, VERSION};

/// Jobs so far.
#[derive(Default)]
pub(super) struct Draft {
    jobs: BTreeMap<String, Value>,
    notes: Vec<Note>,
}

/// The keep rules that other tools' rules become.
#[derive(Default, Clone, Copy)]
pub(super) struct Keep {
    pub(super) last: Option<u64>,
    pub(super) within: Option<Span>,
}

#[derive(Serialize)]
struct Document {
    version: i64,
    jobs: BTreeMap<String, Value>,
}

impl Keep {
    /// Whether any rule keeps anything.
    pub(super) fn keeps(self) -> bool {
        self.last.is_some_and(|n| n > 0) || self.within.is_some_and(|age| !age.is_zero())
    }

    /// The operation `generations`; without profiles there is none.
    pub(super) fn of(self, profiles: &[String]) -> Option<Value> {
        let keep = json!({ "last": self.last, "within": self.within });
        (!profiles.is_empty()).then(|| json!({ "profiles": profiles, "keep": keep }))
    }
}

impl Draft {
    pub(super) fn note(&mut self, about: &str, (kind, message): Meaning) {
        self.say(about, kind, message.to_string());
    }

    /// A note with a text of its own.
    pub(super) fn say(&mut self, about: &str, kind: NoteKind, message: String) {
        let about = about.to_string();
        self.notes.push(Note {
            about,
            kind,
            message,
        });
    }

    /// Adds a job, in which `null` stands for an absent key; a name that no job can have is replaced.
    pub(super) fn job(&mut self, name: &str, job: Value) {
        let valid = JobName::try_from(name.to_string()).is_ok() && !self.jobs.contains_key(name);
        let mut own = name.to_string();
        if !valid {
            own = format!("job-{}", self.jobs.len() + 1);
            let message = format!("`{name}` is not a valid job name; the job is called `{own}`.");
            self.say(name, NoteKind::Different, message);
        }
        self.jobs.insert(own, without_nulls(job));
    }

    /// The text, checked: it can be used as it is.
    pub(super) fn finish(mut self) -> Result<Imported> {
        let broken =
            |why: String| ImportError::new(why, "Write settings with `nix-prune config init`.");
        if self.jobs.is_empty() {
            return Err(broken(
                "it contains nothing that can be converted".to_string(),
            ));
        }
        let removes = |job: &Value| job.pointer("/operations/generations").is_some();
        if self.jobs.values().any(removes) {
            self.note("undoWindow", UNDO);
        }
        let document = Document {
            version: VERSION,
            jobs: self.jobs,
        };
        let text = serde_json::to_string_pretty(&document)
            .map(escape_json)
            .map_err(|error| broken(format!("cannot write JSON: {error}")))?;
        let (Ok((_, findings)) | Err(findings)) = Settings::parse(&text);
        match findings.into_iter().next() {
            Some(finding) => Err(ImportError::new(finding.message, finding.hint)),
            None => Ok(Imported {
                text: text + "\n",
                notes: self.notes,
            }),
        }
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let there = keys.into_iter().filter(|(_, value)| !value.is_null());
            there
                .map(|(key, value)| (key, without_nulls(value)))
                .collect()
        }
        other => other,
    }
}
