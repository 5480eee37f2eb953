from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shlex
import tarfile
from pathlib import Path

import pytest

from plugins.module_utils import _names
from plugins.modules import node_image

MIRROR = {"main": "http://mirror.example/debian", "security": "http://mirror.example/debian-security"}
KERNEL = {"vmlinuz-6.12-amd64": b"kernel", "initrd.img-6.12-amd64": b"initramfs", "config-6.12-amd64": b"config"}
XEN = {"xen-4.20-amd64.gz": gzip.compress(b"hypervisor"), "xen-4.20-amd64.efi": b"hypervisor for EFI"}


def read_archive(path):
    with tarfile.open(path) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar.getmembers()}


class Builder:
    """A machine that builds images of what `boot` and `root` say. `used` is what the root takes on a disk, in bytes."""

    def __init__(self, base, run_module, commands):
        self.cache = base / "cache"
        self.overlay = base / "overlay"
        self.overlay.mkdir()
        (self.overlay / "hook").write_text("one")
        self.boot = {**KERNEL, **XEN}
        self.root = "root 1"
        self.used = 100 << 20
        self.commands = commands
        self._run_module = run_module
        commands.answer("mmdebstrap", with_=self._mmdebstrap)
        commands.answer("mksquashfs", with_=self._mksquashfs)
        commands.answer("du", with_=self._du)
        commands.answer("truncate", with_=self._truncate)
        commands.answer("mkfs.ext4", with_=self._mkfs)
        commands.answer("zstd", with_=self._zstd)

    def _mmdebstrap(self, argv):
        hooks = [option.partition("=")[2] for option in argv if "-hook=" in option]
        (boot,) = [found for hook in hooks for found in re.findall(r">(\S+)/packages.txt$", hook)]
        root = Path(argv[next(index for index, word in enumerate(argv) if word in ("trixie", "forky")) + 1])
        (root / "boot").mkdir(parents=True)
        (root / "contents").write_text(self.root)
        Path(boot, "packages.txt").write_bytes(b"linux-image-amd64 6.12\n")
        kernels = Path(boot) if f'mv "$1"/boot/* {boot}/' in hooks else root / "boot"
        for name, data in self.boot.items():
            (kernels / name).write_bytes(data)
        return 0, "", ""

    def _mksquashfs(self, argv):
        _program, source, target, *_options = argv
        Path(target).write_bytes(b"squashed " + Path(source, "contents").read_bytes())
        return 0, "", ""

    def _du(self, argv):
        assert argv[:-1] == ["du", "--summarize", "--block-size=1"]
        return 0, f"{self.used}\t{argv[-1]}\n", ""

    def _truncate(self, argv):
        _program, size, disk = argv
        Path(disk).touch(exist_ok=False)
        os.truncate(disk, int(size.removeprefix("--size=")))
        return 0, "", ""

    def _mkfs(self, argv):
        root = Path(argv[argv.index("-d") + 1])
        with open(argv[-1], "r+b") as disk:
            files = sorted(path.name for path in (root / "boot").iterdir())
            disk.write(f"disk {argv[argv.index('-L') + 1]}: {(root / 'contents').read_text()}, {', '.join(files)}\n".encode())
        return 0, "", ""

    def _zstd(self, argv):
        source, target = argv[-3], argv[-1]
        assert argv[-2] == "-o"
        with open(source, "rb") as disk:
            Path(target).write_bytes(f"packed {os.path.getsize(source)} ".encode() + disk.readline())
        return 0, "", ""

    def run(self, check_mode=False, without="", **options):
        params = {
            "kind": "xen",
            "packages": ["linux-image-amd64", "openssh-server"],
            "overlays": [str(self.overlay)],
            "mirror": MIRROR,
            "cache_directory": str(self.cache),
            **options,
        }
        params.pop(without, None)
        return self._run_module(node_image, params, check_mode=check_mode, diff=True)

    def would_build(self, **options):
        """Say whether check mode announces a build."""
        return self.run(check_mode=True, **options)["diff"]["after"] == "to be built\n"

    def images(self):
        """Return the names in the directory of images, whatever is left of unfinished ones included."""
        return {path.name for path in (self.cache / "images").glob("*")}


@pytest.fixture
def builder(tmp_path, run_module, commands):
    return Builder(tmp_path, run_module, commands)


