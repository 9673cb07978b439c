# The user's own systemd runs the user's job, with the user's rights; so it does with what the home-manager module makes.
{ lib, module }:

let
  common = import ./common.nix { inherit module; };
  # home-manager itself is no input of ours: its module's golden unit, with the paths of this machine
  golden =
    lib.replaceStrings
      [
        "/nix/store/11111111111111111111111111111111-nix-prune/bin/nix-prune"
        "/nix/store/22222222222222222222222222222222-nix-prune.json"
      ]
      [
        "/run/current-system/sw/bin/nix-prune"
        "/etc/nix-prune/users.json"
      ]
      (builtins.readFile ../../tests/fixtures/modules/home-manager/minimal/user/nix-prune-daily.service);
in
{
  name = "nix-prune-home-manager";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    users.users.ann = {
      isNormalUser = true;
      linger = true;
    };
    services.nix-prune.users = {
      enable = true;
      jobs.daily.operations.generations.keep.last = 2;
    };
    systemd.user.units."of-home-manager.service".text = golden;
  };

  testScript = common.prelude + ''
    def as_ann(command):
        return machine.succeed(f"su -l ann -c 'XDG_RUNTIME_DIR=/run/user/$(id -u) {command}'")


    profile = "/home/ann/.local/state/nix/profiles/profile"
    machine.wait_for_unit("user@1000.service")
    as_ann("mkdir -p /home/ann/.local/state/nix/profiles")
    for number in range(1, 7):
        path = add(f"ann-{number}")
        as_ann(f"nix-env -p {profile} --set {path}")
    as_ann("systemctl --user start nix-prune-users-daily.service")
    assert numbers(profile) == [5, 6], numbers(profile)
    assert "nix-prune-users-daily.timer" in as_ann("systemctl --user list-timers --all")
    # the user can take it back, and root has no part in it
    as_ann("nix-prune undo")
    assert numbers(profile) == [1, 2, 3, 4, 5, 6], numbers(profile)
    as_ann("systemctl --user start of-home-manager.service")
    assert numbers(profile) == [5, 6], numbers(profile)
  '';
}
