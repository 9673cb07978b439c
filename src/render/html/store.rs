//! The store on the page: its map, generations on a time line, duplicate packages and roots.

use super::markup::{Cell, Html, Table};
use crate::domain::measure::Bytes;
use crate::render::json::{
    GenerationDocument, KeeperDocument, ListedProfileDocument, ReportDocument, RootDocument,
    StateDocument, StorePartDocument,
};
use crate::render::reason;
use crate::render::table::View;
use crate::render::text::{ago, count, short_target};

/// Adds the sections.
pub(super) fn write(document: &ReportDocument, view: &View, html: &mut Html) {
    map(document, view, html);
    generations(document, view, html);
    duplicates(document, view, html);
    roots(document, view, html);
}

fn map(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own("<section id=\"store\" aria-labelledby=\"store-h\"><h2 id=\"store-h\">Who keeps what</h2>\n")
        .paragraph(
            "Each area is the NAR size of the paths that only this profile, or these roots, keep. Shared paths are kept by several. \
             Dead paths are deleted by the next run.",
        )
        .own("<figure class=\"picture\" data-picture=\"map\" hidden></figure>\n");
    let all = document.total.nar_bytes;
    let rows = document.parts.iter().map(|part| {
        vec![
            Cell::Text(part_name(part, view)),
            Cell::Text(
                part.owner
                    .as_ref()
                    .map_or(String::new(), ToString::to_string),
            ),
            Cell::Count(part.part.paths),
            Cell::Size(Some(part.part.nar_bytes)),
            Cell::Text(share(part.part.nar_bytes, all)),
        ]
    });
    let total = vec![
        Cell::Text("total".to_string()),
        Cell::Text(String::new()),
        Cell::Count(document.total.paths),
        Cell::Size(Some(all)),
        Cell::Text("100%".to_string()),
    ];
    Table {
        id: "parts",
        caption: "The store by who keeps it",
        columns: &["Kept by", "Owner", "Paths", "Size", "Share"],
        rows: rows.chain([total]).collect(),
        more: 0,
    }
    .write_folded(view, html);
    let rows = document.parts.iter().flat_map(|part| {
        let row = |name: Cell, versions, paths, bytes| {
            vec![
                name,
                Cell::Text(part_name(part, view)),
                versions,
                Cell::Count(paths),
                Cell::Size(Some(bytes)),
            ]
        };
        let packages = part.packages.iter().map(move |it| {
            let name = Cell::Name(it.name.clone());
            row(name, Cell::Count(it.versions), it.paths, it.nar_bytes)
        });
        let others = (part.other_packages > 0).then(|| {
            let name = Cell::Text(count(part.other_packages, "other package"));
            let none = Cell::Text(String::new());
            row(name, none, part.others.paths, part.others.nar_bytes)
        });
        packages.chain(others)
    });
    Table {
        id: "packages",
        caption: "The packages of each part",
        columns: &["Package", "Kept by", "Versions", "Paths", "Size"],
        rows: rows.collect(),
        more: 0,
    }
    .write_folded(view, html);
    if !document.leftovers.is_empty() {
        let rows = document.leftovers.iter().map(|leftover| {
            vec![
                Cell::Text(leftover.class.to_string()),
                Cell::Count(leftover.sum.entries),
                Cell::Size(Some(leftover.sum.bytes)),
            ]
        });
        Table {
            id: "leftovers",
            caption: "Files of Nix beside the store, old and in use",
            columns: &["Beside the store", "Entries", "On disk"],
            rows: rows.collect(),
            more: 0,
        }
        .write_folded(view, html);
    }
    html.own("</section>\n");
}

/// The name of a part; the script of the page has the same words.
fn part_name(part: &StorePartDocument, view: &View) -> String {
    let part = &part.part;
    match (part.keeper, &part.short_name, part.until) {
        (KeeperDocument::Profile, Some(name), _) => name.clone(),
        (KeeperDocument::Profile, None, _) => "profile".to_string(),
        (KeeperDocument::Roots, ..) => count(part.roots, "other root"),
        (KeeperDocument::Hold, _, Some(until)) => format!("held until {}", view.time(until)),
        (KeeperDocument::Hold, ..) => "held by nix-prune elsewhere".to_string(),
        (KeeperDocument::Process, ..) => "running programs only".to_string(),
        (KeeperDocument::Shared, ..) => "shared".to_string(),
        (KeeperDocument::Dead, ..) => "dead".to_string(),
    }
}

/// In percent with one decimal, rounded down: only all of it is 100%.
fn share(part: Bytes, all: Bytes) -> String {
    let thousandths = u128::from(part.0) * 1000 / u128::from(all.0).max(1);
    match (thousandths, part.0) {
        (0, 1..) => "<0.1%".to_string(),
        _ => format!("{}.{}%", thousandths / 10, thousandths % 10),
    }
}

