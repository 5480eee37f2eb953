# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the instances of an inventory. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from ansible.module_utils.common.validation import check_type_int, check_type_list

from . import _addresses, _names, _volumes, _xen_host
from ._mistakes import Mistake, attempt

# What xl puts after the names of the two copies of a guest that is migrated.
COPIES = (_xen_host.ARRIVING, _xen_host.LEAVING)
# LVM keeps names that begin so to itself.
LVM_PREFIXES = ("pvmove", "snapshot")
CARDS = ("node_mac", "node_storage_mac", "node_instance_mac", "node_bmc_network_mac")
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
    macs = {name: _names.normal_mac(_text(hosts[name], "instance_mac")) for name in instances}
    machines = [name for name in hosts if name not in macs]
    cards = {_names.normal_mac(_text(hosts[name], card)): name for name in machines for card in CARDS}
    yield from _shared("instance_mac", "MAC", {name: mac for name, mac in macs.items() if _names.matches(_names.MAC, mac)}, cards)
    addresses = {name: _text(hosts[name], "instance_address").partition("/")[0] for name in instances}
    readable = {name: address for name, address in addresses.items() if _addresses.is_ipv4(address)}
    yield from _shared("instance_address", "address", readable, {})


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
        or name.startswith(LVM_PREFIXES)
    ):
        yield Mistake(
            name, "host name", f"{name!r} cannot be used; use up to 58 lower-case letters, digits and inner hyphens, such as web1"
        )


def _numbers(name: str, variables: Variables) -> Iterator[Mistake]:
    for variable, least, unit in (("instance_memory", _xen_host.LEAST_MEMORY, " MiB"), ("instance_vcpus", 1, "")):
        value = number(variables.get(variable))
        if value is not None and value < least:
            yield Mistake(name, variable, f"{value}{unit} is too little; give it {least}{unit} or more")


def number(value: Any) -> int | None:
    """Return the number that modules take a value for, such as "512" of the command line; None where they refuse it."""
    try:
        return None if value is None else check_type_int(value)
    except (TypeError, OverflowError):
        return None


def _list(value: Any) -> list[Any]:
    """Return the list that modules take a value for, such as "10.2.0.1,10.2.0.2"; an empty one where they refuse it."""
    try:
        return [] if value is None else check_type_list(value)
    except TypeError:
        return []


def _texts(name: str, variables: Variables, nodes: list[str]) -> Iterator[Mistake]:
    node = _text(variables, "instance_node")
    if node and node not in nodes:
        yield Mistake(name, "instance_node", f"{node!r} is no HardwareNode; these are: {', '.join(nodes) or 'none'}")
    size = _text(variables, "instance_disk_size")
    if size:
        yield from attempt(name, "instance_disk_size", _volumes.parse_size, size)
    template = variables.get("instance_template")
    if template is not None and not _names.matches(_names.KIND, template) and not _names.matches(_names.IMAGE, template):
        yield Mistake(
            name, "instance_template", f"{template!r} is no template; write debian, or an image's name such as debian-0123456789abcdef"
        )
    mac = _text(variables, "instance_mac")
    if mac and not _names.matches(_names.MAC, _names.normal_mac(mac)):
        yield Mistake(name, "instance_mac", f"{mac!r} is no MAC; write it as '00:16:3e:12:34:56', in quotes")


def _network(name: str, variables: Variables, own_networks: list[IPv4Network]) -> Iterator[Mistake]:
    address, gateway = _text(variables, "instance_address"), _text(variables, "instance_gateway")
    interface = None
    if address:
        try:
            interface = _interface(address)
        except ValueError as error:
            yield Mistake(name, "instance_address", str(error))
    for own in own_networks:
        if interface and interface.network.overlaps(own):
            yield Mistake(
                name,
                "instance_address",
                f"{address} lies in {own}, which instances are kept off; give the instances a network of their own",
            )
    if gateway and not _is_gateway(gateway, interface):
        where = interface.network if interface else "the instance network"
        yield Mistake(name, "instance_gateway", f"{gateway!r} is no other host of {where}; write one such as 10.2.0.1")
    for server in _list(variables.get("instance_nameservers")):
        if not _addresses.is_ipv4(str(server)):
            yield Mistake(name, "instance_nameservers", f"{server!r} is no IPv4 address; write a list such as [10.2.0.1]")


def _interface(text: str) -> IPv4Interface:
    example = "write it as 10.2.0.10/24"
    if "/" not in text:
        raise ValueError(f"{text!r} has no prefix length; {example}")
    try:
        interface = IPv4Interface(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address with a prefix length; {example}") from error
    if interface.with_prefixlen != text:
        raise ValueError(f"{text!r} has no prefix length such as 24 after the slash; {example}")
    if not _is_host(interface.ip, interface.network):
        raise ValueError(f"{text} is no host of its network; {example}")
    return interface


def _is_host(address: IPv4Address, network: IPv4Network) -> bool:
    return network.network_address < address < network.broadcast_address


def _is_gateway(text: str, interface: IPv4Interface | None) -> bool:
    """Whether an instance with that address can reach others through it. interface: None where the address is not known."""
    if not _addresses.is_ipv4(text):
        return False
    gateway = IPv4Address(text)
    return interface is None or (gateway != interface.ip and _is_host(gateway, interface.network))


def _keys(name: str, variables: Variables) -> Iterator[Mistake]:
    keys = ["" if key is None else str(key).strip() for key in _list(variables.get("instance_authorized_keys"))]
    if not any(keys):
        yield Mistake(name, "instance_authorized_keys", "is empty, so nobody could log in; give keys such as 'ssh-ed25519 AAAA... admin'")
    elif any("\n" in key for key in keys):
        yield Mistake(name, "instance_authorized_keys", "has a line break inside a key; write a list, one key an entry")


def _shared(variable: str, what: str, values: Mapping[str, str], taken: Mapping[str, str]) -> Iterator[Mistake]:
    """Report what two have. values: {instance: its value}. taken: {value: which machine has it}."""
    owners = dict(taken)
    for name, value in values.items():
        if owners.setdefault(value, name) != name:
            yield Mistake(name, variable, f"{what} {value} belongs to {owners[value]} already; give {name} another")
