//! Parser for Nix's version.

use std::cmp::Ordering;
use std::fmt;

/// A version of Nix, or of one of its kin, which count on from Nix's own numbers.
#[derive(Debug, Clone)]
pub struct NixVersion {
    numbers: (u32, u32, u32),
    text: Option<String>,
    variant: Variant,
}

/// Which of the programs that are called `nix` it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variant {
    /// Nix itself.
    Nix,
    /// Lix.
    Lix,
    /// Determinate Nix, with its own version.
    Determinate(String),
    /// Another one, by the name that it prints.
    Other(String),
}

impl Variant {
    /// By what stands in parentheses before the version.
    fn parse(line: &str) -> Self {
        let name = line
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'));
        let name = name.map_or("", |(name, _)| name);
        match name.strip_prefix("Determinate Nix") {
            _ if name == "Nix" => Self::Nix,
            Some(version) => Self::Determinate(version.trim().escape_debug().to_string()),
            None if name.starts_with("Lix") => Self::Lix,
            None => Self::Other(
                name.chars()
                    .take(40)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            ),
        }
    }
}

/// A text without a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot parse Nix version from `{0}`")]
pub struct MalformedVersion(String);

impl NixVersion {
    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            numbers: (major, minor, patch),
            text: None,
            variant: Variant::Nix,
        }
    }

    /// Which program it is.
    pub fn variant(&self) -> &Variant {
        &self.variant
    }

    /// Whether it is Nix, between the oldest and the newest version that the tests run with.
    pub fn is_in_tested_range(&self) -> bool {
        let (major, minor, _) = self.numbers;
        self.variant == Variant::Nix && (2, 8) <= (major, minor) && (major, minor) <= (2, 34)
    }

    /// The program and its version.
    pub fn describe(&self) -> String {
        match &self.variant {
            Variant::Nix => format!("Nix {self}"),
            Variant::Lix => format!("Lix {self}"),
            Variant::Determinate(own) => format!("Determinate Nix {own} (Nix {self})"),
            Variant::Other(name) => format!("{name} {self}"),
        }
    }

    /// Reads what `nix --version` prints: `nix (Nix) 2.34.8`, `nix (Lix, like Nix) 2.93.0`,
    /// `nix (Determinate Nix 3.6.2) 2.29.0`.
    ///
    /// # Errors
    /// When its first line does not end in a version.
    pub fn parse(output: &str) -> Result<Self, MalformedVersion> {
        let line = output.lines().next().unwrap_or_default();
        let malformed = || {
            MalformedVersion(
                line.chars()
                    .take(80)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            )
        };
        let text = line
            .strip_prefix("nix ")
            .and_then(|rest| rest.split_whitespace().next_back())
            .ok_or_else(malformed)?;
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        let numbers = numbers(text).filter(|_| printable).ok_or_else(malformed)?;
        Ok(Self {
            numbers,
            text: Some(text.to_string()),
            variant: Variant::parse(line),
        })
    }
}

/// `2.34.8`, `2.8`, `2.19.0pre20231026_7a58cb7`, `2.90.0-beta.1`: what comes behind the numbers does not count.
fn numbers(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.splitn(3, '.');
    let leading = |part: &str| -> Option<u32> {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part.get(..end)?.parse().ok()
    };
    let major = parts.next()?.parse().ok()?;
    let minor = leading(parts.next()?)?;
    let patch = parts.next().and_then(leading).unwrap_or(0);
    Some((major, minor, patch))
}

// By number alone: what is written behind has no order that all of Nix's kin share.
impl PartialEq for NixVersion {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl PartialOrd for NixVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.numbers.cmp(&other.numbers))
    }
}

impl fmt::Display for NixVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.numbers;
        match &self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "{major}.{minor}.{patch}"),
        }
    }
}
