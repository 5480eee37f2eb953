"""Prints medians and ratios of the figures that migration.yml noted. Usage: migration_ratio.py FILE

blackout_ms: how long the instance did not answer. duration_s: what xl took. task_s: the whole task, with checks before and after.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import figures

# Ours / plain, at most.
LIMITS = {"blackout_ms": 0.6, "task_s": 1}


def main() -> None:
    turns = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for figure in ("blackout_ms", "duration_s", "task_s"):
        values = {how: sorted(turn[figure] for turn in turns if turn["how"] == how) for how in ("plain", "bareroot")}
        medians = {how: statistics.median(found) for how, found in values.items()}
        shown = ", ".join(f"{how} {medians[how]:.1f} {found}" for how, found in values.items())
        ratio = medians["bareroot"] / medians["plain"]
        limit = figures.verdict(ratio, LIMITS.get(figure))
        print(f"{figure}: {shown}; bareroot / plain = {ratio:.2f}{limit}")


if __name__ == "__main__":
    main()
