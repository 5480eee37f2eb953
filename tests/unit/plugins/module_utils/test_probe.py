from __future__ import annotations

import errno
import os
import socket
import struct
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugins.module_utils import _probe
from plugins.module_utils._probe import Probe, Prober

LOOPBACK = "127.0.0.1"


def probes(picture, interval=0.05):
    """Return probes sent on time, from a picture of them: `.` is answered after 1 ms, `x` is lost."""
    sent = [100 + number * interval for number in range(len(picture))]
    return [Probe(when, answered=when + 0.001 if sign == "." else None) for when, sign in zip(sent, picture, strict=True)]


@pytest.mark.parametrize(
    ("picture", "blackout", "recovered"),
    [
        ("", 0, False),
        (".", 0, True),
        ("......", 0, True),
        ("..x...", 50, True),
        ("..xxx..", 150, True),
        (".x..xxxx.", 200, True),
        (".xxxx..x.", 200, True),
        ("xx...", 100, True),
        ("...xx", 100, False),
        ("...x", 50, False),
        ("xx..x", 100, False),
        ("xxxx", 200, False),
    ],
)
def test_each_lost_probe_of_the_longest_run_is_an_interval_of_blackout(picture, blackout, recovered):
    result = _probe.report(probes(picture), 0.05)
    assert result == {
        "blackout_ms": blackout,
        "probes_sent": len(picture),
        "probes_lost": picture.count("x"),
        "probes_late": 0,
        "recovered": recovered,
        "rtt_max_ms": 1.0 if "." in picture else None,
    }


def test_a_late_probe_without_loss_is_no_blackout():
    sent = [Probe(0.0, answered=0.001), Probe(0.5, late=True, answered=0.501), Probe(0.55, answered=0.551)]
    result = _probe.report(sent, 0.05)
    assert (result["blackout_ms"], result["probes_late"], result["probes_lost"]) == (0, 1, 0)


def test_a_late_probe_beside_a_lost_one_counts_with_it():
    sent = [Probe(0.0, answered=0.001), Probe(0.05), Probe(0.55, late=True, answered=0.551)]
    result = _probe.report(sent, 0.05)
    assert (result["blackout_ms"], result["probes_late"], result["probes_lost"]) == (500, 1, 1)


def test_an_answer_that_was_held_is_no_loss_but_shows():
    sent = [Probe(0.0, answered=0.001), Probe(0.05, answered=0.3504), Probe(0.1, answered=0.101)]
    result = _probe.report(sent, 0.05)
    assert (result["blackout_ms"], result["probes_lost"], result["rtt_max_ms"]) == (0, 0, 300.4)


# Whole 1024ths of a second, which floats add without an error.
TICK = 1 / 1024
GAPS = st.lists(st.tuples(st.integers(1, 500), st.booleans(), st.none() | st.integers(0, 5000)))
INTERVALS = st.integers(1, 200)


def any_probes(gaps, shift=0):
    """gaps: (ticks since the one before, late, ticks until the answer or None) of each probe."""
    result, now = [], shift
    for gap, late, answer in gaps:
        now += gap
        result.append(Probe(now * TICK, late, None if answer is None else (now + answer) * TICK))
    return result


@given(GAPS, INTERVALS)
@example([(1, False, 0), (1, False, None), (1, False, 0)], 5)
def test_what_is_sent_is_lost_or_answered_and_no_blackout_is_negative(gaps, interval):
    sent = any_probes(gaps)
    result = _probe.report(sent, interval * TICK)
    answered = [probe for probe in sent if probe.answered is not None]
    assert result["probes_lost"] + len(answered) == result["probes_sent"] == len(sent)
    assert result["probes_late"] == [probe.late for probe in sent].count(True)
    assert result["recovered"] == (sent[-1:] == answered[-1:] != [])
    assert result["blackout_ms"] >= 0
    assert result["blackout_ms"] == 0 or result["probes_lost"] > 0


@given(GAPS, INTERVALS, st.integers(0, 1 << 30))
def test_the_hour_changes_nothing(gaps, interval, shift):
    assert _probe.report(any_probes(gaps, shift), interval * TICK) == _probe.report(any_probes(gaps), interval * TICK)


@given(st.text(".x", max_size=300), INTERVALS)
def test_on_schedule_the_blackout_is_the_longest_run(picture, interval):
    longest = max(len(run) for run in picture.split("."))
    result = _probe.report(probes(picture, interval * TICK), interval * TICK)
    assert result["blackout_ms"] == round(longest * interval * TICK * 1000)


@given(st.integers(0, 1 << 30), st.integers(0, 5000), INTERVALS)
@example(0, 50, 100)
@example(0, 51, 100)
def test_what_is_late_is_not_made_up_for(due, delay, interval):
    late, following = _probe.schedule(due * TICK, (due + delay) * TICK, interval * TICK)
    assert late == (2 * delay > interval)
    assert following == (due + (delay if late else 0) + interval) * TICK


