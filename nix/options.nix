# The options of `services.nix-prune`, written once. Each module system adds when a job runs, in its own words.
{
  lib,
  pkgs,
  # the profiles that a job of this module thins out where none are named
  profiles,
  # options that every job of this module has besides, as a module
  schedule,
  # what the job called `daily` does if nobody says it
  standard ? {
    generations.keep = {
      last = 5;
      within = "14d";
    };
    collect = { };
  },
}:

let
  inherit (lib) mkOption types;
  own = import ./types.nix { inherit lib; };

  optional =
    type: description: extra:
    mkOption (
      {
        type = types.nullOr type;
        default = null;
        inherit description;
      }
      // extra
    );
  example = value: { example = value; };

  # The settings have `enabled`, as JSON documents do; modules have `enable`.
  enable = lib.mkAliasOptionModule [ "enable" ] [ "enabled" ];
  part =
    options: description: extra:
    optional (types.submodule {
      inherit options;
      imports = lib.optional (options ? enabled) enable;
    }) description extra;

  kept =
    what: optional own.keep "Keep the newest generation of each of this many ${what}." (example 7);

  keep = {
    last = optional own.keep "Keep this many generations, counted back from the current one." (
      example 5
    );
    within =
      optional own.age "Keep generations that are not older than this, and the one that was active then."
        (example "14d");
    daily = kept "days";
    weekly = kept "ISO weeks";
    monthly = kept "months";
    yearly = kept "years";
    knownGood = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the system generation that ran longest without a reboot is kept, if that is at least a day, as far as runs
        have seen it.
      '';
      example = true;
    };
  };

  generations = {
    profiles = mkOption {
      type = types.listOf own.profile;
      default = profiles;
      description = ''
        The profiles whose generations are removed: `system` (the machine's, and the named ones), `users` (users' own profiles and
        channels), `home-manager`, `containers` (the systems of NixOS containers), `system-manager`, `nix-on-droid`,
        `nix-collect-garbage` (those of `nix-collect-garbage -d`), the absolute path of a profile, or a pattern for paths.
      '';
    };
    users =
      optional (types.nonEmptyListOf own.user)
        "The users, by name or number, whose profiles may be among these; systems are not affected. Without it, everybody's."
        (example [ "alice" ]);
    keep = mkOption {
      type = types.submodule { options = keep; };
      description = "Keep rules. A generation is kept if any rule keeps it; at least one rule must be above zero.";
      example = {
        last = 5;
        within = "14d";
        weekly = 4;
      };
    };
  };

  rootRule = {
    kind = optional (types.enum [
      "result"
      "direnv"
      "devenv"
      "lorri"
      "nixShell"
      "other"
    ]) "The kind of link." (example "result");
    match = optional own.place "A pattern for the link." (example "/home/*/src/**");
    owner = optional types.singleLineStr "The owner of the link, by name." (example "alice");
    unusedFor = optional own.age "The project of the link was not used for this long." (example "60d");
    olderThan = optional own.age "The link is older than this." (example "90d");
    keepLatestPerDirectory =
      optional own.keep "There are at least this many newer links of this kind in its directory."
        (example 1);
    projectGone = mkOption {
      type = types.bool;
      default = false;
      description = ''
        The project is gone: a git worktree that its repository no longer knows, or an environment without {file}`.envrc`
        or {file}`devenv.nix`.
      '';
      example = true;
    };
    action = optional (types.enum [
      "remove"
      "keep"
    ]) "What the rule does; `remove` is the default." (example "keep");
  };

  operations = {
    generations = part generations "Remove generations that no rule keeps." {
      example.keep = {
        last = 5;
        within = "14d";
      };
    };
    roots = part {
      dangling = mkOption {
        type = types.bool;
        default = false;
        description = "Whether to remove entries of {file}`gcroots/auto` and {file}`gcroots/per-user` whose link is gone.";
        example = true;
      };
      removedUsers =
        optional own.age
          "Remove all generations of profiles of removed users, if none of them is younger than this. Such a user has neither an account nor a home any more."
          (example "90d");
      rules = mkOption {
        type = types.listOf (types.submodule { options = rootRule; });
        default = [ ];
        description = ''
          Rules for links of users that are roots, such as {file}`result` and those in {file}`.direnv`. The first rule that
          fits a link decides. A link that no rule fits is kept.
        '';
        example = [
          {
            kind = "direnv";
            unusedFor = "60d";
          }
        ];
      };
    } "Remove garbage collector roots." { example.dangling = true; };
    leftovers = part {
      buildDirs =
        optional own.age
          ''
            Remove directories of failed or interrupted builds that are older than this: `nix-build-*` in the directory of temporary files,
            and the entries of {file}`builds` in the state directory of Nix.
          ''
          (example "2d");
      buildLogs = optional own.age "Remove build logs that are older than this." (example "90d");
      orphanedBuildLogs =
        optional own.age
          ''
            Remove build logs that are older than this and whose derivation is no longer in the store. Without it `buildLogs` applies to them.
          ''
          (example "30d");
      nixCache =
        optional own.age
          "Remove repositories, downloads and evaluations in {file}`~/.cache/nix` of each user that were last used before this time."
          (example "30d");
      temporaryRoots =
        optional own.age "Remove files of temporary roots whose process has ended, and that are older than this."
          (example "1d");
    } "Remove files of Nix beside the store that are old and not in use. This cannot be undone." {
      example.buildLogs = "90d";
    };
    collect = part {
      method =
        optional
          (types.enum [
            "auto"
            "selective"
            "full"
            "direct"
          ])
          ''
            How garbage is collected: `auto` (the default) deletes listed paths where that equals a full collection,
            `selective` only ever deletes listed paths, `full` runs Nix's own collector. With `direct`, nix-prune deletes in the
            place of Nix, which is faster: only as root, and only with versions of Nix that it was tried with.
          ''
          (example "selective");
      keepRecent =
        optional own.age "Do not delete paths registered within this time, or their dependencies."
          (example "2d");
      keepFlakeInputs =
        optional (types.listOf own.place)
          ''
            Directories of flakes whose locked inputs are not deleted, nor their dependencies, so that an offline rebuild
            works after a collection.
          ''
          (example [ "/etc/nixos" ]);
      keepBuildDependencies = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Whether what live paths were built with is kept: their derivations and the inputs of these, as Nix's
          `keep-derivations` and `keep-outputs` would.
        '';
        example = true;
      };
      sourcesFirst = mkOption {
        type = types.bool;
        default = false;
        description = "Whether a budget deletes dead source trees (`source` and `*-source`) before other dead paths.";
        example = true;
      };
    } "Collect garbage. `{ }` enables it with defaults." { example.keepRecent = "2d"; };
    bootMenu = part {
      refresh = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether the boot menu is refreshed after system generations were removed, so that it does not list them any more. The
          current system does it, with {command}`switch-to-configuration boot`, and becomes the default.
        '';
      };
      minFree = optional own.size ''
        Minimum free space on the file system of the boot menu. With a budget, system generations that no rule keeps are removed
        for it as well.
      '' (example "100M");
    } "Keep the boot menu of NixOS in step with the system generations. `{ }` enables it." {
      example.minFree = "100M";
    };
    optimise = part {
      enabled = mkOption {
        type = types.bool;
        default = true;
        description = "Whether equal files are hard-linked.";
      };
    } "Hard-link equal files of the store. The step is left out while no path is new." { example.enabled = true; };
    verify = part {
      enabled = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the store is checked.";
      };
      contents = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the contents of every path are read and hashed.";
      };
    } "Check the store. Nothing is repaired; the run names the damaged paths and the command for each." { example.contents = true; };
  };

  budget = {
    minFree = optional own.amount "Minimum free space on the file system of the store." (example "20%");
    maxUsed =
      optional (types.ints.between 10 95)
        "Maximum used space of the file system of the store, in percent."
        (example 80);
    maxStore = optional own.size "Maximum size of the store (NAR size)." (example "200G");
    minFreeInodes =
      optional own.inodes
        "Minimum number of free inodes of the file system of the store, or a part of all of them."
        (example "10%");
    releaseHolds =
      optional
        (types.enum [
          "never"
          "ifNeeded"
        ])
        ''
          Whether undo windows may end early for the goal (`ifNeeded`), which cannot be undone, or not (`never`, as if it
          were not set).
        ''
        (example "never");
  };

  policy = {
    description = optional types.singleLineStr "What the job is for." (example "prune and collect");
    enabled = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the job runs. A disabled job stays in the settings and has no timer.";
      example = false;
    };
    maxRisk = optional own.risk ''
      The highest risk that the job may take, `high` if it is not set. A plan that is riskier is refused as a whole.
      `critical` requires `settings.safeMode` beside these jobs to be `false`.
    '' (example "medium");
    budget = part budget ''
      Disk budget. The job does nothing while the goal is reached, and otherwise removes only what the goal needs. Set
      one of `minFree`, `maxUsed` and `maxStore`, or `minFreeInodes`, or both.
    '' { example.minFree = "20%"; };
    operations = mkOption {
      type = types.submodule { options = operations; };
      default = { };
      description = ''
        What the job does. An enabled job must do something. The job `daily` does by default what {option}`jobs` describes.
      '';
      example = {
        generations.keep.last = 5;
        collect = { };
      };
    };
  };

  pin.options = {
    profile = mkOption {
      type = types.str;
      description = "The profile: a short name such as `system` or `alice/home-manager`, or a path.";
      example = "system";
    };
    number = mkOption {
      type = types.ints.unsigned;
      description = "The number of the generation.";
      example = 42;
    };
    reason = optional types.str "Why it is pinned." (example "last good kernel");
  };

  acceptance.options = {
    code = mkOption {
      type = own.safetyCheck;
      description = "The safety check. {command}`nix-prune config check` knows which can be accepted.";
      example = "roots.unreadable";
    };
    place = mkOption {
      type = own.place;
      description = ''
        The place that it is about: a path, which stands for everything below it as well, or a pattern. The first name of it
        has no wildcard.
      '';
      example = "/home/alice/**";
    };
    reason = mkOption {
      type = own.reason;
      description = "Why it is accepted there. Every plan shows it.";
      example = "the home is on NFS with root_squash";
    };
  };

  settings = {
    version = mkOption {
      type = types.enum [ 2 ];
      default = 2;
      description = "The version of the settings.";
    };
    safeMode = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether critical actions are refused whatever a job allows: those that cannot be undone and leave the machine with
        fewer ways back.
      '';
    };
    undoWindow = mkOption {
      type = own.age;
      default = "7d";
      description = ''
        How long removed generations are held, so that {command}`nix-prune undo` can restore them. Until then they use disk space. With
        `0s` every removal is irreversible.
      '';
      example = "14d";
    };
    accept =
      optional (types.listOf (types.submodule acceptance))
        ''
          Safety checks that are accepted at a place, until the entry is removed. If the machine's settings exist, only their
          entries apply.
        ''
        (example [
          {
            code = "roots.unreadable";
            place = "/home/alice/**";
            reason = "the home is on NFS with root_squash";
          }
        ]);
    limits =
      part
        {
          maxGenerationsPerRun =
            optional (types.ints.between 0 100000) "Maximum generations removed in one run."
              (example 20);
          maxBytesPerRun = optional own.size ''
            Maximum size of the store paths deleted in one run (NAR size).
          '' (example "50G");
        }
        ''
          Per-run limits: a larger run needs a confirmation. A timer whose plan is larger does nothing and fails; a person is
          asked, or accepts it with `--accept`.
        ''
        {
          example.maxGenerationsPerRun = 20;
        };
    notify =
      part
        {
          command = optional (types.nonEmptyListOf types.str) ''
            A program and its arguments. It gets each notice as a JSON document on standard input. The program is an absolute path. With
            it the units of jobs have a network.
          '' (example [ "/etc/nix-prune/notify" ]);
          desktop = mkOption {
            type = types.bool;
            default = false;
            description = "Whether the desktop of the user's session shows notices.";
            example = true;
          };
          timeout = optional own.age "How long the command may take, at most `10min`; `30s` if it is not set." (
            example "1min"
          );
          fullWithin =
            optional own.age
              "Send a notice as well if the file system of the store will be full within this time by its growth."
              (example "14d");
        }
        ''
          Who is told when something is wrong with a job, and when it is not any more: once for each change, not for each run.
        ''
        {
          example.desktop = true;
        };
    policy =
      part
        {
          keepAtLeast = part {
            last = optional own.keep "At least this many generations, counted back from the current one." (
              example 3
            );
            within = optional own.age "At least those that are not older than this." (example "7d");
          } "Minimum kept in every profile, in addition to the job's rules." { example.last = 3; };
          maxRisk = optional own.risk "The highest risk that any job, flag or person may take." (
            example "high"
          );
          undoWindow = optional own.age "The shortest undo window." (example "1d");
        }
        "Limits that no other settings file, variable or flag can loosen; on NixOS and nix-darwin for all users of the machine."
        {
          example.keepAtLeast.last = 3;
        };
    protect = {
      paths =
        optional (types.listOf own.place)
          ''
            Paths that are never removed. A list must contain every critical path of the platform, which are the default.
          ''
          (example [
            "/"
            "/boot"
          ]);
      generations = mkOption {
        type = types.listOf (types.submodule pin);
        default = [ ];
        description = "Generations that are never removed.";
        example = [
          {
            profile = "system";
            number = 42;
            reason = "last good kernel";
          }
        ];
      };
      roots = mkOption {
        type = types.listOf own.place;
        default = [ ];
        description = "Patterns for the links of roots that are never removed.";
        example = [ "/home/*/keep/**" ];
      };
    };
  };
