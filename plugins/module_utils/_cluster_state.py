# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster says of its members, halves and fencing, as crm_mon writes it, and what is wrong with that. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from ._storage_layout import HALVES

if TYPE_CHECKING:
    from collections.abc import Iterable

CRM_MON = ["crm_mon", "--one-shot", "--inactive", "--output-as=xml"]
# Pacemaker says what an instance is on its way to instead of its role: only these serve.
RUNNING = ("Promoted", "Unpromoted", "Promoting", "Demoting")
SERVED = re.compile(r"bareroot-(half\d)")
REPLICATED = re.compile(r"bareroot-drbd-(half\d)(?::\d+)?")
FENCE = re.compile(r"bareroot-fence-(.+)")


@dataclass(frozen=True)
class Member:
    """A voter. unclean: lost or failed, and not fenced yet. pending: joining. maintenance: Pacemaker's, which leaves all as it is."""

    online: bool
    standby: bool
    unclean: bool
    pending: bool
    maintenance: bool


@dataclass(frozen=True)
class Half:
    """A half. node: where it is served; empty for nowhere. promoted: where DRBD is primary. connected: where DRBD runs.

    held_by: where anything of it is, also what is only starting, stopping or failed. blocked: Pacemaker has given up on a part of it.
    """

    node: str = ""
    promoted: str = ""
    connected: tuple[str, ...] = ()
    held_by: tuple[str, ...] = ()
    blocked: bool = False


@dataclass(frozen=True)
class Fencing:
    """The last fencing of a node, where it failed, or one that is under way."""

    node: str
    action: str
    status: str
    reason: str


@dataclass(frozen=True)
class State:
    """What the cluster says. fences: whether each node's fence device runs. failures: one line for each failed action."""

    quorate: bool
    dc: str
    members: dict[str, Member]
    halves: dict[str, Half]
    fences: dict[str, bool]
    failures: tuple[str, ...]
    fencing: tuple[Fencing, ...]


def parse(xml: str) -> State:
    """Read crm_mon's output; raise ValueError where it is none, or of a cluster that is only starting."""
    root = _root(xml)
    nodes = root.find("nodes")
    if nodes is None:
        raise ValueError("crm_mon names no members: the cluster is still starting, or stopping")
    resources = list(root.iterfind("./resources//resource"))
    dc = root.find("./summary/current_dc")
    return State(
        quorate=dc is not None and _is(dc, "with_quorum"),
        dc="" if dc is None else dc.get("name", ""),
        members=_members(nodes, root.find("./summary/cluster_options")),
        halves={half: _half(half, resources) for half in _found((SERVED, REPLICATED), resources)},
        fences={node: any(_serves(part) for part in _parts(FENCE, node, resources)) for node in _found((FENCE,), resources)},
        failures=tuple(_failure(element) for element in root.iterfind("./failures/failure")),
        fencing=tuple(_fencing(root.iterfind("./fence_history/fence_event"))),
    )


def error_in(output: str) -> str:
    """Return the error that a program of Pacemaker wrote into its XML; empty where there is none."""
    try:
        root = _root(output)
    except ValueError:
        return ""
    errors = [element.text.strip() for element in root.iterfind("./status/errors/error") if element.text]
    status = root.find("./status")
    return "; ".join(errors) or ("" if status is None else status.get("message", ""))


