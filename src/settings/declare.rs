//! How keys are declared: what can be said of a key, and the macro that makes types of the declaration in `keys.rs`.

use serde_json::Value as Json;

use super::finding::Code;
use super::values::Shape;

/// What is declared of a key besides the type of its value.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it means, in one or two sentences.
    pub(super) doc: &'static str,
    pub(super) shape: fn() -> Shape,
    /// Whether it must be written.
    pub(super) required: Required,
    /// The value where nobody writes one.
    pub(super) default: Default,
    /// The least and the greatest number.
    pub(super) range: Option<(i64, i64)>,
    /// The least and the greatest number of items.
    pub(super) items: (usize, usize),
    /// The finding for a value that is not one of those allowed.
    pub(super) code: Code,
    /// The finding for a number of items that is not allowed.
    pub(super) items_code: Code,
    pub(super) merge: Merge,
    pub(super) risk: Risk,
    pub(super) tidy: Tidy,
    /// The flag that says the same for one run.
    pub(super) flag: Option<&'static str>,
}

impl Key {
    /// A key of which nothing else is declared.
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

/// Whether a key must be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    No,
    Yes,
    /// Yes; its absence has a name of its own.
    As(Code),
}

/// The value of a key that nobody writes.
#[derive(Clone, Copy)]
pub(super) enum Default {
    None,
    /// This JSON.
    Json(&'static str),
    /// The critical paths of the platform.
    CriticalPaths,
}

/// What holds where several files write a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// The value of the highest file that writes it.
    Highest,
    /// Each key of the group by its own rule; all items of a list.
    Union,
    /// The greatest value: no file takes back what another one asks for.
    Greatest,
    /// The least value.
    Least,
    /// The value of the lowest file, even if it writes none.
    Lowest,
}

/// How much a change of a key can hurt; what is not named is low.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Risk {
    /// It is not compared.
    Meaningless,
    /// Nothing that a run removes depends on it.
    Low,
    /// That of each key in it, which is absent where the group is.
    Each,
    /// To switch it off is high.
    Guard,
    /// More keeps more: less of it is medium, zero is high.
    Keeps,
    /// As `Keeps`, and to remove it is the same as zero.
    Spares,
    /// More lets a run remove more: more of it is medium.
    Allows,
    /// As risky as the level that it is raised to.
    Ceiling,
    /// To remove an item is high; a critical path is critical.
    Protects,
    /// To add an item is high where the check stops a collection.
    Accepts,
    /// A new job is as risky as what it may do.
    Job,
    /// To switch the job on is as risky as what it may do.
    Enables,
    /// A stricter goal is medium, and so is another one or none.
    Budget,
    /// As risky as removing generations of the profiles that are added.
    Removes,
}

/// What is corrected without asking because it can mean one thing only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tidy {
    Nothing,
    /// White space around a text.
    Trim,
    /// White space around a path, and paths that are there already.
    Paths,
    /// A number out of range, if the caller asks for it.
    Clamp,
}

/// The JSON of a key's default, for the schema and the reference.
pub(super) fn default_json(key: &Key) -> Option<Json> {
    match key.default {
        Default::Json(text) => serde_json::from_str(text).ok(),
        Default::None | Default::CriticalPaths => None,
    }
}

/// Declares groups of keys. Of each key: its meaning, the field, the name in JSON, the type of the value, and what else is
/// to be said of it, by the fields of [`Key`].
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
