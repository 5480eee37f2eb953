from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _boot_files, _cluster, _names, _nvme, _personality, _storage_layout

IMAGE_FILES = Path(__file__).parents[4] / "roles/node_image/files"
INITRAMFS = IMAGE_FILES / "common/etc/initramfs-tools/scripts/bareroot"

CERTIFICATE = "ssh-ed25519-cert-v01@openssh.com"
IDENTITY = _personality.Identity(
    machine_id="0" * 32,
    host_key="SECRET\n",
    host_public_key="ssh-ed25519 PUBLIC",
    host_certificate=f"{CERTIFICATE} HOST",
    ca="ssh-ed25519 CA",
    migration_certificate=f"{CERTIFICATE} MIGRATION",
)
NODE = _boot_files.Node(
    name="hn1",
    role="hardware",
    mac="52:54:00:00:00:01",
    address=IPv4Interface("10.0.0.2/24"),
    server="10.0.0.1",
    image=_boot_files.Image("xen-0123456789abcdef", "a" * 64, root_size=1, has_xen=True),
    root="ram",
    storage_mac="52:54:00:00:01:01",
    storage_address=IPv4Interface("10.1.0.2/24"),
    instance_mac="52:54:00:00:02:01",
    authorized_keys=("ssh-ed25519 A one", "ssh-ed25519 B two"),
)
STORAGE_NODE = replace(NODE, name="sn1", role="storage", instance_mac="")
VOTERS = (
    _cluster.Member("cn1", 1, "10.0.0.1"),
    _cluster.Member("sn1", 2, "10.0.0.2", "10.1.0.2"),
    _cluster.Member("sn2", 3, "10.0.0.3", "10.1.0.3"),
)
CLUSTER = _cluster.Cluster(VOTERS, token=10000, key="CLUSTER SECRET")
ONE_OF_A_PAIR = replace(STORAGE_NODE, cluster=CLUSTER, bmc_mac="52:54:00:00:03:01", bmc_address=IPv4Interface("10.3.0.2/24"))
OTHER_OF_THE_PAIR = replace(
    ONE_OF_A_PAIR,
    name="sn2",
    address=IPv4Interface("10.0.0.3/24"),
    storage_address=IPv4Interface("10.1.0.3/24"),
    bmc_address=IPv4Interface("10.3.0.3/24"),
)
FABRIC = _nvme.Fabric(
    "ssh-ed25519 CA",
    {"half0": IPv4Interface("10.1.0.8/24"), "half1": IPv4Interface("10.1.0.9/24")},
    {"hn1": _nvme.Host("0" * 32, "ab" * 32)},
)
IDENTITIES = {"hardware": IDENTITY, "storage": replace(IDENTITY, migration_certificate="")}

all_kinds = pytest.mark.parametrize("node", [NODE, STORAGE_NODE, ONE_OF_A_PAIR], ids=["hardware", "storage", "pair"])


def files_of(node):
    return _personality.personality_files(node, IDENTITIES[node.role], FABRIC)


@pytest.mark.parametrize(
    ("path", "mode", "text"),
    [
        pytest.param("etc/hostname", 0o644, "hn1\n", id="hostname"),
        pytest.param("etc/hosts", 0o644, "127.0.0.1 localhost\n10.0.0.2 hn1\n10.0.0.1 confignode\n", id="hosts"),
        pytest.param("etc/machine-id", 0o444, f"{'0' * 32}\n", id="machine-id"),
        pytest.param("etc/ssh/ssh_host_ed25519_key", 0o600, "SECRET\n", id="host-key"),
        pytest.param("etc/ssh/ssh_host_ed25519_key.pub", 0o644, "ssh-ed25519 PUBLIC\n", id="public-key"),
        pytest.param("etc/ssh/ssh_host_ed25519_key-cert.pub", 0o644, f"{CERTIFICATE} HOST\n", id="certificate"),
        pytest.param("etc/ssh/bareroot_ca.pub", 0o644, "ssh-ed25519 CA\n", id="ca"),
        pytest.param("etc/ssh/bareroot_known_hosts", 0o644, "@cert-authority * ssh-ed25519 CA\n", id="known-hosts"),
        pytest.param("etc/ssh/bareroot_migration-cert.pub", 0o644, f"{CERTIFICATE} MIGRATION\n", id="migration-certificate"),
        pytest.param("root/.ssh/authorized_keys", 0o600, "ssh-ed25519 A one\nssh-ed25519 B two\n", id="authorized-keys"),
        pytest.param(
            "etc/systemd/timesyncd.conf.d/bareroot.conf", 0o644, "[Time]\nNTP=10.0.0.1\nFallbackNTP=\nPollIntervalMaxSec=64\n", id="time"
        ),
        pytest.param("etc/systemd/journal-upload.conf.d/bareroot.conf", 0o644, "[Upload]\nURL=http://10.0.0.1:19532\n", id="journal"),
    ],
)
def test_a_personality_holds(path, mode, text):
    assert _personality.personality_files(NODE, IDENTITY, FABRIC)[path] == (mode, text)


