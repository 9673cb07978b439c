//! The systems that the machine, system-manager and running NixOS containers use.
//!
//! A container has its own `/run`, so the links of the machine say nothing about it; its entries below `gcroots` name its own
//! `/run/current-system`, which is another place here. systemd-machined knows the first process of a running container, and its root
//! directory is reached through `/proc`.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use camino::Utf8Path;

use super::SurveyContext;
use super::dirs::DirHandle;
use super::machine;
use super::names::{Leads, leads, shown};
use super::profiles::Profiles;
use crate::adapters::files::read_bounded;
use crate::domain::blocker::CheckCode;
use crate::domain::profile::{ProfileKind, ProfilePath};
use crate::domain::snapshot::Actor;
use crate::domain::store_path::{StoreDir, StorePath};

/// systemd-machined writes a few hundred bytes.
const MAX_RECORD_BYTES: u64 = 64 << 10;

impl SurveyContext<'_> {
    /// The systems that the machine was booted with.
    pub(super) fn booted(&self, profiles: &mut Profiles<'_>) -> Vec<StorePath<String>> {
        self.systems("booted-system", profiles, ProfileKind::boots_the_machine)
    }

    /// The systems that the machine, system-manager and containers run.
    pub(super) fn running(&self, profiles: &mut Profiles<'_>) -> Vec<StorePath<String>> {
        let of_machine = ProfileKind::boots_the_machine;
        let mut running = self.systems("current-system", profiles, of_machine);
        let of_manager = |kind| kind == ProfileKind::SystemManager;
        running.extend(self.systems("system-manager-current", profiles, of_manager));
        running.extend(self.systems_of_containers(profiles));
        running
    }

    /// The targets of the machine's links of a name.
    fn systems(
        &self,
        name: &str,
        profiles: &mut Profiles<'_>,
        is_of: impl Fn(ProfileKind) -> bool,
    ) -> Vec<StorePath<String>> {
        machine::systems(self.places, name).unwrap_or_else(|why| {
            // Any generation may be in use: all of them are kept.
            profiles.block(&why, |profile| is_of(profile.kind));
            self.findings.refuse(
                CheckCode::RootsUnreadable,
                why,
                "check the link; until then no system generation is removed",
            );
            Vec::new()
        })
    }

    /// The systems of all running containers. A container whose system cannot be read keeps all its generations.
    fn systems_of_containers(&self, profiles: &mut Profiles<'_>) -> Vec<StorePath<String>> {
        let mut systems = Vec::new();
        // Nobody else may change them.
        if self.actor != Actor::Root {
            return systems;
        }
        let containers = profiles.iter();
        let containers = containers.filter(|profile| profile.kind == ProfileKind::Container);
        let containers: Vec<ProfilePath> = containers.map(|it| it.path.clone()).collect();
        for path in containers {
            let Some(name) = path.dir().file_name() else {
                continue;
            };
            let machines = self.places.run_dir.join("systemd/machines");
            match systems_of(name, &machines, Utf8Path::new("/proc"), &self.places.store) {
                Ok(found) => systems.extend(found),
                Err(error) => {
                    let name = shown(name);
                    let why =
                        format!("cannot determine which system the container {name} runs: {error}");
                    profiles.block(&why, |profile| profile.path == path);
                    self.findings.refuse_at(
                        [path.to_path()],
                        CheckCode::ProfileUnreadable,
                        why,
                        "find the cause; until then no generation of the container is removed",
                    );
                }
            }
        }
        systems
    }
}

