# SPDX-License-Identifier: GPL-3.0-or-later
"""What the storage is like and what is wrong with it, from what all machines said. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import _drbd, _raid
from ._storage_layout import HALVES
from ._table import table
from ._volumes import NVME, WARNING_PERCENT, metadata_growth

HALF_COLUMNS = ("half", "served by", "roles", "disks", "connection", "synced", "size", "free")
VOLUME_COLUMNS = ("volume", "half", "size", "export", "address", "exported by", "seen")
MEMBER_COLUMNS = ("member", "state", "fencing")
UNIT = re.compile(r"(bareroot-[a-z]+@volume-(.+))\.service")
# What a HardwareNode prints of a device that has failed while somebody has it open.
FAILED = "down,closewait"
# A single StorageNode has no peer.
NONE = "-"
# How many HardwareNodes with the same trouble are named.
MOST_NAMED = 3
# What is not so of a member that is all right, in the order in which it is said.
MEMBER_FLAGS = ("unclean", "pending", "standby", "maintenance")
# All that Ansible itself says of a command that failed.
COMMAND_FAILED = "non-zero return code"
Answer = Mapping[str, Any]


@dataclass(frozen=True)
class StorageNode:
    """What a StorageNode said; None for what it did not say. why: why it said nothing. failed: why it did not say a part.

    volumes: as the module volume_info returns them. pools: {half: its pool}. exports: {unit that runs: its volume}. raid: what is wrong
    with the RAID1.
    """

    why: str = ""
    failed: tuple[str, ...] = ()
    halves: dict[str, _drbd.Half] | None = None
    volumes: tuple[Answer, ...] | None = None
    pools: dict[str, Answer] = field(default_factory=dict)
    exports: dict[str, str] | None = None
    raid: tuple[str, ...] = ()

    def sees(self, half: str) -> bool:
        return half in (self.halves or {})

    def serves(self, half: str) -> bool:
        return self.halves is not None and half in self.halves and self.halves[half].is_primary


@dataclass(frozen=True)
class HardwareNode:
    """What a HardwareNode said. devices: {shelf.slot: state}."""

    why: str = ""
    devices: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """What the ConfigNode said of the cluster. state: as the module cluster_info returns it; empty where none runs."""

    node: str
    why: str = ""
    state: Answer = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """All that was said. cluster: None where there is none to ask for."""

    storage_nodes: dict[str, StorageNode]
    hardware_nodes: dict[str, HardwareNode]
    cluster: Cluster | None

    @property
    def is_pair(self) -> bool:
        return len(self.storage_nodes) > 1

    def serving(self, half: str) -> list[str]:
        """Return who is primary for a half."""
        return [name for name, node in self.storage_nodes.items() if node.serves(half)]

    @property
    def knows_all_halves(self) -> bool:
        """Whether all StorageNodes said how their halves are."""
        return all(node.halves is not None for node in self.storage_nodes.values())

    def exporting(self, volume: Answer) -> list[str]:
        return [name for name, node in self.storage_nodes.items() if _unit(volume) in (node.exports or ())]

    def volumes(self) -> list[tuple[str, Answer]]:
        """Return all volumes, each with the StorageNode that has it."""
        found = [(name, volume) for name, node in self.storage_nodes.items() for volume in node.volumes or ()]
        return sorted(found, key=lambda pair: (pair[1]["name"], pair[1]["half"], pair[0]))

    def seen(self, address: str) -> dict[str, str]:
        """Return how each HardwareNode that answered sees a volume."""
        return {name: _seen(node.devices.get(address)) for name, node in self.hardware_nodes.items() if not node.why}


def _unit(volume: Answer) -> str:
    return f"bareroot-{volume['export']}@volume-{volume['name']}"


def _seen(state: str | None) -> str:
    if state is None:
        return "missing"
    return "up" if state.split(",")[0] == "up" else "down"


def silence(answer: Answer) -> str:
    """Return why a machine did not do a task; an empty string where it did, with or without success."""
    if not answer:
        return "was not asked; ask it without --limit"
    if answer.get("skipped"):
        return "has no address; does the ConfigNode answer, and did playbooks/boot_tree.yml run there"
    if answer.get("unreachable"):
        return f"does not answer: {_reason(answer)}"
    return ""


def _reason(answer: Answer) -> str:
    said = answer.get("stderr") if answer.get("msg") == COMMAND_FAILED else answer.get("msg")
    return " ".join(str(said or "it does not say why").split())


def storage_node(drbd: Answer, volumes: Answer, exports: Answer, raid: Answer | None = None) -> StorageNode:
    """Read what drbd_info, volume_info, the list of a StorageNode's units and /proc/mdstat, where there is one, returned."""
    why = silence(drbd)
    if why:
        return StorageNode(why)
    asked = (
        ("halves" in drbd, "how its halves are", drbd),
        ("volumes" in volumes, "which volumes it has", volumes),
        (exports.get("rc") == 0, "what it exports", exports),
    )
    return StorageNode(
        failed=tuple(f"cannot say {what}: {_reason(answer)}" for is_there, what, answer in asked if not is_there),
        halves={name: _drbd.Half(**half) for name, half in drbd["halves"].items()} if "halves" in drbd else None,
        volumes=tuple(volumes["volumes"]) if "volumes" in volumes else None,
        pools={pool["half"]: pool for pool in volumes.get("pools", ())},
        exports=_exports(exports["stdout"]) if exports.get("rc") == 0 else None,
        raid=tuple(_raid.problems((raid or {}).get("stdout", ""))),
    )


