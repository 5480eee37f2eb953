"""What playbooks/storage_status.yml prints, from what it registered."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plugins.filter.storage_status import FilterModule, storage_status

HALF = {
    "connection": "StandAlone",
    "role": "Primary",
    "peer_role": "Unknown",
    "disk": "UpToDate",
    "peer_disk": "DUnknown",
    "suspended": False,
    "out_of_sync": 0,
    "synced": None,
}
VOLUME = {"name": "web1-root", "half": "half0", "size": 1 << 30, "template": "", "export": "aoe", "address": "1.0", "device": "x"}
POOL = {"half": "half0", "size": 4 << 30, "used": 0, "free": 4 << 30, "metadata_percent": 3.7, "promised": 1 << 30}
SN1 = {
    "storage_status_drbd": {"halves": {"half0": HALF, "half1": HALF}},
    "storage_status_volumes": {"volumes": [VOLUME], "pools": [POOL]},
    "storage_status_exports": {"rc": 0, "stdout": "bareroot-aoe@volume-web1-root.service loaded active running AoE export"},
    "storage_status_raid": {"rc": 0, "stdout": "Personalities : [raid1]\nunused devices: <none>"},
}
HN1 = {"storage_status_devices": {"rc": 0, "stdout": "1.0 8192 up"}}
GROUPS = {"config_nodes": ["cn1"], "storage_nodes": ["sn1"], "hardware_nodes": ["hn1"], "all": ["cn1", "sn1", "hn1"]}
PLAYBOOK = Path(__file__).parents[4] / "playbooks" / "storage_status.yml"


def find(groups=None, **hosts):
    return storage_status({"cn1": {}, "sn1": SN1, "sn2": {}, "hn1": HN1, **hosts}, {**GROUPS, **(groups or {})})


def test_a_site_with_one_storage_node():
    found = find()
    assert list(found) == ["halves", "volumes", "cluster", "wrong"]
    assert found["halves"][1].split() == ["half0", "sn1", "Primary", "UpToDate", "-", "-", "4.0G", "4.0G"]
    assert found["volumes"][1].split() == ["web1-root", "half0", "1.0G", "aoe", "1.0", "sn1", "up"]
    assert found["cluster"] == ["There is one StorageNode, so there is no cluster."]
    assert found["wrong"] == []


def test_a_pair_has_a_cluster_that_its_first_confignode_was_asked_for():
    answer = {"running": False, "why": "none here", "cluster": {}, "problems": []}
    groups = {"config_nodes": ["cn1", "cn2"], "storage_nodes": ["sn1", "sn2"]}
    found = find(groups, cn1={"storage_status_cluster": answer}, cn2={})
    assert found["cluster"] == ["Nothing is known of the cluster."]
    assert found["wrong"][-1] == "cn1: none here"


def test_a_raid1_that_lost_a_disk_is_wrong():
    mdstat = "md127 : active raid1 vdb[0]\n      20954112 blocks super 1.2 [2/1] [U_]\n"
    (line,) = find(sn1={**SN1, "storage_status_raid": {"rc": 0, "stdout": mdstat}})["wrong"]
    assert line.startswith("sn1: the RAID1 of the data disks (md127) has lost a disk; ")


def test_a_storage_node_without_a_raid1_has_nothing_wrong_with_it():
    answer = {"rc": 1, "stdout": "", "stderr": "cat: /proc/mdstat: No such file or directory", "msg": "non-zero return code"}
    assert find(sn1={**SN1, "storage_status_raid": answer})["wrong"] == []


def test_who_registered_nothing_was_not_asked():
    found = find({"storage_nodes": ["sn1", "sn2"]}, hn1={"storage_status_devices": None})
    asked = [line for line in found["wrong"] if line.endswith("was not asked; ask it without --limit")]
    assert [line.split()[0] for line in asked] == ["sn2", "hn1", "cn1"]


@pytest.mark.parametrize("groups", [{}, {"config_nodes": [], "storage_nodes": [], "hardware_nodes": []}], ids=["not-there", "empty"])
def test_without_machines_nothing_is_wrong(groups):
    assert storage_status({}, groups)["wrong"] == []


def test_the_playbook_registers_what_is_read():
    tasks = [task for play in yaml.safe_load(PLAYBOOK.read_text(encoding="utf-8")) for task in play["tasks"]]
    tasks += [task for block in tasks for task in block.get("block", [])]
    registered = {task["register"] for task in tasks if "register" in task}
    assert registered == {*SN1, *HN1, "storage_status_cluster"}
    # Nothing that is silent makes it fail, and check mode asks all the same.
    for task in tasks:
        if "register" in task:
            assert (task["ignore_unreachable"], task["failed_when"], task["check_mode"]) == (True, False, False)


def test_the_filter_is_found():
    assert FilterModule().filters() == {"storage_status": storage_status}
