# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From instances and their records to their volumes."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = r"""
name: instance_volume_list
short_description: Say which volumes instances are to have
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Returns the value of the option O(bareroot.cloud.instance_volumes#module:instances).
options:
  _input:
    description: Instances, as the filter P(bareroot.cloud.instances_here#filter) returns them.
    type: list
    elements: dict
    required: true
  records:
    description: What M(bareroot.cloud.instance_records) returned as RV(bareroot.cloud.instance_records#module:instances).
    type: dict
    required: true
  templates:
    description: What M(bareroot.cloud.template_volumes) returned as RV(bareroot.cloud.template_volumes#module:templates).
    type: dict
    required: true
  export:
    description: How volumes are exported of instances that do not say it.
    type: str
    choices: [aoe, nvme]
    default: aoe
"""

EXAMPLES = r"""
- name: Show the volumes
  ansible.builtin.debug:
    msg: "{{ here | bareroot.cloud.instance_volume_list(records.instances, fetched.templates) }}"
"""

RETURN = r"""
_value:
  description: One dictionary an instance. One that is V(absent) is left out unless its volumes may be deleted.
  type: list
  elements: dict
"""


def instance_volume_list(
    instances: list[dict[str, Any]], records: dict[str, Any], templates: dict[str, str], export: str = "aoe"
) -> list[dict[str, Any]]:
    """Return one dictionary an instance."""
    found: list[dict[str, Any]] = []
    for instance in instances:
        name = instance["name"]
        if instance["state"] == "absent":
            found += [{"name": name, "state": "absent"}] if instance["delete_volumes"] else []
            continue
        record = records[name]
        found.append(
            {
                "name": name,
                "state": "present",
                "template": templates[instance["template"]],
                "half": instance["half"],
                "export": instance["volume_export"] or export,
                "size": instance["disk_size"],
                "root_address": record["volumes"]["root"],
                "seed_address": record["volumes"]["seed"],
                "seed": record["seed"],
            }
        )
    return found


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"instance_volume_list": instance_volume_list}