def test_check_mode_builds_nothing(builder):
    result = builder.run(check_mode=True)
    assert (result["name"], result["archive"], result["sizes"]) == ("", "", {})
    assert result["diff"] == {"before": "\n", "after": "to be built\n"}
    assert builder.commands.calls == []
    assert not builder.cache.exists()


def test_check_mode_expects_a_change_where_there_is_no_image_yet(builder):
    assert builder.run(check_mode=True)["changed"]


def test_an_image_is_built(builder):
    result = builder.run()
    files = read_archive(result["archive"])
    manifest = json.loads(files.pop(f"{result['name']}/manifest.json"))
    assert result["changed"]
    assert _names.matches(_names.IMAGE, result["name"])
    assert result["archive"] == str(builder.cache / "images" / f"{result['name']}.tar")
    expected = {
        "vmlinuz": b"kernel",
        "initrd": b"initramfs",
        "xen": b"hypervisor",
        "xen.efi": b"hypervisor for EFI",
        "root.squashfs": b"squashed root 1",
        "packages.txt": b"linux-image-amd64 6.12\n",
    }
    assert files == {f"{result['name']}/{name}": data for name, data in expected.items()}
    digests = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in expected.items()}
    assert manifest == {"name": result["name"], "kind": "xen", "suite": "trixie", "files": digests}
    assert result["sizes"] == {name: len(data) for name, data in expected.items()}
    assert result["diff"] == {"before": "\n", "after": f"{result['name']}\n"}
    assert builder.commands.programs == ["mmdebstrap", "mksquashfs"]
    assert builder.images() == {f"{result['name']}.tar"}


def test_the_build_gets_the_options_and_does_not_depend_on_the_time(builder):
    builder.run(packages=["b", "a"], suite="forky", apt_proxy="http://cache.example:3142")
    build, pack = builder.commands.calls
    assert {"--include=a,b", "forky", '--aptopt=Acquire::http::Proxy "http://cache.example:3142"'} <= set(build.argv)
    assert build.options["environ_update"] == {"SOURCE_DATE_EPOCH": "0"}
    assert (build.timeout, pack.timeout) == (3600, 3600)


def test_without_xen_in_the_root_there_is_none_in_the_image(builder):
    builder.boot = KERNEL
    result = builder.run(kind="storage")
    assert result["name"].startswith("storage-")
    assert result["sizes"].keys() == {"vmlinuz", "initrd", "root.squashfs", "packages.txt"}


MIB = 1 << 20
DISK_PROGRAMS = ["mmdebstrap", "du", "truncate", "mkfs.ext4", "zstd"]
BOTH_FORMATS = pytest.mark.parametrize("image_format", ["squashfs", "disk"])


def test_check_mode_builds_no_disk(builder):
    result = builder.run(kind="debian", format="disk", check_mode=True)
    assert result["changed"]
    assert result["diff"] == {"before": "\n", "after": "to be built\n"}
    assert builder.commands.calls == []
    assert not builder.cache.exists()


def test_a_disk_is_built_with_the_kernel_on_it(builder):
    builder.boot = KERNEL
    result = builder.run(kind="debian", format="disk")
    files = read_archive(result["archive"])
    manifest = json.loads(files.pop(f"{result['name']}/manifest.json"))
    assert result["changed"]
    assert _names.matches(_names.IMAGE, result["name"])
    # A third more than 100 MiB, in whole 64 MiB.
    size = 192 * MIB
    expected = {
        "disk.zst": f"packed {size} disk root: root 1, {', '.join(sorted(KERNEL))}\n".encode(),
        "packages.txt": b"linux-image-amd64 6.12\n",
    }
    assert files == {f"{result['name']}/{name}": data for name, data in expected.items()}
    digests = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in expected.items()}
    assert manifest == {"name": result["name"], "kind": "debian", "suite": "trixie", "files": digests, "disk_size": size}
    assert result["sizes"] == {name: len(data) for name, data in expected.items()}
    assert builder.commands.programs == DISK_PROGRAMS
    assert builder.images() == {f"{result['name']}.tar"}


