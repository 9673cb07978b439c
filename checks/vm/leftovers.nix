# Old build directories and logs are removed from within the sandbox of the unit, whoever owns them.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-leftovers";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations.leftovers = {
      buildDirs = "2d";
      buildLogs = "90d";
      nixCache = "30d";
      temporaryRoots = "1d";
    };
  };

  testScript = common.prelude + ''
    old = [
        "/tmp/nix-build-old.drv-0",
        "/nix/var/nix/builds/nix-1-2",
        "/nix/var/log/nix/drvs/ab/c-old.drv.bz2",
        "/root/.cache/nix/gitv3/old",
        "/nix/var/nix/temproots/4194301",
    ]
    young = [name.replace("old", "young").replace("1-2", "1-3").replace("4301", "4302") for name in old]
    for name in old[:2] + young[:2]:
        machine.succeed(f"mkdir -p {name}/part && echo 1 >{name}/part/file && chmod 0500 {name}/part")
        machine.succeed(f"chown -R 30001:30000 {name}")
    for name in old[2:] + young[2:]:
        machine.succeed(f"mkdir -p $(dirname {name}) && touch {name}")
    for name in old:
        machine.succeed(f"find {name} -exec touch -d '100 days ago' {{}} +")
    run()
    for name in old:
        machine.succeed(f"test ! -e {name}")
    for name in young:
        machine.succeed(f"test -e {name}")
  '';
}