IDENTIFIERS = st.integers(0, 0xFFFF)
NUMBERS = st.integers(0, (1 << 64) - 1)


def ones_sum(data):
    """Return the ones' complement sum of 16-bit words, by a way of its own: such sums are kept modulo 65535."""
    total = int.from_bytes(data)
    return total and (total % 0xFFFF or 0xFFFF)


def answer_to(request, kind=0, code=0):
    """Return the ICMP message by which a machine answers."""
    blank = bytes([kind, code, 0, 0]) + request[4:]
    return blank[:2] + (0xFFFF - ones_sum(blank)).to_bytes(2) + blank[4:]


def in_ipv4(message, options=0, protocol=1, version=4):
    """Return a message with its IPv4 header. options: 32-bit words."""
    header = struct.pack("!BBHHHBBH4s4s", version << 4 | (5 + options), 0, 20 + 4 * options + len(message), 1, 0, 64, protocol, 0, b"", b"")
    return header + bytes(4 * options) + message


@given(IDENTIFIERS, NUMBERS)
@example(0, 0)
@example(0xFFFF, 0x10000)
@example(0xF7FF, 0)
@example(0xFFFF, 0x7C00)  # two carries
def test_a_request_is_an_echo_request_with_its_right_checksum(identifier, number):
    request = _probe.packet(identifier, number)
    assert request[:2] == bytes([8, 0])
    assert ones_sum(request) == 0xFFFF
    assert request[4:] == struct.pack("!HHQ", identifier, number % 65536, number)


@given(IDENTIFIERS, NUMBERS, st.integers(0, 10))
@example(0, 0, 0)
def test_an_answer_names_its_request(identifier, number, options):
    answer = in_ipv4(answer_to(_probe.packet(identifier, number)), options)
    assert _probe.parse(answer) == (identifier, number)
    assert all(_probe.parse(answer[:length]) is None for length in range(len(answer)))
    assert _probe.parse(answer + b"\0") is None


@given(IDENTIFIERS, NUMBERS, st.integers(20, 35), st.integers(1, 255))
def test_a_damaged_answer_is_none(identifier, number, place, damage):
    answer = bytearray(in_ipv4(answer_to(_probe.packet(identifier, number))))
    answer[place] ^= damage
    assert _probe.parse(bytes(answer)) is None


REQUEST = _probe.packet(7, 9)


@pytest.mark.parametrize(
    "data",
    [
        in_ipv4(REQUEST),
        in_ipv4(answer_to(REQUEST, kind=3)),
        in_ipv4(answer_to(REQUEST, code=1)),
        in_ipv4(answer_to(REQUEST), protocol=17),
        in_ipv4(answer_to(REQUEST), version=6),
        bytes([0x44]) + in_ipv4(b"")[1:16] + answer_to(REQUEST),
        answer_to(REQUEST),
    ],
    ids=["request", "unreachable", "code", "udp", "ipv6", "short-header", "no-header"],
)
def test_other_packets_are_no_answers(data):
    assert _probe.parse(data) is None


@given(st.binary(max_size=100) | st.builds(in_ipv4, st.binary(max_size=40), st.integers(0, 10)))
def test_garbage_is_no_answer_and_raises_nothing(data):
    message = data[data[0] % 16 * 4 :] if data else b""
    if _probe.parse(data) is not None:
        assert len(message) == 16
        assert ones_sum(message) == 0xFFFF


class FakeSocket:
    """Stands for the raw socket. on_send(number, request) returns the (packet, source) pairs that come back, or raises."""

    def __init__(self, on_send):
        self._on_send = on_send
        self._near, self._far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._near.setblocking(False)
        self._far.setblocking(False)  # a test with more answers at once than the socket holds must fail, not hang
        self.requests = []

    def fileno(self):
        return self._near.fileno()

    def sendto(self, request, address):
        assert address == (LOOPBACK, 0)
        self.requests.append(request)
        for data, source in self._on_send(len(self.requests) - 1, request):
            self._far.send(socket.inet_aton(source) + data)
        return len(request)

    def recvfrom(self, size):
        data = self._near.recv(size)
        return data[4:], (socket.inet_ntoa(data[:4]), 0)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._near.close()
        self._far.close()


def answered(request, source=LOOPBACK):
    return [(in_ipv4(answer_to(request)), source)]


@pytest.fixture
def watch(monkeypatch):
    """Return a function that lets a Prober with a fake socket send at least `count` probes, and returns the probes and the socket."""

    def run(on_send, count=10, grace=0.0):
        fake = FakeSocket(on_send)
        monkeypatch.setattr(_probe, "_open", lambda: fake)
        prober = Prober(LOOPBACK, 0.01)
        prober.start()
        deadline = time.monotonic() + 20
        while len(fake.requests) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        return prober.stop(grace), fake

    return run


