# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong in an inventory: every mistake at once, before anything is touched. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from . import _addresses, _inventory_bmc, _inventory_instances, _inventory_memory, _inventory_pair, _names
from ._mistakes import Mistake, attempt
from ._storage_layout import MOST_DISKS

NODE_GROUPS = ("config_nodes", "storage_nodes", "hardware_nodes")
BOOTED_GROUPS = NODE_GROUPS[1:]
# A host is in one of them.
HOST_GROUPS = (*NODE_GROUPS, "instances")
# What machines of a group boot.
IMAGE_KINDS = {"storage_nodes": "storage", "hardware_nodes": "xen"}
# Groups that every host may be in, by Ansible itself.
ANSIBLE_GROUPS = ("all", "ungrouped")
# What only one machine can have: who sets it means a machine of bareroot's. All other variables may be set for the group `all`, and
# then any host has them, one that is none of our business too.
PER_MACHINE = (*_inventory_instances.CARDS, "node_address", "node_bmc_address", "storage_node_disks", "instance_mac", "instance_address")
# {variable: what its value must look like, and what is wrong otherwise}. They end up in lines of other programs' configuration. A
# proxy's URL may hold a password, so that no value is shown.
TEXTS = {
    "cluster_alert_command": (
        re.compile(r"(?:/[A-Za-z0-9._+-]+)*"),
        "is no program; write its absolute path alone, such as /usr/local/bin/page",
    ),
    "config_node_log_size": (
        re.compile(r"[1-9][0-9]*(?:\.[0-9]+)?[KMGTPE]"),
        "is no size; write a number and K, M, G or T, such as 2G",
    ),
    "node_image_apt_proxy": (
        re.compile(r"(?:http://(?:[\w.~%:+-]+@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?)?", re.ASCII),
        "is no http URL of one line; write one such as http://cache.example:3142",
    ),
}
# How many hosts that share a mistake are named.
MOST_NAMED = 3
# {variable: what is wrong with this value, or an empty string}
Checks = Mapping[str, Callable[[Any], str]]


def lines(mistakes: list[Mistake]) -> list[str]:
    """Return one line a mistake; hosts with the same one, such as a group's, share a line."""
    hosts: dict[tuple[str, str], dict[str, None]] = {}
    for mistake in mistakes:
        hosts.setdefault((mistake.variable, mistake.problem), {})[mistake.host] = None
    return [f"{_named(list(names))}: {variable}: {problem}" for (variable, problem), names in hosts.items()]


def _named(hosts: list[str]) -> str:
    if len(hosts) <= MOST_NAMED:
        return ", ".join(hosts)
    return f"{', '.join(hosts[:MOST_NAMED])} and {len(hosts) - MOST_NAMED} more"


def find(hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]], checks: Checks) -> list[Mistake]:
    """Return all mistakes of an inventory.

    hosts: {name: its variables}. groups: {name: its hosts}. checks: for each variable that a role knows, what tells whether its
    value is of the right type and among the choices.
    """
    booted = list(dict.fromkeys(name for group in BOOTED_GROUPS for name in groups.get(group, [])))
    machines = list(dict.fromkeys([*groups.get("config_nodes", []), *booted]))
    return [
        *_groups(groups),
        *_strays(hosts, groups),
        *(mistake for name in machines for mistake in _name(name)),
        *(mistake for name, variables in hosts.items() for mistake in _variables(name, variables, checks)),
        *(mistake for name, variables in hosts.items() for mistake in _texts(name, variables)),
        *_macs(machines, set(booted), hosts),
        *_inventory_bmc.find(machines, hosts),
        *_inventory_pair.find(machines, hosts, groups),
        *_networks(machines, hosts, groups),
        *_roots(hosts, groups),
        *(mistake for name in booted for mistake in _keys(name, hosts[name])),
        *(mistake for name in groups.get("storage_nodes", []) for mistake in _disks(name, hosts[name])),
        *(mistake for group, kind in IMAGE_KINDS.items() for name in groups.get(group, []) for mistake in _pin(name, hosts[name], kind)),
        *_inventory_instances.find(hosts, groups, _own_networks(hosts, groups)),
        *_inventory_memory.find(hosts, groups),
    ]


