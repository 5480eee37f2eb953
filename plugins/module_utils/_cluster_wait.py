# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules ask the cluster, and wait until it has done what they told it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _cluster_state
from ._runner import RunError, Runner

# Between two looks, in seconds.
PAUSE = 2


class NoClusterError(Exception):
    """The cluster cannot be asked on this machine."""

    def __init__(self, reason: str, result: dict[str, Any]) -> None:
        super().__init__(f"no cluster answers here: {reason}; see systemctl status corosync pacemaker")
        self.result = result


@dataclass(frozen=True)
class Outcome:
    """How a wait ended. seconds: how long it took. lacking: what was still wrong at the end; empty when all is as it should be."""

    seconds: float
    lacking: list[str]


def look(runner: Runner) -> _cluster_state.State:
    """Return what the cluster says now."""
    try:
        return _cluster_state.parse(runner.run(_cluster_state.CRM_MON))
    except RunError as error:
        raise NoClusterError(_cluster_state.error_in(error.result["stdout"]) or str(error), error.result) from error
    except ValueError as error:
        raise NoClusterError(str(error), {}) from error


def tell(runner: Runner, argv: list[str], lacking: Callable[[_cluster_state.State], list[str]], timeout: int) -> Outcome:
    """Give the cluster a command, if there is one, and look every other second until nothing is lacking or the time is over."""
    began = time.monotonic()
    if argv:
        runner.run(argv)
    while True:
        state = look(runner)
        reasons = lacking(state)
        passed = time.monotonic() - began
        if not reasons:
            return Outcome(passed, [])
        if passed >= timeout:
            return Outcome(passed, [*reasons, *state.failures])
        time.sleep(PAUSE)
