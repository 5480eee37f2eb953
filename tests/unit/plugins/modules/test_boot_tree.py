from __future__ import annotations

import grp
import io
import json
import os
import re
import shutil
import subprocess
import tarfile

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_identity, load_ssh_public_key

from plugins.module_utils import _identity
from plugins.modules import boot_tree

SSH = shutil.which("ssh") or "ssh"
SSH_KEYGEN = shutil.which("ssh-keygen") or "ssh-keygen"
XEN = "xen-0123456789abcdef"
NEWER = "xen-fedcba9876543210"
UNPUBLISHED = "xen-ffffffffffffffff"


def node(number, **options):
    mac = f"52:54:00:00:00:{number:02x}"
    keys = ["ssh-ed25519 AAAA admin"]
    common = {"name": f"hn{number}", "role": "hardware", "mac": mac, "image_kind": "xen", "dom0_memory": 1024, "authorized_keys": keys}
    return {**common, **options}


def storage(number, **options):
    return node(number, **{"name": f"sn{number}", "role": "storage", **options})


# What lists all nodes.
LISTS = ["access/nodes.json", "access/ssh_config", "dhcp/hosts"]
# What there is whatever the nodes are.
ALWAYS = sorted(["access/key", "access/key-cert.pub", "access/known_hosts", "boot/root-images.json", *LISTS])


def files_of(number, address):
    stem = f"boot/52-54-00-00-00-{number:02x}"
    return [f"{stem}.cfg", f"{stem}.ipxe", f"personality/{address}.tar"]


class ConfigNode:
    """The directories of a ConfigNode, with one image published, and the module run on them."""

    def __init__(self, base, run_module):
        self.served, self.state = base / "srv", base / "state"
        self.state.mkdir()
        (self.state / "ca").write_text(_identity.new_host_key())
        self._run_module = run_module
        self.publish(XEN)

    def publish(self, name):
        directory = self.served / "images" / name
        directory.mkdir(parents=True)
        files = {file: {"sha256": "a" * 64, "size": 1} for file in ("root.squashfs", "vmlinuz", "initrd", "xen", "xen.efi")}
        (directory / "manifest.json").write_text(json.dumps({"name": name, "files": files}))
        (self.served / "images" / "current.json").write_text(json.dumps({"xen": name}))

    def run(self, *nodes, check_mode=False, **options):
        params = {
            "nodes": list(nodes),
            "server": "10.0.0.1",
            "network": "10.0.0.0/24",
            "directory": str(self.served),
            "state_directory": str(self.state),
            "reader_group": grp.getgrgid(os.getgid()).gr_name,
            **options,
        }
        return self._run_module(boot_tree, params, check_mode=check_mode, diff=True)

    def contents(self):
        """Return every file, of what is served and of the state."""
        return {path: path.read_bytes() for top in (self.served, self.state) for path in top.rglob("*") if path.is_file()}

    def rendered(self):
        """Return the paths of what the module renders, as it names them itself."""
        tops = {"boot": self.served, "personality": self.served, "dhcp": self.state, "access": self.state, "cluster": self.state}
        return sorted(f"{name}/{path.name}" for name, top in tops.items() if (top / name).exists() for path in (top / name).iterdir())

    def records(self):
        return json.loads((self.state / "nodes.json").read_text())["nodes"]

    def access(self):
        return {path.name: path.read_text() for path in (self.state / "access").iterdir()}

    def cluster(self):
        return {path.name: path.read_text() for path in (self.state / "cluster").iterdir()}

    def cluster_key(self):
        """Return the key that is recorded."""
        return json.loads((self.state / "nodes.json").read_text())["cluster"]["key"]

    def hosts(self):
        return (self.state / "dhcp" / "hosts").read_text().splitlines()

    def script(self, number):
        return (self.served / "boot" / f"52-54-00-00-00-{number:02x}.ipxe").read_text()

    def personality(self, address):
        with tarfile.open(fileobj=io.BytesIO((self.served / "personality" / f"{address}.tar").read_bytes())) as tar:
            return {entry.name: tar.extractfile(entry).read().decode() for entry in tar.getmembers() if entry.isfile()}


@pytest.fixture
def config_node(tmp_path, run_module):
    return ConfigNode(tmp_path, run_module)


def test_check_mode_says_what_would_be_written_and_writes_nothing(config_node):
    before = config_node.contents()
    result = config_node.run(node(1), check_mode=True)
    assert result["changed"]
    assert result["addresses"] == {"hn1": "10.0.0.2"}
    assert sorted(result["files"]) == sorted([*files_of(1, "10.0.0.2"), *ALWAYS])
    assert config_node.contents() == before
    assert not (config_node.served / "boot").exists()


@pytest.mark.parametrize("missing", ["ca", "image"])
def test_check_mode_works_before_the_ca_or_the_image_is_made(config_node, missing):
    if missing == "ca":
        (config_node.state / "ca").unlink()
    else:
        shutil.rmtree(config_node.served)
    before = config_node.contents()
    assert config_node.run(node(1), check_mode=True)["changed"]
    assert config_node.contents() == before


def test_what_was_announced_is_what_is_written(config_node):
    announced = config_node.run(node(1), node(2), check_mode=True)
    result = config_node.run(node(1), node(2))
    assert result["changed"]
    assert (result["files"], result["addresses"]) == (announced["files"], announced["addresses"])
    assert config_node.rendered() == sorted(result["files"])
    assert config_node.hosts() == ["52:54:00:00:00:01,10.0.0.2,hn1,infinite", "52:54:00:00:00:02,10.0.0.3,hn2,infinite"]
    assert f"/images/{XEN}\n" in config_node.script(1)
    assert config_node.records().keys() == {"hn1", "hn2"}


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("srv/boot/52-54-00-00-00-01.ipxe", 0o644),
        ("srv/boot/52-54-00-00-00-01.cfg", 0o644),
        ("srv/personality/10.0.0.2.tar", 0o640),
        ("state/dhcp/hosts", 0o644),
        *((f"state/{path}", 0o600) for path in ALWAYS if path.startswith("access/")),
        ("state/nodes.json", 0o600),
    ],
)
def test_who_may_read_what(config_node, tmp_path, path, mode):
    config_node.run(node(1))
    assert (tmp_path / path).stat().st_mode & 0o7777 == mode
    assert (tmp_path / path).stat().st_gid == os.getgid()


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
def test_a_second_run_changes_nothing(config_node, check_mode):
    config_node.run(node(1), node(2, address="10.0.0.22"))
    before = config_node.contents()
    result = config_node.run(node(1), node(2, address="10.0.0.22"), check_mode=check_mode)
    assert not result["changed"]
    assert result["files"] == result["diff"] == []
    assert result["addresses"] == {"hn1": "10.0.0.2", "hn2": "10.0.0.22"}
    assert config_node.contents() == before


