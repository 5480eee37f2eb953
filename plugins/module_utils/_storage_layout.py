# SPDX-License-Identifier: GPL-3.0-or-later
"""From data disks to halves: md RAID1 (two disks) → LVM → for each half one DRBD device → LVM thin pool. Pure functions.

What has been made but not finished carries the LVM tag NEW, and only that is ever made again: a half that merely cannot be
seen, because its DRBD device is down, is never taken for an empty one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GROUP = "bareroot"
MOST_DISKS = 2
# So that each node of a pair can be primary for one.
HALVES = ("half0", "half1")
IMAGES = "images"
ARRAY = "/dev/md/bareroot"
NEW = "bareroot.new"


@dataclass(frozen=True)
class Observed:
    """What is on the machine.

    signatures: {disk: kinds of signature that wipefs finds on it}. members: disks that are part of our array or volume group, as they
    are now. claimed: disks that carry our array's name, assembled or not. groups: all volume groups. volumes: {logical volume of
    our group: its tags}.
    """

    signatures: dict[str, tuple[str, ...]]
    members: frozenset[str] = frozenset()
    claimed: frozenset[str] = frozenset()
    array: bool = False
    groups: frozenset[str] = frozenset()
    volumes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def is_claimed(signatures: list[tuple[str, str]]) -> bool:
    """Whether a disk's signatures, (kind, label), say that it belongs to our array. mdadm writes the label as HOMEHOST:NAME."""
    return any(kind == "linux_raid_member" and label.split(":")[-1] == GROUP for kind, label in signatures)


def foreign(observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return the disks that hold something that is not ours, with its signatures."""
    return {disk: found for disk, found in observed.signatures.items() if found and disk not in observed.members}


def conflict(disks: list[str], observed: Observed) -> str:
    """Return why nothing may be done, whatever may be wiped; an empty string when there is no reason."""
    unassembled = sorted(observed.claimed - observed.members)
    if unassembled:
        return f"{', '.join(unassembled)} belong to the array {GROUP}, which is not assembled as {ARRAY}: see mdadm --examine"
    outside = [disk for disk in disks if disk not in observed.members]
    if GROUP in observed.groups and outside:
        return f"the volume group {GROUP} exists already, and {', '.join(outside)} is not part of it: disks are not added to it here"
    if observed.array and outside:
        return f"the array {ARRAY} exists already, and {', '.join(outside)} is not part of it: disks are not added to it here"
    if observed.array and len(disks) == 1:
        return f"{disks[0]} is one of the disks of {ARRAY}: give both"
    if GROUP in observed.groups and len(disks) > 1 and not observed.array:
        return f"the volume group {GROUP} exists already, but not on {ARRAY}"
    return ""


def plan(disks: list[str], images_size: str, observed: Observed) -> list[list[str]]:
    """Return the commands that are still to be run, in order; none when all is there."""
    commands = [["wipefs", "--all", "--force", disk] for disk in foreign(observed)]
    device = ARRAY if len(disks) > 1 else disks[0]
    if len(disks) > 1 and not observed.array:
        commands += [_create_array(disks), ["udevadm", "settle"]]
    if GROUP not in observed.groups:
        commands.append(["vgcreate", "--yes", GROUP, device])
    if IMAGES not in observed.volumes:
        commands.append(_new_volume(IMAGES, "--size", images_size))
    for number, half in enumerate(HALVES):
        commands += _half(half, number, observed)
    # Last: udev starts bareroot-storage.service when it sees this file system.
    if NEW in observed.volumes.get(IMAGES, (NEW,)):
        commands.append(["mkfs.ext4", "-q", "-F", "-m", "0", "-L", "bareroot-images", f"/dev/{GROUP}/{IMAGES}"])
        commands.append(["lvchange", "--deltag", NEW, f"{GROUP}/{IMAGES}"])
    return commands


def _new_volume(name: str, unit: str, size: str) -> list[str]:
    return ["lvcreate", "--yes", "--wipesignatures=y", "--addtag", NEW, unit, size, "--name", name, GROUP]


def _create_array(disks: list[str]) -> list[str]:
    options = ["--level=1", f"--raid-devices={len(disks)}", "--metadata=1.2", "--bitmap=internal", "--homehost=any", f"--name={GROUP}"]
    return ["mdadm", "--create", ARRAY, "--run", *options, *disks]


def _half(half: str, number: int, observed: Observed) -> list[list[str]]:
    # The first half takes half of what is left, the last all of it.
    share = f"{100 // (len(HALVES) - number)}%FREE"
    commands = []
    if half not in observed.volumes:
        commands.append(_new_volume(half, "--extents", share))
    if half not in observed.volumes or NEW in observed.volumes[half]:
        drbd, inner = f"/dev/drbd{number}", f"{GROUP}_{half}"
        if inner in observed.groups:
            # Of an interrupted run; nobody has been given anything on it.
            commands.append(["vgremove", "--yes", "--force", inner])
        commands += [
            ["drbdadm", "down", half],
            ["drbdadm", "--force", "create-md", half],
            # Not `up`: it wants a peer.
            ["drbdadm", "new-resource", half],
            ["drbdadm", "new-minor", half],
            ["drbdadm", "attach", half],
            ["drbdadm", "primary", "--force", half],
            # An interrupted run's group may come into sight only now.
            ["wipefs", "--all", "--force", drbd],
            # Activated only where the half is primary.
            ["vgcreate", "--yes", "--setautoactivation", "n", inner, drbd],
            # The rest lets the pool's metadata grow.
            ["lvcreate", "--yes", "--type", "thin-pool", "--extents", "95%FREE", "--name", "pool", inner],
            ["lvchange", "--deltag", NEW, f"{GROUP}/{half}"],
        ]
    return commands
