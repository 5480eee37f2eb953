from __future__ import annotations

import pytest

from plugins.module_utils import _storage_status as status

G = 1 << 30
PRIMARY = {
    "connection": "Connected",
    "role": "Primary",
    "peer_role": "Secondary",
    "disk": "UpToDate",
    "peer_disk": "UpToDate",
    "suspended": False,
    "out_of_sync": 0,
    "synced": None,
}
SECONDARY = {**PRIMARY, "role": "Secondary", "peer_role": "Primary"}
ALONE = {**PRIMARY, "connection": "StandAlone", "peer_role": "Unknown", "peer_disk": "DUnknown"}
ONLINE = {"online": True, "standby": False, "unclean": False, "pending": False, "maintenance": False}
REFUSED = "ssh: connect to host 10.0.0.12 port 22:\n No route to host"
UNREACHABLE = {"unreachable": True, "msg": REFUSED, "changed": False}
SKIPPED = {"skipped": True, "changed": False}
SILENT = "does not answer: ssh: connect to host 10.0.0.12 port 22: No route to host"
# {volume: (half, address)}
VOLUMES = {"web1-root": ("half0", "1.0"), "web2-root": ("half1", "1.1")}
UNIT = "bareroot-aoe@volume-{}.service loaded active running AoE export of volume-{}"
IMAGE = "bareroot-aoe@image-xen-0123456789abcdef.service loaded active running AoE export of image-xen-0123456789abcdef"


def volume(name, half, address):
    return {
        "name": name,
        "half": half,
        "size": G,
        "template": "",
        "export": "aoe" if address else "",
        "address": address,
        "device": f"/dev/bareroot_{half}/{name}",
    }


def pool(half, size=10 * G, used=G, metadata=3.7):
    return {"half": half, "size": size, "used": used, "free": size - used, "metadata_percent": metadata, "promised": 2 * size}


def command(*lines, rc=0):
    return {"rc": rc, "stdout": "\n".join(lines), "stderr": "", "changed": False}


def storage(*served, peers=("half0", "half1"), secondary=SECONDARY, primary=PRIMARY):
    """Return what a StorageNode that serves these halves answers."""
    names = [name for name, (half, _address) in VOLUMES.items() if half in served]
    return {
        "drbd": {"halves": {half: primary if half in served else secondary for half in peers}},
        "volumes": {"volumes": [volume(name, *VOLUMES[name]) for name in names], "pools": [pool(half) for half in served]},
        "exports": command(IMAGE, *(UNIT.format(name, name) for name in names)),
    }


def cluster_says(**changes):
    cluster = {
        "quorate": True,
        "dc": "cn1",
        "members": dict.fromkeys(["cn1", "sn1", "sn2"], ONLINE),
        "halves": {},
        "fences": dict.fromkeys(["cn1", "sn1", "sn2"], True),
        "failures": [],
    }
    return {"running": True, "cluster": {**cluster, **changes}, "problems": []}


DEVICES = command("1000.0 8192 up", "1.0 8192 up", "1.1 8192 up")


def site(hardware=None, cluster=None, **changes):
    """Return a pair that is all right, with changes: {StorageNode: {what it was asked: its answer}}."""
    nodes = {"sn1": storage("half0"), "sn2": storage("half1")}
    answers = {name: {**nodes[name], **changes.get(name, {})} for name in nodes}
    return status.Site(
        {name: status.storage_node(**answer) for name, answer in answers.items()},
        {name: status.hardware_node(answer) for name, answer in {"hn1": DEVICES, "hn2": DEVICES, **(hardware or {})}.items()},
        status.cluster("cn1", cluster_says() if cluster is None else cluster),
    )


def single(**changes):
    answers = {**storage("half0", "half1", primary=ALONE), **changes}
    return status.Site({"sn1": status.storage_node(**answers)}, {"hn1": status.hardware_node(DEVICES)}, None)


def rows(lines):
    """Return the cells of the lines after the first, which end where two spaces are."""
    return [[cell for cell in line.split("  ") if cell] for line in lines[1:]]


def row(lines, name):
    return next([cell.strip() for cell in cells] for cells in rows(lines) if cells[0] == name)


