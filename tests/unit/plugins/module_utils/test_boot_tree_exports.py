"""Root images that StorageNodes export: their AoE addresses, what says so, and what a StorageNode itself gets."""

from __future__ import annotations

import io
import json
import re
import tarfile
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _boot_tree, _identity, _storage_layout, _volumes

ONE, TWO, THREE = (f"xen-{digit * 16}" for digit in "123")
STORAGE = "storage-0123456789abcdef"
FILES = ("root.squashfs", "vmlinuz", "initrd", "xen", "xen.efi")


def hardware(number=1, image="", root="aoe", **options):
    return node(number, name=f"hn{number}", role="hardware", image_kind="xen", image=image, root=root, **options)


def storage(number=9, **options):
    return node(number, name=f"sn{number}", role="storage", image_kind="storage", image="", root="ram", **options)


def node(number, **options):
    return {
        "mac": f"52:54:00:00:00:{number:02x}",
        "address": f"10.0.0.{10 + number}",
        "dom0_memory": 1024,
        "storage_mac": f"52:54:00:00:01:{number:02x}",
        "instance_mac": "",
        "bmc_mac": "",
        "authorized_keys": ["ssh-ed25519 AAAA admin"],
        **options,
    }


class ConfigNode:
    """A ConfigNode's directories, with images published, and what is rendered from them. Records are kept as the module keeps them."""

    def __init__(self, base):
        self.base = base
        (base / "ca").write_text(_identity.new_host_key())
        for number, name in enumerate((ONE, TWO, THREE, STORAGE)):
            (base / "images" / name).mkdir(parents=True)
            files = {file: {"sha256": f"{number}" * 64, "size": 1000 + number} for file in FILES if name != STORAGE or "xen" not in file}
            (base / "images" / name / "manifest.json").write_text(json.dumps({"name": name, "files": files}))
        self.publish(ONE)

    def publish(self, name):
        (self.base / "images" / "current.json").write_text(json.dumps({"xen": name, "storage": STORAGE}))

    def render(self, *nodes, keep=True, **options):
        params = {
            "nodes": list(nodes),
            "server": "10.0.0.1",
            "network": "10.0.0.0/24",
            "address_range": "",
            "storage_network": "10.1.0.0/24",
            "storage_mtu": 1500,
            "bmc_network": "10.3.0.0/24",
            "config_nodes": {"cn1": "10.0.0.1"},
            "token": 10000,
            "directory": str(self.base),
            "state_directory": str(self.base),
            **options,
        }
        files, records = _boot_tree.BootTree(params, check_mode=False).render()
        if keep:
            (self.base / "nodes.json").write_text(json.dumps(records))
        return files, records["exports"]

    def exports(self, *nodes, **options):
        return self.render(*nodes, **options)[1]

    def root_images(self, *nodes, **options):
        return json.loads(self.render(*nodes, **options)[0]["boot"]["root-images.json"])

    def kernel_words(self, number, *nodes, **options):
        script = self.render(*nodes, **options)[0]["boot"][f"52-54-00-00-00-{number:02x}.ipxe"].decode()
        (line,) = [line for line in script.splitlines() if "boot=bareroot" in line]
        return dict(word.partition("=")[::2] for word in line.split())

    def personality(self, number, *nodes, **options):
        data = self.render(*nodes, **options)[0]["personality"][f"10.0.0.{10 + number}.tar"]
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {entry.name: tar.extractfile(entry).read().decode() for entry in tar.getmembers() if entry.isfile()}


@pytest.fixture
def config_node(tmp_path):
    return ConfigNode(tmp_path)


def test_each_image_in_use_has_one_address_however_many_nodes_boot_it(config_node):
    nodes = [hardware(1), hardware(2, TWO), hardware(3, ONE), hardware(4, TWO, "ram"), storage()]
    assert config_node.exports(*nodes) == {ONE: "1000.0", TWO: "1000.1"}


def test_without_a_storage_node_no_image_has_an_address(config_node):
    assert config_node.exports(hardware(1, root="ram")) == {}
    assert config_node.root_images(hardware(1, root="ram")) == {}


def test_without_a_hardware_node_there_is_nothing_to_export(config_node):
    assert config_node.exports(storage()) == {}
    assert config_node.root_images(storage()) == {}


def test_a_second_run_allocates_nothing(config_node):
    first = config_node.render(hardware(1), hardware(2, TWO), storage())
    second = config_node.render(hardware(1), hardware(2, TWO), storage())
    assert first[1] == second[1]
    assert first[0]["boot"] == second[0]["boot"]


