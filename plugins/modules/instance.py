#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Start or stop an instance
description:
  - Starts an instance on a HardwareNode, or shuts it down wherever it runs. An instance that runs on another HardwareNode stays there;
    M(bareroot.cloud.live_migration) moves it.
  - An instance that is anywhere already, be it paused, crashed or half migrated, is never started a second time. While a HardwareNode does
    not answer, nothing is started, since it may run there.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change, or why it could not be done.
    support: full
  diff_mode:
    description: Shows the instance before and after.
    support: full
requirements:
  - Runs on a ConfigNode, after C(playbooks/boot_tree.yml)
options:
  name:
    description: Host name.
    type: str
    required: true
  state:
    description:
      - Whether it is to run. V(stopped) asks its system to shut down and waits; it is never cut off.
      - V(absent) does the same, as no HardwareNode keeps anything of an instance that does not run. Its volumes are left then, which
        M(bareroot.cloud.instance_volumes) removes.
    type: str
    choices: [running, stopped, absent]
    default: running
  node:
    description: The HardwareNode to start it on. Needed to start it.
    type: str
    default: ""
  uuid:
    description: UUID, as M(bareroot.cloud.instance_records) allocated it. Needed to start it.
    type: str
    default: ""
  mac:
    description: MAC of its card. Needed to start it.
    type: str
    default: ""
  memory:
    description: Memory in MiB.
    type: int
    default: 512
  vcpus:
    description: Number of virtual CPUs.
    type: int
    default: 1
  volumes:
    description: Addresses, as shelf.slot, of its root volume, which has its kernel, and of its seed volume. Needed to start it.
    type: list
    elements: str
    default: []
  bridge:
    description: Bridge of the HardwareNode for its card.
    type: str
    default: xenbr0
  dead_nodes:
    description: HardwareNodes that do not answer and of which you know that they are switched off. If you are wrong, an instance may run
      twice and destroy its volume.
    type: list
    elements: str
    default: []
  timeout:
    description: How long it may take to start, or to shut down, in seconds.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Start web1
  bareroot.cloud.instance:
    name: web1
    node: hn1
    uuid: 6d4e9d54-8a3c-4f0e-9a0e-3c1f6c2f1a11
    mac: "00:16:3e:12:34:56"
    memory: 256
    volumes: ["1.0", "1.1"]
  delegate_to: cn1

- name: Shut web1 down
  bareroot.cloud.instance:
    name: web1
    state: stopped
  delegate_to: cn1
"""

RETURN = r"""
instances:
  description: The instance as it is now, or in check mode would be, as M(bareroot.cloud.instance_info) describes it.
  type: list
  elements: dict
  returned: success
  sample: [{name: web1, state: running, node: hn1, memory: 256, vcpus: 1, uuid: 6d4e9d54-…, type: pvh, mac: "00:16:3e:12:34:56",
            address: 10.2.0.10, volumes: ["1.0", "1.1"]}]
"""

import json
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _fabric, _instances, _names, _volumes, _xen_host
from ..module_utils._access import Access
from ..module_utils._instances import View
from ..module_utils._runner import RunError, Runner

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BRIDGE = re.compile(r"[a-z][a-z0-9-]{0,14}")
SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["running", "stopped", "absent"], "default": "running"},
    "node": {"type": "str", "default": ""},
    "uuid": {"type": "str", "default": ""},
    "mac": {"type": "str", "default": ""},
    "memory": {"type": "int", "default": 512},
    "vcpus": {"type": "int", "default": 1},
    "volumes": {"type": "list", "elements": "str", "default": []},
    "bridge": {"type": "str", "default": "xenbr0"},
    "dead_nodes": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 180},
}


def check(params: dict[str, Any]) -> None:
    """Refuse what must not reach xl's configuration or a command line."""
    name = params["name"]
    if not _names.matches(_names.HOST, name) or name.endswith((_xen_host.ARRIVING, _xen_host.LEAVING)):
        raise ValueError(f"name {name!r}: use lower-case letters, digits and inner hyphens, such as web1")
    if params["timeout"] < 1:
        raise ValueError(f"timeout {params['timeout']} of {name}: give it one second or more")
    if params["state"] != "running":
        return
    rules = [
        (_names.matches(_names.HOST, params["node"]), "node", "name a HardwareNode such as hn1"),
        (_names.matches(UUID, params["uuid"]), "uuid", "write one such as 6d4e9d54-8a3c-4f0e-9a0e-3c1f6c2f1a11"),
        (_names.matches(_names.MAC, params["mac"]), "mac", "write it as '00:16:3e:12:34:56', in quotes"),
        (params["memory"] >= _xen_host.LEAST_MEMORY, "memory", f"give it {_xen_host.LEAST_MEMORY} MiB or more"),
        (params["vcpus"] >= 1, "vcpus", "give it one or more"),
        (_names.matches(BRIDGE, params["bridge"]), "bridge", "name one such as xenbr0"),
        (
            len(params["volumes"]) in (1, 2) and all(_names.matches(_volumes.ADDRESS, volume) for volume in params["volumes"]),
            "volumes",
            "write the shelf.slot of the root volume and of the seed volume, such as ['1.0', '1.1']",
        ),
    ]
    for right, option, example in rules:
        if not right:
            raise ValueError(f"{option} {params[option]!r} of {name}: {example}")


