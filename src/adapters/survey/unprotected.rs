//! Paths that a collection would delete although they are needed, found by their missing roots.
//!
//! Nix removes an entry of `gcroots/auto` whose link is missing, even if a home is only unmounted (trap 17). Profiles in homes, and our
//! holds, are live only through such entries (trap 14).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::blocker::CheckCode;
use crate::domain::elapsed::{Skip, window_end};
use crate::domain::measure::{Timestamp, count_with_verb};
use crate::domain::note::NoteCode;
use crate::domain::profile::{Generation, Profile, ProfileKind};
use crate::domain::receipt::RunId;
use crate::domain::root::{GcRoot, RootKind, RootState};
use crate::domain::snapshot::{Actor, Hold};
use crate::domain::store_path::StorePath;

use super::SurveyContext;
use super::baseline_check::Missing;
use super::findings::{if_gone_for_good, roots_point};
use super::names::{profile_of_link, shown};
use super::roots::Roots;
use super::users::Users;

/// The most numbers of a profile that are listed one by one.
const MAX_LISTED: usize = 10;

/// Refuses a collection while roots point into a home that is missing or empty, as an unmounted one is.
pub(super) fn homes_away(context: SurveyContext<'_>, roots: &Roots<'_>) {
    let homes = roots
        .in_gone_places()
        .filter_map(|link| context.users.home_of(link));
    for (home, count) in counted(homes) {
        if is_away(&home, context.users) {
            let (place, roots) = (shown(&home), roots_point(count));
            context.findings.refuse_away(
                &home,
                format!("the home {place} is empty or missing, and {roots} into it"),
                &format!(
                    "mount or unlock it; {}",
                    if_gone_for_good(&context.places.state_dir)
                ),
            );
        }
    }
}

/// Places with how often each came.
fn counted(places: impl Iterator<Item = PathBuf>) -> BTreeMap<PathBuf, usize> {
    let mut counts = BTreeMap::new();
    for place in places {
        *counts.entry(place).or_default() += 1;
    }
    counts
}

/// Whether the home is missing or empty. An unreadable one is reported elsewhere.
fn is_away(home: &Path, users: &Users) -> bool {
    match fs::metadata(home) {
        Ok(found) => found.is_dir() && users.may_be_unmounted(home),
        Err(error) => is_gone(&error),
    }
}

/// Refuses a collection while entries point into a missing directory of holds: the state directory is not mounted,
/// another one was given, or an older copy replaced it. Nix would forget the holds.
pub(super) fn holds_away(context: SurveyContext<'_>, roots: &Roots<'_>) {
    let own = context.previous_runs.holds_dir();
    // A run on record ended its holds itself.
    let is_lost = |dir: &Path, run: &RunId| match fs::metadata(dir) {
        Ok(found) => {
            found.is_dir() && dir == own.as_std_path() && !context.previous_runs.knows(run)
        }
        Err(error) => is_gone(&error) && !is_removed_by_its_owner(dir, context.actor),
    };
    let holds = roots.in_gone_places().filter_map(place_of_hold);
    let lost = holds.filter(|(dir, run)| is_lost(dir, run));
    for (dir, count) in counted(lost.map(|(dir, _)| dir.to_path_buf())) {
        let holds = match count {
            1 => "1 hold of an earlier run points".to_string(),
            count => format!("{count} holds of earlier runs point"),
        };
        context.findings.refuse_away(
            &dir,
            format!("{holds} into {}, where there are no holds now", shown(&dir)),
            "mount the state directory, or name the right one with --state-dir; a collection would delete the held paths. \
             If it is gone permanently, accept this once: Nix removes these entries then",
        );
    }
}

/// Whether there is nothing of that name.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The directory of holds and the run that a link names: `DIR/holds/RUN/INDEX`.
pub(super) fn place_of_hold(link: &Path) -> Option<(&Path, RunId)> {
    let index = link.file_name()?.to_str()?;
    let run_dir = link.parent()?;
    let run = RunId::try_from(run_dir.file_name()?.to_str()?.to_string()).ok()?;
    let dir = run_dir.parent()?;
    let is_hold = index.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        && dir.file_name()? == "holds"
        && run.started().is_some();
    is_hold.then_some((dir, run))
}

