//! What must hold of any text that is taken for settings.

use super::sanitize::sanitize;
use super::{
    Assessment, Clamping, Finding, Platform, Report, Settings, Severity, check, raw, read,
};

/// Reads a text in every way; gives what was found.
pub(crate) fn read(text: &str) -> Vec<Finding> {
    for (platform, clamping) in [
        (Platform::MacOs, Clamping::Clamp),
        (Platform::Linux, Clamping::Refuse),
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
        mended_once(text, platform, clamping);
        if clamping == Clamping::Refuse {
            let same = Assessment::of_text(report.settings.as_ref(), text, platform);
            let changes = same.0.map(|assessment| assessment.changes);
            if report.settings.is_some() {
                assert_eq!(changes, Some(Vec::new()), "settings differ from themselves");
            }
        }
    }
    Report::of(text, Platform::Linux, Clamping::Refuse).findings
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

/// What is mended needs no mending, and says what it said.
fn mended_once(text: &str, platform: Platform, clamping: Clamping) {
    let Some(raw) = read::read(text).settings else {
        return;
    };
    let (clean, changes, _) = sanitize(raw.clone(), clamping);
    assert_eq!(changes.is_empty(), written(&raw) == written(&clean));
    let (again, more, _) = sanitize(clean.clone(), clamping);
    assert_eq!(more, []);
    assert_eq!(written(&again), written(&clean));
    let report = Report::of(&written(&clean), platform, Clamping::Refuse);
    assert_eq!(report.changes, []);
    let (settings, findings) = match check::check(&clean, platform) {
        Ok((settings, findings)) => (Some(settings), findings),
        Err(findings) => (None, findings),
    };
    assert_eq!(error_chain(&report.findings), error_chain(&findings));
    assert_eq!(all(report.settings.as_ref()), all(settings.as_ref()));
}

fn written(raw: &raw::Settings) -> String {
    serde_json::to_string(raw).unwrap_or_default()
}

fn error_chain(findings: &[Finding]) -> Vec<String> {
    let told = |f: &Finding| {
        format!(
            "{:?} {} {} {} {}",
            f.severity, f.code, f.pointer, f.message, f.hint
        )
    };
    findings.iter().map(told).collect()
}

fn all(settings: Option<&Settings>) -> String {
    format!("{settings:?}")
}
