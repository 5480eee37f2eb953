from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plugins.module_utils import _inventory, _inventory_instances, _inventory_pair

GONE = object()
BMC = {"node_bmc_user": "admin", "node_bmc_password": "secret"}
SETTINGS = {
    "config_node_boot_network": "10.0.0.0/24",
    "config_node_storage_network": "10.1.0.0/24",
    "config_node_bmc_network": "10.3.0.0/24",
}
NUMBERS = {"cn1": 1, "sn1": 11, "sn2": 12, "hn1": 21}
GROUPS = {"config_nodes": ["cn1"], "storage_nodes": ["sn1", "sn2"], "hardware_nodes": ["hn1"]}
SINGLE = {"storage_nodes": ["sn1"]}
ROLES = Path(__file__).parents[4] / "roles"
NOTHING = pytest.mark.parametrize("value", [GONE, None, ""], ids=["not-set", "null", "empty"])


def find(changes=None, groups=None):
    """Return the mistakes of a right pair with changes: {host: {variable: value, or GONE}}."""
    merged = {**GROUPS, **(groups or {})}
    machines = list(dict.fromkeys(name for names in merged.values() for name in names))
    hosts = {}
    for index, name in enumerate(machines):
        number = NUMBERS.get(name, 100 + index)
        cards = {} if name == "cn1" else {"node_storage_mac": f"52:54:00:00:01:{number:02x}"}
        if name in merged["storage_nodes"]:
            cards["node_bmc_network_mac"] = f"52:54:00:00:03:{number:02x}"
        changed = {**SETTINGS, **BMC, **cards, "node_bmc_address": f"10.3.0.{number}", **(changes or {}).get(name, {})}
        hosts[name] = {variable: value for variable, value in changed.items() if value is not GONE}
    return list(_inventory_pair.find(machines, hosts, merged))


def check(mistakes, host, variable, wrong, right):
    """The one mistake is of this host and variable; it says what is wrong, then what would be right."""
    (mistake,) = mistakes
    assert (mistake.host, mistake.variable) == (host, variable)
    what, hint = mistake.problem.split(";", 1)
    assert wrong in what
    assert right in hint


def of_both(**variables):
    return {"sn1": variables, "sn2": variables}


WITHOUT_NETWORK = {"cn1": {"config_node_bmc_network": GONE}, **of_both(node_bmc_network_mac=GONE)}


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        pytest.param({}, {}, id="pair"),
        pytest.param({}, {"config_nodes": ["cn1", "cn2"]}, id="standby-config-node"),
        pytest.param(of_both(node_storage_mac=GONE), {}, id="no-storage-cards"),
        pytest.param(of_both(node_bmc_network_mac=GONE), {}, id="bmcs-are-routed"),
        pytest.param({"sn2": {"node_bmc_network_mac": GONE}}, {}, id="bmcs-are-routed-for-one"),
        pytest.param(WITHOUT_NETWORK, {}, id="no-network-of-bmcs"),
        pytest.param({"hn1": {"node_bmc_address": GONE}}, {}, id="hardware-nodes-need-no-fencing"),
        pytest.param(of_both(storage_node_images_size="16G"), {}, id="images"),
        pytest.param({"sn1": {"storage_node_images_size": "8G"}, "sn2": {"storage_node_images_size": None}}, {}, id="default-images"),
        pytest.param({name: {"node_bmc_address": GONE} for name in NUMBERS}, SINGLE, id="single-needs-no-fencing"),
        pytest.param({"cn1": {"config_node_storage_network": GONE}}, {}, id="no-storage-network"),
        pytest.param({"cn1": {"config_node_boot_network": "x", "config_node_storage_network": "y"}}, {}, id="what-others-report"),
        pytest.param({"cn1": {"config_node_bmc_network": "10.4.0.0/16"}}, {}, id="larger"),
        pytest.param({}, {"storage_nodes": []}, id="none"),
        pytest.param({}, {"config_nodes": []}, id="no-config-node"),
    ],
)
def test_what_is_right_has_no_mistakes(changes, groups):
    assert find(changes, groups) == []


