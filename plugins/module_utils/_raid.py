# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of an md RAID1, and what is wrong with it. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

KIB = 1024
SECTOR = 512
# What is read of an array, below its directory md in /sys/block. The last is there as long as the member's disk is.
STATE, OFFSET, NUMBER = "state", "offset", "block/dev"
ATTRIBUTES = ("uuid", "raid_disks", "component_size", *(f"dev-*/{name}" for name in (STATE, OFFSET, NUMBER)))
# /proc/mdstat: each array begins a line.
BLOCK = re.compile(r"^(?=md\S* : )", re.MULTILINE)
RUNS = re.compile(r"(\S+) : active .*\n.* \[(\d+)/(\d+)\] ")
REBUILT = re.compile(r"recovery *= *(?:([0-9.]+)%|[A-Z])")
# mdadm --examine: which member a disk is, and an A for each that works, as far as it knows.
ROLE = re.compile(r"^ *Device Role : (?:Active device (\d+)|\S+)\n *Array State : (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Array:
    """An array that runs. members: the kernel's names of those that work; lost: of those that failed or are gone, and are still listed.

    places: how many members it is to have. least: bytes that a disk must have to be one. rebuilding: whether one is brought up to date.
    """

    uuid: str = ""
    places: int = 2
    members: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    least: int = 0
    rebuilding: bool = False

    @property
    def vacant(self) -> int:
        return self.places - len(self.members)


def read(attributes: Mapping[str, str]) -> Array:
    """Read what /sys/block has of an array: {path below its directory md: text}."""
    suffix = f"/{STATE}"
    directories = [path.removesuffix(suffix) for path in attributes if path.endswith(suffix)]
    lost = {directory for directory in directories if _is_lost(directory, attributes)}
    members = set(directories) - lost
    offsets = [int(attributes[f"{directory}/{OFFSET}"]) for directory in members]
    return Array(
        uuid=attributes["uuid"],
        # While it is reshaped, the old number follows.
        places=int(attributes["raid_disks"].split()[0]),
        members=frozenset(map(_name, members)),
        lost=frozenset(map(_name, lost)),
        # As mdadm counts.
        least=int(attributes["component_size"]) * KIB + max(offsets, default=0) * SECTOR,
        rebuilding=any("in_sync" not in _flags(directory, attributes) for directory in members),
    )


def _is_lost(directory: str, attributes: Mapping[str, str]) -> bool:
    return "faulty" in _flags(directory, attributes) or f"{directory}/{NUMBER}" not in attributes


def _flags(directory: str, attributes: Mapping[str, str]) -> list[str]:
    return attributes[f"{directory}/{STATE}"].split(",")


def _name(directory: str) -> str:
    return directory.removeprefix("dev-").replace("!", "/")


def has_parted(examined: str) -> bool:
    """Whether a disk that the array runs without has itself run without the others, from what mdadm --examine prints of it.

    One that failed or was pulled never learnt that it is missing. One that worked when others were missing may hold what they do not.
    """
    match = ROLE.search(examined)
    if not match:
        return True
    role, state = match.groups()
    return role is not None and "." in state and state[int(role)] == "A"


def problems(text: str) -> list[str]:
    """Return what is wrong with the arrays of /proc/mdstat, in words."""
    found = (_problem(block) for block in BLOCK.split(text)[1:])
    return [problem for problem in found if problem]


def _problem(block: str) -> str:
    array = block.split(" ", 1)[0]
    match = RUNS.match(block)
    if not match:
        return f"the RAID1 of the data disks ({array}) does not run; see there mdadm --examine --scan and systemctl list-timers mdadm-*"
    _array, places, working = match.groups()
    if int(working) >= int(places):
        return ""
    rebuilt = REBUILT.search(block)
    if rebuilt:
        done = f", {rebuilt[1]} % done" if rebuilt[1] else ""
        return f"the RAID1 of the data disks ({array}) is being rebuilt{done}; until that is over, one disk alone has all the data"
    return (
        f"the RAID1 of the data disks ({array}) has lost a disk; put in another one, name it in storage_node_disks, "
        "then run playbooks/site.yml"
    )
