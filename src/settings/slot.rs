//! The content of a key: one value with its origin, a list, an object for each name, or a group of keys.
//!
//! All of them are [`Slot`]s: they describe, read, complete, merge and show themselves by the declaration of their key,
//! so that nothing outside `keys.rs` lists keys.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value as Json;

use super::declare::{Default, Key, Merge};
use super::finding::Pointer;
use super::platform::Platform;
use super::reader::Reader;
use super::syntax::{self, At, Node, Object, Value};
use super::values::{Shape, Type};

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default.
    Default,
    /// A file, by its name.
    File(String),
    /// A variable, by its name.
    Environment(String),
    /// A flag, by its name.
    Flag(String),
    /// The policy requires it, whatever else is written.
    Policy,
    /// The safe mode limits it, whatever else is written.
    SafeMode,
}

/// A value, as it is written, with its origin.
#[derive(Debug, Clone)]
pub(super) struct Sourced<T> {
    pub(super) value: T,
    written: Json,
    origin: Origin,
}

impl<T: Type> Sourced<T> {
    /// A default value.
    pub(super) fn new(value: T, written: &str, origin: Origin) -> Self {
        Self {
            value,
            written: written.into(),
            origin,
        }
    }
}

/// A list with its origin, which matters if it is empty.
#[derive(Debug, Clone)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    origin: Origin,
}

/// An object for each name.
#[derive(Debug, Clone)]
pub(super) struct Named<T>(pub(super) BTreeMap<String, T>);

/// A value of any key without its type, to show and compare it.
pub(super) enum Part {
    Leaf {
        json: Json,
        /// Its rank among such values, if they have an order.
        weight: Option<u64>,
        origin: Origin,
    },
    List(Vec<Part>),
    Group(Vec<(&'static Key, Option<Part>)>),
    Named(Vec<(String, Part)>),
}

impl Part {
    /// As JSON, without defaults.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Leaf { json, .. } => json.clone(),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Group(keys) => {
                let written = keys.iter();
                let written = written.filter_map(|(key, part)| Some((key.name, part.as_ref()?)));
                let entries = written.map(|(name, part)| (name.to_string(), part.json()));
                Json::Object(entries.collect())
            }
            Self::Named(entries) => {
                let entries = entries.iter();
                Json::Object(entries.map(|(k, part)| (k.clone(), part.json())).collect())
            }
        }
    }

    /// The values in it with their pointers, in the order of the declaration.
    pub(super) fn leaves(&self, at: At<'_>, into: &mut Vec<(Pointer, Json, Origin)>) {
        match self {
            Self::Leaf { json, origin, .. } => {
                into.push((at.pointer(), json.clone(), origin.clone()));
            }
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.leaves(At::Index(&at, index), into);
                }
            }
            Self::Group(keys) => {
                for (key, part) in keys {
                    if let Some(part) = part {
                        part.leaves(At::Key(&at, key.name), into);
                    }
                }
            }
            Self::Named(entries) => {
                for (name, part) in entries {
                    part.leaves(At::Key(&at, name), into);
                }
            }
        }
    }
}

/// The possible content of a key.
pub(super) trait Slot: Sized {
    fn shape() -> Shape;
    /// Reads it, and reports faults.
    fn read(reader: &mut Reader, at: At<'_>, node: &Node, key: &'static Key) -> Option<Self>;
    /// Merges it with the value of a lower file.
    fn over(self, lower: Self, key: &'static Key) -> Self;
    /// Adds defaults.
    fn fill(&mut self, platform: Platform);
    fn part(&self) -> Part;
    fn set_origin(&mut self, origin: &Origin);
}

/// An object with declared keys; only the macro `keys!` makes one.
pub(super) trait Group: Sized {
    const DOC: &'static str;
    const KEYS: &'static [&'static Key];
    fn read_keys(reader: &mut Reader, at: At<'_>, object: &Object) -> Self;
    fn over_keys(self, lower: Self) -> Self;
    fn fill_keys(&mut self, platform: Platform);
    fn parts(&self) -> Vec<(&'static Key, Option<Part>)>;
    fn set_origins(&mut self, origin: &Origin);
}

impl<T: Type> Slot for Sourced<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn read(reader: &mut Reader, at: At<'_>, node: &Node, key: &'static Key) -> Option<Self> {
        let (value, written) = reader.value::<T>(at, node, key)?;
        Some(Self {
            value,
            written,
            origin: Origin::Default,
        })
    }

    fn over(self, lower: Self, key: &'static Key) -> Self {
        let (above, below) = (self.value.weight(), lower.value.weight());
        match key.merge {
            Merge::Greatest if above <= below => lower,
            Merge::Least if above >= below => lower,
            Merge::Lowest => lower,
            _ => self,
        }
    }

    fn fill(&mut self, _: Platform) {}

    fn part(&self) -> Part {
        Part::Leaf {
            json: self.written.clone(),
            weight: self.value.weight(),
            origin: self.origin.clone(),
        }
    }

    fn set_origin(&mut self, origin: &Origin) {
        self.origin = origin.clone();
    }
}

impl<T: Slot> Slot for List<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn read(reader: &mut Reader, at: At<'_>, node: &Node, key: &'static Key) -> Option<Self> {
        let Value::List(items) = &node.value else {
            reader.wrong_type(at, node, "a list");
            return None;
        };
        reader.count(at, items.len(), key)?;
        let mut read = Vec::with_capacity(items.len());
        for (index, item) in items {
            read.extend(T::read(reader, At::Index(&at, *index), item, key));
            if reader.gives_up() {
                break;
            }
        }
        Some(Self {
            items: read,
            origin: Origin::Default,
        })
    }

