# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the ConfigNode serves, from the nodes of the inventory and the records of earlier runs."""

from __future__ import annotations

import functools
import json
import os
import secrets
import uuid
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from . import _addresses, _boot_files, _cluster, _identity, _names, _nvme, _personality, _state
from ._boot_files import LEAST_DOM0_MEMORY
from ._storage_layout import HALVES
from ._volumes import IMAGE_SHELF, SLOTS

# StorageNodes that keep one set of data.
PAIR = 2
# HardwareNodes that a StorageNode asks whether it is cut off: one that answers is enough.
MOST_CLIENTS = 8

NOT_PUBLISHED = _boot_files.Image(name="image-0000000000000000", root_sha256="0" * 64, root_size=0, has_xen=True)


class BadInputError(ValueError):
    """Something in the module's options or in what it reads is wrong."""


def check_nodes(nodes: list[dict[str, Any]], has_storage_network: bool = True) -> None:
    """Refuse what must not reach a file name or a template."""
    owners: dict[str, str] = {}
    storage_nodes = [node for node in nodes if node["role"] == "storage"]
    for node in nodes:
        name = node["name"]
        if not _names.matches(_names.HOST, name) or name in _names.RESERVED_HOSTS:
            raise BadInputError(f"node name {name!r}: use lower-case letters, digits and inner hyphens, such as hn1")
        _check_macs(node, owners, has_storage_network)
        if name in owners:
            raise BadInputError(f"two nodes are called {name}; give each a name of its own")
        owners[name] = name
        _check_root(node, storage_nodes)
        image, kind = node["image"], node["image_kind"]
        if image and not (_names.matches(_names.IMAGE, image) and image.startswith(f"{kind}-")):
            raise BadInputError(f"image {image!r} of {name}: use a published {kind} image, such as {kind}-0123456789abcdef")
        if node["role"] == "hardware" and node["dom0_memory"] < LEAST_DOM0_MEMORY:
            raise BadInputError(f"dom0_memory {node['dom0_memory']} of {name}: give dom0 at least {LEAST_DOM0_MEMORY} MiB, such as 1024")
        for key in node["authorized_keys"]:
            if "\n" in key.strip():
                raise BadInputError(f"authorized_keys of {name}: one key a line, found a line break inside a key")
        if not any(key.strip() for key in node["authorized_keys"]):
            raise BadInputError(f"authorized_keys of {name} is empty, so nobody could log in: give keys such as 'ssh-ed25519 AAAA… admin'")


def _check_root(node: dict[str, Any], storage_nodes: list[dict[str, Any]]) -> None:
    if node["root"] == "ram":
        return
    if not storage_nodes:
        raise BadInputError(f"root {node['root']} of {node['name']} needs a StorageNode, and storage_nodes is empty; use ram")
    if bool(storage_nodes[0]["storage_mac"]) != bool(node["storage_mac"]):
        raise BadInputError(
            f"root {node['root']} of {node['name']} comes from {storage_nodes[0]['name']}, and only one of the two has a storage_mac: "
            "give both one, or neither, or use root ram"
        )


def _check_macs(node: dict[str, Any], owners: dict[str, str], has_storage_network: bool) -> None:
    name = node["name"]
    for option in ("mac", "storage_mac", "instance_mac", "bmc_mac"):
        mac = node[option]
        if not mac and option != "mac":
            continue
        if not _names.matches(_names.MAC, mac):
            raise BadInputError(f"{option} {mac!r} of {name}: write it as '52:54:00:12:34:56', in quotes")
        if mac in owners:
            raise BadInputError(f"{option} {mac} of {name} belongs to {owners[mac]} already; each card has a MAC of its own")
        owners[mac] = name
    if node["storage_mac"] and not has_storage_network:
        raise BadInputError(f"{name} has a storage_mac, but there is no storage_network, such as 10.1.0.0/24")


def check_pair(nodes: list[dict[str, Any]], config_nodes: dict[str, str]) -> None:
    """Refuse StorageNodes that cannot be a pair, and voters that nobody could tell from each other."""
    storage_nodes = [node for node in nodes if node["role"] == "storage"]
    if len(storage_nodes) > PAIR:
        raise BadInputError(f"{len(storage_nodes)} StorageNodes: {', '.join(node['name'] for node in storage_nodes)}; use one, or a pair")
    if len({bool(node["storage_mac"]) for node in storage_nodes}) > 1:
        names = " and ".join(node["name"] for node in storage_nodes)
        raise BadInputError(f"only one of {names} has a storage_mac, and they are to replicate to each other: give both one, or neither")
    if len(storage_nodes) == PAIR and not config_nodes:
        raise BadInputError(
            "config_nodes is empty, and a pair of StorageNodes needs a third vote: give the ConfigNode, such as cn1: 10.0.0.1"
        )
    for name in config_nodes:
        if not _names.matches(_names.HOST, name) or name in {node["name"] for node in nodes}:
            raise BadInputError(f"ConfigNode {name!r}: use a name that no other machine has, of lower-case letters and digits, such as cn1")


