"""What `xl migrate` speaks through: the other side is ready only when this one has written all that the guest wrote."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.programs import load

SCRIPT = Path(__file__).parents[2] / "roles/node_image/files/xen/usr/lib/bareroot/migration_channel.py"
BANNER = b"xl migration receiver ready, send binary domain data.\n"
READY = b"domain received, ready to unpause\0"
REPORT = b"my copy unpause results are as follows\0"


@pytest.fixture
def program():
    return load(SCRIPT)


class Host:
    """A HardwareNode's sysfs, whose disks change as time passes. events: what happens after so many pauses."""

    def __init__(self, program, base, monkeypatch):
        self.base, self.pauses, self.events = base, 0, {}
        program.SYS = base
        monkeypatch.setattr(program.time, "monotonic", lambda: self.pauses * program.PAUSE)
        monkeypatch.setattr(program.time, "sleep", self._sleep)

    def _sleep(self, _seconds):
        self.pauses += 1
        assert self.pauses < 1000, "it waits for ever"
        self.events.pop(self.pauses, lambda: None)()

    def attach(self, domain, device, numbers, connections=()):
        """Give a domain a disk. numbers: the block device's, decimal. connections: states of those of a volume by NVMe/TCP."""
        backend = self.base / f"bus/xen-backend/devices/vbd-{domain}-{device}"
        backend.mkdir(parents=True)
        (backend / "physical_device").write_text("{:x}:{:x}\n".format(*numbers))
        disk = self.base / "dev/block/{}:{}".format(*numbers)
        disk.mkdir(parents=True)
        self.writes(disk, 0)
        for number, state in enumerate(connections):
            (disk / f"device/nvme{number}").mkdir(parents=True)
            self.connection(disk, state, number)
        return disk

    @staticmethod
    def writes(disk, number, reads=0):
        (disk / "inflight").write_text(f"{reads:8} {number:8}\n")

    @staticmethod
    def connection(disk, state, number=0):
        (disk / f"device/nvme{number}/state").write_text(f"{state}\n")


@pytest.fixture
def host(program, tmp_path, monkeypatch):
    return Host(program, tmp_path, monkeypatch)


def test_a_guest_whose_writes_are_all_written_hardly_waits(program, host, capsys):
    host.attach(7, 51712, (152, 128))
    host.attach(7, 51728, (259, 10), ["live"])
    program.wait_until_written("7")
    assert host.pauses == program.LOOKS
    assert capsys.readouterr().err == ""


def test_a_guest_without_a_disk_has_nothing_to_wait_for(program, host):
    program.wait_until_written("7")
    assert host.pauses == program.LOOKS


def test_a_write_without_an_answer_is_waited_for_and_that_is_said_once(program, host, capsys):
    disk = host.attach(7, 51712, (152, 4096))
    host.writes(disk, 3)
    host.events = {100: lambda: host.writes(disk, 1), 200: lambda: host.writes(disk, 0)}
    program.wait_until_written("7")
    assert host.pauses == 199 + program.LOOKS + 1
    assert capsys.readouterr().err == "waiting until all that the guest wrote is on its volumes\n"


def test_a_write_that_waits_for_a_connection_is_waited_for_though_it_is_counted_nowhere(program, host):
    disk = host.attach(7, 51712, (259, 10), ["connecting"])
    host.events = {50: lambda: host.connection(disk, "live"), 51: lambda: host.writes(disk, 1), 80: lambda: host.writes(disk, 0)}
    program.wait_until_written("7")
    assert host.pauses == 79 + program.LOOKS + 1


def test_one_connection_of_several_is_enough(program, host):
    host.attach(7, 51712, (259, 10), ["connecting", "live"])
    program.wait_until_written("7")
    assert host.pauses == program.LOOKS


def test_reads_are_waited_for_as_a_write_may_wait_behind_them(program, host):
    disk = host.attach(7, 51712, (152, 128))
    host.writes(disk, 0, reads=9)
    host.events = {60: lambda: host.writes(disk, 1), 90: lambda: host.writes(disk, 0)}
    program.wait_until_written("7")
    assert host.pauses == 89 + program.LOOKS + 1


def test_other_guests_are_not_waited_for(program, host):
    host.attach(7, 51712, (152, 128))
    host.writes(host.attach(77, 51712, (152, 144)), 5)
    program.wait_until_written("7")
    assert host.pauses == program.LOOKS


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_all_is_passed_on_in_order_and_held_once_before_it_is_ready(program, monkeypatch, size):
    """However many bytes come at a time."""
    said = BANNER + READY + REPORT
    words = iter([*(said[i : i + size] for i in range(0, len(said), size)), b""])
    passed, held = [], []
    monkeypatch.setattr(program.os, "read", lambda _source, _size: next(words))
    monkeypatch.setattr(program.os, "write", lambda _sink, part: passed.append(part))
    program.relay(0, 1, lambda: held.append(b"".join(passed)))
    assert b"".join(passed) == said
    (before,) = held
    assert said.startswith(before)
    assert READY.rstrip(b"\0") not in before


def test_it_ends_as_its_command_did_and_hands_it_what_xl_sends():
    script = "IFS= read -r words; echo $words; exit 3"
    argv = [sys.executable, "-I", "-S", str(SCRIPT), "7", "sh", "-c", script]
    done = subprocess.run(argv, input=b"the guest\n", capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"the guest\n", b"")


def test_a_command_that_reads_no_more_is_noticed():
    """xl writes on, and must get an error then, not wait for ever."""
    argv = [sys.executable, "-I", "-S", str(SCRIPT), "7", "sh", "-c", "exec <&-; echo deaf; sleep 2"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as channel:
        assert channel.stdout.readline() == b"deaf\n"
        with pytest.raises(BrokenPipeError):
            os.write(channel.stdin.fileno(), b"x")


def test_a_disk_that_disappears_ends_the_migration_at_once(program, host, monkeypatch):
    """Nobody would answer xl any more, while the guest stands still."""
    disk = host.attach(7, 51712, (152, 128))
    (disk / "inflight").unlink()
    monkeypatch.setattr(program.sys, "argv", [str(SCRIPT), "7", "sh", "-c", f"printf '{READY[:-1].decode()}'; exec sleep 60"])
    monkeypatch.setattr(program.sys, "stdin", open(os.devnull))  # noqa: SIM115 - it is closed by the program
    began = time.monotonic()
    with pytest.raises(FileNotFoundError):
        program.main()
    assert time.monotonic() - began < 20
