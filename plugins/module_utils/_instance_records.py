# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance keeps for ever: UUID, MAC, SSH host key, and the addresses of its volumes. Pure but for randomness."""

from __future__ import annotations

import os
import uuid
from typing import Any

from . import _identity
from ._volumes import IMAGE_SHELF, SLOTS

# What each instance has, in the order of its disks.
VOLUMES = ("root", "seed")
FIRST_SHELF = 1
# Xen's own prefix for guests' cards.
MAC_PREFIX = "00:16:3e"


def allocate(instances: list[dict[str, Any]], records: dict[str, Any], ca_key: str) -> dict[str, Any]:
    """Return the records with what these instances need added; nothing that is recorded is dropped or given to another one.

    instances: name, mac (empty to have one allocated), address. records: {"instances": {name: record}}, as returned before.
    """
    known = {name: dict(record) for name, record in records.get("instances", {}).items()}
    ca = _identity.public_half(ca_key, "the CA")
    macs = {record["mac"]: name for name, record in known.items()}
    for instance in instances:
        name = instance["name"]
        record = known.setdefault(name, {"uuid": str(uuid.uuid4()), "host_key": _identity.new_host_key(), "volumes": {}})
        record["mac"] = instance["mac"] or record.get("mac") or _new_mac(macs)
        if macs.setdefault(record["mac"], name) != name:
            raise ValueError(f"instance_mac {record['mac']} of {name} belongs to {macs[record['mac']]}; give {name} another")
        for kind in VOLUMES:
            if kind not in record["volumes"]:
                record["volumes"] = {**record["volumes"], kind: _address(sum(len(other["volumes"]) for other in known.values()))}
        record["address"] = instance["address"]
        certified = {"principals": [name, *([instance["address"].split("/")[0]] if instance["address"] else [])], "ca": ca}
        if record.get("certified") != certified:
            record["certificate"] = _identity.certify(record["host_key"], ca_key, certified["principals"])
            record["certified"] = certified
    return {"instances": known}


def _new_mac(taken: dict[str, str]) -> str:
    while True:
        mac = f"{MAC_PREFIX}:{os.urandom(3).hex(':')}"
        if mac not in taken:
            return mac


def _address(number: int) -> str:
    """Return the shelf.slot of the volume with that number; none is ever given twice, since no record is dropped."""
    shelf, slot = FIRST_SHELF + number // SLOTS, number % SLOTS
    if shelf >= IMAGE_SHELF:
        raise ValueError(f"all {(IMAGE_SHELF - FIRST_SHELF) * SLOTS} addresses for volumes have been given")
    return f"{shelf}.{slot}"
