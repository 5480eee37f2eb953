# SPDX-License-Identifier: GPL-3.0-or-later
"""Which systemd units must be enabled, started or restarted."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._runner import Runner

# What systemctl is-active ends with: running, not running, no such unit.
IS_ACTIVE_CODES = (0, 3, 4)
PROPERTIES = ["Id", "LoadState", "ActiveState", "UnitFileState", "ActiveEnterTimestamp"]
ENABLED = {"enabled", "static", "indirect", "generated", "alias"}


@dataclass(frozen=True)
class State:
    """What systemd says of a unit. since: when it became active, in seconds since 1970; 0 when it never was."""

    load: str
    active: bool
    enabled: bool
    since: float


@dataclass
class Plan:
    """What to do; empty when nothing."""

    enable: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)
    restart: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.enable or self.start or self.restart)


def is_active(runner: Runner, name: str) -> bool:
    """Whether a unit runs; one that does not exist does not."""
    return runner.run(["systemctl", "is-active", name], accept=IS_ACTIVE_CODES).strip() == "active"


def active(runner: Runner, names: list[str]) -> set[str]:
    """Return those of the units that run."""
    if not names:
        return set()
    states = runner.run(["systemctl", "is-active", *names], accept=IS_ACTIVE_CODES).split()
    return {name for name, state in zip(names, states, strict=True) if state == "active"}


def show_argv(names: list[str]) -> list[str]:
    """Return the one command that asks for all units."""
    return ["systemctl", "show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", *names]


def parse(output: str, names: list[str]) -> dict[str, State]:
    """Read the command's output: one block a unit, in the order asked for."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in output.strip().split("\n\n")]
    return {name: _state(block) for name, block in zip(names, blocks, strict=True)}


def _state(block: dict[str, str]) -> State:
    return State(
        load=block.get("LoadState", ""),
        active=block.get("ActiveState", "") in ("active", "reloading"),
        enabled=block.get("UnitFileState", "") in ENABLED,
        since=_seconds(block.get("ActiveEnterTimestamp", "")),
    )


def _seconds(timestamp: str) -> float:
    """Read systemd's "Fri 2026-11-20 06:21:39.123456 UTC"; an empty one is 0."""
    if not timestamp:
        return 0.0
    _weekday, day, time, zone = timestamp.split(" ")
    if zone != "UTC":
        raise ValueError(f"unexpected time zone in {timestamp!r}")
    return datetime.fromisoformat(f"{day}T{time}+00:00").timestamp()


def newest(paths: list[str]) -> float:
    """Return when the last of these files was changed; those that are not there do not count."""
    return max((os.lstat(path).st_mtime for path in paths if os.path.lexists(path)), default=0.0)


def plan(changed: dict[str, float], states: dict[str, State]) -> Plan:
    """Decide. changed: when each unit's configuration was last changed, in seconds since 1970."""
    result = Plan()
    for name, when in changed.items():
        state = states[name]
        if not state.enabled:
            result.enable.append(name)
        if not state.active:
            result.start.append(name)
        elif state.since < when:
            result.restart.append(name)
    return result


def describe(states: dict[str, State], plan: Plan | None) -> str:
    """Describe the units for a diff: as they are, or as they are after the plan."""
    lines = []
    for name, state in states.items():
        enabled = state.enabled or (plan is not None and name in plan.enable)
        active = state.active or (plan is not None and name in plan.start)
        restarted = " (restarted)" if plan is not None and name in plan.restart else ""
        lines.append(f"{name}: {'enabled' if enabled else 'disabled'}, {'active' if active else 'inactive'}{restarted}\n")
    return "".join(lines)
