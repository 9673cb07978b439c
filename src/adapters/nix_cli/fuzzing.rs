//! What must hold of whatever Nix's commands print.

use std::io::{BufReader, Read};

use camino::Utf8Path;

use super::parse::{self, NixVersion, PrintedRoot, RootSource};
use crate::adapters::derivation;
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
    of_roots(text, &store);
    of_names(text, &store);
    of_paths(text, &store);
    if parse::collected(text).is_some() {
        assert!(text.contains(" store path"));
    }
    for path in parse::dead(text) {
        assert!(path.is_absolute() && text.contains(path.as_str()));
    }
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

/// What is read is found again when it is printed, in both quotings.
fn of_roots(text: &str, store: &StoreDir) {
    for root in parse::roots(text, store).unwrap_or_default() {
        let name = match &root.source {
            RootSource::Link(path) | RootSource::Process(path) => path.as_str(),
            RootSource::Pseudo(name) => name,
        };
        let path = root.store_path.to_absolute_path(store);
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        let found = |printed: &str| parse::roots(printed, store).unwrap_or_default();
        let same = |found: &[PrintedRoot]| found == [root.clone()];
        assert!(
            same(&found(&format!("\"{escaped}\" -> {path}\n"))),
            "{root:?}"
        );
        // Without quotes a name of several lines cannot always be told from several roots.
        if !name.contains('\n') {
            assert!(same(&found(&format!("{name} -> {path}\n"))), "{root:?}");
        }
    }
}

/// Whatever links are called, each is found under its own name.
fn of_names(text: &str, store: &StoreDir) {
    const PATH: &str = "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-x";
    let names: Vec<String> = text.split('\u{c}').map(|name| format!("/{name}")).collect();
    let printed = |line: &dyn Fn(&str) -> String| -> String {
        let lines = names
            .iter()
            .map(|name| format!("{} -> {PATH}\n", line(name)));
        lines.collect()
    };
    let found = |printed: &str| -> Option<Vec<String>> {
        let roots = parse::roots(printed, store).ok()?.into_iter();
        let names = roots.map(|root| match root.source {
            RootSource::Link(path) | RootSource::Process(path) => path.into_string(),
            RootSource::Pseudo(name) => name,
        });
        Some(names.collect())
    };
    let quoted = printed(&|name| {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    assert_eq!(found(&quoted).as_ref(), Some(&names), "{quoted:?}");
    // Without quotes the name of one root can hold a line that looks like another.
    if !text.contains('\n') {
        let plain = printed(&|name| name.to_string());
        assert_eq!(found(&plain).as_ref(), Some(&names), "{plain:?}");
    }
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
