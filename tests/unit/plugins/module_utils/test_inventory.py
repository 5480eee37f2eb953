from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _inventory, _inventory_bmc, _inventory_memory
from plugins.module_utils._inventory import Mistake

GONE = object()
KEY = "ssh-ed25519 AAAA admin"
SETTINGS = {
    "config_node_boot_network": "10.0.0.0/24",
    "config_node_storage_network": "10.1.0.0/24",
    "config_node_address_range": "10.0.0.100-10.0.0.199",
    "node_authorized_keys": [KEY],
}
CARDS = ["node_mac", "node_storage_mac", "node_instance_mac"]
GROUPS = {"config_nodes": ["cn1"], "storage_nodes": ["sn1"], "hardware_nodes": ["hn1", "hn2"]}
RESERVED = ["confignode", "ignore", "infinite", "localhost"]
BMC = ["node_bmc_address", "node_bmc_user", "node_bmc_password"]
HARDWARE_NODE = ["hardware_node_root", "hardware_node_dom0_memory", "hardware_node_memory"]
TEXTS = ["cluster_alert_command", "config_node_log_size", "node_image_apt_proxy"]
INSTANCE = ["instance_authorized_keys", "instance_memory", "instance_address", "instance_mac", "instance_state"]
KNOWN = [*SETTINGS, *CARDS, *BMC, *HARDWARE_NODE, *TEXTS, *INSTANCE, "node_address", "node_image_pin", "storage_node_disks"]
CHECKS = {
    **dict.fromkeys(KNOWN, lambda _value: ""),
    "lab_memory": lambda value: "" if isinstance(value, int) else "give a number, such as 1024",
}


def cards(number):
    return {card: f"52:54:00:00:0{network}:{number}" for network, card in enumerate(CARDS)}


def find(changes=None, groups=None):
    """Return the mistakes of a right inventory with changes: {host: {variable: value, or GONE}}."""
    hosts = {
        "cn1": {**SETTINGS, "node_address": "10.0.0.1"},
        "sn1": {**SETTINGS, **cards(11), "storage_node_disks": ["/dev/disk/by-id/ata-A"]},
        "hn1": {**SETTINGS, **cards(21)},
        "hn2": {**SETTINGS, **cards(22)},
    }
    for host, variables in (changes or {}).items():
        changed = {**hosts.get(host, hosts["hn1"]), **variables}
        hosts[host] = {variable: value for variable, value in changed.items() if value is not GONE}
    merged = {**GROUPS, **(groups or {})}
    in_groups = {name for names in merged.values() if names is not GONE for name in names}
    hosts = {host: variables for host, variables in hosts.items() if host in in_groups or host in (changes or {})}
    return _inventory.find(hosts, {group: names for group, names in merged.items() if names is not GONE}, CHECKS)


def check(mistakes, host, variable, wrong, right):
    """The one mistake is of this host and variable; it says what is wrong, then what would be right."""
    (mistake,) = mistakes
    assert (mistake.host, mistake.variable) == (host, variable)
    what, hint = mistake.problem.split(";", 1)
    assert wrong in what
    assert right in hint


ONE_NETWORK = {name: {"node_storage_mac": GONE} for name in ("sn1", "hn1", "hn2")}
MAY_BE_EMPTY = ["config_node_storage_network", "config_node_address_range"]


@pytest.mark.parametrize(
    ("changes", "groups"),
    [
        pytest.param({}, {}, id="all-that-there-is"),
        pytest.param({}, {"lab_machines": ["hn1", "cn1"]}, id="in-a-group-of-ones-own-too"),
        pytest.param({}, {"storage_nodes": [], "hardware_nodes": []}, id="a-config-node-alone"),
        pytest.param({"hn1": {"hardware_node_root": "ram"}}, {"storage_nodes": [], "hardware_nodes": ["hn1"]}, id="ram-needs-no-storage"),
        pytest.param({"hn1": {"hardware_node_root": "ram", "node_storage_mac": GONE}}, {}, id="ram-needs-no-storage-card"),
        pytest.param(ONE_NETWORK, {}, id="no-storage-cards"),
        pytest.param({**ONE_NETWORK, "cn1": dict.fromkeys(MAY_BE_EMPTY, "")}, {}, id="empty-means-default"),
        pytest.param({**ONE_NETWORK, "cn1": dict.fromkeys(MAY_BE_EMPTY)}, {}, id="null-means-default"),
        pytest.param({"hn1": dict.fromkeys(["node_address", "node_image_pin", "node_instance_mac", "hardware_node_root"])}, {}, id="nulls"),
        pytest.param({"hn1": {"node_mac": " 52-54-00-AA-BB-CC\n"}}, {}, id="mac-written-otherwise"),
        pytest.param({"hn1": {"node_address": "10.0.0.254"}, "hn2": {"node_address": "10.0.0.150"}}, {}, id="addresses"),
        pytest.param({"hn1": {"node_image_pin": "xen-0123456789abcdef"}}, {}, id="pin"),
        pytest.param({"hn1": {"node_authorized_keys": [f"{KEY}\n", KEY]}}, {}, id="key-file-with-its-last-line-break"),
    ],
)
def test_a_right_inventory_has_no_mistakes(changes, groups):
    assert find(changes, groups) == []


