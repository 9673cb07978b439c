//! The documents of `--json`, and their JSON Schemas.
//!
//! Times are RFC 3339 in UTC and whole seconds (saved plans and records keep the nanoseconds), sizes are bytes, an unknown value is null and never 0. Fields may be added; none is renamed.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;

use crate::domain::plan::Plan;
use crate::domain::receipt::Receipt;
use crate::domain::visible::escape_json;

mod config_check;
mod config_diff;
mod config_import;
mod config_migrate;
mod config_show;
mod dead;
mod doctor;
mod du;
mod error;
mod generations;
mod history;
mod holds;
mod notice;
mod package;
mod pins;
mod report;
mod roots;
mod status;
mod undo;
mod usage;
mod why;

pub use config_check::{
    ChangeDocument, ConfigCheckDocument, FindingDocument, SeverityDocument, config_check,
};
pub use config_diff::{
    BeforeDocument, ConfigDiffDocument, DifferenceDocument, ValueDocument, config_diff,
};
pub use config_import::{ConfigImportDocument, NoteDocument, NoteKindDocument, config_import};
pub use config_migrate::{ConfigMigrateDocument, MigratedDocument, config_migrate};
pub use config_show::{ConfigShowDocument, OriginDocument, ShownDocument, config_show};
pub use dead::{
    DeadDocument, DeadPathDocument, DeadSum, DeadTotalDocument, dead, dead_by_name, dead_sum,
};
pub use doctor::{CheckDocument, CheckState, DoctorDocument, doctor};
pub use du::{DuDocument, DuRowDocument, DuTotalDocument, du, du_on_disk};
pub use error::{ErrorDocument, FailureDocument, error};
pub use generations::{
    Flag, GenerationDocument, GenerationsDocument, ProfileDocument, Systems, generations,
};
pub(super) use history::is_open;
pub use history::{HistoryDocument, RunDocument, history};
pub use holds::{HeldRunDocument, HoldDocument, HoldsDocument, PinDocument, holds, pin};
pub use notice::{MissingDocument, NoticeCheckDocument, NoticeDocument, notice};
pub use package::{PackageDocument, PackagePathDocument, package};
pub use pins::{ListedPinDocument, PinListDocument, PinSource, PinState, pin_list};
pub use report::{
    DiskPointDocument, JobPlanDocument, KeptGenerationDocument, Listed, ListedProfileDocument,
    PackageSumDocument, PlanSummaryDocument, PlannedGenerationsDocument, ReportDocument,
    ReportFacts, StorePartDocument, plan_summary, report,
};
pub use roots::{RootDocument, RootsDocument, StateDocument, roots};
pub use status::{BootDocument, FreesDocument, JobDocument, StatusDocument, status};
pub use undo::{UndoDocument, UndoItemDocument, undo};
pub use usage::{KeeperDocument, LeftoverDocument, PartDocument, UsageDocument, usage};
pub use why::{StepDocument, ViaDocument, WhyDocument, why};

/// Our version, as documents name it.
pub const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `status --json`.
    Status,
    /// `generations --json`.
    Generations,
    /// `roots --json`.
    Roots,
    /// `plan --json`.
    Plan,
    /// `run --json`, `apply --json`, `undo --json`, `history RUN --json`.
    Receipt,
    /// `undo --dry-run --json`.
    Undo,
    /// `history --json`.
    History,
    /// `hold list --json`.
    Holds,
    /// `pin PROFILE:N --json`, `unpin --json`.
    Pin,
    /// `pin list --json`.
    PinList,
    /// `dead --json`.
    Dead,
    /// `why PATH --json`.
    Why,
    /// `du --by GROUP --json`.
    Du,
    /// `du --json`.
    Usage,
    /// `du PACKAGE --json`, `why PACKAGE --json`.
    Package,
    /// `report --json`.
    Report,
    /// `doctor --json`.
    Doctor,
    /// `config check --json`.
    ConfigCheck,
    /// `config diff --json`.
    ConfigDiff,
    /// `config import --json`.
    ConfigImport,
    /// `config migrate --json`.
    ConfigMigrate,
    /// `config show --json`.
    ConfigShow,
    /// What a command gets as a notice; `notify --json`.
    Notice,
    /// Any command with `--json` that failed.
    Error,
}

