"""What a half does to come up and to go down, and that its volumes need not be asked for again one by one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "roles/node_image/files/storage/usr/lib/bareroot"
UNITS = Path(__file__).parents[2] / "roles/node_image/files/storage/etc/systemd/system"
VOLUMES = """\
  pool       bareroot_half0
  db-root    bareroot_half0 /dev/bareroot_half0/db-root    bareroot.address.1.7,bareroot.export.aoe
  debian-0   bareroot_half0 /dev/bareroot_half0/debian-0   bareroot.template
  web1-root  bareroot_half0 /dev/bareroot_half0/web1-root  bareroot.address.1.0,bareroot.export.nvme,backup
  web1-seed  bareroot_half0 /dev/bareroot_half0/web1-seed  backup,bareroot.address.12.254,bareroot.export.nvme
"""
NVME = "bareroot-nvme@volume-web1-root.service bareroot-nvme@volume-web1-seed.service"
AOE = "bareroot-aoe@volume-db-root.service"
# As the units of exports do: each asks for its own volume.
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>LOG
[ ! -e FAIL ] || exit 1
shift
for unit in "$@"; do
    kind=${unit%%@*}
    name=${unit#*@volume-}
    echo "$(LIB/volume-of "${name%.service}" "${kind#bareroot-}")" >>LOG
done
"""


class StorageNode:
    """What the programs need of a StorageNode; lvs can be asked once."""

    def __init__(self, base: Path) -> None:
        self.base, self.log, self.fail, self.handed = base, base / "log", base / "fail", base / "run/volumes"
        self.etc, self.lib, self.bin = (base / name for name in ("etc", "lib", "bin"))
        for directory in (self.etc, self.lib, self.bin, base / "run", base / "conf/all", base / "conf/half0"):
            directory.mkdir(parents=True)
        (self.etc / "half0.nvme").write_text("SUBSYSTEM=nqn.half0\nADDRESS=10.1.0.8/24\nPORT=4420\n")
        (self.etc / "half0.mac").write_text("02:00:00:00:00:01\n")
        (base / "run/storage-nic").write_text("eth1\n")
        for name in ("half", "volume-of"):
            self._program(self.lib / name, (PROGRAMS / name).read_text())
        for path in (self.lib / "nvme-target", self.bin / "vgchange", self.bin / "ip"):
            self._program(path, f'#!/bin/sh\necho "{path.name} $*" >>LOG\n')
        self._program(self.bin / "systemctl", SYSTEMCTL)
        self.volumes(VOLUMES)

    def volumes(self, said: str) -> None:
        self._program(self.bin / "lvs", f"#!/bin/sh\nrm $0\ncat <<END\n{said}END\n")

    def _program(self, path: Path, text: str) -> None:
        places = {
            "/etc/bareroot": self.etc,
            "/run/bareroot": self.base / "run",
            "/usr/lib/bareroot": self.lib,
            "/proc/sys/net/ipv4/conf": self.base / "conf",
            "LIB": self.lib,
            "LOG": self.log,
            "FAIL": self.fail,
        }
        for name, place in places.items():
            text = text.replace(name, str(place))
        path.write_text(text)
        path.chmod(0o755)

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        return subprocess.run([self.lib / program, *words], capture_output=True, text=True, check=False, env=path)

    def did(self) -> list[str]:
        lines = self.log.read_text().splitlines()
        self.log.unlink()
        return [line for line in lines if not line.startswith("ip ")]


@pytest.fixture
def node(tmp_path):
    return StorageNode(tmp_path)


def test_a_half_exports_all_that_is_to_be_exported_and_asks_once(node):
    done = node.run("half", "up", "half0")
    assert (done.returncode, done.stderr) == (0, "")
    assert node.did() == [
        "vgchange --quiet --activate y bareroot_half0",
        "nvme-target prepare half0",
        f"systemctl start {NVME}",
        "bareroot_half0 /dev/bareroot_half0/web1-root 1.0",
        "bareroot_half0 /dev/bareroot_half0/web1-seed 12.254",
        "nvme-target listen half0",
        f"systemctl restart {AOE}",
        "bareroot_half0 /dev/bareroot_half0/db-root 1.7",
    ]
    assert list(node.handed.iterdir()) == []


def test_a_half_takes_away_what_it_exports_and_leaves_nothing_behind(node):
    assert node.run("half", "down", "half0").returncode == 0
    did = node.did()
    assert [line for line in did if not line.startswith("bareroot_half0 ")] == [
        f"systemctl stop {AOE}",
        "nvme-target close half0",
        f"systemctl stop {NVME}",
        "vgchange --quiet --activate n bareroot_half0",
    ]
    assert list(node.handed.iterdir()) == []


def test_an_export_that_cannot_be_made_fails_the_half_and_what_it_left_goes_with_it(node):
    node.fail.touch()
    assert node.run("half", "up", "half0").returncode == 1
    assert node.did()[-1] == f"systemctl start {NVME}"
    node.fail.unlink()
    node.volumes(VOLUMES)
    assert node.run("half", "down", "half0").returncode == 0
    assert list(node.handed.iterdir()) == []


def test_systemd_takes_a_half_down_that_did_not_come_up():
    """It runs no ExecStop then."""
    unit = (UNITS / "bareroot-half@.service").read_text()
    assert "ExecStopPost=/usr/lib/bareroot/half down %i\n" in unit
    assert "ExecStop=" not in unit


def test_a_volume_that_starts_alone_asks_for_itself(node):
    node.volumes("  bareroot_half1 /dev/bareroot_half1/db bareroot.address.9.1,bareroot.export.aoe\n")
    done = node.run("volume-of", "db", "aoe")
    assert (done.returncode, done.stdout) == (0, "bareroot_half1 /dev/bareroot_half1/db 9.1\n")


def test_a_volume_that_is_not_here_is_said(node):
    node.volumes("")
    done = node.run("volume-of", "db", "nvme")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "volume-of: no volume db here is to be exported by nvme\n"


def test_an_unknown_verb_is_refused(node):
    done = node.run("half", "sideways", "half0")
    assert (done.returncode, done.stderr) == (64, "half: sideways is neither up nor down\n")


@pytest.mark.parametrize("name", ["half", "nvme", "aoe"])
def test_a_half_and_its_exports_are_not_stopped_when_a_machine_begins_to_shut_down(name):
    """Seen: the slice of bareroot-nvme@ was, the namespaces with it, and instances had I/O errors before the cluster had moved anything."""
    unit = (UNITS / f"bareroot-{name}@.service").read_text().splitlines()
    assert {"DefaultDependencies=no", "Slice=system.slice"} <= set(unit)
    # It would deactivate volumes and unmount the cluster's state.
    assert (UNITS / "blk-availability.service").read_text() == ""
