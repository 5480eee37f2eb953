# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instances have their volumes on a StorageNode."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils import _placement

DOCUMENTATION = r"""
name: instances_here
short_description: Say which instances have their volumes on a StorageNode, and on which half
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Volumes that exist stay in their half. New ones go to the half with the most free room, of which those that go there before them are to
    take theirs.
  - It fails where an instance seems to have no volumes, but could have them in a half that no StorageNode serves that was asked.
options:
  _input:
    description: All instances, as the filter P(bareroot.cloud.wanted_instances#filter) returns them.
    type: list
    elements: dict
    required: true
  infos:
    description: For each StorageNode of the inventory, what M(bareroot.cloud.volume_info) returned there. Empty for one that was not asked.
    type: dict
    required: true
  node:
    description: The StorageNode.
    type: str
    required: true
  check_mode:
    description: Whether to return nothing, rather than to fail, where no half is there yet.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show which instances have their volumes on sn1
  ansible.builtin.debug:
    msg: "{{ wanted | bareroot.cloud.instances_here({'sn1': storage, 'sn2': {}}, 'sn1') }}"
"""

RETURN = r"""
_value:
  description:
    - Those of the instances, in their order, each with its C(half). One that is V(absent) is among them where it still has volumes.
  type: list
  elements: dict
"""


def instances_here(
    instances: list[dict[str, Any]], infos: dict[str, dict[str, Any] | None], node: str, check_mode: bool = False
) -> list[dict[str, Any]]:
    """Return those of the instances whose volumes belong on this StorageNode, each with its half."""
    try:
        places = _placement.place(instances, infos, check_mode)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error
    halves = {name: half for name, half, server in places if server == node}
    return [{**instance, "half": halves[instance["name"]]} for instance in instances if instance["name"] in halves]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"instances_here": instances_here}