@pytest.mark.parametrize("groups", [{"config_nodes": []}, {"config_nodes": GONE}], ids=["empty", "not-there"])
def test_without_a_config_node_nothing_boots(groups):
    check(find({}, groups)[:1], "all", "group config_nodes", "is empty", "cn1")


@pytest.mark.parametrize(
    ("groups", "host", "wrong"),
    [
        ({"hardware_nodes": ["hn1", "hn2", "sn1"]}, "sn1", "is in storage_nodes and in hardware_nodes"),
        ({"config_nodes": ["cn1", "sn1"]}, "sn1", "is in config_nodes and in storage_nodes"),
        ({"config_nodes": ["cn1", "hn1"]}, "hn1", "is in config_nodes and in hardware_nodes"),
    ],
    ids=["storage-hardware", "config-storage", "config-hardware"],
)
def test_a_machine_is_of_one_kind(groups, host, wrong):
    check(find({host: {"node_address": "10.0.0.9"}}, groups), host, "groups", wrong, "a machine is one of them")


@pytest.mark.parametrize("group", ["config_nodes", "hardware_nodes"])
@pytest.mark.parametrize(
    "name",
    [*RESERVED, "HN1", "1h", "-hn", "hn-", "hn.1", "a" * 64, "", "h n", "hn1\n", "h\nn", "h'n", 'h"n', "../hn", "h/n", "{{ x }}", "h,n"],
)
def test_a_host_name_that_cannot_be_a_file_name_or_a_host_is_a_mistake(group, name):
    card = {"node_address": "10.0.0.9", **cards(99)}
    check(find({name: card}, {group: [*GROUPS[group], name]}), name, "host name", f"{name!r} cannot be used", "such as hn1")


@pytest.mark.parametrize("host", ["sn1", "hn1"])
@pytest.mark.parametrize("value", [GONE, None, ""], ids=["not-set", "null", "empty"])
@pytest.mark.parametrize(
    ("variable", "wrong", "right"),
    [("node_mac", "is missing", "'52:54:00:12:34:56'"), ("node_authorized_keys", "nobody could log in", "'ssh-ed25519 AAAA... admin'")],
    ids=["mac", "keys"],
)
def test_what_every_node_needs(host, variable, value, wrong, right):
    check(find({host: {variable: value}}), host, variable, wrong, right)


@pytest.mark.parametrize("disks", [GONE, None, []], ids=["not-set", "null", "empty"])
def test_a_storage_node_needs_disks(disks):
    check(find({"sn1": {"storage_node_disks": disks}}), "sn1", "storage_node_disks", "names no disks", "[/dev/disk/by-id/ata-A, ")


@pytest.mark.parametrize("address", [GONE, None, ""], ids=["not-set", "null", "empty"])
def test_a_config_node_needs_an_address(address):
    check(find({"cn1": {"node_address": address}}), "cn1", "node_address", "is missing", "such as 10.0.0.1")


@pytest.mark.parametrize("network", [GONE, None, ""], ids=["not-set", "null", "empty"])
def test_there_is_a_boot_network(network):
    check(find({"cn1": {"config_node_boot_network": network}}), "all", "config_node_boot_network", "is missing", "10.0.0.0/24")