def silent(answer):
    return {"drbd": answer, "volumes": SKIPPED, "exports": SKIPPED}


def halves(**changes):
    """Return what sn1 answers of its halves: {half0: {what differs}}."""
    return {"drbd": {"halves": {"half0": {**PRIMARY, **changes.get("half0", {})}, "half1": {**SECONDARY, **changes.get("half1", {})}}}}


def test_a_pair_that_is_all_right():
    assert status.half_lines(site()) == [
        "half   served by  roles              disks              connection  synced  size   free",
        "half0  sn1        Primary/Secondary  UpToDate/UpToDate  Connected   yes     10.0G  9.0G",
        "half1  sn2        Primary/Secondary  UpToDate/UpToDate  Connected   yes     10.0G  9.0G",
    ]
    assert status.volume_lines(site()) == [
        "volume     half   size  export  address  exported by  seen",
        "web1-root  half0  1.0G  aoe     1.0      sn1          up",
        "web2-root  half1  1.0G  aoe     1.1      sn2          up",
    ]
    assert status.cluster_lines(site()) == [
        "Quorum: yes. Coordinator: cn1.",
        "member  state   fencing",
        "cn1     online  ready",
        "sn1     online  ready",
        "sn2     online  ready",
    ]
    assert status.wrong(site()) == []


def test_a_single_storage_node_that_is_all_right():
    assert status.half_lines(single())[1:] == [
        "half0  sn1        Primary  UpToDate  -           -       10.0G  9.0G",
        "half1  sn1        Primary  UpToDate  -           -       10.0G  9.0G",
    ]
    assert [line.split()[5] for line in status.volume_lines(single())[1:]] == ["sn1", "sn1"]
    assert status.cluster_lines(single()) == ["There is one StorageNode, so there is no cluster."]
    assert status.wrong(single()) == []


def test_both_halves_on_one_storage_node_are_all_right():
    moved = site(sn1=storage("half0", "half1"), sn2=storage())
    assert [cells[1].strip() for cells in rows(status.half_lines(moved))] == ["sn1", "sn1"]
    assert status.wrong(moved) == []


WHY = pytest.mark.parametrize(
    ("answer", "said"),
    [
        (UNREACHABLE, SILENT),
        (SKIPPED, "has no address; does the ConfigNode answer, and did playbooks/boot_tree.yml run there"),
        ({}, "was not asked; ask it without --limit"),
    ],
    ids=["silent", "new", "limited"],
)


@WHY
def test_a_storage_node_that_says_nothing_is_said_to(answer, said):
    found = site(sn2=silent(answer))
    assert row(status.half_lines(found), "half0")[1] == "sn1"
    assert row(status.half_lines(found), "half1") == ["half1", "unknown", "Secondary/Primary", "UpToDate/UpToDate", "Connected", "yes"]
    assert [cells[0] for cells in rows(status.volume_lines(found))] == ["web1-root"]
    assert status.wrong(found) == [
        f"sn2 {said}",
        "no StorageNode that answers serves half1; see there systemctl status bareroot-half@half1",
    ]


def test_where_no_storage_node_answers_only_that_is_said():
    found = site(sn1=silent(UNREACHABLE), sn2=silent(UNREACHABLE))
    assert rows(status.half_lines(found)) == [["half0", "unknown"], ["half1", "unknown"]]
    assert rows(status.volume_lines(found)) == []
    assert status.wrong(found) == [f"sn1 {SILENT}", f"sn2 {SILENT}"]


@WHY
def test_a_hardware_node_that_says_nothing_is_said_to(answer, said):
    found = site({"hn2": answer})
    assert row(status.volume_lines(found), "web1-root")[-1] == "up"
    assert status.wrong(found) == [f"hn2 {said}"]


def test_where_no_hardware_node_answers_nobody_sees_anything():
    found = site({"hn1": UNREACHABLE, "hn2": UNREACHABLE})
    assert row(status.volume_lines(found), "web1-root")[-1] == "sn1"
    assert status.wrong(found) == [f"hn1 {SILENT}", f"hn2 {SILENT}"]


