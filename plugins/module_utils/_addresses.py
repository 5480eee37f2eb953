# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node has which address. Pure functions; every ValueError says what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

SMALLEST_PREFIX = 30


def parse_network(text: str, what: str) -> IPv4Network:
    """Read a network in CIDR notation."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{what} {text!r}: {error}; write it as 10.0.0.0/24") from error
    if network.prefixlen > SMALLEST_PREFIX:
        raise ValueError(f"{what} {text!r} has no room for machines; write it as 10.0.0.0/24")
    return network


def is_ipv4(text: str) -> bool:
    """Whether it is an IPv4 address, without a prefix length."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def parse_host(text: str, network: IPv4Network, what: str) -> IPv4Address:
    """Read the address of a host of the network: not the network's own, not broadcast."""
    try:
        address = IPv4Address(text)
    except ValueError as error:
        raise ValueError(f"{what} {text!r} is not an IPv4 address; write it as {network[1]}") from error
    if not network.network_address < address < network.broadcast_address:
        raise ValueError(f"{what} {text} is not a host of {network}; its hosts are {network[1]} to {network[-2]}")
    return address


def parse_range(text: str, network: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """Read "first-last", or an empty string for all hosts of the network."""
    if not text:
        return network[1], network[-2]
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError(f"address range {text!r} has no hyphen; write it as {network[1]}-{network[-2]}")
    low, high = (parse_host(part.strip(), network, f"in the address range {text!r}:") for part in (first, last))
    if low > high:
        raise ValueError(f"address range {text!r} ends before it starts; write it as {high}-{low}")
    return low, high


def allocate(
    nodes: Iterable[tuple[str, str]],
    recorded: dict[str, list[str]],
    address_range: str,
    network: IPv4Network,
    taken: dict[str, str],
) -> dict[str, str]:
    """Give each node an address of the network.

    nodes: (name, given address or an empty string). recorded: all addresses that a node ever had, the latest last, of nodes
    that are gone too; they are never given to another node. taken: {address: who has it} of other machines.
    Returns {name: address}.
    """
    nodes = list(nodes)
    former = {address: name for name, addresses in recorded.items() for address in addresses}
    owners = dict(taken)
    result: dict[str, str] = {}
    for name, given in nodes:
        address = given or (recorded.get(name) or [""])[-1]
        if not address:
            continue
        source = f"address of {name}" if given else f"address that {name} was given before,"
        parse_host(address, network, source)
        if address in owners:
            raise ValueError(f"{source} {address} belongs to {owners[address]}; give {name} another")
        if former.get(address, name) != name:
            raise ValueError(f"{source} {address} was given to {former[address]} before, and addresses are never given again")
        result[name] = address
        owners[address] = name
    free = _free(parse_range(address_range, network), {*owners, *former})
    for name, _given in nodes:
        if name not in result:
            try:
                result[name] = next(free)
            except StopIteration as error:
                raise ValueError(f"no address left for {name} in {address_range or network}: enlarge config_node_address_range") from error
    return result


def _free(bounds: tuple[IPv4Address, IPv4Address], used: set[str]) -> Iterator[str]:
    for number in range(int(bounds[0]), int(bounds[1]) + 1):
        address = str(IPv4Address(number))
        if address not in used:
            yield address


def same_host(address: str, network: IPv4Network, other: IPv4Network) -> IPv4Interface:
    """Return the address with the same host part in another network."""
    number = int(IPv4Address(address)) - int(network.network_address)
    if number >= other.num_addresses - 1:
        raise ValueError(f"{other} is too small for the host part of {address}: make it as large as {network}")
    return IPv4Interface((int(other.network_address) + number, other.prefixlen))
