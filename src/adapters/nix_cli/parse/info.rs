//! What `nix path-info --json` prints, in the three forms that it has had.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::Deserialize;

use crate::domain::measure::Bytes;
use crate::domain::store_path::{self, StoreDir, StorePath, StorePathRef};

/// What Nix knows of a store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath<String>,
    /// What it knows; `None` for a path that is not valid.
    pub valid: Option<ValidPath>,
}

/// What Nix knows of a valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidPath {
    /// The size of its archive.
    pub nar_size: Bytes,
    /// What it refers to, perhaps itself.
    pub references: Vec<StorePath<String>>,
    /// The derivation that made it, valid or not.
    pub deriver: Option<StorePath<String>>,
    /// When it became valid, in seconds since 1970.
    pub registered: Option<i64>,
}

/// Why a text is not what `nix path-info --json` prints.
#[derive(Debug, thiserror::Error)]
pub enum MalformedInfo {
    /// It is not of any of the forms.
    #[error("what nix path-info printed is not of a form that is known")]
    Form(#[from] serde_json::Error),
    /// A path in it is none.
    #[error("nix path-info printed `{0}` for a store path")]
    Path(String, #[source] store_path::Error),
}

/// A list until 2.18, then an object by path, and by base name in format 2.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    List(Vec<Listed>),
    Formatted {
        info: BTreeMap<String, Option<Info>>,
    },
    ByPath(BTreeMap<String, Option<Info>>),
}

#[derive(Deserialize)]
struct Listed {
    path: String,
    #[serde(default = "yes")]
    valid: bool,
    #[serde(flatten)]
    info: Option<Info>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    nar_size: u64,
    #[serde(default)]
    references: Vec<String>,
    deriver: Option<String>,
    registration_time: Option<i64>,
}

fn yes() -> bool {
    true
}

/// Reads the document.
pub(in crate::adapters::nix_cli) fn path_info(
    text: &str,
    store: &StoreDir,
) -> Result<Vec<PathInfo>, MalformedInfo> {
    let entries: Vec<(String, Option<Info>)> = match serde_json::from_str(text)? {
        Document::List(list) => list
            .into_iter()
            .map(|entry| (entry.path, entry.info.filter(|_| entry.valid)))
            .collect(),
        Document::Formatted { info } => info.into_iter().collect(),
        Document::ByPath(paths) => paths.into_iter().collect(),
    };
    entries
        .into_iter()
        .map(|(path, info)| {
            let info = info.map(|info| valid(info, store)).transpose()?;
            Ok(PathInfo {
                path: parse(&path, store)?,
                valid: info,
            })
        })
        .collect()
}

fn valid(info: Info, store: &StoreDir) -> Result<ValidPath, MalformedInfo> {
    let references = info.references.iter().map(|path| parse(path, store));
    Ok(ValidPath {
        nar_size: Bytes(info.nar_size),
        references: references.collect::<Result<_, _>>()?,
        deriver: info.deriver.map(|path| parse(&path, store)).transpose()?,
        registered: info.registration_time,
    })
}

/// A path, absolute or by its base name.
fn parse(text: &str, store: &StoreDir) -> Result<StorePath<String>, MalformedInfo> {
    let path = if text.starts_with('/') {
        StorePathRef::from_absolute_path(Utf8Path::new(text), store)
    } else {
        StorePathRef::from_base_name(text)
    };
    path.map(|path| path.to_owned())
        .map_err(|error| MalformedInfo::Path(text.escape_debug().to_string(), error))
}
