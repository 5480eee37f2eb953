from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from plugins.filter.wanted_instances import wanted_instances
from plugins.module_utils import _identity, _instance_records, _inventory, _inventory_instances, _names, _volumes, _xen_host
from plugins.module_utils._inventory import Mistake
from plugins.modules import instance as instance_module
from plugins.modules import instance_records, template_volumes

GONE = object()
KEY = "ssh-ed25519 AAAA admin"
GOOD = {"instance_authorized_keys": [KEY]}
MAC = "00:16:3e:12:34:56"
BOOT, STORAGE = IPv4Network("10.0.0.0/24"), IPv4Network("10.1.0.0/24")
CARDS = ["node_mac", "node_storage_mac", "node_instance_mac"]
GROUPS = {"config_nodes": ["cn1"], "storage_nodes": ["sn1"], "hardware_nodes": ["hn1", "hn2"]}
MACHINES = [name for names in GROUPS.values() for name in names]
RESERVED = ["confignode", "ignore", "infinite", "localhost"]
SPEC = Path(__file__).parents[4] / "roles" / "instance" / "meta" / "argument_specs.yml"
OPTIONS = yaml.safe_load(SPEC.read_text())["argument_specs"]["main"]["options"]
CA = _identity.new_host_key()


def inventory(instances, groups=None):
    """Return hosts and groups. instances: {name: its variables, or GONE}; what an instance needs it has."""
    hosts = {
        name: {card: f"52:54:00:00:0{network}:{number:02}" for network, card in enumerate(CARDS)} for number, name in enumerate(MACHINES)
    }
    for name, variables in instances.items():
        merged = {**GOOD, **variables}
        hosts[name] = {variable: value for variable, value in merged.items() if value is not GONE}
    return hosts, {**GROUPS, "instances": list(instances), **(groups or {})}


def find_all(instances, groups=None, own=(BOOT, STORAGE)):
    return list(_inventory_instances.find(*inventory(instances, groups), list(own)))


def find(own=(BOOT, STORAGE), **variables):
    return find_all({"web1": variables}, own=own)


def check(mistakes, host, variable, wrong, right):
    """The one mistake is of this host and variable; it says in one line what is wrong, then what would be right."""
    (mistake,) = mistakes
    assert (mistake.host, mistake.variable) == (host, variable)
    assert wrong in mistake.problem
    assert right in mistake.problem.split(wrong, 1)[1]
    assert "\n" not in mistake.problem


ALL_SET = {
    "instance_state": "stopped",
    "instance_node": "hn2",
    "instance_memory": 1024,
    "instance_vcpus": 2,
    "instance_template": "debian-0123456789abcdef",
    "instance_disk_size": "20G",
    "instance_volume_export": "nvme",
    "instance_mac": MAC,
    "instance_address": "10.2.0.10/24",
    "instance_gateway": "10.2.0.1",
    "instance_nameservers": ["10.2.0.1", "9.9.9.9"],
    "instance_authorized_keys": [KEY, "ssh-ed25519 BBBB another"],
    "instance_delete_volumes": True,
    "instance_dead_nodes": ["hn2"],
}
# What is empty unless it is set.
MAY_BE_EMPTY = ["instance_node", "instance_mac", "instance_address", "instance_gateway"]


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="what-is-needed"),
        pytest.param(ALL_SET, id="all-that-there-is"),
        pytest.param({key: None for key in ALL_SET if key != "instance_authorized_keys"}, id="null-means-default"),
        pytest.param({**dict.fromkeys(MAY_BE_EMPTY, ""), "instance_nameservers": [], "instance_dead_nodes": []}, id="empty"),
        pytest.param({"instance_memory": 64, "instance_vcpus": 1}, id="least"),
        pytest.param({"instance_memory": "512", "instance_vcpus": "2"}, id="numbers-of-the-command-line"),
        pytest.param({"instance_mac": " 00-16-3E-AA-BB-CC\n"}, id="mac-written-otherwise"),
        pytest.param({"instance_address": "10.2.0.254/24", "instance_gateway": "10.2.0.253"}, id="last-hosts"),
        pytest.param({"instance_address": "10.2.0.1/30", "instance_gateway": "10.2.0.2"}, id="smallest-network"),
        pytest.param({"instance_gateway": "10.2.0.1", "instance_nameservers": ["9.9.9.9"]}, id="dhcp-with-a-gateway"),
        pytest.param({"instance_nameservers": "10.2.0.1,9.9.9.9"}, id="nameservers-with-commas"),
        pytest.param({"instance_authorized_keys": KEY}, id="one-key"),
        pytest.param({"instance_authorized_keys": ["", f"{KEY}\n"]}, id="key-file-with-its-last-line-break"),
        pytest.param({"instance_disk_size": "1T"}, id="size"),
    ],
)
def test_a_right_instance_has_no_mistakes(variables):
    assert find(**variables) == []


