# What the modules are evaluated with; the golden files of each lie in tests/fixtures/modules.
let
  # every option of a policy at once
  full = {
    description = "thin out, 100% by the book";
    maxRisk = "medium";
    budget = {
      minFree = "20%";
      releaseHolds = "never";
    };
    operations = {
      generations.keep = {
        last = 5;
        within = "14d";
        daily = 7;
        weekly = 4;
        monthly = 6;
        yearly = 1;
        knownGood = true;
      };
      roots.dangling = true;
      leftovers = {
        buildDirs = "2d";
        buildLogs = "90d";
        orphanedBuildLogs = "30d";
        nixCache = "30d";
        temporaryRoots = "1d";
      };
      collect = {
        method = "selective";
        keepRecent = "2d";
        keepFlakeInputs = [ "/etc/nixos" ];
        keepBuildDependencies = true;
        sourcesFirst = true;
      };
      bootMenu = { };
      optimise = { };
      verify.contents = true;
    };
  };
  settings = {
    undoWindow = "14d";
    notify = {
      command = [
        "/etc/nix-prune/notify"
        "admin@example.org"
      ];
      desktop = true;
      timeout = "1min";
      fullWithin = "14d";
    };
    accept = [
      {
        code = "roots.unreadable";
        place = "/home/alice/**";
        reason = "the home is on NFS with root_squash";
      }
    ];
    limits = {
      maxGenerationsPerRun = 20;
      maxBytesPerRun = "50G";
    };
    policy = {
      keepAtLeast.last = 2;
      maxRisk = "high";
      undoWindow = "1d";
    };
    protect = {
      generations = [
        {
          profile = "system";
          number = 42;
          reason = "last good kernel";
        }
        {
          profile = "system";
          number = 7;
        }
      ];
      roots = [ "/home/*/keep/**" ];
    };
  };

  # What the README and the recipes of the guide show, by their headings.
  split = separator: text: builtins.filter builtins.isString (builtins.split separator text);
  sectionExamples =
    section:
    let
      heading = builtins.head (split "\n" section);
      title = builtins.replaceStrings [ " " "# " ] [ "-" "" ] heading;
      # Whole flakes are evaluated by the tests of the guide.
      isModule = code: builtins.length (split "outputs =" code) == 1;
      codes = builtins.filter isModule (
        map (part: builtins.head (split "\n```\n" part)) (builtins.tail (split "\n```nix\n" section))
      );
      example = n: {
        name = if n == 0 then title else "${title}-${toString n}";
        value = import (builtins.toFile "example.nix" (builtins.elemAt codes n));
      };
    in
    builtins.genList example (builtins.length codes);
  examples = page: builtins.concatMap sectionExamples (split "\n## " (builtins.readFile page));
  shown = builtins.listToAttrs (
    builtins.concatMap examples [
      ../../README.md
      ../../docs/guide/ci.md
      ../../docs/guide/fleet.md
      ../../docs/guide/metrics.md
      ../../docs/guide/notices.md
      ../../docs/guide/recipes.md
      ../../docs/guide/serve.md
    ]
  );