@pytest.mark.parametrize("number", [3, 4])
def test_more_than_two_storage_nodes_are_a_mistake(number):
    found = find(groups={"storage_nodes": [f"sn{index}" for index in range(1, number + 1)]})
    check(found, "all", "group storage_nodes", f"has {number} machines", "such as sn1 and sn2")


@NOTHING
@pytest.mark.parametrize("host", ["cn1", "cn2", "sn1", "sn2"])
def test_a_pair_without_fencing_is_refused(host, value):
    found = find({host: {"node_bmc_address": value}}, {"config_nodes": ["cn1", "cn2"]})
    check(found, host, "node_bmc_address", "a pair without fencing is refused", "such as 10.3.0.11")


@NOTHING
@pytest.mark.parametrize(("without", "other"), [("sn1", "sn2"), ("sn2", "sn1")])
def test_only_one_with_a_storage_card_is_a_mistake(without, other, value):
    found = find({without: {"node_storage_mac": value}})
    check(found, without, "node_storage_mac", f"is missing, but {other} has one", "both one, or neither")


@pytest.mark.parametrize(
    ("sizes", "wrong"),
    [(("8G", "16G"), "16G here and 8G on sn1"), ((GONE, "4G"), "4G here and 8G on sn1"), (("4G", None), "8G here and 4G")],
)
def test_images_of_two_sizes_are_a_mistake(sizes, wrong):
    found = find({name: {"storage_node_images_size": size} for name, size in zip(("sn1", "sn2"), sizes, strict=True)})
    check(found, "sn2", "storage_node_images_size", wrong, "set it once")
    assert "a pair needs equal ones" in found[0].problem


