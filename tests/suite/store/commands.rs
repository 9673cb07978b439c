//! `dead`, `why`, `du` and the sizes, from outside.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use camino::Utf8Path;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::store_path::StorePath;
use rstest::rstest;
use rusqlite::Connection;
use serde_json::Value;

use crate::support::{
    by_hand, command, is_root, listing, nixes, program, run, run_as, run_command, skipped, time,
};

/// A store of the newest Nix: an application that refers to a library, kept by a link; something dead.
fn machine() -> Option<(Scratch, StorePath<String>, StorePath<String>)> {
    let nix = nixes().last()?;
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let library = scratch.add_path("library-1.0", &[], 20_000).unwrap();
    let application = scratch
        .add_path("application-2.0", &[&library], 3_000)
        .unwrap();
    scratch.add_path("dead-1.0", &[&library], 7_000).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    scratch
        .set_profile(&system, &application, time("2025-01-01T00:00:00Z"))
        .unwrap();
    Some((scratch, application, library))
}

fn json(scratch: &Scratch, args: &[&str]) -> Value {
    let ran = run(scratch, args);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (0, ""),
        "{args:?}: {}",
        ran.stdout
    );
    serde_json::from_str(&ran.stdout).unwrap()
}

fn absolute(scratch: &Scratch, path: &StorePath<String>) -> String {
    path.to_absolute_path(scratch.store()).into_string()
}

/// The roots of every chain with their kinds, and the ways of its steps: `hold LINK root reference`.
fn chains(document: &Value) -> Vec<(String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let chain = |chain: &Value| {
        let steps = chain.as_array().unwrap();
        let ways = steps.iter().map(|step| text(&step["via"])).collect();
        (text(&steps[0]["rootKind"]), text(&steps[0]["root"]), ways)
    };
    document["chains"]
        .as_array()
        .unwrap()
        .iter()
        .map(chain)
        .collect()
}

#[test]
fn dead_prints_a_path_a_line_and_the_rest_beside() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let before = listing(scratch.base());
    let ran = run(&scratch, &["dead"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let dead = absolute(&scratch, &scratch.path_named("dead-1.0").unwrap());
    assert_eq!(ran.stdout, format!("{dead}\n"));
    assert!(ran.stderr.contains("1 dead path"), "{}", ran.stderr);
    let document = json(&scratch, &["dead", "--json"]);
    assert_eq!(document["paths"][0]["path"], dead);
    assert_eq!(document["total"]["count"], 1);
    assert!(document["total"]["diskBytes"].as_u64().unwrap() >= 7_000);
    // Even root may not look into processes of other namespaces.
    let doubts = document["notes"]
        .to_string()
        .contains("dead paths may be over-reported");
    assert_eq!(document["atMost"], doubts, "{document}");
    assert_eq!(listing(scratch.base()), before, "it only reads");
}

#[test]
fn trap_33_names_without_a_row_are_told_apart() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let store = scratch.store().as_path();
    let lost = scratch.path_named("lost").unwrap();
    for name in ["junk".to_string(), lost.to_string(), "tmp-1-2".to_string()] {
        fs::write(store.join(name), "x").unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(25));
    let document = json(&scratch, &["dead", "--json"]);
    let mut expected = vec![store.join("junk").into_string(), absolute(&scratch, &lost)];
    expected.sort();
    assert_eq!(document["unregistered"], serde_json::json!(expected));
    assert_eq!(document["total"]["count"], 1);
    assert!(
        store.join("junk").exists(),
        "trap 45: a look deletes nothing"
    );
}

#[test]
fn why_names_a_generation_and_what_refers() {
    let Some((scratch, _, library)) = machine() else {
        return;
    };
    let link = scratch.state_dir().join("profiles/system-1-link");
    let path = absolute(&scratch, &library);
    // The path, what lies below it, its base name, and a link that leads to it.
    symlink(&path, scratch.base().join("link")).unwrap();
    for text in [
        path.clone(),
        format!("{path}/bin/x"),
        library.to_string(),
        "link".to_string(),
    ] {
        let document = json(&scratch, &["why", "--json", &text]);
        assert_eq!(document["path"], path, "{text}");
        assert_eq!(document["live"], true);
        let expected = (
            "profile".to_string(),
            link.to_string(),
            vec!["root".into(), "reference".into()],
        );
        assert_eq!(chains(&document), [expected], "{text}");
    }
    let ran = run(&scratch, &["why", &path]);
    assert!(
        ran.stdout.contains("refers to") && ran.stdout.contains(link.as_str()),
        "{}",
        ran.stdout
    );
}

