# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mistake in an inventory is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mistake:
    """One mistake. host is "all" where no single machine is to blame."""

    host: str
    variable: str
    problem: str


def attempt(host: str, variable: str, parse: Callable[..., Any], *arguments: Any) -> Iterator[Mistake]:
    """Report what a parser says of a value."""
    try:
        parse(*arguments)
    except ValueError as error:
        yield Mistake(host, variable, str(error))
