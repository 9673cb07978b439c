# nix-darwin: `services.nix-prune`, jobs of the machine as daemons of launchd.
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
  settings = import ./settings.nix { inherit lib; };
  peers = import ./peers.nix { inherit lib; };

  configFile = import ./config-file.nix { inherit pkgs; } {
    inherit (cfg) package;
    option = "${at}.settings and ${at}.jobs";
    settings = settings.file cfg;
  };

  # Where nix-darwin does not manage Nix, its own installer has put it there.
  nixBin =
    if config.nix.enable or true then
      lib.makeBinPath [ config.nix.package ]
    else
      "/nix/var/nix/profiles/default/bin";

  daemon = name: job: {
    serviceConfig = units.defaults (
      {
        ProgramArguments = units.arguments {
          inherit (cfg) package;
          file = configFile;
          inherit name;
          job = units.patient job;
        };
        EnvironmentVariables = {
          NIX_REMOTE = "daemon";
          PATH = nixBin;
        };
        RunAtLoad = false;
        StartCalendarInterval = map (lib.filterAttrs (_: part: part != null)) job.interval;
        StandardOutPath = "/var/log/nix-prune-${name}.log";
        StandardErrorPath = "/var/log/nix-prune-${name}.log";
      }
      // lib.optionalAttrs job.lowPriority {
        ProcessType = "Background";
        LowPriorityIO = true;
        Nice = 19;
      }
    );
  };
in
{
  options.services.nix-prune = import ./options.nix {
    inherit lib pkgs;
    profiles = [ "system" ];
    schedule = schedules.interval;
  };

  config = lib.mkIf cfg.enable {
    assertions = settings.assertions cfg at;

    warnings = peers.warnings config at peers.darwin ++ settings.warnings cfg at;

    environment.systemPackages = [ cfg.package ];
    environment.etc."nix-prune/config.json".source = configFile;
    # Five old logs of 1 MB each at most. G: the name is a pattern; J: compressed; N: nobody has to be told.
    environment.etc."newsyslog.d/nix-prune.conf".text = ''
      # logfilename                mode count size when flags
      /var/log/nix-prune-*.log     640  5     1000 *    GJN
    '';

    launchd.daemons = lib.mapAttrs' (
      name: job: lib.nameValuePair "nix-prune-${name}" (daemon name job)
    ) (settings.enabledJobs cfg);
  };
}