def test_the_nodes_facts_are_json():
    _mode, text = _personality.personality_files(NODE, IDENTITY, FABRIC)["etc/bareroot/node.json"]
    assert json.loads(text) == {
        "name": "hn1",
        "role": "hardware",
        "address": "10.0.0.2/24",
        "storage_address": "10.1.0.2/24",
        "config_node": "10.0.0.1",
        "image": "xen-0123456789abcdef",
        "root": "ram",
    }


def principals(node):
    """Read the list as sshd does: {principal: its options}. A line is options, where there are any, and then the principal."""
    mode, text = files_of(node)["etc/ssh/bareroot_principals"]
    assert mode == 0o644
    return {line.rpartition(" ")[2]: line.rpartition(" ")[0] for line in text.splitlines()}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param(STORAGE_NODE, {"bareroot-config-node": ""}, id="storage"),
        pytest.param(
            NODE,
            {"bareroot-config-node": "", "bareroot-hardware-node": 'restrict,command="/usr/lib/bareroot/migrate-receive"'},
            id="hardware",
        ),
    ],
)
def test_the_config_node_may_do_all_and_another_hardware_node_may_run_one_command(node, expected):
    assert principals(node) == expected


def test_the_one_command_is_a_program_of_the_image():
    command = re.search(r'command="/([^"]+)"', principals(NODE)["bareroot-hardware-node"])[1]
    assert os.access(IMAGE_FILES / "xen" / command, os.X_OK)


HARDWARE_ONLY = {"etc/ssh/bareroot_known_hosts", "etc/ssh/bareroot_migration-cert.pub", "etc/bareroot/networks.nft"}


def test_only_a_hardware_node_knows_hosts_and_has_a_certificate_for_migrations_and_networks_to_keep_guests_off():
    assert set(files_of(NODE)) - set(files_of(STORAGE_NODE)) == HARDWARE_ONLY


@pytest.mark.parametrize(
    ("node", "image_file"),
    [
        pytest.param(NODE, "common/etc/ssh/sshd_config.d/bareroot.conf", id="sshd-hardware"),
        pytest.param(STORAGE_NODE, "common/etc/ssh/sshd_config.d/bareroot.conf", id="sshd-storage"),
        pytest.param(ONE_OF_A_PAIR, "storage/usr/lib/bareroot/storage-up", id="cluster"),
        pytest.param(STORAGE_NODE, "storage/usr/lib/bareroot/nvme-hosts", id="nvme-hosts"),
        pytest.param(NODE, "xen/usr/lib/bareroot/migration_ssh_config", id="migration"),
        pytest.param(NODE, "xen/usr/lib/bareroot/bridge.nft", id="filter"),
    ],
)
def test_what_the_image_refers_to_comes_with_the_personality(node, image_file):
    read = set(re.findall(r"/(etc/[a-z0-9/_.-]+)", (IMAGE_FILES / image_file).read_text()))
    assert read
    assert read <= set(files_of(node))


@pytest.mark.parametrize(
    ("node", "hosts"),
    [
        (STORAGE_NODE, ["10.0.0.2 sn1", "10.0.0.1 confignode"]),
        (ONE_OF_A_PAIR, ["10.0.0.2 sn1", "10.0.0.1 confignode", "10.0.0.1 cn1", "10.0.0.3 sn2"]),
        (OTHER_OF_THE_PAIR, ["10.0.0.3 sn2", "10.0.0.1 confignode", "10.0.0.1 cn1", "10.0.0.2 sn1"]),
    ],
    ids=["alone", "one", "other"],
)
def test_a_storage_node_of_a_pair_knows_the_other_voters_by_name(node, hosts):
    assert files_of(node)["etc/hosts"] == (0o644, "".join(f"{line}\n" for line in ["127.0.0.1 localhost", *hosts]))


@pytest.mark.parametrize("node", [ONE_OF_A_PAIR, OTHER_OF_THE_PAIR], ids=["one", "other"])
def test_each_storage_node_of_a_pair_has_what_corosync_reads(node):
    files = files_of(node)
    assert files["etc/corosync/corosync.conf"] == (0o644, _cluster.corosync_conf(CLUSTER))
    assert files["etc/corosync/authkey"] == (0o400, "CLUSTER SECRET")
    assert [path for path, (_mode, text) in files.items() if "CLUSTER SECRET" in text] == ["etc/corosync/authkey"]
    assert files["etc/bareroot/storage-neighbours"] == (0o644, _cluster.neighbours(CLUSTER, node.name))


