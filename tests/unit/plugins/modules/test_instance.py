from __future__ import annotations

import json
import shlex

import pytest
from ansible.module_utils.basic import AnsibleModule

from plugins.module_utils import _xen_host
from plugins.module_utils._access import Access
from plugins.modules import instance

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
UUID = "6d4e9d54-8a3c-4f0e-9a0e-3c1f6c2f1a11"
MAC = "00:16:3e:12:34:56"
ADDRESS = "10.0.2.50"
WEB1 = {"name": "web1", "node": "hn1", "uuid": UUID, "mac": MAC, "memory": 256, "volumes": ["1.0", "1.1"]}
RUNNING = {
    "name": "web1",
    "state": "running",
    "node": "hn1",
    "memory": 256,
    "vcpus": 1,
    "uuid": UUID,
    "type": "pvh",
    "mac": MAC,
    "address": ADDRESS,
    "volumes": ["1.0", "1.1"],
}
NOTHING = {"memory": 0, "vcpus": 0, "uuid": "", "type": "", "mac": "", "volumes": []}
STOPPED = {"name": "web1", "state": "stopped", "node": "", "address": ADDRESS, **NOTHING}
ROUTE = "ssh: connect to host 10.0.0.22 port 22: No route to host"


class Fabric:
    """HardwareNodes with guests: {node: {name: (state, memory)}}. What the module runs there has its effect on them."""

    def __init__(self, run_module, commands):
        self.guests = {"hn1": {}, "hn2": {}}
        self.silent = set()
        self.free = 488
        self.failing = {}
        self.started = ""
        self.warnings = []
        self.commands = commands
        self._run_module = run_module
        commands.answer("ssh", with_=self._ssh)

    def run(self, check_mode=False, **options):
        self.commands.calls.clear()
        return self._run_module(instance, {**WEB1, **options}, check_mode=check_mode, diff=True)

    @property
    def done(self):
        """Return what was run on nodes, other than looks."""
        words = [(call.argv[3], shlex.split(call.argv[-1])) for call in self.commands.calls]
        return [(node, *argv) for node, argv in words if argv != _xen_host.INSPECT]

    def _ssh(self, argv):
        node, (program, *words) = argv[3], shlex.split(argv[-1])
        if node in self.silent:
            return 255, "", f"{ROUTE}\n"
        if program in self.failing:
            return self.failing[program]
        if program == _xen_host.INSPECT[0]:
            return 0, self._inspection(node), ""
        if program == _xen_host.START:
            assert words == ["1.0", "1.1"]
            self.started = self.commands.calls[-1].options["data"]
            self.guests[node]["web1"] = ("-b----", 256)
        else:
            assert (program, *words) == ("xl", "shutdown", "-w", "web1")
            del self.guests[node]["web1"]
        return 0, "", ""

    def _inspection(self, node):
        lines = "".join(f"{name} 1 {memory} 1 {state} 25.9\n" for name, (state, memory) in self.guests[node].items())
        disks = [{"pdev_path": "/dev/etherd/e1.0"}, {"pdev_path": "/dev/etherd/e1.1"}]
        card = {"mac": MAC, "bridge": "xenbr0"}
        long = [
            {"config": {"c_info": {"type": "pvh", "name": name, "uuid": UUID}, "disks": disks, "nics": [card]}}
            for name in self.guests[node]
        ]
        return (
            f"== host\nnr_cpus : 1\nhw_caps : 078bf3fd\nvirt_caps : pv hvm hap\nfree_memory : {self.free}\nxen_version : 4.20.5-pre\n"
            f"== domains\nName ID Mem VCPUs\tState\tTime(s)\nDomain-0 0 1024 1 r----- 68.5\n{lines}"
            f"== configurations\n{json.dumps(long)}\n== volumes\n== bridges\nxenbr0\n== migrations\n"
        )


@pytest.fixture
def fabric(run_module, commands, monkeypatch):
    made = Fabric(run_module, commands)
    monkeypatch.setattr(Access, "hardware_nodes", lambda _self: {node: {"role": "hardware"} for node in made.guests})
    monkeypatch.setattr(Access, "instance_addresses", lambda _self: {"web1": ADDRESS})
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: made.warnings.append(text))
    return made


# What is there, what is asked for, the instance afterwards, what it takes.
CHANGES = {
    "start": ({}, {}, RUNNING, [("hn1", _xen_host.START, "1.0", "1.1")]),
    "stop": ({"hn2": {"web1": ("-b----", 256)}}, {"state": "stopped"}, STOPPED, [("hn2", "xl", "shutdown", "-w", "web1")]),
    "remove": ({"hn2": {"web1": ("-b----", 256)}}, {"state": "absent"}, STOPPED, [("hn2", "xl", "shutdown", "-w", "web1")]),
}
EVERY_CHANGE = pytest.mark.parametrize("case", CHANGES)