@pytest.mark.parametrize(
    ("part", "what"),
    [("drbd", "how its halves are"), ("volumes", "which volumes it has"), ("exports", "what it exports")],
)
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"msg": "it broke:\n  badly", "stderr": "noise"}, "it broke: badly"),
        ({"rc": 127, "msg": "non-zero return code", "stderr": "no such program", "stdout": ""}, "no such program"),
        ({"rc": 1, "msg": "", "stderr": "", "stdout": ""}, "it does not say why"),
    ],
    ids=["module", "command", "nothing"],
)
def test_what_a_storage_node_cannot_say_is_said_and_no_more_is_made_of_it(part, what, answer, why):
    found = single(**{part: answer})
    assert status.wrong(found) == [f"sn1 cannot say {what}: {why}"]


def test_a_storage_node_that_goes_while_it_is_asked_is_no_crash():
    found = status.wrong(single(volumes=UNREACHABLE, exports=UNREACHABLE))
    assert [line.split(":")[0] for line in found] == ["sn1 cannot say which volumes it has", "sn1 cannot say what it exports"]


def test_a_hardware_node_that_cannot_say_what_it_sees_is_said_to():
    found = site({"hn2": command(rc=2) | {"msg": "non-zero return code", "stderr": "sh: gone"}})
    assert status.wrong(found) == ["hn2 cannot say which volumes it sees: sh: gone"]


@pytest.mark.parametrize(
    ("half", "cells", "wrong"),
    [
        (
            {"connection": "SyncSource", "peer_disk": "Inconsistent", "out_of_sync": G, "synced": 23.5},
            ["Primary/Secondary", "UpToDate/Inconsistent", "SyncSource", "23.5 %"],
            "sn1: half0: the other StorageNode is being brought up to date, 23.5 % done",
        ),
        (
            {"connection": "WFConnection", "peer_role": "Unknown", "peer_disk": "DUnknown", "out_of_sync": 3 << 20},
            ["Primary/Unknown", "UpToDate/DUnknown", "WFConnection", "3.0M behind"],
            "sn1: half0: not connected (WFConnection)",
        ),
        (
            {"connection": "StandAlone", "peer_role": "Unknown", "peer_disk": "Outdated"},
            ["Primary/Unknown", "UpToDate/Outdated", "StandAlone", "no"],
            "sn1: half0: not connected (StandAlone)",
        ),
        ({"suspended": True}, ["Primary/Secondary", "UpToDate/UpToDate", "Connected", "yes"], "sn1: half0: its I/O is suspended"),
    ],
    ids=["resync", "peer-gone", "apart", "suspended"],
)
def test_how_a_half_is_replicated(half, cells, wrong):
    found = site(sn1=halves(half0=half))
    assert row(status.half_lines(found), "half0")[2:6] == cells
    (line,) = status.wrong(found)
    assert line.startswith(wrong)


def test_a_single_storage_node_without_drbd_serves_nothing():
    found = single(drbd={"halves": {}}, volumes={"volumes": [], "pools": []}, exports=command())
    assert rows(status.half_lines(found)) == [["half0", "nobody"], ["half1", "nobody"]]
    assert [line.split(";")[0] for line in status.wrong(found)] == [
        "sn1: half0: DRBD is down for it",
        "sn1: half1: DRBD is down for it",
        "no StorageNode serves half0",
        "no StorageNode serves half1",
    ]


def test_an_unconfigured_half_has_no_roles():
    unconfigured = {**dict.fromkeys(PRIMARY, ""), "connection": "Unconfigured", "suspended": False, "out_of_sync": 0, "synced": None}
    down = {"drbd": {"halves": {"half0": unconfigured, "half1": SECONDARY}}, "volumes": {"volumes": [], "pools": []}, "exports": command()}
    line = status.half_lines(site(sn1=down))[1]
    assert line.split() == ["half0", "nobody", "Unconfigured"]
    assert line.index("Unconfigured") == status.half_lines(site(sn1=down))[0].index("connection")


