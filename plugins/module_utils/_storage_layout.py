# SPDX-License-Identifier: GPL-3.0-or-later
"""From data disks to halves: md RAID1 (two disks) → LVM → for each half one DRBD device → LVM thin pool. Pure functions.

`origin` is, on a StorageNode that joins another one, {half: size in bytes} of the other, which has the data; otherwise empty.

What has been made but not finished carries the LVM tag NEW, and only that is ever made again: a half that merely cannot be
seen, because its DRBD device is down, is never taken for an empty one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ._raid import Array
from ._volumes import EXTENT, HALVES, parse_size

GROUP = "bareroot"
MOST_DISKS = 2
IMAGES = "images"
# Keeps the cluster engine's state over reboots.
CLUSTER = "cluster"
CLUSTER_SIZE = "128M"
ARRAY = "/dev/md/bareroot"
NEW = "bareroot.new"
RAID_MEMBER = "linux_raid_member"
# What LVM keeps of a disk, and the most that mdadm keeps of one.
LVM_METADATA = 1 << 20
MOST_ARRAY_METADATA = 128 << 20


class Signature(NamedTuple):
    """A signature that wipefs finds on a disk."""

    kind: str
    uuid: str
    label: str


@dataclass(frozen=True)
class Observed:
    """What is on the machine.

    signatures: {disk: kinds of signature that wipefs finds on it}. members: disks that are part of our array or volume group, as they
    are now. claimed: disks that carry our array's name, assembled or not. returning: disks of our array that it runs without.
    parted: those of them that have run without the others too. disk_sizes: {disk: its bytes}. array: ours, if it runs. groups: all volume
    groups. volumes: {logical volume of our group: its tags}. sizes: {the same: its bytes}. free: bytes that our group has left, or will
    have, see room().
    """

    signatures: dict[str, tuple[str, ...]]
    members: frozenset[str] = frozenset()
    claimed: frozenset[str] = frozenset()
    returning: frozenset[str] = frozenset()
    parted: frozenset[str] = frozenset()
    disk_sizes: dict[str, int] = field(default_factory=dict)
    array: Array | None = None
    groups: frozenset[str] = frozenset()
    volumes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    free: int = 0

    def is_finished(self, volume: str) -> bool:
        return NEW not in self.volumes.get(volume, (NEW,))


def is_claimed(signatures: list[Signature]) -> bool:
    """Whether a disk's signatures say that it belongs to an array of our name. mdadm writes the label as HOMEHOST:NAME."""
    return any(kind == RAID_MEMBER and label.split(":")[-1] == GROUP for kind, _uuid, label in signatures)


def is_part_of(array: Array | None, signatures: list[Signature]) -> bool:
    """Whether a disk's signatures say that it belongs to just that array."""
    return array is not None and any(kind == RAID_MEMBER and uuid == array.uuid for kind, uuid, _label in signatures)