def test_a_file_that_somebody_edited_is_written_again(config_node):
    config_node.run(node(1))
    script = config_node.script(1)
    (config_node.served / "boot" / "52-54-00-00-00-01.ipxe").write_text("#!ipxe\nshell\n")
    assert config_node.run(node(1))["files"] == ["boot/52-54-00-00-00-01.ipxe"]
    assert config_node.script(1) == script


SERVED = [
    ("srv/boot/52-54-00-00-00-01.ipxe", 0o644),
    ("srv/boot/52-54-00-00-00-01.cfg", 0o644),
    ("srv/personality/10.0.0.2.tar", 0o640),
    ("state/dhcp/hosts", 0o644),
    ("state/access/key", 0o600),
    ("state/access/ssh_config", 0o600),
]


@pytest.mark.parametrize(
    ("path", "mode", "wrong"), [(path, mode, wrong) for path, mode in SERVED for wrong in (0o600, 0o640, 0o666) if wrong != mode]
)
def test_wrong_permissions_are_mended(config_node, tmp_path, path, mode, wrong):
    config_node.run(node(1))
    before = config_node.contents()
    (tmp_path / path).chmod(wrong)
    announced = config_node.run(node(1), check_mode=True)
    assert (tmp_path / path).stat().st_mode & 0o7777 == wrong
    result = config_node.run(node(1))
    assert result["changed"]
    assert result["files"] == announced["files"] == [path.partition("/")[2]]
    assert (tmp_path / path).stat().st_mode & 0o7777 == mode
    assert config_node.contents() == before
    assert not config_node.run(node(1))["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to a group that it is not in")
def test_a_personality_of_another_group_is_mended(config_node):
    config_node.run(node(1))
    path = config_node.served / "personality" / "10.0.0.2.tar"
    os.chown(path, -1, os.getgid() + 1)
    assert config_node.run(node(1))["files"] == ["personality/10.0.0.2.tar"]
    assert path.stat().st_gid == os.getgid()


@pytest.mark.parametrize(("path", "_mode"), SERVED)
def test_a_link_in_place_of_a_file_becomes_a_file_even_when_its_target_is_equal(config_node, tmp_path, path, _mode):
    config_node.run(node(1))
    (tmp_path / path).rename(tmp_path / "elsewhere")
    (tmp_path / path).symlink_to(tmp_path / "elsewhere")
    data = (tmp_path / "elsewhere").read_bytes()
    assert config_node.run(node(1))["files"] == [path.partition("/")[2]]
    assert not (tmp_path / path).is_symlink()
    assert (tmp_path / path).read_bytes() == (tmp_path / "elsewhere").read_bytes() == data


@pytest.mark.parametrize("directory", ["srv/boot", "srv/personality", "state/dhcp", "state/access", "state/cluster"])
def test_a_stray_link_is_removed_and_its_target_is_not(config_node, tmp_path, directory):
    config_node.run(node(1))
    (tmp_path / "elsewhere").write_text("kept\n")
    (tmp_path / directory / "stray").symlink_to(tmp_path / "elsewhere")
    assert config_node.run(node(1))["files"] == [f"{directory.partition('/')[2]}/stray"]
    assert not (tmp_path / directory / "stray").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == "kept\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda _data: b"",
        lambda data: data[:700],
        lambda data: data[: data.index(b"PRIVATE")],
        lambda _data: b"no tar",
        lambda data: b"\xff" * len(data),
    ],
    ids=["empty", "cut-off", "cut-off-in-a-file", "text", "binary"],
)
def test_a_damaged_personality_is_written_again(config_node, damage):
    config_node.run(node(1))
    path = config_node.served / "personality" / "10.0.0.2.tar"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    result = config_node.run(node(1))
    assert result["files"] == ["personality/10.0.0.2.tar"]
    assert result["diff"][0]["before"] != result["diff"][0]["after"]
    assert path.read_bytes() == whole


def secrets_in(result, *keys):
    """Return what a result tells of private keys, of these or of any."""
    shown = json.dumps(result)
    any_key = ["PRIVATE KEY", "b3BlbnNzaC1rZXk"]  # the second is how every OpenSSH private key begins
    return [line for line in [*any_key, *(line for key in keys for line in key.splitlines())] if line in shown]


