//! Each check is fed what it must find, and what it must let pass.

use rstest::rstest;

use super::*;

fn found(check: Check, path: &str, text: &str) -> Vec<String> {
    check(&Source::new(path, text))
}

#[rstest]
#[case("src/domain/plan.rs", "use crate::ports::Survey;")]
#[case(
    "src/domain/plan.rs",
    "\n\nuse crate::{domain::risk, adapters::links};"
)]
#[case(
    "src/domain/plan.rs",
    "use crate::{\n    domain::risk,\n    engine,\n};"
)]
#[case(
    "src/domain/plan/draft.rs",
    "use super::super::super::adapters::links;"
)]
#[case("src/domain/plan/draft.rs", "use super::{super::super::{cli::args}};")]
#[case("src/domain/plan.rs", "fn f() -> crate :: adapters :: X { x() }")]
#[case("src/domain/plan.rs", "fn f() { let x = crate::settings::builtin(); }")]
#[case("src/domain/plan.rs", "fn f() { crate::render::table!(1); }")]
#[case(
    "src/domain/plan.rs",
    "#[serde(with = \"crate::adapters::age\")] struct A;"
)]
#[case(
    "src/domain/plan.rs",
    "#[cfg(test)] mod tests { use crate::engine::Engine; }"
)]
#[case("src/domain/plan.rs", "use crate::*;")]
#[case("src/domain/plan.rs", "use crate as root;")]
#[case("src/domain/plan.rs", "use nix_prune::engine;")]
#[case("src/domain.rs", "use super::engine;")]
#[case("src/domain.rs", "use self::super::engine;")]
#[case("src/settings/read.rs", "use crate::adapters::files;")]
#[case("src/settings.rs", "use crate::ports::Clock;")]
#[case("src/ports.rs", "use crate::engine::Engine;")]
#[case("src/engine/run.rs", "use crate::adapters::process;")]
#[case("src/engine/run.rs", "use crate::settings::Settings;")]
#[case("src/adapters/links.rs", "use crate::engine::Engine;")]
#[case("src/adapters/links.rs", "use crate::render;")]
#[case("src/adapters/links.rs", "pub(in crate::cli) fn f() {}")]
#[case("src/render/json.rs", "use crate::ports::Survey;")]
#[case("src/render/json.rs", "use crate::settings::Settings;")]
fn a_layer_that_knows_too_much_is_found(#[case] path: &str, #[case] text: &str) {
    let found = found(layers::layers, path, text);
    assert_eq!(found.len(), 1, "{found:?}");
    let line = 1 + text.lines().position(|l| !l.is_empty()).unwrap();
    let line = if text.contains("    engine") { 3 } else { line };
    assert!(
        found[0].starts_with(&format!("{path}:{line}: ")),
        "{found:?}"
    );
}

#[rstest]
#[case("src/domain/plan.rs", "use crate::domain::risk; use super::job::Job;")]
#[case("src/domain/plan/draft.rs", "use super::super::risk; use super::Item;")]
#[case(
    "src/domain/plan.rs",
    "/// See [`crate::adapters`].\n// crate::engine\n/* crate::cli /* nested */ */"
)]
#[case("src/domain/plan.rs", "const A: &str = \"the crate is small\";")]
#[case("src/domain/plan.rs", "fn f(adapters: u8, cli: u8) { engine::run() }")]
#[case("src/domain.rs", "mod tests { use super::Plan; }")]
#[case(
    "src/engine/run.rs",
    "use crate::{domain::plan, ports::{Clock, Perform}};"
)]
#[case(
    "src/adapters/nix_cli.rs",
    "use crate::adapters::process; use crate::ports::Perform;"
)]
#[case(
    "src/cli/run.rs",
    "use crate::{adapters, engine, render, settings, ports, domain};"
)]
#[case("src/domain/plan.rs", "pub(crate) fn f() {} pub(super) fn g() {}")]
#[case("src/domain.rs", "pub(super) fn g() {}")]
#[case("src/lib.rs", "pub mod cli; use crate::adapters;")]
#[case("src/main.rs", "use nix_prune::cli;")]
fn the_house_as_it_should_be_passes(#[case] path: &str, #[case] text: &str) {
    assert_eq!(found(layers::layers, path, text), Vec::<String>::new());
    assert_eq!(found(layers::housed, path, text), Vec::<String>::new());
}

