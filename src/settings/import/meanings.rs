//! What each flag of another tool means here, and how rules of other tools differ from ours.

use super::NoteKind;

/// What a reader of the imported settings must know.
pub(super) type Meaning = (NoteKind, &'static str);

/// Flags in the form `--name|-n|--alias=VALUE`, and the note about each. The tool's function reads those without a note.
///
/// `=VALUE?` is an optional value, and `=FLAGS` takes one that begins with a dash.
pub(super) struct Row(pub(super) &'static str, pub(super) Option<Meaning>);

const fn absent(message: &'static str) -> Meaning {
    (NoteKind::NoEquivalent, message)
}

const fn keeps(message: &'static str) -> Meaning {
    (NoteKind::KeepsMore, message)
}

const fn deletes(message: &'static str) -> Meaning {
    (NoteKind::DeletesMore, message)
}

const fn rules(flags: &'static str) -> Row {
    Row(flags, None)
}

const fn ignored(flags: &'static str, message: &'static str) -> Row {
    Row(flags, Some(absent(message)))
}

const PLANS: &str = "`nix-prune plan` shows what a run would do.";
const ASKS: &str = "`nix-prune run` asks for confirmation on a terminal, unless --yes is given.";
const NO_EFFECT: &str = "It does not change what is removed.";
const SCHEDULE: &str = "Modules and timers set when a job runs, not the settings.";
const STORE: &str = "NIX_STORE_DIR and NIX_STATE_DIR select the store.";

pub(super) const NIX_GC: &[Row] = &[
    rules("--options=FLAGS"),
    ignored(
        "--automatic=BOOL --dates=TIME --frequency=TIME --interval=TIME \
         --persistent=BOOL --randomizedDelaySec=TIME --user=NAME",
        SCHEDULE,
    ),
];

pub(super) const NIX_COLLECT_GARBAGE: &[Row] = &[
    rules("--delete-old|-d --delete-older-than=AGE --max-freed=SIZE --option=NAME=VALUE"),
    Row("--keep-outputs --keep-derivations", Some(KEEPS_DEAD)),
    ignored("--dry-run", PLANS),
    ignored(
        "--verbose|-v --quiet --debug --log-format=FORMAT --no-build-output|-Q \
         --print-build-logs|-L --show-trace --keep-going|-k --keep-failed|-K \
         --fallback --max-jobs|-j=N --cores=N --max-silent-time=N --timeout=N \
         --experimental-features=NAMES --extra-experimental-features=NAMES",
        NO_EFFECT,
    ),
];

/// The flags of the program, and the options of the module `services.harmonia.gc`.
pub(super) const HARMONIA_GC: &[Row] = &[
    rules("--delete-old|-d --delete-older-than|--deleteOlderThan=AGE --extraArgs=FLAGS"),
    rules("--ensure-free|--ensureFree=GOAL --keep-recent|--keepRecent=AGE"),
    rules("--keep-outputs=BOOL --keep-derivations=BOOL --gc-roots-dir|--gcRootsDirs=DIR"),
    ignored("--dry-run", PLANS),
    ignored("--store-dir=DIR --state-dir=DIR", STORE),
    ignored(
        "--enable=BOOL --automatic=BOOL --dates=TIME \
         --persistent=BOOL --randomizedDelaySec=TIME",
        SCHEDULE,
    ),
    ignored(
        "--no-vacuum --noVacuum=BOOL --chunk-size|--chunkSize=N --package=PACKAGE",
        NO_EFFECT,
    ),
];

/// The command `expire-generations`, and the options of the module `services.home-manager.autoExpire`.
pub(super) const HOME_MANAGER: &[Row] = &[
    rules("--timestamp=TIME --store.cleanup=BOOL --store.options=FLAGS"),
    ignored("--enable=BOOL --frequency=TIME", SCHEDULE),
    ignored("--dry-run|-n", PLANS),
    ignored("--verbose|-v", NO_EFFECT),
];

/// The flags of `nh clean`, and the options of the module `programs.nh.clean`.
pub(super) const NH: &[Row] = &[
    rules("WORDS --keep|-k=N --keep-since|-K=AGE --no-gc|--nogc --no-gcroots|--nogcroots"),
    rules("--optimise --extraArgs=FLAGS"),
    Row("--max=SIZE", Some(NO_LIMIT)),
    ignored(
        "--no-direnv|--nodirenv --keep-one",
        "Roots of direnv are never removed by age.",
    ),
    ignored("--dry|-n", PLANS),
    ignored("--ask|-a", ASKS),
    ignored("--enable=BOOL --dates=TIME", SCHEDULE),
    ignored(
        "--cross-filesystems|-x",
        "Roots are found on every file system.",
    ),
    ignored(
        "--verbose|-v --quiet|-q --elevation-strategy|-e=STRATEGY",
        NO_EFFECT,
    ),
];

pub(super) const NIX_SWEEP: &[Row] = &[
    rules("WORDS --preset|-p=NAME --config|-C=FILE --keep-min=N --keep-max=N"),
    rules("--keep-newer=AGE --remove-older=AGE"),
    rules("--gc --gc-bigger=GIB --gc-quota=PERCENT --gc-modest"),
    ignored(
        "--generation|-g=N",
        "`nix-env --delete-generations` removes single generations.",
    ),
    ignored("--interactive|-i --non-interactive|-n", ASKS),
    ignored("--dry-run|-d", PLANS),
    ignored("--no-size", NO_EFFECT),
];

pub(super) const NIX_SWEEP_GC: &[Row] = &[
    rules("--bigger|-b=GIB --quota|-q=PERCENT --modest|-m"),
    ignored("--interactive|-i --non-interactive|-n", ASKS),
    ignored("--dry-run|-d", PLANS),
];

pub(super) const ANGRR: &[Row] = &[
    rules("WORDS --config|-c=FILE"),
    ignored("--dry-run", PLANS),
    ignored(
        "--no-global-config --no-prompt|-n --no-statistic --verbose|-v \
         --log-level=LEVEL --interactive|-i=WHEN? --output=FILE --output-unbuffered \
         --output-delimiter=TEXT --null-output-delimiter --filter-timeout=TIME",
        NO_EFFECT,
    ),
];

/// The keys of angrr's file, other than its policies.
pub(super) const ANGRR_KEYS: &[Row] = &[
    ignored("store directory", STORE),
    ignored(
        "owned-only",
        "As root, jobs cover the profiles of every user, as another user only their own.",
    ),
    ignored("remove-root touch", "Nothing here does the same."),
];

// Differences between their rules and ours.

pub(super) const INTERACTIVE: Meaning = absent(ASKS);
pub(super) const NIX_CONF: Meaning = absent("Nix's own settings belong in nix.conf.");
pub(super) const KEEPS_DEAD: Meaning = deletes(
    "The flag keeps store paths that the job deletes. Write the setting to nix.conf before you run the job.",
);
pub(super) const NIX_CONF_KEEPS: Meaning =
    keeps("nix.conf decides this, and store paths that it keeps are kept.");
pub(super) const AGE_DECIDES: Meaning =
    keeps("--delete-older-than takes precedence: younger generations are kept.");
pub(super) const OLD_KEPT: Meaning = keeps(
    "Generations newer than the current one are kept after a rollback, and so is one older bootable generation of a \
     system. The original removes both.",
);
pub(super) const FREES_NOTHING: Meaning =
    keeps("Nix deletes nothing with this limit, so the job does not collect garbage.");
pub(super) const NO_LIMIT: Meaning = deletes(
    "Nix stops at this limit. The job deletes all dead store paths; with `minFree` in `budget` it stops once that much is \
     free.",
);
pub(super) const UNTIL_FREE: Meaning = keeps(
    "It becomes the goal `minFree`: the job removes only as much as is missing, generations included.",
);
pub(super) const MAX_FREE: Meaning =
    keeps("The goal is 90% free, the most that a job can ask for.");
pub(super) const SYSTEM_ONLY: Meaning = keeps(
    "Only system profiles are covered. harmonia-gc also covers root's own profiles and those in \
     /nix/var/nix/profiles/per-user; `users` and `home-manager` would cover these, and every user's home as well.",
);
pub(super) const ROOTS_KEPT: Meaning = keeps(
    "Only dangling roots are removed. `result` links and roots of direnv are kept at any age, as with --no-gcroots.",
);
pub(super) const ACTIVE_KEPT: Meaning =
    keeps("The generation that was active at the start of that time is kept as well.");
pub(super) const CURRENT_KEPT: Meaning =
    keeps("The current generation is always kept; nh would remove it.");
pub(super) const NEWER_KEPT: Meaning = keeps(
    "The number counts back from the current generation, and newer generations are kept as well. nh counts from the \
     highest number.",
);
pub(super) const ALL_KEPT: Meaning = keeps(
    "Numbers count back from the current generation. Newer generations, the booted and the running system, and the \
     generation that was active at the start of a time span are kept as well.",
);
pub(super) const NO_PROFILE: Meaning =
    absent("nh would find no profile here. Write the paths of the profiles into the settings.");
pub(super) const PROFILES_NOW: Meaning = keeps(
    "The profiles that exist now are named by their paths. Add the path of a profile that is created later.",
);
pub(super) const COUNT_DECIDES: Meaning =
    keeps("keep-max takes precedence: a generation is removed only if no rule keeps it.");
pub(super) const REMOVES_NOTHING: Meaning =
    absent("It removes nothing, neither by age nor by number, so there is no job for it.");
pub(super) const TOO_LARGE: Meaning = keeps(
    "The job removes only what exceeds this size, measured in NAR sizes, generations included.",
);
pub(super) const ONE_GOAL: Meaning = deletes(
    "A job has one goal, here the size of the store. nix-sweep collects only if the quota is exceeded as well.",
);
pub(super) const WHOLE_DISK: Meaning = deletes(
    "`maxUsed` counts everything on the file system and not only the store, so the job may collect earlier.",
);
pub(super) const NO_COLLECTION: Meaning = keeps(
    "angrr does not collect garbage, and neither do these jobs. Add `\"collect\": {}` to one of them to replace nix.gc.",
);
pub(super) const NO_JOB: Meaning =
    absent("It has no profile or no rule that can be imported, so there is no job for it.");
pub(super) const KEEPS_NONE: Meaning = (NoteKind::Different, "It keeps nothing.");
pub(super) const UNDO: Meaning = keeps(
    "Removed generations stay restorable for 7 days, and use disk space until then; set `\"undoWindow\"` to change that.",
);
