# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the memory that an inventory speaks of fits. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import _boot_files
from ._inventory_instances import number
from ._mistakes import Mistake

# What the roles give who says nothing, in MiB.
DOM0_MEMORY = 1024
INSTANCE_MEMORY = 512
Variables = Mapping[str, Any]


def find(hosts: Mapping[str, Variables], groups: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """Yield all mistakes. Instances are looked at only where the memory of every HardwareNode is known."""
    nodes = groups.get("hardware_nodes", [])
    for name in nodes:
        yield from _dom0(name, hosts[name])
    free = [_memory(hosts[name]) - _dom0_memory(hosts[name]) for name in nodes if _memory(hosts[name])]
    largest = max(free, default=0)
    # Without any room the HardwareNodes are wrong, not the instances.
    if len(free) < len(nodes) or largest <= 0:
        return
    for name in groups.get("instances", []):
        yield from _instance(name, hosts[name], largest)


def _memory(variables: Variables) -> int:
    return number(variables.get("hardware_node_memory")) or 0


def _dom0_memory(variables: Variables) -> int:
    memory = number(variables.get("hardware_node_dom0_memory"))
    return DOM0_MEMORY if memory is None else memory


def _dom0(name: str, variables: Variables) -> Iterator[Mistake]:
    variable, dom0, memory = "hardware_node_dom0_memory", _dom0_memory(variables), _memory(variables)
    if dom0 < _boot_files.LEAST_DOM0_MEMORY:
        yield Mistake(name, variable, f"{dom0} MiB is too little for dom0; give it {_boot_files.LEAST_DOM0_MEMORY} or more")
    if memory and dom0 >= memory:
        problem = f"{dom0} MiB leave nothing of hardware_node_memory, {memory} MiB; give dom0 less, or write the memory as built in"
        yield Mistake(name, variable, problem)


def _instance(name: str, variables: Variables, largest: int) -> Iterator[Mistake]:
    memory = number(variables.get("instance_memory"))
    memory = INSTANCE_MEMORY if memory is None else memory
    if memory > largest and variables.get("instance_state") != "absent":
        problem = f"{memory} MiB fit on no HardwareNode; the largest has {largest} MiB for instances, so write that or less"
        yield Mistake(name, "instance_memory", problem)
