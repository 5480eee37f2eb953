# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an instance can be migrated, and what to do with what an interrupted migration leaves. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ._instances import View
from ._xen_host import ARRIVING, LEAVING, Domain, Host

MIGRATABLE = ("pvh", "hvm")
# {code: what it means}; the module's documentation lists the same ones.
CODES = {
    "NODE_UNKNOWN": "the target is no HardwareNode",
    "TARGET_SILENT": "the target does not answer",
    "INSTANCE_NOT_RUNNING": "the instance runs on no HardwareNode that answers",
    "INSTANCE_TWICE": "there is more than one copy of the instance",
    "INSTANCE_NOT_LIVE": "the instance is paused, shut down or crashed",
    "INSTANCE_SILENT": "the instance does not answer the ConfigNode's probes",
    "MIGRATION_RUNNING": "the instance is being migrated already",
    "TYPE_NOT_MIGRATABLE": "guests of this type cannot be migrated live",
    "DISK_NOT_SHARED": "a disk of the instance is no volume of a StorageNode",
    "DEVICE_ASSIGNED": "a device of its HardwareNode is assigned to the instance",
    "MEMORY_SHORT": "the target has too little free memory",
    "XEN_DIFFERS": "the target runs another version of Xen",
    "CPU_DIFFERS": "the target's CPU has other features",
    "NO_VIRTUALIZATION": "the target's CPU or firmware has no hardware virtualization",
    "VOLUME_MISSING": "the target does not see a volume of the instance",
    "VOLUME_DIFFERS": "the target sees a volume of the instance with another size",
    "BRIDGE_MISSING": "the target lacks a bridge that the instance is on",
    "RECEIVER_REFUSED": "the target does not let the source start Xen's migration receiver",
}
# Of these a node that looks for its volumes anew may say otherwise.
VOLUME_CODES = {"VOLUME_MISSING", "VOLUME_DIFFERS"}

# What xl says where the guest did not do what it was asked for last.
NOT_SUSPENDED = "failed to suspend at sender"


@dataclass(frozen=True)
class Facts:
    """What the checks need besides the view. receiver: why the target refuses the source, or empty."""

    receiver: str = ""
    answers: bool = True


@dataclass(frozen=True)
class Reason:
    """Why a migration cannot be done."""

    code: str
    message: str


def check(view: View, name: str, target: str, facts: Facts) -> list[Reason]:
    """Return all reasons against migrating an instance to a node; none when it can be done."""
    return [Reason(code, message) for code, message in _reasons(view, name, target, facts)]


def _reasons(view: View, name: str, target: str, facts: Facts) -> Iterator[tuple[str, str]]:
    nodes = sorted({*view.hosts, *view.silent})
    if target not in nodes:
        yield "NODE_UNKNOWN", f"{target} is no HardwareNode; these are: {', '.join(nodes) or 'none'}"
    elif target in view.silent:
        yield "TARGET_SILENT", f"{target} does not answer: {view.silent[target]}"
    source = view.node_of(name)
    if not source:
        missing = f"; {', '.join(view.silent)} did not answer" if view.silent else ""
        yield "INSTANCE_NOT_RUNNING", f"{name} runs nowhere{missing}: start it with playbooks/instances.yml"
        return
    yield from _copies(view, name)
    if source == target:
        return
    yield from _instance(view.hosts[source], name, facts)
    if target in view.hosts:
        yield from _target(view.hosts[source], view.hosts[target], view.hosts[source].domains[name])
        if facts.receiver:
            yield "RECEIVER_REFUSED", f"{target} does not let {source} start Xen's migration receiver: {facts.receiver}"


def _copies(view: View, name: str) -> Iterator[tuple[str, str]]:
    copies = [f"{domain.name} on {node}" for node, domains in view.copies(name).items() for domain in domains]
    if len(copies) > 1:
        yield "INSTANCE_TWICE", f"there are {', '.join(copies)}"
    busy = sorted(node for node, host in view.hosts.items() if name in host.migrations)
    if busy:
        yield "MIGRATION_RUNNING", f"{name} is being migrated from {', '.join(busy)}"


def _instance(source: Host, name: str, facts: Facts) -> Iterator[tuple[str, str]]:
    domain = source.domains[name]
    if domain.is_paused or domain.is_down:
        yield "INSTANCE_NOT_LIVE", f"{name} on {source.name} has the state {domain.state}; it must run"
    elif not facts.answers:
        yield "INSTANCE_SILENT", f"{name} does not answer the ConfigNode's probes: is its address right, does it run, is there a way?"
    if domain.type not in MIGRATABLE:
        yield "TYPE_NOT_MIGRATABLE", f"{name} is of the type {domain.type or 'unknown'}; {' and '.join(MIGRATABLE)} can be migrated live"
    if domain.other_disks:
        yield "DISK_NOT_SHARED", f"{name} has {', '.join(domain.other_disks)}, which other nodes do not see"
    if domain.devices:
        yield "DEVICE_ASSIGNED", f"{name} has {domain.devices} PCI device(s) of {source.name}: detach them first"


