"""migration_channel.py DOMAIN COMMAND…: runs COMMAND, through which `xl migrate` reaches the other side, and has it wait at one point.

What the guest asked its disks for and has no answer to, it asks for again on the other side. A write of these that still waits here, for a
StorageNode that is away, could be carried out after newer ones. So the other side is ready only when this one has written everything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SYS = Path("/sys")
# What the other side says when it has all of the guest, which stands still on this side by then.
READY = b"domain received, ready to unpause"
# A request that waits for a connection is counted nowhere; once there is one it is, a moment later.
LOOKS = 5
PAUSE = 0.02
TELL_AFTER = 1


def disks(domain: str) -> list[Path]:
    """Return the block devices behind a guest's disks."""
    numbers = [path.read_text().strip().split(":") for path in SYS.glob(f"bus/xen-backend/devices/vbd-{domain}-*/physical_device")]
    return [SYS / f"dev/block/{int(major, 16)}:{int(minor, 16)}" for major, minor in numbers]


def is_written(disk: Path) -> bool:
    """Whether no request waits, neither for an answer nor for a connection over which to be sent.

    Reads count, too: behind those that have taken all there is room for, a write waits where nobody counts it.
    """
    connections = [path.read_text() for path in disk.glob("device/nvme*/state")]
    waiting = (disk / "inflight").read_text().split()
    return set(waiting) == {"0"} and (not connections or "live\n" in connections)


def wait_until_written(domain: str) -> None:
    """Wait for as long as it takes: whoever began the migration ends it when it takes too long."""
    devices, looks, begin, told = disks(domain), 0, time.monotonic(), False
    while looks < LOOKS:
        looks = looks + 1 if all(map(is_written, devices)) else 0
        if not told and time.monotonic() - begin > TELL_AFTER:
            print("waiting until all that the guest wrote is on its volumes", file=sys.stderr, flush=True)
            told = True
        time.sleep(PAUSE)


def relay(source: int, sink: int, hold: Callable[[], None]) -> None:
    """Pass on what the other side says, word by word, `hold` before it is ready."""
    said = b""
    while words := os.read(source, 4096):
        before, said = said, said + words
        if READY in said and READY not in before:
            hold()
        os.write(sink, words)


def main() -> int:
    """End as the command did."""
    domain, *command = sys.argv[1:]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as channel:
        # Or xl would not notice that the command has ended.
        os.close(sys.stdin.fileno())
        try:
            relay(channel.stdout.fileno(), sys.stdout.fileno(), lambda: wait_until_written(domain))
        except BaseException:
            # The other side would wait for permission, xl for the other side, and the guest for both.
            channel.kill()
            raise
    return abs(channel.returncode)


if __name__ == "__main__":
    sys.exit(main())
