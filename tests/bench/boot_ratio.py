"""Prints medians and ratios of the boots that boot.yml noted. Usage: boot_ratio.py FILE"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import figures

# To ready, a node's root / direct, at most.
LIMITS = {("hn1", "aoe"): 1.5, ("hn1", "nfs"): 1.5}


def parts(boots: list[dict[str, float]]) -> str:
    """Describe when each mark was reached, by medians."""
    medians = {mark: statistics.median(boot[mark] for boot in boots) for mark in boots[0]}
    return ", ".join(f"{mark} {medians[mark]:.1f} s" for mark in sorted(medians, key=medians.get))


def main() -> None:
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for boot in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        found.setdefault((boot["node"], boot["root"]), []).append(boot["seconds"])
    ready = {turn: statistics.median(boot["ready"] for boot in boots) for turn, boots in found.items()}
    direct = next(seconds for (_node, root), seconds in ready.items() if root == "direct")
    for (node, root), boots in found.items():
        ratio = ready[node, root] / direct
        limit = figures.verdict(ratio, LIMITS.get((node, root)))
        print(f"{node} {root}: {parts(boots)} after power-on ({len(boots)} boots); / direct = {ratio:.2f}{limit}")


if __name__ == "__main__":
    main()
