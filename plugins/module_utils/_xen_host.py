# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Xen host says of itself and its domains, and how a domain is described to it. Pure functions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from . import _nvme

INSPECT = ["/usr/lib/bareroot/inspect"]
START = "/usr/lib/bareroot/instance-start"
SEND = "/usr/lib/bareroot/migrate-send"
FIND = "/usr/lib/bareroot/volumes-ready"
SECTOR = 512
# Of a guest, in MiB.
LEAST_MEMORY = 64
# xl's names for the two copies of a domain that is being migrated.
ARRIVING = "--incoming"
LEAVING = "--migratedaway"


@dataclass(frozen=True)
class Domain:
    """A guest. memory in MiB; state as xl writes it, such as "-b----"; volumes as shelf.slot, the root first."""

    name: str
    number: int
    memory: int
    vcpus: int
    state: str
    type: str = ""
    uuid: str = ""
    mac: str = ""
    bridges: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    other_disks: tuple[str, ...] = ()
    devices: int = 0

    @property
    def is_paused(self) -> bool:
        return "p" in self.state

    @property
    def is_down(self) -> bool:
        """Shut down, crashed or dying, and not removed yet."""
        return any(flag in self.state for flag in "scd")


@dataclass(frozen=True)
class Host:
    """A Xen host. free_memory in MiB; volumes: {shelf.slot: size in bytes}, 0 for one that does not answer."""

    name: str
    xen_version: str = ""
    cpu: str = ""
    virtualization: frozenset[str] = frozenset()
    free_memory: int = 0
    cpus: int = 0
    domains: dict[str, Domain] = field(default_factory=dict)
    volumes: dict[str, int] = field(default_factory=dict)
    bridges: frozenset[str] = frozenset()
    migrations: frozenset[str] = frozenset()


def reach(node: str) -> list[str]:
    """Return how a host reaches another one for a migration: what goes before its address."""
    return ["ssh", "-F", "/usr/lib/bareroot/migration_ssh_config", "-o", f"HostKeyAlias={node}"]


def parse_inspection(name: str, text: str) -> Host:
    """Read what the program `inspect` of a HardwareNode's image prints. Raises ValueError, naming the node, if that is something else."""
    try:
        sections = _sections(text)
        facts = {key.strip(): value.strip() for key, _colon, value in (line.partition(":") for line in sections["host"])}
        configurations = {entry["config"]["c_info"]["name"]: entry["config"] for entry in json.loads("\n".join(sections["configurations"]))}
        return Host(
            name=name,
            xen_version=facts["xen_version"],
            cpu=facts["hw_caps"],
            virtualization=frozenset(facts["virt_caps"].split()),
            free_memory=int(facts["free_memory"]),
            cpus=int(facts["nr_cpus"]),
            domains=_domains(sections["domains"], configurations),
            volumes=dict(_volume(line) for line in sections["volumes"]),
            bridges=frozenset(sections["bridges"]),
            migrations=frozenset(sections["migrations"]),
        )
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise _not_understood(name, error) from error


def parse_domains(name: str, text: str) -> Host:
    """Read what `inspect --domains` prints: which domains are there, without what they consist of. Raises ValueError likewise."""
    try:
        sections = _sections(text)
        return Host(name, domains=_domains(sections["domains"], {}), migrations=frozenset(sections["migrations"]))
    except (KeyError, ValueError) as error:
        raise _not_understood(name, error) from error


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("== "):
            current = sections.setdefault(line[3:], [])
        else:
            current.append(line)
    return sections


def _not_understood(name: str, error: Exception) -> ValueError:
    return ValueError(f"{name} does not say what a Xen host of bareroot says ({error!r}): does it run its newest image?")


def _domains(lines: list[str], configurations: dict[str, dict[str, Any]]) -> dict[str, Domain]:
    """Read `xl list`: name, number, memory, vcpus, state, time; without its heading and dom0."""
    domains = {}
    rows = [line.rsplit(None, 5) for line in lines[1:]]
    if "0" not in [row[1] for row in rows]:
        raise ValueError("xl list has no dom0")
    for name, number, memory, vcpus, state, _time in rows:
        if number != "0":
            configuration = configurations.get(name, {})
            domains[name] = Domain(name, int(number), int(memory), int(vcpus), state, **_details(configuration))
    return domains


def _details(configuration: dict[str, Any]) -> dict[str, Any]:
    identity = configuration.get("c_info", {})
    disks = [disk.get("pdev_path", "") for disk in configuration.get("disks", [])]
    cards = configuration.get("nics", [])
    return {
        "type": identity.get("type", ""),
        "uuid": identity.get("uuid", ""),
        "mac": cards[0].get("mac", "") if cards else "",
        "bridges": tuple(card.get("bridge", "") for card in cards),
        "volumes": tuple(filter(None, map(_address, disks))),
        "other_disks": tuple(disk for disk in disks if not _address(disk)),
        "devices": len(configuration.get("pcidevs", [])),
    }


def _address(device: str) -> str:
    """Return a volume's shelf.slot; an empty string where the device is none."""
    aoe = "/dev/etherd/e"
    return device.removeprefix(aoe) if device.startswith(aoe) else _nvme.address_of(device)


def _volume(line: str) -> tuple[str, int]:
    address, sectors, state = line.split()
    return address, int(sectors) * SECTOR if state.startswith("up") else 0


def configuration(instance: dict[str, Any]) -> str:
    """Return xl's description of an instance. instance: name, uuid, memory (MiB), vcpus, mac, bridge, volumes of the module `instance`.

    The program `instance-start` of the HardwareNode's image puts in which device a volume is there.
    """
    disks = [
        f"format=raw,vdev=xvd{letter},access={'w' if letter == 'a' else 'r'},script=bareroot-block,target=volume:{address}"
        for letter, address in zip("ab", instance["volumes"], strict=False)
    ]
    lines = {
        "name": instance["name"],
        "type": "pvh",
        "uuid": instance["uuid"],
        "memory": instance["memory"],
        "vcpus": instance["vcpus"],
        # Boots the kernel that lies on the instance's own disk.
        "kernel": "/usr/lib/grub-xen/grub-i386-xen_pvh.bin",
        "disk": disks,
        "vif": [f"mac={instance['mac']},bridge={instance['bridge']},script=bareroot-vif"],
        "on_reboot": "restart",
        "on_crash": "restart",
    }
    # What JSON writes of numbers, lists and strings without quotes in them xl reads as the same.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
