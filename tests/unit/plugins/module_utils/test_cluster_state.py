from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.module_utils import _cluster_state
from plugins.module_utils._cluster_state import Fencing, Half, Member, State

PAIR = ["sn1", "sn2"]
ACTIVE = Member(online=True, standby=False, unclean=False, pending=False, maintenance=False)
# As crm_mon of Pacemaker 3.0 writes it.
HEALTHY = """
<pacemaker-result api-version="2.38" request="crm_mon --one-shot --inactive --output-as=xml">
  <summary>
    <stack type="corosync" pacemakerd-state="running"/>
    <current_dc present="true" version="3.0.0-3.0.0" name="cn1" id="1" with_quorum="true" mixed_version="false"/>
    <last_update time="Sat Nov 21 10:00:00 2026" origin="cn1"/>
    <last_change time="Sat Nov 21 09:00:00 2026" user="root" client="cibadmin" origin="cn1"/>
    <nodes_configured number="3"/>
    <resources_configured number="9" disabled="0" blocked="0"/>
    <cluster_options stonith-enabled="true" symmetric-cluster="false" no-quorum-policy="freeze" maintenance-mode="false" stop-all-resources="false" stonith-timeout-ms="120000" priority-fencing-delay-ms="0"/>
  </summary>
  <nodes>
    <node name="cn1" id="1" online="true" standby="false" standby_onfail="false" maintenance="false" pending="false" unclean="false" health="green" feature_set="3.20.0" shutdown="false" expected_up="true" is_dc="true" resources_running="2" type="member"/>
    <node name="sn1" id="2" online="true" standby="false" standby_onfail="false" maintenance="false" pending="false" unclean="false" health="green" feature_set="3.20.0" shutdown="false" expected_up="true" is_dc="false" resources_running="3" type="member"/>
    <node name="sn2" id="3" online="true" standby="false" standby_onfail="false" maintenance="false" pending="false" unclean="false" health="green" feature_set="3.20.0" shutdown="false" expected_up="true" is_dc="false" resources_running="4" type="member"/>
    <node name="hn1" id="hn1" online="true" standby="false" standby_onfail="false" maintenance="false" pending="false" unclean="false" health="green" shutdown="false" expected_up="false" is_dc="false" resources_running="0" type="remote"/>
  </nodes>
  <resources>
    <clone id="bareroot-drbd-half0-clone" multi_state="true" unique="false" maintenance="false" managed="true" disabled="false" failed="false" failure_ignored="false">
      <resource id="bareroot-drbd-half0" resource_agent="ocf:linbit:drbd" role="Unpromoted" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
        <node name="sn2" id="3" cached="true"/>
      </resource>
      <resource id="bareroot-drbd-half0" resource_agent="ocf:linbit:drbd" role="Promoted" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
        <node name="sn1" id="2" cached="true"/>
      </resource>
    </clone>
    <resource id="bareroot-half0" resource_agent="ocf:bareroot:half" role="Started" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
      <node name="sn1" id="2" cached="true"/>
    </resource>
    <clone id="bareroot-drbd-half1-clone" multi_state="true" unique="true" maintenance="false" managed="true" disabled="false" failed="false" failure_ignored="false">
      <resource id="bareroot-drbd-half1:0" resource_agent="ocf:linbit:drbd" role="Promoted" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
        <node name="sn2" id="3" cached="true"/>
      </resource>
      <resource id="bareroot-drbd-half1:1" resource_agent="ocf:linbit:drbd" role="Stopped" active="false" orphaned="false" blocked="true" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="0"/>
    </clone>
    <resource id="bareroot-half1" resource_agent="ocf:bareroot:half" role="Started" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
      <node name="sn2" id="3" cached="true"/>
    </resource>
    <resource id="bareroot-fence-cn1" resource_agent="stonith:fence_ipmilan" role="Stopped" active="false" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="0"/>
    <resource id="bareroot-fence-sn1" resource_agent="stonith:fence_ipmilan" role="Started" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
      <node name="cn1" id="1" cached="true"/>
    </resource>
    <resource id="of-an-administrator" resource_agent="ocf:pacemaker:Dummy" role="Started" active="true" orphaned="false" blocked="false" maintenance="false" managed="true" failed="false" failure_ignored="false" nodes_running_on="1">
      <node name="sn1" id="2" cached="true"/>
    </resource>
  </resources>
  <node_attributes>
    <node name="sn1"><attribute name="master-bareroot-drbd-half0" value="10000"/></node>
  </node_attributes>
  <node_history>
    <node name="sn1"><resource_history id="bareroot-half0" orphan="false" migration-threshold="1000000"/></node>
  </node_history>
  <failures>
    <failure op_key="bareroot-half1_stop_0" node="sn1" exitstatus="error" exitreason="Resource agent did not complete within 3m" exitcode="1" call="52" status="Timed Out" last-rc-change="2026-11-21 09:10:00Z" queued="0" exec="180001" interval="0" task="stop"/>
    <failure op_key="bareroot-fence-cn1_monitor_60000" node="sn1" exitstatus="not running" exitreason="" exitcode="7" call="60" status="complete" last-rc-change="2026-11-21 09:11:00Z" queued="0" exec="0" interval="60000" task="monitor"/>
    <failure id="strange" node="sn2" exitstatus="not installed" exitreason="none" exitcode="5" call="61" status="complete"/>
  </failures>
  <fence_history status="0">
    <fence_event action="reboot" target="sn2" client="pacemaker-controld.900" origin="cn1" status="pending" extended-status="1"/>
    <fence_event action="reboot" target="sn1" client="pacemaker-controld.900" origin="cn1" status="failed" exit-reason="No fence device" delegate="cn1" completed="2026-11-21 09:30:00.000000Z"/>
    <fence_event action="reboot" target="cn1" client="pacemaker-controld.900" origin="sn1" status="success" delegate="sn1" completed="2026-11-21 09:20:00.000000Z"/>
    <fence_event action="reboot" target="cn1" client="pacemaker-controld.900" origin="sn1" status="failed" delegate="sn1" completed="2026-11-21 09:10:00.000000Z"/>
    <fence_event action="reboot" target="sn2" client="pacemaker-controld.900" origin="sn1" status="failed" delegate="sn1" completed="2026-11-21 09:00:00.000000Z"/>
  </fence_history>
  <bans/>
  <status code="0" message="OK"/>
</pacemaker-result>
"""  # noqa: E501 - as it is written
DISCONNECTED = """
<pacemaker-result api-version="2.38" request="crm_mon --one-shot --inactive --output-as=xml">
  <status code="102" message="Not connected">
    <errors>
      <error>crm_mon: Connection to cluster failed: Connection refused</error>
    </errors>
  </status>
</pacemaker-result>
"""


