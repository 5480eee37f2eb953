#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_rollback
short_description: Roll a volume on a StorageNode back to a snapshot
description:
  - Gives a volume again what a snapshot of it holds. The snapshot stays as it is, and so do all others, so that this can be done again.
  - The volume keeps its address, its template and its size. Where it has grown since, what is behind the snapshot's end reads as zeros.
  - Its export is stopped meanwhile and started after. A StorageNode cannot see whether anything uses an export; stop the instance before,
    as what it would write or has cached would meet contents that have become other ones.
  - It changes something each time that it is run.
  - One that is interrupted, even by a power cut, is put right by running it again, with the same snapshot or another one. Until then
    M(bareroot.cloud.volume) and M(bareroot.cloud.instance_volumes) refuse to touch the volume, except to remove it.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode. Says whether the volume could be rolled back.
    support: full
  diff_mode:
    description: Shows the commands.
    support: full
requirements:
  - lvm2, thin-provisioning-tools, vblade
options:
  name:
    description: The volume.
    type: str
    required: true
  snapshot:
    description: A snapshot of it, which is a clone of it that is not exported. The module M(bareroot.cloud.volume) makes them.
    type: str
    required: true
  discard_changes:
    description: Whether what was written to the volume since the snapshot was made may be lost. Without this, it is refused.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Roll web1's root volume back; web1 is stopped
  bareroot.cloud.volume_rollback:
    name: web1-root
    snapshot: web1-root-before-upgrade
    discard_changes: true
"""

RETURN = r"""
volumes:
  description: The volume as it is now, or in check mode would be, as M(bareroot.cloud.volume_info) describes it.
  type: list
  elements: dict
  returned: success
  sample: [{name: web1-root, half: half0, size: 10737418240, template: debian13, export: aoe, address: "1.0",
            device: /dev/bareroot_half0/web1-root}]
commands:
  description: The commands that were or would be run.
  type: list
  elements: list
  returned: success
  sample: [[lvrename, bareroot_half0, web1-root.new, web1-root]]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _volumes
from ..module_utils._runner import RunError, Runner

STEP_TIMEOUT = 120


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "snapshot": {"type": "str", "required": True},
            "discard_changes": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    name, snapshot = module.params["name"], module.params["snapshot"]
    runner = Runner(module)
    try:
        volume, steps = _volumes.rollback(name, snapshot, _volumes.parse(runner.run_json(_volumes.lvs_argv())))
        if not module.params["discard_changes"]:
            raise ValueError(
                f"what was written to {name} since {snapshot} was made would be lost. If it may be, run again with discard_changes: true"
            )
        if not module.check_mode:
            for step in steps:
                runner.run(step, timeout=STEP_TIMEOUT)
    except RunError as error:
        module.fail_json(msg=f"rolling {name} back to {snapshot} did not end, run it again: {error}", **error.result)
    except ValueError as error:
        module.fail_json(msg=str(error))
    lines = "".join(f"{' '.join(step)}\n" for step in steps)
    module.exit_json(changed=True, volumes=[volume.as_result()], commands=steps, diff={"before": "", "after": lines})


if __name__ == "__main__":
    main()
