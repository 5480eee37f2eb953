# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to start and stop, and where."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils import _instances

DOCUMENTATION = r"""
name: instance_plan
short_description: Say which instances to start or stop, and where
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Compares the instances that are wanted with what runs. One that runs stays where it is. One without a node of its own is started where
    the most memory is free.
options:
  _input:
    description: Instances, as the filter P(bareroot.cloud.wanted_instances#filter) returns them.
    type: list
    elements: dict
    required: true
  found:
    description: What M(bareroot.cloud.instance_info) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is to be done
  ansible.builtin.debug:
    msg: "{{ wanted | bareroot.cloud.instance_plan(found) }}"
"""

RETURN = r"""
_value:
  description: What to do, in order. Each has C(name), C(state) (V(running) or V(stopped)) and C(node). Empty when nothing is.
  type: list
  elements: dict
"""


def instance_plan(instances: list[dict[str, Any]], found: dict[str, Any]) -> list[dict[str, str]]:
    """Return what to do."""
    free = {node: facts["free_memory"] for node, facts in found["nodes"].items()}
    try:
        return _instances.plan(instances, found["instances"], free, found.get("silent", {}))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"instance_plan": instance_plan}
