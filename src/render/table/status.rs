//! The state of the store on one screen: how full, what can be freed, the runs, and what to do next.

use crate::domain::measure::Bytes;
use crate::domain::plan::Plan;
use crate::render::json::{CheckState, JobDocument, RunDocument, StatusDocument};
use crate::render::text::{ago, capital, count, escape, full_forecast};

use super::grid::{Column, Grid};
use super::plan::{blockers, fullness_with_inodes, outcome, policy};
use super::{Page, Paint, View};

/// The state of the store; the plan is the one that the document was made of.
pub fn status(document: &StatusDocument, plan: &Plan, view: &View) -> String {
    let mut page = Page::default();
    let disk = document
        .disk
        .map(|disk| fullness_with_inodes(&document.store, disk));
    let disk = disk.unwrap_or_else(|| document.store.clone());
    page.prose("", &view.paint(&escape(&disk), Paint::Bold), view.style);
    if let Some(forecast) = forecast(document) {
        page.prose(
            "",
            &view.paint(&capital(&forecast), Paint::Yellow),
            view.style,
        );
    }
    if let Some(boot) = &document.boot {
        let generations = count(boot.generations, "generation");
        let another = match boot.another {
            Bytes(0) => String::new(),
            another => format!("; another takes up to {another}"),
        };
        let boot = format!(
            "{} {} free, {generations} on the boot menu{another}",
            boot.dir, boot.free
        );
        page.prose("", &escape(&boot), view.style);
    }
    page.gap();
    let job = format!("Job {}: {}", plan.job, policy(plan.keep));
    page.prose("", &escape(&job), view.style);
    outcome(plan, None, view, &mut page);
    page.gap();
    jobs(&document.jobs, view, &mut page);
    blockers(
        &document.failed_checks,
        plan.skips_collection,
        view,
        &mut page,
    );
    attention(document, view, &mut page);
    page.gap();
    commands(plan, view, &mut page);
    page.finish()
}

/// When the disk will be full, and what the job has freed by then.
pub(in crate::render) fn forecast(document: &StatusDocument) -> Option<String> {
    let forecast = full_forecast(document.forecast)?;
    let frees = document.frees_before_full;
    let frees = frees.filter(|frees| frees.nar_bytes > Bytes(0));
    let frees = frees.map(|frees| {
        let (job, bytes) = (&document.job, frees.nar_bytes);
        format!("; job {job} can free at least {bytes} before that")
    });
    Some(forecast + &frees.unwrap_or_default())
}

fn jobs(jobs: &[JobDocument], view: &View, page: &mut Page) {
    let mut grid = Grid::new(&[
        Column::new("Job").cut_end(),
        Column::new("Last run").cut_end(),
        Column::new("Next run").importance(1),
    ]);
    for job in jobs {
        let next = job.next_run.map(|at| view.time(at));
        let last = job.last_run.as_ref().map(|run| last_run(run, view));
        grid.row([
            escape(&job.name),
            last.unwrap_or_else(|| "never".to_string()),
            next.unwrap_or_else(|| "no timer".to_string()),
        ]);
    }
    grid.write(page, view.style);
}

fn last_run(run: &RunDocument, view: &View) -> String {
    let when = ago(run.started_at, view.now);
    if run.finished_at.is_none() {
        return format!("{when}: unfinished");
    }
    let freed = run.bytes.reported.map(|bytes| format!("{bytes} freed"));
    let failed = (run.failed > 0).then(|| format!("{} failed", count(run.failed, "action")));
    let what: Vec<String> = failed.into_iter().chain(freed).collect();
    if what.is_empty() {
        return when;
    }
    format!("{when}: {}", what.join(", "))
}

fn attention(document: &StatusDocument, view: &View, page: &mut Page) {
    for check in &document.attention {
        let paint = match check.state {
            CheckState::Ok => continue,
            CheckState::Warning => Paint::Yellow,
            CheckState::Error => Paint::Red,
        };
        page.gap();
        page.prose("", &view.paint(&escape(&check.message), paint), view.style);
        if let Some(hint) = &check.hint {
            page.prose("  Hint: ", &escape(hint), view.style);
        }
    }
}

/// The least room for the words beside a command, in columns. With less, they get the next line.
const MIN_TEXT_COLUMNS: usize = 26;

fn commands(plan: &Plan, view: &View, page: &mut Page) {
    let lines = next_commands(plan, view);
    let width = lines
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or_default();
    let columns = view.style.width.map_or(usize::MAX, usize::from);
    let is_narrow = columns.saturating_sub(width + 4) < MIN_TEXT_COLUMNS;
    for (command, text) in lines {
        if is_narrow {
            page.prose("  ", &command, view.style);
            page.prose("      ", &text, view.style);
        } else {
            page.prose(&format!("  {command:<width$}  "), &text, view.style);
        }
    }
}

/// The commands for what to do next, with what they bring.
pub(in crate::render) fn next_commands(plan: &Plan, view: &View) -> Vec<(String, String)> {
    let prediction = &plan.prediction;
    let now = prediction.nar_bytes.unwrap_or_default();
    let new = prediction
        .when_windows_end
        .map_or(0, |later| later.nar_bytes.0);
    let old = prediction.open_holds.map_or(0, |held| held.nar_bytes.0);
    let all = Bytes(now.0.saturating_add(new).saturating_add(old));
    let program = &view.program;
    let with_job = |command: &str| match plan.job.to_string().as_str() {
        "default" => format!("{program} {command}"),
        job => format!("{program} {command} {job}"),
    };
    let mut lines = Vec::new();
    if now.0 > 0 || new > 0 {
        let later = match new {
            0 => String::new(),
            _ => format!(", {} when the undo window ends", Bytes(new)),
        };
        lines.push((with_job("run"), format!("frees {now} now{later}")));
    }
    if let Some(command) = view
        .free_command(all, Some(&plan.job))
        .filter(|_| all > now)
    {
        lines.push((
            command,
            format!("frees {all} now; what it removes cannot be restored"),
        ));
    }
    lines.push((
        format!("{program} du"),
        "shows what keeps the rest".to_string(),
    ));
    lines
}
