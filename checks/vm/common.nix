# What every machine of these tests has: a store that it may write, and a way to make generations of the past.
{ module }:

{
  # imported by the machines
  machine =
    { ... }:
    {
      imports = [ module ];
      services.nix-prune.enable = true;
      # a store of its own: only what the machine needs, on its own disk
      virtualisation.useNixStoreImage = true;
      virtualisation.writableStore = true;
      virtualisation.writableStoreUseTmpfs = false;
      virtualisation.memorySize = 1024;
      # nothing from elsewhere, and no other cleaner
      nix.settings.substituters = [ ];
    };

  # before the lines of a test; `generations` makes them a month apart, the last one today
  prelude = ''
    import json

    system = "/nix/var/nix/profiles/system"


    def add(name):
        return machine.succeed(f"echo {name} >/tmp/{name} && nix-store --add /tmp/{name}").strip()


    def generations(count, profile="/nix/var/nix/profiles/test-of-nix-prune"):
        for number in range(1, count + 1):
            path = add(f"{profile.split('/')[-1]}-{number}")
            machine.succeed(f"nix-env -p {profile} --set {path}")
            age = (count - number) * 30
            machine.succeed(f"touch -h -d '{age} days ago' {profile}-{number}-link")


    def numbers(profile):
        links = machine.succeed(f"ls -d {profile}-*-link").split()
        return sorted(int(link.removeprefix(f"{profile}-").removesuffix("-link")) for link in links)


    def run(job="daily"):
        machine.succeed(f"systemctl start nix-prune-{job}.service")


    def holds():
        return json.loads(machine.succeed("nix-prune hold list --json"))["holds"]


    machine.wait_for_unit("multi-user.target")
  '';
}
