# What is wrong, and what the message must say: the option, and for an assertion both ways out. A row is a job called
# `daily`, or settings, or a whole configuration.
{ lib }:

let
  job = change: {
    services.nix-prune = {
      enable = true;
      jobs.daily = {
        operations.collect = { };
      }
      // change;
    };
  };
  keep = rules: job { operations.generations.keep = rules; };
  settings = change: {
    services.nix-prune = {
      enable = true;
      settings = change;
    };
  };
  option = "services.nix-prune.jobs.daily";
  row = config: says: {
    inherit config says;
    first = true;
  };
  # each of these values of one option, which all fail with the message of the first
  each =
    says: make: values:
    lib.imap0 (index: value: row (make value) says // { first = index == 0; }) values;
in
{
  nixos =
    each [ "services.nix-prune.metrics.directory" "absolute path without spaces" ]
      (directory: {
        services.nix-prune = {
          enable = true;
          metrics = {
            enable = true;
            inherit directory;
          };
        };
      })
      [
        "metrics"
        "/var/lib/node exporter"
        "/var/lib/%h"
      ]
    ++ [
      (row
        {
          services.nix-prune = {
            enable = true;
            metrics.enable = true;
            jobs.metrics.operations.collect = { };
          };
        }
        [
          "services.nix-prune.jobs.metrics"
          "rename the job"
          "services.nix-prune.metrics.enable = false"
        ]
      )
    ]
    ++
      each [ "services.nix-prune.serve.listen" "address and port" ]
        (listen: {
          services.nix-prune = {
            enable = true;
            serve = {
              enable = true;
              inherit listen;
            };
          };
        })
        [
          "9748"
          "localhost:9748"
          "unix:relative"
          "unix:/run/a b"
          "127.0.0.1"
        ]
    ++ [
      (row
        {
          services.nix-prune = {
            enable = true;
            serve.enable = true;
            serve.listen = "0.0.0.0:9748";
          };
        }
        [
          "other machines could ask at 0.0.0.0:9748"
          "services.nix-prune.serve.tokenFile"
        ]
      )
    ]
    ++ each [ "${option}.operations.generations.keep.within" "duration, such as 14d" ]
      (within: keep { inherit within; })
      [
        ""
        "d"
        "7"
        "6m"
        "1.xd"
        "-1d"
        "7 d d"
        "1e3d"
        "14 days"
        14
      ]
    ++
      each [ "services.nix-prune.settings.undoWindow" "duration" ]
        (undoWindow: settings { inherit undoWindow; })
        [
          "a week"
          ""
          7
        ]
    ++
      each [ "services.nix-prune.settings.accept" "reason" "not empty" ]
        (
          reason:
          settings {
            accept = [
              {
                code = "roots.away";
                place = "/mnt/backup";
                inherit reason;
              }
            ];
          }
        )
        [
          ""
          "  "
        ]
    ++
      each [ "${option}.operations.collect.keepRecent" "duration" ]
        (keepRecent: job { operations.collect = { inherit keepRecent; }; })
        [
          "2 d"
        ]
    ++
      each [ "${option}.operations.generations.keep.last" "between 0 and 1000" ]
        (last: keep { inherit last; })
        [
          (-1)
          1001
          "5"
        ]
    ++ each [ "${option}.operations.generations.keep.yearly" ] (yearly: keep { inherit yearly; }) [
      1001
    ]
    ++
      each [ "${option}.budget.minFree" "size with a unit such as 50G, or 5% to 90%" ]
        (minFree: job { budget = { inherit minFree; }; })
        [
          "50 G"
          "50"
          "4%"
          "91%"
          "20.5%"
          "much"
          20
        ]
    ++
      each [ "${option}.operations.bootMenu.minFree" "size with a unit" ]
        (minFree: job { operations.bootMenu = { inherit minFree; }; })
        [
          "100"
          "20%"
          100
        ]
    ++
      each [ "${option}.budget.maxUsed" "between 10 and 95" ]
        (maxUsed: job { budget = { inherit maxUsed; }; })
        [
          9
          96
          "80%"
        ]
    ++
      each [ "${option}.budget.maxStore" "size with a unit, such as 200G" ]
        (maxStore: job { budget = { inherit maxStore; }; })
        [
          "20%"
          "1.G"
        ]
    ++
      each [ "${option}.budget.releaseHolds" ]
        (
          releaseHolds:
          job {
            budget = {
              minFree = "20%";
              inherit releaseHolds;
            };
          }
        )
        [
          "always"
        ]
    ++ each [ "${option}.maxRisk" "low" "critical" ] (maxRisk: job { inherit maxRisk; }) [
      "none"
      "HIGH"
      3
    ]
    ++ each [ "${option}.dates" ] (dates: job { inherit dates; }) [
      "daily
weekly"
      7
    ]
    ++
      each [ "${option}.randomizedDelaySec" "time span" ]
        (randomizedDelaySec: job { inherit randomizedDelaySec; })
        [
          "1h
2h"
          30
        ]
    ++
      each [ "${option}.operations.generations.profiles" ]
        (
          profiles:
          job {
            operations.generations = {
              keep.last = 5;
              inherit profiles;
            };
          }
        )
        [
          [ "sistem" ]
          [ "nix/profile" ]
        ]
    ++
      each [ "services.nix-prune.settings.protect.roots" "absolute path" ]
        (roots: settings { protect = { inherit roots; }; })
        [
          [ "home/*/keep" ]
        ]
    ++ each [ "services.nix-prune.settings.version" ] (version: settings { inherit version; }) [ 1 ]
    ++
      each [ "${option}.description" "single-line string" ] (description: job { inherit description; })
        [
          "one\ntwo"
          "one\nOnFailure=x.service"
        ]
    ++
      each [ "${option}.onFailure" "name of a unit of systemd, such as notify@%n.service" ]
        (onFailure: job { inherit onFailure; })
        [
          [ "notify" ]
          [ "notify@%n" ]
          [ "a.service\nb.service" ]
          [ "a b.service" ]
        ]
    ++ [
      # keys that are not there
      (row (job { maxRsk = "low"; }) [
        "${option}.maxRsk"
        "does not exist"
      ])
      (row (job { operations.colect = { }; }) [
        "${option}.operations.colect"
        "does not exist"
      ])
      (row (keep { lst = 5; }) [
        "${option}.operations.generations.keep.lst"
        "does not exist"
      ])
      (row { services.nix-prune.enabled = true; } [
        "services.nix-prune.enabled"
        "does not exist"
      ])

      # what contradicts itself
      (row (job { maxRisk = "critical"; }) [
        "${option}.maxRisk"
        "safeMode = false"
        "\"high\""
      ])
      (row (job { operations = { }; }) [
        "${option}.operations"
        "${option}.enabled = false"
      ])
      (row (job { budget = { }; }) [
        "${option}.budget"
        "one goal for the size"
        "remove the budget"
      ])
      (row
        (job {
          budget = {
            minFree = "20%";
            maxUsed = 80;
          };
        })
        [
          "${option}.budget"
          "one goal for the size"
        ]
      )
      (row (keep { }) [
        "${option}.operations.generations.keep"
        "nothing is kept"
        "remove generations"
      ])
      (row
        (keep {
          last = 0;
          daily = 0;
        })
        [
          "${option}.operations.generations.keep"
          "nothing is kept"
        ]
      )
      (row (job {
        operations.generations = {
          keep.last = 5;
          profiles = [ ];
        };
      }) [ "${option}.operations.generations.profiles" ])
      (row
        {
          services.nix-prune = {
            enable = true;
            jobs = { };
          };
        }
        [
          "services.nix-prune.jobs"
          "there is no job"
        ]
      )
      (row
        {
          services.nix-prune = {
            enable = true;
            jobs."a b".operations.collect = { };
          };
        }
        [
          "services.nix-prune.jobs.a b"
          "Rename it"
        ]
      )

      # what root leaves to its users
      (row
        (job {
          operations.generations = {
            keep.last = 5;
            profiles = [
              "system"
              "users"
            ];
          };
        })
        [
          "${option}.operations.generations.profiles: users"
          "users.enable = true"
          "Either remove them"
        ]
      )
      (row
        (job {
          operations.generations = {
            keep.last = 5;
            profiles = [ "/home/ann/.local/state/nix/profiles/dev" ];
          };
        })
        [
          "/home/ann/.local/state/nix/profiles/dev belong to users"
        ]
      )
      (row
        (job {
          operations.generations = {
            keep.last = 5;
            profiles = [ "/nix/var/nix/profiles/per-user/ann/profile" ];
          };
        })
        [
          "per-user/ann/profile belong to users"
        ]
      )
      (row
        (job {
          operations.generations = {
            keep.last = 5;
            profiles = [
              "containers"
              "/nix/var/nix/profiles/per-container/*/tools"
              "/nix/var/nix/profiles/per-user/root/*"
              "/nix/var/nix/profiles/per-user/*/dev*"
            ];
          };
        })
        [
          "profiles: /nix/var/nix/profiles/per-user/*/dev* belong to users"
        ]
      )
      (row
        (job {
          operations.generations = {
            keep.last = 5;
            profiles = [ "/nix/var/nix/profiles/**" ];
          };
        })
        [
          "profiles: /nix/var/nix/profiles/** belong to users"
        ]
      )

      # what cannot be watched
      (row
        (job {
          budget.maxStore = "200G";
          watch.enable = true;
        })
        [
          "${option}.watch.enable"
          "leave watch.enable out"
        ]
      )
      (row (job { watch.enable = true; }) [ "${option}.watch.enable" ])
      (row
        {
          services.nix-prune = {
            enable = true;
            jobs.daily = {
              budget.minFree = "20%";
              operations.collect = { };
            };
            jobs.daily-watch.operations.collect = { };
          };
        }
        [
          "services.nix-prune.jobs.daily-watch"
          "Either rename one of them"
        ]
      )

      # what there must be
      (row
        {
          services.nix-prune.enable = true;
          nix.enable = false;
        }
        [
          "services.nix-prune: nix.enable is false"
          "services.nix-prune.enable = false"
        ]
      )

      # a user's job
      (row
        {
          services.nix-prune = {
            enable = true;
            users = {
              enable = true;
              jobs.daily.maxRisk = "critical";
              jobs.daily.operations.collect = { };
            };
          };
        }
        [
          "services.nix-prune.users.jobs.daily.maxRisk"
          "services.nix-prune.users.settings.safeMode = false"
        ]
      )
    ];

  home-manager =
    each [ "${option}.operations.generations.keep.within" ] (within: keep { inherit within; }) [
      "soon"
    ]
    ++ [
      (row (job { watch.enable = true; }) [
        "${option}.watch"
        "does not exist"
      ])
      (row (job { description = "one\ntwo"; }) [
        "${option}.description"
        "single-line string"
      ])
    ];

  home-manager-darwin = [
    (row (job { onFailure = [ "a.service" ]; }) [
      "${option}.onFailure"
      "launchd"
    ])
    (row (job { dates = "Sat 04:30"; }) [
      "${option}.dates"
      "launchd"
      "03:15"
    ])
  ];

  darwin =
    each [ "${option}.interval" ] (interval: job { inherit interval; }) [
      { Hour = 24; }
      { Weekday = 8; }
      { Second = 1; }
      [ ]
      "daily"
    ]
    ++ [
      (row (job { dates = "daily"; }) [
        "${option}.dates"
        "does not exist"
      ])
    ];

  # What is refused in the build: by the program what `settings` passes on, by systemd the times; and what is named.
  built =
    let
      at = "services.nix-prune.jobs.daily";
      time = value: option: {
        config = job (lib.setAttrByPath (lib.splitString "." option) value // { budget.minFree = "20%"; });
        names = "${at}.${option}: systemd does not know \"${lib.last (lib.toList value)}\"";
      };
      each = option: map (value: time value option);
    in
    each "dates" [
      "dayly"
      "25:00"
      "03:75"
      "2026-13-01"
      "Caturday 04:00"
      "03:15 Middle-Earth"
      "Sat..Mon"
      ""
      [
        "daily"
        "now and then"
      ]
    ]
    ++ each "randomizedDelaySec" [
      "a while"
      "-5min"
      ""
    ]
    ++ each "watch.interval" [ "often" ]
    ++ [
      # these are all right
      {
        config = (import ./cases.nix).nixos.times;
        names = null;
      }
      {
        config = {
          services.nix-prune = {
            enable = true;
            users.enable = true;
            users.jobs.daily = {
              dates = "Sat..Mon";
              operations.collect = { };
            };
          };
        };
        file = "users.json";
        names = "services.nix-prune.users.jobs.daily.dates: systemd does not know";
      }
      {
        config = settings { protect.pathes = [ ]; };
        names = "/protect/pathes";
      }
      {
        config = settings { undoWindw = "7d"; };
        names = "/undoWindw";
      }
      {
        config = settings { jobs.weekly.operations.colect = { }; };
        names = "/jobs/weekly/operations/colect";
      }
      {
        config = settings { jobs.weekly.operations.generations.keep.last = 1001; };
        names = "/jobs/weekly/operations/generations/keep/last";
      }
      {
        config = settings { protect.paths = [ "/usr" ]; };
        names = "/protect/paths";
      }
    ];
}
