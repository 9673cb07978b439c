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
  # What the unit is called; `%` means something to systemd here, too.
  describe =
    name: job:
    lib.replaceStrings [ "%" ] [ "%%" ] (
      if job.description != null then job.description else "nix-prune, job ${name}"
    );

  run =
    {
      package,
      file,
      name,
    }:
    words [
      (lib.getExe package)
      "--config"
      "${file}"
      "run"
      name
      "--yes"
    ];

  due =
    {
      package,
      file,
      name,
    }:
    words [
      (lib.getExe package)
      "--config"
      "${file}"
      "due"
      name
    ];

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
}
