//! The shape of settings: what may be written, before any rule is looked at.
//!
//! `null` is as good as absent wherever a key may be absent: modules of Nix write what nobody set that way.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::domain::accept::Acceptance as Acceptable;
use crate::domain::blocker::CheckCode;

/// Numbers with a unit each, and blanks around them.
const AGE: &str = r"^\s*([0-9]+(\.[0-9]{1,9})?[smhdw])+\s*$";
/// A size in bytes, or with a unit in powers of 1024.
const SIZE: &str = r"^([0-9]+|[0-9]+(\.[0-9]{1,9})?[KMGT])$";
/// A size, or 5 to 90 percent.
const FREE: &str = r"^(0*([5-9]|[1-8][0-9]|90)%|[0-9]+|[0-9]+(\.[0-9]{1,9})?[KMGT])$";
/// A level in any case.
const RISK: &str =
    "^([lL][oO][wW]|[mM][eE][dD][iI][uU][mM]|[hH][iI][gG][hH]|[cC][rR][iI][tT][iI][cC][aA][lL])$";
/// What selects profiles.
const SELECTOR: &str = "^(system|users|home-manager|nix-collect-garbage|/.*)$";
const JOB_NAME: &str = "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,49}$";
/// The profiles that are thinned out unless the settings say which.
pub(super) const SELECTORS: [&str; 3] = ["system", "users", "home-manager"];

/// The settings of nix-prune.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    /// The version of the settings.
    #[schemars(required, range(min = 1, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<Whole>,
    /// Refuses critical actions, whatever a job allows.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) safe_mode: Option<bool>,
    /// How long what was dropped is held, and can be put back, such as `7d`; `0s` for not at all.
    #[schemars(extend("default" = "7d", "pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) undo_window: Option<String>,
    /// The most that one run of any job may do unasked; where several files say it, the least counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<Object<Limits>>,
    /// What no job may take away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protect: Option<Object<Protect>>,
    /// Safety checks that are accepted at a place, until the entry is removed. Every plan shows them. Where several files
    /// have entries, only those of the file that counts least hold, which is the machine's where there is one.
    #[schemars(extend("default" = [], "maxItems" = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accept: Option<Vec<Object<Acceptance>>>,
    /// What no job, flag or other file can fall short of; where several files ask, the strictest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Object<Policy>>,
    /// The jobs by name.
    #[schemars(required, extend("minProperties" = 1, "propertyNames" = { "pattern": JOB_NAME }))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jobs: Option<BTreeMap<String, Object<Job>>>,
}

/// The most that one run may do without a yes on the terminal or `--accept`.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Limits {
    /// So many generations may go.
    #[schemars(range(min = 0, max = 100_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_generations_per_run: Option<Whole>,
    /// So much may be deleted, by the store's own sizes, such as `50G`.
    #[schemars(extend("pattern" = SIZE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_bytes_per_run: Option<String>,
}

/// What no job may take away.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Protect {
    /// Places that are never removed; must hold every critical path of the platform, which is also the default.
    #[schemars(extend("items" = { "type": "string", "pattern": r"^\s*/" }))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paths: Option<Vec<String>>,
    /// Generations that are never dropped.
    #[schemars(extend("default" = []))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) generations: Option<Vec<Object<Pin>>>,
    /// Patterns for links of roots that are never removed, such as `/home/*/keep/**`.
    #[schemars(extend("default" = [], "maxItems" = 1000, "items" = { "type": "string", "pattern": "^/" }))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roots: Option<Vec<String>>,
}

/// A safety check that is accepted at a place.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Acceptance {
    /// The safety check.
    #[schemars(extend("enum" = codes()))]
    pub(super) code: String,
    /// An absolute path, which stands for everything below it as well, or a pattern such as `/home/*/result`. Its first
    /// name has no wildcard.
    #[schemars(extend("pattern" = r"^/[^/*?{}\[\]\\]+(/|$)"))]
    pub(super) place: String,
    /// Why.
    #[schemars(extend("pattern" = r"\S"))]
    pub(super) reason: String,
}

fn codes() -> Vec<&'static str> {
    Acceptable::codes().map(CheckCode::as_str).collect()
}

/// What no job can fall short of.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Policy {
    /// What stays of every profile, whatever a job's rules say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep_at_least: Option<Object<Floor>>,
    /// The highest risk that any job may have: low, medium, high or critical.
    #[schemars(extend("pattern" = RISK))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_risk: Option<String>,
    /// The shortest undo window, such as `1d`; no hold ends before its time then.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) undo_window: Option<String>,
}

/// The least that stays of a profile.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Floor {
    /// This many, counted back from the current generation.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Whole>,
    /// What is not older than this, such as `7d`, and the one that was active then.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) within: Option<String>,
}

