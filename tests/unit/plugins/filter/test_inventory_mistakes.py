from __future__ import annotations

from collections import UserDict
from pathlib import Path

import jinja2
import pytest
from ansible.errors import AnsibleFilterError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.filter import inventory_mistakes as filter_file
from plugins.filter.boot_nodes import boot_nodes
from plugins.module_utils import _addresses, _boot_tree, _inventory, _names

inventory_mistakes = filter_file.FilterModule().filters()["inventory_mistakes"]

OPTIONS = filter_file.options_of_roles()
UNDEFINED = jinja2.StrictUndefined(name="nowhere")
SETTINGS = {"config_node_boot_network": "10.0.0.0/24", "node_authorized_keys": ["ssh-ed25519 AAAA admin"]}
GROUPS = {"config_nodes": ["cn1"], "storage_nodes": ["sn1"], "hardware_nodes": ["hn1", "hn2", "hn3", "hn4", "hn5"]}
NEEDED = {"node_mac", "node_authorized_keys"}
HARDWARE = GROUPS["hardware_nodes"]
INVENTORIES = Path(__file__).parents[4] / "inventory"


class Unreadable(UserDict):
    """Stands for the variables of a host with templates that fail."""

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture(autouse=True, scope="module")
def specs_are_read_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filter_file, "options_of_roles", lambda: OPTIONS)
        yield


def inventory(changes=None, first="hn1"):
    """Return hostvars and groups of a right inventory with changes: {host: its variables}. The first HardwareNode has any name."""
    hardware = [first, *HARDWARE[1:]]
    hosts = {
        "cn1": {**SETTINGS, "node_address": "10.0.0.1"},
        "sn1": {**SETTINGS, "node_mac": "52:54:00:00:00:11", "storage_node_disks": ["/dev/disk/by-id/ata-A"]},
        **{name: {**SETTINGS, "node_mac": f"52:54:00:00:00:2{number}"} for number, name in enumerate(hardware)},
    }
    hosts = {name: Unreadable({**variables, **(changes or {}).get(name, {})}) for name, variables in hosts.items()}
    return hosts, {**GROUPS, "hardware_nodes": hardware, "all": list(hosts)}


def mistakes(changes=None):
    return inventory_mistakes(*inventory(changes))


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="what-is-needed"),
        pytest.param({"ansible_host": 5, "inventory_hostname": UNDEFINED, "colour": ValueError("x")}, id="of-others"),
        pytest.param({"hardware_node_dom0_memory": "2048", "node_boot_timeout": 60.0}, id="converted-as-ansible-does"),
        pytest.param({"lab_networks": {"boot": "10.77.0.0/24", "bmc": "10.76.0.0/24"}}, id="dict"),
        pytest.param({"node_image_kinds": ("xen", "storage"), "node_image_packages": []}, id="lists"),
        pytest.param({"node_image_pin": "xen-0123456789abcdef", "hardware_node_root": "nfs"}, id="strings"),
    ],
)
def test_a_right_inventory_gives_nothing(variables):
    assert mistakes({"hn1": variables}) == []


@pytest.mark.parametrize("variable", sorted(name for name, spec in OPTIONS.items() if "choices" not in spec and name not in NEEDED))
def test_a_variable_without_a_value_is_as_good_as_none(variable):
    assert mistakes({"hn1": {variable: None}}) == []


@pytest.mark.parametrize(
    ("variable", "value", "parts"),
    [
        ("hardware_node_root", "disk", ["must be one of: aoe, nfs, ram", "got: disk"]),
        ("hardware_node_dom0_memory", "lots", ["lots", "int"]),
        ("hardware_node_dom0_memory", [1024], ["list", "int"]),
        ("storage_node_wipe_disks", "perhaps", ["perhaps", "bool"]),
        ("node_authorized_keys", {"admin": "ssh-ed25519 A"}, ["dict", "list"]),
        ("node_image_kinds", ["xen", "kvm"], ["must be one or more of: storage, xen", "kvm"]),
        ("node_image_mirror", {"mian": "http://x"}, ["mian", "main, security"]),
        ("node_image_mirror", "x", ["dict"]),
        ("lab_networks", {"boot": "10.77.0.0/24"}, ["missing", "bmc"]),
        ("node_image_pin", "xen", ["'xen' is no xen image's name", "xen-0123456789abcdef"]),
        ("node_mac", 5254, ["5254 is no MAC", "'52:54:00:12:34:56', in quotes"]),
        ("hardware_node_dom0_mem", 1024, ["is no variable of bareroot; did you mean hardware_node_dom0_memory"]),
        ("lab_colour", "red", ["is no variable of bareroot; docs/inventory-reference.md lists them all"]),
    ],
    ids=["choice", "int", "int-list", "bool", "list", "list-choice", "dict-key", "dict", "dict-lacks", "pin", "mac", "typo", "unknown"],
)
def test_a_mistake_is_one_line_with_host_variable_and_what_is_right(variable, value, parts):
    (line,) = mistakes({"hn1": {variable: value}})
    assert line.startswith(f"hn1: {variable}: ")
    assert all(part in line for part in parts)