def good(**changes):
    """Return a pair with nothing wrong, half0 on sn1 and half1 on sn2, and what a test changes."""
    halves = {half: Half(node, node, ("sn1", "sn2"), ("sn1", "sn2")) for half, node in (("half0", "sn1"), ("half1", "sn2"))}
    names = ("cn1", "sn1", "sn2")
    state = State(True, "cn1", dict.fromkeys(names, ACTIVE), halves, dict.fromkeys(names, True), (), ())
    return replace(state, **changes)


def with_member(name, **changes):
    return good(members={**good().members, name: replace(ACTIVE, **changes)})


def with_half(half, **changes):
    return good(halves={**good().halves, half: replace(good().halves[half], **changes)})


def resource(name, role, *nodes, failed="false"):
    where = "".join(f'<node name="{node}" id="9" cached="true"/>' for node in nodes)
    return f'<resource id="{name}" role="{role}" active="true" blocked="false" failed="{failed}">{where}</resource>'


def with_resources(*resources):
    return f"<pacemaker-result><summary/><nodes/><resources>{''.join(resources)}</resources></pacemaker-result>"


def half0(*resources):
    return _cluster_state.parse(with_resources(*resources)).halves["half0"]


def test_what_crm_mon_writes_is_read():
    assert _cluster_state.parse(HEALTHY) == State(
        quorate=True,
        dc="cn1",
        members={"cn1": ACTIVE, "sn1": ACTIVE, "sn2": ACTIVE},
        halves={
            "half0": Half("sn1", "sn1", ("sn1", "sn2"), ("sn1", "sn2"), blocked=False),
            "half1": Half("sn2", "sn2", ("sn2",), ("sn2",), blocked=True),
        },
        fences={"cn1": False, "sn1": True},
        failures=(
            "stop of bareroot-half1 on sn1: error, Timed Out, Resource agent did not complete within 3m",
            "monitor of bareroot-fence-cn1 on sn1: not running",
            "strange on sn2: not installed",
        ),
        fencing=(
            Fencing("sn2", "reboot", "pending", ""),
            Fencing("sn1", "reboot", "failed", "No fence device"),
            Fencing("sn2", "reboot", "failed", ""),
        ),
    )


