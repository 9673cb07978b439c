# home-manager: `services.nix-prune`, jobs for one user's own profiles; timers of systemd, agents of launchd.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.nix-prune;
  at = "services.nix-prune";
  inherit (pkgs.stdenv.hostPlatform) isDarwin;

  schedules = import ./schedule.nix { inherit lib; };
  units = import ./units.nix { inherit lib; };
  settings = import ./settings.nix { inherit lib; };
  peers = import ./peers.nix { inherit lib; };

  configFile = import ./config-file.nix { inherit pkgs; } {
    inherit (cfg) package;
    option = "${at}.settings and ${at}.jobs";
    settings = settings.file cfg;
    # launchd has its own, below
    times = lib.optionals (!isDarwin) (settings.times at jobs);
  };

  jobs = settings.enabledJobs cfg;
  scheduled = lib.filterAttrs (_: job: job.dates != [ ]) jobs;
  named = lib.mapAttrs' (name: lib.nameValuePair "nix-prune-${name}");
  settable = lib.mapAttrs (_: units.defaults);
  nixPackage = if config.nix.enable or true then config.nix.package or null else null;

  # busctl, which reaches the desktop
  desktop =
    let
      notify = cfg.settings.notify or null;
    in
    lib.optional (notify != null && notify.desktop) pkgs.systemd;

  service = name: job: {
    Unit = {
      Description = units.describe name job;
      Documentation = "man:nix-prune(1)";
      # A new generation of the home must not stop a run that is half done.
      X-SwitchMethod = "keep-old";
    }
    // units.conditions job
    // units.retryLimit
    // lib.optionalAttrs (job.onFailure != [ ]) { OnFailure = job.onFailure; }
    // lib.optionalAttrs (job.onSuccess != [ ]) { OnSuccess = job.onSuccess; };
    Service =
      units.oneshot
      // units.retry
      // units.priority job
      // units.withHook cfg.settings units.modest
      // {
        ExecStart = units.run {
          inherit (cfg) package;
          file = configFile;
          inherit name job;
        };
      }
      // lib.optionalAttrs (nixPackage != null) {
        Environment = "PATH=${lib.makeBinPath ([ nixPackage ] ++ desktop)}";
      };
  };

  timer = name: job: {
    Unit.Description = units.describe name job;
    Timer = units.timer job;
    Install.WantedBy = [ "timers.target" ];
  };

  agent = name: job: {
    enable = true;
    config = units.defaults (
      {
        # nobody rotates the logs of a user: each run begins its own anew
        ProgramArguments = [
          "/bin/sh"
          "-c"
          ''exec "$@" >"$0" 2>&1''
          "${config.home.homeDirectory}/Library/Logs/nix-prune-${name}.log"
        ]
        ++ units.arguments {
          inherit (cfg) package;
          file = configFile;
          inherit name;
          job = units.patient job;
        };
        StartCalendarInterval = map schedules.launchdOf job.dates;
      }
      // lib.optionalAttrs job.lowPriority {
        ProcessType = "Background";
        LowPriorityIO = true;
        Nice = 19;
      }
      // lib.optionalAttrs (nixPackage != null) {
        EnvironmentVariables.PATH = lib.makeBinPath [ nixPackage ];
      }
    );
  };

  ofLaunchd = name: job: [
    {
      assertion = isDarwin -> job.onFailure ++ job.onSuccess == [ ];
      message = "${at}.jobs.${name}.onFailure and onSuccess: launchd has no units. Remove them.";
    }
    {
      assertion = isDarwin -> lib.all (date: schedules.launchdOf date != null) job.dates;
      message = "${at}.jobs.${name}.dates: launchd knows less than systemd. Either write hourly, daily, weekly, monthly or a time of the day such as 03:15, or several of them in a list.";
    }
  ];
in
{
  options.services.nix-prune = import ./options.nix {
    inherit lib pkgs;
    profiles = [
      "users"
      "home-manager"
    ];
    schedule = schedules.timer;
  };

  config = lib.mkIf cfg.enable {
    assertions = settings.assertions cfg at ++ lib.concatLists (lib.mapAttrsToList ofLaunchd jobs);

    warnings = peers.warnings config at peers.home-manager ++ settings.warnings cfg at;

    home.packages = [ cfg.package ];
    xdg.configFile."nix-prune/config.json".source = configFile;

    systemd.user.services = lib.mkIf (!isDarwin) (
      named (lib.mapAttrs (name: job: settable (service name job)) jobs)
    );
    systemd.user.timers = lib.mkIf (!isDarwin) (
      named (lib.mapAttrs (name: job: settable (timer name job)) scheduled)
    );
    launchd.agents = lib.mkIf isDarwin (named (lib.mapAttrs agent scheduled));
  };
}
