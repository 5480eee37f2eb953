# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's machines, as who stands before them would have them in hand: power button, network cable, console, ssh."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
INVENTORIES = (ROOT / "inventory/lab", ROOT / "inventory/lab_pair")
NAMESPACE = ("ip", "netns", "exec", "bareroot")
# Allocated by boot_tree, in the inventory's order.
HARDWARE_NODES = {"hn1": "10.77.0.20", "hn2": "10.77.0.21"}


class Lab:
    """Machines by name: cn1, sn1, sn2, hn1, hn2, and the instance web1."""

    def __init__(self, directory: Path = Path("/var/lib/bareroot-lab")) -> None:
        self.directory = directory
        self._variables = yaml.safe_load((INVENTORIES[0] / "group_vars/all.yml").read_text())
        self._hosts: dict[str, dict] = {}
        for inventory in INVENTORIES:
            for group in yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["children"].values():
                self._hosts.update(group["hosts"])

    def address(self, machine: str) -> str:
        """Return where ssh finds it."""
        host = self._hosts[machine]
        return HARDWARE_NODES.get(machine) or host.get("node_address") or host["instance_address"].split("/")[0]

    def ssh(self, machine: str, command: str, patience: int = 30) -> list[str]:
        """Return what runs a command there. patience: seconds after which a machine that says nothing is given up."""
        alive = ["-o", "ServerAliveInterval=10", "-o", f"ServerAliveCountMax={patience // 10}", "-o", "ConnectTimeout=60"]
        return ["ssh", "-F", str(self.directory / "ssh_config"), *alive, self.address(machine), command]

    def run(self, machine: str, command: str, *, data: bytes | None = None, timeout: float = 120) -> str:
        """Return what a command prints there. Raises CalledProcessError or TimeoutExpired."""
        done = subprocess.run(self.ssh(machine, command), input=data, capture_output=True, check=False, timeout=timeout)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def boot_id(self, machine: str) -> str:
        """Return what is another one after each boot."""
        return self.run(machine, "cat /proc/sys/kernel/random/boot_id").strip()

    def power(self, machine: str, verb: str) -> str:
        """Switch a machine on or off by its BMC, or ask for its status. Returns what the BMC says."""
        variables = self._variables
        login = ["-U", variables["node_bmc_user"], "-P", variables["node_bmc_password"], "-C", variables["node_bmc_cipher"]]
        address = self._hosts[machine]["node_bmc_address"]
        argv = [*NAMESPACE, "ipmitool", "-I", "lanplus", "-H", address, *login, "chassis", "power", verb]
        return subprocess.run(argv, check=True, capture_output=True, timeout=60, text=True).stdout

    def is_off(self, machine: str) -> bool:
        """Whether a machine has no power."""
        return "is off" in self.power(machine, "status")

    def freeze(self, machine: str) -> None:
        """Let a machine do nothing more, its clock and watchdogs going on."""
        os.kill(int((self.directory / machine / "qemu.pid").read_text()), signal.SIGSTOP)

    def blank_disk(self, machine: str, number: int) -> None:
        """Put a new disk of the same size in the place of one."""
        disk = self.directory / machine / f"disk{number}"
        size = disk.stat().st_size
        os.truncate(disk, 0)
        os.truncate(disk, size)

    def plug(self, machine: str, network: str, state: bool) -> None:
        """Pull a machine's cable to a network, or plug it in."""
        self._qmp(machine, "set_link", name=network, up=state)

    def _qmp(self, machine: str, command: str, **arguments: object) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.directory / machine / "qmp.sock"))
            stream = connection.makefile("rw")
            stream.readline()
            for question in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(question) + "\n")
                stream.flush()
                # Events come in between.
                while not {"return", "error"} & (answer := json.loads(stream.readline())).keys():
                    pass
                if "error" in answer:
                    raise RuntimeError(f"{command} of {machine}: {answer['error']}")

    def deafen(self, machine: str, network: str, state: bool) -> None:
        """Lose all that a network would bring a machine, while what it sends arrives; or end that."""
        # A bucket in which no frame finds room; then a queue as any.
        how = ["tbf", "rate", "8bit", "burst", "1", "latency", "1ms"] if state else ["pfifo"]
        subprocess.run([*NAMESPACE, "tc", "qdisc", "replace", "dev", f"{machine}-{network}", "root", *how], check=True, capture_output=True)

    def playbook(self, name: str, *options: str) -> str:
        """Return what a playbook prints. Raises CalledProcessError."""
        return subprocess.run(self.playbook_argv(name, *options), check=True, capture_output=True, text=True, cwd=ROOT).stdout

    def module(self, machine: str, name: str, /, **options: object) -> None:
        """Run one of the collection's modules there. Raises CalledProcessError."""
        where = ["-e", f"ansible_host={self.address(machine)}", machine]
        argv = ["ansible", *self._inventories(), *where, "-m", f"bareroot.cloud.{name}", "-a", json.dumps(options)]
        subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT)

    def playbook_argv(self, name: str, *options: str) -> list[str]:
        return ["ansible-playbook", *self._inventories(), str(ROOT / "playbooks" / name), *options]

    @staticmethod
    def _inventories() -> list[str]:
        return [argument for inventory in INVENTORIES for argument in ("--inventory", str(inventory))]


def wait_until(what: str, condition: Callable[[], object], seconds: float) -> None:
    """Wait until something is so. Who cannot be asked yet has not answered. Raises TimeoutError with what was seen last."""
    end = time.monotonic() + seconds
    seen: object = None
    while time.monotonic() < end:
        try:
            seen = condition()
            if seen is True:
                return
        except (subprocess.SubprocessError, OSError) as error:
            seen = getattr(error, "stderr", "") or error
        time.sleep(3)
    raise TimeoutError(f"waited {seconds:.0f} s for this: {what}; seen last: {seen}")
