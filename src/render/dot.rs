//! Graphs for Graphviz.
//!
//! Labels are the only text from outside. Each is escaped for a terminal first, then for a DOT string.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::json::{StepDocument, ViaDocument, WhyDocument};
use super::text::{count, escape, short_target, time};
use crate::domain::analysis::{Keeping, RootGroup, Sharing};
use crate::domain::graph::Weight;
use crate::domain::measure::Bytes;
use crate::domain::note::Note;
use crate::domain::profile::ProfileNames;
use crate::domain::root::RootKind;

/// The width and height of the largest part, in inches.
const LARGEST_INCHES: f64 = 3.0;

/// Longer names lose their middle.
const LONGEST_NAME_CHARS: usize = 44;

/// Who shares what in the store: groups of roots on the left, the paths that several of them keep on the right.
pub fn sharing(sharing: &Sharing, zone: &TimeZone, notes: &[Note]) -> String {
    let mut dot = Dot::new("Who keeps the store", notes);
    let profiles = sharing
        .groups
        .iter()
        .filter_map(|keeping| match &keeping.group {
            RootGroup::Profile(path) => Some(path),
            _ => None,
        });
    let names: ProfileNames<'_> = profiles.collect();
    let parts = sharing.shared.iter().chain(&sharing.smaller);
    let weights = parts.clone().map(|part| part.weight);
    let exclusive = sharing.groups.iter().map(|keeping| keeping.exclusive);
    let weights = weights.chain(exclusive).chain([sharing.dead]);
    let largest = weights.map(|weight| weight.nar_bytes).max();
    let largest = largest.unwrap_or_default();
    for (index, keeping) in sharing.groups.iter().enumerate() {
        let id = format!("group{index}");
        let name = group_name(keeping, &names, zone);
        let lines = [name, format!("alone: {}", paths(keeping.exclusive))];
        let size = size(keeping.exclusive, largest);
        let tooltip = quoted(lines.first().map_or("", String::as_str));
        dot.node(
            &id,
            &lines,
            &format!("style=rounded, {size}, tooltip={tooltip}"),
        );
    }
    for (index, part) in parts.enumerate() {
        let (what, style) = if index < sharing.shared.len() {
            (format!("shared by {}", part.keepers.len()), "solid")
        } else {
            ("smaller shared parts".to_string(), "dashed")
        };
        let id = format!("part{index}");
        dot.node(
            &id,
            &[what, paths(part.weight)],
            &size(part.weight, largest),
        );
        for keeper in &part.keepers {
            dot.edge(&format!("group{keeper}"), &id, &format!("style={style}"));
        }
    }
    if sharing.dead.paths > 0 {
        let lines = ["dead".to_string(), paths(sharing.dead)];
        let size = size(sharing.dead, largest);
        dot.node("dead", &lines, &format!("style=dashed, {size}"));
    }
    dot.finish()
}

fn group_name(keeping: &Keeping, names: &ProfileNames<'_>, zone: &TimeZone) -> String {
    match &keeping.group {
        RootGroup::Profile(path) => {
            let roots = count(keeping.roots, "root");
            format!("{} ({roots})", names.of(path))
        }
        RootGroup::Root(link) => link.to_string(),
        RootGroup::Holds { until, .. } => format!("held until {}", time(*until, zone)),
        RootGroup::UnknownHolds => "held by nix-prune elsewhere".to_string(),
        RootGroup::Others { groups } => {
            let groups = u64::try_from(*groups).unwrap_or(u64::MAX);
            count(groups, "smaller group")
        }
        RootGroup::Processes => "running programs only".to_string(),
    }
}

fn paths(weight: Weight) -> String {
    format!("{}, {}", weight.nar_bytes, count(weight.paths, "path"))
}

/// The area of a box is in proportion to its bytes, as far as its label leaves it.
#[expect(clippy::cast_precision_loss, reason = "a picture")]
fn size(weight: Weight, largest: Bytes) -> String {
    let part = weight.nar_bytes.0 as f64 / largest.0.max(1) as f64;
    let inches = LARGEST_INCHES * part.sqrt();
    format!("width={inches:.2}, height={inches:.2}")
}

