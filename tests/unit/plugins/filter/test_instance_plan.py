from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.instance_plan import FilterModule

instance_plan = FilterModule().filters()["instance_plan"]

WEB1 = {"name": "web1", "state": "running", "memory": 256, "node": "", "delete_volumes": True, "dead_nodes": []}
RUNS = {"name": "web1", "state": "running", "node": "hn1"}


def found(*instances, silent=(), **free):
    """Return what instance_info does."""
    nodes = {node: {"free_memory": memory, "xen_version": "4.20.5-pre"} for node, memory in free.items()}
    return {"instances": list(instances), "nodes": nodes, "silent": dict.fromkeys(silent, "No route to host")}


def test_an_instance_is_started_where_most_memory_is_free():
    assert instance_plan([WEB1], found(hn1=488, hn2=700)) == [{"name": "web1", "state": "running", "node": "hn2"}]


def test_what_runs_is_stopped_where_it_runs():
    assert instance_plan([{**WEB1, "state": "absent"}], found(RUNS, hn1=0, hn2=700)) == [{"name": "web1", "state": "absent", "node": "hn1"}]


@pytest.mark.parametrize("state", ["running", "paused", "crashed", "stopping"])
def test_what_is_there_in_any_state_is_not_started_again(state):
    assert instance_plan([WEB1], found({**RUNS, "state": state}, hn2=700)) == []


def test_nothing_is_to_be_done_without_instances():
    assert instance_plan([], found(RUNS, hn1=0)) == []


def test_an_instance_that_fits_nowhere_is_an_error_of_the_filter():
    with pytest.raises(AnsibleFilterError, match=r"^web1 fits nowhere: it wants 256 MiB; free are, in MiB: hn1 100$"):
        instance_plan([WEB1], found(hn1=100))


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(found(silent=["hn2"], hn1=488), id="node-silent"),
        pytest.param(found({**RUNS, "name": "web1--migratedaway"}, hn1=488), id="leaving"),
        pytest.param(found({**RUNS, "name": "web1--incoming"}, hn1=488), id="arriving"),
    ],
)
def test_an_instance_that_may_run_is_not_taken_for_stopped(seen):
    # Nothing to do means that its volumes are removed next. Either a step that refuses, or an error, keeps them.
    try:
        steps = instance_plan([{**WEB1, "state": "absent"}], seen)
    except AnsibleFilterError:
        return
    assert [(step["name"], step["state"]) for step in steps] == [("web1", "absent")]


def test_an_instance_that_is_absent_is_absent_where_all_silent_nodes_are_vouched_dead():
    assert instance_plan([{**WEB1, "state": "absent", "dead_nodes": ["hn2"]}], found(silent=["hn2"], hn1=488)) == []
