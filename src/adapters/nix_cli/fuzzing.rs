//! Fuzz targets for the output of Nix's commands.

use std::io::{BufReader, Read};

use camino::Utf8Path;

use super::parse::{self, NixVersion};
use crate::adapters::derivation;
use crate::domain::maintenance::Verified;
use crate::domain::store_path::StoreDir;

/// Hands an input to every reader of what Nix says.
pub(crate) fn read(input: &[u8], text: Option<&str>) {
    let Ok(store) = StoreDir::new(Utf8Path::new("/nix/store")) else {
        return;
    };
    of_a_derivation(input, &store);
    let Some(text) = text else {
        return;
    };
    of_paths(text, &store);
    if parse::collected(text).is_some() {
        assert!(text.contains(" store path"));
    }
    parse::optimised(text);
    parse::damage(text, &store, true, &mut Verified::default());
    for refused in parse::refusals(text, &store) {
        assert!(!refused.why.is_empty() && !refused.why.contains(char::is_control));
        assert!(text.contains(&refused.path.to_string()));
    }
    if let Ok(version) = NixVersion::parse(text) {
        let again = NixVersion::parse(&format!("nix (Nix) {version}"));
        assert!(again.is_ok_and(|again| again == version));
    }
    let _ = parse::keep_flags(text);
}

/// Read as it comes, in the smallest pieces, it is the same; and what was read says so.
fn of_paths(text: &str, store: &StoreDir) {
    let whole = parse::path_info(text, store);
    let mut pieces = Vec::new();
    let slow = Bytewise(text.as_bytes());
    let read = parse::each_path_info(slow, store, &mut |info| pieces.push(info));
    assert_eq!(read.is_ok(), whole.is_ok());
    for info in whole.unwrap_or_default() {
        let again = pieces.remove(0);
        assert_eq!(info, again);
        assert!(
            text.contains(info.path.to_string().split('-').next().unwrap_or("-"))
                || text.contains('\\')
        );
    }
}

fn of_a_derivation(input: &[u8], store: &StoreDir) {
    let whole = derivation::outputs(input, store);
    let pieces = derivation::outputs(BufReader::with_capacity(1, input), store);
    assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok());
    if let Ok(outputs) = whole {
        assert!(outputs.paths.len() <= input.len());
    }
}

struct Bytewise<'a>(&'a [u8]);

impl Read for Bytewise<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let one = into.len().min(1);
        let into = into.get_mut(..one).unwrap_or_default();
        self.0.read(into)
    }
}
