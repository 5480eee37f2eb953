from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _instances
from plugins.module_utils._instances import View
from plugins.module_utils._xen_host import Domain, Host

STATES = {
    "r-----": "running",
    "-b----": "running",
    "------": "running",
    "--p---": "paused",
    "---s--": "stopping",
    "-----d": "stopping",
    "---sc-": "crashed",
}
NAMES = ("web1", "web1--incoming", "web1--migratedaway")
INSTANCE = {"name": "web1", "node": "hn1", "memory": 256, "bridge": "xenbr0"}
WHY = "ssh: connect to host 10.0.0.22 port 22: No route to host"


def host(name="hn1", *domains, free=488, bridges=("xenbr0",)):
    return Host(name, free_memory=free, bridges=frozenset(bridges), domains={domain.name: domain for domain in domains})


def domain(name="web1", state="-b----"):
    return Domain(name, 1, 256, 1, state, "pvh", "6d4e", "00:16:3e:00:00:01", ("xenbr0",), ("1.0", "1.1"))


def view(*hosts, **silent):
    return View({host.name: host for host in hosts}, silent)


@pytest.mark.parametrize(("state", "word"), STATES.items())
def test_an_instance_is_described(state, word):
    assert _instances.describe(view(host("hn1", domain(state=state))), "web1", "hn1") == {
        "name": "web1",
        "state": word,
        "node": "hn1",
        "address": "",
        "memory": 256,
        "vcpus": 1,
        "uuid": "6d4e",
        "type": "pvh",
        "mac": "00:16:3e:00:00:01",
        "volumes": ["1.0", "1.1"],
    }


def test_an_instance_that_is_nowhere_has_the_same_keys():
    nowhere = _instances.describe(view(host("hn1", domain())), "web1", "")
    assert (nowhere["name"], nowhere["state"], nowhere["node"], nowhere["volumes"]) == ("web1", "stopped", "", [])
    assert nowhere.keys() == _instances.describe(view(host("hn1", domain())), "web1", "hn1").keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_copy_of_an_instance_has_its_address(name):
    seen = View({"hn1": host("hn1", domain(name))}, addresses={"web1": "10.0.2.50", "web10": "10.0.2.60"})
    assert _instances.describe(seen, name, "hn1")["address"] == "10.0.2.50"


def test_all_copies_are_described_in_order():
    seen = view(host("hn2", domain(), domain("db1")), host("hn1", domain(), domain("web1--incoming", "--p---")))
    found = [(instance["name"], instance["node"], instance["state"]) for instance in _instances.describe_all(seen)]
    assert found == [("db1", "hn2", "running"), ("web1", "hn1", "running"), ("web1", "hn2", "running"), ("web1--incoming", "hn1", "paused")]


def test_copies_are_found_by_node_and_by_all_their_names():
    seen = view(host("hn1", domain("web1--migratedaway"), domain("web10")), host("hn2", domain("web1--incoming")), host("hn3"))
    assert {node: [copy.name for copy in copies] for node, copies in seen.copies("web1").items()} == {
        "hn1": ["web1--migratedaway"],
        "hn2": ["web1--incoming"],
    }
    assert seen.node_of("web1") == ""
    assert seen.node_of("web10") == "hn1"


def test_nothing_is_against_a_start_where_everything_is_known_and_fits():
    assert _instances.obstacle(INSTANCE, view(host(free=256), host("hn2", domain("db1"))), []) == ""


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("node", ["hn1", "hn2"])
def test_a_copy_anywhere_in_any_state_is_against_a_start(node, name, state):
    hosts = {"hn1": [], "hn2": [], node: [domain(name, state)]}
    reason = _instances.obstacle(INSTANCE, view(*(host(place, *domains) for place, domains in hosts.items())), [node])
    assert reason == f"web1 is there already: {name} on {node}. Two copies would destroy its volume"


@pytest.mark.parametrize(
    ("seen", "dead", "reason"),
    [
        pytest.param(view(host("hn2"), hn1=WHY), [], f"hn1 does not answer: {WHY}", id="node-silent"),
        pytest.param(view(host("hn2"), hn1=WHY), ["hn1"], f"hn1 does not answer: {WHY}", id="node-silent-and-vouched-dead"),
        pytest.param(view(host("hn2"), host("hn3")), [], "hn1 is no HardwareNode here; these are: hn2, hn3", id="node-unknown"),
        pytest.param(view(), [], "hn1 is no HardwareNode here; these are: none", id="no-nodes"),
        pytest.param(
            view(host(), hn2=WHY),
            [],
            "hn2 does not answer, and web1 may run there. If you know that they are switched off, say so: "
            '-e \'{"instance_dead_nodes": ["hn2"]}\'',
            id="another-silent",
        ),
        pytest.param(view(host(), hn3=WHY, hn2=WHY), ["hn9"], "hn2, hn3 do not answer, and web1 may run there.", id="two-silent"),
        pytest.param(view(host(), hn3=WHY, hn2=WHY), ["hn2"], "hn3 does not answer, and web1 may run there.", id="one-vouched-dead"),
        pytest.param(view(host(bridges=["xenbr1"])), [], "hn1 has no bridge xenbr0: give it a node_instance_mac", id="bridge"),
        pytest.param(view(host(free=255)), [], "web1 wants 256 MiB and hn1 has 255 MiB free", id="memory"),
    ],
)
def test_each_reason_against_a_start(seen, dead, reason):
    assert _instances.obstacle(INSTANCE, seen, dead).startswith(reason)


