# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inventory to the list of instances."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils._names import normal_mac

DOCUMENTATION = r"""
name: wanted_instances
short_description: List all instances of the inventory
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Reads the group C(instances) of the whole inventory, whatever C(--limit) says. What an instance does not set has the default of the
    role C(instance).
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
  keys:
    description: Only these, for modules that take no others. Empty for all.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what is wanted
  ansible.builtin.debug:
    msg: "{{ hostvars | bareroot.cloud.wanted_instances(groups, ['name', 'memory']) }}"
"""

RETURN = r"""
_value:
  description: One dictionary an instance, with the role's variables without their prefix, in the order of the inventory.
  type: list
  elements: dict
"""

PREFIX = "instance_"
ROLE = Path(__file__).parents[2] / "roles" / "instance"
# What the validator needs of an option.
KEPT = ("type", "elements", "choices", "default")


@cache
def validator() -> ArgumentSpecValidator:
    """Return what knows the role's variables: their types, for -e gives everything as text, and their defaults."""
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return ArgumentSpecValidator({name: {key: spec[key] for key in KEPT if key in spec} for name, spec in specs.items()})


def read(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return an instance's variables, of the right types and without their prefix."""
    known = validator().argument_spec
    # Set to nothing is not set.
    given = {variable: variables[variable] for variable in known if variables.get(variable) is not None}
    result = validator().validate(given)
    if result.error_messages:
        raise AnsibleFilterError(f"{name}: {'; '.join(result.error_messages)}. See docs/inventory-reference.md")
    return {variable.removeprefix(PREFIX): value for variable, value in result.validated_parameters.items()}


def wanted_instances(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]], keys: list[str] | None = None
) -> list[dict[str, Any]]:
    """Return one dictionary an instance."""
    found = []
    for name in groups.get("instances", []):
        instance = {"name": name, **read(name, hostvars[name])}
        instance["mac"] = normal_mac(str(instance["mac"]))
        found.append({key: instance[key] for key in keys or instance})
    return found


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"wanted_instances": wanted_instances}
