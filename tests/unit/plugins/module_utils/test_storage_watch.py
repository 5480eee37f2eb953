from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _storage_watch as watch
from plugins.module_utils._storage_watch import Memory, News

# As DRBD 8.4, md and the device mapper write it, on the StorageNode that serves half0.
DRBD = """version: 8.4.11 (api:1/proto:86-101)
srcversion: 7AB6CDCC6C4E5B8B3A7C4C2 
 0: cs:{0} C r-----
    ns:1048576 nr:0 dw:1048600 dr:2120 al:14 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:{1}
{2} 1: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----
    ns:0 nr:0 dw:0 dr:0 al:8 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
"""  # noqa: W291 - as it is written
IN_SYNC = "Connected ro:Primary/Secondary ds:UpToDate/UpToDate"
LONELY = "WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown"
SOURCE = "SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent"
PROGRESS = "\t[====>...............] sync'ed: {}% (3912/5115)M\n\tfinish: 0:01:02 speed: 62,345 (58,123) K/sec\n"
WHOLE = """Personalities : [raid1]
md127 : active raid1 vdc[1] vdb[0]
      20954112 blocks super 1.2 [2/2] [UU]
      bitmap: 0/1 pages [0KB], 65536KB chunk

unused devices: <none>
"""
SHORT = WHOLE.replace("vdc[1] vdb[0]", "vdc[1](F) vdb[0]").replace("[2/2] [UU]", "[2/1] [U_]")
POOL = "bareroot_half0-pool-tpool: 0 39845888 thin-pool 1 {}/4096 {}/60800 - rw discard_passdown queue_if_no_space - 1024 \n"
NO_POOL = "No devices found\n"
CRM_MON = """
<pacemaker-result api-version="2.38" request="crm_mon --one-shot --inactive --output-as=xml">
  <summary>
    <current_dc present="true" version="3.0.0-3.0.0" name="cn1" id="1" with_quorum="{quorum}" mixed_version="false"/>
    <cluster_options stonith-enabled="true" maintenance-mode="false"/>
  </summary>
  <nodes>{nodes}</nodes>
  <resources>{resources}</resources>
  <failures>{failures}</failures>
  <fence_history status="0">{fencing}</fence_history>
  <status code="0" message="OK"/>
</pacemaker-result>
"""
RESOURCE = '<resource id="{}" role="{}" active="true" blocked="false" failed="false"><node name="{}" id="9" cached="true"/></resource>'
SERVED = "".join(
    [
        *(RESOURCE.format(f"bareroot-{half}", "Started", node) for half, node in (("half0", "sn1"), ("half1", "sn2"))),
        *(RESOURCE.format(f"bareroot-drbd-{half}", "Promoted", node) for half, node in (("half0", "sn1"), ("half1", "sn2"))),
        *(RESOURCE.format(f"bareroot-drbd-{half}", "Unpromoted", node) for half, node in (("half0", "sn2"), ("half1", "sn1"))),
        *(RESOURCE.format(f"bareroot-fence-{node}", "Started", "cn1") for node in ("cn1", "sn1", "sn2")),
    ]
)
NOT_CONNECTED = """
<pacemaker-result api-version="2.38" request="crm_mon --one-shot --inactive --output-as=xml">
  <status code="102" message="Not connected">
    <errors>
      <error>crm_mon: Connection to cluster failed: Connection refused</error>
    </errors>
  </status>
</pacemaker-result>
"""
FAILURE = """<failure op_key="bareroot-half1_monitor_30000" node="sn2" exitstatus="error" exitreason="" exitcode="1" call="52"
    status="complete" interval="30000" task="monitor"/>"""


def node(state=IN_SYNC, *, out_of_sync=0, progress="", raid=WHOLE, pools=None):
    pools = POOL.format(215, 1234) if pools is None else pools
    return f"{DRBD.format(state, out_of_sync, progress)}== raid\n{raid}== pools\n{pools}"


def cluster(*fencing, quorum="true", failures="", **unlike):
    """Return what crm_mon says of a cluster that is all right, with changes: {member: what is not so}."""
    flags = {name: {"online": "true", "unclean": "false", **unlike.get(name, {})} for name in ("cn1", "sn1", "sn2")}
    nodes = "".join(
        f'<node name="{name}" online="{flag["online"]}" unclean="{flag["unclean"]}" standby="false" pending="false" type="member"/>'
        for name, flag in flags.items()
    )
    return CRM_MON.format(quorum=quorum, nodes=nodes, resources=SERVED, failures=failures, fencing="".join(fencing))


