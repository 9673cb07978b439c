//! The page of `report`: its markup hangs on no name, and it contains its document.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use nix_prune::render::{Style, View, html, json};
use rstest::rstest;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{assert_kept, sample};

fn page(odd: &str) -> String {
    let (document, plan) = sample::report(odd);
    let view = View::of(&sample::snapshot(odd), Style::default());
    html::page(&document, &plan, &view).unwrap()
}

/// The text between two others; each is there once.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(start).unwrap();
    assert!(!rest.contains(start), "{start} is there twice");
    rest.split_once(end).unwrap().0
}

const DOCUMENT: &str = "<script type=\"application/json\" id=\"document\">";

fn style(page: &str) -> &str {
    between(page, "<style>", "</style>")
}

fn script(page: &str) -> &str {
    between(page, "<script>", "</script>")
}

/// What a reader of HTML takes for tags, without those of the style sheet and the script, where a reader looks for their ends only.
fn tags(page: &str) -> Vec<String> {
    let page = page.replace(style(page), "").replace(script(page), "");
    let tags = page.split('<').skip(1);
    let tags = tags.map(|rest| rest.split_once('>').unwrap().0);
    // The values hang on names; a quote or an end of the tag in them would show in the names of the attributes.
    let shape = |tag: &str| {
        let parts: Vec<&str> = tag.split('"').collect();
        assert_eq!(parts.len() % 2, 1, "{tag}");
        parts.into_iter().step_by(2).collect::<String>()
    };
    tags.map(shape).collect()
}

#[test]
fn the_page_kept_is_current() {
    let page = page("");
    let text = page.replace(style(&page), "").replace(script(&page), "");
    let (document, _) = sample::report("");
    let document = json::to_compact_text(&document).unwrap();
    let text = text.replace(&escaped(&document), "{}");
    // The digests change with the style sheet and the script.
    let policy = between(&text, "style-src", "base-uri").to_string();
    assert_kept(
        "tests/fixtures/render/report.html",
        &text.replace(&policy, "… "),
    );
}

fn escaped(document: &str) -> String {
    let document = document.replace('<', "\\u003c").replace('>', "\\u003e");
    document.replace('&', "\\u0026")
}

#[rstest]
#[case("</script><script>alert(1)</script>")]
#[case("<!--<script>")]
#[case("]]>--!>")]
#[case("\"' onfocus=alert(1) autofocus x=\"")]
#[case("`&lt;&#0;\u{0}`")]
#[case("a\r\n<td>b\t</table>")]
#[case("\u{202e}\u{2066}\u{2028}\u{2029}\u{feff}\u{fffd}\u{e0041}")]
#[case("<img src=x onerror=window.pwned=1>")]
fn no_name_becomes_markup(#[case] odd: &str) {
    // A slash in a name makes a longer path, which is another file and not a matter of markup.
    let tame = |c| if c == '/' { c } else { 'x' };
    let (plain, hostile) = (page(&odd.chars().map(tame).collect::<String>()), page(odd));
    // Backquotes set commands off in sentences, so that a pair of them in a name may set off a part of it.
    let without_code = |page: &str| {
        let mut tags = tags(page);
        tags.retain(|tag| !(odd.contains('`') && ["code", "/code"].contains(&tag.as_str())));
        tags
    };
    let (tags, of_hostile) = (without_code(&plain), without_code(&hostile));
    let mut pairs = tags.iter().zip(&of_hostile);
    assert_eq!(pairs.find(|(one, other)| one != other), None);
    assert_eq!(tags.len(), of_hostile.len());
    let hidden = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{2028}".contains(c);
    assert!(!hostile.contains(hidden));
    // The document is the same as that of `--json`, and cannot end its element.
    let embedded = between(&hostile, DOCUMENT, "</script>");
    assert!(!embedded.contains(['<', '>', '&']));
    let embedded: Value = serde_json::from_str(embedded).unwrap();
    let printed = json::to_compact_text(&sample::report(odd).0).unwrap();
    assert_eq!(embedded, serde_json::from_str::<Value>(&printed).unwrap());
    assert!(embedded.to_string().contains("thinkpad"));
}

#[test]
fn the_policy_allows_this_script_and_this_style_sheet_and_nothing_else() {
    let page = page("");
    let digest = |text: &str| BASE64.encode(&Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(style(&page)),
        digest(script(&page)),
    );
    let policy = policy.replace('\'', "&#39;");
    let written = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert_eq!(written, policy);
    let at = |text: &str| page.find(text).unwrap();
    assert!(at("Content-Security-Policy") < at("<style>"));
    // Anything that would be loaded, or run besides.
    let names = tags(&page);
    let names: BTreeSet<&str> = names.iter().flat_map(|tag| tag.split(' ')).collect();
    for refused in [
        "link", "img", "iframe", "object", "base", "form", "src=", "style=", "onclick=",
    ] {
        assert!(!names.contains(refused), "{refused}");
    }
    assert!(!page.contains("http://www.w3.org/2000/svg\"/>") && !page.contains("https://"));
}

#[test]
fn every_table_has_a_caption_and_every_name_of_a_part_is_there_once() {
    let page = page("");
    let count = |text: &str| page.matches(text).count();
    assert!(count("<table") > 5);
    assert_eq!(count("<table"), count("<caption>"));
    assert_eq!(count("<table"), count("tabindex=\"0\""));
    let ids = page.split(" id=\"").skip(1);
    let ids: Vec<&str> = ids.map(|rest| rest.split('"').next().unwrap()).collect();
    let once: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), once.len(), "{ids:?}");
    for id in ids.iter().filter(|id| id.ends_with("-h")) {
        assert!(page.contains(&format!("aria-labelledby=\"{id}\"")));
    }
    for link in page.split("href=\"#").skip(1) {
        let link = link.split('"').next().unwrap();
        assert!(once.contains(link), "{link}");
    }
}
