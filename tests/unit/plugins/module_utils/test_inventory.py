from __future__ import annotations

import pytest
import yaml

from plugins.module_utils import _inventory
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
KNOWN = [*SETTINGS, *CARDS, "node_address", "node_image_pin", "storage_node_disks", "hardware_node_root", "hardware_node_dom0_memory"]
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
        pytest.param("hardware_node_memory", "; did you mean hardware_node_dom0_memory; ", id="word-left-out"),
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
