# A link of a user that a rule removes is removed from within the sandbox of the unit, with that user's rights, and comes back.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-roots";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations.roots = {
      dangling = true;
      rules = [
        {
          kind = "result";
          unusedFor = "30d";
        }
      ];
    };
  };

  testScript = common.prelude + ''
    def add_root(link, age):
        name = link.strip("/").replace("/", "-")
        path = add(name)
        machine.succeed(
            f"mkdir -p $(dirname {link}) && nix-store --realise {path} --add-root {link} && touch -h -d '{age} days ago' {link}"
        )
        return path


    # a closed home of a user that only has a number
    old = add_root("/home/ann/src/old/result", 100)
    young = add_root("/home/ann/src/young/result", 1)
    machine.succeed("echo 'ann:x:1000:1000::/home/ann:/bin/sh' >>/etc/passwd")
    machine.succeed("chown -hR 1000:1000 /home/ann && chmod 0700 /home/ann")
    machine.succeed("touch -h -d '100 days ago' /home/ann/src/old/result")
    # an entry of the user's own, whose link is gone
    machine.succeed("mkdir -p /nix/var/nix/gcroots/per-user/ann && ln -s /home/ann/src/gone /nix/var/nix/gcroots/per-user/ann/gone")
    machine.succeed("chown -hR 1000:1000 /nix/var/nix/gcroots/per-user/ann")

    run()
    machine.succeed("test ! -L /home/ann/src/old/result", "test -L /home/ann/src/young/result")
    machine.succeed("test ! -L /nix/var/nix/gcroots/per-user/ann/gone")
    machine.succeed(f"test -e {old}", f"test -e {young}")
    assert len(holds()) == 1, holds()
    machine.succeed("nix-prune undo /home/ann/src/old/result")
    machine.succeed("test $(stat -c %u /home/ann/src/old/result) = 1000")
    machine.succeed(f"test $(readlink /home/ann/src/old/result) = {old}")
  '';
}
