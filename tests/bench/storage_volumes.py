"""What it takes to make, clone and remove a volume where a half has 10, and where it has 1000. Needs the lab's pair (make pair).

Usage: python -m tests.bench.storage_volumes [FEW MANY]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

from tests.bench.figures import keep, verdict
from tests.e2e.health import HALVES
from tests.e2e.lab import Lab
from tests.e2e.loads import STORAGE_NODES, Loads

LIMIT = 1.5
TURNS = 3
# So many at a time, to show how it goes on.
BATCH = 50
# LVM removes or makes one in a second or two in emulation.
BATCH_TIMEOUT = 600
# What is measured, in this order.
STEPS = {
    "make": {"name": "bench-one", "size": "16M"},
    "snapshot": {"name": "bench-one-kept", "template": "bench-one"},
    "remove the snapshot": {"name": "bench-one-kept", "state": "absent"},
    "remove": {"name": "bench-one", "state": "absent"},
}


class Half:
    """A half with fillers beside what it has. node: the StorageNode that serves it."""

    def __init__(self, lab: Lab, node: str, name: str) -> None:
        self.lab, self.node, self.name = lab, node, name
        self.group = f"bareroot_{name}"

    def count(self) -> int:
        """Return how many volumes it has."""
        return len(self._run(f"lvs --noheadings --options lv_name --select pool_lv=pool {self.group}").split())

    def fill(self, count: int) -> None:
        """Make volumes until there are so many."""
        present = self.count()
        for begin in range(present, count, BATCH):
            numbers = range(begin, min(begin + BATCH, count))
            make = f"lvcreate --quiet --yes --virtualsize 4m --thinpool {self.group}/pool --activate n --name bench-fill"
            self._lvm([f"{make}-{number}" for number in numbers])
            # LVM's shell ends with 0 whatever it refused.
            made = self.count()
            print(time.strftime("%H:%M:%S"), f"{made} volumes", flush=True)
            if made <= numbers[-1]:
                raise RuntimeError(f"{self.node} has {made} volumes in {self.name}, not {numbers[-1] + 1}")

    def empty(self) -> None:
        """Remove all that is the bench's."""
        self._lvm([f"lvremove --quiet --yes --select lv_name=~^bench- {self.group}"])

    def room(self) -> None:
        """Let the pool's metadata have what a thousand volumes need."""
        self._run(f"lvextend --quiet --poolmetadatasize +64M {self.group}/pool")

    def _lvm(self, commands: list[str]) -> None:
        # One process for all of them.
        self.lab.run(self.node, "lvm", data="".join(f"{command}\n" for command in commands).encode(), timeout=BATCH_TIMEOUT)

    def _run(self, command: str) -> str:
        return self.lab.run(self.node, command)


def turns(half: Half) -> Iterator[dict[str, float]]:
    """Yield how many seconds each step takes, as whoever asks for it sees it."""
    for _turn in range(TURNS):
        taken = {}
        for step, options in STEPS.items():
            begin = time.monotonic()
            half.lab.module(half.node, "volume", half=half.name, **options)
            taken[step] = time.monotonic() - begin
        yield taken


def report(few: list[dict[str, float]], many: list[dict[str, float]], counts: tuple[int, int]) -> Iterator[str]:
    """Yield a line for each step, with medians."""
    for step in STEPS:
        small, large = (statistics.median(turn[step] for turn in taken) for taken in (few, many))
        ratio = large / small
        yield f"{step}: {counts[0]} volumes {small:.1f} s, {counts[1]} volumes {large:.1f} s; ratio {ratio:.2f}{verdict(ratio, LIMIT)}"


def main() -> None:
    """Measure at both counts, and leave the half as it was."""
    counts = (int(sys.argv[1]), int(sys.argv[2])) if sys.argv[1:] else (10, 1000)
    lab = Lab()
    _node, busy = Loads(lab).home()
    (name,) = (half for half in HALVES if half != busy)
    (node,) = (node for node in STORAGE_NODES if f"bareroot_{name}" in lab.run(node, "vgs --noheadings --options vg_name").split())
    half = Half(lab, node, name)
    half.room()
    taken = []
    try:
        for count in counts:
            half.fill(count)
            taken.append(list(turns(half)))
    finally:
        half.empty()
    keep("storage_volumes", [{"volumes": count, "turns": seconds} for count, seconds in zip(counts, taken, strict=True)])
    print("\n".join(report(taken[0], taken[1], counts)))


if __name__ == "__main__":
    main()
