# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the instances of an inventory. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from . import _names, _volumes, _xen_host
from ._mistakes import Mistake, attempt

LEAST_MEMORY = 64
# What xl puts after the names of the two copies of a guest that is migrated.
COPIES = (_xen_host.ARRIVING, _xen_host.LEAVING)
Variables = Mapping[str, Any]


def find(hosts: Mapping[str, Variables], groups: Mapping[str, list[str]], own_networks: list[IPv4Network]) -> Iterator[Mistake]:
    """Yield all mistakes. own_networks: the boot and storage networks, which instances are kept off."""
    instances = groups.get("instances", [])
    for group, what in (("storage_nodes", "volumes"), ("hardware_nodes", "a place to run")):
        if instances and not groups.get(group):
            yield Mistake("all", f"group {group}", f"is empty, and instances need {what}; put a machine there, or have no instances")
    for name in instances:
        yield from _name(name)
        yield from _numbers(name, hosts[name])
        yield from _texts(name, hosts[name], groups.get("hardware_nodes", []))
        yield from _network(name, hosts[name], own_networks)
        yield from _keys(name, hosts[name])
    yield from _shared(
        "instance_mac", "MAC", instances, {name: _names.normal_mac(_text(hosts[name], "instance_mac")) for name in instances}
    )
    addresses = {name: _text(hosts[name], "instance_address").split("/")[0] for name in instances}
    yield from _shared("instance_address", "address", instances, addresses)


def _text(variables: Variables, variable: str) -> str:
    value = variables.get(variable)
    return "" if value is None else str(value)


def _name(name: str) -> Iterator[Mistake]:
    # A volume is called after it, with -root or -seed at the end.
    if (
        not _names.matches(_names.HOST, name)
        or not _names.matches(_volumes.NAME, f"{name}-root")
        or name in _names.RESERVED_HOSTS
        or name.endswith(COPIES)
    ):
        yield Mistake(
            name, "host name", f"{name!r} cannot be used; use up to 58 lower-case letters, digits and inner hyphens, such as web1"
        )


def _numbers(name: str, variables: Variables) -> Iterator[Mistake]:
    for variable, least, unit in (("instance_memory", LEAST_MEMORY, " MiB"), ("instance_vcpus", 1, "")):
        value = variables.get(variable)
        if isinstance(value, int) and value < least:
            yield Mistake(name, variable, f"{value}{unit} is too little; give it {least}{unit} or more")


def _texts(name: str, variables: Variables, nodes: list[str]) -> Iterator[Mistake]:
    node = _text(variables, "instance_node")
    if node and node not in nodes:
        yield Mistake(name, "instance_node", f"{node} is no HardwareNode; these are: {', '.join(nodes) or 'none'}")
    size = _text(variables, "instance_disk_size")
    if size:
        yield from attempt(name, "instance_disk_size", _volumes.parse_size, size)
    template = _text(variables, "instance_template")
    if template and not _names.matches(_names.KIND, template) and not _names.matches(_names.IMAGE, template):
        yield Mistake(
            name, "instance_template", f"{template!r} is no template; write debian, or an image's name such as debian-0123456789abcdef"
        )
    mac = _text(variables, "instance_mac")
    if mac and not _names.matches(_names.MAC, _names.normal_mac(mac)):
        yield Mistake(name, "instance_mac", f"{mac!r} is no MAC; write it as '00:16:3e:12:34:56', in quotes")


def _network(name: str, variables: Variables, own_networks: list[IPv4Network]) -> Iterator[Mistake]:
    address, gateway = _text(variables, "instance_address"), _text(variables, "instance_gateway")
    network = None
    if address:
        try:
            network = _interface(address).network
        except ValueError as error:
            yield Mistake(name, "instance_address", str(error))
    for own in own_networks:
        if network and network.overlaps(own):
            yield Mistake(
                name,
                "instance_address",
                f"{address} lies in {own}, which instances are kept off; give the instances a network of their own",
            )
    if gateway and (not _is_address(gateway) or (network and IPv4Address(gateway) not in network)):
        yield Mistake(
            name, "instance_gateway", f"{gateway!r} is no address of {network or 'the instance network'}; write one such as 10.2.0.1"
        )
    servers = variables.get("instance_nameservers") or []
    for server in servers if isinstance(servers, list) else []:
        if not _is_address(str(server)):
            yield Mistake(name, "instance_nameservers", f"{server!r} is no IPv4 address; write a list such as [10.2.0.1]")


def _interface(text: str) -> IPv4Interface:
    example = "write it as 10.2.0.10/24"
    if "/" not in text:
        raise ValueError(f"{text!r} has no prefix length; {example}")
    try:
        interface = IPv4Interface(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address with a prefix length; {example}") from error
    if not interface.network.network_address < interface.ip < interface.network.broadcast_address:
        raise ValueError(f"{text} is no host of its network; {example}")
    return interface


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def _keys(name: str, variables: Variables) -> Iterator[Mistake]:
    value = variables.get("instance_authorized_keys") or []
    keys = [str(key).strip() for key in (value if isinstance(value, list) else [value])]
    if not any(keys):
        yield Mistake(name, "instance_authorized_keys", "is empty, so nobody could log in; give keys such as 'ssh-ed25519 AAAA... admin'")
    elif any("\n" in key for key in keys):
        yield Mistake(name, "instance_authorized_keys", "has a line break inside a key; write a list, one key an entry")


def _shared(variable: str, what: str, instances: list[str], values: Mapping[str, str]) -> Iterator[Mistake]:
    owners: dict[str, str] = {}
    for name in instances:
        value = values[name]
        if value and owners.setdefault(value, name) != name:
            yield Mistake(name, variable, f"{what} {value} belongs to {owners[value]} already; give {name} another")