def present_in(view: View, name: str) -> dict[str, Any]:
    return _instances.describe(view, name, view.node_of(name))


def should_start(params: dict[str, Any], view: View, present: dict[str, Any]) -> bool:
    """Whether it must be started. Raises ValueError where it must and cannot."""
    if present["state"] == "running":
        return False
    reason = _instances.obstacle(params, view, params["dead_nodes"])
    if reason:
        raise ValueError(f"{params['name']} was not started. {reason}")
    return True


def should_stop(params: dict[str, Any], view: View, present: dict[str, Any]) -> bool:
    """Whether it must be shut down. Raises ValueError where nobody knows."""
    copies = [f"{copy.name} on {node}" for node, domains in view.copies(params["name"]).items() for copy in domains]
    if copies and copies != [f"{params['name']} on {present['node']}"]:
        raise ValueError(f"{params['name']} was not stopped: there are {', '.join(copies)}")
    unknown = sorted(set(view.silent) - set(params["dead_nodes"]))
    if not present["node"] and unknown:
        raise ValueError(f"{params['name']} was not stopped: {', '.join(unknown)} did not answer, and it may run there")
    return bool(present["node"])


def warn(module: AnsibleModule, present: dict[str, Any]) -> None:
    """What runs with other values than it should is left alone, and not silently."""
    for option in ("memory", "vcpus"):
        if present[option] != module.params[option]:
            module.warn(
                f"{present['name']} runs with {option} {present[option]}, not {module.params[option]}: it counts when the instance is "
                "started next (stop it, run again)"
            )


def planned(params: dict[str, Any], view: View) -> dict[str, Any]:
    keys = ("name", "node", "memory", "vcpus", "uuid", "mac", "volumes")
    return {**{key: params[key] for key in keys}, "state": "running", "type": "pvh", "address": view.addresses.get(params["name"], "")}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params = module.params
    access = Access(Runner(module))
    try:
        check(params)
        view = _fabric.look(access, access.instance_addresses())
        before = present_in(view, params["name"])
        running = params["state"] == "running"
        changed = should_start(params, view, before) if running else should_stop(params, view, before)
        after = before
        if changed:
            after = planned(params, view) if running else _instances.describe(view, params["name"], "")
        elif running:
            warn(module, before)
        if changed and not module.check_mode:
            if running:
                _fabric.start(access, params, params["timeout"])
            else:
                _fabric.stop(access, params["name"], before["node"], params["timeout"])
            after = present_in(_fabric.look(access, view.addresses), params["name"])
    except RunError as error:
        module.fail_json(msg=f"{params['name']}: {error.result['stderr'].strip() or error}", **error.result)
    except (ValueError, OSError) as error:
        module.fail_json(msg=str(error))
    shown = {"before": before, "after": after}
    module.exit_json(
        changed=changed, instances=[after], diff={key: json.dumps(value, indent=1, sort_keys=True) + "\n" for key, value in shown.items()}
    )


if __name__ == "__main__":
    main()
