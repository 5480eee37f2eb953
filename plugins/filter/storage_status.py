# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/storage_status.yml prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..module_utils import _storage_status

DOCUMENTATION = r"""
name: storage_status
short_description: Lay out what the storage is like, and say what is wrong with it
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Makes tables of the halves, the volumes and the cluster, and lists in words what is wrong, from what C(playbooks/storage_status.yml)
    registered on each machine. A machine that did not answer is listed as such, and is no error.
  - A StorageNode has C(storage_status_drbd) of M(bareroot.cloud.drbd_info), C(storage_status_volumes) of M(bareroot.cloud.volume_info),
    C(storage_status_exports), a command that prints the units that export something, and C(storage_status_raid), one that prints
    C(/proc/mdstat), where there is one. A HardwareNode has C(storage_status_devices), a command that prints the volumes that it sees, their
    sizes and states. With two StorageNodes, the first ConfigNode has C(storage_status_cluster) of M(bareroot.cloud.cluster_info).
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
- name: Show what is wrong
  ansible.builtin.debug:
    msg: "{{ (hostvars | bareroot.cloud.storage_status(groups)).wrong }}"
"""

RETURN = r"""
_value:
  description:
    - The lines of the tables C(halves), C(volumes) and C(cluster), the columns' names first, and C(wrong), one line for each thing that
      is wrong.
  type: dict
"""


# What is asked of a StorageNode, in the order in which it is read.
STORAGE_NODE = ("drbd", "volumes", "exports", "raid")


def storage_status(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the tables' lines, and what is wrong."""
    site = _site(hostvars, groups)
    return {
        "halves": _storage_status.half_lines(site),
        "volumes": _storage_status.volume_lines(site),
        "cluster": _storage_status.cluster_lines(site),
        "wrong": _storage_status.wrong(site),
    }


def _site(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> _storage_status.Site:
    def said(name: str, what: str) -> Mapping[str, Any]:
        return hostvars[name].get(f"storage_status_{what}") or {}

    storage_nodes, config_nodes = groups.get("storage_nodes", []), groups.get("config_nodes", [])
    return _storage_status.Site(
        {name: _storage_status.storage_node(*(said(name, what) for what in STORAGE_NODE)) for name in storage_nodes},
        {name: _storage_status.hardware_node(said(name, "devices")) for name in groups.get("hardware_nodes", [])},
        _storage_status.cluster(config_nodes[0], said(config_nodes[0], "cluster")) if config_nodes and len(storage_nodes) > 1 else None,
    )


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"storage_status": storage_status}
