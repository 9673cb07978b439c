//! Words, paths and patterns.

use camino::Utf8PathBuf;

use super::{Code, Fault, Word};
use crate::domain::accept::{Acceptance, NotAPlace, Place};
use crate::domain::blocker::CheckCode;
use crate::domain::budget::ReleaseHolds;
use crate::domain::collect::CollectMethod;
use crate::domain::job::{PathPatterns, ProfileRef, ProfileSelector};
use crate::domain::nearest::nearest;
use crate::domain::risk::RiskLevel;
use crate::domain::root::RootKind;
use crate::domain::root_rules::{RULED_KINDS, RuleVerdict};

impl Word for RiskLevel {
    const PATTERN: Option<&'static str> = Some(
        "^([lL][oO][wW]|[mM][eE][dD][iI][uU][mM]|[hH][iI][gG][hH]|[cC][rR][iI][tT][iI][cC][aA][lL])$",
    );

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|_| {
            Fault::with_code(
                Code::RiskUnknown,
                format!("`{text}` is not a risk level"),
                "use low, medium, high or critical",
            )
        })
    }

    fn weight(&self) -> Option<u64> {
        let mut below = Self::ALL.into_iter().enumerate();
        below.find_map(|(place, level)| (level == *self).then_some(place as u64))
    }

    fn written(&self, _: &str) -> String {
        self.to_string()
    }
}

impl Word for ReleaseHolds {
    fn words() -> Vec<&'static str> {
        vec!["never", "ifNeeded"]
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        one_of(text, &Self::words())
    }
}

impl Word for CollectMethod {
    fn words() -> Vec<&'static str> {
        vec!["auto", "selective", "full", "direct"]
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        one_of(text, &Self::words())
    }

    fn version_1(text: &str) -> Option<String> {
        (text == "whole").then(|| "full".to_string())
    }
}

fn one_of<T: std::str::FromStr>(text: &str, words: &[&str]) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| Fault::new(format!("invalid value `{text}`"), one_of_hint(words)))
}

fn one_of_hint(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => format!("use {last}"),
        Some((last, others)) => format!("use {} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Checks an absolute path (or pattern) without `.`, `..`, doubled or trailing slashes or white space around it.
///
/// Paths are compared literally: another spelling in a pattern or pin would silently protect nothing.
fn normal_path(text: &str) -> Result<&str, Fault> {
    if !text.trim_start().starts_with('/') {
        let message = format!("`{text}` is not an absolute path");
        return Err(Fault::with_code(
            Code::PathRelative,
            message,
            "use the absolute path",
        ));
    }
    let parts = || text.trim().split('/').filter(|p| !matches!(*p, "" | "."));
    let normal = format!("/{}", parts().collect::<Vec<_>>().join("/"));
    let hint = if parts().any(|part| part == "..") {
        "use the resolved path, without `..`".to_string()
    } else if normal != text {
        format!("use `{normal}`")
    } else {
        return Ok(text);
    };
    let message = format!("`{text}` is not normalised");
    Err(Fault::with_code(Code::PathNotNormalised, message, hint))
}

impl Word for Utf8PathBuf {
    const PATTERN: Option<&'static str> = Some(r"^\s*/");

    fn parse(text: &str) -> Result<Self, Fault> {
        normal_path(text).map(Self::from)
    }
}

/// A pattern for the links of roots.
#[derive(Debug, Clone)]
pub(in crate::settings) struct RootPattern(pub(in crate::settings) String);

impl Word for RootPattern {
    const PATTERN: Option<&'static str> = Some("^/");

    fn parse(text: &str) -> Result<Self, Fault> {
        let text = normal_path(text)?;
        PathPatterns::check(text).map_err(|error| pattern_fault(&error))?;
        Ok(Self(text.to_string()))
    }
}

/// The kind of a root that rules may remove.
#[derive(Debug, Clone, Copy)]
pub(in crate::settings) struct RuledKind(pub(in crate::settings) RootKind);

impl Word for RuledKind {
    fn words() -> Vec<&'static str> {
        RULED_KINDS.map(RootKind::as_str).to_vec()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let kind = RULED_KINDS.iter().find(|kind| kind.as_str() == text);
        kind.map(|kind| Self(*kind)).ok_or_else(|| {
            let is_known = RootKind::ALL.iter().any(|kind| kind.as_str() == text);
            let message = if is_known {
                format!("rules cannot remove roots of the kind `{text}`")
            } else {
                format!("`{text}` is not a kind of root")
            };
            Fault::new(message, one_of_hint(&Self::words()))
        })
    }
}

impl Word for RuleVerdict {
    fn words() -> Vec<&'static str> {
        vec!["keep", "remove"]
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        one_of(text, &Self::words())
    }
}