#[test]
fn a_module_outside_the_layers_is_found() {
    assert_eq!(found(layers::housed, "src/util.rs", "").len(), 1);
    assert_eq!(found(layers::housed, "src/util/text.rs", "").len(), 1);
}

#[rstest]
#[case("use std::fs;")]
#[case("use std::{fmt, fs::File};")]
#[case("fn f() { std::fs::read(\"x\"); }")]
#[case("fn f() { ::std::env::var(\"HOME\"); }")]
#[case("use std::process::Command;")]
#[case("use std::net::TcpStream;")]
#[case("use std::thread;")]
#[case("use std::time::{Duration, SystemTime};")]
#[case("use std::time::*;")]
#[case("use std::*;")]
#[case("use std::time::Instant as Moment;")]
#[case("use std::os::unix::fs::MetadataExt;")]
#[case("fn f() { jiff::Timestamp::now(); }")]
#[case("fn f() { Zoned::now(); }")]
#[case("fn f() { TimeZone::system(); }")]
#[case("fn f() { TimeZone::get(\"Europe/Berlin\"); }")]
#[case("fn f() { tracing::info!(\"x\"); }")]
#[case("use tracing::info;")]
#[case("fn f() { println!(\"x\"); }")]
#[case("fn f() { std::eprintln!(\"x\"); }")]
#[case("fn f() { dbg!(1); }")]
#[case("use nix::unistd::Uid;")]
#[case("fn f(p: &Utf8Path) -> bool { p.exists() }")]
#[case("fn f(p: &Utf8Path) { p\n.canonicalize_utf8(); }")]
fn what_is_not_pure_is_found(#[case] text: &str) {
    for path in [
        "src/domain/risk.rs",
        "src/settings/read.rs",
        "src/domain.rs",
    ] {
        assert_eq!(found(checks::purity, path, text).len(), 1, "{text}");
    }
    for path in ["src/adapters/links.rs", "src/cli/run.rs"] {
        assert_eq!(found(checks::purity, path, text), Vec::<String>::new());
    }
}

#[rstest]
#[case("use std::{fmt, collections::BTreeMap, time::Duration};")]
#[case("/// Nothing here calls `std::fs` or println!().")]
#[case("const A: &str = \"use std::fs; println!()\"; const B: &str = r#\"std::\"env\"#;")]
#[case("#[cfg(test)]\nmod tests { use std::fs; fn f() { println!(\"{}\", '}'); } }")]
#[case("#[cfg(test)]\nmod tests;")]
#[case("fn f(c: &C) -> T { c.now } struct C { now: T }")]
#[case("fn f<'a>(nix: &'a str, which: char) -> bool { which != '\"' && nix != \"\\\"\" }")]
#[case("fn f() { map.get(&1).is_some() }")]
#[case("fn f<'a>(&'a self) -> impl Iterator + use<'a> { g(); h }")]
#[case("use a::{b, c")]
fn what_is_pure_passes(#[case] text: &str) {
    assert_eq!(
        found(checks::purity, "src/domain/risk.rs", text),
        Vec::<String>::new()
    );
}

#[test]
fn what_follows_a_test_module_is_looked_at() {
    let text = "#[cfg(test)]\nmod tests { fn f() { [1; 2]; } }\nuse std::fs;\n";
    let found = found(checks::purity, "src/domain/risk.rs", text);
    assert_eq!(found, ["src/domain/risk.rs:3: `std::fs` is not pure"]);
}