def test_a_disk_gets_its_file_system_from_the_root_and_time_enough(builder):
    builder.run(kind="debian", format="disk")
    bootstrap, measure, _make, fill, pack = builder.commands.calls
    root = measure.argv[-1]
    assert root in bootstrap.argv
    assert fill.argv[fill.argv.index("-d") + 1] == root
    assert fill.argv[fill.argv.index("-L") + 1] == "root"
    assert fill.argv[-1] in pack.argv
    assert (bootstrap.timeout, fill.timeout, pack.timeout) == (3600, 3600, 3600)
    assert bootstrap.options["environ_update"] == {"SOURCE_DATE_EPOCH": "0"}


def test_a_disks_kernel_is_not_taken_out_of_the_root(builder):
    builder.run(kind="debian", format="disk")
    assert [option for option in builder.commands.calls[0].argv if "hook=mv" in option or "vmlinuz" in option] == []


@pytest.mark.parametrize(("used", "size"), [(1, 64), (48 * MIB, 64), (48 * MIB + 1, 128), (600 * MIB, 832)])
def test_a_disk_is_as_large_as_its_files_need(builder, used, size):
    builder.used = used
    result = builder.run(kind="debian", format="disk")
    manifest = json.loads(read_archive(result["archive"])[f"{result['name']}/manifest.json"])
    assert manifest["disk_size"] == size * MIB


def test_a_nodes_image_tells_no_size_of_a_disk(builder):
    result = builder.run()
    assert "disk_size" not in json.loads(read_archive(result["archive"])[f"{result['name']}/manifest.json"])


def test_formats_are_built_each_for_itself_and_both_are_kept(builder):
    one, other = builder.run(kind="debian"), builder.run(kind="debian", format="disk")
    assert (one["changed"], other["changed"]) == (True, True)
    assert one["name"] != other["name"]
    assert builder.images() == {f"{one['name']}.tar", f"{other['name']}.tar"}
    builder.commands.calls.clear()
    assert (builder.run(kind="debian")["name"], builder.run(kind="debian", format="disk")["name"]) == (one["name"], other["name"])
    assert builder.commands.calls == []


@BOTH_FORMATS
@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
def test_a_second_run_changes_nothing_and_runs_nothing(builder, image_format, check_mode):
    first = builder.run(format=image_format)
    builder.commands.calls.clear()
    second = builder.run(format=image_format, check_mode=check_mode)
    assert not second["changed"]
    assert {key: second[key] for key in ("name", "archive", "sizes")} == {key: first[key] for key in ("name", "archive", "sizes")}
    assert second["diff"]["before"] == second["diff"]["after"]
    assert builder.commands.calls == []


@pytest.mark.parametrize(
    ("options", "anew"),
    [
        pytest.param({"packages": ["linux-image-amd64"]}, True, id="packages"),
        pytest.param({"kind": "storage"}, True, id="kind"),
        pytest.param({"suite": "forky"}, True, id="suite"),
        pytest.param({"mirror": {**MIRROR, "main": "http://other.example/debian"}}, True, id="mirror"),
        pytest.param({"format": "disk"}, True, id="format"),
        pytest.param({"format": "squashfs"}, False, id="format-by-default"),
        pytest.param({"packages": ["openssh-server", "linux-image-amd64"]}, False, id="order-of-packages"),
        pytest.param({"apt_proxy": "http://cache.example:3142"}, False, id="proxy"),
    ],
)
def test_other_inputs_are_built_anew(builder, options, anew):
    builder.run()
    builder.commands.calls.clear()
    builder.root = "root 2"
    assert builder.run(**options)["changed"] is anew
    assert bool(builder.commands.calls) is anew


@pytest.mark.parametrize("change", ["contents", "permissions", "new file"])
def test_another_overlay_is_built_anew(builder, change):
    builder.run()
    if change == "contents":
        (builder.overlay / "hook").write_text("two")
    elif change == "permissions":
        (builder.overlay / "hook").chmod(0o755)
    else:
        (builder.overlay / "more").touch()
    assert builder.would_build()


def test_a_link_in_the_overlay_is_built_anew_by_where_it_points(builder):
    builder.run()
    (builder.overlay / "link").symlink_to("hook")
    assert builder.would_build()
    builder.run()
    assert not builder.would_build()
    (builder.overlay / "link").unlink()
    (builder.overlay / "link").symlink_to("elsewhere")
    assert builder.would_build()


@pytest.fixture
def second(builder):
    directory = builder.overlay.with_name("second; touch ran")
    directory.mkdir()
    (directory / "hook").write_text("two")
    return directory