def test_several_mistakes_come_together_and_hosts_with_the_same_share_a_line():
    changes = {name: {"hardware_node_root": "disk"} for name in HARDWARE}
    changes["sn1"] = {"storage_node_disks": None}
    changes["cn1"] = {"node_address": "x"}
    assert mistakes(changes) == [
        "hn1, hn2, hn3 and 2 more: hardware_node_root: value of hardware_node_root must be one of: aoe, nfs, ram, got: disk",
        "cn1: node_address: address 'x' is not an IPv4 address; write it as 10.0.0.1",
        "sn1: storage_node_disks: names no disks, or more than two; write [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]",
    ]


@pytest.mark.parametrize(
    "value",
    [
        UNDEFINED,
        [UNDEFINED],
        ["a", [UNDEFINED]],
        ("a", UNDEFINED),
        {"a": UNDEFINED},
        {"a": [{"b": UNDEFINED}]},
        [Unreadable(a=KeyError("'nowhere' is undefined"))],
        ValueError("'nowhere' is undefined"),
        jinja2.TemplateSyntaxError("'nowhere' is undefined", 1),
    ],
    ids=["value", "list", "list-in-list", "tuple", "dict", "list-in-dict", "dict-that-raises", "raises", "syntax"],
)
@pytest.mark.parametrize("variable", ["node_mac", "storage_node_disks", "node_unknown"])
def test_a_value_that_cannot_be_read_is_reported_and_nothing_else(variable, value):
    (line,) = mistakes({"hn2": {variable: value}, "hn1": {"node_mac": "x", "lab_colour": 1}, "sn1": {"storage_node_disks": []}})
    assert line.startswith(f"hn2: {variable}: cannot be read: ")
    assert "'nowhere' is undefined" in line


def test_all_values_that_cannot_be_read_are_reported_and_shared():
    assert mistakes({"cn1": {"config_node_log_size": UNDEFINED}, **{name: {"node_mac": UNDEFINED} for name in HARDWARE}}) == [
        "cn1: config_node_log_size: cannot be read: 'nowhere' is undefined; write it as 4G",
        "hn1, hn2, hn3 and 2 more: node_mac: cannot be read: 'nowhere' is undefined; write it as \"52:54:00:12:34:56\"",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": ("b", {1: [None]})}, {"a": ["b", {"1": [None]}]}),
        ([True, 1, 1.5, "x", None], [True, 1, 1.5, "x", None]),
        (jinja2.Undefined(name="x"), ""),
    ],
    ids=["nested", "scalars", "object"],
)
def test_what_templates_give_becomes_plain(value, expected):
    assert filter_file.plain(value) == expected


def test_the_variables_of_all_roles_are_known():
    assert {
        "config_node_boot_network",
        "hardware_node_root",
        "lab_memory",
        "node_mac",
        "node_image_pin",
        "storage_node_disks",
    } <= OPTIONS.keys()


def test_what_is_looked_for_by_name_is_a_variable_of_a_role():
    assert {*_inventory.PER_MACHINE, *_inventory.TEXTS} <= OPTIONS.keys()


NASTY = st.sampled_from(
    ["", " ", "\n", "'", '"', "/", "..", "{{ x }}", "\0", "localhost", "hn2", "cn1", "52:54:00:00:00:11", "10.0.0.1", "é"]
)
RIGHT = {
    "host name": st.from_regex(_names.HOST, fullmatch=True),
    "node_mac": st.from_regex(_names.MAC, fullmatch=True) | st.from_regex(r"([0-9A-Fa-f]{2}-){5}[0-9A-F]{2}", fullmatch=True),
    "node_address": st.integers(0, 255).map(lambda number: f"10.0.0.{number}") | st.ip_addresses(v=4).map(str),
    "node_image_pin": st.from_regex(r"xen-[0-9a-f]{16}", fullmatch=True),
}


def written(variable):
    """Return texts that are right, nearly right, or anything."""
    right = RIGHT[variable]
    return st.tuples(
        st.just(variable), right | NASTY | st.text() | st.builds("{}{}".format, right, NASTY) | st.builds("{}{}".format, NASTY, right)
    )


