# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes on a StorageNode's thin pools, and what must be done to have one as it should be. Pure functions.

All that belongs to a volume lies in its LVM tags, on the data disks: what exports it after a power cut reads it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from . import _names

# So that each node of a pair can be primary for one.
HALVES = ("half0", "half1")
GROUP_PREFIX = "bareroot_"
POOL = "pool"
FIELDS = "vg_name,lv_name,lv_size,origin,pool_lv,data_percent,metadata_percent,lv_tags"
EXPORT_TAG = "bareroot.export."
ADDRESS_TAG = "bareroot.address."
# Where a rollback has made LVM forget whose clone a volume is. It counts more than what LVM says; with nothing behind it, of none.
TEMPLATE_TAG = "bareroot.template."
GROWN_TAG = "bareroot.grown"
PAUSED_TAG = "bareroot.paused."
OWN_TAGS = (EXPORT_TAG, ADDRESS_TAG, TEMPLATE_TAG, GROWN_TAG, PAUSED_TAG)
NVME = "nvme"
EXPORTS = ("aoe", NVME)
# What a rollback makes, and what it puts aside. No other volume can be called so.
NEW, OLD = ".new", ".old"
NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# LVM keeps these for itself.
RESERVED = ("snapshot", "pvmove")
ADDRESS = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,2})")
SIZE = re.compile(r"([0-9]+)([MGT])")
UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Shelves from here on belong to root images.
IMAGE_SHELF = 1000
# The AoE protocol's limit: the highest slot means "all".
SLOTS = 255
# The kernel's limit for a subsystem of nvmet. A half with more could not be brought up any more.
MOST_NAMESPACES = 1024
EXTENT = 4 << 20
# A pool that is full fails the writes of all its volumes; up to here new ones are made.
LEAST_FREE_PERCENT = 5
MOST_METADATA_PERCENT = 90
# Of data or metadata; what is above is said to be wrong.
WARNING_PERCENT = 80


@dataclass(frozen=True)
class Volume:
    """A thin logical volume. size in bytes; export and address are empty where it is not exported.

    paused: how it was exported before a rollback, which exports it so again. grown: what exports it may still have the size that it had.
    others: tags that are not ours.
    """

    name: str
    group: str
    size: int
    template: str = ""
    export: str = ""
    address: str = ""
    paused: str = ""
    grown: bool = False
    others: frozenset[str] = frozenset()

    @property
    def half(self) -> str:
        return self.group.removeprefix(GROUP_PREFIX)

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def path(self) -> str:
        return f"/dev/{self.group}/{self.name}"

    @property
    def unit(self) -> str:
        return f"bareroot-{self.export}@volume-{self.name}.service"

    def as_result(self) -> dict[str, str | int]:
        """What modules return."""
        return {
            "name": self.name,
            "half": self.half,
            "size": self.size,
            "template": self.template,
            "export": self.export,
            "address": self.address,
            "device": self.path,
        }


@dataclass(frozen=True)
class Pool:
    """A half's thin pool. used: bytes that volumes have written."""

    group: str
    size: int
    used: int
    metadata_percent: float = 0

    @property
    def half(self) -> str:
        return self.group.removeprefix(GROUP_PREFIX)

    @property
    def free(self) -> int:
        return self.size - self.used

    @property
    def shortage(self) -> str:
        """Why nothing new is made in it, and what helps; empty while there is room."""
        if self.free * 100 < self.size * LEAST_FREE_PERCENT:
            room = f"{self.free // UNITS['M']} MiB of its {self.size // UNITS['M']} MiB are free"
            return f"{room}, less than {LEAST_FREE_PERCENT} %; remove volumes or snapshots that are not needed"
        if self.metadata_percent > MOST_METADATA_PERCENT:
            most = f"{self.metadata_percent:.1f} % of its pool's metadata is used, more than {MOST_METADATA_PERCENT} %"
            return f"{most}; enlarge it with {metadata_growth(self.half)}, or remove snapshots"
        return ""

    def as_result(self) -> dict[str, str | int | float]:
        """What modules return."""
        return {"half": self.half, "size": self.size, "used": self.used, "free": self.free, "metadata_percent": self.metadata_percent}


def metadata_growth(half: str) -> str:
    """Return the command that gives a half's pool more metadata."""
    return f"lvextend --poolmetadatasize +64M {GROUP_PREFIX}{half}/{POOL}"