class Images:
    """The images that this ConfigNode has published."""

    def __init__(self, directory: str, exports: dict[str, str]) -> None:
        self.directory = directory
        self.exports = exports
        self._known: dict[str, _boot_files.Image] = {}
        self.current: dict[str, str] = _state.read_json(os.path.join(directory, "current.json"))

    def get(self, kind: str, pinned: str) -> _boot_files.Image:
        name = pinned or self.current.get(kind, "")
        if not name:
            raise BadInputError(f"no {kind} image is published here: run playbooks/images.yml first")
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> _boot_files.Image:
        manifest = _state.read_json(os.path.join(self.directory, name, "manifest.json"))
        if not manifest:
            raise BadInputError(f"image {name} is not published here; published are: {', '.join(self.published()) or 'none'}")
        files = manifest["files"]
        root = files["root.squashfs"]
        return _boot_files.Image(name, root["sha256"], root["size"], "xen" in files, self.exports.get(name, ""))

    def export(self, names: list[str]) -> None:
        """Give each of these images a shelf.slot, for ever: one never belongs to two images."""
        for name in names:
            if name and name not in self.exports:
                number = len(self.exports)
                self.exports[name] = f"{IMAGE_SHELF + number // SLOTS}.{number % SLOTS}"

    def published(self) -> list[str]:
        entries = os.listdir(self.directory) if os.path.isdir(self.directory) else []
        return sorted(entry for entry in entries if _names.matches(_names.IMAGE, entry))