def test_the_size_that_is_not_set_is_what_the_role_gives():
    defaults = yaml.safe_load((ROLES / "storage_node" / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert defaults["storage_node_images_size"] == _inventory_pair.IMAGES_SIZE


@NOTHING
@pytest.mark.parametrize("groups", [{}, SINGLE], ids=["pair", "single"])
def test_a_card_of_a_network_that_is_not_there_is_a_mistake(groups, value):
    changes = {"cn1": {"config_node_bmc_network": value}, "sn2": {"node_bmc_network_mac": GONE}}
    check(find(changes, groups), "sn1", "node_bmc_network_mac", "there is no config_node_bmc_network", "such as 10.3.0.0/24")


@pytest.mark.parametrize("network", ["x", "10.3.0.5/24", "10.3.0.0/33", "10.3.0.0/31", "10.3.0.0", "fd00::/64", 10, ["10.3.0.0/24"]])
def test_a_malformed_network_is_a_mistake_of_all(network):
    found = find({"cn1": {"config_node_bmc_network": network}})
    assert [(mistake.host, mistake.variable) for mistake in found] == [("all", "config_node_bmc_network")]
    assert repr(str(network)) in found[0].problem
    assert found[0].problem.endswith("write it as 10.0.0.0/24")


def test_a_network_smaller_than_the_boot_network_is_a_mistake():
    found = find({"cn1": {"config_node_bmc_network": "10.3.0.0/28"}})
    check(found, "all", "config_node_bmc_network", "10.3.0.0/28 is smaller than the boot network 10.0.0.0/24", "as large")


@pytest.mark.parametrize(
    ("network", "what", "other"),
    [
        ("10.0.0.0/24", "boot", "10.0.0.0/24"),
        ("10.1.0.0/24", "storage", "10.1.0.0/24"),
        ("10.1.0.0/20", "storage", "10.1.0.0/24"),
    ],
)
def test_a_network_that_overlaps_another_is_a_mistake(network, what, other):
    found = find({"cn1": {"config_node_bmc_network": network}})
    check(found, "all", "config_node_bmc_network", f"{network} overlaps the {what} network {other}", "a network of their own")


@pytest.mark.parametrize("token", [1000, 10000, 60000, "3000", None, GONE])
def test_a_token_that_corosync_can_have(token):
    assert find({"cn1": {"config_node_cluster_token": token}}) == []


@pytest.mark.parametrize("token", [999, 60001, 0, -1, "999"])
def test_another_token_is_a_mistake(token):
    found = find({"cn1": {"config_node_cluster_token": token}})
    check(found, "all", "config_node_cluster_token", f"{token} ms is not between 1000 and 60000", "such as 10000")


@pytest.mark.parametrize("token", ["much", [1], {}])
def test_a_token_that_is_no_number_is_reported_elsewhere(token):
    assert find({"cn1": {"config_node_cluster_token": token}}) == []


@pytest.mark.parametrize("cipher", [*range(18), "0", "3", "17", "", None, GONE])
@pytest.mark.parametrize("host", ["cn1", "sn2", "hn1"])
def test_ciphers_that_ipmi_knows(host, cipher):
    assert find({host: {"node_bmc_cipher": cipher}}) == []


@pytest.mark.parametrize("cipher", [18, -1, "18", "017", "3 ", "3\n", "a", True, 3.0, [3]])
@pytest.mark.parametrize("host", ["cn1", "sn2", "hn1"])
def test_other_ciphers_are_mistakes(host, cipher):
    check(find({host: {"node_bmc_cipher": cipher}}), host, "node_bmc_cipher", f"{cipher!r} is no cipher suite", "such as '3'")


def test_all_mistakes_are_found_together():
    found = find(
        {
            "cn1": {"config_node_cluster_token": 1, "config_node_bmc_network": "10.0.0.0/25", "node_bmc_address": GONE},
            "sn2": {"node_storage_mac": GONE, "storage_node_images_size": "1T", "node_bmc_cipher": "x"},
        }
    )
    assert sorted((mistake.host, mistake.variable) for mistake in found) == [
        ("all", "config_node_bmc_network"),
        ("all", "config_node_bmc_network"),
        ("all", "config_node_cluster_token"),
        ("cn1", "node_bmc_address"),
        ("sn2", "node_bmc_cipher"),
        ("sn2", "node_storage_mac"),
        ("sn2", "storage_node_images_size"),
    ]


def whole(changes):
    """Return what is wrong with a whole inventory: a pair, of which these variables are changed."""
    hosts = {"cn1": {**SETTINGS, "node_address": "10.0.0.1", "node_bmc_address": "10.3.0.1", **BMC}}
    for number, name in enumerate(("sn1", "sn2"), 11):
        hosts[name] = {
            "node_mac": f"52:54:00:00:00:{number}",
            "node_authorized_keys": ["ssh-ed25519 AAAA admin"],
            "node_bmc_address": f"10.3.0.{number}",
            "storage_node_disks": ["/dev/vda"],
            **BMC,
            **changes.get(name, {}),
        }
    known = {*SETTINGS, *(variable for variables in hosts.values() for variable in variables)}
    groups = {"config_nodes": ["cn1"], "storage_nodes": ["sn1", "sn2"]}
    return _inventory.find(hosts, groups, dict.fromkeys(known, lambda _value: ""))


def test_the_whole_search_looks_at_pairs_and_their_cards():
    assert whole({}) == []
    assert [mistake.variable for mistake in whole({"sn2": {"node_bmc_address": "", "node_bmc_network_mac": ""}})] == ["node_bmc_address"]
    card = "node_bmc_network_mac"
    (mistake,) = whole({"sn2": {card: "52:54:00:00:00:11"}})
    assert (mistake.host, mistake.variable) == ("sn2", card)
    assert mistake.problem.startswith("52:54:00:00:00:11 belongs to sn1 already; ")
    assert "is no MAC" in whole({"sn1": {card: "x"}})[0].problem
    assert card in _inventory.PER_MACHINE
    assert card in _inventory_instances.CARDS
