#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_volumes
short_description: Give instances their volumes
description:
  - Manages, for all instances in one call, the two volumes that each has on the StorageNode, and exports them. The root volume is a clone
    of a template. The seed volume holds the personality that cloud-init reads.
  - A root volume that exists is grown if it is to be larger, and otherwise left as it is, whatever the template and the export are now. An
    export by AoE is restarted when its volume grows, which the instance sees as a short pause.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change.
    support: full
  diff_mode:
    description: Shows the commands. Of a personality it shows only that it is written.
    support: full
requirements:
  - lvm2, thin-provisioning-tools, dosfstools, mtools, and vblade or the kernel's nvmet-tcp
options:
  instances:
    description: The instances.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Host name. The volumes are called C(NAME-root) and C(NAME-seed).
        type: str
        required: true
      state:
        description: Whether the volumes are to be there. V(absent) loses what they hold.
        type: str
        choices: [present, absent]
        default: present
      template:
        description: Volume that a new root volume is a clone of.
        type: str
        default: ""
      half:
        description:
          - The half that a new root volume goes to, which must have the template; its seed volume goes there too.
          - Empty for the half of the template, of those that have it the one with the most room.
        type: str
        choices: ["", half0, half1]
        default: ""
      size:
        description: Size of the root volume, as a number and V(M), V(G) or V(T).
        type: str
        default: 4G
      export:
        description: How new volumes are exported, by AoE or by NVMe/TCP. Those that exist keep what they have.
        type: str
        choices: [aoe, nvme]
        default: aoe
      root_address:
        description: Where HardwareNodes find the root volume, as shelf.slot.
        type: str
        default: ""
      seed_address:
        description: Where HardwareNodes find the seed volume, as shelf.slot.
        type: str
        default: ""
      seed:
        description: Text of each file of the seed volume, by name.
        type: dict
        default: {}
"""

EXAMPLES = r"""
- name: Give web1 its volumes
  bareroot.cloud.instance_volumes:
    instances:
      - name: web1
        template: debian-0123456789abcdef
        size: 10G
        root_address: "1.0"
        seed_address: "1.1"
        seed:
          meta-data: '{"instance-id": "6d4e9d54", "local-hostname": "web1"}'
          user-data: "#cloud-config\n"
  no_log: true
"""

RETURN = r"""
commands:
  description: The commands that were or would be run.
  type: list
  elements: list
  returned: success
  sample: [[lvcreate, --yes, --snapshot, --name, web1-root, bareroot_half0/debian-0123456789abcdef]]
seeds:
  description: Names of the seed volumes that were or would be written.
  type: list
  elements: str
  returned: success
  sample: [web1-seed]