def _own_networks(hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> list[IPv4Network]:
    """Return the boot and storage networks, as far as they can be read."""
    settings = hosts[groups["config_nodes"][0]] if groups.get("config_nodes") else {}
    given = [_network(settings.get(variable), variable)[0] for variable in ("config_node_boot_network", "config_node_storage_network")]
    return [network for network in given if network]


def _groups(groups: Mapping[str, list[str]]) -> Iterator[Mistake]:
    if not groups.get("config_nodes"):
        yield Mistake("all", "group config_nodes", "is empty; put the Debian 13 machine there that all others boot from, such as cn1")
    owners: dict[str, str] = {}
    for group in HOST_GROUPS:
        for name in groups.get(group, []):
            if name in owners:
                yield Mistake(name, "groups", f"is in {owners[name]} and in {group}; a machine is one of them")
            owners.setdefault(name, group)


def _strays(hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """Report machines in none of our groups, such as those of a group whose name is mistyped."""
    ours = {name for group in HOST_GROUPS for name in groups.get(group, [])}
    strays = {name: variable for name, variables in hosts.items() if name not in ours and (variable := _means_a_machine(variables))}
    theirs: dict[str, list[str]] = {name: [] for name in strays}
    for group, names in groups.items():
        for name in names if group not in ANSIBLE_GROUPS else ():
            if name in theirs:
                theirs[name].append(group)
    right = f"put it into {', '.join(HOST_GROUPS[:-1])} or {HOST_GROUPS[-1]}"
    for name, variable in strays.items():
        where = f"only in {', '.join(theirs[name])}" if theirs[name] else "in no group"
        yield Mistake(name, "groups", f"is {where}, but has {variable}, so it is a machine of bareroot's; {right}")


def _means_a_machine(variables: Mapping[str, Any]) -> str:
    return next((variable for variable in PER_MACHINE if variables.get(variable) not in (None, "", [])), "")


def _name(name: str) -> Iterator[Mistake]:
    if not _names.matches(_names.HOST, name) or name in _names.RESERVED_HOSTS:
        yield Mistake(name, "host name", f"{name!r} cannot be used; use lower-case letters, digits and inner hyphens, such as hn1")


def _variables(name: str, variables: Mapping[str, Any], checks: Checks) -> Iterator[Mistake]:
    for variable, value in variables.items():
        if variable not in checks:
            yield Mistake(
                name, variable, f"is no variable of bareroot{_similar(variable, checks)}; docs/inventory-reference.md lists them all"
            )
            continue
        # Set to nothing is not set.
        problem = "" if value is None else checks[variable](value)
        if problem:
            yield Mistake(name, variable, problem)


def _texts(name: str, variables: Mapping[str, Any]) -> Iterator[Mistake]:
    for variable, (pattern, problem) in TEXTS.items():
        value = variables.get(variable)
        if value is not None and not _names.matches(pattern, value):
            yield Mistake(name, variable, problem)


def _similar(variable: str, checks: Checks) -> str:
    parts = set(variable.split("_"))
    best = max(checks, key=lambda known: len(parts & set(known.split("_"))), default="")
    return f"; did you mean {best}" if len(parts & set(best.split("_"))) > 1 else ""


def _macs(machines: list[str], booted: set[str], hosts: Mapping[str, Mapping[str, Any]]) -> Iterator[Mistake]:
    """Report MACs that are missing, none, or of two. booted: which machines must have one to boot from."""
    owners: dict[str, str] = {}
    for name in machines:
        for variable in _inventory_instances.CARDS:
            value = hosts[name].get(variable)
            if not value:
                if variable == "node_mac" and name in booted:
                    yield Mistake(name, variable, "is missing; write it as '52:54:00:12:34:56'")
                continue
            mac = _names.normal_mac(str(value))
            if not _names.matches(_names.MAC, mac):
                yield Mistake(name, variable, f"{value!r} is no MAC; write it as '52:54:00:12:34:56', in quotes")
            elif mac in owners:
                yield Mistake(name, variable, f"{mac} belongs to {owners[mac]} already; each card has a MAC of its own")
            owners.setdefault(mac, name)


def _networks(machines: list[str], hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """Networks, the range, and the addresses in them; what depends on a network that is wrong is not looked at."""
    if not groups.get("config_nodes"):
        return
    settings = hosts[groups["config_nodes"][0]]
    boot, problem = _network(settings.get("config_node_boot_network"), "config_node_boot_network")
    yield from problem
    yield from _storage_network(settings.get("config_node_storage_network"), boot, machines, hosts)
    if boot is None:
        return
    addresses = str(settings.get("config_node_address_range") or "")
    yield from attempt("all", "config_node_address_range", _addresses.parse_range, addresses, boot)
    owners: dict[str, str] = {}
    for name in machines:
        address = str(hosts[name].get("node_address") or "")
        if not address:
            if name in groups["config_nodes"]:
                yield Mistake(name, "node_address", f"is missing; a ConfigNode has an address of its own, such as {boot[1]}")
            continue
        yield from attempt(name, "node_address", _addresses.parse_host, address, boot, "address")
        if address in owners:
            yield Mistake(name, "node_address", f"{address} belongs to {owners[address]} already; give {name} another")
        owners.setdefault(address, name)


def _storage_network(
    value: Any, boot: IPv4Network | None, machines: list[str], hosts: Mapping[str, Mapping[str, Any]]
) -> Iterator[Mistake]:
    variable = "config_node_storage_network"
    if not value:
        for name in machines:
            if hosts[name].get("node_storage_mac"):
                yield Mistake(name, "node_storage_mac", f"is set, but there is no {variable}; write one such as 10.1.0.0/24")
        return
    storage, problem = _network(value, variable)
    yield from problem
    if storage and boot and storage.num_addresses < boot.num_addresses:
        yield Mistake("all", variable, f"{storage} is smaller than the boot network {boot}, whose host parts it repeats; make it as large")


def _network(value: Any, variable: str) -> tuple[IPv4Network | None, list[Mistake]]:
    if not value:
        return None, [Mistake("all", variable, "is missing; write it as 10.0.0.0/24")]
    try:
        return _addresses.parse_network(str(value), "network"), []
    except ValueError as error:
        return None, [Mistake("all", variable, str(error))]


def _roots(hosts: Mapping[str, Mapping[str, Any]], groups: Mapping[str, list[str]]) -> Iterator[Mistake]:
    storage_nodes = groups.get("storage_nodes", [])
    for name in groups.get("hardware_nodes", []):
        root = hosts[name].get("hardware_node_root") or "aoe"
        if root == "ram":
            continue
        if not storage_nodes:
            yield Mistake(name, "hardware_node_root", f"{root} needs a StorageNode, and storage_nodes is empty; use ram")
        elif bool(hosts[storage_nodes[0]].get("node_storage_mac")) != bool(hosts[name].get("node_storage_mac")):
            problem = (
                f"only one of {name} and {storage_nodes[0]} has one, and the root ({root}) comes from there; give both one, or neither"
            )
            yield Mistake(name, "node_storage_mac", problem)


def _keys(name: str, variables: Mapping[str, Any]) -> Iterator[Mistake]:
    value = variables.get("node_authorized_keys") or []
    keys = [str(key).strip() for key in (value if isinstance(value, list) else [value])]
    if not any(keys):
        yield Mistake(name, "node_authorized_keys", "is empty, so nobody could log in; give keys such as 'ssh-ed25519 AAAA... admin'")
    elif any("\n" in key for key in keys):
        yield Mistake(name, "node_authorized_keys", "has a line break inside a key; write a list, one key an entry")


def _disks(name: str, variables: Mapping[str, Any]) -> Iterator[Mistake]:
    disks = variables.get("storage_node_disks") or []
    if not isinstance(disks, list) or not 1 <= len(disks) <= MOST_DISKS:
        yield Mistake(
            name,
            "storage_node_disks",
            "names no disks, or more than two; write [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]",
        )


def _pin(name: str, variables: Mapping[str, Any], kind: str) -> Iterator[Mistake]:
    pin = variables.get("node_image_pin")
    if pin and not (_names.matches(_names.IMAGE, pin) and pin.startswith(f"{kind}-")):
        yield Mistake(name, "node_image_pin", f"{pin!r} is no {kind} image's name; write one such as {kind}-0123456789abcdef")
