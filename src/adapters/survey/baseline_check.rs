//! Comparison with the root baseline of the last run: missing directories of roots, missing file systems, and the clock.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::baseline::{RootBaseline, SnapshotScope};
use crate::domain::blocker::CheckCode;
use crate::domain::elapsed::{Reading, Uptime};
use crate::domain::measure::Timestamp;
use crate::domain::note::NoteCode;
use crate::domain::profile::Profile;
use crate::domain::root::GcRoot;
use crate::domain::snapshot::{Hold, VanishedRoot};
use crate::domain::store_path::StorePath;
use crate::domain::uptimes::{self, Uptimes};

use super::findings::{if_gone_for_good, roots_point};
use super::names::shown;
use super::roots::Roots;
use super::{SurveyContext, causes};

/// The baseline of the last run, with the current mounts.
pub(super) struct Missing<'a> {
    context: SurveyContext<'a>,
    seen: Option<RootBaseline>,
    mounts: Option<BTreeSet<Utf8PathBuf>>,
    away: Vec<Utf8PathBuf>,
    unmounted: Vec<Utf8PathBuf>,
}

impl<'a> Missing<'a> {
    pub(super) fn since_the_last_run(context: SurveyContext<'a>) -> Self {
        let places = context.places;
        let seen = context.previous_runs.baseline(&places.store);
        let seen = seen.unwrap_or_else(|error| {
            let error = causes(&error);
            context.findings.refuse(
                CheckCode::JournalUnreadable,
                format!("cannot read the root baseline of the last run: {error}"),
                "repair or remove the record; without it missing roots are not detected",
            );
            None
        });
        let mounts = mounts(&places.mounts);
        let scope = SnapshotScope {
            mounts: mounts.clone(),
            ..SnapshotScope::default()
        };
        let away = seen.iter().flat_map(|seen| seen.away(&scope).cloned());
        let away: Vec<Utf8PathBuf> = away.collect();
        let is_unmounted = |at: &Utf8PathBuf| {
            !away.contains(at) && mounts.as_ref().is_some_and(|mounts| !mounts.contains(at))
        };
        let listed = fs::read(&places.fstab).unwrap_or_default();
        let unmounted = in_fstab(&listed).filter(is_unmounted).collect();
        Self {
            context,
            seen,
            mounts,
            away,
            unmounted,
        }
    }

    /// The file systems that are no longer mounted.
    pub(super) fn mounts(&self) -> &[Utf8PathBuf] {
        &self.away
    }

    /// The innermost file system of `fstab` that is not mounted and that a link points into, except those above.
    pub(super) fn unmounted(&self, link: &Path) -> Option<&Utf8Path> {
        let around = self.unmounted.iter().filter(|at| link.starts_with(at));
        around
            .max_by_key(|at| at.as_str().len())
            .map(Utf8PathBuf::as_path)
    }

    /// Whether a place is on a file system that is mounted below a directory.
    pub(super) fn is_on_mount_in(&self, dir: &Utf8Path, place: &Path) -> bool {
        let mut mounts = self.mounts.iter().flatten();
        mounts.any(|at| at != dir && at.starts_with(dir) && place.starts_with(at))
    }

    /// Whether no run knows the content of a place: there was no run, or it was away then and nobody has accepted that.
    pub(super) fn is_unknown(&self, place: &Path) -> bool {
        let seen = self.seen.as_ref();
        seen.is_none_or(|seen| seen.away.iter().any(|at| at.as_std_path() == place))
    }

