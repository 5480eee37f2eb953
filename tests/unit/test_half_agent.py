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
    """Return a function that asks the agent, systemd answering with a code: what it ends with and what it told systemd."""

    def ask(action: str, answer: int = 0) -> tuple[int, list[str]]:
        log, systemctl = tmp_path / "log", tmp_path / "systemctl"
        log.write_text("")
        systemctl.write_text(f'#!/bin/sh\necho "$*" >>{log}\nexit {answer}\n')
        systemctl.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OCF_RESKEY_half": "half1"}
        done = subprocess.run([str(AGENT), action], env=environment, check=False, capture_output=True)
        return done.returncode, log.read_text().splitlines()

    return ask


@pytest.mark.parametrize(
    ("action", "answer", "code", "told"),
    [
        ("monitor", 0, SUCCESS, "--quiet is-active bareroot-half@half1.service"),
        ("monitor", 3, NOT_RUNNING, "--quiet is-active bareroot-half@half1.service"),
        ("start", 0, SUCCESS, "start bareroot-half@half1.service"),
        ("start", 1, GENERIC, "start bareroot-half@half1.service"),
        ("stop", 0, SUCCESS, "stop bareroot-half@half1.service"),
        ("stop", 1, GENERIC, "stop bareroot-half@half1.service"),
    ],
)
def test_it_does_with_the_unit_what_is_asked(ask, action, answer, code, told):
    assert ask(action, answer) == (code, [told])


@pytest.mark.parametrize(("action", "code"), [("validate-all", SUCCESS), ("promote", UNIMPLEMENTED), ("", UNIMPLEMENTED)])
def test_what_it_need_not_or_cannot_do_touches_nothing(ask, action, code):
    assert ask(action) == (code, [])


def test_its_metadata_have_the_timeouts_that_the_cluster_is_given():
    agent = ET.fromstring(subprocess.run([str(AGENT), "meta-data"], check=True, capture_output=True).stdout)  # noqa: S314 - our own
    limits = {action.get("name"): action.get("timeout") for action in agent.iter("action")}
    assert limits["start"] == limits["stop"] == f"{_timers.EXPORTS}s"
    assert ("monitor", "30s", limits["monitor"], "") in _cib.HALF_OPERATIONS
