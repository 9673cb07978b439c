# What was dropped comes back: number, target and time.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-undo";
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
    look = f"stat -c \"%n %N %Y\" {profile}-*-link"
    before = machine.succeed(look)
    run()
    assert machine.succeed(look) != before
    machine.succeed("nix-prune undo")
    assert machine.succeed(look) == before
    machine.succeed(f"nix-store --realise {profile}-1-link")
  '';
}