def _exports(units: str) -> dict[str, str]:
    found = (UNIT.match(line.strip()) for line in units.splitlines())
    return {match[1]: match[2] for match in found if match}


def hardware_node(answer: Answer) -> HardwareNode:
    """Read which volumes a HardwareNode sees: lines such as `1.0 8388608 up`."""
    why = silence(answer)
    if not why and answer.get("rc") != 0:
        why = f"cannot say which volumes it sees: {_reason(answer)}"
    if why:
        return HardwareNode(why)
    lines = (line.split() for line in answer["stdout"].splitlines())
    return HardwareNode(devices={address: state for address, _sectors, state in lines})


def cluster(node: str, answer: Answer) -> Cluster:
    """Read what cluster_info returned on a ConfigNode."""
    why = silence(answer)
    if why:
        return Cluster(node, f"{node} {why}")
    if not answer.get("running"):
        return Cluster(node, f"{node}: {answer.get('why') or _reason(answer)}")
    return Cluster(node, "", answer["cluster"], tuple(answer["problems"]))


def half_lines(site: Site) -> list[str]:
    """Return the table of the halves, each as who serves it sees it, or else who answers."""
    return table([HALF_COLUMNS, *(_half_row(half, site) for half in HALVES)])


def _half_row(half: str, site: Site) -> tuple[str, ...]:
    serving = site.serving(half)
    by = ", ".join(serving) or ("nobody" if site.knows_all_halves else "unknown")
    views = [node for name, node in site.storage_nodes.items() if name in (serving or site.storage_nodes) and node.sees(half)]
    if not views:
        return (half, by, "", "", "", "", "", "")
    pool = views[0].pools.get(half)
    room = (_size(pool["size"]), _size(pool["free"])) if pool else ("", "")
    return (half, by, *_replication(views[0].halves[half], site.is_pair), *room)


def _replication(half: _drbd.Half, is_pair: bool) -> tuple[str, str, str, str]:
    if not is_pair:
        return (half.role, half.disk, NONE, NONE)
    if not half.role:
        return ("", "", half.connection, "")
    return (f"{half.role}/{half.peer_role}", f"{half.disk}/{half.peer_disk}", half.connection, _synced(half))


def _synced(half: _drbd.Half) -> str:
    if half.synced is not None:
        return f"{half.synced} %"
    if half.out_of_sync:
        return f"{_size(half.out_of_sync)} behind"
    return "yes" if half.disk == half.peer_disk == _drbd.UP_TO_DATE else "no"


def _size(size: int) -> str:
    """Write a size as LVM does, in the largest unit that it has."""
    for unit, bytes_in_it in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20)):
        if size >= bytes_in_it:
            return f"{size / bytes_in_it:.1f}{unit}"
    return f"{size / 1024:.0f}K"


def volume_lines(site: Site) -> list[str]:
    """Return the table of the volumes."""
    return table([VOLUME_COLUMNS, *(_volume_row(volume, site) for _node, volume in site.volumes())])


def _volume_row(volume: Answer, site: Site) -> tuple[str, ...]:
    plain = (volume["name"], volume["half"], _size(volume["size"]), volume["export"], volume["address"])
    if not volume["export"]:
        return (*plain, "", "")
    seen = Counter(site.seen(volume["address"]).values())
    summary = ", ".join(f"{state} on {number}" for state, number in sorted(seen.items())) if len(seen) > 1 else "".join(seen)
    return (*plain, ", ".join(site.exporting(volume)), summary)


def cluster_lines(site: Site) -> list[str]:
    """Return what the cluster is like."""
    if site.cluster is None:
        return ["There is one StorageNode, so there is no cluster."]
    state = site.cluster.state
    if not state:
        return ["Nothing is known of the cluster."]
    quorum = f"Quorum: {'yes' if state['quorate'] else 'no'}. Coordinator: {state['dc'] or 'none'}."
    rows = [(name, _member(member), _fence(state["fences"].get(name))) for name, member in sorted(state["members"].items())]
    return [quorum, *table([MEMBER_COLUMNS, *rows])]


