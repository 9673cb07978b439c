//! `nix-sweep cleanout` and `nix-sweep gc`, with presets.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::Deserialize;
use serde_json::{Value, json};

use super::draft::{Draft, Keep};
use super::durations::{self, DURATION_STR};
use super::flags::Flags;
use super::meanings as m;
use super::{ImportContext, ImportError, Result, Scope, absolute, from_toml};
use crate::domain::budget::Budget;
use crate::domain::measure::Span;

/// A preset, or the flags; a zero has no effect.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Preset {
    keep_min: Option<u64>,
    keep_max: Option<u64>,
    keep_newer: Option<String>,
    remove_older: Option<String>,
    interactive: bool,
    gc: bool,
    gc_bigger: Option<u64>,
    gc_quota: Option<u64>,
    gc_modest: bool,
}

pub(super) fn nix_sweep(
    words: &[String],
    context: &ImportContext<'_>,
    draft: &mut Draft,
) -> Result {
    let words = match words.split_first() {
        Some((first, rest)) if first == "gc" => {
            let flags = Flags::read("nix-sweep gc", m::NIX_SWEEP_GC, rest, draft)?;
            let mut preset = Preset::default().overridden(&flags, "--")?;
            preset.gc = true;
            return add("default", &preset, &[], draft);
        }
        Some((first, rest)) if first == "cleanout" => rest,
        _ => words,
    };
    let flags = Flags::read("nix-sweep cleanout", m::NIX_SWEEP, words, draft)?;
    let profiles = profiles(flags.words(), context, draft)?;
    let name = flags.value("--preset");
    let mut presets: BTreeMap<String, Preset> = match (flags.value("--config"), &name) {
        (Some(file), _) => from_toml(&file, "presets of nix-sweep", context)?,
        (None, None) => BTreeMap::from([("default".to_string(), Preset::default())]),
        (None, Some(name)) => {
            return Err(ImportError::new(
                format!("the preset `{name}` is in a file that was not named"),
                "Name the file: --config /etc/nix-sweep/presets.toml.",
            ));
        }
    };
    if let Some(name) = name {
        if !presets.contains_key(&name) {
            let known: Vec<&str> = presets.keys().map(String::as_str).collect();
            let hint = format!("The file has these: {}.", known.join(", "));
            return Err(ImportError::new(
                format!("there is no preset `{name}`"),
                hint,
            ));
        }
        presets.retain(|preset, _| *preset == name);
    }
    for (name, preset) in presets {
        add(
            &name,
            &preset.overridden(&flags, "--gc-")?,
            &profiles,
            draft,
        )?;
    }
    Ok(())
}

impl Preset {
    /// Flags have precedence over a preset.
    fn overridden(self, flags: &Flags, gc: &str) -> Result<Self> {
        Ok(Self {
            keep_min: flags.number("--keep-min")?.or(self.keep_min),
            keep_max: flags.number("--keep-max")?.or(self.keep_max),
            keep_newer: flags.value("--keep-newer").or(self.keep_newer),
            remove_older: flags.value("--remove-older").or(self.remove_older),
            interactive: self.interactive,
            gc: flags.has("--gc") || self.gc,
            gc_bigger: flags.number(&format!("{gc}bigger"))?.or(self.gc_bigger),
            gc_quota: flags.number(&format!("{gc}quota"))?.or(self.gc_quota),
            gc_modest: flags.has(&format!("{gc}modest")) || self.gc_modest,
        })
    }
}

/// The paths of the profiles: our selectors cover more than the one profile.
fn profiles(
    mut words: Vec<String>,
    context: &ImportContext<'_>,
    draft: &mut Draft,
) -> Result<Vec<String>> {
    if words.is_empty() {
        let every: &[&str] = match context.scope {
            Scope::System => &["system"],
            Scope::User => &["home", "user"],
        };
        words = every.iter().map(ToString::to_string).collect();
    }
    let path = |word: &String| {
        if ["home", "user"].contains(&word.as_str()) {
            draft.note(word, m::PROFILES_NOW);
        }
        match word.as_str() {
            "system" => Ok(context.state_dir.join("profiles/system").into()),
            "home" => own("home-manager", context).map(Into::into),
            "user" => own("profile", context).map(Into::into),
            path => absolute(path),
        }
    };
    words.iter().map(path).collect()
}

