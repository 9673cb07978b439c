# The timer fires when its time has come, and makes up for one that passed while the machine was off.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-timer";
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
    machine.succeed("systemctl stop systemd-timesyncd.service || true")
    machine.succeed("date -s \"tomorrow 03:14:50\"")
    machine.wait_until_succeeds(f"test ! -e {profile}-1-link")
    machine.wait_until_fails("systemctl is-active nix-prune-daily.service")
    assert numbers(profile) == [6, 7, 8], numbers(profile)
    # off for three days
    generations(8)
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.succeed("date -s \"3 days\" && systemctl restart nix-prune-daily.timer")
    machine.wait_until_succeeds("journalctl -u nix-prune-daily.service --since -1min | grep -q \"Run of job daily\"")
  '';
}
