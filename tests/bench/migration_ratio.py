"""Prints medians and ratios of the figures that migration.yml noted. Usage: migration_ratio.py FILE"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path


def main() -> None:
    turns = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for figure, unit in (("blackout_ms", "ms"), ("duration_s", "s")):
        values = {scripts: [turn[figure] for turn in turns if turn["scripts"] == scripts] for scripts in ("debian", "lean")}
        medians = {scripts: statistics.median(found) for scripts, found in values.items()}
        shown = ", ".join(f"{scripts} {medians[scripts]} {unit} {sorted(found)}" for scripts, found in values.items())
        print(f"{figure}: {shown}; lean / debian = {medians['lean'] / medians['debian']:.2f}")


if __name__ == "__main__":
    main()
