//! Fuzz targets for findings on a terminal.

use super::config::findings::drawn;
use crate::render::table::Style;
use crate::settings::Finding;

/// Renders the first findings: each takes as long as the others.
pub(crate) fn build(text: &str, findings: &[Finding]) {
    let plain = Style {
        color: false,
        width: None,
    };
    let first = findings.get(..3).unwrap_or(findings);
    let drawn = drawn("config.json", text, first, plain);
    let obeyed = |c: char| c.is_control() && c != '\n';
    assert!(!drawn.contains(obeyed), "{drawn:?}");
    assert_eq!(drawn.is_empty(), first.is_empty());
}
