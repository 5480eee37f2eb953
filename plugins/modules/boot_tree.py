#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: boot_tree
short_description: Render everything the ConfigNode serves to the machines that boot from it
description:
  - Renders, for all nodes at once, DHCP hosts, iPXE scripts, Xen configurations and personalities, and how the ConfigNode itself
    reaches the nodes (C(access) below O(state_directory)). Two StorageNodes are a pair; C(cluster) there is what Corosync reads then.
  - Allocates what a node keeps for ever (address, machine ID, SSH host key and certificate) and records it in C(nodes.json)
    below O(state_directory). A node that is gone loses its files, not its record; its address is never given to another node.
version_added: 0.1.0
author:
  - The bareroot maintainers (@bareroot)
attributes:
  check_mode:
    description: Can run in check mode and says what would change.
    support: full
  diff_mode:
    description: Shows each file that differs. Of personalities and keys it shows digests only.
    support: full
requirements:
  - python3-cryptography 40 or newer on the managed node
options:
  nodes:
    description: All machines that boot from this ConfigNode, never a part of them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Host name.
        type: str
        required: true
      role:
        description: What the machine is.
        type: str
        choices: [storage, hardware]
        required: true
      mac:
        description: MAC of the card on the boot network, lower case with colons.
        type: str
        required: true
      address:
        description: Address on the boot network; empty to have one allocated.
        type: str
        default: ""
      image_kind:
        description: Kind of image that the machine boots.
        type: str
        required: true
      image:
        description: Name of the image to stay with; empty for the newest of its kind.
        type: str
        default: ""
      root:
        description: Where the root comes from.
        type: str
        choices: [aoe, nfs, ram]
        default: ram
      dom0_memory:
        description: Memory of a Xen host's dom0 in MiB.
        type: int
        default: 0
      storage_mac:
        description: MAC of the card on the storage network; empty for none.
        type: str
        default: ""
      instance_mac:
        description: MAC of the card on the instance network; empty for none.
        type: str
        default: ""
      bmc_mac:
        description: MAC of the card with which a StorageNode reaches the BMCs' network; empty for none.
        type: str
        default: ""
      authorized_keys:
        description: SSH public keys of root.
        type: list
        elements: str
        default: []
  server:
    description: The ConfigNode's address on the boot network.
    type: str
    required: true
  network:
    description: Boot network in CIDR notation.
    type: str
    required: true
  address_range:
    description: First and last address to allocate, such as V(10.0.0.20-10.0.0.199). Empty for the whole network.
    type: str
    default: ""
  storage_network:
    description: Storage network in CIDR notation; a node has the same host part there. Empty for none.
    type: str
    default: ""
  storage_mtu:
    description: MTU of the storage network, in bytes. AoE carries 16 sectors a frame at 8228 and 2 at 1500.
    type: int
    default: 1500
  bmc_network:
    description: The BMCs' network in CIDR notation; a node with a O(nodes[].bmc_mac) has the same host part there. Empty for none.
    type: str
    default: ""
  config_nodes:
    description: Address of each ConfigNode on the boot network, by name. With two StorageNodes they vote on which serves what.
    type: dict
    default: {}
  token:
    description:
      - With two StorageNodes, for how many milliseconds a voter may be silent before it counts as lost. This is Corosync's
        C(token).
    type: int
    default: 10000
  directory:
    description: Root of what is served.
    type: path
    default: /srv/bareroot
  state_directory:
    description: Where records and the SSH host CA (C(ca)) are kept.
    type: path
    default: /var/lib/bareroot
  reader_group:
    description: Group that may read personalities, the web server's.
    type: str
    default: www-data
"""

EXAMPLES = r"""
- name: Serve two nodes
  bareroot.cloud.boot_tree:
    server: 10.0.0.1
    network: 10.0.0.0/24
    nodes:
      - name: hn1
        role: hardware
        mac: "52:54:00:00:00:01"
        image_kind: xen
        dom0_memory: 1024
      - name: hn2
        role: hardware
        mac: "52:54:00:00:00:02"
        address: 10.0.0.22
        image_kind: xen
        image: xen-0123456789abcdef
        dom0_memory: 1024
"""

RETURN = r"""
addresses:
  description: Address of each node on the boot network.
  type: dict
  returned: success
  sample: {hn1: 10.0.0.2, hn2: 10.0.0.22}
