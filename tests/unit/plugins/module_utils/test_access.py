from __future__ import annotations

import json
import shlex
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._access import Access
from plugins.module_utils._runner import RunError

NODES = {
    "hn1": {"role": "hardware", "address": "10.0.0.21", "storage_address": "10.1.0.21"},
    "sn1": {"role": "storage", "address": "10.0.0.11", "storage_address": "10.1.0.11"},
    "hn2": {"role": "hardware", "address": "10.0.0.22", "storage_address": "10.0.0.22"},
}


def access(directory="/access", answer=lambda _node: "said\n"):
    """Return an access, and the list of what it runs. answer: what a node says, given its name; may raise RunError."""
    calls = []

    def run(argv, **options):
        calls.append((argv, options))
        return answer(argv[3])

    return Access(SimpleNamespace(run=run), str(directory)), calls


def silent(node):
    return RunError(["ssh", node], 255, "", f"ssh: connect to host {node} port 22: No route to host\n", "exit code 255")


def test_hardware_nodes_are_those_of_the_record(tmp_path):
    (tmp_path / "nodes.json").write_text(json.dumps(NODES), encoding="utf-8")
    assert access(tmp_path)[0].hardware_nodes() == {"hn1": NODES["hn1"], "hn2": NODES["hn2"]}


@pytest.mark.parametrize("text", [None, "", "{", "no json"], ids=["missing", "empty", "cut", "other"])
def test_without_a_record_the_error_says_what_to_run(tmp_path, text):
    if text is not None:
        (tmp_path / "nodes.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^cannot read {tmp_path}/nodes\.json: .* after playbooks/boot_tree\.yml$"):
        access(tmp_path)[0].hardware_nodes()


def test_a_program_is_run_over_ssh():
    reached, calls = access()
    assert reached.run("hn1", ["xl", "list"]) == "said\n"
    assert reached.run("hn2", ["sh"], stdin="exit\n", timeout=7) == "said\n"
    assert calls == [
        (["ssh", "-F", "/access/ssh_config", "hn1", "--", "xl list"], {"timeout": 60, "data": ""}),
        (["ssh", "-F", "/access/ssh_config", "hn2", "--", "sh"], {"timeout": 7, "data": "exit\n"}),
    ]


@given(st.lists(st.text(), min_size=1))
def test_every_word_reaches_the_program_as_it_is(argv):
    reached, calls = access()
    reached.run("hn1", argv)
    assert shlex.split(calls[0][0][-1]) == argv


def test_a_node_that_does_not_answer_is_an_error():
    def answer(node):
        raise silent(node)

    with pytest.raises(RunError):
        access(answer=answer)[0].run("hn1", ["true"])


def test_on_all_nodes_each_has_its_own_answer_or_error():
    def answer(node):
        if node == "hn2":
            raise silent(node)
        return f"{node}\n"

    answers = access(answer=answer)[0].run_on_all(iter(["hn3", "hn2", "hn1"]), ["hostname"])
    assert list(answers) == ["hn3", "hn2", "hn1"]
    assert (answers["hn3"], answers["hn1"]) == ("hn3\n", "hn1\n")
    assert isinstance(answers["hn2"], RunError)
    assert answers["hn2"].result["rc"] == 255


def test_on_no_node_nothing_is_run():
    reached, calls = access()
    assert reached.run_on_all([], ["true"]) == {}
    assert calls == []


def test_nodes_are_asked_side_by_side():
    together = threading.Barrier(8, timeout=10)  # broken, which is an error, unless all are there at once

    def answer(_node):
        together.wait()
        return ""

    nodes = [f"hn{number}" for number in range(8)]
    assert access(answer=answer)[0].run_on_all(nodes, ["true"]) == dict.fromkeys(nodes, "")


def test_what_is_no_answer_of_a_node_is_not_hidden():
    def answer(_node):
        raise OSError("no more processes")

    with pytest.raises(OSError, match="no more processes"):
        access(answer=answer)[0].run_on_all(["hn1"], ["true"])
