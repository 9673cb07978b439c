//! `nix-sweep cleanout` and `nix-sweep gc`, with presets.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::Deserialize;

use super::draft::{Budget, Collect, Draft, Generations, Job, Keep, Operations};
use super::flags::{self, Flag, Takes, Word};
use super::nh::absolute;
use super::spans::{self, DURATION_STR};
use super::{Around, ImportError, NoteKind, Scope};
use crate::domain::budget::Budget as Goal;
use crate::domain::measure::Span;

const TOOL: &str = "nix-sweep";

const FLAGS: &[Flag] = &[
    Flag(&["--preset", "-p"], Takes::Value),
    Flag(&["--config", "-C"], Takes::Value),
    Flag(&["--keep-min"], Takes::Value),
    Flag(&["--keep-max"], Takes::Value),
    Flag(&["--keep-newer"], Takes::Value),
    Flag(&["--remove-older"], Takes::Value),
    Flag(&["--generation", "-g"], Takes::Value),
    Flag(&["--non-interactive", "-n"], Takes::Nothing),
    Flag(&["--interactive", "-i"], Takes::Nothing),
    Flag(&["--gc"], Takes::Nothing),
    Flag(&["--gc-bigger"], Takes::Value),
    Flag(&["--gc-quota"], Takes::Value),
    Flag(&["--gc-modest"], Takes::Nothing),
    Flag(&["--dry-run", "-d"], Takes::Nothing),
    Flag(&["--no-size"], Takes::Nothing),
];

const GC_FLAGS: &[Flag] = &[
    Flag(&["--bigger", "-b"], Takes::Value),
    Flag(&["--quota", "-q"], Takes::Value),
    Flag(&["--modest", "-m"], Takes::Nothing),
    Flag(&["--non-interactive", "-n"], Takes::Nothing),
    Flag(&["--interactive", "-i"], Takes::Nothing),
    Flag(&["--dry-run", "-d"], Takes::Nothing),
];

/// What a preset says, or the flags do; nought is as good as nothing.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Preset {
    keep_min: Option<u64>,
    keep_max: Option<u64>,
    keep_newer: Option<String>,
    remove_older: Option<String>,
    interactive: Option<bool>,
    gc: Option<bool>,
    gc_bigger: Option<u64>,
    gc_quota: Option<u64>,
    #[serde(default)]
    gc_modest: bool,
}

pub(super) fn nix_sweep(words: &[String], around: &Around<'_>) -> Result<Draft, ImportError> {
    let mut draft = Draft::default();
    match words.split_first() {
        Some((first, rest)) if first == "gc" => gc(rest, &mut draft)?,
        Some((first, rest)) if first == "cleanout" => cleanout(rest, around, &mut draft)?,
        _ => cleanout(words, around, &mut draft)?,
    }
    Ok(draft)
}

fn gc(words: &[String], draft: &mut Draft) -> Result<(), ImportError> {
    let mut preset = Preset {
        gc: Some(true),
        ..Preset::default()
    };
    for word in flags::read("nix-sweep gc", GC_FLAGS, words)? {
        match word {
            Word::Flag("--bigger", value) => {
                preset.gc_bigger = Some(flags::number(TOOL, "--bigger", &value)?);
            }
            Word::Flag("--quota", value) => {
                preset.gc_quota = Some(flags::number(TOOL, "--quota", &value)?);
            }
            Word::Flag("--modest", _) => preset.gc_modest = true,
            Word::Flag(name, _) => asking(name, draft),
            Word::Plain(word) => {
                return Err(ImportError::new(
                    format!("nix-sweep gc takes no `{word}`"),
                    "It takes flags only.",
                ));
            }
        }
    }
    add("default", &preset, &[], draft)
}