in
{
  enable = lib.mkEnableOption "nix-prune, which garbage-collects the Nix store by retention policy and disk budget, with undo";

  package = lib.mkPackageOption pkgs "nix-prune" { };

  settings = mkOption {
    type = types.submodule {
      freeformType = (pkgs.formats.json { }).type;
      options = settings;
    };
    default = { };
    description = ''
      The settings of nix-prune, which become a file of JSON, beside {option}`services.nix-prune.jobs`. Keys that are not
      listed here are passed on as they are. The file is checked by {command}`nix-prune config check` when it is built.
    '';
    example = {
      undoWindow = "14d";
      protect.roots = [ "/home/*/keep/**" ];
    };
  };

  jobs = mkOption {
    type = types.attrsOf (
      types.submodule [
        {
          options = policy;
          imports = [ enable ];
        }
        # also where a definition of the job says only when it runs
        (
          { name, ... }:
          {
            operations = lib.mkIf (name == "daily") (lib.mkDefault standard);
          }
        )
        schedule
      ]
    );
    default.daily.operations = standard;
    description = ''
      What is done, and when. A job has a name, a policy, and a timer. If none is set, one called `daily` keeps the last five
      generations and those of two weeks, and collects garbage.
    '';
    example.daily = {
      budget.minFree = "20%";
      operations = {
        generations.keep = {
          last = 5;
          within = "14d";
          weekly = 4;
        };
        collect = { };
      };
    };
  };
}
