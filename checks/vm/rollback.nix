# After a rollback, what was rolled back from stays, and so does what is current.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-rollback";
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
    machine.succeed(f"nix-env -p {profile} --switch-generation 4")
    run()
    # three counted back from the current one, and all that are newer
    assert numbers(profile) == [2, 3, 4, 5, 6, 7, 8], numbers(profile)
    assert machine.succeed(f"readlink {profile}").strip().endswith("-4-link")
  '';
}
