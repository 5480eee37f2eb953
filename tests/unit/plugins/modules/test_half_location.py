from __future__ import annotations

import pytest

from plugins.module_utils import _cluster_wait
from plugins.modules import half_location

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
MOVE = ["crm_resource", "--move", "--resource", "bareroot-half0", "--node", "sn2"]
CLEAR = ["crm_resource", "--clear", "--resource", "bareroot-half0"]


class Cluster:
    """A pair with half0, which is stopped at once when it is to move and started elsewhere some seconds later."""

    def __init__(self, run_module, commands):
        self.now = 0.0
        self.takes = 7
        self.quorate = True
        self.standby = set()
        self.connected = ["sn1", "sn2"]
        self.served_by = "sn1"
        self.constraints = []
        self.failure = ""
        self.commands = commands
        self._run_module = run_module
        self._moves = []
        commands.answer("crm_mon", with_=lambda _argv: (0, self._seen(), ""))
        commands.answer("crm_resource", "--move", with_=self._move)
        commands.answer("crm_resource", "--clear", with_=self._clear)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds == 2
        self.now += seconds

    def _move(self, argv):
        node = argv[argv.index("--node") + 1]
        self.constraints.append(node)
        self.served_by = ""
        self._moves.append((self.now + self.takes, node))
        return 0, "", ""

    def _clear(self, _argv):
        self.constraints.clear()
        return 0, "", ""

    def _seen(self):
        for when, node in self._moves:
            if when <= self.now:
                self.served_by = node
        served = f'<node name="{self.served_by}"/>' if self.served_by else ""
        members = "".join(
            f'<node name="{name}" online="true" standby="{str(name in self.standby).lower()}" type="member"/>'
            for name in ("cn1", "sn1", "sn2")
        )
        drbd = "".join(f'<resource id="bareroot-drbd-half0" role="Unpromoted"><node name="{node}"/></resource>' for node in self.connected)
        return (
            f'<pacemaker-result><summary><current_dc present="true" name="cn1" with_quorum="{str(self.quorate).lower()}"/></summary>'
            f'<nodes>{members}</nodes><resources><resource id="bareroot-half0" role="Started">{served}</resource>{drbd}</resources>'
            f"<failures>{self.failure}</failures></pacemaker-result>"
        )

    def run(self, node="sn2", half="half0", check_mode=False, **options):
        self.commands.calls.clear()
        return self._run_module(half_location, {"half": half, "node": node, **options}, check_mode=check_mode, diff=True)

    @property
    def told(self):
        return [call.argv for call in self.commands.calls if call.argv[0] != "crm_mon"]


@pytest.fixture
def cluster(run_module, commands, monkeypatch):
    cluster = Cluster(run_module, commands)
    monkeypatch.setattr(_cluster_wait, "time", cluster)
    return cluster


def result_of(before, seconds, changed=True):
    return {
        "changed": changed,
        "half": "half0",
        "node": "sn2",
        "seconds": seconds,
        "diff": {"before": f"half0: {before}\n", "after": "half0: sn2\n"},
    }


def test_check_mode_says_that_it_would_move_and_only_looks(cluster):
    assert cluster.run(check_mode=True) == result_of("sn1", 0.0)
    assert cluster.told == []


def test_it_moves_and_leaves_no_constraint_behind(cluster):
    assert cluster.run() == result_of("sn1", 8.0)
    assert cluster.told == [MOVE, CLEAR]
    assert cluster.commands.calls[-1].argv == CLEAR  # only once it is served there
    assert (cluster.served_by, cluster.constraints) == ("sn2", [])


@BOTH_MODES
def test_a_half_that_is_served_there_is_left_alone(cluster, check_mode):
    cluster.run()
    assert cluster.run(check_mode=check_mode) == result_of("sn2", 0.0, changed=False)
    assert cluster.told == []


def test_a_half_that_is_served_there_needs_no_checks(cluster):
    cluster.served_by = "sn2"
    cluster.quorate = False
    assert cluster.run() == result_of("sn2", 0.0, changed=False)


def test_a_half_that_nobody_serves_is_brought_there(cluster):
    cluster.served_by = ""
    assert cluster.run() == result_of("nobody", 8.0)