def test_an_address_is_kept_whatever_comes_and_goes_and_no_other_image_gets_it(config_node):
    assert config_node.exports(hardware(1, TWO), storage()) == {TWO: "1000.0"}
    config_node.publish(THREE)
    assert config_node.exports(hardware(1), storage()) == {TWO: "1000.0", THREE: "1000.1"}
    assert config_node.exports(hardware(1, ONE), hardware(2, TWO), storage()) == {TWO: "1000.0", THREE: "1000.1", ONE: "1000.2"}
    assert config_node.exports(storage()) == {TWO: "1000.0", THREE: "1000.1", ONE: "1000.2"}
    assert config_node.exports() == {TWO: "1000.0", THREE: "1000.1", ONE: "1000.2"}
    assert config_node.root_images(hardware(1, TWO), storage())[TWO]["aoe"] == "1000.0"


@pytest.mark.parametrize(("before", "address"), [(0, "1000.0"), (254, "1000.254"), (255, "1001.0"), (509, "1001.254"), (510, "1002.0")])
def test_a_shelf_has_255_slots_and_then_comes_the_next(config_node, before, address):
    images = _boot_tree.Images(str(config_node.base), {})
    images.export([f"xen-{number:016x}" for number in range(before)])
    images.export([ONE])
    assert images.exports[ONE] == address


IMAGES = st.lists(st.lists(st.integers(0, 600).map("xen-{:016x}".format) | st.just(""), max_size=40), max_size=8)


@given(IMAGES, st.integers(0, 600))
def test_no_address_ever_belongs_to_two_images_or_changes(runs, before):
    exports = {}
    images = _boot_tree.Images("/nowhere", exports)
    images.export([f"old-{number:016x}" for number in range(before)])
    for names in runs:
        known = dict(images.exports)
        images.export(names)
        assert known.items() <= images.exports.items()
        assert images.exports.keys() == known.keys() | ({*names} - {""})
    assert len(set(images.exports.values())) == len(images.exports)
    for address in images.exports.values():
        shelf, slot = map(int, address.split("."))
        assert shelf >= _volumes.IMAGE_SHELF
        assert 0 <= slot < _volumes.SLOTS
        # So it can never be a volume's.
        with pytest.raises(ValueError, match=f"^address '{address}' of x: "):
            _volumes.check("x", address, {})


def test_the_list_for_storage_nodes_has_what_they_need_to_fetch_and_check(config_node):
    assert config_node.root_images(hardware(1, TWO), hardware(2), storage()) == {
        TWO: {"aoe": "1000.0", "sha256": "1" * 64, "size": 1001},
        ONE: {"aoe": "1000.1", "sha256": "0" * 64, "size": 1000},
    }


def test_the_list_has_only_what_nodes_boot_now(config_node):
    config_node.render(hardware(1, TWO), storage())
    assert config_node.root_images(hardware(1, ONE), storage()).keys() == {ONE}


@pytest.mark.parametrize("root", ["aoe", "nfs"])
@pytest.mark.parametrize("others", [[], [hardware(2, root="ram")]], ids=["alone", "with-another"])
def test_a_root_from_a_storage_node_needs_one(config_node, root, others):
    with pytest.raises(_boot_tree.BadInputError, match=f"^root {root} of hn1 needs a StorageNode, and storage_nodes is empty; use ram$"):
        config_node.render(hardware(1, root=root), *others)
    assert not (config_node.base / "nodes.json").exists()
    config_node.render(hardware(1, root=root), *others, storage())


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("ram", {"bareroot.root": "ram"}),
        ("aoe", {"bareroot.root": "aoe", "bareroot.aoe": "1000.1"}),
        ("nfs", {"bareroot.root": "nfs", "bareroot.nfs": "10.1.0.19"}),
    ],
)
def test_a_node_is_told_where_its_root_is(config_node, root, expected):
    words = config_node.kernel_words(1, hardware(2, TWO), hardware(1, root=root), storage())
    sources = {key: value for key, value in words.items() if key in ("bareroot.root", "bareroot.aoe", "bareroot.nfs")}
    assert sources == expected
    assert words["bareroot.image"] == ONE


def test_nfs_is_on_the_boot_network_where_nobody_has_a_card_for_storage(config_node):
    words = config_node.kernel_words(1, hardware(1, root="nfs", storage_mac=""), storage(storage_mac=""))
    assert words["bareroot.nfs"] == "10.0.0.19"