def test_overlays_are_laid_over_the_root_in_their_order_each_path_quoted(builder, second):
    builder.run(overlays=[str(second), str(builder.overlay)])
    copied = [option.partition("=")[2] for option in builder.commands.calls[0].argv if option.startswith("--essential-hook=")]
    sources = [next(word for word in shlex.split(hook) if word.endswith("/.")) for hook in copied]
    assert sources == [f"{second}/.", f"{builder.overlay}/."]


def test_the_order_of_overlays_and_the_contents_of_each_are_inputs(builder, second):
    both = [str(builder.overlay), str(second)]
    builder.run(overlays=both)
    assert not builder.would_build(overlays=both)
    assert builder.would_build(overlays=both[::-1])
    assert builder.would_build(overlays=both[:1])
    (second / "hook").write_text("three")
    assert builder.would_build(overlays=both)


def test_inputs_that_gave_the_same_image_share_it(builder):
    name = builder.run()["name"]
    assert builder.run(packages=["another"])["name"] == name
    assert builder.images() == {f"{name}.tar"}


def test_an_image_that_was_removed_is_built_again(builder):
    first = builder.run()
    archive = Path(first["archive"])
    before = archive.read_bytes()
    archive.unlink()
    second = builder.run()
    assert second["changed"]
    assert second["archive"] == first["archive"]
    assert archive.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _data: b"", id="empty"),
        pytest.param(lambda _data: b"no tar", id="no-tar"),
        pytest.param(lambda data: data[:100], id="cut-off-in-a-header"),
        pytest.param(lambda data: data[: data.index(b"/manifest.json")], id="cut-off-before-the-manifest"),
        pytest.param(lambda data: data[: data.index(b'"files"')], id="cut-off-in-the-manifest"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: b"\xff" * 512 + data[512:], id="overwritten"),
    ],
)
def test_a_damaged_archive_is_built_again(builder, damage):
    first = builder.run()
    archive = Path(first["archive"])
    whole = archive.read_bytes()
    archive.write_bytes(damage(whole))
    assert builder.would_build()
    result = builder.run()
    assert result["changed"]
    assert {key: result[key] for key in ("name", "archive", "sizes")} == {key: first[key] for key in ("name", "archive", "sizes")}
    assert archive.read_bytes() == whole
    assert not builder.run()["changed"]


def test_an_empty_record_is_made_up_for_by_building_again(builder):
    name = builder.run()["name"]
    for record in (builder.cache / "inputs").iterdir():
        record.write_text("")
    assert builder.run()["name"] == name
    assert not builder.would_build()


def test_refresh_with_newer_packages_makes_another_image_and_keeps_the_old(builder):
    old = builder.run()["name"]
    builder.root = "root 2"
    result = builder.run(refresh=True)
    assert result["changed"]
    assert result["diff"] == {"before": f"{old}\n", "after": f"{result['name']}\n"}
    assert builder.images() == {f"{old}.tar", f"{result['name']}.tar"}
    assert builder.run()["name"] == result["name"]


def test_refresh_without_newer_packages_changes_nothing(builder):
    name = builder.run()["name"]
    result = builder.run(refresh=True)
    assert builder.commands.programs == ["mmdebstrap", "mksquashfs"] * 2
    assert not result["changed"]
    assert builder.images() == {f"{name}.tar"}


def test_refresh_in_check_mode_builds_nothing_and_knows_no_name(builder):
    old = builder.run()["name"]
    builder.commands.calls.clear()
    result = builder.run(refresh=True, check_mode=True)
    assert result["changed"]
    assert result["name"] == ""
    assert result["diff"] == {"before": f"{old}\n", "after": "to be built\n"}
    assert builder.commands.calls == []


