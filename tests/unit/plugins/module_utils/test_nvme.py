from __future__ import annotations

import base64
import os
import re
import subprocess
import uuid
import zlib
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils import _nvme, _volumes

IMAGE_FILES = Path(__file__).parents[4] / "roles/node_image/files"
HOST = _nvme.Host("0123456789abcdef0123456789abcdef", "00ff" * 16)
HALVES = {"half0": IPv4Interface("10.1.0.8/24"), "half1": IPv4Interface("10.1.0.9/24")}
FABRIC = _nvme.Fabric("ssh-ed25519 CA", HALVES, {"hn1": HOST})
addresses = st.tuples(st.integers(0, _volumes.IMAGE_SHELF - 1), st.integers(0, _volumes.SLOTS - 1))


def test_a_key_is_written_with_its_checksum():
    kind, transform, text, end = HOST.secret.split(":")
    key, checksum = base64.b64decode(text)[:-4], base64.b64decode(text)[-4:]
    assert (kind, transform, end) == ("DHHC-1", "00", "")
    assert key == bytes.fromhex(HOST.key)
    assert int.from_bytes(checksum, "little") == zlib.crc32(key)


def test_a_hardware_node_hands_its_kernel_one_line_that_only_root_may_read():
    files = FABRIC.host_files("hn1")
    assert set(files) == {"etc/bareroot/half0.nvme", "etc/bareroot/half1.nvme"}
    mode, text = files["etc/bareroot/half0.nvme"]
    assert mode == 0o600
    options = dict(option.split("=", 1) for option in text.removesuffix("\n").split(","))
    subsystem = options.pop("nqn")
    assert options == {
        "transport": "tcp",
        "traddr": "10.1.0.8",
        "trsvcid": "4420",
        "hostnqn": "nqn.2014-08.org.nvmexpress:uuid:01234567-89ab-cdef-0123-456789abcdef",
        "hostid": "01234567-89ab-cdef-0123-456789abcdef",
        "dhchap_secret": HOST.secret,
        "ctrl_loss_tmo": "-1",
        "reconnect_delay": "1",
        "keep_alive_tmo": "5",
    }
    assert uuid.UUID(subsystem.removeprefix("nqn.2014-08.org.nvmexpress:uuid:"))


def test_two_sites_have_no_subsystem_in_common():
    other = _nvme.Fabric("ssh-ed25519 OTHER", HALVES, {})
    found = [files[f"etc/bareroot/{half}.nvme"][1] for files in (FABRIC.target_files(), other.target_files()) for half in HALVES]
    assert len({re.search("SUBSYSTEM=(.*)", text)[1] for text in found}) == 4


def test_what_is_no_volume_has_no_address():
    for device in ("/dev/etherd/e1.0", "/dev/nvme0n1", "/dev/disk/by-id/nvme-uuid.b4e50000-0000-8000-8000-000001000000-part1", ""):
        assert _nvme.address_of(device) == ""


# What the images' programs make of an address must be what is read back of it.


def device_of(shelf, slot):
    """Return the device that volumes-ready of a HardwareNode looks for."""
    script = (IMAGE_FILES / "xen/usr/lib/bareroot/volumes-ready").read_text()
    (line,) = [line.strip() for line in script.splitlines() if line.strip().startswith("nvme=")]
    shell = f'address={shelf}.{slot}; {line}; echo "$nvme"'
    return subprocess.run(["/bin/sh", "-c", shell], check=True, capture_output=True, text=True).stdout.strip()


@given(addresses)
def test_a_device_is_called_after_its_address(address):
    assert _nvme.address_of(device_of(*address)) == f"{address[0]}.{address[1]}"


class StorageNode:
    """What nvme-export needs of a StorageNode: lvs, and a configfs without its magic."""

    def __init__(self, base, monkeypatch):
        self.nvmet, self.etc = base / "nvmet", base / "etc"
        self.etc.mkdir()
        (self.etc / "half0.nvme").write_text("SUBSYSTEM=nqn.half0\nADDRESS=10.1.0.8/24\nPORT=4420\n")
        (self.nvmet / "subsystems/nqn.half0/namespaces").mkdir(parents=True)
        programs = base / "bin"
        self.script = (IMAGE_FILES / "storage/usr/lib/bareroot/nvme-export").read_text()
        places = {
            "/sys/kernel/config/nvmet": self.nvmet,
            "/etc/bareroot": self.etc,
            "/usr/lib/bareroot": IMAGE_FILES / "storage/usr/lib/bareroot",
        }
        for place, here in places.items():
            self.script = self.script.replace(place, str(here))
        programs.mkdir()
        self.lvs = programs / "lvs"
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def export(self, verb, shelf, slot):
        tags = f"bareroot.address.{shelf}.{slot},bareroot.export.nvme"
        self.lvs.write_text(f'#!/bin/sh\necho "  bareroot_half0 /dev/bareroot_half0/web1-root {tags}"\n')
        self.lvs.chmod(0o755)
        return subprocess.run(
            ["/bin/sh", "-c", self.script, "nvme-export", verb, "volume-web1-root"], capture_output=True, text=True, check=False
        )

    def namespace(self, shelf, slot):
        """Return a namespace as the kernel makes it."""
        path = self.nvmet / f"subsystems/nqn.half0/namespaces/{shelf * 256 + slot + 1}"
        path.mkdir()
        (path / "enable").write_text("0\n")
        return path


@pytest.mark.parametrize(("shelf", "slot"), [(0, 0), (1, 0), (1, 1), (999, 254)])
def test_a_storage_node_gives_a_volume_the_name_by_which_hardware_nodes_look_for_it(tmp_path, monkeypatch, shelf, slot):
    node = StorageNode(tmp_path, monkeypatch)
    namespace = node.namespace(shelf, slot)
    assert node.export("start", shelf, slot).returncode == 0
    assert device_of(shelf, slot) == f"/dev/disk/by-id/nvme-uuid.{(namespace / 'device_uuid').read_text().strip()}"
    assert (namespace / "device_path").read_text() == "/dev/bareroot_half0/web1-root\n"
    assert (namespace / "enable").read_text() == "1\n"


def test_what_is_exported_is_left_alone(tmp_path, monkeypatch):
    node = StorageNode(tmp_path, monkeypatch)
    namespace = node.namespace(1, 0)
    (namespace / "enable").write_text("1\n")
    assert node.export("start", 1, 0).returncode == 0
    assert {path.name for path in namespace.iterdir()} == {"enable"}


def test_growth_is_told_and_an_unknown_verb_refused(tmp_path, monkeypatch):
    node = StorageNode(tmp_path, monkeypatch)
    namespace = node.namespace(1, 0)
    assert node.export("resize", 1, 0).returncode == 0
    assert (namespace / "revalidate_size").read_text() == "1\n"
    refused = node.export("grow", 1, 0)
    assert (refused.returncode, refused.stderr) == (64, "nvme-export: grow is neither start nor stop nor resize\n")
