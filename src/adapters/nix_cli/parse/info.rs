//! Parser for `nix path-info --json`, in its three forms.

use std::fmt;
use std::io::Read;

use camino::Utf8Path;
use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

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
    /// The size of its archive; 0 where Nix does not know it.
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
    #[error("cannot parse the output of nix path-info")]
    Form(#[from] serde_json::Error),
    /// A path in it is none.
    #[error("nix path-info printed `{0}` for a store path")]
    Path(String, #[source] store_path::Error),
}

/// What there is of a path, in each of the forms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    path: Option<String>,
    valid: Option<bool>,
    nar_size: Option<u64>,
    #[serde(default)]
    references: Vec<String>,
    deriver: Option<String>,
    registration_time: Option<i64>,
}

/// Reads a document that is at hand.
pub(in crate::adapters::nix_cli) fn path_info(
    text: &str,
    store: &StoreDir,
) -> Result<Vec<PathInfo>, MalformedInfo> {
    let mut all = Vec::new();
    each_path_info(text.as_bytes(), store, &mut |info| all.push(info))?;
    Ok(all)
}

/// Reads a document as it comes, and gives each path as soon as it is whole. When this fails, some were given already.
pub(in crate::adapters::nix_cli) fn each_path_info(
    reader: impl Read,
    store: &StoreDir,
    take: &mut dyn FnMut(PathInfo),
) -> Result<(), MalformedInfo> {
    let mut wrong = None;
    let mut document = serde_json::Deserializer::from_reader(reader);
    let entries = Entries {
        store,
        take,
        wrong: &mut wrong,
    };
    let read = entries.deserialize(&mut document);
    let read = read.and_then(|()| document.end());
    read.map_err(|error| wrong.unwrap_or(MalformedInfo::Form(error)))
}

/// The entries: a list until 2.18, then an object by path, and in format 2 one by base name within another.
struct Entries<'a> {
    store: &'a StoreDir,
    take: &'a mut dyn FnMut(PathInfo),
    /// What was wrong, where it is not the form.
    wrong: &'a mut Option<MalformedInfo>,
}

impl Entries<'_> {
    fn entry<E: serde::de::Error>(&mut self, path: &str, info: Option<Info>) -> Result<(), E> {
        match entry(path, info, self.store) {
            Ok(info) => {
                (self.take)(info);
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                *self.wrong = Some(error);
                Err(E::custom(text))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object of store paths")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(info) = list.next_element::<Info>()? {
            let path = info.path.clone();
            let path = path.ok_or_else(|| A::Error::missing_field("path"))?;
            self.entry(&path, Some(info).filter(|info| info.valid != Some(false)))?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        while let Some(key) = object.next_key::<String>()? {
            match key.as_str() {
                "info" => object.next_value_seed(Entries {
                    store: self.store,
                    take: &mut *self.take,
                    wrong: &mut *self.wrong,
                })?,
                "storeDir" | "version" => {
                    object.next_value::<IgnoredAny>()?;
                }
                path => {
                    let info = object.next_value::<Option<Info>>()?;
                    self.entry(path, info)?;
                }
            }
        }
        Ok(())
    }
}

fn entry(path: &str, info: Option<Info>, store: &StoreDir) -> Result<PathInfo, MalformedInfo> {
    let info = info.map(|info| valid(info, store)).transpose()?;
    Ok(PathInfo {
        path: parse(path, store)?,
        valid: info,
    })
}

fn valid(info: Info, store: &StoreDir) -> Result<ValidPath, MalformedInfo> {
    let references = info.references.iter().map(|path| parse(path, store));
    Ok(ValidPath {
        nar_size: Bytes(info.nar_size.unwrap_or_default()),
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
