//! Kinds of roots, recognised by their names.

use camino::Utf8Path;

use crate::domain::root::RootKind;

/// The places that names are compared with.
pub(super) struct Kinds<'a, F> {
    pub(super) holds: &'a Utf8Path,
    pub(super) run_dir: &'a Utf8Path,
    pub(super) is_generation: F,
}

impl<F: Fn(&Utf8Path) -> bool> Kinds<'_, F> {
    /// The kind of a root. The first match counts: a hold of a system is a hold, a generation below `.direnv` is a
    /// generation.
    pub(super) fn of(&self, link: &Utf8Path, entry: Option<&Utf8Path>) -> RootKind {
        let of_system = |path: &Utf8Path| {
            path.parent() == Some(self.run_dir)
                || matches!(path.file_name(), Some("booted-system" | "current-system"))
        };
        let has = |name: &str| link.components().any(|part| part.as_str() == name);
        let name = link.file_name().unwrap_or_default();
        if link.starts_with(self.holds) || entry.is_some_and(|e| e.starts_with(self.holds)) {
            RootKind::Hold
        } else if (self.is_generation)(link) {
            RootKind::Profile
        } else if of_system(link) || entry.is_some_and(of_system) {
            RootKind::System
        } else if name == "current-home" || link.as_str().contains("/home-manager/gcroots/") {
            RootKind::Home
        } else if has(".direnv") {
            RootKind::Direnv
        } else if name == "result" || name.starts_with("result-") {
            RootKind::Result
        } else {
            RootKind::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/var/holds/run/1", Some("/s/gcroots/auto/a"), RootKind::Hold)]
    #[case("/var/holds-not/run/1", Some("/s/gcroots/auto/a"), RootKind::Other)]
    #[case("/var/holds/run/current-system", None, RootKind::Hold)]
    #[case("/s/profiles/system-1-link", None, RootKind::Profile)]
    #[case("/s/profiles/other-1-link", None, RootKind::Other)]
    #[case(
        "/run/current-system",
        Some("/s/gcroots/current-system"),
        RootKind::System
    )]
    #[case("/run/opengl-driver", Some("/s/gcroots/opengl"), RootKind::System)]
    #[case("/run/user/1000/result", Some("/s/gcroots/auto/a"), RootKind::Result)]
    #[case("/s/gcroots/booted-system", None, RootKind::System)]
    #[case(
        "/h/.local/state/home-manager/gcroots/current-home",
        Some("/e"),
        RootKind::Home
    )]
    #[case(
        "/h/.local/state/home-manager/gcroots/new-home",
        Some("/e"),
        RootKind::Home
    )]
    #[case("/s/gcroots/per-user/u/current-home", None, RootKind::Home)]
    #[case("/h/p/.direnv/flake-profile", Some("/e"), RootKind::Direnv)]
    #[case("/h/p/.direnv/result", Some("/e"), RootKind::Direnv)]
    #[case("/h/p/x.direnv/y", Some("/e"), RootKind::Other)]
    #[case("/h/p/result", Some("/e"), RootKind::Result)]
    #[case("/h/p/result-man", Some("/e"), RootKind::Result)]
    #[case("/h/p/results", Some("/e"), RootKind::Other)]
    #[case("/h/result/x", Some("/e"), RootKind::Other)]
    fn trap_23_kinds_follow_from_names(
        #[case] link: &str,
        #[case] entry: Option<&str>,
        #[case] kind: RootKind,
    ) {
        let kinds = Kinds {
            holds: "/var/holds".into(),
            run_dir: "/run".into(),
            is_generation: |link: &Utf8Path| link == "/s/profiles/system-1-link",
        };
        assert_eq!(kinds.of(link.into(), entry.map(Utf8Path::new)), kind);
    }
}
