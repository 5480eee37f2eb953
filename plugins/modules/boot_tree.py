#!/usr/bin/python
# Copyright: bareroot contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: boot_tree
short_description: Render everything the ConfigNode serves to the machines that boot from it
description:
  - Renders, for all nodes at once, DHCP hosts, iPXE scripts, Xen configurations and personalities.
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
    description: Shows each file that differs. Of personalities it shows paths, permissions and digests, never keys.
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
        choices: [ram]
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
  taken:
    description: Further addresses of the boot network that are in use.
    type: list
    elements: str
    default: []
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
import uuid
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils import _addresses, _boot_files, _identity, _names, _personality, _tree

NOT_PUBLISHED = _boot_files.Image(name="image-0000000000000000", root_sha256="0" * 64, has_xen=True)


class BadInput(ValueError):
    """Something in the module's options or in what it reads is wrong."""


def check_nodes(nodes: list[dict[str, Any]]) -> None:
    """Refuse what must not reach a file name or a template."""
    seen: dict[str, str] = {}
    for node in nodes:
        if not _names.matches(_names.HOST, node["name"]):
            raise BadInput(f"node name {node['name']!r}: use lower-case letters, digits and inner hyphens, such as hn1")
        for option in ("mac", "storage_mac", "instance_mac"):
            if (node[option] or option == "mac") and not _names.matches(_names.MAC, node[option]):
                raise BadInput(f"{option} {node[option]!r} of {node['name']}: write it as 52:54:00:12:34:56")
        if node["image"] and not _names.matches(_names.IMAGE, node["image"]):
            raise BadInput(f"image {node['image']!r} of {node['name']}: use a published name such as xen-0123456789abcdef")
        for key in node["authorized_keys"]:
            if "\n" in key.strip():
                raise BadInput(f"authorized_keys of {node['name']}: one key a line, found a line break inside a key")
        for unique in (node["name"], node["mac"]):
            if unique in seen:
                raise BadInput(f"{unique} belongs to both {seen[unique]} and {node['name']}")
            seen[unique] = node["name"]


