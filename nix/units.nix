# What units of systemd have in common, for the system and for users.
{ lib }:

let
  # Arguments of ExecStart=, each a word of its own.
  words = arguments: lib.concatMapStringsSep " " word arguments;
  word =
    text:
    # `%` and `$` mean something to systemd within quotes, too
    "\"${lib.replaceStrings [ "\\" "\"" "%" "$" ] [ "\\\\" "\\\"" "%%" "$$" ] text}\"";
in
rec {
  # Each key can be set otherwise where the system has its units, as in systemd.services.nix-prune-daily.serviceConfig.
  defaults = lib.mapAttrs (_: lib.mkDefault);
  settable =
    unit:
    unit
    // lib.mapAttrs (_: defaults) (lib.filterAttrs (section: _: lib.hasSuffix "Config" section) unit);

  # What the unit is called; `%` means something to systemd here, too.
  describe =
    name: job:
    lib.replaceStrings [ "%" ] [ "%%" ] (
      if job.description != null then job.description else "nix-prune, job ${name}"
    );

  # The command line of a job.
  arguments =
    {
      package,
      file,
      name,
      job,
    }:
    [
      (lib.getExe package)
      "--config"
      "${file}"
      "run"
      name
      "--yes"
    ]
    ++ job.extraArgs;

  # launchd does not try again: a run that waits for another one is better than one that is left out.
  patient =
    job:
    job
    // {
      extraArgs = [
        "--wait"
        "1h"
      ]
      ++ job.extraArgs;
    };

  # ExecStart= of a job
  run = given: words (arguments given);

  due =
    {
      package,
      file,
      name,
    }:
    words [
      (lib.getExe package)
      "--quiet"
      "--config"
      "${file}"
      "due"
      name
    ];

  metrics =
    {
      package,
      file,
      directory,
      store,
    }:
    words (
      [
        (lib.getExe package)
        "--config"
        "${file}"
        "metrics"
        "--out"
        "${directory}/nix-prune.prom"
      ]
      ++ lib.optional store "--store"
    );

  serve =
    {
      package,
      file,
      idleExit,
      tokenFile,
    }:
    # the directory of credentials, which only systemd knows
    words [
      (lib.getExe package)
      "--config"
      "${file}"
      "serve"
      "--idle-exit"
      idleExit
    ]
    + lib.optionalString (tokenFile != null) " \"--token-file\" \"%d/token\"";

  conditions =
    job:
    lib.optionalAttrs job.onlyOnAC { ConditionACPower = true; }
    // lib.optionalAttrs job.whenIdle {
      ConditionCPUPressure = "20%/5min";
      ConditionMemoryPressure = "10%/5min";
      ConditionIOPressure = "20%/5min";
    };

  priority =
    job:
    lib.optionalAttrs job.lowPriority {
      Nice = 19;
      CPUSchedulingPolicy = "idle";
      IOSchedulingClass = "idle";
    };

  timer = job: {
    OnCalendar = job.dates;
    RandomizedDelaySec = job.randomizedDelaySec;
    Persistent = job.persistent;
  };

  oneshot = {
    Type = "oneshot";
    # nix-prune hears of it and stops after the step at hand; what Nix is doing then is told by nix-prune.
    KillMode = "mixed";
    TimeoutStopSec = "3min";
    # A run that was stopped, or whose machine was switched off, has not failed.
    SuccessExitStatus = [ "SIGTERM" ];
    # for the status line
    NotifyAccess = "main";
  };

  # Another run or collection is in progress (75): it is tried again soon. systemd 252 refuses RestartForceExitStatus= in
  # units of this type, so everything else is named.
  retry = {
    Restart = "on-failure";
    RestartSec = "10min";
    RestartPreventExitStatus = [
      "1 2 3 4 5 69 73 77 78 101 203 255"
      "SIGABRT SIGBUS SIGKILL SIGSEGV SIGSYS"
    ];
  };
  # No more than ten times, of which each may have waited for a quarter of an hour.
  retryLimit = {
    StartLimitBurst = 10;
    StartLimitIntervalSec = "5h";
  };

  # What needs no privilege to be given up: for the system and for users.
  modest = {
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    RestrictAddressFamilies = "AF_UNIX";
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
    ];
    UMask = "0077";
  };

  # For the system: docs/decisions/0009-modules.md says why what remains is needed.
  sandbox = modest // {
    # to see whether a root's link is still there, in a home that is closed to others, and what processes use
    CapabilityBoundingSet = [
      "CAP_DAC_READ_SEARCH"
      "CAP_SYS_PTRACE"
    ];
    DevicePolicy = "closed";
    IPAddressDeny = "any";
    PrivateDevices = true;
    PrivateMounts = true;
    PrivateNetwork = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    # Not hidden, and neither is /tmp: a root whose link is not seen would be taken for one that is gone.
    ProtectHome = "read-only";
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectSystem = "strict";
    ReadWritePaths = [
      "/nix/var/nix/profiles"
      # made by Nix when it is first needed
      "-/nix/var/nix/gcroots/auto"
    ];
    StateDirectory = "nix-prune";
    StateDirectoryMode = "0700";
  };

  # For a job of the system that refreshes the boot menu: the installer of a boot loader is a program of the configuration, which
  # NixOS runs as root without a sandbox. What remains is what none of them needs (docs/decisions/0030-boot-menu.md).
  sandboxWithBootMenu =
    places:
    removeAttrs sandbox [
      "CapabilityBoundingSet"
      "DevicePolicy"
      "MemoryDenyWriteExecute"
      "PrivateDevices"
      "ProtectClock"
      "SystemCallFilter"
    ]
    // {
      ReadWritePaths =
        sandbox.ReadWritePaths
        ++ map (place: "-${place}") places
        ++ [
          # which boot loader the firmware starts
          "-/sys/firmware/efi/efivars"
          "/tmp"
          "/var/tmp"
        ];
      # where switch-to-configuration has its lock
      RuntimeDirectory = "nixos";
      RuntimeDirectoryMode = "0755";
      RuntimeDirectoryPreserve = true;
      # as in a login, by which the menu is written otherwise
      UMask = "0022";
    };

  # What a job of the system needs besides, for the files that it removes beside the store.
  withFiles =
    job: sandbox:
    let
      removes = class: job.operations.leftovers != null && job.operations.leftovers.${class} != null;
      builds = removes "buildDirs";
      caches = removes "nixCache";
      entries = job.operations.roots != null;
      links = entries && job.operations.roots.rules != [ ];
      asUsers = builds || caches || entries;
      direct = job.operations.collect != null && job.operations.collect.method == "direct";
      # A list that a sandbox leaves out limits nothing.
      more =
        name: values: lib.optionalAttrs (sandbox ? ${name}) { ${name} = lib.unique (sandbox.${name} ++ values); };
    in
    sandbox
    // more "ReadWritePaths" (
      lib.optional entries "-/nix/var/nix/gcroots/per-user"
      ++ lib.optionals builds [
        "/tmp"
        "-/nix/var/nix/builds"
      ]
      ++ lib.optional (removes "buildLogs" || removes "orphanedBuildLogs") "-/nix/var/log/nix"
      ++ lib.optional (removes "temporaryRoots") "-/nix/var/nix/temproots"
      ++ lib.optionals direct [
        "/nix/store"
        "/nix/var/nix"
      ]
      ++ lib.optionals (caches || links) [
        "-/home"
        "-/root"
      ]
    )
    # What is not listed stays read-only.
    // lib.optionalAttrs (caches || links) { ProtectHome = false; }
    // more "CapabilityBoundingSet" (
      # to remove files of build users from a directory with the sticky bit, and to make the mount namespace
      lib.optionals direct [
        "CAP_DAC_OVERRIDE"
        "CAP_FOWNER"
        "CAP_SYS_ADMIN"
      ]
      ++ lib.optional (builds || caches) "CAP_DAC_OVERRIDE"
      # to remove what belongs to a user with that user's rights, and directories of builders
      ++ lib.optionals asUsers [
        "CAP_SETGID"
        "CAP_SETUID"
      ]
    )
    // more "SystemCallFilter" (
      lib.optional asUsers "setfsgid setfsuid" ++ lib.optional direct "mount unshare"
    )
    // lib.optionalAttrs direct {
      # for many threads in deep directories; the program may not raise it
      LimitNOFILE = 16384;
      # NixOS mounts the store read-only, so it is opened in a namespace where it is not
      RestrictNamespaces = "mnt";
    };

  # What the command of a notice needs besides: most of them reach somebody by a network.
  withHook =
    settings: sandbox:
    let
      notify = settings.notify or null;
      hasHook = notify != null && notify.command or null != null;
    in
    if hasHook then
      removeAttrs sandbox [
        "IPAddressDeny"
        "PrivateNetwork"
      ]
      // {
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
      }
    else
      sandbox;
}