@pytest.mark.parametrize("groups", [{"instances": []}, {"instances": [], "storage_nodes": [], "hardware_nodes": []}], ids=["none", "alone"])
def test_without_instances_nothing_is_needed(groups):
    assert find_all({}, groups) == []
    hosts, all_groups = inventory({}, groups)
    del all_groups["instances"]
    assert list(_inventory_instances.find(hosts, all_groups, [])) == []


@pytest.mark.parametrize("hosts", [[], GONE], ids=["empty", "not-there"])
@pytest.mark.parametrize(
    ("group", "wrong"), [("storage_nodes", "instances need volumes"), ("hardware_nodes", "instances need a place to run")]
)
def test_instances_need_machines(group, wrong, hosts):
    inventory_hosts, groups = inventory({"web1": {}})
    groups = {name: names for name, names in {**groups, group: hosts}.items() if names is not GONE}
    found = list(_inventory_instances.find(inventory_hosts, groups, []))
    check(found, "all", f"group {group}", wrong, "put a machine there, or have no instances")


@pytest.mark.parametrize(
    "name",
    [
        *RESERVED,
        *["Web1", "1w", "-web", "web-", "web.1", "w_1", "", "w b", "web1\n", "w\nb", "w'b", 'w"b', "../w", "w/b", "{{ x }}", "w,b", "é"],
        pytest.param("a" * 59, id="long"),
        *["web1--incoming", "web1--migratedaway"],
        # lvcreate(8) takes no name that begins like this.
        *["snapshot1", "pvmove"],
    ],
)
def test_a_name_that_cannot_be_a_host_or_a_volume_is_a_mistake(name):
    check(find_all({name: {}}), name, "host name", f"{name!r} cannot be used", "such as web1")


@pytest.mark.parametrize("name", ["a", "a" * 58, "web-1", "web1-root", "pool", "incoming", "web1-incoming", "my-snapshot"])
def test_a_name_that_can_be_a_host_and_a_volume_is_none(name):
    assert find_all({name: {}}) == []


NEED_A_LINE = "is empty, so nobody could log in"
ONE_LINE = "has a line break inside a key"
NO_LENGTH = "has no prefix length"
AN_ADDRESS = "write it as 10.2.0.10/24"


