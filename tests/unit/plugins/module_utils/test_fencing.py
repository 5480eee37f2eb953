from __future__ import annotations

from types import SimpleNamespace

import pytest

from plugins.module_utils import _fencing
from plugins.module_utils._fencing import Answer
from plugins.module_utils._runner import Runner

FENCE = {"node": "sn1", "address": "10.3.0.21", "user": "admin", "password": "a=b #secret", "cipher": ""}
UNREACHABLE = (
    "2026-11-21 14:00:00,123 ERROR: Failed: Unable to obtain correct plug status or plug is not available\n\n\n"
    "2026-11-21 14:00:00,124 ERROR: Please use '-h' for usage\n\n"
)


@pytest.fixture
def runner(commands):
    return Runner(SimpleNamespace(run_command=commands.run))


def test_the_agents_parameters():
    assert _fencing.fence_options(FENCE) == {
        "ip": "10.3.0.21",
        "username": "admin",
        "password": "a=b #secret",
        "lanplus": "1",
        "method": "onoff",
        "power_wait": "2",
    }


def test_a_cipher_suite_is_a_parameter_only_where_there_is_one():
    assert _fencing.fence_options({**FENCE, "cipher": "3"}) == {**_fencing.fence_options(FENCE), "cipher": "3"}


@pytest.mark.parametrize("name", ["address", "user", "password", "cipher"])
@pytest.mark.parametrize("value", ["x\naction=off", "x\r", "x\x00"], ids=["line-feed", "carriage-return", "null"])
def test_a_value_that_would_be_another_parameter_is_refused_without_being_shown(name, value):
    with pytest.raises(ValueError, match=f"^node_bmc_{name} of sn1 holds a line break") as error:
        _fencing.fence_options({**FENCE, name: value})
    assert "x" not in str(error.value).split("holds")[0]
    assert "action" not in str(error.value)


def test_the_agent_is_told_everything_on_standard_input_and_only_asked(runner, commands):
    commands.answer("fence_ipmilan", with_=(0, "Status: ON\n", ""))
    _fencing.ask(runner, FENCE, 7)
    (call,) = commands.calls
    assert call.argv == ["fence_ipmilan"]
    assert call.timeout == 7
    told = dict(line.split("=", 1) for line in call.options["data"].split("\n"))
    assert told == {**_fencing.fence_options(FENCE), "action": "status"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param((0, "Status: ON\n", ""), Answer(state="on"), id="on"),
        pytest.param((2, "Status: OFF\n", ""), Answer(state="off"), id="off"),
        pytest.param((127, "", "timeout: failed to run command"), Answer(), id="not-installed"),
        pytest.param((2, "", "python3: can't open file"), Answer(broken="fence_ipmilan did not say whether the machine is on"), id="mute"),
        pytest.param(
            (1, "", UNREACHABLE),
            Answer(broken="Failed: Unable to obtain correct plug status or plug is not available"),
            id="unreachable",
        ),
        pytest.param((1, "", "Killed\n"), Answer(broken="fence_ipmilan: exit code 1: Killed"), id="fails"),
        pytest.param((126, "", "Permission denied\n"), Answer(broken="fence_ipmilan: exit code 126: Permission denied"), id="not-allowed"),
        pytest.param((124, "", ""), Answer(broken="fence_ipmilan: not finished after 7 s, or killed"), id="too-long"),
    ],
)
def test_what_the_agents_answer_means(runner, commands, answer, expected):
    commands.answer("fence_ipmilan", with_=answer)
    assert _fencing.ask(runner, FENCE, 7) == expected


def test_a_value_that_the_agent_cannot_be_told_is_a_reason_and_nothing_is_run(runner, commands):
    answer = _fencing.ask(runner, {**FENCE, "user": "a\nb"}, 7)
    assert answer.state == ""
    assert answer.broken.startswith("node_bmc_user of sn1 ")
    assert commands.calls == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param((127, "", "timeout: failed to run command"), Answer(), id="not-installed"),
        pytest.param((1, "", "ModuleNotFoundError: pexpect\n"), Answer(broken="ModuleNotFoundError: pexpect"), id="broken"),
        pytest.param((0, "4.16.0\n", ""), Answer(broken="fence_ipmilan did not say whether the machine is on"), id="ends-at-once"),
    ],
)
def test_an_agent_that_ends_before_it_is_told_anything_is_asked_for_its_version(runner, commands, version, expected):
    def gone(_argv):
        raise BrokenPipeError

    commands.answer("fence_ipmilan", with_=gone)
    commands.answer("fence_ipmilan", "--version", with_=version)
    answer = _fencing.ask(runner, FENCE, 7)
    assert answer.state == ""
    assert answer.broken.endswith(expected.broken)
    assert bool(answer.broken) is bool(expected.broken)
    assert [call.argv for call in commands.calls] == [["fence_ipmilan"], ["fence_ipmilan", "--version"]]
    # So that a failure to write is raised and does not end the module from within a thread.
    assert commands.calls[0].options["handle_exceptions"] is False