#[rstest]
#[case("use std::process::Command;")]
#[case("use std::process::{ExitCode, Stdio};")]
#[case("use std::process::*;")]
#[case("fn f() { std::process::Command::new(\"nix\"); }")]
#[case("fn f() { Command::new(\"nix\"); }")]
#[case("fn f() { duct::cmd!(\"nix\"); }")]
#[case("use duct::cmd;")]
#[case("use std::os::unix::process::CommandExt;")]
fn a_process_outside_its_door_is_found(#[case] text: &str) {
    assert_eq!(
        found(checks::processes, "src/adapters/nix_cli.rs", text).len(),
        1
    );
    assert_eq!(found(checks::processes, "src/cli/run.rs", text).len(), 1);
    assert_eq!(
        found(checks::processes, "src/adapters/process.rs", text),
        Vec::<String>::new()
    );
}

#[rstest]
#[case("use std::process::ExitCode; fn f() { std::process::id(); }")]
#[case("use super::process::{Command, Program}; fn f() { Command::new(program); }")]
#[case("enum Command { Plan } fn f(c: Command) { Command::Plan; }")]
fn other_uses_of_the_words_pass(#[case] text: &str) {
    assert_eq!(
        found(checks::processes, "src/cli/run.rs", text),
        Vec::<String>::new()
    );
}

#[rstest]
#[case("src/cli/run.rs", "f([\"--delete\", \"--ignore-liveness\"]);")]
#[case("src/adapters/nix_cli.rs", "f([\"--delete-generations\", \"old\"]);")]
#[case("src/adapters/nix_cli.rs", "f(r\"nix-env --delete-generations old\");")]
#[case(
    "src/adapters/nix_cli.rs",
    "f([\"nix-collect-garbage\", \"--delete-older-than\", days]);"
)]
#[case("src/engine/run.rs", "f(\"--delete-old\");")]
#[case(
    "src/adapters/nix_cli/delete.rs",
    "f([\"--delete\", \"--option\", x]);"
)]
fn a_dangerous_argument_is_found(#[case] path: &str, #[case] text: &str) {
    let text = format!("fn g() {{\n{text} }}");
    let found = found(checks::dangerous_arguments, path, &text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{path}:2: ")), "{found:?}");
}

#[rstest]
#[case(
    "src/adapters/nix_cli.rs",
    "f([\"--delete-generations\", &number]); // never `old`"
)]
#[case("src/adapters/journal.rs", "const OLD: &str = \"old\";")]
#[case("src/settings/import.rs", "if option == \"--delete-older-than\" {}")]
fn explicit_numbers_pass(#[case] path: &str, #[case] text: &str) {
    let text = format!("fn g() {{ {text}\n }}");
    assert_eq!(
        found(checks::dangerous_arguments, path, &text),
        Vec::<String>::new()
    );
}

#[rstest]
#[case(checks::dry_run, "fn f(dry_run: bool) {}")]
#[case(checks::dry_run, "struct A { pub dry_run : bool }")]
#[case(checks::unsafe_code, "fn f() { unsafe { g() } }")]
#[case(checks::unsafe_code, "#[cfg(test)] mod tests { unsafe fn f() {} }")]
#[case(checks::panics, "fn f() { x.unwrap(); }")]
#[case(checks::panics, "fn f() { x\n.expect(\"y\"); }")]
#[case(
    checks::panics,
    "fn f() { x.map(Result::unwrap); Option::expect(x, \"y\"); }"
)]
#[case(checks::panics, "fn f() { x.expect(\n\"a long reason\",\n); }")]
#[case(checks::panics, "fn f() { x.expect(&format!(\"{a} {b}\", a, b)); }")]
#[case(checks::panics, "#[cfg(not(test))]\nfn f() { x.unwrap(); }")]
#[case(checks::panics, "#[cfg(any(test, unix))]\nfn f() { x.unwrap(); }")]
#[case(checks::panics, "fn f() { panic!(\"x\"); }")]
#[case(checks::panics, "fn f() { std::panic!(\"x\"); }")]
#[case(checks::panics, "fn f() { todo!() }")]
fn what_clippy_would_find_is_found_once_more(#[case] check: Check, #[case] text: &str) {
    assert_eq!(found(check, "src/cli/run.rs", text).len(), 1, "{text}");
}

