//! What a collection would take although somebody wants it: seen from the roots that are missing.
//!
//! Nix forgets an entry of `gcroots/auto` whose link it does not find, and asks nobody whether a home is only away
//! (trap 17). Profiles in homes live by such entries alone (trap 14), and so do our holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::measure::Timestamp;
use crate::domain::profile::{Generation, Profile, ProfileKind};
use crate::domain::refusal::RefusalCode;
use crate::domain::root::{GcRoot, RootState};
use crate::domain::snapshot::Hold;
use crate::domain::store_path::{StoreDir, StorePath};

use super::Findings;
use super::names::shown;
use super::roots::Roots;
use super::users::Users;

/// So many numbers of a profile are told one by one.
const MOST_TOLD: usize = 10;

/// Refuses a collection while roots lead into a home that is not there or empty, as one is that is not mounted.
pub(super) fn homes_away(
    roots: &Roots<'_>,
    users: &Users,
    state_dir: &Utf8Path,
    findings: &mut Findings,
) {
    let mut away: BTreeMap<PathBuf, (bool, usize)> = BTreeMap::new();
    for link in roots.in_gone_places() {
        let Some(home) = users.home_of(link) else {
            continue;
        };
        let (is_away, count) = away
            .entry(home)
            .or_insert_with_key(|home| (is_away(home, users), 0));
        *count += usize::from(*is_away);
    }
    for (place, (_, count)) in away.into_iter().filter(|(_, (is_away, _))| *is_away) {
        let (home, roots) = (
            shown(&place),
            if count == 1 {
                "root leads"
            } else {
                "roots lead"
            },
        );
        let message = format!("the home {home} is empty or not there, and {count} {roots} into it");
        let hint = format!(
            "mount or unlock it; a collection would make Nix forget these roots. If it is gone for good, remove the \
             links in {state_dir}/gcroots/auto that lead there"
        );
        findings.refuse_at([&*place], RefusalCode::RootsAway, message, &hint);
    }
}

/// Whether there is no home, or an empty one. What cannot be looked at is another matter, and told elsewhere.
fn is_away(home: &Path, users: &Users) -> bool {
    match fs::metadata(home) {
        Ok(found) => found.is_dir() && users.may_be_unmounted(home),
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
    }
}

/// Refuses a collection while a generation that lies where Nix does not look for roots has no entry that makes it one.
pub(super) fn rootless_generations(
    profiles: &[Profile],
    roots: &[GcRoot],
    looked_in: &Utf8Path,
    asked: &[Utf8PathBuf],
    store: &StoreDir,
    findings: &mut Findings,
) {
    let live = roots.iter().filter(|root| root.state == RootState::Live);
    let live: BTreeSet<&StorePath<String>> =
        live.filter_map(|root| root.store_path.as_ref()).collect();
    let elsewhere = profiles
        .iter()
        .filter(|profile| !profile.path.dir().starts_with(looked_in));
    for profile in elsewhere {
        let is_kept = |path: &StorePath<String>| live.contains(path);
        let path_of = |generation: &Generation| generation.content.on_disk().cloned();
        let generations = profile.generations.values();
        let lost: Vec<(&Generation, StorePath<String>)> = generations
            .filter_map(|generation| Some((generation, path_of(generation)?)))
            .filter(|(_, path)| !is_kept(path))
            .collect();
        let Some((first, path)) = lost.first() else {
            continue;
        };
        let mut numbers: Vec<String> = lost
            .iter()
            .take(MOST_TOLD)
            .map(|(generation, _)| generation.number.to_string())
            .collect();
        if let Some(more) = lost.len().checked_sub(MOST_TOLD + 1) {
            numbers.push(format!("{} more", more + 1));
        }
        let name = shown(profile.path.to_path());
        let message = format!(
            "no entry of gcroots/auto makes a root of generation {} of {name}: a collection would take it",
            numbers.join(", ")
        );
        if profile.kind == ProfileKind::Other && !asked.contains(&profile.path.to_path()) {
            // Anybody can leave such links behind, and no job selects them: that must not stop a collection.
            findings.note(message);
            continue;
        }
        let link = shown(profile.path.link(first.number));
        let hint = format!(
            "make it one again, as its owner, with `nix-store --realise {} --add-root {link}`, or delete it with \
             `nix-env --profile {name} --delete-generations {}`",
            path.to_absolute_path(store),
            first.number,
        );
        let place = profile.path.to_path();
        findings.refuse_at([place.as_std_path()], RefusalCode::Unrooted, message, &hint);
    }
}

/// Finds the holds whose link no entry makes a root any more, and says which will not keep what they promised.
pub(super) fn rootless_holds(
    holds: &mut [Hold],
    roots: &[GcRoot],
    now: Timestamp,
    findings: &mut Findings,
) {
    let live = roots.iter().filter(|root| root.state == RootState::Live);
    let live: BTreeSet<&Utf8Path> = live.map(|root| root.link.as_path()).collect();
    let (mut forgotten, mut broken) = (0, 0);
    for hold in holds {
        let open = usize::from(hold.until > now);
        if !hold.intact {
            broken += open;
        } else if !live.contains(hold.link.as_path()) {
            hold.intact = false;
            forgotten += open;
        }
    }
    let holds = |count| match count {
        1 => "1 hold has".to_string(),
        count => format!("{count} holds have"),
    };
    if forgotten > 0 {
        let holds = holds(forgotten);
        findings.note(format!(
            "{holds} lost the entry in gcroots/auto; the next run that collects makes it again first"
        ));
    }
    if broken > 0 {
        let holds = holds(broken);
        findings.note(format!(
            "{holds} lost the link or the store path before the undo window ended, and cannot be undone"
        ));
    }
}