def test_nodes_that_are_vouched_dead_are_no_reason():
    assert _instances.obstacle(INSTANCE, view(host(), hn2=WHY, hn3=WHY), ["hn3", "hn2"]) == ""


NODES = ("hn1", "hn2", "hn3")
DOMAINS = st.lists(st.builds(domain, st.sampled_from([*NAMES, "db1", "web10"]), st.sampled_from(list(STATES))), max_size=1)
HOST = st.builds(
    lambda domains, free, bridge: {"domains": domains, "free": free, "bridge": bridge}, DOMAINS, st.integers(0, 512), st.booleans()
)


@given(st.dictionaries(st.sampled_from(NODES), st.none() | HOST), st.sets(st.sampled_from(NODES)))
def test_an_instance_may_start_only_if_it_can_be_nowhere_else_and_fits(machines, dead):
    answering = {name: machine for name, machine in machines.items() if machine}
    hosts = [
        host(name, *machine["domains"], free=machine["free"], bridges=["xenbr0"] if machine["bridge"] else [])
        for name, machine in answering.items()
    ]
    silent = {name: WHY for name, machine in machines.items() if machine is None}
    nowhere = not any(there.name in NAMES for machine in answering.values() for there in machine["domains"])
    place = answering.get("hn1")
    may = nowhere and set(silent) <= dead and place is not None and place["bridge"] and place["free"] >= 256
    assert (_instances.obstacle(INSTANCE, view(*hosts, **silent), dead) == "") == may


def wanted(name="web1", state="running", memory=256, node=""):
    return {"name": name, "state": state, "memory": memory, "node": node}


def running(name="web1", node="hn1"):
    return {"name": name, "node": node}


@pytest.mark.parametrize(
    ("asked", "there", "free", "steps"),
    [
        pytest.param([], [running()], {"hn1": 1}, [], id="foreign"),
        pytest.param([wanted()], [], {"hn1": 300, "hn2": 400}, [("web1", "running", "hn2")], id="most-room"),
        pytest.param([wanted()], [], {"hn2": 256, "hn1": 256}, [("web1", "running", "hn1")], id="equal-room"),
        pytest.param([wanted(node="hn1")], [], {"hn1": 0, "hn2": 999}, [("web1", "running", "hn1")], id="fixed"),
        pytest.param([wanted(node="hn9")], [], {}, [("web1", "running", "hn9")], id="fixed-and-silent"),
        pytest.param([wanted(node="hn2")], [running()], {"hn1": 0, "hn2": 999}, [], id="runs-elsewhere"),
        pytest.param([wanted(state="stopped")], [running(node="hn2")], {}, [("web1", "stopped", "hn2")], id="stop"),
        pytest.param([wanted(state="absent")], [running(node="hn2")], {}, [("web1", "absent", "hn2")], id="absent"),
        pytest.param([wanted(state="stopped"), wanted("db1", "absent")], [], {}, [], id="stopped-already"),
        pytest.param(
            [wanted("a"), wanted("b"), wanted("c")],
            [],
            {"hn1": 600, "hn2": 500},
            [("a", "running", "hn1"), ("b", "running", "hn2"), ("c", "running", "hn1")],
            id="spread",
        ),
    ],
)
def test_what_is_to_be_done(asked, there, free, steps):
    assert _instances.plan(asked, there, free) == [{"name": name, "state": state, "node": node} for name, state, node in steps]


@pytest.mark.parametrize(
    ("free", "rooms"),
    [({"hn2": 255, "hn1": 10}, "free are, in MiB: hn1 10, hn2 255"), ({}, "no HardwareNode answers")],
    ids=["full", "none"],
)
def test_an_instance_that_fits_nowhere_is_named(free, rooms):
    with pytest.raises(ValueError, match=f"^web1 fits nowhere: it wants 256 MiB; .*{rooms}$"):
        _instances.plan([wanted()], [], free)


GUESTS = [f"web{number}" for number in range(8)]
WANTED = st.lists(
    st.builds(
        wanted,
        st.sampled_from(GUESTS),
        st.sampled_from(["running", "running", "stopped", "absent"]),
        st.integers(64, 512),
        st.sampled_from(["", "", "hn1", "hn2"]),
    ),
    unique_by=lambda instance: instance["name"],
)
THERE = st.dictionaries(st.sampled_from(GUESTS), st.sampled_from(NODES))
FREE = st.dictionaries(st.sampled_from(NODES), st.integers(0, 2048))


@given(WANTED, THERE, FREE)
def test_a_plan_fits_moves_nothing_and_leaves_nothing_to_do(asked, there, free):
    options, before = {instance["name"]: instance for instance in asked}, dict(free)
    try:
        steps = _instances.plan(asked, [running(*pair) for pair in there.items()], free)
    except ValueError as error:
        name = str(error).split(" ", 1)[0]
        assert name not in there
        assert options[name]["state"] == "running"
        assert not options[name]["node"]
        return
    assert free == before
    assert len({step["name"] for step in steps}) == len(steps)
    placed = dict.fromkeys(free, 0)
    for step in steps:
        instance, place = options[step["name"]], there.pop(step["name"], None)
        if step["state"] != "running":
            assert step["node"] == place
            assert instance["state"] != "running"
            continue
        assert (place, instance["state"]) == (None, "running")
        assert instance["node"] in ("", step["node"])
        if not instance["node"]:
            placed[step["node"]] += instance["memory"]
        there[step["name"]] = step["node"]
    assert all(memory <= free[node] for node, memory in placed.items())
    assert _instances.plan(asked, [running(*pair) for pair in there.items()], free) == []