def event(target, status, completed="2026-11-21 09:20:00.000000Z"):
    done = f'completed="{completed}" delegate="cn1"' if completed else 'extended-status="1"'
    return f'<fence_event action="reboot" target="{target}" client="stonith-api.900" origin="cn1" status="{status}" {done}/>'


def assess(sn1=None, sn2=None, crm_mon=None, known=None):
    answers = {"sn1": node() if sn1 is None else sn1 or None, "sn2": node(pools="") if sn2 is None else sn2 or None}
    return watch.assess(answers, cluster() if crm_mon is None else crm_mon, known or {})


def wrong(found):
    return [sentence for problems in found.values() for sentence in problems.values()]


def test_a_pair_that_is_all_right():
    assert assess() == {"silent": {}, "cluster": {}, "sn1": {}, "half0": {}, "sn2": {}}


FULL = "remove instances or snapshots that are not needed; when it is full, writes to all its volumes fail"
METADATA = "where it is served, run lvextend --poolmetadatasize +64M bareroot_half0/pool; when it is full, writes to all its volumes fail"


@pytest.mark.parametrize(
    ("says", "source", "what", "sentence"),
    [
        pytest.param(
            {"sn1": node(LONELY)},
            "sn1",
            "sn1: half0: not connected (WFConnection)",
            "sn1: half0: not connected (WFConnection); is the other StorageNode on, and does the storage network work",
            id="no-peer",
        ),
        pytest.param(
            {"sn1": node(SOURCE, progress=PROGRESS.format("23.5"))},
            "sn1",
            "sn1: half0: the other StorageNode is being brought up to date",
            "sn1: half0: the other StorageNode is being brought up to date, 23.5 % done; "
            "until that is over only one StorageNode has all the data",
            id="resync",
        ),
        pytest.param(
            {"sn1": node(out_of_sync=12)},
            "sn1",
            "sn1: half0: some KiB differ on the two StorageNodes",
            "sn1: half0: 12 KiB differ on the two StorageNodes; drbdadm disconnect half0, then drbdadm connect half0, copies them",
            id="different",
        ),
        pytest.param(
            {"sn2": node(raid=SHORT, pools="")},
            "sn2",
            "sn2: the RAID1 of the data disks (md127) has lost a disk",
            "sn2: the RAID1 of the data disks (md127) has lost a disk; put in another one, name it in storage_node_disks, "
            "then run playbooks/site.yml",
            id="raid",
        ),
        pytest.param(
            {"sn1": node(pools=POOL.format(215, 48641))},
            "half0",
            "the pool of half0 is over 80 % full",
            f"the pool of half0 is over 80 % full: {FULL}",
            id="full",
        ),
        pytest.param(
            {"sn1": node(pools=POOL.format(3277, 1234))},
            "half0",
            "the pool of half0 has used over 80 % of its metadata",
            f"the pool of half0 has used over 80 % of its metadata: {METADATA}",
            id="metadata",
        ),
        pytest.param(
            {"sn1": node(pools="bareroot_half0-pool-tpool: 0 39845888 thin-pool Fail\n")},
            "half0",
            "the pool of half0 has failed",
            "the pool of half0 has failed: see journalctl --dmesg where it is served",
            id="failed-pool",
        ),
        pytest.param(
            {"crm_mon": cluster(sn1={"online": "false"})},
            "cluster",
            "sn1 is offline",
            "sn1 is offline: switch it on, or look there at systemctl status corosync pacemaker",
            id="lost",
        ),
        pytest.param(
            {"crm_mon": cluster(quorum="false")},
            "cluster",
            "there is no quorum",
            "there is no quorum: switch the other members on; until then nothing is started, moved or fenced",
            id="no-quorum",
        ),
        pytest.param(
            {"crm_mon": cluster(failures=FAILURE)},
            "cluster",
            "monitor of bareroot-half1 on sn2",
            "monitor of bareroot-half1 on sn2: error. Once the cause is gone: crm_resource --cleanup",
            id="resource",
        ),
        pytest.param(
            {"crm_mon": cluster(event("sn2", "failed"))},
            "cluster",
            "the last fencing of sn2 (reboot) failed",
            "the last fencing of sn2 (reboot) failed. See that its BMC answers, then: stonith_admin --cleanup --history=sn2",
            id="fencing",
        ),
        pytest.param({"sn2": ""}, "silent", "sn2 does not answer", "sn2 does not answer the ConfigNode's ssh", id="silent"),
        pytest.param(
            {"crm_mon": NOT_CONNECTED},
            "silent",
            "no cluster answers",
            "no cluster answers on the ConfigNode: crm_mon: Connection to cluster failed: Connection refused; "
            "see systemctl status corosync pacemaker",
            id="no-cluster",
        ),
        pytest.param(
            {"sn1": node("Connected nonsense")},
            "sn1",
            "sn1: what it says of its halves is not understood",
            "sn1: what it says of its halves is not understood; /proc/drbd is not DRBD 8.4's: ' 0: cs:Connected nonsense C r-----'",
            id="not-understood",
        ),
    ],
)
def test_what_is_wrong_is_found_in_its_source(says, source, what, sentence):
    found = assess(**says)
    assert found[source] == {what: sentence}
    assert wrong(found) == [sentence]


