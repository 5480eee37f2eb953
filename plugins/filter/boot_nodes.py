# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inventory to the list of nodes that the ConfigNode serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._names import normal_mac

DOCUMENTATION = r"""
name: boot_nodes
short_description: List all machines that boot from the ConfigNode
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Reads the groups C(storage_nodes) and C(hardware_nodes) of the whole inventory, whatever C(--limit) says,
    and returns the value of the option O(bareroot.cloud.boot_tree#module:nodes).
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what will be served
  ansible.builtin.debug:
    msg: "{{ hostvars | bareroot.cloud.boot_nodes(groups) }}"
"""

RETURN = r"""
_value:
  description: One dictionary a machine, in the order of the inventory.
  type: list
  elements: dict
"""


def _mac(name: str, host: Mapping[str, Any], variable: str) -> str:
    value = host.get(variable) or ""
    if isinstance(value, int):
        raise AnsibleFilterError(f"{variable} of {name} is the number {value}: YAML needs quotes here, as in '52:54:00:12:34:56'")
    return normal_mac(str(value))


def _given(host: Mapping[str, Any], variable: str, default: Any) -> Any:
    """Return a variable, or the default of its role when it is not set or set to nothing."""
    value = host.get(variable)
    return default if value is None else value


def _common(name: str, host: Mapping[str, Any]) -> dict[str, Any]:
    if not host.get("node_mac"):
        raise AnsibleFilterError(f"node_mac of {name} is missing; write it as '52:54:00:12:34:56'")
    return {
        "name": name,
        "mac": _mac(name, host, "node_mac"),
        "address": host.get("node_address") or "",
        "image": host.get("node_image_pin") or "",
        "storage_mac": _mac(name, host, "node_storage_mac"),
        "authorized_keys": host.get("node_authorized_keys") or [],
    }


def _storage_node(name: str, host: Mapping[str, Any]) -> dict[str, Any]:
    bmc_mac = _mac(name, host, "node_bmc_network_mac")
    return {**_common(name, host), "role": "storage", "image_kind": "storage", "root": "ram", "bmc_mac": bmc_mac}


def _hardware_node(name: str, host: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_common(name, host),
        "role": "hardware",
        "image_kind": "xen",
        "root": _given(host, "hardware_node_root", "aoe"),
        "dom0_memory": _given(host, "hardware_node_dom0_memory", 1024),
        "instance_mac": _mac(name, host, "node_instance_mac"),
    }


def boot_nodes(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return one dictionary a machine."""
    kinds = {"storage_nodes": _storage_node, "hardware_nodes": _hardware_node}
    return [describe(name, hostvars[name]) for group, describe in kinds.items() for name in groups.get(group, [])]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"boot_nodes": boot_nodes}