@pytest.mark.parametrize("host", ["sn1", "hn2"])
@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(yaml.safe_load("52:54:00:12:34:56"), id="yaml-made-it-a-number"),
        pytest.param("52:54:00:12:34", id="short"),
        pytest.param("52:54:00:12:34:56:78", id="long"),
        pytest.param("52:54:00:12:34:5g", id="no-hex"),
        pytest.param("52:54:00:12:34:56\n52:54:00:12:34:57", id="two-lines"),
        pytest.param("{{ mac }}", id="template"),
        pytest.param(True, id="bool"),
        pytest.param(["52:54:00:12:34:56"], id="list"),
    ],
)
def test_a_malformed_mac_is_a_mistake(host, card, value):
    check(find({host: {card: value}}), host, card, f"{value!r} is no MAC", "'52:54:00:12:34:56', in quotes")


@pytest.mark.parametrize("mine", CARDS)
@pytest.mark.parametrize("theirs", CARDS)
@pytest.mark.parametrize("owner", ["sn1", "hn1"])
@pytest.mark.parametrize("written", ["{}", "  {}\n"], ids=["same", "spaces"])
def test_two_machines_with_one_mac_are_a_mistake(owner, mine, theirs, written):
    mac = "52:54:00:ab:cd:ef"
    found = find({owner: {theirs: mac.upper().replace(":", "-")}, "hn2": {mine: written.format(mac)}})
    check(found, "hn2", mine, f"{mac} belongs to {owner} already", "each card has a MAC of its own")


@pytest.mark.parametrize(("first", "second"), [(CARDS[0], CARDS[1]), (CARDS[0], CARDS[2]), (CARDS[1], CARDS[2])])
def test_two_cards_of_a_machine_with_one_mac_are_a_mistake(first, second):
    found = find({"hn1": {second: cards(21)[first]}})
    check(found, "hn1", second, f"{cards(21)[first]} belongs to hn1 already", "each card has a MAC of its own")


@pytest.mark.parametrize("host", ["cn1", "sn1", "hn1"])
@pytest.mark.parametrize(
    ("address", "wrong", "right"),
    [
        pytest.param("x", "'x' is not an IPv4 address", "10.0.0.1", id="text"),
        pytest.param("10.0.0.256", "is not an IPv4 address", "10.0.0.1", id="too-large"),
        pytest.param("10.0.0.9/24", "is not an IPv4 address", "10.0.0.1", id="with-prefix"),
        pytest.param("10.0.0.9\n", "is not an IPv4 address", "10.0.0.1", id="line-break"),
        pytest.param("::1", "is not an IPv4 address", "10.0.0.1", id="ipv6"),
        pytest.param("{{ x }}", "is not an IPv4 address", "10.0.0.1", id="template"),
        pytest.param(167772169, "is not an IPv4 address", "10.0.0.1", id="number"),
        pytest.param(["10.0.0.9"], "is not an IPv4 address", "10.0.0.1", id="list"),
        pytest.param("10.9.0.5", "10.9.0.5 is not a host of 10.0.0.0/24", "10.0.0.1 to 10.0.0.254", id="foreign"),
        pytest.param("10.0.0.0", "is not a host of 10.0.0.0/24", "10.0.0.1 to 10.0.0.254", id="network"),
        pytest.param("10.0.0.255", "is not a host of 10.0.0.0/24", "10.0.0.1 to 10.0.0.254", id="broadcast"),
    ],
)
def test_an_address_that_a_machine_cannot_have_is_a_mistake(host, address, wrong, right):
    check(find({host: {"node_address": address}}), host, "node_address", wrong, right)


@pytest.mark.parametrize(("owner", "host"), [("cn1", "sn1"), ("cn1", "hn1"), ("sn1", "hn2"), ("hn1", "hn2")])
def test_two_machines_with_one_address_are_a_mistake(owner, host):
    found = find({name: {"node_address": "10.0.0.9"} for name in (owner, host)})
    check(found, host, "node_address", f"10.0.0.9 belongs to {owner} already", f"give {host} another")


@pytest.mark.parametrize("variable", ["config_node_boot_network", "config_node_storage_network"])
@pytest.mark.parametrize("network", ["x", "10.0.0.5/24", "10.0.0.0/33", "10.0.0.0/31", "10.0.0.0", "fd00::/64", 10, ["10.0.0.0/24"]])
def test_a_malformed_network_is_a_mistake_of_all(variable, network):
    check(find({"cn1": {variable: network}}), "all", variable, repr(str(network)), "write it as 10.0.0.0/24")


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        pytest.param("10.0.0.20", "has no hyphen", "10.0.0.1-10.0.0.254", id="one-address"),
        pytest.param("10.0.0.30-10.0.0.20", "ends before it starts", "10.0.0.20-10.0.0.30", id="backwards"),
        pytest.param("10.9.0.1-10.9.0.9", "10.9.0.1 is not a host of 10.0.0.0/24", "10.0.0.1 to 10.0.0.254", id="foreign"),
        pytest.param("10.0.0.20-30", "'30' is not an IPv4 address", "10.0.0.1", id="short"),
        pytest.param("-", "'' is not an IPv4 address", "10.0.0.1", id="hyphen"),
    ],
)
def test_a_range_that_is_none_is_a_mistake_of_all(text, wrong, right):
    check(find({"cn1": {"config_node_address_range": text}}), "all", "config_node_address_range", wrong, right)


