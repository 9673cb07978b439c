//! angrr: its TOML file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::draft::{Draft, Keep};
use super::durations::{self, HUMANTIME};
use super::flags::Flags;
use super::meanings::{self as m, Row};
use super::{ImportContext, ImportError, NoteKind, Result, Scope, absolute, from_toml};

/// The file: policies for profiles, which decide what is kept, and keys that are only known by name.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    #[serde(default)]
    temporary_root_policies: BTreeMap<String, Temporary>,
    #[serde(default)]
    profile_policies: BTreeMap<String, Policy>,
    #[serde(flatten)]
    others: BTreeMap<String, toml::Value>,
}

/// None of it is imported, so that a slip in it removes nothing.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Temporary {
    enable: Option<bool>,
    path_regex: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Policy {
    enable: Option<bool>,
    profile_paths: Vec<String>,
    keep_since: Option<String>,
    keep_latest_n: Option<u64>,
    // Always kept here.
    #[serde(rename = "keep-current-system")]
    _keep_current_system: Option<bool>,
    #[serde(rename = "keep-booted-system")]
    _keep_booted_system: Option<bool>,
    #[serde(default)]
    keep_n_per_bucket: Vec<Bucket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Bucket {
    n: Option<u64>,
    #[serde(rename = "bucket-window")]
    window: String,
    #[serde(rename = "bucket-amount")]
    amount: u64,
}

pub(super) fn angrr(words: &[String], context: &ImportContext<'_>, draft: &mut Draft) -> Result {
    let flags = Flags::read("angrr", m::ANGRR, words, draft)?;
    let mut files = flags.values("--config");
    files.extend(flags.words().into_iter().filter(|word| word != "run"));
    let file = files
        .pop()
        .unwrap_or_else(|| "/etc/angrr/config.toml".to_string());
    if !files.is_empty() {
        return Err(ImportError::new(
            "angrr's settings are two files",
            "Name one of them, and copy the keys of the other into it.",
        ));
    }
    let config: Config = from_toml(&file, "settings of angrr", context)?;
    for key in config.others.keys() {
        let row = m::ANGRR_KEYS
            .iter()
            .find(|Row(keys, _)| keys.split(' ').any(|k| k == key));
        let Some(Row(_, Some(note))) = row else {
            let message = format!("{file} holds no settings of angrr: unknown key `{key}`");
            return Err(ImportError::new(message, "Correct the file."));
        };
        draft.note(key, *note);
    }
    let kept = config
        .temporary_root_policies
        .iter()
        .filter(|(_, policy)| policy.enable != Some(false));
    for (name, Temporary { path_regex, .. }) in kept {
        let message = format!("Roots that match `{path_regex}` are kept at any age.");
        draft.say(
            &format!("temporary-root-policies.{name}"),
            NoteKind::NoEquivalent,
            message,
        );
    }
    for (name, policy) in &config.profile_policies {
        profile(name, policy, context, draft)?;
    }
    draft.note("collect", m::NO_COLLECTION);
    Ok(())
}

fn profile(name: &str, policy: &Policy, context: &ImportContext<'_>, draft: &mut Draft) -> Result {
    let about = format!("profile-policies.{name}");
    let keep = keep(&about, policy, draft)?;
    let mut profiles = Vec::new();
    for path in &policy.profile_paths {
        // `~` is one home for a user, and every home for root, which no selector can say of one profile.
        match (path.strip_prefix("~/"), context.scope) {
            (None, _) => profiles.push(absolute(path)?),
            (Some(below), Scope::User) => profiles.push(context.in_home(below)?.into()),
            (Some(_), Scope::System) => {
                let message = format!(
                    "`{path}` of every user is left out; `users` or `home-manager` would cover more profiles than that."
                );
                draft.say(&about, NoteKind::NoEquivalent, message);
            }
        }
    }
    let Some(generations) = keep.of(&profiles).filter(|_| keep.keeps()) else {
        draft.note(&about, m::NO_JOB);
        return Ok(());
    };
    let job = json!({
        "description": format!("imported from the angrr policy {name}"),
        "enabled": policy.enable.filter(|enabled| !enabled),
        "operations": { "generations": generations },
    });
    draft.job(name, job);
    Ok(())
}

fn keep(about: &str, policy: &Policy, draft: &mut Draft) -> Result<Keep> {
    let read = |key: &str, text| durations::read(&format!("{about}.{key}"), text, HUMANTIME);
    let since = policy.keep_since.as_deref();
    let since = since.map(|text| read("keep-since", text)).transpose()?;
    let mut within = since.filter(|age| !age.is_zero());
    let about_buckets = format!("{about}.keep-n-per-bucket");
    for bucket in &policy.keep_n_per_bucket {
        let Bucket { n, window, amount } = bucket;
        let n = n.unwrap_or(1);
        let age = read("keep-n-per-bucket", window)?;
        if age.is_zero() {
            let message = format!("{about_buckets}: the window is empty");
            return Err(ImportError::new(
                message,
                "angrr refuses it; write a longer one.",
            ));
        }
        if n == 0 || *amount == 0 {
            draft.note(&about_buckets, m::KEEPS_NONE);
            continue;
        }
        // Everything in the time of all windows: angrr counts windows back from now, and a keep rule of ours takes
        // calendar days and weeks, of which one may hold two windows.
        let span = age.as_seconds().checked_mul(*amount);
        let span = span.and_then(durations::age).ok_or_else(|| {
            let message = format!("{about_buckets}: {amount} times {window} is too long");
            ImportError::new(message, "Write a shorter span.")
        })?;
        within = within.max(Some(span));
        let message =
            format!("Every generation of the last {span} is kept, not only {n} of each {window}.");
        draft.say(&about_buckets, NoteKind::KeepsMore, message);
    }
    draft.note(about, m::ALL_KEPT);
    Ok(Keep {
        last: policy.keep_latest_n.filter(|&n| n > 0),
        within,
    })
}