@pytest.mark.parametrize("mtu", [1500, 9000])
@pytest.mark.parametrize("number", [1, 9], ids=["hardware", "storage"])
def test_the_storage_networks_mtu_reaches_every_node(config_node, mtu, number):
    network = config_node.personality(number, hardware(1), storage(9), storage_mtu=mtu)["etc/bareroot/network"]
    assert dict(line.split("=") for line in network.splitlines()) == {
        "STORAGE_MAC": f"52:54:00:00:01:{number:02x}",
        "STORAGE_ADDRESS": f"10.1.0.{10 + number}/24",
        "STORAGE_MTU": str(mtu),
        "BRIDGE_MAC": "",
        "BRIDGE_NAME": "xenbr0",
        "VOLUMES": {1: "aoe", 9: ""}[number],
        "BMC_MAC": "",
        "BMC_ADDRESS": "",
    }


@pytest.mark.parametrize(
    ("card", "expected"), [("", ("", "")), ("52:54:00:00:03:09", ("52:54:00:00:03:09", "10.3.0.19/24"))], ids=["no-card", "card"]
)
def test_a_storage_node_with_a_card_there_has_its_host_part_on_the_bmcs_network(config_node, card, expected):
    text = config_node.personality(9, storage(9, bmc_mac=card))["etc/bareroot/network"]
    network = dict(line.split("=") for line in text.splitlines())
    assert (network["BMC_MAC"], network["BMC_ADDRESS"]) == expected


STORAGE_ONLY = {
    "etc/exports.d/bareroot.exports",
    *(f"etc/drbd.d/{half}.res" for half in _storage_layout.HALVES),
    *(f"etc/bareroot/{half}.mac" for half in _storage_layout.HALVES),
    "etc/bareroot/nvme-hosts",
}
PAIR_ONLY = {"etc/bareroot/storage-neighbours", "etc/corosync/corosync.conf", "etc/corosync/authkey"}
HARDWARE_ONLY = {"etc/ssh/bareroot_known_hosts", "etc/ssh/bareroot_migration-cert.pub", "etc/bareroot/networks.nft"}


def test_only_a_storage_node_gets_exports_and_halves_and_only_a_hardware_node_what_migrations_need(config_node):
    on_hardware = set(config_node.personality(1, hardware(1), storage(9)))
    on_storage = set(config_node.personality(9, hardware(1), storage(9)))
    assert on_storage - on_hardware == STORAGE_ONLY
    assert on_hardware - on_storage == HARDWARE_ONLY


def target(files, half="half0"):
    """Return what a StorageNode's scripts read of a half."""
    return dict(line.split("=", 1) for line in files[f"etc/bareroot/{half}.nvme"].splitlines())


def test_a_halfs_subsystem_and_address_are_the_same_on_both_storage_nodes_and_stay_so(config_node):
    alone = config_node.personality(9, hardware(1), storage(9))
    nodes = [hardware(1), storage(8), storage(9), hardware(2)]
    of_8, of_9 = (config_node.personality(number, *nodes) for number in (8, 9))
    for half in _storage_layout.HALVES:
        assert target(of_8, half) == target(of_9, half) == target(alone, half)
    assert target(of_8)["SUBSYSTEM"] != target(of_8, "half1")["SUBSYSTEM"]
    addresses = {target(of_8, half)["ADDRESS"] for half in _storage_layout.HALVES}
    assert len(addresses) == 2
    assert all(address.startswith("10.1.0.") and address.endswith("/24") for address in addresses)


def test_each_hardware_node_proves_who_it_is_with_a_key_that_only_storage_nodes_have_too(config_node):
    nodes = [hardware(1), hardware(2), storage(9)]
    first, second, on_storage = (config_node.personality(number, *nodes) for number in (1, 2, 9))
    admitted = dict(line.split(" ") for line in on_storage["etc/bareroot/nvme-hosts"].splitlines())
    said = [dict(word.split("=", 1) for word in files["etc/bareroot/half1.nvme"].strip().split(",")) for files in (first, second)]
    assert {one["hostnqn"]: one["dhchap_secret"] for one in said} == admitted
    assert len(set(admitted.values())) == 2
    half = target(on_storage, "half1")
    assert {(one["nqn"], one["traddr"], one["trsvcid"]) for one in said} == {
        (half["SUBSYSTEM"], half["ADDRESS"].partition("/")[0], half["PORT"])
    }


def test_a_hardware_node_that_is_gone_is_admitted_no_more_and_a_key_stays(config_node):
    before = config_node.personality(9, hardware(1), hardware(2), storage(9))["etc/bareroot/nvme-hosts"].splitlines()
    after = config_node.personality(9, hardware(1), storage(9))["etc/bareroot/nvme-hosts"].splitlines()
    assert len(before) == 2
    assert len(after) == 1
    assert set(after) < set(before)


def test_no_machine_gets_an_address_of_a_half(config_node):
    files = config_node.personality(9, storage(9), hardware(1, address=""))
    taken = target(files)["ADDRESS"].partition("/")[0].replace("10.1.", "10.0.")
    with pytest.raises(ValueError, match=f"address of hn2 {taken} was given to the volumes of half0 before"):
        config_node.render(storage(9), hardware(1, address=""), hardware(2, address=taken))


