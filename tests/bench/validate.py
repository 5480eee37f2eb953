"""Times playbooks/validate.yml with an inventory of many HardwareNodes. Usage: validate.py [COUNT …]"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import yaml

PROJECT = Path(__file__).parents[2]
SIZES = (1000,)
# In seconds.
LIMIT = 10


def mac(kind: int, number: int) -> str:
    return f"52:54:{kind:02x}:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def inventory(count: int) -> dict[str, object]:
    """Return an inventory with a ConfigNode, a StorageNode, `count` HardwareNodes and as many instances."""
    names = [f"hn{number}" for number in range(count)]
    nodes = {name: {"node_mac": mac(0, n), "node_storage_mac": mac(1, n), "node_instance_mac": mac(2, n)} for n, name in enumerate(names)}
    instances = {f"web{n}": {"instance_address": f"10.2.{n >> 8}.{n & 255}/8"} for n in range(1, count + 1)}
    storage = {"node_mac": mac(3, 0), "node_storage_mac": mac(3, 1), "storage_node_disks": ["/dev/disk/by-id/ata-A"]}
    shared = {
        "config_node_boot_network": "192.168.0.0/16",
        "config_node_storage_network": "172.16.0.0/16",
        "node_authorized_keys": ["ssh-ed25519 AAAA admin"],
        "instance_authorized_keys": ["ssh-ed25519 AAAA admin"],
    }
    children = {
        "config_nodes": {"hosts": {"cn1": {"node_address": "192.168.0.1"}}},
        "storage_nodes": {"hosts": {"sn1": storage}},
        "hardware_nodes": {"hosts": nodes},
        "instances": {"hosts": instances},
    }
    return {"all": {"vars": shared, "children": children}}


def main() -> None:
    turns = []
    for count in [int(argument) for argument in sys.argv[1:]] or SIZES:
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump(inventory(count), file)
            file.flush()
            command = [Path(sys.executable).with_name("ansible-playbook"), "-i", file.name, PROJECT / "playbooks" / "validate.yml"]
            started = time.monotonic()
            subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)
        took = time.monotonic() - started
        turns.append({"hardware_nodes": count, "instances": count, "seconds": took})
        limit = figures.verdict(took, LIMIT)
        print(f"validate.yml with {count} HardwareNodes and {count} instances: {took:.1f} s{limit}", flush=True)
    figures.keep("validate", turns)


if __name__ == "__main__":
    main()