def test_a_half_that_is_primary_twice_is_wrong():
    found = site(sn2=storage("half0", "half1"))
    assert row(status.half_lines(found), "half0")[1] == "sn1, sn2"
    assert status.wrong(found)[0].startswith("half0 is primary on sn1 and sn2 at once; ")


def with_pool(size, used, metadata=3.7):
    pools = [pool("half0", size, used, metadata), pool("half1")]
    return single(volumes={**storage("half0", "half1")["volumes"], "pools": pools})


@pytest.mark.parametrize(
    ("used", "said"),
    [(801 * G, "half0 on sn1 is 80 % full, 199.0G are free"), (1000 * G, "half0 on sn1 is 100 % full, 0K are free")],
    ids=["just-over", "full"],
)
def test_a_pool_over_80_percent_is_wrong(used, said):
    assert [line.split(";")[0] for line in status.wrong(with_pool(1000 * G, used))] == [said]


@pytest.mark.parametrize("used", [0, 800 * G], ids=["empty", "just-80"])
def test_a_pool_up_to_80_percent_is_all_right(used):
    assert status.wrong(with_pool(1000 * G, used)) == []


def test_a_pool_with_over_80_percent_of_its_metadata_used_is_wrong():
    assert status.wrong(with_pool(1000 * G, 0, 80.0)) == []
    assert status.wrong(with_pool(1000 * G, 0, 81.4)) == [
        "half0 on sn1 has used 81 % of its pool's metadata; run there lvextend --poolmetadatasize +64M bareroot_half0/pool: "
        "when it is full, writes to all its volumes fail"
    ]
    assert len(status.wrong(with_pool(1000 * G, 900 * G, 90.0))) == 2


def test_a_pool_without_any_room_is_no_crash():
    assert status.wrong(with_pool(0, 0)) == []


