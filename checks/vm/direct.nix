# Dead paths are deleted in the place of Nix, from within the sandbox of the unit, though the store is mounted read-only; a build
# meanwhile is not disturbed.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-direct";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations.collect.method = "direct";
  };

  testScript = common.prelude + ''
    mounted = machine.succeed("findmnt -no OPTIONS -T /nix/store").strip().split(",")
    if "ro" not in mounted:
        machine.succeed("mount --bind /nix/store /nix/store", "mount -o remount,ro,bind /nix/store")
    machine.fail("touch /nix/store/written")
    dead = [add(f"dead-{number}") for number in range(50)]
    kept = add("kept")
    machine.succeed(f"ln -s {kept} /nix/var/nix/gcroots/kept")
    run()
    machine.succeed(f"test -e {kept}")
    for path in dead:
        machine.fail(f"test -e {path}")
    machine.succeed("nix-store --verify --check-contents")
    machine.succeed("journalctl -q --no-pager -o cat -u nix-prune-daily | grep -F 'Deleted 50 store paths'")
    machine.fail("touch /nix/store/written")
    # the daemon goes on as before
    add("again")
  '';
}
