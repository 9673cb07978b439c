//! Sentences: the overview, the selected row, and what the marks come to.

use super::cells::{risk_word, shown_link, why_kept, why_no_item};
use super::keys::Tab;
use super::list::Row;
use super::marks::Summary;
use super::model::Model;
use super::popup::view_of;
use super::rows;
use crate::domain::measure::Bytes;
use crate::domain::plan::{Item, Subject};
use crate::render::reason;
use crate::render::table::{self, Page, Paint, View};
use crate::render::text::{count, escape, short_target};

/// The overview: what the marks free, what could be freed at most, and who keeps what.
pub(super) fn overview(model: &Model) -> String {
    let view = view_of(model, model.screen.columns.saturating_sub(2));
    let mut page = Page::default();
    let sum = model.marks.summary(&model.scene);
    let freed = sum.now.0.saturating_add(sum.leftovers.0);
    let first = match (sum.marked, freed) {
        (0, _) => "Nothing is marked. Mark what you do not need on the tabs 2 to 7.".to_string(),
        (_, 0) => "What is marked frees nothing now. Mark more on the tabs 2 to 7.".to_string(),
        _ => format!(
            "{} are freed now by what is marked. Press x to see the plan; it asks before it removes anything.",
            Bytes(freed)
        ),
    };
    page.prose("", &view.paint(&first, Paint::Bold), view.style);
    let prediction = &model.plan().prediction;
    if let (Some(now), Some(later)) = (prediction.nar_bytes, prediction.when_windows_end) {
        let removable = model.plan().removals().count();
        let later = match later.nar_bytes {
            Bytes(0) => String::new(),
            bytes => format!(", and {bytes} when the undo windows end"),
        };
        let text = format!(
            "All {} that can be removed would free {now} now{later}.",
            count(removable, "item")
        );
        page.prose("", &text, view.style);
    }
    page.gap();
    let text = table::usage(model.scene.usage(), &view);
    let bar = |line: &str| {
        let mut line = line.to_string();
        // The bars are the last column.
        let painted = line.ends_with("#\x1b[0m") || line.ends_with('#');
        if painted && line.contains('%') {
            line = line.replace('#', "█");
        }
        line + "\n"
    };
    let bars: String = text.lines().map(bar).collect();
    page.finish() + "\n" + &bars
}

/// What is shown in place of no rows.
pub(super) fn nothing(model: &Model) -> String {
    if !model.list().filter.is_empty() {
        return "No row has this text in its name. Esc shows all.".to_string();
    }
    let text = match model.tab {
        Tab::Generations => "There are no profiles with generations.",
        Tab::Roots => "There are no roots.",
        Tab::Leftovers => "Nix left nothing beside the store.",
        Tab::Packages => "The store is empty.",
        Tab::DeadPaths => "No path is dead: something keeps every one of them.",
        Tab::Holds => "There are no holds: nothing that was removed can be restored.",
        Tab::Overview => "",
    };
    text.to_string()
}

/// What the selected row is, and what becomes of it.
pub(super) fn selected(model: &Model, view: &View) -> String {
    let mut page = Page::default();
    let Some(row) = model.list().selected() else {
        return String::new();
    };
    let (scene, names) = (&model.scene, model.scene.names());
    let name = |page: &mut Page, text: &str| {
        page.cut_line(view.paint(&escape(text), Paint::Bold), view.style);
    };
    match row {
        Row::Heading(at) => {
            if let Some(heading) = model.list().headings.get(at) {
                name(&mut page, &heading.title);
                let items = || heading.items.iter().filter_map(|at| scene.item(*at));
                let removable = items().filter(|item| item.removal().is_some()).count();
                let marked = heading
                    .items
                    .iter()
                    .filter(|at| model.is_marked(**at))
                    .count();
                let text = format!(
                    "{}, of which {removable} can be removed and {marked} are marked.",
                    count(items().count(), "row")
                );
                page.prose("", &text, view.style);
            }
        }
        Row::Item(at) => {
            if let Some(item) = scene.item(at) {
                name(&mut page, &title_of_item(model, item));
                let text = match model.marks.way(scene).plan.items.get(at) {
                    Some(item) if item.removal().is_some() => fate(model, at, item, view),
                    _ => {
                        let release = match item.subject {
                            Subject::Hold { .. } => {
                                let alone = scene.alone(at).nar_bytes;
                                format!(" r releases the hold: it frees {alone} alone.")
                            }
                            _ => String::new(),
                        };
                        format!("Kept: {}.{release}", why_kept(item, view))
                    }
                };
                page.prose("", &text, view.style);
            }
        }
        Row::Root(at) => {
            if let Some(it) = scene.root(at) {
                name(&mut page, it.root.link.as_str());
                let path = escape(&short_target(&scene.store.path(it.node)));
                let text = format!("Kept: {}. It keeps {path}.", why_no_item(&it.root));
                page.prose("", &text, view.style);
            }
        }
        Row::Package(_) => {
            name(&mut page, &rows::name(scene, &names, row));
            page.prose(
                "",
                "Enter lists its paths, and then shows what keeps each alive.",
                view.style,
            );
        }
        Row::Path(node) => {
            name(&mut page, &scene.store.path(node));
            let text = if scene.store.dead().contains(node) {
                "No root keeps it alive. A collection deletes it with all dead paths."
            } else {
                "Enter shows what keeps it alive."
            };
            page.prose("", text, view.style);
        }
        Row::DeadPaths => {
            name(&mut page, "All dead paths");
            let text = "No root keeps them alive. A collection deletes them together; nobody can miss them, and nothing undoes it.";
            page.prose("", text, view.style);
        }
    }
    page.finish()
}

