//! Profiles that a job selects and the plan skips: a skipped profile is not "nothing to do".

use camino::Utf8PathBuf;

use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::ProfileSelector;
use crate::domain::profile::{Current, Profile, ProfileKind, ProfilePath};
use crate::domain::snapshot::Snapshot;

/// A profile that a job asks for, and why it is left alone.
struct Barred {
    path: Utf8PathBuf,
    why: String,
}

/// The profiles that a job names by path, and the systems that it selects by a word. Other groups are whatever is there:
/// one user's broken profile is shown, and is no failure of the job.
fn barred(snapshot: &Snapshot, job: &EffectiveJob) -> Vec<Barred> {
    let Some(operation) = &job.operations.generations else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for selector in &operation.profiles {
        let selected = snapshot.profiles.iter().filter(|p| selector.selects(p));
        match selector {
            ProfileSelector::Path(path) => {
                let mut found = selected.map(|profile| {
                    let is_covered = operation.covers_owner(profile);
                    let why = || format!("`users` does not list its owner {}", profile.owner);
                    let other = (!is_covered).then(why);
                    other.or_else(|| bar(profile, snapshot, true))
                });
                let why = match found.next() {
                    Some(None) => continue,
                    Some(Some(why)) => why,
                    None if is_of_removed_user(path, snapshot) => {
                        "the account of its owner is gone, and only roots.removedUsers selects it"
                            .to_string()
                    }
                    None => "it was not found".to_string(),
                };
                let path = path.to_path();
                all.push(Barred { path, why });
            }
            ProfileSelector::System
            | ProfileSelector::Containers
            | ProfileSelector::SystemManager
            | ProfileSelector::NixOnDroid => all.extend(selected.filter_map(|profile| {
                let path = profile.path.to_path();
                bar(profile, snapshot, false).map(|why| Barred { path, why })
            })),
            ProfileSelector::Users
            | ProfileSelector::HomeManager
            | ProfileSelector::Pattern(_)
            | ProfileSelector::NixCollectGarbage => {}
        }
    }
    all
}

fn is_of_removed_user(path: &ProfilePath, snapshot: &Snapshot) -> bool {
    let mut profiles = snapshot.profiles.iter();
    profiles.any(|it| it.path == *path && it.kind == ProfileKind::RemovedUser)
}

fn bar(profile: &Profile, snapshot: &Snapshot, named: bool) -> Option<String> {
    let ours = snapshot.actor.may_act_for(profile.owner.uid);
    match (&profile.blocked, &profile.current) {
        _ if !ours => named.then(|| format!("it belongs to {}", profile.owner)),
        (Some(why), _) => Some(why.clone()),
        (None, Current::Unknown(why)) => Some(why.to_string()),
        (None, Current::Known(_)) => None,
    }
}

fn is_about(blocker: &Blocker, barred: &Barred) -> bool {
    // Our own pins are about every profile.
    let everywhere = blocker.code == CheckCode::PinsUnreadable && blocker.places.is_empty();
    blocker.code.keeps_profiles() && (everywhere || blocker.concerns(&barred.path))
}

/// A failed check for each profile that is asked for and left alone without one.
pub(in crate::operations) fn blocked(snapshot: &Snapshot, job: &EffectiveJob) -> Vec<Blocker> {
    let is_reported = |barred: &Barred| snapshot.blockers.iter().any(|r| is_about(r, barred));
    let unreported = barred(snapshot, job)
        .into_iter()
        .filter(|barred| !is_reported(barred));
    let blocker = |Barred { path, why }: Barred| Blocker {
        places: vec![path.clone()],
        ..Blocker::new(
            CheckCode::ProfileBlocked,
            format!("the profile {path} is skipped: {why}"),
            "fix the cause, or remove the profile from the job".to_string(),
        )
    };
    unreported.map(blocker).collect()
}

/// The profiles that are asked for and left alone, as far as nobody accepts why.
pub(in crate::operations) fn profiles(
    snapshot: &Snapshot,
    job: &EffectiveJob,
    standing: &[Blocker],
) -> Vec<Utf8PathBuf> {
    let barred = barred(snapshot, job).into_iter();
    let barred = barred.filter(|barred| standing.iter().any(|r| is_about(r, barred)));
    let mut paths: Vec<Utf8PathBuf> = barred.map(|barred| barred.path).collect();
    paths.sort();
    paths.dedup();
    paths
}