def test_what_depends_on_a_wrong_boot_network_is_not_looked_at():
    wrong = {"config_node_boot_network": "x", "config_node_address_range": "y", "node_address": "z"}
    check(find({"cn1": wrong}), "all", "config_node_boot_network", "'x'", "10.0.0.0/24")


@pytest.mark.parametrize("root", [GONE, None, "aoe", "nfs"], ids=["not-set", "null", "aoe", "nfs"])
def test_a_root_from_storage_nodes_needs_one(root):
    found = find({"hn1": {"hardware_node_root": root}}, {"storage_nodes": [], "hardware_nodes": ["hn1"]})
    kind = "nfs" if root == "nfs" else "aoe"
    check(found, "hn1", "hardware_node_root", f"{kind} needs a StorageNode, and storage_nodes is empty", "use ram")


@pytest.mark.parametrize("root", ["aoe", "nfs"])
@pytest.mark.parametrize("without", [GONE, None, ""], ids=["not-set", "null", "empty"])
@pytest.mark.parametrize("side", ["sn1", "hn1"])
def test_a_storage_card_on_one_side_only_is_a_mistake_of_the_hardware_node(side, without, root):
    changes = {"hn1": {"hardware_node_root": root}, "hn2": {"hardware_node_root": "ram"}}
    changes[side] = {**changes.get(side, {}), "node_storage_mac": without}
    wrong = f"only one of hn1 and sn1 has one, and the root ({root}) comes from there"
    check(find(changes), "hn1", "node_storage_mac", wrong, "give both one, or neither")


@pytest.mark.parametrize("keys", [[f"{KEY}\n{KEY}"], [KEY, f"{KEY}\n\n{KEY}\n"]], ids=["alone", "second"])
def test_a_key_with_a_line_break_is_a_mistake(keys):
    check(find({"hn1": {"node_authorized_keys": keys}}), "hn1", "node_authorized_keys", "a line break inside a key", "one key an entry")


KINDS = {"sn1": "storage", "hn1": "xen"}


@pytest.mark.parametrize(
    "pin", ["xen", "xen-0123456789abcde", "xen-0123456789ABCDEF", "../xen-0123456789abcdef", "xen-0123456789abcdef\n", "{{ x }}", 5, True]
)
@pytest.mark.parametrize("host", ["sn1", "hn1"])
def test_a_pin_that_names_no_image_is_a_mistake(host, pin):
    kind = KINDS[host]
    check(find({host: {"node_image_pin": pin}}), host, "node_image_pin", f"{pin!r} is no {kind} image's name", f"{kind}-0123456789abcdef")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        pytest.param("hardware_node_dom0_mem", "; did you mean hardware_node_dom0_memory; ", id="word-left-out"),
        pytest.param("node_boot_network", "; did you mean config_node_boot_network; ", id="prefix-left-out"),
        pytest.param("storage_node_mac", "; did you mean node_storage_mac; ", id="words-swapped"),
        pytest.param("lab_colour", "; ", id="nothing-like-it"),
        pytest.param("node_macs", "; ", id="too-short-to-tell"),
    ],
)
@pytest.mark.parametrize("host", ["cn1", "hn1"])
def test_an_unknown_variable_is_a_mistake(host, variable, hint):
    problem = f"is no variable of bareroot{hint}docs/inventory-reference.md lists them all"
    assert find({host: {variable: None}}) == [Mistake(host, variable, problem)]


def test_a_suggestion_needs_something_to_suggest():
    assert _inventory.find({"cn1": {"node_mac": "x"}}, {"config_nodes": ["cn1"]}, {})[0].problem.startswith(
        "is no variable of bareroot; docs/"
    )


