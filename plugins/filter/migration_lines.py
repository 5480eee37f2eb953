# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a migration went, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: migration_lines
short_description: Say how migrations went
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
description:
  - Makes one line of each result of M(bareroot.cloud.live_migration).
options:
  _input:
    description: The results.
    type: list
    elements: dict
    required: true
  name:
    description: The instance.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show how it went
  ansible.builtin.debug:
    msg: "{{ [moved] | bareroot.cloud.migration_lines('web1') }}"
"""

RETURN = r"""
_value:
  description: One line a result.
  type: list
  elements: str
"""


def migration_lines(results: list[Mapping[str, Any]], name: str) -> list[str]:
    """Return one line a result."""
    return [_line(result, name) for result in results]


def _line(result: Mapping[str, Any], name: str) -> str:
    if not result["changed"]:
        return f"{name} runs on {result['to']} already"
    if "blackout_ms" not in result:
        return f"{name} would move from {result['from']} to {result['to']}"
    return (
        f"{name} moved from {result['from']} to {result['to']} in {result['duration_s']} s: blackout {result['blackout_ms']} ms, "
        f"{result['probes_lost']} of {result['probes_sent']} probes lost"
    )


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Any]:
        return {"migration_lines": migration_lines}
