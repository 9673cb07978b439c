//! The plan of each enabled job on the page.

use super::markup::{Cell, Html, Table};
use super::summary::check;
use crate::domain::profile::ProfileNames;
use crate::render::json::{JobDocument, JobPlanDocument, PlanSummaryDocument, ReportDocument};
use crate::render::table::View;
use crate::render::table::budget;
use crate::render::table::plan::policy;
use crate::render::text::{capital, count, list, ranges};

/// Adds the section.
pub(super) fn write(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own("<section id=\"plans\" aria-labelledby=\"plans-h\"><h2 id=\"plans-h\">Plans</h2>\n");
    if document.plans.is_empty() {
        html.paragraph("No job is enabled.");
    }
    for (n, job) in document.plans.iter().enumerate() {
        html.own("<article><h3>Job ").text(&job.job).own("</h3>\n");
        if let Some(description) = &job.description {
            html.own("<p>").text(description).own("</p>\n");
        }
        let mut runs = document.status.jobs.iter();
        if let Some(runs) = runs.find(|it| it.name == job.job) {
            html.paragraph(&last_and_next(runs, view));
        }
        if let Some(plan) = &job.plan {
            summary(n, job, plan, view, html);
        } else {
            let problem = job.problem.as_deref().unwrap_or("unknown");
            html.paragraph(&format!("It cannot be planned: {problem}."));
        }
        html.own("</article>\n");
    }
    html.own("</section>\n");
}

fn last_and_next(job: &JobDocument, view: &View) -> String {
    let last = job.last_run.as_ref();
    let last = last.map(|run| view.time(run.started_at));
    let last = last.unwrap_or_else(|| "never".to_string());
    let next = job.next_run.map(|at| view.time(at));
    let next = next.unwrap_or_else(|| "no timer".to_string());
    format!("Last run: {last}. Next run: {next}.")
}

fn summary(
    n: usize,
    job: &JobPlanDocument,
    plan: &PlanSummaryDocument,
    view: &View,
    html: &mut Html,
) {
    html.paragraph(&format!("{}.", capital(&policy(plan.keep))));
    if let Some(report) = &plan.budget {
        for line in budget::lines(report, view)
            .iter()
            .filter(|it| !it.is_empty())
        {
            html.paragraph(line);
        }
    }
    html.list(outcome(plan, view).iter().map(String::as_str));
    if !plan.failed_checks.is_empty() {
        html.own("<h4>Failed safety checks</h4>\n");
        let checks = plan.failed_checks.iter();
        let checks: Vec<String> = checks.map(check).collect();
        html.list(checks.iter().map(String::as_str));
    }
    let rows = plan.profiles.iter().map(|profile| {
        let removes = profile.removes.iter().map(|number| number.0).collect();
        vec![
            Cell::Text(profile.short_name.clone()),
            Cell::Count(count_of(profile.removes.len())),
            Cell::Text(ranges(&removes)),
            Cell::Size(profile.frees),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        Table {
            id: &format!("plan-{n}"),
            caption: &format!("What job {} removes of each profile", job.job),
            columns: &["Profile", "Removes", "Generations", "Frees"],
            rows,
            more: 0,
        }
        .write(view, html);
    }
    if !plan.notes.is_empty() {
        html.own("<h4>Notes</h4>\n")
            .list(plan.notes.iter().map(|note| &**note));
    }
    html.paragraph(&format!(
        "All reasons: `nix-prune plan {} --full`.",
        job.job
    ));
}

fn count_of(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What is freed and when, and the risk.
fn outcome(plan: &PlanSummaryDocument, view: &View) -> Vec<String> {
    let now = plan
        .frees_now
        .map(|it| format!("{} in {}", it.nar_bytes, count(it.paths, "path")));
    let now = now.unwrap_or_else(|| "an unknown amount".to_string());
    let mut sentences = vec![format!("Frees {now} at once.")];
    let later = plan.frees_later.filter(|it| it.paths > 0);
    if let Some((later, at)) = later.zip(plan.frees_later_at) {
        sentences.push(format!(
            "Frees {} more on {}, when the undo windows of what it removes end.",
            later.nar_bytes,
            view.day(at)
        ));
    }
    let counts = [
        (plan.dangling_roots, "dangling root"),
        (plan.root_links, "root link"),
        (plan.released_holds, "expired hold"),
    ];
    let counts = counts.into_iter().filter(|(number, _)| *number > 0);
    let mut counts: Vec<String> = counts.map(|(number, noun)| count(number, noun)).collect();
    if plan.leftovers.entries > 0 {
        let files = count(plan.leftovers.entries, "leftover");
        counts.push(format!("{files} of {} on disk", plan.leftovers.bytes));
    }
    if !counts.is_empty() {
        sentences.push(format!("Removes {}.", list(&counts)));
    }
    let names = ProfileNames::default();
    let steps = plan.steps.iter();
    let steps = steps.map(|step| step.action.operation().describe(&names));
    let steps: Vec<String> = steps.collect();
    if !steps.is_empty() {
        sentences.push(format!("Then: {}.", list(&steps)));
    }
    if let Some(risk) = plan.risk {
        sentences.push(format!(
            "Risk: {risk}. The job allows at most {}.",
            plan.max_risk
        ));
    }
    sentences
}