def test_what_a_check_says_is_the_mistake():
    assert find({"hn1": {"lab_memory": "much"}}) == [Mistake("hn1", "lab_memory", "give a number, such as 1024")]


def test_several_mistakes_are_found_together():
    found = find(
        {
            "cn1": {"node_address": None, "config_node_storage_network": "x"},
            "sn1": {"node_mac": "y", "storage_node_disks": []},
            "hn1": {"node_mac": None, "node_instance_mac": "z", "node_image_pin": "xen"},
            "hn2": {"node_authorized_keys": None, "lab_colour": 1, "hardware_node_root": "ram"},
        }
    )
    assert sorted((mistake.host, mistake.variable) for mistake in found) == [
        ("all", "config_node_storage_network"),
        ("cn1", "node_address"),
        ("hn1", "node_image_pin"),
        ("hn1", "node_instance_mac"),
        ("hn1", "node_mac"),
        ("hn2", "lab_colour"),
        ("hn2", "node_authorized_keys"),
        ("sn1", "node_mac"),
        ("sn1", "storage_node_disks"),
    ]


@pytest.mark.parametrize(
    ("hosts", "named"),
    [
        pytest.param("a", "a", id="one"),
        pytest.param("aa", "a", id="twice"),
        pytest.param("ab", "a, b", id="two"),
        pytest.param("cab", "c, a, b", id="three"),
        pytest.param("abcd", "a, b, c and 1 more", id="four"),
        pytest.param("abcdeaa", "a, b, c and 2 more", id="five"),
    ],
)
def test_hosts_with_the_same_mistake_share_a_line(hosts, named):
    assert _inventory.lines([Mistake(host, "v", "is bad") for host in hosts]) == [f"{named}: v: is bad"]


def test_only_the_same_mistake_shares_a_line():
    mistakes = [Mistake("a", "v", "x"), Mistake("b", "v", "y"), Mistake("b", "w", "x"), Mistake("c", "v", "x")]
    assert _inventory.lines(mistakes) == ["a, c: v: x", "b: v: y", "b: w: x"]


def test_no_mistakes_are_no_lines():
    assert _inventory.lines([]) == []


@pytest.mark.parametrize(
    ("host", "pin"),
    [("sn1", "xen-0123456789abcdef"), ("hn1", "storage-0123456789abcdef")],
    ids=["hardware-image-on-a-storage-node", "storage-image-on-a-hardware-node"],
)
def test_a_pin_of_another_kind_is_a_mistake(host, pin):
    check(find({host: {"node_image_pin": pin}}), host, "node_image_pin", f"{pin!r} is no {KINDS[host]} image's name", KINDS[host])


def test_too_little_memory_for_dom0_is_a_mistake():
    check(find({"hn1": {"hardware_node_dom0_memory": 100}}), "hn1", "hardware_node_dom0_memory", "100 MiB is too little", "512")


def test_a_storage_card_without_a_storage_network_is_a_mistake():
    found = find({"cn1": {"config_node_storage_network": GONE}})
    assert {mistake.host for mistake in found} == {"sn1", "hn1", "hn2"}
    assert all("there is no config_node_storage_network" in mistake.problem for mistake in found)


def test_a_storage_network_smaller_than_the_boot_network_is_a_mistake():
    found = find({"cn1": {"config_node_storage_network": "10.1.0.0/28"}})
    check(found, "all", "config_node_storage_network", "is smaller than the boot network", "as large")


def test_a_range_that_is_no_text_is_a_mistake_and_no_crash():
    assert [mistake.variable for mistake in find({"cn1": {"config_node_address_range": 5}})] == ["config_node_address_range"]


def test_more_than_two_disks_are_a_mistake():
    check(find({"sn1": {"storage_node_disks": ["a", "b", "c"]}}), "sn1", "storage_node_disks", "more than two", "write [")


@pytest.mark.parametrize("keys", ["ssh-ed25519 A\nssh-ed25519 B\n", ["ssh-ed25519 A\nssh-ed25519 B"]], ids=["block", "entry"])
def test_two_keys_in_one_are_a_mistake(keys):
    check(find({"hn1": {"node_authorized_keys": keys}}), "hn1", "node_authorized_keys", "line break", "one key an entry")


def test_keys_that_are_empty_are_no_keys():
    check(find({"hn1": {"node_authorized_keys": [" "]}}), "hn1", "node_authorized_keys", "nobody could log in", "ssh-ed25519")


