//! Lock files of flakes, versions 5 to 7: the store paths of the locked inputs.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use serde::Deserialize;

use super::super::names::shown;
use crate::domain::store_path::{NAR_HASH_SIZE, StoreDir, StorePath};

/// The versions that Nix reads as well.
const VERSIONS: std::ops::RangeInclusive<u64> = 5..=7;

/// The name of a source in the store, unless the lock gives another one.
const SOURCE: &str = "source";

/// Why a lock file does not say which store paths it locks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LockError {
    /// Its text, which may be anything that another user put there, is not repeated.
    #[error("flake.lock is not a lock file (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("flake.lock has version {0}, and only versions 5 to 7 are known")]
    Version(u64),
    #[error("flake.lock does not lock the input `{0}`")]
    Unlocked(String),
    #[error("flake.lock has no narHash for the input `{0}`, so its store path is unknown")]
    NoHash(String),
    #[error("flake.lock has an invalid narHash or name for the input `{0}`")]
    Invalid(String),
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

#[derive(Deserialize)]
struct Lock {
    root: String,
    nodes: BTreeMap<String, Node>,
}

/// A node. Inputs that follow others are no nodes, and neither `flake = false` nor `dir` changes a store path.
#[derive(Deserialize)]
struct Node {
    locked: Option<Source>,
    /// In version 5 the hash is here.
    info: Option<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    r#type: Option<String>,
    path: Option<String>,
    nar_hash: Option<String>,
    name: Option<String>,
}

impl Source {
    /// What it is without a hash. Anything else can have a store path that Nix finds by the cache of its fetchers.
    fn without_hash(&self) -> Option<Input> {
        let path = self.path.as_deref().unwrap_or_default();
        match self.r#type.as_deref()? {
            "path" if !path.is_empty() && !path.starts_with('/') => Some(Input::Part),
            "path" | "indirect" => Some(Input::Unlocked),
            _ => None,
        }
    }
}

/// Where Nix gets an input from.
enum Input {
    Path(StorePath<String>),
    /// A part of the flake that locks it, which has no store path of its own.
    Part,
    /// Nix refuses to use it as a locked input, or reads it from its directory, but never from the store.
    Unlocked,
}

/// What a lock file says of its inputs, of inputs of inputs as well.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inputs {
    pub(super) paths: BTreeSet<StorePath<String>>,
    /// The names of the inputs that it does not lock, and that Nix does not take from the store.
    pub(super) unlocked: Vec<String>,
    /// Why the store path of some other input is unknown.
    pub(super) unknown: Option<LockError>,
}

/// The inputs of a lock file. Those that are known are kept whatever is unknown of the others.
pub(super) fn inputs(text: &str, store: &StoreDir) -> Result<Inputs, LockError> {
    let malformed = |error: serde_json::Error| LockError::Malformed {
        line: error.line(),
        column: error.column(),
    };
    let Version { version } = serde_json::from_str(text).map_err(malformed)?;
    if !VERSIONS.contains(&version) {
        return Err(LockError::Version(version));
    }
    let lock: Lock = serde_json::from_str(text).map_err(malformed)?;
    let nodes = lock.nodes.iter().filter(|(name, _)| **name != lock.root);
    let mut inputs = Inputs::default();
    for (name, node) in nodes {
        match input(name, node, store) {
            Ok(Input::Path(path)) => _ = inputs.paths.insert(path),
            Ok(Input::Part) => {}
            Ok(Input::Unlocked) => inputs.unlocked.push(shown(name)),
            Err(error) => _ = inputs.unknown.get_or_insert(error),
        }
    }
    Ok(inputs)
}

fn input(name: &str, node: &Node, store: &StoreDir) -> Result<Input, LockError> {
    let shown = || shown(name);
    let locked = node.locked.as_ref();
    let locked = locked.ok_or_else(|| LockError::Unlocked(shown()))?;
    let info = node.info.as_ref().and_then(|info| info.nar_hash.as_ref());
    let Some(hash) = info.or(locked.nar_hash.as_ref()) else {
        return locked
            .without_hash()
            .ok_or_else(|| LockError::NoHash(shown()));
    };
    let invalid = || LockError::Invalid(shown());
    let hash = nar_hash(hash).ok_or_else(invalid)?;
    let name = locked.name.as_deref().unwrap_or(SOURCE);
    let path = StorePath::of_source(name, &hash, store);
    path.map(Input::Path).map_err(|_| invalid())
}

