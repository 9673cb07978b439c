# A plan above the risk ceiling is refused as a whole, and the owner hears of it.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-refusal";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily = {
      maxRisk = "medium";
      onFailure = [ "told.service" ];
      operations = {
        generations = {
          profiles = [ "system" ];
          keep.last = 1;
        };
        collect = { };
      };
    };
    systemd.services.told.serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "/run/current-system/sw/bin/true";
    };
  };

  testScript = common.prelude + ''
    generations(6, system)
    dead = add("dead")
    machine.fail("systemctl start nix-prune-daily.service")
    assert machine.succeed("systemctl show -P ExecMainStatus nix-prune-daily.service").strip() == "4"
    assert numbers(system) == [1, 2, 3, 4, 5, 6], numbers(system)
    machine.succeed(f"test -e {dead}")
    machine.wait_for_unit("told.service")
  '';
}
