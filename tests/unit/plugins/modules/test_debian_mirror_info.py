from __future__ import annotations

import io

import pytest

from plugins.modules import debian_mirror_info

MIRROR = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"
BOTH = f"trixie main {MIRROR}/\ntrixie-updates main {MIRROR}/\ntrixie-security main {SECURITY}/\n"


@pytest.fixture
def read_mirrors(run_module, commands, monkeypatch):
    """Return a function that runs the module on a machine with this release and this answer of apt-get."""

    def run(answer, release="ID=debian\nVERSION_CODENAME=trixie\n", check_mode=False):
        def fake_open(path, **_options):
            if release is None:
                raise FileNotFoundError(2, "No such file or directory", path)
            return {"/etc/os-release": io.StringIO(release)}[path]

        monkeypatch.setattr(debian_mirror_info, "open", fake_open, raising=False)
        commands.answer("apt-get", "indextargets", with_=answer)
        return run_module(debian_mirror_info, {}, check_mode=check_mode)

    return run


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
def test_both_archives_are_read(read_mirrors, commands, check_mode):
    assert read_mirrors((0, BOTH, ""), check_mode=check_mode) == {"changed": False, "main": MIRROR, "security": SECURITY}
    assert commands.programs == ["apt-get"]


@pytest.mark.parametrize(
    ("output", "release", "missing"),
    [
        pytest.param("", "VERSION_CODENAME=trixie\n", "no Debian trixie archive for: main, security.", id="nothing"),
        pytest.param(f"trixie main {MIRROR}/\n", "VERSION_CODENAME=trixie\n", "no Debian trixie archive for: security.", id="no-security"),
        pytest.param(BOTH, "VERSION_CODENAME=forky\n", "no Debian forky archive for: main, security.", id="other-release"),
    ],
)
def test_a_missing_archive_is_named_with_an_example(read_mirrors, output, release, missing):
    result = read_mirrors((0, output, ""), release)
    assert result["failed"]
    assert missing in result["msg"]
    assert "node_image_mirror" in result["msg"]
    assert "'security': 'http://mirror.example/debian-security'" in result["msg"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((100, "", "E: sources.list is broken\n"), "exit code 100: E: sources.list is broken", id="fails"),
        pytest.param((124, "", ""), "not finished after 60 s", id="too-long"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
    ],
)
def test_apt_that_fails_is_named(read_mirrors, answer, reason):
    result = read_mirrors(answer)
    assert result["failed"]
    assert result["msg"].startswith("cannot read apt's sources: apt-get indextargets ")
    assert result["msg"].endswith(reason)
    assert result["rc"] == answer[0]


def test_a_machine_without_os_release_is_an_error_that_names_the_file(read_mirrors):
    result = read_mirrors((0, BOTH, ""), release=None)
    assert result["failed"]
    assert "/etc/os-release" in result["msg"]
