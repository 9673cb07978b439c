//! Declaration of keys: the properties of a key, and the macro that makes types from `keys.rs`.

use serde_json::Value as Json;

use super::finding::Code;
use super::values::Shape;

/// The properties of a key besides the type of its value.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Its meaning, in one or two sentences.
    pub(super) doc: &'static str,
    pub(super) shape: fn() -> Shape,
    /// Whether it is required.
    pub(super) required: Required,
    /// The default value.
    pub(super) default: Default,
    /// The least and the greatest number.
    pub(super) range: Option<(i64, i64)>,
    /// The least and the greatest number of items.
    pub(super) items: (usize, usize),
    /// The code of the finding for a wrong value.
    pub(super) code: Code,
    /// The code of the finding for a wrong number of items.
    pub(super) items_code: Code,
    pub(super) merge: Merge,
    pub(super) risk: Risk,
    pub(super) tidy: Tidy,
    /// The flag with the same effect for one run.
    pub(super) flag: Option<&'static str>,
}

impl Key {
    /// A key without further properties.
    pub(super) const PLAIN: Self = Self {
        name: "",
        doc: "",
        shape: || Shape::Switch,
        required: Required::No,
        default: Default::None,
        range: None,
        items: (0, usize::MAX),
        code: Code::WrongType,
        items_code: Code::WrongType,
        merge: Merge::Highest,
        risk: Risk::Low,
        tidy: Tidy::Nothing,
        flag: None,
    };
}

/// Whether a key is required.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    No,
    Yes,
    /// Required; a missing key has its own code.
    As(Code),
}

/// The default of a key.
#[derive(Clone, Copy)]
pub(super) enum Default {
    None,
    /// This JSON.
    Json(&'static str),
    /// The critical paths of the platform.
    CriticalPaths,
}

/// How several files are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The value of the highest file that sets it.
    Highest,
    /// Each key of the group by its own rule, or all items of a list.
    Union,
    /// The greatest value: no file takes back what another one requires.
    Greatest,
    /// The least value.
    Least,
    /// The value of the lowest file, even if it does not set it.
    Lowest,
}

/// The risk of a change to a key; others are low.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Risk {
    /// It is not compared.
    Meaningless,
    /// It does not affect what a run removes.
    Low,
    /// That of each key in it; an absent group is a group of absent keys.
    Each,
    /// Switching it off is high.
    Guard,
    /// A larger value keeps more: a smaller one is medium, zero is high.
    Keeps,
    /// As `Keeps`, and removing it is the same as zero.
    Spares,
    /// A larger value lets a run remove more, and is medium.
    Allows,
    /// As high as the level that it is raised to.
    Ceiling,
    /// Removing an item is high; removing a critical path is critical.
    Protects,
    /// Adding an item is high if the check stops a collection.
    Accepts,
    /// A new job has the highest risk that it can reach.
    Job,
    /// Switching the job on has the highest risk that it can reach.
    Enables,
    /// A stricter goal is medium, and so is a changed or a removed one.
    Budget,
    /// The risk of removing generations of the added profiles.
    Removes,
    /// An age from which generations are removed: setting or shortening it is high.
    RemovesAfter,
    /// An age from which files are removed that nobody misses: any change is low.
    Tidies,
    /// A list that restricts what is removed: taking it away or adding an item has the risk of removing generations of
    /// users.
    Restricts,
    /// Rules in an order: any change has the risk of removing the link of a root.
    Rules,
}

/// Corrections that are made silently because only one meaning is possible.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tidy {
    Nothing,
    /// White space around a text.
    Trim,
    /// White space around a path, and duplicate paths.
    Paths,
    /// A number out of range, on request of the caller.
    Clamp,
}

/// The JSON of a key's default, for the schema and the reference.
pub(super) fn default_json(key: &Key) -> Option<Json> {
    match key.default {
        Default::Json(text) => serde_json::from_str(text).ok(),
        Default::None | Default::CriticalPaths => None,
    }
}

/// Declares groups of keys. Each key has a meaning, a field, a name in JSON, the type of its value, and the fields of
/// [`Key`] that differ from the default.
macro_rules! keys {
    ($(
        $(#[doc = $about:literal])+
        $group:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $name:literal: $type:ty $({ $($what:ident: $value:expr),* $(,)? })?;
            )*
        }
    )*) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Default)]
            pub(super) struct $group {
                $($(#[doc = $doc])+ pub(super) $field: Option<$type>,)*
            }

            #[allow(non_upper_case_globals, reason = "a key has the name of its field")]
            impl $group {
                $(
                    const $field: Key = Key {
                        name: $name,
                        doc: concat!($($doc),+).trim_ascii(),
                        shape: <$type as Slot>::shape,
                        $($($what: $value,)*)?
                        ..Key::PLAIN
                    };
                )*
            }

            impl Group for $group {
                const DOC: &'static str = concat!($($about),+).trim_ascii();
                const KEYS: &'static [&'static Key] = &[$(&Self::$field),*];

                fn read_keys(reader: &mut Reader, at: At<'_>, object: &Object) -> Self {
                    Self { $($field: reader.slot(at, object, &Self::$field),)* }
                }

                fn over_keys(self, lower: Self) -> Self {
                    Self { $($field: over(self.$field, lower.$field, &Self::$field),)* }
                }

                fn fill_keys(&mut self, platform: Platform) {
                    $(fill(&mut self.$field, &Self::$field, platform);)*
                }

                fn parts(&self) -> Vec<(&'static Key, Option<Part>)> {
                    vec![$((&Self::$field, self.$field.as_ref().map(Slot::part))),*]
                }

                fn set_origins(&mut self, origin: &Origin) {
                    $(if let Some(value) = &mut self.$field {
                        value.set_origin(origin);
                    })*
                }
            }
        )*
    };
}
pub(super) use keys;
