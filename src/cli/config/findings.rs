//! Findings for a terminal: an excerpt of the settings with the fault underlined.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::domain::visible::is_hidden;
use crate::render::table::Style;
use crate::render::text::escape;
use crate::settings::{Finding, Severity};

/// The width without a terminal.
const WIDTH: u16 = 100;
/// The most findings with an excerpt: each searches the whole text, and nobody reads on.
const MAX_SHOWN: usize = 100;

/// Renders each finding with an excerpt of the file.
pub(in crate::cli) fn drawn(file: &str, text: &str, findings: &[Finding], style: Style) -> String {
    let (file, text) = (escape(file), without_controls(text));
    let renderer = if style.color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.term_width(style.width.unwrap_or(WIDTH).into());
    let drawn = findings.iter().take(MAX_SHOWN).map(|finding| {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let pointer = escape(finding.pointer.as_str());
        let place = match pointer.as_str() {
            "" => String::new(),
            pointer => format!("{pointer}: "),
        };
        let underlined = AnnotationKind::Primary
            .span(finding.span.clone())
            .label(finding.hint.as_str());
        let snippet = Snippet::source(text.as_str())
            .path(file.as_str())
            .annotation(underlined);
        let title = level
            .primary_title(format!("{place}{}", finding.message))
            .id(finding.code.as_str());
        renderer.render(&[title.element(snippet)])
    });
    let more = match findings.len().saturating_sub(MAX_SHOWN) {
        0 => None,
        more => Some(format!(
            "and {more} more; `nix-prune config check --json` lists them."
        )),
    };
    drawn.chain(more).collect::<Vec<_>>().join("\n\n")
}

/// A text of the same length that cannot control a terminal.
fn without_controls(text: &str) -> String {
    let replace = |c: char| match (c, c.len_utf8()) {
        ('\n' | '\t', _) => c,
        (c, 1) if is_hidden(c) => '?',
        (c, 2) if is_hidden(c) => '\u{bf}',
        (c, 3) if is_hidden(c) => '\u{fffd}',
        (c, _) if is_hidden(c) => '\u{1f6ab}',
        (c, _) => c,
    };
    text.chars().map(replace).collect()
}
