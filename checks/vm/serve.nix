# The socket starts the service, which answers requests with the token, can write nowhere, and ends when nobody asks.
{ module, ... }:

let
  common = import ./common.nix { inherit module; };
in
{
  name = "nix-prune-serve";
  globalTimeout = 5 * 60;

  nodes.machine = {
    imports = [ common.machine ];
    services.nix-prune = {
      serve = {
        enable = true;
        listen = "127.0.0.1:9748";
        tokenFile = "/etc/nix-prune-token";
        idleExit = "3s";
      };
      jobs.daily.operations = {
        generations.keep.last = 3;
        collect = { };
      };
    };
  };

  testScript = common.prelude + ''
    token = "0123456789abcdef0123456789abcdef"


    def ask(path, token=token, method="GET"):
        lines = f"{method} {path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n"
        # bash, because a machine of these tests need not have curl
        return machine.succeed(f"exec 3<>/dev/tcp/127.0.0.1/9748 && printf '{lines}' >&3 && cat <&3")


    def state():
        return machine.succeed("systemctl show -P ActiveState nix-prune-serve.service").strip()


    machine.succeed(f"install -m 600 /dev/null /etc/nix-prune-token && echo {token} >/etc/nix-prune-token")
    machine.succeed("mkdir -p /root/closed && chmod 700 /root/closed")
    path = add("rooted")
    machine.succeed(f"nix-store --realise {path} --add-root /root/closed/result --indirect")
    run()
    # as systemd does outside of containers: credentials are mounted, and services see them by propagation
    machine.succeed("mount --make-rshared /")
    machine.succeed("systemctl start nix-prune-serve.socket")
    assert state() == "inactive", state()
    assert "200 OK" in ask("/healthz")
    assert state() == "active", state()

    for wrong in ["", "x", token + "0"]:
        answer = ask("/status.json", wrong)
        assert "401 Unauthorized" in answer and "nix-prune/" not in answer, answer
    answer = ask("/metrics?store=1")
    assert "200 OK" in answer and "nix_prune_store_paths" in answer, answer
    assert 'nix_prune_last_run_success{job_name="daily"} 1.0' in answer, answer
    for document in ["/status.json", "/plan/daily.json", "/history.json", "/usage.json", "/report.json", "/"]:
        answer = ask(document)
        assert "200 OK" in answer, answer[:2000]
    # a root in a closed home, by the right to read it
    assert "/root/closed/result" in answer
    assert "405" in ask("/", method="POST")

    # The process has no place that it can write to, and no network beside the socket.
    pid = machine.succeed("systemctl show -P MainPID nix-prune-serve.service").strip()
    places = "/ /nix/store /nix/var/nix/profiles /nix/var/nix/gcroots/auto /var/lib/nix-prune /etc /home /root /run /tmp /var/tmp"
    for place in places.split():
        machine.fail(f"nsenter --mount --target {pid} touch {place}/written")
    assert machine.succeed(f"nsenter --net --target {pid} cat /proc/net/route | wc -l").strip() == "1"
    capabilities = machine.succeed(f"grep CapBnd /proc/{pid}/status").split()[1]
    assert int(capabilities, 16) == (1 << 2) | (1 << 19), capabilities

    # nobody asks
    machine.wait_until_succeeds("test $(systemctl show -P ActiveState nix-prune-serve.service) = inactive")
    assert machine.succeed("systemctl show -P Result nix-prune-serve.service").strip() == "success"
    assert "200 OK" in ask("/healthz")
    machine.succeed("systemctl stop nix-prune-serve.socket nix-prune-serve.service")
    assert machine.succeed("systemctl show -P Result nix-prune-serve.service").strip() == "success"
  '';
}