@pytest.mark.parametrize(
    ("size", "written"),
    [(0, "0K"), (4096, "4K"), (1 << 20, "1.0M"), ((1 << 30) - 1, "1024.0M"), (3 * G // 2, "1.5G"), (1 << 40, "1.0T"), (5 << 50, "5120.0T")],
)
def test_sizes_are_written_in_their_largest_unit(size, written):
    listed = [{**volume("a", "half0", ""), "size": size}]
    assert row(status.volume_lines(single(volumes={"volumes": listed, "pools": []})), "a")[2] == written


def test_a_volume_that_is_not_to_be_exported_has_nobody_to_see_it():
    template = volume("debian-0123456789abcdef", "half0", "")
    listed = [*storage("half0")["volumes"]["volumes"], template]
    found = site(sn1={"volumes": {"volumes": listed, "pools": [pool("half0")]}})
    assert row(status.volume_lines(found), template["name"]) == [template["name"], "half0", "1.0G"]
    assert status.wrong(found) == []


def test_a_template_in_both_halves_is_listed_twice():
    name = "debian-0123456789abcdef"
    both = {
        node: {"volumes": {"volumes": [*storage(half)["volumes"]["volumes"], volume(name, half, "")], "pools": [pool(half)]}}
        for node, half in (("sn1", "half0"), ("sn2", "half1"))
    }
    listed = [cells[:2] for cells in rows(status.volume_lines(site(**both))) if cells[0] == name]
    assert listed == [[name, "half0"], [name, "half1"]]
    assert status.wrong(site(**both)) == []


def test_an_export_that_does_not_run_is_wrong_and_that_it_is_missing_is_not_said_too():
    unseen = command("1.1 8192 up")
    found = site({"hn1": unseen, "hn2": unseen}, sn1={"exports": command(IMAGE)})
    assert row(status.volume_lines(found), "web1-root")[4:] == ["1.0", "missing"]
    assert status.wrong(found) == ["sn1 does not export web1-root; see there systemctl status bareroot-aoe@volume-web1-root"]


def test_an_export_of_what_is_elsewhere_is_wrong():
    found = site(sn2={"exports": command(*(UNIT.format(name, name) for name in VOLUMES))})
    assert row(status.volume_lines(found), "web1-root")[5] == "sn1, sn2"
    assert status.wrong(found) == [
        "sn2 exports web1-root, which is not there or not to be exported so; run there systemctl stop bareroot-aoe@volume-web1-root"
    ]


def test_root_images_are_no_volumes():
    assert status.wrong(site(sn2={"exports": command(IMAGE, UNIT.format("web2-root", "web2-root"))})) == []


@pytest.mark.parametrize(
    ("device", "seen"),
    [
        ("1.0 8192 up", "up"),
        ("1.0 8192 up,kickme", "up"),
        ("1.0 8192 down", "down on 1, up on 1"),
        ("1.0 8192 down,closewait", "down on 1, up on 1"),
        ("1.0 8192 ?", "down on 1, up on 1"),
        ("", "missing on 1, up on 1"),
        ("1.00 8192 up", "missing on 1, up on 1"),
    ],
)
def test_how_hardware_nodes_see_a_volume(device, seen):
    found = site({"hn2": command(*([device] if device else []), "1.1 8192 up")})
    assert row(status.volume_lines(found), "web1-root")[-1] == seen
    expected = {"up": [], "down": ["web1-root (1.0) is down on hn2"], "missing": ["hn2 cannot find web1-root (1.0)"]}
    assert [line.split(";")[0] for line in status.wrong(found)] == expected[seen.split(" ")[0]]


@pytest.mark.parametrize(("number", "named"), [(3, "hn3, hn4, hn5"), (5, "hn3, hn4, hn5 and 2 more")])
def test_many_hardware_nodes_with_one_trouble_share_a_line(number, named):
    found = site({f"hn{index}": command("1.1 8192 up") for index in range(3, 3 + number)})
    assert [line.split(" cannot")[0] for line in status.wrong(found)] == [named]
    assert row(status.volume_lines(found), "web1-root")[-1] == f"missing on {number}, up on 2"


@pytest.mark.parametrize(
    ("device", "is_wrong"),
    [("1000.0 8192 down,closewait", True), ("1000.0 8192 down", False), ("1000.0 8192 up", False)],
    ids=["used", "left", "up"],
)
def test_what_else_is_down_is_wrong_where_it_is_used(device, is_wrong):
    found = status.wrong(site({"hn2": command(device, "1.0 8192 up", "1.1 8192 up")}))
    assert [line.split(",")[0] for line in found] == (["e1000.0 is down on hn2"] if is_wrong else [])


@pytest.mark.parametrize(
    ("member", "state"),
    [
        (ONLINE, "online"),
        ({**ONLINE, "standby": True}, "online, standby"),
        ({**ONLINE, "online": False}, "offline"),
        ({**ONLINE, "online": False, "unclean": True}, "offline, unclean"),
        ({**ONLINE, "pending": True, "maintenance": True}, "online, pending, maintenance"),
    ],
)
def test_the_states_of_members(member, state):
    found = site(cluster=cluster_says(members={"cn1": ONLINE, "sn1": member}))
    assert row(status.cluster_lines(found)[1:], "sn1")[1] == state


def test_fencing_and_quorum_that_are_not_there():
    lines = status.cluster_lines(site(cluster=cluster_says(quorate=False, dc="", fences={"cn1": True, "sn1": False})))
    assert lines[0] == "Quorum: no. Coordinator: none."
    assert [cells[2] for cells in rows(lines[1:])] == ["ready", "does not run", "none"]


def test_what_is_wrong_with_the_cluster_is_in_its_own_words():
    assert status.wrong(site(cluster={**cluster_says(), "problems": ["sn1 is off", "no quorum"]})) == ["sn1 is off", "no quorum"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"running": False, "why": "no cluster answers here", "cluster": {}, "problems": []}, "cn1: no cluster answers here"),
        ({"msg": "it broke"}, "cn1: it broke"),
        (UNREACHABLE, f"cn1 {SILENT}"),
    ],
    ids=["none", "failed", "silent"],
)
def test_a_pair_without_a_cluster_is_wrong(answer, why):
    found = site(cluster=answer)
    assert status.cluster_lines(found) == ["Nothing is known of the cluster."]
    assert status.wrong(found) == [why]


def test_without_storage_nodes_there_is_nothing_to_say():
    assert status.wrong(status.Site({}, {}, None)) == []
