# The profile of a user who was removed is removed from within the sandbox of the unit, and comes back.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-removed-users";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations = {
      roots.removedUsers = "30d";
      collect = { };
    };
  };

  testScript = common.prelude + ''
    profiles = "/nix/var/nix/profiles/per-user"
    machine.succeed("mkdir -p /home/ann && chown 1000:1000 /home/ann")
    machine.succeed("getent passwd ann || echo 'ann:x:1000:1000::/home/ann:/bin/sh' >>/etc/passwd")
    for number, name in [(1000, "ann"), (1017, "dave")]:
        profile = f"{profiles}/{name}/profile"
        machine.succeed(f"mkdir -p {profiles}/{name}")
        generations(4, profile)
        machine.succeed(f"touch -h -d '100 days ago' {profile}-*-link", f"chown -hR {number}:100 {profiles}/{name}")


    def left(name):
        return machine.succeed(f"ls {profiles}/{name}").split()


    all = ["profile", *[f"profile-{number}-link" for number in range(1, 5)]]
    run()
    assert left("ann") == all, left("ann")
    assert left("dave") == ["profile"], left("dave")
    assert len(holds()) == 4, holds()
    machine.succeed("nix-prune undo --yes")
    assert left("dave") == all, left("dave")
    machine.succeed(f"test $(stat -c %u {profiles}/dave/profile-4-link) = 1017")
    machine.succeed("nix-store --gc", f"test -e {profiles}/dave/profile")
  '';
}