def is_served(hosts, groups):
    """Whether these machines get what they boot from, and an address."""
    try:
        nodes = [{"instance_mac": "", "bmc_mac": "", **node} for node in boot_nodes(hosts, groups)]
        _boot_tree.check_nodes(nodes)
        network = _addresses.parse_network(SETTINGS["config_node_boot_network"], "network")
        _addresses.allocate([(node["name"], node["address"]) for node in nodes], {}, "", network, {"10.0.0.1": "cn1"})
    except (AnsibleFilterError, ValueError):
        return False
    return True


@settings(max_examples=60)
@given(st.one_of([written(variable) for variable in RIGHT]))
def test_a_text_is_a_mistake_exactly_when_it_could_not_be_served(case):
    variable, text = case
    if variable == "host name":
        hosts, groups = inventory(first=text) if text not in ("cn1", "sn1", *HARDWARE) else inventory()
    else:
        hosts, groups = inventory({"hn1": {variable: text}})
    found = inventory_mistakes(hosts, groups)
    assert is_served(hosts, groups) is (not found)
    assert all(f": {variable}: " in line for line in found)


@settings(max_examples=60)
@given(st.sampled_from(sorted(OPTIONS)), NASTY | st.text(), st.sampled_from(["cn1", "sn1", "hn1"]))
def test_no_text_anywhere_stops_the_search(variable, text, host):
    (line,) = [line for line in mistakes({host: {variable: text}, "hn5": {"lab_colour": 1}}) if "lab_colour" in line]
    assert line.startswith("hn5: ")


@pytest.mark.parametrize("value", [5, True, [None]], ids=["number", "bool", "list"])
def test_what_is_no_dictionary_is_a_mistake_and_no_crash(value):
    (line,) = mistakes({"hn1": {"lab_networks": value}})
    assert line.startswith("hn1: lab_networks: ")


def read(name, **variables):
    """Return hostvars and groups of one of this project's inventories as playbooks have them; each host has these variables too."""
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[str(INVENTORIES / name)])
    # Whoever runs this may have no key.
    for host in manager.get_hosts():
        for variable, value in {"node_authorized_keys": SETTINGS["node_authorized_keys"], **variables}.items():
            host.set_variable(variable, value)
    hostvars = HostVars(manager, VariableManager(loader=loader, inventory=manager), loader)
    return hostvars, manager.get_groups_dict()


@pytest.mark.parametrize("name", ["sample", "lab"])
def test_our_own_inventories_have_instances_and_no_mistakes(name):
    hostvars, groups = read(name)
    assert groups["instances"]
    assert hostvars[groups["instances"][0]]["instance_authorized_keys"] == SETTINGS["node_authorized_keys"]
    assert inventory_mistakes(hostvars, groups) == []


@pytest.mark.parametrize("name", ["sample", "lab"])
def test_what_is_wrong_in_them_is_found(name):
    hostvars, groups = read(name, instance_memory="8", node_address="x")
    lines = inventory_mistakes(hostvars, groups)
    assert "web1: instance_memory: 8 MiB is too little; give it 64 MiB or more" in lines
    assert len([line for line in lines if line.startswith("cn1, sn1, hn1 and 1 more: node_address: ")]) == 1


WEB = {"instance_authorized_keys": ["ssh-ed25519 AAAA admin"], "instance_address": "10.2.0.10/24"}


def with_instances(changes, **instances):
    """Return the mistakes of an inventory with instances. changes: of machines."""
    hosts, groups = inventory(changes)
    hosts.update({name: Unreadable({**SETTINGS, **variables}) for name, variables in instances.items()})
    return inventory_mistakes(hosts, {**groups, "instances": list(instances), "all": list(hosts)})


def test_right_instances_give_nothing():
    web2 = {"instance_address": "10.2.0.11/24", "instance_memory": "512", "instance_delete_volumes": "true", "instance_node": None}
    assert with_instances({}, web1=WEB, web2={**WEB, **web2}, web3={**WEB, "instance_address": None}) == []


@pytest.mark.parametrize(
    ("variable", "value", "parts"),
    [
        ("instance_state", "started", ["must be one of: running, stopped, absent", "got: started"]),
        ("instance_memory", "lots", ["lots", "int"]),
        ("instance_memory", "32", ["32 MiB is too little", "64 MiB or more"]),
        ("instance_delete_volumes", "perhaps", ["perhaps", "bool"]),
        ("instance_nameservers", {"a": "9.9.9.9"}, ["dict", "list"]),
        ("instance_disk_size", "10", ["size '10'", "such as 10G"]),
        ("instance_mac", "52:54:00:00:00:20", ["belongs to hn1 already", "give web1 another"]),
        ("instance_address", "10.0.0.10/24", ["lies in 10.0.0.0/24", "a network of their own"]),
        ("instance_disc_size", "10G", ["is no variable of bareroot; did you mean instance_disk_size"]),
    ],
    ids=["choice", "int", "least", "bool", "list", "size", "mac", "address", "typo"],
)
def test_a_mistake_of_an_instance_is_one_line_too(variable, value, parts):
    (line,) = with_instances({}, web1={**WEB, variable: value})
    assert line.startswith(f"web1: {variable}: ")
    assert all(part in line for part in parts)


