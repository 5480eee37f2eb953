"""What playbooks/status.yml prints of machines that are ready, still booting, and silent."""

from __future__ import annotations

import json

import pytest

from plugins.filter.node_table import node_table

FACTS = json.dumps({"role": "hardware", "image": "xen-0123456789abcdef", "root": "aoe"})


def row(said: str) -> list[str]:
    lines = node_table({"hn1": {"address": "10.0.0.21", "said": said}})
    assert lines[0].split() == ["node", "role", "state", "address", "image", "root", "up", "boot"]
    return lines[1].split()


def test_a_machine_that_is_ready():
    cells = row(f"100.5\n61.93\n{FACTS}")
    assert cells[:6] == ["hn1", "hardware", "ready", "10.0.0.21", "xen-01234567", "aoe"]
    assert " ".join(cells[6:]) == "1 min 62 s"


def test_a_machine_that_still_boots():
    assert row(f"20.5\n\n{FACTS}") == ["hn1", "hardware", "booting", "10.0.0.21", "xen-01234567", "aoe", "20", "s"]


def test_a_machine_that_does_not_answer():
    assert row("") == ["hn1", "no", "answer", "10.0.0.21"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [("0.4", "0 s"), ("59", "59 s"), ("3600", "1 h"), ("3725", "1 h"), ("90061", "1 d")],
)
def test_times_are_written_in_their_largest_unit(seconds, text):
    assert text in node_table({"hn1": {"address": "a", "said": f"{seconds}\n5\n{FACTS}"}})[1]


def test_columns_line_up_whatever_is_in_them():
    machines = {name: {"address": "10.0.0.21", "said": f"1\n2\n{FACTS}"} for name in ("a", "a-longer-name")}
    header, first, second = node_table(machines)
    assert header.index("role") == first.index("hardware") == second.index("hardware")
