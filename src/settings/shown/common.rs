//! What adds up over all files: each item has the first file that asks for it.

use super::{InForce, file};
use crate::domain::job::{ProfileRef, ProtectedGeneration};
use crate::domain::limits::Limits;
use crate::settings::finding::Pointer;
use crate::settings::raw::{self, Object, Whole};
use crate::settings::{Layer, Settings};

impl InForce {
    pub(super) fn protect(&mut self, layers: &[Layer], settings: &Settings) {
        let at = Pointer::root().key("protect");
        let says = |layer: &Layer, path: &str| {
            let protect = layer.written.0.protect.as_ref();
            let paths = protect.and_then(|Object(protect)| protect.paths.as_ref());
            paths.is_some_and(|paths| paths.iter().any(|other| other == path))
        };
        let mut protect = raw::Protect::default();
        let mut paths = Vec::new();
        for (i, path) in settings.protected_paths().enumerate() {
            self.first(layers, &at.key("paths").index(i), |l| {
                says(l, path.as_str())
            });
            paths.push(path.to_string());
        }
        protect.paths = Some(paths);
        let mut roots = Vec::new();
        for (i, text) in settings.protect().roots.texts().enumerate() {
            let has = |l: &Layer| {
                l.settings
                    .protect()
                    .roots
                    .texts()
                    .any(|other| other == text)
            };
            self.first(layers, &at.key("roots").index(i), has);
            roots.push(text.to_string());
        }
        protect.roots = Some(roots);
        let mut pins = Vec::new();
        for (i, pin) in settings.protect().generations.iter().enumerate() {
            let at = at.key("generations").index(i);
            let has = |l: &Layer| l.settings.protect().generations.contains(pin);
            for key in ["profile", "number", "reason"] {
                self.first(layers, &at.key(key), has);
            }
            pins.push(Object(written(pin)));
        }
        protect.generations = Some(pins);
        let wrote = |l: &Layer, key: fn(&raw::Protect) -> bool| {
            l.written.0.protect.as_ref().is_some_and(|Object(p)| key(p))
        };
        // Where nobody lists anything, the empty list is somebody's all the same.
        self.first(layers, &at.key("roots"), |l| {
            wrote(l, |p| p.roots.is_some())
        });
        self.first(layers, &at.key("generations"), |l| {
            wrote(l, |p| p.generations.is_some())
        });
        self.settings.protect = Some(Object(protect));
    }

    /// The entries that hold, which are those of the first file.
    pub(super) fn accept(&mut self, layers: &[Layer], settings: &Settings) {
        let at = Pointer::root().key("accept");
        let mut entries = Vec::new();
        for (i, entry) in settings.accepted().iter().enumerate() {
            let at = at.index(i);
            for key in ["code", "place", "reason"] {
                self.first(layers, &at.key(key), |l| {
                    l.settings.accepted().contains(entry)
                });
            }
            entries.push(Object(raw::Acceptance {
                code: entry.code.to_string(),
                place: entry.place.to_string(),
                reason: entry.reason.clone(),
            }));
        }
        let first = layers.first();
        if let Some(layer) = first.filter(|layer| layer.written.0.accept.is_some()) {
            self.note(&at, file(&layer.name));
        }
        self.settings.accept = Some(entries);
    }

    /// Only what it asks for: there is nothing to show of a policy that asks for nothing.
    pub(super) fn policy(&mut self, layers: &[Layer], settings: &Settings) {
        let at = Pointer::root().key("policy");
        let policy = settings.policy();
        let keep = at.key("keepAtLeast");
        let last = (policy.keep.last > 0).then(|| Whole(policy.keep.last.into()));
        let within = (!policy.keep.within.is_zero()).then(|| policy.keep.within.to_string());
        let window = (!policy.undo_window.is_zero()).then(|| policy.undo_window.to_string());
        self.first(layers, &keep.key("last"), |l| {
            l.settings.policy().keep.last == policy.keep.last
        });
        self.first(layers, &keep.key("within"), |l| {
            l.settings.policy().keep.within == policy.keep.within
        });
        self.first(layers, &at.key("maxRisk"), |l| {
            l.settings.policy().max_risk == policy.max_risk
        });
        self.first(layers, &at.key("undoWindow"), |l| {
            l.settings.policy().undo_window == policy.undo_window
        });
        let asked = raw::Policy {
            keep_at_least: (last.is_some() || within.is_some())
                .then_some(Object(raw::Floor { last, within })),
            max_risk: policy.max_risk.map(|level| level.to_string()),
            undo_window: window,
        };
        let some = asked.keep_at_least.is_some()
            || asked.max_risk.is_some()
            || asked.undo_window.is_some();
        self.settings.policy = some.then_some(Object(asked));
    }

    /// Only what is limited, as the first file writes it that asks for as little.
    pub(super) fn limits(&mut self, layers: &[Layer], settings: &Settings) {
        let at = Pointer::root().key("limits");
        let limits = settings.limits();
        let mut written = raw::Limits::default();
        let said = |layer: &Layer| layer.written.0.limits.clone();
        if limits.generations.is_some() {
            let asks = |l: &Layer| l.settings.limits().generations == limits.generations;
            self.first(layers, &at.key("maxGenerationsPerRun"), asks);
            let from = layers.iter().find(|layer| asks(layer)).and_then(said);
            written.max_generations_per_run = from.and_then(|Object(l)| l.max_generations_per_run);
        }
        if limits.bytes.is_some() {
            let asks = |l: &Layer| l.settings.limits().bytes == limits.bytes;
            self.first(layers, &at.key("maxBytesPerRun"), asks);
            let from = layers.iter().find(|layer| asks(layer)).and_then(said);
            written.max_bytes_per_run = from.and_then(|Object(l)| l.max_bytes_per_run);
        }
        self.settings.limits = (limits != Limits::default()).then_some(Object(written));
    }

    /// Notes the first file that asks for what holds; it is the default where none does.
    fn first(&mut self, layers: &[Layer], at: &Pointer, asks: impl Fn(&Layer) -> bool) {
        if let Some(layer) = layers.iter().find(|layer| asks(layer)) {
            self.note(at, file(&layer.name));
        }
    }
}

fn written(pin: &ProtectedGeneration) -> raw::Pin {
    raw::Pin {
        profile: match &pin.profile {
            ProfileRef::Path(path) => path.to_path().into_string(),
            ProfileRef::Name(name) => name.clone(),
        },
        number: Whole(pin.number.0.into()),
        reason: pin.reason.clone(),
    }
}
