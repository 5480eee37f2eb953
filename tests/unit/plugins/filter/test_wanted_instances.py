from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from plugins.filter.wanted_instances import FilterModule

wanted_instances = FilterModule().filters()["wanted_instances"]

ROLE = Path(__file__).parents[4] / "roles" / "instance"
DEFAULTS = {key.removeprefix("instance_"): value for key, value in yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()).items()}


def wanted(variables, name="web1", **options):
    return wanted_instances({name: variables}, {"instances": [name]}, **options)


def test_an_instance_that_sets_nothing_has_the_roles_defaults():
    assert wanted({}) == [{"name": "web1", **DEFAULTS}]
    assert DEFAULTS["state"] == "running"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", "absent"),
        ("node", "hn2"),
        ("memory", 256),
        ("delete_volumes", True),
        ("dead_nodes", ["hn2"]),
        ("nameservers", ["10.2.0.1"]),
    ],
)
def test_what_an_instance_sets_counts(key, value):
    assert wanted({f"instance_{key}": value, "ansible_host": "10.2.0.10"}) == [{"name": "web1", **DEFAULTS, key: value}]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("memory", "512", 512),
        ("delete_volumes", "false", False),
        ("delete_volumes", "true", True),
        ("dead_nodes", "hn1,hn2", ["hn1", "hn2"]),
    ],
)
def test_text_from_the_command_line_has_the_right_type(key, text, value):
    (instance,) = wanted({f"instance_{key}": text})
    assert instance[key] == value


def test_a_value_of_the_wrong_type_is_an_error_that_names_it():
    with pytest.raises(AnsibleFilterError, match=r"web1: .*instance_memory"):
        wanted({"instance_memory": "much"})


def test_what_is_set_to_null_has_its_default():
    assert wanted(dict.fromkeys(f"instance_{key}" for key in DEFAULTS)) == [{"name": "web1", **DEFAULTS}]


@pytest.mark.parametrize("written", ["00:16:3E:00:00:AB", "00-16-3e-00-00-ab", " 00:16:3e:00:00:ab\n"])
def test_macs_are_written_the_same_way(written):
    (instance,) = wanted({"instance_mac": written})
    assert instance["mac"] == "00:16:3e:00:00:ab"


def test_all_instances_come_in_the_inventorys_order_and_nothing_else_does():
    hostvars = {"a": {}, "web1": {}, "b": {}, "hn1": {}}
    found = wanted_instances(hostvars, {"instances": ["web1", "b", "a"], "hardware_nodes": ["hn1"]})
    assert [instance["name"] for instance in found] == ["web1", "b", "a"]
    assert wanted_instances(hostvars, {"hardware_nodes": ["hn1"]}) == []


def test_only_what_is_asked_for_comes():
    assert wanted({"instance_memory": 256}, keys=["memory", "name"]) == [{"memory": 256, "name": "web1"}]
    assert wanted({}, keys=[]) == wanted({})


def test_one_instance_does_not_change_the_next():
    wanted({})[0].update(memory=1, state="absent")
    assert wanted({}) == [{"name": "web1", **DEFAULTS}]