fn title_of_item(model: &Model, item: &Item) -> String {
    let names = model.scene.names();
    let name = rows::name_of_item(item, &names);
    match &item.subject {
        Subject::Generation { target, .. } => {
            format!("{name} -> {}", short_target(target.as_str()))
        }
        Subject::Leftovers { class, .. } => format!("{class} in {name}"),
        Subject::Hold { .. } => format!("the hold on {name}"),
        Subject::Root { .. } | Subject::RootLink { .. } => {
            let node = model.scene.node_of(item);
            let path = node.map(|node| short_target(&model.scene.store.path(node)));
            path.map_or(name.clone(), |path| {
                format!("{} -> {path}", shown_link(&name))
            })
        }
    }
}

/// What the removal of an item does.
fn fate(model: &Model, at: usize, item: &Item, view: &View) -> String {
    let Some(removal) = item.removal() else {
        return String::new();
    };
    let way = model.marks.way(&model.scene);
    let undo = match removal.action.promised_hold() {
        Some(hold) if hold.is_zero() => " It cannot be restored.".to_string(),
        Some(_) => {
            let until = view.day(way.plan.taken_at.after(way.window));
            format!(" It can be restored until {until}, and its space is free after that.")
        }
        None => String::new(),
    };
    let risk = risk_word(removal.risk, view);
    let alone = model.scene.alone(at).nar_bytes;
    match &item.subject {
        Subject::Leftovers { old, .. } => format!(
            "Frees {} on disk. Risk {risk}. It cannot be restored.",
            old.bytes
        ),
        Subject::Root { .. } => {
            format!("Its link is gone, so it keeps nothing. Risk {risk}. Undo restores it.")
        }
        Subject::Hold { .. } => format!(
            "Frees {alone} alone: {}. Its generation cannot be restored any more.",
            reason::rule_sentence(removal.rule)
        ),
        Subject::Generation { .. } | Subject::RootLink { .. } if model.is_marked(at) => {
            format!("Marked. Frees {alone} alone. Risk {risk}.{undo}")
        }
        Subject::Generation { .. } | Subject::RootLink { .. } => {
            let added = model.marks.added(at).nar_bytes;
            let shared = if added > alone {
                format!(", {added} with what is marked")
            } else {
                String::new()
            };
            format!("Frees {alone} alone{shared}. Risk {risk}.{undo}")
        }
    }
}

/// How much the line of the marks says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    All,
    Few,
    /// Leftovers count as freed now.
    Fewest,
}

/// What the marks come to, in one line: the longest form that fits.
pub(super) fn marks(model: &Model, columns: usize) -> String {
    let sum = model.marks.summary(&model.scene);
    let text = |words| marks_in_words(&sum, model, &model.view, words);
    let mut forms = [Words::All, Words::Few].into_iter().map(text);
    let fits = forms.find(|text| width(text) <= columns);
    fits.unwrap_or_else(|| text(Words::Fewest))
}

/// How full the disk is, from the longest form to the shortest.
pub(super) fn fullness(model: &Model) -> Vec<String> {
    let Some(disk) = model.plan().disk else {
        return Vec::new();
    };
    let percent = disk.percent_used();
    let store = model.scene.store.store().as_path().to_string();
    vec![
        escape(&table::fullness(&store, disk)),
        format!("{percent}% full, {} free", disk.available),
        format!("{percent}% full"),
    ]
}

/// The columns of a text of ours with escape sequences.
pub(super) fn width(text: &str) -> usize {
    let parts = text.split("\x1b[");
    let codes = parts.skip(1).filter_map(|part| part.find('m'));
    let codes: usize = codes.map(|at| at + 3).sum();
    text.chars().count() - codes
}

fn marks_in_words(sum: &Summary, model: &Model, view: &View, words: Words) -> String {
    if sum.marked == 0 {
        return " Nothing is marked".to_string();
    }
    let of_all = |text: &'static str| if words == Words::All { text } else { "" };
    let (mut now, mut leftovers) = (sum.now, sum.leftovers);
    if words == Words::Fewest {
        now = Bytes(now.0.saturating_add(leftovers.0));
        leftovers = Bytes(0);
    }
    let mut parts = Vec::new();
    if now.0 > 0 || leftovers.0 == 0 && sum.until.is_none() {
        parts.push(view.style.paint(&format!("{now} now"), Paint::Green));
    }
    if leftovers.0 > 0 {
        parts.push(format!("{leftovers} leftovers"));
    }
    if let Some(until) = sum.until {
        let held = of_all(" (restorable until then)");
        parts.push(format!("{} on {}{held}", sum.later, view.day(until)));
    }
    if sum.left_dead.0 > 0 && words == Words::All {
        parts.push(format!("{} with the next collection", sum.left_dead));
    }
    let mut text = format!(
        " {} marked: {}{}",
        sum.marked,
        of_all("frees "),
        parts.join(", ")
    );
    if !model.has_usual_window() {
        text.push_str("; ");
        let undo = format!("no undo{}", of_all(" window"));
        text.push_str(&view.style.paint(&undo, Paint::Red));
    }
    if let Some(risk) = sum.risk {
        let limit = sum
            .above
            .map_or(String::new(), |limit| format!(", limit {limit}"));
        text.push_str("; risk ");
        text.push_str(&risk_word(risk, view));
        text.push_str(&limit);
    }
    text
}
