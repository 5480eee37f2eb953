# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables for people, narrow enough for the 80 columns at which Ansible breaks lines."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line a row, with the columns under each other. The first row names them."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
