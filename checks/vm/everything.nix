# One machine with everything that fills a disk, under one job: the plan shows each class, the run leaves what a table says that was
# worked out by hand, and an undo brings back all that can come back.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-everything";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune.jobs.daily.operations = {
      generations = {
        profiles = [ "system" ];
        keep.last = 3;
      };
      roots = {
        dangling = true;
        rules = [
          { projectGone = true; }
          {
            kind = "direnv";
            unusedFor = "60d";
          }
          {
            kind = "result";
            unusedFor = "30d";
          }
        ];
      };
      leftovers = {
        buildDirs = "2d";
        buildLogs = "90d";
        nixCache = "30d";
        temporaryRoots = "1d";
      };
      collect = { };
      bootMenu = { };
    };
  };

  testScript = common.prelude + ''
    goes, stays = [], []


    def file(path, owner=0):
        machine.succeed(f"mkdir -p $(dirname {path}) && echo >{path}")


    def root(link):
        path = add(link.strip("/").replace("/", "-").replace(".", ""))
        machine.succeed(f"mkdir -p $(dirname {link}) && nix-store --realise {path} --add-root {link}")


    # ann, whose home is closed to others; bob, who has closed it to himself as well; carol, whose account is gone
    machine.succeed("mkdir -p /home/ann /home/bob /home/carol")
    machine.succeed("getent passwd ann || echo 'ann:x:1000:1000::/home/ann:/bin/sh' >>/etc/passwd")
    machine.succeed("echo 'bob:x:1001:1001::/home/bob:/bin/sh' >>/etc/passwd")

    ## Projects

    src = "/home/ann/src"
    environment = ".direnv/flake-profile-1-link"
    for link in [
        f"{src}/live/{environment}",
        f"{src}/tree/result",
        f"{src}/worked-in/result",
        "/home/bob/src/old/result",
        "/home/carol/src/old/result",
    ]:
        root(link)
        stays.append(link)
    for link in [
        f"{src}/abandoned/{environment}",
        f"{src}/gone/result",
        f"{src}/gone-too/result",
        f"{src}/idle/result",
    ]:
        root(link)
        goes.append(link)
    for project in ["live", "abandoned"]:
        file(f"{src}/{project}/.envrc")
    # of three worktrees the repository knows one
    file(f"{src}/main/.git/worktrees/tree/index")
    for tree in ["tree", "gone", "gone-too"]:
        machine.succeed(f"echo 'gitdir: {src}/main/.git/worktrees/{tree}' >{src}/{tree}/.git")
    for number, user in enumerate(["ann", "bob", "carol"], 1000):
        machine.succeed(
            f"find /home/{user} -exec touch -h -d '100 days ago' {{}} +",
            f"chown -hR {number}:{number} /home/{user} && chmod 0700 /home/{user}",
        )
    machine.succeed(f"touch {src}/live/.envrc {src}/main/.git/worktrees/tree/index", "chmod 0 /home/bob")
    machine.succeed(f"systemd-run --unit worker --working-directory {src}/worked-in sleep 600")

    ## Leftovers, of which a process holds one open

    young, old, open = "/tmp/nix-build-young.drv-0", "/tmp/nix-build-old.drv-0", "/tmp/nix-build-open.drv-0"
    logs, cache = "/nix/var/log/nix/drvs/ab", ["/root/.cache/nix/gitv3", "/home/ann/.cache/nix/tarball-cache"]
    aged = [f"{old}/part", f"{open}/part", f"{logs}/c-old.drv.bz2", f"{cache[0]}/old/pack", f"{cache[1]}/pack"]
    aged.append("/nix/var/nix/temproots/4194301")
    for path in [*aged, f"{young}/part", f"{logs}/c-young.drv.bz2", f"{cache[0]}/young/pack"]:
        file(path)
    machine.succeed("chown -R 1000:1000 /home/ann/.cache")
    for path in [*aged, old, open, f"{cache[0]}/old", cache[1]]:
        machine.succeed(f"touch -d '100 days ago' {path}")
    machine.succeed(f"systemd-run --unit reader sh -c 'exec 5<{open}/part; sleep 600'")
    goes += [old, f"{logs}/c-old.drv.bz2", f"{cache[0]}/old", cache[1], aged[-1]]
    stays += [young, open, f"{logs}/c-young.drv.bz2", f"{cache[0]}/young"]

    ## Fourteen generations on the boot menu of a small ESP

    machine.succeed("touch /etc/NIXOS && mkdir -p /boot && mount -t tmpfs -o size=96m tmpfs /boot")
    machine.succeed("mkdir -p /boot/loader/entries /boot/EFI/nixos /run/toplevel/bin")
    machine.succeed(
        f"""cat >/run/toplevel/bin/switch-to-configuration <<'SCRIPT'
    #!/bin/sh -e
    PATH=/run/current-system/sw/bin:/usr/bin:/bin
    [ "$1" = boot ]
    for entry in /boot/loader/entries/*; do
      number=''${{entry##*-}}
      number=''${{number%.conf}}
      [ -e {system}-$number-link ] || rm -f "$entry" "/boot/EFI/nixos/$number.efi"
    done
    for link in {system}-*-link; do
      number=''${{link#{system}-}}
      number=''${{number%-link}}
      [ -e /boot/EFI/nixos/$number.efi ] || head -c 4M /dev/zero >/boot/EFI/nixos/$number.efi
      echo "linux /EFI/nixos/$number.efi" >/boot/loader/entries/nixos-generation-$number.conf
    done
    SCRIPT"""
    )
    machine.succeed("chmod +x /run/toplevel/bin/switch-to-configuration")
    for number in range(1, 15):
        machine.succeed(
            f"echo {number} >/run/toplevel/kernel && nix-env -p {system} --set $(nix-store --add /run/toplevel)",
            f"touch -h -d '{100 - number} days ago' {system}-{number}-link",
        )
    machine.succeed("/run/toplevel/bin/switch-to-configuration boot")
    goes += [f"{system}-{number}-link" for number in range(1, 12)]
    stays += [f"{system}-{number}-link" for number in range(12, 15)]
    dead = add("dead")
    goes.append(dead)


    def on_menu():
        entries = machine.succeed("ls /boot/loader/entries").split()
        return sorted(int(entry.rsplit("-", 1)[1].removesuffix(".conf")) for entry in entries)


    def there(paths):
        return {path for path in paths if machine.execute(f"test -e {path} || test -L {path}")[0] == 0}


    ## One plan

    before = there(goes + stays)
    assert before == {*goes, *stays}, {*goes, *stays} - before
    assert on_menu() == list(range(1, 15)), on_menu()
    plan = json.loads(machine.succeed("nix-prune plan daily --json"))
    removed = [item for item in plan["items"] if item.get("action")]
    kinds = {}
    for item in removed:
        subject = item["subject"]
        kind = subject.get("class", subject["kind"])
        kinds[kind] = kinds.get(kind, 0) + 1
    expected = {"generation": 11, "rootLink": 4, "buildDirs": 1, "buildLogs": 1, "nixCache": 2, "temporaryRoots": 1}
    assert kinds == expected, kinds

    ## What a run leaves, and what comes back

    run()
    assert there(goes) == set(), there(goes)
    assert there(stays) == set(stays), set(stays) - there(stays)
    assert on_menu() == [12, 13, 14], on_menu()
    assert machine.succeed("stat -c %u /home/bob/src/old/result").strip() == "1001"
    machine.succeed("nix-prune undo --yes")
    restorable = {path for path in goes if path.endswith(("-link", "/result"))}
    assert len(restorable) == 15 and there(goes) == restorable, there(goes) ^ restorable
    assert on_menu() == list(range(1, 15)), on_menu()
    machine.succeed(f"test $(stat -c %u {src}/idle/result) = 1000")
    machine.succeed("nix-store --gc", f"test -e {src}/idle/result", "nix-store --verify --check-contents")
  '';
}