    fn over(self, mut lower: Self, key: &'static Key) -> Self {
        match key.merge {
            Merge::Union => {
                let there: HashSet<String> = lower.items.iter().map(identity).collect();
                let more = self.items.into_iter();
                lower
                    .items
                    .extend(more.filter(|item| !there.contains(&identity(item))));
                lower
            }
            Merge::Lowest => lower,
            _ => self,
        }
    }

    fn fill(&mut self, platform: Platform) {
        self.items.iter_mut().for_each(|item| item.fill(platform));
    }

    fn part(&self) -> Part {
        if self.items.is_empty() {
            return Part::Leaf {
                json: Json::Array(Vec::new()),
                weight: None,
                origin: self.origin.clone(),
            };
        }
        Part::List(self.items.iter().map(Slot::part).collect())
    }

    fn set_origin(&mut self, origin: &Origin) {
        self.origin = origin.clone();
        self.items
            .iter_mut()
            .for_each(|item| item.set_origin(origin));
    }
}

fn identity(item: &impl Slot) -> String {
    item.part().json().to_string()
}

impl<T: Group> Slot for Named<T> {
    fn shape() -> Shape {
        Shape::Named(T::DOC, T::KEYS)
    }

    fn read(reader: &mut Reader, at: At<'_>, node: &Node, key: &'static Key) -> Option<Self> {
        let Value::Object(entries) = &node.value else {
            reader.wrong_type(at, node, "an object");
            return None;
        };
        reader.count(at, entries.len(), key)?;
        let mut read = BTreeMap::new();
        for (name, node) in entries {
            let at = At::Key(&at, name);
            reader.job_name(at, name);
            read.extend(T::read(reader, at, node, key).map(|entry| (name.clone(), entry)));
            if reader.gives_up() {
                break;
            }
        }
        Some(Self(read))
    }

    /// A job of the higher file replaces the whole job: nobody has written and checked a mixture of two.
    fn over(self, mut lower: Self, _: &'static Key) -> Self {
        lower.0.extend(self.0);
        lower
    }

    fn fill(&mut self, platform: Platform) {
        self.0.values_mut().for_each(|entry| entry.fill(platform));
    }

    fn part(&self) -> Part {
        let entries = self.0.iter();
        Part::Named(
            entries
                .map(|(name, entry)| (name.clone(), entry.part()))
                .collect(),
        )
    }

    fn set_origin(&mut self, origin: &Origin) {
        self.0
            .values_mut()
            .for_each(|entry| entry.set_origins(origin));
    }
}

impl<G: Group> Slot for G {
    fn shape() -> Shape {
        Shape::Group(G::DOC, G::KEYS)
    }

    fn read(reader: &mut Reader, at: At<'_>, node: &Node, _: &'static Key) -> Option<Self> {
        let Value::Object(object) = &node.value else {
            reader.wrong_type(at, node, "an object");
            return None;
        };
        reader.unknown_keys(at, object, G::KEYS);
        Some(G::read_keys(reader, at, object))
    }

    fn over(self, lower: Self, key: &'static Key) -> Self {
        match key.merge {
            Merge::Union => self.over_keys(lower),
            _ => self,
        }
    }

    fn fill(&mut self, platform: Platform) {
        self.fill_keys(platform);
    }

    fn part(&self) -> Part {
        Part::Group(self.parts())
    }

    fn set_origin(&mut self, origin: &Origin) {
        self.set_origins(origin);
    }
}

/// Merges the values of a key in two files.
pub(super) fn over<T: Slot>(upper: Option<T>, lower: Option<T>, key: &'static Key) -> Option<T> {
    match (upper, lower) {
        (Some(upper), Some(lower)) => Some(upper.over(lower, key)),
        (_, lower) if key.merge == Merge::Lowest => lower,
        (upper, lower) => upper.or(lower),
    }
}

/// Adds the default of a key, and those of the keys in it.
pub(super) fn fill<T: Slot>(slot: &mut Option<T>, key: &'static Key, platform: Platform) {
    if slot.is_none() {
        let paths = || platform.critical_paths().collect::<Json>().to_string();
        let text = match key.default {
            Default::None => None,
            Default::Json(text) => Some(text.to_string()),
            Default::CriticalPaths => Some(paths()),
        };
        let node = text.and_then(|text| syntax::parse(&text).ok());
        *slot = node.and_then(|(node, _)| T::read(&mut Reader::default(), At::Root, &node, key));
    }
    if let Some(value) = slot {
        value.fill(platform);
    }
}