@pytest.mark.parametrize(
    ("variable", "value", "wrong", "right"),
    [
        pytest.param("instance_node", "hn3", "'hn3' is no HardwareNode", "these are: hn1, hn2", id="node-unknown"),
        pytest.param("instance_node", "sn1", "'sn1' is no HardwareNode", "these are: hn1, hn2", id="node-of-another-kind"),
        pytest.param("instance_node", "hn1\n", r"'hn1\n' is no HardwareNode", "these are: hn1, hn2", id="node-line-break"),
        pytest.param("instance_node", ["hn1"], "is no HardwareNode", "these are: hn1, hn2", id="node-list"),
        pytest.param("instance_memory", 63, "63 MiB is too little", "give it 64 MiB or more", id="memory"),
        pytest.param("instance_memory", 0, "0 MiB is too little", "give it 64 MiB or more", id="memory-zero"),
        pytest.param("instance_memory", "63", "63 MiB is too little", "give it 64 MiB or more", id="memory-of-the-command-line"),
        pytest.param("instance_memory", 32.0, "32 MiB is too little", "give it 64 MiB or more", id="memory-float"),
        pytest.param("instance_vcpus", 0, "0 is too little", "give it 1 or more", id="vcpus"),
        pytest.param("instance_vcpus", "-1", "-1 is too little", "give it 1 or more", id="vcpus-of-the-command-line"),
        *[
            pytest.param("instance_disk_size", size, f"{str(size)!r}", "M, G or T, such as 10G", id=f"size-{name}")
            for name, size in {"bare": 10, "unit": "10K", "zero": "0G", "broken": "1.5G", "space": "10 G", "line-break": "10G\n"}.items()
        ],
        *[
            pytest.param("instance_template", template, f"{template!r} is no template", "write debian", id=f"template-{name}")
            for name, template in {"upper": "Debian", "digits": "debian13", "short": "debian-0123", "empty": "", "number": 5}.items()
        ],
        *[
            pytest.param("instance_mac", mac, f"{str(mac)!r} is no MAC", "'00:16:3e:12:34:56', in quotes", id=f"mac-{name}")
            for name, mac in {
                "yaml-made-it-a-number": yaml.safe_load("52:54:00:12:34:56"),
                "short": "00:16:3e:12:34",
                "long": f"{MAC}:78",
                "no-hex": "00:16:3e:12:34:5g",
                "two-lines": f"{MAC}\n{MAC}",
                "template": "{{ mac }}",
                "list": [MAC],
            }.items()
        ],
        pytest.param("instance_address", "10.2.0.10", f"'10.2.0.10' {NO_LENGTH}", AN_ADDRESS, id="address-alone"),
        pytest.param("instance_address", "10.2.0.10/255.255.255.0", NO_LENGTH, AN_ADDRESS, id="address-netmask"),
        pytest.param("instance_address", "10.2.0.10/0.0.0.255", NO_LENGTH, AN_ADDRESS, id="address-hostmask"),
        pytest.param("instance_address", "10.2.0.10/024", NO_LENGTH, AN_ADDRESS, id="address-leading-zero"),
        *[
            pytest.param("instance_address", address, "is no address with a prefix length", AN_ADDRESS, id=f"address-{name}")
            for name, address in {
                "text": "x/24",
                "too-large": "10.2.0.256/24",
                "length": "10.2.0.10/33",
                "no-length": "10.2.0.10/",
                "slashes": "10.2.0.10/24/24",
                "space": " 10.2.0.10/24",
                "line-break": "10.2.0.10/24\n",
                "ipv6": "fd00::1/64",
                "octal": "010.2.0.10/24",
            }.items()
        ],
        *[
            pytest.param("instance_address", address, f"{address} is no host of its network", AN_ADDRESS, id=f"address-{name}")
            for name, address in {
                "network": "10.2.0.0/24",
                "broadcast": "10.2.0.255/24",
                "31": "10.2.0.10/31",
                "32": "10.2.0.10/32",
            }.items()
        ],
        pytest.param("instance_gateway", "x", "'x' is no other host of the instance network", "such as 10.2.0.1", id="gateway"),
        pytest.param(
            "instance_gateway", "10.2.0.1/24", "is no other host of the instance network", "such as 10.2.0.1", id="gateway-length"
        ),
        pytest.param("instance_nameservers", ["x"], "'x' is no IPv4 address", "[10.2.0.1]", id="nameserver"),
        pytest.param("instance_nameservers", ["9.9.9.9", "fd00::1"], "'fd00::1' is no IPv4 address", "[10.2.0.1]", id="nameserver-ipv6"),
        pytest.param("instance_nameservers", "x", "'x' is no IPv4 address", "[10.2.0.1]", id="nameserver-text"),
        pytest.param("instance_nameservers", "9.9.9.9, 8.8.8.8", "' 8.8.8.8' is no IPv4", "[10.2.0.1]", id="nameservers-comma-space"),
        pytest.param("instance_nameservers", "", "'' is no IPv4 address", "[10.2.0.1]", id="nameserver-empty"),
        pytest.param("instance_nameservers", [None], "None is no IPv4 address", "[10.2.0.1]", id="nameserver-null"),
        pytest.param("instance_nameservers", 5, "'5' is no IPv4 address", "[10.2.0.1]", id="nameserver-number"),
        *[
            pytest.param("instance_authorized_keys", keys, NEED_A_LINE, "'ssh-ed25519 AAAA... admin'", id=f"keys-{name}")
            for name, keys in {
                "not-set": GONE,
                "null": None,
                "empty": "",
                "none": [],
                "blank": [" ", "\n"],
                "list-of-null": [None],
                "commas": ",",
            }.items()
        ],
        *[
            pytest.param("instance_authorized_keys", keys, ONE_LINE, "write a list, one key an entry", id=f"keys-{name}")
            for name, keys in {"block": f"{KEY}\n{KEY}\n", "entry": [f"{KEY}\n{KEY}"], "second": [KEY, f"{KEY}\n\n{KEY}\n"]}.items()
        ],
    ],
)
def test_a_wrong_value_is_one_mistake(variable, value, wrong, right):
    check(find(**{variable: value}), "web1", variable, wrong, right)


