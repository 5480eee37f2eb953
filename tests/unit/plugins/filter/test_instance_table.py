"""What playbooks/status.yml prints of instances: those that run, those that do not, and those of which nobody knows."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from plugins.filter.instance_table import COLUMNS, FilterModule
from plugins.filter.wanted_instances import wanted_instances
from plugins.module_utils import _instances
from plugins.module_utils._xen_host import Domain, Host

instance_table = FilterModule().filters()["instance_table"]

ROUTE = "ssh: connect to host 10.0.0.22 port 22: No route to host"
INCOMING, AWAY = "web1--incoming", "web1--migratedaway"
REACH = "ssh root@10.2.0.10"


def wanted(**addresses):
    """Return instances of the inventory. addresses: {name: its address}."""
    hosts = {name: {"instance_address": address} for name, address in addresses.items()}
    return wanted_instances(hosts, {"instances": list(hosts)})


def found(*copies, silent=()):
    """Return what instance_info does. copies: (name, node, state as xl writes it)."""
    hosts = {}
    for number, (name, node, state) in enumerate(copies):
        domains = hosts.setdefault(node, Host(node)).domains
        domains[name] = Domain(name, number + 1, 256, 1, state, volumes=("1.0", "1.1"))
    return {"instances": _instances.describe_all(_instances.View(hosts)), "nodes": {}, "silent": dict.fromkeys(silent, ROUTE)}


def cells(instances, seen):
    """Return each row's cells, without the row of names, read by where the columns begin."""
    header, *lines = instance_table(instances, seen)
    starts = [header.index(column) for column in COLUMNS]
    ends = [*starts[1:], None]
    return [tuple(line[start:end].strip() for start, end in zip(starts, ends, strict=True)) for line in lines]


WEB1 = wanted(web1="10.2.0.10/24")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("-b----", "running"),
        ("r-----", "running"),
        ("--p---", "paused"),
        ("---s--", "stopping"),
        ("----c-", "crashed"),
        ("-----d", "stopping"),
    ],
)
def test_an_instance_that_is_there(state, shown):
    assert cells(WEB1, found(("web1", "hn1", state))) == [("web1", shown, "hn1", "256 MiB", "1.0 1.1", REACH)]


@pytest.mark.parametrize("state", ["running", "stopped", "absent"])
def test_what_is_shown_is_what_is_and_not_what_is_wanted(state):
    instances = [{**WEB1[0], "state": state}]
    assert cells(instances, found()) == [("web1", "stopped", "", "", "", "")]
    assert cells(instances, found(("web1", "hn1", "-b----")))[0][:3] == ("web1", "running", "hn1")


def test_an_instance_that_runs_nowhere():
    assert cells(WEB1, found()) == [("web1", "stopped", "", "", "", "")]


@pytest.mark.parametrize(
    ("silent", "shown"),
    [(["hn2"], "unknown, no answer from hn2"), (["hn2", "hn1"], "unknown, no answer from hn1, hn2")],
    ids=["one", "all"],
)
def test_where_a_node_is_silent_nobody_knows(silent, shown):
    assert cells(WEB1, found(silent=silent)) == [("web1", shown, "", "", "", "")]


def test_of_one_that_is_seen_a_silent_node_hides_nothing():
    assert cells(WEB1, found(("web1", "hn1", "-b----"), silent=["hn2"]))[0][1] == "running"


@pytest.mark.parametrize(("silent", "shown"), [([], "stopped"), (["hn2"], "unknown, no answer from hn2")], ids=["none", "one"])
def test_one_that_was_asked_for_by_name_and_runs_nowhere_is_no_copy(silent, shown):
    seen = {**found(silent=silent), "instances": [_instances.describe(_instances.View({}), "web1", "")]}
    assert cells(WEB1, seen) == [("web1", shown, "", "", "", "")]


def test_an_instance_that_is_not_in_the_inventory_is_last_and_said_to_be():
    assert cells(WEB1, found(("old", "hn2", "--p---"), ("web1", "hn1", "-b----"))) == [
        ("web1", "running", "hn1", "256 MiB", "1.0 1.1", REACH),
        ("old", "paused, not in the inventory", "hn2", "256 MiB", "1.0 1.1", ""),
    ]


