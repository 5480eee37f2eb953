from __future__ import annotations

import pytest

from plugins.module_utils import _cluster_wait
from plugins.modules import cluster_member

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
HALVES = ("half0", "half1")
STANDBY = ["crm_attribute", "--node", "sn1", "--name", "standby", "--update", "on", "--lifetime", "forever"]
ACTIVE = ["crm_attribute", "--node", "sn1", "--name", "standby", "--delete", "--lifetime", "forever"]


class Cluster:
    """A pair with its ConfigNode. What it is told takes effect some seconds later. sn1 serves half0 and sn2 half1 while they can."""

    def __init__(self, run_module, commands):
        self.now = 0.0
        self.takes = 7
        self.quorate = True
        self.offline = set()
        self.standby = set()
        self.empty = set()  # where no DRBD runs
        self.failure = ""
        self.commands = commands
        self._run_module = run_module
        self._due = []
        commands.answer("crm_mon", with_=lambda _argv: (0, self._seen(), ""))
        commands.answer("crm_attribute", with_=self._told)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds == 2
        self.now += seconds

    def _told(self, argv):
        node = argv[argv.index("--node") + 1]
        if "--delete" in argv:
            self.standby.discard(node)
            self._due.append((self.now + self.takes, self.empty.discard, node))
        else:
            self.standby.add(node)
            self._due.append((self.now + self.takes, self.empty.add, node))
        return 0, "", ""

    def _seen(self):
        for _when, change, node in [due for due in self._due if due[0] <= self.now]:
            change(node)
        self._due = [due for due in self._due if due[0] > self.now]
        return (
            f'<pacemaker-result><summary><current_dc present="true" name="cn1" with_quorum="{str(self.quorate).lower()}"/></summary>'
            f"<nodes>{''.join(map(self._member, ('cn1', 'sn1', 'sn2')))}</nodes>"
            f"<resources>{''.join(map(self._half, HALVES, ('sn1', 'sn2'), ('sn2', 'sn1')))}</resources>"
            f"<failures>{self.failure}</failures></pacemaker-result>"
        )

    def _member(self, name):
        online, standby = (str(is_so).lower() for is_so in (name not in self.offline, name in self.standby))
        return f'<node name="{name}" online="{online}" standby="{standby}" unclean="false" pending="false" type="member"/>'

    def _half(self, half, first, second):
        running = [node for node in (first, second) if node not in self.empty | self.offline]
        served = f'<resource id="bareroot-{half}" role="Started"><node name="{running[0]}"/></resource>' if running else ""
        roles = zip(("Promoted", "Unpromoted"), running, strict=False)
        return served + "".join(
            f'<resource id="bareroot-drbd-{half}" role="{role}"><node name="{node}"/></resource>' for role, node in roles
        )

    def leave(self, node):
        """Set up a node that has left."""
        self.standby.add(node)
        self.empty.add(node)

    def run(self, state, name="sn1", check_mode=False, **options):
        self.commands.calls.clear()
        return self._run_module(cluster_member, {"name": name, "state": state, **options}, check_mode=check_mode, diff=True)

    @property
    def told(self):
        return [call.argv for call in self.commands.calls if call.argv[0] != "crm_mon"]


@pytest.fixture
def cluster(run_module, commands, monkeypatch):
    cluster = Cluster(run_module, commands)
    monkeypatch.setattr(_cluster_wait, "time", cluster)
    return cluster


def result_of(state, changed, before):
    return {"changed": changed, "name": "sn1", "state": state, "diff": {"before": f"sn1: {before}\n", "after": f"sn1: {state}\n"}}


def test_check_mode_says_that_it_would_leave_and_only_looks(cluster):
    assert cluster.run("standby", check_mode=True) == result_of("standby", True, "active")
    assert cluster.told == []
    assert len(cluster.commands.calls) == 1


def test_it_leaves_and_the_module_returns_when_nothing_is_on_it_any_more(cluster):
    assert cluster.run("standby") == result_of("standby", True, "active")
    assert cluster.told == [STANDBY]
    assert cluster.now == 8  # looked every other second, and it took 7


@BOTH_MODES
def test_one_that_has_left_is_not_told_again(cluster, check_mode):
    cluster.run("standby")
    assert cluster.run("standby", check_mode=check_mode) == result_of("standby", False, "standby")
    assert cluster.told == []


def test_check_mode_says_that_it_would_return_and_only_looks(cluster):
    cluster.leave("sn1")
    assert cluster.run("active", check_mode=True) == result_of("active", True, "standby")
    assert cluster.told == []


