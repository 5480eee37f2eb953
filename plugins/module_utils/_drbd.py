# SPDX-License-Identifier: GPL-3.0-or-later
"""What DRBD 8.4 says of the halves, and what is wrong with them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ._storage_layout import HALVES

KIB = 1024
# Each device begins with its minor.
BLOCK = re.compile(r"^(?= *\d+: )", re.MULTILINE)
# The protocol is missing while no peer is configured. Of the flags that follow, the first is r for running or s for suspended.
DEVICE = re.compile(r" *(\d+): cs:(\w+)(?: ro:(\w+)/(\w+) ds:(\w+)/(\w+) +(?:[ABC] +)?([rs])\S{5})? *(?:\n|$)")
OUT_OF_SYNC = re.compile(r" oos:(\d+)")
SYNCED = re.compile(r"sync'ed: *([0-9.]+)%")

UP_TO_DATE = "UpToDate"
UNCONFIGURED = "Unconfigured"
SYNC_TARGET = "SyncTarget"
# Both sides have the same data, or compare it.
CONNECTED = ("Connected", "VerifyS", "VerifyT")
# {connection: who is brought up to date}
RESYNC = {"SyncSource": "the other StorageNode is being brought up to date", SYNC_TARGET: "it is being brought up to date here"}
# A resync that is agreed on, or waits for its turn.
BEFORE_RESYNC = ("StartingSyncS", "StartingSyncT", "WFBitMapS", "WFBitMapT", "WFSyncUUID", "PausedSyncS", "PausedSyncT", "Ahead", "Behind")


@dataclass(frozen=True)
class Half:
    """A half as one StorageNode sees it. out_of_sync: bytes that the other one lacks. synced: percent; None where no resync runs."""

    connection: str
    role: str = ""
    peer_role: str = ""
    disk: str = ""
    peer_disk: str = ""
    suspended: bool = False
    out_of_sync: int = 0
    synced: float | None = None

    @property
    def is_primary(self) -> bool:
        return self.role == "Primary"


def parse(text: str) -> dict[str, Half]:
    """Read /proc/drbd: {half: what is said of it}. Devices that are no halves are left out."""
    found = {}
    for block in BLOCK.split(text)[1:]:
        minor, half = _device(block)
        if minor < len(HALVES):
            found[HALVES[minor]] = half
    return found


def _device(block: str) -> tuple[int, Half]:
    match = DEVICE.match(block)
    if not match:
        raise ValueError(f"/proc/drbd is not DRBD 8.4's: {block.splitlines()[0]!r}")
    minor, connection, role, peer_role, disk, peer_disk, flag = match.groups("")
    out_of_sync, synced = OUT_OF_SYNC.search(block), SYNCED.search(block)
    return int(minor), Half(
        connection,
        role,
        peer_role,
        disk,
        peer_disk,
        flag == "s",
        int(out_of_sync[1]) * KIB if out_of_sync else 0,
        float(synced[1]) if synced else None,
    )


def problems(halves: Mapping[str, Half], is_pair: bool) -> list[str]:
    """Return all that is wrong on one StorageNode, in words. A single one has no peer to be connected to."""
    return [f"{name}: {problem}" for name in HALVES for problem in _problems(name, halves.get(name), is_pair)]


def _problems(name: str, half: Half | None, is_pair: bool) -> Iterator[str]:
    if half is None or half.connection == UNCONFIGURED:
        why = "that is right in maintenance only" if is_pair else "see systemctl status bareroot-storage.service"
        yield f"DRBD is down for it; {why}"
        return
    # While it is brought up to date that is all there is to say.
    if half.disk != UP_TO_DATE and half.connection != SYNC_TARGET:
        yield f"its data here is {half.disk}, not {UP_TO_DATE}; {_disk_hint(name, half.disk, is_pair)}"
    if is_pair:
        yield from _connection(name, half)
    if half.suspended:
        yield f"its I/O is suspended; {_suspended_hint(name, is_pair)}"


def _disk_hint(name: str, disk: str, is_pair: bool) -> str:
    if disk in ("Diskless", "Failed", "Detaching"):
        return f"the disk failed or was taken away: see journalctl --dmesg, then drbdadm attach {name}"
    if is_pair:
        return "it is brought up to date as soon as the other StorageNode is connected"
    return "see journalctl --dmesg"


def _suspended_hint(name: str, is_pair: bool) -> str:
    if is_pair:
        return "it goes on when the other StorageNode has been fenced, so see why it has not, with crm_mon --one-shot"
    return f"drbdadm resume-io {name} lets it go on"


def _connection(name: str, half: Half) -> Iterator[str]:
    connection = half.connection
    if connection in RESYNC:
        percent = "" if half.synced is None else f", {half.synced} % done"
        yield f"{RESYNC[connection]}{percent}; until that is over only one StorageNode has all the data"
    elif connection in BEFORE_RESYNC:
        yield f"a resync waits ({connection}); until it is over only one StorageNode has all the data"
    elif connection == "StandAlone":
        yield (
            "not connected (StandAlone): the two StorageNodes' data has parted or was never one; choose whose data of this half is lost: "
            f"there, as Secondary, run drbdadm connect --discard-my-data {name}, and on the other one drbdadm connect {name}"
        )
    elif connection not in CONNECTED:
        yield f"not connected ({connection}); is the other StorageNode on, and does the storage network work"
    elif half.out_of_sync:
        copy = f"drbdadm disconnect {name}, then drbdadm connect {name}, copies them"
        yield f"{half.out_of_sync // KIB} KiB differ on the two StorageNodes; {copy}"
