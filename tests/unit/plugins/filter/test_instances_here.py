from __future__ import annotations

import copy

import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.instance_volume_list import instance_volume_list
from plugins.filter.instances_here import FilterModule

instances_here = FilterModule().filters()["instances_here"]

GIB = 1 << 30


def instance(name, state="running", **options):
    return {"name": name, "state": state, "template": "debian", "disk_size": "4G", "delete_volumes": False, **options}


def info(half, *names):
    pool = {"half": half, "size": 50 * GIB, "used": 0, "free": 50 * GIB}
    return {"volumes": [{"name": name, "half": half} for name in names], "pools": [pool]}


INFOS = {"sn1": info("half0", "web2-root", "old-root"), "sn2": info("half1", "web1-root")}
WANTED = [instance("web1"), instance("web2", state="stopped"), instance("old", state="absent"), instance("web3"), instance("web4")]


def test_each_storage_node_gets_its_own_in_their_order_with_their_half():
    assert instances_here(WANTED, INFOS, "sn1") == [{**WANTED[number], "half": "half0"} for number in (1, 2, 3)]
    assert instances_here(WANTED, INFOS, "sn2") == [{**WANTED[number], "half": "half1"} for number in (0, 4)]


def test_one_that_is_absent_is_deleted_on_each_storage_node_that_has_a_volume_of_it():
    infos = {"sn1": info("half0", "old-root"), "sn2": info("half1", "old-seed")}
    for node in infos:
        found = instances_here([instance("old", state="absent", delete_volumes=True)], infos, node)
        assert instance_volume_list(found, {}, {}) == [{"name": "old", "state": "absent"}]


@pytest.mark.parametrize("node", ["sn1", "sn2"])
def test_on_a_new_site_nothing_is_here_in_check_mode(node):
    assert instances_here(WANTED, {"sn1": {}, "sn2": {}}, node, True) == []


def test_one_that_was_not_asked_is_an_error_of_ansible_that_names_it():
    with pytest.raises(AnsibleFilterError, match=r"^half1: .* web1 .* sn2 did not answer .* without --limit$"):
        instances_here(WANTED, {**INFOS, "sn2": {}}, "sn1")


def test_what_is_given_is_not_changed():
    instances, infos = copy.deepcopy(WANTED), copy.deepcopy(INFOS)
    instances_here(instances, infos, "sn1")
    assert (instances, infos) == (WANTED, INFOS)