impl Document {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Status,
        Self::Generations,
        Self::Roots,
        Self::Plan,
        Self::Receipt,
        Self::Undo,
        Self::History,
        Self::Holds,
        Self::Pin,
        Self::PinList,
        Self::Dead,
        Self::Why,
        Self::Du,
        Self::Usage,
        Self::Package,
        Self::Report,
        Self::Doctor,
        Self::ConfigCheck,
        Self::ConfigDiff,
        Self::ConfigImport,
        Self::ConfigMigrate,
        Self::ConfigShow,
        Self::Notice,
        Self::Error,
    ];

    /// The name in the middle of the document's `schema`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Generations => "generations",
            Self::Roots => "roots",
            Self::Plan => "plan",
            Self::Receipt => "receipt",
            Self::Undo => "undo",
            Self::History => "history",
            Self::Holds => "holds",
            Self::Pin => "pin",
            Self::PinList => "pin-list",
            Self::Dead => "dead",
            Self::Why => "why",
            Self::Du => "du",
            Self::Usage => "usage",
            Self::Package => "package",
            Self::Report => "report",
            Self::Doctor => "doctor",
            Self::ConfigCheck => "config-check",
            Self::ConfigDiff => "config-diff",
            Self::ConfigImport => "config-import",
            Self::ConfigMigrate => "config-migrate",
            Self::ConfigShow => "config-show",
            Self::Notice => "notice",
            Self::Error => "error",
        }
    }

    /// The version at the end of the document's `schema`.
    pub fn version(self) -> u32 {
        match self {
            Self::Generations
            | Self::Roots
            | Self::Plan
            | Self::Receipt
            | Self::History
            | Self::Du
            | Self::Doctor => 2,
            Self::Status
            | Self::Undo
            | Self::Holds
            | Self::Pin
            | Self::PinList
            | Self::Dead
            | Self::Why
            | Self::Usage
            | Self::Package
            | Self::Report
            | Self::ConfigCheck
            | Self::ConfigDiff
            | Self::ConfigImport
            | Self::ConfigMigrate
            | Self::ConfigShow
            | Self::Notice
            | Self::Error => 1,
        }
    }

    /// Its JSON Schema.
    pub fn schema(self) -> Schema {
        match self {
            Self::Status => schema_of::<StatusDocument>(self),
            Self::Generations => schema_of::<GenerationsDocument>(self),
            Self::Roots => schema_of::<RootsDocument>(self),
            Self::Plan => schema_of::<Plan>(self),
            Self::Receipt => schema_of::<Receipt>(self),
            Self::Undo => schema_of::<UndoDocument>(self),
            Self::History => schema_of::<HistoryDocument>(self),
            Self::Holds => schema_of::<HoldsDocument>(self),
            Self::Pin => schema_of::<PinDocument>(self),
            Self::PinList => schema_of::<PinListDocument>(self),
            Self::Dead => schema_of::<DeadDocument>(self),
            Self::Why => schema_of::<WhyDocument>(self),
            Self::Du => schema_of::<DuDocument>(self),
            Self::Usage => schema_of::<UsageDocument>(self),
            Self::Package => schema_of::<PackageDocument>(self),
            Self::Report => schema_of::<ReportDocument>(self),
            Self::Doctor => schema_of::<DoctorDocument>(self),
            Self::ConfigCheck => schema_of::<ConfigCheckDocument>(self),
            Self::ConfigDiff => schema_of::<ConfigDiffDocument>(self),
            Self::ConfigImport => schema_of::<ConfigImportDocument>(self),
            Self::ConfigMigrate => schema_of::<ConfigMigrateDocument>(self),
            Self::ConfigShow => schema_of::<ConfigShowDocument>(self),
            Self::Notice => schema_of::<NoticeDocument>(self),
            Self::Error => schema_of::<ErrorDocument>(self),
        }
    }
}

/// The JSON Schema of the document of that name; `None` when there is no such document.
pub fn schema(name: &str) -> Option<Schema> {
    Document::ALL
        .into_iter()
        .find(|document| document.name() == name)
        .map(Document::schema)
}

fn schema_of<T: JsonSchema>(document: Document) -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    let title = format!("nix-prune/{}/{}", document.name(), document.version());
    schema.insert("title".to_string(), title.into());
    schema
}

/// A document as it is printed: indented, with a newline at its end, and harmless on a terminal.
///
/// # Errors
/// When the document cannot be written as JSON; none of ours has a map that could not.
pub fn to_text(document: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string_pretty(document)?;
    Ok(escape_json(in_whole_seconds(&text)) + "\n")
}

/// The same document on one line, without a newline at its end.
///
/// # Errors
/// As [`to_text`].
pub fn to_compact_text(document: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(document)?;
    Ok(escape_json(in_whole_seconds(&text)))
}

/// A document whose times have no part of a second: `jq` (`fromdateiso8601`) and other strict readers take none.
fn in_whole_seconds(mut document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    while let Some(at) = document.find("Z\"") {
        let (before, behind) = document.split_at(at);
        text.push_str(without_fraction(before).unwrap_or(before));
        let (end, rest) = behind.split_at(2);
        text.push_str(end);
        document = rest;
    }
    text + document
}

/// Takes the part of a second off, where a text ends with a time that begins a string.
fn without_fraction(text: &str) -> Option<&str> {
    const TIME: usize = "2026-01-31T00:00:00".len();
    let whole = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let whole = whole.strip_suffix('.')?;
    let (start, time) = whole.split_at_checked(whole.len().checked_sub(TIME)?)?;
    let is_time = start.ends_with('"') && time.parse::<jiff::civil::DateTime>().is_ok();
    is_time.then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#""2026-01-31T00:00:00.123456789Z""#, r#""2026-01-31T00:00:00Z""#)]
    #[case(
        r#""2026-01-31T00:00:00.5Z", "1.5Z""#,
        r#""2026-01-31T00:00:00Z", "1.5Z""#
    )]
    #[case(r#""2026-01-31T00:00:00Z""#, r#""2026-01-31T00:00:00Z""#)]
    #[case(r#""at 2026-01-31T00:00:00.5Z""#, r#""at 2026-01-31T00:00:00.5Z""#)]
    #[case(r#""2026-99-31T00:00:00.5Z""#, r#""2026-99-31T00:00:00.5Z""#)]
    #[case("\"\u{e4}.5Z\"", "\"\u{e4}.5Z\"")]
    fn times_are_whole_seconds(#[case] document: &str, #[case] expected: &str) {
        assert_eq!(in_whole_seconds(document), expected);
    }
}