    /// Reports what is missing since the last run, and returns the scope of this survey.
    pub(super) fn report(&self, roots: &Roots<'_>, clock: Reading<'_>) -> SnapshotScope {
        let findings = self.context.findings;
        let seen = self.seen.as_ref();
        let skips = seen.map(|seen| seen.skips(clock.at, clock.uptime));
        let scope = SnapshotScope {
            directories: roots.directories.clone(),
            mounts: self.mounts.clone(),
            uptime: clock.uptime.cloned(),
            skips: skips.unwrap_or_default(),
        };
        for at in &self.away {
            let lost = roots.in_gone_places().filter(|link| link.starts_with(at));
            let count = lost.count();
            if count > 0 {
                let (place, roots) = (shown(at), roots_point(count));
                findings.refuse_away(
                    at.as_std_path(),
                    format!("a file system was mounted at {place} in the last run and is not mounted now, and {roots} into it"),
                    &format!("mount it; {}", if_gone_for_good(&self.context.places.state_dir)),
                );
            }
        }
        let gone: Vec<_> = self.seen.iter().flat_map(|s| s.vanished(&scope)).collect();
        // A directory in another missing one is reported with it.
        let inside = |dir: &Utf8Path| gone.iter().any(|o| *o != dir && dir.starts_with(o));
        for dir in gone.iter().filter(|dir| !inside(dir)) {
            findings.refuse_at(
                [dir],
                CheckCode::RootsVanished,
                format!("{} contained roots in the last run and is gone", shown(dir)),
                "restore it, from a backup if needed; a collection would delete the paths of its roots",
            );
        }
        scope
    }

    /// The roots that the last run saw and that are gone, if the store still has their paths. Derivations are left out:
    /// Nix makes no root for one without building it, and its source makes it again.
    pub(super) fn roots(&self, roots: &[GcRoot], holds: &[Hold]) -> Vec<VanishedRoot> {
        let gone = self.seen.iter().flat_map(|seen| seen.gone(roots, holds));
        let mut gone: Vec<VanishedRoot> = gone.collect();
        gone.retain(|root| !root.store_path.is_derivation());
        // A place that cannot be read may exist: making the hold will show it.
        gone.retain(|root| self.context.store.has(&root.store_path).unwrap_or(true));
        match gone.len() {
            0 => {}
            1 => self.context.findings.note(
                NoteCode::RootsVanished,
                "1 root vanished since the last run, and its store path still exists",
            ),
            count => self.context.findings.note(
                NoteCode::RootsVanished,
                format!(
                    "{count} roots vanished since the last run, and their store paths still exist"
                ),
            ),
        }
        gone
    }

    /// How long the machine ran each of its systems.
    pub(super) fn uptimes(&self, booted: &[StorePath<String>], uptime: Option<&Uptime>) -> Uptimes {
        let known = self.seen.as_ref().map(|seen| seen.uptimes.clone());
        uptimes::observe(known.unwrap_or_default(), booted, uptime)
    }

    /// Reports that the clock cannot be right.
    pub(super) fn clock(&self, now: Timestamp, profiles: &[Profile]) {
        let generations = profiles.iter().flat_map(|p| p.generations.values());
        let created = generations.map(|generation| generation.created);
        let newest = created.filter(|created| *created <= now).max();
        if let Some(blocker) = self.seen.as_ref().and_then(|seen| seen.clock(now, newest)) {
            self.context.findings.push(blocker);
        }
    }
}

/// The mount points, from the kernel's list; `None` without one, as on systems other than Linux.
fn mounts(list: &Utf8Path) -> Option<BTreeSet<Utf8PathBuf>> {
    let text = fs::read(list).ok()?;
    let lines: Vec<Vec<&[u8]>> = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| *byte == b' ').collect())
        .collect();
    let by_id: HashMap<&[u8], &Vec<&[u8]>> = lines
        .iter()
        .filter_map(|line| Some((*line.first()?, line)))
        .collect();
    let kept = lines.iter().filter(|line| {
        let above = line.get(1).and_then(|id| by_id.get(id));
        !is_volatile(kind_in(line)) && !above.is_some_and(|above| is_same_place(line, above))
    });
    let points = kept.filter_map(|line| unescaped(line.get(4)?));
    Some(points.collect())
}

/// The type of a file system, after a varying number of fields.
fn kind_in<'a>(line: &[&'a [u8]]) -> &'a [u8] {
    let mut behind = line.iter().skip_while(|field| **field != b"-");
    behind.nth(1).copied().unwrap_or_default()
}

/// Whether a directory was mounted on itself, as systemd does for `ProtectHome=`: other processes do not see it.
fn is_same_place(line: &[&[u8]], above: &[&[u8]]) -> bool {
    let field = |line: &[&[u8]], n: usize| line.get(n).and_then(|name| unescaped(name));
    let expected = || {
        let (root, at) = (field(above, 3)?, field(above, 4)?);
        let here = field(line, 4)?;
        let below = here.strip_prefix(&at).ok()?;
        Some(root.join(below).components().collect::<Utf8PathBuf>())
    };
    line.get(2) == above.get(2) && field(line, 3).is_some_and(|root| expected() == Some(root))
}

