# SPDX-License-Identifier: GPL-3.0-or-later
"""How HardwareNodes and halves know each other by NVMe/TCP, and what volumes are called there. Pure functions.

Each half is a subsystem, whose address moves with its card; each of its volumes is a namespace.
"""

from __future__ import annotations

import base64
import re
import uuid
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Interface

PORT = 4420
KEY_BYTES = 32
# For ever, once a second: what waits is answered when the half is served again, and never fails.
PATIENCE = "ctrl_loss_tmo=-1,reconnect_delay=1,keep_alive_tmo=5"
# A volume's UUID is its address, shelf and slot in six digits each: both sides know it without asking.
DEVICE = re.compile(r"/dev/disk/by-id/nvme-uuid\.b4e50000-0000-8000-8000-([0-9a-f]{6})([0-9a-f]{6})")


@dataclass(frozen=True)
class Host:
    """A HardwareNode. key: what it proves that it knows, 32 bytes in hexadecimal."""

    machine_id: str
    key: str

    @property
    def nqn(self) -> str:
        return _nqn(uuid.UUID(self.machine_id))

    @property
    def secret(self) -> str:
        """The key as both kernels read it, with its checksum, to be used as it is."""
        key = bytes.fromhex(self.key)
        return f"DHHC-1:00:{base64.b64encode(key + zlib.crc32(key).to_bytes(4, 'little')).decode()}:"


@dataclass(frozen=True)
class Fabric:
    """All that are connected. site: what is the site's own for ever, such as its CA. halves: {half: its address}."""

    site: str
    halves: dict[str, IPv4Interface]
    hosts: dict[str, Host]

    def target_files(self) -> dict[str, tuple[int, str]]:
        """Return what a StorageNode reads of it: {path: (permissions, text)}."""
        files = {
            f"etc/bareroot/{half}.nvme": (0o644, f"SUBSYSTEM={self._subsystem(half)}\nADDRESS={address}\nPORT={PORT}\n")
            for half, address in self.halves.items()
        }
        hosts = "".join(f"{host.nqn} {host.secret}\n" for _name, host in sorted(self.hosts.items()))
        return {**files, "etc/bareroot/nvme-hosts": (0o600, hosts)}

    def host_files(self, name: str) -> dict[str, tuple[int, str]]:
        """Return what a HardwareNode hands to its kernel to be connected: {path: (permissions, text)}."""
        host = self.hosts[name]
        identity = f"hostnqn={host.nqn},hostid={uuid.UUID(host.machine_id)},dhchap_secret={host.secret}"
        return {
            f"etc/bareroot/{half}.nvme": (
                0o600,
                f"transport=tcp,traddr={address.ip},trsvcid={PORT},nqn={self._subsystem(half)},{identity},{PATIENCE}\n",
            )
            for half, address in self.halves.items()
        }

    def _subsystem(self, half: str) -> str:
        return _nqn(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.site} {half}"))


def _nqn(identity: uuid.UUID) -> str:
    return f"nqn.2014-08.org.nvmexpress:uuid:{identity}"


def address_of(device: str) -> str:
    """Return the shelf.slot of a volume's device on a HardwareNode; an empty string where it is no volume by NVMe/TCP."""
    match = DEVICE.fullmatch(device)
    return f"{int(match[1], 16)}.{int(match[2], 16)}" if match else ""