in
{
  nixos = shown // {
    # what the guide and `nix flake init` give
    template = import ../../nix/templates/nixos/nix-prune.nix;

    # the job that the documentation promises
    minimal.services.nix-prune.enable = true;

    full = {
      services.nix-prune = {
        enable = true;
        inherit settings;
        jobs.thin = full // {
          # only a job of the system has what the goal needs
          operations = full.operations // {
            bootMenu.minFree = "100M";
          };
          dates = [
            "daily"
            "Sat..Sun *-*-* 12:00:00 Europe/Berlin"
          ];
          randomizedDelaySec = "45min";
          persistent = false;
          onlyOnAC = true;
          whenIdle = true;
          onFailure = [ "notify-owner@%n.service" ];
          watch.interval = "1h";
        };
        jobs.check = {
          lowPriority = false;
          dates = "monthly";
          operations.verify = { };
          operations.leftovers.orphanedBuildLogs = "30d";
        };
      };
    };

    # metrics for an exporter, in the directory of our own and in one of the machine's
    metrics.services.nix-prune = {
      enable = true;
      metrics.enable = true;
      jobs.daily = {
        onFailure = [ "told@%n.service" ];
        budget.minFree = "20%";
        operations.collect = { };
      };
    };
    metrics-elsewhere.services.nix-prune = {
      enable = true;
      metrics = {
        enable = true;
        directory = "/var/lib/node-exporter";
        interval = "1h";
        store = true;
      };
    };

    # the service on a socket file, for this machine, and for others
    serve.services.nix-prune = {
      enable = true;
      serve.enable = true;
    };
    serve-loopback.services.nix-prune = {
      enable = true;
      serve.enable = true;
      serve.listen = "[::1]:9748";
    };
    serve-network.services.nix-prune = {
      enable = true;
      serve = {
        enable = true;
        listen = "0.0.0.0:9748";
        tokenFile = "/etc/nix-prune/token";
        idleExit = "1h";
      };
    };

    # the jobs of users beside that of the system
    users.services.nix-prune = {
      enable = true;
      users.enable = true;
      users.settings.undoWindow = "2d";
    };

    # one goal that no store reaches, one that every store does, and a boot menu that follows
    watched.services.nix-prune = {
      enable = true;
      jobs.tight = {
        dates = [ ];
        budget.maxUsed = 10;
        operations = {
          roots.dangling = true;
          collect = { };
        };
      };
      jobs.roomy = {
        dates = [ ];
        budget.minFree = "1K";
        operations.collect = { };
      };
      jobs.menu = {
        dates = [ ];
        operations = {
          generations.keep.last = 2;
          bootMenu = { };
        };
      };
    };

    # how times can be written; systemd is asked whether it knows each
    times.services.nix-prune = {
      enable = true;
      jobs.daily = {
        randomizedDelaySec = "1month";
        dates = [
          "Monday 04:00"
          "Daily"
          "03:15 CET"
          "hourly"
          "quarterly UTC"
          "Sun"
          "Mon..Fri 09:00"
          "Mon,Wed,Fri *-*-* 4:05:06"
          "*-*-1..7 02:00"
          "*-*~1 23:59"
          "2026-12-24"
          "12-24 18:00:00 Europe/Berlin"
          "*:0/15"
          "8,12,18:30"
          "*-1/3-1 00:00:30.5"
        ];
        operations.collect = { };
      };
    };

    # what is said of the default job alone is when it runs
    only-when.services.nix-prune = {
      enable = true;
      jobs.daily.dates = "weekly";
      # a budget past the options is watched as well
      settings.jobs.daily.budget.minFree = "20%";
      users.enable = true;
      users.jobs.daily.dates = "monthly";
    };

    # names by convention, and what the units are given is only a default
    convention = {
      services.nix-prune = {
        enable = true;
        jobs.daily = {
          enable = true;
          extraArgs = [
            "--wait"
            "1 h%"
          ];
          onSuccess = [ "well.service" ];
          operations.optimise.enable = false;
          operations.collect = { };
        };
        jobs.off = {
          enable = false;
          operations.collect = { };
        };
        users.enable = true;
        users.jobs.daily = {
          operations.generations.keep.last = 3;
          onFailure = [ "told@%n.service" ];
          onSuccess = [ "well.service" ];
        };
      };
      systemd.services.nix-prune-daily.serviceConfig.Nice = 5;
      systemd.timers.nix-prune-daily.timerConfig.Persistent = false;
      systemd.user.services.nix-prune-users-daily.unitConfig.ConditionUser = "ann";
    };

    # a store that may only be so large: nothing to watch
    largest.services.nix-prune = {
      enable = true;
      jobs.daily = {
        budget.maxStore = "200G";
        operations = {
          generations.keep.last = 3;
          collect = { };
        };
      };
    };

    # a disabled job has no unit, a job without dates no timer, and keys past the options reach the file
    past.services.nix-prune = {
      enable = true;
      settings.jobs.by-hand = {
        description = "never by itself";
        operations.collect.method = "full";
      };
      jobs.off = {
        enabled = false;
        operations.collect = { };
      };
      jobs.quiet = {
        dates = [ ];
        budget.maxUsed = 80;
        watch.enable = false;
        operations.collect = { };
      };
    };

    # what else cleans up is remarked, and nothing is lost for it
    beside = {
      services.nix-prune.enable = true;
      nix.gc.automatic = true;
      programs.nh.clean.enable = true;
      services = {
        angrr.enable = true;
        nix-sweep.enable = true;
        fast-nix-gc.enable = true;
        fast-nix-gc.automatic = true;
        harmonia.gc.enable = true;
        harmonia.gc.automatic = true;
        # by hand only
        harmonia-dev.gc.enable = true;
      };
    };

    # everything that a job may risk, said in so many words
    unsafe.services.nix-prune = {
      enable = true;
      settings.safeMode = false;
      settings.undoWindow = "0s";
      jobs.daily = {
        maxRisk = "critical";
        operations.generations = {
          keep.last = 1;
          profiles = [
            "system"
            "/nix/var/nix/profiles/per-user/root/channels"
            "containers"
            "/nix/var/nix/profiles/per-container/*/dev*"
          ];
          users = [
            "root"
            "1000"
          ];
        };
      };
    };
  };

  home-manager = {
    template = import ../../nix/templates/home-manager/home.nix;
    minimal.services.nix-prune.enable = true;
    beside = {
      services.nix-prune.enable = true;
      services.home-manager.autoExpire.enable = true;
      nix.gc.automatic = true;
      programs.nh.clean.enable = true;
    };
    full.services.nix-prune = {
      enable = true;
      inherit settings;
      jobs.thin = full // {
        dates = "weekly";
        onlyOnAC = true;
        whenIdle = true;
        persistent = false;
        randomizedDelaySec = "1h 30min";
        extraArgs = [ "--quiet" ];
        onFailure = [ "told@%n.service" ];
        onSuccess = [ "well.service" ];
      };
    };
    convention = {
      services.nix-prune.enable = true;
      systemd.user.services.nix-prune-daily.Service.Nice = 5;
      systemd.user.timers.nix-prune-daily.Timer.Persistent = false;
    };
  };

  home-manager-darwin = {
    template = import ../../nix/templates/home-manager/home.nix;
    minimal.services.nix-prune.enable = true;
    full.services.nix-prune = {
      enable = true;
      inherit settings;
      jobs.thin = full // {
        lowPriority = false;
        dates = [
          "weekly"
          "08:30"
        ];
      };
    };
  };

  darwin = {
    template = import ../../nix/templates/nix-darwin/nix-prune.nix;
    minimal.services.nix-prune.enable = true;
    full.services.nix-prune = {
      enable = true;
      inherit settings;
      jobs.thin = full // {
        lowPriority = false;
        extraArgs = [ "--quiet" ];
        interval = [
          {
            Weekday = 6;
            Hour = 4;
          }
          { Hour = 12; }
        ];
      };
    };
    beside.services = {
      nix-prune.enable = true;
      angrr.enable = true;
      harmonia-dev.gc.enable = true;
      harmonia-dev.gc.automatic = true;
      fast-nix-gc.automatic = true;
    };
    # Nix that nix-darwin does not manage
    determinate = {
      services.nix-prune.enable = true;
      nix.enable = false;
    };
  };
}