@pytest.mark.parametrize("node", [NODE, STORAGE_NODE], ids=["hardware", "alone"])
def test_a_node_outside_a_pair_has_nothing_of_corosync(node):
    assert not [path for path in files_of(node) if "corosync" in path]


def halves(node):
    return {half: files_of(node)[f"etc/drbd.d/{half}.res"] for half in _storage_layout.HALVES}


def test_the_halves_of_a_pair_are_defined_alike_on_both():
    replicas = {"sn1": "10.1.0.2", "sn2": "10.1.0.3"}
    expected = {
        half: (0o644, _cluster.drbd_resource(half, minor, replicas, is_pair=True)) for minor, half in enumerate(_storage_layout.HALVES)
    }
    assert halves(ONE_OF_A_PAIR) == halves(OTHER_OF_THE_PAIR) == expected


def test_a_single_storage_nodes_halves_have_no_peer():
    assert halves(STORAGE_NODE) == {
        half: (0o644, _cluster.drbd_resource(half, minor, {"sn1": "10.1.0.2"}, is_pair=False))
        for minor, half in enumerate(_storage_layout.HALVES)
    }


def half_macs(node, identity=IDENTITIES["storage"]):
    files = _personality.personality_files(node, identity, FABRIC)
    return [files[f"etc/bareroot/{half}.mac"] for half in _storage_layout.HALVES]


def test_a_halfs_card_has_one_mac_on_whichever_storage_node_and_no_other_card_has_it():
    macs = half_macs(ONE_OF_A_PAIR)
    assert all(mode == 0o644 and _names.matches(_names.MAC, text.removesuffix("\n")) for mode, text in macs)
    assert len(set(macs)) == len(_storage_layout.HALVES)
    # A second StorageNode joins while the halves are in use.
    assert half_macs(OTHER_OF_THE_PAIR) == half_macs(STORAGE_NODE) == macs
    assert not set(half_macs(ONE_OF_A_PAIR, replace(IDENTITY, ca="ssh-ed25519 OTHER"))) & set(macs)


def test_the_image_reads_a_halfs_mac_where_the_personality_has_it():
    assert "/etc/bareroot/$half.mac" in (IMAGE_FILES / "storage/usr/lib/bareroot/half").read_text()


def own_networks(node):
    mode, text = files_of(node)["etc/bareroot/networks.nft"]
    assert mode == 0o644
    return [IPv4Network(word) for word in re.fullmatch(r"define own_networks = \{ (.+) \}\n", text)[1].split(", ")]


@pytest.mark.parametrize(
    ("storage_address", "expected"),
    [
        pytest.param(IPv4Interface("10.1.0.2/24"), ["10.0.0.0/24", "10.1.0.0/24"], id="two"),
        pytest.param(IPv4Interface("10.0.0.2/24"), ["10.0.0.0/24"], id="equal"),
        pytest.param(None, ["10.0.0.0/24"], id="no-card"),
    ],
)
def test_guests_are_kept_off_these_networks(storage_address, expected):
    assert own_networks(replace(NODE, storage_address=storage_address)) == [IPv4Network(network) for network in expected]


INTERFACES = st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(8, 30)).map(IPv4Interface)


@given(INTERFACES, st.none() | INTERFACES)
def test_guests_are_kept_off_each_network_once(address, storage_address):
    found = own_networks(replace(NODE, address=address, storage_address=storage_address))
    assert set(found) == {interface.network for interface in (address, storage_address) if interface}
    assert len(set(found)) == len(found)


def test_every_variable_of_the_filter_is_defined():
    read = set(re.findall(r"\$([a-z_]+)", (IMAGE_FILES / "xen/usr/lib/bareroot/bridge.nft").read_text()))
    assert read
    assert read <= set(re.findall(r"^define ([a-z_]+) =", files_of(NODE)["etc/bareroot/networks.nft"][1], re.MULTILINE))


def shell_variables(node):
    _mode, text = files_of(node)["etc/bareroot/network"]
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param(NODE, ("52:54:00:00:01:01", "10.1.0.2/24", "52:54:00:00:02:01", "", ""), id="hardware"),
        pytest.param(ONE_OF_A_PAIR, ("52:54:00:00:01:01", "10.1.0.2/24", "", "52:54:00:00:03:01", "10.3.0.2/24"), id="pair"),
        pytest.param(replace(NODE, storage_mac="", storage_address=None, instance_mac=""), ("", "", "", "", ""), id="boot-network-only"),
    ],
)
def test_the_networks_are_shell_variables(node, expected):
    found = shell_variables(node)
    variables = ("STORAGE_MAC", "STORAGE_ADDRESS", "BRIDGE_MAC", "BMC_MAC", "BMC_ADDRESS")
    assert tuple(found[variable] for variable in variables) == expected


