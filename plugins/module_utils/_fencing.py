# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node's BMC is told to switch it off, and asked whether it is on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ._runner import RunError, Runner

AGENT = "fence_ipmilan"
FENCE_SPEC = {
    "node": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "cipher": {"type": "str", "default": ""},
}
# The agent's exit codes for a machine that is on, and off.
STATUS_CODES = (0, 2)
MISSING = 127
STATUS = re.compile(r"^Status: (ON|OFF)$", re.MULTILINE)
ERROR = re.compile(r" ERROR: (.+)")


@dataclass(frozen=True)
class Answer:
    """What asking a BMC came to. state: "on" or "off"; broken: why that is not known. Both are empty where the agent is not installed."""

    state: str = ""
    broken: str = ""


def fence_options(fence: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's parameters. Raises ValueError for a value that the agent could not be told."""
    for name in ("address", "user", "password", "cipher"):
        # The agent reads its parameters line by line: a line break in one would add another.
        if not fence[name].isprintable():
            raise ValueError(
                f"node_bmc_{name} of {fence['node']} holds a line break or another character that cannot be printed: write it in one line"
            )
    return {
        "ip": fence["address"],
        "username": fence["user"],
        "password": fence["password"],
        "lanplus": "1",
        **({"cipher": fence["cipher"]} if fence["cipher"] else {}),
        # Off, seen to be off, and on again: a power cycle would be believed without a look.
        "method": "onoff",
        "power_wait": "2",
    }


def ask(runner: Runner, fence: Mapping[str, str], timeout: int) -> Answer:
    """Ask one BMC, in that many seconds."""
    try:
        output = _status(runner, fence, timeout)
    except RunError as error:
        return Answer() if error.result["rc"] == MISSING else Answer(broken=reason(error))
    except ValueError as error:
        return Answer(broken=str(error))
    status = STATUS.search(output)
    return Answer(state=status[1].lower()) if status else Answer(broken=f"{AGENT} did not say whether the machine is on")


def _status(runner: Runner, fence: Mapping[str, str], timeout: int) -> str:
    parameters = {**fence_options(fence), "action": "status"}
    lines = "\n".join(f"{name}={value}" for name, value in parameters.items())
    try:
        # On standard input, since everybody sees arguments. A failure to write there must not end the module from within a thread.
        return runner.run([AGENT], timeout, accept=STATUS_CODES, data=lines, handle_exceptions=False)
    except BrokenPipeError:
        # It ended before it read anything. If it is missing, this says so.
        return runner.run([AGENT, "--version"], timeout)


def reason(error: RunError) -> str:
    """Return why the agent failed: its first error, for its last one may be only a hint at its usage."""
    first = ERROR.search(error.result["stderr"])
    return first[1].strip() if first else str(error)
