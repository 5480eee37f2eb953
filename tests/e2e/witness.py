# SPDX-License-Identifier: GPL-3.0-or-later
"""A witness to storage faults: writes without a break, notes what was acknowledged, and says later whether all of it is there.

witness.py write DEVICE LOG SECONDS    4 KiB blocks, each of them stable before it counts; LOG is to lie elsewhere
witness.py verify DEVICE LOG           prints {"acknowledged", "lost", "stall", "errors"} as JSON; ends with 1 where anything was lost
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time

BLOCK = 4096
# Blocks that are written in turn.
SLOTS = 4096


def content(sequence: int) -> bytes:
    """Return the block with that number: no two are equal, and a torn one shows."""
    return sequence.to_bytes(8, "big") * (BLOCK // 8)


def write(device: str, log: str, seconds: float) -> None:
    """Write until the time is over. Each line of the log: sequence number, when it was acknowledged, how long that took."""
    # O_DIRECT wants aligned memory.
    buffer = mmap.mmap(-1, BLOCK)
    target = os.open(device, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
    end = time.monotonic() + seconds
    # What an earlier run left there, or a blank block, must not pass for a block of this one.
    sequence = time.time_ns()
    with open(log, "w", buffering=1, encoding="ascii") as stream:
        while time.monotonic() < end:
            buffer[:] = content(sequence)
            begin = time.monotonic()
            try:
                os.pwrite(target, buffer, sequence % SLOTS * BLOCK)
            except OSError as error:
                stream.write(f"error {error.errno}\n")
                time.sleep(1)
                continue
            now = time.monotonic()
            stream.write(f"{sequence} {now:.3f} {now - begin:.3f}\n")
            sequence += 1


def verify(device: str, log: str) -> dict[str, float]:
    """Compare what is on the device with what was acknowledged. The last write may have been cut: its block may be the newer one."""
    with open(log, encoding="ascii") as stream:
        lines = [line.split() for line in stream]
    written = [(int(line[0]), float(line[2])) for line in lines if line[0] != "error"]
    newest = {sequence % SLOTS: sequence for sequence, _took in written}
    lost = 0
    source = os.open(device, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK)
    for slot, sequence in newest.items():
        os.preadv(source, [buffer], slot * BLOCK)
        if bytes(buffer) not in (content(sequence), content(sequence + SLOTS)):
            lost += 1
    stall = max((took for _sequence, took in written), default=0.0)
    return {"acknowledged": len(written), "lost": lost, "stall": stall, "errors": len(lines) - len(written)}


def main() -> int:
    """Do what the command line says."""
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], float(sys.argv[4]))
        return 0
    result = verify(sys.argv[2], sys.argv[3])
    print(json.dumps(result))
    return 0 if result["acknowledged"] and not result["lost"] and not result["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
