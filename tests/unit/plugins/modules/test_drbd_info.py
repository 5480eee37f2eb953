from __future__ import annotations

import pytest

from plugins.module_utils import _drbd
from plugins.modules import drbd_info

BOTH_MODES = pytest.mark.parametrize("check_mode", [True, False], ids=["check", "real"])
STATUS = """\
version: 8.4.11 (api:1/proto:86-101)
srcversion: 7AB6CDCC6C4E5B8B3A7C4C2
 0: cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----
    ns:12 nr:0 dw:0 dr:12 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:2048
\t[====>...............] sync'ed: 23.5% (2048/2700)K
\tfinish: 0:00:01 speed: 2,048 (2,048) K/sec
 1: cs:WFConnection ro:Secondary/Unknown ds:UpToDate/DUnknown C s-----
    ns:0 nr:0 dw:0 dr:0 al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:0
"""
HALVES = {
    "half0": {
        "connection": "SyncSource",
        "role": "Primary",
        "peer_role": "Secondary",
        "disk": "UpToDate",
        "peer_disk": "Inconsistent",
        "suspended": False,
        "out_of_sync": 2 << 20,
        "synced": 23.5,
    },
    "half1": {
        "connection": "WFConnection",
        "role": "Secondary",
        "peer_role": "Unknown",
        "disk": "UpToDate",
        "peer_disk": "DUnknown",
        "suspended": True,
        "out_of_sync": 0,
        "synced": None,
    },
}


@pytest.fixture
def status(tmp_path, monkeypatch):
    """Stand for /proc/drbd; it is not there until it is written."""
    path = tmp_path / "drbd"
    monkeypatch.setattr(drbd_info, "STATUS", str(path))
    return path


@BOTH_MODES
def test_it_says_how_the_halves_are_and_runs_nothing(run_module, commands, status, check_mode):
    status.write_text(STATUS)
    assert run_module(drbd_info, {}, check_mode=check_mode) == {"changed": False, "halves": HALVES}
    assert commands.calls == []


def test_what_it_returns_is_what_problems_are_looked_for_in(run_module, status):
    status.write_text(STATUS)
    halves = {name: _drbd.Half(**half) for name, half in run_module(drbd_info, {})["halves"].items()}
    assert halves == _drbd.parse(STATUS)


@BOTH_MODES
def test_where_drbd_is_not_loaded_there_are_no_halves(run_module, status, check_mode):
    assert not status.exists()
    assert run_module(drbd_info, {}, check_mode=check_mode) == {"changed": False, "halves": {}}


@BOTH_MODES
def test_what_cannot_be_understood_is_an_error(run_module, status, check_mode):
    status.write_text(" 0: Connected\n")
    result = run_module(drbd_info, {}, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"] == "cannot tell how the halves are: /proc/drbd is not DRBD 8.4's: ' 0: Connected'"


def test_what_cannot_be_read_is_an_error(run_module, status):
    status.mkdir()
    result = run_module(drbd_info, {})
    assert result["failed"]
    assert "cannot tell how the halves are: " in result["msg"]


def test_there_are_no_options(run_module):
    result = run_module(drbd_info, {"half": "half0"})
    assert result["failed"]
    assert "half" in result["msg"]