/// Refuses a collection while roots point into a place that may be an unmounted file system, or the home of a user who
/// is not in the list of users.
///
/// Root removes directories all the time, as users do: their paths are held for an undo window, and stop nothing. This
/// check is for places that may come back: where homes and disks are mounted, and what no run has ever seen.
pub(super) fn places_away(context: SurveyContext<'_>, roots: &Roots<'_>, missing: &Missing<'_>) {
    let state_dir = &context.places.state_dir;
    let links = roots.missing_links();
    let links = links.filter(|link| !link.starts_with(state_dir) && place_of_hold(link).is_none());
    let places = links.filter_map(|link| match missing.unmounted(link) {
        Some(at) => Some(at.as_std_path().into()),
        None => may_be_away(context, link, missing),
    });
    for (place, count) in counted(places) {
        let (name, roots) = (shown(&place), roots_point(count));
        let hint = format!(
            "mount it; {}, or accept this once: the roots that the last run saw there are held for another undo window",
            if_gone_for_good(state_dir)
        );
        let message = format!("{name} is empty or missing, and {roots} into it");
        context.findings.refuse_away(&place, message, &hint);
    }
}

/// The place of a vanished link, if there is a reason to believe that it is only away.
fn may_be_away(context: SurveyContext<'_>, link: &Path, missing: &Missing<'_>) -> Option<PathBuf> {
    let (users, places) = (context.users, context.places);
    let is_of_home = is_generation_of_a_home(link);
    if users.home_of(link).is_some() && !is_of_home {
        return None;
    }
    let place = place_away(link, users)?;
    let mut disks = places.disks.iter();
    let on_disk =
        disks.any(|disks| place.starts_with(disks) && !missing.is_on_mount_in(disks, &place));
    // It is gone for good with the logout, or the service.
    let comes_back = on_disk || !place.starts_with(&places.run_dir);
    let is_beside_homes = || place.parent().is_some_and(|dir| users.are_homes_in(dir));
    let may_be = on_disk || is_of_home || is_beside_homes() || missing.is_unknown(&place);
    (comes_back && may_be).then_some(place)
}

/// Whether a link is a generation in Nix's directory in homes. Builds leave generations anywhere.
fn is_generation_of_a_home(link: &Path) -> bool {
    let profile = Utf8Path::from_path(link).and_then(profile_of_link);
    profile.is_some_and(|profile| profile.dir().ends_with("nix/profiles"))
}

/// The place of a vanished link that may only be away: a missing directory directly below one that only root can
/// change, or an empty one there. A directory that this one link left empty is not away, unless it is beside homes.
fn place_away(link: &Path, users: &Users) -> Option<PathBuf> {
    let mut missing = link;
    loop {
        let dir = missing.parent()?;
        match fs::metadata(dir) {
            Ok(found) if found.is_dir() => {
                let may_be = missing != link || users.are_homes_in(dir.parent()?);
                let above = fs::metadata(dir.parent()?).ok()?;
                if may_be && is_guarded(&above) && super::users::is_empty(dir) {
                    return Some(dir.to_path_buf());
                }
                return (missing != link && is_guarded(&found)).then(|| missing.to_path_buf());
            }
            Ok(_) => missing = dir,
            Err(error) if is_gone(&error) => missing = dir,
            // It cannot be read, which is reported elsewhere.
            Err(_) => return None,
        }
    }
}

/// Whether an ordinary user other than ours could have removed a missing directory.
fn is_removed_by_its_owner(dir: &Path, actor: Actor) -> bool {
    let above = dir
        .ancestors()
        .skip(1)
        .find_map(|dir| fs::metadata(dir).ok());
    above.is_some_and(|above| {
        let ours = matches!(actor, Actor::User(uid) if above.uid() == uid);
        !ours && !is_guarded(&above) && above.uid() != 0
    })
}

/// Whether only root can remove what is in a directory.
fn is_guarded(dir: &fs::Metadata) -> bool {
    dir.uid() == 0 && dir.mode() & 0o022 == 0
}

/// Sets the ends of undo windows, by the time that is proven to have passed.
pub(super) fn windows(context: SurveyContext<'_>, holds: &mut [Hold], skips: &[Skip]) {
    let mut later = 0;
    for hold in holds {
        let end = window_end(hold, skips);
        later += usize::from(end > hold.until);
        hold.until = end;
    }
    if later > 0 {
        let windows = count_with_verb(later, "undo window", "end");
        context.findings.note(NoteCode::HoldsExtended, format!(
            "The clock advanced more than the time this machine observed since earlier runs; {windows} later by the difference. \
             `nix-prune hold release` ends them at once"
        ));
    }
}