/// The systems that a container was started with and runs now; none if it does not run.
fn systems_of(
    name: &str,
    machines: &Utf8Path,
    proc: &Utf8Path,
    store: &StoreDir,
) -> io::Result<Vec<StorePath<String>>> {
    let record = match read_bounded(&machines.join(name), MAX_RECORD_BYTES) {
        Ok(record) => record,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let leader = record.lines().find_map(|line| line.strip_prefix("LEADER="));
    let leader: u32 = leader
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other("its record of systemd-machined names no process"))?;
    let run = match open_run(&proc.join(leader.to_string())) {
        Ok(run) => run,
        // It ended just now, or is no system with such a directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut systems = Vec::new();
    for link in ["booted-system", "current-system"] {
        let text = match run.read_link(OsStr::new(link)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match leads(&text, store) {
            Leads::ToStorePath(path) => systems.push(path),
            Leads::IntoStore | Leads::Elsewhere => {
                let text = shown(Path::new(&text));
                let why = format!("its {link} is `{text}`, which is not a store path");
                return Err(io::Error::other(why));
            }
        }
    }
    Ok(systems)
}

/// The directory `run` of a process. No link of the container's is followed.
fn open_run(process: &Utf8Path) -> io::Result<DirHandle> {
    DirHandle::open(&process.join("root"))?.child(OsStr::new("run"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs;
    use std::os::unix::fs::symlink;

    const SYSTEM: &str = "00bgd045z0d4icpbc2yyz4gx48ak44la-nixos-system";

    struct Container(tempfile::TempDir);

    impl Container {
        /// A running container, whose first process has the number 7.
        fn new() -> Self {
            let it = Self(tempfile::tempdir().unwrap());
            for dir in ["machines", "proc/7", "guest/run"] {
                fs::create_dir_all(it.at(dir)).unwrap();
            }
            symlink(it.at("guest"), it.at("proc/7/root")).unwrap();
            it.record("# This is private data. Do not parse.\nNAME=web\nLEADER=7\n");
            it
        }

        fn at(&self, path: &str) -> camino::Utf8PathBuf {
            Utf8Path::from_path(self.0.path()).unwrap().join(path)
        }

        fn record(&self, text: &str) {
            fs::write(self.at("machines/web"), text).unwrap();
        }

        fn link(&self, name: &str, text: &str) {
            symlink(text, self.at("guest/run").join(name)).unwrap();
        }

        fn systems(&self) -> Result<Vec<String>, String> {
            let store = StoreDir::new(Utf8Path::new("/nix/store")).unwrap();
            let found = systems_of("web", &self.at("machines"), &self.at("proc"), &store);
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.iter().map(ToString::to_string).collect())
        }
    }

    #[test]
    fn a_running_container_has_its_own_links() {
        let container = Container::new();
        assert_eq!(container.systems().unwrap(), [""; 0]);
        container.link("current-system", &format!("/nix/store/{SYSTEM}"));
        assert_eq!(container.systems().unwrap(), [SYSTEM]);
        container.link("booted-system", &format!("/nix/store/{SYSTEM}"));
        assert_eq!(container.systems().unwrap(), [SYSTEM, SYSTEM]);
    }

    #[rstest]
    #[case::no_record(|it: &Container| fs::remove_file(it.at("machines/web")).unwrap())]
    #[case::no_process(|it: &Container| fs::remove_dir_all(it.at("proc/7")).unwrap())]
    #[case::no_run(|it: &Container| fs::remove_dir_all(it.at("guest/run")).unwrap())]
    fn what_does_not_run_uses_nothing(#[case] change: fn(&Container)) {
        let container = Container::new();
        container.link("current-system", "nowhere");
        change(&container);
        assert_eq!(container.systems().unwrap(), [""; 0]);
    }

    #[rstest]
    #[case::no_leader(|it: &Container| it.record("NAME=web\n"))]
    #[case::no_number(|it: &Container| it.record("LEADER=../../x\n"))]
    #[case::record_is_a_link(|it: &Container| {
        fs::rename(it.at("machines/web"), it.at("real")).unwrap();
        symlink(it.at("real"), it.at("machines/web")).unwrap();
    })]
    #[case::record_is_a_pipe(|it: &Container| {
        fs::remove_file(it.at("machines/web")).unwrap();
        let mode = nix::sys::stat::Mode::S_IRUSR;
        nix::unistd::mkfifo(it.at("machines/web").as_std_path(), mode).unwrap();
    })]
    #[case::run_is_a_link(|it: &Container| {
        fs::rename(it.at("guest/run"), it.at("guest/real")).unwrap();
        symlink(it.at("guest/real"), it.at("guest/run")).unwrap();
    })]
    #[case::no_store_path(|it: &Container| it.link("current-system", "/etc/passwd"))]
    #[case::no_link(|it: &Container| fs::create_dir(it.at("guest/run/current-system")).unwrap())]
    fn what_is_odd_is_an_error(#[case] change: fn(&Container)) {
        let container = Container::new();
        change(&container);
        assert!(container.systems().is_err());
    }
}
