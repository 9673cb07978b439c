//! Invariants of reading any text as settings.

use super::reader::tidy;
use super::slot::{Group, Slot};
use super::syntax::{self, At};
use super::{
    Finding, OutOfRange, Parsed, Platform, Report, Settings, SettingsDiff, Severity, keys,
};

/// Reads a text in every way; returns the findings.
pub(crate) fn read(text: &str) -> Vec<Finding> {
    for (platform, clamping) in [
        (Platform::MacOs, OutOfRange::Clamp),
        (Platform::Linux, OutOfRange::Refuse),
    ] {
        let report = Report::of(text, platform, clamping);
        for finding in &report.findings {
            lies_inside(text, finding);
        }
        let wrong = |finding: &Finding| finding.severity == Severity::Error;
        assert_eq!(
            report.settings.is_none(),
            report.findings.iter().any(wrong),
            "an error and nothing else takes settings away: {:?}",
            report.findings
        );
        corrections_are_final(text, platform, clamping);
        if clamping == OutOfRange::Refuse {
            let same = SettingsDiff::of_text(report.settings.as_ref(), text, platform);
            let changes = same.0.map(|diff| diff.changes);
            if report.settings.is_some() {
                assert_eq!(changes, Some(Vec::new()), "settings differ from themselves");
            }
        }
    }
    Report::of(text, Platform::Linux, OutOfRange::Refuse).findings
}

fn lies_inside(text: &str, finding: &Finding) {
    let span = &finding.span;
    assert!(
        span.start <= span.end && text.get(span.clone()).is_some(),
        "{finding:?}"
    );
    let before = text.get(..span.start).unwrap_or_default();
    let begun = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    assert_eq!(finding.line, Some(line), "{finding:?}");
    assert_eq!(finding.column, Some(span.start - begun + 1), "{finding:?}");
}

/// A corrected text needs no further correction, and means the same.
fn corrections_are_final(text: &str, platform: Platform, clamping: OutOfRange) {
    let Ok((mut node, duplicates)) = syntax::parse(text) else {
        return;
    };
    let tidied = |node: &mut syntax::Node| {
        let (before, mut changes) = (serde_json::Value::from(&node.value), Vec::new());
        tidy(node, keys::Settings::KEYS, At::Root, clamping, &mut changes);
        assert_eq!(
            changes.is_empty(),
            before == serde_json::Value::from(&node.value)
        );
        changes
    };
    tidied(&mut node);
    assert_eq!(tidied(&mut node), []);
    let clean = serde_json::Value::from(&node.value).to_string();
    let first = Parsed::of(text, platform, clamping);
    let again = Parsed::of(&clean, platform, OutOfRange::Refuse);
    assert_eq!(again.changes, []);
    // Items keep their index in the text, which differs in the corrected one.
    if duplicates.is_empty() && first.changes.iter().all(|change| change.to.is_some()) {
        assert_eq!(summaries(&again.findings), summaries(&first.findings));
    }
    assert_eq!(written(again.keys.as_ref()), written(first.keys.as_ref()));
    assert_eq!(all(again.settings.as_ref()), all(first.settings.as_ref()));
}

fn written(keys: Option<&keys::Settings>) -> Option<String> {
    keys.map(|keys| keys.part().json().to_string())
}

/// Messages quote numbers as they are written, which may differ from how we write them.
fn summaries(findings: &[Finding]) -> Vec<String> {
    let summary = |f: &Finding| format!("{:?} {} {} {}", f.severity, f.code, f.pointer, f.hint);
    let mut lines: Vec<String> = findings.iter().map(summary).collect();
    lines.sort();
    lines
}

fn all(settings: Option<&Settings>) -> String {
    format!("{settings:?}")
}
