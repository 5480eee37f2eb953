from __future__ import annotations

import json
import threading

import pytest

from plugins.modules import fence_info

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
ON, OFF = (0, "Status: ON\n", ""), (2, "Status: OFF\n", "")
REFUSED = (1, "", "2026-11-21 14:00:00,123 ERROR: Failed: Unable to obtain correct plug status or plug is not available\n\n")
MISSING = (127, "", "timeout: failed to run command 'fence_ipmilan': No such file or directory")


class Bmcs:
    """BMCs by their machine's name, each with what the agent answers for it."""

    def __init__(self, run_module, commands, monkeypatch):
        self.answers = {}
        self.together = None
        self.commands = commands
        self._run_module = run_module
        self._told = threading.local()
        run = commands.run

        def remember(args, **options):
            self._told.data = options["data"]
            return run(args, **options)

        monkeypatch.setattr(commands, "run", remember)
        commands.answer("fence_ipmilan", with_=self._agent)

    def _agent(self, _argv):
        told = dict(line.split("=", 1) for line in self._told.data.split("\n"))
        assert told["action"] == "status"
        if self.together:
            self.together.wait(timeout=30)
        return self.answers[told["ip"].removeprefix("bmc-")]

    def run(self, check_mode=False, **options):
        fences = [{"node": node, "address": f"bmc-{node}", "user": "admin", "password": "horse-battery"} for node in self.answers]
        result = self._run_module(fence_info, {"fences": fences, **options}, check_mode=check_mode)
        assert "horse" not in json.dumps(result)
        return result


@pytest.fixture
def bmcs(run_module, commands, monkeypatch):
    return Bmcs(run_module, commands, monkeypatch)


@BOTH_MODES
def test_each_machine_is_on_or_off_or_has_a_reason(bmcs, check_mode):
    bmcs.answers = {"cn1": ON, "sn1": OFF, "sn2": REFUSED}
    assert bmcs.run(check_mode) == {
        "changed": False,
        "states": {"cn1": "on", "sn1": "off"},
        "broken": {"sn2": "Failed: Unable to obtain correct plug status or plug is not available"},
        "installed": True,
    }


def test_no_argument_holds_a_password(bmcs):
    bmcs.answers = {"cn1": ON}
    bmcs.run()
    assert [call.argv for call in bmcs.commands.calls] == [["fence_ipmilan"]]
    assert "password=horse-battery" in bmcs.commands.calls[0].options["data"]


def test_the_bmcs_are_asked_side_by_side(bmcs):
    bmcs.answers = dict.fromkeys([f"hn{number}" for number in range(40)], ON)
    # Nobody gets past it before all are there.
    bmcs.together = threading.Barrier(len(bmcs.answers))
    assert bmcs.run()["states"] == dict.fromkeys(bmcs.answers, "on")


@BOTH_MODES
def test_without_the_agent_nothing_is_broken(bmcs, check_mode):
    bmcs.answers = {"cn1": MISSING, "sn1": MISSING}
    assert bmcs.run(check_mode) == {"changed": False, "states": {}, "broken": {}, "installed": False}


@pytest.mark.parametrize(("options", "timeout"), [({}, 20), ({"timeout": 3}, 3)], ids=["default", "given"])
def test_each_bmc_has_its_deadline(bmcs, options, timeout):
    bmcs.answers = {"cn1": ON, "sn1": ON}
    bmcs.run(**options)
    assert [call.timeout for call in bmcs.commands.calls] == [timeout, timeout]


def test_no_bmcs_is_no_error(bmcs):
    assert bmcs.run() == {"changed": False, "states": {}, "broken": {}, "installed": True}


@pytest.mark.parametrize("missing", ["node", "address", "user", "password"])
def test_a_missing_option_is_named(run_module, commands, missing):
    fence = {"node": "sn1", "address": "bmc-sn1", "user": "admin", "password": "horse-battery"}
    del fence[missing]
    result = run_module(fence_info, {"fences": [fence]})
    assert result["failed"]
    assert missing in result["msg"]
    assert commands.calls == []
