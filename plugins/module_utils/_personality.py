# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes one node differ from the others that boot the same image: a small tar laid over its root."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass

from . import _cluster
from ._boot_files import Node
from ._nvme import Fabric
from ._storage_layout import HALVES


@dataclass(frozen=True)
class Identity:
    """What a node keeps for ever."""

    machine_id: str
    host_key: str
    host_public_key: str
    host_certificate: str
    # Public half of the CA that certifies hosts and users.
    ca: str
    # Certifies a HardwareNode's host key for migrations; empty for other nodes.
    migration_certificate: str = ""


BRIDGE = "xenbr0"
# Who a user certificate says its holder is.
CONFIG_NODE = "bareroot-config-node"
HARDWARE_NODE = "bareroot-hardware-node"


def personality_files(node: Node, identity: Identity, fabric: Fabric) -> dict[str, tuple[int, str]]:
    """Return {path: (permissions, text)} of a node's personality."""
    return {
        "etc/hostname": (0o644, f"{node.name}\n"),
        "etc/hosts": (0o644, _hosts(node)),
        "etc/machine-id": (0o444, f"{identity.machine_id}\n"),
        "etc/bareroot/network": (0o644, _network(node)),
        "etc/bareroot/node.json": (0o644, _facts(node)),
        "etc/ssh/ssh_host_ed25519_key": (0o600, identity.host_key),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, f"{identity.host_public_key}\n"),
        "etc/ssh/ssh_host_ed25519_key-cert.pub": (0o644, f"{identity.host_certificate}\n"),
        "etc/systemd/timesyncd.conf.d/bareroot.conf": (0o644, _time(node)),
        "etc/systemd/journal-upload.conf.d/bareroot.conf": (0o644, f"[Upload]\nURL=http://{node.server}:19532\n"),
        "etc/ssh/bareroot_ca.pub": (0o644, f"{identity.ca}\n"),
        "etc/ssh/bareroot_principals": (0o644, f"{CONFIG_NODE}\n{_migration_principal(node)}"),
        **(_storage_files(node, identity) if node.is_storage else _hardware_files(node, identity)),
        **(fabric.target_files() if node.is_storage else fabric.host_files(node.name)),
        "root/.ssh/authorized_keys": (0o600, "".join(f"{key}\n" for key in node.authorized_keys)),
    }


def _time(node: Node) -> str:
    """Return where the clock comes from. One question a minute costs nothing here, and what is lost or disturbed is soon made up for."""
    return f"[Time]\nNTP={node.server}\nFallbackNTP=\nPollIntervalMaxSec=64\n"


def _hosts(node: Node) -> str:
    members = node.cluster.members if node.cluster else ()
    others = "".join(f"{member.address} {member.name}\n" for member in members if member.name != node.name)
    return f"127.0.0.1 localhost\n{node.address.ip} {node.name}\n{node.server} confignode\n{others}"


def _storage_files(node: Node, identity: Identity) -> dict[str, tuple[int, str]]:
    """Return what only StorageNodes have: who may mount the images, the halves, and the cluster that keeps a pair."""
    network = (node.storage_address or node.address).network
    # NFSv4's root itself (fsid=0): a root above it would lie on an overlay, which cannot be exported.
    files = {"etc/exports.d/bareroot.exports": (0o644, f"/srv/bareroot/images {network}(ro,fsid=0,no_subtree_check,mountpoint)\n")}
    cluster = node.cluster
    replicas = {node.name: str((node.storage_address or node.address).ip)}
    if cluster:
        replicas = {member.name: member.storage_address for member in cluster.storage_nodes}
    for minor, half in enumerate(HALVES):
        files[f"etc/drbd.d/{half}.res"] = (0o644, _cluster.drbd_resource(half, minor, replicas, cluster is not None))
        files[f"etc/bareroot/{half}.mac"] = (0o644, f"{_cluster.half_mac(identity.ca, half)}\n")
    if cluster:
        files["etc/corosync/corosync.conf"] = (0o644, _cluster.corosync_conf(cluster))
        files["etc/corosync/authkey"] = (0o400, cluster.key)
        files["etc/bareroot/storage-neighbours"] = (0o644, _cluster.neighbours(cluster, node.name))
    return files


def _migration_principal(node: Node) -> str:
    return f'restrict,command="/usr/lib/bareroot/migrate-receive" {HARDWARE_NODE}\n' if node.role == "hardware" else ""


def _hardware_files(node: Node, identity: Identity) -> dict[str, tuple[int, str]]:
    """Return what only HardwareNodes have: how they reach each other, and which networks are none of the guests' business."""
    networks = [node.address.network, *([node.storage_address.network] if node.storage_address else [])]
    own = ", ".join(sorted({str(network) for network in networks}))
    return {
        "etc/ssh/bareroot_known_hosts": (0o644, f"@cert-authority * {identity.ca}\n"),
        "etc/ssh/bareroot_migration-cert.pub": (0o644, f"{identity.migration_certificate}\n"),
        "etc/bareroot/networks.nft": (0o644, f"define own_networks = {{ {own} }}\n"),
    }


def _network(node: Node) -> str:
    """Return the shell variables that scripts/bareroot reads. Addresses and MACs need no quoting."""
    return (
        f"STORAGE_MAC={node.storage_mac}\nSTORAGE_ADDRESS={node.storage_address or ''}\nSTORAGE_MTU={node.storage_mtu}\n"
        f"BRIDGE_MAC={node.instance_mac}\nBRIDGE_NAME={BRIDGE}\nVOLUMES={'aoe' if node.role == 'hardware' else ''}\n"
        f"BMC_MAC={node.bmc_mac}\nBMC_ADDRESS={node.bmc_address or ''}\n"
    )


def _facts(node: Node) -> str:
    facts = {
        "name": node.name,
        "role": node.role,
        "address": str(node.address),
        "storage_address": str(node.storage_address or ""),
        "config_node": node.server,
        "image": node.image.name,
        "root": node.root,
    }
    return json.dumps(facts, indent=2, sort_keys=True) + "\n"


def pack(files: dict[str, tuple[int, str]]) -> bytes:
    """Return a tar of root-owned files and their directories; equal files give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for directory in sorted(_directories(files)):
            entry = tarfile.TarInfo(directory)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o700 if directory.startswith("root") else 0o755
            tar.addfile(entry)
        for path in sorted(files):
            mode, text = files[path]
            data = text.encode()
            entry = tarfile.TarInfo(path)
            entry.mode = mode
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _directories(files: dict[str, tuple[int, str]]) -> set[str]:
    found = set()
    for path in files:
        parts = path.split("/")[:-1]
        found.update("/".join(parts[: end + 1]) for end in range(len(parts)))
    return found


def listing(data: bytes) -> str:
    """Describe a packed personality without showing what is in its files."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = [(entry, tar.extractfile(entry)) for entry in tar.getmembers()]
            return "".join(f"{entry.mode:o} {entry.name} {digest(stream.read())}\n" for entry, stream in files if stream)
    except (tarfile.TarError, EOFError, KeyError, UnicodeError):
        return f"damaged, {digest(data)}\n"


def digest(data: bytes) -> str:
    """Return what stands for secret contents where changes are shown."""
    return f"sha256:{hashlib.sha256(data).hexdigest()[:16]}"
