//! The page of `report`: one HTML file that loads nothing.
//!
//! Tables are written here; the script of the page draws pictures from the document that the page contains. Names from outside
//! are text in both: here every one is escaped, and the script sets text nodes only. The policy of the page allows this one script
//! and this one style sheet by their digests, and no connection.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::json::{ReportDocument, to_compact_text};
use super::table::View;
use crate::domain::plan::Plan;
use markup::Html;

mod history;
mod markup;
mod plans;
mod store;
mod summary;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// The page of a document. The plan is the one whose figures the document shows first.
///
/// # Errors
/// When the document cannot be written as JSON; none of ours has a map that could not.
pub fn page(
    document: &ReportDocument,
    plan: &Plan,
    view: &View,
) -> Result<String, serde_json::Error> {
    let mut html = Html::default();
    html.own("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .own("<meta http-equiv=\"Content-Security-Policy\"")
        .attribute("content", &policy())
        .own(">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .own("<meta name=\"referrer\" content=\"no-referrer\">\n")
        .own("<meta name=\"color-scheme\" content=\"light dark\">\n<title>")
        .text(&summary::title(document))
        .own("</title>\n<style>")
        .own(STYLE)
        .own("</style>\n</head>\n<body>\n");
    summary::write(document, plan, view, &mut html);
    html.own("<main>\n");
    store::write(document, view, &mut html);
    plans::write(document, view, &mut html);
    history::write(document, view, &mut html);
    html.own("</main>\n<footer>\n")
        .paragraph(
            "Sizes are NAR sizes unless marked as on disk. The page names paths and users of the machine; \
             share it like a log file.",
        )
        .own("</footer>\n<script type=\"application/json\" id=\"document\">")
        .json(&to_compact_text(document)?)
        .own("</script>\n<script>")
        .own(SCRIPT)
        .own("</script>\n</body>\n</html>\n");
    Ok(html.finish())
}

/// What the page may load and run: its own style sheet and script, and nothing else.
fn policy() -> String {
    let digest = |text: &str| BASE64.encode(&Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}
