"""Prints docs/inventory-reference.md from the roles' argument specs.

Run it after every change there: .venv/bin/python tests/docs/inventory_reference.py >docs/inventory-reference.md
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
# Roles that are not named here follow in alphabetical order.
ORDER = ("node", "config_node", "node_image", "storage_node", "cluster", "hardware_node", "instance", "lab")
# How a description's sentence begins that says from what a default is computed.
COMPUTED = "Default: "

INTRO = """\
<!-- Made by tests/docs/inventory_reference.py from roles/*/meta/argument_specs.yml. Do not edit. -->
# Inventory reference

All variables that an inventory may set.

## Groups

| group | hosts |
|---|---|
| `config_nodes` | Debian 13 machines that serve DHCP, PXE, images and all configuration |
| `storage_nodes` | machines that boot from the network; their local disks are for data only |
| `hardware_nodes` | machines without disks that boot from the network and run instances on Xen |
| `instances` | guests that run on the HardwareNodes, on volumes of the StorageNodes |

A host that is in none of them is left alone. If it has a variable that only one machine can have, such as `node_mac`, `storage_node_disks`
or `instance_address`, `playbooks/validate.yml` takes its group for mistyped.

Use lower-case letters, digits and inner hyphens for host names, a letter first: `hn1`.

## Where to put variables

- What all machines share, such as the networks and SSH keys: `group_vars/all.yml`.
- What one node type shares: `group_vars/storage_nodes.yml`, `group_vars/hardware_nodes.yml`.
- What one machine has alone, such as its MAC: at the host in `hosts.yml`, or in `host_vars/`.

Two variables are required of a node: `node_mac`, and `node_authorized_keys`, which is set once for all in `group_vars/all.yml`.
A StorageNode also names its data disks (`storage_node_disks`). An instance needs `instance_authorized_keys`.
A ConfigNode needs `node_address` and `config_node_boot_network`. Everything else has a default or may be left out.
"""

MARKUP = re.compile(r"\b[CV]\(([^()]*)\)")


def specs() -> dict[str, dict[str, Any]]:
    """Return {role: entry point main}, in the page's order."""
    roles = [path.parts[-3] for path in PROJECT.glob("roles/*/meta/argument_specs.yml")]
    ordered = sorted(roles, key=lambda role: (ORDER.index(role) if role in ORDER else len(ORDER), role))
    return {role: _read(PROJECT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"] for role in ordered}


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def sentences(option: dict[str, Any]) -> list[str]:
    """Return an option's or a role's description, always as a list."""
    text = option["description"]
    return [text] if isinstance(text, str) else text


def is_computed(option: dict[str, Any]) -> bool:
    """Whether the description says that the default is computed."""
    return any(sentence.startswith(COMPUTED) for sentence in sentences(option))


def plain(text: str) -> str:
    """Turn Ansible's markup into Markdown's, fit for a cell of a table."""
    return MARKUP.sub(r"`\1`", text).replace("|", "\\|").replace("\n", " ").strip()


def type_of(option: dict[str, Any]) -> str:
    return f"{option['type']} of {option['elements']}" if "elements" in option else option["type"]


def default_of(option: dict[str, Any]) -> str:
    if is_computed(option):
        return "computed"
    if "default" not in option:
        return "none"
    value = option["default"]
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def describe(option: dict[str, Any]) -> str:
    parts = [plain(sentence) for sentence in sentences(option)]
    if "choices" in option:
        choices = (f"`{choice}`" if choice else "empty" for choice in option["choices"])
        parts.append(f"Choices: {', '.join(choices)}.")
    for name, part in option.get("options", {}).items():
        parts.append(f"`{name}` ({type_of(part)}{', required' if part.get('required') else ''}): {describe(part)}")
    return " ".join(parts)


def table(options: dict[str, dict[str, Any]]) -> str:
    rows = ["| variable | type | default | required | description |", "|---|---|---|---|---|"]
    for name, option in options.items():
        required = "yes" if option.get("required") else "no"
        rows.append(f"| `{name}` | {type_of(option)} | {default_of(option)} | {required} | {describe(option)} |")
    return "\n".join(rows)


def render() -> str:
    """Return the whole page."""
    parts = [INTRO]
    for role, spec in specs().items():
        about = " ".join(plain(sentence) for sentence in sentences(spec))
        parts.append(f"## Role `{role}`\n\n{spec['short_description']}. {about}\n\n{table(spec['options'])}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(render(), end="")
