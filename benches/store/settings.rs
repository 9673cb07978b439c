//! Settings of a megabyte, of shapes that punish a careless reader: what it costs to check them, beside what it costs only
//! to read the same text as JSON.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use nix_prune::settings::{OutOfRange, Platform, Report};
use serde_json::Value;

use super::Extent;
use super::measure::alternate;

const SIZE: usize = 1_000_000;
const JOB: &str = r#""jobs": { "a": { "operations": { "collect": {} } } }"#;
const CRITICAL: &str = r#""/","/usr","/etc","/var","/bin","/sbin","/boot","/nix/store","/nix/var""#;

/// Measures every shape, in this process and as the whole command.
pub(crate) fn run(extent: Extent) {
    let size = if extent == Extent::Smoke {
        SIZE / 50
    } else {
        SIZE
    };
    println!(
        "\nsettings of {} kB: to check them, to read them as JSON only, the whole commands",
        size / 1000
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    for (name, text) in shapes(size) {
        std::fs::write(&file, &text).unwrap();
        let mut check = || timed(|| Report::of(&text, Platform::Linux, OutOfRange::Refuse));
        let mut json = || timed(|| serde_json::from_str::<Value>(&text));
        let mut drawn = || checked(program().arg(&file));
        let mut document = || checked(program().arg(&file).arg("--json"));
        let rounds = extent.rounds();
        let [check, json, drawn, document] =
            alternate(rounds, [&mut check, &mut json, &mut drawn, &mut document]);
        let found = Report::of(&text, Platform::Linux, OutOfRange::Refuse)
            .findings
            .len();
        println!("  {name}, {found} findings");
        println!("    checked                             {check}");
        println!("    read as JSON only                   {json}");
        println!(
            "    ratio                               {:.1}",
            check.over(&json)
        );
        println!("    nix-prune config check              {drawn}");
        println!("    nix-prune config check --json       {document}");
    }
}

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_nix-prune"));
    program.env_clear().args(["config", "check"]);
    program
}

/// The time of a whole check, which says that the settings are valid or that they are not.
fn checked(program: &mut Command) -> Duration {
    timed(|| {
        let output = program.output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 78)), "{output:?}");
    })
}

fn timed<T>(what: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(what());
    begun.elapsed()
}

/// Each a whole file of about this size.
fn shapes(size: usize) -> Vec<(&'static str, String)> {
    let protect = |list: &str, begin: &str, item: &dyn Fn(usize) -> String| {
        let items = repeated(size, ",", item);
        format!(r#"{{ "version": 2, {JOB}, "protect": {{ "{list}": [{begin}{items}] }} }}"#)
    };
    let beside = |what: String| format!(r#"{{ "version": 2, {JOB}, {what} }}"#);
    let jobs = |item: &dyn Fn(usize) -> String| jobs_of(&repeated(size, ",\n", item));
    let paths = format!("{CRITICAL},");
    vec![
        ("many jobs", jobs(&|n| job(n))),
        (
            "many jobs that are wrong in every way",
            jobs(&|n| wrong_job(n)),
        ),
        (
            "many protected paths",
            protect("paths", &paths, &|n| format!("\"/srv/{n}\"")),
        ),
        (
            "many protected paths that are wrong",
            protect("paths", &paths, &|n| format!("\n\"srv/{n}\"")),
        ),
        (
            "many duplicates, each with a fault behind it",
            protect("paths", &paths, &|n| format!("\"/usr/\",\n\"p{n}\"")),
        ),
        (
            "many patterns",
            protect("roots", "", &|n| format!("\"/home/*/keep{n}/**\"")),
        ),
        (
            "many patterns that are plain paths",
            protect("roots", "", &|n| format!("\"/home/a/{n}\"")),
        ),
        (
            "many pins",
            protect("generations", "", &|n| {
                format!(r#"{{"profile":"system","number":{n}}}"#)
            }),
        ),
        (
            "as many pins as jobs",
            format!(
                r#"{{ "version": 2, "protect": {{ "generations": [{}] }}, "jobs": {{ {} }} }}"#,
                repeated(size / 2, ",", |n| format!(
                    r#"{{"profile":"system","number":{n}}}"#
                )),
                repeated(size / 2, ",", job),
            ),
        ),
        (
            "many jobs, and behind them many with a value of a wrong type",
            {
                let last = size - size / 50;
                let sound = repeated(last, ",", job);
                let wrong = repeated(size - last, ",", |n| {
                    format!(r#""z{n}": {{ "maxRisk": 5 }}"#)
                });
                jobs_of(&format!("{sound},{wrong}"))
            },
        ),
        (
            "many pins without a number",
            protect("generations", "", &|_| {
                r#"{"profile":"system"}"#.to_string()
            }),
        ),
        (
            "many unknown keys",
            beside(repeated(size, ",\n", |n| format!(r#""x{n}": {n}"#))),
        ),
        (
            "one key over and over",
            beside(repeated(size, ",\n", |n| format!(r#""x": {n}"#))),
        ),
        (
            "deep nesting",
            beside(format!(
                r#""x": [{}]"#,
                repeated(size, ",", |_| "[".repeat(120) + &"]".repeat(120))
            )),
        ),
        (
            "one long text",
            beside(format!(r#""undoWindow": "{}""#, "7d".repeat(size / 2))),
        ),
        (
            "one long text of escapes",
            beside(format!(r#""undoWindow": "{}""#, r"\u001b".repeat(size / 6))),
        ),
        (
            "one long key",
            beside(format!(r#""{}": 1"#, "key".repeat(size / 3))),
        ),
        (
            "no JSON at the end",
            beside(repeated(size, ",\n", |n| format!(r#""x{n}": {n}"#))) + "x",
        ),
    ]
}

fn jobs_of(jobs: &str) -> String {
    format!("{{ \"version\": 2, \"jobs\": {{\n{jobs}\n}} }}")
}

fn repeated(size: usize, between: &str, item: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(size);
    for n in 0.. {
        let item = item(n);
        if text.len() + item.len() > size {
            break;
        }
        if n > 0 {
            text.push_str(between);
        }
        let _ = write!(text, "{item}");
    }
    text
}

fn job(n: usize) -> String {
    format!(
        r#"  "job-{n}": {{ "description": " thins out ", "maxRisk": "Medium", "budget": {{ "minFree": "20%" }},
    "operations": {{ "generations": {{ "keep": {{ "last": 5, "within": "14d", "daily": 7 }} }}, "collect": {{ "keepRecent": "2d" }} }} }}"#
    )
}

fn wrong_job(n: usize) -> String {
    format!(
        r#"  "job.{n}": {{ "maxRisk": "hihg", "budget": {{ "minFree": "1%", "maxUsed": 150, "maxStore": "x", "releaseHolds": "x" }},
    "operations": {{ "generations": {{ "profiles": ["sytem", "a/b"], "refreshBootMenu": true, "keep": {{ "last": -1, "within": "x" }} }},
    "collect": {{ "method": "x", "keepRecent": "y" }}, "leftovers": {{}}, "roots": {{ "rules": [{{ "kind": "x", "unusedFor": "z" }}] }} }} }}"#
    )
}
