//! Lists of generations, roots and holds.

use crate::domain::analysis::Sizes;
use crate::domain::measure::Bytes;
use crate::domain::root::{Dangling, GcRoot, RootState, is_in_auto};
use crate::domain::root_use::{LinkUse, UseSignal};
use crate::domain::snapshot::Snapshot;
use crate::render::json::{Flag, GenerationsDocument, PinDocument, ProfileDocument};
use crate::render::reason;
use crate::render::text::{ago, count, escape, short_target};

use super::grid::{Column, Grid};
use super::plan::{blockers, notes};
use super::store::size;
use super::{Page, Paint, View};

const SIZES_OF_GENERATIONS: &str = "Sizes are NAR sizes. EXCLUSIVE is freed when only this generation is removed, \
    WITH OLDER when all older generations of the profile are removed as well.";

const BOOT_OF_GENERATIONS: &str = "BOOT is the size of the kernels and initrds that only this generation has on the file system of \
    the boot menu.";

/// The profiles and their generations, as a document has them.
pub fn generations(document: &GenerationsDocument, view: &View) -> String {
    let mut page = Page::default();
    if document.profiles.is_empty() {
        page.line("There are no profiles.");
    }
    let is_system = |profile: &&ProfileDocument| profile.kind.is_system();
    let (systems, others): (Vec<_>, Vec<_>) = document.profiles.iter().partition(is_system);
    for profile in systems.into_iter().chain(others) {
        profile_section(profile, view, &mut page);
    }
    let mut generations = document.profiles.iter().flat_map(|it| &it.generations);
    if generations.any(|generation| generation.exclusive_bytes.is_some()) {
        page.gap();
        page.prose("", SIZES_OF_GENERATIONS, view.style);
    }
    let mut generations = document.profiles.iter().flat_map(|it| &it.generations);
    if generations.any(|generation| generation.boot_bytes.is_some()) {
        page.prose("", BOOT_OF_GENERATIONS, view.style);
    }
    blockers(&document.failed_checks, false, view, &mut page);
    notes(&document.notes, view, &mut page);
    page.finish()
}

fn profile_section(profile: &ProfileDocument, view: &View, page: &mut Page) {
    page.gap();
    let name = view.paint(&escape(&profile.short_name), Paint::Bold);
    let current = profile.current;
    let current = current.map_or("current: unknown".to_string(), |n| format!("current: {n}"));
    let generations = count(profile.generations.len(), "generation");
    page.line(format!("{name} — {generations} ({current})"));
    if let Some(problem) = &profile.problem {
        let problem = format!("No generation of it is ever removed: {}", escape(problem));
        page.prose("  ", &problem, view.style);
    }
    let mut grid = Grid::new(&[
        Column::new("Number").right(),
        Column::new("Created").importance(6),
        Column::new("Age").importance(1),
        Column::new("Flags").cut_end().at_least(15),
        Column::new("Version").importance(5).cut_end(),
        Column::new("Kernel").importance(3).cut_end().at_least(10),
        Column::new("Exclusive").right().importance(4),
        Column::new("With older").right(),
        Column::new("Boot").right().importance(4),
        Column::new("Revision").importance(2).cut_end().at_least(9),
        Column::new("Description").importance(2).cut_end(),
        Column::new("Closure").right().importance(0),
        Column::new("Target").importance(0).cut_end(),
    ]);
    let sized = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.to_string());
    for generation in &profile.generations {
        let flags: Vec<&str> = generation.flags.iter().map(|flag| flag.as_str()).collect();
        let is_current = generation.flags.contains(&Flag::Current);
        let paint = if is_current {
            Paint::Green
        } else {
            Paint::Yellow
        };
        let system = generation.system.clone().unwrap_or_default();
        let said = |text: Option<String>| escape(&text.unwrap_or_default());
        grid.row([
            generation.number.to_string(),
            view.time(generation.created),
            ago(generation.created, view.now),
            view.paint(&flags.join(" "), paint),
            said(system.nixos_version),
            said(system.kernel_version),
            sized(generation.exclusive_bytes).unwrap_or_default(),
            sized(generation.frees_with_older_bytes).unwrap_or_default(),
            sized(generation.boot_bytes).unwrap_or_default(),
            said(system.configuration_revision),
            said(system.description),
            sized(generation.closure_bytes).unwrap_or_default(),
            escape(&short_target(&generation.target)),
        ]);
    }
    grid.write(page, view.style);
}

/// The garbage collector roots, with what each costs where that is known.
pub fn roots(snapshot: &Snapshot, sizes: Option<&Sizes>, view: &View) -> String {
    let mut page = Page::default();
    if snapshot.roots.is_empty() {
        page.line("There are no roots.");
    }
    let mut grid = Grid::new(&[
        Column::new("Kind").importance(3),
        Column::new("State").importance(5),
        Column::new("Owner").importance(1).cut_end().at_least(8),
        Column::new("Last used").importance(4),
        Column::new("Closure").right().importance(0),
        Column::new("Exclusive").right().importance(6),
        Column::new("Link").cut_front().at_least(40),
        Column::new("Problem").importance(2).cut_end(),
        Column::new("Target").importance(0).cut_end(),
    ]);
    for root in &snapshot.roots {
        let used = last_use(root, snapshot.uses.get(&root.link), view);
        grid.row(root_cells(root, used, sizes, view));
    }
    grid.write(&mut page, view.style);
    let live = snapshot
        .roots
        .iter()
        .filter(|root| root.state == RootState::Live)
        .count();
    if !snapshot.roots.is_empty() {
        page.gap();
        let all = count(snapshot.roots.len(), "root");
        page.line(format!("{all}, {live} of them live."));
    }
    blockers(&snapshot.blockers, false, view, &mut page);
    notes(&snapshot.notes, view, &mut page);
    page.finish()
}

