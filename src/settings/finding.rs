//! What is wrong with settings, or doubtful, by name and place.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::domain::visible::is_hidden;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The settings can be used, and somebody should look at this.
    Warning,
    /// The settings cannot be used.
    Error,
}

/// One thing that is wrong with settings, or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Its name, for scripts.
    pub code: Code,
    /// The place in the document.
    pub pointer: Pointer,
    /// The line of the text, from 1, if it is known.
    pub line: Option<usize>,
    /// The byte in the line, from 1, if it is known.
    pub column: Option<usize>,
    /// What is wrong, with the value.
    pub message: String,
    /// What to write instead.
    pub hint: String,
    /// The bytes of the text that are meant.
    #[serde(skip)]
    pub span: Range<usize>,
}

impl Finding {
    pub(super) fn error(code: Code, at: &Pointer, message: &str, hint: &str) -> Self {
        Self {
            severity: Severity::Error,
            code,
            pointer: at.clone(),
            line: None,
            column: None,
            message: printable(message),
            hint: printable(hint),
            span: 0..0,
        }
    }

    pub(super) fn warning(code: Code, at: &Pointer, message: &str, hint: &str) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, at, message, hint)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}")?;
        if !self.pointer.as_str().is_empty() {
            write!(f, " at {}", printable(self.pointer.as_str()))?;
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, " (line {line}, column {column})")?;
        }
        write!(f, ": {}; {}", self.message, self.hint)
    }
}

/// What the settings say may hold anything that a terminal would obey.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A JSON pointer (RFC 6901); empty for the whole document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(transparent)]
pub struct Pointer(String);

impl Pointer {
    pub(super) fn root() -> Self {
        Self::default()
    }

    pub(super) fn key(&self, key: &str) -> Self {
        if !key.contains(['~', '/']) {
            return Self(format!("{}/{key}", self.0));
        }
        let key = key.replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{key}", self.0))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The keys and indices that it names.
    pub(super) fn segments(&self) -> impl Iterator<Item = String> {
        let parts = self.0.split('/').skip(1);
        parts.map(|part| {
            if part.contains('~') {
                part.replace("~1", "/").replace("~0", "~")
            } else {
                part.to_string()
            }
        })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names every code once: its meaning, the variant, its stable text.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)*) => {
        /// The name of a finding; stable, for scripts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)*
                }
            }

            /// Its text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The text is no JSON.
    Syntax = "syntax",
    /// A key is written twice in one object.
    DuplicateKey = "duplicate-key",
    /// No such key is known there.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A value has the wrong type.
    WrongType = "wrong-type",
    /// The version is not said.
    VersionMissing = "version.missing",
    /// The settings are of an older version, or of one before the first.
    VersionOlder = "version.older",
    /// The settings are of a version that came later.
    VersionNewer = "version.newer",
    /// A text is no age.
    AgeInvalid = "age.invalid",
    /// A path does not begin at the root.
    PathRelative = "path.relative",
    /// A path has another, shorter spelling, or leads up.
    PathNotNormalised = "path.not-normalised",
    /// A number is no number of generations.
    LimitsGenerations = "limits.generations",
    /// A text is no size.
    LimitsBytes = "limits.bytes",
    /// The safe mode is off.
    SafeModeOff = "safe-mode.off",
    /// A critical path of the platform is not protected.
    MissingCritical = "protect.paths.missing-critical",
    /// A pin's profile can be no profile.
    PinProfile = "protect.generations.profile",
    /// A pin's number can be no generation.
    PinNumber = "protect.generations.number",
    /// A pattern for roots cannot be read.
    RootPattern = "protect.roots.pattern",
    /// There are more patterns for roots than can be looked for.
    RootPatternsMany = "protect.roots.many",
    /// No such safety check is known, or settings cannot accept it.
    AcceptCode = "accept.code",
    /// A place is everywhere, or a pattern that cannot be read.
    AcceptPlace = "accept.place",
    /// A safety check is accepted without a reason.
    AcceptReason = "accept.reason",
    /// There are more accepted safety checks than can be looked for.
    AcceptMany = "accept.many",
    /// A safety check is accepted that the machine's settings do not accept.
    AcceptBeyond = "accept.beyond",
    /// There is no job.
    JobsNone = "jobs.none",
    /// There are very many jobs.
    JobsMany = "jobs.many",
    /// A text cannot name a job.
    JobName = "jobs.name",
    /// An enabled job does nothing.
    JobWithoutOperation = "jobs.no-operation",
    /// A word is no risk level.
    RiskUnknown = "max-risk.unknown",
    /// A job may do what the safe mode refuses.
    RiskAgainstSafeMode = "max-risk.safe-mode",
    /// A job may risk more than the policy allows.
    PolicyRisk = "policy.max-risk",
    /// A job's rules may keep less than the policy asks for.
    PolicyKeep = "policy.keep-at-least",
    /// The undo window is shorter than the policy asks for, or a budget would end it early.
    PolicyWindow = "policy.undo-window",
    /// A job may do anything.
    RiskCritical = "max-risk.critical",
    /// A job thins out no profile.
    ProfilesNone = "profiles.none",
    /// A word selects no profile.
    ProfileUnknown = "profiles.unknown",
    /// A keep rule's number is too small or too large.
    KeepRange = "keep.range",
    /// Keep rules could keep nothing.
    KeepsNothing = "keep.keeps-nothing",
    /// A way to collect garbage that there is not.
    CollectMethod = "collect.method",
    /// What is recent is to be spared by a collection that spares nothing.
    CollectRecent = "collect.keep-recent",
    /// A budget has no goal, or several.
    BudgetGoals = "budget.goals",
    /// The least that is to be free cannot be aimed at.
    MinFree = "budget.min-free",
    /// The largest store is no size.
    MaxStore = "budget.max-store",
    /// A word does not say when holds are released.
    ReleaseHolds = "budget.release-holds",
    /// A percentage is too small or too large.
    MaxUsedRange = "budget.max-used",
}

impl Code {
    /// Whether it is about a key, whatever its value is.
    pub(super) fn is_about_the_key(self) -> bool {
        let about_keys = [Self::UnknownKey, Self::DuplicateKey, Self::JobName];
        about_keys.contains(&self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn pointers_are_escaped() {
        let pointer = Pointer::root().key("jobs").key("a/b~c").index(3);
        assert_eq!(pointer.as_str(), "/jobs/a~1b~0c/3");
    }

    #[test]
    fn codes_are_distinct() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }

    #[test]
    fn a_finding_commands_no_terminal() {
        let at = Pointer::root().key("\u{1b}[2J");
        let finding = Finding::warning(Code::JobName, &at, "\u{1b}[31m\n", "\u{9b}x");
        assert!(!finding.to_string().chars().any(char::is_control));
    }

    #[test]
    fn a_finding_is_written_with_its_place() {
        let at = Pointer::root().key("jobs");
        let mut finding = Finding::error(Code::JobsNone, &at, "there is no job", "write one");
        assert_eq!(
            finding.to_string(),
            "error at /jobs: there is no job; write one"
        );
        (finding.line, finding.column) = (Some(3), Some(9));
        finding.pointer = Pointer::root();
        assert_eq!(
            finding.to_string(),
            "error (line 3, column 9): there is no job; write one"
        );
    }
}