@pytest.mark.parametrize(("node", "expected"), [(NODE, "aoe"), (STORAGE_NODE, "")], ids=["hardware", "storage"])
def test_only_a_hardware_node_uses_volumes(node, expected):
    assert shell_variables(node)["VOLUMES"] == expected


@all_kinds
def test_every_network_variable_that_the_initramfs_reads_is_set(node):
    read = set(re.findall(r"\$\{?((?:STORAGE|BMC|BRIDGE)_[A-Z]+|VOLUMES)", INITRAMFS.read_text()))
    assert {"VOLUMES", "BMC_MAC"} <= read
    assert read <= set(shell_variables(node))


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: (entry, tar.extractfile(entry).read().decode() if entry.isfile() else None) for entry in tar.getmembers()}


@all_kinds
def test_the_tar_reads_back_as_files_of_root_with_their_directories_before_them(node):
    files = files_of(node)
    found = members(_personality.pack(files))
    assert {name: (entry.mode, text) for name, (entry, text) in found.items() if entry.isfile()} == files
    assert all(entry.uid == entry.gid == 0 for entry, _text in found.values())
    order = list(found)
    for name in order:
        parent = name.rpartition("/")[0]
        assert not parent or order.index(parent) < order.index(name)


@pytest.mark.parametrize(("path", "mode"), [("root", 0o700), ("root/.ssh", 0o700), ("etc", 0o755), ("etc/ssh", 0o755)])
def test_only_root_may_look_into_its_home(path, mode):
    entry, _text = members(_personality.pack(_personality.personality_files(NODE, IDENTITY, FABRIC)))[path]
    assert entry.isdir()
    assert entry.mode == mode


@all_kinds
def test_only_root_may_read_keys(node):
    cluster_key = {"etc/corosync/authkey"} if node.cluster else set()
    nvme_keys = {"etc/bareroot/nvme-hosts"} if node.is_storage else {"etc/bareroot/half0.nvme", "etc/bareroot/half1.nvme"}
    assert {path for path, (mode, _text) in files_of(node).items() if not mode & 0o077} == {
        "etc/ssh/ssh_host_ed25519_key",
        "root/.ssh/authorized_keys",
        *cluster_key,
        *nvme_keys,
    }


PARTS = st.text(st.sampled_from("abcxyz019._-"), min_size=1, max_size=9).filter(lambda part: part.strip("."))
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(PATHS, st.tuples(st.integers(0, 0o777), st.text()), max_size=6).filter(
    lambda files: not any(path.startswith(f"{other}/") for path in files for other in files)
)


@given(FILES)
def test_pack_is_deterministic_and_round_trips(files):
    data = _personality.pack(files)
    assert data == _personality.pack(dict(reversed(files.items())))
    found = members(data)
    assert {name: (entry.mode, text) for name, (entry, text) in found.items() if entry.isfile()} == files
    parents = {str(parent) for path in files for parent in Path(path).parents} - {"."}
    assert {name for name, (entry, _text) in found.items() if entry.isdir()} == parents


def test_a_listing_tells_files_apart_without_showing_them():
    files = _personality.personality_files(NODE, IDENTITY, FABRIC)
    listing = _personality.listing(_personality.pack(files))
    assert [line.split(" ")[1] for line in listing.splitlines()] == sorted(files)
    assert "600 etc/ssh/ssh_host_ed25519_key sha256:" in listing
    assert "SECRET" not in listing
    other = _personality.listing(_personality.pack({**files, "etc/ssh/ssh_host_ed25519_key": (0o600, "OTHER\n")}))
    assert sum(a != b for a, b in zip(listing.splitlines(), other.splitlines(), strict=True)) == 1


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _data: b"", id="empty"),
        pytest.param(lambda _data: b"SECRET\n", id="no-tar"),
        pytest.param(lambda data: data[:100], id="cut-off-in-a-header"),
        pytest.param(lambda data: data[: data.index(b"SECRET") + 3], id="cut-off-in-a-file"),
        pytest.param(lambda data: b"\xff" * 512 + data[512:], id="overwritten"),
    ],
)
def test_a_damaged_personality_is_listed_by_its_digest_only(damage):
    data = damage(_personality.pack(_personality.personality_files(NODE, IDENTITY, FABRIC)))
    listing = _personality.listing(data)
    assert listing == f"damaged, sha256:{hashlib.sha256(data).hexdigest()[:16]}\n"
