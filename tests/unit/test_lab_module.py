"""How the tests on machines run one of the collection's modules on a machine of the lab."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.lab import Lab


def test_a_module_gets_its_own_options_whatever_they_are_called(monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda argv, **_options: calls.append(argv))
    Lab().module("sn1", "volume", name="load", machine="m", size="16M")
    (argv,) = calls
    assert argv[argv.index("-m") + 1] == "bareroot.cloud.volume"
    assert json.loads(argv[argv.index("-a") + 1]) == {"name": "load", "machine": "m", "size": "16M"}
    assert "ansible_host=10.77.0.11" in argv