@EVERY_CHANGE
def test_check_mode_says_what_would_be_and_only_looks(fabric, case):
    there, asked, after, _takes = CHANGES[case]
    fabric.guests |= there
    result = fabric.run(**asked, check_mode=True)
    assert result["changed"]
    assert result["instances"] == [after]
    assert json.loads(result["diff"]["after"]) == after
    assert fabric.done == []


@EVERY_CHANGE
def test_what_was_announced_is_what_is_there_afterwards(fabric, case):
    there, asked, after, takes = CHANGES[case]
    fabric.guests |= {node: dict(guests) for node, guests in there.items()}
    announced = fabric.run(**asked, check_mode=True)
    assert fabric.run(**asked) == announced
    assert announced["instances"] == [after]
    assert fabric.done == takes


@EVERY_CHANGE
@BOTH_MODES
def test_a_second_run_changes_nothing_and_only_looks(fabric, case, check_mode):
    there, asked, after, _takes = CHANGES[case]
    fabric.guests |= {node: dict(guests) for node, guests in there.items()}
    fabric.run(**asked)
    result = fabric.run(**asked, check_mode=check_mode)
    assert not result["changed"]
    assert result["instances"] == [after]
    assert result["diff"]["before"] == result["diff"]["after"]
    assert fabric.done == []
    assert fabric.warnings == []


def test_an_instance_is_started_as_it_is_described_and_has_its_time(fabric):
    fabric.run(timeout=77)
    assert fabric.started == _xen_host.configuration({**WEB1, "vcpus": 1, "bridge": "xenbr0"})
    assert [call.timeout for call in fabric.commands.calls if _xen_host.START in call.argv[-1]] == [77]
    fabric.run(state="stopped", timeout=78)
    assert [call.timeout for call in fabric.commands.calls if "shutdown" in call.argv[-1]] == [78]


@BOTH_MODES
def test_one_that_runs_with_other_values_or_elsewhere_is_left_alone_and_not_silently(fabric, check_mode):
    fabric.guests["hn2"]["web1"] = ("-b----", 256)
    result = fabric.run(memory=300, vcpus=2, check_mode=check_mode)
    assert not result["changed"]
    assert result["instances"] == [{**RUNNING, "node": "hn2"}]
    assert fabric.done == []
    assert [warning.split(":")[0] for warning in fabric.warnings] == [
        "web1 runs with memory 256, not 300",
        "web1 runs with vcpus 1, not 2",
    ]


@BOTH_MODES
def test_one_that_runs_is_unchanged_though_another_node_is_silent(fabric, check_mode):
    fabric.guests["hn1"]["web1"] = ("r-----", 256)
    fabric.silent = {"hn2"}
    assert not fabric.run(check_mode=check_mode)["changed"]


@BOTH_MODES
@pytest.mark.parametrize("name", ["web1", "web1--incoming", "web1--migratedaway"])
@pytest.mark.parametrize("node", ["hn1", "hn2"])
def test_what_stands_still_anywhere_is_never_started_a_second_time(fabric, node, name, check_mode):
    fabric.guests[node][name] = ("--p---", 256)
    result = fabric.run(dead_nodes=["hn1", "hn2"], check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == f"web1 was not started. web1 is there already: {name} on {node}. Two copies would destroy its volume"
    assert fabric.done == []


@BOTH_MODES
def test_nothing_is_started_while_a_node_is_silent_unless_it_is_vouched_dead(fabric, check_mode):
    fabric.silent = {"hn2"}
    result = fabric.run(check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith("web1 was not started. hn2 does not answer, and web1 may run there.")
    assert fabric.done == []
    result = fabric.run(dead_nodes=["hn2"], check_mode=check_mode)
    assert result["changed"]
    assert result["instances"] == [RUNNING]


@BOTH_MODES
@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        pytest.param({"silent": {"hn1"}}, {"dead_nodes": ["hn1"]}, f"hn1 does not answer: {ROUTE}", id="node-silent"),
        pytest.param({}, {"node": "hn9"}, "hn9 is no HardwareNode here; these are: hn1, hn2", id="node-unknown"),
        pytest.param({}, {"bridge": "xenbr1"}, "hn1 has no bridge xenbr1", id="bridge"),
        pytest.param({"free": 200}, {}, "web1 wants 256 MiB and hn1 has 200 MiB free", id="memory"),
    ],
)
def test_a_start_that_cannot_be_is_refused(fabric, changes, options, message, check_mode):
    vars(fabric).update(changes)
    result = fabric.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"web1 was not started. {message}")
    assert fabric.done == []


