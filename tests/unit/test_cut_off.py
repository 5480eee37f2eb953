"""Whether a StorageNode is the one that is cut off: it reaches nobody, and the cluster still has its peer."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.unit.programs import load

SCRIPT = Path(__file__).parents[2] / "roles/node_image/files/storage/usr/lib/bareroot/cut_off.py"
NEIGHBOURS = "sn2 10.1.0.12\nhn1 10.1.0.21\n"


@pytest.fixture
def cut_off():
    return load(SCRIPT)


class Site:
    """What a StorageNode finds: who answers, who is a member, and how long it waited."""

    def __init__(self, module, tmp_path, monkeypatch):
        self.answers, self.members, self.now, self.leaves = set(), ["cn1", "sn1", "sn2"], 0.0, float("inf")
        self.error = TimeoutError
        module.NEIGHBOURS, module.COROSYNC_CONF = tmp_path / "neighbours", tmp_path / "corosync.conf"
        module.NEIGHBOURS.write_text(NEIGHBOURS)
        module.COROSYNC_CONF.write_text("totem {\n    version: 2\n    token: 10000\n}\n")
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(module.time, "sleep", self._sleep)
        monkeypatch.setattr(module.socket, "create_connection", self._connect)
        monkeypatch.setattr(module.subprocess, "run", self._run)

    def _sleep(self, seconds):
        self.now += seconds

    def _connect(self, place, timeout):
        if place[0] in self.answers:
            raise ConnectionRefusedError
        self.now += timeout / 2
        raise self.error

    def _run(self, argv, **_options):
        assert argv == ["/usr/sbin/crm_node", "--partition"]
        members = [name for name in self.members if name != "sn2" or self.now < self.leaves]
        return subprocess.CompletedProcess(argv, 0, " ".join(members) + "\n", "")


@pytest.fixture
def site(cut_off, tmp_path, monkeypatch):
    return Site(cut_off, tmp_path, monkeypatch)


def test_who_reaches_nobody_while_its_peer_lives_is_cut_off_after_four_tokens(cut_off, site):
    assert cut_off.main() == 0
    assert 40 <= site.now < 45


@pytest.mark.parametrize("error", [TimeoutError, socket.gaierror, OSError])
def test_no_kind_of_silence_is_an_answer(cut_off, site, error):
    site.error = error
    assert cut_off.main() == 0


@pytest.mark.parametrize("address", ["10.1.0.12", "10.1.0.21"], ids=["peer", "client"])
def test_who_reaches_anybody_is_not_and_knows_at_once(cut_off, site, address):
    site.answers = {address}
    assert cut_off.main() == 1
    assert site.now < 4


@pytest.mark.usefixtures("site")
def test_a_service_that_takes_the_connection_is_an_answer_too(cut_off, monkeypatch):
    here, there = socket.socketpair()
    monkeypatch.setattr(cut_off.socket, "create_connection", lambda *_arguments: here)
    assert cut_off.main() == 1
    there.close()


def test_with_a_peer_that_dies_it_is_not(cut_off, site):
    site.leaves = 22
    assert cut_off.main() == 1
    assert site.now < 30


def test_who_is_cut_off_from_the_cluster_too_leaves_it_to_the_cluster(cut_off, site):
    site.members = ["sn1"]
    assert cut_off.main() == 1
