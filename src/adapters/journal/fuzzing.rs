//! Fuzz targets for the files of the journal.

use camino::Utf8Path;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::pins::Pins;
use super::previous_runs::Record;
use super::steps::{digest, replay};
use crate::domain::receipt::Receipt;

/// Reads it as each of the files. A form feed, which no JSON has, parts a record from the lines behind it.
pub(crate) fn read(text: &str) {
    written_again_is_the_same::<Pins>(text);
    written_again_is_the_same::<Record>(text);
    let (record, steps) = text.split_once('\u{c}').unwrap_or((text, ""));
    if let Some(receipt) = written_again_is_the_same::<Receipt>(record) {
        let _ = receipt.is_interrupted();
        behind(record, steps, &receipt);
    }
}

fn written_again_is_the_same<T: Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    let document: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&document).unwrap_or_default();
    let again = serde_json::from_str::<T>(&written);
    let again = again.map(|again| serde_json::to_string(&again).unwrap_or_default());
    assert_eq!(again.ok().as_ref(), Some(&written));
    Some(document)
}

/// Steps as they come, and with the digests that make a chain of them: otherwise nothing gets past those.
fn behind(record: &str, steps: &str, before: &Receipt) {
    let path = Utf8Path::new("run.steps");
    let mut receipt = before.clone();
    let _ = replay(path, steps, record.as_bytes(), &mut receipt);
    same_actions(before, &receipt);
    let Some(chain) = chained(record, steps) else {
        return;
    };
    let mut receipt = before.clone();
    if replay(path, &chain, record.as_bytes(), &mut receipt).is_err() {
        return;
    }
    same_actions(before, &receipt);
    // Behind another record they count for nothing.
    let mut other = before.clone();
    let replayed = replay(path, &chain, format!("{record} ").as_bytes(), &mut other);
    assert!(replayed.is_ok() && other == *before);
    // A last line that was cut off says nothing, wherever it was cut; any other letter that is changed is noticed.
    let whole = chain.trim_end_matches('\n');
    let last = whole.rfind('\n').map_or(chain.len(), |at| at + 1);
    let without = chain.get(..last).unwrap_or_default();
    let mut expected = before.clone();
    let fine = replay(path, without, record.as_bytes(), &mut expected).is_ok();
    assert!(fine || !without.contains('\n'));
    for cut in last..chain.len().saturating_sub(1) {
        let Some(torn) = chain.get(..cut).filter(|_| fine) else {
            continue;
        };
        let mut receipt = before.clone();
        assert!(replay(path, torn, record.as_bytes(), &mut receipt).is_ok());
        assert_eq!(receipt, expected);
    }
}

fn same_actions(before: &Receipt, after: &Receipt) {
    let actions = |receipt: &Receipt| -> Vec<_> {
        receipt.entries.iter().map(|e| e.action.clone()).collect()
    };
    assert_eq!(actions(before), actions(after));
}

fn chained(record: &str, steps: &str) -> Option<String> {
    let of = digest(record.as_bytes());
    let mut chain = format!("{{\"schema\":\"nix-prune/steps/1\",\"of\":\"{of}\"}}");
    let mut last = digest(chain.as_bytes());
    chain.push('\n');
    for line in steps.lines() {
        let mut step: Map<String, Value> = serde_json::from_str(line).ok()?;
        step.insert("after".to_string(), last.into());
        let line = Value::Object(step).to_string();
        last = digest(line.as_bytes());
        chain += &line;
        chain.push('\n');
    }
    Some(chain)
}
