from __future__ import annotations

import pytest

from plugins.modules import debian_mirror_info

MIRROR = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"
THIRD_PARTY = "trixie|main|Tool|http://tool.example/\n"
MAIN = f"trixie|main|Debian|{MIRROR}/\ntrixie-updates|main|Debian|{MIRROR}/\n"
BOTH = f"{MAIN}trixie-security|main|Debian-Security|{SECURITY}/\n"


@pytest.fixture
def read_mirrors(run_module, commands):
    """Return a function that runs the module on a machine with this answer of apt-get."""

    def run(answer, check_mode=False):
        commands.answer("apt-get", "indextargets", with_=answer)
        return run_module(debian_mirror_info, {}, check_mode=check_mode)

    return run


@pytest.mark.parametrize("check_mode", [False, True], ids=["real", "check"])
def test_both_archives_are_read(read_mirrors, commands, check_mode):
    assert read_mirrors((0, BOTH, ""), check_mode=check_mode) == {"changed": False, "main": MIRROR, "security": SECURITY}
    assert commands.programs == ["apt-get"]


def test_a_third_party_archive_listed_first_is_no_mirror(read_mirrors):
    assert read_mirrors((0, THIRD_PARTY + BOTH, ""))["main"] == MIRROR


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        pytest.param("", "knows no Debian archive for: main, security.", id="nothing"),
        pytest.param(MAIN, "knows no Debian archive for: security.", id="no-security"),
        pytest.param(THIRD_PARTY, "knows no Debian archive for: main, security.", id="only-third-party"),
    ],
)
def test_a_missing_archive_is_named_with_what_to_do(read_mirrors, output, missing):
    result = read_mirrors((0, output, ""))
    assert result["failed"]
    assert missing in result["msg"]
    assert "apt-get update" in result["msg"]
    assert "node_image_mirror" in result["msg"]
    assert "'security': 'http://mirror.example/debian-security'" in result["msg"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((100, "", "E: sources.list is broken\n"), "exit code 100: E: sources.list is broken", id="fails"),
        pytest.param((124, "", ""), "not finished after 60 s, or killed", id="too-long"),
        pytest.param((127, "", "timeout: failed to run command"), "exit code 127: timeout: failed to run command", id="missing"),
    ],
)
def test_apt_that_fails_is_named(read_mirrors, answer, reason):
    result = read_mirrors(answer)
    assert result["failed"]
    assert result["msg"].startswith("cannot read apt's sources: apt-get indextargets ")
    assert result["msg"].endswith(reason)
    assert result["rc"] == answer[0]
