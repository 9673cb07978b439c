//! The head of the page: how full the disk is, what can be freed and when, and what needs attention.

use super::markup::Html;
use crate::domain::blocker::Blocker;
use crate::domain::measure::Bytes;
use crate::domain::plan::Plan;
use crate::render::json::{CheckState, FreesDocument, PlanSummaryDocument, ReportDocument};
use crate::render::table::View;
use crate::render::table::plan::fullness_with_inodes;
use crate::render::table::status::{forecast, next_commands};
use crate::render::text::{capital, count};

/// The sections, by their names in the page.
const SECTIONS: [(&str, &str); 8] = [
    ("#store", "Store"),
    ("#generations", "Generations"),
    ("#plans", "Plans"),
    ("#duplicates", "Duplicates"),
    ("#roots", "Roots"),
    ("#holds", "Holds"),
    ("#history", "History"),
    ("#notes", "Notes"),
];

/// The name of the page.
pub(super) fn title(document: &ReportDocument) -> String {
    match &document.host_name {
        Some(host) => format!("Nix store of {host}"),
        None => "Nix store".to_string(),
    }
}

/// Adds the head.
pub(super) fn write(document: &ReportDocument, plan: &Plan, view: &View, html: &mut Html) {
    let status = &document.status;
    html.own("<a class=\"skip\" href=\"#store\">Skip to the store</a>\n<header>\n<h1>")
        .text(&title(document))
        .own("</h1>\n<p class=\"answer\">");
    match status.disk {
        Some(disk) => html.text(&fullness_with_inodes(&status.store, disk)),
        None => html.text(&status.store),
    };
    html.own("</p>\n");
    if let Some(disk) = status.disk {
        let percent = disk.percent_used().to_string();
        html.own(
            "<svg class=\"meter\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\"",
        )
        .attribute(
            "aria-label",
            &format!("{percent}% of the file system is used"),
        )
        .own("><rect class=\"whole\" width=\"100\" height=\"4\"/><rect class=\"used\" height=\"4\"")
        .attribute("width", &percent)
        .own("/></svg>\n");
    }
    if let Some(forecast) = forecast(status) {
        let forecast = capital(&forecast);
        html.own("<p>").text(&format!("{forecast}.")).own("</p>\n");
    }
    figures(document, view, html);
    html.own("<ul class=\"commands\">\n");
    for (command, text) in next_commands(plan, view) {
        html.own("<li><code>").text(&command).own("</code> ");
        html.prose(&text).own("</li>\n");
    }
    html.own("</ul>\n");
    attention(document, html);
    let (zone, version) = (document.time_zone.as_deref(), document.tool_version);
    let zone = zone.map_or(String::new(), |zone| format!(" ({zone})"));
    let taken = view.time(status.taken_at);
    html.own("<p class=\"taken\">")
        .text(&format!(
            "Seen at {taken}{zone} by nix-prune {version}. Times on this page are in the time zone of the machine."
        ))
        .own("</p>\n<nav aria-label=\"Sections\"><ul>\n");
    for (link, name) in SECTIONS {
        html.own("<li><a").attribute("href", link).own(">");
        html.own(name).own("</a></li>\n");
    }
    html.own("</ul></nav>\n</header>\n");
}

/// What is freed, and when, in large figures.
fn figures(document: &ReportDocument, view: &View, html: &mut Html) {
    let status = &document.status;
    html.own("<dl class=\"figures\">\n");
    let mut figure = |name: &str, bytes: Option<Bytes>, text: &str| {
        let bytes = bytes.map_or("unknown".to_string(), |bytes| bytes.to_string());
        html.own("<div><dt>").text(name).own("</dt><dd><b>");
        html.text(&bytes).own("</b> ").text(text);
        html.own("</dd></div>\n");
    };
    let bytes = |frees: Option<FreesDocument>| frees.map(|frees| frees.nar_bytes);
    let dead = status
        .frees_now
        .map(|frees| count(frees.paths, "dead path"));
    figure(
        "A run frees now",
        bytes(status.frees_now),
        &dead.unwrap_or_default(),
    );
    if let Some(later) = status.frees_later.filter(|later| later.paths > 0) {
        let mut plans = document.plans.iter();
        let shown = plans.find(|plan| plan.job == status.job);
        let at = shown.and_then(|job| job.plan.as_ref()?.frees_later_at);
        let name = at.map_or("Later".to_string(), |at| format!("On {}", view.day(at)));
        let removed = shown.and_then(|job| job.plan.as_ref()).map(removed);
        let text = removed.map_or(String::new(), |removed| {
            format!("{removed}, restorable until then")
        });
        figure(&name, Some(later.nar_bytes), &text);
    }
    if let Some(held) = status.open_holds {
        let text = format!("kept by {} of earlier runs", count(holds(document), "hold"));
        figure("Held", Some(held.nar_bytes), &text);
    }
    let total = document.total;
    figure("Store", Some(total.nar_bytes), &count(total.paths, "path"));
    html.own("</dl>\n");
}

fn removed(plan: &PlanSummaryDocument) -> String {
    let generations = plan.profiles.iter().map(|profile| profile.removes.len());
    let generations = count(generations.sum::<usize>(), "generation");
    match plan.root_links {
        0 => generations,
        links => format!("{generations} and {}", count(links, "root")),
    }
}

fn holds(document: &ReportDocument) -> usize {
    document.held_runs.iter().map(|run| run.holds).sum()
}

/// A failed check with what to do, and its code, which `--accept` takes.
pub(super) fn check(check: &Blocker) -> String {
    let Blocker {
        code,
        message,
        hint,
        ..
    } = check;
    format!("{}. {}. (`{code}`)", capital(message), capital(hint))
}

/// The failed checks, and the problems of recent runs.
fn attention(document: &ReportDocument, html: &mut Html) {
    let status = &document.status;
    let checks = status.failed_checks.iter();
    let checks = checks.map(check);
    let problems = status.attention.iter();
    let problems = problems.filter(|check| check.state != CheckState::Ok);
    let problems = problems.map(|check| match &check.hint {
        Some(hint) => format!("{} {hint}", check.message),
        None => check.message.clone(),
    });
    let sentences: Vec<String> = checks.chain(problems).collect();
    if !sentences.is_empty() {
        html.own("<section class=\"attention\" aria-labelledby=\"attention\"><h2 id=\"attention\">Needs attention</h2>\n")
            .list(sentences.iter().map(String::as_str))
            .own("</section>\n");
    }
}
