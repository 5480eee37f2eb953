#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Keep a set of systemd units enabled, running and up to date with their configuration
description:
  - Enables and starts units, and restarts those that started before one of their files was last changed.
  - One call looks at all units with one C(systemctl show).
  - Since the files' times decide, a restart that an earlier run owed is made up for.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change; a unit that is not installed yet counts as one that would be started.
    support: full
  diff_mode:
    description: Shows the units' states before and after.
    support: full
options:
  units:
    description: The units.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Full name, such as V(nginx.service).
        type: str
        required: true
      files:
        description: Files that the unit reads only when it starts.
        type: list
        elements: path
        default: []
  timeout:
    description: How long starting may take, in seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Run the services
  bareroot.cloud.systemd_units:
    units:
      - name: chrony.service
        files: [/etc/chrony/conf.d/local.conf]
      - name: nginx.service
"""

RETURN = r"""
started:
  description: Units that were or would be started.
  type: list
  elements: str
  returned: success
restarted:
  description: Units that were or would be restarted.
  type: list
  elements: str
  returned: success
enabled:
  description: Units that were or would be enabled.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _units
from ..module_utils._runner import RunError, Runner


def apply(runner: Runner, plan: _units.Plan, timeout: int) -> None:
    """Carry a plan out with as few calls as it takes."""
    runner.run(["systemctl", "daemon-reload"])
    for verb, names in (("enable", plan.enable), ("restart", plan.restart), ("start", plan.start)):
        if names:
            runner.run(["systemctl", verb, *names], timeout=timeout)


def main() -> None:
    unit_options = {"name": {"type": "str", "required": True}, "files": {"type": "list", "elements": "path", "default": []}}
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": unit_options},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    runner = Runner(module)
    names = [unit["name"] for unit in module.params["units"]]
    if not names:
        module.exit_json(changed=False, started=[], restarted=[], enabled=[])
    try:
        states = _units.parse(runner.run(_units.show_argv(names)), names)
        missing = [name for name in names if states[name].load == "not-found"]
        if missing and not module.check_mode:
            # A unit file that was just written is found only after a reload.
            runner.run(["systemctl", "daemon-reload"])
            states = _units.parse(runner.run(_units.show_argv(names)), names)
            missing = [name for name in names if states[name].load == "not-found"]
        if missing and not module.check_mode:
            module.fail_json(msg=f"no such systemd units: {', '.join(missing)}. Is their package installed?")
        plan = _units.plan({unit["name"]: _units.newest(unit["files"]) for unit in module.params["units"]}, states)
        if plan and not module.check_mode:
            apply(runner, plan, module.params["timeout"])
    except RunError as error:
        module.fail_json(msg=f"cannot bring the units up: {error}; see journalctl --unit NAME", **error.result)
    module.exit_json(
        changed=bool(plan),
        started=plan.start,
        restarted=plan.restart,
        enabled=plan.enable,
        diff={"before": _units.describe(states, None), "after": _units.describe(states, plan)},
    )


if __name__ == "__main__":
    main()