@pytest.mark.parametrize(
    "gateway", ["10.3.0.1", "10.2.0.0", "10.2.0.255", "10.2.0.10", "x"], ids=["elsewhere", "network", "broadcast", "itself", "text"]
)
def test_a_gateway_is_another_host_of_the_network(gateway):
    found = find(instance_address="10.2.0.10/24", instance_gateway=gateway)
    check(found, "web1", "instance_gateway", f"{gateway!r} is no other host of 10.2.0.0/24", "such as 10.2.0.1")


def test_a_gateway_is_not_held_against_an_address_that_is_wrong():
    check(find(instance_address="10.2.0.0/24", instance_gateway="10.9.0.1"), "web1", "instance_address", "is no host", AN_ADDRESS)


def test_each_nameserver_that_is_wrong_is_named():
    found = find(instance_nameservers=["x", "9.9.9.9", "y"])
    assert [mistake.problem.split(" ")[0] for mistake in found] == ["'x'", "'y'"]


def test_without_hardware_nodes_there_is_no_node_to_name():
    found = find_all({"web1": {"instance_node": "hn1"}}, {"hardware_nodes": []})
    check(found[1:], "web1", "instance_node", "'hn1' is no HardwareNode", "these are: none")


@pytest.mark.parametrize(
    ("address", "own"),
    [
        pytest.param("10.0.0.10/24", BOOT, id="boot"),
        pytest.param("10.1.0.10/24", STORAGE, id="storage"),
        pytest.param("10.0.0.10/30", BOOT, id="a-part-of-it"),
        pytest.param("10.0.9.10/16", BOOT, id="more-than-it"),
    ],
)
def test_instances_are_kept_off_the_nodes_networks(address, own):
    check(find(instance_address=address), "web1", "instance_address", f"{address} lies in {own}", "a network of their own")


def test_a_network_that_holds_both_of_the_nodes_is_held_against_both():
    found = find(instance_address="10.2.0.10/8")
    assert [(mistake.host, mistake.variable) for mistake in found] == [("web1", "instance_address")] * 2
    assert [str(own) in mistake.problem for own, mistake in zip((BOOT, STORAGE), found, strict=True)] == [True, True]


@pytest.mark.parametrize("own", [(), (STORAGE,)], ids=["none-can-be-read", "storage-only"])
def test_only_the_networks_that_there_are_are_kept_off(own):
    assert find(own=own, instance_address="10.0.0.10/24") == []


