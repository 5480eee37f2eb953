#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume
short_description: Manage a volume on a StorageNode
description:
  - Makes, grows, exports or removes a thin volume.
  - What is exported loses nothing that it acknowledged. By AoE, which has no flush, each write is a synchronous one; NVMe/TCP passes on
    when the client wants to be sure.
  - A snapshot of a volume is a clone of it that is not exported. It is made in a moment, also while the volume is in use, and then holds
    what a machine would find after a power cut in that moment. M(bareroot.cloud.volume_rollback) goes back to it.
  - A pool that is full fails the writes of all its volumes. New and larger volumes are refused when less than 5 % of a half is free, or
    more than 90 % of its pool's metadata is used. What is there can always be exported or removed.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change.
    support: full
  diff_mode:
    description: Shows the volume before and after.
    support: full
requirements:
  - lvm2, thin-provisioning-tools, and vblade or the kernel's nvmet-tcp
options:
  name:
    description: The volume's name.
    type: str
    required: true
  state:
    description: Whether it is to be there. V(absent) loses what it holds. A volume that has snapshots or other clones is not removed.
    type: str
    choices: [present, absent]
    default: present
  half:
    description:
      - The half that a new volume goes to. It must be active on this StorageNode. An existing volume is left where it is.
      - Empty for the half with the most room; for a clone, of those that have its template.
      - With O(state=absent), remove only what lies in that half; empty for all.
    type: str
    choices: ["", half0, half1]
    default: ""
  size:
    description:
      - Size, as a number and V(M), V(G) or V(T). Needed for a new volume that is no clone. A volume is grown, never made smaller.
      - By AoE its export is restarted when it grows, which who uses it sees as a short pause, and a client sees the new size when it has
        run C(aoe-revalidate). By NVMe/TCP clients see it at once.
    type: str
  template:
    description: Make a new volume as a clone of this one, which takes a moment whatever its size. An existing volume is left as it is.
    type: str
  export:
    description:
      - How to export it, by AoE or by NVMe/TCP. Empty for not at all.
      - Change it only while nobody uses the volume, since its device is another one then.
    type: str
    choices: ["", aoe, nvme]
    default: ""
  address:
    description: Where clients find it, as shelf.slot, by NVMe/TCP too. Needed for an export.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Give web1 a root volume
  bareroot.cloud.volume:
    name: web1-root
    template: debian13
    size: 10G
    export: aoe
    address: "1.0"

- name: Take a snapshot of it, whether it is in use or not
  bareroot.cloud.volume:
    name: web1-root-before-upgrade
    template: web1-root

- name: Remove the snapshot
  bareroot.cloud.volume:
    name: web1-root-before-upgrade
    state: absent

- name: Remove it, and all that it holds
  bareroot.cloud.volume:
    name: web1-root
    state: absent
"""

RETURN = r"""
volumes:
  description: The volume as it is now, or in check mode would be, as M(bareroot.cloud.volume_info) describes it; empty when it is absent.
  type: list
  elements: dict
  returned: success
  sample: [{name: web1-root, half: half0, size: 10737418240, template: debian13, export: aoe, address: "1.0",
            device: /dev/bareroot_half0/web1-root}]
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _units, _volumes
from ..module_utils._runner import RunError, Runner

STEP_TIMEOUT = 120


def plan_present(options: dict, catalog: _volumes.Catalog, runner: Runner) -> tuple:
    volumes = catalog.seen_from(options["half"])
    _volumes.check(options["name"], options["address"], volumes)
    present = volumes.get(options["name"])
    target = _volumes.wanted(options, volumes, catalog.pools, options["half"])
    origin = volumes.get(target.template)
    steps = _volumes.commands(present, target, origin.size if origin else 0)
    if target.export:
        active = present is not None and _units.is_active(runner, target.unit)
        if not active or ["systemctl", "stop", target.unit] in steps:
            steps.append(["systemctl", "start", target.unit])
    return [present] if present else [], [target], steps


def plan_absent(options: dict, catalog: _volumes.Catalog) -> tuple:
    going = [volume for volume in catalog.all_of(options["name"]) if options["half"] in ("", volume.half)]
    clones = sorted(volume.name for volume in catalog for origin in going if (volume.half, volume.template) == (origin.half, origin.name))
    if clones:
        # LVM keeps a thin clone when its origin goes; the clone's record of it is what would be lost.
        raise ValueError(f"{options['name']} is the template of {', '.join(clones)}; remove those first")
    stops = [["systemctl", "stop", volume.unit] for volume in going if volume.export]
    return going, [], [*stops, *(["lvremove", "--yes", f"{volume.group}/{volume.name}"] for volume in going)]


def described(volumes: list[_volumes.Volume]) -> str:
    return "".join(json.dumps(volume.as_result(), indent=1, sort_keys=True) + "\n" for volume in volumes)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "half": {"type": "str", "choices": ["", *_volumes.HALVES], "default": ""},
            "size": {"type": "str"},
            "template": {"type": "str"},
            "export": {"type": "str", "choices": ["", *_volumes.EXPORTS], "default": ""},
            "address": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    options = module.params
    runner = Runner(module)
    try:
        catalog = _volumes.parse(runner.run_json(_volumes.lvs_argv()))
        if options["state"] == "present" and options["export"] and not options["address"]:
            raise ValueError(f"address of {options['name']} is missing: an export needs a shelf.slot such as 1.0")
        if options["state"] == "present":
            before, after, steps = plan_present(options, catalog, runner)
        else:
            before, after, steps = plan_absent(options, catalog)
        if not module.check_mode:
            for step in steps:
                runner.run(step, timeout=STEP_TIMEOUT)
    except RunError as error:
        module.fail_json(msg=f"cannot change the volume {options['name']}: {error}", **error.result)
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(steps),
        volumes=[volume.as_result() for volume in after],
        diff={"before": described(before), "after": described(after)},
    )


if __name__ == "__main__":
    main()
