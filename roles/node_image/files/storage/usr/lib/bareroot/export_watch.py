"""export_watch.py: ends an AoE target that stands still while requests wait for it. systemd starts it anew, and clients ask again.

A target that waits for its disk (state D) is left alone: it goes on when the disk does, or the cluster sees to it.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
ETHERTYPE = "88a2"
# Longer than any pause of a target on a starved machine; far shorter than what clients put up with.
PATIENCE = 10


@dataclass(frozen=True)
class Target:
    """A vblade process: its state as ps says it, its system calls so far, and the bytes that wait in its socket."""

    state: str
    calls: str
    waiting: int


def waiting_by_socket(table: str) -> dict[str, int]:
    """Return {inode: bytes that wait} of all AoE sockets in /proc/net/packet."""
    rows = [line.split() for line in table.splitlines()[1:]]
    # sk RefCnt Type Proto Iface R Rmem User Inode
    return {row[8]: int(row[6]) for row in rows if row[3] == ETHERTYPE}


def targets() -> dict[int, Target]:
    """Return all targets that run, by pid."""
    waiting = waiting_by_socket((PROC / "net/packet").read_text())
    found = {}
    for process in PROC.glob("[0-9]*"):
        try:
            if (process / "comm").read_text() != "vblade\n":
                continue
            sockets = {os.readlink(descriptor).partition("[")[2].rstrip("]") for descriptor in (process / "fd").iterdir()}
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            calls = (process / "io").read_text()
        except (FileNotFoundError, ProcessLookupError):
            # It has just ended.
            continue
        found[int(process.name)] = Target(state, calls, sum(waiting.get(inode, 0) for inode in sockets))
    return found


def stands_still(before: Target | None, now: Target) -> bool:
    """Whether requests wait, and nothing was done since."""
    return before is not None and now.waiting > 0 and before.waiting > 0 and now.calls == before.calls and now.state != "D"


def step(seen: dict[int, Target], stood: dict[int, int]) -> tuple[dict[int, Target], dict[int, int]]:
    """Look at all targets, end those that stood still for too long, and return what was seen and for how long each stood."""
    now = targets()
    stood = {pid: stood.get(pid, 0) + 1 for pid, target in now.items() if stands_still(seen.get(pid), target)}
    for pid, seconds in stood.items():
        if seconds == PATIENCE:
            print(f"target {pid} stands still while {now[pid].waiting} bytes wait for it: ending it", flush=True)
            os.kill(pid, signal.SIGKILL)
    return now, stood


def main() -> None:
    """Look once a second."""
    seen: dict[int, Target] = {}
    stood: dict[int, int] = {}
    while True:
        seen, stood = step(seen, stood)
        time.sleep(1)


if __name__ == "__main__":
    main()
