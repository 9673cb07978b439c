//! What Nix's commands print, from 2.8 on, of Nix, Lix and Determinate Nix.

mod info;
mod refusal;
mod settings;
mod store;
mod version;

use camino::Utf8PathBuf;

use crate::domain::measure::Bytes;
use crate::domain::store_path::{StoreDir, StorePath, StorePathRef};
use crate::ports::Collected;

pub use info::{MalformedInfo, PathInfo, ValidPath};
pub(super) use info::{each_path_info, path_info};
pub(super) use refusal::refusals;
pub(super) use settings::{keep_flags, value};
pub(super) use store::{Setting, shown, store_setting};
pub use version::{MalformedVersion, NixVersion};

/// What a collection says of itself: `2 store paths deleted, 1.91 MiB freed`. `None` when there is no such line.
pub(super) fn collected(text: &str) -> Option<Collected> {
    text.lines().rev().find_map(|line| {
        let (count, rest) = line.trim().split_once(" store path")?;
        // Not what only "would be deleted".
        let rest = rest
            .strip_prefix('s')
            .unwrap_or(rest)
            .strip_prefix(" deleted")?;
        let paths = count.parse().ok();
        let freed = rest.trim_start_matches(',').trim();
        let bytes = freed
            .strip_suffix("freed")
            .and_then(|freed| size(freed.trim()));
        (paths.is_some() || bytes.is_some()).then_some(Collected { paths, bytes })
    })
}

/// A decimal number with a unit, exactly; `None` for anything else, and for what is negative.
fn size(text: &str) -> Option<Bytes> {
    let (number, unit) = text.split_once(' ')?;
    let unit: u64 = match unit {
        "B" | "bytes" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "PiB" => 1 << 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)? / scale;
    whole.checked_add(part).map(Bytes)
}

/// The absolute paths that a collector lists.
pub(super) fn dead(text: &str) -> Vec<Utf8PathBuf> {
    let paths = text.lines().filter(|line| line.starts_with('/'));
    paths.map(Utf8PathBuf::from).collect()
}

/// A root as Nix prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintedRoot {
    /// What keeps the path alive.
    pub source: RootSource,
    /// The path.
    pub store_path: StorePath<String>,
}

/// What Nix names on the left side of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSource {
    /// A link in the file system.
    Link(Utf8PathBuf),
    /// Something of a running process or of the kernel, below `/proc`.
    Process(Utf8PathBuf),
    /// Something without a path: `{temp:1}`, `{censored}`, `{lsof}`.
    Pseudo(String),
}

/// A line that is no root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a root as Nix prints them")]
pub struct MalformedRoot(String);

/// The roots that Nix prints, `LINK -> PATH`, the link in quotes since 2.34 (trap 19).
pub(super) fn roots(text: &str, store: &StoreDir) -> Result<Vec<PrintedRoot>, MalformedRoot> {
    let mut roots = Vec::new();
    // The name of a link can have a newline, and Nix prints it as it is.
    let mut left_over = String::new();
    // It can have a carriage return before that, too, which would be no part of a line.
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let whole = left_over + line;
        match root(&whole, store) {
            Some(root) => {
                roots.push(root);
                left_over = String::new();
            }
            None => left_over = whole + "\n",
        }
    }
    if left_over.trim().is_empty() {
        Ok(roots)
    } else {
        Err(MalformedRoot(left_over.trim().escape_debug().to_string()))
    }
}

fn root(line: &str, store: &StoreDir) -> Option<PrintedRoot> {
    let (left, right) = line.rsplit_once(" -> ")?;
    let store_path = StorePathRef::from_absolute_path(right.into(), store).ok()?;
    let quoted = left.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
    let name = quoted.map_or_else(|| Some(left.to_string()), unescaped)?;
    let source = if name.starts_with('{') {
        RootSource::Pseudo(name)
    } else if name.starts_with("/proc/") {
        RootSource::Process(name.into())
    } else if name.starts_with('/') {
        RootSource::Link(name.into())
    } else {
        return None;
    };
    Some(PrintedRoot {
        source,
        store_path: store_path.to_owned(),
    })
}

/// The text in C++'s quotes, where a backslash stands before itself and before quotes. `None` where they end before its
/// end, or not with it: a name that has a line like a root in it is not two of them.
fn unescaped(text: &str) -> Option<String> {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
