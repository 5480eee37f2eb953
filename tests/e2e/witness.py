# SPDX-License-Identifier: GPL-3.0-or-later
"""A witness to storage faults: writes without a break, says what was acknowledged, and later whether all of it is there.

witness.py write FILE       overwrites 4 KiB blocks in turn, each of them stable before it counts
witness.py create DIRECTORY makes files, renames and removes them, each step stable before it counts
    Both print a line for each: its number, when it was acknowledged, how long that took, and go on until nobody listens.
witness.py verify FILE|DIRECTORY
    reads these lines and prints {"acknowledged", "lost", "stall", "errors"} as JSON; ends with 1 where anything was lost
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from collections.abc import Callable

BLOCK = 4096
# Blocks, or files, that are written in turn.
SLOTS = 1024
# Between two of them: the guest shares its processors with all others.
PAUSE = 0.1


def content(sequence: int) -> bytes:
    """Return the block with that number: no two are equal, and a torn one shows."""
    return sequence.to_bytes(8, "big") * (BLOCK // 8)


def repeat(step: Callable[[int], None]) -> None:
    """Do the step with one number after the other and say when it was done, until nobody listens."""
    # What an earlier run left there, or a blank block, must not pass for one of this run.
    sequence = time.time_ns()
    while True:
        begin = time.monotonic()
        try:
            step(sequence)
        except OSError as error:
            print("error", error.errno, flush=True)
            time.sleep(1)
            continue
        now = time.monotonic()
        print(sequence, f"{now:.3f} {now - begin:.3f}", flush=True)
        sequence += 1
        time.sleep(PAUSE)


def write(path: str) -> None:
    """Overwrite blocks of a file or device."""
    # O_DIRECT wants aligned memory.
    buffer = mmap.mmap(-1, BLOCK)
    target = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_DSYNC, 0o644)

    def step(sequence: int) -> None:
        buffer[:] = content(sequence)
        os.pwrite(target, buffer, sequence % SLOTS * BLOCK)

    repeat(step)


def create(path: str) -> None:
    """Make a file under another name, rename it, remove the oldest."""
    os.makedirs(path, exist_ok=True)
    directory = os.open(path, os.O_RDONLY)

    def step(sequence: int) -> None:
        with open(f"{path}/new", "wb") as stream:
            stream.write(content(sequence))
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(f"{path}/new", f"{path}/{sequence}")
        if os.path.exists(f"{path}/{sequence - SLOTS}"):
            os.remove(f"{path}/{sequence - SLOTS}")
        os.fsync(directory)

    repeat(step)


def is_block_there(path: str, sequence: int) -> bool:
    """Whether the block with that number is in its place. The last write may have been cut: it may be a newer one."""
    buffer = mmap.mmap(-1, BLOCK)
    source = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        os.preadv(source, [buffer], sequence % SLOTS * BLOCK)
    finally:
        os.close(source)
    return bytes(buffer) in (content(sequence), content(sequence + SLOTS))


def is_file_there(path: str, sequence: int) -> bool:
    """Whether the file with that number is whole. The last step may have been cut: the one after it may have removed it."""
    try:
        with open(f"{path}/{sequence}", "rb") as stream:
            return stream.read() == content(sequence)
    except FileNotFoundError:
        return os.path.exists(f"{path}/{sequence + SLOTS}")


def verify(path: str, lines: list[list[str]]) -> dict[str, float]:
    """Compare what is there with what was acknowledged."""
    written = [(int(line[0]), float(line[2])) for line in lines if line[0] != "error"]
    newest = {sequence % SLOTS: sequence for sequence, _took in written}
    is_there = is_file_there if os.path.isdir(path) else is_block_there
    return {
        "acknowledged": len(written),
        "lost": sum(not is_there(path, sequence) for sequence in newest.values()),
        "stall": max((took for _sequence, took in written), default=0.0),
        "errors": len(lines) - len(written),
    }


def main() -> int:
    """Do what the command line says."""
    verb, path = sys.argv[1:]
    if verb != "verify":
        {"write": write, "create": create}[verb](path)
    # A line may have been cut when it was to be printed.
    lines = [line.split() for line in sys.stdin if line.endswith("\n")]
    result = verify(path, lines)
    print(json.dumps(result))
    return 0 if result["acknowledged"] and not result["lost"] and not result["errors"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # Nobody listens any more: that is how it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