def lost(sent):
    return [number for number, probe in enumerate(sent) if probe.answered is None]


def test_probes_without_an_answer_are_lost(watch):
    sent, fake = watch(lambda number, request: [] if number in (3, 4) else answered(request), grace=0.1)
    assert len(sent) == len(fake.requests) >= 10
    assert lost(sent) == [3, 4]
    assert _probe.report(sent, 0.01)["blackout_ms"] >= 15


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM, errno.EAGAIN], ids=errno.errorcode.get)
def test_a_probe_that_cannot_be_sent_is_lost(watch, code):
    def on_send(number, request):
        if number == 2:
            raise OSError(code, os.strerror(code))
        return answered(request)

    sent, _fake = watch(on_send, grace=0.1)
    assert lost(sent) == [2]


def test_a_stall_makes_one_late_probe_and_no_burst(watch):
    def on_send(number, request):
        if number == 2:
            time.sleep(0.1)
        return answered(request)

    sent, _fake = watch(on_send)
    assert sent[3].late
    assert sent[3].sent - sent[2].sent >= 0.1
    assert all(after.sent - before.sent >= 0.004 for before, after in pairwise(sent))
    assert _probe.report(sent, 0.01)["blackout_ms"] == 0


def test_answers_of_others_to_others_or_to_nothing_do_not_count(watch):
    def on_send(number, request):
        identifier = int.from_bytes(request[4:6])
        return [
            *answered(request, "127.0.0.2"),
            *answered(_probe.packet(identifier ^ 1, number)),
            *answered(_probe.packet(identifier, number + 1000)),
            (in_ipv4(request), LOOPBACK),
            (b"garbage", LOOPBACK),
        ]

    sent, _fake = watch(on_send)
    assert lost(sent) == list(range(len(sent)))


def test_the_first_of_two_answers_counts(watch):
    kept = []

    def on_send(number, request):
        kept.append(request)
        return answered(request) + (answered(kept[0]) if number == 9 else [])

    sent, _fake = watch(on_send)
    assert sent[0].answered < sent[9].sent


def test_late_answers_are_waited_for_but_no_longer_than_granted(watch):
    kept = []

    def hold(number, request):
        kept.append(request)
        return [pair for held in kept[-5:] for pair in answered(held)] if number % 5 == 4 else []

    sent, _fake = watch(hold, grace=0.1)
    assert lost(sent) == list(range(len(sent) // 5 * 5, len(sent)))
    began = time.monotonic()
    watch(lambda _number, _request: [], count=1, grace=0.3)
    assert 0.25 <= time.monotonic() - began < 10
    began = time.monotonic()
    watch(lambda _number, request: answered(request), count=1, grace=60)
    assert time.monotonic() - began < 30


def test_answers_to_what_was_lost_long_before_are_not_waited_for(monkeypatch):
    fake = FakeSocket(lambda number, request: answered(request) if number else [])
    monkeypatch.setattr(_probe, "_open", lambda: fake)
    prober = Prober(LOOPBACK, 0.01)
    prober.start()
    time.sleep(1.1)
    began = time.monotonic()
    assert lost(prober.stop(grace=1.0)) == [0]
    assert time.monotonic() - began < 0.9


def test_a_watch_that_broke_off_is_no_report(watch):
    def on_send(_number, _request):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        watch(on_send, count=1)


def test_only_a_probe_that_is_sent_later_is_waited_for(monkeypatch):
    answering = [True]
    fake = FakeSocket(lambda _number, request: answered(request) if answering[0] else [])
    monkeypatch.setattr(_probe, "_open", lambda: fake)
    prober = Prober(LOOPBACK, 0.01)
    assert not prober.wait_answer(0)
    prober.start()
    assert prober.wait_answer(20)
    answering[0] = False
    assert not prober.wait_answer(0.1)
    answering[0] = True
    assert prober.wait_answer(20)
    prober.stop(grace=0)


def test_whoever_may_not_probe_is_told(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(PermissionError):
        Prober(LOOPBACK).start()


@pytest.mark.parametrize("address", ["", "localhost", "::1", "10.0.0.0/24", "010.0.0.1"])
def test_only_an_address_is_probed(address):
    with pytest.raises(ValueError, match=r"."):
        Prober(address)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open a raw socket")
def test_this_machine_answers_every_probe():
    prober = Prober(LOOPBACK, 0.01)
    prober.start()
    assert prober.wait_answer(20)
    time.sleep(0.3)
    sent = prober.stop()
    result = _probe.report(sent, 0.01)
    assert len(sent) >= 2
    assert all(probe.sent <= probe.answered < probe.sent + 20 for probe in sent)
    assert (result["blackout_ms"], result["probes_lost"], result["recovered"]) == (0, 0, True)
