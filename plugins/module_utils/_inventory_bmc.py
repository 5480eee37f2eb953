# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the BMCs of an inventory's machines. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from . import _addresses, _names
from ._mistakes import Mistake

# Nothing in it means anything to a shell, and no program takes it for an option.
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*")
# What looks like an address must be one.
NUMBER_LAST = re.compile(r"(?:.*\.)?[0-9]+")
# {what a BMC needs besides its address: what would be right}
NEEDED = {"node_bmc_user": "write one such as admin", "node_bmc_password": "write it, and keep it in an Ansible vault"}


def find(machines: list[str], hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[Mistake]:
    """Yield all mistakes. A password is never part of one."""
    owners: dict[str, str] = {}
    for name in machines:
        address = hosts[name].get("node_bmc_address")
        if address in (None, ""):
            continue
        if not is_address(address):
            yield Mistake(name, "node_bmc_address", f"{address!r} is no IPv4 address or host name; write one such as 10.3.0.21")
        elif owners.setdefault(address.lower(), name) != name:
            owner = owners[address.lower()]
            yield Mistake(name, "node_bmc_address", f"{address} belongs to {owner} already; each machine has a BMC of its own")
        for variable, right in NEEDED.items():
            if hosts[name].get(variable) in (None, ""):
                yield Mistake(name, variable, f"is missing, and node_bmc_address needs it; {right}")


def is_address(value: object) -> bool:
    """Whether it is an IPv4 address or a host name."""
    if not _names.matches(HOST, value):
        return False
    return not _names.matches(NUMBER_LAST, value) or _addresses.is_ipv4(str(value))
