from __future__ import annotations

import json
import shlex

import pytest

from plugins.module_utils import _access
from plugins.modules import instance_info

UUID = "6d4e9d54-0000-4000-8000-000000000001"
ROUTE = "ssh: connect to host 10.0.0.23 port 22: No route to host"


def inspection(*guests, free=488):
    """Return what a node says of itself. guests: (name, state)."""
    lines = "".join(f"{name} {number} 256 1 {state} 25.9\n" for number, (name, state) in enumerate(guests, 1))
    long = [{"config": {"c_info": {"name": "Domain-0"}}}] + [
        {
            "config": {
                "c_info": {"type": "pvh", "name": name, "uuid": UUID},
                "disks": [{"pdev_path": "/dev/etherd/e1.0"}, {"pdev_path": "/dev/etherd/e1.1"}],
                "nics": [{"mac": "00:16:3e:00:00:01", "bridge": "xenbr0"}],
            }
        }
        for name, _state in guests
    ]
    return (
        f"== host\nnr_cpus : 1\nhw_caps : 078bf3fd\nvirt_caps : pv hvm hap\nfree_memory : {free}\nxen_version : 4.20.5-pre\n"
        f"== domains\nName ID Mem VCPUs\tState\tTime(s)\nDomain-0 0 1024 1 r----- 68.5\n{lines}"
        f"== configurations\n{json.dumps(long)}\n== volumes\n== bridges\nxenbr0\n== migrations\n"
    )


@pytest.fixture
def ask(run_module, commands, monkeypatch, tmp_path):
    """Return a function that runs the module. said: {node: its inspection, or an answer of ssh}."""
    access = tmp_path / "access"
    access.mkdir()
    records = {"instances": {"web1": {"address": "10.0.2.50/24"}, "db1": {"address": ""}}}
    (tmp_path / "instances.json").write_text(json.dumps(records), encoding="utf-8")
    monkeypatch.setattr(_access.Access.__init__, "__defaults__", (str(access),))

    def run(said, name=None, check_mode=False):
        nodes = {node: {"role": "hardware"} for node in said} | {"sn1": {"role": "storage"}}
        (tmp_path / "access/nodes.json").write_text(json.dumps(nodes), encoding="utf-8")

        def ssh(argv):
            assert argv[:3] == ["ssh", "-F", f"{access}/ssh_config"]
            assert shlex.split(argv[-1]) == ["/usr/lib/bareroot/inspect"]
            answer = said[argv[3]]
            return (0, answer, "") if isinstance(answer, str) else answer

        commands.answer("ssh", with_=ssh)
        result = run_module(instance_info, {"name": name} if name else {}, check_mode=check_mode)
        assert result.get("failed") or not result["changed"]
        return result

    return run


def described(name="web1", node="hn1", state="running"):
    volumes = ["1.0", "1.1"]
    there = {"memory": 256, "vcpus": 1, "uuid": UUID, "type": "pvh", "mac": "00:16:3e:00:00:01", "volumes": volumes}
    address = "10.0.2.50" if name.startswith("web1") else ""
    return {"name": name, "node": node, "state": state, "address": address, **there}


SAID = {
    "hn2": inspection(("web1", "-b----"), free=700),
    "hn1": inspection(("db1", "--p---"), ("web1--migratedaway", "---s--")),
    "hn3": (255, "", f"{ROUTE}\n"),
}


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_all_that_is_anywhere_is_listed(ask, check_mode):
    result = ask(SAID, check_mode=check_mode)
    assert result["instances"] == [
        described("db1", "hn1", "paused"),
        described("web1", "hn2"),
        described("web1--migratedaway", "hn1", "stopping"),
    ]
    assert result["nodes"] == {
        "hn1": {"free_memory": 488, "xen_version": "4.20.5-pre"},
        "hn2": {"free_memory": 700, "xen_version": "4.20.5-pre"},
    }
    assert result["silent"] == {"hn3": ROUTE}


def test_one_instance_is_listed(ask):
    assert ask(SAID, "web1")["instances"] == [described("web1", "hn2")]


def test_one_that_runs_nowhere_is_stopped(ask):
    (instance,) = ask(SAID, "web2")["instances"]
    assert (instance["name"], instance["state"], instance["node"]) == ("web2", "stopped", "")
    assert instance.keys() == described().keys()


def test_without_guests_and_without_nodes_there_is_nothing(ask):
    assert ask({"hn1": inspection()})["instances"] == []
    result = ask({})
    assert (result["instances"], result["nodes"], result["silent"]) == ([], {}, {})


def test_a_node_that_is_silent_without_a_word_is_named(ask):
    silent = ask({"hn1": (124, "", "")})["silent"]
    assert silent.keys() == {"hn1"}
    assert "not finished after 60 s" in silent["hn1"]


def test_a_machine_without_a_record_of_nodes_is_no_config_node(ask, run_module, tmp_path):
    ask({})
    (tmp_path / "access/nodes.json").unlink()
    result = run_module(instance_info, {})
    assert result["failed"]
    assert result["msg"].startswith(f"cannot ask the HardwareNodes: cannot read {tmp_path}/access/nodes.json: ")
    assert result["msg"].endswith("after playbooks/boot_tree.yml")


def test_a_node_that_says_something_else_is_an_error(ask):
    result = ask({"hn1": inspection(), "hn2": "Welcome\n"})
    assert result["failed"]
    assert result["msg"].startswith("cannot ask the HardwareNodes: hn2 does not say what a Xen host of bareroot says")
