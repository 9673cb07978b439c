//! Presets do what they say.

use crate::support::actions;
use nix_prune::domain::effective_job::EffectiveJob;
use nix_prune::domain::plan::{Action, Plan};
use nix_prune::domain::profile::ProfileKind;
use nix_prune::settings::{OutOfRange, Platform, Preset, Report};
use rstest::rstest;

use crate::plan::{profile, root, snapshot};

const SYSTEM: &str = "/nix/var/nix/profiles/system";

/// 52 generations, one a day until now, which is a Sunday, the 22nd of November; and a root that leads nowhere.
#[rstest]
#[case::daily(Preset::Daily, "37-52", true)]
#[case::laptop(Preset::Laptop, "44-52", true)]
#[case::server(Preset::Server, "3 10 17 24 30 31 38 43-52", true)]
#[case::ci(Preset::Ci, "50-52", true)]
#[case::minimal(Preset::Minimal, "48-52", false)]
fn what_stays(#[case] preset: Preset, #[case] stays: &str, #[case] dangling: bool) {
    let mut machine = snapshot(vec![profile(SYSTEM, ProfileKind::System, 0, 52)]);
    machine.roots = vec![root("gone")];
    for platform in [Platform::Linux, Platform::MacOs] {
        let report = Report::of(preset.text(), platform, OutOfRange::Refuse);
        assert_eq!(report.findings, []);
        let settings = report.settings.unwrap();
        let job = settings.job("daily").unwrap().clone();
        let bound = EffectiveJob::new(job, settings.policy());
        let plan = Plan::build(&machine, &bound);
        let gone = crate::plan::gone(&plan, SYSTEM);
        let kept: Vec<u32> = (1..=52).filter(|n| !gone.contains(n)).collect();
        assert_eq!(kept, numbers(stays));
        let removes = |action: &Action| matches!(action, Action::RemoveRoot(_));
        let removed = actions(&plan).iter().filter(|a| removes(&a.action)).count();
        assert_eq!(removed, usize::from(dangling));
        let collects = |action: &Action| matches!(action, Action::Collect(_));
        assert!(actions(&plan).iter().any(|a| collects(&a.action)));
    }
}

/// `1 3-5` is 1, 3, 4, 5.
fn numbers(text: &str) -> Vec<u32> {
    let ranges = text.split(' ').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    });
    ranges.collect()
}
