# What no rule keeps goes, and is held; what a rule keeps stays.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-retention";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations = {
      generations = {
        profiles = [ "/nix/var/nix/profiles/test-of-nix-prune" ];
        keep.last = 3;
      };
      collect = { };
    };
  };

  testScript = common.prelude + ''
    profile = "/nix/var/nix/profiles/test-of-nix-prune"
    generations(8)
    dead = add("dead")
    run()
    assert numbers(profile) == [6, 7, 8], numbers(profile)
    assert len(holds()) == 5, holds()
    machine.fail(f"test -e {dead}")
    machine.succeed("nix-store --verify --check-contents")
  '';
}