WHERE = "put it into config_nodes, storage_nodes, hardware_nodes or instances"
OF_A_MACHINE = {
    **cards(31),
    "node_address": "10.0.0.31",
    "node_bmc_address": "10.3.0.31",
    "storage_node_disks": ["/dev/disk/by-id/ata-A"],
    "instance_mac": "00:16:3e:00:00:31",
    "instance_address": "10.2.0.31/24",
}


def alone(**variables):
    """Return the changes that make hn3 a host with these variables and no others."""
    return {"hn3": {**dict.fromkeys([*SETTINGS, *CARDS], GONE), **variables}}


@pytest.mark.parametrize("variable", OF_A_MACHINE)
@pytest.mark.parametrize(
    ("groups", "where"),
    [
        ({"hardware_node": ["hn3"]}, "only in hardware_node"),
        ({"all": ["cn1", "hn3"], "ungrouped": ["hn3"]}, "in no group"),
        ({"rack1": ["hn1", "hn3"], "all": ["hn3"], "instance": ["hn3"]}, "only in rack1, instance"),
    ],
    ids=["typo", "none", "several"],
)
def test_a_machine_in_none_of_our_groups_is_a_mistake(variable, groups, where):
    found = find(alone(**{variable: OF_A_MACHINE[variable]}), groups)
    check(found, "hn3", "groups", f"is {where}, but has {variable}", WHERE)


def test_machines_of_one_mistyped_group_share_a_line():
    hosts = {**alone(node_mac="x"), "hn4": {"node_mac": "y"}}
    assert _inventory.lines(find(hosts, {"hardware_node": ["hn3", "hn4"]})) == [
        f"hn3, hn4: groups: is only in hardware_node, but has node_mac, so it is a machine of bareroot's; {WHERE}"
    ]


@pytest.mark.parametrize(
    "variables",
    [{}, SETTINGS, {"node_bmc_user": "admin", "instance_memory": 256}, {"node_mac": None, "storage_node_disks": [], "node_address": ""}],
    ids=["none", "of-all", "of-all-too", "set-to-nothing"],
)
def test_other_hosts_are_none_of_our_business(variables):
    assert find(alone(**variables), {"builders": ["hn3"]}) == []


def bmc(address, **variables):
    return {"node_bmc_address": address, "node_bmc_user": "admin", "node_bmc_password": "secret", **variables}


@pytest.mark.parametrize("address", ["10.3.0.21", "bmc-hn1", "BMC1.example.org", "1.bmc", "a" * 63, "x"])
@pytest.mark.parametrize("host", ["cn1", "sn1", "hn1"])
def test_a_bmc_has_an_address_or_a_name(host, address):
    assert find({host: bmc(address)}) == []


@pytest.mark.parametrize(
    "address",
    [
        *["10.3.0.256", "10.3.0", "10.3.0.021", "21", "10.3.0.21/24", "10.3.0.21:623", "::1", "10.3.0.21\n", " 10.3.0.21"],
        *[
            "a;reboot",
            "$(reboot)",
            "`reboot`",
            "a b",
            "a'b",
            "-H",
            "a-",
            "a..b",
            "a.",
            ".a",
            "a_b",
            "é",
            "{{ x }}",
            "a" * 64,
            "a." * 127 + "a",
        ],
        *[10, True, ["10.3.0.21"]],
    ],
)
@pytest.mark.parametrize("host", ["cn1", "hn1"])
def test_what_is_no_address_of_a_bmc_is_a_mistake(host, address):
    found = find({host: bmc(address)})
    assert [(mistake.host, mistake.variable) for mistake in found] == [(host, "node_bmc_address")]
    assert found[0].problem == f"{address!r} is no IPv4 address or host name; write one such as 10.3.0.21"


@given(st.text() | st.from_regex(_inventory_bmc.HOST) | st.from_regex(r"[ -~]{1,9}", fullmatch=True))
def test_a_shell_takes_an_address_of_a_bmc_for_one_word(text):
    if _inventory_bmc.is_address(text):
        assert shlex.quote(text) == text
        assert not text.startswith("-")


@pytest.mark.parametrize("theirs", ["bmc1", "BMC1"])
@pytest.mark.parametrize(("owner", "host"), [("cn1", "sn1"), ("cn1", "hn2"), ("sn1", "hn1"), ("hn1", "hn2")])
def test_two_machines_with_one_bmc_are_a_mistake(owner, host, theirs):
    found = find({owner: bmc(theirs), host: bmc("bmc1")})
    check(found, host, "node_bmc_address", f"bmc1 belongs to {owner} already", "a BMC of its own")


