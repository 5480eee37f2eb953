from __future__ import annotations

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.module_utils import _image, _names

PARAMS = {
    "packages": ["openssh-server", "linux-image-amd64"],
    "overlay": "/overlay",
    "mirror": {"main": "http://mirror.example/debian", "security": "http://mirror.example/debian-security"},
    "apt_proxy": "",
    "suite": "trixie",
}


def overlay(directory, files):
    for path, text in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return _image.overlay_digest(str(directory))


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"contents")
    assert _image.file_sha256(tmp_path / "file") == hashlib.sha256(b"contents").hexdigest()


def test_equal_overlays_have_equal_digests_wherever_they_are(tmp_path):
    files = {"etc/hosts": "x", "usr/lib/tool": "y"}
    assert overlay(tmp_path / "one", files) == overlay(tmp_path / "two", dict(reversed(files.items())))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"etc/hosts": "y"}, id="contents"),
        pytest.param({"etc/host": "x"}, id="name"),
        pytest.param({"hosts": "x"}, id="directory"),
        pytest.param({"etc/hosts": "x", "more": ""}, id="one-more"),
        pytest.param({}, id="one-less"),
    ],
)
def test_a_different_overlay_has_another_digest(files, tmp_path):
    assert overlay(tmp_path / "one", {"etc/hosts": "x"}) != overlay(tmp_path / "two", files)


def test_permissions_are_part_of_the_overlays_digest(tmp_path):
    before = overlay(tmp_path, {"tool": "x"})
    (tmp_path / "tool").chmod(0o755)
    assert _image.overlay_digest(str(tmp_path)) != before


def test_the_key_of_inputs_does_not_depend_on_the_order_of_names():
    assert _image.inputs_key({"a": "1", "b": ["x"]}) == _image.inputs_key({"b": ["x"], "a": "1"})


VALUES = st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
INPUTS = st.dictionaries(st.text(), VALUES, max_size=3)


@given(INPUTS, INPUTS)
def test_the_key_of_inputs_is_equal_only_for_equal_inputs(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (_image.inputs_key(one) == _image.inputs_key(other)) is same


def test_a_new_recipe_has_new_keys(monkeypatch):
    before = _image.inputs_key({"a": "1"})
    monkeypatch.setattr(_image, "RECIPE", _image.RECIPE + 1)
    assert _image.inputs_key({"a": "1"}) != before


def test_an_images_name_is_one_that_boot_tree_takes():
    assert _names.matches(_names.IMAGE, _image.image_name("xen", {"initrd": "0" * 64}))


@pytest.mark.parametrize(
    ("checksums", "same"),
    [
        pytest.param({"vmlinuz": "2", "initrd": "1"}, True, id="order"),
        pytest.param({"initrd": "1", "vmlinuz": "3"}, False, id="contents"),
        pytest.param({"initrd": "2", "vmlinuz": "1"}, False, id="swapped"),
        pytest.param({"initrd": "1"}, False, id="missing"),
        pytest.param({"initrd": "1", "linux": "2"}, False, id="renamed"),
    ],
)
def test_an_images_name_tells_its_contents(checksums, same):
    assert (_image.image_name("xen", checksums) == _image.image_name("xen", {"initrd": "1", "vmlinuz": "2"})) is same


def test_packages_come_from_the_release_its_updates_and_its_security_updates():
    assert _image.sources(PARAMS["mirror"], "trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/debian-security trixie-security main",
    ]


def test_mmdebstrap_gets_suite_target_and_sources_last_and_packages_sorted():
    argv = _image.mmdebstrap_argv("/work/root", "/work/boot", PARAMS)
    assert argv[0] == "mmdebstrap"
    assert argv[-5:] == ["trixie", "/work/root", *_image.sources(PARAMS["mirror"], "trixie")]
    assert "--include=linux-image-amd64,openssh-server" in argv
    assert all(option.startswith("--") for option in argv[1:-5])


@pytest.mark.parametrize(
    ("proxy", "options"),
    [("", []), ("http://cache.example:3142", ['--aptopt=Acquire::http::Proxy "http://cache.example:3142"'])],
    ids=["no-proxy", "proxy"],
)
def test_a_proxy_is_used_where_there_is_one(proxy, options):
    argv = _image.mmdebstrap_argv("/work/root", "/work/boot", {**PARAMS, "apt_proxy": proxy})
    assert [option for option in argv if "Proxy" in option] == options


def test_what_makes_nodes_differ_does_not_stay_in_the_image():
    argv = _image.mmdebstrap_argv("/work/root", "/work/boot", PARAMS)
    removed = " ".join(option for option in argv if option.startswith("--customize-hook=rm"))
    for path in ("/etc/ssh/ssh_host_*", "/etc/machine-id", "/etc/hostname", "/etc/resolv.conf"):
        assert f'"$1"{path}' in removed


def test_no_hook_touches_a_path_outside_the_new_root_and_the_work_directory():
    argv = _image.mmdebstrap_argv("/work/root", "/work/boot", PARAMS)
    hooks = [option.partition("-hook=")[2] for option in argv if "-hook=" in option]
    paths = [word for hook in hooks for word in re.findall(r'(?<![^ >])/[^ "]*', hook)]
    assert paths
    assert all(path.startswith(("/work/boot/", "/overlay/")) for path in paths)


KERNEL = ["vmlinuz-6.12-amd64", "initrd.img-6.12-amd64", "config-6.12-amd64", "System.map-6.12-amd64", "packages.txt"]
XEN = ["xen-4.20-amd64.gz", "xen-4.20-amd64.efi", "xen-4.20-amd64.config", "xen-4.20-amd64.map"]
LINUX_FILES = {"vmlinuz": "vmlinuz-6.12-amd64", "initrd": "initrd.img-6.12-amd64"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(KERNEL, LINUX_FILES, id="no-xen"),
        pytest.param([*KERNEL, *XEN], {**LINUX_FILES, "xen.gz": "xen-4.20-amd64.gz", "xen.efi": "xen-4.20-amd64.efi"}, id="xen"),
    ],
)
def test_the_files_to_serve_are_picked(names, expected):
    assert _image.boot_files(names) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param([], "no vmlinuz and no initrd in /boot", id="empty"),
        pytest.param(["vmlinuz-6"], "no initrd in /boot", id="no-initrd"),
        pytest.param(["initrd.img-6"], "no vmlinuz in /boot", id="no-kernel"),
        pytest.param([*KERNEL, "vmlinuz-5"], "more than one vmlinuz in /boot: vmlinuz-5, vmlinuz-6.12-amd64", id="two-kernels"),
        pytest.param([*KERNEL, *XEN, "xen-4.17-amd64.gz"], "more than one xen.gz in /boot: xen-4.17-amd64.gz", id="two-xens"),
    ],
)
def test_too_few_or_too_many_kernels_are_refused_by_name(names, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _image.boot_files(names)