fn pattern_fault(error: &impl ToString) -> Fault {
    Fault::new(
        format!("invalid pattern: {}", error.to_string()),
        "use a path in which `*` matches one name and `**` any number of names",
    )
}

impl Word for ProfileRef {
    const PATTERN: Option<&'static str> = Some(".");

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains('/') {
            normal_path(text)?;
        }
        let is_name = text == text.trim() && !matches!(text, "." | "..");
        Self::parse(text).filter(|_| is_name).ok_or_else(|| {
            Fault::new(
                format!("`{text}` is not a profile"),
                "use its path, or its name in Nix's profiles directory, such as `system`",
            )
        })
    }
}

impl Word for ProfileSelector {
    const PATTERN: Option<&'static str> = Some(
        "^(system|users|home-manager|containers|system-manager|nix-on-droid|nix-collect-garbage|/.*)$",
    );

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.contains(['/', '*']) {
            normal_path(text)?;
            PathPatterns::check(text).map_err(|error| pattern_fault(&error))?;
        }
        Self::parse(text).ok_or_else(|| {
            let meant = nearest(text, Self::WORDS).map(|it| format!("did you mean `{it}`? Else "));
            let (meant, known) = (meant.unwrap_or_default(), Self::WORDS.join(", "));
            let hint =
                format!("{meant}use one of {known}, the absolute path of a profile, or a pattern");
            Fault::with_code(
                Code::ProfileUnknown,
                format!("`{text}` selects no profile"),
                hint,
            )
        })
    }
}

/// A user by name or number.
#[derive(Debug, Clone)]
pub(in crate::settings) struct UserName(pub(in crate::settings) String);

impl Word for UserName {
    const PATTERN: Option<&'static str> = Some(r"^[^\s:/*]+$");

    fn parse(text: &str) -> Result<Self, Fault> {
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | '*');
        if text.is_empty() || text.contains(is_odd) {
            let message = format!("`{text}` is not a user");
            return Err(Fault::new(
                message,
                "use the name of a user, or the number as text",
            ));
        }
        Ok(Self(text.to_string()))
    }
}

impl Word for CheckCode {
    fn words() -> Vec<&'static str> {
        Acceptance::codes().map(Self::as_str).collect()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let mut known = Self::ALL.into_iter();
        Err(match known.find(|code| code.as_str() == text) {
            Some(code) if Acceptance::is_possible(code) => return Ok(code),
            Some(code) if Self::acceptable().any(|other| other == code) => Fault::new(
                format!("`{code}` has no place, so settings cannot accept it"),
                format!("remove the entry; `--accept {code}` accepts it for one run"),
            ),
            Some(code) => Fault::new(format!("`{code}` stops nothing"), "remove the entry"),
            None => {
                let codes = Self::words();
                let hint = match nearest(text, codes.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("use one of {}", codes.join(", ")),
                };
                Fault::new(format!("`{text}` is not a safety check"), hint)
            }
        })
    }
}

impl Word for Place {
    const PATTERN: Option<&'static str> = Some(r"^/[^/*?{}\[\]\\]+(/|$)");

    fn parse(text: &str) -> Result<Self, Fault> {
        Self::new(normal_path(text)?).map_err(|error| match error {
            NotAPlace::Pattern(error) => pattern_fault(&error),
            NotAPlace::Everywhere(_) => Fault::new(
                error.to_string(),
                "use the place that the check names; its first component must have no wildcard",
            ),
        })
    }
}