@pytest.mark.parametrize("written", ["{}", "  {}\n"], ids=["same", "spaces"])
def test_two_instances_with_one_mac_are_a_mistake_of_the_second(written):
    found = find_all({"web1": {"instance_mac": MAC.upper().replace(":", "-")}, "web2": {"instance_mac": written.format(MAC)}, "web3": {}})
    check(found, "web2", "instance_mac", f"MAC {MAC} belongs to web1 already", "give web2 another")


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("machine", MACHINES)
def test_a_mac_of_a_machine_is_no_instances_mac(machine, card):
    hosts, groups = inventory({"web1": {}})
    hosts["web1"]["instance_mac"] = hosts[machine][card].upper()
    check(list(_inventory_instances.find(hosts, groups, [])), "web1", "instance_mac", f"belongs to {machine} already", "give web1 another")


@pytest.mark.parametrize("second", ["10.2.0.10/24", "10.2.0.10/16"], ids=["same", "another-length"])
def test_two_instances_with_one_address_are_a_mistake_of_the_second(second):
    found = find_all({"web1": {"instance_address": "10.2.0.10/24"}, "web2": {"instance_address": second}}, own=[])
    check(found, "web2", "instance_address", "address 10.2.0.10 belongs to web1 already", "give web2 another")


def test_the_first_is_the_owner_however_many_there_are():
    found = find_all({f"web{number}": {"instance_mac": MAC, "instance_address": "10.2.0.10/24"} for number in (1, 2, 3)})
    assert [(mistake.host, mistake.variable) for mistake in found] == [
        *[("web2", "instance_mac"), ("web3", "instance_mac")],
        *[("web2", "instance_address"), ("web3", "instance_address")],
    ]
    assert all("belongs to web1 already" in mistake.problem for mistake in found)


@pytest.mark.parametrize("variable", ["instance_mac", "instance_address"])
def test_what_is_malformed_belongs_to_nobody(variable):
    found = find_all({name: {variable: "x\ny"} for name in ("web1", "web2")})
    assert [(mistake.host, "belongs" in mistake.problem) for mistake in found] == [("web1", False), ("web2", False)]


def test_what_is_not_set_is_not_shared():
    assert find_all({"web1": {}, "web2": {"instance_mac": "", "instance_address": None}, "web3": dict.fromkeys(MAY_BE_EMPTY, "")}) == []


def test_several_mistakes_are_found_together():
    found = find_all(
        {
            "Web1": {"instance_memory": 1, "instance_vcpus": 0, "instance_node": "hn9", "instance_disk_size": "x"},
            "web2": {"instance_template": "X", "instance_mac": "x", "instance_address": "x", "instance_gateway": "x"},
            "web3": {"instance_nameservers": ["x"], "instance_authorized_keys": [], "instance_mac": "52:54:00:00:00:00"},
            "web4": {},
        },
        {"storage_nodes": []},
    )
    assert [(mistake.host, mistake.variable.removeprefix("instance_")) for mistake in found] == [
        ("all", "group storage_nodes"),
        *[("Web1", what) for what in ("host name", "memory", "vcpus", "node", "disk_size")],
        *[("web2", what) for what in ("template", "mac", "address", "gateway")],
        *[("web3", what) for what in ("nameservers", "authorized_keys", "mac")],
    ]


def test_instances_are_looked_at_with_the_rest_of_the_inventory():
    hosts, groups = inventory({"hn1": {"instance_address": "10.0.0.10/24"}})
    hosts["cn1"] = {"config_node_boot_network": "10.0.0.0/24", "node_address": "10.0.0.1"}
    known = dict.fromkeys([variable for variables in hosts.values() for variable in variables], lambda _value: "")
    found = _inventory.find(hosts, groups, known)
    problem = "10.0.0.10/24 lies in 10.0.0.0/24, which instances are kept off; give the instances a network of their own"
    assert Mistake("hn1", "instance_address", problem) in found
    assert Mistake("hn1", "groups", "is in hardware_nodes and in instances; a machine is one of them") in found