@pytest.mark.parametrize("value", [GONE, None, ""], ids=["not-set", "null", "empty"])
@pytest.mark.parametrize(("variable", "right"), [("node_bmc_user", "such as admin"), ("node_bmc_password", "in an Ansible vault")])
def test_a_bmc_needs_a_user_and_a_password(variable, right, value):
    check(find({"hn1": bmc("10.3.0.21", **{variable: value})}), "hn1", variable, "is missing, and node_bmc_address needs it", right)


@pytest.mark.parametrize("address", [GONE, None, ""], ids=["not-set", "null", "empty"])
def test_without_a_bmc_no_user_and_no_password_are_needed(address):
    assert find({"hn1": bmc(address)}) == []
    assert find({"hn1": bmc(address, node_bmc_user=None, node_bmc_password=None)}) == []


def test_a_password_is_never_shown():
    found = find({"hn1": bmc("a b"), "hn2": bmc("x", node_bmc_user=""), "sn1": bmc("x")})
    assert len(found) == 3
    assert not [mistake for mistake in found if "secret" in mistake.problem]


@pytest.mark.parametrize("mine", CARDS)
@pytest.mark.parametrize("theirs", CARDS)
def test_a_config_nodes_cards_are_its_own_too(mine, theirs):
    found = find({"cn1": {theirs: cards(21)[mine]}})
    check(found, "hn1", mine, f"{cards(21)[mine]} belongs to cn1 already", "each card has a MAC of its own")


@pytest.mark.parametrize("card", CARDS)
def test_a_config_nodes_mac_is_one(card):
    check(find({"cn1": {card: "x"}}), "cn1", card, "'x' is no MAC", "'52:54:00:12:34:56'")
    assert find({"cn1": cards(31)}) == []


WEB = {"instance_authorized_keys": [KEY]}


def with_memory(first, second, **instances):
    """Return the mistakes. first, second: variables of hn1 and hn2. instances: {name: its memory, or its variables}."""
    variables = {name: memory if isinstance(memory, dict) else {"instance_memory": memory} for name, memory in instances.items()}
    hosts = {name: {**dict.fromkeys([*SETTINGS, *CARDS], GONE), **WEB, **more} for name, more in variables.items()}
    return find({"hn1": first, "hn2": second, **hosts}, {"instances": list(instances)})


def hardware(memory, dom0=GONE):
    return {"hardware_node_memory": memory, "hardware_node_dom0_memory": dom0}


@pytest.mark.parametrize(
    ("first", "second", "memory"),
    [
        pytest.param(hardware(4096, 1024), hardware(2048, 1024), 3072, id="just-fits"),
        pytest.param(hardware(2048), hardware("4096"), "3072", id="default-of-dom0-and-numbers-of-the-command-line"),
        pytest.param(hardware(4096), hardware(GONE), 999999, id="one-is-not-known"),
        pytest.param(hardware(4096), hardware(0), 999999, id="one-says-nothing"),
        pytest.param(hardware(4096), hardware(None), 999999, id="one-is-null"),
        pytest.param(hardware(4096), hardware(4096), {"instance_memory": 999999, "instance_state": "absent"}, id="absent"),
        pytest.param(hardware(1536), hardware(1536), {}, id="default-of-instances"),
        pytest.param(hardware(1025), hardware(1537), None, id="null-is-default"),
    ],
)
def test_memory_that_fits(first, second, memory):
    assert with_memory(first, second, web1=memory) == []


@pytest.mark.parametrize(
    ("first", "second", "memory", "wrong", "right"),
    [
        (hardware(4096, 1024), hardware(2048, 512), 3073, "3073 MiB fit on no HardwareNode", "the largest has 3072 MiB"),
        (hardware(2048), hardware("8192", "1024"), "7169", "7169 MiB fit on no HardwareNode", "the largest has 7168 MiB"),
        (hardware(1535), hardware(1530), {}, "512 MiB fit on no HardwareNode", "the largest has 511 MiB"),
    ],
    ids=["one-more", "numbers-of-the-command-line", "default"],
)
def test_an_instance_that_fits_nowhere_is_a_mistake(first, second, memory, wrong, right):
    check(with_memory(first, second, web1=64, web2=memory), "web2", "instance_memory", wrong, right)


