# The booted and the running system stay, whatever the rules say.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-booted";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations = {
      generations = {
        profiles = [ "system" ];
        keep.last = 1;
      };
      collect = { };
    };
  };

  testScript = common.prelude + ''
    booted = machine.succeed("readlink -f /run/booted-system").strip()
    machine.succeed(f"nix-env -p {system} --set {booted}")
    for number in range(2, 7):
        # systems that a machine could boot, or else the first one would be the only way back
        directory = f"/tmp/system-{number}"
        machine.succeed(f"mkdir {directory} && echo {number} >{directory}/kernel")
        path = machine.succeed(f"nix-store --add {directory}").strip()
        machine.succeed(f"nix-env -p {system} --set {path}")
    machine.succeed(f"touch -h -d \"90 days ago\" {system}-1-link")
    run()
    # the booted one, the current one, and one to fall back to
    assert numbers(system) == [1, 5, 6], numbers(system)
    machine.succeed(f"test -e {booted}")
  '';
}