/// A generation that is never dropped.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pin {
    /// The profile, by path or by the name it has in Nix's profiles directory.
    #[schemars(extend("minLength" = 1))]
    pub(super) profile: String,
    /// The number of the generation.
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub(super) number: Whole,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A named set of operations.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Job {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Whether it runs at all.
    #[schemars(extend("default" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<bool>,
    /// Actions above this level stop a run: low, medium, high or critical.
    #[schemars(extend("default" = "high", "pattern" = RISK))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_risk: Option<String>,
    /// The disk goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) budget: Option<Object<Budget>>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operations: Option<Object<Operations>>,
}

/// The disk goal of a job.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Budget {
    /// The least that is to be free, such as `50G` or `20%`.
    #[schemars(extend("pattern" = FREE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) min_free: Option<String>,
    /// The most of the file system that may be used, in percent.
    #[schemars(range(min = 10, max = 95))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_used: Option<Whole>,
    /// The largest store, such as `200G`.
    #[schemars(extend("pattern" = SIZE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_store: Option<String>,
    /// Whether holds are released before their window ends: never or ifNeeded.
    #[schemars(extend("default" = "never", "enum" = ["never", "ifNeeded", null]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) release_holds: Option<String>,
}

/// The operations of a job, in the order in which they run.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Operations {
    /// Thins out generations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) generations: Option<Object<Generations>>,
    /// Removes roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roots: Option<Object<Roots>>,
    /// Removes what failed builds and caches left behind.
    #[schemars(extend("x-not-yet" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leftovers: Option<Object<Leftovers>>,
    /// Collects garbage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) collect: Option<Object<Collect>>,
    /// Hard-links equal files in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) optimise: Option<Object<Optimise>>,
    /// Checks the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verify: Option<Object<Verify>>,
}

/// Which profiles are thinned out, and what stays.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Generations {
    /// system, users, home-manager, nix-collect-garbage or absolute paths of profiles.
    #[schemars(extend("default" = SELECTORS, "minItems" = 1, "items" = { "type": "string", "pattern": SELECTOR }))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profiles: Option<Vec<String>>,
    /// What stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep: Option<Object<Keep>>,
    /// Whether the boot menu is written anew afterwards.
    #[schemars(extend("default" = false, "x-not-yet" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_boot_menu: Option<bool>,
}

/// Keep rules; a generation stays if any of them keeps it.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Keep {
    /// This many, counted back from the current generation.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Whole>,
    /// What is not older than this, such as `14d`.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) within: Option<String>,
    /// The newest of each of this many days.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) daily: Option<Whole>,
    /// The newest of each of this many ISO weeks.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weekly: Option<Whole>,
    /// The newest of each of this many months.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) monthly: Option<Whole>,
    /// The newest of each of this many years.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yearly: Option<Whole>,
}

/// Which roots are removed.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Roots {
    /// Whether those are removed whose link is gone.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dangling: Option<bool>,
    /// Those that nobody used for a while.
    #[schemars(extend("default" = [], "x-not-yet" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rules: Option<Vec<Object<RootRule>>>,
}

/// Which roots are removed for their age.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RootRule {
    /// The kind of roots.
    pub(super) kind: String,
    /// How long nobody used them.
    #[schemars(extend("pattern" = AGE))]
    pub(super) unused_for: String,
}

/// What failed builds and caches left behind.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Leftovers {
    /// Build directories older than this.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_dirs: Option<String>,
    /// Build logs older than this.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_logs: Option<String>,
    /// Nix's caches older than this.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nix_cache: Option<String>,
}

/// How garbage is collected.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Collect {
    /// auto (by name where that does the same as Nix's own collector), selective (by name or not at all) or whole (as
    /// Nix does it).
    #[schemars(extend("default" = "auto", "enum" = ["auto", "selective", "whole", null]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    /// Spares what was registered within this time, with all that it needs.
    #[schemars(extend("pattern" = AGE))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keep_recent: Option<String>,
}

/// Hard-links equal files in the store.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Optimise {
    /// Whether it is done.
    pub(super) enabled: bool,
}

/// Checks the store.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Verify {
    /// Whether it is done.
    pub(super) enabled: bool,
    /// Whether the contents of every path are read and hashed.
    #[schemars(extend("default" = false))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contents: Option<bool>,
}

/// A JSON object; the derived code alone would also take a list, by position.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A whole number; one beyond 64 bits stays at the end, for no rule reaches that far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent, inline)]
pub(super) struct Whole(pub(super) i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(number).unwrap_or(i64::MAX)))
            }
        }
        from.deserialize_i64(WholeVisitor)
    }
}
