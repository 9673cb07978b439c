//! Errors and warnings about settings, with code and position.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use crate::domain::visible::is_hidden;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The settings can be used, but somebody should look at this.
    Warning,
    /// The settings cannot be used.
    Error,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// Its code, for scripts.
    pub code: Code,
    /// The place in the document.
    pub pointer: Pointer,
    /// The line of the text, from 1, if it is known.
    pub line: Option<usize>,
    /// The byte in the line, from 1, if it is known.
    pub column: Option<usize>,
    /// The message, with the value.
    pub message: String,
    /// The hint.
    pub hint: String,
    /// The bytes in the text.
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

/// The settings may contain text that controls a terminal.
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

/// Declares every code: its meaning, the variant, its stable text.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)*) => {
        /// The code of a finding; stable, for scripts.
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
    /// The text is not valid JSON.
    Syntax = "syntax",
    /// A key occurs twice in one object.
    DuplicateKey = "duplicate-key",
    /// The key is unknown.
    UnknownKey = "unknown-key",
    /// A required key is missing.
    MissingKey = "missing-key",
    /// A value has the wrong type.
    WrongType = "wrong-type",
    /// The version is missing.
    VersionMissing = "version.missing",
    /// The settings have an older version.
    VersionOlder = "version.older",
    /// The settings have a newer version.
    VersionNewer = "version.newer",
    /// A value is not a duration.
    AgeInvalid = "age.invalid",
    /// A path is not absolute.
    PathRelative = "path.relative",
    /// A path is not in its shortest form, or contains `..`.
    PathNotNormalised = "path.not-normalised",
    /// A value is not a number of generations.
    LimitsGenerations = "limits.generations",
    /// A value is not a size.
    LimitsBytes = "limits.bytes",
    /// `safeMode` is off.
    SafeModeOff = "safe-mode.off",
    /// A critical path of the platform is not protected.
    MissingCritical = "protect.paths.missing-critical",
    /// The profile of a pin is not a profile name or path.
    PinProfile = "protect.generations.profile",
    /// The number of a pin is not a generation number.
    PinNumber = "protect.generations.number",
    /// A root pattern is not valid.
    RootPattern = "protect.roots.pattern",
    /// A rule for roots asks for nothing, or there are too many rules.
    RootRules = "roots.rules",
    /// `removedUsers` has no age.
    RemovedUsers = "roots.removed-users",
    /// There are too many root patterns.
    RootPatternsMany = "protect.roots.many",
    /// The safety check is unknown, or settings cannot accept it.
    AcceptCode = "accept.code",
    /// A place covers everything, or is not a valid pattern.
    AcceptPlace = "accept.place",
    /// A safety check is accepted without a reason.
    AcceptReason = "accept.reason",
    /// There are too many accepted safety checks.
    AcceptMany = "accept.many",
    /// A safety check is accepted, but not by the machine's settings.
    AcceptBeyond = "accept.beyond",
    /// There is no job.
    JobsNone = "jobs.none",
    /// There are very many jobs.
    JobsMany = "jobs.many",
    /// A job name is not valid.
    JobName = "jobs.name",
    /// An enabled job does nothing.
    JobWithoutOperation = "jobs.no-operation",
    /// A value is not a risk level.
    RiskUnknown = "max-risk.unknown",
    /// A job allows what `safeMode` refuses.
    RiskAgainstSafeMode = "max-risk.safe-mode",
    /// A job allows a higher risk than the policy.
    PolicyRisk = "policy.max-risk",
    /// The keep rules of a job may keep less than the policy requires.
    PolicyKeep = "policy.keep-at-least",
    /// The undo window is shorter than the policy requires, or a budget would end it early.
    PolicyWindow = "policy.undo-window",
    /// A job allows critical actions.
    RiskCritical = "max-risk.critical",
    /// The operation `generations` selects no profile, or has too many entries for them.
    ProfilesCount = "profiles.count",
    /// The users of the operation `generations` are none or too many, or one of them is no name or number.
    GenerationsUsers = "generations.users",
    /// A profile selector is unknown.
    ProfileUnknown = "profiles.unknown",
    /// The number of a keep rule is out of range.
    KeepRange = "keep.range",
    /// The keep rules could keep nothing.
    KeepsNothing = "keep.keeps-nothing",
    /// The collection method is unknown.
    CollectMethod = "collect.method",
    /// Dead paths are to be kept from a full collection, which deletes all of them.
    CollectFull = "collect.full",
    /// A free space of the boot menu is not a size.
    BootMinFree = "boot-menu.min-free",
    /// A free space of the boot menu needs a refresh, and system generations that may be removed.
    BootGenerations = "boot-menu.generations",
    /// The command of `notify` is not an absolute path with arguments.
    NotifyCommand = "notify.command",
    /// The command of `notify` has no time, or more than ten minutes.
    NotifyTimeout = "notify.timeout",
    /// A budget has no goal, or several.
    BudgetGoals = "budget.goals",
    /// `minFree` is not a valid goal.
    MinFree = "budget.min-free",
    /// A number of inodes is malformed, or a percentage of them out of range.
    MinFreeInodes = "budget.min-free-inodes",
    /// `maxStore` is not a size.
    MaxStore = "budget.max-store",
    /// `releaseHolds` is not a known value.
    ReleaseHolds = "budget.release-holds",
    /// A percentage is out of range.
    MaxUsedRange = "budget.max-used",
}

impl Code {
    /// Whether it is about a key, whatever its value.
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
