from __future__ import annotations

import pytest

from plugins.modules import cluster_info

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
MEMBER = '<node name="{}" online="true" standby="{}" unclean="false" pending="false" maintenance="false" type="member"/>'
SEEN = f"""
<pacemaker-result>
  <summary><current_dc present="true" name="cn1" with_quorum="true"/></summary>
  <nodes>{MEMBER.format("cn1", "false")}{MEMBER.format("sn1", "true")}</nodes>
  <resources>
    <resource id="bareroot-half0" role="Stopped" failed="false" blocked="false"/>
    <resource id="bareroot-fence-sn1" role="Started" failed="false" blocked="false"><node name="cn1"/></resource>
  </resources>
  <failures><failure op_key="bareroot-half0_start_0" task="start" interval="0" node="sn1" exitstatus="error" exitreason="no pool" status="complete"/></failures>
  <fence_history><fence_event action="reboot" target="sn1" status="failed" exit-reason="no answer"/></fence_history>
  <status code="0" message="OK"/>
</pacemaker-result>
"""  # noqa: E501 - as it is written
DISCONNECTED = '<pacemaker-result><status code="102" message="Not connected"/></pacemaker-result>\n'


@BOTH_MODES
def test_what_the_cluster_says_is_returned(run_module, commands, check_mode):
    commands.answer("crm_mon", with_=(0, SEEN, ""))
    result = run_module(cluster_info, {}, check_mode=check_mode)
    fine = {"online": True, "standby": False, "unclean": False, "pending": False, "maintenance": False}
    assert result["cluster"] == {
        "quorate": True,
        "dc": "cn1",
        "members": {"cn1": fine, "sn1": {**fine, "standby": True}},
        "halves": {"half0": {"node": "", "promoted": "", "connected": [], "held_by": [], "blocked": False}},
        "fences": {"sn1": True},
        "failures": ["start of bareroot-half0 on sn1: error, no pool"],
        "fencing": [{"node": "sn1", "action": "reboot", "status": "failed", "reason": "no answer"}],
    }
    assert (result["changed"], result["running"]) == (False, True)
    assert "why" not in result
    assert [call.argv for call in commands.calls] == [["crm_mon", "--one-shot", "--inactive", "--output-as=xml"]]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, ["sn1 is in maintenance (standby)", "start of bareroot-half0 on sn1", "the last fencing of sn1 (reboot) failed"]),
        (
            {"storage_nodes": ["sn1", "sn2"]},
            [
                "sn2 is no member of the cluster",
                "sn1 is in maintenance (standby)",
                "half0 is served by nobody",
                "half1 is not in the cluster's configuration",
                "cn1 has no fence device",
                "start of bareroot-half0 on sn1",
                "the last fencing of sn1 (reboot) failed",
            ],
        ),
    ],
    ids=["pair-unknown", "pair"],
)
def test_what_is_wrong_is_returned_too_and_is_no_failure(run_module, commands, options, wrong):
    commands.answer("crm_mon", with_=(0, SEEN, ""))
    assert [problem.split(":")[0] for problem in run_module(cluster_info, options)["problems"]] == wrong


@BOTH_MODES
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((102, DISCONNECTED, ""), "Not connected"),
        (
            (127, "", "timeout: failed to run command 'crm_mon': No such file or directory"),
            "crm_mon --one-shot --inactive --output-as=xml: exit code 127: "
            "timeout: failed to run command 'crm_mon': No such file or directory",
        ),
        ((124, "", ""), "crm_mon --one-shot --inactive --output-as=xml: not finished after 60 s, or killed"),
        ((0, "hello\n", ""), "crm_mon printed no XML (syntax error: line 1, column 0): hello"),
        ((0, "<pacemaker-result/>", ""), "crm_mon names no members: the cluster is still starting, or stopping"),
    ],
    ids=["stopped", "missing", "hangs", "no-xml", "starting"],
)
def test_where_no_cluster_runs_that_is_said_and_is_no_failure(run_module, commands, check_mode, answer, why):
    commands.answer("crm_mon", with_=answer)
    assert run_module(cluster_info, {"storage_nodes": ["sn1", "sn2"]}, check_mode=check_mode) == {
        "changed": False,
        "running": False,
        "why": f"no cluster answers here: {why}; see systemctl status corosync pacemaker",
        "cluster": {},
        "problems": [],
    }
