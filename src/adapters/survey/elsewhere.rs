//! Pins and holds in another state directory than the one in use.

use std::collections::BTreeSet;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::blocker::CheckCode;
use crate::domain::measure::{Timestamp, count};
use crate::domain::profile::Profile;
use crate::domain::root::GcRoot;
use crate::domain::snapshot::{Hold, Pin};
use crate::ports::JournalError;

use super::names::shown;
use super::unprotected::place_of_hold;
use super::{SurveyContext, causes};

/// The pins and holds of another state directory.
#[derive(Debug)]
pub struct Elsewhere {
    /// The directory.
    pub dir: Utf8PathBuf,
    /// Whether they stop every run: runs of this user belong there and not here, or the pins that also count here
    /// cannot be read.
    pub stops_run: bool,
    /// The pins and the holds, or why they are unknown.
    pub kept: Result<(Vec<Pin>, Vec<Hold>), JournalError>,
}

/// Refuses a run in an unusual state directory while the usual one has pins or holds. Returns the pins that other state
/// directories have of these profiles, which keep their generations in any case.
pub(super) fn pins(
    context: SurveyContext<'_>,
    roots: &[GcRoot],
    profiles: &[Profile],
    now: Timestamp,
) -> Vec<Pin> {
    let links = roots.iter().map(|root| root.link.as_path());
    let found: BTreeSet<&Utf8Path> = links.filter_map(state_dir_of).collect();
    let is_relevant = |pin: &Pin| {
        profiles.iter().any(|profile| profile.path == pin.profile)
            && pin.until.is_none_or(|until| until > now)
    };
    let own = context.previous_runs.holds_dir();
    let own = shown(own.parent().unwrap_or(&own));
    let mut all = Vec::new();
    for Elsewhere {
        dir,
        stops_run,
        kept,
    } in context
        .previous_runs
        .elsewhere(&found, &context.places.store)
    {
        let why = match kept {
            Ok((mut pins, holds)) => {
                pins.retain(is_relevant);
                let counts = (pins.len(), holds.len());
                all.extend(pins);
                match counts {
                    (0, 0) => continue,
                    (pins, holds) => format!(
                        "{} has {} and {}",
                        shown(&dir),
                        count(pins, "pin"),
                        count(holds, "hold")
                    ),
                }
            }
            Err(error) => causes(&error),
        };
        if stops_run {
            context.findings.refuse_at(
                [&dir],
                CheckCode::StateElsewhere,
                format!("{own} is not the usual state directory, and a run with it ignores the pins and holds there: {why}"),
                &format!(
                    "use --state-dir {0}, which also works on a full disk. If it is not needed any more, release its holds and pins \
                     with `nix-prune --state-dir {0} hold release --all` and `unpin`",
                    shown(&dir)
                ),
            );
        }
    }
    all
}

/// The state directory that contains the link of a hold.
fn state_dir_of(link: &Utf8Path) -> Option<&Utf8Path> {
    let (holds, _) = place_of_hold(link.as_std_path())?;
    holds
        .parent()
        .and_then(|dir: &Path| Utf8Path::from_path(dir))
}