def test_who_is_silent_leaves_open_what_is_wrong_there():
    assert assess(sn1="").keys() == {"silent", "cluster", "sn2"}
    assert assess(crm_mon="").keys() == {"silent", "sn1", "half0", "sn2"}


def test_a_storage_node_where_nothing_is_up_has_no_pools_and_says_so_of_drbd():
    found = assess(sn1=f"== raid\n== pools\n{NO_POOL}")
    assert found.keys() == {"silent", "cluster", "sn1", "sn2"}
    assert list(found["sn1"]) == ["sn1: half0: DRBD is down for it", "sn1: half1: DRBD is down for it"]


def test_a_problem_stays_the_same_while_its_figures_change():
    first, second = (
        assess(sn1=node(SOURCE, out_of_sync=left, progress=progress))["sn1"]
        for left, progress in ((4096, PROGRESS.format("23.5")), (1024, PROGRESS.format(" 0.4")))
    )
    assert first.keys() == second.keys()
    assert first != second
    assert assess(sn1=node(SOURCE))["sn1"].keys() == first.keys()
    assert assess(sn1=node(out_of_sync=8))["sn1"].keys() == assess(sn1=node(out_of_sync=4))["sn1"].keys()


@pytest.mark.parametrize(
    ("used", "fresh", "known"), [(48640, False, True), (48641, True, True), (45601, False, True), (45600, False, False)]
)
def test_a_pool_is_over_80_percent_and_no_longer_under_75(used, fresh, known):
    before = {"half0": ["the pool of half0 is over 80 % full"]}
    found, again = (assess(sn1=node(pools=POOL.format(215, used)), known=memory) for memory in ({}, before))
    assert (bool(found["half0"]), bool(again["half0"])) == (fresh, known)


def test_a_pool_that_only_another_program_made_is_none_of_ours():
    others = "vg-pool-tpool: 0 100 thin-pool 1 9/10 9/10 - rw -\nbareroot_half0-pool_tdata: 0 100 linear \n"
    assert "half0" not in assess(sn1=node(pools=others))


OFFLINE = {"sn1 is offline": "sn1 is offline: switch it on"}


def remember(memory, *looks, crm_mon=""):
    """Return what is known after these looks, and all that was said: +sentence or -sentence."""
    said = []
    before = {}
    for now in looks:
        memory, news = watch.remember(memory, before, now, crm_mon)
        said += [f"{'+' if each.is_worse else '-'}{each.sentence}" for each in news]
        before = now
    return memory, said


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([{}], []),
        ([OFFLINE], []),
        ([OFFLINE, OFFLINE], ["+sn1 is offline: switch it on"]),
        ([OFFLINE, OFFLINE, OFFLINE, OFFLINE], ["+sn1 is offline: switch it on"]),
        ([OFFLINE, {}, OFFLINE, {}], []),
        ([OFFLINE, OFFLINE, {}], ["+sn1 is offline: switch it on"]),
        ([OFFLINE, OFFLINE, {}, OFFLINE, {}], ["+sn1 is offline: switch it on"]),
        ([OFFLINE, OFFLINE, {}, {}], ["+sn1 is offline: switch it on", "-over: sn1 is offline"]),
        ([OFFLINE, OFFLINE, None, None, OFFLINE], ["+sn1 is offline: switch it on"]),
        ([OFFLINE, OFFLINE, None, {}, {}], ["+sn1 is offline: switch it on", "-over: sn1 is offline"]),
        ([OFFLINE, None, OFFLINE], []),
    ],
)
def test_what_two_looks_in_a_row_agree_on_is_said_once(looks, said):
    assert remember(Memory(), *({} if look is None else {"cluster": look} for look in looks))[1] == said