/// The chains that keep store paths alive, from roots to the paths.
pub fn why(documents: &[WhyDocument]) -> String {
    let mut notes: Vec<Note> = Vec::new();
    for note in documents.iter().flat_map(|document| &document.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let mut dot = Dot::new("Why paths are alive", &notes);
    let mut chains = Chains::default();
    for (index, document) in documents.iter().enumerate() {
        let target = chains.path(&mut dot, &document.path, "style=bold");
        for chain in &document.chains {
            chains.chain(&mut dot, chain);
        }
        let aside = match document.live {
            Some(false) => Some("dead: no root keeps it".to_string()),
            None => Some("no readable root keeps it".to_string()),
            Some(true) if document.more > 0 => Some(format!(
                "{} not shown; raise --most",
                count(document.more, "chain")
            )),
            Some(true) => None,
        };
        if let Some(text) = aside {
            let id = format!("aside{index}");
            dot.node(&id, &[text], "shape=plaintext");
            dot.edge(&id, &target, "style=dashed");
        }
    }
    dot.finish()
}

/// What is drawn of chains, so that nothing is drawn twice.
#[derive(Default)]
struct Chains {
    paths: BTreeMap<String, String>,
    roots: BTreeMap<(String, String), String>,
    edges: BTreeSet<(String, String)>,
}

impl Chains {
    fn path(&mut self, dot: &mut Dot, path: &str, attributes: &str) -> String {
        let next = format!("path{}", self.paths.len());
        let id = self.paths.entry(path.to_string()).or_insert_with(|| {
            dot.node(
                &next,
                &[short_target(path)],
                &format!("{attributes}, tooltip={}", quoted(path)),
            );
            next
        });
        id.clone()
    }

    fn chain(&mut self, dot: &mut Dot, chain: &[StepDocument]) {
        let mut before: Option<String> = None;
        for step in chain {
            let id = self.path(dot, &step.path, "style=solid");
            if let Some(root) = &step.root {
                self.root(dot, root, step.root_kind, &id);
            }
            if let Some(before) = before.replace(id.clone()) {
                let attributes = match step.via {
                    ViaDocument::Root | ViaDocument::Reference => "style=solid",
                    ViaDocument::Deriver => "style=dashed, label=\"keep-derivations\"",
                    ViaDocument::Output => "style=dashed, label=\"keep-outputs\"",
                };
                self.edge(dot, before, id, attributes);
            }
        }
    }

    fn root(&mut self, dot: &mut Dot, root: &str, kind: Option<RootKind>, path: &str) {
        let next = format!("root{}", self.roots.len());
        // Processes that use several paths are drawn once for each, as one of them may end.
        let key = (root.to_string(), path.to_string());
        let id = self.roots.entry(key).or_insert_with(|| {
            let kind = kind.map_or("root", RootKind::as_str);
            let attributes = format!("shape=ellipse, tooltip={}", quoted(root));
            dot.node(&next, &[root.to_string(), format!("({kind})")], &attributes);
            next
        });
        let id = id.clone();
        self.edge(dot, id, path.to_string(), "style=solid");
    }

    fn edge(&mut self, dot: &mut Dot, from: String, to: String, attributes: &str) {
        let edge = (from, to);
        if !self.edges.contains(&edge) {
            dot.edge(&edge.0, &edge.1, attributes);
            self.edges.insert(edge);
        }
    }
}

/// The text of a graph.
struct Dot {
    text: String,
}

impl Dot {
    fn new(title: &str, notes: &[Note]) -> Self {
        let mut text = String::new();
        for note in notes {
            let _ = writeln!(text, "// {}", escape(&note.text));
        }
        let _ = writeln!(
            text,
            "digraph {{\n  graph [rankdir=LR, tooltip={}]\n  node [shape=box, fontname=\"sans-serif\", fontsize=11]\n  edge [fontname=\"sans-serif\", fontsize=9]",
            quoted(title)
        );
        Self { text }
    }

    fn node(&mut self, id: &str, lines: &[String], attributes: &str) {
        let lines = lines.iter().map(|line| in_string(&shortened(line)));
        let lines: Vec<String> = lines.collect();
        let label = lines.join("\\n");
        let _ = writeln!(self.text, "  {id} [label=\"{label}\", {attributes}]");
    }

    fn edge(&mut self, from: &str, to: &str, attributes: &str) {
        let _ = writeln!(self.text, "  {from} -> {to} [{attributes}]");
    }

    fn finish(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }
}

fn shortened(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    match chars.len() {
        0..=LONGEST_NAME_CHARS => text.to_string(),
        length => {
            let (kept, half) = (LONGEST_NAME_CHARS - 1, LONGEST_NAME_CHARS / 2);
            let start = chars.iter().take(half);
            let end = chars.iter().skip(length - (kept - half));
            start.chain(&['…']).chain(end).collect()
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", in_string(text))
}

/// A text within the quotes of a DOT string. Graphviz reads backslashes as escapes and `&` as the beginning of an HTML entity.
fn in_string(text: &str) -> String {
    let text = escape(text).replace('\\', "\\\\");
    text.replace('"', "\\\"").replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain", "plain")]
    #[case("a\"]; b [label=\"c", "a\\\"]; b [label=\\\"c")]
    #[case("\\N\\", "\\\\N\\\\")]
    #[case("&lt;x&gt;", "&amp;lt;x&amp;gt;")]
    #[case("a\nb\x1b\u{202e}", "a\\\\nb\\\\x1b\\\\u{202e}")]
    fn text_from_outside_ends_no_string(#[case] text: &str, #[case] inside: &str) {
        assert_eq!(in_string(text), inside);
    }

    proptest::proptest! {
        /// As Graphviz reads a quoted string: it ends at the first quote without a backslash before it.
        #[test]
        fn a_string_ends_where_it_should(text: String) {
            let inside = in_string(&text);
            let mut chars = inside.chars();
            while let Some(c) = chars.next() {
                proptest::prop_assert!(c != '"' && c != '\n');
                if c == '\\' {
                    proptest::prop_assert!(chars.next().is_some());
                }
            }
        }

        #[test]
        fn a_name_keeps_its_ends(text in ".{0,90}") {
            let short = shortened(&text);
            proptest::prop_assert!(short.chars().count() <= LONGEST_NAME_CHARS);
            let (start, end) = short.split_once('…').unwrap_or((&text, ""));
            proptest::prop_assert!(text.starts_with(start) && text.ends_with(end));
        }
    }
}
