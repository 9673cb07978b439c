//! The pictures of the README and the guide show what the commands print today.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use anstyle_svg::Term;

use super::{BASE, Laptop, on_laptop};
use crate::support::OnTerminal;

/// The largest picture.
const MAX_BYTES: usize = 60 << 10;

/// Dark text on a light card, which reads on a dark page as well. The crate's own colours are for a black background.
const STYLE: &str = "    .fg { fill: #1f2328 }
    .bg { fill: #f6f8fa; stroke: #d0d7de }
    .fg-yellow { fill: #7d4e00 }
    .fg-green { fill: #116329 }
    .fg-red { fill: #a40e26 }
    .dimmed { opacity: 0.75 }
";

/// A command as it is typed, and what is answered where it asks.
type Scene = (&'static str, &'static str);

/// A name, the commands one after the other, and the first and the last line to leave out.
type Picture = (&'static str, &'static [Scene], [usize; 2]);

const NOTHING: [usize; 2] = [0, 0];
const BEFORE: [Picture; 5] = [
    ("status", &[("status", "")], NOTHING),
    ("plan", &[("plan", "")], NOTHING),
    ("du", &[("du", "")], NOTHING),
    ("why", &[("why rustc", "")], NOTHING),
    (
        "policy",
        &[(
            "plan --full --profile system -k 3 --keep-weekly 3 --keep-monthly 6",
            "",
        )],
        [7, 40],
    ),
];
const FREE: [Picture; 1] = [("free", &[("free 20M", "NUMBER")], NOTHING)];
const RUN: [Picture; 2] = [
    ("run", &[("run", "y")], NOTHING),
    ("undo", &[("undo system:54..55", "y")], NOTHING),
];

#[test]
fn the_pictures_are_those_of_today() {
    on_laptop("pictures::the_pictures_are_those_of_today", |laptop| {
        let mut used = BTreeSet::new();
        let mut faults = Vec::new();
        let mut take = |picture: &Picture| {
            used.insert(format!("{}.svg", picture.0));
            faults.extend(fault(laptop, picture));
        };
        BEFORE.iter().for_each(&mut take);
        FREE.iter().for_each(&mut take);
        laptop.renew();
        RUN.iter().for_each(&mut take);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let kept = fs::read_dir(file("")).unwrap();
        let kept = kept.map(|it| it.unwrap().file_name().into_string().unwrap());
        assert_eq!(kept.collect::<BTreeSet<_>>(), used);
    });
}

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/pictures")
        .join(name)
}

/// How a picture differs from what is printed now. `NIX_PRUNE_BLESS=1` draws it anew if it does.
fn fault(laptop: &Laptop, (name, scenes, [from, to]): &Picture) -> Option<String> {
    let shown: Vec<String> = scenes.iter().map(|scene| shown(laptop, scene)).collect();
    let shown = shown.join("\n");
    let mut lines: Vec<&str> = shown.lines().collect();
    if to > from {
        lines.splice(from..to, ["      …"]);
    }
    let style = format!("{STYLE}  </style>");
    let drawn = Term::new().render_svg(&lines.join("\n"));
    let drawn = drawn.replace("  </style>", &style);
    let file = file(&format!("{name}.svg"));
    let kept = fs::read_to_string(&file).unwrap_or_default();
    if words(&kept) == words(&drawn) {
        assert!(kept.len() <= MAX_BYTES, "{name}: {} bytes", kept.len());
        return None;
    }
    if std::env::var_os("NIX_PRUNE_BLESS").is_some_and(|value| value == "1") {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &drawn).unwrap();
        return None;
    }
    let (kept, now) = (words(&kept), words(&drawn));
    let differs: Vec<_> = kept.symmetric_difference(&now).collect();
    Some(format!(
        "docs/pictures/{name}.svg differs in {differs:?}; look, then NIX_PRUNE_BLESS=1"
    ))
}

/// The words of a picture, without figures and dates, which differ from day to day.
fn words(svg: &str) -> BTreeSet<String> {
    let text = svg.split_once("</style>").map_or("", |(_, text)| text);
    let parts = text.split('<').filter_map(|part| part.split_once('>'));
    let text: String = parts.map(|(_, text)| text).collect();
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let is_fixed = |word: &&str| {
        !word.contains(|c: char| c.is_ascii_digit()) && !months.split(' ').any(|it| it == *word)
    };
    // Which of several reasons is the last one depends on the day.
    let words = text
        .split_whitespace()
        .map(|word| word.trim_end_matches(';'));
    let words = words.filter(is_fixed);
    words.map(str::to_string).collect()
}

/// What a terminal of 80 columns shows of a command, with colours.
fn shown(laptop: &Laptop, (line, answer): &Scene) -> String {
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = laptop.program(80, env!("CARGO_BIN_EXE_nix-prune"), &args);
    command
        .env_remove("NO_COLOR")
        .envs([("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8")]);
    let mut terminal = OnTerminal::start(&mut command);
    // It has the other end of the terminal open.
    drop(command);
    let mut text = String::new();
    if !answer.is_empty() {
        let prompt = if *answer == "NUMBER" {
            " to go on: "
        } else {
            "[y/N] "
        };
        text = terminal.until(prompt);
        let number = text.trim_end_matches(" to go on: ").rsplit(' ').next();
        let number = number.unwrap_or_default().to_string();
        let answer = if *answer == "NUMBER" {
            &number
        } else {
            *answer
        };
        terminal
            .terminal
            .write_all(format!("{answer}\n").as_bytes())
            .unwrap();
    }
    text.push_str(&terminal.until("no other end"));
    let status = terminal.end();
    assert_eq!(status, 0, "{line}: {text}");
    // A line of progress is cleared before the next one is written.
    let lines = text.split('\n').map(|line| {
        let line = line.trim_end_matches('\r');
        line.rsplit("\r\u{1b}[K").next().unwrap_or(line)
    });
    let text = lines.collect::<Vec<_>>().join("\n").replace(BASE, "");
    format!("\u{1b}[1m$ nix-prune {line}\u{1b}[0m\n{text}")
}
