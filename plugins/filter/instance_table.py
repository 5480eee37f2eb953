# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances in the table that playbooks/status.yml prints."""

from __future__ import annotations

from typing import Any

from ..module_utils import _instances
from ..module_utils._table import table

DOCUMENTATION = r"""
name: instance_table
short_description: Lay out where instances run as a table
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Makes one line an instance of the inventory, and one of each that runs and is not in the inventory.
options:
  _input:
    description: Instances, as the filter P(bareroot.cloud.wanted_instances#filter) returns them.
    type: list
    elements: dict
    required: true
  found:
    description:
      - What M(bareroot.cloud.instance_info) returned.
      - If it failed, all instances are in an unknown state, and a last line says why.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a table
  ansible.builtin.debug:
    msg: "{{ wanted | bareroot.cloud.instance_table(found) }}"
"""

RETURN = r"""
_value:
  description: The table's lines, the first with the columns' names.
  type: list
  elements: str
"""

COLUMNS = ("instance", "state", "node", "memory", "volumes", "reach it by")


def instance_table(instances: list[dict[str, Any]], found: dict[str, Any]) -> list[str]:
    """Return the table's lines."""
    if "instances" not in found:
        return [*table([COLUMNS, *((instance["name"], "unknown", "", "", "", "") for instance in instances)]), found.get("msg", "")]
    wanted = {instance["name"]: instance for instance in instances}
    running: dict[str, list[dict[str, Any]]] = {}
    for instance in found["instances"]:
        # One that was asked for by name is listed though it runs nowhere.
        if instance["node"]:
            running.setdefault(_instances.instance_of(instance["name"]), []).append(instance)
    rows = [COLUMNS]
    for name, instance in wanted.items():
        rows += [_row(copy, instance) for copy in running.pop(name, [])] or [_absent(instance, found)]
    rows += [_row(copy, {}) for copies in running.values() for copy in copies]
    return table(rows)


def _row(copy: dict[str, Any], instance: dict[str, Any]) -> tuple[str, ...]:
    state = copy["state"] if instance else f"{copy['state']}, not in the inventory"
    return (copy["name"], state, copy["node"], f"{copy['memory']} MiB", " ".join(copy["volumes"]), _reach(instance))


def _absent(instance: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    # Where a HardwareNode is silent, it may run there.
    state = f"unknown, no answer from {', '.join(sorted(found['silent']))}" if found["silent"] else "stopped"
    return (instance["name"], state, "", "", "", "")


def _reach(instance: dict[str, Any]) -> str:
    address = instance.get("address", "").split("/")[0]
    return f"ssh root@{address}" if address else ""


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"instance_table": instance_table}
