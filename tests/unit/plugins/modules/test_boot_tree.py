from __future__ import annotations

import grp
import io
import json
import os
import shutil
import subprocess
import tarfile

import pytest

from plugins.module_utils import _identity
from plugins.modules import boot_tree

SSH_KEYGEN = shutil.which("ssh-keygen") or "ssh-keygen"
XEN = "xen-0123456789abcdef"
NEWER = "xen-fedcba9876543210"
UNPUBLISHED = "xen-ffffffffffffffff"


def node(number, **options):
    mac = f"52:54:00:00:00:{number:02x}"
    return {"name": f"hn{number}", "role": "hardware", "mac": mac, "image_kind": "xen", "dom0_memory": 1024, **options}


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
        tops = {"boot": self.served, "personality": self.served, "dhcp": self.state}
        return sorted(f"{name}/{path.name}" for name, top in tops.items() for path in (top / name).glob("*"))

    def records(self):
        return json.loads((self.state / "nodes.json").read_text())

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
    assert sorted(result["files"]) == sorted([*files_of(1, "10.0.0.2"), "dhcp/hosts"])
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


def test_a_file_that_nobody_asked_for_is_removed(config_node):
    config_node.run(node(1))
    (config_node.served / "boot" / "old.ipxe").write_text("#!ipxe\n")
    assert config_node.run(node(1))["files"] == ["boot/old.ipxe"]
    assert config_node.rendered() == sorted([*files_of(1, "10.0.0.2"), "dhcp/hosts"])


def test_another_node_leaves_the_first_as_it_is(config_node):
    config_node.run(node(1))
    before = config_node.contents()
    result = config_node.run(node(2), node(1))
    assert result["addresses"] == {"hn1": "10.0.0.2", "hn2": "10.0.0.3"}
    assert sorted(result["files"]) == sorted([*files_of(2, "10.0.0.3"), "dhcp/hosts"])
    after = config_node.contents()
    assert {path for path in before if before[path] != after[path]} == {
        config_node.state / "nodes.json",
        config_node.state / "dhcp" / "hosts",
    }


def test_a_removed_node_loses_its_files_and_nobody_gets_its_address(config_node):
    config_node.run(node(1), node(2))
    record = config_node.records()["hn1"]
    result = config_node.run(node(2))
    assert sorted(result["files"]) == sorted([*files_of(1, "10.0.0.2"), "dhcp/hosts"])
    assert config_node.rendered() == sorted([*files_of(2, "10.0.0.3"), "dhcp/hosts"])
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
    assert config_node.rendered() == ["dhcp/hosts"]
    assert config_node.hosts() == []
    assert config_node.records() == records


def test_another_network_card_moves_the_files_and_keeps_the_identity(config_node):
    config_node.run(node(1))
    before = config_node.personality("10.0.0.2")
    config_node.run(node(1, mac="52:54:00:00:00:0a"))
    assert config_node.rendered() == sorted([*files_of(10, "10.0.0.2"), "dhcp/hosts"])
    assert config_node.personality("10.0.0.2") == before


def test_another_address_has_a_new_certificate_for_the_same_key(config_node):
    config_node.run(node(1))
    before = config_node.personality("10.0.0.2")
    config_node.run(node(1, address="10.0.0.9"))
    assert config_node.rendered() == sorted([*files_of(1, "10.0.0.9"), "dhcp/hosts"])
    after = config_node.personality("10.0.0.9")
    for path in ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"):
        assert after[path] == before[path]
    assert _identity.principals_of(after["etc/ssh/ssh_host_ed25519_key-cert.pub"]) == ["hn1", "10.0.0.9"]


def test_a_newer_image_reaches_all_nodes_but_the_pinned(config_node):
    config_node.run(node(1), node(2, image=XEN))
    config_node.publish(NEWER)
    result = config_node.run(node(1), node(2, image=XEN))
    assert sorted(result["files"]) == files_of(1, "10.0.0.2")
    assert f"/images/{NEWER}\n" in config_node.script(1)
    assert f"/images/{XEN}\n" in config_node.script(2)


def test_addresses_come_from_the_range_and_never_from_those_taken(config_node):
    result = config_node.run(node(1), node(2), address_range="10.0.0.20-10.0.0.29", taken=["10.0.0.20"])
    assert result["addresses"] == {"hn1": "10.0.0.21", "hn2": "10.0.0.22"}