NASTY = st.sampled_from(["", " ", "\n", ",", "'", '"', "/", "..", "{{ x }}", "\0", "hn2", "sn1", MAC, "10.0.0.1", "10.2.0.0/24", "é", "0"])
ADDRESS = st.integers(0, 255).map(lambda number: f"10.2.0.{number}") | st.ip_addresses(v=4).map(str)
MACS = st.from_regex(_names.MAC, fullmatch=True) | st.from_regex(r"([0-9A-Fa-f]{2}-){5}[0-9A-F]{2}", fullmatch=True)
RIGHT = {
    "instance_state": st.sampled_from(["running", "stopped", "absent"]),
    "instance_node": st.sampled_from(["", "hn1", "hn2"]),
    "instance_memory": st.integers(64, 4096),
    "instance_vcpus": st.integers(1, 8),
    "instance_template": st.sampled_from(["debian", "debian-0123456789abcdef"]),
    "instance_disk_size": st.from_regex(r"[1-9][0-9]{0,3}[MGT]", fullmatch=True),
    "instance_volume_export": st.sampled_from(["", "aoe", "nvme"]),
    "instance_mac": st.just("") | MACS,
    "instance_address": st.sampled_from(["", "10.2.0.10/24"]) | st.builds("{}/{}".format, ADDRESS, st.integers(0, 33)),
    "instance_gateway": st.sampled_from(["", "10.2.0.1"]) | ADDRESS,
    "instance_nameservers": st.lists(ADDRESS, max_size=2),
    "instance_authorized_keys": st.lists(st.just(KEY) | NASTY, max_size=2).map(lambda keys: [KEY, *keys]),
    "instance_delete_volumes": st.booleans(),
    "instance_dead_nodes": st.lists(st.sampled_from(["hn1", "hn2"]), max_size=2),
}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | NASTY | st.text(max_size=20)
ANYTHING = st.recursive(SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(NASTY, part, max_size=2), max_leaves=4)


def near(right):
    """Return values that are right, nearly right, or anything."""
    text = right.map(str)
    return right | text | st.builds("{}{}".format, text, NASTY) | st.builds("{}{}".format, NASTY, text) | ANYTHING


ANY_VARIABLES = st.fixed_dictionaries({}, optional={variable: near(right) for variable, right in RIGHT.items()})
NEARLY_RIGHT = st.tuples(
    st.fixed_dictionaries({}, optional=RIGHT),
    st.sampled_from(sorted(RIGHT)).flatmap(lambda variable: st.fixed_dictionaries({variable: near(RIGHT[variable])})),
).map(lambda parts: {**GOOD, **parts[0], **parts[1]})
NAMES = st.from_regex(_names.HOST, fullmatch=True)
ANY_NAME = (
    NAMES
    | NASTY
    | st.text(max_size=70)
    | st.builds("{}{}".format, NAMES, NASTY | st.sampled_from([_xen_host.ARRIVING, _xen_host.LEAVING]))
    | st.builds("{}{}".format, st.sampled_from(["snapshot", "pvmove", "-"]), NAMES)
)


def test_every_variable_is_tried():
    assert RIGHT.keys() == ALL_SET.keys() == OPTIONS.keys()


@given(st.dictionaries(ANY_NAME, ANY_VARIABLES, max_size=3), st.lists(st.sampled_from([BOOT, STORAGE])))
@example({"web1": dict.fromkeys(ALL_SET, float("inf"))}, [])
@example({"web1": dict.fromkeys(ALL_SET, "Infinity")}, [])
@example({"web1": dict.fromkeys(ALL_SET, float("nan"))}, [])
def test_whatever_the_values_the_search_ends_and_says_one_line_of_each_mistake(instances, own):
    instances = {name: variables for name, variables in instances.items() if name not in MACHINES}
    found = find_all(instances, own=own)
    assert {mistake.host for mistake in found} <= instances.keys()
    assert {mistake.variable for mistake in found} <= {"host name", *OPTIONS}
    assert [mistake.problem for mistake in found if len(mistake.problem.splitlines()) != 1] == []


def converted(spec, values):
    """Return values as a module with that spec has them."""
    result = ArgumentSpecValidator(spec).validate(values)
    assert result.error_messages == []
    return result.validated_parameters


