//! `generations`: lists profiles and generations.

use super::args::GenerationsArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::sizes_unknown;
use super::out;
use crate::adapters::boot;
use crate::adapters::system_info::system_info;
use crate::domain::analysis::Sizes;
use crate::domain::boot_menu::SeenMenu;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::nearest::nearest;
use crate::domain::note::Note;
use crate::domain::profile::Profile;
use crate::domain::reference::GenerationsRef;
use crate::domain::snapshot::Snapshot;
use crate::render;
use crate::render::json::{GenerationsDocument, Systems};

/// Lists profiles and generations.
pub(super) fn generations(context: &Context, args: &GenerationsArgs) -> Result<Exit, Failure> {
    let (mut snapshot, sizes, notes) = observe(context, args.no_sizes)?;
    if !args.profiles.is_empty() {
        select(&mut snapshot, &args.profiles)?;
    }
    let mut document = document(context, &snapshot, sizes.as_ref());
    document.notes.extend(notes);
    if args.json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::generations(&document, &context.view()));
    }
    Ok(Exit::Done)
}

/// The profiles and generations of a snapshot.
pub(super) fn document(
    context: &Context,
    snapshot: &Snapshot,
    sizes: Option<&Sizes>,
) -> GenerationsDocument {
    // Generations pinned in the settings are shown as pinned; the settings need not be valid for a list.
    let settings = context.settings().ok();
    let protecting = settings.and_then(|settings| {
        let job = settings.jobs().next()?.job().clone();
        Some(EffectiveJob::new(job, settings.policy()))
    });
    let systems = systems(snapshot);
    let mut document = render::json::generations(snapshot, protecting.as_ref(), sizes, &systems);
    let places = &context.places;
    if let SeenMenu::Known(menu) = boot::read_menu(&places.boot_dirs, &places.store) {
        document.add_boot_menu(&menu, snapshot);
    }
    document
}

/// Takes a snapshot, with sizes on request; a note names what is unknown.
fn observe(
    context: &Context,
    no_sizes: bool,
) -> Result<(Snapshot, Option<Sizes>, Vec<Note>), Failure> {
    if no_sizes {
        return Ok((context.snapshot(None)?, None, Vec::new()));
    }
    let observation = context.observe()?;
    Ok(match observation.store {
        Ok(store) => (
            observation.snapshot.clone(),
            Some(store.sizes(&observation.snapshot)),
            store.remarks().to_vec(),
        ),
        Err(error) => (observation.snapshot, None, vec![sizes_unknown(&error)]),
    })
}

/// What the system generations say of themselves.
fn systems(snapshot: &Snapshot) -> Systems {
    let profiles = snapshot.profiles.iter();
    let systems = profiles.filter(|profile| profile.kind.is_system());
    let generations = systems.flat_map(|profile| profile.generations.values());
    let paths = generations.filter_map(|generation| generation.content.on_disk());
    paths
        .map(|path| (path.clone(), system_info(&snapshot.store, path)))
        .collect()
}

/// A profile that is not there, with the name that may have been meant.
pub(super) fn no_such_profile(name: &str, snapshot: &Snapshot) -> Failure {
    let known: Vec<String> = snapshot.profiles.iter().map(|it| it.path.short()).collect();
    let meant = nearest(name, known.iter().map(String::as_str));
    let meant = meant.map_or(String::new(), |profile| format!("Did you mean {profile}? "));
    Failure::new(Exit::Usage, format!("no such profile: `{name}`"))
        .hint(meant + "`nix-prune generations` lists them all.")
}

/// Leaves what these references name: profiles, or some of their generations.
fn select(snapshot: &mut Snapshot, names: &[String]) -> Result<(), Failure> {
    let mut references = Vec::new();
    for name in names {
        let Some(reference) = GenerationsRef::parse(name) else {
            let message = format!("`{name}` is neither a profile nor a part of one");
            let hint = "Use a name such as system, system:42 or system:40..42.";
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        };
        let mut profiles = snapshot.profiles.iter();
        if !profiles.any(|profile| reference.profile.names(&profile.path)) {
            let profile = name
                .rsplit_once(':')
                .map_or(name.as_str(), |(name, _)| name);
            return Err(no_such_profile(profile, snapshot));
        }
        references.push(reference);
    }
    for profile in &mut snapshot.profiles {
        let path = &profile.path;
        let is_wanted = |number| references.iter().any(|it| it.names(path, number));
        profile.generations.retain(|number, _| is_wanted(*number));
    }
    let is_named = |profile: &Profile| {
        references
            .iter()
            .any(|reference| reference.profile.names(&profile.path))
    };
    snapshot.profiles.retain(is_named);
    Ok(())
}