def _member(member: Mapping[str, bool]) -> str:
    return ", ".join(["online" if member["online"] else "offline", *(flag for flag in MEMBER_FLAGS if member[flag])])


def _fence(is_running: bool | None) -> str:
    return {None: "none", True: "ready", False: "does not run"}[is_running]


def wrong(site: Site) -> list[str]:
    """Return everything that is wrong, in words; nothing where nothing is."""
    return [*_silent(site), *_nodes(site), *_unserved(site), *_full(site), *_exported(site), *_devices(site), *_cluster(site)]


def _silent(site: Site) -> Iterator[str]:
    for nodes in (site.storage_nodes, site.hardware_nodes):
        for name, node in nodes.items():
            if node.why:
                yield f"{name} {node.why}"


def _nodes(site: Site) -> Iterator[str]:
    for name, node in site.storage_nodes.items():
        for problem in node.failed:
            yield f"{name} {problem}"
        for problem in _drbd.problems(node.halves, site.is_pair) if node.halves is not None else ():
            yield f"{name}: {problem}"
        for problem in node.raid:
            yield f"{name}: {problem}"


def _unserved(site: Site) -> Iterator[str]:
    if all(node.halves is None for node in site.storage_nodes.values()):
        return
    who = "no StorageNode" if site.knows_all_halves else "no StorageNode that answers"
    for half in HALVES:
        serving = site.serving(half)
        if len(serving) > 1:
            yield f"{half} is primary on {' and '.join(serving)} at once; stop what uses its volumes, and see crm_mon --one-shot"
        elif not serving:
            yield f"{who} serves {half}; see there systemctl status bareroot-half@{half}"


def _full(site: Site) -> Iterator[str]:
    for name, node in site.storage_nodes.items():
        for half, pool in node.pools.items():
            if pool["used"] * 100 > pool["size"] * WARNING_PERCENT:
                percent = pool["used"] * 100 // pool["size"]
                yield (
                    f"{half} on {name} is {percent} % full, {_size(pool['free'])} are free; "
                    "remove instances or snapshots that are not needed: when it is full, writes to all its volumes fail"
                )
            if pool["metadata_percent"] > WARNING_PERCENT:
                yield (
                    f"{half} on {name} has used {pool['metadata_percent']:.0f} % of its pool's metadata; "
                    f"run there {metadata_growth(half)}: when it is full, writes to all its volumes fail"
                )


def _exported(site: Site) -> Iterator[str]:
    for name, node in site.storage_nodes.items():
        if node.exports is None or node.volumes is None:
            continue
        wanted = {_unit(volume): volume["name"] for volume in node.volumes if volume["export"]}
        for unit in sorted(wanted.keys() - node.exports):
            yield f"{name} does not export {wanted[unit]}; see there systemctl status {unit}"
        for unit in sorted(node.exports.keys() - wanted):
            yield f"{name} exports {node.exports[unit]}, which is not there or not to be exported so; run there systemctl stop {unit}"


def _devices(site: Site) -> Iterator[str]:
    known = set()
    for _node, volume in site.volumes():
        if not volume["export"]:
            continue
        name, address = volume["name"], volume["address"]
        find, mend = _advice(volume)
        known.add(address)
        seen = site.seen(address)
        missing, down = ([node for node, found in seen.items() if found == state] for state in ("missing", "down"))
        # What nobody exports is missing everywhere, and that has been said.
        if missing and site.exporting(volume):
            yield f"{_named(missing)} cannot find {name} ({address}); does the storage network work, and {find}"
        if down:
            yield f"{name} ({address}) is down on {_named(down)}; when it is exported, {mend}"
    for name, node in site.hardware_nodes.items():
        for address, state in sorted(node.devices.items()):
            if state == FAILED and address not in known:
                yield f"e{address} is down on {name}, and in use there; when it is exported, aoe-revalidate e{address} there brings it back"


def _advice(volume: Answer) -> tuple[str, str]:
    """Return what to look at where a volume is missing, and what brings one back that is down."""
    if volume["export"] == NVME:
        return f"what says systemctl status bareroot-nvme@{volume['half']} there", "it comes back by itself"
    return "does aoe-discover there help", f"aoe-revalidate e{volume['address']} there brings it back"


def _named(names: list[str]) -> str:
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"


def _cluster(site: Site) -> Iterator[str]:
    if site.cluster is not None:
        yield from [site.cluster.why] if site.cluster.why else site.cluster.problems
