# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes on a StorageNode's thin pools, and what must be done to have one as it should be. Pure functions.

All that belongs to a volume lies in its LVM tags, on the data disks: what exports it after a power cut reads it there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    def path(self) -> str:
        return f"/dev/{self.group}/{self.name}"

    @property
    def unit(self) -> str:
        return f"bareroot-aoe@volume-{self.name}.service"

    def as_result(self) -> dict[str, str | int]:
        """What modules return."""
        return {
            "name": self.name,
            "half": self.group.removeprefix("bareroot_"),
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


def lvs_argv() -> list[str]:
    """Return the one command that reads all volumes and pools."""
    return ["lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "--options", FIELDS, "--select", "vg_name=~^bareroot_half"]


def parse(report: dict) -> tuple[dict[str, Volume], list[Pool]]:
    """Read that command's output."""
    volumes, pools = {}, []
    for row in report["report"][0]["lv"]:
        if row["pool_lv"]:
            volumes[row["lv_name"]] = _volume(row)
        elif row["lv_name"] == POOL:
            size = int(row["lv_size"])
            pools.append(Pool(row["vg_name"], size, int(size * float(row["data_percent"] or 0) / 100)))
    return volumes, pools


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
    return max(pools, key=lambda pool: pool.size - pool.used)


def wanted(options: dict, volumes: dict[str, Volume], pools: list[Pool], group: str = "") -> Volume:
    """Return the volume as it should be.

    options: name, size, template, export, address of the module `volume`. group: volume group of a new one that is no clone;
    empty for the one with the most room.
    """
    name, size, template = options["name"], options["size"], options["template"] or ""
    present, origin = volumes.get(name), volumes.get(template)
    if not present and template and not origin:
        raise ValueError(f"template {template} of {name} is no volume here; volumes are: {', '.join(sorted(volumes)) or 'none'}")
    if not present and not template and not size:
        raise ValueError(f"size of {name} is missing: write one such as 10G, or name a template")
    least = present.size if present else origin.size if origin else 0
    bytes_wanted = parse_size(size) if size else least
    if bytes_wanted < least:
        raise ValueError(f"size {size} of {name} is less than the {least // UNITS['M']} MiB that it has: volumes are never made smaller")
    place = present.group if present else origin.group if origin else group or emptiest(pools).group
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