@pytest.mark.parametrize(("memory", "dom0"), [(1024, GONE), (1000, None), (2048, 2048), ("2048", "4096"), (-1, 512)])
def test_dom0_leaves_some_memory(memory, dom0):
    found = with_memory(hardware(memory, dom0), hardware(GONE), web1=512)
    check(found, "hn1", "hardware_node_dom0_memory", f"MiB leave nothing of hardware_node_memory, {memory} MiB", "give dom0 less")


def test_where_all_hardware_nodes_are_wrong_instances_are_not_looked_at():
    assert {mistake.host for mistake in with_memory(hardware(1024), hardware(512), web1=512)} == {"hn1", "hn2"}


def test_memory_that_is_not_set_is_what_the_roles_give():
    for role, variable, default in [
        ("hardware_node", "hardware_node_dom0_memory", _inventory_memory.DOM0_MEMORY),
        ("instance", "instance_memory", _inventory_memory.INSTANCE_MEMORY),
    ]:
        path = Path(__file__).parents[4] / "roles" / role / "defaults" / "main.yml"
        assert yaml.safe_load(path.read_text(encoding="utf-8"))[variable] == default


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *[("cluster_alert_command", program) for program in ("/usr/local/bin/page", "/opt/on-call/page.py", "", None)],
        *[("config_node_log_size", size) for size in ("2G", "512M", "1.5G", "1T", "100K", None)],
        *[("node_image_apt_proxy", url) for url in ("http://cache.example:3142", "http://10.0.0.1/", "http://a:b%20c@cache", "", None)],
        ("node_image_apt_proxy", "http://[fd00::1]:3142"),
    ],
)
def test_texts_that_other_programs_can_read(variable, value):
    assert find({"cn1": {variable: value}}) == []


@pytest.mark.parametrize(
    ("variable", "values", "wrong", "right"),
    [
        (
            "cluster_alert_command",
            [
                "page",
                "bin/page",
                "/bin/page --urgent",
                "/bin/page\n",
                "/bin/page;id",
                "/bin/$(id)",
                "/",
                "/bin/",
                "~/page",
                5,
                ["/bin/page"],
            ],
            "is no program",
            "such as /usr/local/bin/page",
        ),
        ("config_node_log_size", ["", "2", 2, "G", "0G", "2 G", "2GB", "-2G", "much", "2G\n", "2G\nSeal=yes"], "is no size", "such as 2G"),
        (
            "node_image_apt_proxy",
            [
                "cache:3142",
                "https://cache",
                "http://",
                "http://a b",
                'http://a"',
                "http://a\n",
                'http://a";\nx "',
                "http://a:x",
                5,
                ["http://a"],
            ],
            "is no http URL of one line",
            "such as http://cache.example:3142",
        ),
    ],
    ids=TEXTS,
)
@pytest.mark.parametrize("host", ["cn1", "hn1"])
def test_texts_that_other_programs_would_misread_are_mistakes(host, variable, values, wrong, right):
    for value in values:
        check(find({host: {variable: value}}), host, variable, wrong, right)


@given(st.sampled_from(TEXTS), st.text(), st.sampled_from(["", "2G", "http://a"]), st.text())
def test_a_text_is_refused_unless_it_stays_where_it_is_put(variable, before, middle, after):
    text = f"{before}{middle}{after}"
    if not find({"cn1": {variable: text}}):
        assert len(f"x{text}".splitlines()) == 1
        assert not set(text) & set("\"'\\; \0")


def test_many_machines_and_instances_take_as_long_as_their_number():
    def steps(number):
        hosts = {f"hn{index}": Counted(node_mac=f"52:54:00:00:{index >> 8:02x}:{index & 255:02x}") for index in range(number)}
        hosts.update({f"web{index}": Counted(instance_memory=64) for index in range(number)})
        hosts.update({f"stray{index}": Counted(node_mac="x") for index in range(number)})
        names = list(hosts)
        groups = {"hardware_nodes": names[:number], "instances": names[number : 2 * number], "other": names[2 * number :], "all": names}
        Counted.reads = 0
        _inventory.find(hosts, {"config_nodes": [], **groups}, CHECKS)
        return Counted.reads

    assert steps(400) == 4 * steps(100)


class Counted(dict):
    """Counts how often any host's variables are read."""

    reads = 0

    def get(self, key, default=None):
        Counted.reads += 1
        return super().get(key, default)
