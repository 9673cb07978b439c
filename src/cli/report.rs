//! `report`: writes a page, or a document, of the store, the plans and the past runs.

use camino::Utf8Path;

use super::args::ReportArgs;
use super::context::{Context, named_job};
use super::failure::{Exit, Failure};
use super::{generations, inspect, out, status};
use crate::adapters::files;
use crate::adapters::store::Care;
use crate::adapters::survey::{Observer, host_name};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::leftover::{LeftoverQuery, LeftoversOperation, by_class};
use crate::domain::plan::Plan;
use crate::domain::protected::ProtectedPaths;
use crate::engine::Exact;
use crate::ports::{RunJournal, Survey};
use crate::render::json::{self, JobPlanDocument, ReportDocument, ReportFacts};
use crate::render::{html, text};
use crate::settings::{JobSettings, Settings};

/// Writes the page.
pub(super) fn report(context: &Context, args: &ReportArgs) -> Result<Exit, Failure> {
    if args.json.json {
        out::json(&observe(context)?.0)?;
        return Ok(Exit::Done);
    }
    let file = args.out.as_deref().filter(|path| *path != "-");
    if args.out.is_none() && out::is_terminal() {
        return Err(Failure::new(Exit::Usage, "the page is not for a terminal")
            .hint("Write it to a file with `nix-prune report --out store.html`, or see `nix-prune status`."));
    }
    let (document, plan) = observe(context)?;
    let page = html::page(&document, &plan, &context.view())
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write the page: {error}")))?;
    match file {
        Some(path) => save(path, &page)?,
        None => out::bytes(page.as_bytes()),
    }
    Ok(Exit::Done)
}

fn save(path: &Utf8Path, page: &str) -> Result<(), Failure> {
    files::write_for_owner(path, page.as_bytes()).map_err(|error| {
        let message = format!("cannot write the page to {path}: {error}");
        Failure::new(Exit::CannotCreate, message)
            .hint("Name a new file in a directory that you may write to and that has space.")
    })?;
    let path = text::escape(path.as_str());
    out::text(&format!("Saved to {path}\nOpen it in a browser."));
    Ok(())
}

/// Observes the store, and plans each enabled job; with the plan of the job that `status` shows.
fn observe(context: &Context) -> Result<(ReportDocument, Plan), Failure> {
    let receipts = context.journal.receipts()?;
    let settings = context.settings()?;
    let (status, shown) = status::observe(context, shown_job(&settings))?;
    let enabled = settings.jobs().filter(|job| job.is_enabled());
    let plans: Vec<_> = enabled
        .map(|job| plan_of(context, &settings, job, &shown))
        .collect();
    let jobs = context.enabled_jobs();
    let survey = Observer {
        uses_of_links: true,
        ..context.observer_of(&jobs.iter().collect::<Vec<_>>())
    };
    let observation = context.observe_by(Care::Quick, &survey)?;
    let (snapshot, store) = (observation.snapshot, observation.store?);
    if let Some(blocker) = snapshot.hidden_roots().next() {
        return Err(inspect::roots_are_hidden(blocker));
    }
    let sizes = store.sizes(&snapshot);
    let leftovers = survey.leftovers(LeftoverQuery {
        operation: &LeftoversOperation::any_age(),
        now: snapshot.taken_at,
        protected: &ProtectedPaths::default(),
    });
    let document = json::report(ReportFacts {
        host_name: host_name(),
        snapshot: &snapshot,
        store: &store,
        sizes: &sizes,
        status,
        plans,
        generations: generations::document(context, &snapshot, Some(&sizes)),
        leftovers: &by_class(&leftovers),
        receipts: &receipts,
    });
    Ok((document, shown))
}

/// The job to show first: the one that commands mean without a name, else the first that is enabled.
fn shown_job(settings: &Settings) -> Option<String> {
    if named_job(settings, None).is_ok() {
        return None;
    }
    let mut enabled = settings.jobs().filter(|job| job.is_enabled());
    enabled.next().map(|job| job.job().name.to_string())
}

/// The plan of a job. The one that is known serves, unless a budget needs less.
fn plan_of(
    context: &Context,
    settings: &Settings,
    job: &JobSettings,
    known: &Plan,
) -> JobPlanDocument {
    let effective = EffectiveJob::new(job.job().clone(), settings.policy());
    let plan = if effective.budget.is_none() && effective.name == known.job {
        Ok(json::plan_summary(known))
    } else {
        let plan = inspect::plan(context, &effective, Exact::Never);
        plan.map(|plan| json::plan_summary(&plan))
    };
    let (plan, problem) = match plan {
        Ok(plan) => (Some(plan), None),
        Err(failure) => (None, Some(failure.message)),
    };
    JobPlanDocument {
        job: effective.name.to_string(),
        description: job.description().map(str::to_string),
        plan,
        problem,
    }
}
