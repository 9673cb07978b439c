//! Protected paths (`protect.paths`): what no operation removes, and what an operation owns by definition all the same.

use camino::{Utf8Path, Utf8PathBuf};

/// The paths of `protect.paths`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProtectedPaths {
    paths: Vec<Utf8PathBuf>,
    /// Those among them that every machine protects.
    critical: Vec<Utf8PathBuf>,
}

impl ProtectedPaths {
    /// Paths as the settings list them: absolute and normalised.
    pub fn new(paths: Vec<Utf8PathBuf>) -> Self {
        let critical = Vec::new();
        Self { paths, critical }
    }

    /// The same, where these of them are on the list of every machine.
    #[must_use]
    pub fn with_critical(self, critical: Vec<Utf8PathBuf>) -> Self {
        Self { critical, ..self }
    }

    /// The paths, in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &Utf8Path> {
        self.paths.iter().map(Utf8PathBuf::as_path)
    }

    /// The protected path that keeps a link: the link itself, or a directory that it is in. `/` protects only itself,
    /// because everything is below it.
    ///
    /// Paths are compared as they are written. Generation links and holds are never covered: the operations that remove
    /// them own them.
    pub fn covering(&self, link: &Utf8Path) -> Option<&Utf8Path> {
        self.containing(link).filter(|_| !is_owned(link))
    }

    /// The same for what no operation owns by definition, whatever its name.
    pub fn containing(&self, path: &Utf8Path) -> Option<&Utf8Path> {
        let contains = |by: &&Utf8Path| path == *by || (*by != "/" && path.starts_with(by));
        self.iter().find(contains)
    }

    /// The protected path that keeps a leftover: above it, the leftover itself, or in it. The paths that every machine protects do not
    /// count: Nix's own directories, whose leftovers are removed, are below them.
    pub fn keeping_leftover(&self, leftover: &Utf8Path) -> Option<&Utf8Path> {
        let keeps = |path: &&Utf8Path| leftover.starts_with(path) || path.starts_with(leftover);
        let mut added = self
            .iter()
            .filter(|path| !self.critical.iter().any(|it| it == path));
        added.find(keeps)
    }
}

/// Whether the name is one that only Nix gives, to a generation, or only nix-prune, to a hold.
fn is_owned(link: &Utf8Path) -> bool {
    let is_generation = link
        .file_name()
        .and_then(|name| name.strip_suffix("-link")?.rsplit_once('-'))
        .is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
    let run = link.parent().unwrap_or(link);
    let is_hold = run.file_name().is_some_and(is_run)
        && run.parent().and_then(Utf8Path::file_name) == Some("holds");
    is_generation || is_hold
}

/// Whether a name is that of a run: `20261122T221644Z`.
fn is_run(name: &str) -> bool {
    let bytes = name.bytes();
    let is_as_in = |(at, b): (usize, u8)| match at {
        8 => b == b'T',
        15 => b == b'Z',
        _ => b.is_ascii_digit(),
    };
    bytes.len() >= 16 && bytes.take(16).enumerate().all(is_as_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::itself("/usr", Some("/usr"))]
    #[case::below("/usr/share/result", Some("/usr"))]
    #[case::a_prefix_of_the_text("/usrlocal/result", None)]
    #[case::the_root("/", Some("/"))]
    #[case::below_the_root("/home/alice/result", None)]
    #[case::the_longest_is_not_needed("/nix/var/log/result", Some("/nix/var"))]
    #[case::a_generation("/nix/var/nix/profiles/system-12-link", None)]
    #[case::a_name_like_a_generation("/nix/var/nix/system-x-link", Some("/nix/var"))]
    #[case::a_link_without_a_number("/nix/var/nix/-link", Some("/nix/var"))]
    #[case::a_hold("/var/lib/nix-prune/holds/20260101T000000Z/0", None)]
    #[case::a_hold_of_no_run("/var/lib/nix-prune/holds/today/0", Some("/var"))]
    #[case::a_hold_of_a_long_name("/var/lib/nix-prune/holds/no-run-of-any-name/0", Some("/var"))]
    #[case::a_hold_of_a_year("/var/lib/nix-prune/holds/2026/0", Some("/var"))]
    #[case::a_run_without_holds("/var/lib/nix-prune/runs/20260101T000000Z/0", Some("/var"))]
    fn a_protected_path_covers_itself_and_what_is_below_it(
        #[case] link: &str,
        #[case] expected: Option<&str>,
    ) {
        let paths = ["/", "/usr", "/var", "/nix/var"].map(Utf8PathBuf::from);
        let protected = ProtectedPaths::new(paths.to_vec());
        assert_eq!(protected.covering(link.into()), expected.map(Utf8Path::new));
    }

    #[rstest]
    #[case::below_a_critical_path("/nix/var/log/nix/drvs/ab/c.drv", None)]
    #[case::below_an_added_path("/home/alice/.cache/nix/gitv3/a", Some("/home/alice/.cache"))]
    #[case::itself("/tmp/nix-build-a", Some("/tmp/nix-build-a"))]
    #[case::above_an_added_path("/tmp/nix-build-b", Some("/tmp/nix-build-b/keep"))]
    #[case::a_prefix_of_the_text("/tmp/nix-build-ab", None)]
    fn only_an_added_path_keeps_a_leftover(#[case] leftover: &str, #[case] expected: Option<&str>) {
        let critical = ["/", "/var", "/nix/var"].map(Utf8PathBuf::from);
        let added = [
            "/home/alice/.cache",
            "/tmp/nix-build-a",
            "/tmp/nix-build-b/keep",
        ];
        let paths = critical.iter().cloned().chain(added.map(Utf8PathBuf::from));
        let protected = ProtectedPaths::new(paths.collect()).with_critical(critical.to_vec());
        let keeping = protected.keeping_leftover(leftover.into());
        assert_eq!(keeping, expected.map(Utf8Path::new));
    }
}
