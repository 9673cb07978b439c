# Equal files are linked and the store is checked from within the sandbox of the unit; damage fails it, and is repaired by hand.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-maintenance";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations = {
      optimise = { };
      verify.contents = true;
    };
  };

  testScript = common.prelude + ''
    paths = []
    for name in ["first", "second"]:
        machine.succeed(f"mkdir -p /tmp/{name} && head -c 300K /dev/zero >/tmp/{name}/zeros && echo {name} >/tmp/{name}/name")
        paths.append(machine.succeed(f"nix-store --add /tmp/{name}").strip())


    def inodes():
        return {machine.succeed(f"stat -c %i {path}/zeros").strip() for path in paths}


    assert len(inodes()) == 2, inodes()
    run()
    assert len(inodes()) == 1, inodes()
    machine.succeed("journalctl -q --no-pager -o cat -u nix-prune-daily | grep -F 'no damage was found'")
    machine.succeed(f"chmod u+w {paths[0]}/name && echo other >{paths[0]}/name")
    machine.fail("systemctl start nix-prune-daily.service")
    wait_until_over()
    assert machine.succeed("systemctl show -P ExecMainStatus nix-prune-daily.service").strip() in ["1", "3"]
    machine.succeed(f"journalctl -q --no-pager -o cat -u nix-prune-daily | grep -F 'nix-store --repair-path {paths[0]}'")
  '';
}
