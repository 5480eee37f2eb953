# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inventory to how each voter of a pair is switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: cluster_fences
short_description: List the BMCs of all voters of a pair of StorageNodes
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Reads the groups C(config_nodes) and C(storage_nodes) of the whole inventory, whatever C(--limit) says, and returns the value of the
    option O(bareroot.cloud.cluster_resources#module:fences). It holds passwords.
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
- name: See whether the BMCs answer
  bareroot.cloud.fence_info:
    fences: "{{ hostvars | bareroot.cloud.cluster_fences(groups) }}"
"""

RETURN = r"""
_value:
  description: One dictionary a voter, in the order of the inventory.
  type: list
  elements: dict
"""

VOTERS = ("config_nodes", "storage_nodes")
# {option: variable}
OPTIONS = {"address": "node_bmc_address", "user": "node_bmc_user", "password": "node_bmc_password", "cipher": "node_bmc_cipher"}


def _text(value: Any) -> str:
    """Return a variable's text; a cipher suite may be written as the number 0."""
    return "" if value is None else str(value)


def cluster_fences(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Return one dictionary a voter."""
    voters = [name for group in VOTERS for name in groups.get(group, [])]
    return [{"node": name, **{option: _text(hostvars[name].get(variable)) for option, variable in OPTIONS.items()}} for name in voters]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"cluster_fences": cluster_fences}