def foreign(observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return the disks that hold something that is not ours, with its signatures."""
    ours = observed.members | observed.returning
    return {disk: found for disk, found in observed.signatures.items() if found and disk not in ours}


def conflict(disks: list[str], observed: Observed) -> str:
    """Return why nothing may be done, whatever may be wiped; an empty string when there is no reason."""
    strange, outside = sorted(observed.claimed - observed.members - observed.returning), _outside(disks, observed)
    if strange:
        return _strange(", ".join(strange), observed)
    if outside:
        return _misplaced(outside, disks, observed)
    if observed.array and len(disks) == 1:
        return f"{disks[0]} is one of the disks of {ARRAY}: give both"
    if GROUP in observed.groups and len(disks) > 1 and not observed.array:
        return f"the volume group {GROUP} exists already, but not on {ARRAY}"
    return ""


def _strange(named: str, observed: Observed) -> str:
    if observed.array:
        wiping = "if its data may be lost, stop that array (mdadm --stop) and run wipefs --all on the disk"
        return f"{named} belongs to another array {GROUP} than the one that runs here: {wiping}"
    return f"{named} belong to the array {GROUP}, which is not assembled as {ARRAY}: see mdadm --examine"


def _misplaced(outside: list[str], disks: list[str], observed: Observed) -> str:
    if observed.array:
        return _no_place(outside, disks, observed.array) or _unfit(outside, observed.array, observed)
    if GROUP in observed.groups:
        return f"the volume group {GROUP} exists already, and {', '.join(outside)} is not part of it: disks are not added to it here"
    return ""


def _outside(disks: list[str], observed: Observed) -> list[str]:
    return [disk for disk in disks if disk not in observed.members]


def _no_place(outside: list[str], disks: list[str], array: Array) -> str:
    """Return why our array cannot take disks in."""
    named, members = ", ".join(outside), ", ".join(sorted(array.members))
    if len(outside) == len(disks):
        return f"the array {ARRAY} runs on {members}, and not on {named}: give a disk that it runs on, and one in the place of the other"
    if array.vacant < len(outside):
        failing = f"take that one out first, with mdadm {ARRAY} --fail DISK"
        return f"the array {ARRAY} has all its disks ({members}), and {named} is none of them: to put it in the place of one, {failing}"
    return ""


def _unfit(outside: list[str], array: Array, observed: Observed) -> str:
    """Return why disks cannot be members of our array."""
    for disk in outside:
        if disk in observed.parted:
            return (
                f"{disk} has run without the other disk of {ARRAY}, and may hold what that one does not: "
                f"if that may be lost, run wipefs --all {disk}"
            )
        if observed.disk_sizes[disk] < array.least:
            size = observed.disk_sizes[disk]
            return f"{disk} has {size} bytes, and a disk of {ARRAY} needs {array.least}: give one as large as the other"
    return ""


def room(disk_sizes: list[int]) -> int:
    """Return how many bytes our group will have on new disks of these sizes, or a little more.

    What mdadm keeps is counted at its least: disks as large as the other StorageNode's are never refused.
    """
    smallest = min(disk_sizes)
    kept = LVM_METADATA + (_least_array_metadata(smallest) if len(disk_sizes) > 1 else 0)
    return (smallest - kept) // EXTENT * EXTENT


def _least_array_metadata(size: int) -> int:
    """Return how much of a disk mdadm leaves free for reshaping: the power of two that is just below a thousandth."""
    kept = MOST_ARRAY_METADATA
    while kept << 10 > size:
        kept >>= 1
    return kept


def misfit(images_size: str, observed: Observed, origin: dict[str, int]) -> str:
    """Return why the other StorageNode's halves cannot be had here too; an empty string when there is no reason."""
    for half, size in origin.items():
        if observed.is_finished(half) and observed.sizes[half] != size:
            return (
                f"{half} has {observed.sizes[half]} bytes here and {size} bytes on the other StorageNode, but DRBD needs the same on both: "
                "give storage_node_disks as large as the other's"
            )
    if all(observed.is_finished(half) for half in origin):
        return ""
    removed = _of_another_size(observed, origin)
    left = [name for name in observed.volumes if name not in removed]
    wanted = {IMAGES: parse_size(images_size), CLUSTER: parse_size(CLUSTER_SIZE), **origin}
    needed = sum(size for name, size in wanted.items() if name not in left)
    free = observed.free + sum(observed.sizes[half] for half in removed)
    if needed <= free:
        return ""
    return (
        f"a copy of the other StorageNode's halves needs {needed} bytes here, and the disks have {free} bytes left: "
        "give storage_node_disks as large as the other's and the same storage_node_images_size"
    )


def finished_halves(observed: Observed) -> dict[str, int]:
    """Return {half: size in bytes} of those that are there and finished."""
    return {half: observed.sizes[half] for half in HALVES if observed.is_finished(half)}


def plan(disks: list[str], images_size: str, observed: Observed, origin: dict[str, int] | None = None) -> list[list[str]]:
    """Return the commands that are still to be run, in order; none when all is there."""
    origin = origin or {}
    commands = [["wipefs", "--all", "--force", disk] for disk in foreign(observed)]
    device = ARRAY if len(disks) > 1 else disks[0]
    if observed.array:
        commands += _complete(observed.array, _outside(disks, observed))
    elif len(disks) > 1:
        commands += [_create_array(disks), ["udevadm", "settle"]]
    if GROUP not in observed.groups:
        commands.append(["vgcreate", "--yes", GROUP, device])
    for half in _of_another_size(observed, origin):
        commands += _remove_half(half, observed)
        observed = _without(half, observed)
    if IMAGES not in observed.volumes:
        commands.append(_new_volume(IMAGES, "--size", images_size))
    if CLUSTER not in observed.volumes:
        commands.append(_new_volume(CLUSTER, "--size", CLUSTER_SIZE))
    commands += _file_system(CLUSTER, observed)
    for number, half in enumerate(HALVES):
        if not observed.is_finished(half):
            commands += _half(half, number, observed, origin)
    # Last: udev starts bareroot-storage.service when it sees this file system.
    commands += _file_system(IMAGES, observed)
    return commands


def _new_volume(name: str, unit: str, size: str) -> list[str]:
    return ["lvcreate", "--yes", "--wipesignatures=y", "--addtag", NEW, unit, size, "--name", name, GROUP]


def _finish(name: str) -> list[str]:
    return ["lvchange", "--deltag", NEW, f"{GROUP}/{name}"]


def _create_array(disks: list[str]) -> list[str]:
    options = ["--level=1", f"--raid-devices={len(disks)}", "--metadata=1.2", "--bitmap=internal", "--homehost=any", f"--name={GROUP}"]
    return ["mdadm", "--create", ARRAY, "--run", *options, *disks]


def _complete(array: Array, disks: list[str]) -> list[list[str]]:
    # A disk that was pulled may be gone without having failed. One that was here before is brought up to date only, as mdadm sees itself.
    removal = [["mdadm", ARRAY, "--fail", "detached", "--remove", "detached", "failed"]] if disks and array.lost else []
    return [*removal, *(["mdadm", ARRAY, "--add", disk] for disk in disks)]


def _file_system(name: str, observed: Observed) -> list[list[str]]:
    if observed.is_finished(name):
        return []
    return [["mkfs.ext4", "-q", "-F", "-m", "0", "-L", f"bareroot-{name}", f"/dev/{GROUP}/{name}"], _finish(name)]


def _of_another_size(observed: Observed, origin: dict[str, int]) -> list[str]:
    """Return the unfinished halves that are not as large as the other StorageNode's: of an interrupted run that did not know it."""
    return [half for half in origin if NEW in observed.volumes.get(half, ()) and observed.sizes[half] != origin[half]]


def _remove_half(half: str, observed: Observed) -> list[list[str]]:
    return [*_take_down(half, observed), ["lvremove", "--yes", f"{GROUP}/{half}"]]


def _without(half: str, observed: Observed) -> Observed:
    volumes = {name: tags for name, tags in observed.volumes.items() if name != half}
    return replace(observed, volumes=volumes, groups=observed.groups - {_inner(half)})


def _inner(half: str) -> str:
    return f"{GROUP}_{half}"


def _take_down(half: str, observed: Observed) -> list[list[str]]:
    # The group is of an interrupted run; nobody has been given anything on it.
    removal = [["vgremove", "--yes", "--force", _inner(half)]] if _inner(half) in observed.groups else []
    return [*removal, ["drbdadm", "down", half]]


def _half(half: str, number: int, observed: Observed, origin: dict[str, int]) -> list[list[str]]:
    # The first half takes half of what is left, the last all of it.
    extent = ("--size", f"{origin[half]}b") if half in origin else ("--extents", f"{100 // (len(HALVES) - number)}%FREE")
    creation = [] if half in observed.volumes else [_new_volume(half, *extent)]
    # DRBD copies what is on a half from the other StorageNode.
    contents = [] if half in origin else _contents(half, number)
    return [*creation, *_take_down(half, observed), ["drbdadm", "--force", "create-md", half], *contents, _finish(half)]


def _contents(half: str, number: int) -> list[list[str]]:
    drbd, inner = f"/dev/drbd{number}", _inner(half)
    return [
        # Not `up`: it wants a peer.
        ["drbdadm", "new-resource", half],
        ["drbdadm", "new-minor", half],
        ["drbdadm", "attach", half],
        # There is nothing yet that a peer could have written otherwise, and on a new pair no cluster yet that could fence it.
        ["drbdsetup", "disk-options", str(number), "--fencing=dont-care"],
        ["drbdadm", "primary", "--force", half],
        # An interrupted run's group may come into sight only now.
        ["wipefs", "--all", "--force", drbd],
        # Activated only where the half is primary. With its own 1 MiB for a group's description LVM refuses the 800th volume or so.
        ["vgcreate", "--yes", "--setautoactivation", "n", "--metadatasize", "16m", inner, drbd],
        # The rest lets the pool's metadata grow.
        ["lvcreate", "--yes", "--type", "thin-pool", "--extents", "95%FREE", "--name", "pool", inner],
    ]