#[test]
fn why_says_that_a_path_is_dead_and_refuses_what_is_none() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let dead = absolute(&scratch, &scratch.path_named("dead-1.0").unwrap());
    let document = json(&scratch, &["why", "--json", &dead]);
    // Even root may not look into processes of other namespaces, which may use the path.
    let doubts = document["notes"]
        .to_string()
        .contains("dead paths may be over-reported");
    let live = (!doubts).then_some(false);
    assert_eq!(document["live"], serde_json::json!(live));
    assert_eq!(document["chains"], serde_json::json!([]));
    let never = absolute(&scratch, &scratch.path_named("never").unwrap());
    for text in [never.as_str(), "/etc/passwd", "nothing"] {
        let ran = run(&scratch, &["why", text]);
        assert_eq!(
            (ran.status, ran.stdout.as_str()),
            (2, ""),
            "{text}: {}",
            ran.stderr
        );
    }
}

#[test]
fn trap_20_why_names_a_process_and_a_temporary_root() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let dead = scratch.path_named("dead-1.0").unwrap();
    let mut child = command("sleep")
        .arg("60")
        .env("KEEPS", absolute(&scratch, &dead))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let document = json(&scratch, &["why", "--json", &absolute(&scratch, &dead)]);
    let expected = (
        "process".to_string(),
        format!("/proc/{}/environ", child.id()),
        vec!["root".to_string()],
    );
    assert_eq!(chains(&document), [expected]);
    assert_eq!(run(&scratch, &["dead"]).stdout, "");
    child.kill().unwrap();
    child.wait().unwrap();

    let temporary = scratch.state_dir().join("temproots");
    fs::create_dir_all(&temporary).unwrap();
    let file = temporary.join("4000000");
    fs::write(&file, format!("{}\0", absolute(&scratch, &dead))).unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&file)
        .unwrap();
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let document = json(&scratch, &["why", "--json", &absolute(&scratch, &dead)]);
    let expected = (
        "temporary".to_string(),
        "{temp:4000000}".to_string(),
        vec!["root".to_string()],
    );
    assert_eq!(chains(&document), [expected]);
    drop(lock);
    let document = json(&scratch, &["why", "--json", &absolute(&scratch, &dead)]);
    assert_ne!(document["live"], true, "its owner is gone");
}

/// The roots of a kind, without what other processes of this machine use of the store.
fn roots_of(document: &Value, kind: &str, path: &str) -> Vec<Value> {
    let roots = document["roots"].as_array().unwrap().iter();
    let of_kind = roots.filter(|root| root["kind"] == kind && root["target"] == path);
    of_kind.cloned().collect()
}

