# NixOS: `services.nix-prune`, jobs of the system and of its users.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.nix-prune;
  at = "services.nix-prune";

  schedules = import ./schedule.nix { inherit lib; };
  units = import ./units.nix { inherit lib; };
  peers = import ./peers.nix { inherit lib; };
  inherit (import ./settings.nix { inherit lib; })
    assertions
    enabledJobs
    file
    goals
    times
    warnings
    ;
  options = given: import ./options.nix ({ inherit lib pkgs; } // given);
  types = import ./types.nix { inherit lib; };
  own = options {
    profiles = [ "system" ];
    schedule = schedules.systemTimer;
  };
  ofUsers = options {
    profiles = [
      "users"
      "home-manager"
    ];
    schedule = schedules.timer;
    # the garbage is the system's
    standard.generations.keep = {
      last = 5;
      within = "14d";
    };
  };

  checked =
    at: options:
    import ./config-file.nix { inherit pkgs; } {
      inherit (cfg) package;
      option = "${at}.settings and ${at}.jobs";
      settings = file options;
      times = times at (enabledJobs options);
    };
  systemFile = checked at cfg;
  userFile = checked "${at}.users" cfg.users;

  jobs = enabledJobs cfg;
  userJobs = enabledJobs cfg.users;
  scheduled = lib.filterAttrs (_: job: job.dates != [ ]);
  # how large a store is cannot be told from its file system
  canWatch = job: job.budget != null && !lib.elem "maxStore" (goals job.budget);
  watches = job: if job.watch.enable == null then canWatch job else job.watch.enable;
  watched = lib.filterAttrs (_: watches) jobs;

  unitOf = name: "nix-prune-${name}";
  unitsOf = unit: lib.mapAttrs' (name: it: lib.nameValuePair (unit name) (units.settable it));
  named = unitsOf unitOf;
  namedWatch = unitsOf (name: "${unitOf name}-watch");
  # A unit of home-manager's hides one of the same name.
  namedForUsers = unitsOf (name: unitOf "users-${name}");

  common = name: job: {
    description = units.describe name job;
    documentation = [ "man:nix-prune(1)" ];
    path = [ config.nix.package ];
    environment.NIX_REMOTE = "daemon";
    unitConfig = units.conditions job // {
      # A new generation of the system must not stop a run that is half done.
      X-StopOnRemoval = false;
    };
    restartIfChanged = false;
    serviceConfig = units.oneshot // units.priority job;
  };

  ofSystem =
    name: job:
    let
      base = common name job;
      sandbox = if refreshesMenu job then units.sandboxWithBootMenu bootPlaces else units.sandbox;
    in
    base
    // {
      after = [
        "nix-daemon.socket"
        "nix-gc.service"
        "nix-optimise.service"
        "nixos-rebuild-switch-to-configuration.service"
        "nixos-upgrade.service"
      ];
      wants = [ "nix-daemon.socket" ];
      unitConfig = base.unitConfig // {
        # Where the store belongs to somebody else, as in a container of the host's, its roots are not here.
        ConditionPathIsReadWrite = [
          "/nix/var/nix/daemon-socket"
          "/nix/var/nix/profiles"
        ];
      };
      serviceConfig =
        base.serviceConfig
        // units.withHook cfg.settings (units.withFiles job sandbox)
        // {
          ExecStart = units.run {
            inherit (cfg) package;
            file = systemFile;
            inherit name job;
          };
        };
    };

  service =
    name: job:
    let
      base = ofSystem name job;
    in
    base
    // {
      onFailure = job.onFailure ++ written;
      onSuccess = job.onSuccess ++ written;
      unitConfig = base.unitConfig // units.retryLimit;
      serviceConfig = base.serviceConfig // units.retry;
      after = base.after ++ lib.optional (watches job) "${unitOf name}-watch.service";
    };

  # A unit of its own, so that what it cannot reach is told once a day by the job, and not every 15 minutes.
  watch =
    name: job:
    let
      base = ofSystem name job;
    in
    base
    // {
      description = "${base.description}, when its budget is not reached";
      serviceConfig = base.serviceConfig // {
        ExecCondition = units.due {
          inherit (cfg) package;
          file = systemFile;
          inherit name;
        };
        # the budget is still not reached; the job itself is running
        SuccessExitStatus = base.serviceConfig.SuccessExitStatus ++ [
          "5"
          "75"
        ];
        # Neither a goal that is reached nor what systemd says of each check is worth a line.
        LogLevelMax = "notice";
      };
    };

  ofUser =
    name: job:
    let
      base = common name job;
    in
    base
    // {
      inherit (job) onFailure onSuccess;
      unitConfig =
        base.unitConfig
        // {
          # root's profiles are those of the machine, and users of services have none
          ConditionUser = "!@system";
          ConditionPathIsReadWrite = "/nix/var/nix/daemon-socket";
        }
        // units.retryLimit;
      serviceConfig =
        base.serviceConfig
        // units.retry
        // units.withHook cfg.users.settings units.modest
        // {
          ExecStart = units.run {
            inherit (cfg) package;
            file = userFile;
            inherit name job;
          };
        };
    };

  metrics = "nix-prune-metrics";
  # Every run of a job writes the metrics as well.
  written = lib.optional cfg.metrics.enable "${metrics}.service";
  ownDirectory = "/run/${metrics}";
  metricsService = {
    description = "Metrics of nix-prune";
    documentation = [ "man:nix-prune-metrics(1)" ];
    path = [ config.nix.package ];
    environment.NIX_REMOTE = "daemon";
    restartIfChanged = false;
    # The timer and each run start it.
    unitConfig.StartLimitIntervalSec = 0;
    serviceConfig =
      units.sandbox
      // {
        Type = "oneshot";
        ExecStart = units.metrics {
          inherit (cfg) package;
          inherit (cfg.metrics) directory store;
          file = systemFile;
        };
      }
      // (
        if cfg.metrics.directory == ownDirectory then
          {
            ReadWritePaths = [ ];
            RuntimeDirectory = metrics;
            RuntimeDirectoryMode = "0755";
            RuntimeDirectoryPreserve = true;
          }
        else
          { ReadWritePaths = [ cfg.metrics.directory ]; }
      );
  };

  serve = "nix-prune-serve";
  socketFile = lib.removePrefix "unix:" cfg.serve.listen;
  isSocketFile = socketFile != cfg.serve.listen;
  isLocal =
    isSocketFile
    || lib.hasPrefix "127." cfg.serve.listen
    || lib.hasPrefix "[::1]:" cfg.serve.listen;
  hasToken = cfg.serve.tokenFile != null;
  serveSocket = {
    description = "Socket of nix-prune serve";
    documentation = [ "man:nix-prune-serve(1)" ];
    wantedBy = [ "sockets.target" ];
    socketConfig = {
      ListenStream = socketFile;
    }
    // (
      if isSocketFile then
        { SocketMode = "0660"; }
      else
        # an address of a network that is not there yet
        lib.optionalAttrs (!isLocal) { FreeBind = true; }
        // lib.optionalAttrs (!hasToken) {
          IPAddressAllow = "localhost";
          IPAddressDeny = "any";
        }
    );
  };
  # The socket is passed to it, so it needs no network of its own; and it writes nothing, so it has no directory.
  serveService = {
    description = "The page, documents and metrics of nix-prune over HTTP";
    documentation = [ "man:nix-prune-serve(1)" ];
    path = [ config.nix.package ];
    environment.NIX_REMOTE = "daemon";
    serviceConfig =
      removeAttrs units.sandbox [
        "ReadWritePaths"
        "StateDirectory"
        "StateDirectoryMode"
      ]
      // {
        ExecStart = units.serve {
          inherit (cfg) package;
          inherit (cfg.serve) idleExit tokenFile;
          file = systemFile;
        };
        # systemd 252 leaves it writable where credentials are mounted in it
        ReadOnlyPaths = [ "/run" ];
        TasksMax = 512;
        TimeoutStopSec = "10s";
      }
      // lib.optionalAttrs hasToken { LoadCredential = "token:${cfg.serve.tokenFile}"; };
  };

  timer = _: job: {
    wantedBy = [ "timers.target" ];
    timerConfig = units.timer job;
  };
  watchTimer = _: job: {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnActiveSec = job.watch.interval;
      OnUnitInactiveSec = job.watch.interval;
      AccuracySec = "1min";
    };
  };

  refreshesMenu = job: job.operations.bootMenu != null && job.operations.bootMenu.refresh;
  # where boot loaders are installed
  bootPlaces = lib.unique (
    [
      "/boot"
      "/efi"
    ]
    ++ lib.optional (loader ? efi) loader.efi.efiSysMountPoint
    ++ map (mirror: mirror.path) (loader.grub.mirroredBoots or [ ])
  );
  loader = config.boot.loader or { };

  # Profiles that belong to users: what the job of the system may not change.
  foreign = lib.filter (
    profile:
    let
      # of a pattern, what comes before the first wildcard
      path = builtins.head (builtins.match "([^]*?[{}\\\\]*).*" profile);
      below = lib.removePrefix "/nix/var/nix/profiles/" path;
      isPattern = path != profile;
    in
    profile == "users"
    || profile == "home-manager"
    || profile == "nix-collect-garbage"
    || (
      lib.hasPrefix "/" profile
      && (
        below == path
        || (lib.hasPrefix "per-user/" below && !lib.hasPrefix "per-user/root/" below)
        || (isPattern && lib.hasPrefix below "per-user/")
      )
    )
  );
  ofUsersIn =
    job:
    if job.operations.generations == null then [ ] else foreign job.operations.generations.profiles;

  systemAssertions = name: job: [
    {
      assertion = ofUsersIn job == [ ];
      message = "${at}.jobs.${name}.operations.generations.profiles: ${lib.concatStringsSep " " (ofUsersIn job)} belong to users, and root does not change what users own. Either remove them and set ${at}.users.enable = true, or use the home-manager module of nix-prune.";
    }
    {
      assertion = job.watch.enable == true -> canWatch job;
      message = "${at}.jobs.${name}.watch.enable: a budget of maxStore cannot be watched. Either set minFree, maxUsed or minFreeInodes in ${at}.jobs.${name}.budget, or leave watch.enable out.";
    }
    {
      assertion = cfg.metrics.enable -> name != "metrics";
      message = "${at}.jobs.metrics: the metrics are written by a unit of that name. Either rename the job, or set ${at}.metrics.enable = false.";
    }
    {
      assertion = cfg.serve.enable -> name != "serve";
      message = "${at}.jobs.serve: the service has a unit of that name. Either rename the job, or set ${at}.serve.enable = false.";
    }
    {
      assertion = watches job -> !cfg.jobs ? "${name}-watch";
      message = "${at}.jobs.${name}-watch: ${name} is watched by a unit of that name. Either rename one of them, or set ${at}.jobs.${name}.watch.enable = false.";
    }
  ];