class Catalog:
    """The volumes of all halves that are here, and the halves' pools. Only a template may be in more than one half."""

    def __init__(self, volumes: Iterable[Volume], pools: list[Pool]) -> None:
        self.pools = pools
        self._halves: dict[str, dict[str, Volume]] = {}
        for volume in volumes:
            self.put(volume)

    def __iter__(self) -> Iterator[Volume]:
        return (volume for half in self._halves.values() for volume in half.values())

    def at(self, half: str, name: str) -> Volume | None:
        """Return the volume of that name in one half."""
        return self._halves.get(half, {}).get(name)

    def named(self, name: str) -> list[Volume]:
        """Return the volumes of that name, one for each half that has it."""
        return [half[name] for half in self._halves.values() if name in half]

    def all_of(self, name: str) -> list[Volume]:
        """Return the volumes of that name, and what an interrupted rollback has left of them."""
        return [volume for end in ("", NEW, OLD) for volume in self.named(f"{name}{end}")]

    def promised(self, half: str) -> int:
        """Return what the volumes of a half would take if they were full. It may be more than there is."""
        return sum(volume.size for volume in self._halves.get(half, {}).values())

    def seen_from(self, half: str = "") -> dict[str, Volume]:
        """Return the volumes by name. Of a template in several halves, that of this half, or else of the half with the most room."""
        room = {pool.half: pool.free for pool in self.pools}
        found: dict[str, Volume] = {}
        for place in sorted(self._halves, key=lambda place: (place == half, room.get(place, 0)), reverse=True):
            found = self._halves[place] | found
        return found

    def put(self, volume: Volume) -> None:
        """Add a volume, or replace it in its half."""
        self._halves.setdefault(volume.half, {})[volume.name] = volume
        halves = [other.half for other in self.named(volume.name)]
        if len(halves) > 1 and not _names.matches(_names.IMAGE, volume.name):
            raise ValueError(
                f"volume {volume.name} is in {' and in '.join(sorted(halves))}, and only a template may be: "
                f"see which one is used, and remove the other, such as with: lvremove {volume.group}/{volume.name}"
            )

    def remove(self, volume: Volume) -> None:
        del self._halves[volume.half][volume.name]


def lvs_argv() -> list[str]:
    """Return the one command that reads all volumes and pools."""
    return ["lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options", FIELDS, "--select", "vg_name=~^bareroot_half"]


def parse(report: dict) -> Catalog:
    """Read that command's output."""
    volumes, pools = [], []
    for row in report["report"][0]["lv"]:
        if row["pool_lv"]:
            volumes.append(_volume(row))
        elif row["lv_name"] == POOL:
            size = int(row["lv_size"])
            used = int(size * float(row["data_percent"] or 0) / 100)
            pools.append(Pool(row["vg_name"], size, used, float(row["metadata_percent"] or 0)))
    return Catalog(volumes, pools)


def _volume(row: dict[str, str]) -> Volume:
    tags = row["lv_tags"].split(",")
    return Volume(
        name=row["lv_name"],
        group=row["vg_name"],
        size=int(row["lv_size"]),
        template=_tagged(tags, TEMPLATE_TAG, row["origin"]),
        export=_tagged(tags, EXPORT_TAG),
        address=_tagged(tags, ADDRESS_TAG),
        paused=_tagged(tags, PAUSED_TAG),
        grown=GROWN_TAG in tags,
        others=frozenset(tag for tag in tags if tag and not tag.startswith(OWN_TAGS)),
    )


def _tagged(tags: list[str], prefix: str, otherwise: str = "") -> str:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), otherwise)


def parse_size(text: str) -> int:
    """Read a size such as 10G into bytes, rounded up to LVM's extents."""
    match = SIZE.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise ValueError(f"size {text!r}: write a number and M, G or T, such as 10G")
    size = int(match[1]) * UNITS[match[2]]
    return (size + EXTENT - 1) // EXTENT * EXTENT


def check(name: str, address: str, volumes: dict[str, Volume]) -> None:
    """Refuse names and AoE addresses that cannot be, or that another volume has, and a volume whose rollback is not finished."""
    if not NAME.fullmatch(name) or name == POOL or name.startswith(RESERVED):
        raise ValueError(
            f"volume name {name!r}: use lower-case letters, digits and inner hyphens, such as web1-root; "
            f"not {POOL}, and nothing that begins with {' or '.join(RESERVED)}, which LVM keeps for itself"
        )
    left = [f"{name}{end}" for end in (NEW, OLD) if f"{name}{end}" in volumes]
    if left:
        raise ValueError(f"a rollback of {name} was interrupted and left {' and '.join(left)}: run the module volume_rollback again")
    if not address:
        return
    match = ADDRESS.fullmatch(address)
    if not match or int(match[1]) >= IMAGE_SHELF or int(match[2]) >= SLOTS:
        raise ValueError(
            f"address {address!r} of {name}: write shelf.slot, such as 1.0; shelves end at {IMAGE_SHELF - 1}, slots at {SLOTS - 1}"
        )
    holder = next((volume.name for volume in volumes.values() if volume.address == address and volume.name != name), "")
    if holder:
        raise ValueError(f"address {address} of {name} belongs to {holder}; give {name} another")