def is_of_right_types(variables):
    """Whether what checks types and choices, before this, finds nothing."""
    given_values = {variable: value for variable, value in variables.items() if value is not None}
    try:
        return not ArgumentSpecValidator(OPTIONS).validate(given_values).error_messages
    except OverflowError:
        return False


def serve(name, variables):
    """Hand an instance to all that serves it, as the role does, and return what cloud-init reads. Raises ValueError where it is refused."""
    (wanted,) = wanted_instances({name: variables}, {"instances": [name]})
    asked = converted(instance_records.INSTANCE, {key: wanted[key] for key in instance_records.INSTANCE})
    record = _instance_records.allocate([asked], {}, CA)["instances"][name]
    for kind, address in record["volumes"].items():
        _volumes.check(f"{name}-{kind}", address, {})
    template = converted({"templates": {"type": "list", "elements": "str"}}, {"templates": [wanted["template"]]})["templates"][0]
    origin = template_volumes.resolve(template, {"debian": "debian-0123456789abcdef"}, False)
    there = {origin: _volumes.Volume(origin, "bareroot_half0", 1 << 20)}
    size = converted({"size": {"type": "str"}}, {"size": wanted["disk_size"]})["size"]
    options = {"name": f"{name}-root", "size": size, "template": origin, "export": "aoe", "address": record["volumes"]["root"]}
    _volumes.wanted(options, there, [])
    placed = {
        **{key: wanted[key] for key in ("name", "memory", "vcpus", "dead_nodes")},
        "node": wanted["node"] or "hn1",
        "uuid": record["uuid"],
        "mac": record["mac"],
        "volumes": list(record["volumes"].values()),
    }
    instance_module.check(converted(instance_module.SPEC, placed))
    seed = instance_records.result(asked, record)["seed"]
    return {file: yaml.safe_load(text) for file, text in seed.items()}


def can_be_used(personality):
    """Say of a personality whether its instance reaches others and somebody can log in."""
    card = personality["network-config"]["ethernets"]["instance"]
    for text in card.get("addresses", []):
        interface = IPv4Interface(text)
        assert str(interface) == text
        assert interface.network.network_address < interface.ip < interface.network.broadcast_address
        assert not any(interface.network.overlaps(own) for own in (BOOT, STORAGE))
        assert all(IPv4Address(route["via"]) in interface.network for route in card.get("routes", []))
    assert all(IPv4Address(route["via"]) for route in card.get("routes", []))
    assert all(IPv4Address(server) for server in card.get("nameservers", {}).get("addresses", []))
    (user,) = personality["user-data"]["users"]
    keys = [key.strip() for key in user["ssh_authorized_keys"]]
    assert any(keys)
    assert not any("\n" in key for key in keys)
    return True


@settings(max_examples=300)
@given(st.sampled_from(["web1", "a"]) | NAMES, NEARLY_RIGHT)
@example("web1", ALL_SET)
@example("a" * 58, GOOD)
@example("web1", {**GOOD, "instance_nameservers": "x"})
@example("web1", {**GOOD, "instance_nameservers": ""})
@example("web1", {**GOOD, "instance_memory": "1"})
@example("web1", {**GOOD, "instance_template": ""})
@example("web1", {**GOOD, "instance_authorized_keys": ","})
@example("web1", {**GOOD, "instance_address": "10.2.0.10/255.255.255.0"})
def test_an_instance_without_mistakes_is_refused_nowhere(name, variables):
    assume(name not in MACHINES and is_of_right_types(variables))
    if find_all({name: variables}) == []:
        assert can_be_used(serve(name, variables))


@given(ANY_NAME)
def test_a_name_is_a_mistake_where_something_refuses_it(name):
    assume(name not in MACHINES)
    try:
        personality = serve(name, GOOD)
    except ValueError:
        assert [mistake.variable for mistake in find_all({name: {}})] == ["host name"]
    else:
        assert personality["meta-data"]["local-hostname"] == name
