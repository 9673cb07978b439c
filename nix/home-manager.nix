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
  nixPackage = if config.nix.enable or true then config.nix.package or null else null;

  service = name: job: {
    Unit = {
      Description = units.describe name job;
      Documentation = "man:nix-prune(1)";
      # A new generation of the home must not stop a run that is half done.
      X-SwitchMethod = "keep-old";
    }
    // units.conditions job
    // units.retryLimit;
    Service =
      units.oneshot
      // units.retry
      // units.priority job
      // units.modest
      // {
        ExecStart = units.run {
          inherit (cfg) package;
          file = configFile;
          inherit name;
        };
      }
      // lib.optionalAttrs (nixPackage != null) {
        Environment = "PATH=${lib.makeBinPath [ nixPackage ]}";
      };
  };

  timer = name: job: {
    Unit.Description = units.describe name job;
    Timer = units.timer job;
    Install.WantedBy = [ "timers.target" ];
  };

  agent = name: job: {
    enable = true;
    config = {
      ProgramArguments = [
        (lib.getExe cfg.package)
        "--config"
        "${configFile}"
        "run"
        name
        "--yes"
      ];
      StartCalendarInterval = map schedules.launchdOf job.dates;
      StandardOutPath = "${config.home.homeDirectory}/Library/Logs/nix-prune-${name}.log";
      StandardErrorPath = "${config.home.homeDirectory}/Library/Logs/nix-prune-${name}.log";
    }
    // lib.optionalAttrs job.lowPriority {
      ProcessType = "Background";
      LowPriorityIO = true;
      Nice = 19;
    }
    // lib.optionalAttrs (nixPackage != null) {
      EnvironmentVariables.PATH = lib.makeBinPath [ nixPackage ];
    };
  };

  ofLaunchd = name: job: {
    assertion = isDarwin -> lib.all (date: schedules.launchdOf date != null) job.dates;
    message = "${at}.jobs.${name}.dates: launchd knows less than systemd. Either write hourly, daily, weekly, monthly or a time of the day such as 03:15, or several of them in a list.";
  };
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
    assertions = settings.assertions cfg at ++ lib.mapAttrsToList ofLaunchd jobs;

    warnings = peers.warnings config at peers.home-manager ++ settings.warnings cfg at;

    home.packages = [ cfg.package ];
    xdg.configFile."nix-prune/config.json".source = configFile;

    systemd.user.services = lib.mkIf (!isDarwin) (named (lib.mapAttrs service jobs));
    systemd.user.timers = lib.mkIf (!isDarwin) (named (lib.mapAttrs timer scheduled));
    launchd.agents = lib.mkIf isDarwin (named (lib.mapAttrs agent scheduled));
  };
}
