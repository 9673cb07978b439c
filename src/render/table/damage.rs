//! Damaged store paths, each with the command that a person gives to have it again.

use crate::domain::maintenance::Verified;
use crate::domain::receipt::RunId;
use crate::domain::store_path::StoreDir;
use crate::render::text::{count, escape};

/// More are only counted; nobody types more commands than that.
const MAX_SHOWN: usize = 10;

/// Two lines for each damaged path, and where the rest is listed.
pub(super) fn lines(found: &Verified, store: &StoreDir, run: &RunId, program: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for damaged in found.paths.iter().take(MAX_SHOWN) {
        let path = escape(damaged.path.to_absolute_path(store).as_str());
        let (what, remedy) = (damaged.damage.as_str(), damaged.damage.remedy());
        lines.push(format!("  {what}: nix-store {remedy} {path}"));
    }
    let more = found.damaged.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!(
            "  and {}: {program} history {run} --json",
            count(more, "more path")
        ));
    }
    if !lines.is_empty() {
        lines.insert(
            0,
            "To repair a path, as root, from a substituter or by building it again:".to_string(),
        );
    }
    if found.links > 0 {
        lines.push(
            "To remove damaged hard links after that: nix-store --verify --check-contents --repair"
                .to_string(),
        );
    }
    lines
}
