# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module of this collection runs a program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Exit codes of coreutils timeout(1); the second when the program did not heed the first signal.
TIMED_OUT = 124
KILLED = 137


class RunError(Exception):
    """A program failed, was missing, or took too long."""

    def __init__(self, argv: list[str], rc: int, stdout: str, stderr: str, reason: str) -> None:
        super().__init__(f"{' '.join(argv)}: {reason}")
        self.result = {"cmd": argv, "rc": rc, "stdout": stdout, "stderr": stderr}


class Runner:
    """Runs programs from list arguments, in the C locale, with a deadline in seconds."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}

    def run(self, argv: list[str], timeout: int = 60, accept: tuple[int, ...] = (0,), **options: Any) -> str:
        """Return standard output; raise RunError when the exit code is not in `accept` or the deadline passed."""
        limited = ["timeout", "--kill-after=5", str(timeout), *argv]
        rc, out, err = self._module.run_command(limited, expand_user_and_vars=False, **options)
        if rc in (TIMED_OUT, KILLED):
            raise RunError(argv, rc, out, err, f"not finished after {timeout} s, or killed")
        if rc not in accept:
            last = (err.strip() or out.strip() or "no output").splitlines()[-1]
            raise RunError(argv, rc, out, err, f"exit code {rc}: {last}")
        return out

    def run_json(self, argv: list[str], timeout: int = 60) -> Any:
        """Return the program's JSON output, parsed."""
        out = self.run(argv, timeout)
        try:
            return json.loads(out)
        except ValueError as error:
            raise RunError(argv, 0, out, "", f"printed no JSON: {error}") from error