/// Decodes a hash as Nix writes it: `sha256-` and base 64.
fn nar_hash(text: &str) -> Option<[u8; NAR_HASH_SIZE]> {
    let text = text.strip_prefix("sha256-")?;
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// Whatever a lock file has, reading it ends, and finds only sources.
#[cfg(any(test, fuzzing))]
pub(in crate::adapters::survey) fn fuzz(text: &str, store: &StoreDir) {
    if let Err(error) = inputs(text, store) {
        let error = error.to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use rstest::rstest;
    use serde_json::{Value, json};

    const HASH: &str = "sha256-m/i4zIJHKRtapNnPwNUoFromRkwfucNCdbqZ1oxSjWo=";

    fn all(lock: &Value) -> Result<Inputs, LockError> {
        let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
        inputs(&lock.to_string(), &store)
    }

    fn read(lock: &Value) -> Result<Vec<String>, LockError> {
        let inputs = all(lock)?;
        assert_eq!(inputs.unlocked, [""; 0]);
        match inputs.unknown {
            Some(error) => Err(error),
            None => Ok(inputs.paths.iter().map(ToString::to_string).collect()),
        }
    }

    fn lock(version: u64, node: &Value) -> Value {
        json!({
            "version": version,
            "root": "root",
            "nodes": { "root": { "inputs": { "a": "a", "b": ["a", "c"] } }, "a": node },
        })
    }

    #[rstest]
    #[case::version_5(5, json!({"locked": {"type": "github"}, "info": {"narHash": HASH}}))]
    #[case::version_6(6, json!({"locked": {"type": "git", "narHash": HASH}}))]
    #[case::version_7(7, json!({"locked": {"type": "tarball", "narHash": HASH}}))]
    #[case::no_flake(7, json!({"flake": false, "locked": {"type": "file", "narHash": HASH}}))]
    #[case::dir(7, json!({"locked": {"type": "path", "path": "/a", "dir": "b", "narHash": HASH}}))]
    #[case::the_info_counts(5, json!({"locked": {"narHash": "x"}, "info": {"narHash": HASH}}))]
    fn every_locked_input_has_its_path(#[case] version: u64, #[case] node: Value) {
        assert_eq!(
            read(&lock(version, &node)).unwrap(),
            ["bgb79jccl8x3lxrwr6skmhb2sz10qizp-source"]
        );
    }

    #[test]
    fn another_name_is_another_path() {
        let node = json!({"locked": {"narHash": HASH, "name": "other"}});
        let paths = read(&lock(7, &node)).unwrap();
        assert!(paths[0].ends_with("-other"), "{paths:?}");
    }

    #[rstest]
    #[case::relative(json!({"locked": {"type": "path", "path": "./sub"}, "parent": []}))]
    #[case::above(json!({"locked": {"type": "path", "path": "../sub"}, "parent": ["b"]}))]
    fn a_part_of_the_flake_has_no_path_of_its_own(#[case] node: Value) {
        assert_eq!(read(&lock(7, &node)), Ok(Vec::new()));
    }

    /// Nix 2.8, 2.26 and 2.34 refuse each of these, or read it from its directory. A path in the store serves none of them.
    #[rstest]
    #[case::absolute(json!({"type": "path", "path": "/a"}))]
    #[case::no_path(json!({"type": "path"}))]
    #[case::empty_path(json!({"type": "path", "path": "", "lastModified": 1}))]
    #[case::indirect(json!({"type": "indirect", "id": "nixpkgs"}))]
    fn an_input_that_nix_never_takes_from_the_store_is_named(#[case] locked: Value) {
        let inputs = all(&lock(7, &json!({ "locked": locked }))).unwrap();
        let unlocked = vec!["a".to_string()];
        assert_eq!(
            inputs,
            Inputs {
                unlocked,
                ..Inputs::default()
            }
        );
    }

    /// As git with a revision: Nix 2.8 finds its path by the cache of its fetchers, and reads it offline.
    #[test]
    fn what_is_known_is_kept_beside_what_is_not() {
        let locked = |locked| json!({ "locked": locked });
        let lock = json!({"version": 7, "root": "root", "nodes": {
            "a": locked(json!({"type": "git", "rev": "2c9474ad"})),
            "b": locked(json!({"type": "path", "path": "/b"})),
            "c": locked(json!({"type": "git", "narHash": HASH})),
            "d": locked(json!({"type": "git", "narHash": ""})),
        }});
        let inputs = all(&lock).unwrap();
        assert_eq!(inputs.paths.len(), 1);
        assert_eq!(inputs.unlocked, ["b"]);
        assert_eq!(inputs.unknown, Some(LockError::NoHash("a".into())));
    }

    #[rstest]
    #[case::too_old(lock(4, &json!({})), LockError::Version(4))]
    #[case::too_new(lock(8, &json!({})), LockError::Version(8))]
    #[case::unlocked(lock(7, &json!({"original": {}})), LockError::Unlocked("a".into()))]
    #[case::no_hash(lock(7, &json!({"locked": {"type": "git"}})), LockError::NoHash("a".into()))]
    #[case::no_type(lock(7, &json!({"locked": {"path": "/a"}})), LockError::NoHash("a".into()))]
    #[case::relative_elsewhere(
        lock(7, &json!({"locked": {"type": "git", "path": "a"}})),
        LockError::NoHash("a".into())
    )]
    #[case::a_path_with_a_hash_that_is_none(
        lock(7, &json!({"locked": {"type": "path", "path": "/a", "narHash": ""}})),
        LockError::Invalid("a".into())
    )]
    #[case::short(
        lock(7, &json!({"locked": {"narHash": "sha256-AAAA"}})),
        LockError::Invalid("a".into())
    )]
    #[case::base_16(
        lock(7, &json!({"locked": {"narHash": "sha256:00"}})),
        LockError::Invalid("a".into())
    )]
    #[case::a_name_that_nix_refuses(
        lock(7, &json!({"locked": {"narHash": HASH, "name": "../x"}})),
        LockError::Invalid("a".into())
    )]
    #[case::no_object(json!([]), LockError::Malformed { line: 1, column: 2 })]
    #[case::no_nodes(json!({"version": 7}), LockError::Malformed { line: 1, column: 13 })]
    fn whatever_is_not_known_is_an_error(#[case] lock: Value, #[case] error: LockError) {
        assert_eq!(read(&lock), Err(error));
    }

    #[test]
    fn an_error_repeats_nothing_that_commands_a_terminal() {
        let lock = json!({"version": 7, "root": "r", "nodes": {"\u{1b}[2J": {}}});
        let error = read(&lock).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}