class Images:
    """The images that this ConfigNode has published."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._known: dict[str, _boot_files.Image] = {}
        try:
            with open(os.path.join(directory, "current.json"), encoding="utf-8") as stream:
                self.current: dict[str, str] = json.load(stream)
        except FileNotFoundError:
            self.current = {}

    def get(self, kind: str, pinned: str) -> _boot_files.Image:
        name = pinned or self.current.get(kind, "")
        if not name:
            raise BadInput(f"no {kind} image is published here: run playbooks/images.yml first")
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> _boot_files.Image:
        try:
            with open(os.path.join(self.directory, name, "manifest.json"), encoding="utf-8") as stream:
                checksums = json.load(stream)["sha256"]
        except FileNotFoundError as error:
            published = sorted(entry for entry in os.listdir(self.directory) if _names.matches(_names.IMAGE, entry))
            raise BadInput(f"image {name} is not published here; published are: {', '.join(published) or 'none'}") from error
        return _boot_files.Image(name, checksums["root.squashfs"], "xen" in checksums)


class BootTree:
    """Everything that is rendered, from the module's options and the records of earlier runs."""

    def __init__(self, params: dict[str, Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.images = Images(os.path.join(params["directory"], "images"))
        self.records_path = os.path.join(params["state_directory"], "nodes.json")
        self.records = self._read_records()
        self.network = IPv4Network(params["network"])
        self.storage_network = IPv4Network(params["storage_network"]) if params["storage_network"] else None
        self.addresses = self._addresses()

    def _read_records(self) -> dict[str, dict[str, Any]]:
        try:
            with open(self.records_path, encoding="utf-8") as stream:
                return json.load(stream)
        except FileNotFoundError:
            return {}

    def _addresses(self) -> dict[str, str]:
        for node in self.params["nodes"]:
            if node["address"] and IPv4Address(node["address"]) not in self.network:
                raise BadInput(f"address {node['address']} of {node['name']} is outside the boot network {self.network}")
        return _addresses.allocate(
            [(node["name"], node["address"]) for node in self.params["nodes"]],
            {name: record["address"] for name, record in self.records.items()},
            self.params["address_range"],
            self.network,
            [self.params["server"], *self.params["taken"]],
        )

    def nodes(self) -> list[_boot_files.Node]:
        return [self._node(options) for options in self.params["nodes"]]

    def _node(self, options: dict[str, Any]) -> _boot_files.Node:
        address = self.addresses[options["name"]]
        storage_address = None
        if options["storage_mac"] and self.storage_network:
            storage_address = _addresses.same_host(address, self.network, self.storage_network)
        return _boot_files.Node(
            name=options["name"],
            role=options["role"],
            mac=options["mac"],
            address=IPv4Interface((address, self.network.prefixlen)),
            server=self.params["server"],
            image=self._image(options),
            root=options["root"],
            dom0_memory=options["dom0_memory"],
            storage_mac=options["storage_mac"],
            storage_address=storage_address,
            instance_mac=options["instance_mac"],
            authorized_keys=tuple(key.strip() for key in options["authorized_keys"]),
        )

    def _image(self, options: dict[str, Any]) -> _boot_files.Image:
        if self.check_mode and not options["image"] and options["image_kind"] not in self.images.current:
            return NOT_PUBLISHED
        return self.images.get(options["image_kind"], options["image"])

    def new_records(self, nodes: list[_boot_files.Node]) -> dict[str, dict[str, Any]]:
        """Return the records with what these nodes need added; nothing that is recorded is dropped."""
        records = {name: dict(record) for name, record in self.records.items()}
        ca_key = ""
        for node in nodes:
            record = records.setdefault(node.name, {})
            record["address"] = str(node.address.ip)
            record.setdefault("machine_id", uuid.uuid4().hex)
            record.setdefault("host_key", "") or record.update(host_key=_identity.new_host_key())
            principals = [node.name, str(node.address.ip)]
            if record.get("principals") != principals:
                ca_key = ca_key or self._ca_key()
                record["certificate"] = _identity.certify(record["host_key"], ca_key, principals)
                record["principals"] = principals
        return records

    def _ca_key(self) -> str:
        try:
            with open(os.path.join(self.params["state_directory"], "ca"), encoding="utf-8") as stream:
                return stream.read()
        except FileNotFoundError:
            if self.check_mode:
                return _identity.new_host_key()
            raise


def personality(node: _boot_files.Node, record: dict[str, Any]) -> bytes:
    identity = _personality.Identity(
        machine_id=record["machine_id"],
        host_key=record["host_key"],
        host_public_key=_identity.public_half(record["host_key"]),
        host_certificate=record["certificate"],
    )
    return _personality.pack(_personality.personality_files(node, identity))


def boot_directory(nodes: list[_boot_files.Node]) -> dict[str, bytes]:
    files = {f"{node.file_stem}.ipxe": _boot_files.ipxe_script(node).encode() for node in nodes}
    files.update({f"{node.file_stem}.cfg": _boot_files.xen_cfg(node).encode() for node in nodes if node.image.has_xen})
    return files


def diff_of(directory: str, change: _tree.Change) -> dict[str, str]:
    path = f"{directory}/{change.path}"
    before, after = (_readable(change.path, data) for data in (change.before, change.after))
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def _readable(path: str, data: bytes | None) -> str:
    if data is None:
        return ""
    return _personality.listing(data) if path.endswith(".tar") else data.decode(errors="replace")


def run(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    check_nodes(params["nodes"])
    tree = BootTree(params, module.check_mode)
    nodes = tree.nodes()
    records = tree.new_records(nodes)
    served = params["directory"]
    plan = [
        ("boot", os.path.join(served, "boot"), boot_directory(nodes), 0o644),
        (
            "personality",
            os.path.join(served, "personality"),
            {f"{node.address.ip}.tar": personality(node, records[node.name]) for node in nodes},
            0o640,
        ),
        (
            "dhcp",
            os.path.join(params["state_directory"], "dhcp"),
            {"hosts": "".join(f"{_boot_files.dhcp_host(node)}\n" for node in nodes).encode()},
            0o644,
        ),
    ]
    changes = [(name, path, _tree.compare(path, wanted), mode) for name, path, wanted, mode in plan]
    if not module.check_mode:
        # Records first: a key that was served but not recorded would be lost.
        if records != tree.records:
            _tree.write(tree.records_path, json.dumps(records, indent=1, sort_keys=True).encode(), 0o600)
        for name, path, files, mode in changes:
            _tree.apply(path, files, mode, _group(params["reader_group"]) if name == "personality" else -1)
    return {
        "changed": any(files for _name, _path, files, _mode in changes),
        "addresses": tree.addresses,
        "files": [f"{name}/{change.path}" for name, _path, files, _mode in changes for change in files],
        "diff": [diff_of(name, change) for name, _path, files, _mode in changes for change in files],
    }


def _group(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def main() -> None:
    node = {
        "name": {"type": "str", "required": True},
        "role": {"type": "str", "required": True, "choices": ["storage", "hardware"]},
        "mac": {"type": "str", "required": True},
        "address": {"type": "str", "default": ""},
        "image_kind": {"type": "str", "required": True},
        "image": {"type": "str", "default": ""},
        "root": {"type": "str", "default": "ram", "choices": ["ram"]},
        "dom0_memory": {"type": "int", "default": 0},
        "storage_mac": {"type": "str", "default": ""},
        "instance_mac": {"type": "str", "default": ""},
        "authorized_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    }
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "required": True, "options": node},
            "server": {"type": "str", "required": True},
            "network": {"type": "str", "required": True},
            "address_range": {"type": "str", "default": ""},
            "storage_network": {"type": "str", "default": ""},
            "taken": {"type": "list", "elements": "str", "default": []},
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