#[rstest]
#[case(checks::dry_run, "fn f(run: bool) { /* dry_run: bool */ }")]
#[case(checks::unsafe_code, "#![forbid(unsafe_code)] // unsafe")]
#[case(
    checks::panics,
    "fn f() { x.unwrap_or(1); x.unwrap_or_default(); let panic = 1; panic != 2; }"
)]
#[case(
    checks::panics,
    "#[cfg(test)]\n#[allow(dead_code)]\nmod tests { fn f() { x.unwrap(); } }"
)]
#[case(
    checks::panics,
    "fn f() { walk.expect(path, false); walk.expect(&g(a, b), true); }"
)]
#[case(checks::panics, "fn f() { std::panic::catch_unwind(g); }")]
fn what_clippy_would_pass_passes(#[case] check: Check, #[case] text: &str) {
    assert_eq!(found(check, "src/cli/run.rs", text), Vec::<String>::new());
}

#[test]
fn a_file_of_tests_may_panic() {
    let text = "fn f() { x.unwrap(); }";
    assert_eq!(
        found(checks::panics, "src/domain/plan/tests.rs", text),
        Vec::<String>::new()
    );
    assert_eq!(
        found(checks::panics, "src/domain/plan/contests.rs", text).len(),
        1
    );
}

fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(path, text)| ((*path).to_string(), (*text).to_string()))
        .collect()
}

#[test]
fn a_forgotten_module_is_found() {
    let forgotten =
        |files: &[(&str, &str)]| checks::forgotten(&tree(files), "t/", "t/main.rs", &[]);
    let whole = [
        ("t/main.rs", "mod a;"),
        ("t/a.rs", "mod b;"),
        ("t/a/b.rs", ""),
    ];
    assert_eq!(forgotten(&whole), Vec::<String>::new());
    let not_named = [
        ("t/main.rs", "// mod a;\nmod aa;"),
        ("t/aa.rs", ""),
        ("t/a.rs", ""),
    ];
    assert_eq!(
        forgotten(&not_named),
        ["t/a.rs:1: t/main.rs does not say `mod a;`"]
    );
    let deeper = [
        ("t/main.rs", "mod a; mod b;"),
        ("t/a.rs", ""),
        ("t/a/b.rs", ""),
    ];
    assert_eq!(
        forgotten(&deeper),
        ["t/a/b.rs:1: t/a.rs does not say `mod b;`"]
    );
    let orphan = [("t/main.rs", "mod a;"), ("t/a/b.rs", "")];
    assert_eq!(forgotten(&orphan).len(), 1);
}

#[rstest]
#[case("/garage/bench/tool", "see /garage/bench/tool/src", true)]
#[case("/garage/bench/tool", "see \"/garage/other/x\".", true)]
#[case("/garage/bench/tool", "cd /garage", true)]
#[case(
    "/garage/bench/tool",
    "my/garage/other and ~/garage/ and /home/alice/garage/",
    false
)]
#[case("/garage/bench/tool", "/garages/x", false)]
#[case("/home/alice/tool", "/home/alice/tool/src", true)]
#[case("/home/alice/tool", "/home/alice/.nix-profile", true)]
#[case("/home/alice/tool", "/home/bob/.nix-profile", false)]
#[case("/build/source", "/build/source/src", true)]
#[case("/build/source", "/build/nix-shell", false)]
fn a_machines_own_path_is_found(#[case] project: &str, #[case] text: &str, #[case] bites: bool) {
    let text = format!("first\n{text}\n");
    let found = checks::machine_paths("docs/guide.md", &text, Path::new(project));
    assert_eq!(found.len(), usize::from(bites), "{found:?}");
    assert!(found.iter().all(|f| f.starts_with("docs/guide.md:2: ")));
}
