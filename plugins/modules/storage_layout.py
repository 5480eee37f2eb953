#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_layout
short_description: Lay out a StorageNode's data disks
description:
  - Makes of one or two data disks what volumes live on. Two disks become an md RAID1. On it lies the LVM volume group C(bareroot)
    with a file system for node images, one for the state of the cluster engine, and two halves. Each half is a DRBD device, without a
    peer at first, with an LVM thin pool on top.
  - A StorageNode that joins another one gets halves of the same size, without anything on them, see O(origin_halves).
  - What exists is never made again. A disk that holds anything else is refused unless O(wipe) allows its loss.
  - Where the RAID1 has lost a disk, the one that O(disks) names in its place is added, and so is a disk of the RAID1 that it runs without.
    A disk that is too small is refused, and so is one that has run without the other and may hold newer data. Nobody waits until it has
    been brought up to date.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says which commands would run.
    support: full
  diff_mode:
    description: Shows the commands.
    support: full
requirements:
  - mdadm, lvm2, thin-provisioning-tools, drbd-utils 9 with the kernel's DRBD 8.4, e2fsprogs
  - The DRBD resources C(half0) and C(half1) in C(/etc/drbd.d), as the node's personality has them
options:
  disks:
    description: One or two disks, by a path that stays the same, such as V(/dev/disk/by-id/ata-…).
    type: list
    elements: path
    required: true
  images_size:
    description: Size of the file system for node images, as LVM writes sizes.
    type: str
    default: 8G
  wipe:
    description: Whether disks that hold something else may be wiped. What they hold is lost.
    type: bool
    default: false
  origin_halves:
    description:
      - RV(halves) of the other StorageNode, which has the data, as this module returned it there. Halves that are still to be made
        here get the same size and no thin pool, and DRBD copies all from the other.
      - Disks that are too small for that, and finished halves of another size, are refused.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Use two disks
  bareroot.cloud.storage_layout:
    disks:
      - /dev/disk/by-id/ata-A
      - /dev/disk/by-id/ata-B

- name: Use a disk of a StorageNode that joins another one
  bareroot.cloud.storage_layout:
    disks:
      - /dev/disk/by-id/ata-C
    origin_halves:
      half0: 107374182400
      half1: 107374182400
"""

RETURN = r"""
commands:
  description: The commands that were or would be run.
  type: list
  elements: list
  returned: success
  sample: [[vgcreate, bareroot, /dev/md/bareroot]]
halves:
  description:
    - The halves that are finished, each with its size in bytes. A half that an interrupted run left unfinished is not among them.
    - In check mode those that were there before.
  type: dict
  returned: success
  sample: {half0: 107374182400, half1: 107374182400}
rebuilding:
  description: Whether a disk of the RAID1 is being brought up to date. In check mode whether one was before.
  type: bool
  returned: success
"""

import glob
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _raid
from ..module_utils import _storage_layout as layout
from ..module_utils._runner import RunError, Runner
from ..module_utils._volumes import parse_size

STEP_TIMEOUT = 600
SYS_BLOCK = "/sys/block"
DEV = "/dev"


class Machine:
    """Reads what is on the machine."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def observe(self, disks: list[str]) -> layout.Observed:
        volumes = self._report("lvs", "lv_name,lv_tags,lv_size", f"vg_name={layout.GROUP}")
        left = {row["vg_name"]: int(row["vg_free"]) for row in self._report("vgs", "vg_name,vg_free", f"vg_name=~^{layout.GROUP}")}
        signatures = {disk: self._signatures(disk) for disk in disks}
        disk_sizes = {disk: self._size(disk) for disk in disks}
        array = self._array()
        members = self._members(disks, array)
        returning = [disk for disk, found in signatures.items() if disk not in members and layout.is_part_of(array, found)]
        return layout.Observed(
            signatures={disk: tuple(sorted({kind for kind, _uuid, _label in found})) for disk, found in signatures.items()},
            members=members,
            claimed=frozenset(disk for disk, found in signatures.items() if layout.is_claimed(found)),
            returning=frozenset(returning),
            parted=frozenset(disk for disk in returning if _raid.has_parted(self.runner.run(["mdadm", "--examine", disk]))),
            disk_sizes=disk_sizes,
            array=array,
            groups=frozenset(left),
            volumes={row["lv_name"]: tuple(tag for tag in row["lv_tags"].split(",") if tag) for row in volumes},
            sizes={row["lv_name"]: int(row["lv_size"]) for row in volumes},
            free=left[layout.GROUP] if layout.GROUP in left else layout.room(list(disk_sizes.values())),
        )

    def _size(self, disk: str) -> int:
        return int(self.runner.run(["blockdev", "--getsize64", disk]))

    def _report(self, program: str, fields: str, select: str) -> list[dict[str, str]]:
        units = ["--units", "b", "--nosuffix"]
        report = self.runner.run_json([program, "--reportformat", "json", *units, "--options", fields, "--select", select])
        return report["report"][0][program.removesuffix("s")]

    def _signatures(self, disk: str) -> list[layout.Signature]:
        found = self.runner.run(["wipefs", "--noheadings", "--parsable", "--output", "TYPE,UUID,LABEL", disk])
        return [layout.Signature(*[*line.split(",", 2), "", ""][:3]) for line in found.splitlines()]

    def _array(self) -> _raid.Array | None:
        if not os.path.exists(layout.ARRAY):
            return None
        top = os.path.join(SYS_BLOCK, os.path.basename(os.path.realpath(layout.ARRAY)), "md")
        paths = [path for pattern in _raid.ATTRIBUTES for path in glob.glob(pattern, root_dir=top)]
        return _raid.read({path: self._text(os.path.join(top, path)) for path in paths})

    def _text(self, path: str) -> str:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()

    def _members(self, disks: list[str], array: _raid.Array | None) -> frozenset[str]:
        """Return those of the disks that our array or volume group lies on."""
        physical = {os.path.realpath(row["pv_name"]) for row in self._report("pvs", "pv_name", f"vg_name={layout.GROUP}")}
        parts = {os.path.join(DEV, name) for name in array.members} if array else set()
        return frozenset(disk for disk in disks if os.path.realpath(disk) in physical | parts)


