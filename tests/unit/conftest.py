"""Runs a module as Ansible does. No program of this machine is run: each one that a module may run gets its answer from the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from hypothesis import settings

# The same examples on every machine: a red suite is red for everybody.
settings.register_profile("bareroot", max_examples=100, deadline=None, derandomize=True, database=None)
settings.load_profile("bareroot")

Answer = tuple[int, str, str]


@dataclass(frozen=True)
class Call:
    """One program that a module ran, without the timeout(1) around it."""

    argv: list[str]
    timeout: int
    options: dict[str, Any]


class FakeCommands:
    """Stands for AnsibleModule.run_command. The longest prefix that fits answers; a program without an answer fails the test."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._answers: dict[tuple[str, ...], Answer | Callable[[list[str]], Answer]] = {}

    def answer(self, *prefix: str, with_: Answer | Callable[[list[str]], Answer]) -> None:
        """Answer every command that begins with `prefix` by (exit code, stdout, stderr), or by what a function returns."""
        self._answers[prefix] = with_

    def run(self, args: list[str], **options: Any) -> Answer:
        if not isinstance(args, list) or args[:1] != ["timeout"]:
            pytest.fail(f"a command without a deadline, or not a list: {args}")
        _timeout, _kill_after, seconds, *argv = args
        self.calls.append(Call(argv, int(seconds), options))
        fitting = [prefix for prefix in self._answers if tuple(argv[: len(prefix)]) == prefix]
        if not fitting:
            pytest.fail(f"unexpected command: {argv}")
        answer = self._answers[max(fitting, key=len)]
        return answer(argv) if callable(answer) else answer

    @property
    def programs(self) -> list[str]:
        return [call.argv[0] for call in self.calls]


@pytest.fixture
def commands() -> FakeCommands:
    return FakeCommands()


@pytest.fixture
def run_module(
    commands: FakeCommands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a module's main() and returns its result, `invocation` left out."""
    monkeypatch.setattr(AnsibleModule, "run_command", lambda _module, args, **options: commands.run(args, **options))
    monkeypatch.setattr(AnsibleModule, "log", lambda *_args, **_options: None)  # nothing for this machine's syslog

    def run(module: ModuleType, params: dict[str, Any], *, check_mode: bool = False, diff: bool = False) -> dict[str, Any]:
        with (
            patch_module_args({**params, "_ansible_check_mode": check_mode, "_ansible_diff": diff}),
            pytest.raises(SystemExit) as ended,
        ):
            module.main()
        result = json.loads(capsys.readouterr().out)
        del result["invocation"]
        assert ended.value.code == (1 if result.get("failed") else 0)
        return result

    return run