@pytest.mark.parametrize("condition", ["standby", "unclean", "pending", "maintenance"])
def test_each_condition_of_a_member_is_read(condition):
    before, name, rest = HEALTHY.partition('<node name="sn1"')
    changed = before + name + rest.replace(f' {condition}="false"', f' {condition}="true"', 1)
    members = _cluster_state.parse(changed).members
    assert members == {"cn1": ACTIVE, "sn1": replace(ACTIVE, **{condition: True}), "sn2": ACTIVE}


def test_a_member_that_is_not_online_is_read():
    members = _cluster_state.parse(HEALTHY.replace('id="3" online="true"', 'id="3" online="false"')).members
    assert [name for name, member in members.items() if not member.online] == ["sn2"]


def test_maintenance_mode_is_that_of_all_members():
    members = _cluster_state.parse(HEALTHY.replace('maintenance-mode="false"', 'maintenance-mode="true"')).members
    assert all(member.maintenance for member in members.values())


@pytest.mark.parametrize("current", ['<current_dc present="false"/>', ""], ids=["none", "not-named"])
def test_without_a_controller_there_is_no_quorum(current):
    state = _cluster_state.parse(f"<pacemaker-result><summary>{current}</summary><nodes/></pacemaker-result>")
    assert (state.quorate, state.dc) == (False, "")


def test_a_controller_without_quorum_is_read():
    state = _cluster_state.parse(HEALTHY.replace('with_quorum="true"', 'with_quorum="false"'))
    assert (state.quorate, state.dc) == (False, "cn1")


@pytest.mark.parametrize("role", ["Starting", "Stopping"])
def test_a_half_that_is_starting_or_stopping_is_not_served_and_still_held(role):
    half = half0(resource("bareroot-half0", role, "sn1"), resource("bareroot-drbd-half0", role, "sn2"))
    assert half == Half(node="", promoted="", connected=(), held_by=("sn1", "sn2"))


@pytest.mark.parametrize("role", ["Promoting", "Demoting"])
def test_drbd_runs_while_it_is_promoted_or_demoted_and_is_primary_only_afterwards(role):
    assert half0(resource("bareroot-drbd-half0", role, "sn1")) == Half(connected=("sn1",), held_by=("sn1",))


def test_what_has_failed_serves_nothing_and_is_still_held():
    half = half0(
        resource("bareroot-half0", "Started", "sn1", failed="true"), resource("bareroot-drbd-half0", "Unpromoted", "sn2", failed="true")
    )
    assert half == Half(held_by=("sn1", "sn2"))


@pytest.mark.parametrize(("role", "failed", "runs"), [("Started", "false", True), ("Started", "true", False), ("Starting", "false", False)])
def test_a_fence_device_runs_once_it_has_started(role, failed, runs):
    xml = with_resources(resource("bareroot-fence-sn1", role, "cn1", failed=failed))
    assert _cluster_state.parse(xml).fences == {"sn1": runs}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "crm_mon printed no XML (no element found: line 1, column 0): nothing"),
        ("Cluster Summary:\n  * Stack", "crm_mon printed no XML (syntax error: line 1, column 0): Cluster Summary:"),
        (DISCONNECTED, "crm_mon names no members: the cluster is still starting, or stopping"),
    ],
    ids=["nothing", "text", "no-members"],
)
def test_what_is_no_state_is_refused(output, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the whole message is compared
        _cluster_state.parse(output)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (DISCONNECTED, "crm_mon: Connection to cluster failed: Connection refused"),
        ('<pacemaker-result><status code="102" message="Not connected"/></pacemaker-result>', "Not connected"),
        ("<pacemaker-result/>", ""),
        ("timeout: failed to run command", ""),
    ],
    ids=["errors", "message", "neither", "no-xml"],
)
def test_the_error_in_a_programs_output_is_found(output, error):
    assert _cluster_state.error_in(output) == error


