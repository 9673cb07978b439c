"""Runs the script of a test of checks/vm on a machine of scripts/boot-systemd, in place of the driver of NixOS.

    driver.py SCRIPT COMMAND...    COMMAND boots a machine that answers as checks/boot/vm does
"""

import base64
import subprocess
import sys
import time

# how scripts/boot-systemd ends where nobody can boot
CANNOT_BOOT = 69


class Failed(Exception):
    """The test fails."""


class Machine:
    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.line() != "ready":
            raise Failed("the machine is not ready")

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            if status == CANNOT_BOOT:
                sys.exit(status)
            raise Failed(f"the machine has ended with status {status}")
        return line.strip()

    def execute(self, command):
        request = base64.b64encode(command.encode()).decode()
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        status, _, output = self.line().partition(" ")
        return int(status), base64.b64decode(output).decode()

    def all_end(self, commands, well):
        outputs = []
        for command in commands:
            status, output = self.execute(command)
            if (status == 0) != well:
                raise Failed(f"`{command}` ends with status {status}: {output[-500:]}")
            outputs.append(output)
        return "".join(outputs)

    def succeed(self, *commands):
        return self.all_end(commands, True)

    def fail(self, *commands):
        return self.all_end(commands, False)

    def wait(self, what, condition, timeout=60):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {timeout} seconds")
            time.sleep(0.1)

    def wait_until_succeeds(self, command):
        self.wait(f"`{command}` succeeds", lambda: self.execute(command)[0] == 0)

    def wait_until_fails(self, command):
        self.wait(f"`{command}` fails", lambda: self.execute(command)[0] != 0)

    def wait_for_unit(self, unit):
        # The machine has answered, so it has booted to its own target.
        if unit == "multi-user.target":
            return

        def is_active():
            state = self.execute(f"systemctl show -P ActiveState {unit}")[1].strip()
            if state == "failed":
                raise Failed(f"{unit} has failed")
            return state == "active"

        self.wait(f"{unit} is active", is_active)

    def shutdown(self):
        print("only in QEMU: a power cycle; here the timers are stopped and started")
        self.succeed("cd /etc/systemd/system && systemctl stop nix-prune-*.timer")

    def start(self):
        self.succeed("cd /etc/systemd/system && systemctl start nix-prune-*.timer")

    def end(self):
        self.process.stdin.close()
        return self.process.wait()


def main(path, command):
    with open(path) as file:
        script = file.read()
    machine, status = None, 0
    try:
        machine = Machine(command)
        exec(compile(script, path, "exec"), {"machine": machine})
    except Exception as error:  # whatever it is, the test has failed
        frame, line = error.__traceback__, "?"
        while frame:
            if frame.tb_frame.f_code.co_filename == path:
                line = frame.tb_lineno
            frame = frame.tb_next
        print(f"line {line}: {type(error).__name__}: {error}")
        status = 1
        if machine:
            print(machine.execute("journalctl --no-pager -q -n 40 -o cat")[1])
    sys.exit(status or machine.end())


main(sys.argv[1], sys.argv[2:])
