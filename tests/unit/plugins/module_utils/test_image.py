from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.module_utils import _image, _names, _volumes

PARAMS = {
    "packages": ["openssh-server", "linux-image-amd64"],
    "overlays": ["/overlays/common", "/overlays/xen"],
    "mirror": {"main": "http://mirror.example/debian", "security": "http://mirror.example/debian-security"},
    "apt_proxy": "",
    "suite": "trixie",
    "format": "squashfs",
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
    (tmp_path / "two").mkdir()
    assert overlay(tmp_path / "one", {"etc/hosts": "x"}) != overlay(tmp_path / "two", files)


def test_permissions_are_part_of_the_overlays_digest(tmp_path):
    before = overlay(tmp_path, {"tool": "x"})
    (tmp_path / "tool").chmod(0o755)
    assert _image.overlay_digest(str(tmp_path)) != before


def linked(directory, target):
    (directory / "etc").mkdir(parents=True)
    (directory / "etc" / "one").write_text("x")
    (directory / "etc" / "two").write_text("x")
    if target:
        (directory / "etc" / "link").symlink_to(target)
    return _image.overlay_digest(str(directory))


def test_symlinks_are_part_of_the_overlays_digest_by_where_they_point(tmp_path):
    targets = ["", "one", "two", "/nowhere", ".."]
    digests = [linked(tmp_path / str(number), target) for number, target in enumerate(targets)]
    assert len(set(digests)) == len(targets)
    assert linked(tmp_path / "again", "two") == digests[targets.index("two")]


def test_a_symlink_in_place_of_an_equal_file_has_another_digest(tmp_path):
    before = overlay(tmp_path, {"one": "x", "two": "x"})
    (tmp_path / "two").unlink()
    (tmp_path / "two").symlink_to("one")
    assert _image.overlay_digest(str(tmp_path)) != before


def test_what_a_symlink_points_to_outside_is_not_part_of_the_digest(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("x")
    before = linked(tmp_path / "overlay", outside)
    outside.write_text("y")
    assert _image.overlay_digest(str(tmp_path / "overlay")) == before


def test_empty_directories_and_their_permissions_are_part_of_the_overlays_digest(tmp_path):
    digests = [_image.overlay_digest(str(tmp_path))]
    (tmp_path / "var").mkdir(mode=0o755)
    digests.append(_image.overlay_digest(str(tmp_path)))
    (tmp_path / "var").chmod(0o700)
    digests.append(_image.overlay_digest(str(tmp_path)))
    assert len(set(digests)) == 3


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


def image(directory, files):
    directory.mkdir()
    for name, data in files.items():
        (directory / name).write_bytes(data)
    return str(directory)


FILES = {"initrd": b"initramfs", "vmlinuz": b"kernel"}


def test_the_manifest_tells_name_and_every_file(tmp_path):
    name, manifest = _image.describe(image(tmp_path / "one", FILES), "xen", "trixie", {})
    assert _names.matches(_names.IMAGE, name)
    assert name.startswith("xen-")
    assert json.loads(manifest) == {
        "name": name,
        "kind": "xen",
        "suite": "trixie",
        "files": {file: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for file, data in FILES.items()},
    }
    assert _image.sizes(manifest) == {"initrd": 9, "vmlinuz": 6}


@pytest.mark.parametrize(
    ("files", "same"),
    [
        pytest.param(dict(reversed(FILES.items())), True, id="order"),
        pytest.param({**FILES, "vmlinuz": b"Kernel"}, False, id="contents"),
        pytest.param({"initrd": b"kernel", "vmlinuz": b"initramfs"}, False, id="swapped"),
        pytest.param({"initrd": b"initramfs"}, False, id="missing"),
        pytest.param({"initrd": b"initramfs", "linux": b"kernel"}, False, id="renamed"),
    ],
)
def test_an_images_name_tells_its_contents(tmp_path, files, same):
    one, other = (_image.describe(image(tmp_path / name, found), "xen", "trixie", {}) for name, found in (("one", FILES), ("other", files)))
    assert (one == other) is same
    assert (one[0] == other[0]) is same


def test_further_facts_are_in_the_manifest_and_change_nothing_else(tmp_path):
    directory = image(tmp_path / "one", FILES)
    name, plain = _image.describe(directory, "debian", "trixie", {})
    same, with_facts = _image.describe(directory, "debian", "trixie", {"disk_size": 64 << 20})
    assert same == name
    assert json.loads(with_facts) == {**json.loads(plain), "disk_size": 64 << 20}
    assert _image.sizes(with_facts) == _image.sizes(plain)


def test_an_archive_has_the_files_in_one_directory_and_the_manifest_last(tmp_path):
    _image.pack(image(tmp_path / "one", {"a": b"1", "z": b"2"}), "xen-0", b"manifest", str(tmp_path / "image.tar"))
    with tarfile.open(tmp_path / "image.tar") as tar:
        found = [(entry.name, oct(entry.mode), entry.uid, entry.gid, tar.extractfile(entry).read()) for entry in tar.getmembers()]
    assert found == [
        ("xen-0/a", "0o644", 0, 0, b"1"),
        ("xen-0/z", "0o644", 0, 0, b"2"),
        ("xen-0/manifest.json", "0o644", 0, 0, b"manifest"),
    ]


def test_equal_images_have_equal_archives_whenever_and_by_whomever_made(tmp_path):
    for name, mode, time in (("one", 0o600, 1), ("other", 0o755, 1_000_000_000)):
        directory = image(tmp_path / name, FILES)
        for file in FILES:
            os.chmod(tmp_path / name / file, mode)
            os.utime(tmp_path / name / file, (time, time))
        _image.pack(directory, "xen-0", b"manifest", str(tmp_path / f"{name}.tar"))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()


def test_packages_come_from_the_release_its_updates_and_its_security_updates():
    assert _image.sources(PARAMS["mirror"], "trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/debian-security trixie-security main",
    ]


def test_mmdebstrap_gets_suite_target_and_sources_last_and_packages_sorted():
    argv = _image.mmdebstrap_argv("/build/root", "/build/boot", PARAMS)
    assert argv[0] == "mmdebstrap"
    assert argv[-5:] == ["trixie", "/build/root", *_image.sources(PARAMS["mirror"], "trixie")]
    assert "--include=linux-image-amd64,openssh-server" in argv
    assert all(option.startswith("--") for option in argv[1:-5])


@pytest.mark.parametrize(
    ("proxy", "options"),
    [("", []), ("http://cache.example:3142", ['--aptopt=Acquire::http::Proxy "http://cache.example:3142"'])],
    ids=["no-proxy", "proxy"],
)
def test_a_proxy_is_used_where_there_is_one(proxy, options):
    argv = _image.mmdebstrap_argv("/build/root", "/build/boot", {**PARAMS, "apt_proxy": proxy})
    assert [option for option in argv if "Proxy" in option] == options


BOTH_FORMATS = pytest.mark.parametrize("image_format", ["squashfs", "disk"])


def hooks(image_format):
    argv = _image.mmdebstrap_argv("/build/root", "/build/boot", {**PARAMS, "format": image_format})
    return [option.partition("=")[2] for option in argv if "-hook=" in option]


def test_a_nodes_kernel_is_taken_out_of_its_root():
    taken = [hook for hook in hooks("squashfs") if hook.startswith("mv")]
    assert taken == ['mv "$1"/boot/* /build/boot/']
    assert 'rm -rf "$1"/vmlinuz* "$1"/initrd.img*' in hooks("squashfs")


def test_an_instances_kernel_stays_on_its_disk():
    assert [hook for hook in hooks("disk") if '"$1"/boot' in hook or "vmlinuz" in hook or "initrd" in hook] == []


def test_formats_differ_in_nothing_but_the_kernel():
    assert [hook for hook in hooks("squashfs") if hook not in hooks("disk")] == [
        'mv "$1"/boot/* /build/boot/',
        'rm -rf "$1"/vmlinuz* "$1"/initrd.img*',
    ]
    assert [hook for hook in hooks("disk") if hook not in hooks("squashfs")] == []


@BOTH_FORMATS
def test_the_packages_are_listed_outside_the_root(image_format):
    (listing,) = [hook for hook in hooks(image_format) if "dpkg-query" in hook]
    assert listing.endswith(" >/build/boot/packages.txt")


STEP = 64 << 20
USED = st.integers(1, 1 << 50) | st.builds(lambda steps, more: steps * STEP * 3 // 4 + more, st.integers(1, 1 << 20), st.integers(-1, 2))


@given(USED)
@example(1)
@example(48 << 20)
@example((48 << 20) + 1)
def test_a_disk_has_a_third_more_than_is_used_in_whole_steps_and_no_step_too_many(used):
    size = _image.disk_size(used)
    assert size % STEP == 0
    assert size * 3 >= used * 4
    assert (size - STEP) * 3 < used * 4


@given(USED, USED)
def test_more_files_never_make_a_smaller_disk(one, other):
    assert (_image.disk_size(one) <= _image.disk_size(other)) or one > other


def test_a_disk_is_in_whole_extents_of_what_it_is_put_on():
    assert STEP % _volumes.EXTENT == 0


@BOTH_FORMATS
def test_what_makes_nodes_differ_does_not_stay_in_the_image(tmp_path, image_format):
    for path in (
        "ssh/ssh_host_ed25519_key",
        "ssh/ssh_host_rsa_key.pub",
        "ssh/sshd_config",
        "hostname",
        "resolv.conf",
        "machine-id",
        "fstab",
    ):
        target = tmp_path / "etc" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("x")
    for hook in hooks(image_format):
        if hook.startswith(("rm", "truncate")):
            subprocess.run(["/bin/sh", "-c", hook, "sh", str(tmp_path)], check=True)  # as mmdebstrap does
    left = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    # An empty one is what systemd fills in where the root cannot be written to.
    assert left == {"etc/fstab": "x", "etc/ssh/sshd_config": "x", "etc/machine-id": ""}


@BOTH_FORMATS
def test_systemd_finds_nothing_newer_than_what_the_packages_have_done(tmp_path, image_format):
    for path in ("etc", "var", "usr"):
        (tmp_path / path).mkdir()
    for hook in hooks(image_format):
        if hook.startswith("touch"):
            subprocess.run(["/bin/sh", "-c", hook, "sh", str(tmp_path)], check=True)  # as mmdebstrap does
    for path in ("etc", "var"):
        assert (tmp_path / path / ".updated").stat().st_mtime >= (tmp_path / "usr").stat().st_mtime


def test_no_hook_touches_a_path_outside_the_new_root_and_the_work_directory():
    argv = _image.mmdebstrap_argv("/build/root", "/build/boot", PARAMS)
    hooks = [option.partition("-hook=")[2] for option in argv if "-hook=" in option]
    paths = [word for hook in hooks for word in re.findall(r'(?<![^ >])/[^ "]*', hook)]
    assert paths
    assert all(path.startswith(("/build/boot/", "/overlays/")) for path in paths)


@pytest.mark.parametrize("awkward", ["my files", "a;touch ran", "$(touch ran)", "it's", 'a"b'], ids=str)
def test_a_shell_copies_overlays_in_order_links_as_links_whatever_their_paths(tmp_path, awkward):
    root, first, second = tmp_path / "root", tmp_path / awkward, tmp_path / "second"
    for number, directory in enumerate((root, first, second)):
        directory.mkdir()
        (directory / "file").write_text(str(number))
    (first / "link").symlink_to("nowhere")
    (first / "tool").touch(mode=0o750)
    argv = _image.mmdebstrap_argv("/build/root", "/build/boot", {**PARAMS, "overlays": [str(first), str(second)]})
    hooks = [option.removeprefix("--essential-hook=") for option in argv if option.startswith("--essential-hook=")]
    for hook in hooks:
        subprocess.run(["/bin/sh", "-c", hook, "sh", str(root)], check=True, cwd=tmp_path)  # as mmdebstrap does
    assert (root / "file").read_text() == "2"
    assert os.readlink(root / "link") == "nowhere"
    assert (root / "tool").stat().st_mode & 0o777 == 0o750
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("awkward", ["/build/my boot", "/build/boot;reboot"], ids=["space", "semicolon"])
def test_the_directory_for_the_kernel_is_one_word_to_a_shell(awkward):
    argv = _image.mmdebstrap_argv("/build/root", awkward, PARAMS)
    hooks = [option for option in argv if "-hook=" in option and "boot" in option.replace('"$1"/boot', "")]
    words = [word for hook in hooks for word in shlex.split(hook.partition("-hook=")[2])]
    assert {f">{awkward}/packages.txt", f"{awkward}/"} <= set(words)


def test_the_overlay_wins_over_a_packages_own_configuration():
    assert "--dpkgopt=force-confold" in _image.mmdebstrap_argv("/build/root", "/build/boot", PARAMS)


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
