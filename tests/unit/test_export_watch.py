"""Which AoE target stands still, and when it is ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.unit.programs import load

SCRIPT = Path(__file__).parents[2] / "roles/node_image/files/storage/usr/lib/bareroot/export_watch.py"
# As Linux 6.12 writes it: an idle AoE socket, a busy one, and one of another protocol.
TABLE = """\
sk               RefCnt Type Proto  Iface R Rmem   User   Inode
00000000d1f7e8a1 3      3    88a2   5     1 0      0      20101
00000000d1f7e8a2 3      3    88a2   6     1 17280  0      20102
00000000d1f7e8a3 3      3    88cc   2     1 512    0      20103
"""


@pytest.fixture
def watch():
    return load(SCRIPT)


@pytest.fixture
def proc(watch, tmp_path):
    """A /proc with one target, 4711."""
    watch.PROC = tmp_path
    (tmp_path / "net").mkdir()
    (tmp_path / "net/packet").write_text(TABLE)
    process(tmp_path, 4711, "20102")
    return tmp_path


def process(proc, pid, inode, name="vblade", **is_):
    state, calls = is_.get("state", "S"), is_.get("calls", "syscr: 7\n")
    directory = proc / str(pid)
    (directory / "fd").mkdir(parents=True, exist_ok=True)
    (directory / "comm").write_text(f"{name}\n")
    (directory / "stat").write_text(f"{pid} (a) b) {state} 1 1\n")
    (directory / "io").write_text(calls)
    (directory / "fd/3").unlink(missing_ok=True)
    os.symlink(f"socket:[{inode}]", directory / "fd/3")


@pytest.fixture
def killed(watch, monkeypatch):
    pids = []
    monkeypatch.setattr(watch.os, "kill", lambda pid, how: pids.append((pid, how)))
    return pids


def look(watch, times, between=lambda _number: None):
    seen, stood = {}, {}
    for number in range(times):
        between(number)
        seen, stood = watch.step(seen, stood)


def test_what_waits_is_read_of_aoe_sockets_only(watch):
    assert watch.waiting_by_socket(TABLE) == {"20101": 0, "20102": 17280}


def test_targets_are_found_among_all_processes(watch, proc):
    process(proc, 12, "20101", name="vbladed")
    process(proc, 13, "20101", state="D")
    assert watch.targets() == {4711: watch.Target("S", "syscr: 7\n", 17280), 13: watch.Target("D", "syscr: 7\n", 0)}


def test_a_process_that_has_just_ended_is_no_target(watch, proc):
    (proc / "4711/io").unlink()
    assert watch.targets() == {}


@pytest.mark.parametrize("state", ["T", "S", "R"])
def test_one_that_stands_still_is_ended_once_after_ten_seconds(watch, proc, killed, state):
    process(proc, 4711, "20102", state=state)
    look(watch, 10)
    assert killed == []
    look(watch, 30)
    assert killed == [(4711, signal.SIGKILL)]


def test_one_that_works_is_left_alone(watch, proc, killed):
    look(watch, 30, lambda number: process(proc, 4711, "20102", calls=f"syscr: {number}\n"))
    assert killed == []


def test_one_that_nobody_asks_is_left_alone(watch, proc, killed):
    process(proc, 4711, "20101", state="T")
    look(watch, 30)
    assert killed == []


def test_one_that_waits_for_its_disk_is_left_alone(watch, proc, killed):
    process(proc, 4711, "20102", state="D")
    look(watch, 30)
    assert killed == []


def test_a_pause_that_ends_starts_the_time_anew(watch, proc, killed):
    look(watch, 19, lambda number: process(proc, 4711, "20102", calls=f"syscr: {number // 9}\n"))
    assert killed == []