def check(disks: list[str], images_size: str, origin: dict[str, int]) -> None:
    if not 1 <= len(disks) <= layout.MOST_DISKS:
        raise ValueError(
            f"storage_node_disks has {len(disks)} disks: give one or two, such as [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]"
        )
    try:
        parse_size(images_size)
    except ValueError as error:
        raise ValueError(f"storage_node_images_size {images_size!r}: write a number and M, G or T, such as 8G") from error
    if origin and (set(origin) != set(layout.HALVES) or not all(isinstance(size, int) and size > 0 for size in origin.values())):
        raise ValueError(
            f"origin_halves is {origin}: give the size in bytes of each half of the other StorageNode, "
            f"such as {dict.fromkeys(layout.HALVES, 100 << 30)}; has the other one been laid out?"
        )
    if len({os.path.realpath(disk) for disk in disks}) < len(disks):
        raise ValueError(f"storage_node_disks names one disk twice: {', '.join(disks)}; give two different ones")
    missing = [disk for disk in disks if not os.path.exists(disk)]
    if missing:
        known = sorted(f"/dev/disk/by-id/{name}" for name in os.listdir("/dev/disk/by-id")) if os.path.isdir("/dev/disk/by-id") else []
        raise ValueError(f"storage_node_disks: there is no {', no '.join(missing)} here; there is {', '.join(known) or 'no disk'}")


def refuse(options: dict, observed: layout.Observed) -> None:
    reason = layout.conflict(options["disks"], observed) or layout.misfit(options["images_size"], observed, options["origin_halves"])
    if reason:
        raise ValueError(f"{reason}. Nothing was touched.")
    found = [f"{disk} ({', '.join(signatures)})" for disk, signatures in layout.foreign(observed).items()]
    if found and not options["wipe"]:
        raise ValueError(
            f"not ours and not empty: {'; '.join(found)}. Nothing was touched. "
            "If what they hold may be lost, run again with -e storage_node_wipe_disks=true"
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "disks": {"type": "list", "elements": "path", "required": True},
            "images_size": {"type": "str", "default": "8G"},
            "wipe": {"type": "bool", "default": False},
            "origin_halves": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    runner = Runner(module)
    machine = Machine(runner)
    disks, images_size, origin = (module.params[option] for option in ("disks", "images_size", "origin_halves"))
    try:
        check(disks, images_size, origin)
        observed = machine.observe(disks)
        refuse(module.params, observed)
        commands = layout.plan(disks, images_size, observed, origin)
        if commands and not module.check_mode:
            for command in commands:
                runner.run(command, timeout=STEP_TIMEOUT)
            observed = machine.observe(disks)
    except RunError as error:
        module.fail_json(msg=f"cannot lay out the disks: {error}", **error.result)
    except (ValueError, OSError) as error:
        module.fail_json(msg=str(error))
    lines = "".join(f"{' '.join(command)}\n" for command in commands)
    module.exit_json(
        changed=bool(commands),
        commands=commands,
        halves=layout.finished_halves(observed),
        rebuilding=observed.array is not None and observed.array.rebuilding,
        diff={"before": "", "after": lines},
    )


if __name__ == "__main__":
    main()
