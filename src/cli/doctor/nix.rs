//! Check of Nix itself: which program, which version, and who else collects.

use camino::Utf8Path;
use serde_json::Value;

use super::{failed, passed, warned};
use crate::adapters::files;
use crate::adapters::nix_cli::{NixVersion, Variant};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::render::json::CheckDocument;

/// Where Determinate's daemon is configured, below `/etc`.
const DETERMINATE: &str = "determinate/config.json";
/// More than any configuration of it has.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn checks(context: &Context) -> Vec<CheckDocument> {
    let nix = context.nix();
    let version = nix.and_then(|nix| nix.version().cloned().map_err(Failure::from));
    match version {
        Ok(version) => {
            let etc = context.places.machine_id.parent();
            of_version(&version, etc.unwrap_or(Utf8Path::new("/etc")))
        }
        Err(failure) => vec![failed("nix", &failure)],
    }
}

fn of_version(version: &NixVersion, etc: &Utf8Path) -> Vec<CheckDocument> {
    let what = version.describe();
    let mut checks = vec![if version.is_in_tested_range() {
        passed("nix", what)
    } else {
        let hint = "Everything is still collected by Nix, which checks every path. Paths are not selected by name from version 2.35 on, and \
                    output that is not understood is only missing from the records.";
        warned(
            "nix",
            format!("{what} is outside the tested versions, Nix 2.8 to 2.34"),
            hint,
        )
    }];
    if matches!(version.variant(), Variant::Determinate(_)) {
        checks.extend(determinate(&etc.join(DETERMINATE)));
    }
    if *version.variant() == Variant::Lix {
        let hint = "Use `nix-prune plan` instead. nix-prune never combines the two options.";
        let message = "`nix-collect-garbage -d --dry-run` of Lix 2.95 deletes generations";
        checks.push(warned("nix", message.to_string(), hint));
    }
    checks
}

/// Determinate's daemon collects by itself when the disk is full, unless its configuration disables that.
fn determinate(file: &Utf8Path) -> Option<CheckDocument> {
    let text = match files::read_bounded(file, MAX_BYTES) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let message = format!(
                "cannot read {file}, which says whether the daemon collects garbage: {error}"
            );
            return Some(warned(
                "nix",
                message,
                "Make it readable, and run `nix-prune doctor` again.",
            ));
        }
        text => text.unwrap_or_default(),
    };
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let strategy = config
        .pointer("/garbageCollector/strategy")
        .and_then(Value::as_str);
    let message = "determinate-nixd collects garbage by itself when the disk fills up, without the rules and budgets of nix-prune";
    let hint = format!(
        "Holds, pins and kept generations are roots for it as well. To leave collecting to nix-prune, set \
         `{{\"garbageCollector\": {{\"strategy\": \"disabled\"}}}}` in {file}."
    );
    (strategy != Some("disabled")).then(|| warned("nix", message.to_string(), &hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::json::CheckState;
    use rstest::rstest;

    fn of(version: &str, config: Option<&str>) -> Vec<(CheckState, String)> {
        let dir = tempfile::tempdir().unwrap();
        let etc = Utf8Path::from_path(dir.path()).unwrap();
        std::fs::create_dir(etc.join("determinate")).unwrap();
        if let Some(config) = config {
            std::fs::write(etc.join(DETERMINATE), config).unwrap();
        }
        let version = NixVersion::parse(version).unwrap();
        let checks = of_version(&version, etc).into_iter();
        checks.map(|check| (check.state, check.message)).collect()
    }

    #[rstest]
    #[case("nix (Nix) 2.8.0", "Nix 2.8.0", true)]
    #[case("nix (Nix) 2.34.8", "Nix 2.34.8", true)]
    #[case("nix (Nix) 2.35.0", "Nix 2.35.0 is outside", false)]
    #[case("nix (Nix) 2.99.0", "Nix 2.99.0 is outside", false)]
    #[case("nix (Lix, like Nix) 2.95.3", "Lix 2.95.3 is outside", false)]
    #[case(
        "nix (Determinate Nix 3.22.2) 2.35.2",
        "Determinate Nix 3.22.2 (Nix 2.35.2) is outside",
        false
    )]
    fn the_program_and_its_version_are_named(
        #[case] version: &str,
        #[case] says: &str,
        #[case] tested: bool,
    ) {
        let (state, message) = of(version, None).swap_remove(0);
        assert!(message.starts_with(says), "{message}");
        assert_eq!(state == CheckState::Ok, tested);
    }

    #[rstest]
    #[case::none(None, true)]
    #[case::automatic(Some(r#"{"garbageCollector": {"strategy": "automatic"}}"#), true)]
    #[case::disabled(Some(r#"{"garbageCollector": {"strategy": "disabled"}}"#), false)]
    #[case::garbage(Some("{"), true)]
    fn trap_41_the_collector_of_determinate_is_named(
        #[case] config: Option<&str>,
        #[case] collects: bool,
    ) {
        let checks = of("nix (Determinate Nix 3.22.2) 2.35.2", config);
        let named = checks
            .iter()
            .any(|(_, text)| text.starts_with("determinate-nixd collects"));
        assert_eq!(named, collects);
        assert_eq!(of("nix (Nix) 2.34.8", config).len(), 1);
    }

    #[test]
    fn trap_29_the_dry_run_of_lix_is_named() {
        let checks = of("nix (Lix, like Nix) 2.95.3", None);
        assert!(checks[1].1.contains("--dry-run"), "{checks:?}");
    }
}
