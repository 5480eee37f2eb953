"""The witness to storage faults: what it says of a device that kept everything, and of one that did not."""

from __future__ import annotations

import errno
import itertools
import json
import os

import pytest

from tests.e2e import witness

BLOCK = witness.BLOCK
SLOTS = 4
DIRECT = os.O_DIRECT
# Each look at the clock takes a tenth of a second, so that one write takes three.
TICK = 0.1


class Clock:
    """Stands for the module time: it goes on by itself, and nobody has to wait."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        self.now += TICK
        return self.now

    def time_ns(self):
        return round(self.now * 10**9)

    def sleep(self, seconds):
        self.now += seconds


class Disk:
    """A file in place of a device, and a log elsewhere."""

    def __init__(self, base, main):
        self.device, self.log, self.main = base / "device", base / "log", main
        self.device.write_bytes(bytes(SLOTS * BLOCK))

    def write(self, seconds):
        assert self.main("write", self.device, self.log, seconds)[0] == 0

    def verify(self):
        """Return the exit code and what was printed."""
        return self.main("verify", self.device, self.log)

    def acknowledged(self):
        return [int(line.split()[0]) for line in self.log.read_text().splitlines() if not line.startswith("error")]

    def newest(self):
        """Return {slot: number of the block that was acknowledged there last}."""
        return {sequence % SLOTS: sequence for sequence in self.acknowledged()}

    def block(self, slot):
        return self.device.read_bytes()[slot * BLOCK : (slot + 1) * BLOCK]

    def overwrite(self, slot, data):
        with self.device.open("r+b") as stream:
            stream.seek(slot * BLOCK)
            stream.write(data)


def takes_direct(path):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    return True


@pytest.fixture
def disk(tmp_path, monkeypatch, capsys):
    def main(*arguments):
        monkeypatch.setattr(witness.sys, "argv", ["witness.py", *map(str, arguments)])
        code, output = witness.main(), capsys.readouterr().out
        return code, json.loads(output) if output else None

    monkeypatch.setattr(witness, "SLOTS", SLOTS)
    monkeypatch.setattr(witness, "time", Clock())
    found = Disk(tmp_path, main)
    # A file system in memory may not have it.
    if not takes_direct(found.device):
        monkeypatch.setattr(os, "O_DIRECT", 0)
    return found


def fail_from_to(monkeypatch, first, end):
    """Let the writes with these numbers, counted from 0, fail."""
    really, numbers = os.pwrite, itertools.count()

    def pwrite(*arguments):
        if first <= next(numbers) < end:
            raise OSError(errno.EIO, "Input/output error")
        return really(*arguments)

    monkeypatch.setattr(os, "pwrite", pwrite)


def test_no_two_blocks_are_equal():
    blocks = [witness.content(sequence) for sequence in range(3 * SLOTS)]
    assert {len(block) for block in blocks} == {BLOCK}
    assert len(set(blocks)) == len(blocks)


def test_it_writes_its_slots_in_turn_until_the_time_is_over_and_notes_what_was_acknowledged(disk):
    disk.write(2)
    acknowledged = disk.acknowledged()
    assert acknowledged == list(range(acknowledged[0], acknowledged[0] + 7))
    assert {slot: disk.block(slot) for slot in range(SLOTS)} == {
        sequence % SLOTS: witness.content(sequence) for sequence in acknowledged[-SLOTS:]
    }
    times = [(float(when), float(took)) for _sequence, when, took in map(str.split, disk.log.read_text().splitlines())]
    assert times == sorted(times)
    assert {took for _when, took in times} == {TICK}


def test_every_write_is_to_be_stable_and_no_cache_is_asked(disk, monkeypatch):
    flags, really = [], os.open

    def without_direct(path, how, *arguments):
        flags.append(how)
        return really(path, how & ~DIRECT, *arguments)

    monkeypatch.setattr(os, "O_DIRECT", DIRECT)
    monkeypatch.setattr(os, "open", without_direct)
    disk.write(1)
    disk.verify()
    writing, reading = flags
    assert writing & os.O_DSYNC == os.O_DSYNC
    assert writing & reading & DIRECT == DIRECT


@pytest.mark.parametrize("seconds", [0.5, 1, 5], ids=["few", "all-slots", "several-rounds"])
def test_a_device_that_kept_everything_is_found_sound(disk, seconds):
    disk.write(seconds)
    code, said = disk.verify()
    assert (code, said) == (0, {"acknowledged": len(disk.acknowledged()), "lost": 0, "stall": TICK, "errors": 0})
    assert said["acknowledged"] > 0


ALL_SLOTS = pytest.mark.parametrize("slot", range(SLOTS))


@ALL_SLOTS
@pytest.mark.parametrize(("seconds", "acknowledged"), [(1.2, 4), (5, 17)], ids=["first-round", "later-round"])
def test_a_block_that_is_blank_again_was_lost(disk, slot, seconds, acknowledged):
    disk.write(seconds)
    assert len(disk.acknowledged()) == acknowledged
    disk.overwrite(slot, bytes(BLOCK))
    code, said = disk.verify()
    assert (code, said["lost"], said["errors"]) == (1, 1, 0)


@ALL_SLOTS
def test_an_old_block_means_that_the_newer_one_was_lost(disk, slot):
    disk.write(5)
    assert disk.block(slot) == witness.content(disk.newest()[slot])
    disk.overwrite(slot, witness.content(disk.newest()[slot] - SLOTS))
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, 1)


@ALL_SLOTS
@pytest.mark.parametrize("seconds", [1.2, 5, 9], ids=["shorter", "as-long", "longer"])
def test_a_block_of_an_earlier_run_means_that_this_runs_was_lost(disk, slot, seconds):
    disk.write(5)
    earlier = disk.block(slot)
    disk.write(seconds)
    assert disk.verify()[0] == 0
    disk.overwrite(slot, earlier)
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, 1)


def test_another_slots_block_and_a_torn_one_were_lost_too(disk):
    disk.write(5)
    disk.overwrite(0, disk.block(1))
    disk.overwrite(3, disk.block(2)[: BLOCK // 2])
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, 2)


def test_a_device_that_ends_early_lost_what_was_behind_its_end(disk):
    disk.write(5)
    os.truncate(disk.device, BLOCK)
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, SLOTS - 1)


def test_a_write_that_was_cut_before_it_was_acknowledged_may_be_there(disk):
    disk.write(5)
    following = disk.acknowledged()[-1] + 1
    disk.overwrite(following % SLOTS, witness.content(following))
    code, said = disk.verify()
    assert (code, said["lost"]) == (0, 0)


def test_an_error_is_noted_and_the_same_block_written_again(disk, monkeypatch):
    fail_from_to(monkeypatch, 2, 4)
    disk.write(5)
    lines = disk.log.read_text().splitlines()
    assert lines[2:4] == [f"error {errno.EIO}"] * 2
    first = disk.acknowledged()[0]
    assert disk.acknowledged() == list(range(first, first + len(lines) - 2))
    code, said = disk.verify()
    assert (code, said["errors"], said["lost"], said["acknowledged"]) == (1, 2, 0, len(lines) - 2)


def test_a_device_that_acknowledged_nothing_is_not_found_sound(disk, monkeypatch):
    fail_from_to(monkeypatch, 0, 1000)
    disk.write(5)
    code, said = disk.verify()
    assert code == 1
    assert said["errors"] > 0
    assert (said["acknowledged"], said["lost"], said["stall"]) == (0, 0, 0.0)


def test_a_log_without_a_line_is_no_proof(disk):
    disk.write(0)
    assert disk.verify() == (1, {"acknowledged": 0, "lost": 0, "stall": 0.0, "errors": 0})


def test_the_stall_is_the_longest_wait_for_an_acknowledgement(disk, monkeypatch):
    really, waits = os.pwrite, iter([0, 12, 3])

    def pwrite(*arguments):
        witness.time.sleep(next(waits, 0))
        return really(*arguments)

    monkeypatch.setattr(os, "pwrite", pwrite)
    disk.write(20)
    code, said = disk.verify()
    assert (code, said["stall"]) == (0, pytest.approx(12 + TICK))
