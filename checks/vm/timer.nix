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
    # The clock of a test is short.
    systemd.timers.nix-prune-daily.timerConfig.AccuracySec = "1s";
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
    set_local_time("03:14:57")
    machine.wait_until_succeeds(f"test ! -e {profile}-5-link")
    wait_until_over()
    assert numbers(profile) == [6, 7, 8], numbers(profile)
    # off for three days
    generations(8)
    assert numbers(profile) == list(range(6, 17)), numbers(profile)
    set_local_time("12:00:00")
    machine.succeed("touch -d '3 days ago' /var/lib/systemd/timers/stamp-nix-prune-daily.timer")
    machine.shutdown()
    machine.start()
    machine.wait_for_unit("multi-user.target")
    machine.wait_until_succeeds(f"test ! -e {profile}-13-link")
    wait_until_over()
    assert numbers(profile) == [14, 15, 16], numbers(profile)
  '';
}
