from __future__ import annotations

import copy

import pytest

from plugins.filter.instance_volume_list import FilterModule
from plugins.modules import instance_volumes

instance_volume_list = FilterModule().filters()["instance_volume_list"]

TEMPLATES = {"debian": "debian-0123456789abcdef", "other": "other-fedcba9876543210"}
RECORDS = {
    "web1": {"uuid": "1", "mac": "00:16:3e:00:00:01", "volumes": {"root": "1.0", "seed": "1.1"}, "seed": {"meta-data": "{}\n"}},
    "web2": {"uuid": "2", "mac": "00:16:3e:00:00:02", "volumes": {"root": "1.2", "seed": "1.3"}, "seed": {"meta-data": "{} \n"}},
}


def instance(name="web1", **options):
    common = {"state": "running", "template": "debian", "half": "half0", "disk_size": "4G", "delete_volumes": False, "memory": 512}
    return {"name": name, "volume_export": "aoe", **common, **options}


WEB1 = {
    "name": "web1",
    "state": "present",
    "template": "debian-0123456789abcdef",
    "half": "half0",
    "size": "4G",
    "export": "aoe",
    "root_address": "1.0",
    "seed_address": "1.1",
    "seed": {"meta-data": "{}\n"},
}


def test_an_instance_gets_the_volumes_of_its_record():
    assert instance_volume_list([instance()], RECORDS, TEMPLATES) == [WEB1]


@pytest.mark.parametrize("state", ["running", "stopped", "present"])
@pytest.mark.parametrize("delete_volumes", [False, True])
def test_whatever_is_not_absent_has_volumes(state, delete_volumes):
    assert instance_volume_list([instance(state=state, delete_volumes=delete_volumes)], RECORDS, TEMPLATES) == [WEB1]


@pytest.mark.parametrize(("given", "default", "found"), [("", "nvme", "nvme"), ("", "aoe", "aoe"), ("aoe", "nvme", "aoe")])
def test_an_instance_that_does_not_say_how_is_exported_like_all(given, default, found):
    (volumes,) = instance_volume_list([instance(volume_export=given)], RECORDS, TEMPLATES, default)
    assert volumes["export"] == found


def test_each_instance_gets_its_own_in_their_order():
    asked = [instance("web2", template="other", half="half1", disk_size="10G", volume_export="nvme"), instance("web1")]
    assert instance_volume_list(asked, RECORDS, TEMPLATES) == [
        {
            "name": "web2",
            "state": "present",
            "template": "other-fedcba9876543210",
            "half": "half1",
            "size": "10G",
            "export": "nvme",
            "root_address": "1.2",
            "seed_address": "1.3",
            "seed": {"meta-data": "{} \n"},
        },
        WEB1,
    ]


def test_an_absent_instance_keeps_its_volumes():
    assert instance_volume_list([instance(state="absent"), instance()], RECORDS, TEMPLATES) == [WEB1]


@pytest.mark.parametrize(("records", "templates"), [(RECORDS, TEMPLATES), ({}, {})], ids=["recorded", "unknown"])
def test_an_absent_instance_loses_its_volumes_where_they_may_be_deleted(records, templates):
    asked = [instance(state="absent", delete_volumes=True)]
    assert instance_volume_list(asked, records, templates) == [{"name": "web1", "state": "absent"}]


def test_without_instances_there_are_no_volumes():
    assert instance_volume_list([], RECORDS, TEMPLATES) == []


def test_what_is_given_is_not_changed():
    asked, records, templates = [instance()], copy.deepcopy(RECORDS), dict(TEMPLATES)
    instance_volume_list(asked, records, templates)
    assert (asked, records, templates) == ([instance()], RECORDS, TEMPLATES)


def test_the_module_takes_every_option_that_is_given_and_none_is_left_out():
    assert WEB1.keys() == instance_volumes.INSTANCE.keys()
    (absent,) = instance_volume_list([instance(state="absent", delete_volumes=True)], {}, {})
    assert absent.keys() <= instance_volumes.INSTANCE.keys()
    assert absent["state"] in instance_volumes.INSTANCE["state"]["choices"]


@pytest.mark.parametrize(("records", "templates"), [({}, TEMPLATES), (RECORDS, {})], ids=["record", "template"])
def test_what_is_not_known_is_no_silent_default(records, templates):
    with pytest.raises(KeyError):
        instance_volume_list([instance()], records, templates)