/// A user's profile where nix-sweep finds it: in Nix's state directory first, then in the home.
fn own(name: &str, context: &ImportContext<'_>) -> Result<Utf8PathBuf> {
    let per_user = context.user.map(|user| context.per_user(user));
    let there = per_user.filter(|dir| {
        (context.entries)(dir)
            .iter()
            .any(|entry| entry.name == name)
    });
    match there {
        Some(dir) => Ok(dir.join(name)),
        None => context.in_home(&format!(".local/state/nix/profiles/{name}")),
    }
}

fn add(name: &str, preset: &Preset, profiles: &[String], draft: &mut Draft) -> Result {
    let generations = keep(preset, draft)?.and_then(|keep| keep.of(profiles));
    if preset.interactive {
        draft.note("interactive", m::INTERACTIVE);
    }
    if generations.is_none() && !preset.gc {
        draft.note(name, m::REMOVES_NOTHING);
        return Ok(());
    }
    let budget = if preset.gc {
        budget(preset, draft)?
    } else {
        None
    };
    let collect = preset.gc.then(|| json!({}));
    let job = json!({
        "description": "imported from nix-sweep",
        "budget": budget,
        "operations": { "generations": generations, "collect": collect },
    });
    draft.job(name, job);
    Ok(())
}

/// nix-sweep removes what is too old or too many, unless it is young enough or among the first. Our rules only keep, so
/// that of two ways to remove one is left out.
fn keep(preset: &Preset, draft: &mut Draft) -> Result<Option<Keep>> {
    let age = |what: &str, text: &Option<String>| -> Result<Option<Span>> {
        let age = text
            .as_ref()
            .map(|text| durations::read(what, text, DURATION_STR))
            .transpose()?;
        Ok(age.filter(|age| !age.is_zero()))
    };
    let newer = age("keep-newer", &preset.keep_newer)?;
    let older = age("remove-older", &preset.remove_older)?;
    let max = preset.keep_max.filter(|&n| n > 0);
    let contradiction = newer.zip(older).is_some_and(|(newer, older)| newer > older)
        || max.zip(preset.keep_min).is_some_and(|(max, min)| min > max);
    if contradiction {
        return Err(ImportError::new(
            "nix-sweep refuses to keep more than what is left over",
            "Write keep-newer below remove-older, and keep-min below keep-max.",
        ));
    }
    // At least one is nix-sweep's own default, and it never removes the newest.
    let min = preset.keep_min.unwrap_or(1).max(1);
    let keep = match (older, max) {
        (None, None) => return Ok(None),
        (Some(_), None) => Keep {
            last: Some(min),
            within: older,
        },
        (_, Some(max)) => {
            if older.is_some() {
                draft.note("remove-older", m::COUNT_DECIDES);
            }
            Keep {
                last: Some(max.max(min)),
                within: newer,
            }
        }
    };
    draft.note("keep", m::ALL_KEPT);
    Ok(Some(keep))
}

fn budget(preset: &Preset, draft: &mut Draft) -> Result<Option<Value>> {
    let bigger = preset.gc_bigger.filter(|&n| n > 0);
    let quota = preset.gc_quota.filter(|&n| n > 0);
    if preset.gc_modest && bigger.is_none() && quota.is_none() {
        return Err(ImportError::new(
            "nix-sweep is modest only with a size or a quota",
            "Add --gc-bigger or --gc-quota.",
        ));
    }
    if bigger.is_some() {
        draft.note("gc-bigger", m::TOO_LARGE);
    }
    if quota.is_some() {
        draft.note(
            "gc-quota",
            if bigger.is_some() {
                m::ONE_GOAL
            } else {
                m::WHOLE_DISK
            },
        );
    }
    let size = bigger.map(|gib| json!({ "maxStore": format!("{gib}G") }));
    let used = |percent: u64| {
        percent.clamp(
            Budget::MIN_USED_PERCENT.into(),
            Budget::MAX_USED_PERCENT.into(),
        )
    };
    Ok(size.or_else(|| quota.map(|percent| json!({ "maxUsed": used(percent) }))))
}