@BOTH_MODES
def test_all_reasons_against_it_are_said_together_and_nothing_is_changed(cluster, check_mode):
    cluster.quorate = False
    cluster.standby = {"sn2"}
    cluster.connected = ["sn1"]
    result = cluster.run(check_mode=check_mode)
    assert result["failed"]
    assert result["obstacles"] == ["there is no quorum", "sn2 is in maintenance (standby)", "the DRBD of half0 does not run on sn2"]
    assert result["msg"] == f"half0 cannot be moved to sn2, and nothing was changed: {'; '.join(result['obstacles'])}"
    assert cluster.told == []


@pytest.mark.parametrize(
    ("options", "obstacle"),
    [
        ({"node": "cn1"}, "the DRBD of half0 does not run on cn1"),
        ({"node": "sn3"}, "sn3 is no member of the cluster, whose members are: cn1, sn1, sn2"),
        ({"half": "half1"}, "half1 is not in the cluster's configuration: run playbooks/site.yml"),
    ],
    ids=["config-node", "stranger", "half"],
)
def test_what_is_not_there_is_refused(cluster, options, obstacle):
    assert cluster.run(**options)["obstacles"] == [obstacle]
    assert cluster.told == []


def test_after_the_timeout_it_says_where_the_half_is_and_what_failed_and_leaves_no_constraint_behind(cluster):
    cluster.takes = 1000
    cluster.failure = (
        '<failure op_key="bareroot-half0_start_0" task="start" interval="0" node="sn2" exitstatus="error" status="complete" exitreason=""/>'
    )
    result = cluster.run(timeout=20)
    assert result["failed"]
    assert result["msg"] == "after 20 s half0 is not served by sn2: half0 is served by nobody; start of bareroot-half0 on sn2: error"
    assert cluster.now == 20
    assert cluster.told == [MOVE, CLEAR]
    assert cluster.constraints == []


def test_a_move_that_is_refused_leaves_no_constraint_behind(cluster):
    cluster.commands.answer("crm_resource", "--move", with_=(1, "", "crm_resource: Error performing operation\n"))
    result = cluster.run()
    assert result["failed"]
    assert result["msg"] == f"cannot move half0 to sn2: {' '.join(MOVE)}: exit code 1: crm_resource: Error performing operation"
    assert cluster.told == [MOVE, CLEAR]


def test_a_cluster_that_stops_answering_meanwhile_is_still_told_to_forget_the_constraint(cluster):
    answers = [(0, cluster._seen(), ""), (102, "", "crm_mon: Connection refused\n")]
    cluster.commands.answer("crm_mon", with_=lambda _argv: answers.pop(0))
    result = cluster.run()
    assert result["failed"]
    assert result["msg"].startswith("cannot move half0 to sn2: no cluster answers here: ")
    assert cluster.told == [MOVE, CLEAR]


@pytest.mark.parametrize("takes", [7, 1000], ids=["moved", "not-moved"])
def test_a_constraint_that_cannot_be_removed_is_an_error_that_says_how_to(cluster, takes):
    cluster.takes = takes
    cluster.commands.answer("crm_resource", "--clear", with_=(1, "", "crm_resource: Timer expired\n"))
    result = cluster.run(timeout=20)
    assert result["failed"]
    assert result["msg"].endswith(
        "the constraint that moves half0 to sn2 could not be removed, run this command yourself: "
        f"{' '.join(CLEAR)}: exit code 1: crm_resource: Timer expired"
    )
    assert result["msg"].startswith("after 20 s half0 is not served by sn2: ") is (takes == 1000)


@BOTH_MODES
def test_where_no_cluster_runs_that_is_an_error(cluster, check_mode):
    cluster.commands.answer("crm_mon", with_=(102, '<pacemaker-result><status code="102" message="Not connected"/></pacemaker-result>', ""))
    result = cluster.run(check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "cannot move half0 to sn2: no cluster answers here: Not connected; see systemctl status corosync pacemaker"
    assert result["rc"] == 102
    assert cluster.told == []


@pytest.mark.parametrize("params", [{"half": "half0"}, {"node": "sn1"}, {"half": "half2", "node": "sn1"}])
def test_options_that_are_missing_or_wrong_are_refused(run_module, commands, params):
    assert run_module(half_location, params)["failed"]
    assert commands.calls == []
