//! Migration of settings to the current version.
//!
//! There is one step from each version to the next. A step edits the text as its owner wrote it, so that the order of
//! keys and the blanks are kept. The result is checked like any other settings.

#[cfg(test)]
mod tests;

use std::fmt;

use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};

use super::declare::Key;
use super::finding::{Code, Finding, Pointer, Severity};
use super::platform::Platform;
use super::reader::{OutOfRange, RETIRED};
use super::slot::Group;
use super::syntax::{Node, STRICT, Value, number_lines, parse};
use super::values::Shape;
use super::{OLDER_VERSIONS, Report, values};

/// The steps, one for each older version; a new version without its step does not compile.
const STEPS: [Step; OLDER_VERSIONS as usize] = [Step {
    about: "Minutes are written `min`, sizes have a unit, `collect.method` `whole` is `full`; keys that no release acted on \
            are removed.",
    edit: |settings| respell(settings, super::keys::Settings::KEYS),
}];

/// Respells the values of version 1 for version 2.
fn respell(object: &CstObject, keys: &[&Key]) {
    for name in RETIRED {
        if let Some(property) = object
            .get(name)
            .filter(|_| keys.iter().all(|key| key.name != name))
        {
            property.remove();
        }
    }
    for key in keys {
        let Some(value) = object.get(key.name).and_then(|property| property.value()) else {
            continue;
        };
        match ((key.shape)(), value.as_object()) {
            (Shape::Group(_, keys), Some(object)) => respell(&object, keys),
            (Shape::Named(_, keys), Some(entries)) => {
                let entries = entries.properties().into_iter();
                let objects = entries.filter_map(|entry| entry.value()?.as_object());
                objects.for_each(|object| respell(&object, keys));
            }
            (Shape::Text(_, respell) | Shape::Words(_, respell), None) => {
                let Some(text) = value.as_string_lit() else {
                    continue;
                };
                if let Some(new) = text
                    .decoded_value()
                    .ok()
                    .and_then(|old| respell(&old).filter(|new| *new != old))
                {
                    text.set_raw_value(serde_json::Value::from(new).to_string());
                }
            }
            _ => {}
        }
    }
}

/// One step to the next version. It does not write the version itself.
#[derive(Clone, Copy)]
struct Step {
    /// What the step does, in a sentence for the owner of the settings.
    about: &'static str,
    edit: fn(&CstObject),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Step").field(&self.about).finish()
    }
}

/// The result of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migration {
    /// The text already has the current version.
    Current,
    /// The text had an older version.
    Older {
        /// Its version.
        from: i64,
        /// The new version.
        to: i64,
        /// The new text; valid settings.
        text: String,
        /// What was done, one sentence for each step.
        steps: Vec<&'static str>,
    },
}

/// Why a text cannot be migrated.
#[derive(Debug, Clone)]
pub struct Unmigrated {
    /// The text that the findings refer to: the original, or the result of the steps.
    pub text: String,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// Updates a text to the current version.
///
/// # Errors
/// When its version is missing or unknown, or the result is not valid.
pub fn migrate(text: &str, platform: Platform) -> Result<Migration, Unmigrated> {
    along(&STEPS, text, &|text| {
        Report::of(text, platform, OutOfRange::Refuse).findings
    })
}

/// Applies the steps, of which the first is for version 1.
fn along(
    steps: &[Step],
    text: &str,
    findings_in: &dyn Fn(&str) -> Vec<Finding>,
) -> Result<Migration, Unmigrated> {
    let unmigrated = |text: &str, findings| Unmigrated {
        text: text.to_string(),
        findings,
    };
    let node = match parse(text) {
        Ok((node, duplicates)) if duplicates.is_empty() => node,
        // A key that is written twice has no clear value.
        Ok((_, mut findings)) | Err(mut findings) => {
            number_lines(text, &mut findings);
            return Err(unmigrated(text, findings));
        }
    };
    let Some(from) = version_of(&node) else {
        // A wrong version is among the findings.
        return Err(unmigrated(text, findings_in(text)));
    };
    let to = i64::try_from(steps.len())
        .unwrap_or(i64::MAX)
        .saturating_add(1);
    if from == to {
        return Ok(Migration::Current);
    }
    let done = usize::try_from(from)
        .ok()
        .and_then(|from| from.checked_sub(1));
    let ahead = done.and_then(|done| steps.get(done..)).unwrap_or_default();
    let root = CstRootNode::parse(text, &STRICT).ok();
    let object = root.as_ref().and_then(CstRootNode::object_value);
    let (Some(root), Some(object), [_, ..]) = (root, object, ahead) else {
        let mut findings: Vec<Finding> = refused(from, to).into_iter().collect();
        for finding in &mut findings {
            finding.span = node.span_of(&finding.pointer, finding.code);
        }
        number_lines(text, &mut findings);
        return Err(unmigrated(text, findings));
    };
    for step in ahead {
        (step.edit)(&object);
    }
    if let Some(version) = object.get("version") {
        version.set_value(CstInputValue::Number(to.to_string()));
    }
    let new = root.to_string();
    let findings = findings_in(&new);
    if findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        return Err(unmigrated(&new, findings));
    }
    Ok(Migration::Older {
        from,
        to,
        text: new,
        steps: ahead.iter().map(|step| step.about).collect(),
    })
}

/// The version in a text.
pub(super) fn version_of(node: &Node) -> Option<i64> {
    let Value::Object(settings) = &node.value else {
        return None;
    };
    match &settings.get("version")?.value {
        Value::Number(number) => values::whole(number),
        _ => None,
    }
}

/// A text that was read has the current version.
pub(super) fn set_version(node: &mut Node) {
    if let Value::Object(settings) = &mut node.value
        && let Some(version) = settings.get_mut("version")
    {
        version.value = Value::Number(super::VERSION.to_string());
    }
}

/// The finding for a version that is not supported.
pub(super) fn refused(found: i64, understood: i64) -> Option<Finding> {
    let (code, message, hint) = if found > understood {
        (
            Code::VersionNewer,
            format!(
                "the settings have version {found}; this nix-prune supports version {understood}"
            ),
            format!("update nix-prune, or write the settings for version {understood}"),
        )
    } else if found < 1 {
        (
            Code::VersionOlder,
            format!("there is no version {found} of the settings; version 1 is the first"),
            format!("write {understood}"),
        )
    } else if found < understood {
        (
            Code::VersionOlder,
            format!(
                "the settings have version {found}; this nix-prune supports version {understood}"
            ),
            "run `nix-prune config migrate` to update the file".to_string(),
        )
    } else {
        return None;
    };
    let at = Pointer::root().key("version");
    Some(Finding::error(code, &at, &message, &hint))
}
