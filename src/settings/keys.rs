//! Every key of the settings, declared once: meaning, name, type, default, range, merge rule, risk of a change, flag.
//!
//! To add a key, add it here, and use it in `rules.rs`, where keys become what a job does.

use camino::Utf8PathBuf;

use super::declare::{Default, Key, Merge, Required, Risk, Tidy, keys};
use super::finding::Code;
use super::platform::Platform;
use super::reader::Reader;
use super::slot::{Group, List, Named, Origin, Part, Slot, Sourced, fill, over};
use super::syntax::{At, Object};
use super::values::{MaxStore, MinFree, MinFreeInodes, Reason, RootPattern, RuledKind, UserName};
use crate::domain::accept::Place;
use crate::domain::blocker::CheckCode;
use crate::domain::budget::{Budget as Goal, ReleaseHolds};
use crate::domain::collect::CollectMethod;
use crate::domain::job::{PathPatterns, ProfileRef, ProfileSelector};
use crate::domain::measure::{Bytes, Span};
use crate::domain::retention::MAX_KEPT;
use crate::domain::risk::RiskLevel;
use crate::domain::root_rules::RuleVerdict;

/// The numbers of keep rules.
const KEPT: Option<(i64, i64)> = Some((0, MAX_KEPT as i64));
/// The percentages that a file system can be kept below.
const USED: Option<(i64, i64)> =
    Some((Goal::MIN_USED_PERCENT as i64, Goal::MAX_USED_PERCENT as i64));

