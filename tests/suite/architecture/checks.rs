//! What no source may have, each as a function over a source.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::{CodePath, Kind, Source, Token, paths};

/// Finds offences, each as `FILE:LINE: what`.
pub(super) type Check = fn(&Source<'_>) -> Vec<String>;

/// What reaches out of a pure function: files, processes, the environment, clocks, logs.
const IMPURE: [&[&str]; 19] = [
    &["std", "fs"],
    &["std", "process"],
    &["std", "env"],
    &["std", "net"],
    &["std", "os"],
    &["std", "thread"],
    &["std", "time", "SystemTime"],
    &["std", "time", "Instant"],
    &["std", "io", "stdin"],
    &["std", "io", "stdout"],
    &["std", "io", "stderr"],
    &["tracing"],
    &["tracing_subscriber"],
    &["nix"],
    &["duct"],
    &["which"],
    &["tempfile"],
    &["signal_hook"],
    &["clap"],
];

const PRINTING: [&str; 5] = ["println", "print", "eprintln", "eprint", "dbg"];

/// Methods of paths that ask the file system.
const LOOKING: [&str; 13] = [
    "exists",
    "try_exists",
    "is_file",
    "is_dir",
    "is_symlink",
    "metadata",
    "symlink_metadata",
    "canonicalize",
    "canonicalize_utf8",
    "read_link",
    "read_link_utf8",
    "read_dir",
    "read_dir_utf8",
];

/// Finds what is not pure in domain and settings; their tests may read fixtures.
pub(super) fn purity(source: &Source<'_>) -> Vec<String> {
    let pure = ["src/domain", "src/settings"];
    if !pure.iter().any(|layer| source.path.starts_with(layer)) {
        return Vec::new();
    }
    let offends = |path: &CodePath| {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let ends = |with: &[&str]| segments.ends_with(with);
        IMPURE
            .iter()
            .any(|i| path.begins(i) && (i.len() > 1 || segments.len() > 1))
            || IMPURE.iter().any(|i| segments[0] == "std" && path.globs(i))
            || (path.bang && PRINTING.contains(segments.last().unwrap()))
            || (segments.len() > 1 && ends(&["now"]))
            || ends(&["TimeZone", "system"])
            || ends(&["TimeZone", "get"])
            || ends(&["tz", "db"])
    };
    let mut found = matching(source, offends, "is not pure");
    for three in source.real_tokens.windows(3) {
        let name = three[1].word().unwrap_or_default();
        if three[0].is_sign('.') && LOOKING.contains(&name) && three[2].is_sign('(') {
            found.push(source.at(three[1].line, &format!("`.{name}()` asks the file system")));
        }
    }
    found
}

/// Finds child processes outside their one door.
pub(super) fn processes(source: &Source<'_>) -> Vec<String> {
    if source.path == "src/adapters/process.rs" || source.path.starts_with("src/adapters/process/")
    {
        return Vec::new();
    }
    let forbidden: [&[&str]; 8] = [
        &["std", "process", "Command"],
        &["std", "process", "Child"],
        &["std", "process", "Stdio"],
        &["std", "os", "unix", "process"],
        &["nix", "unistd", "fork"],
        &["nix", "unistd", "execv"],
        &["nix", "unistd", "execve"],
        &["nix", "unistd", "execvp"],
    ];
    // The door's own `Command` may be used; the standard one is found where it is imported.
    let ours = paths(&source.real_tokens).iter().any(|path| {
        let end = ["process".to_string(), "Command".to_string()];
        path.import && path.segments[0] != "std" && path.segments.ends_with(&end)
    });
    let offends = |path: &CodePath| {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        forbidden.iter().any(|f| path.begins(f) || path.globs(f))
            || (segments[0] == "duct" && segments.len() > 1)
            || (segments == ["Command", "new"] && !ours)
    };
    matching(
        source,
        offends,
        "starts a process outside src/adapters/process.rs",
    )
}

/// Finds arguments that make Nix delete what it would spare, or choose generations itself (traps 2 to 4).
pub(super) fn dangerous_arguments(source: &Source<'_>) -> Vec<String> {
    let texts = || {
        source
            .real_tokens
            .iter()
            .filter_map(|t| Some((t.line, t.text()?)))
    };
    let drops = texts().any(|(_, text)| text.contains("delete-generations"));
    // An option could lift what keeps a path from being deleted by name.
    let by_name = texts().any(|(_, text)| text == "--delete");
    let acts = ["src/adapters", "src/engine"]
        .iter()
        .any(|l| source.path.starts_with(l));
    let offends = |text: &str| {
        text.contains("--ignore-liveness")
            || (drops && text == "old")
            || (by_name && text == "--option")
            || text.contains("delete-generations old")
            || (acts && (text.contains("--delete-old") || text.contains("--delete-older-than")))
    };
    let those = texts().filter(|(_, text)| offends(text));
    those
        .map(|(line, text)| source.at(line, &format!("`{text}` must not be said to Nix")))
        .collect()
}

/// Finds `dry_run: bool`: a plan that is not applied is the dry run.
pub(super) fn dry_run(source: &Source<'_>) -> Vec<String> {
    let offends = |three: &&[Token]| {
        three[0].is_word("dry_run") && three[1].is_sign(':') && three[2].is_word("bool")
    };
    let those = source.tokens.windows(3).filter(offends);
    those
        .map(|three| source.at(three[0].line, "`dry_run: bool`"))
        .collect()
}

/// Finds `unsafe`, in tests as well.
pub(super) fn unsafe_code(source: &Source<'_>) -> Vec<String> {
    let those = source.tokens.iter().filter(|token| token.is_word("unsafe"));
    those
        .map(|token| source.at(token.line, "`unsafe`"))
        .collect()
}

/// Finds what panics outside tests.
pub(super) fn panics(source: &Source<'_>) -> Vec<String> {
    let macros = ["panic", "todo", "unimplemented", "unreachable"];
    let offends =
        |path: &CodePath| path.bang && macros.contains(&path.segments.last().unwrap().as_str());
    let mut found = matching(source, offends, "panics");
    let tokens = &source.real_tokens;
    for (at, three) in tokens.windows(3).enumerate() {
        let name = three[1].word().unwrap_or_default();
        let called = three[2].is_sign('(') && (three[0].is_sign('.') || three[0].is_sign(':'));
        let panics = match name {
            "unwrap" | "unwrap_err" => true,
            "expect" | "expect_err" => !takes_more(&tokens[at + 3..]) || three[0].is_sign(':'),
            _ => false,
        };
        if called && panics {
            found.push(source.at(three[1].line, &format!("`{name}` panics")));
        }
    }
    found
}

/// Whether the call whose arguments begin here takes several: a method of our own may be called `expect` too, and
/// Clippy, which knows types, is the first net.
fn takes_more(arguments: &[Token]) -> bool {
    let mut depth = 0;
    for token in arguments {
        match token.kind {
            Kind::Sign('(' | '[' | '{') => depth += 1,
            Kind::Sign(')' | ']' | '}') => depth -= 1,
            Kind::Sign(',') if depth == 0 => {
                return arguments.first().is_some_and(|a| a.text().is_none());
            }
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    false
}

fn matching(source: &Source<'_>, offends: impl Fn(&CodePath) -> bool, what: &str) -> Vec<String> {
    let all = paths(&source.real_tokens);
    let those = all
        .iter()
        .filter(|path| !path.segments.is_empty() && offends(path));
    those
        .map(|path| source.at(path.line, &format!("`{}` {what}", path.written())))
        .collect()
}

/// Finds modules that no file names: the compiler does not see them, and their tests never run.
pub(super) fn forgotten(
    files: &BTreeMap<String, String>,
    folder: &str,
    root: &str,
    also_roots: &[&str],
) -> Vec<String> {
    let mut found = Vec::new();
    for path in files.keys().filter(|path| super::is_rust(path)) {
        if path == root || also_roots.contains(&path.as_str()) {
            continue;
        }
        let inside = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .trim_end_matches(".rs");
        let (parent, name) = match inside.rsplit_once('/') {
            Some((parent, name)) => (format!("{folder}{parent}.rs"), name),
            None => (root.to_string(), inside),
        };
        let source = files.get(&parent).map(|text| Source::new(&parent, text));
        let named = source.is_some_and(|source| {
            let mut pairs = source.tokens.windows(3);
            pairs.any(|t| t[0].is_word("mod") && t[1].is_word(name) && t[2].is_sign(';'))
        });
        if !named {
            found.push(format!("{path}:1: {parent} does not say `mod {name};`"));
        }
    }
    found
}

/// Places that every machine has; whoever builds in one of them gives nothing away.
const COMMON: [&str; 24] = [
    "Users", "bin", "boot", "build", "builds", "dev", "etc", "home", "lib", "media", "mnt", "nix",
    "opt", "private", "proc", "root", "run", "sbin", "srv", "src", "sys", "tmp", "usr", "var",
];

/// Finds the directory that the project lies in, or one above it: a text that names it was made for one machine.
pub(super) fn machine_paths(path: &str, text: &str, project: &Path) -> Vec<String> {
    let telling = |dir: &&Path| {
        let mut names = dir.iter().skip(1);
        let first = names.next().and_then(|name| name.to_str());
        first.is_some_and(|first| names.next().is_some() || !COMMON.contains(&first))
    };
    let dirs = project.ancestors().filter(telling).filter_map(Path::to_str);
    let dirs: Vec<String> = dirs.map(|dir| format!("{dir}/")).collect();
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // Where it ends a longer path, as `/src/` does in `/home/alice/src/`, it is another place.
        let alone = |at: usize| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "_-.*}~/".contains(c))
        };
        let named = |dir: &&String| {
            let closed = format!("{line}/");
            closed.match_indices(dir.as_str()).any(|(at, _)| alone(at))
        };
        if let Some(dir) = dirs.iter().find(named) {
            found.push(format!(
                "{path}:{number}: `{dir}` is a place on one machine"
            ));
        }
    }
    found
}
