from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from plugins.filter.boot_nodes import FilterModule
from plugins.module_utils import _boot_tree

boot_nodes = FilterModule().filters()["boot_nodes"]

MAC = "52:54:00:00:00:01"
HARDWARE = {"hardware_nodes": ["hn1"], "storage_nodes": []}


def test_a_hardware_node_with_nothing_but_a_mac():
    assert boot_nodes({"hn1": {"node_mac": MAC}}, {"hardware_nodes": ["hn1"]}) == [
        {
            "name": "hn1",
            "role": "hardware",
            "mac": MAC,
            "address": "",
            "image_kind": "xen",
            "image": "",
            "root": "aoe",
            "dom0_memory": 1024,
            "storage_mac": "",
            "instance_mac": "",
            "authorized_keys": [],
        }
    ]


def test_a_storage_node_with_nothing_but_a_mac():
    assert boot_nodes({"sn1": {"node_mac": MAC}}, {"storage_nodes": ["sn1"]}) == [
        {
            "name": "sn1",
            "role": "storage",
            "mac": MAC,
            "address": "",
            "image_kind": "storage",
            "image": "",
            "root": "ram",
            "storage_mac": "",
            "bmc_mac": "",
            "authorized_keys": [],
        }
    ]


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [
        ("node_address", "10.0.0.9", "address"),
        ("node_image_pin", "xen-0123456789abcdef", "image"),
        ("node_storage_mac", "52:54:00:00:01:01", "storage_mac"),
        ("node_instance_mac", "52:54:00:00:02:01", "instance_mac"),
        ("node_authorized_keys", ["ssh-ed25519 A"], "authorized_keys"),
        ("hardware_node_dom0_memory", 2048, "dom0_memory"),
        ("hardware_node_root", "ram", "root"),
    ],
)
def test_each_variable_becomes_an_option(variable, value, option):
    (node,) = boot_nodes({"hn1": {"node_mac": MAC, variable: value}}, HARDWARE)
    assert node[option] == value


def test_only_a_storage_nodes_card_on_the_bmcs_network_is_told():
    hosts = {name: {"node_mac": MAC, "node_bmc_network_mac": "52:54:00:00:03:01"} for name in ("hn1", "sn1")}
    storage_node, hardware_node = boot_nodes(hosts, {"hardware_nodes": ["hn1"], "storage_nodes": ["sn1"]})
    assert storage_node["bmc_mac"] == "52:54:00:00:03:01"
    assert "bmc_mac" not in hardware_node


MACS = [
    ("node_mac", "mac", "hardware_nodes"),
    ("node_storage_mac", "storage_mac", "hardware_nodes"),
    ("node_instance_mac", "instance_mac", "hardware_nodes"),
    ("node_bmc_network_mac", "bmc_mac", "storage_nodes"),
]


@pytest.mark.parametrize(("variable", "option", "group"), MACS)
@pytest.mark.parametrize("written", ["52:54:00:AB:CD:EF", "52-54-00-ab-cd-ef"], ids=["capitals", "hyphens"])
def test_macs_are_written_the_same_way(variable, option, group, written):
    (node,) = boot_nodes({"m1": {"node_mac": MAC, variable: written}}, {group: ["m1"]})
    assert node[option] == "52:54:00:ab:cd:ef"


VARIABLES = {
    "node_address": ("address", ""),
    "node_image_pin": ("image", ""),
    "node_storage_mac": ("storage_mac", ""),
    "node_instance_mac": ("instance_mac", ""),
    "node_authorized_keys": ("authorized_keys", []),
}


def test_a_card_on_the_bmcs_network_without_a_value_is_as_good_as_none():
    (node,) = boot_nodes({"sn1": {"node_mac": MAC, "node_bmc_network_mac": None}}, {"storage_nodes": ["sn1"]})
    assert node["bmc_mac"] == ""


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_without_a_value_is_as_good_as_none(variable):
    option, expected = VARIABLES[variable]
    (node,) = boot_nodes({"hn1": {"node_mac": MAC, variable: None}}, HARDWARE)
    assert node[option] == expected


@pytest.mark.parametrize("kind", ["hardware_nodes", "storage_nodes"])
@pytest.mark.parametrize("host", [{}, {"node_mac": None}, {"node_mac": ""}], ids=["none", "null", "empty"])
def test_a_machine_without_a_mac_is_an_error_that_names_it(kind, host):
    with pytest.raises(AnsibleFilterError, match=r"^node_mac of m7 is missing; write it as '52:54:00:12:34:56'"):
        boot_nodes({"m7": host}, {kind: ["m7"]})


@pytest.mark.parametrize(("variable", "option", "group"), MACS)
def test_a_mac_that_yaml_took_for_a_number_is_an_error_that_asks_for_quotes(variable, option, group):
    host = {"node_mac": MAC, **yaml.safe_load(f"{variable}: 52:54:00:12:34:56")}
    assert isinstance(host[variable], int)  # digits below 60, so YAML 1.1 counts in sixties
    with pytest.raises(AnsibleFilterError, match=rf"^{variable} of m1 is the number {host[variable]}: .*quotes.*'52:54:00:12:34:56'"):
        boot_nodes({"m1": host}, {group: ["m1"]})
    (node,) = boot_nodes({"m1": {"node_mac": MAC, **yaml.safe_load(f"{variable}: '52:54:00:12:34:56'")}}, {group: ["m1"]})
    assert node[option] == "52:54:00:12:34:56"


def test_the_limit_of_a_run_changes_nothing():
    hosts = {name: {"node_mac": f"52:54:00:00:00:0{number}"} for number, name in enumerate(("hn1", "hn2", "sn1"))}
    groups = {"hardware_nodes": ["hn1", "hn2"], "storage_nodes": ["sn1"], "all": list(hosts)}
    limited = {name: {**facts, "ansible_play_hosts": ["hn1"], "ansible_limit": "hn1"} for name, facts in hosts.items()}
    assert [node["name"] for node in boot_nodes(limited, groups)] == ["sn1", "hn1", "hn2"]


def test_nodes_come_in_the_order_of_the_inventory():
    hosts = {name: {"node_mac": MAC} for name in ("a", "b", "c")}
    assert [node["name"] for node in boot_nodes(hosts, {"hardware_nodes": ["c", "a", "b"]})] == ["c", "a", "b"]


@pytest.mark.parametrize(
    "groups", [{}, {"hardware_nodes": [], "storage_nodes": []}, {"config_nodes": ["cn"]}], ids=["no-groups", "empty", "others"]
)
def test_machines_of_other_groups_are_not_served(groups):
    assert boot_nodes({"cn": {"node_mac": MAC}}, groups) == []


# As the module fills in what the filter leaves out.
NO_CARDS = {"instance_mac": "", "bmc_mac": ""}


def test_the_result_passes_boot_trees_checks():
    keys = ["ssh-ed25519 A"]
    hosts = {
        "hn1": {"node_mac": MAC, "node_authorized_keys": keys},
        "sn1": {"node_mac": "52-54-00-00-00-0A", "node_authorized_keys": keys},
    }
    nodes = boot_nodes(hosts, {"hardware_nodes": ["hn1"], "storage_nodes": ["sn1"]})
    _boot_tree.check_nodes([{**NO_CARDS, **node} for node in nodes])
    with pytest.raises(_boot_tree.BadInputError):
        _boot_tree.check_nodes([{**NO_CARDS, **node, "mac": "none"} for node in nodes])