"""

import os
import tempfile
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _names, _units, _volumes
from ..module_utils._runner import RunError, Runner

STEP_TIMEOUT = 120
SEED_SIZE = "4M"
INSTANCE = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "template": {"type": "str", "default": ""},
    "half": {"type": "str", "choices": ["", *_volumes.HALVES], "default": ""},
    "size": {"type": "str", "default": "4G"},
    "export": {"type": "str", "choices": list(_volumes.EXPORTS), "default": "aoe"},
    "root_address": {"type": "str", "default": ""},
    "seed_address": {"type": "str", "default": ""},
    "seed": {"type": "dict", "default": {}},
}


class Seed:
    """A FAT file system that cloud-init finds by its label."""

    def __init__(self, runner: Runner, files: dict[str, str]) -> None:
        self.runner = runner
        self.files = files

    def is_on(self, device: str) -> bool:
        """Whether a device holds exactly these files."""
        with tempfile.TemporaryDirectory() as directory:
            # Whatever else is there, such as no file system at all, is an answer too.
            self.runner.run(["mcopy", "-n", "-s", "-i", device, "::/*", directory], accept=tuple(range(124)))
            present = {}
            for entry in os.scandir(directory):
                if not entry.is_file(follow_symlinks=False):
                    return False
                with open(entry.path, "rb") as stream:
                    present[entry.name] = stream.read()
        return present == {name: text.encode() for name, text in self.files.items()}

    def write(self, device: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            image = os.path.join(directory, "image")
            self.runner.run(["truncate", f"--size={_volumes.parse_size(SEED_SIZE)}", image])
            self.runner.run(["mkfs.vfat", "--invariant", "-n", "CIDATA", image])
            for name, text in self.files.items():
                path = os.path.join(directory, name)
                with open(path, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
                    stream.write(text)
                self.runner.run(["mcopy", "-i", image, path, "::/"])
            self.runner.run(["dd", f"if={image}", f"of={device}", "bs=1M", "conv=fsync", "status=none"])


@dataclass
class Plan:
    """What to run first, which seeds to write then {device: files}, and which exports to start at last."""

    commands: list[list[str]] = field(default_factory=list)
    seeds: dict[str, dict[str, str]] = field(default_factory=dict)
    exports: list[str] = field(default_factory=list)


class Planner:
    """Plans for one instance after the other, knowing what was planned before."""

    def __init__(self, runner: Runner, check_mode: bool) -> None:
        self.runner = runner
        self.check_mode = check_mode
        self.catalog = _volumes.parse(runner.run_json(_volumes.lvs_argv()))
        self.active = _units.active(runner, [volume.unit for volume in self.catalog if volume.export])
        self.plan = Plan()

    def add(self, instance: dict[str, Any]) -> None:
        name = instance["name"]
        if instance["state"] == "absent":
            self._remove(f"{name}-root")
            self._remove(f"{name}-seed")
            return
        self._expect(name, instance["template"], instance["half"])
        root = self._have(f"{name}-root", instance["root_address"], {key: instance[key] for key in ("template", "size", "half", "export")})
        exists = self.catalog.named(f"{name}-seed")
        options = {"template": "", "size": SEED_SIZE, "half": root.half, "export": instance["export"]}
        seed = self._have(f"{name}-seed", instance["seed_address"], options)
        if not exists or not Seed(self.runner, instance["seed"]).is_on(seed.path):
            self.plan.seeds[seed.path] = instance["seed"]

    def _expect(self, name: str, template: str, half: str) -> None:
        """Refuse a new root volume that would be empty. In check mode, count on a template that is not fetched yet."""
        if self.catalog.named(f"{name}-root") or any(half in ("", origin.half) for origin in self.catalog.named(template)):
            return
        if not template:
            raise ValueError(f"template of {name} is missing: its root volume is a clone of one, such as debian-0123456789abcdef")
        if self.check_mode and _names.matches(_names.IMAGE, template):
            self.catalog.put(_volumes.Volume(template, _volumes.pool_for(half, self.catalog.pools).group, 0))

    def _have(self, name: str, address: str, options: dict[str, str]) -> _volumes.Volume:
        half = options["half"]
        volumes = self.catalog.seen_from(half)
        _volumes.check(name, address, volumes)
        if not address:
            raise ValueError(f"address of {name} is missing: an export needs a shelf.slot such as 1.0")
        present = volumes.get(name)
        export = (present.export or present.paused if present else "") or options["export"]
        target = _volumes.wanted({**options, "name": name, "export": export, "address": address}, volumes, self.catalog.pools, half)
        origin = volumes.get(target.template)
        steps = _volumes.commands(present, target, origin.size if origin else 0)
        if target.unit not in self.active or ["systemctl", "stop", target.unit] in steps:
            self.plan.exports.append(target.unit)
        self.plan.commands += steps
        self.catalog.put(target)
        return target

    def _remove(self, name: str) -> None:
        for volume in self.catalog.all_of(name):
            self.catalog.remove(volume)
            if volume.export:
                self.plan.commands.append(["systemctl", "stop", volume.unit])
            self.plan.commands.append(["lvremove", "--yes", f"{volume.group}/{volume.name}"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={"instances": {"type": "list", "elements": "dict", "required": True, "options": INSTANCE}}, supports_check_mode=True
    )
    runner = Runner(module)
    try:
        planner = Planner(runner, module.check_mode)
        for instance in module.params["instances"]:
            planner.add(instance)
        plan = planner.plan
        if not module.check_mode:
            for command in plan.commands:
                runner.run(command, timeout=STEP_TIMEOUT)
            for device, files in plan.seeds.items():
                Seed(runner, files).write(device)
            if plan.exports:
                runner.run(["systemctl", "start", *plan.exports], timeout=STEP_TIMEOUT)
    except RunError as error:
        module.fail_json(msg=f"cannot give the instances their volumes: {error}", **error.result)
    except (ValueError, OSError) as error:
        module.fail_json(msg=str(error))
    commands = [*plan.commands, *([["systemctl", "start", *plan.exports]] if plan.exports else [])]
    seeds = [os.path.basename(device) for device in plan.seeds]
    lines = [*(" ".join(command) for command in commands), *(f"write {name}" for name in seeds)]
    module.exit_json(
        changed=bool(commands or seeds),
        commands=commands,
        seeds=seeds,
        diff={"before": "", "after": "".join(f"{line}\n" for line in lines)},
    )


if __name__ == "__main__":
    main()