def test_only_storage_nodes_of_a_pair_get_what_corosync_reads(config_node):
    alone = set(config_node.personality(9, hardware(1), storage(9)))
    nodes = [hardware(1), storage(8), storage(9)]
    assert set(config_node.personality(8, *nodes)) == set(config_node.personality(9, *nodes)) == alone | PAIR_ONLY
    assert not PAIR_ONLY & set(config_node.personality(1, *nodes))


def test_a_storage_node_of_a_pair_asks_its_peer_and_the_first_eight_hardware_nodes_whether_it_is_cut_off(config_node):
    nodes = [*(hardware(number) for number in range(1, 8)), storage(8), storage(9), *(hardware(number) for number in range(10, 14))]
    lines = config_node.personality(8, *nodes)["etc/bareroot/storage-neighbours"].splitlines()
    assert [line.split()[0] for line in lines] == ["sn9", *(f"hn{number}" for number in range(1, 8)), "hn10"]
    assert len({line.split()[1] for line in lines}) == len(lines)
    assert all(line.split()[1].startswith("10.1.0.") for line in lines)


def test_only_a_hardware_nodes_key_is_certified_for_migrations(config_node):
    config_node.render(hardware(1), storage(9))
    records = json.loads((config_node.base / "nodes.json").read_text())["nodes"]
    assert records["hn1"]["migration_certificate"].startswith("ssh-ed25519-cert-v01@openssh.com ")
    assert records["sn9"]["migration_certificate"] == ""


@pytest.mark.parametrize(("card", "network"), [({}, "10.1.0.0/24"), ({"storage_mac": ""}, "10.0.0.0/24")], ids=["card", "no-card"])
def test_images_are_exported_read_only_to_one_network(config_node, card, network):
    text = config_node.personality(9, storage(9, **card))["etc/exports.d/bareroot.exports"]
    directory, clients, options = re.fullmatch(r"(\S+) ([^\s()]+)\(([a-z0-9_,=]+)\)\n", text).groups()
    assert directory == "/srv/bareroot/images"
    assert IPv4Network(clients) == IPv4Network(network)
    assert "ro" in options.split(",")
    assert not {"rw", "no_root_squash"} & set(options.split(","))


@pytest.mark.parametrize(("card", "address"), [({}, "10.1.0.19"), ({"storage_mac": ""}, "10.0.0.19")], ids=["card", "no-card"])
def test_each_half_is_a_resource_on_its_volume(config_node, drbd, card, address):
    inside = config_node.personality(9, storage(9, **card))
    for number, half in enumerate(_storage_layout.HALVES):
        assert drbd(inside[f"etc/drbd.d/{half}.res"]) == {
            f"resource {half} {{}}": {
                "device": f"/dev/drbd{number}",
                "disk": f"/dev/{_storage_layout.GROUP}/{half}",
                "meta-disk": "internal",
                f"on {inside['etc/hostname'].strip()} {{}}": {"address": f"{address}:{7788 + number}"},
            }
        }


CARDS = pytest.mark.parametrize(("card", "network"), [({}, "10.1.0"), ({"storage_mac": ""}, "10.0.0")], ids=["card", "no-card"])


@CARDS
def test_both_storage_nodes_of_a_pair_define_a_half_alike_and_replicate_over_the_storage_network(config_node, drbd, card, network):
    nodes = [storage(8, **card), storage(9, **card)]
    one, other = (config_node.personality(number, *nodes) for number in (8, 9))
    for number, half in enumerate(_storage_layout.HALVES):
        path = f"etc/drbd.d/{half}.res"
        assert one[path] == other[path]
        resource = drbd(one[path])[f"resource {half} {{}}"]
        assert {key: value for key, value in resource.items() if key.startswith("on ")} == {
            "on sn8 {}": {"address": f"{network}.18:{7788 + number}"},
            "on sn9 {}": {"address": f"{network}.19:{7788 + number}"},
        }


def test_what_is_laid_out_on_a_half_is_laid_out_on_its_resources_device(config_node, drbd):
    inside = config_node.personality(9, storage(9))
    plan = _storage_layout.plan(["/dev/a"], "8G", _storage_layout.Observed({"/dev/a": ()}))
    for half in _storage_layout.HALVES:
        (group,) = [command for command in plan if command[0] == "vgcreate" and f"bareroot_{half}" in command]
        assert group[-1] == drbd(inside[f"etc/drbd.d/{half}.res"])[f"resource {half} {{}}"]["device"]