def emptiest(pools: list[Pool]) -> Pool:
    """Return the pool with the most room."""
    if not pools:
        raise ValueError("no half is active here: is bareroot-storage.service running, has storage_layout been applied?")
    return max(pools, key=lambda pool: pool.free)


def pool_for(half: str, pools: list[Pool]) -> Pool:
    """Return the pool of a half, which must be here; where none is named, the one with the most room."""
    found = next((pool for pool in pools if pool.half == half), None) if half else emptiest(pools)
    if found is None:
        raise ValueError(f"{half} is not active here; active are: {', '.join(pool.half for pool in pools) or 'none'}")
    return found


def require_room(name: str, group: str, pools: list[Pool]) -> None:
    """Refuse a new or larger volume in a pool that is nearly full."""
    for pool in pools:
        if pool.group == group and pool.shortage:
            raise ValueError(f"{pool.half} has no room for {name}: {pool.shortage}")


def require_namespace(name: str, group: str, volumes: Iterable[Volume]) -> None:
    """Refuse one more volume by NVMe/TCP than a half can have."""
    others = [volume for volume in volumes if volume.group == group and volume.name != name and NVME in (volume.export, volume.paused)]
    if len(others) >= MOST_NAMESPACES:
        half = group.removeprefix(GROUP_PREFIX)
        raise ValueError(
            f"{half} has {len(others)} volumes by NVMe/TCP, which is all that it can have; export {name} by aoe, or put it elsewhere"
        )


def wanted(options: dict, volumes: dict[str, Volume], pools: list[Pool], half: str = "") -> Volume:
    """Return the volume as it should be.

    options: name, size, template, export, address of the module `volume`. volumes: as they are seen from the half.
    half: where a new one goes; empty for the half of its template, or without one for the half with the most room.
    """
    name, size, template = options["name"], options["size"], options["template"] or ""
    present, origin = volumes.get(name), volumes.get(template)
    if not present and template and not origin:
        raise ValueError(f"template {template} of {name} is no volume here; volumes are: {', '.join(sorted(volumes)) or 'none'}")
    if not present and origin and half and origin.half != half:
        raise ValueError(f"template {template} of {name} is in {origin.half}, not in {half}; a clone lies where its template is")
    if not present and not template and not size:
        raise ValueError(f"size of {name} is missing: write one such as 10G, or name a template")
    least = present.size if present else origin.size if origin else 0
    bytes_wanted = parse_size(size) if size else least
    if bytes_wanted < least:
        raise ValueError(f"size {size} of {name} is less than the {least // UNITS['M']} MiB that it has: volumes are never made smaller")
    place = present.group if present else origin.group if origin else pool_for(half, pools).group
    if not present or bytes_wanted > present.size:
        require_room(name, place, pools)
    if options["export"] == NVME:
        require_namespace(name, place, volumes.values())
    template_is = present.template if present else template
    return Volume(name, place, bytes_wanted, template_is, options["export"], options["address"] if options["export"] else "")


def commands(present: Volume | None, target: Volume, origin_size: int = 0) -> list[list[str]]:
    """Return what to run to get from one to the other, in order; none when they are equal.

    origin_size: size of the template, in bytes, which a new clone has at first.
    """
    steps = _growth(present, target) if present else _creation(target, origin_size)
    return steps + _retagged(present, target)


def _creation(target: Volume, origin_size: int) -> list[list[str]]:
    if not target.template:
        argv = ["lvcreate", "--yes", "--wipesignatures", "n", "--thin", "--virtualsize", f"{target.size}b", "--name", target.name]
        return [[*argv, f"{target.group}/{POOL}"]]
    return _clone(target, target.template, origin_size)


def _clone(target: Volume, origin: str, origin_size: int, tags: Iterable[str] = ()) -> list[list[str]]:
    tagged = [argument for tag in sorted(tags) for argument in ("--addtag", tag)]
    argv = ["lvcreate", "--yes", "--snapshot", "--setactivationskip", "n", *tagged, "--name", target.name, f"{target.group}/{origin}"]
    return [argv, *([_extend(target)] if target.size > origin_size else [])]


def _extend(target: Volume) -> list[str]:
    return ["lvextend", "--yes", "--size", f"{target.size}b", target.full_name]


