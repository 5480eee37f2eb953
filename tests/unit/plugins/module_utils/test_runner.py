from __future__ import annotations

from types import SimpleNamespace

import pytest

from plugins.module_utils._runner import RunError, Runner


class Module(SimpleNamespace):
    def run_command(self, argv, **options):
        self.argv, self.options = argv, options
        return self.answer


def runner_that_gets(rc, out="", err=""):
    module = Module(answer=(rc, out, err))
    return Runner(module), module


def test_the_output_comes_back_and_the_program_has_a_deadline():
    runner, module = runner_that_gets(0, "hello\n")
    assert runner.run(["echo", "hello"], timeout=7, cwd="/") == "hello\n"
    assert module.argv == ["timeout", "--kill-after=5", "7", "echo", "hello"]
    assert module.options == {"cwd": "/", "expand_user_and_vars": False}


def test_programs_speak_english():
    _runner, module = runner_that_gets(0)
    assert module.run_command_environ_update["LC_ALL"] == "C"


def test_another_exit_code_can_be_accepted():
    runner, _module = runner_that_gets(3, "found nothing\n")
    assert runner.run(["find"], accept=(0, 3)) == "found nothing\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((2, "out\n", "warning\nE: no space\n"), "exit code 2: E: no space", id="last-line-of-stderr"),
        pytest.param((2, "first\nlast\n", " \n"), "exit code 2: last", id="stdout-when-stderr-is-blank"),
        pytest.param((2, "", ""), "exit code 2: no output", id="silent"),
        pytest.param(
            (127, "", "timeout: failed to run command 'tool'"), "exit code 127: timeout: failed to run command 'tool'", id="missing"
        ),
        pytest.param((-9, "", "Killed"), "exit code -9: Killed", id="killed"),
        pytest.param((124, "", "half way"), "not finished after 60 s, or killed", id="too-long"),
        pytest.param((137, "", "half way"), "not finished after 60 s, or killed", id="too-long-and-deaf"),
    ],
)
def test_a_failure_names_the_program_and_the_reason(answer, reason):
    runner, _module = runner_that_gets(*answer)
    with pytest.raises(RunError) as failed:
        runner.run(["tool", "--option"])
    assert str(failed.value) == f"tool --option: {reason}"
    rc, out, err = answer
    assert failed.value.result == {"cmd": ["tool", "--option"], "rc": rc, "stdout": out, "stderr": err}


@pytest.mark.parametrize("rc", [124, 137])
def test_a_deadline_that_passed_is_an_error_even_when_that_exit_code_is_accepted(rc):
    runner, _module = runner_that_gets(rc)
    with pytest.raises(RunError, match="not finished after 7 s"):
        runner.run(["tool"], timeout=7, accept=(0, rc))


def test_json_is_parsed():
    runner, module = runner_that_gets(0, '[{"a": 1}]')
    assert runner.run_json(["tool"], timeout=9) == [{"a": 1}]
    assert module.argv[2] == "9"


@pytest.mark.parametrize("out", ["", "no json", '{"cut": '])
def test_what_is_not_json_is_the_programs_failure(out):
    runner, _module = runner_that_gets(0, out, "a warning")
    with pytest.raises(RunError, match=r"^tool --option: printed no JSON: .") as failed:
        runner.run_json(["tool", "--option"])
    assert failed.value.result == {"cmd": ["tool", "--option"], "rc": 0, "stdout": out, "stderr": ""}
