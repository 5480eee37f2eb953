# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node has which address. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network


def parse_range(text: str, network: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    """Read "first-last", or an empty string for all hosts of the network. Raises ValueError, saying what would be right."""
    if not text:
        return network.network_address + 1, network.broadcast_address - 1
    first, dash, last = text.partition("-")
    try:
        low, high = IPv4Address(first.strip()), IPv4Address(last.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is not a range of addresses, such as {network[1]}-{network[-2]}") from error
    if not dash or low > high or low not in network or high not in network:
        raise ValueError(f"{text!r} is not a range inside {network}, such as {network[1]}-{network[-2]}")
    return low, high


def allocate(
    nodes: Iterable[tuple[str, str]], recorded: dict[str, str], address_range: str, network: IPv4Network, taken: Iterable[str]
) -> dict[str, str]:
    """Give each node an address.

    nodes: (name, given address or an empty string). recorded: the addresses of earlier runs, of nodes that are gone too;
    they are never given to another node. taken: other addresses in use. Returns {name: address}.
    Raises ValueError when a given address is recorded for another node, or none is left.
    """
    nodes = list(nodes)
    owners = {address: name for name, address in recorded.items()}
    result: dict[str, str] = {}
    for name, given in nodes:
        if given:
            if owners.get(given, name) != name:
                raise ValueError(f"{given} of {name} was given to {owners[given]} before, and addresses are never given again")
            result[name] = given
        elif name in recorded:
            result[name] = recorded[name]
    free = _free(parse_range(address_range, network), {*owners, *result.values(), *taken})
    for name, _given in nodes:
        if name not in result:
            try:
                result[name] = next(free)
            except StopIteration as error:
                raise ValueError(f"no address left for {name} in {address_range or network}: enlarge node_address_range") from error
    return result


def _free(bounds: tuple[IPv4Address, IPv4Address], used: set[str]) -> Iterator[str]:
    for number in range(int(bounds[0]), int(bounds[1]) + 1):
        address = str(IPv4Address(number))
        if address not in used:
            yield address


def same_host(address: str, network: IPv4Network, other: IPv4Network) -> IPv4Interface:
    """Return the address with the same host part in another network. Raises ValueError when that network is too small."""
    number = int(IPv4Address(address)) - int(network.network_address)
    if number >= other.num_addresses - 1:
        raise ValueError(f"{other} is too small for the host part of {address}: make it as large as {network}")
    return IPv4Interface((int(other.network_address) + number, other.prefixlen))
