"""Prints what fio.yml noted as a table. Usage: fio_ratio.py FILE"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def rate(job: dict) -> float:
    """Return MB/s of a job, whichever way it went."""
    return (job["read"]["bw_bytes"] + job["write"]["bw_bytes"]) / 1e6


def main() -> None:
    found: dict[str, dict[str, float]] = {}
    for run in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        found.setdefault(run["pattern"], {})[run["place"]] = rate(run["fio"]["jobs"][0])
    for pattern, rates in found.items():
        ratio = rates["aoe"] / rates["local"]
        print(f"{pattern}: logical volume {rates['local']:.1f} MB/s, by AoE {rates['aoe']:.1f} MB/s; AoE / local = {ratio:.2f}")


if __name__ == "__main__":
    main()
