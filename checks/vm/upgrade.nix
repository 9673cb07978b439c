# Settings that change are told at activation, and the next run goes by the new ones.
{ lib, module }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-upgrade";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations = {
      generations = {
        profiles = [ "/nix/var/nix/profiles/test-of-nix-prune" ];
        keep.last = 6;
      };
      collect = { };
    };
    specialisation.fewer.configuration.services.nix-prune.jobs.daily.operations.generations.keep.last =
      lib.mkForce 2;
  };

  testScript = common.prelude + ''
    profile = "/nix/var/nix/profiles/test-of-nix-prune"
    generations(8)
    run()
    assert numbers(profile) == [3, 4, 5, 6, 7, 8], numbers(profile)
    said = machine.succeed("/run/current-system/specialisation/fewer/bin/switch-to-configuration test 2>&1")
    assert "last" in said, said
    run()
    assert numbers(profile) == [7, 8], numbers(profile)
  '';
}
