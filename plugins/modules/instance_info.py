#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: List which instances run where
description:
  - Asks all HardwareNodes, side by side, from a ConfigNode. A HardwareNode that does not answer is named, and is no error.
  - In check mode, a ConfigNode on which C(playbooks/boot_tree.yml) has not run yet has no HardwareNodes to ask.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
requirements:
  - Runs on a ConfigNode, after C(playbooks/boot_tree.yml)
options:
  name:
    description: Only this instance. It is listed with the state V(stopped) where none runs.
    type: str
"""

EXAMPLES = r"""
- name: See where all instances run
  bareroot.cloud.instance_info:
  delegate_to: cn1
  register: found
"""

RETURN = r"""
instances:
  description: What runs, ordered by name. O(name) is the instance's, with C(--incoming) or C(--migratedaway) after it while it is migrated.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Host name.
      type: str
    state:
      description: V(running), V(paused), V(stopping), V(crashed) or V(stopped).
      type: str
    node:
      description: The HardwareNode; empty for V(stopped).
      type: str
    memory:
      description: Memory in MiB.
      type: int
    vcpus:
      description: Number of virtual CPUs.
      type: int
    uuid:
      description: UUID.
      type: str
    type:
      description: Kind of guest, such as V(pvh).
      type: str
    mac:
      description: MAC of its first card.
      type: str
    address:
      description: Its address on the instance network, without prefix length; empty where the inventory gives it none.
      type: str
    volumes:
      description: Addresses of its volumes, as shelf.slot, the root first.
      type: list
      elements: str
  sample: [{name: web1, state: running, node: hn1, memory: 256, vcpus: 1, uuid: 6d4e9d54-…, type: pvh, mac: "00:16:3e:12:34:56",
            address: 10.2.0.10, volumes: ["1.0", "1.1"]}]
nodes:
  description: For each HardwareNode that answered, its free memory in MiB and its version of Xen.
  type: dict
  returned: success
  sample: {hn1: {free_memory: 488, xen_version: 4.20.1}}
silent:
  description: For each HardwareNode that did not answer, why.
  type: dict
  returned: success
  sample: {hn2: "ssh: connect to host 10.0.0.21 port 22: No route to host"}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import _fabric, _instances
from ..module_utils._access import Access
from ..module_utils._runner import Runner


def main() -> None:
    module = AnsibleModule(argument_spec={"name": {"type": "str"}}, supports_check_mode=True)
    name = module.params["name"]
    try:
        access = Access(Runner(module))
        view = _instances.View({}) if module.check_mode and not access.is_set_up() else _fabric.look(access, access.instance_addresses())
    except (ValueError, OSError) as error:
        module.fail_json(msg=f"cannot ask the HardwareNodes: {error}")
    found = [instance for instance in _instances.describe_all(view) if name in (None, instance["name"])]
    module.exit_json(
        changed=False,
        instances=found or ([_instances.describe(view, name, "")] if name else []),
        nodes={node: {"free_memory": host.free_memory, "xen_version": host.xen_version} for node, host in view.hosts.items()},
        silent=view.silent,
    )


if __name__ == "__main__":
    main()