def keygen(*arguments):
    return subprocess.run([SSH_KEYGEN, *arguments], check=True, capture_output=True, text=True).stdout


def test_openssh_reads_a_host_certificate_for_name_and_address_signed_by_the_ca(config_node, tmp_path):
    config_node.run(node(1))
    inside = config_node.personality("10.0.0.2")
    certificate, ca = tmp_path / "host-cert.pub", tmp_path / "ca.pub"
    certificate.write_text(inside["etc/ssh/ssh_host_ed25519_key-cert.pub"])
    ca.write_text(_identity.public_half((config_node.state / "ca").read_text()))
    lines = [line.strip() for line in keygen("-L", "-f", str(certificate)).splitlines()]
    assert "Type: ssh-ed25519-cert-v01@openssh.com host certificate" in lines
    assert "Valid: forever" in lines
    assert lines[lines.index("Principals:") + 1 : lines.index("Critical Options: (none)")] == ["hn1", "10.0.0.2"]
    fingerprint = keygen("-l", "-f", str(ca)).split(" ")[1]
    assert any(line.startswith(f"Signing CA: ED25519 {fingerprint} ") for line in lines)


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
    keys = [(config_node.state / "ca").read_text(), config_node.records()["hn1"]["host_key"]]
    result = config_node.run(*nodes, check_mode=check_mode)
    keys += [record["host_key"] for record in config_node.records().values()]
    shown = json.dumps(result)
    assert [part["after_header"] for part in result["diff"]] == result["files"]
    assert any("600 etc/ssh/ssh_host_ed25519_key sha256:" in part["before"] + part["after"] for part in result["diff"])
    assert "PRIVATE KEY" not in shown
    assert "b3BlbnNzaC1rZXk" not in shown  # how every OpenSSH private key begins
    assert not [line for key in keys for line in key.splitlines() if line in shown]


def test_the_diff_shows_text_before_and_after(config_node):
    config_node.run(node(1))
    (part,) = config_node.run(node(1, dom0_memory=2048))["diff"][:1]
    assert part["before_header"] == "boot/52-54-00-00-00-01.cfg"
    assert "dom0_mem=1024M" in part["before"]
    assert part["after"] == part["before"].replace("1024M", "2048M")


HN1, HN2 = node(1), node(2)
SAME_MAC = node(2, mac=HN1["mac"])
STORAGE_CARD = {"storage_mac": "52:54:00:00:01:01"}


@pytest.mark.parametrize(
    ("nodes", "options", "message"),
    [
        pytest.param([node(1, name="HN_1")], {}, ["node name 'HN_1'", "such as hn1"], id="name"),
        pytest.param([node(1, mac="52-54-00-00-00-01")], {}, ["mac '52-54-00-00-00-01' of hn1", "as 52:54:00:12:34:56"], id="mac"),
        pytest.param([node(1, storage_mac="x")], {}, ["storage_mac 'x' of hn1", "as 52:54:00:12:34:56"], id="storage-mac"),
        pytest.param([node(1, instance_mac="x")], {}, ["instance_mac 'x' of hn1", "as 52:54:00:12:34:56"], id="instance-mac"),
        pytest.param([node(1, image="../x")], {}, ["image '../x' of hn1", "such as xen-0123456789abcdef"], id="image"),
        pytest.param([node(1, authorized_keys=["a\nb"])], {}, ["authorized_keys of hn1", "one key a line"], id="two-keys-in-one"),
        pytest.param([HN1, SAME_MAC], {}, ["52:54:00:00:00:01 belongs to both hn1 and hn2"], id="same-mac"),
        pytest.param([HN1, node(2, name="hn1")], {}, ["hn1 belongs to both"], id="same-name"),
        pytest.param([node(1, address="10.9.0.9")], {}, ["address 10.9.0.9 of hn1", "boot network 10.0.0.0/24"], id="address-outside"),
        pytest.param([node(1, address="10.0.0.2")], {}, ["10.0.0.2 of hn1 was given to gone before"], id="address-of-the-gone"),
        pytest.param([HN1], {"address_range": "9-2"}, ["'9-2' is not a range", "such as 10.0.0.1-10.0.0.254"], id="range"),
        pytest.param(
            [HN1, HN2],
            {"address_range": "10.0.0.5-10.0.0.5"},
            ["no address left for hn2 in 10.0.0.5-10.0.0.5", "node_address_range"],
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
