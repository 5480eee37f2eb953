from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.module_utils import _boot_files, _image, _names

SSH = shutil.which("ssh") or "ssh"
INITRAMFS = Path(__file__).parents[4] / "roles/node_image/files/common/etc/initramfs-tools/scripts/bareroot"

XEN = _boot_files.Image("xen-0123456789abcdef", "a" * 64, root_size=1, has_xen=True)
PLAIN = _boot_files.Image("storage-0123456789abcdef", "b" * 64, root_size=1, has_xen=False)
NODE = _boot_files.Node(
    name="hn1",
    role="hardware",
    mac="52:54:00:00:00:01",
    address=IPv4Interface("10.0.0.2/24"),
    server="10.0.0.1",
    image=XEN,
    root="ram",
    dom0_memory=1024,
)

both_kinds = pytest.mark.parametrize("node", [NODE, replace(NODE, image=PLAIN)], ids=["xen", "no-xen"])


def test_the_dhcp_line_ties_the_mac_to_address_and_name_for_ever():
    assert _boot_files.dhcp_host(NODE) == "52:54:00:00:00:01,10.0.0.2,hn1,infinite"


def test_the_file_stem_is_the_mac_as_ipxe_writes_it():
    assert NODE.file_stem == "52-54-00-00-00-01"


@pytest.fixture(scope="module")
def ssh_config(tmp_path_factory):
    return tmp_path_factory.mktemp("ssh") / "ssh_config"


def settings_of(path, name):
    """Return what OpenSSH would use for that host: {option: all its values}."""
    output = subprocess.run([SSH, "-G", "-F", str(path), name], check=True, capture_output=True, text=True).stdout
    pairs = [line.split(" ", 1) for line in output.splitlines() if " " in line]
    return {option: [value for other, value in pairs if other == option] for option, _value in pairs}


SSH_SETTINGS = {
    "user": "root",
    "batchmode": "yes",
    "identitiesonly": "yes",
    "identityfile": "/var/lib/bareroot/access/key",
    "certificatefile": "/var/lib/bareroot/access/key-cert.pub",
    "userknownhostsfile": "/var/lib/bareroot/access/known_hosts",
    "stricthostkeychecking": "true",
    "controlmaster": "auto",
    "controlpersist": "120",
}


@pytest.mark.parametrize(("option", "value"), SSH_SETTINGS.items(), ids=SSH_SETTINGS)
def test_openssh_reads_how_every_node_is_reached(option, value, ssh_config):
    ssh_config.write_text(_boot_files.ssh_config([NODE], "/var/lib/bareroot/access"))
    assert settings_of(ssh_config, "hn1")[option] == [value]


NODES = st.dictionaries(st.from_regex(_names.HOST, fullmatch=True), st.ip_addresses(v=4), min_size=1, max_size=4).map(
    lambda found: [replace(NODE, name=name, address=IPv4Interface((address, 24))) for name, address in found.items()]
)


@settings(max_examples=30)
@given(NODES)
def test_openssh_reads_each_nodes_own_address_and_the_name_in_its_certificate(ssh_config, nodes):
    ssh_config.write_text(_boot_files.ssh_config(nodes, "/var/lib/bareroot/access"))
    for node in nodes:
        found = settings_of(ssh_config, node.name)
        assert (found["hostname"], found["hostkeyalias"]) == ([str(node.address.ip)], [node.name])


@both_kinds
def test_the_kernel_arguments_are_these(node):
    options = dict(word.split("=", 1) for word in _boot_files.linux_arguments(node).split() if not word.startswith("console="))
    assert options == {
        "boot": "bareroot",
        "bareroot.nic": "52:54:00:00:00:01",
        "bareroot.address": "10.0.0.2/24",
        "bareroot.server": "10.0.0.1",
        "bareroot.image": node.image.name,
        "bareroot.digest": node.image.root_sha256,
        "bareroot.root": "ram",
        "panic": "30",
    }


@both_kinds
def test_the_kernel_arguments_answer_every_option_that_the_initramfs_reads(node):
    read = set(re.findall(r"bareroot_option ([a-z]+)", INITRAMFS.read_text()))
    assert read
    offered = " ".join(_boot_files.linux_arguments(replace(node, root=root)) for root in ("ram", "aoe", "nfs"))
    assert read <= set(re.findall(r"bareroot\.([a-z]+)=", offered))


@pytest.mark.parametrize(
    ("root", "expected"), [("ram", []), ("aoe", ["bareroot.aoe=1000.7"]), ("nfs", ["bareroot.nfs=10.1.0.9"])], ids=["ram", "aoe", "nfs"]
)
def test_the_kernel_arguments_name_the_one_source_of_the_root(root, expected):
    node = replace(NODE, root=root, image=replace(XEN, aoe="1000.7"), nfs_server="10.1.0.9")
    words = _boot_files.linux_arguments(node).split()
    assert f"bareroot.root={root}" in words
    assert [word for word in words if word.startswith(("bareroot.aoe=", "bareroot.nfs="))] == expected


def test_the_console_is_xens_only_below_xen():
    assert "console=hvc0" in _boot_files.linux_arguments(NODE)
    assert "hvc0" not in _boot_files.linux_arguments(replace(NODE, image=PLAIN))


def test_dom0_memory_is_fixed():
    assert "dom0_mem=1024M,max:1024M" in _boot_files.xen_arguments(NODE).split()


def test_xen_cfg_holds_the_same_arguments_as_the_ipxe_script():
    lines = _boot_files.xen_cfg(NODE).splitlines()
    assert lines[:4] == ["[global]", "default=dom0", "", "[dom0]"]
    assert dict(line.split("=", 1) for line in lines[4:]) == {
        "options": _boot_files.xen_arguments(NODE),
        "kernel": f"vmlinuz {_boot_files.linux_arguments(NODE)}",
        "ramdisk": "initrd",
    }


@both_kinds
def test_every_label_that_the_script_goes_to_is_there(node):
    script = _boot_files.ipxe_script(node)
    wanted = {label for label in re.findall(r"goto (\S+)", script) if label != "${platform}"}
    if "goto ${platform}" in script:
        wanted |= {"pcbios", "efi"}
    labels = re.findall(r"^:(\S+)$", script, re.MULTILINE)
    assert wanted == set(labels) | {"start"}
    assert len(labels) == len(set(labels))


@both_kinds
def test_every_step_that_can_fail_is_tried_again_for_ever(node):
    script = _boot_files.ipxe_script(node)
    steps = [line for line in script.splitlines() if line.split(" ")[0] in ("kernel", "module", "initrd", "boot")]
    assert steps
    assert all(line.endswith(" || goto retry") for line in steps)
    assert script.startswith("#!ipxe\n")
    assert script.endswith("goto start\n")
    assert script.index("\n:retry\n") < script.index("\nimgfree\n") < script.index("\nsleep 5\n")


@both_kinds
def test_the_script_fetches_only_files_that_an_image_has(node):
    script = _boot_files.ipxe_script(node)
    in_boot = ["vmlinuz-6", "initrd.img-6", *(["xen-4-amd64.gz", "xen-4-amd64.efi"] if node.image.has_xen else [])]
    served = {"xen" if name == "xen.gz" else name for name in _image.boot_files(in_boot)}
    assert f"set image http://10.0.0.1/images/{node.image.name}\n" in script
    assert set(re.findall(r"\$\{image\}/(\S+)", script)) == served


def test_without_xen_no_word_of_it_is_in_the_script():
    assert "xen" not in _boot_files.ipxe_script(replace(NODE, image=PLAIN))
