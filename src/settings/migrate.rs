//! Settings of an older version as those of the present one.
//!
//! One step leads from each version to the next. A step edits the text as its owner wrote it, so that the order of keys and
//! the blanks between them stay; whether what comes out is valid is looked at like any other settings.

#[cfg(test)]
mod tests;

use std::fmt;

use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};

use super::declare::Key;
use super::finding::{Code, Finding, Pointer, Severity};
use super::platform::Platform;
use super::reader::{Clamping, RETIRED};
use super::slot::Group;
use super::syntax::{Node, STRICT, Value, number_lines, parse};
use super::values::Shape;
use super::{OLDER_VERSIONS, Report, values};

/// The step from each older version to the next; a new version without its step does not compile.
const STEPS: [Step; OLDER_VERSIONS as usize] = [Step {
    about: "Minutes are written `min`, sizes have a unit, `collect.method` `whole` is `full`; keys that no release acted on \
            are removed.",
    edit: |settings| respell(settings, super::keys::Settings::KEYS),
}];

/// Writes the values of version 1 as version 2 has them.
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

/// What makes settings of one version those of the next. The version itself is not its business.
#[derive(Clone, Copy)]
struct Step {
    /// What it does, in a sentence for the owner of the settings.
    about: &'static str,
    edit: fn(&CstObject),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Step").field(&self.about).finish()
    }
}

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migration {
    /// It is of the present version, and stays as it is.
    Current,
    /// It was of an older one.
    Older {
        /// Which one.
        from: i64,
        /// Which one it is of now.
        to: i64,
        /// It, for the present version; valid settings.
        text: String,
        /// What was done to it, a sentence for each step.
        steps: Vec<&'static str>,
    },
}

/// Why a text cannot be settings of the present version.
#[derive(Debug, Clone)]
pub struct Unmigrated {
    /// The text that the findings are about: as it was written, or as the steps left it.
    pub text: String,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// Makes a text of any version settings of the present one.
///
/// # Errors
/// When its version cannot be told or is not understood, or what comes out is not valid.
pub fn migrate(text: &str, platform: Platform) -> Result<Migration, Unmigrated> {
    along(&STEPS, text, &|text| {
        Report::of(text, platform, Clamping::Refuse).findings
    })
}

/// Goes up the steps, of which the first leads away from version 1, as far as they go.
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
        // Of a key that is written twice it is not clear what it says.
        Ok((_, mut findings)) | Err(mut findings) => {
            number_lines(text, &mut findings);
            return Err(unmigrated(text, findings));
        }
    };
    let Some(from) = version_of(&node) else {
        // What is wrong with the version is among the findings.
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

/// The version that a text says it is of.
pub(super) fn version_of(node: &Node) -> Option<i64> {
    let Value::Object(settings) = &node.value else {
        return None;
    };
    match &settings.get("version")?.value {
        Value::Number(number) => values::whole(number),
        _ => None,
    }
}

/// What is read of a text is of the present version.
pub(super) fn set_version(node: &mut Node) {
    if let Value::Object(settings) = &mut node.value
        && let Some(version) = settings.get_mut("version")
    {
        version.value = Value::Number(super::VERSION.to_string());
    }
}

/// What is wrong with a version where another one is understood.
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