@pytest.mark.parametrize("part", ["key", "tar", "half a tar"])
@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_what_an_interrupted_run_left_of_a_personality_is_removed_and_shows_no_key(config_node, part, check_mode):
    config_node.run(node(1))
    key = config_node.records()["hn1"]["host_key"]
    whole = (config_node.served / "personality" / "10.0.0.2.tar").read_bytes()
    stray = config_node.served / "personality" / ".new-x"
    stray.write_bytes({"key": key.encode(), "tar": whole, "half a tar": whole[: whole.index(key.encode()) + len(key) // 2]}[part])
    result = config_node.run(node(1), check_mode=check_mode)
    assert result["files"] == ["personality/.new-x"]
    assert "sha256:" in result["diff"][0]["before"]
    assert stray.exists() is check_mode
    assert not secrets_in(result, key)


@pytest.mark.parametrize("half", [False, True], ids=["key", "half-a-key"])
@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_what_an_interrupted_run_left_of_the_config_nodes_key_is_removed_and_shows_no_key(config_node, half, check_mode):
    config_node.run(node(1))
    key = config_node.access()["key"]
    stray = config_node.state / "access" / ".new-x"
    stray.write_text(key[: len(key) // 2] if half else key)
    result = config_node.run(node(1), check_mode=check_mode)
    assert result["files"] == ["access/.new-x"]
    assert stray.exists() is check_mode
    assert not secrets_in(result, key)


def test_a_file_that_nobody_asked_for_is_removed(config_node):
    config_node.run(node(1))
    (config_node.served / "boot" / "old.ipxe").write_text("#!ipxe\n")
    assert config_node.run(node(1))["files"] == ["boot/old.ipxe"]
    assert config_node.rendered() == sorted([*files_of(1, "10.0.0.2"), *ALWAYS])


def test_another_node_leaves_the_first_as_it_is(config_node):
    config_node.run(node(1))
    before = config_node.contents()
    result = config_node.run(node(2), node(1))
    assert result["addresses"] == {"hn1": "10.0.0.2", "hn2": "10.0.0.3"}
    assert sorted(result["files"]) == sorted([*files_of(2, "10.0.0.3"), *LISTS])
    after = config_node.contents()
    assert {path for path in before if before[path] != after[path]} == {config_node.state / path for path in ["nodes.json", *LISTS]}


def test_a_removed_node_loses_its_files_and_nobody_gets_its_address(config_node):
    config_node.run(node(1), node(2))
    record = config_node.records()["hn1"]
    result = config_node.run(node(2))
    assert sorted(result["files"]) == sorted([*files_of(1, "10.0.0.2"), *LISTS])
    assert config_node.rendered() == sorted([*files_of(2, "10.0.0.3"), *ALWAYS])
    assert config_node.hosts() == ["52:54:00:00:00:02,10.0.0.3,hn2,infinite"]
    assert config_node.records()["hn1"] == record
    assert config_node.run(node(3), node(2))["addresses"] == {"hn3": "10.0.0.4", "hn2": "10.0.0.3"}


def test_a_node_that_comes_back_is_the_same_machine(config_node):
    config_node.run(node(1))
    before = config_node.personality("10.0.0.2")
    config_node.run(node(2))
    assert config_node.run(node(1), node(2))["addresses"] == {"hn1": "10.0.0.2", "hn2": "10.0.0.3"}
    assert config_node.personality("10.0.0.2") == before


def test_without_nodes_nothing_is_left_but_the_records(config_node):
    config_node.run(node(1))
    records = config_node.records()
    assert config_node.run()["changed"]
    assert config_node.rendered() == ALWAYS
    assert config_node.hosts() == []
    assert config_node.records() == records


def certificate_in(personality):
    return load_ssh_public_identity(personality["etc/ssh/ssh_host_ed25519_key-cert.pub"].encode())


def test_another_network_card_moves_the_files_and_keeps_the_identity(config_node):
    config_node.run(node(1))
    before = config_node.personality("10.0.0.2")
    config_node.run(node(1, mac="52:54:00:00:00:0a"))
    assert config_node.rendered() == sorted([*files_of(10, "10.0.0.2"), *ALWAYS])
    assert config_node.personality("10.0.0.2") == before


def test_another_address_has_a_new_certificate_for_the_same_key(config_node):
    config_node.run(node(1))
    before = config_node.personality("10.0.0.2")
    config_node.run(node(1, address="10.0.0.9"))
    assert config_node.rendered() == sorted([*files_of(1, "10.0.0.9"), *ALWAYS])
    after = config_node.personality("10.0.0.9")
    for path in ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"):
        assert after[path] == before[path]
    assert certificate_in(after).valid_principals == [b"hn1", b"10.0.0.9"]


def test_a_moved_nodes_former_address_goes_to_nobody_else(config_node):
    config_node.run(node(1))
    config_node.run(node(1, address="10.0.0.9"))
    assert config_node.records()["hn1"]["addresses"] == ["10.0.0.2", "10.0.0.9"]
    assert config_node.run(node(2), node(1, address="10.0.0.9"))["addresses"] == {"hn2": "10.0.0.3", "hn1": "10.0.0.9"}
    refused = config_node.run(node(3, address="10.0.0.2"), node(1, address="10.0.0.9"))
    assert "10.0.0.2 was given to hn1 before" in refused["msg"]


def test_a_moved_node_stays_where_it_was_moved_to_and_may_move_back(config_node):
    config_node.run(node(1))
    config_node.run(node(1, address="10.0.0.9"))
    result = config_node.run(node(1))
    assert not result["changed"]
    assert result["addresses"] == {"hn1": "10.0.0.9"}
    assert config_node.run(node(1, address="10.0.0.2"))["changed"]
    assert config_node.records()["hn1"]["addresses"] == ["10.0.0.9", "10.0.0.2"]


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_another_ca_certifies_the_same_keys_anew(config_node, check_mode):
    config_node.run(node(1))
    before, access, tree = config_node.personality("10.0.0.2"), config_node.access(), config_node.contents()
    replaced = _identity.new_host_key()
    (config_node.state / "ca").write_text(replaced)
    result = config_node.run(node(1), check_mode=check_mode)
    assert result["changed"]
    assert result["files"] == ["personality/10.0.0.2.tar", "access/key-cert.pub", "access/known_hosts"]
    assert not secrets_in(result, replaced, access["key"], before["etc/ssh/ssh_host_ed25519_key"])
    if check_mode:
        assert config_node.contents() == {**tree, config_node.state / "ca": replaced.encode()}
        return
    after = config_node.personality("10.0.0.2")
    assert {path for path in after if after[path] != before[path]} == {
        "etc/ssh/ssh_host_ed25519_key-cert.pub",
        "etc/ssh/bareroot_ca.pub",
        "etc/ssh/bareroot_known_hosts",
        "etc/ssh/bareroot_migration-cert.pub",
    }
    public = _identity.public_half(replaced)
    certificates = [certificate_in(after), *user_certificates(config_node)]
    assert [certificate.signature_key() for certificate in certificates] == [load_ssh_public_key(public.encode())] * 3
    assert after["etc/ssh/bareroot_ca.pub"] == f"{public}\n"
    assert after["etc/ssh/bareroot_known_hosts"] == config_node.access()["known_hosts"] == f"@cert-authority * {public}\n"
    assert not config_node.run(node(1))["changed"]


MIGRATION = "etc/ssh/bareroot_migration-cert.pub"


def user_certificates(config_node):
    texts = [config_node.personality("10.0.0.2")[MIGRATION], config_node.access()["key-cert.pub"]]
    return [load_ssh_public_identity(text.encode()) for text in texts]


def all_certificates(config_node):
    inside = config_node.personality("10.0.0.2")
    return [inside["etc/ssh/ssh_host_ed25519_key-cert.pub"], inside[MIGRATION], config_node.access()["key-cert.pub"]]


@pytest.mark.parametrize(
    "options",
    [
        {"mac": "52:54:00:00:00:0a"},
        {"dom0_memory": 2048},
        {"image": XEN},
        {"authorized_keys": ["ssh-ed25519 BBBB admin"]},
        {"address": "10.0.0.2"},
        {"instance_mac": "52:54:00:00:02:01"},
    ],
    ids="-".join,
)
def test_certificates_are_kept_whatever_else_of_a_node_changes(config_node, options):
    config_node.run(node(1))
    before = all_certificates(config_node)
    config_node.run(node(1, **options), node(2))
    assert all_certificates(config_node) == before


def test_another_role_certifies_the_same_key_anew(config_node):
    config_node.run(node(1))
    before, access = config_node.personality("10.0.0.2"), config_node.access()
    config_node.run(node(1, role="storage"))
    between = config_node.personality("10.0.0.2")
    assert MIGRATION not in between
    assert between["etc/ssh/bareroot_principals"] == "bareroot-config-node\n"
    assert config_node.records()["hn1"]["migration_certificate"] == ""
    config_node.run(node(1))
    after = config_node.personality("10.0.0.2")
    for path in ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/bareroot_principals"):
        assert after[path] == before[path]
    assert after[MIGRATION] != before[MIGRATION]
    assert {name: text for name, text in config_node.access().items() if access[name] != text} == {}


def make_older(config_node):
    """Leave what an older version would have left: no certificates of users."""
    records = json.loads((config_node.state / "nodes.json").read_text())
    del records["access"]
    for record in records["nodes"].values():
        del record["migration_certificate"], record["certified"]["role"]
    (config_node.state / "nodes.json").write_text(json.dumps(records))
    shutil.rmtree(config_node.state / "access")


def kept(records):
    return {name: [record[key] for key in ("addresses", "host_key", "machine_id")] for name, record in records.items()}


def test_records_of_an_older_version_are_completed_and_every_node_stays_who_it_is(config_node):
    nodes = [node(1), node(2, address="10.0.0.22"), node(9, name="sn9", role="storage")]
    config_node.run(*nodes)
    addresses, before = config_node.run(*nodes)["addresses"], config_node.records()
    make_older(config_node)
    result = config_node.run(*nodes)
    assert result["addresses"] == addresses
    assert {path for path in result["files"] if path.startswith("access/")} == {path for path in ALWAYS if path.startswith("access/")}
    after = config_node.records()
    assert kept(after) == kept(before)
    assert {name: bool(record["migration_certificate"]) for name, record in after.items()} == {"hn1": True, "hn2": True, "sn9": False}
    assert [certificate.valid_principals for certificate in user_certificates(config_node)] == [
        [b"bareroot-hardware-node"],
        [b"bareroot-config-node"],
    ]
    assert not config_node.run(*nodes)["changed"]


def test_an_older_record_of_a_node_that_is_gone_waits_until_it_comes_back(config_node):
    config_node.run(node(1), node(2))
    make_older(config_node)
    older = config_node.records()
    config_node.run(node(2))
    assert config_node.records()["hn1"] == older["hn1"]
    config_node.run(node(1), node(2))
    assert kept(config_node.records()) == kept(older)
    assert user_certificates(config_node)[0].valid_principals == [b"bareroot-hardware-node"]


def test_a_newer_image_reaches_all_nodes_but_the_pinned(config_node):
    config_node.run(node(1), node(2, image=XEN))
    config_node.publish(NEWER)
    result = config_node.run(node(1), node(2, image=XEN))
    assert sorted(result["files"]) == files_of(1, "10.0.0.2")
    assert f"/images/{NEWER}\n" in config_node.script(1)
    assert f"/images/{XEN}\n" in config_node.script(2)


def test_addresses_come_from_the_range_and_never_from_the_config_nodes(config_node):
    result = config_node.run(node(1), node(2), address_range="10.0.0.20-10.0.0.29", config_nodes={"cn1": "10.0.0.20"})
    assert result["addresses"] == {"hn1": "10.0.0.21", "hn2": "10.0.0.22"}


STORAGE_CARD = {"storage_mac": "52:54:00:00:01:01"}
BMC_CARD = {"bmc_mac": "52:54:00:00:03:01"}
PAIR = (storage(1), storage(2))
CONFIG_NODES = {"config_nodes": {"cn1": "10.0.0.1"}}
CLUSTER = ["cluster/authkey", "cluster/corosync.conf"]
IN_PERSONALITY = {"authkey": "etc/corosync/authkey", "corosync.conf": "etc/corosync/corosync.conf"}


def members(text):
    """Return {name: (address, number)} of the voters that a corosync.conf names."""
    nodes = re.findall(r"node \{\s+ring0_addr: (\S+)\s+name: (\S+)\s+nodeid: (\d+)\s+\}", text)
    assert len(nodes) == text.count("nodeid:")
    return {name: (address, int(number)) for address, name, number in nodes}


def test_check_mode_says_what_a_pair_would_get_and_makes_no_key(config_node):
    config_node.run(storage(1), **CONFIG_NODES)
    before = config_node.contents()
    result = config_node.run(*PAIR, **CONFIG_NODES, check_mode=True)
    assert [path for path in result["files"] if path.startswith("cluster/")] == CLUSTER
    assert config_node.contents() == before


def test_both_storage_nodes_of_a_pair_and_the_config_node_have_the_same_members_and_key(config_node):
    announced = config_node.run(*PAIR, node(3), **CONFIG_NODES, check_mode=True)
    result = config_node.run(*PAIR, node(3), **CONFIG_NODES)
    assert result["files"] == announced["files"]
    assert config_node.rendered() == sorted(result["files"])
    own = config_node.cluster()
    assert members(own["corosync.conf"]) == {"cn1": ("10.0.0.1", 1), "sn1": ("10.0.0.2", 2), "sn2": ("10.0.0.3", 3)}
    assert own["authkey"] == config_node.cluster_key()
    for address in ("10.0.0.2", "10.0.0.3"):
        inside = config_node.personality(address)
        assert {name: inside[path] for name, path in IN_PERSONALITY.items()} == own
    assert not set(IN_PERSONALITY.values()) & config_node.personality("10.0.0.4").keys()
    everything = {path for path, data in config_node.contents().items() if own["authkey"].encode() in data}
    holders = {config_node.served / "personality" / f"10.0.0.{host}.tar" for host in (2, 3)}
    assert everything == {*holders, config_node.state / "nodes.json", config_node.state / "cluster" / "authkey"}


def test_a_second_storage_node_is_no_hardware_nodes_business(config_node):
    config_node.run(storage(1), node(3), **CONFIG_NODES)
    result = config_node.run(*PAIR, node(3), **CONFIG_NODES)
    assert result["addresses"] == {"sn1": "10.0.0.2", "sn2": "10.0.0.6", "hn3": "10.0.0.3"}
    assert {"personality/10.0.0.2.tar", "personality/10.0.0.6.tar"} <= set(result["files"])
    assert not set(files_of(3, "10.0.0.3")) & set(result["files"])


@pytest.mark.parametrize("name", ["authkey", "corosync.conf"])
def test_only_root_may_read_what_the_config_nodes_corosync_reads(config_node, name):
    config_node.run(*PAIR, **CONFIG_NODES)
    path = config_node.state / "cluster" / name
    assert path.stat().st_mode & 0o7777 == 0o600
    path.chmod(0o644)
    assert config_node.run(*PAIR, **CONFIG_NODES)["files"] == [f"cluster/{name}"]
    assert path.stat().st_mode & 0o7777 == 0o600


def test_corosync_takes_the_key(config_node):
    config_node.run(*PAIR, **CONFIG_NODES)
    # In bytes; the same numbers as of TOTEM_PRIVATE_KEY_LEN_MIN and _MAX in its sources.
    assert 128 <= len(config_node.cluster()["authkey"]) <= 4096


def test_two_sites_have_keys_of_their_own(config_node):
    config_node.run(*PAIR, **CONFIG_NODES)
    first = config_node.cluster_key()
    (config_node.state / "nodes.json").unlink()
    config_node.run(*PAIR, **CONFIG_NODES)
    assert config_node.cluster_key() != first


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
def test_a_pairs_second_run_changes_nothing_and_keeps_the_key(config_node, check_mode):
    config_node.run(*PAIR, **CONFIG_NODES)
    before = config_node.contents()
    result = config_node.run(*PAIR, **CONFIG_NODES, check_mode=check_mode)
    assert not result["changed"]
    assert result["files"] == result["diff"] == []
    assert config_node.contents() == before


@pytest.mark.parametrize(
    ("network", "address", "expected"), [("10.0.0.0/24", "10.0.0.40", 40), ("10.0.0.0/16", "10.0.1.40", 296)], ids=["24", "16"]
)
def test_a_members_number_is_its_addresss_host_part(config_node, network, address, expected):
    config_node.run(storage(1, address=address), storage(2), network=network, **CONFIG_NODES)
    found = members(config_node.cluster()["corosync.conf"])
    assert found == {"cn1": ("10.0.0.1", 1), "sn1": (address, expected), "sn2": ("10.0.0.2", 2)}


def test_a_members_number_stays_whatever_comes_and_goes(config_node):
    config_node.run(*PAIR, **CONFIG_NODES)
    before = members(config_node.cluster()["corosync.conf"])
    config_node.run(node(4), storage(2), node(5), storage(1), config_nodes={"cn2": "10.0.0.99", "cn1": "10.0.0.1"})
    after = members(config_node.cluster()["corosync.conf"])
    assert after == {**before, "cn2": ("10.0.0.99", 99)}
    # One that takes another's place is another.
    config_node.run(storage(1), storage(3), **CONFIG_NODES)
    replaced = members(config_node.cluster()["corosync.conf"])
    assert replaced.keys() == {"cn1", "sn1", "sn3"}
    assert replaced["sn3"][1] not in [number for _address, number in after.values()]


def test_the_token_reaches_every_member(config_node):
    config_node.run(*PAIR, **CONFIG_NODES)
    key = config_node.cluster_key()
    result = config_node.run(*PAIR, **CONFIG_NODES, token=2500)
    assert sorted(result["files"]) == ["cluster/corosync.conf", "personality/10.0.0.2.tar", "personality/10.0.0.3.tar"]
    assert "    token: 2500\n" in config_node.cluster()["corosync.conf"]
    assert "    token: 2500\n" in config_node.personality("10.0.0.3")[IN_PERSONALITY["corosync.conf"]]
    assert config_node.cluster_key() == key


def test_a_single_storage_node_has_no_cluster_and_no_key(config_node):
    assert not [path for path in config_node.run(storage(1), **CONFIG_NODES)["files"] if path.startswith("cluster/")]
    assert not set(IN_PERSONALITY.values()) & config_node.personality("10.0.0.2").keys()
    assert "cluster" not in json.loads((config_node.state / "nodes.json").read_text())


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_back_to_one_storage_node_the_clusters_files_go_and_its_key_is_kept(config_node, check_mode):
    config_node.run(*PAIR, **CONFIG_NODES)
    key, before = config_node.cluster_key(), config_node.contents()
    result = config_node.run(storage(1), **CONFIG_NODES, check_mode=check_mode)
    assert [path for path in result["files"] if path.startswith("cluster/")] == CLUSTER
    assert not secrets_in(result, key)
    if check_mode:
        assert config_node.contents() == before
        return
    assert config_node.cluster() == {}
    assert not set(IN_PERSONALITY.values()) & config_node.personality("10.0.0.2").keys()
    assert config_node.cluster_key() == key
    assert not config_node.run(storage(1), **CONFIG_NODES)["changed"]
    config_node.run(*PAIR, **CONFIG_NODES)
    assert config_node.cluster()["authkey"] == key


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_of_the_clusters_key_the_diff_shows_a_digest(config_node, check_mode):
    config_node.run(*PAIR, **CONFIG_NODES)
    path, key = config_node.state / "cluster" / "authkey", config_node.cluster_key()
    path.write_text("OTHERSECRET")
    result = config_node.run(*PAIR, **CONFIG_NODES, check_mode=check_mode)
    assert result["files"] == ["cluster/authkey"]
    (part,) = result["diff"]
    assert re.fullmatch(r"sha256:[0-9a-f]{16}\n", part["before"])
    assert re.fullmatch(r"sha256:[0-9a-f]{16}\n", part["after"])
    assert part["before"] != part["after"]
    assert not secrets_in(result, key, "OTHERSECRET")
    assert path.read_text() == ("OTHERSECRET" if check_mode else key)


def test_the_first_diff_of_a_pair_shows_the_members_and_no_key(config_node):
    result = config_node.run(*PAIR, **CONFIG_NODES)
    shown = {part["after_header"]: part for part in result["diff"]}
    assert shown["cluster/corosync.conf"]["after"] == config_node.cluster()["corosync.conf"]
    assert re.fullmatch(r"sha256:[0-9a-f]{16}\n", shown["cluster/authkey"]["after"])
    assert not secrets_in(result, config_node.cluster_key())


@pytest.mark.parametrize("half", [False, True], ids=["key", "half-a-key"])
@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_what_an_interrupted_run_left_of_the_clusters_key_is_removed_and_shows_no_key(config_node, half, check_mode):
    config_node.run(*PAIR, **CONFIG_NODES)
    key = config_node.cluster_key()
    left = key[: len(key) // 2] if half else key
    stray = config_node.state / "cluster" / ".new-x"
    stray.write_text(left)
    result = config_node.run(*PAIR, **CONFIG_NODES, check_mode=check_mode)
    assert result["files"] == ["cluster/.new-x"]
    assert stray.exists() is check_mode
    assert not secrets_in(result, left)


def test_a_storage_nodes_card_on_the_bmcs_network_has_its_host_part_there(config_node):
    config_node.run(storage(1, address="10.0.0.40", **BMC_CARD), bmc_network="10.3.0.0/24")
    network = config_node.personality("10.0.0.40")["etc/bareroot/network"].splitlines()
    assert {"BMC_MAC=52:54:00:00:03:01", "BMC_ADDRESS=10.3.0.40/24"} <= set(network)


def keygen(*arguments):
    return subprocess.run([SSH_KEYGEN, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("number", "kind", "principals"),
    [
        pytest.param(0, "host", ["hn1", "10.0.0.2"], id="host"),
        pytest.param(1, "user", ["bareroot-hardware-node"], id="migration"),
        pytest.param(2, "user", ["bareroot-config-node"], id="access"),
    ],
)
def test_openssh_reads_a_certificate_for_these_principals_signed_by_the_ca(config_node, tmp_path, number, kind, principals):
    config_node.run(node(1))
    host_key = config_node.personality("10.0.0.2")["etc/ssh/ssh_host_ed25519_key"]
    key = [host_key, host_key, config_node.access()["key"]][number]
    certificate, ca, public = tmp_path / "key-cert.pub", tmp_path / "ca.pub", tmp_path / "key.pub"
    certificate.write_text(all_certificates(config_node)[number])
    ca.write_text(_identity.public_half((config_node.state / "ca").read_text()))
    public.write_text(_identity.public_half(key))
    lines = [line.strip() for line in keygen("-L", "-f", str(certificate)).splitlines()]
    assert f"Type: ssh-ed25519-cert-v01@openssh.com {kind} certificate" in lines
    assert "Valid: forever" in lines
    assert lines[lines.index("Principals:") + 1 : lines.index("Critical Options: (none)")] == principals
    fingerprint = keygen("-l", "-f", str(ca)).split(" ")[1]
    assert any(line.startswith(f"Signing CA: ED25519 {fingerprint} ") for line in lines)
    assert f"Public key: ED25519-CERT {keygen('-l', '-f', str(public)).split(' ')[1]}" in lines


def test_openssh_accepts_the_config_nodes_key_and_trusts_every_host_that_the_ca_certified(config_node):
    config_node.run(node(1))
    access = config_node.state / "access"
    assert keygen("-y", "-f", str(access / "key")).strip() == _identity.public_half(config_node.access()["key"])
    for name in ("hn1", "anything"):
        assert keygen("-F", name, "-f", str(access / "known_hosts")).splitlines()[0] == f"# Host {name} found: line 1 CA"


@pytest.mark.parametrize(("name", "address"), [("hn1", "10.0.0.2"), ("hn2", "10.0.0.22"), ("hn22", "10.0.0.3")])
def test_openssh_reaches_each_node_by_its_name(config_node, name, address):
    config_node.run(node(1), node(22), node(2, address="10.0.0.22"))
    access = config_node.state / "access"
    output = subprocess.run([SSH, "-G", "-F", str(access / "ssh_config"), name], check=True, capture_output=True, text=True).stdout
    assert {
        "user root",
        f"hostname {address}",
        f"hostkeyalias {name}",
        f"identityfile {access / 'key'}",
        f"certificatefile {access / 'key-cert.pub'}",
        f"userknownhostsfile {access / 'known_hosts'}",
    } <= set(output.splitlines())


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param([node(1), node(2)], id="new"),
        pytest.param([node(1, address="10.0.0.9")], id="moved"),
        pytest.param([], id="removed"),
    ],
)
def test_the_diff_shows_every_file_and_no_private_key(config_node, nodes, check_mode):
    config_node.run(node(1))
    keys = [(config_node.state / "ca").read_text(), config_node.records()["hn1"]["host_key"], config_node.access()["key"]]
    result = config_node.run(*nodes, check_mode=check_mode)
    keys += [record["host_key"] for record in config_node.records().values()]
    assert [part["after_header"] for part in result["diff"]] == result["files"]
    assert any("600 etc/ssh/ssh_host_ed25519_key sha256:" in part["before"] + part["after"] for part in result["diff"])
    assert not secrets_in(result, *keys)


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
def test_the_first_runs_diff_shows_every_file_and_no_private_key(config_node, check_mode):
    result = config_node.run(node(1), check_mode=check_mode)
    shown = {part["after_header"]: part for part in result["diff"]}
    assert set(shown) == {*files_of(1, "10.0.0.2"), *ALWAYS}
    assert shown["access/key"]["before"] == ""
    assert shown["access/key"]["after"].startswith("sha256:")
    keys = [] if check_mode else [config_node.access()["key"], config_node.records()["hn1"]["host_key"]]
    assert not secrets_in(result, (config_node.state / "ca").read_text(), *keys)


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
def test_a_key_that_somebody_replaced_is_written_again_and_neither_is_shown(config_node, tmp_path, link, check_mode):
    config_node.run(node(1))
    path, key, other = config_node.state / "access" / "key", config_node.access()["key"], _identity.new_host_key()
    path.unlink()
    (tmp_path / "other").write_text(other)
    if link:
        path.symlink_to(tmp_path / "other")
    else:
        path.write_text(other)
    result = config_node.run(node(1), check_mode=check_mode)
    assert result["files"] == ["access/key"]
    (part,) = result["diff"]
    assert part["before"] != part["after"]
    assert not secrets_in(result, key, other)
    assert path.read_text() == (other if check_mode else key)


def test_the_diff_shows_text_before_and_after(config_node):
    config_node.run(node(1))
    (part,) = config_node.run(node(1, dom0_memory=2048))["diff"][:1]
    assert part["before_header"] == "boot/52-54-00-00-00-01.cfg"
    assert "dom0_mem=1024M" in part["before"]
    assert part["after"] == part["before"].replace("1024M", "2048M")


HN1, HN2 = node(1), node(2)
SAME_MAC = node(2, mac=HN1["mac"])


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        pytest.param([node(1, name="localhost")], {}, ["node name 'localhost'", "such as hn1"], id="reserved-name"),
        pytest.param([node(1, name="1h")], {}, ["node name '1h'", "such as hn1"], id="name-digit-first"),
        pytest.param([node(1, name="HN_1")], {}, ["node name 'HN_1'", "such as hn1"], id="name"),
        pytest.param(
            [node(1, mac="52-54-00-00-00-01")], {}, ["mac '52-54-00-00-00-01' of hn1", "as '52:54:00:12:34:56', in quotes"], id="mac"
        ),
        pytest.param([node(1, storage_mac="x")], {}, ["storage_mac 'x' of hn1", "as '52:54:00:12:34:56'"], id="storage-mac"),
        pytest.param([node(1, instance_mac="x")], {}, ["instance_mac 'x' of hn1", "as '52:54:00:12:34:56'"], id="instance-mac"),
        pytest.param([node(1, image="../x")], {}, ["image '../x' of hn1", "such as xen-0123456789abcdef"], id="image"),
        pytest.param([node(1, authorized_keys=[])], {}, ["authorized_keys of hn1", "ssh-ed25519"], id="nobody-could-log-in"),
        pytest.param([node(1, authorized_keys=["a\nb"])], {}, ["authorized_keys of hn1", "one key a line"], id="two-keys-in-one"),
        pytest.param([HN1, SAME_MAC], {}, ["mac 52:54:00:00:00:01 of hn2 belongs to hn1 already"], id="same-mac"),
        pytest.param(
            [HN1, node(2, instance_mac=HN1["mac"])], {}, ["instance_mac 52:54:00:00:00:01 of hn2 belongs to hn1"], id="mac-of-another-role"
        ),
        pytest.param([node(1, **STORAGE_CARD)], {}, ["hn1 has a storage_mac", "no storage_network"], id="storage-mac-without-network"),
        pytest.param([node(1, dom0_memory=511)], {}, ["dom0_memory 511 of hn1", "at least 512 MiB"], id="dom0-memory"),
        pytest.param([HN1, node(2, name="hn1")], {}, ["two nodes are called hn1"], id="same-name"),
        pytest.param([node(1, address="10.9.0.9")], {}, ["address of hn1 10.9.0.9 is not a host of 10.0.0.0/24"], id="address-outside"),
        pytest.param([node(1, address="10.0.0.0")], {}, ["10.0.0.0 is not a host", "10.0.0.1 to 10.0.0.254"], id="address-network"),
        pytest.param([node(1, address="10.0.0.255")], {}, ["10.0.0.255 is not a host of 10.0.0.0/24"], id="address-broadcast"),
        pytest.param([node(1, address="10.0.0.1")], {}, ["address of hn1 10.0.0.1 belongs to the ConfigNode"], id="address-of-the-server"),
        pytest.param([node(1, address="10.0.0.8")], {"config_nodes": {"cn1": "10.0.0.8"}}, ["10.0.0.8 belongs to cn1"], id="address-taken"),
        pytest.param(
            [HN1],
            {"config_nodes": {"cn1": "10.9.0.1"}},
            ["in config_nodes: 10.9.0.1 is not a host of 10.0.0.0/24"],
            id="config-node-outside",
        ),
        pytest.param(
            [node(1, address="10.0.0.9"), node(2, address="10.0.0.9")], {}, ["address of hn2 10.0.0.9 belongs to hn1"], id="same-address"
        ),
        pytest.param([node(1, address="10.0.0.2")], {}, ["10.0.0.2 was given to gone before"], id="address-of-the-gone"),
        pytest.param(
            [node(7, name="gone")],
            {"network": "10.9.0.0/24", "server": "10.9.0.1"},
            ["address that gone was given before, 10.0.0.2 is not a host of 10.9.0.0/24"],
            id="network-changed",
        ),
        pytest.param([HN1], {"network": "10.0.0.0/32"}, ["network '10.0.0.0/32' has no room", "10.0.0.0/24"], id="network-of-one"),
        pytest.param([HN1], {"network": "10.0.0.1/24"}, ["network '10.0.0.1/24'", "host bits set"], id="network-host-bits"),
        pytest.param([HN1], {"storage_network": "x"}, ["storage_network 'x'", "write it as 10.0.0.0/24"], id="storage-network"),
        pytest.param([HN1], {"server": "10.0.0.1\n"}, ["server '10.0.0.1\\n' is not an IPv4 address"], id="server-line-break"),
        pytest.param([HN1], {"server": "10.9.0.1"}, ["server 10.9.0.1 is not a host of 10.0.0.0/24"], id="server-outside"),
        pytest.param([HN1], {"reader_group": "nobody-here"}, ["reader_group 'nobody-here' does not exist here"], id="reader-group"),
        pytest.param([HN1], {"address_range": "9-2"}, ["address range '9-2'", "'9' is not an IPv4 address"], id="range"),
        pytest.param(
            [HN1, HN2],
            {"address_range": "10.0.0.5-10.0.0.5"},
            ["no address left for hn2 in 10.0.0.5-10.0.0.5", "config_node_address_range"],
            id="range-full",
        ),
        pytest.param(
            [node(1, address="10.0.0.99", **STORAGE_CARD)],
            {"storage_network": "10.1.0.0/28"},
            ["10.1.0.0/28 is too small", "10.0.0.99", "as large as 10.0.0.0/24"],
            id="storage-network-too-small",
        ),
        pytest.param(
            [node(1, image=UNPUBLISHED)], {}, [f"image {UNPUBLISHED} is not published here", f"are: {XEN}"], id="pinned-unpublished"
        ),
        pytest.param([node(1, image_kind="storage")], {}, ["no storage image", "playbooks/images.yml"], id="no-image-of-this-kind"),
        pytest.param(
            [storage(1), storage(2), storage(3)], {}, ["3 StorageNodes: sn1, sn2, sn3; use one, or a pair"], id="three-storage-nodes"
        ),
        pytest.param(
            [storage(1, **STORAGE_CARD), storage(2)],
            {"storage_network": "10.1.0.0/24"},
            ["only one of sn1 and sn2 has a storage_mac", "give both one, or neither"],
            id="half-a-storage-network",
        ),
        pytest.param([storage(1), storage(2)], {"config_nodes": {}}, ["config_nodes is empty", "cn1: 10.0.0.1"], id="no-third-vote"),
        pytest.param([HN1], {"config_nodes": {"cn1\n": "10.0.0.1"}}, ["ConfigNode 'cn1\\n'", "such as cn1"], id="config-nodes-name"),
        pytest.param([HN1], {"config_nodes": {"hn1": "10.0.0.1"}}, ["ConfigNode 'hn1'", "no other machine has"], id="config-nodes-clash"),
        pytest.param([storage(1, bmc_mac="x")], {}, ["bmc_mac 'x' of sn1", "as '52:54:00:12:34:56'"], id="bmc-mac"),
        pytest.param(
            [storage(1, **BMC_CARD)],
            {},
            ["sn1 has a bmc_mac, but there is no bmc_network, such as 10.3.0.0/24"],
            id="bmc-mac-without-network",
        ),
        pytest.param([HN1], {"bmc_network": "x"}, ["bmc_network 'x'", "write it as 10.0.0.0/24"], id="bmc-network"),
        pytest.param(
            [storage(1, address="10.0.0.99", **BMC_CARD)],
            {"bmc_network": "10.3.0.0/28"},
            ["10.3.0.0/28 is too small", "10.0.0.99", "as large as 10.0.0.0/24"],
            id="bmc-network-too-small",
        ),
        pytest.param([node(1, root="disk")], {}, ["root", "ram", "disk"], id="root"),
        pytest.param([node(1, role="other")], {}, ["role", "storage", "hardware", "other"], id="role"),
    ],
)
def test_an_error_says_what_and_where_and_leaves_everything_as_it_was(config_node, nodes, options, message):
    config_node.run(node(7, name="gone"))
    before = config_node.contents()
    result = config_node.run(*nodes, **options)
    assert result["failed"]
    for part in message:
        assert part in result["msg"]
    assert config_node.contents() == before


def test_check_mode_expects_the_reader_group_to_come_with_its_package(config_node):
    result = config_node.run(node(1), reader_group="nobody-here", check_mode=True)
    assert result["changed"]
    assert "personality/10.0.0.2.tar" in result["files"]


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
def test_a_pinned_image_without_any_published_is_an_error_that_says_so(config_node, check_mode):
    shutil.rmtree(config_node.served / "images")
    result = config_node.run(node(1, image=XEN), check_mode=check_mode)
    assert result["failed"]
    assert f"image {XEN} is not published here; published are: none" in result["msg"]


def test_a_ca_with_a_password_is_an_error_that_names_the_file(config_node):
    path = config_node.state / "ca"
    path.unlink()
    keygen("-q", "-t", "ed25519", "-N", "secret", "-f", str(path))
    result = config_node.run(node(1))
    assert result["failed"]
    assert result["msg"].startswith(f"{path} is not an ed25519 OpenSSH private key without a password: ")
    assert config_node.rendered() == []
    assert not (config_node.state / "nodes.json").exists()


@pytest.mark.parametrize("path", ["state/nodes.json", "srv/images/current.json", f"srv/images/{XEN}/manifest.json"])
def test_a_damaged_file_is_an_error_that_names_it_and_changes_nothing(config_node, tmp_path, path):
    config_node.run(node(1))
    (tmp_path / path).write_text('{"hn1": ')
    before = config_node.contents()
    result = config_node.run(node(1), node(2))
    assert result["failed"]
    assert result["msg"].startswith(f"{tmp_path / path} is damaged: ")
    assert config_node.contents() == before


def test_check_mode_refuses_a_pinned_image_that_is_not_published(config_node):
    assert "is not published here" in config_node.run(node(1, image=UNPUBLISHED), check_mode=True)["msg"]


def test_without_the_ca_it_fails_naming_the_file_and_serves_nothing(config_node):
    (config_node.state / "ca").unlink()
    result = config_node.run(node(1))
    assert result["failed"]
    assert str(config_node.state / "ca") in result["msg"]
    assert config_node.rendered() == []


def test_without_cryptography_it_fails_saying_so(config_node, monkeypatch):
    monkeypatch.setattr(_identity, "HAS_CRYPTOGRAPHY", False)
    result = config_node.run(node(1))
    assert result["failed"]
    assert "cryptography" in result["msg"]


def test_without_cryptography_check_mode_expects_a_change(config_node, monkeypatch):
    monkeypatch.setattr(_identity, "HAS_CRYPTOGRAPHY", False)
    result = config_node.run(node(1), check_mode=True)
    assert result["changed"]
    assert config_node.rendered() == []