def _root(xml: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(xml.strip())  # noqa: S314 - written by Pacemaker on this machine
    except ElementTree.ParseError as error:
        first = (xml.strip().splitlines() or ["nothing"])[0]
        raise ValueError(f"crm_mon printed no XML ({error}): {first[:80]}") from error


def _is(element: ElementTree.Element, attribute: str) -> bool:
    return element.get(attribute) == "true"


def _members(nodes: ElementTree.Element, options: ElementTree.Element | None) -> dict[str, Member]:
    """Read the voters; nodes that take part through pacemaker_remote have no vote."""
    everywhere = options is not None and _is(options, "maintenance-mode")
    return {
        node.get("name", ""): Member(
            online=_is(node, "online"),
            standby=_is(node, "standby"),
            unclean=_is(node, "unclean"),
            pending=_is(node, "pending"),
            maintenance=everywhere or _is(node, "maintenance"),
        )
        for node in nodes.iterfind("node")
        if node.get("type") != "remote"
    }


def _found(patterns: tuple[re.Pattern[str], ...], resources: list[ElementTree.Element]) -> list[str]:
    """Return what the resources' names are for, such as halves, in order."""
    matches = (pattern.fullmatch(resource.get("id", "")) for resource in resources for pattern in patterns)
    return sorted({match[1] for match in matches if match})


def _parts(pattern: re.Pattern[str], name: str, resources: list[ElementTree.Element]) -> list[ElementTree.Element]:
    return [resource for resource in resources if (match := pattern.fullmatch(resource.get("id", ""))) and match[1] == name]


def _half(half: str, resources: list[ElementTree.Element]) -> Half:
    served, replicated = _parts(SERVED, half, resources), _parts(REPLICATED, half, resources)
    return Half(
        node=next(_places(part for part in served if _serves(part)), ""),
        promoted=next(_places(part for part in replicated if part.get("role") == "Promoted"), ""),
        connected=_in_order(_places(part for part in replicated if part.get("role") in RUNNING and not _is(part, "failed"))),
        held_by=_in_order(_places([*served, *replicated])),
        blocked=any(_is(part, "blocked") for part in (*served, *replicated)),
    )


def _serves(part: ElementTree.Element) -> bool:
    return part.get("role") == "Started" and not _is(part, "failed")


def _places(parts: Iterable[ElementTree.Element]) -> Iterable[str]:
    return (node.get("name", "") for part in parts for node in part.iterfind("node"))


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _failure(element: ElementTree.Element) -> str:
    key, task = element.get("op_key") or element.get("id", ""), element.get("task", "")
    resource = key.removesuffix(f"_{task}_{element.get('interval', '')}")
    what = f"{task} of {resource}" if task else key
    details = [element.get(name, "") for name in ("exitstatus", "status", "exitreason")]
    # Neither of these two says anything.
    why = ", ".join(detail for detail in details if detail not in ("", "complete", "none"))
    return f"{what} on {element.get('node', '')}: {why}"


def _fencing(events: Iterable[ElementTree.Element]) -> Iterable[Fencing]:
    """Pacemaker writes the last event first: older ones of a node do not count."""
    ended = set()
    for event in events:
        node, status = event.get("target", ""), event.get("status", "")
        if node in ended:
            continue
        if status != "pending":
            ended.add(node)
        if status != "success":
            yield Fencing(node, event.get("action", ""), status, event.get("exit-reason", ""))


CONDITIONS = {
    "unclean": "is lost or failed and not fenced yet",
    "offline": "is offline",
    "pending": "is only joining the cluster",
    "standby": "is in maintenance (standby)",
    "maintenance": "is in Pacemaker's maintenance mode, in which nothing is started, stopped or moved",
}


def _conditions(member: Member) -> list[str]:
    """Return what keeps a member from serving."""
    found = {
        "unclean": member.unclean,
        "offline": not (member.online or member.unclean or member.pending),
        "pending": member.pending,
        "standby": member.standby,
        "maintenance": member.maintenance,
    }
    return [condition for condition, is_so in found.items() if is_so]


def _unfit(state: State, node: str) -> list[str]:
    if node not in state.members:
        return [f"{node} is no member of the cluster, whose members are: {', '.join(state.members) or 'none'}"]
    return [f"{node} {CONDITIONS[condition]}" for condition in _conditions(state.members[node])]


def _is_fit(state: State, node: str) -> bool:
    return not _unfit(state, node)


def problems(state: State, storage_nodes: list[str]) -> list[str]:
    """Return all that is wrong, and what to do about it. storage_nodes: the pair; empty leaves out what a pair must have."""
    return [
        *([] if state.quorate else ["there is no quorum: switch the other members on; until then nothing is started, moved or fenced"]),
        *_member_problems(state, storage_nodes),
        *_half_problems(state, storage_nodes),
        *_fence_problems(state, storage_nodes),
        *(f"{failure}. Once the cause is gone: crm_resource --cleanup" for failure in state.failures),
        *map(_fencing_problem, state.fencing),
    ]


def _member_problems(state: State, storage_nodes: list[str]) -> list[str]:
    found = [f"{node} is no member of the cluster: run playbooks/site.yml" for node in storage_nodes if node not in state.members]
    for name, member in state.members.items():
        end_standby = (
            f"playbooks/storage_maintenance.yml -e node={name} -e maintenance=end"
            if name in storage_nodes
            else f"crm_attribute --node {name} --name standby --delete --lifetime forever"
        )
        advice = {
            "unclean": f"see that its BMC answers; only where it is certainly off: stonith_admin --confirm={name}",
            "offline": "switch it on, or look there at systemctl status corosync pacemaker",
            "pending": "if it does not end, look there at systemctl status pacemaker",
            "standby": end_standby,
            "maintenance": f"crm_attribute --node {name} --name maintenance --delete, or for all: "
            "crm_attribute --name maintenance-mode --delete",
        }
        found += [f"{name} {CONDITIONS[condition]}: {advice[condition]}" for condition in _conditions(member)]
    return found


def _half_problems(state: State, storage_nodes: list[str]) -> list[str]:
    found = [f"{half} is blocked: see its failed actions" for half, what in state.halves.items() if what.blocked]
    for half in HALVES if storage_nodes else ():
        if half not in state.halves:
            found.append(f"{half} is not in the cluster's configuration: run playbooks/site.yml")
            continue
        if not state.halves[half].node:
            found.append(f"{half} is served by nobody: see crm_resource --why --resource bareroot-{half}")
        found += [
            f"the DRBD of {half} does not run on {node}: look there at journalctl --unit pacemaker"
            for node in storage_nodes
            if _is_fit(state, node) and node not in state.halves[half].connected
        ]
    return found


def _fence_problems(state: State, storage_nodes: list[str]) -> list[str]:
    found = [
        f"{name} has no fence device: give it node_bmc_address and run playbooks/site.yml"
        for name in (state.members if storage_nodes else ())
        if name not in state.fences
    ]
    return found + [
        f"the fence device of {node} does not run: see that its BMC answers, then crm_resource --cleanup --resource bareroot-fence-{node}"
        for node, runs in state.fences.items()
        if not runs
    ]


def _fencing_problem(fencing: Fencing) -> str:
    if fencing.status == "pending":
        return f"{fencing.node} is being fenced ({fencing.action})"
    reason = f": {fencing.reason}" if fencing.reason else ""
    return (
        f"the last fencing of {fencing.node} ({fencing.action}) failed{reason}. See that its BMC answers, "
        f"then: stonith_admin --cleanup --history={fencing.node}"
    )


def obstacles(state: State, node: str) -> list[str]:
    """Return why a StorageNode must not leave now: the others must keep the quorum and serve both halves."""
    if node not in state.members:
        return _unfit(state, node)
    others = [name for name in state.members if name != node]
    return [
        *_no_quorum(state),
        *(reason for name in others for reason in _unfit(state, name)),
        *(reason for half in HALVES for reason in _unservable(state, half, others)),
    ]


def _unservable(state: State, half: str, others: list[str]) -> list[str]:
    if half not in state.halves:
        return [_not_listed(half)]
    if any(_is_fit(state, name) for name in state.halves[half].connected if name in others):
        return []
    return [f"the DRBD of {half} runs on no other StorageNode that could serve it"]


def move_obstacles(state: State, half: str, node: str) -> list[str]:
    """Return why a half cannot be moved to a StorageNode now."""
    reasons = [*_no_quorum(state), *_unfit(state, node)]
    if half not in state.halves:
        return [*reasons, _not_listed(half)]
    if node in state.members and node not in state.halves[half].connected:
        reasons.append(f"the DRBD of {half} does not run on {node}")
    return reasons


def _no_quorum(state: State) -> list[str]:
    return [] if state.quorate else ["there is no quorum"]


def _not_listed(half: str) -> str:
    return f"{half} is not in the cluster's configuration: run playbooks/site.yml"


def remaining(state: State, node: str) -> list[str]:
    """Return what is still on a StorageNode that leaves."""
    return [f"{half} is not gone from {node}" for half, what in state.halves.items() if node in what.held_by]


def missing(state: State, node: str) -> list[str]:
    """Return what a StorageNode that returns still lacks."""
    lacking = [half for half in HALVES if half not in state.halves or node not in state.halves[half].connected]
    return [*_unfit(state, node), *(f"the DRBD of {half} does not run on {node}" for half in lacking)]


def has_left(state: State, node: str) -> bool:
    """Whether no half is served or replicated there any more."""
    return not remaining(state, node)


def has_returned(state: State, node: str) -> bool:
    """Whether it is an active member again, with the DRBD of both halves."""
    return not missing(state, node)
