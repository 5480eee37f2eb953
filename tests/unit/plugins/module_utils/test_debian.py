from __future__ import annotations

import pytest

from plugins.module_utils import _debian

MIRROR = "http://mirror.example/debian"
SECURITY = "http://mirror.example/debian-security"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([f"trixie main {MIRROR}/"], {"main": MIRROR}, id="trailing-slash"),
        pytest.param([f"trixie main {MIRROR}"], {"main": MIRROR}, id="no-trailing-slash"),
        pytest.param([f"trixie main {MIRROR}/", f"trixie-security main {SECURITY}/"], {"main": MIRROR, "security": SECURITY}, id="both"),
        pytest.param([f"trixie-updates main {MIRROR}/", f"trixie-backports main {MIRROR}/"], {}, id="only-updates"),
        pytest.param([f"bookworm main {MIRROR}/"], {}, id="other-release"),
        pytest.param([f"trixie contrib {MIRROR}/", f"trixie non-free-firmware {MIRROR}/"], {}, id="other-components"),
        pytest.param([f"trixie main {MIRROR}/", "trixie main http://second.example/debian/"], {"main": MIRROR}, id="first-wins"),
        pytest.param(["./  http://flat.example/", f"trixie main {MIRROR}/"], {"main": MIRROR}, id="flat-archive-without-component"),
        pytest.param(["trixie main mirror+file:/etc/apt/my mirrors/"], {"main": "mirror+file:/etc/apt/my mirrors"}, id="space-in-address"),
    ],
)
def test_mirrors(lines, expected):
    assert _debian.mirrors("".join(f"{line}\n" for line in lines), "trixie") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ID=debian\nVERSION_CODENAME=trixie\n", "trixie", id="plain"),
        pytest.param('VERSION_CODENAME="trixie"\n', "trixie", id="quoted"),
        pytest.param("UBUNTU_VERSION_CODENAME=noble\n", "", id="other-key"),
        pytest.param("ID=arch\n", "", id="none"),
        pytest.param("", "", id="empty"),
    ],
)
def test_codename(text, expected):
    assert _debian.codename_of(text) == expected
