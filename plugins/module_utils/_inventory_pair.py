# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a pair of StorageNodes, and with the BMCs by which it is fenced. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from . import _addresses, _names
from ._inventory_instances import number
from ._mistakes import Mistake
from ._timers import LEAST_TOKEN, MOST_TOKEN

PAIR = 2
# What the role storage_node gives who says nothing.
IMAGES_SIZE = "8G"
# IPMI 2.0 has the cipher suites 0 to 17.
CIPHER = re.compile(r"[0-9]|1[0-7]")
BMC_NETWORK = "config_node_bmc_network"
Variables = Mapping[str, Any]


def find(machines: list[str], hosts: Mapping[str, Variables], groups: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """Yield all mistakes."""
    config_nodes, storage_nodes = groups.get("config_nodes", []), groups.get("storage_nodes", [])
    if len(storage_nodes) > PAIR:
        problem = f"has {len(storage_nodes)} machines, but there is one StorageNode or a pair; leave two there, such as sn1 and sn2"
        yield Mistake("all", "group storage_nodes", problem)
    elif len(storage_nodes) == PAIR:
        yield from _fencing([*config_nodes, *storage_nodes], hosts)
        yield from _alike(storage_nodes, hosts)
    for name in machines:
        yield from _cipher(name, hosts[name])
    if config_nodes:
        settings = hosts[config_nodes[0]]
        yield from _network(settings, machines, hosts)
        yield from _token(settings)


def _fencing(voters: list[str], hosts: Mapping[str, Variables]) -> Iterator[Mistake]:
    for name in dict.fromkeys(voters):
        if hosts[name].get("node_bmc_address") in (None, ""):
            problem = (
                "is missing, and a pair without fencing is refused: nobody could tell a StorageNode that is dead from one that is only "
                "silent and still writes; write the address of its BMC, such as 10.3.0.11, or have one StorageNode"
            )
            yield Mistake(name, "node_bmc_address", problem)


def _alike(pair: list[str], hosts: Mapping[str, Variables]) -> Iterator[Mistake]:
    first, second = pair
    with_card = [name for name in pair if hosts[name].get("node_storage_mac")]
    if len(with_card) == 1:
        without = second if with_card == [first] else first
        problem = f"is missing, but {with_card[0]} has one, and a pair replicates over one network; give both one, or neither"
        yield Mistake(without, "node_storage_mac", problem)
    sizes = [str(hosts[name].get("storage_node_images_size") or IMAGES_SIZE) for name in pair]
    if sizes[0] != sizes[1]:
        problem = (
            f"{sizes[1]} here and {sizes[0]} on {first}, but a pair needs equal ones, so that the halves are of one size; "
            "set it once, in group_vars/storage_nodes.yml"
        )
        yield Mistake(second, "storage_node_images_size", problem)


def _cipher(name: str, variables: Variables) -> Iterator[Mistake]:
    value = variables.get("node_bmc_cipher")
    if value not in (None, "") and not _names.matches(CIPHER, str(value)):
        yield Mistake(name, "node_bmc_cipher", f"{value!r} is no cipher suite of IPMI 2.0; write a number from 0 to 17, such as '3'")


def _token(settings: Variables) -> Iterator[Mistake]:
    value = number(settings.get("config_node_cluster_token"))
    if value is not None and not LEAST_TOKEN <= value <= MOST_TOKEN:
        problem = f"{value} ms is not between {LEAST_TOKEN} and {MOST_TOKEN}; write a number such as 10000"
        yield Mistake("all", "config_node_cluster_token", problem)


def _network(settings: Variables, machines: list[str], hosts: Mapping[str, Variables]) -> Iterator[Mistake]:
    value = settings.get(BMC_NETWORK)
    if not value:
        for name in machines:
            if hosts[name].get("node_bmc_network_mac"):
                yield Mistake(name, "node_bmc_network_mac", f"is set, but there is no {BMC_NETWORK}; write one such as 10.3.0.0/24")
        return
    try:
        network = _addresses.parse_network(str(value), "network")
    except ValueError as error:
        yield Mistake("all", BMC_NETWORK, str(error))
        return
    boot = _readable(settings.get("config_node_boot_network"))
    if boot and network.num_addresses < boot.num_addresses:
        problem = f"{network} is smaller than the boot network {boot}, whose host parts it repeats; make it as large"
        yield Mistake("all", BMC_NETWORK, problem)
    for other, what in ((boot, "boot"), (_readable(settings.get("config_node_storage_network")), "storage")):
        if other and network.overlaps(other):
            problem = f"{network} overlaps the {what} network {other}; give the BMCs a network of their own, such as 10.3.0.0/24"
            yield Mistake("all", BMC_NETWORK, problem)


def _readable(value: Any) -> IPv4Network | None:
    """Return a network, or None where it is not set or wrong, which is reported elsewhere."""
    try:
        return _addresses.parse_network(str(value), "network")
    except ValueError:
        return None
