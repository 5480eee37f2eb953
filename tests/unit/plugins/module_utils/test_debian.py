from __future__ import annotations

import pytest

from plugins.module_utils import _debian

MIRROR = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"
MAIN_LINE = f"trixie|main|Debian|{MIRROR}/"
SECURITY_LINE = f"trixie-security|main|Debian-Security|{SECURITY}/"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([MAIN_LINE], {"main": MIRROR}, id="trailing-slash"),
        pytest.param([f"trixie|main|Debian|{MIRROR}"], {"main": MIRROR}, id="no-trailing-slash"),
        pytest.param([MAIN_LINE, SECURITY_LINE], {"main": MIRROR, "security": SECURITY}, id="both"),
        pytest.param([SECURITY_LINE, MAIN_LINE], {"main": MIRROR, "security": SECURITY}, id="security-first"),
        pytest.param([MAIN_LINE.replace("trixie", "forky")], {"main": MIRROR}, id="whatever-release"),
        pytest.param([SECURITY_LINE.replace("trixie-security", "trixie")], {"security": SECURITY}, id="security-by-label-not-by-codename"),
        pytest.param(
            [MAIN_LINE.replace("trixie", "trixie-updates"), f"trixie-backports|main|Debian Backports|{MIRROR}/"], {}, id="only-updates"
        ),
        pytest.param([f"trixie|contrib|Debian|{MIRROR}/", f"trixie|non-free-firmware|Debian|{MIRROR}/"], {}, id="other-components"),
        pytest.param([MAIN_LINE, "trixie|main|Debian|http://second.example/debian/"], {"main": MIRROR}, id="first-wins"),
        pytest.param(["trixie|main|Tool|http://tool.example/", MAIN_LINE], {"main": MIRROR}, id="third-party-first"),
        pytest.param(["trixie|main||http://tool.example/", MAIN_LINE], {"main": MIRROR}, id="third-party-without-label"),
        pytest.param(["trixie-security|main|Tool|http://tool.example/", SECURITY_LINE], {"security": SECURITY}, id="third-party-security"),
        pytest.param(["|||http://flat.example/", MAIN_LINE], {"main": MIRROR}, id="flat-archive-without-component"),
        pytest.param(["", "trixie|main", MAIN_LINE], {"main": MIRROR}, id="short-lines"),
        pytest.param(["trixie|main|Debian|mirror+file:/etc/my mirrors/"], {"main": "mirror+file:/etc/my mirrors"}, id="space-in-address"),
    ],
)
def test_mirrors(lines, expected):
    assert _debian.mirrors("".join(f"{line}\n" for line in lines)) == expected


def test_apt_is_asked_for_what_is_read():
    assert "$(CODENAME)|$(COMPONENT)|$(LABEL)|$(REPO_URI)" in _debian.INDEX_TARGETS
