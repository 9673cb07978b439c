# Every run writes the metrics, for everybody to read, from within the sandbox of a unit; a failed run is seen until a good one.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-metrics";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune = {
      metrics.enable = true;
      metrics.store = true;
      jobs.daily.operations = {
        generations.keep.last = 3;
        collect = { };
        verify.contents = true;
      };
    };
  };

  testScript = common.prelude + ''
    prom = "/run/nix-prune-metrics/nix-prune.prom"


    def wait_for(line):
        machine.wait_until_succeeds(f"grep -qxF '{line}' {prom}")


    machine.succeed("systemctl start nix-prune-metrics.service")
    machine.succeed(f"test $(stat -c %a:%U {prom}) = 644:root")
    machine.succeed(f"setpriv --reuid 65534 --clear-groups cat {prom} >/dev/null")
    machine.fail(f"grep nix_prune_last_run {prom}")

    path = add("sound")
    machine.succeed(f"nix-store --realise {path} --add-root /root/sound --indirect")
    run()
    wait_for('nix_prune_last_run_success{job_name="daily"} 1.0')
    machine.succeed(f"grep '^nix_prune_dead_paths 0' {prom}")

    machine.succeed(f"chmod u+w {path} && echo damaged >{path}")
    machine.fail("systemctl start nix-prune-daily.service")
    wait_for('nix_prune_last_run_success{job_name="daily"} 0.0')
    machine.succeed(f"echo sound >{path} && chmod u-w {path}")
    run()
    wait_for('nix_prune_last_run_success{job_name="daily"} 1.0')

    # the samples for the forecast
    machine.succeed("grep -q '\"available\"' /var/lib/nix-prune/free-space.json")
  '';
}
