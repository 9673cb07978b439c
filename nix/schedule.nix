# When a job runs, in the words of each system.
{ lib }:

let
  inherit (lib) mkOption types;
  own = import ./types.nix { inherit lib; };

  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
      example = !default;
    };

  lowPriority = flag true ''
    Whether nix-prune itself runs with low CPU and I/O priority. The store paths are deleted by Nix's daemon, which has its own:
    on NixOS {option}`nix.daemonCPUSchedPolicy` and {option}`nix.daemonIOSchedClass` set it, on nix-darwin
    {option}`nix.daemonProcessType` and {option}`nix.daemonIOLowPriority`.
  '';

  extraArgs = mkOption {
    type = types.listOf types.str;
    default = [ ];
    description = "Further arguments of {command}`nix-prune run`.";
    example = [
      "--wait"
      "1h"
    ];
  };

  after =
    end:
    mkOption {
      type = types.listOf own.unit;
      default = [ ];
      description = "Units that are started when the job ${end}.";
      example = [ "notify-owner@%n.service" ];
    };

  dates = mkOption {
    type = types.coercedTo own.calendar lib.singleton (types.listOf own.calendar);
    default = "03:15";
    description = "When the job runs, as {manpage}`systemd.time(7)` describes it; `[ ]` disables the timer.";
    example = [ "Sat 04:30" ];
  };
in
rec {
  # for user timers of systemd
  timer.options = {
    inherit dates extraArgs lowPriority;
    onFailure = after "has failed, or could not reach its budget";
    onSuccess = after "has ended well";
    randomizedDelaySec = mkOption {
      type = own.span;
      default = "0";
      description = "Random delay of up to this time.";
      example = "45min";
    };
    persistent = flag true "Whether the job makes up for a time that passed while the machine was off.";
    onlyOnAC = flag false "Whether the job is left out while the machine runs on its battery.";
    whenIdle = flag false ''
      Whether the job is left out while processes have to wait for the processors, the memory or the disk more than a little
      (by the kernel's pressure figures of the last five minutes). The next one comes with the timer.
    '';
  };

  # for timers of the system
  systemTimer.options = timer.options // {
    watch = {
      enable = mkOption {
        type = types.nullOr types.bool;
        default = null;
        description = ''
          Whether to check the budget at short intervals, and run the job when its goal is missed. A check takes some milliseconds
          and reads only the settings and the free space. By default jobs with `minFree` or `maxUsed` are watched. Jobs with
          `maxStore` cannot be, because the size of the store takes longer to compute.
        '';
        example = false;
      };
      interval = mkOption {
        type = own.span;
        default = "15min";
        description = "Check interval.";
        example = "1h";
      };
    };
  };

  # for launchd
  interval.options = {
    inherit extraArgs lowPriority;
    interval = mkOption {
      type =
        let
          moment.options = {
            Minute = part 0 59 "minute";
            Hour = part 0 23 "hour";
            Day = part 1 31 "day of the month";
            Weekday = part 0 7 "day of the week, 0 and 7 being Sunday";
            Month = part 1 12 "month";
          };
          part =
            from: to: what:
            mkOption {
              type = types.nullOr (types.ints.between from to);
              default = null;
              description = "The ${what}; any one if it is not set.";
            };
          one = types.submodule moment;
        in
        types.either one (types.nonEmptyListOf one);
      apply = lib.toList;
      default = [
        {
          Hour = 3;
          Minute = 15;
        }
      ];
      description = "When the job runs, as `StartCalendarInterval` of {manpage}`launchd.plist(5)`.";
      example = {
        Weekday = 6;
        Hour = 4;
        Minute = 30;
      };
    };
  };

  # The words of home-manager's `dates` on macOS, as launchd has them.
  launchdOf =
    let
      at = Hour: Minute: { inherit Hour Minute; };
      words = {
        hourly = {
          Minute = 0;
        };
        daily = at 0 0;
        weekly = at 0 0 // {
          Weekday = 1;
        };
        monthly = at 0 0 // {
          Day = 1;
        };
      };
      clock = date: builtins.match "([01]?[0-9]|2[0-3]):([0-5][0-9])" date;
      number =
        text: lib.toInt (if builtins.match "0[0-9]" text != null then lib.substring 1 1 text else text);
    in
    date:
    if words ? ${date} then
      words.${date}
    else if clock date != null then
      at (number (lib.elemAt (clock date) 0)) (number (lib.elemAt (clock date) 1))
    else
      null;
}
