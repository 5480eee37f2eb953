# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes on a StorageNode's thin pools, and what must be done to have one as it should be. Pure functions.

All that belongs to a volume lies in its LVM tags, on the data disks: what exports it after a power cut reads it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import _names

HALVES = ("half0", "half1")
GROUP_PREFIX = "bareroot_"
POOL = "pool"
FIELDS = "vg_name,lv_name,lv_size,origin,pool_lv,data_percent,lv_tags"
EXPORT_TAG = "bareroot.export."
ADDRESS_TAG = "bareroot.address."
NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
ADDRESS = re.compile(r"(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,2})")
SIZE = re.compile(r"([0-9]+)([MGT])")
UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Shelves from here on belong to root images.
IMAGE_SHELF = 1000
# The AoE protocol's limit: the highest slot means "all".
SLOTS = 255
EXTENT = 4 << 20


@dataclass(frozen=True)
class Volume:
    """A thin logical volume. size in bytes; export and address are empty where it is not exported."""

    name: str
    group: str
    size: int
    template: str = ""
    export: str = ""
    address: str = ""

    @property
    def half(self) -> str:
        return self.group.removeprefix(GROUP_PREFIX)

    @property
    def path(self) -> str:
        return f"/dev/{self.group}/{self.name}"

    @property
    def unit(self) -> str:
        return f"bareroot-aoe@volume-{self.name}.service"

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

    @property
    def half(self) -> str:
        return self.group.removeprefix(GROUP_PREFIX)

    @property
    def free(self) -> int:
        return self.size - self.used

    def as_result(self) -> dict[str, str | int]:
        """What modules return."""
        return {"half": self.half, "size": self.size, "used": self.used, "free": self.free}


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
            pools.append(Pool(row["vg_name"], size, int(size * float(row["data_percent"] or 0) / 100)))
    return Catalog(volumes, pools)


def _volume(row: dict[str, str]) -> Volume:
    tags = row["lv_tags"].split(",")
    return Volume(
        name=row["lv_name"],
        group=row["vg_name"],
        size=int(row["lv_size"]),
        template=row["origin"],
        export=_tagged(tags, EXPORT_TAG),
        address=_tagged(tags, ADDRESS_TAG),
    )


def _tagged(tags: list[str], prefix: str) -> str:
    return next((tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix)), "")


def parse_size(text: str) -> int:
    """Read a size such as 10G into bytes, rounded up to LVM's extents."""
    match = SIZE.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise ValueError(f"size {text!r}: write a number and M, G or T, such as 10G")
    size = int(match[1]) * UNITS[match[2]]
    return (size + EXTENT - 1) // EXTENT * EXTENT


def check(name: str, address: str, volumes: dict[str, Volume]) -> None:
    """Refuse names and AoE addresses that cannot be, or that another volume has."""
    if not NAME.fullmatch(name) or name == POOL:
        raise ValueError(f"volume name {name!r}: use lower-case letters, digits and inner hyphens, such as web1-root")
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
    template_is = present.template if present else template
    return Volume(name, place, bytes_wanted, template_is, options["export"], options["address"] if options["export"] else "")


def commands(present: Volume | None, target: Volume, origin_size: int = 0) -> list[list[str]]:
    """Return what to run to get from one to the other, in order; none when they are equal.

    origin_size: size of the template, in bytes, which a new clone has at first.
    """
    steps = []
    full_name = f"{target.group}/{target.name}"
    if present is None and target.template:
        origin = f"{target.group}/{target.template}"
        steps.append(["lvcreate", "--yes", "--snapshot", "--setactivationskip", "n", "--name", target.name, origin])
        if target.size > origin_size:
            steps.append(["lvextend", "--yes", "--size", f"{target.size}b", full_name])
    elif present is None:
        argv = ["lvcreate", "--yes", "--wipesignatures", "n", "--thin", "--virtualsize", f"{target.size}b", "--name", target.name]
        steps.append([*argv, f"{target.group}/{POOL}"])
    elif target.size > present.size:
        steps.append(["lvextend", "--yes", "--size", f"{target.size}b", full_name])
    before = _tags(present) if present else set()
    removed, added = sorted(before - _tags(target)), sorted(_tags(target) - before)
    if removed or added:
        tags = [argument for verb, names in (("--deltag", removed), ("--addtag", added)) for tag in names for argument in (verb, tag)]
        # First, so that what is recorded as exported is what may still be served.
        steps += [["systemctl", "stop", target.unit]] if removed else []
        steps.append(["lvchange", *tags, full_name])
    return steps


def _tags(volume: Volume) -> set[str]:
    if not volume.export:
        return set()
    return {f"{EXPORT_TAG}{volume.export}", f"{ADDRESS_TAG}{volume.address}"}
