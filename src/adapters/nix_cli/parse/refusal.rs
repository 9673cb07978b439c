//! Parser for Nix's message about a path that it does not delete.

use camino::Utf8Path;

use crate::domain::store_path::{StoreDir, StorePathRef};
use crate::ports::UndeletedPath;

/// The most characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 200;

/// The refusals in what a deletion wrote: `error: Cannot delete path 'PATH' since it is still alive. To find out …`.
pub(in crate::adapters::nix_cli) fn refusals(text: &str, store: &StoreDir) -> Vec<UndeletedPath> {
    text.lines()
        .filter_map(|line| refusal(line, store))
        .collect()
}

fn refusal(line: &str, store: &StoreDir) -> Option<UndeletedPath> {
    let (_, rest) = line.split_once("annot delete path ")?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (path, why) = rest.strip_prefix(quote)?.split_once(quote)?;
    let path = StorePathRef::from_absolute_path(Utf8Path::new(path), store).ok()?;
    // What to type to find out more is no reason.
    let why = why.split(". ").next().unwrap_or_default();
    let why = why.trim_matches([' ', ':', ',', '.']);
    let why = why
        .strip_prefix("since ")
        .or_else(|| why.strip_prefix("because "))
        .unwrap_or(why);
    // Cut before it is escaped, so that no escape is cut in two.
    let why: String = why.chars().take(MAX_REASON_CHARS).collect();
    let why = match why.as_str() {
        "" => "Nix gives no reason".to_string(),
        why => why.escape_debug().to_string().replace("\\'", "'"),
    };
    Some(UndeletedPath {
        path: path.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NAME: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-a";

    #[rstest]
    // 2.8, then 2.26 and 2.34.
    #[case(
        "error: Cannot delete path '/s/{}' since it is still alive. To find out why, use: nix-store --query --roots",
        "it is still alive"
    )]
    #[case(
        "error: Cannot delete path '/s/{}' since it is still alive. To find out why, use: nix-store --query --roots and nix-store --query --referrers",
        "it is still alive"
    )]
    // With a trace, in other quotes, and of an unknown kind.
    #[case(
        "       error: cannot delete path \"/s/{}\" because it is in use by '/s/x'.",
        "it is in use by '/s/x'"
    )]
    #[case("cannot delete path '/s/{}': \u{1b}[1m", "\\u{1b}[1m")]
    #[case("cannot delete path '/s/{}'", "Nix gives no reason")]
    fn a_refusal_is_read(#[case] line: &str, #[case] why: &str) {
        let store = StoreDir::new("/s".into()).unwrap();
        let text = format!("deleting '/s/x'\n{}\n", line.replace("{}", NAME));
        let [refused] = &refusals(&text, &store)[..] else {
            panic!("{text}");
        };
        assert_eq!(refused.path.to_string(), NAME);
        assert_eq!(refused.why, why);
    }

    #[rstest]
    #[case("deleting '/s/{}'")]
    #[case("error: cannot delete path '/elsewhere/{}' since it is still alive")]
    #[case("error: cannot delete path '/s/{}/below' since")]
    #[case("error: cannot delete path /s/{}")]
    #[case("error: cannot unlink '/s/{}': Operation not permitted")]
    #[case("error: cannot delete path '")]
    fn anything_else_is_none(#[case] line: &str) {
        let store = StoreDir::new("/s".into()).unwrap();
        assert_eq!(refusals(&line.replace("{}", NAME), &store), []);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".*annot delete path ['\"]?.*") {
            refusals(&text, &StoreDir::new("/s".into()).unwrap());
        }
    }
}
