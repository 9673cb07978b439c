//! angrr: its TOML file.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::Deserialize;

use super::draft::{Draft, Generations, Job, Keep, Operations};
use super::flags::{self, Flag, Takes, Word};
use super::nh::absolute;
use super::spans::{self, HUMANTIME};
use super::{Around, ImportError, NoteKind, Scope};

const FLAGS: &[Flag] = &[
    Flag(&["--config", "-c"], Takes::Value),
    Flag(&["--no-global-config"], Takes::Nothing),
    Flag(&["--dry-run"], Takes::Nothing),
    Flag(&["--no-prompt", "-n"], Takes::Nothing),
    Flag(&["--no-statistic"], Takes::Nothing),
    Flag(&["--verbose", "-v"], Takes::Nothing),
    Flag(&["--log-level"], Takes::Value),
    Flag(&["--interactive", "-i"], Takes::Perhaps),
    Flag(&["--output"], Takes::Value),
    Flag(&["--output-unbuffered"], Takes::Nothing),
    Flag(&["--output-delimiter"], Takes::Value),
    Flag(&["--null-output-delimiter"], Takes::Nothing),
    Flag(&["--filter-timeout"], Takes::Value),
];

/// The file, with what decides what is kept in types and the rest only known by name.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Config {
    store: Option<String>,
    owned_only: Option<String>,
    remove_root: Option<bool>,
    directory: Option<Vec<String>>,
    #[serde(default)]
    temporary_root_policies: BTreeMap<String, Temporary>,
    #[serde(default)]
    profile_policies: BTreeMap<String, Policy>,
    touch: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Temporary {
    #[serde(default = "yes")]
    enable: bool,
    path_regex: String,
    period: Option<String>,
    #[serde(rename = "priority")]
    _priority: Option<u64>,
    #[serde(rename = "filter")]
    _filter: Option<toml::Value>,
    #[serde(rename = "ignore-prefixes")]
    _ignore_prefixes: Option<Vec<String>>,
    #[serde(rename = "ignore-prefixes-in-home")]
    _ignore_prefixes_in_home: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Policy {
    #[serde(default = "yes")]
    enable: bool,
    profile_paths: Vec<String>,
    keep_since: Option<String>,
    keep_latest_n: Option<u64>,
    // Always kept here, whatever it says.
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
    #[serde(default = "one")]
    n: u64,
    #[serde(rename = "bucket-window")]
    window: String,
    #[serde(rename = "bucket-amount")]
    amount: u64,
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

pub(super) fn angrr(words: &[String], around: &Around<'_>) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    let mut file = None;
    for word in flags::read("angrr", FLAGS, words)? {
        match word {
            Word::Plain(word) if word == "run" => {}
            Word::Flag("--config", value) | Word::Plain(value) => {
                if file.replace(value).is_some() {
                    return Err(ImportError::new(
                        "angrr's settings are two files",
                        "Name one; write into it what the other one adds.",
                    ));
                }
            }
            Word::Flag("--dry-run", _) => {
                draft.ignored("--dry-run", "`nix-prune plan` shows what a run would do.");
            }
            Word::Flag(name, _) => draft.ignored(name, "It decides nothing."),
        }
    }
    let file = file.unwrap_or_else(|| "/etc/angrr/config.toml".to_string());
    let text = (around.read)(file.as_str().into())?;
    let config: Config = toml::from_str(&text).map_err(|error| {
        let message = format!("{file} holds no settings of angrr: {}", error.message());
        ImportError::new(message, "Correct the file; angrr would refuse it.")
    })?;
    general(&config, &mut draft);
    for (name, policy) in &config.temporary_root_policies {
        temporary(name, policy, &mut draft)?;
    }
    for (name, policy) in &config.profile_policies {
        profile(name, policy, around, &mut draft)?;
    }
    draft.note(
        "collect",
        NoteKind::KeepsMore,
        "angrr collects no garbage and neither do these jobs; add `\"collect\": {}` to one, in the place of nix.gc.",
    );
    Ok(draft)
}

fn general(config: &Config, draft: &mut Draft) {
    let keys = [
        ("store", config.store.is_some()),
        ("owned-only", config.owned_only.is_some()),
        ("remove-root", config.remove_root.is_some()),
        ("directory", config.directory.is_some()),
        ("touch", config.touch.is_some()),
    ];
    for (key, _) in keys.into_iter().filter(|(_, said)| *said) {
        let words = match key {
            "store" | "directory" => {
                "Where Nix keeps things is what NIX_STORE_DIR and NIX_STATE_DIR say."
            }
            "owned-only" => "As root every user's profiles are looked at, as a user one's own.",
            _ => "Nothing here does it.",
        };
        draft.note(key, NoteKind::NoEquivalent, words);
    }
}

fn temporary(name: &str, policy: &Temporary, draft: &mut Draft) -> Result<(), ImportError> {
    let about = format!("temporary-root-policies.{name}");
    if let Some(period) = &policy.period {
        spans::read(&format!("{about}.period"), period, HUMANTIME)?;
    }
    if policy.enable {
        let message = format!(
            "Roots that match `{}` stay, however old they are.",
            policy.path_regex
        );
        draft.note(&about, NoteKind::NoEquivalent, &message);
    }
    Ok(())
}

fn profile(
    name: &str,
    policy: &Policy,
    around: &Around<'_>,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let about = format!("profile-policies.{name}");
    let keep = keep(&about, policy, draft)?;
    let mut profiles = Vec::new();
    for path in &policy.profile_paths {
        if let Some(path) = place(&about, path, around, draft)? {
            profiles.push(path.into_string());
        }
    }
    if !keep.keeps() || profiles.is_empty() {
        let message = "It is no job: it names no profile or no rule that ours can take over.";
        draft.note(&about, NoteKind::NoEquivalent, message);
        return Ok(());
    }
    let generations = Some(Generations { profiles, keep });
    let job = Job {
        description: format!("as the policy {name} of angrr did"),
        enabled: (!policy.enable).then_some(false),
        operations: Operations {
            generations,
            ..Operations::default()
        },
        ..Job::default()
    };
    draft.job(name, job)
}

/// `~` means one home for a user, and everybody's for root, which no setting of ours can say of a certain profile.
fn place(
    about: &str,
    path: &str,
    around: &Around<'_>,
    draft: &mut Draft,
) -> Result<Option<Utf8PathBuf>, ImportError> {
    match (path.strip_prefix("~/"), around.scope) {
        (None, _) => absolute(path).map(|path| Some(path.into())),
        (Some(below), Scope::User) => around.in_home(below).map(Some),
        (Some(_), Scope::System) => {
            let message = format!(
                "`{path}` of every user is left out; `users` or `home-manager` would take in more profiles than that."
            );
            draft.note(about, NoteKind::NoEquivalent, &message);
            Ok(None)
        }
    }
}

fn keep(about: &str, policy: &Policy, draft: &mut Draft) -> Result<Keep, ImportError> {
    let since = policy.keep_since.as_ref();
    let since = since.map(|text| spans::read(&format!("{about}.keep-since"), text, HUMANTIME));
    let mut keep = Keep {
        last: policy.keep_latest_n.filter(|&n| n > 0),
        within: since.transpose()?.filter(|age| !age.is_zero()),
        ..Keep::default()
    };
    for bucket in &policy.keep_n_per_bucket {
        self::bucket(about, bucket, &mut keep, draft)?;
    }
    draft.note(
        about,
        NoteKind::KeepsMore,
        "Numbers count back from the current generation, and what is newer stays as well, as do the booted and the running \
         system and the one that was active when a span of time began.",
    );
    Ok(keep)
}

/// Everything in the time that all windows span: angrr counts windows back from now, and a rule of ours takes calendar days
/// and weeks, of which one may hold two windows.
fn bucket(
    about: &str,
    bucket: &Bucket,
    keep: &mut Keep,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let about = format!("{about}.keep-n-per-bucket");
    let window = spans::read(&about, &bucket.window, HUMANTIME)?;
    if window.is_zero() {
        let message = format!("{about}: a window of no time");
        return Err(ImportError::new(
            message,
            "angrr refuses it; write a longer one.",
        ));
    }
    if bucket.n == 0 || bucket.amount == 0 {
        draft.note(
            &about,
            NoteKind::Different,
            "It keeps nothing, and is left out.",
        );
        return Ok(());
    }
    let span = window.as_seconds().checked_mul(bucket.amount);
    let span = span.and_then(spans::age).ok_or_else(|| {
        let message = format!(
            "{about}: {} times {} is too long",
            bucket.window, bucket.amount
        );
        ImportError::new(message, "Write a shorter span.")
    })?;
    keep.within = keep.within.max(Some(span));
    let message = format!(
        "Every generation of the last {span} stays, and not only {} of each {}.",
        bucket.n, bucket.window
    );
    draft.note(&about, NoteKind::KeepsMore, &message);
    Ok(())
}