def _target(source: Host, target: Host, domain: Domain) -> Iterator[tuple[str, str]]:
    if target.free_memory < domain.memory:
        yield "MEMORY_SHORT", f"{domain.name} has {domain.memory} MiB and {target.name} has {target.free_memory} MiB free"
    if _release(source) != _release(target):
        yield "XEN_DIFFERS", f"{source.name} runs Xen {source.xen_version}, {target.name} {target.xen_version}: boot both from one image"
    if source.cpu != target.cpu:
        yield "CPU_DIFFERS", f"features of the CPU are {source.cpu} on {source.name} and {target.cpu} on {target.name}"
    if not {"hvm", "hap"} <= target.virtualization:
        yield "NO_VIRTUALIZATION", f"{target.name} has no hvm and hap: switch SVM or VT-x on in its firmware"
    for volume in domain.volumes:
        here, there = source.volumes.get(volume, 0), target.volumes.get(volume, 0)
        if not there:
            yield "VOLUME_MISSING", f"{target.name} does not see volume {volume}: has it a card on the storage network?"
        elif here != there:
            yield "VOLUME_DIFFERS", f"volume {volume} has {here} bytes on {source.name} and {there} on {target.name}"
    for bridge in sorted(set(domain.bridges) - target.bridges):
        yield "BRIDGE_MISSING", f"{target.name} has no bridge {bridge}: give it a node_instance_mac and reboot it"


def _release(host: Host) -> list[str]:
    return host.xen_version.split(".")[:2]


@dataclass(frozen=True)
class Verdict:
    """Where the instance is after a migration was tried, and what to do so that it is there once.

    node: where it runs, or will after `steps`; empty where it runs nowhere. settled: False while xl may still be deciding, so that
    it is to be asked again. steps: (node, command). problem: what nobody but a person may decide; then nothing is to be done.
    """

    node: str = ""
    settled: bool = True
    steps: list[tuple[str, list[str]]] = field(default_factory=list)
    problem: str = ""


def resolve(name: str, source: Host | None, target: Host | None, patient: bool) -> Verdict:
    """Judge what a migration left on both nodes. A host that does not answer is None. patient: whether there is time to ask again."""
    strays = _stray(name, source, target)
    if strays:
        return Verdict(problem=f"{', '.join(strays)} runs under the name of a copy: decide which of them is to be destroyed")
    return _without_target(name, source) if target is None else _with_target(name, source, target, patient)


def _with_target(name: str, source: Host | None, target: Host, patient: bool) -> Verdict:
    there, arriving = target.domains.get(name), target.domains.get(f"{name}{ARRIVING}")
    if there and not there.is_paused and not there.is_down:
        return _runs_on_target(name, source, target)
    if source is None:
        problem = f"the source does not answer, and {target.name} has no running copy of {name}: find out whether the source still runs it"
        return Verdict(settled=not patient, problem=problem)
    if patient and (arriving or there or name in source.migrations):
        return Verdict(settled=False)
    if there and not there.is_paused:
        problem = f"{name} ran on {target.name} and is down there ({there.state}): what {source.name} has of it is older than its volume"
        return Verdict(problem=problem)
    # What arrived has never run: the source's copy is the one that counts.
    steps = [(target.name, ["xl", "destroy", copy.name]) for copy in (there, arriving) if copy]
    back = _back_on_source(name, source)
    return Verdict(source.name if back is not None else "", steps=[*steps, *(back or [])])


def explain(said: str) -> str:
    """Return what xl said, and what it means where that is known."""
    meaning = (
        "The guest did not suspend itself: a Linux guest refuses to while one of its programs waits for a disk. "
        "See with playbooks/storage_status.yml whether storage stands still, and migrate it again afterwards. "
        if NOT_SUSPENDED in said
        else ""
    )
    return f"{meaning}xl said: {said}"


def _stray(name: str, source: Host | None, target: Host | None) -> list[str]:
    """Return copies that run under a name that xl gives to paused ones only."""
    copies = [(host, host.domains.get(f"{name}{suffix}")) for host in (source, target) if host for suffix in (ARRIVING, LEAVING)]
    return [f"{copy.name} on {host.name}" for host, copy in copies if copy and not copy.is_paused and not copy.is_down]


def _runs_on_target(name: str, source: Host | None, target: Host) -> Verdict:
    if source is None:
        return Verdict(target.name)
    here = source.domains.get(name)
    if here and not here.is_down:
        return Verdict(problem=f"{name} runs on {source.name} and on {target.name}: destroy one of them at once (xl destroy {name})")
    leftovers = [copy for copy in (here, source.domains.get(f"{name}{LEAVING}")) if copy]
    return Verdict(target.name, steps=[(source.name, ["xl", "destroy", copy.name]) for copy in leftovers])


def _without_target(name: str, source: Host | None) -> Verdict:
    here = source.domains.get(name) if source else None
    if source and here and not here.is_down and not here.is_paused and name not in source.migrations:
        return Verdict(source.name)
    place = f"its copy on {source.name} stands still" if source else "neither does the source"
    return Verdict(settled=False, problem=f"the target does not answer and may run {name}; {place}. Switch the target off or wait for it")


def _back_on_source(name: str, source: Host) -> list[tuple[str, list[str]]] | None:
    """Return what makes the source's copy run again; None where there is none."""
    here, leaving = source.domains.get(name), source.domains.get(f"{name}{LEAVING}")
    copy = here or leaving
    if copy is None or set(copy.state) & {"c", "d"}:
        return None
    steps = [] if here else [["xl", "rename", f"{name}{LEAVING}", name]]
    if copy.is_down:
        steps.append(["xl", "resume", name])
    elif copy.is_paused:
        steps.append(["xl", "unpause", name])
    return [(source.name, step) for step in steps]
