"""What playbooks/status.yml prints of machines that are ready, still booting, and silent."""

from __future__ import annotations

import json

import pytest

from plugins.filter.node_table import node_table

FACTS = json.dumps({"role": "hardware", "image": "xen-0123456789abcdef", "root": "aoe"})


def row(said: str, role: str = "hardware", address: str = "10.0.0.21") -> list[str]:
    lines = node_table({"hn1": {"role": role, "address": address, "said": said}})
    assert lines[0].split() == ["node", "role", "state", "address", "image", "root", "up", "boot"]
    return lines[1].split()


def test_a_machine_that_is_ready():
    cells = row(f"100.5\n61.93\n{FACTS}")
    assert cells[:6] == ["hn1", "hardware", "ready", "10.0.0.21", "xen-01234567", "aoe"]
    assert " ".join(cells[6:]) == "1 min 62 s"


def test_a_machine_that_still_boots():
    assert row(f"20.5\n\n{FACTS}") == ["hn1", "hardware", "booting", "10.0.0.21", "xen-01234567", "aoe", "20", "s"]


def test_a_machine_that_does_not_answer():
    assert row("") == ["hn1", "hardware", "no", "answer", "10.0.0.21"]


def test_a_machine_that_has_no_address_yet():
    assert row("", role="storage", address="") == ["hn1", "storage", "new"]


def test_what_a_machine_says_of_its_role_comes_before_what_is_wanted():
    assert row(f"1\n2\n{FACTS}", role="storage")[1] == "hardware"


@pytest.mark.parametrize(
    "said", ["1", "1\n", "1\n2\n", "1\n2\n{}", "1\n2\n[]", f"no\n2\n{FACTS}", '1\n2\n{"role": "x", "image": "xen", "root": "aoe"}']
)
def test_an_answer_that_is_no_nodes_is_shown_as_one(said):
    assert row(said) == ["hn1", "hardware", "strange", "10.0.0.21"]


def test_a_confignode_that_is_up():
    assert row("7300.21", role="config") == ["hn1", "config", "up", "10.0.0.21", "-", "-", "2", "h", "-"]


def test_a_confignode_that_does_not_answer():
    assert row("", role="config") == ["hn1", "config", "silent", "10.0.0.21", "-", "-", "-"]


def test_without_machines_there_are_the_columns_names():
    assert node_table({}) == ["node  role  state  address  image  root  up  boot"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [("0.4", "0 s"), ("59", "59 s"), ("3600", "1 h"), ("3725", "1 h"), ("90061", "1 d")],
)
def test_times_are_written_in_their_largest_unit(seconds, text):
    assert text in node_table({"hn1": {"role": "hardware", "address": "a", "said": f"{seconds}\n5\n{FACTS}"}})[1]


def test_columns_line_up_whatever_is_in_them():
    machines = {name: {"role": "hardware", "address": "10.0.0.21", "said": f"1\n2\n{FACTS}"} for name in ("a", "a-longer-name")}
    header, first, second = node_table(machines)
    assert header.index("role") == first.index("hardware") == second.index("hardware")
