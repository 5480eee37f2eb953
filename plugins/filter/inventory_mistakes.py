# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every mistake of an inventory, from what the roles' argument specs allow and what bareroot needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils import _inventory, _mistakes

DOCUMENTATION = r"""
name: inventory_mistakes
short_description: List every mistake of the inventory
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Checks all variables that carry the prefix of one of this collection's roles against the roles' argument specs, and what no
    single variable shows, such as one MAC on two machines, or an instance that no C(hardware_node_memory) has room for.
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
- name: Show all mistakes
  ansible.builtin.debug:
    msg: "{{ hostvars | bareroot.cloud.inventory_mistakes(groups) }}"
"""

RETURN = r"""
_value:
  description: One line a mistake; host, variable, what is wrong, and what would be right.
  type: list
  elements: str
"""

ROLES = Path(__file__).parents[2] / "roles"
# What of an argument spec a single value is checked against.
KEPT = ("type", "elements", "choices", "options")
EXAMPLE = re.compile(r"(?:for example|such as) V\(([^()]*)\)")


def options_of_roles() -> dict[str, dict[str, Any]]:
    """Return {variable: its argument spec} of all roles."""
    options: dict[str, dict[str, Any]] = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        for entry_point in specs.values():
            options.update(entry_point.get("options", {}))
    return options


def right(spec: dict[str, Any]) -> str:
    """Return what a mistake ends with: the example of an option's description, or where the option is described."""
    description = spec.get("description", "")
    example = EXAMPLE.search(description if isinstance(description, str) else " ".join(description))
    return f"write it as {example[1]}" if example else "docs/inventory-reference.md describes it"


def problem_of(spec: dict[str, Any], name: str, value: Any) -> str:
    """Return what ansible's own validation says of a value, and what would be right; an empty string when nothing is wrong."""
    wrong = _wrong({name: {key: spec[key] for key in KEPT if key in spec}}, name, value)
    if not wrong:
        return ""
    if spec.get("no_log"):
        wrong = f"is not of the type {spec.get('type', 'str')}"
    # Of a choice ansible names all that is right.
    return wrong if "must be one" in wrong else f"{wrong}; {right(spec)}"


def _wrong(specs: dict[str, dict[str, Any]], name: str, value: Any) -> str:
    try:
        result = ArgumentSpecValidator(specs).validate({name: value})
    except (AttributeError, OverflowError, TypeError):
        # It does not expect anything but a dictionary where there are suboptions.
        return f"{value!r} is not of the type {specs[name].get('type', 'str')}"
    return "; ".join(result.error_messages)


def _checks(options: dict[str, dict[str, Any]]) -> dict[str, Callable[[Any], str]]:
    return {name: partial(problem_of, spec, name) for name, spec in options.items()}


def _unreadable(spec: dict[str, Any], error: Exception) -> str:
    if spec.get("no_log"):
        # What ansible says of a template may quote it.
        return "cannot be read; define what it names, or give its vault's password, as with --ask-vault-pass"
    return f"cannot be read: {' '.join(str(error).split())}; {right(spec)}"


def plain(value: Any) -> Any:
    """Return a value with all templates in it resolved. Raises what the first one that fails raises."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    # Of an undefined value this raises, and says what is undefined.
    return str(value)


def inventory_mistakes(hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> list[str]:
    """Return one line a mistake."""
    prefixes = tuple(f"{path.name}_" for path in ROLES.iterdir() if path.is_dir())
    options = options_of_roles()
    hosts: dict[str, dict[str, Any]] = {}
    unreadable = []
    for name in groups["all"]:
        variables = hostvars[name]
        hosts[name] = {}
        for variable in variables:
            if not variable.startswith(prefixes):
                continue
            try:
                hosts[name][variable] = plain(variables[variable])
            except Exception as error:  # templates can fail in any way
                unreadable.append(_mistakes.Mistake(name, variable, _unreadable(options.get(variable, {}), error)))
    # What needs a value that cannot be read would be reported as missing.
    found = [] if unreadable else _inventory.find(hosts, groups, _checks(options))
    return _inventory.lines([*unreadable, *found])


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"inventory_mistakes": inventory_mistakes}