files:
  description: Files that were or would be written or removed, relative to O(directory) or O(state_directory).
  type: list
  elements: str
  returned: success
  sample: [boot/52-54-00-00-00-01.ipxe]
"""

import grp
import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _boot_tree, _identity, _personality, _tree


def diff_of(directory: str, change: _tree.Change) -> dict[str, str]:
    if directory == "personality":
        before, after = (data and _personality.listing(data).encode() for data in (change.before, change.after))
        change = _tree.Change(change.path, before, after)
    # What an interrupted run left may be a key too.
    if directory in ("access", "cluster") and (change.path in ("key", "authkey") or change.after is None):
        change = _tree.Change(change.path, *(data and f"{_personality.digest(data)}\n".encode() for data in (change.before, change.after)))
    return _tree.text_diff(change, f"{directory}/{change.path}")


def reader_group(name: str, check_mode: bool) -> int:
    """Return the group's number, or -1 in check mode when its package is not there yet."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        if check_mode:
            return -1
        raise ValueError(f"reader_group {name!r} does not exist here: install the web server, or name its group") from error


def run(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    tree = _boot_tree.BootTree(params, module.check_mode)
    files, records = tree.render()
    readers = reader_group(params["reader_group"], module.check_mode)
    targets = [
        ("boot", _tree.Target(os.path.join(params["directory"], "boot"), 0o644)),
        ("personality", _tree.Target(os.path.join(params["directory"], "personality"), 0o640, readers)),
        ("dhcp", _tree.Target(os.path.join(params["state_directory"], "dhcp"), 0o644)),
        ("access", _tree.Target(os.path.join(params["state_directory"], "access"), 0o600)),
        ("cluster", _tree.Target(os.path.join(params["state_directory"], "cluster"), 0o600)),
    ]
    changes = [(name, target, target.compare(files[name])) for name, target in targets]
    if not module.check_mode:
        # Records first: a key that was served but not recorded would be lost.
        if records != tree.records:
            _tree.write(tree.records_path, json.dumps(records, indent=1, sort_keys=True).encode(), 0o600)
        for _name, target, differing in changes:
            target.apply(differing)
    result = {
        "changed": any(differing for _name, _target, differing in changes),
        "addresses": tree.addresses,
        "files": [f"{name}/{change.path}" for name, _target, differing in changes for change in differing],
    }
    # Ansible asks for differences only with --diff; for a thousand nodes they take a quarter of the time.
    if module._diff:
        result["diff"] = [diff_of(name, change) for name, _target, differing in changes for change in differing]
    return result


def main() -> None:
    node = {
        "name": {"type": "str", "required": True},
        "role": {"type": "str", "required": True, "choices": ["storage", "hardware"]},
        "mac": {"type": "str", "required": True},
        "address": {"type": "str", "default": ""},
        "image_kind": {"type": "str", "required": True},
        "image": {"type": "str", "default": ""},
        "root": {"type": "str", "default": "ram", "choices": ["aoe", "nfs", "ram"]},
        "dom0_memory": {"type": "int", "default": 0},
        "storage_mac": {"type": "str", "default": ""},
        "instance_mac": {"type": "str", "default": ""},
        "bmc_mac": {"type": "str", "default": ""},
        "authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    }
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": node},
            "server": {"type": "str", "required": True},
            "network": {"type": "str", "required": True},
            "address_range": {"type": "str", "default": ""},
            "storage_network": {"type": "str", "default": ""},
            "storage_mtu": {"type": "int", "default": 1500},
            "bmc_network": {"type": "str", "default": ""},
            "config_nodes": {"type": "dict", "default": {}},
            "token": {"type": "int", "default": 10000},
            "directory": {"type": "path", "default": "/srv/bareroot"},
            "state_directory": {"type": "path", "default": "/var/lib/bareroot"},
            "reader_group": {"type": "str", "default": "www-data"},
        },
        supports_check_mode=True,
    )
    if not _identity.HAS_CRYPTOGRAPHY:
        if module.check_mode:
            module.exit_json(changed=True, addresses={}, files=[], msg="python3-cryptography is not installed yet")
        module.fail_json(msg=missing_required_lib("cryptography"))
    try:
        result = run(module)
    except (ValueError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