def _growth(present: Volume, target: Volume) -> list[list[str]]:
    extension = [_extend(target)] if target.size > present.size else []
    if not present.grown and not (extension and present.export):
        return extension
    # vblade reads the size when it starts, so its unit is restarted. The tag is for the next run, should this one be interrupted before.
    return [
        *([["lvchange", "--addtag", GROWN_TAG, target.full_name]] if extension else []),
        *extension,
        *([["systemctl", "try-reload-or-restart", present.unit]] if present.export else []),
        ["lvchange", "--deltag", GROWN_TAG, target.full_name],
    ]


def _retagged(present: Volume | None, target: Volume) -> list[list[str]]:
    before = _tags(present) if present else set()
    removed, added = sorted(before - _tags(target)), sorted(_tags(target) - before)
    if not removed and not added:
        return []
    tags = [argument for verb, names in (("--deltag", removed), ("--addtag", added)) for tag in names for argument in (verb, tag)]
    # First, so that what is recorded as exported is what may still be served.
    stop = [["systemctl", "stop", present.unit]] if removed and present.export else []
    return [*stop, ["lvchange", *tags, target.full_name]]


def _tags(volume: Volume) -> set[str]:
    pairs = ((EXPORT_TAG, volume.export), (ADDRESS_TAG, volume.address), (PAUSED_TAG, volume.paused))
    return {f"{prefix}{value}" for prefix, value in pairs if value}


def rollback(name: str, snapshot: str, catalog: Catalog) -> tuple[Volume, list[list[str]]]:
    """Return a volume as it is when it has again what a snapshot of it holds, and what to run for that, in order.

    Wherever that is interrupted, the old contents or all of the new ones have a name, not both are exported, and it can be begun again.
    The catalog becomes what it is when an earlier interrupted one has been put right.
    """
    steps = _put_right(name, catalog)
    volume, kept = _rollback_pair(name, snapshot, catalog)
    export = volume.export or volume.paused
    target = replace(volume, size=max(volume.size, kept.size), export=export, paused="", grown=False)
    idle = replace(target, export="", paused=export)
    siblings = sorted(clone.full_name for clone in catalog if (clone.group, clone.template) == (volume.group, name))
    tags = {*_tags(idle), f"{TEMPLATE_TAG}{volume.template}", *volume.others}
    steps += _clone(replace(idle, name=f"{name}{NEW}"), snapshot, kept.size, tags)
    # LVM forgets whose snapshots they are when the old contents go.
    steps.append(["lvchange", "--addtag", f"{TEMPLATE_TAG}{name}", *siblings])
    # Nothing is exported while names change: after a power cut every volume that is tagged so is exported, under the name that it has.
    steps += _retagged(volume, replace(volume, export="", paused=export))
    steps += [_renamed(volume, name, f"{name}{OLD}"), _renamed(volume, f"{name}{NEW}", name)]
    steps += _retagged(idle, target)
    steps.append(["lvremove", "--yes", f"{volume.full_name}{OLD}"])
    return target, steps + ([["systemctl", "start", target.unit]] if export else [])


def _put_right(name: str, catalog: Catalog) -> list[list[str]]:
    """Return what ends an interrupted rollback, and change the catalog likewise: what was put aside comes back if nothing replaced it."""
    steps = []
    for old in catalog.named(f"{name}{OLD}"):
        catalog.remove(old)
        if catalog.at(old.half, name):
            steps.append(["lvremove", "--yes", old.full_name])
        else:
            steps.append(_renamed(old, old.name, name))
            catalog.put(replace(old, name=name))
    for new in catalog.named(f"{name}{NEW}"):
        catalog.remove(new)
        steps.append(["lvremove", "--yes", new.full_name])
    return steps


def _renamed(volume: Volume, name: str, to: str) -> list[str]:
    return ["lvrename", volume.group, name, to]


def _rollback_pair(name: str, snapshot: str, catalog: Catalog) -> tuple[Volume, Volume]:
    """Return the volume and its snapshot. A clone with an address is no snapshot: it has a use, and contents, of its own."""
    if not catalog.named(name):
        names = sorted({volume.name for volume in catalog})
        raise ValueError(f"{name} is no volume here; volumes are: {', '.join(names) or 'none'}")
    pairs = {clone.name: (catalog.at(clone.half, name), clone) for clone in catalog if clone.template == name and not clone.address}
    volume, kept = pairs.get(snapshot, (None, None))
    if volume is None or kept is None:
        raise ValueError(f"{snapshot} is no snapshot of {name}; its snapshots are: {', '.join(sorted(pairs)) or 'none'}")
    return volume, kept