fn cleanout(words: &[String], around: &Around<'_>, draft: &mut Draft) -> Result<(), ImportError> {
    let (mut flags, mut named, mut profiles) = (Preset::default(), None, Vec::new());
    let mut presets = None;
    for word in flags::read("nix-sweep cleanout", FLAGS, words)? {
        match word {
            Word::Flag("--preset", value) => named = Some(value),
            Word::Flag("--config", value) => presets = Some(read(&value, around)?),
            Word::Flag("--generation", _) => draft.note(
                "--generation",
                NoteKind::NoEquivalent,
                "A certain generation is dropped by `nix-env --delete-generations`, not by a policy.",
            ),
            Word::Flag(name, value) => flag(name, value, &mut flags, draft)?,
            Word::Plain(word) => profiles.push(word),
        }
    }
    let profiles = selected(&profiles, around, draft)?;
    let Some(presets) = presets else {
        if let Some(name) = named {
            return Err(ImportError::new(
                format!("the preset `{name}` is in a file that was not named"),
                "Name the file: --config /etc/nix-sweep/presets.toml.",
            ));
        }
        return add("default", &flags, &profiles, draft);
    };
    if let Some(name) = named {
        let preset = presets.get(&name).ok_or_else(|| {
            let known: Vec<&str> = presets.keys().map(String::as_str).collect();
            let hint = format!("The file has these: {}.", known.join(", "));
            ImportError::new(format!("there is no preset `{name}`"), hint)
        })?;
        return add(&name, &over(preset, &flags), &profiles, draft);
    }
    for (name, preset) in &presets {
        add(name, &over(preset, &flags), &profiles, draft)?;
    }
    Ok(())
}

fn read(file: &str, around: &Around<'_>) -> Result<BTreeMap<String, Preset>, ImportError> {
    let text = (around.read)(file.into())?;
    toml::from_str(&text).map_err(|error| {
        let message = format!("{file} holds no presets of nix-sweep: {}", error.message());
        ImportError::new(
            message,
            "Correct the file; nix-sweep would refuse or ignore it.",
        )
    })
}

fn flag(
    name: &str,
    value: String,
    preset: &mut Preset,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    match name {
        "--keep-min" => preset.keep_min = Some(flags::number(TOOL, name, &value)?),
        "--keep-max" => preset.keep_max = Some(flags::number(TOOL, name, &value)?),
        "--keep-newer" => preset.keep_newer = Some(value),
        "--remove-older" => preset.remove_older = Some(value),
        "--gc" => preset.gc = Some(true),
        "--gc-bigger" => preset.gc_bigger = Some(flags::number(TOOL, name, &value)?),
        "--gc-quota" => preset.gc_quota = Some(flags::number(TOOL, name, &value)?),
        "--gc-modest" => preset.gc_modest = true,
        other => asking(other, draft),
    }
    Ok(())
}

fn asking(name: &str, draft: &mut Draft) {
    let instead = match name {
        "--dry-run" => "`nix-prune plan` shows what a run would do.",
        "--no-size" => "It decides nothing.",
        _ => "`nix-prune run` asks for confirmation on a terminal, unless --yes is given.",
    };
    draft.ignored(name, instead);
}

/// Flags count before a preset.
fn over(preset: &Preset, flags: &Preset) -> Preset {
    let preset = preset.clone();
    Preset {
        keep_min: flags.keep_min.or(preset.keep_min),
        keep_max: flags.keep_max.or(preset.keep_max),
        keep_newer: flags.keep_newer.clone().or(preset.keep_newer),
        remove_older: flags.remove_older.clone().or(preset.remove_older),
        interactive: flags.interactive.or(preset.interactive),
        gc: flags.gc.or(preset.gc),
        gc_bigger: flags.gc_bigger.or(preset.gc_bigger),
        gc_quota: flags.gc_quota.or(preset.gc_quota),
        gc_modest: flags.gc_modest || preset.gc_modest,
    }
}

fn selected(
    words: &[String],
    around: &Around<'_>,
    draft: &mut Draft,
) -> Result<Vec<String>, ImportError> {
    let everything = match around.scope {
        Scope::System => vec!["system".to_string()],
        Scope::User => vec!["home".to_string(), "user".to_string()],
    };
    let words = if words.is_empty() { &everything } else { words };
    let mut profiles = Vec::new();
    for word in words {
        // The path and not the word: ours take in more than the one profile.
        profiles.push(match word.as_str() {
            "system" => around.state_dir.join("profiles/system").into_string(),
            "home" => own("home-manager", around)?.into(),
            "user" => own("profile", around)?.into(),
            path => absolute(path)?,
        });
        if matches!(word.as_str(), "home" | "user") {
            draft.note(
                word,
                NoteKind::KeepsMore,
                "The profile that is there now is named by its path.",
            );
        }
    }
    Ok(profiles)
}

/// A user's profile where nix-sweep finds it: in Nix's state directory first, and else in the home.
fn own(name: &str, around: &Around<'_>) -> Result<Utf8PathBuf, ImportError> {
    let per_user = around.user.map(|user| around.per_user(user));
    let there = per_user.filter(|dir| (around.entries)(dir).iter().any(|entry| entry.name == name));
    match there {
        Some(dir) => Ok(dir.join(name)),
        None => around.in_home(&format!(".local/state/nix/profiles/{name}")),
    }
}

