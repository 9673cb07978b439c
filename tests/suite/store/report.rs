//! `report` on a real store.

use std::os::unix::fs::{PermissionsExt, symlink};

use nix_prune::adapters::scratch::Scratch;
use serde_json::Value;

use crate::support::{OnTerminal, Ran, nixes, program, run, time, with_each_nix};

/// Two generations that share a library, and a dead path.
fn machine(nix: &crate::support::Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let library = scratch.add_path("library-1.0", &[], 5000).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=2 {
        let name = format!("system-{n}");
        let path = scratch.add_path(&name, &[&library], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    scratch.add_path("dead-1.0", &[], 700).unwrap();
    scratch
}

fn embedded(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"document\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn ends(scratch: &Scratch, args: &[&str], status: i32) -> Ran {
    let ran = run(scratch, args);
    assert_eq!(ran.status, status, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

#[test]
fn the_page_contains_the_document_of_json() {
    with_each_nix(|nix| {
        let scratch = machine(nix);
        let page = ends(&scratch, &["report"], 0).stdout;
        let mut document: Value =
            serde_json::from_str(&ends(&scratch, &["report", "--json"], 0).stdout).unwrap();
        let mut shown = embedded(&page);
        for document in [&mut document, &mut shown] {
            document["status"]["takenAt"].take();
            // Other programs write to the file system meanwhile.
            document["status"]["disk"].take();
            document["plans"][0]["plan"]["freesLaterAt"].take();
        }
        assert_eq!(shown, document);
        let bytes = |part: &Value| part["narBytes"].as_u64().unwrap();
        let parts = document["parts"].as_array().unwrap();
        assert_eq!(
            parts.iter().map(bytes).sum::<u64>(),
            bytes(&document["total"])
        );
        let usage: Value =
            serde_json::from_str(&ends(&scratch, &["du", "--json"], 0).stdout).unwrap();
        for (part, of_du) in parts.iter().zip(usage["parts"].as_array().unwrap()) {
            let packages = part["packages"].as_array().unwrap().iter().map(bytes);
            assert_eq!(packages.sum::<u64>() + bytes(&part["others"]), bytes(part));
            assert_eq!(bytes(part), bytes(of_du));
            assert_eq!(part["keeper"], of_du["keeper"]);
        }
        assert_eq!(document["status"]["freesNow"]["paths"], 1);
    });
}

#[test]
fn a_page_is_written_whole_for_its_owner_alone() {
    let Some(nix) = nixes().last() else { return };
    let scratch = machine(nix);
    let path = scratch.base().join("report.html");
    let args = ["report", "--out", path.as_str()];
    let ran = ends(&scratch, &args, 0);
    assert!(ran.stdout.contains(path.as_str()), "{}", ran.stdout);
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    // Written anew in its place.
    std::fs::write(&path, "old").unwrap();
    ends(&scratch, &args, 0);
    assert_eq!(
        embedded(&std::fs::read_to_string(&path).unwrap())["schema"],
        "nix-prune/report/1"
    );
    // A link is not followed and not replaced.
    let link = scratch.base().join("link.html");
    symlink(&path, &link).unwrap();
    let ran = ends(&scratch, &["report", "--out", link.as_str()], 73);
    assert!(
        ran.stderr.contains("it is a symbolic link"),
        "{}",
        ran.stderr
    );
    let absent = scratch.base().join("absent/report.html");
    let ran = ends(&scratch, &["report", "--out", absent.as_str()], 73);
    assert!(
        ran.stderr.contains("cannot write the page to"),
        "{}",
        ran.stderr
    );
    assert!(!absent.parent().unwrap().exists());
    ends(&scratch, &["report", "--out", path.as_str(), "--json"], 2);
    assert_eq!(
        ends(&scratch, &["report", "--out", "-"], 0)
            .stdout
            .lines()
            .next(),
        Some("<!doctype html>")
    );
}

#[test]
fn a_terminal_gets_no_page() {
    let Some(nix) = nixes().last() else { return };
    let scratch = machine(nix);
    let mut shown = OnTerminal::start(program(&scratch).arg("report"));
    let text = shown.until("no other end");
    assert!(text.contains("report --out"), "{text}");
    assert!(!text.contains("<html"), "{text}");
}

#[test]
fn names_from_outside_are_text_on_the_page() {
    let Some(nix) = nixes().last() else { return };
    let scratch = machine(nix);
    let path = scratch.path_named("system-1").unwrap();
    let odd = "</script><script>window.pwned=1</script>\n\u{202e}<!--\"'&\u{2028}";
    let profile = scratch.state_dir().join("profiles").join(odd);
    scratch
        .set_profile(&profile, &path, time("2026-01-01T00:00:00Z"))
        .unwrap();
    let page = ends(&scratch, &["report"], 0).stdout;
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--") && !page.contains('\u{202e}'));
    let document = embedded(&page);
    let mut profiles = document["profiles"].as_array().unwrap().iter();
    let path = profile.as_str();
    assert!(profiles.any(|it| it["path"] == path), "{document}");
}
