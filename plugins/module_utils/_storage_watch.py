# SPDX-License-Identifier: GPL-3.0-or-later
"""What has become wrong with a pair of StorageNodes, and what no longer is. Pure functions.

What is wrong comes from sources: the cluster, each StorageNode, the pool of each half. A source that says nothing leaves open what is
wrong there; that it is silent is a problem of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from . import _cluster_state, _drbd, _raid
from ._storage_layout import HALVES
from ._volumes import WARNING_PERCENT, metadata_growth

# What a StorageNode is asked. Nothing of it touches a disk: a half that is suspended answers nobody.
ASK = ["sh", "-c", "cat /proc/drbd; echo '== raid'; cat /proc/mdstat; echo '== pools'; dmsetup status --noflush --target thin-pool"]
SECTIONS = re.compile(r"\n?== (?:raid|pools)\n")
# LVM's name, the kernel's figures: transaction, blocks of metadata and of data, each used/all.
POOL = re.compile(r"^bareroot_(half\d)-pool(?:-tpool)?: \d+ \d+ thin-pool (?:\d+ (\d+)/(\d+) (\d+)/(\d+) |(?=Fail|Error))", re.MULTILINE)
# How many percent less it must be to be said to be over.
MARGIN = 5
# What changes while a problem stays the same.
PROGRESS, AMOUNT = re.compile(r", [0-9.]+ % done"), re.compile(r"\b\d+ KiB\b")
# Where in a sentence of the cluster begins why, or what to do.
REASON = re.compile(r": |\. ")
FRACTION = re.compile(r"[.]\d+")
CLUSTER, SILENT = "cluster", "silent"
# {what is wrong: the same with what to do about it}
Problems = dict[str, str]
# {source: what is wrong}
Known = dict[str, list[str]]


@dataclass(frozen=True)
class News:
    """A sentence, and whether it is a bad one."""

    sentence: str
    is_worse: bool


@dataclass(frozen=True)
class Memory:
    """What has been said. fenced: the fencings that have been seen; None before the cluster has answered for the first time."""

    problems: Known = field(default_factory=dict)
    fenced: tuple[str, ...] | None = None


def remember(memory: Memory, before: Mapping[str, Problems], now: Mapping[str, Problems], crm_mon: str) -> tuple[Memory, list[News]]:
    """Return what is known after two looks, one after the other, and what is new in it. crm_mon: what the cluster said in the second."""
    settled = settle(memory.problems, before, now)
    news, fenced = changes(memory.problems, settled, now), _fenced(crm_mon)
    if fenced is None:
        return Memory(settled, memory.fenced), news
    seen = memory.fenced or ()
    unseen = [] if memory.fenced is None else [News(sentence, is_worse=True) for event, sentence in fenced.items() if event not in seen]
    return Memory(settled, (*seen, *(event for event in fenced if event not in seen))), [*unseen, *news]


def assess(answers: Mapping[str, str | None], crm_mon: str, known: Known) -> dict[str, Problems]:
    """Return what is wrong by source, of those that said something.

    answers: what each StorageNode answered, None for nothing. crm_mon: the same of the cluster. known: what was wrong before.
    """
    silent = {f"{name} does not answer": f"{name} does not answer the ConfigNode's ssh" for name, said in answers.items() if said is None}
    found: dict[str, Problems] = {SILENT: silent}
    try:
        found[CLUSTER] = _of_cluster(crm_mon, list(answers))
    except ValueError as error:
        why = _cluster_state.error_in(crm_mon) or error
        silent["no cluster answers"] = f"no cluster answers on the ConfigNode: {why}; see systemctl status corosync pacemaker"
    for name, said in answers.items():
        if said is not None:
            drbd, raid, pools = [*SECTIONS.split(said), "", ""][:3]
            found[name] = _of_node(name, drbd, raid)
            found.update(_of_pools(pools, known))
    return found


def _of_cluster(crm_mon: str, storage_nodes: list[str]) -> Problems:
    problems = _cluster_state.problems(_cluster_state.parse(crm_mon), storage_nodes)
    return {REASON.split(problem)[0]: problem for problem in problems}


def _of_node(name: str, drbd: str, raid: str) -> Problems:
    try:
        problems = [*_drbd.problems(_drbd.parse(drbd), is_pair=True), *_raid.problems(raid)]
    except ValueError as error:
        problems = [f"what it says of its halves is not understood; {error}"]
    return {f"{name}: {_same(problem.partition('; ')[0])}": f"{name}: {problem}" for problem in problems}


def _same(what: str) -> str:
    return AMOUNT.sub("some KiB", PROGRESS.sub("", what))


def _of_pools(text: str, known: Known) -> dict[str, Problems]:
    """Return what is wrong with the pools of the halves that are served there."""
    found: dict[str, Problems] = {}
    for half, *figures in POOL.findall(text):
        if half in HALVES:
            found[half] = _of_pool(half, figures, set(known.get(half, ())))
    return found


def _of_pool(half: str, figures: list[str], known: set[str]) -> Problems:
    if not figures[0]:
        return {f"the pool of {half} has failed": f"the pool of {half} has failed: see journalctl --dmesg where it is served"}
    metadata, all_metadata, data, all_data = map(int, figures)
    hints = {
        f"the pool of {half} is over {WARNING_PERCENT} % full": (data, all_data, "remove instances or snapshots that are not needed"),
        f"the pool of {half} has used over {WARNING_PERCENT} % of its metadata": (
            metadata,
            all_metadata,
            f"where it is served, run {metadata_growth(half)}",
        ),
    }
    return {
        what: f"{what}: {hint}; when it is full, writes to all its volumes fail"
        for what, (used, everything, hint) in hints.items()
        if used * 100 > everything * (WARNING_PERCENT - MARGIN if what in known else WARNING_PERCENT)
    }


def settle(known: Known, before: Mapping[str, Problems], now: Mapping[str, Problems]) -> Known:
    """Return what is known to be wrong after two looks, one after the other. What only one saw, such as while a half moves, is not."""
    settled = dict(known)
    for source in before.keys() & now.keys():
        lasts = [what for what in known.get(source, ()) if what in before[source] or what in now[source]]
        begins = [what for what in now[source] if what in before[source] and what not in lasts]
        settled[source] = [*lasts, *begins]
    return settled


def changes(known: Known, settled: Known, now: Mapping[str, Problems]) -> list[News]:
    """Return what is to be said when this is known after that; what has become worse comes first."""
    worse = [now[source][what] for source in settled for what in settled[source] if what not in known.get(source, ())]
    better = [f"over: {what}" for source in known for what in known[source] if what not in settled[source]]
    return [*(News(sentence, is_worse=True) for sentence in worse), *(News(sentence, is_worse=False) for sentence in better)]


def _fenced(crm_mon: str) -> dict[str, str] | None:
    """Return the fencings that succeeded, {what tells it from others: sentence}; None where no cluster answered."""
    try:
        root = ElementTree.fromstring(crm_mon.strip())  # noqa: S314 - written by Pacemaker on this machine
    except ElementTree.ParseError:
        return None
    if root.find("nodes") is None:
        return None
    events = [event.attrib for event in root.iterfind("./fence_history/fence_event") if event.get("status") == "success"]
    return {f"{event['target']} {event['completed']}": _fencing(event) for event in events}


def _fencing(event: Mapping[str, str]) -> str:
    return f"{event['target']} was fenced ({event['action']}) at {FRACTION.sub('', event['completed'])}"