fn add(
    name: &str,
    preset: &Preset,
    profiles: &[String],
    draft: &mut Draft,
) -> Result<(), ImportError> {
    let generations = match keep(preset, draft)? {
        Some(keep) if !profiles.is_empty() => Some(Generations {
            profiles: profiles.to_vec(),
            keep,
        }),
        _ => None,
    };
    if preset.interactive == Some(true) {
        asking("interactive", draft);
    }
    let collects = preset.gc == Some(true);
    let budget = if collects {
        budget(preset, draft)?
    } else {
        None
    };
    let operations = Operations {
        generations,
        collect: collects.then(Collect::default),
        ..Operations::default()
    };
    if operations.generations.is_none() && !collects {
        draft.note(
            name,
            NoteKind::NoEquivalent,
            "It removes nothing, neither by age nor by number, and is no job.",
        );
        return Ok(());
    }
    draft.job(
        name,
        Job {
            description: "as nix-sweep did".to_string(),
            budget,
            operations,
            ..Job::default()
        },
    )
}

/// nix-sweep removes what is too old or too many, but for what is young enough or among the first; ours only says what
/// stays, so that of two ways to remove one is left out.
fn keep(preset: &Preset, draft: &mut Draft) -> Result<Option<Keep>, ImportError> {
    let age = |what: &str, text: &Option<String>| -> Result<Option<Span>, ImportError> {
        let read = |text: &String| spans::read(what, text, DURATION_STR);
        let age = text.as_ref().map(read).transpose()?;
        Ok(age.filter(|age| !age.is_zero()))
    };
    let newer = age("keep-newer", &preset.keep_newer)?;
    let older = age("remove-older", &preset.remove_older)?;
    // At least one is nix-sweep's own default, and it never removes the newest.
    let min = preset.keep_min.filter(|&n| n > 0).unwrap_or(1);
    let max = preset.keep_max.filter(|&n| n > 0);
    let contradiction = newer.zip(older).is_some_and(|(newer, older)| newer > older)
        || max.is_some_and(|max| preset.keep_min.is_some_and(|min| min > max));
    if contradiction {
        return Err(ImportError::new(
            "nix-sweep refuses what is kept to be more than what is left over",
            "Write keep-newer below remove-older, and keep-min below keep-max.",
        ));
    }
    let keep = match (older, max) {
        (None, None) => return Ok(None),
        (Some(older), None) => Keep {
            last: Some(min),
            within: Some(older),
            ..Keep::default()
        },
        (older, Some(max)) => {
            if older.is_some() {
                draft.note(
                    "remove-older",
                    NoteKind::KeepsMore,
                    "Beside keep-max it is left out: here a generation goes only when no rule keeps it.",
                );
            }
            Keep {
                last: Some(max.max(min)),
                within: newer,
                ..Keep::default()
            }
        }
    };
    draft.note(
        "keep",
        NoteKind::KeepsMore,
        "Numbers count back from the current generation, and what is newer stays as well, as does the one that was active \
         when a span of time began.",
    );
    Ok(Some(keep))
}

fn budget(preset: &Preset, draft: &mut Draft) -> Result<Option<Budget>, ImportError> {
    let bigger = preset.gc_bigger.filter(|&n| n > 0);
    let quota = preset.gc_quota.filter(|&n| n > 0);
    if preset.gc_modest && bigger.is_none() && quota.is_none() {
        return Err(ImportError::new(
            "nix-sweep is modest only with a size or a quota",
            "Say --gc-bigger or --gc-quota as well.",
        ));
    }
    if let Some(gib) = bigger {
        draft.note(
            "gc-bigger",
            NoteKind::KeepsMore,
            "The job removes only as much as the store is too large, by the store's own sizes, generations as well.",
        );
        if quota.is_some() {
            draft.note(
                "gc-quota",
                NoteKind::DeletesMore,
                "A job has one goal, the size of the store; nix-sweep collects only when the quota is exceeded too.",
            );
        }
        return Ok(Some(Budget::MaxStore(format!("{gib}G"))));
    }
    Ok(quota.map(|percent| {
        draft.note(
            "gc-quota",
            NoteKind::DeletesMore,
            "`maxUsed` counts everything on the file system and not the store alone, so that the job may collect earlier.",
        );
        let range = u64::from(Goal::LEAST_USED)..=u64::from(Goal::MOST_USED);
        Budget::MaxUsed(percent.clamp(*range.start(), *range.end()))
    }))
}
