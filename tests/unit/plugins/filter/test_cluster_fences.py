from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from plugins.filter.cluster_fences import FilterModule
from plugins.module_utils import _fencing

cluster_fences = FilterModule().filters()["cluster_fences"]

GROUPS = {"config_nodes": ["cn1"], "storage_nodes": ["sn1", "sn2"], "hardware_nodes": ["hn1"]}


def bmc(number, **variables):
    common = {"node_bmc_address": f"10.3.0.{number}", "node_bmc_user": "admin", "node_bmc_password": f"word{number}"}
    return {**common, "node_bmc_cipher": "3", **variables}


HOSTS = {"cn1": bmc(1), "sn1": bmc(11), "sn2": bmc(12), "hn1": bmc(21)}


def test_each_voter_has_its_own_bmc_and_no_other_machine_is_listed():
    assert cluster_fences(HOSTS, GROUPS) == [
        {"node": "cn1", "address": "10.3.0.1", "user": "admin", "password": "word1", "cipher": "3"},
        {"node": "sn1", "address": "10.3.0.11", "user": "admin", "password": "word11", "cipher": "3"},
        {"node": "sn2", "address": "10.3.0.12", "user": "admin", "password": "word12", "cipher": "3"},
    ]


def test_voters_come_in_the_order_of_the_inventory_config_nodes_first():
    groups = {"storage_nodes": ["sn2", "sn1"], "config_nodes": ["cn1"]}
    assert [fence["node"] for fence in cluster_fences(HOSTS, groups)] == ["cn1", "sn2", "sn1"]


def test_the_limit_of_a_run_changes_nothing():
    limited = {name: {**host, "ansible_play_hosts": ["sn1"], "ansible_limit": "sn1"} for name, host in HOSTS.items()}
    assert cluster_fences(limited, GROUPS) == cluster_fences(HOSTS, GROUPS)


@pytest.mark.parametrize("groups", [{}, {"config_nodes": [], "storage_nodes": []}, {"hardware_nodes": ["hn1"]}])
def test_without_voters_nothing_is_fenced(groups):
    assert cluster_fences(HOSTS, groups) == []


VARIABLES = {"node_bmc_address": "address", "node_bmc_user": "user", "node_bmc_password": "password", "node_bmc_cipher": "cipher"}


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", [None, "", "missing"])
def test_a_variable_without_a_value_is_as_good_as_none(variable, value):
    host = bmc(11, **{variable: value})
    if value == "missing":
        del host[variable]
    (fence,) = cluster_fences({"sn1": host}, {"storage_nodes": ["sn1"]})
    expected = {"node": "sn1", "address": "10.3.0.11", "user": "admin", "password": "word11", "cipher": "3"}
    assert fence == {**expected, VARIABLES[variable]: ""}


@pytest.mark.parametrize("variable", VARIABLES)
def test_what_yaml_took_for_a_number_is_text(variable):
    (fence,) = cluster_fences({"sn1": bmc(11, **{variable: 17})}, {"storage_nodes": ["sn1"]})
    assert fence[VARIABLES[variable]] == "17"


@pytest.mark.parametrize("hosts", [HOSTS, {name: {} for name in HOSTS}], ids=["given", "nothing-given"])
def test_the_modules_take_the_result(hosts):
    fences = cluster_fences(hosts, GROUPS)
    assert len(fences) == 3
    for fence in fences:
        result = ArgumentSpecValidator(_fencing.FENCE_SPEC).validate(fence)
        assert result.error_messages == []
        assert result.validated_parameters == fence


def test_the_cipher_suite_with_the_number_0_is_one():
    assert cluster_fences({"sn1": {"node_bmc_cipher": 0}}, {"storage_nodes": ["sn1"]})[0]["cipher"] == "0"
