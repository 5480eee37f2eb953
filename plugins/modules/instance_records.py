#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_records
short_description: Allocate what instances keep for ever
description:
  - Gives each instance, once, a UUID, a MAC, an SSH host key with a certificate, and addresses for its volumes, and records them on
    the ConfigNode. An instance that is gone keeps its record; what it was given is never given to another one.
  - Also returns each instance's personality for cloud-init. It holds the private host key, so use C(no_log) on the task.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would be allocated; what is returned is thrown away then.
    support: full
  diff_mode:
    description: Shows names, UUIDs, MACs and addresses, never keys.
    support: full
requirements:
  - python3-cryptography 40 or newer on the managed node
options:
  instances:
    description: All instances of the inventory.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Host name.
        type: str
        required: true
      mac:
        description: MAC of its card; empty to have one allocated.
        type: str
        default: ""
      address:
        description: Address with prefix length on the instance network, such as V(10.2.0.10/24); empty for DHCP.
        type: str
        default: ""
      gateway:
        description: Default gateway; empty for none.
        type: str
        default: ""
      nameservers:
        description: DNS servers.
        type: list
        elements: str
        default: []
      authorized_keys:
        description: SSH public keys of root.
        type: list
        elements: str
        default: []
  state_directory:
    description: Where records (C(instances.json)) and the SSH host CA (C(ca)) are kept.
    type: path
    default: /var/lib/bareroot
"""

EXAMPLES = r"""
- name: Allocate what web1 needs
  bareroot.cloud.instance_records:
    instances:
      - name: web1
        address: 10.2.0.10/24
        authorized_keys: ["ssh-ed25519 AAAA... admin"]
  no_log: true
"""

RETURN = r"""
instances:
  description: For each instance, by name, its UUID, MAC, the addresses of its volumes, and the files of its personality.
  type: dict
  returned: success
  sample: {web1: {uuid: 6d4e9d54-…, mac: "00:16:3e:12:34:56", volumes: {root: "1.0", seed: "1.1"}, seed: {meta-data: …}}}
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _identity, _instance_records, _seed, _state, _tree

INSTANCE = {
    "name": {"type": "str", "required": True},
    "mac": {"type": "str", "default": ""},
    "address": {"type": "str", "default": ""},
    "gateway": {"type": "str", "default": ""},
    "nameservers": {"type": "list", "elements": "str", "default": []},
    "authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
}


def result(instance: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    public = _identity.public_half(record["host_key"], f"host key of {instance['name']}")
    personality = {**instance, **record, "host_public_key": public, "host_certificate": record["certificate"]}
    return {"uuid": record["uuid"], "mac": record["mac"], "volumes": record["volumes"], "seed": _seed.seed_files(personality)}


def shown(records: dict[str, Any]) -> str:
    lines = [
        f"{name} {record['uuid']} {record['mac']} {' '.join(record['volumes'].values())}\n"
        for name, record in sorted(records.get("instances", {}).items())
    ]
    return "".join(lines)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "instances": {"type": "list", "elements": "dict", "required": True, "options": INSTANCE},
            "state_directory": {"type": "path", "default": "/var/lib/bareroot"},
        },
        supports_check_mode=True,
    )
    if not _identity.HAS_CRYPTOGRAPHY:
        if module.check_mode:
            unknown = {"uuid": "", "mac": "", "volumes": dict.fromkeys(_instance_records.VOLUMES, ""), "seed": {}}
            found = {instance["name"]: unknown for instance in module.params["instances"]}
            module.exit_json(changed=True, instances=found, msg="python3-cryptography is not installed yet")
        module.fail_json(msg=missing_required_lib("cryptography"))
    instances, directory = module.params["instances"], module.params["state_directory"]
    path = os.path.join(directory, "instances.json")
    try:
        before = _state.read_json(path)
        after = _instance_records.allocate(instances, before, _state.ca_key(directory, module.check_mode))
        # Without instances there is nothing to record.
        changed = after != before and bool(after["instances"])
        if changed and not module.check_mode:
            _tree.write(path, json.dumps(after, indent=1, sort_keys=True).encode(), 0o600)
        found = {instance["name"]: result(instance, after["instances"][instance["name"]]) for instance in instances}
    except (ValueError, OSError, KeyError) as error:
        module.fail_json(msg=f"cannot allocate what instances need: {error}")
    module.exit_json(
        changed=changed,
        instances=found,
        diff={"before": shown(before), "after": shown(after)},
    )


if __name__ == "__main__":
    main()