def test_two_copies_have_a_row_each():
    rows = cells(WEB1, found(("web1", "hn1", "-b----"), ("web1", "hn2", "-b----")))
    assert [row[:3] for row in rows] == [("web1", "running", "hn1"), ("web1", "running", "hn2")]


@pytest.mark.parametrize(
    "copies",
    [
        pytest.param([("web1", "hn1", "-b----"), (INCOMING, "hn2", "--p---")], id="under-way"),
        pytest.param([(INCOMING, "hn2", "--p---"), (AWAY, "hn1", "---s--")], id="at-the-end"),
        pytest.param([(AWAY, "hn1", "---s--")], id="broken"),
    ],
)
def test_copies_of_a_migration_belong_to_the_instance_which_is_not_stopped(copies):
    rows = cells(WEB1, found(*copies))
    assert [(row[0], row[2]) for row in rows] == [(name, node) for name, node, _state in copies]
    assert [row[1] for row in rows if "stopped" in row[1] or "inventory" in row[1]] == []


def test_a_copy_of_what_is_not_in_the_inventory_is_not_in_it_either():
    assert cells([], found(("old--incoming", "hn1", "--p---")))[0][:2] == ("old--incoming", "paused, not in the inventory")


def test_an_instance_with_dhcp_is_reached_somehow():
    assert cells(wanted(web1=""), found(("web1", "hn1", "-b----")))[0][-1] == ""


def test_instances_come_in_the_inventorys_order():
    rows = cells(wanted(b="", c="", a=""), found(("c", "hn1", "-b----")))
    assert [row[0] for row in rows] == ["b", "c", "a"]


def test_without_instances_there_are_the_columns_names():
    assert instance_table([], found()) == ["instance  state  node  memory  volumes  reach it by"]


@pytest.mark.parametrize("seen", [{"failed": True, "msg": ROUTE}, {"unreachable": True, "msg": ROUTE}], ids=["failed", "unreachable"])
def test_where_nobody_could_be_asked_nothing_is_known_and_the_last_line_says_why(seen):
    *lines, why = instance_table(wanted(web1="10.2.0.10/24", web2=""), seen)
    assert [line.split() for line in lines[1:]] == [["web1", "unknown"], ["web2", "unknown"]]
    assert why == ROUTE


def test_a_table_looks_the_same_in_ansibles_output():
    seen = found(("web1", "hn1", "-b----"), ("old", "hn1", "-b----"), silent=["hn2", "hn3"])
    lines = instance_table(wanted(web1="10.2.0.10/24", web2="10.2.0.11/24"), seen)
    shown = yaml.dump({"msg": lines}, default_flow_style=False, indent=4)
    assert shown.splitlines() == ["msg:", *(f"- {line}" for line in lines)]


COPIES = st.lists(
    st.tuples(
        st.sampled_from(["web1", "web2", "web1--incoming", "web1--migratedaway", "a-very-long-name-of-an-instance", "x"]),
        st.sampled_from(["hn1", "hn2", "hardware-node-3"]),
        st.sampled_from(["-b----", "--p---", "----c-"]),
    ),
    unique_by=lambda copy: copy[:2],
)


@given(COPIES, st.lists(st.sampled_from(["hn8", "hn9"]), unique=True), st.sampled_from(["", "10.2.0.10/24", "100.200.100.200/24"]))
def test_whatever_runs_each_copy_has_one_row_and_columns_line_up(copies, silent, address):
    seen = found(*copies, silent=silent)
    instances = wanted(web1=address, web2="")
    rows = cells(instances, seen)
    places = [(row[0], row[2]) for row in rows if row[2]]
    assert sorted(places) == sorted(copy[:2] for copy in copies)
    there = {re.sub("--.*", "", name) for name, _node, _state in copies}
    assert [row[0] for row in rows if not row[2]] == [name for name in ("web1", "web2") if name not in there]
    assert {row[3:5] for row in rows} <= {("256 MiB", "1.0 1.1"), ("", "")}
    assert [line for line in instance_table(instances, seen) if line != line.rstrip()] == []
