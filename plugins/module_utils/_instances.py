# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instance runs where, and whether one may be started. Pure functions over what the HardwareNodes say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ._xen_host import ARRIVING, LEAVING, Domain, Host


@dataclass(frozen=True)
class View:
    """What is known of all HardwareNodes. silent: {node: why it did not answer}. addresses: {instance: its own}."""

    hosts: dict[str, Host]
    silent: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def copies(self, instance: str) -> dict[str, list[Domain]]:
        """Return all domains that are this instance, by node, those of a migration under way or broken included."""
        names = (instance, f"{instance}{ARRIVING}", f"{instance}{LEAVING}")
        found = {node: [host.domains[name] for name in names if name in host.domains] for node, host in self.hosts.items()}
        return {node: domains for node, domains in found.items() if domains}

    def node_of(self, instance: str) -> str:
        """Return the node where it runs; an empty string where none does."""
        return next((node for node, host in self.hosts.items() if instance in host.domains), "")


def instance_of(name: str) -> str:
    """Return which instance a domain is, be it a copy that arrives or leaves."""
    return name.removesuffix(ARRIVING).removesuffix(LEAVING)


def describe(view: View, name: str, node: str) -> dict[str, Any]:
    """Return what modules return of an instance, or of one copy of it. node: empty where it does not run."""
    address = view.addresses.get(instance_of(name), "")
    if not node:
        nothing = {"memory": 0, "vcpus": 0, "uuid": "", "type": "", "mac": "", "volumes": []}
        return {"name": name, "state": "stopped", "node": "", "address": address, **nothing}
    domain = view.hosts[node].domains[name]
    state = "crashed" if "c" in domain.state else "paused" if domain.is_paused else "stopping" if domain.is_down else "running"
    return {
        "name": name,
        "state": state,
        "node": node,
        "address": address,
        "memory": domain.memory,
        "vcpus": domain.vcpus,
        "uuid": domain.uuid,
        "type": domain.type,
        "mac": domain.mac,
        "volumes": list(domain.volumes),
    }


def describe_all(view: View) -> list[dict[str, Any]]:
    """Return all that runs anywhere, ordered by name and node."""
    found = [describe(view, name, node) for node, host in view.hosts.items() for name in host.domains]
    return sorted(found, key=lambda instance: (instance["name"], instance["node"]))


def obstacle(instance: dict[str, Any], view: View, dead: Iterable[str]) -> str:
    """Return why an instance may not be started on its node now; an empty string where it may.

    instance: name, node, memory (MiB), bridge of the module `instance`. dead: nodes that the caller vouches are switched off.
    """
    return _elsewhere(instance["name"], view) or _unknown(instance, view, dead) or _unfit(instance, view.hosts[instance["node"]])


def _elsewhere(name: str, view: View) -> str:
    elsewhere = {place: [domain.name for domain in domains] for place, domains in view.copies(name).items()}
    places = "; ".join(f"{', '.join(names)} on {place}" for place, names in elsewhere.items())
    return f"{name} is there already: {places}. Two copies would destroy its volume" if places else ""


def _unknown(instance: dict[str, Any], view: View, dead: Iterable[str]) -> str:
    name, node = instance["name"], instance["node"]
    unknown = sorted(set(view.silent) - set(dead) - {node})
    if node in view.silent:
        return f"{node} does not answer: {view.silent[node]}"
    if node not in view.hosts:
        return f"{node} is no HardwareNode here; these are: {', '.join(sorted(view.hosts)) or 'none'}"
    if unknown:
        return (
            f"{', '.join(unknown)} {'does' if len(unknown) == 1 else 'do'} not answer, and {name} may run there. "
            f'If you know that they are switched off, say so: -e \'{{"instance_dead_nodes": ["{unknown[0]}"]}}\''
        )
    return ""


def _unfit(instance: dict[str, Any], host: Host) -> str:
    name, node = instance["name"], host.name
    if instance["bridge"] not in host.bridges:
        return f"{node} has no bridge {instance['bridge']}: give it a node_instance_mac and reboot it"
    if host.free_memory < instance["memory"]:
        return f"{name} wants {instance['memory']} MiB and {node} has {host.free_memory} MiB free"
    return ""


def choose_node(memory: int, free: dict[str, int]) -> str:
    """Return the node with the most free memory, if that is enough, else an empty string. free: {node: MiB}."""
    best = max(sorted(free), key=lambda node: free[node], default="")
    return best if best and free[best] >= memory else ""


def plan(
    wanted: list[dict[str, Any]], running: list[dict[str, Any]], free: dict[str, int], silent: Iterable[str] = ()
) -> list[dict[str, str]]:
    """Return what to do, in order: [{name, state, node}].

    wanted: name, state (running, stopped or absent), memory (MiB), node (empty for any), delete_volumes, dead_nodes.
    running: as `describe_all` returns it. free: {node: free memory in MiB}. silent: nodes that did not answer.
    What runs stays where it is. Raises ValueError where something fits nowhere.
    """
    places = {instance_of(instance["name"]): instance for instance in running}
    room = dict(free)
    steps = []
    for instance in wanted:
        name, present = instance["name"], places.get(instance["name"])
        if instance["state"] != "running":
            if present or _may_lose(instance, silent):
                steps.append({"name": name, "state": instance["state"], "node": present["node"] if present else ""})
        elif present is None:
            node = instance["node"] or choose_node(instance["memory"], room)
            if not node:
                rooms = ", ".join(f"{place} {memory}" for place, memory in sorted(room.items())) or "no HardwareNode answers"
                raise ValueError(f"{name} fits nowhere: it wants {instance['memory']} MiB; free are, in MiB: {rooms}")
            room[node] = room.get(node, 0) - instance["memory"]
            steps.append({"name": name, "state": "running", "node": node})
    return steps


def _may_lose(instance: dict[str, Any], silent: Iterable[str]) -> bool:
    """Whether its volumes are to go though it may run on a node that does not answer: then the stop is asked for, and refused."""
    return instance.get("delete_volumes", False) and bool(set(silent) - set(instance.get("dead_nodes", [])))
