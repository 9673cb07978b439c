//! Parsers for the output of Nix's commands: Nix from 2.8 on, Lix and Determinate Nix.

mod info;
mod maintenance;
mod refusal;
mod settings;
mod version;

use crate::domain::measure::Bytes;
use crate::ports::Collected;

pub use info::{MalformedInfo, PathInfo, ValidPath};
pub(super) use info::{each_path_info, path_info};
pub(super) use maintenance::{damage, optimised};
pub(super) use refusal::refusals;
pub(super) use settings::{Setting, keep_flags, shown, store_setting, value};
pub use version::{MalformedVersion, NixVersion, Variant};

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

#[cfg(test)]
mod tests;