def test_mistakes_of_instances_and_nodes_come_together():
    changes = {"sn1": {"storage_node_disks": None}, "hn1": {"node_mac": "x", "hardware_node_root": "disk"}}
    web2 = {"instance_node": "hn9", "instance_vcpus": 0}
    assert with_instances(changes, web1={**WEB, "instance_node": "hn9"}, web2={**WEB, **web2}) == [
        "hn1: hardware_node_root: value of hardware_node_root must be one of: aoe, nfs, ram, got: disk",
        "hn1: node_mac: 'x' is no MAC; write it as '52:54:00:12:34:56', in quotes",
        "sn1: storage_node_disks: names no disks, or more than two; write [/dev/disk/by-id/ata-A, /dev/disk/by-id/ata-B]",
        "web1, web2: instance_node: 'hn9' is no HardwareNode; these are: hn1, hn2, hn3, hn4, hn5",
        "web2: instance_vcpus: 0 is too little; give it 1 or more",
        "web2: instance_address: address 10.2.0.10 belongs to web1 already; give web2 another",
    ]


def test_a_value_of_an_instance_that_cannot_be_read_is_reported_and_nothing_else():
    (line,) = with_instances({"hn1": {"node_mac": "x"}}, web1={**WEB, "instance_memory": 1, "instance_mac": UNDEFINED})
    assert line.startswith("web1: instance_mac: cannot be read: ")


@pytest.mark.parametrize(
    ("variable", "value", "end"),
    [
        ("hardware_node_dom0_memory", "lots", "; write it as 2048"),
        ("node_authorized_keys", {"admin": "x"}, '; write it as ["ssh-ed25519 AAAA... admin"]'),
        ("node_image_mirror", "x", 'debian-security"}'),
        ("lab_networks", 5, "; write it as {boot: 10.77.0.0/24, bmc: 10.76.0.0/24}"),
        ("storage_node_wipe_disks", "perhaps", "; docs/inventory-reference.md describes it"),
        ("config_node_storage_mtu", "jumbo", "; docs/inventory-reference.md describes it"),
        ("hardware_node_root", "disk", "must be one of: aoe, nfs, ram, got: disk"),
        ("storage_node_images_size", UNDEFINED, "cannot be read: 'nowhere' is undefined; write it as 16G"),
        ("storage_node_wipe_disks", UNDEFINED, "'nowhere' is undefined; docs/inventory-reference.md describes it"),
        ("node_unknown", ValueError("a\n  b"), "cannot be read: a b; docs/inventory-reference.md describes it"),
    ],
    ids=["int", "list", "dict", "no-dict", "bool", "no-example", "choice", "undefined", "undefined-bool", "undefined-unknown"],
)
def test_what_ansible_says_ends_with_what_is_right(variable, value, end):
    (line,) = mistakes({"hn1": {variable: value}})
    assert line.endswith(end)


@pytest.mark.parametrize("variable", sorted(OPTIONS))
def test_every_variable_says_what_is_right(variable):
    assert filter_file.right(OPTIONS[variable]).startswith(("write it as ", "docs/inventory-reference.md"))


def test_what_cannot_be_read_of_a_password_is_not_shown():
    (line,) = mistakes({"hn1": {"node_bmc_password": ValueError("template error in 'hunter2{{'")}})
    assert line.startswith("hn1: node_bmc_password: cannot be read; ")
    assert line.endswith("--ask-vault-pass")


def test_the_type_of_a_secret_is_named_and_not_the_secret():
    spec = {"type": "int", "no_log": True, "description": "A number, for example V(5)."}
    assert filter_file.problem_of(spec, "pin", "hunter2") == "is not of the type int; write it as 5"


@pytest.mark.parametrize("name", ["sample", "lab"])
def test_a_mistyped_group_of_theirs_is_found(name):
    hostvars, groups = read(name)
    groups["hardware_node"] = groups.pop("hardware_nodes")
    assert [line for line in inventory_mistakes(hostvars, groups) if line.startswith("hn1, hn2: groups: is only in hardware_node, ")]
