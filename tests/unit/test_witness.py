"""The witness to storage faults: what it says of a device that kept everything, and of one that did not."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os

import pytest

from tests.e2e import witness

BLOCK = witness.BLOCK
SLOTS = 4
DIRECT = os.O_DIRECT
# Each look at the clock takes a tenth of a second.
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
    """A file in place of a device, a directory, and who listens: until a number of lines have been said."""

    def __init__(self, base, monkeypatch, capsys):
        self.device, self.directory = base / "device", base / "directory"
        self.device.write_bytes(bytes(SLOTS * BLOCK))
        self.lines, self.most = [], 0
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.setattr(witness, "print", self._listen, raising=False)

    def _listen(self, *words, flush=True):
        assert flush, "an acknowledgement that is not said at once may be lost"
        if len(self.lines) == self.most:
            raise BrokenPipeError
        self.lines.append(" ".join(map(str, words)) + "\n")

    def write(self, lines, verb="write"):
        self.lines, self.most = [], lines
        with pytest.raises(BrokenPipeError):
            self.main(verb)

    def main(self, verb, target=None):
        path = target or {"write": self.device, "create": self.directory}[verb]
        self._monkeypatch.setattr(witness.sys, "argv", ["witness.py", verb, str(path)])
        return witness.main()

    def verify(self, target=None, tail=""):
        """Return the exit code and what was printed."""
        self._monkeypatch.setattr(witness.sys, "stdin", io.StringIO("".join(self.lines) + tail))
        self._monkeypatch.delattr(witness, "print")
        code = self.main("verify", target or self.device)
        self._monkeypatch.setattr(witness, "print", self._listen, raising=False)
        return code, json.loads(self._capsys.readouterr().out)

    def acknowledged(self):
        return [int(line.split()[0]) for line in self.lines if not line.startswith("error")]

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
    monkeypatch.setattr(witness, "SLOTS", SLOTS)
    monkeypatch.setattr(witness, "time", Clock())
    found = Disk(tmp_path, monkeypatch, capsys)
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


def test_it_writes_its_slots_in_turn_and_says_what_was_acknowledged(disk):
    disk.write(7)
    acknowledged = disk.acknowledged()
    assert acknowledged == list(range(acknowledged[0], acknowledged[0] + 7))
    # One more was written that nobody heard of.
    newest = acknowledged[-1] + 1
    assert [disk.block(slot) for slot in range(SLOTS)] == [
        witness.content(max(number for number in (*acknowledged, newest) if number % SLOTS == slot)) for slot in range(SLOTS)
    ]
    times = [(float(when), float(took)) for _sequence, when, took in map(str.split, disk.lines)]
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
    writing, *reading = flags
    assert writing & os.O_DSYNC == os.O_DSYNC
    assert reading
    assert all(how & DIRECT for how in flags)


def test_a_file_is_stable_under_its_name_before_it_counts(disk, monkeypatch):
    done = []
    for name in ("fsync", "rename", "remove"):
        really = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *arguments, name=name, really=really: (done.append(name), really(*arguments))[1])
    disk.write(SLOTS + 1, "create")
    assert done[:3] == ["fsync", "rename", "fsync"]
    assert done[-4:] == ["fsync", "rename", "remove", "fsync"]


@pytest.mark.parametrize("verb", ["write", "create"])
@pytest.mark.parametrize("lines", [1, 2, SLOTS, 5 * SLOTS], ids=["one", "few", "all-slots", "several-rounds"])
def test_a_device_that_kept_everything_is_found_sound(disk, lines, verb):
    disk.write(lines, verb)
    target = {"write": disk.device, "create": disk.directory}[verb]
    assert disk.verify(target) == (0, {"acknowledged": lines, "lost": 0, "stall": TICK, "errors": 0})


ALL_SLOTS = pytest.mark.parametrize("slot", range(SLOTS))


@ALL_SLOTS
@pytest.mark.parametrize("lines", [SLOTS, 4 * SLOTS + 1], ids=["first-round", "later-round"])
def test_a_block_that_is_blank_again_was_lost(disk, slot, lines):
    disk.write(lines)
    disk.overwrite(slot, bytes(BLOCK))
    code, said = disk.verify()
    assert (code, said["lost"], said["errors"]) == (1, 1, 0)


@ALL_SLOTS
def test_an_old_block_means_that_the_newer_one_was_lost(disk, slot):
    disk.write(4 * SLOTS)
    disk.overwrite(slot, witness.content(disk.newest()[slot] - SLOTS))
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, 1)


@ALL_SLOTS
@pytest.mark.parametrize("lines", [SLOTS, 3 * SLOTS, 7 * SLOTS], ids=["shorter", "as-long", "longer"])
def test_a_block_of_an_earlier_run_means_that_this_runs_was_lost(disk, slot, lines):
    disk.write(3 * SLOTS)
    earlier = disk.block(slot)
    disk.write(lines)
    assert disk.verify()[0] == 0
    disk.overwrite(slot, earlier)
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, 1)


def test_another_slots_block_and_a_torn_one_were_lost_too(disk):
    disk.write(4 * SLOTS)
    disk.overwrite(0, disk.block(1))
    disk.overwrite(3, disk.block(2)[: BLOCK // 2])
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, 2)


def test_a_device_that_ends_early_lost_what_was_behind_its_end(disk):
    disk.write(4 * SLOTS)
    os.truncate(disk.device, BLOCK)
    code, said = disk.verify()
    assert (code, said["lost"]) == (1, SLOTS - 1)


@pytest.mark.parametrize("damage", ["gone", "torn", "old", "not renamed"])
def test_a_file_that_is_not_what_was_acknowledged_was_lost(disk, damage):
    disk.write(2 * SLOTS, "create")
    path = disk.directory / str(disk.acknowledged()[-2])
    if damage == "gone":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "old":
        path.write_bytes(witness.content(disk.acknowledged()[-2] - 1))
    else:
        path.rename(disk.directory / "new")
    code, said = disk.verify(disk.directory)
    assert (code, said["lost"], said["errors"]) == (1, 1, 0)


def test_a_file_that_the_next_step_removed_before_it_was_cut_is_not_missed(disk):
    disk.write(2 * SLOTS, "create")
    oldest = disk.acknowledged()[-SLOTS]
    # The step that nobody heard of had made this one, and removed the oldest.
    assert (disk.directory / str(oldest + SLOTS)).exists()
    assert not (disk.directory / str(oldest)).exists()
    code, said = disk.verify(disk.directory)
    assert (code, said["lost"]) == (0, 0)


def test_a_line_that_was_cut_is_no_acknowledgement(disk):
    disk.write(SLOTS)
    following = disk.acknowledged()[-1] + 10
    assert disk.verify(tail=f"{following} 12.0")[1] == {"acknowledged": SLOTS, "lost": 0, "stall": TICK, "errors": 0}


def test_an_error_is_said_and_the_same_block_written_again(disk, monkeypatch):
    fail_from_to(monkeypatch, 2, 4)
    disk.write(9)
    assert disk.lines[2:4] == [f"error {errno.EIO}\n"] * 2
    first = disk.acknowledged()[0]
    assert disk.acknowledged() == list(range(first, first + 7))
    code, said = disk.verify()
    assert (code, said["errors"], said["lost"], said["acknowledged"]) == (1, 2, 0, 7)


def test_a_device_that_acknowledged_nothing_is_not_found_sound(disk, monkeypatch):
    fail_from_to(monkeypatch, 0, 1000)
    disk.write(5)
    assert disk.verify() == (1, {"acknowledged": 0, "lost": 0, "stall": 0.0, "errors": 5})


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
