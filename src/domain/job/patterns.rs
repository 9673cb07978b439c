//! Patterns for paths.

use camino::Utf8Path;
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns for the links of roots and for profiles, such as `/home/*/keep/**`; `*` does not cross a slash.
#[derive(Debug, Clone, Default)]
pub struct PathPatterns {
    texts: Vec<String>,
    set: GlobSet,
}

impl PathPatterns {
    /// The most patterns that are looked for: compiling many more takes seconds and a large part of the memory.
    pub const MAX_COUNT: usize = 1000;

    /// Compiles the patterns.
    ///
    /// # Errors
    /// Names the pattern that is not one.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        let mut texts = Vec::new();
        for pattern in patterns {
            set.add(glob(pattern)?);
            texts.push(pattern.to_string());
        }
        let set = set.build()?;
        Ok(Self { texts, set })
    }

    /// Whether a text is a pattern; all of them are compiled together.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn check(pattern: &str) -> Result<(), globset::Error> {
        glob(pattern).map(drop)
    }

    /// Whether one of them matches.
    pub fn matches(&self, link: &Utf8Path) -> bool {
        self.set.is_match(link)
    }

    /// The patterns as they are written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

pub(in crate::domain) fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}

/// Whether a text has a character that is special in a pattern.
pub(in crate::domain) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// Patterns are the same if they are written alike.
impl PartialEq for PathPatterns {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for PathPatterns {}
