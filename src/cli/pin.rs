//! `pin` and `unpin`: generations that are never removed.

use super::args::{JsonArg, PinArgs, PinCommand, UnpinArgs, When};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::generations::no_such_profile;
use super::out;
use crate::adapters::journal::PinRecord;
use crate::domain::blocker::CheckCode;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::ProfileRef;
use crate::domain::profile::{GenerationNumber, Owner, Profile, ProfilePath};
use crate::domain::reference::GenerationsRef;
use crate::domain::snapshot::Pin;
use crate::ports::{Clock, RunJournal};
use crate::render;

/// Pins a generation, or lists pins.
pub(super) fn pin(context: &Context, args: &PinArgs) -> Result<Exit, Failure> {
    if let Some(PinCommand::List(json)) = &args.command {
        return list(context, json);
    }
    let named = args.generation.as_deref().unwrap_or_default();
    let (profile, number) = find(context, named, true)?;
    let until = args.until.map(|when| match when {
        When::At(time) => time,
        When::For(age) => context.clock.now().after(age),
    });
    if until.is_some_and(|until| until <= context.clock.now()) {
        return Err(Failure::new(
            Exit::Usage,
            "the pin would already have ended",
        ));
    }
    let pin = Pin {
        profile,
        number,
        reason: args.reason.clone(),
        until,
    };
    let changed = add(context, &pin)?;
    show(&pin, true, changed, context, &args.json)
}

/// Records a pin. Says whether that changed anything.
pub(super) fn add(context: &Context, pin: &Pin) -> Result<bool, Failure> {
    let lock = context.journal.lock()?;
    let record = PinRecord {
        profile: pin.profile.clone(),
        number: pin.number,
        reason: pin.reason.clone(),
        until: pin.until,
        created: context.clock.now(),
    };
    let changed = context.journal.add_pin(&lock, record)?;
    context.journal.restock(&lock);
    Ok(changed)
}

/// Removes the record of a pin. Says whether there was one.
pub(super) fn remove(context: &Context, pin: &Pin) -> Result<bool, Failure> {
    let lock = context.journal.lock()?;
    let (profile, number) = (&pin.profile, pin.number);
    let changed = context.journal.remove_pin(&lock, profile, number)?;
    context.journal.restock(&lock);
    Ok(changed)
}

fn list(context: &Context, json: &JsonArg) -> Result<Exit, Failure> {
    // Records and settings first: without either, the list would lack pins.
    context.journal.pin_records()?;
    let settings = context.settings()?;
    // A profile in another directory is found because the settings name it.
    let job = settings.jobs().next();
    let job = job.map(|job| EffectiveJob::new(job.job().clone(), settings.policy()));
    let snapshot = context.snapshot(job.as_ref())?;
    for blocker in &snapshot.blockers {
        if blocker.code == CheckCode::PinsUnreadable {
            tracing::warn!("{}", blocker.message);
        }
    }
    let document = render::json::pin_list(&snapshot, &settings.protect().generations);
    if json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::pin_list(&document, &context.view()));
    }
    Ok(Exit::Done)
}

/// Removes a pin.
pub(super) fn unpin(context: &Context, args: &UnpinArgs) -> Result<Exit, Failure> {
    let (profile, number) = find(context, &args.generation, false)?;
    let pin = Pin {
        profile,
        number,
        reason: None,
        until: None,
    };
    let changed = remove(context, &pin)?;
    show(&pin, false, changed, context, &args.json)
}

fn show(
    pin: &Pin,
    pinned: bool,
    changed: bool,
    context: &Context,
    json: &JsonArg,
) -> Result<Exit, Failure> {
    let document = render::json::pin(pin, pinned, changed);
    if json.json {
        out::json(&document)?;
    } else {
        out::text(&render::table::pin(&document, &context.view()));
    }
    Ok(Exit::Done)
}

/// The one generation that is named.
fn find(
    context: &Context,
    text: &str,
    must_exist: bool,
) -> Result<(ProfilePath, GenerationNumber), Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, text);
    let parsed = GenerationsRef::parse(text).and_then(|it| Some((it.number()?, it.profile)));
    let (number, reference) = parsed.ok_or_else(|| {
        usage(format!("`{text}` is not a generation")).hint("Use PROFILE:N, such as system:42.")
    })?;
    let snapshot = context.snapshot(None)?;
    let named: Vec<&Profile> = snapshot
        .profiles
        .iter()
        .filter(|p| reference.names(&p.path))
        .collect();
    let profile = match (named.as_slice(), &reference) {
        ([profile], _) => profile,
        // A pin of a profile that no longer exists must be removable.
        ([], ProfileRef::Path(path)) if !must_exist => return Ok((path.clone(), number)),
        ([], _) => {
            let (name, _) = text.rsplit_once(':').unwrap_or((text, ""));
            return Err(no_such_profile(name, &snapshot));
        }
        (several, _) => {
            let paths: Vec<String> = several
                .iter()
                .map(|p| format!("{}:{number}", p.path))
                .collect();
            return Err(
                usage(format!("`{text}` is ambiguous: {}", paths.join(", ")))
                    .hint("Use the full path."),
            );
        }
    };
    check_owner(context, &profile.path, &profile.owner)?;
    if must_exist && !profile.generations.contains_key(&number) {
        return Err(usage(format!(
            "{} has no generation {number}",
            profile.path
        )));
    }
    Ok((profile.path.clone(), number))
}

/// Refuses a pin that nobody would heed.
pub(super) fn check_owner(
    context: &Context,
    profile: &ProfilePath,
    owner: &Owner,
) -> Result<(), Failure> {
    if context.actor.may_act_for(owner.uid) {
        return Ok(());
    }
    let message = format!("{profile} belongs to {owner}, where a pin of yours has no effect");
    Err(Failure::new(Exit::NoPermission, message))
}
