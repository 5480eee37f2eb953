# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ConfigNode serves for one node: DHCP line, iPXE script, Xen's configuration. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Interface

from ._cluster import Cluster

# In MiB. With less, dom0 does not come up, whatever the machine.
LEAST_DOM0_MEMORY = 512


@dataclass(frozen=True)
class Image:
    """A published image."""

    name: str
    root_sha256: str
    root_size: int
    has_xen: bool
    # Under which StorageNodes export it, "shelf.slot"; empty where none does.
    aoe: str = ""


@dataclass(frozen=True)
class Node:
    """A machine that boots from the ConfigNode, with everything allocated."""

    name: str
    role: str
    mac: str
    address: IPv4Interface
    server: str
    image: Image
    root: str
    dom0_memory: int = 0
    storage_mac: str = ""
    storage_address: IPv4Interface | None = None
    storage_mtu: int = 1500
    # The StorageNode that exports root images by NFS.
    nfs_server: str = ""
    instance_mac: str = ""
    # The card with which a StorageNode reaches the BMCs.
    bmc_mac: str = ""
    bmc_address: IPv4Interface | None = None
    # What a StorageNode of a pair is a member of.
    cluster: Cluster | None = None
    authorized_keys: tuple[str, ...] = field(default=())

    @property
    def is_storage(self) -> bool:
        return self.role == "storage"

    @property
    def file_stem(self) -> str:
        """The MAC as iPXE writes it for file names."""
        return self.mac.replace(":", "-")


def dhcp_host(node: Node) -> str:
    """Return dnsmasq's dhcp-host line, without the option's name."""
    return f"{node.mac},{node.address.ip},{node.name},infinite"


def ssh_config(nodes: list[Node], directory: str) -> str:
    """Return the configuration with which the ConfigNode's own ssh reaches the nodes by name. directory: where its key is.

    One connection serves what is run there within 120 s: a new one takes a busy node longer than most that is run. One that lost its node
    is gone after 30 s, before a node can have booted again.
    """
    hosts = "".join(f"Host {node.name}\n    HostName {node.address.ip}\n    HostKeyAlias {node.name}\n" for node in nodes)
    return (
        f"{hosts}Host *\n    User root\n    BatchMode yes\n    ConnectTimeout 5\n    ServerAliveInterval 5\n    ServerAliveCountMax 6\n"
        "    ControlMaster auto\n    ControlPath /run/bareroot-%C\n    ControlPersist 120\n"
        f"    IdentitiesOnly yes\n    IdentityFile {directory}/key\n    CertificateFile {directory}/key-cert.pub\n"
        f"    UserKnownHostsFile {directory}/known_hosts\n    StrictHostKeyChecking yes\n    LogLevel ERROR\n"
    )


def linux_arguments(node: Node) -> str:
    """Return the kernel command line that scripts/bareroot of the initramfs reads."""
    sources = {"ram": "", "aoe": f"bareroot.aoe={node.image.aoe} ", "nfs": f"bareroot.nfs={node.nfs_server} "}
    consoles = "console=hvc0" if node.image.has_xen else "console=tty0 console=ttyS0,115200"
    return (
        f"boot=bareroot bareroot.nic={node.mac} bareroot.address={node.address} bareroot.server={node.server} "
        f"bareroot.image={node.image.name} bareroot.digest={node.image.root_sha256} bareroot.root={node.root} "
        f"{sources[node.root]}{consoles} panic=30"
    )


def xen_arguments(node: Node) -> str:
    """Return Xen's command line: dom0's memory is fixed, so that the rest is the instances'."""
    return f"dom0_mem={node.dom0_memory}M,max:{node.dom0_memory}M console=com1,vga com1=115200,8n1"


def xen_cfg(node: Node) -> str:
    """Return what xen.efi reads instead of a command line."""
    return f"[global]\ndefault=dom0\n\n[dom0]\noptions={xen_arguments(node)}\nkernel=vmlinuz {linux_arguments(node)}\nramdisk=initrd\n"


def ipxe_script(node: Node) -> str:
    """Return the script that boots the node. It tries for ever and says what it waits for."""
    image = f"http://{node.server}/images/{node.image.name}"
    boot = _xen_commands(node) if node.image.has_xen else _linux_commands(node)
    return (
        f"#!ipxe\n# {node.name}\n"
        f"set image {image}\n"
        f":start\necho bareroot: {node.name} boots ${{image}}\n"
        f"{boot}"
        ":retry\necho bareroot: waiting for ${image}\nimgfree\nsleep 5\ngoto start\n"
    )


def _linux_commands(node: Node) -> str:
    return (
        f"kernel ${{image}}/vmlinuz initrd=initrd {linux_arguments(node)} || goto retry\n"
        "initrd --name initrd ${image}/initrd || goto retry\n"
        "boot || goto retry\n"
    )


def _xen_commands(node: Node) -> str:
    return (
        "goto ${platform}\n"
        ":pcbios\n"
        f"kernel ${{image}}/xen {xen_arguments(node)} || goto retry\n"
        f"module ${{image}}/vmlinuz {linux_arguments(node)} || goto retry\n"
        "module ${image}/initrd || goto retry\n"
        "boot || goto retry\n"
        "goto retry\n"
        # xen.efi finds the downloaded files by their names.
        ":efi\n"
        "kernel ${image}/xen.efi -cfg=xen.cfg || goto retry\n"
        f"initrd --name xen.cfg http://{node.server}/boot/{node.file_stem}.cfg || goto retry\n"
        "initrd --name vmlinuz ${image}/vmlinuz || goto retry\n"
        "initrd --name initrd ${image}/initrd || goto retry\n"
        "boot || goto retry\n"
    )
