# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the ConfigNode serves, from the nodes of the inventory and the records of earlier runs."""

from __future__ import annotations

import json
import os
import uuid
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from . import _addresses, _boot_files, _identity, _names, _personality

NOT_PUBLISHED = _boot_files.Image(name="image-0000000000000000", root_sha256="0" * 64, has_xen=True)


class BadInputError(ValueError):
    """Something in the module's options or in what it reads is wrong."""


def check_nodes(nodes: list[dict[str, Any]]) -> None:
    """Refuse what must not reach a file name or a template."""
    seen: dict[str, str] = {}
    for node in nodes:
        if not _names.matches(_names.HOST, node["name"]):
            raise BadInputError(f"node name {node['name']!r}: use lower-case letters, digits and inner hyphens, such as hn1")
        for option in ("mac", "storage_mac", "instance_mac"):
            if (node[option] or option == "mac") and not _names.matches(_names.MAC, node[option]):
                raise BadInputError(f"{option} {node[option]!r} of {node['name']}: write it as 52:54:00:12:34:56")
        if node["image"] and not _names.matches(_names.IMAGE, node["image"]):
            raise BadInputError(f"image {node['image']!r} of {node['name']}: use a published name such as xen-0123456789abcdef")
        for key in node["authorized_keys"]:
            if "\n" in key.strip():
                raise BadInputError(f"authorized_keys of {node['name']}: one key a line, found a line break inside a key")
        for unique in (node["name"], node["mac"]):
            if unique in seen:
                raise BadInputError(f"{unique} belongs to both {seen[unique]} and {node['name']}")
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
            raise BadInputError(f"no {kind} image is published here: run playbooks/images.yml first")
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> _boot_files.Image:
        try:
            with open(os.path.join(self.directory, name, "manifest.json"), encoding="utf-8") as stream:
                files = json.load(stream)["files"]
        except FileNotFoundError as error:
            published = sorted(entry for entry in os.listdir(self.directory) if _names.matches(_names.IMAGE, entry))
            raise BadInputError(f"image {name} is not published here; published are: {', '.join(published) or 'none'}") from error
        return _boot_files.Image(name, files["root.squashfs"]["sha256"], "xen" in files)


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
                raise BadInputError(f"address {node['address']} of {node['name']} is outside the boot network {self.network}")
        return _addresses.allocate(
            [(node["name"], node["address"]) for node in self.params["nodes"]],
            {name: record["address"] for name, record in self.records.items()},
            self.params["address_range"],
            self.network,
            [self.params["server"], *self.params["taken"]],
        )

    def render(self) -> tuple[dict[str, dict[str, bytes]], dict[str, dict[str, Any]]]:
        """Return {directory: {file name: contents}} and the records that go with it."""
        nodes = [self._node(options) for options in self.params["nodes"]]
        records = self._new_records(nodes)
        personalities = {f"{node.address.ip}.tar": personality(node, records[node.name]) for node in nodes}
        hosts = "".join(f"{_boot_files.dhcp_host(node)}\n" for node in nodes).encode()
        return {"boot": boot_directory(nodes), "personality": personalities, "dhcp": {"hosts": hosts}}, records

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

    def _new_records(self, nodes: list[_boot_files.Node]) -> dict[str, dict[str, Any]]:
        """Return the records with what these nodes need added; nothing that is recorded is dropped."""
        records = {name: dict(record) for name, record in self.records.items()}
        ca_key = ""
        for node in nodes:
            record = records.setdefault(node.name, {})
            record["address"] = str(node.address.ip)
            record.setdefault("machine_id", uuid.uuid4().hex)
            if "host_key" not in record:
                record["host_key"] = _identity.new_host_key()
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
