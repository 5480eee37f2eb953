# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a pair of StorageNodes, chosen at random and one after the other: soak.py N SEED. Needs the lab's pair (make pair).

The same seed chooses the same faults. Ends with 1 where any of them was not survived as it is expected.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

from tests.e2e.faults import FAULTS
from tests.e2e.lab import ROOT

TEST = "molecule/pair/tests/test_faults.py::test_nothing_is_lost"


def chosen(count: int, seed: str) -> list[str]:
    """Return the names of that many faults."""
    return random.Random(seed).choices(sorted(FAULTS), k=count)  # noqa: S311 - no secret


def main() -> int:
    """Let them happen, say how each went, and how many were survived."""
    count, seed = int(sys.argv[1]), sys.argv[2]
    names = chosen(count, seed)
    failed = []
    for number, name in enumerate(names, 1):
        print(f"{time.strftime('%H:%M:%S')} {number}/{count}: {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "--no-header", f"{TEST}[{name}]"], check=False, cwd=ROOT)
        if done.returncode:
            failed.append(f"{number}: {name}")
    print(f"SEED={seed}: {count - len(failed)} of {count} were survived{''.join(f'; not {name}' for name in failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