/// The last use of a link, with the sign of it unless that is the time of the link. Of a link that no rule removes, only that time
/// is known.
pub(in crate::render) fn last_use(root: &GcRoot, seen: Option<&LinkUse>, view: &View) -> String {
    let made = || root.made_at.map(|time| ago(time, view.now));
    match seen {
        None => made().unwrap_or_else(|| "-".to_string()),
        Some(LinkUse::Unknown(_)) => "unknown".to_string(),
        Some(LinkUse::Process(pid)) => format!("now, process {pid}"),
        Some(LinkUse::Seen(seen)) if seen.project_gone => "project gone".to_string(),
        Some(LinkUse::Seen(seen)) => match seen.last.signal {
            UseSignal::Link => ago(seen.last.at, view.now),
            sign => format!("{}, {sign}", ago(seen.last.at, view.now)),
        },
    }
}

fn root_cells(root: &GcRoot, used: String, sizes: Option<&Sizes>, view: &View) -> [String; 9] {
    let paint = match root.state {
        RootState::Live => Paint::Green,
        RootState::Dangling(_) => Paint::Yellow,
        RootState::Unreadable(_) => Paint::Red,
    };
    let owner = root.owner.as_ref().map(|owner| escape(&owner.to_string()));
    let costs = sizes.map(|sizes| sizes.of_root(root));
    let target = root.target.as_ref().map(|to| short_target(to.as_str()));
    let problem = reason::state_problem(&root.state);
    [
        root.kind.as_str().to_string(),
        view.paint(reason::state_word(&root.state), paint),
        owner.unwrap_or_else(|| "-".to_string()),
        used,
        costs.map_or(String::new(), |cost| size(cost.closure)),
        costs.map_or(String::new(), |cost| size(cost.exclusive)),
        escape(&short_link(&link(root), view)),
        escape(&problem.unwrap_or_default()),
        escape(&target.unwrap_or_default()),
    ]
}

/// The link; where it is gone, with the entry that is left. Nix itself removes those of `gcroots/auto`.
fn link(root: &GcRoot) -> String {
    let is_gone = matches!(
        root.state,
        RootState::Dangling(Dangling::LinkGone | Dangling::ParentMissing)
    );
    let entry = root.entry.as_ref().filter(|_| is_gone);
    match entry.filter(|entry| !is_in_auto(entry)) {
        Some(entry) => format!("{entry} -> {}", root.link),
        None => root.link.to_string(),
    }
}

/// On a terminal the link without most of the digits that direnv puts at its end.
pub(in crate::render) fn short_link(link: &str, view: &View) -> String {
    match link.rsplit_once('-') {
        Some((front, digits))
            if view.style.width.is_some()
                && digits.len() >= 32
                && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            format!("{front}-{}…", digits.get(..7).unwrap_or(digits))
        }
        _ => link.to_string(),
    }
}

/// The roots as tab-separated values, with times in UTC, sizes in bytes, and nothing for what is unknown.
pub fn roots_tsv(snapshot: &Snapshot, sizes: Option<&Sizes>) -> String {
    let mut text =
        "kind\tstate\towner\tlinkMade\tclosureBytes\texclusiveBytes\tlink\ttarget\tlastUsed\n"
            .to_string();
    for root in &snapshot.roots {
        let size = sizes.map(|sizes| sizes.of_root(root)).unwrap_or_default();
        let bytes = |bytes: Option<Bytes>| bytes.map_or(String::new(), |it| it.0.to_string());
        let owner = root.owner.as_ref().map(ToString::to_string);
        let made = root.made_at.map(|time| time.to_string());
        let target = root.target.as_ref().map(ToString::to_string);
        let used = match snapshot.uses.get(&root.link) {
            Some(LinkUse::Seen(seen)) => seen.last.at.to_string(),
            _ => String::new(),
        };
        let cells = [
            root.kind.as_str().to_string(),
            reason::state_word(&root.state).to_string(),
            escape(&owner.unwrap_or_default()),
            made.unwrap_or_default(),
            bytes(size.closure),
            bytes(size.exclusive),
            escape(root.link.as_str()),
            escape(&target.unwrap_or_default()),
            used,
        ];
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

/// What became of a pin, in a line.
pub fn pin(document: &PinDocument, view: &View) -> String {
    let mut page = Page::default();
    let what = reason::generation(document.number, &document.profile);
    let state = match (document.pinned, document.changed) {
        (true, true) => "Pinned",
        (true, false) => "Already pinned",
        (false, true) => "Unpinned",
        (false, false) => "Was not pinned",
    };
    let until = document.until.filter(|_| document.pinned);
    let until = until.map_or(String::new(), |at| format!(" until {}", view.time(at)));
    page.line(format!("{state}{until}: {}", escape(&what)));
    page.finish()
}