class BootTree:
    """Everything that is rendered, from the module's options and the records of earlier runs."""

    def __init__(self, params: dict[str, Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.network = _addresses.parse_network(params["network"], "network")
        self.storage_network = _addresses.parse_network(params["storage_network"], "storage_network") if params["storage_network"] else None
        _addresses.parse_host(params["server"], self.network, "server")
        self.bmc_network = _addresses.parse_network(params["bmc_network"], "bmc_network") if params["bmc_network"] else None
        check_nodes(params["nodes"], self.storage_network is not None)
        check_pair(params["nodes"], params["config_nodes"])
        self.storage_nodes = [node for node in params["nodes"] if node["role"] == "storage"]
        self.records_path = os.path.join(params["state_directory"], "nodes.json")
        self.records: dict[str, Any] = {"nodes": {}, "exports": {}, "access": {}, "halves": {}, **_state.read_json(self.records_path)}
        self.images = Images(os.path.join(params["directory"], "images"), dict(self.records["exports"]))
        allocated = self._allocated()
        self.addresses = {node["name"]: allocated[node["name"]] for node in params["nodes"]}
        self.half_addresses = {half: allocated[volumes_of(half)] for half in HALVES if self.storage_nodes}
        self.nfs_server = self._nfs_server()
        self.cluster = self._voters()

    def _allocated(self) -> dict[str, str]:
        """Return the address of each node, and of the volumes of each half."""
        taken = {address: name for name, address in self.params["config_nodes"].items()}
        for address in taken:
            _addresses.parse_host(address, self.network, "in config_nodes:")
        recorded = {name: record["addresses"] for name, record in self.records["nodes"].items()}
        recorded |= {volumes_of(half): [address] for half, address in self.records["halves"].items()}
        return _addresses.allocate(
            [
                *((node["name"], node["address"]) for node in self.params["nodes"]),
                *((volumes_of(half), "") for half in HALVES if self.storage_nodes),
            ],
            recorded,
            self.params["address_range"],
            self.network,
            {**taken, self.params["server"]: "the ConfigNode"},
        )

    def render(self) -> tuple[dict[str, dict[str, bytes]], dict[str, Any]]:
        """Return {directory: {file name: contents}} and the records that go with it."""
        options = self.params["nodes"]
        if self.storage_nodes:
            kinds = [node for node in options if node["role"] == "hardware"]
            self.images.export([node["image"] or self.images.current.get(node["image_kind"], "") for node in kinds])
        nodes = [self._node(node) for node in options]
        records = {"nodes": self._new_records(nodes), "exports": self.images.exports, "access": self._new_access()}
        records["halves"] = {**self.records["halves"], **self.half_addresses}
        if self.cluster:
            records["cluster"] = {"key": self.cluster.key}
        elif "cluster" in self.records:
            records["cluster"] = self.records["cluster"]
        kept = records["nodes"]
        fabric = self._fabric(nodes, kept)
        personalities = {f"{node.address.ip}.tar": personality(node, kept[node.name], fabric) for node in nodes}
        hosts = "".join(f"{_boot_files.dhcp_host(node)}\n" for node in nodes).encode()
        access = access_directory(nodes, records["access"], os.path.join(self.params["state_directory"], "access"))
        files = {"boot": boot_directory(nodes), "personality": personalities, "dhcp": {"hosts": hosts}, "access": access}
        return {**files, "cluster": cluster_directory(self.cluster)}, records

    def _fabric(self, nodes: list[_boot_files.Node], records: dict[str, dict[str, Any]]) -> _nvme.Fabric:
        """Return how HardwareNodes and halves know each other."""
        halves = {half: self._on_storage(address, self.storage_nodes[0]) for half, address in self.half_addresses.items()}
        kept = {node.name: records[node.name] for node in nodes if not node.is_storage}
        hosts = {name: _nvme.Host(record["machine_id"], record["nvme_key"]) for name, record in kept.items()}
        return _nvme.Fabric(self._ca(), halves, hosts)

    def _node(self, options: dict[str, Any]) -> _boot_files.Node:
        return _boot_files.Node(
            name=options["name"],
            role=options["role"],
            mac=options["mac"],
            address=IPv4Interface((self.addresses[options["name"]], self.network.prefixlen)),
            server=self.params["server"],
            image=self._image(options),
            root=options["root"],
            dom0_memory=options["dom0_memory"],
            storage_mac=options["storage_mac"],
            storage_address=self._storage_address(options) if options["storage_mac"] else None,
            storage_mtu=self.params["storage_mtu"],
            nfs_server=self.nfs_server,
            instance_mac=options["instance_mac"],
            bmc_mac=options["bmc_mac"],
            bmc_address=self._bmc_address(options),
            cluster=self.cluster if options["role"] == "storage" else None,
            authorized_keys=tuple(key.strip() for key in options["authorized_keys"]),
        )

    def _storage_address(self, options: dict[str, Any]) -> IPv4Interface:
        return self._on_storage(self.addresses[options["name"]], options)

    def _on_storage(self, address: str, options: dict[str, Any]) -> IPv4Interface:
        """Return what belongs to an address on the storage network of a node, which may be the boot network."""
        if options["storage_mac"] and self.storage_network:
            return _addresses.same_host(address, self.network, self.storage_network)
        return IPv4Interface((address, self.network.prefixlen))

    def _bmc_address(self, options: dict[str, Any]) -> IPv4Interface | None:
        if not options["bmc_mac"]:
            return None
        if not self.bmc_network:
            raise BadInputError(f"{options['name']} has a bmc_mac, but there is no bmc_network, such as 10.3.0.0/24")
        return _addresses.same_host(self.addresses[options["name"]], self.network, self.bmc_network)

    def _voters(self) -> _cluster.Cluster | None:
        """Return the voters of a pair: all ConfigNodes and both StorageNodes."""
        if len(self.storage_nodes) < PAIR:
            return None
        members = [self._member(name, address) for name, address in self.params["config_nodes"].items()]
        for node in self.storage_nodes:
            members.append(self._member(node["name"], self.addresses[node["name"]], str(self._storage_address(node).ip)))
        key = self.records.get("cluster", {}).get("key") or secrets.token_hex(_cluster.KEY_BYTES)
        hardware_nodes = [node for node in self.params["nodes"] if node["role"] == "hardware"][:MOST_CLIENTS]
        clients = {node["name"]: str(self._storage_address(node).ip) for node in hardware_nodes}
        return _cluster.Cluster(tuple(members), self.params["token"], key, clients)

    def _member(self, name: str, address: str, storage_address: str = "") -> _cluster.Member:
        # An address is a machine's own for ever, and so is its number.
        number = int(IPv4Address(address)) - int(self.network.network_address)
        return _cluster.Member(name, number, address, storage_address)

    def _nfs_server(self) -> str:
        servers = [self._storage_address(node) for node in self.storage_nodes]
        return str(servers[0].ip) if servers else ""

    def _image(self, options: dict[str, Any]) -> _boot_files.Image:
        if self.check_mode and not options["image"] and options["image_kind"] not in self.images.current:
            return NOT_PUBLISHED
        return self.images.get(options["image_kind"], options["image"])

    def _new_records(self, nodes: list[_boot_files.Node]) -> dict[str, dict[str, Any]]:
        """Return the records with what these nodes need added; nothing that is recorded is dropped."""
        records = {name: dict(record) for name, record in self.records["nodes"].items()}
        ca = self._ca()
        for node in nodes:
            record = records.setdefault(node.name, {"addresses": []})
            address = str(node.address.ip)
            if record["addresses"][-1:] != [address]:
                record["addresses"] = [*(former for former in record["addresses"] if former != address), address]
            record.setdefault("machine_id", uuid.uuid4().hex)
            if not node.is_storage:
                record.setdefault("nvme_key", secrets.token_hex(_nvme.KEY_BYTES))
            if "host_key" not in record:
                record["host_key"] = _identity.new_host_key()
            certified = {"principals": [node.name, address], "ca": ca, "role": node.role}
            if record.get("certified") != certified:
                record["certificate"] = _identity.certify(record["host_key"], self.ca_key, certified["principals"])
                record["migration_certificate"] = self._migration_certificate(node, record["host_key"])
                record["certified"] = certified
        return records

    def _migration_certificate(self, node: _boot_files.Node, key: str) -> str:
        return _identity.certify_user(key, self.ca_key, _personality.HARDWARE_NODE) if node.role == "hardware" else ""

    def _new_access(self) -> dict[str, str]:
        """Return the key with which the ConfigNode itself reaches the nodes."""
        access = dict(self.records["access"])
        access.setdefault("key", _identity.new_host_key())
        if access.get("ca") != self._ca():
            access["ca"] = self._ca()
            access["certificate"] = _identity.certify_user(access["key"], self.ca_key, _personality.CONFIG_NODE, ("permit-pty",))
        return access

    def _ca(self) -> str:
        return _identity.public_half(self.ca_key, os.path.join(self.params["state_directory"], "ca"))

    @functools.cached_property
    def ca_key(self) -> str:
        return _state.ca_key(self.params["state_directory"], self.check_mode)


def volumes_of(half: str) -> str:
    """Return what an address belongs to that is no machine's. No machine can be called so."""
    return f"the volumes of {half}"


def personality(node: _boot_files.Node, record: dict[str, Any], fabric: _nvme.Fabric) -> bytes:
    identity = _personality.Identity(
        machine_id=record["machine_id"],
        host_key=record["host_key"],
        host_public_key=_identity.public_half(record["host_key"], f"host key of {node.name}"),
        host_certificate=record["certificate"],
        ca=fabric.site,
        migration_certificate=record["migration_certificate"],
    )
    return _personality.pack(_personality.personality_files(node, identity, fabric))


def access_directory(nodes: list[_boot_files.Node], access: dict[str, str], directory: str) -> dict[str, bytes]:
    """Return how the ConfigNode reaches the nodes: `ssh -F /var/lib/bareroot/access/ssh_config hn1`."""
    places = {
        node.name: {"role": node.role, "address": str(node.address.ip), "storage_address": str((node.storage_address or node.address).ip)}
        for node in nodes
    }
    files = {
        "key": access["key"],
        "key-cert.pub": f"{access['certificate']}\n",
        "known_hosts": f"@cert-authority * {access['ca']}\n",
        "nodes.json": json.dumps(places, indent=1, sort_keys=True) + "\n",
        "ssh_config": _boot_files.ssh_config(nodes, directory),
    }
    return {name: text.encode() for name, text in files.items()}


def cluster_directory(cluster: _cluster.Cluster | None) -> dict[str, bytes]:
    """Return what the ConfigNode's own Corosync reads; nothing where there is no pair."""
    return {"corosync.conf": _cluster.corosync_conf(cluster).encode(), "authkey": cluster.key.encode()} if cluster else {}


def boot_directory(nodes: list[_boot_files.Node]) -> dict[str, bytes]:
    files = {f"{node.file_stem}.ipxe": _boot_files.ipxe_script(node).encode() for node in nodes}
    files.update({f"{node.file_stem}.cfg": _boot_files.xen_cfg(node).encode() for node in nodes if node.image.has_xen})
    exported = {node.image.name: node.image for node in nodes if node.image.aoe}
    roots = {name: {"aoe": image.aoe, "sha256": image.root_sha256, "size": image.root_size} for name, image in exported.items()}
    files["root-images.json"] = (json.dumps(roots, indent=1, sort_keys=True) + "\n").encode()
    return files