fn generations(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own("<section id=\"generations\" aria-labelledby=\"generations-h\"><h2 id=\"generations-h\">Generations</h2>\n")
        .paragraph(
            "Exclusive is the size that only this generation keeps. With older is what is freed if all older generations of the profile \
             are removed as well.",
        )
        .own("<div class=\"picture\" data-picture=\"generations\" hidden></div>\n");
    for (n, profile) in document.profiles.iter().enumerate() {
        let rows = profile.profile.generations.iter().rev();
        let rows = rows.map(|generation| generation_row(document, profile, generation, view));
        Table {
            id: &format!("generations-{n}"),
            caption: &format!(
                "{}: {}",
                profile.profile.short_name,
                count(profile.profile.generations.len(), "generation")
            ),
            columns: &[
                "Number",
                "Created",
                "Flags",
                "Version",
                "Exclusive",
                "With older",
                "Closure",
                "Plan",
            ],
            rows: rows.collect(),
            more: profile.older,
        }
        .write_folded(view, html);
    }
    html.own("</section>\n");
}

fn generation_row(
    document: &ReportDocument,
    profile: &ListedProfileDocument,
    generation: &GenerationDocument,
    view: &View,
) -> Vec<Cell> {
    let flags: Vec<&str> = generation.flags.iter().map(|flag| flag.as_str()).collect();
    let version = generation.system.as_ref();
    let version = version.and_then(|system| system.nixos_version.clone());
    vec![
        Cell::Count(generation.number.0.into()),
        Cell::Time(Some(generation.created)),
        Cell::Text(flags.join(" ")),
        Cell::Text(version.unwrap_or_default()),
        Cell::Size(generation.exclusive_bytes),
        Cell::Size(generation.frees_with_older_bytes),
        Cell::Size(generation.closure_bytes),
        Cell::Text(verdict(document, profile, generation, view)),
    ]
}

/// What the plans do with a generation, with the job where there are several.
fn verdict(
    document: &ReportDocument,
    profile: &ListedProfileDocument,
    generation: &GenerationDocument,
    view: &View,
) -> String {
    let mut verdicts = Vec::new();
    for job in &document.plans {
        let profiles = job.plan.iter().flat_map(|plan| &plan.profiles);
        let mut profiles = profiles.filter(|it| it.profile.to_string() == profile.profile.path);
        let Some(planned) = profiles.next() else {
            continue;
        };
        let mut kept = planned.keeps.iter();
        let verdict = if planned.removes.contains(&generation.number) {
            "removed".to_string()
        } else if let Some(kept) = kept.find(|it| it.number == generation.number) {
            let reasons = kept.reasons.iter();
            let reasons = reasons.map(|it| reason::sentence(it, &|at| view.time(at)));
            format!("kept: {}", reasons.collect::<Vec<_>>().join("; "))
        } else {
            continue;
        };
        verdicts.push(match document.plans.as_slice() {
            [_] => verdict,
            _ => format!("{}: {verdict}", job.job),
        });
    }
    verdicts.join(" · ")
}

fn duplicates(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own("<section id=\"duplicates\" aria-labelledby=\"duplicates-h\"><h2 id=\"duplicates-h\">Duplicates</h2>\n");
    if document.duplicates.rows.is_empty() {
        html.paragraph("No package has several versions in the store.");
    } else {
        let rows = document.duplicates.rows.iter().map(|package| {
            vec![
                Cell::Name(package.name.clone()),
                Cell::Count(package.versions),
                Cell::Count(package.paths),
                Cell::Size(Some(package.nar_bytes)),
            ]
        });
        Table {
            id: "several",
            caption: "Packages with several versions in the store",
            columns: &["Package", "Versions", "Paths", "Size"],
            rows: rows.collect(),
            more: document.duplicates.more,
        }
        .write(view, html);
        html.paragraph("`nix-prune why PACKAGE` shows what keeps each version.");
    }
    html.own("</section>\n");
}

fn roots(document: &ReportDocument, view: &View, html: &mut Html) {
    html.own("<section id=\"roots\" aria-labelledby=\"roots-h\"><h2 id=\"roots-h\">Roots</h2>\n");
    if document.roots.rows.is_empty() {
        html.paragraph("There are no roots beside generations, holds and running programs.");
    } else {
        let rows = document.roots.rows.iter().map(|root| {
            vec![
                Cell::Name(root.link.clone()),
                Cell::Text(root.kind.as_str().to_string()),
                Cell::Text(
                    root.owner
                        .as_ref()
                        .map_or(String::new(), ToString::to_string),
                ),
                Cell::Size(root.exclusive_bytes),
                Cell::Size(root.closure_bytes),
                Cell::Time(root.made_at),
                Cell::Text(last_use(root, view)),
                Cell::Name(short_target(root.target.as_deref().unwrap_or_default())),
            ]
        });
        Table {
            id: "links",
            caption: "Roots beside generations, holds and running programs",
            columns: &[
                "Link",
                "Kind",
                "Owner",
                "Exclusive",
                "Closure",
                "Made",
                "Last used",
                "Target",
            ],
            rows: rows.collect(),
            more: document.roots.more,
        }
        .write(view, html);
    }
    html.own("</section>\n");
}

fn last_use(root: &RootDocument, view: &View) -> String {
    match (root.state, root.used_by_process, &root.last_use) {
        (StateDocument::Dangling | StateDocument::Unreadable, ..) => {
            root.problem.clone().unwrap_or_default()
        }
        (_, Some(process), _) => format!("now, process {process}"),
        _ if root.project_gone == Some(true) => "project gone".to_string(),
        (_, None, Some(last)) => ago(last.at, view.now),
        (_, None, None) => String::new(),
    }
}
