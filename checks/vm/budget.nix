# On a small disk no more goes than the goal needs, and the watch sees when it is missed.
{ lib, module }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-budget";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    virtualisation.diskSize = 2048;
    # The clock of a test is short.
    systemd.timers.nix-prune-daily-watch.timerConfig.AccuracySec = lib.mkForce "1s";
    services.nix-prune.jobs.daily = {
      dates = [ ];
      budget.minFree = "500M";
      watch.interval = "5s";
      operations = {
        generations = {
          profiles = [ "/nix/var/nix/profiles/test-of-nix-prune" ];
          keep.last = 3;
        };
        collect = { };
      };
    };
  };

  testScript = common.prelude + ''
    profile = "/nix/var/nix/profiles/test-of-nix-prune"
    generations(8)
    run("daily-watch")
    assert len(numbers(profile)) == 8, "the goal was reached"
    for number in range(6):
        machine.succeed(f"head -c 40M /dev/urandom >/tmp/dead-{number} && nix-store --add /tmp/dead-{number}")
    free = int(machine.succeed("df --output=avail -B1 /nix/store | tail -n 1"))
    filler = free - 450 * 1024 * 1024
    machine.succeed(f"fallocate -l {filler} /nix/filler")
    # `due` ends with 1 when there is nothing to do
    machine.wait_until_succeeds("(nix-prune due daily || test $? = 1) | grep -q 'Not due'")
    # dead paths were enough
    assert len(numbers(profile)) == 8, numbers(profile)
  '';
}