#[test]
fn trap_20_roots_lists_what_processes_use_and_temporary_roots() {
    let Some((scratch, application, library)) = machine() else {
        return;
    };
    let dead = scratch.path_named("dead-1.0").unwrap();
    let [dead, application, library] =
        [&dead, &application, &library].map(|path| absolute(&scratch, path));
    let never = absolute(&scratch, &scratch.path_named("never").unwrap());
    let mut child = command("sleep")
        .arg("60")
        .env("KEEPS", format!("{dead} {application} {never}"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let temporary = scratch.state_dir().join("temproots");
    fs::create_dir_all(&temporary).unwrap();
    let file = temporary.join("4000000");
    fs::write(&file, format!("{library}\0{never}\0")).unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&file)
        .unwrap();
    let lock = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let plan = json(&scratch, &["plan", "--json"]);
    assert!(!plan["items"].to_string().contains("/proc/"), "{plan}");
    for sizes in [true, false] {
        let args = ["roots", "--json", "--no-sizes"];
        let document = json(&scratch, &args[..if sizes { 2 } else { 3 }]);
        let environ = format!("/proc/{}/environ", child.id());
        // What is alive without the process is not kept by it alone; the dead path is, with nothing else.
        for (path, alone) in [(&dead, true), (&application, false)] {
            let [root] = &roots_of(&document, "process", path)[..] else {
                panic!("{path}: {document}");
            };
            assert_eq!(
                (&root["link"], &root["state"]),
                (&environ.clone().into(), &"live".into())
            );
            assert_eq!(root["closureBytes"].as_u64().is_some(), sizes, "{root}");
            let exclusive = root["exclusiveBytes"].as_u64();
            assert_eq!(
                exclusive.map(|bytes| bytes > 0),
                sizes.then_some(alone),
                "{root}"
            );
        }
        assert_eq!(roots_of(&document, "process", &never), [] as [Value; 0]);
        for (path, state) in [(&library, "live"), (&never, "dangling")] {
            let [root] = &roots_of(&document, "temporary", path)[..] else {
                panic!("{path}: {document}");
            };
            assert_eq!(
                (&root["link"], &root["state"]),
                (&"{temp:4000000}".into(), &state.into())
            );
        }
    }
    let text = run(&scratch, &["roots"]).stdout;
    assert!(
        text.contains("process") && text.contains("{temp:4000000}"),
        "{text}"
    );
    drop(lock);
    child.kill().unwrap();
    child.wait().unwrap();
    let document = json(&scratch, &["roots", "--json"]);
    assert_eq!(roots_of(&document, "temporary", &library), [] as [Value; 0]);
    assert_eq!(roots_of(&document, "process", &dead), [] as [Value; 0]);
}

#[test]
fn trap_20_another_user_hears_what_roots_are_hidden() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    if !is_root() {
        return crate::support::skipped("running as another user takes root");
    }
    fs::create_dir_all(scratch.state_dir().join("temproots")).unwrap();
    let file = scratch.state_dir().join("temproots/4000000");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for more in [&[][..], &["--no-sizes"]] {
        let ran = run_as(&scratch, 65_533, &[&["roots", "--json"][..], more].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        let notes = document["notes"].to_string();
        let files = format!("1 file of temporary roots is not readable: {file}");
        for hidden in [files.as_str(), "processes are not readable: 1 ("] {
            let note = notes.contains("root list may be incomplete: ");
            assert!(note && notes.contains(hidden), "{hidden}: {notes}");
        }
    }
}

#[test]
fn trap_24_why_names_keep_derivations_and_keep_outputs() {
    let Some((scratch, application, _)) = machine() else {
        return;
    };
    // Nix would read a real derivation; only its rows matter here.
    let (drv, other) = (
        scratch.path_named("application.drv").unwrap(),
        scratch.path_named("other").unwrap(),
    );
    scratch.add_path("other", &[], 10).unwrap();
    let db = Connection::open(scratch.state_dir().join("db/db.sqlite")).unwrap();
    let (drv_path, other_path) = (absolute(&scratch, &drv), absolute(&scratch, &other));
    fs::write(&drv_path, "").unwrap();
    db.execute(
        "insert into ValidPaths (id, path, hash, registrationTime, narSize) values (900, ?, 'sha256:0', 1, 5)",
        [&drv_path],
    )
    .unwrap();
    let application = absolute(&scratch, &application);
    db.execute(
        "update ValidPaths set deriver = ? where path = ?",
        [&drv_path, &application],
    )
    .unwrap();
    for (id, path) in [("out", &application), ("doc", &other_path)] {
        db.execute(
            "insert into DerivationOutputs (drv, id, path) values (900, ?, ?)",
            [id, path],
        )
        .unwrap();
    }
    drop(db);
    let ways = |text: &str| {
        chains(&json(&scratch, &["why", "--json", text]))
            .into_iter()
            .map(|c| c.2)
            .collect::<Vec<_>>()
    };
    assert_eq!(ways(&drv_path), [["root", "deriver"]]);
    assert_eq!(ways(&other_path), Vec::<Vec<String>>::new());
    let conf = scratch.base().join("etc/nix.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.clone() + "gc-keep-outputs = true\n").unwrap();
    assert_eq!(ways(&other_path), [["root", "deriver", "output"]]);
    fs::write(&conf, text + "keep-derivations = false\n").unwrap();
    assert_eq!(ways(&drv_path), Vec::<Vec<String>>::new());
}

#[test]
fn why_names_a_hold() {
    let Some((scratch, application, library)) = machine() else {
        return;
    };
    let next = scratch.add_path("application-3.0", &[], 1_000).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    scratch
        .set_profile(&system, &next, time("2025-02-01T00:00:00Z"))
        .unwrap();
    let user = scratch.state_dir().join("profiles/per-user/me/profile");
    for (n, path) in [&application, &next].into_iter().enumerate() {
        scratch
            .set_profile(&user, path, time(&format!("2025-02-0{}T00:00:00Z", n + 1)))
            .unwrap();
    }
    let ran = run(
        &scratch,
        &[
            "run",
            "--keep-last",
            "1",
            "--yes",
            "--json",
            "--profile",
            user.as_str(),
        ],
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document = json(&scratch, &["why", "--json", &absolute(&scratch, &library)]);
    let kinds: Vec<String> = chains(&document).into_iter().map(|chain| chain.0).collect();
    assert!(kinds.contains(&"hold".to_string()), "{document}");
    assert!(kinds.contains(&"profile".to_string()), "{document}");
}

#[test]
fn sizes_are_closures_and_what_is_exclusive() {
    let Some((scratch, application, library)) = machine() else {
        return;
    };
    let info = |path: &StorePath<String>| {
        let ran = by_hand(
            &scratch,
            "nix-store",
            &["--query", "--size", &absolute(&scratch, path)],
        );
        ran.stdout.trim().parse::<u64>().unwrap()
    };
    let (own, below) = (info(&application), info(&library));
    let size = |scratch: &Scratch| {
        let document = json(scratch, &["generations", "--json"]);
        let generation = &document["profiles"][0]["generations"][0];
        (
            generation["closureBytes"].as_u64(),
            generation["exclusiveBytes"].as_u64(),
        )
    };
    assert_eq!(size(&scratch), (Some(own + below), Some(own + below)));
    let result = scratch.home().join("result");
    scratch.add_root(&result, &library).unwrap();
    assert_eq!(size(&scratch), (Some(own + below), Some(own)));
    let roots = json(&scratch, &["roots", "--json"]);
    let root = roots["roots"]
        .as_array()
        .unwrap()
        .iter()
        .find(|root| root["link"] == result.as_str())
        .unwrap();
    assert_eq!(
        (
            root["closureBytes"].as_u64(),
            root["exclusiveBytes"].as_u64()
        ),
        (Some(below), Some(0))
    );
    for command in ["generations", "roots"] {
        let text = run(&scratch, &[command]).stdout;
        assert!(text.contains("EXCLUSIVE"), "{text}");
        let text = run(&scratch, &[command, "--no-sizes"]).stdout;
        assert!(!text.contains("EXCLUSIVE"), "{text}");
    }
}

#[rstest]
#[case("root", 1)]
#[case("profile", 1)]
#[case("generation", 1)]
#[case("user", 1)]
#[case("package", 3)]
#[case("path", 3)]
fn du_divides_the_store(#[case] by: &str, #[case] rows: usize) {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let document = json(&scratch, &["du", "--by", by, "--exact", "--json"]);
    assert_eq!(document["by"], by);
    let all = document["rows"].as_array().unwrap();
    assert_eq!(all.len(), rows, "{document}");
    assert_eq!(document["total"]["paths"], 3);
    assert_eq!(document["total"]["deadPaths"], 1);
    for row in all {
        assert!(row["diskBytes"].as_u64().unwrap() > 0, "{row}");
    }
    let on_disk: Vec<_> = all.iter().map(|row| row["diskBytes"].as_u64()).collect();
    assert!(on_disk.is_sorted_by(|a, b| a >= b), "{document}");
    let total = document["total"]["diskBytes"].as_u64();
    if by == "path" {
        assert_eq!(total, on_disk.into_iter().sum(), "{document}");
    }
    let top = json(
        &scratch,
        &["du", "--by", by, "--exact", "--top", "1", "--json"],
    );
    assert_eq!(
        (top["rows"].as_array().unwrap().len(), &top["more"]),
        (1, &Value::from(rows - 1))
    );
    assert_eq!(top["rows"][0]["name"], all[0]["name"]);
    let text = run(&scratch, &["du", "--by", by]);
    assert_eq!(text.status, 0);
    assert!(
        text.stdout.contains("3 paths in the store"),
        "{}",
        text.stdout
    );
}

/// The nodes of a graph as Graphviz lays them out: the lines of each label.
fn drawn(dot: &str) -> Option<Vec<String>> {
    let Ok(graphviz) = which::which("dot") else {
        skipped("graphs by Graphviz, which is not installed");
        return None;
    };
    let mut child = command(graphviz)
        .arg("-Tsvg")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(dot.as_bytes()).unwrap();
    drop(input);
    let drawn = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&drawn.stderr);
    assert!(drawn.status.success(), "{stderr}\n{dot}");
    assert!(!stderr.contains("Error"), "{stderr}\n{dot}");
    let svg = String::from_utf8(drawn.stdout).unwrap();
    let texts = svg.split("<text ").skip(1).map(|text| {
        let (_, text) = text.split_once('>').unwrap();
        let text = text.split_once("</text>").unwrap().0.to_string();
        text.replace("&#45;", "-")
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    });
    Some(texts.collect())
}

#[test]
fn graphs_are_drawn_by_graphviz() {
    let Some((scratch, application, library)) = machine() else {
        return;
    };
    // A name that would end the label and begin a node of its own.
    let odd = "x\"]; evil [label=\"&lt;\\N\u{202e}";
    let link = scratch.base().join(odd);
    symlink(absolute(&scratch, &library), &link).unwrap();
    let entry = scratch.state_dir().join("gcroots/auto/odd");
    symlink(&link, &entry).unwrap();
    let path = absolute(&scratch, &library);
    for (args, shows) in [
        (
            &["du", "--dot"][..],
            vec!["system (1 root)", "shared by 2", "dead"],
        ),
        (&["why", &path, "--dot"], vec!["(profile)", "(other)"]),
        (&["why", "library", "--dot"], vec!["(profile)", "(other)"]),
        (&["why", "dead", "--dot"], vec!["dead-1.0"]),
    ] {
        let ran = run(&scratch, args);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{args:?}");
        let Some(texts) = drawn(&ran.stdout) else {
            return;
        };
        for text in shows {
            assert!(
                texts.iter().any(|it| it.ends_with(text)),
                "{text}: {texts:?}"
            );
        }
        assert!(
            !texts.iter().any(|it| it == "evil" || it == "<"),
            "{texts:?}"
        );
    }
    let ran = run(
        &scratch,
        &[
            "why",
            &absolute(&scratch, &application),
            "--dot",
            "--most",
            "1",
        ],
    );
    assert!(
        drawn(&ran.stdout).is_none_or(|texts| texts.len() == 3),
        "{}",
        ran.stdout
    );
    for args in [
        ["du", "--dot", "--json"],
        ["du", "--dot", "glibc"],
        ["why", "--dot", "--json"],
    ] {
        assert_eq!(run(&scratch, &args).status, 2);
    }
}

/// Whatever is wrong with the database: `dead` refuses with advice, the others go on without sizes.
#[rstest]
#[case("echo 11 > db/schema", 69)]
#[case("rm db/db.sqlite*", 69)]
#[case("head -c 9000 /dev/zero > db/db.sqlite", 69)]
fn a_database_that_cannot_be_read_is_named(#[case] harm: &str, #[case] status: i32) {
    let Some((scratch, _, library)) = machine() else {
        return;
    };
    let harmed = command("/bin/sh")
        .args(["-c", harm])
        .current_dir(scratch.state_dir())
        .status();
    assert!(harmed.unwrap().success());
    for args in [&["dead"][..], &["du"], &["why", &library.to_string()]] {
        let ran = run(&scratch, args);
        assert_eq!((ran.status, ran.stdout.as_str()), (status, ""), "{args:?}");
        assert!(
            ran.stderr.starts_with("nix-prune: cannot read the store: "),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.lines().count() > 1,
            "there is a hint: {}",
            ran.stderr
        );
    }
    let generations = json(&scratch, &["generations", "--json"]);
    assert_eq!(
        generations["profiles"][0]["generations"][0]["closureBytes"],
        Value::Null
    );
    assert!(
        generations["notes"][0]["text"]
            .as_str()
            .unwrap()
            .contains("sizes are unknown")
    );
    assert!(
        json(&scratch, &["roots", "--json"])["notes"]
            .to_string()
            .contains("sizes are unknown")
    );
    let plan = json(&scratch, &["plan", "--json"]);
    assert_eq!(plan["prediction"]["narBytes"], Value::Null);
    // Without a database a collection is refused, as Nix would make one that knows no path; so it is by a damaged one.
    let blocker = match harm.split_once(' ') {
        Some(("rm", _)) => Some("store.mismatch"),
        Some(("head", _)) => Some("store.damaged"),
        _ => None,
    };
    let blockers = plan["failedChecks"].to_string();
    let told = plan["prediction"]["notes"].to_string();
    match blocker {
        Some(code) => assert!(blockers.contains(code), "{plan}"),
        None => assert!(told.contains("the amount freed is unknown"), "{plan}"),
    }
}

#[test]
fn a_database_that_may_not_be_read_is_not_permitted() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    if !is_root() {
        // Its owner may read it, whatever the mode: there is nobody else to try.
        return crate::support::skipped("reading as another user takes root");
    }
    fs::set_permissions(
        scratch.state_dir().join("db"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    let ran = run_as(&scratch, 65_533, &["dead"]);
    assert_eq!(ran.status, 77, "{}", ran.stderr);
}

#[test]
fn where_the_flags_are_not_known_both_are_taken_and_less_looks_dead() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let empty = scratch.base().join("empty");
    fs::create_dir(&empty).unwrap();
    let ran = run(&scratch, &["dead", "--json", "--nix-bin", empty.as_str()]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(
        document["notes"]
            .to_string()
            .contains("dead paths may be under-reported"),
        "{document}"
    );
    assert_eq!(document["total"]["count"], 1);
}

#[test]
fn trap_37_another_machines_store_is_not_looked_into() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    let ran = run_command(
        program(&scratch)
            .env("NIX_REMOTE", "ssh://elsewhere")
            .arg("dead"),
    );
    assert_eq!(
        (ran.status, ran.stdout.as_str()),
        (69, ""),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("ssh://elsewhere"), "{}", ran.stderr);
}

#[test]
fn another_user_hears_that_processes_are_hidden() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    if !is_root() {
        return crate::support::skipped("running as another user takes root");
    }
    let ran = run_as(&scratch, 65_533, &["dead", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["atMost"], true);
    assert!(
        document["notes"].to_string().contains("not readable"),
        "{document}"
    );
    assert_eq!(document["total"]["count"], 1);
}

#[test]
fn without_sizes_no_database_is_read() {
    let Some((scratch, ..)) = machine() else {
        return;
    };
    fs::remove_file(Utf8Path::new(&scratch.state_dir()).join("db/schema")).unwrap();
    for command in ["generations", "roots"] {
        let document = json(&scratch, &[command, "--no-sizes", "--json"]);
        assert!(
            !document["notes"].to_string().contains("unknown"),
            "{document}"
        );
    }
}

#[test]
fn nothing_is_called_dead_while_a_root_cannot_be_read() {
    let Some((scratch, _, library)) = machine() else {
        return;
    };
    let dead = absolute(&scratch, &scratch.path_named("dead-1.0").unwrap());
    // A link that leads through itself: nobody can tell what it would keep.
    let looped = scratch.base().join("looped");
    symlink(looped.join("x"), &looped).unwrap();
    symlink(
        looped.join("x"),
        scratch.state_dir().join("gcroots/auto/looped"),
    )
    .unwrap();
    for args in [["why", dead.as_str()].as_slice(), &["dead"], &["du"]] {
        let ran = run(&scratch, args);
        assert_eq!(ran.status, 69, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("looped"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    let live = run(&scratch, &["why", &absolute(&scratch, &library)]);
    assert_eq!(live.status, 0, "{}", live.stderr);
    let plan = run(
        &scratch,
        &["plan", "--accept", "roots.unreadable", "--json"],
    );
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["prediction"]["paths"], Value::Null);
}