def test_bad_news_come_before_good_news_and_in_their_order():
    unclean, pool, offline = ({name: f"{name}!"} for name in ("unclean", "pool", "offline"))
    first, second = {"cluster": {**unclean, **offline}, "half0": {}}, {"cluster": offline, "half0": pool}
    memory, said = remember(Memory(), first, first, second, second)
    assert said == ["+unclean!", "+offline!", "+pool!", "-over: unclean"]
    assert memory.problems == {"cluster": ["offline"], "half0": ["pool"]}


def test_a_sentence_has_the_newest_figures():
    first, second = {"sn1": {"resync": "resync, 1 %"}}, {"sn1": {"resync": "resync, 2 %"}}
    assert remember(Memory(), first, second, second)[1] == ["+resync, 2 %"]


def test_what_was_said_before_a_restart_is_not_said_again_and_what_ended_meanwhile_is():
    memory, _said = remember(Memory(), *[{"cluster": OFFLINE, "sn1": {"raid": "raid!"}}] * 2)
    assert remember(memory, *[{"cluster": {}, "sn1": {"raid": "raid!"}}] * 2)[1] == ["-over: sn1 is offline"]


SOURCES = st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("xyz"), st.just("!")))


@given(st.lists(SOURCES, max_size=8))
def test_what_is_known_is_what_was_said_and_is_not_over(looks):
    memory, said = remember(Memory(), *looks)
    known = [what for problems in memory.problems.values() for what in problems]
    assert len([line for line in said if line[0] == "+"]) - len([line for line in said if line[0] == "-"]) == len(known)
    if looks[-2:] and looks[-1:] == looks[-2:-1]:
        assert all(set(memory.problems[source]) == set(looks[-1][source]) for source in looks[-1])


FENCED = [event("sn1", "success"), event("sn2", "failed"), event("sn2", "pending", "")]
LATER = event("sn1", "success", "2026-11-21 10:30:00.000000 +01:00")


def test_fencings_of_the_past_are_not_said():
    memory, said = remember(Memory(), {}, {}, crm_mon=cluster(*FENCED))
    assert (memory.fenced, said) == (("sn1 2026-11-21 09:20:00.000000Z",), [])


def test_a_fencing_is_said_at_once_and_once():
    memory, _said = remember(Memory(), {}, crm_mon=cluster(*FENCED))
    memory, said = remember(memory, {}, {}, crm_mon=cluster(LATER, *FENCED))
    assert said == ["+sn1 was fenced (reboot) at 2026-11-21 10:30:00 +01:00"]
    # Who joins the cluster anew knows of no fencing at first.
    memory, said = remember(memory, {}, crm_mon=cluster())
    assert remember(memory, {}, crm_mon=cluster(LATER, *FENCED))[1] == said == []


@pytest.mark.parametrize("crm_mon", ["", "no XML", NOT_CONNECTED], ids=["nothing", "nonsense", "no-cluster"])
def test_where_no_cluster_answers_nothing_is_known_of_fencings(crm_mon):
    memory, _said = remember(Memory(), {}, crm_mon=crm_mon)
    assert memory.fenced is None
    assert remember(memory, {}, crm_mon=cluster(*FENCED))[1] == []
    assert remember(Memory(fenced=()), {}, crm_mon=crm_mon) == (Memory(fenced=()), [])


def test_a_fencing_comes_before_what_follows_from_it():
    now = {"cluster": OFFLINE}
    assert watch.remember(Memory(fenced=()), now, now, cluster(LATER))[1] == [
        News("sn1 was fenced (reboot) at 2026-11-21 10:30:00 +01:00", is_worse=True),
        News("sn1 is offline: switch it on", is_worse=True),
    ]
