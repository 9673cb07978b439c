//! `nh clean`.

use camino::Utf8PathBuf;
use serde_json::json;

use super::draft::{Draft, Keep};
use super::durations::{self, HUMANTIME};
use super::flags::Flags;
use super::meanings as m;
use super::{ImportContext, ImportError, Result, absolute};
use crate::domain::job::ProfileSelector;

pub(super) fn nh(words: &[String], context: &ImportContext<'_>, draft: &mut Draft) -> Result {
    let flags = Flags::read("nh clean", m::NH, words, draft)?;
    let words = flags.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (profiles, one) = match words.strip_prefix(&["clean"]).unwrap_or(&words) {
        ["all"] => (existing("all", &of_all(context), context, draft), false),
        // The module runs `nh clean all` with these flags.
        [] if flags.has("--extraArgs") => {
            (existing("all", &of_all(context), context, draft), false)
        }
        ["user"] => (existing("user", &of_one(context)?, context, draft), false),
        ["profile", path] => (vec![absolute(path)?], true),
        ["profile"] => {
            return Err(ImportError::new(
                "`nh clean profile` needs a profile",
                "Add the path of the profile.",
            ));
        }
        other => {
            return Err(ImportError::new(
                format!("unknown subcommand `{}` of nh clean", other.join(" ")),
                "Use `clean all`, `clean user` or `clean profile PATH`.",
            ));
        }
    };
    // With one profile nh looks at no roots.
    let roots = !one && !flags.has("--no-gcroots");
    if roots {
        draft.note("gcroots", m::ROOTS_KEPT);
    }
    let since = flags.parse("--keep-since", |flag, age| {
        durations::read(flag, age, HUMANTIME)
    })?;
    let mut keep = Keep {
        last: Some(flags.number("--keep")?.unwrap_or(1)),
        within: since.filter(|age| !age.is_zero()),
    };
    if keep.within.is_some() && !profiles.is_empty() {
        draft.note("--keep-since", m::ACTIVE_KEPT);
    }
    if !keep.keeps() {
        keep.last = Some(1);
        draft.note("--keep", m::CURRENT_KEPT);
    }
    if !profiles.is_empty() {
        draft.note("--keep", m::NEWER_KEPT);
    }
    let operations = json!({
        "generations": keep.of(&profiles),
        "roots": roots.then(|| json!({ "dangling": true })),
        "collect": (!flags.has("--no-gc")).then(|| json!({})),
        "optimise": flags.has("--optimise").then(|| json!({ "enabled": true })),
    });
    draft.job(
        "default",
        json!({ "description": "imported from nh clean", "operations": operations }),
    );
    Ok(())
}

/// The directories that `nh clean all` looks into, and no deeper.
fn of_all(context: &ImportContext<'_>) -> Vec<Utf8PathBuf> {
    const FIRST: u32 = if cfg!(target_os = "macos") { 501 } else { 1000 };
    let profiles = context.state_dir.join("profiles");
    let per_user = profiles.join("per-user");
    let users = (context.entries)(&per_user);
    let homes = std::iter::once(0)
        .chain(FIRST..FIRST.saturating_add(100))
        .filter_map(|uid| (context.home_of)(uid))
        .map(|home| home.join(".local/state/nix/profiles"));
    std::iter::once(profiles)
        .chain(users.iter().map(|entry| per_user.join(&entry.name)))
        .chain(homes)
        .collect()
}

/// The directories that `nh clean user` looks into.
fn of_one(context: &ImportContext<'_>) -> Result<Vec<Utf8PathBuf>> {
    let own = context.in_home(".local/state/nix/profiles")?;
    let named = context.user.map(|user| context.per_user(user));
    Ok(std::iter::once(own).chain(named).collect())
}

/// The profiles by their paths: our selectors cover profiles that nh does not look at.
fn existing(
    word: &str,
    dirs: &[Utf8PathBuf],
    context: &ImportContext<'_>,
    draft: &mut Draft,
) -> Vec<String> {
    let mut profiles: Vec<String> = Vec::new();
    for profile in dirs.iter().flat_map(|dir| context.profiles_in(dir)) {
        let profile = profile.into_string();
        if ProfileSelector::parse(&profile).is_some() && !profiles.contains(&profile) {
            profiles.push(profile);
        }
    }
    let none = profiles.is_empty();
    draft.note(word, if none { m::NO_PROFILE } else { m::PROFILES_NOW });
    profiles
}