/// Refuses a collection while a generation outside the directories that Nix searches has no entry that makes it a root.
///
/// Generations of other users stop nothing, because any user can remove such an entry. They are returned as roots, and
/// garbage is collected by name, without their closures.
pub(super) fn rootless_generations(
    context: SurveyContext<'_>,
    profiles: &[Profile],
    roots: &[GcRoot],
    asked: &[Utf8PathBuf],
) -> Vec<GcRoot> {
    let (findings, store) = (context.findings, &context.places.store);
    let looked_in = context.places.state_dir.join("profiles");
    let mut spared = Vec::new();
    let live = roots.iter().filter(|root| root.state == RootState::Live);
    let live: BTreeSet<&StorePath<String>> =
        live.filter_map(|root| root.store_path.as_ref()).collect();
    let elsewhere = profiles
        .iter()
        .filter(|profile| !profile.path.dir().starts_with(&looked_in));
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
            .take(MAX_LISTED)
            .map(|(generation, _)| generation.number.to_string())
            .collect();
        if let Some(more) = lost.len().checked_sub(MAX_LISTED + 1) {
            numbers.push(format!("{} more", more + 1));
        }
        let name = shown(profile.path.to_path());
        let unrooted = format!(
            "generation {} of {name} has no entry in gcroots/auto",
            numbers.join(", ")
        );
        let message = format!("{unrooted}; a collection would delete it");
        if profile.kind == ProfileKind::Other && !asked.contains(&profile.path.to_path()) {
            // Anybody can leave such links, and no job selects them: they must not stop a collection.
            findings.note(NoteCode::ProfileUnrooted, message);
            continue;
        }
        let link = shown(profile.path.link(first.number));
        let mut hint = format!(
            "add the entry, as its owner, with `nix-store --realise {} --add-root {link}`",
            path.to_absolute_path(store)
        );
        // Nix deletes no current generation.
        if profile.current() != Some(first.number) {
            let number = first.number;
            let delete = format!(
                ", or delete it with `nix-env --profile {name} --delete-generations {number}`"
            );
            hint.push_str(&delete);
        }
        let (code, message) = if is_of_another(profile, context.actor) {
            let roots = lost.iter().map(|(it, path)| root_of(profile, it, path));
            spared.extend(roots);
            let message = format!(
                "{unrooted}, which belongs to {}; collection is selective and keeps its paths",
                shown(profile.owner.to_string())
            );
            (CheckCode::RootsHidden, message)
        } else {
            (CheckCode::Unrooted, message)
        };
        findings.refuse_at([profile.path.to_path()], code, message, &hint);
    }
    spared
}

fn is_of_another(profile: &Profile, actor: Actor) -> bool {
    match actor {
        Actor::Root => profile.owner.uid != 0,
        Actor::User(uid) => profile.owner.uid != uid,
    }
}

/// A generation as the root that it would be if Nix knew it.
fn root_of(profile: &Profile, generation: &Generation, path: &StorePath<String>) -> GcRoot {
    GcRoot {
        link: profile.path.link(generation.number),
        entry: None,
        exact: true,
        target: Some(generation.target.clone()),
        store_path: Some(path.clone()),
        kind: RootKind::Profile,
        owner: Some(profile.owner.clone()),
        state: RootState::Live,
        made_at: Some(generation.created),
    }
}

/// Finds the holds whose link is no root any more, and reports those that will not keep their promise.
pub(super) fn rootless_holds(
    context: SurveyContext<'_>,
    holds: &mut [Hold],
    roots: &[GcRoot],
    now: Timestamp,
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
        context.findings.note(NoteCode::HoldsUnrooted, format!(
            "{holds} lost the entry in gcroots/auto; the next run that collects garbage restores it first"
        ));
    }
    if broken > 0 {
        let holds = holds(broken);
        context.findings.note(NoteCode::HoldsBroken, format!(
            "{holds} lost the link or the store path before the undo window ended, and cannot be undone"
        ));
    }
}

impl SurveyContext<'_> {
    /// The holds of earlier runs.
    pub(super) fn holds(&self) -> Vec<Hold> {
        let holds = self.previous_runs.holds(&self.places.store);
        holds.unwrap_or_else(|error| {
            let error = super::causes(&error);
            self.findings.refuse(
                CheckCode::JournalUnreadable,
                format!("cannot read the records of earlier runs: {error}"),
                "repair or remove the record; until then its holds are unknown",
            );
            Vec::new()
        })
    }
}
