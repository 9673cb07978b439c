# What every machine of these tests has: a store that it may write, and a way to make generations of the past.
{ module }:

{
  # imported by the machines
  machine =
    { lib, ... }:
    {
      imports = [ module ];
      services.nix-prune.enable = true;
      # a store of its own: only what the machine needs, on its own disk
      virtualisation.useNixStoreImage = true;
      virtualisation.writableStore = true;
      virtualisation.writableStoreUseTmpfs = false;
      virtualisation.memorySize = 1024;
      # Nothing from elsewhere. NixOS appends its cache to a list that is not forced.
      nix.settings.substituters = lib.mkForce [ ];
    };

  # before the lines of a test; `generations` makes them a month apart, the last one today
  prelude = ''
    import base64
    import json
    import struct

    system = "/nix/var/nix/profiles/system"


    def add(name):
        return machine.succeed(f"echo {name} >/tmp/{name} && nix-store --add /tmp/{name}").strip()


    def generations(count, profile="/nix/var/nix/profiles/test-of-nix-prune"):
        directory, name = profile.rsplit("/", 1)
        for number in range(1, count + 1):
            path = add(f"{name}-{number}")
            age = (count - number) * 30
            machine.succeed(
                f"nix-env -p {profile} --set {path}",
                f"touch -h -d '{age} days ago' {directory}/$(readlink {profile})",
            )


    def numbers(profile):
        links = machine.succeed(f"ls -d {profile}-*-link").split()
        return sorted(int(link.removeprefix(f"{profile}-").removesuffix("-link")) for link in links)


    def run(job="daily"):
        machine.succeed(f"systemctl start nix-prune-{job}.service")


    def wait_until_over(job="daily"):
        # a oneshot that is at work is "activating", which is not "active" to `systemctl is-active`
        machine.wait_until_succeeds(
            f"systemctl show -P ActiveState nix-prune-{job}.service | grep -qE '^(inactive|failed)$'"
        )


    def holds():
        return json.loads(machine.succeed("nix-prune hold list --json"))["holds"]


    def set_local_time(clock):
        # by a time zone, because not every machine may set its clock
        hours, minutes, seconds = map(int, clock.split(":"))
        now = int(machine.succeed("date +%s"))
        east = (hours * 3600 + minutes * 60 + seconds - now + 43200) % 86400 - 43200
        head = struct.pack(">5s15x6l", b"TZif2", 0, 0, 0, 0, 1, 4)
        types = struct.pack(">lBB4s", east, 0, 0, b"VMT")
        west = f"{'-' if east > 0 else '''}{abs(east) // 3600}:{abs(east) // 60 % 60:02}:{abs(east) % 60:02}"
        zone = base64.b64encode((head + types) * 2 + f"\nVMT{west}\n".encode()).decode()
        machine.succeed(f"echo {zone} | base64 -d >/etc/zone && mv /etc/zone /etc/localtime")
        machine.succeed(f"test $(date +%H:%M) = {clock[:5]}")


    machine.wait_for_unit("multi-user.target")
    # what the settings of Nix are for: no test waits for a network
    machine.fail("grep -q '^substituters = .' /etc/nix/nix.conf")
    # far from the time at which the jobs of the tests would start by themselves
    set_local_time("12:00:00")
  '';
}
