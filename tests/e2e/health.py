# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pair of StorageNodes is, once nothing happens to it any more."""

from __future__ import annotations

import re

from tests.e2e.lab import Lab, wait_until
from tests.e2e.loads import STORAGE_NODES

HALVES = ("half0", "half1")
# What a booted machine, a resync and Pacemaker's patience take in software emulation, together.
RECOVERY = 900


def is_whole(lab: Lab) -> bool | str:
    """Whether both StorageNodes have all data and one of them serves, for each half; or else what they say."""
    for half in HALVES:
        said = lab.run("sn1", f"drbdadm role {half}; drbdadm dstate {half}").split()
        if said not in (["Primary/Secondary", "UpToDate/UpToDate"], ["Secondary/Primary", "UpToDate/UpToDate"]):
            return f"{half}: {said}"
    return True


def has_nothing_wrong(lab: Lab) -> bool | str:
    said = lab.playbook("storage_status.yml")
    return "Nothing is wrong." in said or said[said.find("TASK [Show what is wrong]") :]


def compare_legs(lab: Lab) -> dict[str, int]:
    """Return how many KiB differ between the StorageNodes, for each half."""
    for half in HALVES:
        lab.run("sn1", f"drbdadm verify {half}")
    for half in HALVES:
        wait_until(f"{half} is compared", lambda half=half: lab.run("sn1", f"drbdadm cstate {half}").strip() == "Connected", RECOVERY)
    return {half: int(re.search(r"oos:(\d+)", block)[1]) for half, block in zip(HALVES, _drbd_blocks(lab), strict=True)}


def _drbd_blocks(lab: Lab) -> list[str]:
    return re.split(r"^ *\d+: ", lab.run("sn1", "cat /proc/drbd"), flags=re.MULTILINE)[1:]


def pools_are_sound(lab: Lab) -> bool:
    said = "".join(lab.run(node, "dmsetup status --target thin-pool") for node in STORAGE_NODES)
    return said.count("thin-pool") == len(HALVES) and not re.search(r"needs_check|Fail|\bro\b|Error", said)