keys! {
    /// The settings of nix-prune.
    Settings {
        /// The version of the settings.
        version "version": Sourced<u64> {
            required: Required::As(Code::VersionMissing), range: Some((super::VERSION, super::VERSION)),
            risk: Risk::Meaningless,
        };
        /// Refuse critical actions, whatever a job allows.
        safe_mode "safeMode": Sourced<bool> { default: Default::Json("true"), risk: Risk::Guard };
        /// How long removed generations and roots stay restorable, such as `7d`; `0s` disables undo.
        undo_window "undoWindow": Sourced<Span> {
            default: Default::Json(r#""7d""#), risk: Risk::Keeps, flag: Some("--undo-window"),
        };
        /// Per-run limits: a larger run needs a confirmation. The strictest file wins.
        limits "limits": Limits { merge: Merge::Union, risk: Risk::Each };
        /// What no job may remove. The lists of all files are added up.
        protect "protect": Protect { default: Default::Json("{}"), merge: Merge::Union, risk: Risk::Each };
        /// Safety checks that are accepted at a place, until the entry is removed. Every plan shows them. Only the entries
        /// of the lowest file count, which is the machine's where there is one.
        accept "accept": List<Acceptance> {
            default: Default::Json("[]"), items: (0, PathPatterns::MAX_COUNT), items_code: Code::AcceptMany,
            merge: Merge::Lowest, risk: Risk::Accepts,
        };
        /// Minimum retention enforced on every job, flag and other file. The strictest file wins.
        policy "policy": Policy { merge: Merge::Union, risk: Risk::Each };
        /// Who is told when something is wrong with a job, and when it is not any more: once for each change, not for each run.
        notify "notify": Notify { risk: Risk::Each };
        /// The jobs by name. A job of a higher file replaces the whole job of that name.
        jobs "jobs": Named<Job> {
            required: Required::As(Code::JobsNone), items: (1, usize::MAX), items_code: Code::JobsNone,
            risk: Risk::Job,
        };
    }

    /// Per-run limits: what a run may do without a confirmation on the terminal or `--accept`.
    Limits {
        /// The most generations that one run removes.
        max_generations "maxGenerationsPerRun": Sourced<u64> {
            range: Some((0, 100_000)), code: Code::LimitsGenerations, merge: Merge::Least, risk: Risk::Allows,
        };
        /// The most bytes that one run deletes, in NAR sizes, such as `50G`.
        max_bytes "maxBytesPerRun": Sourced<Bytes> {
            code: Code::LimitsBytes, merge: Merge::Least, risk: Risk::Allows,
        };
    }

    /// What no job may remove.
    Protect {
        /// Paths that are never removed. A list must contain every critical path of the platform, which are the default.
        paths "paths": List<Sourced<Utf8PathBuf>> {
            default: Default::CriticalPaths, merge: Merge::Union, risk: Risk::Protects, tidy: Tidy::Paths,
        };
        /// Pinned generations, which are never removed.
        generations "generations": List<Pin> {
            default: Default::Json("[]"), merge: Merge::Union, risk: Risk::Protects,
        };
        /// Patterns for links of GC roots that are never removed, such as `/home/*/keep/**`.
        roots "roots": List<Sourced<RootPattern>> {
            default: Default::Json("[]"), items: (0, PathPatterns::MAX_COUNT), items_code: Code::RootPatternsMany,
            code: Code::RootPattern, merge: Merge::Union, risk: Risk::Protects,
        };
    }

    /// A generation that is never removed.
    Pin {
        /// The profile: a short name such as `system` or `alice/home-manager`, or a path.
        profile "profile": Sourced<ProfileRef> { required: Required::Yes, code: Code::PinProfile };
        /// The number of the generation.
        number "number": Sourced<u64> {
            required: Required::Yes, range: Some((0, 4_294_967_295)), code: Code::PinNumber,
        };
        /// Why it is pinned.
        reason "reason": Sourced<String>;
    }

    /// A safety check that is accepted at a place.
    Acceptance {
        /// The safety check.
        code "code": Sourced<CheckCode> { required: Required::Yes, code: Code::AcceptCode };
        /// An absolute path, which stands for everything below it as well, or a pattern such as `/home/*/result`. Its first
        /// name has no wildcard.
        place "place": Sourced<Place> { required: Required::Yes, code: Code::AcceptPlace };
        /// Why it is accepted.
        reason "reason": Sourced<Reason> { required: Required::Yes, code: Code::AcceptReason };
    }

    /// Minimum retention enforced on every job.
    Policy {
        /// What is kept of every profile, whatever a job's rules say.
        keep_at_least "keepAtLeast": MinimumRetention { merge: Merge::Union, risk: Risk::Each };
        /// The highest risk that any job may have: low, medium, high or critical.
        max_risk "maxRisk": Sourced<RiskLevel> { merge: Merge::Least, risk: Risk::Ceiling };
        /// The shortest undo window, such as `1d`. No budget releases a hold early then.
        undo_window "undoWindow": Sourced<Span> { merge: Merge::Greatest, risk: Risk::Keeps };
    }

    /// What is kept of every profile.
    MinimumRetention {
        /// This many generations, counted back from the current one.
        last "last": Sourced<u64> {
            range: KEPT, code: Code::KeepRange, merge: Merge::Greatest, risk: Risk::Keeps,
        };
        /// Generations not older than this, such as `7d`, and the one that was active then.
        within "within": Sourced<Span> { merge: Merge::Greatest, risk: Risk::Keeps };
    }

    /// Notices about jobs.
    Notify {
        /// A program and its arguments. It gets each notice as a JSON document on standard input. The program is an absolute path.
        command "command": List<Sourced<String>> {
            items: (1, PathPatterns::MAX_COUNT), items_code: Code::NotifyCommand, code: Code::NotifyCommand,
        };
        /// Whether the desktop of the user's session shows notices.
        desktop "desktop": Sourced<bool> { default: Default::Json("false") };
        /// How long the command may take, at most `10min`.
        timeout "timeout": Sourced<Span> { default: Default::Json(r#""30s""#) };
        /// Send a notice as well if the file system of the store will be full within this time by its growth, such as `14d`.
        full_within "fullWithin": Sourced<Span>;
    }

    /// A named set of operations.
    Job {
        /// What it is for.
        description "description": Sourced<String> { tidy: Tidy::Trim };
        /// Whether it runs at all.
        enabled "enabled": Sourced<bool> { default: Default::Json("true"), risk: Risk::Enables };
        /// Actions above this level stop a run: low, medium, high or critical.
        max_risk "maxRisk": Sourced<RiskLevel> {
            default: Default::Json(r#""high""#), risk: Risk::Ceiling, flag: Some("--max-risk"),
        };
        /// The disk goal. With one the job removes only what it needs.
        budget "budget": Budget { risk: Risk::Budget };
        /// What the job does, in this order.
        operations "operations": Operations;
    }

    /// The disk goal of a job: one of the sizes, a number of inodes or both, and whether holds may end early for it.
    Budget {
        /// The least free space, such as `50G` or `20%`.
        min_free "minFree": Sourced<MinFree> { code: Code::MinFree, flag: Some("--until-free") };
        /// The most of the file system that is used, in percent.
        max_used "maxUsed": Sourced<u64> {
            range: USED, code: Code::MaxUsedRange, tidy: Tidy::Clamp, flag: Some("--max-used"),
        };
        /// The largest store, such as `200G`.
        max_store "maxStore": Sourced<MaxStore> { code: Code::MaxStore, flag: Some("--max-store") };
        /// The least number of free inodes, such as `50000` or `10%`.
        min_free_inodes "minFreeInodes": Sourced<MinFreeInodes> {
            code: Code::MinFreeInodes, flag: Some("--until-free-inodes"),
        };
        /// Whether holds are released before their window ends: never or ifNeeded.
        release_holds "releaseHolds": Sourced<ReleaseHolds> {
            default: Default::Json(r#""never""#), code: Code::ReleaseHolds, flag: Some("--release-holds"),
        };
    }

    /// The operations of a job, in the order in which they run.
    Operations {
        /// Remove generations that no rule keeps.
        generations "generations": Generations { risk: Risk::Removes };
        /// Remove GC roots.
        roots "roots": Roots { risk: Risk::Each };
        /// Remove files of Nix beside the store that are old and not in use. This cannot be undone.
        leftovers "leftovers": Leftovers { risk: Risk::Each };
        /// Collect garbage.
        collect "collect": Collect;
        /// Keep the boot menu of NixOS in step with the system generations.
        boot_menu "bootMenu": BootMenu;
        /// Hard-link equal files in the store.
        optimise "optimise": Optimise;
        /// Check the store.
        verify "verify": Verify;
    }

    /// Which profiles lose generations, and which generations are kept.
    Generations {
        /// system, users, home-manager, containers, system-manager, nix-on-droid, nix-collect-garbage, absolute paths of
        /// profiles, or patterns for them such as `/nix/var/nix/profiles/per-user/*/dev*`.
        profiles "profiles": List<Sourced<ProfileSelector>> {
            default: Default::Json(r#"["system", "users", "home-manager"]"#), items: (1, PathPatterns::MAX_COUNT),
            items_code: Code::ProfilesCount, code: Code::ProfileUnknown, risk: Risk::Removes, flag: Some("--profile"),
        };
        /// The users, by name or number, whose profiles may be among these. Systems are not affected. Without it,
        /// everybody's.
        users "users": List<Sourced<UserName>> {
            items: (1, PathPatterns::MAX_COUNT), items_code: Code::GenerationsUsers, code: Code::GenerationsUsers,
            risk: Risk::Restricts,
        };
        /// What is kept.
        keep "keep": Keep;
    }

    /// Keep rules; a generation is kept if any of them keeps it.
    Keep {
        /// This many generations, counted back from the current one.
        last "last": Sourced<u64> {
            range: KEPT, code: Code::KeepRange, risk: Risk::Keeps, flag: Some("--keep-last"),
        };
        /// Generations not older than this, such as `14d`.
        within "within": Sourced<Span> { risk: Risk::Keeps, flag: Some("--keep-within") };
        /// The newest of each of this many days.
        daily "daily": Sourced<u64> {
            range: KEPT, code: Code::KeepRange, risk: Risk::Keeps, flag: Some("--keep-daily"),
        };
        /// The newest of each of this many ISO weeks.
        weekly "weekly": Sourced<u64> {
            range: KEPT, code: Code::KeepRange, risk: Risk::Keeps, flag: Some("--keep-weekly"),
        };
        /// The newest of each of this many months.
        monthly "monthly": Sourced<u64> {
            range: KEPT, code: Code::KeepRange, risk: Risk::Keeps, flag: Some("--keep-monthly"),
        };
        /// The newest of each of this many years.
        yearly "yearly": Sourced<u64> {
            range: KEPT, code: Code::KeepRange, risk: Risk::Keeps, flag: Some("--keep-yearly"),
        };
        /// The system generation that ran longest without a reboot, if that is at least a day, as far as runs have seen it.
        known_good "knownGood": Sourced<bool> { default: Default::Json("false"), risk: Risk::Keeps };
    }

    /// Which GC roots are removed.
    Roots {
        /// Remove roots whose link is gone.
        dangling "dangling": Sourced<bool> { default: Default::Json("false") };
        /// Rules for links of users that are roots, such as `result` and those in `.direnv`. The first rule that fits a link
        /// decides. A link that no rule fits is kept.
        rules "rules": List<RootRule> {
            default: Default::Json("[]"), items: (0, PathPatterns::MAX_COUNT), items_code: Code::RootRules,
            risk: Risk::Rules,
        };
        /// Remove all generations of profiles of removed users, if none of them is younger than this, such as `90d`. These are the
        /// profiles in `profiles/per-user/NAME` whose owner has no account and no home any more.
        removed_users "removedUsers": Sourced<Span> { risk: Risk::RemovesAfter };
    }

    /// A rule for links that are roots. It fits a link if everything that it names is true of the link.
    RootRule {
        /// The kind of link: result, direnv, devenv, lorri, nixShell or other. `roots` lists the kinds.
        kind "kind": Sourced<RuledKind>;
        /// A pattern for the link, such as `/home/*/src/**`.
        pattern "match": Sourced<RootPattern> { code: Code::RootPattern };
        /// The owner of the link, by name.
        owner "owner": Sourced<String>;
        /// The project of the link was not used for this long, such as `60d`.
        unused_for "unusedFor": Sourced<Span>;
        /// The link is older than this, such as `90d`.
        older_than "olderThan": Sourced<Span>;
        /// There are at least this many newer links of this kind in its directory.
        keep_latest "keepLatestPerDirectory": Sourced<u64> { range: KEPT, code: Code::KeepRange };
        /// The project is gone: a git worktree that its repository no longer knows, or an environment without `.envrc` or
        /// `devenv.nix`.
        project_gone "projectGone": Sourced<bool> { default: Default::Json("false") };
        /// What the rule does: remove or keep.
        action "action": Sourced<RuleVerdict> { default: Default::Json(r#""remove""#) };
    }

    /// The age from which each class of files is removed; a class without one is left alone.
    Leftovers {
        /// Directories of failed or interrupted builds, by their last change: `nix-build-*` in the directory of temporary
        /// files, and the entries of `builds` in Nix's state directory.
        build_dirs "buildDirs": Sourced<Span> { risk: Risk::Tidies };
        /// Logs of builds.
        build_logs "buildLogs": Sourced<Span> { risk: Risk::Tidies };
        /// Logs of builds whose derivation is no longer in the store; without it `buildLogs` applies to them.
        orphaned_build_logs "orphanedBuildLogs": Sourced<Span> { risk: Risk::Tidies };
        /// Repositories, downloads and evaluations in `~/.cache/nix` of each user, by their last use.
        nix_cache "nixCache": Sourced<Span> { risk: Risk::Tidies };
        /// Files of temporary roots whose process has ended.
        temporary_roots "temporaryRoots": Sourced<Span> { risk: Risk::Tidies };
    }

    /// How garbage is collected.
    Collect {
        /// auto (delete listed paths where that equals a full collection), selective (delete listed paths or nothing), full
        /// (nix-collect-garbage) or direct (nix-prune deletes in the place of Nix, as root only).
        method "method": Sourced<CollectMethod> {
            default: Default::Json(r#""auto""#), code: Code::CollectMethod, flag: Some("--collect-method"),
        };
        /// Do not delete paths registered within this time, such as `2d`, or their dependencies.
        keep_recent "keepRecent": Sourced<Span> { risk: Risk::Spares, flag: Some("--keep-recent") };
        /// Directories of flakes whose locked inputs are not deleted, such as `/etc/nixos`, nor their dependencies, so that an
        /// offline rebuild works after a collection.
        keep_flake_inputs "keepFlakeInputs": List<Sourced<Utf8PathBuf>> {
            default: Default::Json("[]"), risk: Risk::Protects, tidy: Tidy::Paths,
        };
        /// Do not delete what live paths were built with: their derivations and the inputs of these, as Nix's
        /// keep-derivations and keep-outputs would.
        keep_build_dependencies "keepBuildDependencies": Sourced<bool> {
            default: Default::Json("false"), risk: Risk::Keeps,
        };
        /// With a budget, delete dead source trees (`source` and `*-source`) before other dead paths.
        sources_first "sourcesFirst": Sourced<bool> { default: Default::Json("false") };
    }

    /// Keeps the boot menu in step with the system generations.
    BootMenu {
        /// Refresh the boot menu after system generations were removed.
        refresh "refresh": Sourced<bool> { default: Default::Json("true") };
        /// The least free space on the file system of the boot menu, such as `100M`. With a budget, system generations that no rule
        /// keeps are removed for it as well.
        min_free "minFree": Sourced<Bytes> { code: Code::BootMinFree, risk: Risk::Allows };
    }

    /// Hard-links equal files in the store. The step is left out while no path was registered since the last run that completed it.
    Optimise {
        /// Enable this operation.
        enabled "enabled": Sourced<bool> { default: Default::Json("true") };
    }

    /// Checks the store. Nothing is repaired, and no missing path is removed from the database.
    Verify {
        /// Enable this operation.
        enabled "enabled": Sourced<bool> { default: Default::Json("true") };
        /// Read and hash the contents of every path.
        contents "contents": Sourced<bool> { default: Default::Json("false") };
    }
}