/// Whether such a file system is gone for good once unmounted, as `/run/user/1000` after the logout.
fn is_volatile(kind: &[u8]) -> bool {
    matches!(kind, b"tmpfs" | b"ramfs")
}

/// The mount points in `fstab`.
fn in_fstab(text: &[u8]) -> impl Iterator<Item = Utf8PathBuf> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| {
        let blanks = |byte: &u8| byte.is_ascii_whitespace();
        let mut fields = line.split(blanks).filter(|field| !field.is_empty());
        let is_comment = fields.next()?.starts_with(b"#");
        let (at, kind) = (fields.next()?, fields.next().unwrap_or_default());
        let at = unescaped(at).filter(|_| !is_comment && !is_volatile(kind))?;
        Some(at.components().collect())
    })
}

/// A name of the list: blanks and similar are three octal digits after a backslash. One that is not UTF-8 is skipped.
fn unescaped(name: &[u8]) -> Option<Utf8PathBuf> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).filter(|_| *first == b'\\');
        let octal = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() {
            behind.get(3..)?
        } else {
            behind
        };
    }
    let path = Utf8PathBuf::from(String::from_utf8(bytes).ok()?);
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/home", Some("/home"))]
    #[case("/mnt/my\\040disk", Some("/mnt/my disk"))]
    #[case("/mnt/a\\134b\\011c", Some("/mnt/a\\b\tc"))]
    #[case("/mnt/\\9", Some("/mnt/\\9"))]
    #[case("/mnt/\\", Some("/mnt/\\"))]
    #[case("net:[4026531840]", None)]
    #[case("", None)]
    fn names_of_the_list_are_unescaped(#[case] name: &str, #[case] path: Option<&str>) {
        assert_eq!(
            unescaped(name.as_bytes()).as_deref(),
            path.map(Utf8Path::new)
        );
    }

    #[rstest]
    #[case::of_the_home("/dev/x /home ext4 defaults 0 2", &["/home"])]
    #[case::with_tabs("  LABEL=a\t/mnt/my\\040disk/\tbtrfs", &["/mnt/my disk"])]
    #[case::with_a_comment("# /dev/x /home ext4", &[])]
    #[case::of_swap("/dev/y none swap sw", &[])]
    #[case::volatile("tmpfs /var/cache tmpfs size=1G", &[])]
    #[case::broken("/dev/x\n\n/a \u{e4}\n/dev/x /srv", &["/srv"])]
    fn fstab_names_what_may_be_mounted(#[case] text: &str, #[case] expected: &[&str]) {
        let found: Vec<Utf8PathBuf> = in_fstab(text.as_bytes()).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::a_disk("2 1 8:2 / /home rw - ext4 /dev/y rw", true)]
    #[case::a_subvolume("2 1 8:1 /@home /home rw shared:1 master:2 - btrfs /dev/x rw", true)]
    #[case::another_directory("2 1 8:1 /srv/home /home rw - ext4 /dev/x rw", true)]
    #[case::itself("2 1 8:1 /home /home ro shared:1 - ext4 /dev/x rw", false)]
    #[case::volatile("2 1 0:9 / /home rw - tmpfs tmpfs rw", false)]
    fn a_mount_counts_where_something_else_may_be_without_it(
        #[case] line: &str,
        #[case] counts: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let list = Utf8PathBuf::from_path_buf(dir.path().join("mounts")).unwrap();
        let text = format!("1 0 8:1 / / rw - ext4 /dev/x rw\n{line}\n");
        fs::write(&list, text).unwrap();
        let found = mounts(&list).unwrap();
        assert!(found.contains(Utf8Path::new("/")));
        assert_eq!(found.contains(Utf8Path::new("/home")), counts);
    }

    #[test]
    fn the_kernels_own_list_has_the_root_in_it() {
        if let Some(mounts) = mounts(Utf8Path::new("/proc/self/mountinfo")) {
            assert!(mounts.contains(Utf8Path::new("/")));
        }
    }
}
