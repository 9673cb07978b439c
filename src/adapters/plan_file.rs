//! Saved plans: a JSON document with a digest, so that exactly the saved plan is applied.
//!
//! The digest detects mistakes and edits; it is not a signature. The facts of a plan are rechecked before it is
//! applied, whatever the origin of the file.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::io;

use camino::Utf8Path;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::files;
use crate::domain::plan::Plan;
use crate::domain::visible::escape_json;

/// The name of the form that is written and read.
pub const SCHEMA: &str = "nix-prune/plan/2";
const MAX_BYTES: u64 = 16 << 20;
const DIGEST: &str = "digest";

/// Why a plan was not saved, or not taken from a file.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The file cannot be written.
    #[error("cannot write the plan to {path}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read the plan {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any plan we read.
    #[error("the plan {path} is larger than {MAX_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// The file is not JSON, or only a part of it is there.
    #[error("the plan {path} is not JSON, or incomplete")]
    NotJson {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The document is of another kind or of another version.
    #[error("{path} is not a plan of schema {SCHEMA}{}", found.as_ref().map(|f| format!(" but {f}")).unwrap_or_default())]
    UnknownSchema {
        /// The file.
        path: String,
        /// What it says it is.
        found: Option<String>,
    },
    /// The document is not what was saved.
    #[error("the plan {path} was changed after it was saved: its digest differs")]
    Edited {
        /// The file.
        path: String,
    },
    /// The document lacks something that a plan has.
    #[error("the plan {path} lacks a required field")]
    Incomplete {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The document has an action in a place where no plan has it.
    #[error("the plan {path} has an action that does not belong to what it shows")]
    ForeignAction {
        /// The file.
        path: String,
    },
}

impl PlanFileError {
    /// What to do now.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Write { .. } => {
                "Name a new file in a directory that you may write to and that has space."
            }
            Self::Read { .. } => {
                "Name a regular file that you may read; links and pipes are not followed."
            }
            Self::TooLarge { .. } => {
                "Plan fewer profiles at a time, or use `nix-prune run`, which saves no plan."
            }
            Self::NotJson { .. } | Self::Edited { .. } | Self::Incomplete { .. } => {
                "Save it again with `nix-prune plan --out FILE`; to change a plan, change the settings and plan again."
            }
            Self::UnknownSchema { .. } => {
                "Save a plan with `nix-prune plan --out FILE` of this version and apply that."
            }
            Self::ForeignAction { .. } => {
                "Do not apply this file; save a plan with `nix-prune plan --out FILE`."
            }
        }
    }
}

/// A plan with its digest, as a file has it.
///
/// # Errors
/// When it could not be loaded again.
pub fn to_text(path: &Utf8Path, plan: &Plan) -> Result<String, PlanFileError> {
    let document = serde_json::to_value(plan).map_err(|source| PlanFileError::NotJson {
        path: path.to_string(),
        source,
    })?;
    let text = seal(path, document)?;
    if text.len() as u64 > MAX_BYTES {
        let path = path.to_string();
        return Err(PlanFileError::TooLarge { path });
    }
    parse(path, &text)?;
    Ok(text)
}

/// Saves a plan with its digest, wholly or not at all; what could not be loaded again is not saved.
///
/// # Errors
/// When the file cannot be written, or something else than a regular file stands in its place.
pub fn save(path: &Utf8Path, plan: &Plan) -> Result<(), PlanFileError> {
    let text = to_text(path, plan)?;
    // A note may have an error text of Nix, and that a line of its settings with a password.
    files::write_for_owner(path, text.as_bytes()).map_err(|source| PlanFileError::Write {
        path: path.to_string(),
        source,
    })
}

/// Takes a plan from a file.
///
/// # Errors
/// When it is not, letter for letter but for white space, a plan that was saved.
pub fn load(path: &Utf8Path) -> Result<Plan, PlanFileError> {
    let text = files::read_bounded(path, MAX_BYTES).map_err(|source| {
        let path = path.to_string();
        if source.kind() == io::ErrorKind::FileTooLarge {
            PlanFileError::TooLarge { path }
        } else {
            PlanFileError::Read { path, source }
        }
    })?;
    parse(path, &text)
}

/// The text of the file: the document with the digest of what it will be read as.
fn seal(path: &Utf8Path, mut document: Value) -> Result<String, PlanFileError> {
    let not_json = |source| PlanFileError::NotJson {
        path: path.to_string(),
        source,
    };
    if let Some(fields) = document.as_object_mut() {
        fields.remove(DIGEST);
    }
    // A fraction may be read as its neighbour: what counts is what a reader gets.
    let as_read = serde_json::from_str(&document.to_string()).map_err(not_json)?;
    let digest = digest_of(as_read);
    if let Some(fields) = document.as_object_mut() {
        fields.insert(DIGEST.to_string(), digest.into());
    }
    let text = serde_json::to_string_pretty(&document).map_err(not_json)?;
    Ok(escape_json(text) + "\n")
}

fn parse(path: &Utf8Path, text: &str) -> Result<Plan, PlanFileError> {
    let name = || path.to_string();
    let mut document: Value =
        serde_json::from_str(text).map_err(|source| PlanFileError::NotJson {
            path: name(),
            source,
        })?;
    let schema = document.get("schema").and_then(Value::as_str);
    if schema != Some(SCHEMA) {
        return Err(PlanFileError::UnknownSchema {
            path: name(),
            found: schema.map(|found| found.escape_debug().take(80).collect()),
        });
    }
    let stated = document.as_object_mut().and_then(|f| f.remove(DIGEST));
    let stated = stated.as_ref().and_then(Value::as_str);
    if stated != Some(digest_of(document.clone()).as_str()) {
        return Err(PlanFileError::Edited { path: name() });
    }
    let plan: Plan =
        serde_json::from_value(document).map_err(|source| PlanFileError::Incomplete {
            path: name(),
            source,
        })?;
    if !plan.is_consistent() {
        return Err(PlanFileError::ForeignAction { path: name() });
    }
    Ok(plan)
}

/// SHA-256, in hexadecimal, of the document without white space and with its keys in order.
fn digest_of(mut document: Value) -> String {
    document.sort_all_objects();
    let digest = Sha256::digest(document.to_string());
    digest
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

#[cfg(test)]
mod tests;