@BOTH_MODES
@pytest.mark.parametrize("state", ["stopped", "absent"])
def test_nothing_is_called_stopped_while_it_may_run(fabric, state, check_mode):
    fabric.silent = {"hn2"}
    result = fabric.run(state=state, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "web1 was not stopped: hn2 did not answer, and it may run there"
    assert not fabric.run(state=state, dead_nodes=["hn2"], check_mode=check_mode)["changed"]


@BOTH_MODES
@pytest.mark.parametrize(("name", "state"), [("web1--incoming", "--p---"), ("web1--migratedaway", "---s--")])
def test_nothing_is_called_stopped_while_it_is_half_migrated(fabric, name, state, check_mode):
    # Between xl's two renames the instance has neither name of its own, and runs a moment later.
    fabric.guests["hn2"][name] = (state, 256)
    result = fabric.run(state="stopped", check_mode=check_mode)
    assert result.get("failed")
    assert name in result["msg"]


def test_to_stop_an_instance_its_name_is_enough(fabric, run_module):
    fabric.guests["hn1"]["web1"] = ("-b----", 256)
    result = run_module(instance, {"name": "web1", "state": "stopped"})
    assert (result["changed"], result["instances"]) == (True, [STOPPED])


@BOTH_MODES
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"name": "Web1"}, "name 'Web1': use lower-case letters", id="name-capital"),
        pytest.param({"name": "web1;reboot", "state": "stopped"}, "name 'web1;reboot': use", id="name-stopped"),
        pytest.param({"name": "web1--incoming"}, "name 'web1--incoming': ", id="name-of-a-copy"),
        pytest.param({"node": ""}, "node '' of web1: name a HardwareNode", id="node-missing"),
        pytest.param({"node": "-oProxyCommand=x"}, "node '-oProxyCommand=x' of web1", id="node-option"),
        pytest.param({"uuid": ""}, "uuid '' of web1: write one such as", id="uuid-missing"),
        pytest.param({"uuid": f"{UUID}\n"}, "uuid '6d4e9d54", id="uuid-line"),
        pytest.param({"mac": ""}, "mac '' of web1: write it as", id="mac-missing"),
        pytest.param({"mac": f"{MAC},bridge=x"}, "mac '00:16:3e:12:34:56,bridge=x' of web1", id="mac-and-more"),
        pytest.param({"memory": 63}, "memory 63 of web1: give it 64 MiB or more", id="memory"),
        pytest.param({"vcpus": 0}, "vcpus 0 of web1: give it one or more", id="vcpus"),
        pytest.param({"bridge": "xenbr0,script=x"}, "bridge 'xenbr0,script=x' of web1: name one such as xenbr0", id="bridge"),
        pytest.param({"bridge": "a-name-too-long-x"}, "bridge 'a-name-too-long-x' of web1", id="bridge-long"),
        pytest.param({"volumes": []}, "volumes [] of web1: write the shelf.slot", id="volumes-none"),
        pytest.param({"volumes": ["1.0", "1.1", "1.2"]}, "volumes ['1.0', '1.1', '1.2'] of web1", id="volumes-three"),
        pytest.param({"volumes": ["1.0,access=w"]}, "volumes ['1.0,access=w'] of web1", id="volumes-and-more"),
        pytest.param({"timeout": 0}, "timeout 0", id="timeout"),  # timeout(1) would take it for: no limit
        pytest.param({"state": "paused"}, "paused", id="state"),
        pytest.param({"memory": "much"}, "memory", id="memory-text"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_asked(fabric, options, message, check_mode):
    result = fabric.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert message in result["msg"]
    assert fabric.commands.calls == []


@pytest.mark.parametrize(("case", "program"), [("start", _xen_host.START), ("stop", "xl")], ids=["start", "stop"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [((1, "", "libxl: error: no memory\n"), "libxl: error: no memory"), ((124, "", ""), "not finished after 180 s, or killed")],
    ids=["fails", "too-long"],
)
def test_what_fails_on_a_node_is_told(fabric, case, program, answer, reason):
    there, asked, _after, takes = CHANGES[case]
    fabric.guests |= there
    fabric.failing[program] = answer
    result = fabric.run(**asked)
    assert result["failed"]
    assert result["msg"].startswith("web1: ")
    assert result["msg"].endswith(reason)
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])
    assert fabric.done == takes


def test_a_node_that_says_something_else_is_an_error(fabric):
    fabric.failing[_xen_host.INSPECT[0]] = (0, "Welcome\n", "")
    result = fabric.run()
    assert result["failed"]
    assert "does not say what a Xen host of bareroot says" in result["msg"]


def test_a_machine_without_a_record_of_nodes_is_no_config_node(run_module, monkeypatch, tmp_path):
    monkeypatch.setattr(Access.__init__, "__defaults__", (str(tmp_path),))
    result = run_module(instance, WEB1)
    assert result["failed"]
    assert "This runs on a ConfigNode, after playbooks/boot_tree.yml" in result["msg"]
