# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that playbooks/status.yml prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..module_utils._table import table

DOCUMENTATION = r"""
name: node_table
short_description: Lay out what nodes say of themselves as a table
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Makes one line a machine of what C(playbooks/status.yml) read on it.
  - A node is V(ready), V(booting), silent (V(no answer)), or V(new) while it has no address; V(strange) is one that answers otherwise than
    a node does. A ConfigNode is V(up) or V(silent).
options:
  _input:
    description:
      - For each machine, by name, the role that the inventory gives it (V(config), V(storage) or V(hardware)), its address, and what it
        printed. An empty string stands for no address yet, and for no answer.
      - The first line is the time in seconds since it booted; the second says how long its boot took, in seconds; the rest is its
        C(/etc/bareroot/node.json). A ConfigNode prints the first line only.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a table
  ansible.builtin.debug:
    msg: "{{ {'hn1': {'role': 'hardware', 'address': '10.0.0.21', 'said': read.stdout}} | bareroot.cloud.node_table }}"
"""

RETURN = r"""
_value:
  description: The table's lines, the first with the columns' names.
  type: list
  elements: str
"""

COLUMNS = ("node", "role", "state", "address", "image", "root", "up", "boot")
SHOWN_DIGITS = 8
# A ConfigNode boots from its own disk.
NONE = "-"


def node_table(machines: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the table's lines."""
    return table([COLUMNS, *(_row(name, **machine) for name, machine in machines.items())])


def _row(name: str, role: str, address: str, said: str) -> tuple[str, ...]:
    if role == "config":
        return _config_row(name, role, address, said)
    if not said:
        return (name, role, "no answer" if address else "new", address, "", "", "", "")
    try:
        uptime, boot, facts_text = said.split("\n", 2)
        facts = json.loads(facts_text)
        state = "ready" if boot else "booting"
        took = f"{float(boot):.0f} s" if boot else ""
        return (name, facts["role"], state, address, _short(facts["image"]), facts["root"], _duration(float(uptime)), took)
    except (ValueError, KeyError, TypeError):
        return (name, role, "strange", address, "", "", "", "")


def _config_row(name: str, role: str, address: str, said: str) -> tuple[str, ...]:
    try:
        return (name, role, "up", address, NONE, NONE, _duration(float(said)), NONE)
    except ValueError:
        return (name, role, "silent", address, NONE, NONE, "", NONE)


def _short(image: str) -> str:
    kind, digest = image.split("-")
    return f"{kind}-{digest[:SHOWN_DIGITS]}"


def _duration(seconds: float) -> str:
    """Write a time in whole days, hours, minutes or seconds, the largest of them that it has."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"node_table": node_table}
