"""What the benches do with their figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "bench-results"


def keep(name: str, figures: list[dict[str, Any]]) -> None:
    """Write the raw figures to bench-results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=4) + "\n", encoding="utf-8")


def verdict(value: float, limit: float | None) -> str:
    """Say, for the end of a line, whether a figure keeps its limit, and if not by how much it misses it; nothing where it has none."""
    if limit is None:
        return ""
    return f"; limit {limit:g} kept" if value <= limit else f"; limit {limit:g} MISSED by {value - limit:.2f}"
