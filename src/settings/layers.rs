//! Settings of several files, merged by the merge rule of each key.
//!
//! Each file has been checked by itself before.

#[cfg(test)]
mod tests;

use super::finding::{Code, Finding, Pointer};
use super::platform::Platform;
use super::reader::Reader;
use super::slot::{Group, Origin, Slot, Sourced};
use super::{Settings, Written, keys, rules};
use crate::domain::accept::Acceptance;
use crate::domain::risk::RiskLevel;

/// The settings of one file.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The name of the file, for people.
    pub name: String,
    /// Its own settings.
    pub settings: Settings,
    /// Its content.
    pub written: Written,
}

/// The result of merging all files.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The merged settings; each value has its origin.
    pub settings: Settings,
    /// Findings that only several files together can have.
    pub findings: Vec<Finding>,
}

/// Merges the settings of files, from the lowest to the highest; `None` if there is no file.
///
/// # Errors
/// When files that are each valid cannot be used together, which no current rule causes.
pub fn stack(layers: &[Layer], platform: Platform) -> Result<Option<Stack>, Vec<Finding>> {
    let Some((first, above)) = layers.split_first() else {
        return Ok(None);
    };
    let highest = above.last().unwrap_or(first);
    let mut merged = origin(first);
    let mut findings = Vec::new();
    for layer in above {
        findings.extend(accepted_beyond(first, layer));
        merged = origin(layer).over_keys(merged);
    }
    findings.extend(refused_by_the_safe_mode(&mut merged));
    let mut reader = Reader::default();
    let settings = rules::settings(merged, platform, &mut reader);
    let Some(mut settings) = settings.filter(|_| !reader.has_error()) else {
        return Err(reader.findings);
    };
    for (name, job) in &mut settings.jobs {
        job.is_in_highest_file = highest.settings.jobs.contains_key(name);
    }
    findings.extend(settings.policy_conflicts());
    Ok(Some(Stack { settings, findings }))
}

fn origin(layer: &Layer) -> keys::Settings {
    let mut keys = layer.written.0.clone();
    keys.set_origin(&Origin::File(layer.name.clone()));
    keys
}

/// The entries of a file that are ignored, because the lowest file does not accept the same.
fn accepted_beyond(first: &Layer, layer: &Layer) -> Vec<Finding> {
    let allowed = &first.settings.accepted;
    let entries = layer.settings.accepted.iter().enumerate();
    let beyond =
        entries.filter(|(_, entry)| !allowed.iter().any(|other| other.is_for_the_same(entry)));
    let finding = |(index, entry): (usize, &Acceptance)| {
        let (upper, lower) = (&layer.name, &first.name);
        Finding::warning(
            Code::AcceptBeyond,
            &Pointer::root().key("accept").index(index),
            &format!(
                "{upper} accepts {} at {}, and {lower} does not",
                entry.code, entry.place
            ),
            &format!("add it to {lower}; only its entries count"),
        )
    };
    beyond.map(finding).collect()
}

/// Lowers the risk of jobs whose own file switches the safe mode off while a higher file switches it on.
fn refused_by_the_safe_mode(keys: &mut keys::Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if keys
        .safe_mode
        .as_ref()
        .is_some_and(|safe_mode| !safe_mode.value)
    {
        return findings;
    }
    for (name, job) in keys.jobs.iter_mut().flat_map(|jobs| &mut jobs.0) {
        if job
            .max_risk
            .as_ref()
            .is_none_or(|risk| risk.value < RiskLevel::Critical)
        {
            continue;
        }
        job.max_risk = Some(Sourced::new(RiskLevel::High, "high", Origin::SafeMode));
        let at = Pointer::root().key("jobs").key(name);
        findings.push(Finding::warning(
            Code::RiskAgainstSafeMode,
            &at.key("maxRisk"),
            "the job allows critical actions, and the safe mode of a file with higher precedence refuses them",
            "use high in the file that declares the job",
        ));
    }
    findings
}
