"""The cluster's agent for a half: what Pacemaker asks of it, and how it answers."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from plugins.module_utils import _cib, _timers

AGENT = Path(__file__).parents[2] / "roles/node_image/files/storage/usr/lib/ocf/resource.d/bareroot/half"
SUCCESS, GENERIC, UNIMPLEMENTED, NOT_RUNNING = 0, 1, 3, 7


@pytest.fixture
def ask(tmp_path):
    """Return a function that asks the agent: what it ends with and what it told systemd.

    answer: systemctl's exit code. left: whether the half's volumes are there.
    """

    def ask(action: str, answer: int = 0, *, left: bool = False) -> tuple[int, list[str]]:
        log, systemctl, agent = tmp_path / "log", tmp_path / "systemctl", tmp_path / "agent"
        log.write_text("")
        systemctl.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexit {answer}\n')
        agent.write_text(AGENT.read_text().replace("/dev/bareroot_", f"{tmp_path}/bareroot_"))
        for program in (systemctl, agent):
            program.chmod(0o755)
        if left:
            (tmp_path / "bareroot_half1").mkdir()
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OCF_RESKEY_half": "half1"}
        done = subprocess.run([str(agent), action], env=environment, check=False, capture_output=True)
        return done.returncode, log.read_text().splitlines()

    return ask


@pytest.mark.parametrize(
    ("action", "answer", "left", "code"),
    [
        ("monitor", 0, True, SUCCESS),
        ("monitor", 3, False, NOT_RUNNING),
        ("monitor", 3, True, GENERIC),
        ("start", 0, True, SUCCESS),
        ("start", 1, False, GENERIC),
        ("stop", 0, False, SUCCESS),
        ("stop", 0, True, GENERIC),
        ("stop", 1, False, GENERIC),
    ],
)
def test_it_does_with_the_unit_what_is_asked(ask, action, answer, left, code):
    """systemctl says that a unit was stopped even where what it had to do for that failed."""
    verb = {"monitor": "--quiet is-active"}.get(action, action)
    assert ask(action, answer, left=left) == (code, [f"{verb} bareroot-half@half1.service"])


@pytest.mark.parametrize(("action", "code"), [("validate-all", SUCCESS), ("promote", UNIMPLEMENTED), ("", UNIMPLEMENTED)])
def test_what_it_need_not_or_cannot_do_touches_nothing(ask, action, code):
    assert ask(action) == (code, [])


def test_its_metadata_have_the_timeouts_that_the_cluster_is_given():
    agent = ET.fromstring(subprocess.run([str(AGENT), "meta-data"], check=True, capture_output=True).stdout)  # noqa: S314 - our own
    limits = {action.get("name"): action.get("timeout") for action in agent.iter("action")}
    assert limits["start"] == limits["stop"] == f"{_timers.EXPORTS}s"
    assert ("monitor", "30s", limits["monitor"], "") in _cib.HALF_OPERATIONS