@pytest.mark.parametrize("program", ["mmdebstrap", "mksquashfs"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((25, "", "I: working\nE: no space left\n"), "exit code 25: E: no space left", id="fails"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
        pytest.param((124, "", ""), "not finished after 3600 s, or killed", id="too-long"),
        pytest.param((137, "", ""), "not finished after 3600 s, or killed", id="too-long-and-deaf"),
    ],
)
def test_a_program_that_fails_is_named_and_leaves_nothing(builder, program, answer, reason):
    builder.commands.answer(program, with_=answer)
    result = builder.run()
    assert result["failed"]
    assert result["msg"].startswith(f"cannot build the xen image: {program} ")
    assert result["msg"].endswith(reason)
    assert (result["rc"], result["stderr"]) == (answer[0], answer[2])
    assert result["cmd"][0] == program
    assert builder.images() == set()
    assert builder.would_build()


@pytest.mark.parametrize(("program", "seconds"), [("mmdebstrap", 3600), ("du", 60), ("truncate", 60), ("mkfs.ext4", 3600), ("zstd", 3600)])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((1, "", "I: working\nE: no space left\n"), "exit code 1: E: no space left", id="fails"),
        pytest.param((124, "", ""), "not finished after {} s, or killed", id="too-long"),
    ],
)
def test_a_program_that_fails_while_a_disk_is_made_is_named_and_leaves_nothing(builder, program, seconds, answer, reason):
    builder.commands.answer(program, with_=answer)
    result = builder.run(kind="debian", format="disk")
    assert result["failed"]
    assert result["msg"].startswith(f"cannot build the debian image: {program} ")
    assert result["msg"].endswith(reason.format(seconds))
    assert builder.commands.programs == DISK_PROGRAMS[: DISK_PROGRAMS.index(program) + 1]
    assert builder.images() == set()
    assert builder.would_build(kind="debian", format="disk")


@pytest.mark.parametrize("wrong", ["", "ext4", "Disk"])
def test_a_format_that_there_is_not_is_refused(builder, wrong):
    result = builder.run(format=wrong)
    assert result["failed"]
    assert "value of format must be one of: squashfs, disk" in result["msg"]
    assert builder.commands.calls == []


@pytest.mark.parametrize(
    ("boot", "message"),
    [
        pytest.param({**KERNEL, "vmlinuz-6.1": b""}, "more than one vmlinuz in /boot: vmlinuz-6.1, vmlinuz-6.12-amd64", id="two-kernels"),
        pytest.param({**KERNEL, **XEN, "xen-4.17.gz": b""}, "more than one xen.gz in /boot: xen-4.17.gz, xen-4.20-amd64.gz", id="two-xens"),
        pytest.param({}, "no vmlinuz and no initrd in /boot", id="no-kernel"),
        pytest.param({**KERNEL, "xen-4.20-amd64.gz": b"no gzip"}, "Not a gzipped file", id="damaged-xen"),
    ],
)
def test_a_root_without_exactly_one_kernel_is_no_image(builder, boot, message):
    builder.boot = boot
    result = builder.run()
    assert result["failed"]
    assert result["msg"].startswith("cannot build the xen image: ")
    assert message in result["msg"]
    assert builder.images() == set()


def test_a_failed_refresh_leaves_the_old_image_in_use(builder):
    name = builder.run()["name"]
    builder.commands.answer("mksquashfs", with_=(1, "", "E: no space"))
    assert builder.run(refresh=True)["failed"]
    result = builder.run()
    assert not result["changed"]
    assert result["name"] == name


@pytest.mark.parametrize("option", ["kind", "packages", "overlays", "mirror"])
def test_a_missing_option_is_named(builder, option):
    result = builder.run(without=option)
    assert result["failed"]
    assert option in result["msg"]
    assert builder.commands.calls == []


def test_a_mirror_without_its_security_archive_is_refused(builder):
    result = builder.run(mirror={"main": MIRROR["main"]})
    assert result["failed"]
    assert "security found in mirror" in result["msg"]


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("kind", ["", "Xen", "xen-2", "../xen", "xen\n", "xen/x"])
def test_a_kind_that_is_no_part_of_a_name_is_refused(builder, kind, check_mode):
    result = builder.run(kind=kind, check_mode=check_mode)
    assert result["failed"]
    assert f"kind {kind!r}: use lower-case letters, such as xen" in result["msg"]
    assert builder.commands.calls == []
    assert not builder.cache.exists()


@pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
@pytest.mark.parametrize("wrong", ["", "missing", "overlay/hook"], ids=["empty", "missing", "file"])
def test_an_overlay_that_is_no_directory_is_refused(builder, wrong, check_mode):
    path = wrong and str(builder.overlay.parent / wrong)
    result = builder.run(overlays=[str(builder.overlay), path], check_mode=check_mode)
    assert result["failed"]
    assert f"{path!r} in overlays is not a directory; give one such as /srv/overlays/xen" in result["msg"]
    assert builder.commands.calls == []
    assert not builder.cache.exists()