in
{
  options.services.nix-prune = own // {
    metrics = {
      enable = lib.mkEnableOption "metrics for Prometheus, in a file for the textfile collector of node_exporter; every run writes it, and a timer";
      directory = lib.mkOption {
        type = types.directory;
        default = ownDirectory;
        description = ''
          The directory of the file `nix-prune.prom`, which only root may write to. The exporter reads it with
          `--collector.textfile.directory`.
        '';
        example = "/var/lib/node-exporter";
      };
      interval = lib.mkOption {
        type = types.span;
        default = "15min";
        description = "How often the file is written, and the free space sampled for the forecast.";
        example = "1h";
      };
      store = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = ''
          Whether the store is read as well: dead paths, roots, and what each job would do with each generation. It takes as
          long as a plan of each job.
        '';
        example = true;
      };
    };
    serve = {
      enable = lib.mkEnableOption "a read-only service of the page, the JSON documents and the metrics over HTTP, started by its socket";
      listen = lib.mkOption {
        type = types.address;
        default = "unix:/run/nix-prune-serve.sock";
        description = ''
          Where it listens. The socket file is for root and its group, which `systemd.sockets.nix-prune-serve.socketConfig.SocketGroup`
          sets. An address such as `127.0.0.1:9748` is for every user of the machine, also the names of files in closed homes; one that
          other machines can ask needs `tokenFile`.
        '';
        example = "127.0.0.1:9748";
      };
      tokenFile = lib.mkOption {
        type = lib.types.nullOr types.directory;
        default = null;
        description = ''
          A file with a token of at least 16 characters, which requests must have as `Authorization: Bearer TOKEN`. It is not in the
          store. systemd passes it as a credential.
        '';
        example = "/etc/nix-prune/token";
      };
      idleExit = lib.mkOption {
        type = types.age;
        default = "10min";
        description = "The service ends when nobody was connected for so long. The next request starts it again.";
        example = "1h";
      };
    };
    users = {
      enable = lib.mkEnableOption "jobs of nix-prune for every user's own profiles, as timers of the user's systemd";
      inherit (ofUsers) settings;
      jobs = ofUsers.jobs // {
        description = ''
          What is done in every user's own profiles, and when; as {option}`services.nix-prune.jobs`, with the user's rights.
          If none is set, one called `daily` keeps the last five generations and those of two weeks.
        '';
        example.daily.operations.generations.keep.last = 3;
      };
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        assertions =
          assertions cfg at
          ++ lib.concatLists (lib.mapAttrsToList systemAssertions jobs)
          ++ [
            {
              assertion = config.nix.enable or true;
              message = "${at}: nix.enable is false, and its jobs need Nix and its daemon. Either set nix.enable = true, or ${at}.enable = false.";
            }
          ];

        warnings = peers.warnings config at peers.nixos ++ warnings cfg at;

        environment.systemPackages = [ cfg.package ];
        environment.etc."nix-prune/config.json".source = systemFile;

        systemd.services = named (lib.mapAttrs service jobs) // namedWatch (lib.mapAttrs watch watched);
        systemd.timers =
          named (lib.mapAttrs timer (scheduled jobs)) // namedWatch (lib.mapAttrs watchTimer watched);

        system.activationScripts.nix-prune = {
          supportsDryActivation = true;
          text = ''
            # What the new settings change, and how risky that is. It is only told: whoever activates them wants them.
            nix_prune_old=/run/current-system/etc/nix-prune/config.json
            if [ -e "$nix_prune_old" ] && [ "$(readlink -f "$nix_prune_old")" != ${systemFile} ]; then
              ${lib.getExe cfg.package} config diff "$nix_prune_old" ${systemFile} || true
            fi
          '';
        };
      }
      (lib.mkIf cfg.metrics.enable {
        systemd.services.${metrics} = units.settable metricsService;
        systemd.timers.${metrics} = units.settable {
          wantedBy = [ "timers.target" ];
          timerConfig = {
            OnBootSec = "1min";
            OnUnitInactiveSec = cfg.metrics.interval;
            AccuracySec = "1min";
          };
        };
      })
      (lib.mkIf cfg.serve.enable {
        assertions = [
          {
            assertion = isLocal || hasToken;
            message = "${at}.serve.listen: other machines could ask at ${cfg.serve.listen}. Either set ${at}.serve.tokenFile, or listen on 127.0.0.1, [::1] or unix:/path.";
          }
        ];
        systemd.services.${serve} = units.settable serveService;
        systemd.sockets.${serve} = units.settable serveSocket;
      })
      (lib.mkIf cfg.users.enable {
        assertions = assertions cfg.users "${at}.users";
        warnings = warnings cfg.users "${at}.users";
        environment.etc."nix-prune/users.json".source = userFile;
        systemd.user.services = namedForUsers (lib.mapAttrs ofUser userJobs);
        systemd.user.timers = namedForUsers (lib.mapAttrs timer (scheduled userJobs));
      })
    ]
  );
}