def test_it_returns_and_the_module_returns_when_drbd_runs_on_it(cluster):
    cluster.leave("sn1")
    assert cluster.run("active") == result_of("active", True, "standby")
    assert cluster.told == [ACTIVE]
    assert cluster.now == 8


@BOTH_MODES
def test_one_that_has_returned_is_not_told_again(cluster, check_mode):
    assert cluster.run("active", check_mode=check_mode) == result_of("active", False, "active")
    assert cluster.told == []


def test_one_with_nothing_on_it_is_put_into_standby_all_the_same(cluster):
    cluster.empty = {"sn1"}
    assert cluster.run("standby", check_mode=True)["changed"]
    assert cluster.run("standby") == result_of("standby", True, "active")
    assert cluster.told == [STANDBY]


def test_one_that_was_told_to_leave_before_is_only_waited_for(cluster):
    cluster.takes = 100
    assert cluster.run("standby", timeout=10)["failed"]
    assert cluster.run("standby", timeout=100) == result_of("standby", True, "standby")
    assert cluster.told == []


def test_one_that_was_told_to_return_before_is_only_waited_for(cluster):
    cluster.leave("sn1")
    cluster.takes = 100
    assert cluster.run("active", timeout=10)["failed"]
    assert cluster.run("active", timeout=100) == result_of("active", True, "active")
    assert cluster.told == []


@BOTH_MODES
def test_all_reasons_against_leaving_are_said_together_and_nothing_is_changed(cluster, check_mode):
    cluster.quorate = False
    cluster.offline = {"sn2"}
    result = cluster.run("standby", check_mode=check_mode)
    assert result["failed"]
    assert result["obstacles"] == [
        "there is no quorum",
        "sn2 is offline",
        "the DRBD of half0 runs on no other StorageNode that could serve it",
        "the DRBD of half1 runs on no other StorageNode that could serve it",
    ]
    assert result["msg"] == f"sn1 must not leave now, and nothing was changed: {'; '.join(result['obstacles'])}"
    assert cluster.told == []


def test_reasons_against_leaving_do_not_keep_one_from_returning(cluster):
    cluster.leave("sn1")
    cluster.quorate = False
    cluster.offline = {"cn1"}
    assert cluster.run("active")["changed"]


def test_after_the_timeout_what_is_still_there_and_what_failed_is_said(cluster):
    cluster.takes = 1000
    cluster.failure = (
        '<failure op_key="bareroot-half0_stop_0" task="stop" interval="0" node="sn1" exitstatus="error" status="Timed Out" exitreason=""/>'
    )
    result = cluster.run("standby", timeout=30)
    assert result["failed"]
    assert result["msg"].startswith(
        "sn1 is to be standby and is not yet so after 30 s: half0 is not gone from sn1; half1 is not gone from sn1; "
        "stop of bareroot-half0 on sn1: error, Timed Out. "
    )
    assert cluster.now == 30


def test_after_the_timeout_what_is_not_back_is_said(cluster):
    cluster.leave("sn1")
    cluster.offline = {"sn1"}
    result = cluster.run("active", timeout=4)
    assert result["msg"].startswith(
        "sn1 is to be active and is not yet so after 4 s: sn1 is offline; the DRBD of half0 does not run on sn1; "
        "the DRBD of half1 does not run on sn1. "
    )


@pytest.mark.parametrize("state", ["active", "standby"])
def test_a_name_that_is_no_member_is_refused(cluster, state):
    result = cluster.run(state, name="sn3")
    assert result["msg"] == "name 'sn3' is no member of the cluster; write one of: cn1, sn1, sn2"
    assert cluster.told == []


@BOTH_MODES
def test_where_no_cluster_runs_that_is_an_error(cluster, check_mode):
    cluster.commands.answer("crm_mon", with_=(102, '<pacemaker-result><status code="102" message="Not connected"/></pacemaker-result>', ""))
    result = cluster.run("standby", check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == ("cannot make sn1 standby: no cluster answers here: Not connected; see systemctl status corosync pacemaker")
    assert result["rc"] == 102


def test_a_command_that_fails_is_named(cluster):
    cluster.commands.answer("crm_attribute", with_=(1, "", "crm_attribute: Permission denied\n"))
    result = cluster.run("standby")
    assert result["failed"]
    assert result["msg"] == f"cannot make sn1 standby: {' '.join(STANDBY)}: exit code 1: crm_attribute: Permission denied"


@pytest.mark.parametrize("params", [{"name": "sn1"}, {"state": "active"}, {"name": "sn1", "state": "gone"}])
def test_options_that_are_missing_or_wrong_are_refused(run_module, commands, params):
    assert run_module(cluster_member, params)["failed"]
    assert commands.calls == []
