from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from plugins.modules import cluster_resources

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
QUERY = ["cibadmin", "--query"]
REPLACE = ["cibadmin", "--replace", "--scope", "configuration", "--xml-pipe"]
PHRASE = "correct<horse>&battery"
NEW_CIB = (
    '<cib epoch="1"><configuration><crm_config><cluster_property_set id="cib-bootstrap-options"/></crm_config>'
    '<nodes><node id="1" uname="cn1"/></nodes><resources/><constraints><rsc_location id="cli-ban-x" rsc="x" node="cn1" score="0"/>'
    "</constraints></configuration><status/></cib>"
)
NO_CLUSTER = {
    "not-installed": (127, "", "timeout: failed to run command 'cibadmin': No such file or directory"),
    "not-running": (102, "", "cibadmin: Init failed, could not perform requested operations: Transport endpoint is not connected"),
    "too-long": (124, "", ""),
}


def parse(text):
    return ET.fromstring(text)  # noqa: S314


class Cluster:
    """A cluster's configuration, and what was done to it."""

    def __init__(self, run_module, commands):
        self.cib = NEW_CIB
        self.commands = commands
        self._run_module = run_module
        commands.answer(*QUERY, with_=lambda _argv: (0, self.cib, ""))
        commands.answer(*REPLACE, with_=self._replace)

    def _replace(self, _argv):
        cib = parse(self.cib)
        cib[0] = parse(self.written)
        self.cib = ET.tostring(cib, encoding="unicode")
        return 0, "", ""

    @property
    def written(self):
        return self.commands.calls[-1].options["data"]

    @property
    def said(self):
        return [call.argv for call in self.commands.calls]

    def resources(self):
        return {element.get("id") for element in parse(self.cib).find("configuration/resources")}

    def run(self, *, members=("cn1", "sn1", "sn2"), storage_nodes=("sn1", "sn2"), fences=None, check_mode=False):
        fences = [self.fence(node) for node in members] if fences is None else fences
        params = {"members": list(members), "storage_nodes": list(storage_nodes), "fences": fences}
        self.commands.calls.clear()
        result = self._run_module(cluster_resources, params, check_mode=check_mode, diff=True)
        assert "battery" not in json.dumps(result)
        return result

    @staticmethod
    def fence(node, password=PHRASE):
        return {"node": node, "address": f"bmc-{node}", "user": "admin", "password": password}


@pytest.fixture
def cluster(run_module, commands):
    return Cluster(run_module, commands)


RESOURCES = {
    *("bareroot-drbd-half0-clone", "bareroot-half0", "bareroot-drbd-half1-clone", "bareroot-half1"),
    *("bareroot-fence-cn1", "bareroot-fence-sn1", "bareroot-fence-sn2"),
}


def test_check_mode_says_what_would_be_added_and_only_looks(cluster):
    result = cluster.run(check_mode=True)
    assert result["changed"]
    assert set(result["ids"]) >= {"bareroot-options", *RESOURCES}
    assert result["diff"]["before"] == ""
    assert cluster.said == [QUERY]
    assert cluster.cib == NEW_CIB


@pytest.mark.parametrize("answer", NO_CLUSTER.values(), ids=NO_CLUSTER)
def test_without_a_cluster_check_mode_says_that_everything_would_be_added(cluster, answer):
    announced = cluster.run(check_mode=True)
    cluster.commands.answer(*QUERY, with_=answer)
    assert cluster.run(check_mode=True) == announced
    assert cluster.said == [QUERY]


def test_what_was_announced_is_what_is_written_at_once(cluster):
    announced = cluster.run(check_mode=True)
    assert cluster.run() == announced
    assert cluster.said == [QUERY, REPLACE]
    assert cluster.resources() == RESOURCES
    assert parse(cluster.cib).find("configuration/nodes/node") is not None
    assert "cib-bootstrap-options" in cluster.cib
    assert "cli-ban-x" in cluster.cib


def test_the_password_reaches_the_cluster_by_standard_input(cluster):
    cluster.run()
    assert PHRASE in {pair.get("value") for pair in parse(cluster.written).iter("nvpair")}


@BOTH_MODES
def test_a_second_run_changes_nothing_and_only_looks(cluster, check_mode):
    cluster.run()
    result = cluster.run(check_mode=check_mode)
    assert (result["changed"], result["ids"]) == (False, [])
    assert result["diff"]["before"] == result["diff"]["after"] != ""
    assert cluster.said == [QUERY]


@BOTH_MODES
def test_a_new_password_is_a_change_that_the_diff_shows_without_it(cluster, check_mode):
    cluster.run(fences=[cluster.fence("cn1"), cluster.fence("sn1", "old-battery"), cluster.fence("sn2")])
    result = cluster.run(check_mode=check_mode)
    assert result["ids"] == ["bareroot-fence-sn1"]
    assert result["diff"]["before"] != result["diff"]["after"]
    assert ("old-battery" in cluster.cib) is check_mode


def test_a_voter_that_left_is_no_longer_fenced_nor_fences(cluster):
    cluster.run(members=["cn1", "cn2", "sn1", "sn2"])
    result = cluster.run()
    assert result["ids"] == sorted(
        ["bareroot-fence-cn2", *(f"bareroot-fence-cn2.on.{node}" for node in ("cn1", "sn1", "sn2"))]
        + [f"bareroot-fence-{node}.on.cn2" for node in ("cn1", "sn1", "sn2")]
    )
    assert "cn2" not in cluster.cib
    assert cluster.resources() == RESOURCES


@pytest.mark.parametrize("answer", NO_CLUSTER.values(), ids=NO_CLUSTER)
def test_without_a_cluster_it_fails_and_says_where_to_look(cluster, answer):
    cluster.commands.answer(*QUERY, with_=answer)
    result = cluster.run()
    assert result["failed"]
    assert result["msg"].startswith("cannot configure the cluster: cibadmin --query: ")
    assert result["msg"].endswith("; see systemctl status corosync pacemaker")
    assert result["rc"] == answer[0]
    assert cluster.said == [QUERY]


def test_a_cluster_that_refuses_is_named_and_what_it_prints_is_not_shown(cluster):
    refused = "Call failed: Update does not conform to the configured schema"
    old = '<nvpair name="password" value="other-battery"/>\n'
    cluster.commands.answer(*REPLACE, with_=(78, old, f"{refused}\n"))
    result = cluster.run()
    assert result["failed"]
    assert f"exit code 78: {refused}; see" in result["msg"]
    assert result["rc"] == 78


@BOTH_MODES
def test_a_configuration_that_cannot_be_read_is_an_error_and_nothing_is_written(cluster, check_mode):
    cluster.cib = "<cib/>"
    result = cluster.run(check_mode=check_mode)
    assert result["msg"] == "cannot configure the cluster: cibadmin --query printed no <configuration>"
    assert cluster.said == [QUERY]


@BOTH_MODES
def test_a_voter_that_cannot_be_fenced_is_named_before_anything_is_run(cluster, check_mode):
    result = cluster.run(fences=[cluster.fence("sn1")], check_mode=check_mode)
    assert result["msg"].startswith("cannot configure the cluster: no BMC to fence cn1, sn2 with: ")
    assert "node_bmc_address" in result["msg"]
    assert cluster.said == []


def test_a_password_of_two_lines_is_refused_without_being_shown(cluster):
    result = cluster.run(fences=[cluster.fence("cn1"), cluster.fence("sn1", "battery\naction=off"), cluster.fence("sn2")])
    assert "node_bmc_password of sn1 holds a line break" in result["msg"]
    assert cluster.said == []
