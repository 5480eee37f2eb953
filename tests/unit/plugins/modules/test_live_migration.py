from __future__ import annotations

import json
import shlex

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule

from plugins.module_utils import _xen_host
from plugins.module_utils._access import Access
from plugins.module_utils._probe import Probe
from plugins.modules import live_migration

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
INCOMING, AWAY = "web1--incoming", "web1--migratedaway"
RUNNING, PAUSED, SUSPENDED = "-b----", "--p---", "---s--"
ROUTE = "ssh: connect to host 10.0.0.22 port 22: No route to host"
# Ten probes, of which two in a row are lost and the last is late.
PROBES = [Probe(number * 0.05, number == 9, None if number in (4, 5) else number * 0.05 + 0.002) for number in range(10)]
FIGURES = {
    "blackout_ms": 100,
    "probes_sent": 10,
    "probes_lost": 2,
    "probes_late": 1,
    "recovered": True,
    "rtt_max_ms": 2.0,
    "duration_s": 12.5,
}


class Clock:
    """Stands for the module time: only what happens takes time."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class FakeProber:
    """Stands for what sends probes."""

    def __init__(self, address, interval):
        self.made = (address, interval)
        self.done = []
        self.answers = True

    def start(self):
        self.done.append("start")

    def wait_answer(self, timeout):
        self.done.append(f"wait {timeout}")
        return self.answers

    def stop(self):
        self.done.append("stop")
        return PROBES


class Fabric:
    """Two HardwareNodes with copies of web1: {node: {name: state}}. Each program that the module runs there has its effect."""

    def __init__(self, run_module, commands):
        self.clock = Clock()
        self.nodes = {"hn1": {"web1": RUNNING}, "hn2": {}}
        self.free = 488
        self.volumes = dict.fromkeys(self.nodes, "1.0 2097152 up\n")
        self.found = ""  # what the target sees once it has looked for volumes
        self.silent = set()
        self.unit = False
        self.send = self.succeed
        self.receiver = (0, "", "")
        self.later = lambda: None  # what happens by itself before each look after the migration was tried
        self.tried = False
        self.prober = None
        self.answers = True
        self.commands = commands
        self._run_module = run_module
        commands.answer("ssh", with_=self._ssh)

    def run(self, check_mode=False, **options):
        self.commands.calls.clear()
        params = {"name": "web1", "node": "hn2", "address": "10.2.0.10", **options}
        return self._run_module(live_migration, params, check_mode=check_mode, diff=True)

    def make_prober(self, address, interval):
        self.prober = FakeProber(address, interval)
        self.prober.answers = self.answers
        return self.prober

    def succeed(self):
        """Migrate as xl does."""
        self.clock.now += 12.5
        del self.nodes["hn1"]["web1"]
        self.nodes["hn2"]["web1"] = RUNNING
        return 0, "migration sender: Transfer complete.\n", ""

    def breaks(self, here, there, answer=(1, "migration target: Domain creation failed (code 3).\n", ""), **changes):
        """Let xl fail and leave this on the nodes."""

        def send():
            self.nodes = {"hn1": dict(here), "hn2": dict(there)}
            vars(self).update(changes)
            return answer

        self.send = send

    @property
    def done(self):
        """Return what was run on nodes, other than looks and checks."""
        words = [(call.argv[3], shlex.split(call.argv[-1])) for call in self.commands.calls]
        checks = (_xen_host.INSPECT[0], _xen_host.FIND, "sh")
        return [f"{node} {' '.join(argv)}" for node, argv in words if argv[0] not in checks]

    @property
    def asked_at_last(self):
        """Return which nodes were asked what is there, after the migration was tried."""
        calls = self.commands.calls
        sent = next(number for number, call in enumerate(calls) if _xen_host.SEND in call.argv[-1])
        return [call.argv[3] for call in calls[sent:] if _xen_host.INSPECT[0] in call.argv[-1]]

    def _ssh(self, argv):
        node, (program, *words) = argv[3], shlex.split(argv[-1])
        if self.tried and program == _xen_host.INSPECT[0] and node == "hn1":
            self.later()
            self.prober.done.append("look")
        if node in self.silent:
            return 255, "", f"{ROUTE}\n"
        answers = {
            _xen_host.INSPECT[0]: lambda: (0, self._inspection(node, *words), ""),
            _xen_host.FIND: self._find,
            "sh": lambda: self.receiver,
            _xen_host.SEND: self._send,
            "systemctl": self._stop_unit,
            "xl": lambda: self._xl(self.nodes[node], *words),
        }
        return answers[program]()

    def _find(self):
        self.volumes["hn2"] = self.found
        return 0, "", ""

    def _send(self):
        self.tried = True
        return self.send()

    def _stop_unit(self):
        self.unit = False
        return 0, "", ""

    @staticmethod
    def _xl(copies, verb, name, new_name=""):
        if name not in copies:
            return 1, "", f"{name} is an invalid domain identifier\n"
        state = copies.pop(name)
        if verb == "rename":
            copies[new_name] = state
        elif verb != "destroy":
            assert state == {"resume": SUSPENDED, "unpause": PAUSED}[verb]
            copies[name] = RUNNING
        return 0, "", ""

    def _inspection(self, node, only=""):
        copies = self.nodes[node]
        lines = "".join(f"{name} 1 256 1 {state} 25.9\n" for name, state in copies.items())
        disks, cards = [{"pdev_path": "/dev/etherd/e1.0"}], [{"mac": "00:16:3e:00:00:01", "bridge": "xenbr0"}]
        long = [{"config": {"c_info": {"type": "pvh", "name": name}, "disks": disks, "nics": cards}} for name in copies]
        domains = (
            f"== domains\nName ID Mem VCPUs\tState\tTime(s)\nDomain-0 0 1024 1 r----- 68.5\n{lines}"
            f"== migrations\n{'web1' if self.unit and node == 'hn1' else ''}\n"
        )
        if only == "--domains":
            return domains
        return (
            f"{domains}== host\nnr_cpus : 1\nhw_caps : 078bf3fd\n"
            f"virt_caps : pv hvm hap\nfree_memory : {self.free}\nxen_version : 4.20.5-pre\n"
            f"== configurations\n{json.dumps(long)}\n== volumes\n{self.volumes[node]}== bridges\nxenbr0\n"
        )


@pytest.fixture
def fabric(run_module, commands, monkeypatch):
    made = Fabric(run_module, commands)
    nodes = {name: {"role": "hardware", "address": f"10.0.0.{name}", "storage_address": f"10.1.0.{name}"} for name in made.nodes}
    monkeypatch.setattr(Access, "hardware_nodes", lambda _self: nodes)
    # One after the other, for a fabric that changes by itself.
    monkeypatch.setattr("plugins.module_utils._access.SIDE_BY_SIDE", 1)
    monkeypatch.setattr(live_migration, "time", made.clock)
    monkeypatch.setattr(live_migration._probe, "Prober", made.make_prober)
    return made


SENT = f"hn1 {_xen_host.SEND} web1 hn2 10.1.0.hn2"
ABORTED = "hn1 systemctl stop bareroot-migration-web1.service"
PLACES = {"from": "hn1", "to": "hn2"}


def test_check_mode_makes_all_checks_and_moves_nothing(fabric):
    result = fabric.run(check_mode=True)
    assert result == {"changed": True, **PLACES, "diff": {"before": "hn1\n", "after": "hn2\n"}}
    assert fabric.done == []
    assert fabric.prober.done == ["start", "wait 5"]
    ran = [shlex.split(call.argv[-1])[0] for call in fabric.commands.calls]
    assert (ran.count(_xen_host.INSPECT[0]), ran.count(_xen_host.FIND), ran.count("sh")) == (2, 0, 1)


@pytest.mark.parametrize("first", ["", "1.0 1048576 up\n", "1.0 2097152 down\n"], ids=["unknown", "grown", "down"])
def test_a_target_that_does_not_know_the_volume_yet_looks_for_it_once(fabric, first):
    fabric.volumes["hn2"] = first
    fabric.found = fabric.volumes["hn1"]
    assert fabric.run()["changed"]
    ran = [shlex.split(call.argv[-1]) for call in fabric.commands.calls]
    assert [argv for argv in ran if argv[0] == _xen_host.FIND] == [[_xen_host.FIND, "1.0"]]


@BOTH_MODES
@pytest.mark.parametrize(("seen", "code"), [("", "VOLUME_MISSING"), ("1.0 1048576 up\n", "VOLUME_DIFFERS")])
def test_a_volume_that_stays_wrong_is_a_reason(fabric, seen, code, check_mode):
    fabric.volumes["hn2"] = fabric.found = seen
    result = fabric.run(check_mode=check_mode)
    assert [reason["code"] for reason in result["reasons"]] == [code]
    assert fabric.done == []


def test_an_instance_is_moved_and_watched_meanwhile(fabric):
    result = fabric.run()
    assert result == {"changed": True, **PLACES, **FIGURES, "diff": {"before": "hn1\n", "after": "hn2\n"}}
    assert fabric.done == [SENT]
    assert fabric.nodes == {"hn1": {}, "hn2": {"web1": RUNNING}}
    assert fabric.prober.made == ("10.2.0.10", 0.05)
    # Nobody looks before it answers.
    assert fabric.prober.done == ["start", "wait 5", "wait 30", "look", "stop"]
    assert fabric.asked_at_last == ["hn1"]
    assert [call.timeout for call in fabric.commands.calls if _xen_host.SEND in call.argv[-1]] == [600]


def test_a_target_that_has_no_time_for_questions_is_believed_when_the_instance_answers(fabric):
    fabric.breaks({}, {"web1": RUNNING}, answer=(0, "", ""), silent={"hn2"})
    result = fabric.run()
    assert (result["changed"], result["to"]) == (True, "hn2")
    assert fabric.asked_at_last == ["hn1"]


def test_the_target_is_asked_where_the_instance_does_not_wake_up(fabric, monkeypatch):
    monkeypatch.setattr(FakeProber, "wait_answer", lambda _prober, timeout: timeout == live_migration.ANSWER_TIMEOUT)
    assert fabric.run()["changed"]
    assert fabric.asked_at_last == ["hn1", "hn2"]


def test_the_target_is_asked_where_the_source_kept_a_copy(fabric):
    fabric.breaks({AWAY: SUSPENDED}, {"web1": RUNNING}, answer=(0, "", ""))
    assert fabric.run()["changed"]
    assert fabric.asked_at_last == ["hn1", "hn1", "hn2"]
    assert fabric.done == [SENT, f"hn1 xl destroy {AWAY}"]


def test_probes_and_time_are_as_asked_for(fabric):
    fabric.run(interval=100, timeout=7)
    assert fabric.prober.made == ("10.2.0.10", 0.1)
    assert [call.timeout for call in fabric.commands.calls if _xen_host.SEND in call.argv[-1]] == [7]


@BOTH_MODES
def test_a_second_run_changes_nothing_and_sends_no_probe(fabric, check_mode):
    fabric.run()
    result = fabric.run(check_mode=check_mode)
    assert result == {"changed": False, "from": "hn2", "to": "hn2", "diff": {"before": "hn2\n", "after": "hn2\n"}}
    assert "start" not in fabric.prober.done
    assert {call.argv[-1] for call in fabric.commands.calls} == {_xen_host.INSPECT[0]}


@BOTH_MODES
@pytest.mark.parametrize(
    ("changes", "options", "codes"),
    [
        pytest.param({"free": 200}, {}, ["MEMORY_SHORT"], id="memory"),
        pytest.param({"answers": False}, {}, ["INSTANCE_SILENT"], id="instance-silent"),
        pytest.param({"receiver": (4, "Permission denied\n", "")}, {}, ["RECEIVER_REFUSED"], id="receiver"),
        pytest.param({"silent": {"hn2"}}, {}, ["TARGET_SILENT"], id="target-silent"),
        pytest.param({"unit": True}, {}, ["MIGRATION_RUNNING"], id="under-way"),
        pytest.param({}, {"node": "hn9"}, ["NODE_UNKNOWN"], id="target-unknown"),
        pytest.param({"nodes": {"hn1": {}, "hn2": {}}}, {}, ["INSTANCE_NOT_RUNNING"], id="nowhere"),
        pytest.param({"silent": {"hn1"}}, {}, ["INSTANCE_NOT_RUNNING"], id="source-silent"),
        pytest.param(
            {"nodes": {"hn1": {"web1": SUSPENDED}, "hn2": {INCOMING: PAUSED}}}, {}, ["INSTANCE_TWICE", "INSTANCE_NOT_LIVE"], id="half"
        ),
        pytest.param({"nodes": {"hn1": {AWAY: SUSPENDED}, "hn2": {"web1": RUNNING}}}, {}, ["INSTANCE_TWICE"], id="there-and-left-over"),
        pytest.param(
            {"free": 0, "answers": False, "unit": True}, {}, ["MIGRATION_RUNNING", "INSTANCE_SILENT", "MEMORY_SHORT"], id="several"
        ),
    ],
)
def test_all_reasons_are_reported_and_nothing_is_touched(fabric, changes, options, codes, check_mode):
    vars(fabric).update(changes)
    before = {node: dict(copies) for node, copies in fabric.nodes.items()}
    result = fabric.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert [reason["code"] for reason in result["reasons"]] == codes
    assert result["msg"] == "web1 was not touched. " + "; ".join(f"{reason['code']}: {reason['message']}" for reason in result["reasons"])
    assert fabric.done == []
    assert fabric.nodes == before


# What xl leaves on the source and the target, what is done about it, where the instance is then.
BREAKS = {
    "stays": ({"web1": RUNNING}, {}, [], "hn1"),
    "receiver-lost": ({"web1": RUNNING}, {INCOMING: PAUSED}, [f"hn2 xl destroy {INCOMING}"], "hn1"),
    "at-the-handshake": (
        {AWAY: SUSPENDED},
        {INCOMING: PAUSED},
        [f"hn2 xl destroy {INCOMING}", f"hn1 xl rename {AWAY} web1", "hn1 xl resume web1"],
        "hn1",
    ),
    "renamed-but-never-run": (
        {AWAY: SUSPENDED},
        {"web1": PAUSED},
        ["hn2 xl destroy web1", f"hn1 xl rename {AWAY} web1", "hn1 xl resume web1"],
        "hn1",
    ),
    "not-resumed": ({"web1": SUSPENDED}, {}, ["hn1 xl resume web1"], "hn1"),
    "moved-all-the-same": ({AWAY: SUSPENDED}, {"web1": RUNNING}, [f"hn1 xl destroy {AWAY}"], "hn2"),
}


@pytest.mark.parametrize("case", BREAKS)
def test_after_a_break_the_instance_runs_once_and_the_error_says_where(fabric, case):
    here, there, done, node = BREAKS[case]
    fabric.breaks(here, there)
    result = fabric.run()
    assert fabric.done == [SENT, ABORTED, *done]
    assert fabric.nodes == {"hn1": {}, "hn2": {}} | {node: {"web1": RUNNING}}
    assert fabric.clock.now <= 100 + live_migration.SETTLE_TIMEOUT
    if node == "hn2":
        assert (result["changed"], result["to"], result["blackout_ms"]) == (True, "hn2", 100)
        return
    assert result["failed"]
    assert result["node"] == "hn1"
    assert result["msg"] == "web1 was not migrated to hn2 and runs on hn1. xl said: migration target: Domain creation failed (code 3)."


def test_a_migration_that_takes_too_long_is_ended(fabric):
    fabric.breaks({"web1": RUNNING}, {}, answer=(124, "", ""), unit=True)
    result = fabric.run(timeout=7)
    assert result["failed"]
    assert result["node"] == "hn1"
    assert result["msg"].startswith("web1 was not migrated to hn2 and runs on hn1. xl said: ssh ")
    assert result["msg"].endswith("not finished after 7 s, or killed")
    assert fabric.done == [SENT, ABORTED]
    assert not fabric.unit


def test_what_xl_puts_right_itself_is_waited_for(fabric):
    def later():
        if fabric.clock.now >= 110:
            fabric.nodes = {"hn1": {"web1": RUNNING}, "hn2": {}}

    fabric.breaks({AWAY: SUSPENDED}, {INCOMING: PAUSED}, later=later)
    result = fabric.run()
    assert (result["failed"], result["node"]) == (True, "hn1")
    assert fabric.done == [SENT, ABORTED]
    assert fabric.clock.now == 110


def test_a_success_that_shows_a_moment_later_is_waited_for(fabric):
    def later():
        if fabric.clock.now >= 104:
            fabric.nodes = {"hn1": {}, "hn2": {"web1": RUNNING}}

    fabric.breaks({AWAY: SUSPENDED}, {"web1": PAUSED}, answer=(0, "", ""), later=later)
    assert fabric.run()["changed"]
    assert fabric.done == [SENT]


@pytest.mark.parametrize(
    ("here", "there", "silent", "problem"),
    [
        pytest.param(
            {"web1": RUNNING}, {INCOMING: PAUSED}, {"hn1"}, "the source does not answer, and hn2 has no running copy", id="source"
        ),
        pytest.param({AWAY: SUSPENDED}, {"web1": RUNNING}, {"hn2"}, "the target does not answer and may run web1", id="target"),
        pytest.param({"web1": RUNNING}, {"web1": RUNNING}, set(), "web1 runs on hn1 and on hn2: destroy one of them", id="twice"),
    ],
)
def test_what_only_a_person_may_decide_is_left_alone(fabric, here, there, silent, problem):
    fabric.breaks(here, there, silent=silent)
    result = fabric.run()
    assert result["failed"]
    assert result["node"] == ""
    assert result["msg"].startswith(f"web1: {problem}")
    assert "Domain creation failed" in result["msg"]
    assert fabric.nodes == {"hn1": here, "hn2": there}
    assert fabric.done == [SENT, ABORTED]


def test_a_source_that_falls_silent_after_the_move_is_no_break(fabric):
    fabric.breaks({}, {"web1": RUNNING}, answer=(255, "", f"{ROUTE}\n"), silent={"hn1"})
    result = fabric.run()
    assert (result["changed"], result["to"]) == (True, "hn2")


def test_a_target_that_falls_silent_before_the_move_leaves_it_where_it_was(fabric):
    fabric.breaks({"web1": RUNNING}, {}, silent={"hn2"})
    result = fabric.run()
    assert (result["failed"], result["node"]) == (True, "hn1")


def test_an_instance_that_is_lost_is_told(fabric):
    fabric.breaks({}, {})
    result = fabric.run()
    assert (result["failed"], result["node"]) == (True, "")
    assert result["msg"].startswith("web1 runs nowhere any more: start it with playbooks/instances.yml. xl said: ")


def test_what_has_gone_by_itself_does_not_keep_the_instance_from_running(fabric, monkeypatch):
    # The receiver destroys its copy between the last look and the step that would.
    def destroy(copies, verb, name, new_name="", real=fabric._xl):
        if name == INCOMING:
            del copies[name]
        return real(copies, verb, name, new_name)

    monkeypatch.setattr(fabric, "_xl", destroy)
    fabric.breaks({AWAY: SUSPENDED}, {INCOMING: PAUSED})
    result = fabric.run()
    assert fabric.nodes == {"hn1": {"web1": RUNNING}, "hn2": {}}
    assert (result["failed"], result["node"]) == (True, "hn1")


def test_a_step_that_fails_says_that_nobody_knows_where_it_runs(fabric, monkeypatch):
    monkeypatch.setattr(fabric, "_xl", lambda *_words: (1, "", "libxl: error: no\n"))
    fabric.breaks({AWAY: SUSPENDED}, {})
    result = fabric.run()
    assert (result["failed"], result["node"]) == (True, "")
    assert "libxl: error: no" in result["msg"]


def test_an_instance_that_stays_silent_after_the_move_is_told(fabric, monkeypatch):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    monkeypatch.setattr(FakeProber, "stop", lambda _prober: [*PROBES, Probe(0.5)])
    result = fabric.run()
    assert (result["changed"], result["recovered"]) == (True, False)
    assert warnings == ["web1 runs on hn2 and has not answered its last probes: look at its console there"]


def test_figures_that_are_lost_do_not_hide_where_it_runs(fabric, monkeypatch):
    def stop(_prober):
        raise OSError("no buffer space available")

    monkeypatch.setattr(FakeProber, "stop", stop)
    result = fabric.run()
    assert (result["failed"], result["node"]) == (True, "hn2")
    assert "no buffer space available" in result["msg"]


@BOTH_MODES
@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"name": "Web1"}, "name 'Web1': use lower-case letters", id="name"),
        pytest.param({"node": "-oProxyCommand=x"}, "node '-oProxyCommand=x': use lower-case letters", id="node"),
        pytest.param({"address": "web1"}, "address 'web1' is no IPv4 address; write one such as 10.2.0.10", id="address-name"),
        pytest.param({"address": "10.2.0.10/24"}, "address '10.2.0.10/24' is no IPv4 address", id="address-network"),
        pytest.param({"address": ""}, "address '' is no IPv4 address", id="address-none"),
        pytest.param({"interval": 101}, "interval 101: write 1 to 100 milliseconds", id="interval-long"),
        pytest.param({"interval": 0}, "interval 0: write 1 to 100 milliseconds", id="interval-none"),
        pytest.param({"timeout": 0}, "timeout 0: ", id="timeout-none"),  # timeout(1) would take it for: no limit
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_asked(fabric, options, message, check_mode):
    result = fabric.run(**options, check_mode=check_mode)
    assert result["failed"]
    assert message in result["msg"]
    assert fabric.commands.calls == []
    assert fabric.prober is None


def test_a_machine_that_gives_no_raw_socket_is_told(fabric, monkeypatch):
    def start(_prober):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(FakeProber, "start", start)
    result = fabric.run()
    assert result["failed"]
    assert "Operation not permitted" in result["msg"]
    assert fabric.done == []


def test_every_figure_is_documented(fabric):
    assert set(fabric.run()) - {"changed", "diff"} <= set(yaml.safe_load(live_migration.RETURN))
