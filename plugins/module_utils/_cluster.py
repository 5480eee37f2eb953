# SPDX-License-Identifier: GPL-3.0-or-later
"""The voters that keep a pair of StorageNodes: what Corosync and DRBD read on each of them. Pure functions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

# Each half replicates over a port of its own, from here on.
REPLICATION_PORT = 7788
# Corosync's key: 128 bytes at least, any bytes.
KEY_BYTES = 128


@dataclass(frozen=True)
class Member:
    """A voter. number: Corosync's, for ever. storage_address: where a StorageNode replicates; empty for a ConfigNode."""

    name: str
    number: int
    address: str
    storage_address: str = ""


@dataclass(frozen=True)
class Cluster:
    """The voters of a pair. token: ms until a silent member counts as lost. key: what members know each other by.

    clients: {HardwareNode: its storage address}, of some of them.
    """

    members: tuple[Member, ...]
    token: int
    key: str
    clients: dict[str, str] = field(default_factory=dict)

    @property
    def storage_nodes(self) -> tuple[Member, ...]:
        """The two that hold the halves."""
        return tuple(member for member in self.members if member.storage_address)


def corosync_conf(cluster: Cluster) -> str:
    """Return corosync.conf, the same on all members."""
    nodes = "".join(
        f"    node {{\n        ring0_addr: {member.address}\n        name: {member.name}\n        nodeid: {member.number}\n    }}\n"
        for member in cluster.members
    )
    return (
        "totem {\n    version: 2\n    cluster_name: bareroot\n    transport: knet\n    crypto_cipher: aes256\n    crypto_hash: sha256\n"
        f"    token: {cluster.token}\n}}\n"
        f"nodelist {{\n{nodes}}}\n"
        "quorum {\n    provider: corosync_votequorum\n}\n"
        "logging {\n    to_stderr: no\n    to_logfile: no\n    to_syslog: yes\n}\n"
    )


def drbd_resource(half: str, minor: int, hosts: dict[str, str], is_pair: bool) -> str:
    """Return DRBD's definition of a half. hosts: {StorageNode: its storage address}."""
    where = "".join(f"    on {name} {{\n        address {address}:{REPLICATION_PORT + minor};\n    }}\n" for name, address in hosts.items())
    return (
        f"resource {half} {{\n"
        f"    device /dev/drbd{minor};\n"
        f"    disk /dev/bareroot/{half};\n"
        "    meta-disk internal;\n"
        f"{_PAIR if is_pair else ''}"
        f"{where}"
        "}\n"
    )


# A side that loses the other stops writing until the cluster has fenced it. A starved machine answers late, but it answers. While a guest
# writes, DRBD copies no faster than c-min-rate; at its default, 250 KiB/s, a pair under load would not be one for days. With the default of
# c-fill-target, 50 KiB, both copying and comparing wait for the wire most of the time.
_PAIR = (
    "    net {\n        protocol C;\n        ping-timeout 50;\n        verify-alg crc32c;\n    }\n"
    "    disk {\n        fencing resource-and-stonith;\n"
    "        c-min-rate 20M;\n        c-max-rate 200M;\n        c-fill-target 1M;\n    }\n"
    "    handlers {\n"
    '        fence-peer "/usr/lib/bareroot/drbd-fence-peer";\n'
    '        unfence-peer "/usr/lib/drbd/crm-unfence-peer.sh";\n'
    '        after-resync-target "/usr/lib/drbd/crm-unfence-peer.sh";\n'
    "    }\n"
)


def neighbours(cluster: Cluster, name: str) -> str:
    """Return whom a StorageNode asks whether it is cut off from the storage network: a name and an address a line, its peer first."""
    peers = {member.name: member.storage_address for member in cluster.storage_nodes if member.name != name}
    return "".join(f"{name} {address}\n" for name, address in {**peers, **cluster.clients}.items())


def half_mac(site: str, half: str) -> str:
    """Return the MAC of a half's card, which moves with it from one StorageNode to the other.

    site: what is the site's own for ever, such as its CA, so that two sites on one wire differ.
    """
    digest = hashlib.sha256(f"{site} {half}".encode()).digest()
    # Locally administered, one station.
    return ":".join(f"{octet:02x}" for octet in (0x02, *digest[:5]))
