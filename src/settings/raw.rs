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

/// The settings of nix-prune.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    /// The version of the settings.
    #[schemars(required, range(min = 1, max = 1))]
    pub(super) version: Option<Whole>,
    /// Refuses critical actions, whatever a job allows; true unless said otherwise.
    pub(super) safe_mode: Option<bool>,
    /// How long what was dropped is held, such as `7d`, which is the default.
    pub(super) undo_window: Option<String>,
    /// What no job may take away.
    pub(super) protect: Option<Object<Protect>>,
    /// What no job, flag or other file can fall short of; where several files ask, the strictest counts.
    pub(super) policy: Option<Object<Policy>>,
    /// The jobs by name.
    #[schemars(required)]
    pub(super) jobs: Option<BTreeMap<String, Object<Job>>>,
}

/// What no job may take away.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Protect {
    /// Places that are never removed; must hold every critical path of the platform, which is also the default.
    pub(super) paths: Option<Vec<String>>,
    /// Generations that are never dropped.
    pub(super) generations: Option<Vec<Object<Pin>>>,
    /// Patterns for links of roots that are never removed, such as `/home/*/keep/**`.
    pub(super) roots: Option<Vec<String>>,
}

/// What no job can fall short of.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Policy {
    /// What stays of every profile, whatever a job's rules say.
    pub(super) keep_at_least: Option<Object<Floor>>,
    /// The highest risk that any job may have: low, medium, high or critical.
    pub(super) max_risk: Option<String>,
    /// The shortest undo window, such as `1d`; no hold ends before its time then.
    pub(super) undo_window: Option<String>,
}

/// The least that stays of a profile.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Floor {
    /// This many, counted back from the current generation.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) last: Option<Whole>,
    /// What is not older than this, such as `7d`, and the one that was active then.
    pub(super) within: Option<String>,
}

/// A generation that is never dropped.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pin {
    /// The profile, by path or by the name it has in Nix's profiles directory.
    pub(super) profile: String,
    /// The number of the generation.
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub(super) number: Whole,
    /// Why.
    pub(super) reason: Option<String>,
}

/// A named set of operations.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Job {
    /// What it is for.
    pub(super) description: Option<String>,
    /// Whether it runs at all; true unless said otherwise.
    pub(super) enabled: Option<bool>,
    /// Actions above this level stop a run: low, medium, high (the default) or critical.
    pub(super) max_risk: Option<String>,
    /// The disk goal.
    pub(super) budget: Option<Object<Budget>>,
    /// What it does.
    pub(super) operations: Option<Object<Operations>>,
}

/// The disk goal of a job.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Budget {
    /// The least that is to be free, such as `50G` or `20%`.
    pub(super) min_free: Option<String>,
    /// The most of the file system that may be used, in percent.
    #[schemars(range(min = 10, max = 95))]
    pub(super) max_used: Option<Whole>,
    /// The largest store, such as `200G`.
    pub(super) max_store: Option<String>,
    /// Whether holds are released before their window ends: never or ifNeeded.
    pub(super) release_holds: Option<String>,
}

/// The operations of a job, in the order in which they run.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Operations {
    /// Thins out generations.
    pub(super) generations: Option<Object<Generations>>,
    /// Removes roots.
    pub(super) roots: Option<Object<Roots>>,
    /// Removes what failed builds and caches left behind.
    pub(super) leftovers: Option<Object<Leftovers>>,
    /// Collects garbage.
    pub(super) collect: Option<Object<Collect>>,
    /// Hard-links equal files in the store.
    pub(super) optimise: Option<Object<Optimise>>,
    /// Checks the store.
    pub(super) verify: Option<Object<Verify>>,
}

/// Which profiles are thinned out, and what stays.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Generations {
    /// system, users, home-manager (all three unless said otherwise) or the absolute path of a profile.
    pub(super) profiles: Option<Vec<String>>,
    /// What stays.
    pub(super) keep: Option<Object<Keep>>,
    /// Whether the boot menu is written anew afterwards.
    pub(super) refresh_boot_menu: Option<bool>,
}

/// Keep rules; a generation stays if any of them keeps it.
#[derive(Debug, Clone, Default, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Keep {
    /// This many, counted back from the current generation.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) last: Option<Whole>,
    /// What is not older than this, such as `14d`.
    pub(super) within: Option<String>,
    /// The newest of each of this many days.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) daily: Option<Whole>,
    /// The newest of each of this many ISO weeks.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) weekly: Option<Whole>,
    /// The newest of each of this many months.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) monthly: Option<Whole>,
    /// The newest of each of this many years.
    #[schemars(range(min = 0, max = 1000))]
    pub(super) yearly: Option<Whole>,
}

/// Which roots are removed.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Roots {
    /// Those whose link is gone; false unless said otherwise.
    pub(super) dangling: Option<bool>,
    /// Those that nobody used for a while.
    pub(super) rules: Option<Vec<Object<RootRule>>>,
}

/// Which roots are removed for their age.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RootRule {
    /// The kind of roots.
    pub(super) kind: String,
    /// How long nobody used them.
    pub(super) unused_for: String,
}

/// What failed builds and caches left behind.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Leftovers {
    /// Build directories older than this.
    pub(super) build_dirs: Option<String>,
    /// Build logs older than this.
    pub(super) build_logs: Option<String>,
    /// Nix's caches older than this.
    pub(super) nix_cache: Option<String>,
}

/// How garbage is collected.
#[derive(Debug, Clone, serde::Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Collect {
    /// auto (by name where that does the same as Nix's own collector; the default), selective (by name or not at all)
    /// or whole (as Nix does it).
    pub(super) method: Option<String>,
    /// Spares what was registered within this time, with all that it needs.
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
    /// Whether the contents of every path are read and hashed; false unless said otherwise.
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