@pytest.mark.parametrize("storage_nodes", [PAIR, []], ids=["pair", "unknown"])
def test_nothing_is_wrong_with_a_good_pair(storage_nodes):
    assert _cluster_state.problems(good(), storage_nodes) == []


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (good(quorate=False), "there is no quorum: switch the other members on; until then nothing is started, moved or fenced"),
        (with_member("cn1", online=False), "cn1 is offline: switch it on, or look there at systemctl status corosync pacemaker"),
        (
            with_member("sn2", online=False, unclean=True),
            "sn2 is lost or failed and not fenced yet: see that its BMC answers; "
            "only where it is certainly off: stonith_admin --confirm=sn2",
        ),
        (
            with_member("sn2", online=False, pending=True),
            "sn2 is only joining the cluster: if it does not end, look there at systemctl status pacemaker",
        ),
        (
            with_member("sn1", standby=True),
            "sn1 is in maintenance (standby): playbooks/storage_maintenance.yml -e node=sn1 -e maintenance=end",
        ),
        (
            with_member("cn1", standby=True),
            "cn1 is in maintenance (standby): crm_attribute --node cn1 --name standby --delete --lifetime forever",
        ),
        (
            with_member("sn1", maintenance=True),
            "sn1 is in Pacemaker's maintenance mode, in which nothing is started, stopped or moved: crm_attribute --node sn1 "
            "--name maintenance --delete, or for all: crm_attribute --name maintenance-mode --delete",
        ),
        (
            good(members={"cn1": ACTIVE, "sn1": ACTIVE}),
            "sn2 is no member of the cluster: run playbooks/site.yml",
        ),
        (with_half("half1", blocked=True), "half1 is blocked: see its failed actions"),
        (with_half("half1", node=""), "half1 is served by nobody: see crm_resource --why --resource bareroot-half1"),
        (with_half("half0", connected=("sn1",)), "the DRBD of half0 does not run on sn2: look there at journalctl --unit pacemaker"),
        (good(halves={"half0": good().halves["half0"]}), "half1 is not in the cluster's configuration: run playbooks/site.yml"),
        (
            good(fences={**good().fences, "sn1": False}),
            "the fence device of sn1 does not run: see that its BMC answers, then crm_resource --cleanup --resource bareroot-fence-sn1",
        ),
        (
            good(fences={"sn1": True, "sn2": True}),
            "cn1 has no fence device: give it node_bmc_address and run playbooks/site.yml",
        ),
        (
            good(failures=("start of bareroot-half0 on sn2: error",)),
            "start of bareroot-half0 on sn2: error. Once the cause is gone: crm_resource --cleanup",
        ),
        (good(fencing=(Fencing("sn2", "reboot", "pending", ""),)), "sn2 is being fenced (reboot)"),
        (
            good(fencing=(Fencing("sn2", "reboot", "failed", "No fence device"),)),
            "the last fencing of sn2 (reboot) failed: No fence device. See that its BMC answers, "
            "then: stonith_admin --cleanup --history=sn2",
        ),
        (
            good(fencing=(Fencing("sn2", "reboot", "failed", ""),)),
            "the last fencing of sn2 (reboot) failed. See that its BMC answers, then: stonith_admin --cleanup --history=sn2",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_said_with_what_to_do(state, problem):
    assert _cluster_state.problems(state, PAIR) == [problem]


def test_all_that_is_wrong_is_said_together():
    state = replace(with_half("half0", node="", connected=("sn2",)), quorate=False, failures=("start of bareroot-half0 on sn2: error",))
    state = replace(state, members={**state.members, "sn1": replace(ACTIVE, online=False, standby=True)})
    assert [problem.split(":")[0] for problem in _cluster_state.problems(state, PAIR)] == [
        "there is no quorum",
        "sn1 is offline",
        "sn1 is in maintenance (standby)",
        "half0 is served by nobody",
        "start of bareroot-half0 on sn2",
    ]


def test_without_the_pair_nothing_is_said_of_what_a_pair_lacks():
    assert _cluster_state.problems(good(halves={}, fences={}), []) == []
    assert _cluster_state.problems(with_half("half0", node="", connected=()), []) == []


@pytest.mark.parametrize("node", PAIR)
def test_either_storage_node_of_a_good_pair_may_leave(node):
    assert _cluster_state.obstacles(good(), node) == []


@pytest.mark.parametrize(
    ("state", "obstacles"),
    [
        (good(quorate=False), ["there is no quorum"]),
        (with_member("cn1", online=False), ["cn1 is offline"]),
        (
            with_member("sn2", standby=True),
            [
                "sn2 is in maintenance (standby)",
                "the DRBD of half0 runs on no other StorageNode that could serve it",
                "the DRBD of half1 runs on no other StorageNode that could serve it",
            ],
        ),
        (with_half("half1", connected=("sn1",)), ["the DRBD of half1 runs on no other StorageNode that could serve it"]),
        (good(halves={"half0": good().halves["half0"]}), ["half1 is not in the cluster's configuration: run playbooks/site.yml"]),
        # What it is like itself is no reason to stay.
        (with_member("sn1", maintenance=True), []),
    ],
    ids=["quorum", "voter", "other", "drbd", "halves", "itself"],
)
def test_why_a_storage_node_must_not_leave(state, obstacles):
    assert _cluster_state.obstacles(state, "sn1") == obstacles


def test_one_that_is_no_member_cannot_leave():
    assert _cluster_state.obstacles(good(), "sn3") == ["sn3 is no member of the cluster, whose members are: cn1, sn1, sn2"]


def test_a_half_of_a_good_pair_can_be_moved():
    assert _cluster_state.move_obstacles(good(), "half0", "sn2") == []


@pytest.mark.parametrize(
    ("state", "node", "obstacles"),
    [
        (good(quorate=False), "sn2", ["there is no quorum"]),
        (with_member("sn2", standby=True), "sn2", ["sn2 is in maintenance (standby)"]),
        (with_half("half0", connected=("sn1",)), "sn2", ["the DRBD of half0 does not run on sn2"]),
        (good(halves={}), "sn2", ["half0 is not in the cluster's configuration: run playbooks/site.yml"]),
        (good(), "cn1", ["the DRBD of half0 does not run on cn1"]),
        (good(), "sn3", ["sn3 is no member of the cluster, whose members are: cn1, sn1, sn2"]),
        (
            replace(with_half("half0", connected=("sn1",)), quorate=False, members=with_member("sn2", online=False).members),
            "sn2",
            ["there is no quorum", "sn2 is offline", "the DRBD of half0 does not run on sn2"],
        ),
    ],
    ids=["quorum", "standby", "drbd", "halves", "config-node", "stranger", "all"],
)
def test_why_a_half_cannot_be_moved(state, node, obstacles):
    assert _cluster_state.move_obstacles(state, "half0", node) == obstacles


def test_a_storage_node_has_left_when_nothing_of_any_half_is_on_it():
    assert not _cluster_state.has_left(good(), "sn1")
    assert _cluster_state.remaining(good(), "sn1") == ["half0 is not gone from sn1", "half1 is not gone from sn1"]
    # Starting, stopping and failed instances count too.
    stopping = replace(
        good(), halves={half: Half("sn2", "sn2", ("sn2",), held) for half, held in (("half0", ("sn1", "sn2")), ("half1", ("sn2",)))}
    )
    assert _cluster_state.remaining(stopping, "sn1") == ["half0 is not gone from sn1"]
    gone = replace(good(), halves={half: Half("sn2", "sn2", ("sn2",), ("sn2",)) for half in ("half0", "half1")})
    assert _cluster_state.has_left(gone, "sn1")
    assert not _cluster_state.has_left(gone, "sn2")


def test_a_storage_node_has_returned_when_it_is_active_with_the_drbd_of_both_halves():
    assert _cluster_state.has_returned(good(), "sn1")
    for state, missing in (
        (with_member("sn1", online=False), "sn1 is offline"),
        (with_member("sn1", standby=True), "sn1 is in maintenance (standby)"),
        (with_half("half1", connected=("sn2",)), "the DRBD of half1 does not run on sn1"),
        (good(halves={"half0": good().halves["half0"]}), "the DRBD of half1 does not run on sn1"),
    ):
        assert not _cluster_state.has_returned(state, "sn1")
        assert _cluster_state.missing(state, "sn1") == [missing]
